"""How large the person is: bone lengths, one for the whole clip, and the scale to the standard skeleton."""

from __future__ import annotations

import numpy as np

from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL, SMPL_MIRROR, SMPL_PARENTS

_LEGS = [4, 5, 7, 8]
# Legs of a person: nobody's are shorter or longer than this many times the standard skeleton's.
_SIZES = (0.3, 1.6)


def bone_lengths(joints: Array, noise: Array) -> Array:
    """(24,) metres from each joint's parent to the joint, the same on both sides; 0 for the root.

    ``joints``: (T, 24, 3); ``noise``: (T, 24) deviations of a coordinate, whose mean share in a length is taken off.
    Medians over the frames, so that bad ones don't count.
    """
    parents = np.array(SMPL_PARENTS)
    square = np.sum((joints[:, 1:] - joints[:, parents[1:]]) ** 2, axis=-1)
    square = square - 3.0 * (noise[:, 1:] ** 2 + noise[:, parents[1:]] ** 2)
    length = np.concatenate([[0.0], np.sqrt(np.maximum(np.median(square, axis=0), 1e-6))])
    return (length + length[list(SMPL_MIRROR)]) / 2.0


def scale_to_standard(lengths: Array) -> float:
    """By how much the person must be scaled for legs of the standard skeleton's length."""
    return float(np.clip(SMPL.leg_length / (lengths[_LEGS].sum() / 2.0), 1.0 / _SIZES[1], 1.0 / _SIZES[0]))
