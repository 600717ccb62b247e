"""Tempo, metre, beats and downbeats of music that keeps time.

Three steps, each on the whole song: (1) a path of beat periods and one metre, such that the onsets repeat
after a beat, a bar and two bars; (2) beats by dynamic programming along that path (after Ellis, "Beat
Tracking by Dynamic Programming", 2007), then smoothed, since dancers and bands keep time better than single
onsets do; (3) the bar's first beat where the bass enters and the harmony changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..progress import Progress, silent
from .decode import Sound
from .spectrum import ONSET_FPS, Floats, chroma

Array = NDArray[np.float64]

SLOWEST, FASTEST = 50.0, 210.0  # beats a minute
METERS = (3, 4)

_GROUP_WEIGHTS = np.array([1.5, 0.7, 0.7, 0.7])  # bass carries the beat
_PULSE_WEIGHTS = np.array([1.0, 0.4, 0.4, 0.4])
_TEMPI = 700  # steps between the slowest and the fastest tempo: 0.2 % apart
_SPAN = 20.0  # s of music in which a tempo is sought
_STEP = 4.0  # s between such stretches
# Beats a minute between which every tempo is as likely, and how far beyond them, in octaves, tempi are still
# met. Slow ones need evidence: every second beat repeats at least as well as every beat does.
_LIKELY, _BEYOND = (95.0, 165.0), 0.18
_TEMPO_STEADINESS = 60.0  # cost of doubling the tempo from one stretch to the next, in octaves
_BEAT_STEADINESS = 400.0  # cost of a beat twice too long, squared log ratio
# Lags at which music in a metre repeats, in beats, with their weight in the evidence.
_REPEATS = {3: ((0.5, 0.8), (1, 1.0), (3, 1.0), (6, 0.7)), 4: ((0.5, 0.8), (1, 1.0), (2, 0.7), (4, 1.0), (8, 0.7))}
# Beats alternate (kick and clap, first beat and others): this much evidence for each deviation that the upper
# bands repeat better after two beats, or a bar of odd count, than after one; no more than the second number.
_UPPER_WEIGHTS = np.array([0.0, 0.0, 1.0, 1.0])
_ALTERNATION, _MOST_ALTERNATION = 0.3, 2.0


@dataclass(frozen=True)
class Beats:
    """``beats`` and ``downbeats`` in seconds, ``tempo`` in beats a minute, ``meter`` in beats a bar."""

    tempo: float
    meter: int
    beats: Array
    downbeats: Array


def track(
    sound: Sound, flux: Floats, *, bpm: float | None = None, meter: int | None = None, progress: Progress = silent
) -> Beats:
    """Beats and downbeats of a sound whose onset bands ``flux`` (N, 4) were found at ONSET_FPS.

    ``bpm`` and ``meter``: what the user knows better; the tempo is then sought within 4 % of it.
    """
    bands = _whitened(flux)
    progress(0.1, "Finding the tempo")
    periods, meter = _tempo(bands, bpm, meter)
    progress(0.5, "Finding the beats")
    pulse = np.maximum(bands @ _PULSE_WEIGHTS, 0.0)
    times = _beats(pulse, periods)
    progress(0.8, "Finding the bars")
    first = _bar_phases(_accents(sound, bands, times), meter)
    return Beats(60.0 / float(np.median(np.diff(times))), meter, times, times[first == 0])


def _whitened(flux: Floats) -> Array:
    """Onset bands (N, 4) without their slow ups and downs: mean of the second around 0, energy around 1."""
    limited = np.minimum(flux, np.percentile(flux, 99.5, axis=0)).astype(np.float64)
    fine = limited - _mean(limited, ONSET_FPS)
    return fine / np.sqrt(_mean(fine**2, 8 * ONSET_FPS) + 1e-6)


def _mean(values: Array, width: int) -> Array:
    """Moving average over ``width`` frames (N, 4), shorter at the ends."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    last = np.minimum(np.arange(len(values)) + width // 2 + 1, len(values))
    first = np.maximum(np.arange(len(values)) - width // 2, 0)
    return (total[last] - total[first]) / (last - first)[:, None]


def _tempo(bands: Array, bpm: float | None, meter: int | None) -> tuple[Array, int]:
    """The beat's period in frames at every frame (N,), and the metre."""
    tempi = np.geomspace(SLOWEST, FASTEST, _TEMPI)
    if bpm is not None:
        tempi = bpm * np.geomspace(0.96, 1.04, 41)
    lags = 60.0 * ONSET_FPS / tempi
    centres, repeats = _autocorrelations(bands, _GROUP_WEIGHTS)
    _, upper = _autocorrelations(bands, _UPPER_WEIGHTS)
    # What is known of the metre needs no entry in the table: bars of 2, 5 or 7 repeat after a beat, a bar, two bars.
    metres = METERS if meter is None else (meter,)
    best: tuple[float, Array, int] | None = None
    for count in metres:
        pattern = _REPEATS.get(count, ((0.5, 0.8), (1, 1.0), (count, 1.0), (2 * count, 0.7)))
        evidence = _evidence(repeats, lags, pattern) + _alternation(upper, lags, 2 if count % 2 == 0 else count)
        if bpm is None:
            outside = np.log2(tempi / np.clip(tempi, *_LIKELY))
            evidence = evidence - 0.5 * (outside / _BEYOND) ** 2
        value, path = _smooth_path(evidence, np.log2(lags), _TEMPO_STEADINESS)
        if best is None or value > best[0]:
            best = value, lags[path], count
    assert best is not None
    return np.interp(np.arange(len(bands)), centres, best[1]), best[2]


def _autocorrelations(bands: Array, weights: Array) -> tuple[Array, Array]:
    """How much the onsets, weighted by band, repeat after each lag.

    Returns the stretches' centres (S,) in frames and the values (S, lags), in standard deviations over the
    whole song's lags. ``weights``: (4,).
    """
    span, step = round(_SPAN * ONSET_FPS), round(_STEP * ONSET_FPS)
    starts = np.arange(0, max(len(bands) - span, 0) + 1, step)
    longest = min(round(8.0 * ONSET_FPS), len(bands))
    rows = np.empty((len(starts), longest))
    for row, first in zip(rows, starts, strict=True):
        stretch = bands[first : first + span]
        power = np.abs(np.fft.rfft(stretch, 2 * span, axis=0)) ** 2
        values = np.fft.irfft(power, axis=0)[:longest]
        seen = len(stretch) / np.maximum(len(stretch) - np.arange(longest), len(stretch) / 4)
        row[:] = (values / (values[0] + 1e-9)) @ (weights / weights.sum()) * seen
    far = rows[:, round(0.25 * ONSET_FPS) :]
    spread = far.mean(axis=0).std()
    return starts + min(span, len(bands)) / 2, (rows - far.mean(axis=1, keepdims=True)) / (spread + 1e-9)


def _evidence(repeats: Array, lags: Array, pattern: tuple[tuple[float, float], ...]) -> Array:
    """How well each beat period explains each stretch, (S, lags)."""
    longest = repeats.shape[1] - 1
    total, weights = np.zeros((len(repeats), len(lags))), np.zeros(len(lags))
    for beats, weight in pattern:
        reached = beats * lags < longest
        weights += weight * reached
        total[:, reached] += weight * _peak_at(repeats, beats * lags[reached])
    return total / np.maximum(weights, 1e-9)


def _alternation(upper: Array, lags: Array, beats: int) -> Array:
    """Evidence, (S, lags), that each period is a beat: that beats differ from their neighbours.

    Half a beat repeats nowhere and two beats are all alike, which tells a beat from both.
    """
    reached = beats * lags < upper.shape[1] - 1
    gain = np.zeros((len(upper), len(lags)))
    gain[:, reached] = _peak_at(upper, beats * lags[reached]) - _peak_at(upper, lags[reached])
    return _ALTERNATION * np.clip(gain, 0.0, _MOST_ALTERNATION)


def _peak_at(rows: Array, at: Array) -> Array:
    """The rows' largest value within 1.2 % (at least a frame) of fractional columns ``at``."""
    reach = np.maximum(1.0, 0.012 * at)
    near = at[None] + np.linspace(-1.0, 1.0, 5)[:, None] * reach
    near = np.clip(near, 0, rows.shape[1] - 1.001)
    left = near.astype(int)
    share = near - left
    return np.max(rows[:, left] * (1 - share) + rows[:, left + 1] * share, axis=1)


def _smooth_path(evidence: Array, positions: Array, cost: float) -> tuple[float, NDArray[np.intp]]:
    """The path (S,) through ``evidence`` (S, states) of the largest mean, less ``cost`` times the squared way."""
    way = cost * (positions[:, None] - positions) ** 2
    score, back = evidence[0], []
    for row in evidence[1:]:
        options = score[None, :] - way
        back.append(np.argmax(options, axis=1))
        score = np.max(options, axis=1) + row
    path = [int(np.argmax(score))]
    for came in reversed(back):
        path.append(int(came[path[-1]]))
    return float(score.max()) / len(evidence), np.array(path[::-1])


def _beats(pulse: Array, periods: Array) -> Array:
    """Beat times in seconds: onsets as strong as possible, distances as near to ``periods`` as possible."""
    deviation = pulse.std() + 1e-9
    strength = np.convolve(pulse / deviation, np.hanning(7) / np.hanning(7).sum(), "same")
    shortest, longest = 0.8, 1.25
    block = int(shortest * periods.min())  # frames that can't be beats to one another
    lag = np.arange(block, int(longest * periods.max()) + 2)
    score, came = strength.copy(), np.full(len(pulse), -1)
    for first in range(0, len(pulse), block):
        frames = np.arange(first, min(first + block, len(pulse)))
        before = frames[:, None] - lag
        cost = _BEAT_STEADINESS * np.log2(lag / periods[frames, None]) ** 2 / 10.0
        options = np.where(before >= 0, score[before] - cost, -np.inf)
        pick = np.argmax(options, axis=1)
        value = options[np.arange(len(frames)), pick]
        gain = value > 0
        score[frames[gain]] += value[gain]
        came[frames[gain]] = before[np.arange(len(frames)), pick][gain]
    tail = len(pulse) - int(periods[-1])
    at = tail + int(np.argmax(score[tail:])) if tail > 0 else int(np.argmax(score))
    chain = [at]
    while came[chain[-1]] >= 0:
        chain.append(int(came[chain[-1]]))
    frames = np.array(chain[::-1])
    if len(frames) < 2:
        frames = frames[0] + np.array([0, round(periods[0])])
    return _steadied(frames, strength, periods) / ONSET_FPS


def _steadied(frames: NDArray[np.intp], strength: Array, periods: Array) -> Array:
    """Beats at fractions of a frame, evened out, and carried on to both ends of the song.

    Minimises weighted squared distances to the onsets plus squared second differences (Whittaker, 1923);
    a beat without an onset has no weight, so breaks are bridged evenly.
    """
    inner = np.clip(frames, 1, len(strength) - 2)
    left, here, right = strength[inner - 1], strength[inner], strength[inner + 1]
    curve = left - 2 * here + right
    shift = np.where(curve < -1e-9, 0.5 * (left - right) / np.minimum(curve, -1e-9), 0.0)
    times = frames + np.clip(shift, -0.5, 0.5)
    weight = np.clip(here / (np.median(here) + 1e-9), 0.02, 1.5)
    times = _whittaker(times, weight, 8.0)
    before = np.arange(times[0] - (first := times[1] - times[0]), -0.5, -first)[::-1]
    after = np.arange(times[-1] + (last := times[-1] - times[-2]), len(periods), last)
    times = np.concatenate([before, times, after])
    return np.maximum(times[times > -0.5], 0.0)


def _whittaker(values: Array, weight: Array, stiffness: float) -> Array:
    """argmin over x of sum(weight * (x - values)^2) + stiffness * sum(second differences of x squared)."""
    from scipy.linalg import solveh_banded

    count = len(values)
    if count < 3:
        return values
    band = np.zeros((3, count))
    band[2] = weight
    for offset, factor in ((0, 1.0), (1, -2.0), (2, 1.0)):
        band[2, offset : count - 2 + offset] += stiffness * factor**2
    band[1, 1 : count - 1] += -2.0 * stiffness
    band[1, 2:count] += -2.0 * stiffness
    band[0, 2:] += stiffness
    return np.asarray(solveh_banded(band, weight * values))


def _accents(sound: Sound, bands: Array, times: Array) -> Array:
    """Evidence (B,) that each beat begins a bar: bass enters, harmony changes; zero mean, deviation 1."""
    frames = np.clip(np.round(times * ONSET_FPS).astype(int), 0, len(bands) - 1)
    near = np.clip(frames[:, None] + np.arange(-4, 5), 0, len(bands) - 1)
    onsets = bands[near].max(axis=1)
    hop = sound.rate // 30
    pitches = chroma(sound, hop)
    total = np.concatenate([np.zeros((1, 12)), np.cumsum(pitches, axis=0)])
    edges = np.clip(np.round(np.append(times, times[-1] + np.median(np.diff(times))) * 30), 0, len(pitches)).astype(int)
    sums = total[edges[1:]] - total[edges[:-1]]
    chords = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    change = 1.0 - np.sum(chords[1:] * chords[:-1], axis=1)
    change = np.append(change.mean() if len(change) else 0.0, change)
    parts = np.stack([onsets[:, 0], onsets[:, 1:].mean(axis=1), change], axis=1)
    parts = (parts - parts.mean(axis=0)) / (parts.std(axis=0) + 1e-9)
    return parts @ np.array([1.0, 0.3, 1.0])


def _bar_phases(accents: Array, meter: int) -> NDArray[np.intp]:
    """Each beat's place in its bar (B,), 0 for downbeats: the accents' largest sum, with few changes of phase."""
    phases = np.arange(meter)
    jump = 6.0 * accents.std() + 1e-9
    score, back = np.where(phases == 0, accents[0], 0.0), []
    for accent in accents[1:]:
        kept = np.roll(score, 1)
        best = int(np.argmax(score))
        leap = score[best] - jump
        stays = kept >= leap
        back.append(np.where(stays, np.roll(phases, 1), best))
        score = np.where(stays, kept, leap) + np.where(phases == 0, accent, 0.0)
    path = [int(np.argmax(score))]
    for came in reversed(back):
        path.append(int(came[path[-1]]))
    return np.array(path[::-1])
