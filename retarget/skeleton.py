"""The SMPL-24 skeleton: names, parents, our own rest offsets, and forward kinematics.

Frame of reference everywhere: metres, z up, right-handed, the rest pose is a T pose that faces -y,
its left side towards +x. At rest every joint's frame is aligned with the world.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import rotations as rot
from .rotations import Array

SMPL_NAMES = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
    "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hand", "right_hand",
)  # fmt: skip
SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
# Index of each joint's partner on the other side (itself on the midline).
SMPL_MIRROR = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)

# Columns of Motion.contacts, and the joints they speak of.
CONTACT_NAMES = ("left_ankle", "right_ankle", "left_foot", "right_foot")
CONTACT_JOINTS = (7, 8, 10, 11)

# Height of the foot joint (ball of the foot) and of the ankle above the floor when the sole is flat.
FOOT_HEIGHT = 0.020
ANKLE_HEIGHT = 0.072

# An adult of 1.75 m. Segment lengths follow the usual anthropometric shares of stature; the directions
# follow least-squares fits of motion-captured joint centres to SMPL rotations, made symmetric.
_OFFSETS = np.array(
    [
        [0.000, 0.000, 0.000],  # pelvis
        [0.085, 0.000, -0.090], [-0.085, 0.000, -0.090], [0.000, 0.022, 0.110],  # hips, spine1
        [0.020, 0.006, -0.410], [-0.020, 0.006, -0.410], [0.000, 0.002, 0.135],  # knees, spine2
        [-0.008, 0.030, -0.410], [0.008, 0.030, -0.410], [0.000, -0.014, 0.058],  # ankles, spine3
        [0.022, -0.132, -0.052], [-0.022, -0.132, -0.052],  # feet (ball)
        [0.000, 0.034, 0.212], [0.078, 0.026, 0.118], [-0.078, 0.026, 0.118],  # neck, collars
        [0.000, -0.040, 0.085],  # head
        [0.100, 0.010, 0.034], [-0.100, 0.010, 0.034],  # shoulders
        [0.262, 0.018, -0.008], [-0.262, 0.018, -0.008],  # elbows
        [0.252, 0.000, 0.004], [-0.252, 0.000, 0.004],  # wrists
        [0.086, 0.010, -0.008], [-0.086, 0.010, -0.008],  # hands
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Skeleton:
    """A tree of joints.

    ``names``: J joint names, parents before children. ``parents``: J parent indices, -1 for the root.
    ``offsets``: (J, 3) metres, each joint's rest position relative to its parent's.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Array

    @cached_property
    def rest_positions(self) -> Array:
        """(J, 3) metres, the joints of the rest pose with the root at the origin."""
        positions = np.array(self.offsets, dtype=float)
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                positions[joint] += positions[parent]
        return positions

    @cached_property
    def rest_root_height(self) -> float:
        """Metres from the floor to the root when the rest pose stands on flat feet."""
        return FOOT_HEIGHT - float(self.rest_positions[list(CONTACT_JOINTS[2:]), 2].mean())

    @cached_property
    def leg_length(self) -> float:
        """Metres from hip over knee to ankle, the scale between bodies (mean of both sides)."""
        return float(np.mean([np.linalg.norm(self.offsets[j]) for j in (4, 5)])) + float(
            np.mean([np.linalg.norm(self.offsets[j]) for j in (7, 8)])
        )


SMPL = Skeleton(SMPL_NAMES, SMPL_PARENTS, _OFFSETS)


def forward_kinematics(skeleton: Skeleton, rotations: Array, root: Array) -> tuple[Array, Array]:
    """Joint positions and global rotations of a motion.

    ``rotations``: (T, J, 4) local unit quaternions; ``root``: (T, 3) metres, the root joint's position.
    Returns positions (T, J, 3) in metres and global quaternions (T, J, 4).
    """
    rotations, root = np.asarray(rotations), np.asarray(root)
    positions = np.empty((*rotations.shape[:-1], 3), dtype=np.result_type(rotations, root))
    turned = np.empty_like(rotations)
    for joint, parent in enumerate(skeleton.parents):
        if parent < 0:
            turned[:, joint] = rotations[:, joint]
            positions[:, joint] = root
        else:
            turned[:, joint] = rot.multiply(turned[:, parent], rotations[:, joint])
            positions[:, joint] = positions[:, parent] + rot.rotate(turned[:, parent], skeleton.offsets[joint])
    return positions, turned
