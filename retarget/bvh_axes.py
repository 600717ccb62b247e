"""Skeletons of BVH files whose joints keep frames of their own, and how those stand when the body does.

A joint's OFFSET there is along its parent's own frame, so without rotations the skeleton is no body.

Character Creator's frames (Reallusion) stand, in a T pose, as Blender's bones would: y along the bone, z to where the
body faces, to the sky below the ankles.
"""

from __future__ import annotations

import numpy as np

from . import rotations as rot
from .bvh_parse import Joint
from .rotations import Array

_PREFIX = "CC_Base_"
_SHIN = f"{_PREFIX}L_Calf"
# Axes x, y and z (columns) of the joints in a T pose that faces z, y up; others stand as their parents do.
_LEG = [[-1, 0, 0], [0, -1, 0], [0, 0, 1]]
_FOOT = [[-1, 0, 0], [0, 0, 1], [0, 1, 0]]
_AXES = {
    "Hip": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "L_Thigh": _LEG,
    "R_Thigh": _LEG,
    "L_Foot": _FOOT,
    "R_Foot": _FOOT,
    "L_Clavicle": [[0, 1, 0], [-1, 0, 0], [0, 0, 1]],
    "R_Clavicle": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
}


def known_axes(joints: list[Joint]) -> Array | None:
    """(J, 4) how the joints' frames stand in a T pose; None where the skeleton has none that are known."""
    # With frames of its own, the shin begins farther along y of the thigh, which points down; else below it.
    if not any(joint.name == _SHIN and joint.offset[1] > 0.0 for joint in joints):
        return None
    turned = np.tile(rot.IDENTITY, (len(joints), 1))
    for k, joint in enumerate(joints):
        axes = _AXES.get(joint.name.removeprefix(_PREFIX))
        if axes is not None:
            turned[k] = rot.from_matrix(np.array(axes, dtype=float))
        elif joint.parent >= 0:
            turned[k] = turned[joint.parent]
    return turned
