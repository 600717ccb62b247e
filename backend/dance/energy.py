"""How much a dancer moves: measured for training, drawn for a new dance."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ...retarget.rotations import Array

# Energies are octaves: log2 of the joints' mean speed in m/s, smoothed over time.
_SMOOTHING = 2.0  # s, sigma
_STILL = 0.02  # m/s, what standing still counts as
_SWELL = 0.5  # correlation of a dance's energy with the loudness of its song
_LOUD = 0.4  # swell of a song, in the unit of ``Music.mel``, that makes one deviation of energy
_RANGE = 2.5  # deviations beyond which nothing is asked of the model


def measure_energy(positions: Array, fps: float) -> Array:
    """(T,) energy of joints (T, 24, 3) in metres."""
    speed = np.linalg.norm(np.diff(positions, axis=0), axis=-1).mean(axis=1) * fps
    speed = np.concatenate([speed, speed[-1:]])
    return np.log2(gaussian_filter1d(speed, _SMOOTHING * fps) + _STILL)


def draw_energy(
    usual: tuple[float, float],
    loudness: Array,
    fps: float,
    random: np.random.Generator,
    level: float | Array = 0.0,
    loop: bool = False,
) -> Array:
    """(T,) energy for a dance, varying as that of real dances does, in part with the song.

    ``usual``: mean and deviation of the genre's energy. ``loudness``: (T,) mean of the
    song's mel bands, as in ``Music.mel``, at ``fps``.
    ``level``: how many deviations more or less than usual, one number or (T,).
    ``loop``: the last frame is followed by the first.
    """
    sigma = _SMOOTHING * fps
    # filtered white noise of deviation 1
    margin = 0 if loop else round(4 * sigma)
    noise = gaussian_filter1d(random.standard_normal(len(loudness) + 2 * margin), sigma, mode="wrap")
    noise = noise[margin:][: len(loudness)] * np.sqrt(2.0 * np.sqrt(np.pi) * sigma)
    swell = gaussian_filter1d(loudness - loudness.mean(), sigma, mode="wrap" if loop else "reflect") / _LOUD
    wave = _SWELL * np.clip(swell, -2.0, 2.0) + np.sqrt(1.0 - _SWELL**2) * noise
    mean, deviation = usual
    return mean + deviation * np.clip(wave + level, -_RANGE, _RANGE)
