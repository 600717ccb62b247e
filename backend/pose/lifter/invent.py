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
from ....retarget.skeleton import (
    ANKLE_HEIGHT,
    FOOT_HEIGHT,
    SMPL,
    SMPL_NAMES,
    forward_kinematics,
)
from ...measures.anatomy import RANGES
from .bodies import turns
from .data import FPS, Recording
from .footing import Footing, Limb, Pace, draw_pace, go, stand

_SECONDS = 20.0  # of a recording
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
# tangent).
_ON_HANDS, _BELLY_UP, _PRONE, _PRONES, _SWAYS = 0.45, 0.3, 75.0, 25.0, 12.0
_OFF_DOWN = 0.3
# Shares of the feet, of hands that carry and of other hands that are sought on the floor: of so many ways to hold the
# limb the one that brings them nearest to it.
_FEET_DOWN, _HANDS_DOWN, _HAND_DOWN, _WAYS = 0.85, 0.8, 0.15, 32
# Metres from the floor to the pelvis, for the share of poses that stand and for all others; from the shoulders that
# hands carry to the floor.
_STANDING, _TALL, _LOW, _REACH = 0.5, (0.75, 0.95), (0.12, 0.75), (0.25, 0.5)
_WRIST_HEIGHT = 0.05  # m of a hand that lies on the floor
_DOWN = 0.15  # m that what is on the floor may be off it
_HEADING, _STEP = 60.0, 0.15  # degrees and metres from pose to pose
_X, _Y, _Z = np.eye(3)


def invent(rng: np.random.Generator, total: float) -> Iterator[Recording]:
    """Recordings of at least ``total`` frames of bodies on the floor that go through poses drawn at random, each limb
    at its own pace, most feet on the floor, and hands where they carry the body."""
    frames = round(_SECONDS * FPS)
    for number in range(math.ceil(total / frames)):
        local = np.tile(rot.IDENTITY, (frames, len(SMPL_NAMES), 1))
        prone, body = _prone(rng), draw_pace(rng, frames)
        go(local, ["pelvis"], _pelvis(rng, len(body.held), prone), body)
        for names, part in ((["spine1", "spine2", "spine3"], "trunk"), (["neck", "head"], "head")):
            pace = draw_pace(rng, frames)
            turn = _bent(rng, len(pace.held), part)
            each = rot.slerp(np.broadcast_to(rot.IDENTITY, turn.shape), turn, np.full(len(turn), 1.0 / len(names)))
            go(local, names, np.stack([each] * len(names), axis=1), pace)
        root = _root(rng, local, body, prone)
        footings = []
        for side, hinge in (("left", -_Z), ("right", _Z)):
            pace = draw_pace(rng, frames)
            poses, down = _leg(rng, Limb.of(local, root, f"{side}_hip", pace))
            leg = [f"{side}_{n}" for n in ("hip", "knee", "ankle")]
            go(local, leg, poses, pace)
            footings.append(Footing(leg, (f"{side}_foot", FOOT_HEIGHT), _X, pace, down))
            pace = draw_pace(rng, frames)
            poses, down = _arm(rng, Limb.of(local, root, f"{side}_collar", pace), prone)
            arm = [f"{side}_{n}" for n in ("shoulder", "elbow", "wrist")]
            go(local, [f"{side}_collar", *arm], poses, pace)
            footings.append(Footing(arm, (arm[-1], _WRIST_HEIGHT), hinge, pace, down))
        stand(local, root, footings)
        yield Recording(f"invented {number}", turns(local).astype(np.float32), root.astype(np.float32))


def _root(rng: np.random.Generator, local: Array, body: Pace, prone: float | None) -> Array:
    """(T, 3) the pelvis' path above the floor: of bodies that stand, crouch, sit or lie, or, where hands carry them,
    turn about their shoulders."""
    poses = len(body.held)
    path = body.along(np.cumsum(rng.normal(0.0, _STEP, (poses, 2)), axis=0))
    if prone is None:
        standing = rng.random(poses) < _STANDING
        height = np.where(standing, rng.uniform(*_TALL, poses), rng.uniform(*_LOW, poses))
        return np.column_stack([path, body.along(height)])
    sides = [SMPL_NAMES.index(f"{side}_shoulder") for side in ("left", "right")]
    shoulders = forward_kinematics(SMPL, local, np.zeros((len(local), 3)))[0][:, sides].mean(axis=1)
    root = np.column_stack([path, body.along(rng.uniform(*_REACH, poses))]) - shoulders
    root[:, 2] = np.maximum(root[:, 2], _LOW[0])
    return root


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


def _leg(rng: np.random.Generator, leg: Limb) -> tuple[Array, NDArray[np.bool_]]:
    """(K, 3, 4) hip, knee and ankle, and whether the foot is on the floor (K,)."""
    poses = len(leg.height)
    tried, left = poses * _WAYS, leg.left
    hip = rot.multiply(
        _about(_X, -_angle(rng, tried, "hip flexion")),
        rot.multiply(
            _about(_Y, -left * _angle(rng, tried, "hip abduction")),
            _about(_Z, left * _angle(rng, tried, "hip lateral rotation")),
        ),
    )
    ankle = rot.multiply(
        _about(_X, -_angle(rng, tried, "ankle dorsiflexion")),
        _about(_Z, left * _angle(rng, tried, "ankle sideways")),
    )
    ways = np.stack([hip, _about(_X, _flexed(rng, tried, "knee flexion")), ankle], axis=1)
    ways = ways.reshape(poses, _WAYS, 3, 4)
    heights = leg.heights(ways, ("left_knee", "left_ankle", "left_foot"))
    off = np.abs(heights[..., 1] - ANKLE_HEIGHT) + np.abs(heights[..., 2] - FOOT_HEIGHT)
    return _choose(ways, off, heights.min(axis=-1), rng.random(poses) < _FEET_DOWN)


def _arm(rng: np.random.Generator, arm: Limb, prone: float | None) -> tuple[Array, NDArray[np.bool_]]:
    """(K, 4, 4) collar, shoulder, elbow and wrist, and whether the hand is on the floor (K,)."""
    poses, left = len(arm.height), arm.left
    carries = rng.random(poses) < (_HAND_DOWN if prone is None else _HANDS_DOWN)
    towards = rng.normal(size=(poses, _WAYS, 3))
    towards[carries] = _OFF_DOWN * towards[carries] - rot.rotate(rot.conjugate(arm.turn[carries]), _Z)[:, None]
    towards /= np.linalg.norm(towards, axis=-1, keepdims=True)
    # Any direction but those that the shoulder does not reach.
    backwards, across = (np.sin(np.radians(RANGES[f"shoulder {way}"][1])) for way in ("extension", "adduction"))
    beyond = (towards[..., 1] >= backwards) | (-left * towards[..., 0] >= across)
    tried = poses * _WAYS
    swing = rot.between(left * _X, towards.reshape(-1, 3))
    collar = rot.slerp(np.broadcast_to(rot.IDENTITY, swing.shape), swing, np.full(tried, _COLLAR))
    turned = _about(_X, np.radians(rng.normal(0.0, _TURNED, tried)))
    shoulder = rot.multiply(rot.conjugate(collar), rot.multiply(swing, turned))
    less = np.repeat(np.where(carries, 0.3, 1.0), _WAYS)
    bend = _about(-left * _Z, less * _flexed(rng, tried, "elbow flexion"))
    elbow = rot.multiply(bend, _about(_X, np.radians(rng.normal(0.0, _PRONATED, tried))))
    wrist = rot.from_axis_angle(np.radians(rng.normal(0.0, _WRIST, (tried, 3))))
    ways = np.stack([collar, shoulder, elbow, wrist], axis=1).reshape(poses, _WAYS, 4, 4)
    heights = arm.heights(ways, ("left_shoulder", "left_elbow", "left_wrist", "left_hand"))
    lowest = np.where(beyond, -np.inf, heights.min(axis=-1))
    return _choose(ways, np.abs(heights[..., 2] - _WRIST_HEIGHT), lowest, carries)


def _choose(ways: Array, off: Array, lowest: Array, sought: NDArray[np.bool_]) -> tuple[Array, NDArray[np.bool_]]:
    """(K, J, 4) of ``ways`` (K, N, J, 4) one that is not in the floor, and whether it is on it (K,): where that is
    ``sought`` the one least ``off`` it, else the first. ``off``, ``lowest``: (K, N) metres from and above it."""
    inside, row = np.maximum(-lowest, 0.0), np.arange(len(ways))
    chosen = np.where(sought, (off + inside).argmin(axis=1), inside.argmin(axis=1))
    return ways[row, chosen], sought & (off[row, chosen] < _DOWN)


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
