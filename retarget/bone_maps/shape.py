"""Whether bones called a body stand like one: heights, lengths, and which side is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..rig import Rig
from ..rotations import Array

# A limb's longer half is at most this many times the shorter, and its left at most this many times its right.
_HALVES, _SIDES = 5.0, 2.0
# How far the toes must point one way, as a share of the feet's length, to tell front from back.
_AHEAD = 0.35


@dataclass(frozen=True)
class Shape:
    """``sound``: 0 to 1, how much of what was looked at is as in a body. ``swapped``: left is right by the toes."""

    sound: float
    swapped: bool


def shape_of(rig: Rig, bones: Mapping[str, str]) -> Shape:
    """The shape of the body that ``bones`` make, which has hips, knees, shoulders and elbows, as the world shows it."""
    first: dict[str, int] = {}
    for bone, joint in bones.items():
        first.setdefault(joint, rig.indices[bone])
    linear = rig.world[:3, :3].T
    heads, tails = rig.heads @ linear, rig.tails @ linear
    at = {joint: heads[bone] for joint, bone in first.items()}
    hips = (at["left_hip"] + at["right_hip"]) / 2.0
    up = _unit((at["left_shoulder"] + at["right_shoulder"]) / 2.0 - hips)
    left = _unit(at["left_hip"] - at["right_hip"] + at["left_shoulder"] - at["right_shoulder"])
    leg = max(_length(at["left_hip"] - at["left_knee"]), 1e-12)

    checks = [
        _length(at["left_hip"] - at["right_hip"]) > 0.02 * leg,
        _length(at["left_shoulder"] - at["right_shoulder"]) > 0.02 * leg,
    ]
    for part in ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist"):
        pair = [at.get(f"{side}_{part}") for side in ("left", "right")]
        if pair[0] is not None and pair[1] is not None and part != "collar":
            checks.append(float((pair[0] - pair[1]) @ left) > 0.0)
    for side in ("left", "right"):
        checks.append(float((at[f"{side}_knee"] - at[f"{side}_hip"]) @ up) < 0.3 * leg)
        if f"{side}_ankle" in at:
            checks.append(float((at[f"{side}_ankle"] - at[f"{side}_hip"]) @ up) < 0.0)
    if "head" in at:
        checks.append(float((at["head"] - hips) @ up) > 0.3 * float((at["left_shoulder"] - hips) @ up))
    for chain in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
        lengths = np.array([_halves(at, tails, first, side, chain) for side in ("left", "right")])
        checks.append(bool(lengths.max() < _HALVES * lengths.min()))
        checks.append(bool((lengths.max(axis=0) < _SIDES * lengths.min(axis=0)).all()))
    wrong = len(checks) - sum(checks)
    return Shape(0.75**wrong, _is_swapped(at, up, left))


def _halves(
    at: Mapping[str, Array], tails: Array, first: Mapping[str, int], side: str, chain: tuple[str, str, str]
) -> list[float]:
    top, middle, end = (f"{side}_{part}" for part in chain)
    tip = at[end] if end in at else tails[first[middle]]
    return [_length(at[middle] - at[top]), _length(tip - at[middle])]


def _is_swapped(at: Mapping[str, Array], up: Array, left: Array) -> bool:
    """Whether both feet point to where the body's back would be."""
    ahead = []
    for side in ("left", "right"):
        if f"{side}_foot" not in at or f"{side}_ankle" not in at:
            return False
        foot = at[f"{side}_foot"] - at[f"{side}_ankle"]
        ahead.append(float(foot @ _unit(np.cross(left, up))) / max(_length(foot), 1e-12))
    return max(ahead) < -_AHEAD


def _length(vector: Array) -> float:
    return float(np.linalg.norm(vector))


def _unit(vector: Array) -> Array:
    return vector / max(_length(vector), 1e-12)
