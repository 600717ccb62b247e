"""How much a dancer moves: measured for training, drawn for a new dance."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ...retarget.rotations import Array

# Energies are octaves: log2 of the joints' mean speed in m/s, smoothed over time.
_SMOOTHING = 2.0  # s, sigma
_STILL = 0.02  # m/s, what standing still counts as
# s, sigma: what is slower than this evens out. Means of 20 s of recorded waltzes and cha-chas differ by 0.32 and 0.35
# of the energy's deviation, of dances drawn so by 0.40, and by 0.57 if nothing evened out.
_EVENING = 15.0
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
    sigma, slow = _SMOOTHING * fps, _EVENING * fps
    mode = "wrap" if loop else "reflect"
    swell = _SWELL * np.clip(gaussian_filter1d(loudness - loudness.mean(), sigma, mode=mode) / _LOUD, -2.0, 2.0)
    margin = 0 if loop else round(4 * slow)
    white = random.standard_normal(len(loudness) + 2 * margin)
    noise = gaussian_filter1d(white, sigma, mode="wrap") - gaussian_filter1d(white, slow, mode="wrap")
    # of deviation 1: the integral of the squared difference of both Gaussians
    power = 0.5 / np.sqrt(np.pi) * (1.0 / sigma + 1.0 / slow) - 2.0 / np.sqrt(2.0 * np.pi * (sigma**2 + slow**2))
    noise = noise[margin:][: len(loudness)] / np.sqrt(power)
    wave = swell + np.sqrt(max(1.0 - np.var(swell), 0.0)) * noise
    mean, deviation = usual
    return mean + deviation * np.clip(wave + level, -_RANGE, _RANGE)
