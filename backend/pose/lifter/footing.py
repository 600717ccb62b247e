"""How invented bodies go from pose to pose, and how their feet and hands stay on the floor meanwhile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....retarget import rotations as rot
from ....retarget.feet import smoothly
from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL, SMPL_NAMES, SMPL_PARENTS, forward_kinematics
from ...measures.anatomy import MARGIN, RANGES, joint_angles
from .data import FPS

# Seconds from pose to pose: the median, the deviation of the logarithm, and the least.
_PACE, _PACES, _QUICKEST = 0.55, 0.45, 0.3
_STAYS = 0.4  # share of the time to its next place for which what is on the floor stays there
_MOST_BENT = math.radians(150.0)  # knees and elbows that reach for the floor
# Metres from the lowest joint to the floor, at least; seconds in which a body comes out of it, and in which a limb that
# can't stay where it was put comes away.
_LOWEST, _RISES, _EASES = 0.02, 0.15, 0.1


@dataclass(frozen=True, eq=False)
class Pace:
    """How one part of the body goes from pose to pose. Of each frame, (T,), the pose ``before`` it and the ``share`` of
    the time to the next that has passed; of each pose the frame it is ``held`` in, (K,)."""

    before: NDArray[np.int64]
    share: Array
    held: NDArray[np.int64]

    def along(self, poses: Array, begins: float = 0.0) -> Array:
        """(T, ...) numbers on the way through ``poses`` (K, ...), each left when ``begins`` of the time has passed."""
        share = _eased((self.share - begins) / (1.0 - begins)).reshape(-1, *[1] * (poses.ndim - 1))
        along: Array = poses[self.before] + share * (poses[self.before + 1] - poses[self.before])
        return along


def draw_pace(rng: np.random.Generator, frames: int) -> Pace:
    """A pace for so many frames, drawn at random."""
    # More than enough: even if all were the quickest, they would last longer than the frames.
    seconds = np.exp(rng.normal(np.log(_PACE), _PACES, 2 + 3 * round(frames / FPS / _PACE)))
    at = np.concatenate([[0.0], np.cumsum(np.maximum(seconds, _QUICKEST))])
    time = np.arange(frames) / FPS
    before = np.searchsorted(at, time, side="right") - 1
    share = (time - at[before]) / (at[before + 1] - at[before])
    held = np.minimum(np.round(at * FPS).astype(int), frames - 1)
    return Pace(before, share, held)


def _eased(share: Array) -> Array:
    share = np.clip(share, 0.0, 1.0)
    return np.asarray(share**2 * (3.0 - 2.0 * share))


def go(local: Array, names: list[str], poses: Array, pace: Pace) -> None:
    """Put joints into ``local`` (T, 24, 4), in place, that go from pose to pose of (K, len(names), 4)."""
    share = _eased(pace.share)
    for i, name in enumerate(names):
        local[:, SMPL_NAMES.index(name)] = rot.slerp(poses[pace.before, i], poses[pace.before + 1, i], share)


@dataclass(frozen=True, eq=False)
class Limb:
    """Where a limb hangs in the K poses it goes through: the ``turn`` (K, 4) of what carries it, and the ``height``
    (K,) of its first joint, metres above the floor. ``left``: 1, or -1 of a right limb."""

    turn: Array
    height: Array
    left: float

    @classmethod
    def of(cls, local: Array, root: Array, joint: str, pace: Pace) -> Limb:
        """The limb that begins with ``joint``, of a body (T, 24, 4), (T, 3), in the poses of its ``pace``."""
        places, turned = forward_kinematics(SMPL, local[pace.held], root[pace.held])
        first, left = SMPL_NAMES.index(joint), 1.0 if joint.startswith("left") else -1.0
        return cls(turned[:, SMPL_PARENTS[first]], places[:, first, 2], left)

    def heights(self, turns: Array, joints: Sequence[str]) -> Array:
        """(K, N, J) metres above the floor of ``joints``, J one after the other as the left side has them, for N
        ways to turn the joints that carry them, local rotations (K, N, J or more, 4)."""
        world = np.broadcast_to(self.turn[:, None], (*turns.shape[:2], 4))
        at, heights = np.broadcast_to(self.height[:, None], turns.shape[:2]), []
        for i, name in enumerate(joints):
            world = rot.multiply(world, turns[:, :, i])
            step = SMPL.offsets[SMPL_NAMES.index(name)] * [self.left, 1.0, 1.0]
            at = at + rot.rotate(world, step)[..., 2]
            heights.append(at)
        return np.stack(heights, axis=-1)


def _rise(local: Array, root: Array) -> None:
    """Lift a body whose joints would be in the floor, in place."""
    below = _LOWEST - forward_kinematics(SMPL, local, root)[0][..., 2].min(axis=1)
    root[:, 2] += smoothly(np.maximum(below, 0.0), _RISES, FPS)


@dataclass(frozen=True, eq=False)
class Footing:
    """A foot or hand that stays where it is put down until it goes to its next place.

    ``limb``: the names of its three joints, the second of which bends about ``hinge`` (3,) alone; ``tip``: what lies
    on the floor, and how far above it (m); of each pose of its ``pace`` whether it is ``down`` (K,).
    """

    limb: list[str]
    tip: tuple[str, float]
    hinge: Array
    pace: Pace
    down: NDArray[np.bool_]


def stand(local: Array, root: Array, footings: Sequence[Footing]) -> None:
    """Put a body (T, 24, 4), (T, 3), in place, onto the floor z = 0, whose limbs stay where they are put down, as far
    as they reach."""
    _rise(local, root)
    for footing in footings:
        free = local.copy()
        # More than once, since a foot turns with the shin.
        for _ in range(3):
            _plant(local, root, footing)
        _let_go(local, free, footing.limb)
    _rise(local, root)


def _plant(local: Array, root: Array, footing: Footing) -> None:
    """Bend a limb, in place, so that its tip comes nearer to where it is to be."""
    pace, hinge, (tip, height) = footing.pace, footing.hinge, footing.tip
    joints = [SMPL_NAMES.index(name) for name in footing.limb]
    places, turned = forward_kinematics(SMPL, local, root)
    first, end, on_floor = (places[:, joint] for joint in (joints[0], joints[2], SMPL_NAMES.index(tip)))
    put = on_floor[pace.held]
    put[footing.down, 2] = height
    firm = pace.along(footing.down.astype(float), _STAYS)[:, None]
    target = end + firm * (pace.along(put, _STAYS) - on_floor)
    # The law of cosines for two bones of which neither is quite across the hinge.
    upper, lower = SMPL.offsets[joints[1]], rot.rotate(local[:, joints[1]], SMPL.offsets[joints[2]])
    across, swung = upper - upper @ hinge * hinge, lower - (lower @ hinge)[:, None] * hinge
    sizes = np.linalg.norm(across) * np.linalg.norm(swung, axis=-1)
    cosine = np.sum((target - first) ** 2, axis=-1) - upper @ upper - np.sum(lower**2, axis=-1)
    cosine = (cosine / 2.0 - (lower @ hinge) * (upper @ hinge)) / sizes
    bent = np.arctan2(np.cross(across, swung) @ hinge, swung @ across)
    wanted = np.arccos(np.clip(cosine, np.cos(_MOST_BENT), 1.0))
    more = rot.from_axis_angle((wanted - bent)[:, None] * hinge)
    local[:, joints[1]] = rot.multiply(more, local[:, joints[1]])
    reached = rot.rotate(turned[:, joints[0]], upper + rot.rotate(more, lower))
    swing = rot.between(reached, target - first)
    carrier = turned[:, SMPL_PARENTS[joints[0]]]
    local[:, joints[0]] = rot.multiply(rot.conjugate(carrier), rot.multiply(swing, turned[:, joints[0]]))


def _let_go(local: Array, free: Array, limb: list[str]) -> None:
    """Give a planted limb back, in place, as it was when ``free``, where its first joint would be turned too far."""
    side, name = limb[0].split("_")
    which = ("left", "right").index(side)
    beyond = np.zeros(len(local), dtype=bool)
    for angle, degrees in joint_angles(local).items():
        if angle.startswith(name):
            low, high = RANGES[angle]
            beyond |= (degrees[:, which] < low - MARGIN) | (degrees[:, which] > high + MARGIN)
    share = np.minimum(smoothly(beyond.astype(float), _EASES, FPS), 1.0)
    for joint in (SMPL_NAMES.index(part) for part in limb):
        local[:, joint] = rot.slerp(local[:, joint], free[:, joint], share)
