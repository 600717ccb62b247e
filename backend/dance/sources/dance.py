"""What every source gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ....retarget.errors import StepsmithError
from ....retarget.motion import Motion

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
