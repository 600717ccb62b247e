"""Which beats make a bar: how well a series of beats, in a metre, explains what is heard on and between them.

A linear score of few, plain cues, the same for every song: strokes and new harmonies on beats, between them,
and on each place of the bar; how alike beats are that lie some beats apart; a prior over the tempi people
dance to. The weights (``bar_weights``) were fitted by conditional logit to songs of known beats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import bar_weights as weights
from .decode import Sound
from .spectrum import FEATURE_FPS, ONSET_FPS, chroma

Array = NDArray[np.float64]

CUES = 4  # onsets low, in the middle, high; new harmony
MIDDLE_TEMPO = 110.0  # beats a minute
LAGS = (1, 2, 3, 4, 6, 8)  # beats after which bars and their parts repeat
_NEAR = 3  # frames by which a stroke may miss its beat: 33 ms
_OFF = (0.5, 0.58, 0.667)  # where between two beats strokes fall: even to swung
_HARMONY = 12  # frames at FEATURE_FPS compared before and after: 0.4 s
_LIMITS = (-2.0, 4.0)  # of cues, in standard deviations
_JUMP = 15.0  # standard deviations of the score of a bar's beginning that a change of phase costs


@dataclass(frozen=True)
class Reading:
    """A series of beats read as bars: higher ``score`` is better; ``phase``: index of the first downbeat."""

    score: float
    meter: int
    phase: int


def cues(sound: Sound, bands: Array) -> Array:
    """What a beat may be told by, (N, CUES) at ONSET_FPS, in standard deviations.

    ``bands``: (N, 4) whitened onsets. A stroke counts within ``_NEAR`` frames.
    """
    from scipy.ndimage import maximum_filter1d

    onsets = np.stack([bands[:, 0], bands[:, 1:3].mean(axis=1), bands[:, 3]], axis=1)
    change = np.repeat(maximum_filter1d(_harmonic_change(sound), 5), ONSET_FPS // FEATURE_FPS)[: len(bands)]
    change = np.pad(change, (0, len(bands) - len(change)))
    heard = np.concatenate([maximum_filter1d(onsets, 2 * _NEAR + 1, axis=0), change[:, None]], axis=1)
    return np.clip(heard, *_LIMITS)


def _harmonic_change(sound: Sound) -> Array:
    """How much the chroma after each frame differs from that before it, (T,) at FEATURE_FPS, standardised."""
    pitches = chroma(sound, sound.rate // FEATURE_FPS).astype(np.float64)
    count = len(pitches)
    total = np.concatenate([np.zeros((1, 12)), np.cumsum(pitches, axis=0)])
    here = np.arange(count)
    after = total[np.minimum(here + _HARMONY, count)] - total[here]
    before = total[here] - total[np.maximum(here - _HARMONY, 0)]
    norms = np.linalg.norm(after, axis=1) * np.linalg.norm(before, axis=1)
    change = 1.0 - (after * before).sum(axis=1) / np.maximum(norms, 1e-9)
    told = norms > 1e-3
    told[:_HARMONY] = told[-_HARMONY:] = False
    change[~told] = change[told].mean() if told.any() else 0.0  # silence has no harmony to change from or to
    return (change - change.mean()) / (change.std() + 1e-9)


def on_and_off(heard: Array, times: Array) -> tuple[Array, Array]:
    """Cues (B, CUES) on beats at ``times`` (seconds) and the strongest ones between each beat and the next."""
    gaps = np.diff(times, append=2 * times[-1] - times[-2])

    def at(seconds: Array) -> Array:
        return heard[np.clip(np.round(seconds * ONSET_FPS).astype(int), 0, len(heard) - 1)]

    return at(times), np.max([at(times + share * gaps) for share in _OFF], axis=0)


def likeness(on: Array, off: Array) -> Array:
    """How alike beats are that lie LAGS beats apart, (len(LAGS),): mean products of standardised cues."""
    both = np.concatenate([on, off], axis=1)
    both = (both - both.mean(axis=0)) / (both.std(axis=0) + 1e-6)
    return np.array([np.mean(both[lag:] * both[:-lag]) if len(both) > lag else 0.0 for lag in LAGS])


def read(heard: Array, times: Array, meters: tuple[int, ...]) -> Reading:
    """The best metre and phase for beats at ``times``, at least two."""
    gap = times[-1] - times[-2]
    missing = max(max(meters) - len(times), 0)  # a bar can't be read from less than a bar
    on, off = on_and_off(heard, np.append(times, times[-1] + gap * np.arange(1, missing + 1)))
    alike = likeness(on, off)
    octaves = np.log2(60.0 / float(np.median(np.diff(times))) / MIDDLE_TEMPO)
    pulse = float(on.mean(axis=0) @ weights.ON + off.mean(axis=0) @ weights.OFF)
    best: Reading | None = None
    for meter in meters:
        like = _like(meter)
        prior = float(weights.TEMPO[like] @ [1.0, octaves, octaves**2] + weights.LIKENESS[like] @ alike)
        place = _places(meter)
        for phase in range(meter):
            played = np.array([on[(phase + k) % meter :: meter].mean(axis=0) for k in range(meter)])
            pattern = float((played * place).sum())
            if best is None or pulse + prior + pattern > best.score:
                best = Reading(pulse + prior + pattern, meter, phase)
    assert best is not None
    return best


def _like(meter: int) -> int:
    """Which of the metres with weights a metre repeats like."""
    return 3 if meter % 3 == 0 else 4


def _places(meter: int) -> Array:
    """Weights (meter, CUES) of what is heard on each place of the bar; they cancel out over the bar."""
    if meter in weights.PLACES:
        return weights.PLACES[meter]
    first = weights.PLACES[_like(meter)][0]
    return np.concatenate([first[None], np.repeat(-first[None] / (meter - 1), meter - 1, axis=0)])


def bar_places(heard: Array, times: Array, meter: int) -> NDArray[np.intp]:
    """Each beat's place in its bar (B,), 0 for downbeats: the most likely ones, with few changes of phase."""
    on, _ = on_and_off(heard, times)
    scores = on @ _places(meter).T
    jump = _JUMP * scores[:, 0].std() + 1e-9
    places = np.arange(meter)
    score, back = scores[0], []
    for row in scores[1:]:
        best = int(np.argmax(score))
        kept = np.roll(score, 1)
        stays = kept >= score[best] - jump
        back.append(np.where(stays, np.roll(places, 1), best))
        score = np.where(stays, kept, score[best] - jump) + row
    path = [int(np.argmax(score))]
    for came in reversed(back):
        path.append(int(came[path[-1]]))
    return np.array(path[::-1])
