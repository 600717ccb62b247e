"""What a user may ask of a dance beyond its song, genre and seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from ...retarget.errors import StepsmithError
from ...retarget.motion import Motion

Part = Literal["all", "upper", "lower"]

MOST_CANDIDATES = 16
# Deviations from the genre's usual energy beyond which the model has seen no dance.
MOST_ENERGY = 2.5


@dataclass(frozen=True)
class Keep:
    """A motion that the dance must hold as it is, its first frame at second ``at`` of the dance.

    ``part``: "all" keeps the whole body, and where it stands and faces in the world; "lower" the pelvis, the
    legs and where they are; "upper" the rotations of spine, arms and head, on whatever pelvis comes. A motion
    of one frame is a pose. Raises StepsmithError where that makes no sense.
    """

    motion: Motion
    at: float = 0.0
    part: Part = "all"

    def __post_init__(self) -> None:
        if self.part not in get_args(Part):
            raise StepsmithError(f"No part of the body is called “{self.part}”: choose {', '.join(get_args(Part))}.")
        if not (math.isfinite(self.at) and self.at >= 0.0):
            raise StepsmithError(f"A motion can't be kept from second {self.at:g} on: the dance starts at 0.")


@dataclass(frozen=True)
class Controls:
    """Wishes for one dance. Raises StepsmithError, in its making or where it is used, for those that can't be met.

    ``changes``: (second, genre) from when on another genre is danced. ``energy``: how much the dancer moves,
    in deviations from the genre's usual: one number, or (second, number) between which it goes
    evenly; None lets the song decide. ``keep``: motions that the dance holds; from one at second 0 it
    starts, between two it finds its way. ``loop``: the last frame flows into the first, in as many whole bars as
    song and dance have. ``radius``: metres from where it starts that the pelvis never leaves. ``mirror``: left and
    right exchanged, but for what is kept. ``candidates``: as many dances are made, with seeds that follow each other,
    and the best is taken; see ``rank``.
    """

    changes: tuple[tuple[float, str], ...] = ()
    energy: float | tuple[tuple[float, float], ...] | None = None
    keep: tuple[Keep, ...] = ()
    loop: bool = False
    radius: float | None = None
    mirror: bool = False
    candidates: int = 1

    def __post_init__(self) -> None:
        _check_rising("genre changes", [second for second, _ in self.changes])
        if self.changes and self.changes[0][0] <= 0.0:
            raise StepsmithError("A genre can change after second 0 only: name the first one as the genre.")
        if self.energy == ():
            raise StepsmithError(
                "There are no energies to go between: give one at least, or leave the choice to the song."
            )
        levels = self.energy if isinstance(self.energy, tuple) else ((0.0, self.energy or 0.0),)
        _check_rising("energies", [second for second, _ in levels])
        for _, level in levels:
            if not abs(level) <= MOST_ENERGY:
                raise StepsmithError(
                    f"An energy of {level:g} won't do: choose one from -{MOST_ENERGY} to {MOST_ENERGY}."
                )
        if self.radius is not None and not (math.isfinite(self.radius) and self.radius > 0.0):
            raise StepsmithError(f"A circle of {self.radius:g} m has no room: give a radius above 0.")
        if not 1 <= self.candidates <= MOST_CANDIDATES:
            raise StepsmithError(f"{self.candidates} dances can't be compared: choose from 1 to {MOST_CANDIDATES}.")


def _check_rising(what: str, seconds: Sequence[float]) -> None:
    for before, after in pairwise(seconds):
        if not before < after:
            raise StepsmithError(f"The {what} are out of order: second {after:g} comes after second {before:g}.")
    if not all(math.isfinite(second) and second >= 0.0 for second in seconds):
        raise StepsmithError(f"The {what} are at seconds of the dance, from 0 on.")
