"""Tempo, metre, beats and downbeats of music that keeps time.

On the whole: (1) a path of periods after which the onsets repeat; (2) for each simple ratio of it, a
series of beats by dynamic programming over beat times and intervals (after Ellis, "Beat Tracking by Dynamic
Programming", 2007, with the tempo states of Whiteley, Cemgil and Godsill's bar pointer, 2006); (3) of those,
in three and in four, on the beat and off it, the one that reads best as bars; (4) its beats smoothed, since
dancers and bands keep time better than single onsets do, and its downbeats; (5) where the tempo changes as between
the songs of a mix, all of that again for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..progress import Progress, silent
from . import bars
from .decode import Sound
from .songs import ANOTHER_TEMPO, beginnings
from .spectrum import FEATURE_FPS, ONSET_FPS, Floats, Spectrum

Array = NDArray[np.float64]

SLOWEST, FASTEST = 55.0, 215.0  # beats a minute
METERS = (3, 4)

_GROUP_WEIGHTS = np.array([1.5, 0.7, 0.7, 0.7])  # bass carries the beat
_PULSE_WEIGHTS = np.array([1.0, 0.4, 0.4, 0.4])
_TEMPI = 700  # steps between the slowest and the fastest tempo: 0.2 % apart
_SPAN = 20.0  # s of music in which a tempo is sought
_STEP = 4.0  # s between such stretches
_STEADINESS = 60.0  # cost of doubling the tempo from one stretch to the next, in octaves
# Lags at which music repeats, in beats, with their weight in the evidence, in three and in four.
_REPEATS = (
    ((0.5, 0.8), (1, 1.0), (3, 1.0), (6, 0.7)),
    ((0.5, 0.8), (1, 1.0), (2, 0.7), (4, 1.0), (8, 0.7)),
)
# Beats a minute between which every tempo is as likely to repeat, and how far beyond them, in octaves, tempi are
# still met. Which of its ratios is the beat is decided by ``bars``.
_LIKELY, _BEYOND = (95.0, 165.0), 0.18
_RATIOS = (1 / 4, 1 / 3, 3 / 8, 1 / 2, 2 / 3, 3 / 4, 1.0, 4 / 3, 3 / 2, 2.0, 8 / 3, 3.0, 4.0)
# Intervals between beats: within which ratios of the period they lie, for a band that may slow down and for one that
# plays on through a passage whose accents are off the beat, and where the tempo was given; how many are told apart;
# and the cost, per squared octave, of one unlike the interval before it, or unlike the period.
_FREE, _STEADY, _GIVEN = (0.75, 1.5), (0.985, 1.015), (0.97, 1.03)
_INTERVALS = 32
_CHANGE, _DEVIATION = 120.0, 20.0
# Beats at a song's ends that may still follow its neighbours in a mix, and how much better it must read by itself:
# where that is right it does so by 1.1 to 20.
_ENDS, _CLEARLY = 6, 1.0
_SEAM = 0.75  # of a beat: nearer than that to the next song's first beat there is none


@dataclass(frozen=True)
class Song:
    """One of the songs of a mix: from ``start`` seconds on ``tempo`` beats a minute, ``meter`` beats a bar."""

    start: float
    tempo: float
    meter: int


@dataclass(frozen=True)
class Beats:
    """``beats`` and ``downbeats`` in seconds; ``songs``: one, or several of a mix, the first from second 0 on."""

    songs: tuple[Song, ...]
    beats: Array
    downbeats: Array


@dataclass(frozen=True)
class _Pulse:
    """Beats (seconds) and how they read as bars."""

    times: Array
    reading: bars.Reading

    @property
    def tempo(self) -> float:
        """Beats a minute."""
        return 60.0 / float(np.median(np.diff(self.times)))


@dataclass(frozen=True)
class _Heard:
    """What beats are found by: whitened onset ``bands`` (N, 4) and ``cues`` (N, CUES) at ONSET_FPS, ``mel`` (T, 32)."""

    bands: Array
    cues: Array
    mel: Floats

    def part(self, begin: float, end: float) -> _Heard:
        """What is heard between two whole frames of ``mel`` (seconds)."""
        onsets, mels = (slice(round(begin * fps), round(end * fps)) for fps in (ONSET_FPS, FEATURE_FPS))
        return _Heard(self.bands[onsets], self.cues[onsets], self.mel[mels])


def track(
    sound: Sound, spectrum: Spectrum, *, bpm: float | None = None, meter: int | None = None, progress: Progress = silent
) -> Beats:
    """Beats and downbeats of a sound and its ``spectrum``.

    ``bpm`` and ``meter``: what the user knows better; the tempo is then sought within 4 % of it, everywhere.
    """
    bands = whitened(spectrum.flux)
    heard = _Heard(bands, bars.cues(sound, bands), spectrum.mel)
    progress(0.2, "Finding the beats")
    metres = METERS if meter is None else (meter,)
    whole = _pulse(heard, metres, bpm)
    progress(0.6, "Finding the beats")
    pulses = [whole] if bpm is not None else _joined(_by_songs(heard, metres, whole))
    progress(0.9, "Finding the bars")
    places = [bars.bar_places(heard.cues, pulse.times, pulse.reading.meter) for pulse in pulses]
    return Beats(
        tuple(_song(pulse, number) for number, pulse in enumerate(pulses)),
        np.concatenate([pulse.times for pulse in pulses]),
        np.concatenate([pulse.times[place == 0] for pulse, place in zip(pulses, places, strict=True)]),
    )


def _pulse(heard: _Heard, metres: tuple[int, ...], bpm: float | None = None) -> _Pulse:
    """The beats that read best as bars, one pulse from beginning to end."""
    bands, cues = heard.bands, heard.cues
    found = [(_Pulse(times, bars.read(cues, times, metres)), periods) for times, periods in series(bands, bpm)]
    best, periods = max(found, key=lambda one: one[0].reading.score)
    steady = [_Pulse(times, bars.read(cues, times, metres)) for times in _on_and_off(bands, periods, _STEADY)]
    return max([best, *steady], key=lambda one: one.reading.score)


def _by_songs(heard: _Heard, metres: tuple[int, ...], whole: _Pulse) -> list[_Pulse]:
    """Of each song of a mix its part of the ``whole`` pulse, or one of its own where that reads clearly better.

    The whole is read in one metre, in one ratio of what repeats and on or off the beat; a song may be in another, and
    begins anywhere in the beat of the one before.
    """
    begins = beginnings(whole.times, heard.mel)
    if len(begins) == 1:
        return [whole]
    parts = []
    for begin, end in pairwise([*begins, len(heard.mel) / FEATURE_FPS]):
        led = replace(whole, times=whole.times[(whole.times >= begin) & (whole.times < end)])
        inside = heard.part(begin, end)
        alone = _pulse(inside, metres)
        if _inner_score(inside.cues, alone) > _inner_score(heard.cues, led) + _CLEARLY:
            # Now that its own pulse is heard, more songs may be told apart in it.
            parts += [replace(own, times=own.times + begin) for own in _by_songs(inside, metres, alone)]
        else:
            parts.append(led)
    return parts


def _inner_score(cues: Array, pulse: _Pulse) -> float:
    """How well the pulse reads without what may still belong to its neighbours, -inf where that is too little."""
    if len(pulse.times) <= 4 * _ENDS:
        return -np.inf
    return bars.read(cues, pulse.times[_ENDS:-_ENDS], (pulse.reading.meter,)).score


def _joined(parts: Sequence[_Pulse]) -> list[_Pulse]:
    """The pulses one after another; those of the same reading and tempo are one song, whose bars go on."""
    pulses = [parts[0]]
    for after in parts[1:]:
        before = pulses.pop()
        if after.reading is before.reading and abs(np.log2(after.tempo / before.tempo)) < ANOTHER_TEMPO:
            pulses.append(replace(before, times=np.concatenate([before.times, after.times])))
        else:
            # Without a last beat that is near the first one of the song after it.
            end = after.times[0] - _SEAM * (before.times[-1] - before.times[-2])
            pulses += [replace(before, times=before.times[before.times < end]), after]
    return pulses


def _song(pulse: _Pulse, number: int) -> Song:
    return Song(float(pulse.times[0]) if number else 0.0, pulse.tempo, pulse.reading.meter)


def series(bands: Array, bpm: float | None = None) -> Iterator[tuple[Array, Array]]:
    """Every series of beats (seconds) worth reading, with the periods (N,) in frames near which it keeps.

    These are simple ratios of what repeats, on the beat and off it.
    """
    periods = _periods(bands, bpm)
    tempo = 60.0 * ONSET_FPS / float(np.median(periods))
    for ratio in _RATIOS if bpm is None else (1.0,):
        if bpm is not None or SLOWEST <= ratio * tempo <= FASTEST:
            for times in _on_and_off(bands, periods / ratio, _FREE if bpm is None else _GIVEN):
                yield times, periods / ratio


def _on_and_off(bands: Array, periods: Array, reach: tuple[float, float]) -> Iterator[Array]:
    """Beats (seconds) near ``periods``, and the times halfway between them."""
    times = _beats(np.maximum(bands @ _PULSE_WEIGHTS, 0.0), periods, reach)
    yield times
    yield _carried_on(times + 0.5 * np.diff(times, append=2 * times[-1] - times[-2]), len(bands) / ONSET_FPS)


def whitened(flux: Floats) -> Array:
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


def _periods(bands: Array, bpm: float | None) -> Array:
    """Frames after which the onsets repeat, at every frame (N,): the beat's period or a simple ratio of it."""
    tempi = np.geomspace(SLOWEST, FASTEST, _TEMPI)
    if bpm is not None:
        tempi = bpm * np.geomspace(0.96, 1.04, 41)
    lags = 60.0 * ONSET_FPS / tempi
    centres, repeats = _autocorrelations(bands)
    best: tuple[float, Array] | None = None
    for pattern in _REPEATS:
        evidence = _evidence(repeats, lags, pattern)
        if bpm is None:
            evidence -= 0.5 * (np.log2(tempi / np.clip(tempi, *_LIKELY)) / _BEYOND) ** 2
        value, path = _smooth_path(evidence, np.log2(lags), _STEADINESS)
        if best is None or value > best[0]:
            best = value, lags[path]
    assert best is not None
    return np.interp(np.arange(len(bands)), centres, best[1])


def _autocorrelations(bands: Array) -> tuple[Array, Array]:
    """How much the onsets repeat after each lag.

    Returns the stretches' centres (S,) in frames and the values (S, lags), in standard deviations over the
    whole song's lags.
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
        row[:] = (values / (values[0] + 1e-9)) @ (_GROUP_WEIGHTS / _GROUP_WEIGHTS.sum()) * seen
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


def _beats(pulse: Array, periods: Array, reach: tuple[float, float]) -> Array:
    """Beat times in seconds: onsets as strong as possible, intervals even and near to ``periods`` (frames).

    ``reach``: the ratios of the periods between which intervals lie.

    Dynamic programming over the frame of a beat and the interval before it. All beats nearer than the
    shortest interval are found at once: none of them can follow another.
    """
    strength = np.convolve(pulse / (pulse.std() + 1e-9), np.hanning(7) / np.hanning(7).sum(), "same")
    count = len(pulse)
    intervals = np.geomspace(reach[0] * periods.min(), reach[1] * periods.max(), _INTERVALS)
    intervals = np.unique(np.round(intervals).astype(int))
    octaves = np.log2(intervals)
    change = _CHANGE * (octaves[:, None] - octaves) ** 2  # (before, now)
    states = np.arange(len(intervals))
    worth = np.zeros((count, len(intervals)), dtype=np.float32)  # what a beat here is worth to one an interval later
    came = np.full((count, len(intervals)), -1, dtype=np.int8)  # the interval before such a beat, -1: it's the first
    tail = max(count - int(periods[-1]), 0)
    ends = np.empty((count - tail, len(intervals)))
    block = int(intervals[0])
    for first in range(0, count, block):
        frames = np.arange(first, min(first + block, count))
        before = frames[:, None] - intervals
        gain = np.where(before >= 0, worth[np.maximum(before, 0), states], 0.0)
        stray = _DEVIATION * (octaves - np.log2(periods[frames])[:, None]) ** 2
        score = strength[frames, None] + np.maximum(gain, 0.0) - np.where(before >= 0, stray, 0.0)
        options = score[:, :, None] - change
        best = np.argmax(options, axis=1)
        worth[frames] = np.take_along_axis(options, best[:, None], axis=1)[:, 0]
        came[frames] = np.where(worth[frames] > 0, best, -1)
        ends[frames[frames >= tail] - tail] = score[frames >= tail]
    at, state = np.unravel_index(int(np.argmax(ends)), ends.shape)
    chain = [tail + int(at)]
    while (earlier := chain[-1] - int(intervals[state])) >= 0 and came[earlier, state] >= 0:
        chain.append(earlier)
        state = came[earlier, state]
    frames = np.array(chain[::-1])
    if len(frames) < 2:
        frames = frames[0] + np.array([0, round(periods[0])])
    return _carried_on(_steadied(frames, strength) / ONSET_FPS, count / ONSET_FPS)


def _steadied(frames: NDArray[np.intp], strength: Array) -> Array:
    """Beats at fractions of a frame, evened out.

    Minimises weighted squared distances to the onsets plus squared second differences (Whittaker, 1923);
    a beat without an onset has no weight, so breaks are bridged evenly.
    """
    inner = np.clip(frames, 1, len(strength) - 2)
    left, here, right = strength[inner - 1], strength[inner], strength[inner + 1]
    curve = left - 2 * here + right
    shift = np.where(curve < -1e-9, 0.5 * (left - right) / np.minimum(curve, -1e-9), 0.0)
    times = frames + np.clip(shift, -0.5, 0.5)
    weight = np.clip(here / (np.median(here) + 1e-9), 0.02, 1.5)
    return _whittaker(times, weight, 8.0)


def _carried_on(times: Array, duration: float) -> Array:
    """Beats (seconds) with as many before and after them as the song of ``duration`` holds, and at least two."""
    first, last = times[1] - times[0], times[-1] - times[-2]
    before = np.arange(times[0] - first, -0.5 / ONSET_FPS, -first)[::-1]
    after = np.arange(times[-1] + last, duration, last)
    times = np.concatenate([before, times, after])
    times = np.maximum(times[times > -0.5 / ONSET_FPS], 0.0)
    return times[: max(int(np.searchsorted(times, duration)), 2)]


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
