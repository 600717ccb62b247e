"""Left and right: a detector takes one for the other at times, most often when it sees somebody from behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...retarget.rotations import Array
from .detections import Detections
from .landmarks import MEDIAPIPE

# The body is swapped as a whole, or the upper and the lower part each on its own; what lies on the midline stays.
_LOWER = ("hip", "knee", "ankle", "heel", "toe")
PARTNERS = np.array([MEDIAPIPE.index(_other) for _other in (
    name.replace("left", "*").replace("right", "left").replace("*", "right") for name in MEDIAPIPE
)])  # fmt: skip
# The corners of the trunk: both shoulders, both hips.
TRUNK = [MEDIAPIPE.index(f"{side}_{name}") for name in ("shoulder", "hip") for side in ("left", "right")]
_IS_LOWER = np.array([name.endswith(_LOWER) for name in MEDIAPIPE])
# In lengths of the trunk. Swapped landmarks jump by the body's width, there and back.
_PER_SECOND = 0.5  # what it takes to believe that they were swapped for a second
_PER_SWITCH = 0.05  # and that they begin or cease to be
_GAP = 0.25  # s without landmarks after which nothing is known from before


def unswap(detections: Detections) -> Detections:
    """The same detections, left and right put back where they were swapped for about a second or less.

    Of all ways to swap frames back, the one after which the landmarks move least: a shortest path through the frames
    (Viterbi), in which swapping costs something, so that the detector is right where it is as likely as not.
    """
    for part in (np.ones_like(_IS_LOWER), _IS_LOWER, ~_IS_LOWER):
        order = np.tile(np.arange(len(MEDIAPIPE)), (len(detections), 1))
        swapped = _swapped(detections, part)
        order[np.ix_(swapped, part)] = PARTNERS[part]
        rows = np.arange(len(detections))[:, None]
        detections = replace(
            detections,
            points=detections.points[rows, order],
            confidence=detections.confidence[rows, order],
            world=detections.world[rows, order],
        )
    return detections


def _swapped(detections: Detections, part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(F,) where the landmarks of one part of the body, (33,) of bool, are swapped."""
    frames = np.flatnonzero(detections.confidence.max(axis=1) > 0.0)
    swapped = np.zeros(len(detections), dtype=bool)
    if len(frames) < 3:
        return swapped
    points, partners = detections.points[frames][:, part], detections.points[frames][:, PARTNERS[part]]
    sure = detections.confidence[frames][:, part]
    spans = np.diff(detections.times[frames])
    moved = _moves(points, points, sure), _moves(points, partners, sure)
    trunk = np.median(trunk_lengths(detections.points[frames])) + 1e-6
    known = (spans <= _GAP) & ~np.isin(frames[1:], detections.cuts)
    stay, switch = (np.where(known, move / trunk, 0.0) for move in moved)
    return _path(
        swapped, frames, stay, np.where(known, switch + _PER_SWITCH, 0.0), _PER_SECOND * np.minimum(spans, _GAP)
    )


def _path(
    swapped: NDArray[np.bool_], frames: NDArray[np.intp], stay: Array, switch: Array, burden: Array
) -> NDArray[np.bool_]:
    """``swapped`` with the cheapest way through the ``frames`` (N,): costs (N - 1,) of going from one to the next in
    the same state, and in the other, and the burden of being swapped."""
    costs = np.array([0.0, 0.0])
    came = np.zeros((len(frames), 2), dtype=bool)  # whether from the other state
    for i in range(len(stay)):
        remain, change = costs + stay[i], costs[::-1] + switch[i]
        came[i + 1] = change < remain
        costs = np.where(came[i + 1], change, remain) + np.array([0.0, burden[i]])
    state = int(costs[1] < costs[0])
    for i in range(len(frames) - 1, -1, -1):
        swapped[frames[i]] = state
        state ^= int(came[i, state])
    return swapped


def _moves(points: Array, others: Array, sure: Array) -> Array:
    """(N - 1,) mean way in pixels from each frame's points (N, P, 2) to the next one's others, by confidence."""
    weights = np.sqrt(sure[1:] * sure[:-1]) + 1e-6
    ways = np.linalg.norm(others[1:] - points[:-1], axis=-1)
    return (weights * ways).sum(axis=1) / weights.sum(axis=1)


def trunk_lengths(points: Array) -> Array:
    """(N,) pixels between the middles of the shoulders and the hips, of landmarks (N, 33, 2)."""
    return np.linalg.norm(np.array([0.5, 0.5, -0.5, -0.5]) @ points[:, TRUNK], axis=-1)
