"""Where the songs of a mix begin: there the tempo changes, and the sound with it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .spectrum import FEATURE_FPS, Floats

Array = NDArray[np.float64]

ANOTHER_TEMPO = 0.025  # octaves

# Beats that a song has at least, and beats on both sides of its beginning that tell the tempo there.
_SHORTEST, _AROUND = 40, 12
# Seconds of sound compared before and after a beginning, and how far it may be from where the beats' tempo changes.
_COMPARED, _NEAR = 8.0, 12.0
_SILENCE = 7.0  # below what is loud, in ``mel``'s log energies: some 60 dB


def beginnings(times: Array, mel: Floats) -> list[float]:
    """Seconds at which songs begin, the first at 0; one where nothing but one song is heard.

    ``times``: beats (B,) in seconds of a pulse that leads through all of them; ``mel``: (T, MEL_BANDS) log energies
    at FEATURE_FPS. Beats follow a new tempo early or late, so a song begins where the sound changes most near there.
    """
    changes = [float(times[at]) for at in _changes_of_tempo(times)]
    total = np.concatenate([np.zeros((1, mel.shape[1])), np.cumsum(mel, axis=0, dtype=np.float64)])
    middles = [(before + after) / 2.0 for before, after in pairwise([0.0, *changes, len(mel) / FEATURE_FPS])]
    begins = [
        _change_of_sound(total, max(low, at - _NEAR), min(high, at + _NEAR))
        for at, (low, high) in zip(changes, pairwise(middles), strict=True)
    ]
    # Silence is no song: it belongs to the one before it, or to the first one.
    levels, loud = mel.max(axis=1), float(np.percentile(mel, 95))
    sounding = [
        begin
        for begin, end in pairwise([0.0, *begins, len(mel) / FEATURE_FPS])
        if np.median(levels[round(begin * FEATURE_FPS) : round(end * FEATURE_FPS)]) > loud - _SILENCE
    ]
    return [0.0, *sounding[1:]]


def _changes_of_tempo(times: Array) -> list[int]:
    """The beats from which on the tempo is another, ascending."""
    octaves = np.log2(np.diff(times))
    if len(octaves) < 2 * _SHORTEST:
        return []
    medians = np.median(sliding_window_view(octaves, _AROUND), axis=-1)
    # (B,) octaves by which the tempo after a beat differs from the one before it
    step = np.zeros(len(times))
    step[_AROUND : len(medians)] = np.abs(medians[_AROUND:] - medians[:-_AROUND])
    step[:_SHORTEST] = step[len(step) - _SHORTEST :] = 0.0
    found = []
    while step.max() > ANOTHER_TEMPO:
        found.append(int(np.argmax(step)))
        step[max(found[-1] - _SHORTEST, 0) : found[-1] + _SHORTEST] = 0.0
    return sorted(found)


def _change_of_sound(total: Array, low: float, high: float) -> float:
    """The second between ``low`` and ``high`` at which the mean of what follows differs most from what precedes.

    ``total``: (T + 1, MEL_BANDS) sums of log energies up to each frame.
    """
    here = np.arange(round(low * FEATURE_FPS) + 1, round(high * FEATURE_FPS))
    before = np.maximum(here - round(_COMPARED * FEATURE_FPS), 0)
    after = np.minimum(here + round(_COMPARED * FEATURE_FPS), len(total) - 1)
    earlier = (total[here] - total[before]) / (here - before)[:, None]
    later = (total[after] - total[here]) / (after - here)[:, None]
    return float(here[np.argmax(np.linalg.norm(later - earlier, axis=1))]) / FEATURE_FPS
