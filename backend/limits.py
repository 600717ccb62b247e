"""What a body can't do, mended: joints beyond the human range of motion, hands inside of the trunk or the thighs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..retarget import rotations as rot
from ..retarget.feet import bend, runs
from ..retarget.motion import Motion
from ..retarget.rotations import Array
from ..retarget.skeleton import SMPL, SMPL_NAMES, SMPL_PARENTS, forward_kinematics
from .measures.anatomy import MARGIN, RANGES, hand_overlap, joint_angles

_SIDES = ("left", "right")
# By how anatomy names their angles: the joints that bend together. In stages, so that parents come first.
_STAGES: tuple[dict[str, tuple[str, ...]], ...] = (
    {"trunk": ("spine1", "spine2", "spine3"), "hip": ("hip",)},
    {"head": ("neck", "head"), "shoulder": ("collar", "shoulder"), "knee": ("knee",)},
    {"elbow": ("elbow",), "ankle": ("ankle",)},
    {"wrist": ("wrist",)},
)
_SURELY_SHORT = 0.5  # cosine of half the angle up to which a rotation is taken for the shorter one
_HALVINGS = 12  # coarser ones shake where a joint is held at its limit

_COLLARS, _SHOULDERS, _ELBOWS, _WRISTS = (
    [SMPL_NAMES.index(f"{side}_{name}") for side in _SIDES] for name in ("collar", "shoulder", "elbow", "wrist")
)
# Radians a second beyond which no elbow, wrist, knee or ankle of a dancer turns, and the seconds that one is given
# that would.
_FASTEST, _MOMENT = 24.0, 0.2
_SNAPPING = [SMPL_NAMES.index(f"{s}_{n}") for s in _SIDES for n in ("elbow", "wrist", "hand", "knee", "ankle", "foot")]
_EASE = 0.3  # s that a hand takes to and from where it is out of the body
_SOFT = 0.04  # s, standard deviation of the window that rounds its way
_BESIDE = 0.002  # m from the body, so that the rounding keeps it out
_TRIES = 4  # one capsule may push a hand into another, and an arm be too short for the shortest way


def in_range(motion: Motion) -> Motion:
    """The motion with its joints within the human range of motion, as in ``within_reach``."""
    _, turned = forward_kinematics(SMPL, motion.rotations, motion.root)
    return replace(motion, rotations=rot.continuous(within_reach(turned)))


def unsnapped(motion: Motion) -> Motion:
    """The motion without limbs that turn round from one frame to the next: where one turns faster than anybody can, it
    takes a moment for it, on the way that is nearest to rest, within its range."""
    rotations = np.array(motion.rotations)
    for joint in _SNAPPING:
        turn = rot.angle(rot.multiply(rot.conjugate(rotations[:-1, joint]), rotations[1:, joint]))
        snaps = np.flatnonzero(turn * motion.fps > _FASTEST)
        if not len(snaps):
            continue
        half, taken = max(1, round(_MOMENT / 2.0 * motion.fps)), np.zeros(len(rotations), dtype=bool)
        for beside in range(1 - half, half + 1):
            taken[np.clip(snaps + beside, 0, len(taken) - 1)] = True
        vectors = rot.to_axis_angle(rotations[:, joint])
        for first, last in runs(taken):
            before, after = max(first - 1, 0), min(last, len(taken) - 1)
            share = (np.arange(first, last) - before)[:, None] / (after - before)
            share = share**2 * (3.0 - 2.0 * share)
            vectors[first:last] = vectors[before] + share * (vectors[after] - vectors[before])
        rotations[taken, joint] = rot.from_axis_angle(vectors[taken])
    return replace(motion, rotations=rot.continuous(rotations))


def out_of_body(motion: Motion) -> Motion:
    """The motion with hands that would be inside of the trunk, neck or thighs beside them.

    Wrists go out the shortest way and ease there and back, hands keep their orientation, elbows their side of the arm.
    """
    for _ in range(_TRIES):
        positions, turned = forward_kinematics(SMPL, motion.rotations, motion.root)
        overlap = hand_overlap(positions)
        if not overlap.any():
            break
        motion = replace(
            motion, rotations=_arms_moved(motion.rotations, positions, turned, _eased(overlap, motion.fps))
        )
    return motion


def _arms_moved(rotations: Array, positions: Array, turned: Array, by: Array) -> Array:
    """(T, 24, 4) local rotations with wrists moved ``by`` (T, 2, 3) metres, as far as arms reach.

    ``positions`` (T, 24, 3) and ``turned`` (T, 24, 4): the joints' in the world.
    """
    which = np.flatnonzero(by.any(axis=(1, 2)))
    positions, turned = positions[which], turned[which]
    shoulders, elbows, wrists = (positions[:, joints] for joints in (_SHOULDERS, _ELBOWS, _WRISTS))
    back = rot.rotate(turned[:, _COLLARS], [0.0, 1.0, 0.0])
    upper, lower = bend(shoulders, elbows, wrists, wrists + by[which], back)
    turned[:, _SHOULDERS] = rot.multiply(upper, turned[:, _SHOULDERS])
    turned[:, _ELBOWS] = rot.multiply(lower, turned[:, _ELBOWS])
    moved = np.array(rotations)
    moved[which] = _local(turned)
    return rot.continuous(moved)


def _eased(overlap: Array, fps: float) -> Array:
    """(T, 2, 3) metres to move hands that overlap the body by ``overlap``: by that at least, but for a rounding, and
    by ever less in the frames around."""
    reach = round(_EASE * fps)
    size = np.linalg.norm(overlap, axis=-1)
    size += np.where(size > 0.0, _BESIDE, 0.0)
    most, towards = np.zeros_like(size), np.zeros_like(overlap)
    frames = len(overlap)
    for offset in range(-min(reach, frames - 1), min(reach, frames - 1) + 1):
        weight = 0.5 + 0.5 * np.cos(np.pi * offset / (reach + 1))
        here, there = slice(max(0, offset), frames + min(0, offset)), slice(max(0, -offset), frames - max(0, offset))
        most[here] = np.maximum(most[here], weight * size[there])
        towards[here] += weight * overlap[there]
    towards *= (most / np.maximum(np.linalg.norm(towards, axis=-1), 1e-12))[..., None]
    eased: Array = gaussian_filter1d(towards, _SOFT * fps, axis=0, mode="nearest")
    return eased


def within_reach(turned: Array) -> Array:
    """(T, 24, 4) local rotations of orientations ``turned`` (T, 24, 4) in the world.

    A joint that is further out of its range than a fitted skeleton's may be goes back towards the T pose as far as
    it must; what hangs on it keeps its orientation in the world.
    """
    world = np.array(turned)
    local = _local(world)
    for stage in _STAGES:
        excess = _excess(local, stage)
        bad = np.flatnonzero(np.max([e.max(axis=1) for e in excess.values()], axis=0) > MARGIN)
        if not len(bad):
            continue
        part = _unbroken(local)[bad]
        low, high = ({name: np.zeros_like(e[bad]) + start for name, e in excess.items()} for start in (0.0, 1.0))
        middle = {name: np.ones_like(e[bad]) for name, e in excess.items()}
        for _ in range(_HALVINGS):
            found = _excess(_towards_rest(part, stage, middle), stage)
            for name, off in found.items():
                fits = off <= MARGIN
                low[name], high[name] = (
                    np.where(fits, middle[name], low[name]),
                    np.where(fits, high[name], middle[name]),
                )
                middle[name] = np.where(low[name] == 1.0, 1.0, (low[name] + high[name]) / 2.0)
        local[bad] = _towards_rest(part, stage, low)
        # Joints that hang on those keep their orientation: all that follow are made anew.
        world[bad] = _restored(world[bad], local[bad], stage)
        local[bad] = _local(world[bad])
    return local


def _excess(local: Array, stage: dict[str, tuple[str, ...]]) -> dict[str, Array]:
    """Degrees, (T, 1) or (T, 2), by which each group of joints is out of its ranges."""
    found: dict[str, Array] = {}
    for name, angles in joint_angles(local).items():
        group = name.split()[0]
        if group in stage:
            low, high = RANGES[name]
            off = np.maximum(low - angles, angles - high).reshape(len(local), -1)
            found[group] = np.maximum(found.get(group, off), off)
    return found


def _joints(names: tuple[str, ...]) -> list[list[int]]:
    """Indices of a group's joints: of both sides, or of the middle."""
    if names[0] in SMPL_NAMES:
        return [[SMPL_NAMES.index(name) for name in names]]
    return [[SMPL_NAMES.index(f"{side}_{name}") for name in names] for side in _SIDES]


def _towards_rest(local: Array, stage: dict[str, tuple[str, ...]], shares: dict[str, Array]) -> Array:
    """``local`` (T, 24, 4), in half turns and more as ``_unbroken`` has them, with each group's joints turned from rest
    only by its share, (T, 1) or (T, 2)."""
    turned = np.array(local)
    for group, names in stage.items():
        for side, joints in enumerate(_joints(names)):
            turn = local[:, joints]
            axis, half = turn[..., 1:], np.arctan2(np.linalg.norm(turn[..., 1:], axis=-1), turn[..., 0])
            axis = axis / np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-12)
            half = (shares[group][:, side, None] * half)[..., None]
            turned[:, joints] = np.concatenate([np.cos(half), np.sin(half) * axis], axis=-1)
    return turned


def _restored(world: Array, local: Array, stage: dict[str, tuple[str, ...]]) -> Array:
    """``world`` (T, 24, 4) with the stage's joints as ``local`` has them."""
    made = np.array(world)
    for names in stage.values():
        for joints in _joints(names):
            for joint in joints:
                made[:, joint] = rot.multiply(made[:, SMPL_PARENTS[joint]], local[:, joint])
    return made


def _local(world: Array) -> Array:
    parents = np.array(SMPL_PARENTS)
    local = np.array(world)
    local[:, 1:] = rot.multiply(rot.conjugate(world[:, parents[1:]]), world[:, 1:])
    return local


def _unbroken(local: Array) -> Array:
    """The same rotations (T, 24, 4) with the signs of their ways from rest: the shorter one, but near half a turn the
    one that goes on from before. Who bends an elbow by more than that has not stretched it backwards by less."""
    local = rot.continuous(local)
    frames = np.arange(len(local))[:, None]
    short = np.abs(local[..., 0]) > _SURELY_SHORT
    first = np.where(short.any(axis=0), short.argmax(axis=0), 0)
    since = np.maximum(np.maximum.accumulate(np.where(short, frames, -1), axis=0), first)
    way = np.take_along_axis(local[..., 0], since, axis=0)
    return np.where(way[..., None] < 0.0, -local, local)
