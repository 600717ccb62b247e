"""What the model is told: one row of numbers a frame, from a Music and a wanted energy."""

from __future__ import annotations

import numpy as np

from ...retarget.rotations import Array
from ..audio import FEATURE_FPS, MEL_BANDS, Music

MEL = slice(0, MEL_BANDS)
SOUND = slice(0, MEL_BANDS + 9)
ENERGY = slice(MEL_BANDS + 9, MEL_BANDS + 11)
MIRRORED = MEL_BANDS + 11
WIDTH = MEL_BANDS + 12

# Centre and scale of energies (octaves), so that the model sees numbers near 1.
_CENTRE, _SCALE = -0.5, 0.5


def condition(music: Music, times: Array, speed: float = 1.0, energy: Array | None = None) -> Array:
    """(T, 44) float32: the sound at ``times`` (T,) seconds of the song, and the energy asked for.

    Columns: 32 of log-mel, onset strength, sine and cosine of the beat phase and of twice it, of the
    bar phase, tempo (octaves from 120 beats a minute), 1 where a bar has three beats; energy, 1 where it is given;
    1 for a mirrored dance, which only training sets.
    ``speed``: how much faster than the recording the song is played; ``times`` stay the recording's.
    ``energy``: (T,), see ``energy.py``; None leaves it to the model.
    """
    last = len(music.mel) - 1
    at = np.clip(times * FEATURE_FPS, 0, last)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, last)
    share = (at - low)[:, None].astype(np.float32)
    mel = music.mel[low] * (1 - share) + music.mel[high] * share
    onset = np.interp(at, np.arange(last + 1), music.onset)
    beat = 2 * np.pi * music.beat_phase(times)
    bar = 2 * np.pi * music.bar_phase(times)
    songs = np.array([(np.log2(song.tempo * speed / 120.0), song.meter == 3) for song in music.each_song])
    tempo, waltz = songs[music.song_at(times)].T
    rhythm = [onset, np.sin(beat), np.cos(beat), np.sin(2 * beat), np.cos(2 * beat), np.sin(bar), np.cos(bar)]
    told = np.zeros((len(times), 3))
    if energy is not None:
        told[:, 0], told[:, 1] = (energy - _CENTRE) / _SCALE, 1.0
    return np.concatenate([mel, np.stack([*rhythm, tempo, waltz], axis=1), told], axis=1).astype(np.float32)
