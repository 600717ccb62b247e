"""How good a dance is: distances between sets of dances, and figures of single ones.

Everything works on joint positions (T, 24, 3) by forward kinematics: SMPL-24 order, metres, z up, the
floor at z = 0. Times are seconds. Features of whole dances come from ``features``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import argrelextrema

from ...retarget.rotations import Array
from .features import geometric_features, kinetic_features

# A geometric feature that varies less than this in the reference fires too rarely to be compared.
MIN_DEVIATION = 0.01
# Motion beats: 5 frames at 60 frames a second. Beat alignment: 3 frames.
BEAT_SMOOTHING = 5.0 / 60.0
BEAT_TOLERANCE = 3.0 / 60.0

CONTACT_ANKLE = 0.08
CONTACT_TOE = 0.05
SLIDING_SPEED = 0.3
# Ankle and toe of the left and the right foot.
_FEET = ((7, 10), (8, 11))


# -- distances between sets of dances ---------------------------------------------------------------


@dataclass(frozen=True)
class Normaliser:
    """Mean and deviation (D,) of the reference's features; ``__call__`` puts features (N, D) on that scale."""

    mean: Array
    deviation: Array

    @classmethod
    def of(cls, reference: Array) -> Normaliser:
        return cls(reference.mean(axis=0), reference.std(axis=0))

    def __call__(self, features: Array) -> Array:
        return (features - self.mean) / (self.deviation + 1e-10)

    @property
    def varying(self) -> NDArray[np.bool_]:
        """(D,) the features whose deviation in the reference exceeds MIN_DEVIATION."""
        return self.deviation > MIN_DEVIATION


def frechet_distance(a: Array, b: Array) -> float:
    """Fréchet distance of Gaussians fitted to features (N, D) and (M, D), at least two of each.

    ``|mu_a - mu_b|² + Tr(S_a + S_b - 2 sqrt(S_a S_b))``. With S = X'X of centred features X over
    sqrt(N - 1), the trace of the root is the sum of the singular values of X_a X_b'. That needs no
    matrix root, which is inexact where fewer dances than features make S singular.
    """
    x, y = (_centred(np.asarray(f, dtype=float)) for f in (a, b))
    overlap = float(np.linalg.svd(x @ y.T, compute_uv=False).sum())
    difference = np.mean(a, axis=0) - np.mean(b, axis=0)
    return float(difference @ difference + (x**2).sum() + (y**2).sum() - 2.0 * overlap)


def _centred(features: Array) -> Array:
    """X (at most D, D) with X'X the covariance of features (N, D)."""
    x = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    return x if len(x) <= x.shape[1] else np.asarray(np.linalg.qr(x, mode="r"))


def diversity(features: Array) -> float:
    """Mean Euclidean distance between two different rows of features (N, D), N >= 2."""
    distances = np.sqrt(((features[:, None] - features[None]) ** 2).sum(axis=-1))
    return float(distances.sum() / (len(features) * (len(features) - 1)))


# -- beats --------------------------------------------------------------------------------------------


def motion_beats(positions: Array, fps: float) -> Array:
    """(B,) seconds in which the body pauses: strict local minima of its smoothed speed (T, 24, 3 metres; published
    at 60 frames a second).

    The speed is averaged over the joints and smoothed by a Gaussian of 83 ms. As published, the speed
    between frames k and k + 1 counts as that of frame k.
    """
    speed = np.linalg.norm(np.diff(positions, axis=0), axis=-1).mean(axis=-1)
    smooth = gaussian_filter1d(speed, BEAT_SMOOTHING * fps)
    return argrelextrema(smooth, np.less)[0] / fps


def beat_alignment(music_beats: ArrayLike, dance_beats: ArrayLike) -> float:
    """How near the music's beats (seconds) have a motion beat: 1 all hit, 0 none (Bailando's BAS).

    The mean over the music's beats of ``exp(-d² / (2 sigma²))``, d the time to the nearest motion beat,
    sigma 50 ms. With the arguments exchanged it is the mean over motion beats (POPDG's form). NaN
    without music beats, 0 without motion beats.
    """
    targets, found = np.asarray(music_beats, dtype=float), np.asarray(dance_beats, dtype=float)
    if not targets.size:
        return float("nan")
    if not found.size:
        return 0.0
    nearest = np.abs(targets[:, None] - found[None]).min(axis=1)
    return float(np.exp(-(nearest**2) / (2.0 * BEAT_TOLERANCE**2)).mean())


def f_measure(found: ArrayLike, known: ArrayLike, tolerance: float = 0.07) -> float:
    """Harmonic mean of precision and recall of beats (seconds, ascending) against the known ones.

    Each beat is matched once, within ``tolerance`` seconds. 1 where there are none in either: nothing was missed,
    and nothing made up.
    """
    heard, wanted = np.asarray(found, dtype=float), np.asarray(known, dtype=float)
    if not heard.size and not wanted.size:
        return 1.0
    i = j = hits = 0
    while i < len(heard) and j < len(wanted):
        distance = heard[i] - wanted[j]
        if abs(distance) <= tolerance:
            hits, i, j = hits + 1, i + 1, j + 1
        elif distance < 0:
            i += 1
        else:
            j += 1
    return 2 * hits / (len(heard) + len(wanted))


def share_of_bar(positions: Array, fps: float, beats: Array, beats_a_bar: int) -> float:
    """Share of the ups and downs of a dance's energy within bars that every bar has alike: 1 if all are the same.

    Energy is the mean squared speed of the joints (T, 24, 3), averaged over quarters of beats; ``beats`` are
    the music's, seconds, and bars begin anywhere. It is the share of variance that the place in the bar
    explains once each bar's mean is taken off, adjusted for the number of places, so that bars of any
    length can be compared: about 0 where nothing repeats. NaN for less than two bars.
    """
    energy = ((np.diff(positions, axis=0) * fps) ** 2).sum(axis=-1).mean(axis=-1)
    bars = (len(beats) - 1) // beats_a_bar
    if bars < 2:
        return float("nan")
    edges = np.interp(np.arange(4 * beats_a_bar * bars + 1) / 4.0, np.arange(len(beats)), beats)
    total = np.interp(edges, np.arange(len(energy) + 1) / fps, np.append(0.0, np.cumsum(energy)))
    quarters = (np.diff(total) / np.diff(edges)).reshape(bars, 4 * beats_a_bar)
    ups = quarters - quarters.mean(axis=1, keepdims=True)
    own = ups - ups.mean(axis=0)
    variance = (ups**2).sum() / bars
    return float(1.0 - (own**2).sum() / (bars - 1) / variance) if variance > 0 else float("nan")


# -- physics ------------------------------------------------------------------------------------------


def pfc(positions: Array, fps: float = 30.0) -> float:
    """Physical foot contact score (EDGE) of joints (T, 24, 3): metres, z up, published at 30 frames a second.

    0 for a plausible dance.
    A body accelerates only by a foot that stands. Root acceleration, its downward part left out, over
    its maximum, times the horizontal steps of both feet from frame to frame (the lesser of ankle and
    toe, in metres, not divided by time, as in the published script); 10⁴ times the mean.
    """
    effort, sliding = _effort_and_sliding(positions, fps)
    peak = effort.max(initial=0.0)
    return float(1e4 * (sliding * effort / peak).mean()) if peak else 0.0


def pfc_undivided(positions: Array, fps: float = 30.0) -> float:
    """The same without the division by the greatest root acceleration, in cm² m/s².

    One jump of a recording divides its own score by two or three; this has no such divisor.
    """
    effort, sliding = _effort_and_sliding(positions, fps)
    return float(1e4 * (sliding * effort).mean())


def _effort_and_sliding(positions: Array, fps: float) -> tuple[Array, Array]:
    """(T - 2,) m/s² of the root without what goes down, and m² that both feet slide, one by the other."""
    acceleration = np.diff(positions[:, 0], n=2, axis=0) * fps**2
    acceleration[:, 2] = np.maximum(acceleration[:, 2], 0.0)
    return np.linalg.norm(acceleration, axis=-1), _foot_steps(positions[1:]).prod(axis=-1)


@dataclass(frozen=True)
class Skating:
    """Sliding of feet that stand. ``share`` of contact frames; ``slide`` in cm a second of contact."""

    share: float
    slide: float


def foot_skating(positions: Array, fps: float) -> Skating:
    """How much standing feet slide.

    A foot stands from one frame to the next where in both its ankle is at most 8 cm and its toe at most
    5 cm above the floor. It slides where it goes faster than 0.3 m/s over the floor. Its step is the
    lesser of ankle's and toe's, so that turning on ball or heel is no sliding. NaN if no foot ever stands.
    """
    heights = positions[:, np.array(_FEET), 2]
    low = (heights[..., 0] <= CONTACT_ANKLE) & (heights[..., 1] <= CONTACT_TOE)
    steps = _foot_steps(positions)[low[1:] & low[:-1]]
    if not steps.size:
        return Skating(float("nan"), float("nan"))
    return Skating(float((steps * fps > SLIDING_SPEED).mean()), float(100.0 * steps.mean() * fps))


def _foot_steps(positions: Array) -> Array:
    """(T - 1, 2) metres the left and right foot move over the floor between frames."""
    moves = np.linalg.norm(np.diff(positions[:, np.array(_FEET), :2], axis=0), axis=-1)
    return moves.min(axis=-1)


# -- liveliness ---------------------------------------------------------------------------------------


def mean_speed(positions: Array, fps: float) -> float:
    """Mean speed of the joints, m/s."""
    return float(np.linalg.norm(np.diff(positions, axis=0), axis=-1).mean() * fps)


def mean_acceleration(positions: Array, fps: float) -> float:
    """Mean acceleration of the joints, m/s²: what shakes or jumps shows here first."""
    return float(np.linalg.norm(np.diff(positions, n=2, axis=0), axis=-1).mean() * fps**2)


def mean_jerk(positions: Array, fps: float) -> float:
    """Mean jerk of the joints, m/s³: trembling that is too small to show in the acceleration."""
    return float(np.linalg.norm(np.diff(positions, n=3, axis=0), axis=-1).mean() * fps**3)


def window_speeds(positions: Array, fps: float) -> Array:
    """(W,) m/s, the joints' mean speed in each full second; the last part of a second is left out."""
    speed = np.linalg.norm(np.diff(positions, axis=0), axis=-1).mean(axis=-1) * fps
    frames = round(fps)
    count = len(speed) // frames
    return speed[: count * frames].reshape(count, frames).mean(axis=1)


def freezing(positions: Array, fps: float, usual_speed: float) -> float:
    """Share of seconds slower than 5 % of ``usual_speed`` (m/s, the median second of real dances)."""
    speeds = window_speeds(positions, fps)
    return float((speeds < 0.05 * usual_speed).mean()) if len(speeds) else float("nan")


# -- certainty ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval over clips; without an interval where none can be had (NaN)."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


def bootstrap(
    statistic: Callable[[NDArray[np.intp]], float], count: int, *, rounds: int = 500, seed: int = 0
) -> Estimate:
    """A statistic of ``count`` clips with a 95 % bootstrap interval.

    ``statistic`` gets indices into the clips: each once for the value, then ``rounds`` times as many
    drawn with replacement. Clips drawn twice make sets look poorer than they are, which lifts Fréchet
    distances; so the draws' mean is moved onto the value before the interval is read.
    """
    value = statistic(np.arange(count))
    if count < 2:
        return Estimate(value)
    random = np.random.default_rng(seed)
    draws = np.array([statistic(random.integers(0, count, count)) for _ in range(rounds)])
    low, high = np.nanpercentile(draws - np.nanmean(draws), [2.5, 97.5])
    return Estimate(value, float(value + low), float(value + high))


def mean_estimate(values: ArrayLike, *, rounds: int = 500, seed: int = 0) -> Estimate:
    """The mean of one value a clip, NaN ones left out, with its 95 % bootstrap interval."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if not known.size:
        return Estimate(float("nan"))
    if len(known) < 2:
        return Estimate(float(known[0]))
    drawn = np.random.default_rng(seed).integers(0, len(known), (rounds, len(known)))
    low, high = np.percentile(known[drawn].mean(axis=1), [2.5, 97.5])
    return Estimate(float(known.mean()), float(low), float(high))


__all__ = [
    "Estimate",
    "Normaliser",
    "Skating",
    "beat_alignment",
    "bootstrap",
    "diversity",
    "f_measure",
    "foot_skating",
    "frechet_distance",
    "freezing",
    "geometric_features",
    "kinetic_features",
    "mean_acceleration",
    "mean_estimate",
    "mean_jerk",
    "mean_speed",
    "motion_beats",
    "pfc",
    "pfc_undivided",
    "share_of_bar",
    "window_speeds",
]
