"""What every source gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ....retarget.errors import StepsmithError
from ....retarget.motion import Motion

# Dances held in memory at once, at most: 3 MB a minute as motions at 60 fps, 5 MB as what a model learns from, and both
# while the one is made into the other.
MOST_HOURS = 12

# Called with a sentence that names a file left out, and why.
Skip = Callable[[str], None]


def ignore(sentence: str) -> None:
    """A Skip that says nothing."""


class DataError(StepsmithError):
    """A folder of dances that can't be used."""


class NoDancesError(DataError):
    """A folder without any dance of a split."""


@dataclass(frozen=True)
class Dance:
    """One recorded dance, or a stretch of one, with its song.

    ``song`` is None where there is none, or where the sound does not belong to the whole motion. ``start``: the
    second of the song at which the motion begins. ``in_time``: whether the dancer keeps time with the
    song, None where nobody has said so.
    """

    name: str
    genre: str
    song: Path | None
    motion: Motion
    start: float = 0.0
    in_time: bool | None = None


def about(path: Path, error: Exception) -> str:
    """What is wrong with a file, as a sentence that begins with its name."""
    return str(error) if path.name in str(error) else f"{path.name}: {error}"


def collect(dances: Iterable[Dance], place: Path, beside: float = 0.0) -> list[Dance]:
    """All of ``dances``; raises DataError where they, with ``beside`` seconds of others, are more than is sensible to
    hold in memory."""
    found, seconds = [], beside
    for dance in dances:
        seconds += dance.motion.duration
        if seconds > MOST_HOURS * 3600.0:
            holds = "and the folders before it hold" if beside else "holds"
            raise DataError(f"{place} {holds} more than {MOST_HOURS} hours of dance: train on a part of it at a time.")
        found.append(dance)
    return found


def seconds_of(dances: Iterable[Dance]) -> float:
    """How long they all last."""
    return sum(dance.motion.duration for dance in dances)
