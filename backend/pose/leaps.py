"""Points that leap away and back faster than a body can: hidden ones that the detector invents, here and there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...retarget.rotations import Array
from .detections import Detections
from .swaps import TRUNK, trunk_lengths

_LONGEST, _MOST = 0.2, 12  # s, and frames, that a leap may take, from where it begins to where it is back
_BACK = 0.5  # how near to where it began it ends, as a share of how far it went
_FAR = 0.5  # share of that from which on a frame belongs to the leap
_TRUNK_LENGTH = 0.5  # m
_LEAST = 0.08  # m that are no noise
# Frames that are looked at together, and those beside them that tell of leaps: of each length by the shorter ones.
_AT_ONCE, _BESIDE = 2000, _MOST * (_MOST + 1)
# Acceleration in m/s² that is believed of a point that is not seen at all, and how much more of one that is seen
# well. A dancer's hand reaches about 150.
_UNSEEN, _SEEN = 50.0, 170.0


def doubt_leaps(detections: Detections) -> Detections:
    """The same detections, with confidence 0 where a point leaps away and back within a few frames.

    A leap is judged by the acceleration that it would take, which for somebody seen worse is believed less. What is
    lost so is for those who know how bodies move to fill in.
    """
    confidence = detections.confidence.copy()
    for part in np.split(np.arange(len(detections)), detections.cuts):
        seen = part[detections.confidence[part].max(axis=1, initial=0.0) > 0.0]
        if len(seen) > 2:
            leaping = _leaps_of_all(
                detections.times[seen], _metres(detections.points[seen]), detections.confidence[seen]
            )
            confidence[seen] = np.where(leaping, 0.0, confidence[seen])
    return replace(detections, confidence=confidence)


def _leaps_of_all(times: Array, places: Array, sure: Array) -> NDArray[np.bool_]:
    """What ``_leaps`` finds, in memory that does not grow with the video."""
    pieces = []
    for first in range(0, len(times), _AT_ONCE):
        begin = max(first - _BESIDE, 0)
        piece = slice(begin, first + _AT_ONCE + _BESIDE)
        pieces.append(_leaps(times[piece], places[piece], sure[piece])[first - begin :][:_AT_ONCE])
    return np.concatenate(pieces)


def _metres(points: Array) -> Array:
    """(F, 33, 2) metres or so from the middle of the trunk, of landmarks in pixels."""
    middle = points[:, TRUNK].mean(axis=1, keepdims=True)
    return (points - middle) * (_TRUNK_LENGTH / max(float(np.median(trunk_lengths(points))), 1e-6))


def _leaps(times: Array, places: Array, sure: Array) -> NDArray[np.bool_]:
    """(F, P) which of the places (F, P, 2) in metres, at ``times`` (F,), are of leaps; ``sure`` (F, P) how well each
    is seen. Short leaps are found first, so that longer ones begin and end at places that are none."""
    found = np.zeros(sure.shape, dtype=bool)
    frames = len(times)
    for inside in range(1, min(_MOST, frames - 2) + 1):
        first = np.arange(frames - inside - 1)
        last = first + inside + 1
        brief = times[last] - times[first] <= _LONGEST + 1e-6
        if not brief.any():
            break
        middle = first[None] + np.arange(1, inside + 1)[:, None]  # (inside, N)
        before, after = times[middle] - times[first], times[last] - times[middle]
        share = (before / (before + after))[..., None, None]
        off = np.linalg.norm(places[middle] - places[first] - share * (places[last] - places[first]), axis=-1)
        # Of uniform acceleration: off = acceleration / 2 * before * after.
        needed = 2.0 * off / (before * after)[..., None]
        farthest = off.max(axis=0)
        back = np.linalg.norm(places[last] - places[first], axis=-1) < _BACK * farthest
        leap = (needed > _UNSEEN + _SEEN * sure[middle] ** 2).any(axis=0) & back & brief[:, None] & (farthest > _LEAST)
        leap &= ~found[first] & ~found[last]
        for k in range(inside):
            found[middle[k]] |= leap & (off[k] > _FAR * farthest)
    return found
