"""BVH of Reallusion's Character Creator skeleton, whose bones keep frames of their own.

A joint's OFFSET there is along y of its parent's own frame, and all-zero channels are no pose of a body. The
frames stand, when the body stands in a T pose, as Blender's bones would: y along the bone, z to where the body
faces (to the sky below the ankles). With those for a rest pose it is a rig like any other.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ....retarget import rotations as rot
from ....retarget.bvh_parse import Recording, parse
from ....retarget.errors import MotionError
from ....retarget.motion import Motion
from ....retarget.rig import Rig
from ....retarget.rotations import Array
from .posed_rig import motion_of

_PREFIX = "CC_Base_"
_SHIN = f"{_PREFIX}L_Calf"
# Axes x, y and z (columns) of the bones in a T pose that faces z, y up; others stand as their parents do.
_LEG = [[-1, 0, 0], [0, -1, 0], [0, 0, 1]]
_FOOT = [[-1, 0, 0], [0, 0, 1], [0, 1, 0]]
_AXES = {
    "Hip": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "Thigh": _LEG,
    "Foot": _FOOT,
    "L_Clavicle": [[0, 1, 0], [-1, 0, 0], [0, 0, 1]],
    "R_Clavicle": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
}


def read(data: bytes) -> Motion | None:
    """The motion in the bytes of a BVH file, without contacts, its height over the floor unknown.

    None where the skeleton is not Character Creator's, or its joints stand as a body without rotations.
    Raises MotionError where the file is none, or the skeleton lacks parts of a body.
    """
    if _SHIN.encode() not in data:
        return None
    recording = parse(data)
    if not any(joint.name == _SHIN and (joint.offset or [0.0, 0.0])[1] > 0.0 for joint in recording.joints):
        return None
    joints, rotations, place = recording.joints, *_poses(recording)
    rest = np.zeros((len(joints), 4))
    heads = np.zeros((len(joints), 3))
    for k, joint in enumerate(joints):
        name = joint.name.removeprefix(_PREFIX)
        axes = _AXES.get(name, _AXES.get(name[2:]))
        rest[k] = rot.from_matrix(np.array(axes, dtype=float)) if axes else rest[joint.parent]
        if joint.parent >= 0:
            heads[k] = heads[joint.parent] + rot.rotate(rest[joint.parent], joint.offset or np.zeros(3))
    matrices = np.tile(np.eye(4), (len(joints), 1, 1))
    matrices[:, :3, :3], matrices[:, :3, 3] = rot.to_matrix(rest), heads
    reach = np.array([np.linalg.norm(joint.offset or 0.0) for joint in joints])
    lengths = np.full(len(joints), 1e-3 * reach.max())
    np.maximum.at(lengths, [joint.parent for joint in joints[1:]], reach[1:])
    rig = Rig(
        tuple(joint.name for joint in joints),
        tuple(joint.parent for joint in joints),
        matrices,
        lengths,
    )
    seen = np.concatenate([rest[:1], rot.multiply(rot.conjugate(rest[list(rig.parents[1:])]), rest[1:])])
    return motion_of(rig, rot.multiply(rot.conjugate(seen), rotations), place, recording.fps)


def _poses(recording: Recording) -> tuple[Array, Array]:
    """Quaternions (T, J, 4) of the joints in their parents' frames, and the root's place (T, 3)."""
    rotations, place, at = [], np.zeros((len(recording.values), 3)), 0
    for joint in recording.joints:
        values = dict(zip(joint.channels, recording.values[:, at : at + len(joint.channels)].T, strict=True))
        at += len(joint.channels)
        axes = [channel[0] for channel in joint.channels if channel.endswith("rotation")]
        if len(set(axes)) != 3:
            raise MotionError(f"its joint {joint.name} does not turn about three axes: export the file anew.")
        angles = np.stack([values[f"{axis}rotation"] for axis in axes], axis=1)
        rotations.append(Rotation.from_euler("".join(axes), angles, degrees=True).as_quat()[:, [3, 0, 1, 2]])
        if joint.parent < 0:
            place = np.stack([values.get(f"{axis}position", np.zeros(len(place))) for axis in "XYZ"], axis=1)
    return np.stack(rotations, axis=1), place
