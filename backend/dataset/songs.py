"""The same song, whatever the file: fingerprints of sound, and which of them are of one song.

Landmarks as of Wang, "An Industrial-Strength Audio Search Algorithm" (2003): pairs of peaks of the spectrogram. They
outlive encoding, noise, voices over the music and other loudness; two recordings of one song share many of them, all
at the same distance in time, and two songs hardly any.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from ..audio import Sound
from ..audio.decode import RATE
from ..audio.spectrum import Floats, magnitudes

_WINDOW, _HOP = 2048, 512  # samples at 22,050 Hz: 11 Hz wide bins, 43 frames a second
_BINS = 512  # up to 5.5 kHz
_AROUND = (25, 19)  # frames and bins within which a peak is the highest
_LOUD = 0.5  # of log magnitude over the frame's mean that a peak needs at least
_SILENT = -9.0  # log magnitude, under which nothing is heard
_TARGETS = 19  # of the peaks after each one, with which it is paired where they are within these bounds:
_NEXT, _LAST = 4, 63  # frames from a peak to its targets
_HIGHER = 63  # bins that a target may be off
_A_FRAME = 10  # pairs kept of all whose first peaks are in one frame: those of the lowest peaks
_COMMON = 24  # of landmarks that are as common as this, only so many neighbours are compared
# Two sounds are of one song where this many landmarks agree on one shift in time, and this share of the fewer ones
# where they overlap. Among 52 different songs of ballroom music no two have more than 7 votes; 10 s of a song
# encoded anew (MP3, 48 kbit/s) have 196 and more (a share of 0.25), under noise 6 dB below it 28 and more (0.034).
LEAST_VOTES, LEAST_SHARE = 15, 0.02
_WORTH_ADDING = 4  # votes for one shift, below which its neighbours can't make it enough
_SHIFTS = 22  # bits for a shift, either way


@dataclass(frozen=True, eq=False)
class Landmarks:
    """``keys``: (N,) what pairs of peaks are alike; ``frames``: (N,) when, in frames of 23 ms, ascending."""

    keys: NDArray[np.uint32]
    frames: NDArray[np.int32]


@dataclass(frozen=True)
class SameSong:
    """Sounds ``first`` and ``second`` are of one song: ``votes`` landmarks agree, ``share`` of those that could.

    What is heard in the first is heard ``lag`` seconds later in the second.
    """

    first: int
    second: int
    votes: int
    share: float
    lag: float


def landmarks(sound: Sound) -> Landmarks:
    """The landmarks of a sound at 22,050 Hz, some twenty a second."""
    frames, bins = _peaks(np.log(block[:, :_BINS] + 1e-5) for block in magnitudes(sound, _WINDOW, _HOP))
    keys, times = [np.zeros(0, np.uint32)], [np.zeros(0, np.int32)]
    for ahead in range(1, _TARGETS + 1):
        later, higher = frames[ahead:] - frames[:-ahead], bins[ahead:] - bins[:-ahead]
        pairs = (later >= _NEXT) & (later <= _LAST) & (np.abs(higher) <= _HIGHER)
        key = (bins[:-ahead] << 13) | ((higher + _HIGHER) << 6) | later
        keys.append(key[pairs].astype(np.uint32))
        times.append(frames[:-ahead][pairs].astype(np.int32))
    key, time = np.concatenate(keys), np.concatenate(times)
    order = np.lexsort((key, time))
    key, time = key[order], time[order]
    # Keys begin with the first peak's bin, so the lowest of a frame come first. The bounds of what is one song were
    # found with these.
    kept = np.arange(len(time)) - np.searchsorted(time, time) < _A_FRAME
    return Landmarks(key[kept], time[kept])


def _peaks(blocks: Iterable[Floats]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frames and bins of the peaks of log spectra, which come in blocks (frames, bins); by frames."""
    around = _AROUND[0] // 2
    rows, first = np.zeros((0, _BINS), np.float32), 0
    found = []
    for block in itertools.chain(blocks, [None]):
        rows = rows if block is None else np.concatenate([rows, block])
        highest = maximum_filter(rows, size=_AROUND) == rows
        peaks = np.argwhere(highest & (rows > rows.mean(axis=1, keepdims=True) + _LOUD) & (rows > _SILENT))
        # Those near the end are looked at again with what follows; those near the beginning were.
        begin, end = (around if first else 0), (len(rows) if block is None else max(0, len(rows) - around))
        found.append(peaks[(peaks[:, 0] >= begin) & (peaks[:, 0] < end)] + [first, 0])
        seen = max(0, end - around)
        rows, first = rows[seen:], first + seen
    frames, bins = np.concatenate(found).T
    return frames, bins


def same_songs(prints: Sequence[Landmarks]) -> list[SameSong]:
    """Which sounds are of one song."""
    if not prints:
        return []
    keys, frames = np.concatenate([p.keys for p in prints]), np.concatenate([p.frames for p in prints])
    owners = np.repeat(np.arange(len(prints)), [len(p.keys) for p in prints])
    order = np.lexsort((frames, owners, keys))
    keys, frames, owners = keys[order], frames[order], owners[order]
    found = np.concatenate([_votes(keys, frames, owners, len(prints), ahead) for ahead in range(1, _COMMON)])
    unique, counts = np.unique(found, return_counts=True)
    shifts: dict[tuple[int, int], dict[int, int]] = {}
    for vote, count in zip(unique[counts >= _WORTH_ADDING].tolist(), counts[counts >= _WORTH_ADDING], strict=True):
        pair, shift = vote >> _SHIFTS, (vote & ((1 << _SHIFTS) - 1)) - (1 << (_SHIFTS - 1))
        shifts.setdefault(divmod(pair, len(prints)), {})[shift] = int(count)
    return [same for pair, votes in shifts.items() if (same := _judge(prints, *pair, votes)) is not None]


def _votes(
    keys: NDArray[np.uint32], frames: NDArray[np.int32], owners: NDArray[np.int64], count: int, ahead: int
) -> NDArray[np.int64]:
    """(V,) first sound, second sound and shift in frames, in one number, of like landmarks ``ahead`` places apart."""
    alike = np.flatnonzero((keys[ahead:] == keys[:-ahead]) & (owners[ahead:] != owners[:-ahead]))
    shift = frames[alike + ahead].astype(np.int64) - frames[alike]
    pair = owners[alike] * count + owners[alike + ahead]
    return (pair << _SHIFTS) | (shift + (1 << (_SHIFTS - 1)))


def _judge(prints: Sequence[Landmarks], first: int, second: int, shifts: dict[int, int]) -> SameSong | None:
    """Whether the best shift has enough votes; those one frame beside it count, since frames are cut anywhere."""
    best, votes = max(
        ((shift, sum(shifts.get(shift + near, 0) for near in (-1, 0, 1))) for shift in shifts), key=lambda s: s[1]
    )
    a, b = prints[first].frames, prints[second].frames - best
    start, end = max(a[0], b[0]), min(a[-1], b[-1])
    possible = min(int(((side >= start) & (side <= end)).sum()) for side in (a, b))
    share = votes / max(possible, 1)
    if votes < LEAST_VOTES or share < LEAST_SHARE:
        return None
    return SameSong(first, second, votes, share, best * _HOP / RATE)
