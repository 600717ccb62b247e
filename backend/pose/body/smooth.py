"""Smoothing that keeps the hits: the path most likely under measurement noise and a heavy-tailed change of force.

A Kalman smoother (Rauch, Tung and Striebel) finds the most likely path of a body whose acceleration wanders at
random. The same path is the minimum of a sum of squares whose matrix has seven diagonals, so a banded solver finds it
at once for all frames (Whittaker's smoother of third order). Reweighting lets single jerks be far larger than usual,
as in Student's t distribution: a hit stays one, while what merely trembles comes to rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from ....retarget.rotations import Array

# Metres a second^3, the usual jerk of the ends of a dancer's limbs, beside the hips, and of the hips themselves.
JERK, PATH_JERK = 220.0, 60.0
# How much less that of other parts is, by their names.
_CALMER = {
    0.5: ("pelvis", "hip", "spine", "neck", "collar", "shoulder", "head", "nose", "eye", "ear"),
    0.8: ("knee", "elbow"),
}  # fmt: skip
# Degrees of freedom of the jerk's distribution, and how often it is reweighted.
_FREEDOM, _ROUNDS = 1.0, 3
# Metres of noise that are taken for granted, and as usual where too few frames tell.
_LEAST, _USUAL = 0.005, 0.015
# Measurements further off than this many deviations count less.
_FAR = 4.0
_SIXTH = np.array([1.0, -6.0, 15.0, -20.0, 15.0, -6.0, 1.0])
# D'D's diagonals of third differences D, by how far right of the main one.
_THIRD = np.array([-1.0, 3.0, -3.0, 1.0])


def find_noise(places: Array) -> Array:
    """(3,) metres, standard deviation of what trembles from frame to frame in ``places`` (T, K, 3), by axis.

    Sixth differences leave nearly nothing of a movement, but all of white noise, 924-fold; medians over frames
    and places.
    """
    if len(places) < 2 * len(_SIXTH):
        return np.full(3, _USUAL)
    moved = sum(w * places[k : len(places) - 6 + k] for k, w in enumerate(_SIXTH))
    deviation = np.median(np.abs(moved), axis=0) / 0.6745 / np.sqrt(np.sum(_SIXTH**2))
    return np.maximum(np.median(deviation, axis=0), _LEAST)


def usual_jerks(names: Sequence[str]) -> Array:
    """(K,) m/s^3, the usual jerk of joints or points."""
    return JERK * np.array(
        [next((s for s, parts in _CALMER.items() if any(p in n for p in parts)), 1.0) for n in names]
    )


def smooth(places: Array, doubt: Array, noise: Array, jerks: Array, fps: float) -> tuple[Array, Array]:
    """``places`` (T, K, 3) without their noise, and what remains of it (T, K), metres.

    ``noise``: (3,) metres by axis, of what was seen well; ``doubt``: (T, K) metres more where it was not.
    ``jerks``: (K,) what is usual, m/s^3.
    """
    variance = noise**2 + doubt[..., None] ** 2
    if len(places) < 4:
        return places, np.sqrt(variance.mean(axis=-1))
    smoothed, left = np.empty_like(places), np.empty(doubt.shape)
    for k, jerk in enumerate(jerks):
        # The variance of a third difference.
        usual = jerk**2 / fps**6
        smoothed[:, k] = _most_likely(places[:, k], variance[:, k], usual)
        gain = np.array([_gain(v / usual) for v in noise**2])
        left[:, k] = np.sqrt((gain * variance[:, k]).mean(axis=-1))
    return smoothed, left


def _most_likely(place: Array, variance: Array, usual: float) -> Array:
    """The path (T, 3) of one place; ``variance``: (T, 3)."""
    counts, loose = 1.0 / variance, np.ones(len(place) - 3)
    path = place
    for _ in range(_ROUNDS):
        path = np.column_stack([solve_bands(c, loose / usual, c * p) for c, p in zip(counts.T, place.T, strict=True)])
        loose = loosen(path, usual)
        off = np.mean((place - path) ** 2 / variance, axis=1, keepdims=True)
        counts = 1.0 / variance / (1.0 + off / _FAR**2)
    return path


def loosen(path: Array, usual: float) -> Array:
    """(T - 3,) how stiff each third difference of a path (T, 3) is held, 1 on average: the less the larger it is.

    ``usual``: its usual variance by axis.
    """
    jerks = np.sum(np.diff(path, 3, axis=0) ** 2, axis=1) / (3.0 * usual)
    return (_FREEDOM + 1.0) / (_FREEDOM + jerks)


def solve_bands(diagonal: Array, stiff: Array, right: Array) -> Array:
    """The minimum x (T, ...) of sum ``diagonal`` x^2 - 2 ``right`` x + sum ``stiff`` (third differences of x)^2.

    ``diagonal``: (T,); ``stiff``: (T - 3,); ``right``: (T, ...).
    """
    return np.asarray(solveh_banded(bands(diagonal, stiff), right, check_finite=False))


def bands(diagonal: Array, stiff: Array) -> Array:
    """(4, T) the upper diagonals of diag(``diagonal``) + D' diag(``stiff``) D, as SciPy's banded solvers take them."""
    found = np.zeros((4, len(diagonal)))
    found[3] = diagonal
    for i in range(4):
        for j in range(i, 4 if len(stiff) else 0):
            found[3 - (j - i), j : len(diagonal) - 3 + j] += stiff * (_THIRD[i] * _THIRD[j])
    return found


def _gain(ratio: float) -> float:
    """Share of white noise's variance that is left where noise is ``ratio`` times a third difference's variance."""
    angles: NDArray[np.floating] = (np.arange(256) + 0.5) * np.pi / 256
    return float(np.mean((1.0 + ratio * (2.0 * np.sin(angles / 2.0)) ** 6) ** -2.0))
