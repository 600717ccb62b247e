"""Joints kept within the human range of motion."""

from __future__ import annotations

import numpy as np

from ....retarget import rotations as rot
from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL_NAMES, SMPL_PARENTS
from ...evaluate.anatomy import MARGIN, beyond_range

# Joints whose range is known, parents first, and which of them bend together.
_CHAINS = (
    ("spine1", "spine2", "spine3"), ("neck", "head"),
    ("left_hip",), ("right_hip",), ("left_knee",), ("right_knee",), ("left_ankle",), ("right_ankle",),
    ("left_collar", "left_shoulder"), ("right_collar", "right_shoulder"),
    ("left_elbow",), ("right_elbow",), ("left_wrist",), ("right_wrist",),
)  # fmt: skip
_HALVINGS = 6


def within_reach(turned: Array) -> Array:
    """(T, 24, 4) local rotations of orientations ``turned`` (T, 24, 4) in the world.

    A joint that is further out of its range than a fitted skeleton's may be goes back towards the T pose as far as
    it must; what hangs on it keeps its orientation in the world.
    """
    world = np.array(turned)
    local = _local(world)
    for chain in _CHAINS:
        joints = np.array([SMPL_NAMES.index(name) for name in chain])
        alone = np.tile(rot.IDENTITY, (len(local), len(SMPL_NAMES), 1))
        alone[:, joints] = local[:, joints]
        bad = np.flatnonzero(beyond_range(alone) > MARGIN)
        if not len(bad):
            continue
        low, high = np.zeros(len(bad)), np.ones(len(bad))
        rest = np.broadcast_to(rot.IDENTITY, (len(bad), len(joints), 4))
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            alone[np.ix_(bad, joints)] = rot.slerp(rest, local[np.ix_(bad, joints)], middle[:, None])
            fits = beyond_range(alone[bad]) <= MARGIN
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        local[np.ix_(bad, joints)] = rot.slerp(rest, local[np.ix_(bad, joints)], low[:, None])
        for joint in joints.tolist():
            world[:, joint] = rot.multiply(world[:, SMPL_PARENTS[joint]], local[:, joint])
        local = _local(world)
    return local


def _local(world: Array) -> Array:
    parents = np.array(SMPL_PARENTS)
    local = np.array(world)
    local[:, 1:] = rot.multiply(rot.conjugate(world[:, parents[1:]]), world[:, 1:])
    return local
