"""Several armatures at once, each with its own variation of one dance."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import bpy
import numpy as np

from ..retarget.errors import StepsmithError
from ..retarget.motion import Motion
from ..retarget.rotations import Array
from .scene import DanceResult, Options, apply_motion
from .timeline import rate_of_dance

Formation = Literal["keep", "line", "circle"]

_EVERY_KEY = Options()


@dataclass(frozen=True)
class Variation:
    """How one of many dances. ``mirror``: left and right exchanged. ``delay``: seconds it begins later.
    ``start``: (x, y) in the world where it begins; None for its own place."""

    mirror: bool = False
    delay: float = 0.0
    start: tuple[float, float] | None = None


@dataclass
class Crowd:
    """What ``dance_together`` made: results by armature name, and what went wrong, by it too."""

    results: dict[str, DanceResult] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def told(self) -> list[str]:
        """All sentences that the user should see of the results, each once: warnings with the names of the warned."""
        notes = [text for result in self.results.values() for text in result.notes]
        warned: dict[str, list[str]] = {}
        for name, result in self.results.items():
            for text in result.warnings:
                warned.setdefault(text, []).append(name)
        return [*dict.fromkeys(notes), *(f"{', '.join(names)}: {text}" for text, names in warned.items())]


def variations(
    places: Sequence[tuple[float, float]],
    *,
    mirror: bool = False,
    delay: float = 0.0,
    formation: Formation = "keep",
    spacing: float = 1.5,
) -> list[Variation]:
    """One variation for each of the dancers, who stand at ``places`` (x, y) now.

    ``mirror``: every second one dances mirrored. ``delay``: seconds that each begins after the one before.
    ``formation``: "line" along x or "circle" about the middle of all, ``spacing`` apart; "keep" leaves all
    where they stand.
    """
    if not (delay >= 0.0 and math.isfinite(delay)):
        raise StepsmithError(f"Dancers can't begin {delay:g} s after one another: give a time from 0 on.")
    if not (spacing > 0.0 and math.isfinite(spacing)):
        raise StepsmithError(f"Dancers can't stand {spacing:g} apart: give a distance above 0.")
    count = len(places)
    starts: list[tuple[float, float] | None] = [None] * count
    if formation != "keep" and count:
        starts = [(float(x), float(y)) for x, y in np.mean(places, axis=0) + _formed(count, formation) * spacing]
    return [Variation(mirror and k % 2 == 1, k * delay, start) for k, start in enumerate(starts)]


def _formed(count: int, formation: Formation) -> Array:
    """(count, 2) places about the origin, neighbours 1 apart."""
    if formation == "line" or count < 3:
        return np.column_stack([np.arange(count) - (count - 1) / 2.0, np.zeros(count)])
    angles = 2.0 * np.pi * np.arange(count) / count
    return np.column_stack([np.sin(angles), -np.cos(angles)]) / (2.0 * np.sin(np.pi / count))


def dance_together(
    context: bpy.types.Context,
    armatures: Sequence[bpy.types.Object],
    motion: Motion | Sequence[Motion],
    varied: Sequence[Variation],
    *,
    song: str | os.PathLike[str] | None = None,
    song_start: float = 0.0,
    start_frame: int | None = None,
    options: Options | Sequence[Options] = _EVERY_KEY,
) -> Crowd:
    """Make each armature dance ``motion``, or its own of several, in its variation; one that can't stops no other.

    ``options``: for all, or each armature's own; where they begin is the variations' to say.
    The first begins at ``start_frame``, the scene's first frame unless given. The song is in the sequencer
    once, and the beat markers stay with it.
    """
    scene = context.scene
    first = scene.frame_start if start_frame is None else start_frame
    crowd = Crowd()
    motions = [motion] * len(armatures) if isinstance(motion, Motion) else motion
    ways = [options] * len(armatures) if isinstance(options, Options) else options
    dancers = sorted(zip(armatures, motions, varied, ways, strict=True), key=lambda dancer: dancer[2].delay)
    for armature, own, variation, way in dancers:
        fps = rate_of_dance(scene, armature, own, way.into)
        late = round(variation.delay * fps)
        own = own.mirror() if variation.mirror else own
        # Seen from a later start, the music's beats are earlier.
        own = replace(own, beats=_earlier(own.beats, late / fps), downbeats=_earlier(own.downbeats, late / fps))
        try:
            crowd.results[armature.name] = apply_motion(
                context,
                armature,
                own,
                song=None if crowd.results else song,
                song_start=song_start + late / fps,
                start_frame=first + late,
                options=replace(way, start=variation.start),
            )
        except StepsmithError as error:
            crowd.errors[armature.name] = str(error)
    return crowd


def _earlier(seconds: Array | None, by: float) -> Array | None:
    return None if seconds is None else seconds - by
