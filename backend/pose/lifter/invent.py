"""Movement that nobody recorded: from one pose that a body can take to another, limb by limb.

Recordings show what is usual. How far joints go and which way they bend holds for any movement, and whoever knows
nothing but walks and ballroom dances should learn it too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ....retarget import rotations as rot
from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL_NAMES
from ...evaluate.anatomy import RANGES
from .bodies import STANDARD, pose, turns
from .data import FPS, Recording

_SECONDS = 20.0  # of a recording
# Seconds from pose to pose: the median, the deviation of the logarithm, and the least.
_PACE, _PACES, _QUICKEST = 0.55, 0.45, 0.25
# Angles that are mostly small: their mean and standard deviation, degrees. All others are anywhere in their range.
_USUAL = {
    "trunk flexion": (15.0, 25.0), "trunk lateral bending": (0.0, 12.0), "trunk rotation": (0.0, 18.0),
    "head flexion": (0.0, 20.0), "head lateral bending": (0.0, 15.0), "head rotation": (0.0, 30.0),
    "hip lateral rotation": (5.0, 20.0), "ankle dorsiflexion": (-10.0, 18.0), "ankle sideways": (0.0, 10.0),
}  # fmt: skip
_STRETCHED, _ALMOST = 0.35, 6.0  # share of the knees and elbows that are stretched but for some degrees
_TURNED, _PRONATED, _WRIST = 35.0, 35.0, 20.0  # degrees about the arm's and the forearm's length, and at the wrist
_COLLAR = 0.2  # share of the arm's swing that is the collar's
# Shares of the poses that lean and of those that lie or are upside down; degrees by which one leans, or stands upright.
_LEANING, _ANYHOW, _LEAN, _UPRIGHT = 0.25, 0.15, 40.0, 8.0
# Share of the recordings in which the hands are on the floor beside the feet, and of these of bellies up; degrees by
# which such trunks lean, the deviation over recordings and from pose to pose; of arms from straight down (as a
# tangent), and share of the arms' poses that are off the floor.
_ON_HANDS, _BELLY_UP, _PRONE, _PRONES, _SWAYS = 0.3, 0.25, 80.0, 20.0, 12.0
_OFF_DOWN, _LIFTED = 0.3, 0.2
_HEADING, _STEP = 60.0, 0.25  # degrees and metres from pose to pose
_SOLE = 0.06  # m from the lowest joint to the floor
_X, _Y, _Z = np.eye(3)


def invent(rng: np.random.Generator, total: float) -> Iterator[Recording]:
    """Recordings of at least ``total`` frames of bodies on the floor that go through poses drawn at random, each limb
    at its own pace."""
    frames = round(_SECONDS * FPS)
    for number in range(math.ceil(total / frames)):
        prone = _prone(rng)
        local = np.tile(rot.IDENTITY, (frames, len(SMPL_NAMES), 1))
        before, share, poses = _paces(rng, frames)
        _go(local, ["pelvis"], _pelvis(rng, poses, prone), before, share)
        places = np.cumsum(rng.normal(0.0, _STEP, (poses, 3)), axis=0) * (_X + _Y)
        root = places[before] + share[:, None] * (places[before + 1] - places[before])
        for names, part in ((["spine1", "spine2", "spine3"], "trunk"), (["neck", "head"], "head")):
            before, share, poses = _paces(rng, frames)
            turn = _bent(rng, poses, part)
            each = rot.slerp(np.broadcast_to(rot.IDENTITY, turn.shape), turn, np.full(poses, 1.0 / len(names)))
            _go(local, names, np.stack([each] * len(names), axis=1), before, share)
        for side, left in (("left", 1.0), ("right", -1.0)):
            before, share, poses = _paces(rng, frames)
            _go(local, [f"{side}_{n}" for n in ("hip", "knee", "ankle")], _leg(rng, poses, left), before, share)
            before, share, poses = _paces(rng, frames)
            arm = [f"{side}_{n}" for n in ("collar", "shoulder", "elbow", "wrist")]
            _go(local, arm, _arm(rng, poses, left, prone), before, share)
        joints = pose(STANDARD, turns(local), root)[1]
        root[:, 2] = _SOLE - joints[..., 2].min(axis=1)
        yield Recording(f"invented {number}", turns(local).astype(np.float32), root.astype(np.float32))


def _paces(rng: np.random.Generator, frames: int) -> tuple[NDArray[np.int64], Array, int]:
    """Of each frame the pose before it and how far it is on the way to the next, eased; how many poses there are."""
    # More than enough: even if all were the quickest, they would last longer than the frames.
    seconds = np.exp(rng.normal(np.log(_PACE), _PACES, 2 + 3 * round(frames / FPS / _PACE)))
    at = np.concatenate([[0.0], np.cumsum(np.maximum(seconds, _QUICKEST))])
    time = np.arange(frames) / FPS
    before = np.searchsorted(at, time, side="right") - 1
    share = (time - at[before]) / (at[before + 1] - at[before])
    return before, share**2 * (3.0 - 2.0 * share), len(at)


def _go(local: Array, names: list[str], poses: Array, before: NDArray[np.int64], share: Array) -> None:
    """Put joints into ``local`` (T, 24, 4), in place, that go from pose to pose of (K, len(names), 4)."""
    for i, name in enumerate(names):
        local[:, SMPL_NAMES.index(name)] = rot.slerp(poses[before, i], poses[before + 1, i], share)


def _prone(rng: np.random.Generator) -> float | None:
    """Radians by which a trunk leans forwards that hands support; None where they don't."""
    if rng.random() >= _ON_HANDS:
        return None
    lean = np.radians(rng.normal(_PRONE, _PRONES))
    return float(-lean if rng.random() < _BELLY_UP else lean)


def _pelvis(rng: np.random.Generator, poses: int, prone: float | None) -> Array:
    """(K, 1, 4) turned about the vertical from pose to pose, and leaning."""
    if prone is None:
        chance = rng.random((poses, 1))
        lean = np.where(chance < _ANYHOW, 120.0, np.where(chance < _ANYHOW + _LEANING, _LEAN, _UPRIGHT))
        leant = rot.from_axis_angle(np.radians(lean) * rng.normal(size=(poses, 3)) * (_X + _Y))
    else:
        sways = np.radians(rng.normal(0.0, _SWAYS, (poses, 3)))
        leant = rot.multiply(rot.from_axis_angle(sways), rot.from_axis_angle(prone * _X))
    heading = np.radians(rng.uniform(0.0, 360.0) + np.cumsum(rng.normal(0.0, _HEADING, poses)))
    return rot.multiply(_about(_Z, heading), leant)[:, None]


def _bent(rng: np.random.Generator, poses: int, part: str) -> Array:
    """(K, 4) trunk or head, turned, bent sideways and forwards."""
    turned, sideways, forwards = (
        _angle(rng, poses, f"{part} {way}") for way in ("rotation", "lateral bending", "flexion")
    )
    return rot.multiply(_about(_X, forwards), rot.multiply(_about(_Y, sideways), _about(_Z, turned)))


def _leg(rng: np.random.Generator, poses: int, left: float) -> Array:
    """(K, 3, 4) hip, knee and ankle. ``left``: 1, or -1 of a right leg."""
    hip = rot.multiply(
        _about(_X, -_angle(rng, poses, "hip flexion")),
        rot.multiply(
            _about(_Y, -left * _angle(rng, poses, "hip abduction")),
            _about(_Z, left * _angle(rng, poses, "hip lateral rotation")),
        ),
    )
    ankle = rot.multiply(
        _about(_X, -_angle(rng, poses, "ankle dorsiflexion")),
        _about(_Z, left * _angle(rng, poses, "ankle sideways")),
    )
    return np.stack([hip, _about(_X, _flexed(rng, poses, "knee flexion")), ankle], axis=1)


def _arm(rng: np.random.Generator, poses: int, left: float, prone: float | None) -> Array:
    """(K, 4, 4) collar, shoulder, elbow and wrist. ``left``: 1, or -1 of a right arm."""
    # Any direction but those that the shoulder does not reach: of many tried the first.
    tried = rng.normal(size=(poses, 16, 3))
    supports = np.zeros(poses, dtype=bool)
    if prone is not None:
        supports = rng.random(poses) >= _LIFTED
        tried[supports] = _OFF_DOWN * tried[supports] - rot.rotate(rot.from_axis_angle(-prone * _X), _Z)
    tried /= np.linalg.norm(tried, axis=-1, keepdims=True)
    backwards, across = (np.sin(np.radians(RANGES[f"shoulder {way}"][1])) for way in ("extension", "adduction"))
    reached = (tried[..., 1] < backwards) & (-left * tried[..., 0] < across)
    towards = tried[np.arange(poses), np.argmax(reached, axis=1)]
    swing = rot.between(left * _X, towards)
    collar = rot.slerp(np.broadcast_to(rot.IDENTITY, swing.shape), swing, np.full(poses, _COLLAR))
    turned = _about(_X, np.radians(rng.normal(0.0, _TURNED, poses)))
    shoulder = rot.multiply(rot.conjugate(collar), rot.multiply(swing, turned))
    bend = _about(-left * _Z, np.where(supports, 0.3, 1.0) * _flexed(rng, poses, "elbow flexion"))
    elbow = rot.multiply(bend, _about(_X, np.radians(rng.normal(0.0, _PRONATED, poses))))
    wrist = rot.from_axis_angle(np.radians(rng.normal(0.0, _WRIST, (poses, 3))))
    return np.stack([collar, shoulder, elbow, wrist], axis=1)


def _angle(rng: np.random.Generator, poses: int, name: str) -> Array:
    """(K,) radians within a joint's range."""
    low, high = RANGES[name]
    degrees = rng.normal(*_USUAL[name], poses) if name in _USUAL else rng.uniform(low, high, poses)
    return np.radians(np.clip(degrees, low, high))


def _flexed(rng: np.random.Generator, poses: int, name: str) -> Array:
    """(K,) radians of a knee or elbow: often stretched, else bent anyhow, never backwards."""
    stretched = rng.random(poses) < _STRETCHED
    bent = np.maximum(_angle(rng, poses, name), 0.0)
    return np.where(stretched, np.radians(np.abs(rng.normal(0.0, _ALMOST, poses))), bent)


def _about(axis: Array, radians: Array) -> Array:
    """(K, 4) turns about an axis (3,)."""
    return rot.from_axis_angle(radians[:, None] * axis)
