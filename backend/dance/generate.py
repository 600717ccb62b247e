"""A song's analysis in, a dance out."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from ...retarget.motion import Motion
from ..audio import Music, Song
from ..progress import Progress, parts
from .controls import Controls
from .model import DanceModel
from .plan import plan_dance
from .rank import score
from .sampler import sample
from .weights import load_model

# Frames of dances made at once, to bound the memory: 20 minutes.
_FRAMES = 36_000


def generate(
    music: Music,
    *,
    genre: str | None = None,
    seed: int = 0,
    controls: Controls | None = None,
    model: DanceModel | None = None,
    progress: Progress | None = None,
) -> Motion:
    """A dance of the music's length at the model's frame rate, feet on the floor, starting over the origin.

    ``genre``: one of the model's; None takes the one whose metre and tempo are nearest, of a mix for each song, unless
    ``controls`` change it or loop. ``seed``: the same seed gives the same dance. ``controls``: further wishes; a loop
    lasts whole bars, and a dance that keeps motions is where they are. ``meta`` holds the seed that gives this dance
    alone, and of several candidates all their seeds, ``ranked``, the best one first.
    Raises StepsmithError for a genre the model does not know, and for controls that can't be met.
    """
    model, controls = model or load_model(), controls or Controls()
    if genre is None:
        (_, genre), *changes = choose_genres(music, model.config.genres)
        if not (controls.changes or controls.loop):
            controls = replace(controls, changes=tuple(changes))
    plan = plan_dance(music, genre, controls, model)
    seeds = [seed + number for number in range(plan.controls.candidates)]
    together = max(1, _FRAMES // len(plan.shares))
    groups = [seeds[first : first + together] for first in range(0, len(seeds), together)]
    best: Motion | None = None
    points: dict[int, float] = {}
    for group, share in zip(groups, parts(progress, len(groups)), strict=True):
        found = sample(
            model,
            [plan.cues(one) for one in group],
            plan.shares,
            seeds=group,
            loop=plan.controls.loop,
            constrain=plan.constrain if plan.constrained else None,
            progress=share,
        )
        for one, features in zip(group, found, strict=True):
            motion = plan.finish(features)
            worth = score(motion, music, plan.pace) if len(seeds) > 1 else 0.0
            if best is None or worth > max(points.values()):
                best = motion
            points[one] = worth
    assert best is not None
    ranked = sorted(points, key=lambda one: -points[one])
    length = best.duration
    return replace(
        best,
        beats=music.beats[music.beats < length],
        downbeats=music.downbeats[music.downbeats < length],
        meta=plan.facts(ranked[0]) | ({"ranked": ranked} if len(ranked) > 1 else {}),
    )


# Beats a minute and beats a bar of the ballroom standards.
_STANDARD = {"waltz": (87, 3), "rumba": (104, 4), "cha-cha": (122, 4), "tango": (128, 4)}


def choose_genres(music: Music, genres: tuple[str, ...]) -> list[tuple[float, str]]:
    """(second, genre) from when on each is danced, the first from 0 on: what suits each song of a mix."""
    chosen = [(song.start, suiting_genre(song, genres)) for song in music.each_song]
    return chosen[:1] + [after for before, after in pairwise(chosen) if after[1] != before[1]]


def suiting_genre(song: Song, genres: tuple[str, ...]) -> str:
    """Of ``genres`` the one whose standard tempo is nearest, in octaves, among those of the song's metre."""

    def distance(genre: str) -> float:
        tempo, meter = _STANDARD[genre]
        return abs(np.log2(song.tempo / tempo)) + 10.0 * (meter != (3 if song.meter == 3 else 4))

    known = [genre for genre in genres if genre in _STANDARD]
    return min(known, key=distance) if known else genres[0]
