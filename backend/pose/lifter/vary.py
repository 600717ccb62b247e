"""Poses that nobody recorded: bodies made of two, joints bent further, bodies that lean, lie or stand on hands."""

from __future__ import annotations

import numpy as np

from ....retarget import rotations as rot
from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL_NAMES, SMPL_PARENTS

# How much joints are bent beyond what was recorded, radians: any way, and knees only as knees bend.
_BENT = {
    "left_hip": 0.35, "right_hip": 0.35, "spine1": 0.15, "spine2": 0.15, "neck": 0.2, "left_shoulder": 0.4,
    "right_shoulder": 0.4, "left_elbow": 0.3, "right_elbow": 0.3, "left_ankle": 0.15, "right_ankle": 0.15,
}  # fmt: skip
_KNEES = {"left_knee": 0.5, "right_knee": 0.5}
_LEANING, _LEAN = 0.25, 0.9  # share of the bodies that lean, by how much (radians, standard deviation)
_MIXED = 0.3  # share of the bodies whose upper half is another's


def _below(joint: int) -> list[int]:
    below = [joint]
    for other, parent in enumerate(SMPL_PARENTS):
        if parent in below:
            below.append(other)
    return below


_UPPER = _below(SMPL_NAMES.index("spine1"))


def vary(rng: np.random.Generator, orientations: Array) -> Array:
    """(N, T, 24, 3, 3) orientations of joints in the world, varied; each window by one change for all its frames."""
    count = len(orientations)
    out = orientations.copy()
    mixed = rng.random(count) < _MIXED
    other = rng.permutation(count)
    # The other's upper half as it stands to its own pelvis.
    turn = out[mixed, :, :1] @ np.swapaxes(orientations[other[mixed], :, :1], -1, -2)
    out[mixed, :, _UPPER[0] :] = np.where(
        np.isin(np.arange(_UPPER[0], 24), _UPPER)[:, None, None],
        turn @ orientations[other[mixed], :, _UPPER[0] :],
        out[mixed, :, _UPPER[0] :],
    )
    for name, size in (_BENT | _KNEES).items():
        joint = SMPL_NAMES.index(name)
        bend = (
            rng.normal(0.0, size, (count, 3))
            if name in _BENT
            else np.abs(rng.normal(0.0, size, (count, 1))) * [1, 0, 0]
        )
        local = rot.to_matrix(rot.from_axis_angle(bend)).astype(out.dtype)[:, None]
        here = out[:, :, joint]
        below = _below(joint)
        out[:, :, below] = (here @ local @ np.swapaxes(here, -1, -2))[:, :, None] @ out[:, :, below]
    lean = rng.normal(0.0, _LEAN, (count, 3)) * [1.0, 1.0, 0.0] * (rng.random((count, 1)) < _LEANING)
    leant: Array = rot.to_matrix(rot.from_axis_angle(lean)).astype(out.dtype)[:, None, None] @ out
    return leant
