"""Poses that nobody recorded: bodies made of several, joints bent further, bodies that lean, lie or stand on hands."""

from __future__ import annotations

import numpy as np

from ....retarget import rotations as rot
from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL_NAMES, SMPL_PARENTS

# How much joints are bent beyond what was recorded, radians.
_BENT = {
    "left_hip": 0.3, "right_hip": 0.3, "spine1": 0.2, "spine2": 0.2, "left_shoulder": 0.4,
    "right_shoulder": 0.4, "left_elbow": 0.3, "right_elbow": 0.3, "left_ankle": 0.15, "right_ankle": 0.15,
}  # fmt: skip
_HEAD = {"neck": 0.4, "head": 0.5}
# Knees bend one way only. Dancers hardly ever stretch theirs, people who stand do: shares of the bodies whose legs are
# made straighter, and of those the ones that are stretched wholly; the others bend them further (radians).
_LEGS = (("left_hip", "left_knee", "left_ankle"), ("right_hip", "right_knee", "right_ankle"))
_STRAIGHTER, _STRETCHED = 0.6, 0.6
_KNEE_BENT = 0.5
# Thighs are raised forwards, with knees bent, hardly ever backwards; trunks bow, from hips and spine alike. Shares of
# the bodies that raise a leg, or both as who crouches or sits, and that bow; the most of it, radians.
_RAISED, _CROUCHED, _BOWED = 0.15, 0.1, 0.25
_MOST_RAISED, _MOST_FLEXED, _MOST_SPREAD, _MOST_BOWED, _MOST_ARCHED = 1.9, 2.3, 0.9, 1.5, 0.4
_BOLD = 0.5  # standard deviation of the logarithm of how much more, or less, a whole body is bent
_LEANING, _LEAN = 0.25, 0.9  # share of the bodies that lean, by how much (radians, standard deviation)
# Share of the bodies that have another's part.
_MIXED = {"spine1": 0.3, "left_collar": 0.25, "right_collar": 0.25, "left_hip": 0.15, "right_hip": 0.15}


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
    _hold_otherwise(rng, out)
    bold = np.exp(rng.normal(0.0, _BOLD, (count, 1)))
    for name, size in _BENT.items():
        _bend(out, name, bold * rng.normal(0.0, size, (count, 3)))
    _raise_legs(rng, out)
    _bow(rng, out)
    lean = rng.normal(0.0, _LEAN, (count, 3)) * [1.0, 1.0, 0.0] * (rng.random((count, 1)) < _LEANING)
    leant: Array = rot.to_matrix(rot.from_axis_angle(lean)).astype(out.dtype)[:, None, None] @ out
    return leant


def vary_lightly(rng: np.random.Generator, orientations: Array) -> Array:
    """(N, T, 24, 3, 3) orientations with knees and head as others hold them, all else as it was.

    Whoever looks like a recorded dancer would else be taken for one whose knees are never stretched.
    """
    out = orientations.copy()
    _hold_otherwise(rng, out)
    return out


def _hold_otherwise(rng: np.random.Generator, orientations: Array) -> None:
    """Knees and head, in place."""
    _bend_knees(rng, orientations)
    for name, size in _HEAD.items():
        _bend(orientations, name, rng.normal(0.0, size, (len(orientations), 3)))


def _bend_knees(rng: np.random.Generator, orientations: Array) -> None:
    """Legs made straighter or bent, the feet as they were and about where they were under the hips."""
    count = len(orientations)
    straight, wholly = rng.random(count) < _STRAIGHTER, rng.random(count) < _STRETCHED
    for hip, knee, ankle in _LEGS:
        flexed = _flexion(orientations, hip, knee)
        straighter = np.where(wholly, rng.uniform(0.9, 1.0, count), rng.uniform(0.3, 0.9, count))
        more = np.minimum(np.abs(rng.normal(0.0, _KNEE_BENT, count)), np.maximum(_MOST_FLEXED - flexed, 0.0))
        # Straight in every direction: recordings have knees bent sideways as well, by their markers' errors.
        turned = -straighter[:, None] * _local(orientations, hip, knee)
        by = np.where(straight[:, None], turned, more[:, None] * [1.0, 0.0, 0.0])
        _bend(orientations, knee, by)
        for joint in (hip, ankle):
            _bend(orientations, joint, -0.5 * by * [1.0, 0.0, 0.0])


def _raise_legs(rng: np.random.Generator, orientations: Array) -> None:
    count = len(orientations)
    both = rng.random(count) < _CROUCHED
    one = (rng.random(count) < _RAISED) & ~both
    left = rng.random(count) < 0.5
    high, bent = rng.random(count), rng.random(count)
    for (hip, knee, _), this, outwards in zip(_LEGS, (left, ~left), (-1.0, 1.0), strict=True):
        # Of both legs neither is quite as the other.
        share = (both | (one & this)) * rng.uniform(0.7, 1.0, count)
        raised = share * high * np.maximum(_MOST_RAISED + _flexion(orientations, "pelvis", hip), 0.0)
        flexed = share * bent * np.maximum(_MOST_FLEXED - _flexion(orientations, hip, knee), 0.0)
        spread = share * rng.uniform(-0.2, _MOST_SPREAD, count) * outwards
        _bend(orientations, hip, np.stack([-raised, spread, np.zeros(count)], axis=1))
        _bend(orientations, knee, flexed[:, None] * [1.0, 0.0, 0.0])


def _bow(rng: np.random.Generator, orientations: Array) -> None:
    """Trunks bent forwards, or somewhat back; the legs stay where they are."""
    count = len(orientations)
    by = (rng.random(count) < _BOWED) * rng.uniform(-_MOST_ARCHED, _MOST_BOWED, count)
    share = rng.dirichlet([2.0, 1.0, 1.0, 1.0], count) * by[:, None]
    for name, angle in zip(("pelvis", "spine1", "spine2", "spine3"), share.T, strict=True):
        moved = [0, *_below(SMPL_NAMES.index("spine1"))] if name == "pelvis" else None
        _bend(orientations, name, angle[:, None] * [1.0, 0.0, 0.0], moved)


def _bend(orientations: Array, name: str, by: Array, moved: list[int] | None = None) -> None:
    """Turn a joint, and all below it or those ``moved``, in its own frame, in place; ``by``: (N, 3) axis-angle."""
    joint = SMPL_NAMES.index(name)
    rows = np.nonzero(by.any(axis=1))[0]
    local = rot.to_matrix(rot.from_axis_angle(by[rows])).astype(orientations.dtype)[:, None]
    here = orientations[rows, :, joint]
    turn = here @ local @ np.swapaxes(here, -1, -2)
    for part in moved or _below(joint):
        orientations[rows, :, part] = turn @ orientations[rows, :, part]


def _local(orientations: Array, upper: str, lower: str) -> Array:
    """(N, 3) axis-angle by which a joint is turned against the one that carries it, in the middle frame."""
    middle = orientations.shape[1] // 2
    above, here = (orientations[:, middle, SMPL_NAMES.index(name)] for name in (upper, lower))
    return rot.to_axis_angle(rot.from_matrix(np.swapaxes(above, -1, -2) @ here))


def _flexion(orientations: Array, upper: str, lower: str) -> Array:
    """(N,) radians about x by which a joint is turned against the one that carries it, over the frames' mean."""
    above, here = (orientations[:, :, SMPL_NAMES.index(name)] for name in (upper, lower))
    local = np.swapaxes(above, -1, -2) @ here
    flexion: Array = np.arctan2(local[..., 2, 1] - local[..., 1, 2], local[..., 1, 1] + local[..., 2, 2])
    return flexion.mean(axis=1)
