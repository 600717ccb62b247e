"""Hands that touch the body, on other proportions too: two-bone inverse kinematics toward what they touch.

The body is a handful of capsules. A hand near one of them is wanted at the same place beside the target's
own capsule, a hand far from all of them where its shoulder puts it; in between, the nearer the surface, the
more the body counts. All is closed form; what counts how much is smoothed over time, so hands never jump.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from . import rotations as rot
from .chains import joint_positions, leg_positions
from .feet import bend
from .fit import Fit
from .rotations import Array
from .skeleton import SMPL, SMPL_NAMES

# Metres from the middle line of a trunk, a head, a thigh and a shin to the skin.
_RADII = np.array([0.14, 0.11, 0.08, 0.08, 0.06, 0.06])
# The top of a head from its joint, metres.
_CROWN = np.array([0.0, -0.02, 0.13])
# Metres from a surface within which a hand fully belongs to it, and from which on it does not at all.
_TOUCHING, _FREE = 0.06, 0.24
# Metres between two hands that clap, hold or touch each other, and from which on they have nothing to do.
_JOINED, _APART = 0.12, 0.30
# Seconds before and after a touch in which the hand comes and goes.
_EASE = 0.15
# Metres from the wrist to the palm of SMPL's hands.
_PALM = float(np.linalg.norm(SMPL.offsets[SMPL_NAMES.index("left_hand")]))
# Metres that keep the nearest part from counting without bound.
_SOFT = 0.03


def keep_touch(fit: Fit, positions: Array, turned: Array, pelvis: Array, turns: Array, fps: float) -> Array:
    """``turns`` (T, B, 4) with arms bent so that hands touch what the dancer's hands touch.

    ``positions``: (T, 24, 3) metres and ``turned``: (T, 24, 4), the dancer. ``pelvis``: (T, 3) as shown. An arm
    without shoulder, elbow and wrist bones is left alone.
    """
    arms = [side for side in ("left", "right") if all(fit.has(f"{side}_{p}") for p in ("shoulder", "elbow", "wrist"))]
    if not arms or not all(fit.has(f"{side}_shoulder") for side in ("left", "right")):
        return turns
    real = fit.unstretch(turns)
    shown = {joint: where / fit.scale for joint, where in joint_positions(fit, pelvis, real, SMPL_NAMES).items()}
    shins = leg_positions(fit, pelvis, real)[:, :, 2] / fit.scale
    shown["left_ankle"], shown["right_ankle"] = shins[:, 0], shins[:, 1]
    source = {name: positions[:, k] for k, name in enumerate(SMPL_NAMES)}
    if fit.has("head"):
        crown = rot.rotate(turned[:, SMPL_NAMES.index("head")], _CROWN)
        source["crown"], shown["crown"] = source["head"] + crown, shown["head"] + _girth(fit) * crown
    own = {side: _palm(fit, real, shown, side) for side in arms}

    moves, firm = {}, {}
    for side in arms:
        moves[side], firm[side] = _to_body(fit, source, shown, source[f"{side}_hand"], own[side], fps)
    if len(arms) == 2:
        apart = source["left_hand"] - source["right_hand"]
        near = _smoothed(_nearness(np.linalg.norm(apart, axis=-1), _JOINED, _APART), fps)[:, None]
        off = apart - (own["left"] + moves["left"] - own["right"] - moves["right"])
        # The hand that holds on to the body lets the other one come.
        left, right = 1.02 - firm["left"], 1.02 - firm["right"]
        moves["left"] = moves["left"] + near * off * left / (left + right)
        moves["right"] = moves["right"] - near * off * right / (left + right)

    turns = np.array(turns)
    for side in arms:
        moved = np.flatnonzero(np.abs(moves[side]).max(axis=-1) > 1e-9)
        shoulder, elbow, wrist = (shown[f"{side}_{part}"][moved, None] for part in ("shoulder", "elbow", "wrist"))
        # A stretched arm bends its elbow to the back.
        behind = rot.rotate(turned[moved, SMPL_NAMES.index(f"{side}_shoulder")], [0.0, 1.0, 0.0])[:, None]
        bent = bend(shoulder, elbow, wrist, wrist + moves[side][moved, None], behind)
        for part, turn in zip(("shoulder", "elbow"), bent, strict=True):
            for k in fit.all_of(f"{side}_{part}"):
                turns[moved, k] = rot.multiply(turn[:, 0], turns[moved, k])
    return turns


def _to_body(
    fit: Fit, source: dict[str, Array], shown: dict[str, Array], palm: Array, own: Array, fps: float
) -> tuple[Array, Array]:
    """How far a hand must go, (T, 3), to be as near to the target's body, and how firmly it is held, (T, 1).

    ``source``, ``shown``: joints (T, 3) of dancer and target. ``palm``, ``own``: (T, 3), their hands. All metres.
    """
    starts, ends = _capsules(source)
    along = ends - starts
    place = np.einsum("tci,tci->tc", palm[:, None] - starts, along) / np.maximum(np.sum(along**2, axis=-1), 1e-12)
    place = np.clip(place, 0.0, 1.0)[..., None]
    off = palm[:, None] - starts - place * along
    radii = _RADII[[0, 1, 2, 3, 4, 5] if "crown" in source else [0, 2, 3, 4, 5]]
    gap = np.linalg.norm(off, axis=-1) - radii
    near = _smoothed(_nearness(gap, _TOUCHING, _FREE), fps)

    starts, ends = _capsules(shown)
    girths = np.where(np.arange(len(radii)) < len(radii) - 4, _girth(fit), 1.0)
    wanted = starts + place * (ends - starts) + girths[:, None] * off
    weights = near / (np.maximum(gap, 0.0) + _SOFT) ** 2
    total = weights.sum(axis=1, keepdims=True)
    mean = np.einsum("tc,tci->ti", weights, wanted) / np.maximum(total, 1e-12)
    firm = 1.0 - np.prod(1.0 - near, axis=1)[:, None]
    return np.where(total > 0.0, firm * (mean - own), 0.0), firm


def _capsules(joints: dict[str, Array]) -> tuple[Array, Array]:
    """Both ends, (T, C, 3) each, of the middle lines of trunk, head, thighs and shins."""
    middles = {part: (joints[f"left_{part}"] + joints[f"right_{part}"]) / 2.0 for part in ("hip", "shoulder")}
    lines = [(middles["hip"], middles["shoulder"])]
    if "crown" in joints:
        lines.append((joints["head"], joints["crown"]))
    for a, b in (("hip", "knee"), ("knee", "ankle")):
        lines += [(joints[f"{side}_{a}"], joints[f"{side}_{b}"]) for side in ("left", "right")]
    return np.stack([a for a, _ in lines], axis=1), np.stack([b for _, b in lines], axis=1)


def _girth(fit: Fit) -> float:
    """How thick the target's body is for its legs, compared with the dancer's: as its trunk is long."""
    hips, shoulders = ([fit.stance[fit.bone(f"{side}_{p}")] for side in ("left", "right")] for p in ("hip", "shoulder"))
    joints = SMPL.rest_positions
    dancer = np.linalg.norm(joints[16:18].mean(axis=0) - joints[1:3].mean(axis=0))
    return float(np.linalg.norm(np.mean(shoulders, axis=0) - np.mean(hips, axis=0)) / fit.scale / dancer)


def _palm(fit: Fit, turns: Array, shown: dict[str, Array], side: str) -> Array:
    """(T, 3) metres, the middle of the target's hand."""
    if f"{side}_hand" in shown:
        return shown[f"{side}_hand"]
    wrist = fit.index(f"{side}_wrist")
    step = fit.followers[wrist].segment / fit.scale
    step = step * min(1.0, _PALM / max(float(np.linalg.norm(step)), 1e-9))
    return shown[f"{side}_wrist"] + fit.show(rot.rotate(turns[:, wrist], step))


def _nearness(gap: Array, touching: float, free: float) -> Array:
    """1 where ``gap`` is at most ``touching``, 0 from ``free`` on, smooth between (all metres)."""
    share = np.clip((free - gap) / (free - touching), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def _smoothed(near: Array, fps: float) -> Array:
    """``near`` (T, ...) no smaller than before and smooth in time: it rises before a touch and falls after it."""
    half = max(1, round(_EASE * fps))
    kernel = np.hanning(2 * half + 3)[1:-1]
    columns = near.reshape(len(near), -1)
    smooth = np.zeros_like(columns)
    for k in np.flatnonzero(columns.any(axis=0)):
        padded = np.pad(columns[:, k], 2 * half, mode="edge")
        highest = sliding_window_view(padded, 2 * half + 1).max(axis=-1)
        smooth[:, k] = np.convolve(highest, kernel / kernel.sum(), mode="valid")
    return smooth.reshape(near.shape)
