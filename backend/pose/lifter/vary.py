"""Poses that nobody recorded: bodies made of several, joints bent further, bodies that lean, lie or stand on hands."""

from __future__ import annotations

import numpy as np

from ....retarget import rotations as rot
from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL_NAMES, SMPL_PARENTS

# How much joints are bent beyond what was recorded, radians.
_BENT = {
    "left_hip": 0.35, "right_hip": 0.35, "spine1": 0.2, "spine2": 0.2, "neck": 0.3, "head": 0.35, "left_shoulder": 0.4,
    "right_shoulder": 0.4, "left_elbow": 0.3, "right_elbow": 0.3, "left_ankle": 0.15, "right_ankle": 0.15,
}  # fmt: skip
# Knees bend one way only. Dancers hardly ever stretch theirs, people who stand do: half are made straighter.
_KNEES = {"left_knee": "left_hip", "right_knee": "right_hip"}
_KNEE_BENT = 0.5
_BOLD = 0.5  # standard deviation of the logarithm of how much more, or less, a whole body is bent
_LEANING, _LEAN = 0.25, 0.9  # share of the bodies that lean, by how much (radians, standard deviation)
_MIXED = {"spine1": 0.3, "left_collar": 0.25, "right_collar": 0.25}  # share of the bodies that have another's part


def _below(joint: int) -> list[int]:
    below = [joint]
    for other, parent in enumerate(SMPL_PARENTS):
        if parent in below:
            below.append(other)
    return below


def vary(rng: np.random.Generator, orientations: Array) -> Array:
    """(N, T, 24, 3, 3) orientations of joints in the world, varied; each window by one change for all its frames."""
    count = len(orientations)
    out = orientations.copy()
    for name, share in _MIXED.items():
        joint = SMPL_NAMES.index(name)
        above, part = SMPL_PARENTS[joint], _below(joint)
        mixed, other = np.nonzero(rng.random(count) < share)[0], rng.permutation(count)
        # The other's part as it stands to what carries it.
        theirs = orientations[other[mixed]]
        turn = out[mixed, :, above] @ np.swapaxes(theirs[:, :, above], -1, -2)
        out[mixed[:, None], :, part] = np.swapaxes(turn[:, :, None] @ theirs[:, :, part], 1, 2)
    straight = rng.random(count) < 0.5
    for name, hip in _KNEES.items():
        flexed = _flexion(out[:, :, SMPL_NAMES.index(hip)], out[:, :, SMPL_NAMES.index(name)]).mean(axis=1)
        straighter = -rng.uniform(0.3, 1.0, count) * np.maximum(flexed, 0.0)
        by = np.where(straight, straighter, np.abs(rng.normal(0.0, _KNEE_BENT, count)))
        _bend(out, name, by[:, None] * [1.0, 0.0, 0.0])
    bold = np.exp(rng.normal(0.0, _BOLD, (count, 1)))
    for name, size in _BENT.items():
        _bend(out, name, bold * rng.normal(0.0, size, (count, 3)))
    lean = rng.normal(0.0, _LEAN, (count, 3)) * [1.0, 1.0, 0.0] * (rng.random((count, 1)) < _LEANING)
    leant: Array = rot.to_matrix(rot.from_axis_angle(lean)).astype(out.dtype)[:, None, None] @ out
    return leant


def _bend(orientations: Array, name: str, by: Array) -> None:
    """Turn a joint, and all below it, in its own frame, in place; ``by``: (N, 3) axis-angle."""
    joint = SMPL_NAMES.index(name)
    local = rot.to_matrix(rot.from_axis_angle(by)).astype(orientations.dtype)[:, None]
    here = orientations[:, :, joint]
    turn = (here @ local @ np.swapaxes(here, -1, -2))[:, :, None]
    below = _below(joint)
    orientations[:, :, below] = turn @ orientations[:, :, below]


def _flexion(upper: Array, lower: Array) -> Array:
    """(N, T) radians about x by which the (N, T, 3, 3) orientations of a limb's lower part differ from its upper's."""
    local = np.swapaxes(upper, -1, -2) @ lower
    flexion: Array = np.arctan2(local[..., 2, 1] - local[..., 1, 2], local[..., 1, 1] + local[..., 2, 2])
    return flexion
