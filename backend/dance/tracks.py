"""Recorded dances as the model learns from them: random windows of features and of what is heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...retarget.rotations import Array
from ..audio import AudioError, Music, analyse
from ..progress import Progress, silent
from . import representation
from .condition import ENERGY, MEL, MIRRORED, condition
from .energy import measure_energy
from .model import ModelConfig
from .sources import Dance, Skip, ignore
from .timing import FIGURES, set_to_music

# Motion is stored at twice the model's rate, so that playing it at another speed loses little.
STORE_FPS = 60.0


@dataclass(frozen=True)
class Track:
    """A dance ready for training: features (T, 152) at 60 fps, plain and mirrored, their energy (T,), and the
    music in its time."""

    features: tuple[Array, Array]
    energy: Array
    music: Music
    genre: int

    @property
    def seconds(self) -> float:
        return (len(self.features[0]) - 1) / STORE_FPS


def prepare(
    dances: Sequence[Dance], genres: Sequence[str], progress: Progress = silent, skip: Skip = ignore
) -> list[Track]:
    """Features of dances of ``genres``, which must be at 60 fps, and what they are danced to.

    ``skip`` hears of dances whose songs can't be read. Memory: 5 MB a minute, beside that of the dances.
    """
    heard: dict[tuple[Path, int | None], Music | None] = {}
    kept, songs = [], []
    for number, dance in enumerate(dances):
        progress(number / len(dances), f"Listening to the song of {dance.name}" if dance.song else dance.name)
        meter = FIGURES[dance.genre].meter if dance.genre in FIGURES else None
        if dance.song is not None and (dance.song, meter) not in heard:
            try:
                heard[dance.song, meter] = analyse(dance.song, meter=meter)
            except AudioError as error:
                heard[dance.song, meter] = None
                skip(f"{dance.song.name}: {error}")
        song = None if dance.song is None else heard[dance.song, meter]
        if dance.song is None or song is not None:
            kept.append(dance)
            songs.append(song)
    tracks = []
    for dance, music in zip(kept, set_to_music(kept, songs), strict=True):
        features = representation.encode(dance.motion)
        energy = measure_energy(dance.motion.positions(), STORE_FPS)
        both = features, representation.mirror(features)
        tracks.append(Track(both, energy, music, genres.index(dance.genre)))
    return tracks


class Windows:
    """Random windows of tracks, drawn evenly over time: mirrored, faster and slower, sound disturbed."""

    def __init__(self, tracks: Sequence[Track], config: ModelConfig, seed: int) -> None:
        self.tracks, self.config = tracks, config
        self.random = np.random.default_rng(seed)
        lengths = np.array([track.seconds for track in tracks])
        self.share = lengths / lengths.sum()

    def batch(self, size: int, augment: bool = True) -> dict[str, torch.Tensor]:
        """features (B, T, 152) in real units, cues (B, T, 44), genre (B,), heard (B,)."""
        rows = [self._one(augment) for _ in range(size)]
        return {
            "features": torch.from_numpy(np.stack([r[0] for r in rows])),
            "cues": torch.from_numpy(np.stack([r[1] for r in rows])),
            "genre": torch.tensor([r[2] for r in rows]),
            "heard": torch.tensor([r[3] for r in rows]),
        }

    def _one(self, augment: bool) -> tuple[Array, Array, int, bool]:
        pick, config = self.random, self.config
        track = self.tracks[pick.choice(len(self.tracks), p=self.share)]
        speed = float(np.exp(pick.uniform(-0.33, 0.26))) if augment and pick.random() < 0.5 else 1.0
        # A track that is too short to be played so fast is played as fast as it can be.
        speed = min(speed, track.seconds * config.fps / (config.window - 1))
        span = (config.window - 1) / config.fps * speed
        times = pick.uniform(0.0, track.seconds - span) + np.arange(config.window) / config.fps * speed
        mirrored = augment and pick.random() < 0.5
        features = representation.retimed(track.features[int(mirrored)], times * STORE_FPS, speed)
        energy = np.interp(times * STORE_FPS, np.arange(len(track.energy)), track.energy) + np.log2(speed)
        cues = condition(track.music, times, speed, energy)
        # Dances are not symmetric: a model that is told learns from both hands and dances as the dancers do
        # (Karras et al., "Elucidating the Design Space of Diffusion Models", 2022, on augmentation).
        cues[:, MIRRORED] = mirrored
        if augment:
            if track.music.mel.any():
                cues = self._disturb(cues)
            if pick.random() < 0.2:
                cues[:, ENERGY] = 0.0
        heard = not (augment and pick.random() < 0.1)
        genre = len(config.genres) if augment and pick.random() < 0.15 else track.genre
        return features, cues, genre, heard

    def _disturb(self, cues: Array) -> Array:
        """The sound as another recording might have it, or without its spectrum: no song is learnt by heart."""
        pick = self.random
        if pick.random() < 0.5:
            cues[:, : MEL.stop + 1] = 0.0  # onsets too
        else:
            tilt = pick.normal(0.0, 0.4, (1, cues[:, MEL].shape[1]))
            cues[:, MEL] += (tilt + pick.normal(0.0, 0.3, cues[:, MEL].shape)).astype(np.float32)
        return cues
