"""What a body can't do, mended: joints beyond the human range of motion, hands inside of the trunk or the thighs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..retarget import rotations as rot
from ..retarget.feet import bend
from ..retarget.motion import Motion
from ..retarget.rotations import Array
from ..retarget.skeleton import SMPL, SMPL_NAMES, SMPL_PARENTS, forward_kinematics
from .evaluate.anatomy import MARGIN, RANGES, hand_overlap, joint_angles

_SIDES = ("left", "right")
# By how anatomy names their angles: the joints that bend together. In stages, so that parents come first.
_STAGES: tuple[dict[str, tuple[str, ...]], ...] = (
    {"trunk": ("spine1", "spine2", "spine3"), "hip": ("hip",)},
    {"head": ("neck", "head"), "shoulder": ("collar", "shoulder"), "knee": ("knee",)},
    {"elbow": ("elbow",), "ankle": ("ankle",)},
    {"wrist": ("wrist",)},
)
_HALVINGS = 12  # coarser ones shake where a joint is held at its limit

_COLLARS, _SHOULDERS, _ELBOWS, _WRISTS = (
    [SMPL_NAMES.index(f"{side}_{name}") for side in _SIDES] for name in ("collar", "shoulder", "elbow", "wrist")
)
_EASE = 0.3  # s that a hand takes to and from where it is out of the body
_SOFT = 0.04  # s, standard deviation of the window that rounds its way
_BESIDE = 0.002  # m from the body, so that the rounding keeps it out
_TRIES = 4  # one capsule may push a hand into another, and an arm be too short for the shortest way


def in_range(motion: Motion) -> Motion:
    """The motion with its joints within the human range of motion, as in ``within_reach``."""
    _, turned = forward_kinematics(SMPL, motion.rotations, motion.root)
    return replace(motion, rotations=rot.continuous(within_reach(turned)))


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
        part = local[bad]
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
    """``local`` (T, 24, 4) with each group's joints turned from rest only by its share, (T, 1) or (T, 2)."""
    turned = np.array(local)
    for group, names in stage.items():
        for side, joints in enumerate(_joints(names)):
            share = shares[group][:, side, None]
            turned[:, joints] = rot.slerp(np.broadcast_to(rot.IDENTITY, (*share.shape, 4)), local[:, joints], share)
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
