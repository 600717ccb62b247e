"""What may be asked of a dance beyond its song, genre and seed: as the backend takes it, and as the command line says
it. No bpy here.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from ..retarget.errors import StepsmithError
from ..retarget.files import motion_to_bytes
from ..retarget.motion import Motion
from ..retarget.telling import heard_and_danced

Part = Literal["all", "upper", "lower"]
Energy = float | tuple[tuple[float, float], ...]

# What a Motion calls the frame of the scene on which it must begin, since it holds what the dancer does there.
FIRST_FRAME = "first_frame"
# The frames that Blender has: MINAFRAME and MAXFRAME of its DNA_scene_types.h.
_EARLIEST_FRAME, _LATEST_FRAME = -1048574, 1048574

MOST_ENERGY = 2.5  # deviations from the genre's usual energy
MOST_CANDIDATES = 16

_LATER = re.compile(r"(?P<second>\d+(?:\.\d+)?):(?P<genre>.+)")
_RANGE = re.compile(r"(?P<first>-?\d+)(?:-(?P<last>-?\d+))?(?::(?P<part>upper|lower))?")


@dataclass(frozen=True)
class Kept:
    """A motion that the dance holds from its second ``at`` on, as the bytes of our .npz.

    ``part``: the whole body; spine, arms and head; or pelvis and legs.
    """

    data: bytes
    at: float = 0.0
    part: Part = "all"

    @classmethod
    def of(cls, motion: Motion, at: float, part: Part) -> Kept:
        return cls(motion_to_bytes(motion), at, part)

    @property
    def name(self) -> str:
        """SHA-256 of the bytes, by which the backend knows what was sent."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Controls:
    """Wishes for one dance.

    ``energy``: how much the dancer moves, -2.5 to 2.5 about the genre's usual: one number, or (second, number) between
    which it goes evenly; None as the music has it. ``loop``: the last frame flows into the first. ``radius``:
    metres from the start that the dancer stays within. ``candidates``: of so many dances the best is taken.
    ``changes``: (second, genre) from when on another genre is danced.
    ``keep``: motions that the dance holds; ``first_frame``: the frame of the scene that they count from.
    """

    energy: Energy | None = None
    loop: bool = False
    radius: float | None = None
    candidates: int = 1
    changes: tuple[tuple[float, str], ...] = ()
    keep: tuple[Kept, ...] = ()
    first_frame: int | None = None

    def wishes(self) -> dict[str, Any]:
        """What is asked for, as a request says it; empty where nothing is."""
        asked: dict[str, Any] = {
            "energy": self.energy,
            "loop": self.loop or None,
            "radius": self.radius,
            "candidates": self.candidates if self.candidates > 1 else None,
            "changes": self.changes or None,
            "keep": [{"motion": kept.name, "at": kept.at, "part": kept.part} for kept in self.keep] or None,
        }
        return {name: value for name, value in asked.items() if value is not None}


def told_of(motion: Motion) -> list[str]:
    """Sentences on what was heard of the song, what is danced, and which of several candidates it is, as the motion's
    ``meta`` says."""
    return [*heard_and_danced(motion.meta), *ranking(motion)]


def ranking(motion: Motion) -> list[str]:
    """A sentence on which of several candidates a dance is, as its ``meta`` says; none where there was one alone."""
    seeds = motion.meta.get("ranked")
    if not isinstance(seeds, list) or len(seeds) < 2 or not all(isinstance(seed, int) for seed in seeds):
        return []
    then = ", ".join(map(str, seeds[1:]))
    return [f"Seed {seeds[0]} is the best of {len(seeds)}, then {then}. For another of them take its seed, best of 1."]


def must_begin(motion: Motion, otherwise: int | None = None) -> int | None:
    """The frame of the scene on which a motion must begin, as its ``meta`` says; ``otherwise`` where that names none
    that Blender has, since anybody may have written it."""
    frame = motion.meta.get(FIRST_FRAME)
    if isinstance(frame, int) and not isinstance(frame, bool) and _EARLIEST_FRAME <= frame <= _LATEST_FRAME:
        return frame
    return otherwise


@dataclass(frozen=True)
class Frames:
    """Frames of the scene, ``first`` to ``last``, in which ``part`` of what the dancer does now is kept."""

    first: int
    last: int
    part: Part = "all"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Have ``parser`` read energy, loop, radius, candidates and keep."""
    group = parser.add_argument_group("what is danced")
    group.add_argument(
        "--genre",
        action="append",
        default=[],
        metavar="[SECOND:]GENRE",
        help="without it, what suits the song; again with a second, as 20:tango, what is danced from then on",
    )
    group.add_argument(
        "--energy",
        type=_energy,
        metavar="LEVEL",
        help="how much the dancer moves, -2.5 to 2.5, 0 as usual; or along the dance, as 0:-1,20:1.5; without it, as"
        " the music has it",
    )
    group.add_argument("--loop", action="store_true", help="end as the dance begins, after whole bars")
    group.add_argument("--radius", type=_radius, metavar="DISTANCE", help="stay this near to the start, scene units")
    group.add_argument("--candidates", type=_candidates, default=1, metavar="N", help="take the best of N dances")
    group.add_argument(
        "--keep",
        action="append",
        type=_frames,
        default=[],
        metavar="FIRST-LAST[:PART]",
        help="hold what the rig does in these frames of the scene, or its upper or lower body alone; several times for"
        " several stretches; what is between is danced",
    )


def split_genres(words: Sequence[str]) -> tuple[str | None, tuple[tuple[float, str], ...]]:
    """The genre danced first, None for what suits, and the changes (second, genre), of "GENRE" and "SECOND:GENRE".

    Raises StepsmithError for two first ones, or two at one second.
    """
    changes = sorted((float(said["second"]), said["genre"]) for word in words if (said := _LATER.fullmatch(word)))
    first = [word for word in words if not _LATER.fullmatch(word)]
    if len(first) > 1:
        raise StepsmithError(f"{first[0]} and {first[1]} can't both be danced first: write --genre 20:{first[1]}.")
    for (before, _), (after, genre) in pairwise([(0.0, ""), *changes]):
        if not before < after:
            raise StepsmithError(
                f"The genre can't change to {genre} at {after:g} s: give each change a second of its own, above 0."
            )
    return first[0] if first else None, tuple(changes)


def _energy(text: str) -> Energy:
    with contextlib.suppress(ValueError):
        if ":" not in text:
            return _level(text)
        points = tuple((float(second), _level(level)) for second, level in (p.split(":") for p in text.split(",")))
        seconds = [-math.ulp(0.0), *(second for second, _ in points), math.inf]
        if all(before < after for before, after in pairwise(seconds)):
            return points
    raise argparse.ArgumentTypeError(
        f"{text} is no energy from -{MOST_ENERGY} to {MOST_ENERGY}, nor seconds with one each, as 0:-1,20:1.5"
    )


def _level(text: str) -> float:
    if abs(level := float(text)) <= MOST_ENERGY:
        return level
    raise ValueError(text)


def _radius(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0.0 < (value := float(text)) < math.inf:
            return value
    raise argparse.ArgumentTypeError(f"{text} is no distance above 0")


def _candidates(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 1 <= (value := int(text)) <= MOST_CANDIDATES:
            return value
    raise argparse.ArgumentTypeError(f"{text} is no whole number from 1 to {MOST_CANDIDATES}")


def _frames(text: str) -> Frames:
    if said := _RANGE.fullmatch(text):
        first, last = int(said["first"]), int(said["last"] or said["first"])
        parts: dict[str | None, Part] = {None: "all", "upper": "upper", "lower": "lower"}
        if first <= last:
            return Frames(first, last, parts[said["part"]])
    raise argparse.ArgumentTypeError(f"{text} are no frames, as 1-40 or 1-40:upper")
