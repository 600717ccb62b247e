"""Songs as the baselines hear them: what the papers take, computed by librosa, 30 frames a second."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np

from ..audio.decode import decode
from ..audio.spectrum import Floats

FPS = 30
WIDTHS = {"spectrogram": 64, "mfcc": 20, "light": 35}

_HOP = 512
_RATE = FPS * _HOP  # 15,360 Hz: a hop is a frame of motion


def listen(song: Path, kinds: set[str]) -> dict[str, Floats]:
    """Features (T, WIDTHS[kind]) float32 of a song by kind, frame k centred at k / 30 s.

    spectrogram: log mel energies, dB. mfcc: 20 coefficients. light: the 35 "baseline features" of EDGE (Tseng et
    al., 2023) and AIST++ (Li et al., 2021): onset strength, 20 MFCC, 12 chroma (CENS), onset peaks and
    beats as 0 or 1. Raises AudioError for what can't be read.
    """
    sound = decode(song)
    samples = librosa.resample(sound.samples, orig_sr=sound.rate, target_sr=_RATE)
    frames = round(sound.duration * FPS)
    found = {}
    if "spectrogram" in kinds:
        mel = librosa.feature.melspectrogram(y=samples, sr=_RATE, hop_length=_HOP, n_mels=WIDTHS["spectrogram"])
        found["spectrogram"] = librosa.power_to_db(mel)
    if kinds & {"mfcc", "light"}:
        found["mfcc"] = librosa.feature.mfcc(y=samples, sr=_RATE, hop_length=_HOP, n_mfcc=WIDTHS["mfcc"])
    if "light" in kinds:
        onset = librosa.onset.onset_strength(y=samples, sr=_RATE, hop_length=_HOP)
        chroma = librosa.feature.chroma_cens(y=samples, sr=_RATE, hop_length=_HOP, n_chroma=12)
        peaks = librosa.onset.onset_detect(onset_envelope=onset, sr=_RATE, hop_length=_HOP)
        beats = librosa.beat.beat_track(onset_envelope=onset, sr=_RATE, hop_length=_HOP)[1]
        marks = np.zeros((2, len(onset)))
        marks[0, peaks] = marks[1, beats] = 1.0
        found["light"] = np.concatenate([onset[None], found["mfcc"], chroma, marks])
    return {kind: found[kind].T[:frames].astype(np.float32) for kind in kinds}
