"""Samples to frames: mel bands, onsets by band, chroma. Numpy alone, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..progress import Progress, silent
from .decode import Sound

FEATURE_FPS = 30
MEL_BANDS = 32
ONSET_FPS = 90  # frames a second in which onsets and beats are found; 3 to a feature frame

Floats = NDArray[np.float32]

_WINDOW = 1024  # samples at 22,050 Hz: 46 ms
_BANDS = 72  # mel bands in which onsets are found
_BLOCK = 2048  # frames transformed at once
_GAIN = 1000.0  # log(1 + gain * magnitude): soft notes count too, noise does not
_LAG = 2  # onset frames over which a rise is measured: 22 ms
_GROUPS = (0.0, 180.0, 700.0, 3000.0, 11025.0)  # Hz; edges of bass, low, middle and high onsets


@dataclass(frozen=True)
class Spectrum:
    """What one pass over the sound yields.

    ``mel``: (T, MEL_BANDS) log energies at FEATURE_FPS, not yet standardised. ``flux``: (N, 4) onset
    strength in bass, low, middle and high bands at ONSET_FPS. Frame k is centred at k / rate seconds.
    """

    mel: Floats
    flux: Floats


def mel_filters(bands: int, rate: int, window: int, low: float = 30.0) -> Floats:
    """Triangular mel filters, (window / 2 + 1, bands), each with the sum 1.

    Mel scale of O'Shaughnessy: 2595 log10(1 + f / 700).
    """
    edges = 700.0 * (10.0 ** (np.linspace(_mel(low), _mel(rate / 2), bands + 2) / 2595.0) - 1.0)
    frequencies = np.fft.rfftfreq(window, 1.0 / rate)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequencies - left) / (centre - left), (right - frequencies) / (right - centre)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    # Low filters are narrower than a bin: they take the nearest one.
    nearest = np.argmin(np.abs(frequencies - centre), axis=0)
    filters[nearest, np.arange(bands)] = np.maximum(filters[nearest, np.arange(bands)], 1e-3)
    return (filters / filters.sum(axis=0)).astype(np.float32)


def _mel(frequency: float) -> float:
    return float(2595.0 * np.log10(1.0 + frequency / 700.0))


def magnitudes(sound: Sound, window: int, hop: int) -> Iterator[Floats]:
    """Blocks of magnitude spectra (frames, window / 2 + 1); frame k is centred at sample k * hop."""
    count = -(-len(sound.samples) // hop)
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32) * (2.0 / window)
    for first in range(0, count, _BLOCK):
        frames = min(_BLOCK, count - first)
        begin = first * hop - window // 2
        end = begin + (frames - 1) * hop + window
        samples = sound.samples[max(begin, 0) : end]
        samples = np.pad(samples, (max(-begin, 0), end - max(begin, 0) - len(samples)))
        cut = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]
        yield np.abs(np.fft.rfft(cut * hann, axis=1)).astype(np.float32)


def spectrum(sound: Sound, progress: Progress = silent) -> Spectrum:
    """Mel bands and onsets of a whole sound in one pass over its short-time spectra."""
    hop = sound.rate // ONSET_FPS
    step = ONSET_FPS // FEATURE_FPS
    coarse = mel_filters(MEL_BANDS, sound.rate, _WINDOW)
    fine = mel_filters(_BANDS, sound.rate, _WINDOW)
    centres = np.fft.rfftfreq(_WINDOW, 1.0 / sound.rate)[np.argmax(fine, axis=0)]
    group = np.searchsorted(_GROUPS, centres, side="right") - 1
    members = (group[:, None] == np.arange(len(_GROUPS) - 1)).astype(np.float32)
    members /= members.sum(axis=0)

    total = -(-len(sound.samples) // hop)
    mel, flux, done = [], [], 0
    before = np.zeros((_LAG, _BANDS), dtype=np.float32)
    for block in magnitudes(sound, _WINDOW, hop):
        mel.append(np.log(block[-done % step :: step] @ coarse + 1e-5))
        bands = np.concatenate([before, np.log1p(_GAIN * (block @ fine))])
        flux.append(np.maximum(bands[_LAG:] - _widened(bands[:-_LAG]), 0.0) @ members)
        before = bands[-_LAG:]
        done += len(block)
        progress(done / total, "Listening")
    flux[0][:_LAG] = 0.0  # the sound's beginning is no onset
    return Spectrum(np.concatenate(mel), np.concatenate(flux))


def _widened(bands: Floats) -> Floats:
    """Each band's maximum with its neighbours, so that vibrato is not taken for an onset (Böck & Widmer, 2013)."""
    wide = bands.copy()
    np.maximum(wide[:, 1:], bands[:, :-1], out=wide[:, 1:])
    np.maximum(wide[:, :-1], bands[:, 1:], out=wide[:, :-1])
    return wide


def chroma(sound: Sound, hop: int) -> Floats:
    """Energy of the 12 pitch classes between 65 Hz and 2.1 kHz, (frames, 12), rows of length 1.

    The square root of the magnitude is summed, so that chords show through loud single notes.
    """
    window = 4096
    frequencies = np.fft.rfftfreq(window, 1.0 / sound.rate)
    used = (frequencies > 65.0) & (frequencies < 2100.0)
    pitch = 12.0 * np.log2(frequencies[used] / 440.0)
    classes = np.arange(12)
    distance = (pitch[:, None] - classes + 6.0) % 12.0 - 6.0
    filters = np.exp(-0.5 * (distance / 0.35) ** 2).astype(np.float32) / frequencies[used][:, None] ** 0.5
    rows = np.concatenate([np.sqrt(block[:, used]) @ filters for block in magnitudes(sound, window, hop)])
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)).astype(np.float32)
