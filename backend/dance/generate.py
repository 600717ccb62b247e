"""A song's analysis in, a dance out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ... import __version__
from ...retarget.errors import StepsmithError
from ...retarget.feet import lock_feet
from ...retarget.motion import Motion
from ..audio import Music
from ..progress import Progress
from . import representation
from .condition import condition
from .model import DanceModel
from .path import stay_near
from .sampler import sample
from .weights import load_model


def generate(
    music: Music,
    *,
    genre: str | None = None,
    seed: int = 0,
    model: DanceModel | None = None,
    progress: Progress | None = None,
) -> Motion:
    """A dance of the music's length at the model's frame rate, feet on the floor, starting over the origin.

    ``genre``: one of the model's; None takes the one whose metre and tempo are nearest. ``seed``: the
    same seed gives the same dance. Raises StepsmithError for a genre the model does not know.
    """
    model = model or load_model()
    config = model.config
    style = choose_genre(music, config.genres) if genre is None else genre
    if style not in config.genres:
        raise StepsmithError(f"The model knows no genre “{style}”: choose one of {', '.join(config.genres)}.")
    frames = max(2, round(music.duration * config.fps))
    cues = condition(music, np.arange(frames) / config.fps)
    features = sample(model, cues, config.genres.index(style), seed=seed, progress=progress)
    motion = lock_feet(representation.decode(stay_near(features, config.fps), config.fps))
    return replace(
        motion,
        beats=music.beats,
        downbeats=music.downbeats,
        meta={"stepsmith": __version__, "genre": style, "seed": seed, "tempo": round(music.tempo, 2)},
    )


# Beats a minute and beats a bar of the ballroom standards.
_STANDARD = {"waltz": (87, 3), "rumba": (104, 4), "cha-cha": (122, 4), "tango": (128, 4)}


def choose_genre(music: Music, genres: tuple[str, ...]) -> str:
    """The genre whose standard tempo is nearest, in octaves, among those of the same metre."""

    def distance(genre: str) -> float:
        tempo, meter = _STANDARD[genre]
        return abs(np.log2(music.tempo / tempo)) + 10.0 * (meter != (3 if music.meter == 3 else 4))

    known = [g for g in genres if g in _STANDARD]
    return min(known, key=distance) if known else genres[0]
