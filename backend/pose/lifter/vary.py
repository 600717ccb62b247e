"""Poses that nobody recorded: bodies made of several, joints bent further, bodies that lean, lie or stand on hands."""

from __future__ import annotations

import numpy as np

from ....retarget import rotations as rot
from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL_NAMES, SMPL_PARENTS
from .data import FPS

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
_RAISED, _CROUCHED, _BOWED = 0.3, 0.1, 0.25
_MOST_RAISED, _MOST_FLEXED, _MOST_SPREAD, _MOST_BOWED, _MOST_ARCHED = 1.9, 2.3, 0.9, 1.5, 0.4
# Share of the legs that are up all the time; of the others the median seconds, the deviation of their logarithm, and
# how far from the window's middle, seconds too.
_HELD, _UP, _UPS, _WHEN = 0.3, 0.25, 0.5, 0.5
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


def vary(rng: np.random.Generator, turns: Array) -> Array:
    """(24, N, T, 3, 3) local rotations of joints, varied; each of the N windows by one change for all its frames."""
    count = turns.shape[1]
    out = turns.copy()
    for name, share in _MIXED.items():
        part = np.array(_below(SMPL_NAMES.index(name)))
        mixed, other = np.nonzero(rng.random(count) < share)[0], rng.permutation(count)
        out[np.ix_(part, mixed)] = turns[np.ix_(part, other[mixed])]
    _hold_otherwise(rng, out)
    bold = np.exp(rng.normal(0.0, _BOLD, (count, 1)))
    for name, size in _BENT.items():
        _bend(out, name, bold * rng.normal(0.0, size, (count, 3)))
    _raise_legs(rng, out)
    _bow(rng, out)
    lean = rng.normal(0.0, _LEAN, (count, 3)) * [1.0, 1.0, 0.0] * (rng.random((count, 1)) < _LEANING)
    out[0] = _matrices(lean, out.dtype) @ out[0]
    return out


def vary_lightly(rng: np.random.Generator, turns: Array) -> Array:
    """(24, N, T, 3, 3) local rotations with knees and head as others hold them, all else as it was.

    Whoever looks like a recorded dancer would else be taken for one whose knees are never stretched.
    """
    out = turns.copy()
    _hold_otherwise(rng, out)
    return out


def _hold_otherwise(rng: np.random.Generator, turns: Array) -> None:
    """Knees and head, in place."""
    _bend_knees(rng, turns)
    for name, size in _HEAD.items():
        _bend(turns, name, rng.normal(0.0, size, (turns.shape[1], 3)))


def _bend_knees(rng: np.random.Generator, turns: Array) -> None:
    """Legs made straighter or bent, the feet as they were and about where they were under the hips."""
    count = turns.shape[1]
    straight, wholly = rng.random(count) < _STRAIGHTER, rng.random(count) < _STRETCHED
    for hip, knee, ankle in _LEGS:
        flexed = _flexion(turns, knee)
        straighter = np.where(wholly, rng.uniform(0.9, 1.0, count), rng.uniform(0.3, 0.9, count))
        more = np.minimum(np.abs(rng.normal(0.0, _KNEE_BENT, count)), np.maximum(_MOST_FLEXED - flexed, 0.0))
        # Straight in every direction: recordings have knees bent sideways as well, by their markers' errors.
        middle = turns[SMPL_NAMES.index(knee), :, turns.shape[2] // 2]
        turned = -straighter[:, None] * rot.to_axis_angle(rot.from_matrix(middle))
        by = np.where(straight[:, None], turned, more[:, None] * [1.0, 0.0, 0.0])
        _bend(turns, knee, by)
        for joint in (hip, ankle):
            _bend(turns, joint, -0.5 * by * [1.0, 0.0, 0.0])


def _raise_legs(rng: np.random.Generator, turns: Array) -> None:
    """Of some one leg or both, by the knee or stretched; all the time, or up and down again."""
    count, frames = turns.shape[1:3]
    both = rng.random(count) < _CROUCHED
    one = (rng.random(count) < _RAISED) & ~both
    left = rng.random(count) < 0.5
    high, bent = rng.random(count), rng.random(count)
    begun = (np.arange(frames) - frames // 2) / FPS - rng.normal(0.0, _WHEN, (count, 1))
    lasts = np.exp(rng.normal(np.log(_UP), _UPS, (count, 1)))
    up = np.where(rng.random((count, 1)) < _HELD, 1.0, np.exp(-0.5 * (begun / lasts) ** 2))
    for (hip, knee, _), this, outwards in zip(_LEGS, (left, ~left), (-1.0, 1.0), strict=True):
        # Of both legs neither is quite as the other.
        share = (both | (one & this)) * rng.uniform(0.7, 1.0, count)
        raised = share * high * np.maximum(_MOST_RAISED + _flexion(turns, hip), 0.0)
        flexed = share * bent * np.maximum(_MOST_FLEXED - _flexion(turns, knee), 0.0)
        spread = share * rng.uniform(-0.2, _MOST_SPREAD, count) * outwards
        _bend(turns, hip, np.stack([-raised, spread, np.zeros(count)], axis=1)[:, None] * up[..., None])
        _bend(turns, knee, (flexed[:, None] * [1.0, 0.0, 0.0])[:, None] * up[..., None])


def _bow(rng: np.random.Generator, turns: Array) -> None:
    """Trunks bent forwards, or somewhat back; the legs stay where they are."""
    count = turns.shape[1]
    by = (rng.random(count) < _BOWED) * rng.uniform(-_MOST_ARCHED, _MOST_BOWED, count)
    share = rng.dirichlet([2.0, 1.0, 1.0, 1.0], count) * by[:, None]
    for name, angle in zip(("pelvis", "spine1", "spine2", "spine3"), share.T, strict=True):
        _bend(turns, name, angle[:, None] * [1.0, 0.0, 0.0])
    for hip, _, _ in _LEGS:
        joint = SMPL_NAMES.index(hip)
        turns[joint] = _matrices(-share[:, :1] * [1.0, 0.0, 0.0], turns.dtype) @ turns[joint]


def _bend(turns: Array, name: str, by: Array) -> None:
    """Turn a joint, and so all below it, in its own frame, in place; ``by``: axis-angle, (N, 3) or (N, T, 3)."""
    joint, bent = SMPL_NAMES.index(name), np.nonzero(by.any(axis=tuple(range(1, by.ndim))))[0]
    turns[joint, bent] = turns[joint, bent] @ _matrices(by[bent], turns.dtype)


def _matrices(by: Array, dtype: np.dtype[np.floating]) -> Array:
    """(N, T, 3, 3) of axis-angles (N, T, 3), or (N, 1, 3, 3) of those of all a window's frames (N, 3)."""
    matrices: Array = rot.to_matrix(rot.from_axis_angle(by if by.ndim == 3 else by[:, None])).astype(dtype)
    return matrices


def _flexion(turns: Array, name: str) -> Array:
    """(N,) radians about x by which a joint is turned against the one that carries it, over the frames' mean."""
    local = turns[SMPL_NAMES.index(name)]
    flexion: Array = np.arctan2(local[..., 2, 1] - local[..., 1, 2], local[..., 1, 1] + local[..., 2, 2])
    return flexion.mean(axis=1)
