"""The command line's options on what is danced."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..retarget.errors import StepsmithError

if TYPE_CHECKING:
    from .dance.controls import Controls, Keep, Part

_GROUP = "What is danced"
_FILE = "FILE[:FROM-TO][@SECOND]"

Genre = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[SECOND:]GENRE",
        help="What is danced; without it, what suits the song. Again with a second, as 20:tango, what from then on.",
        rich_help_panel=_GROUP,
    ),
]
Energy = Annotated[
    str | None,
    typer.Option(
        metavar="LEVEL",
        help="How much the dancer moves, -2.5 to 2.5, 0 as usual; or along the dance, as 0:-1,20:1.5.",
        rich_help_panel=_GROUP,
    ),
]
Candidates = Annotated[
    int, typer.Option(metavar="N", help="Make as many dances and take the best.", rich_help_panel=_GROUP)
]
StartFrom = Annotated[
    str | None,
    typer.Option(
        metavar="FILE[:FROM-TO]",
        help="Begin with this motion or pose: .npz, .pkl or .bvh; FROM-TO are seconds of it.",
        rich_help_panel=_GROUP,
    ),
]
KeepWhole = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        metavar=_FILE,
        help="Hold this motion from a second of the dance on; what is between is danced. May be given several times.",
        rich_help_panel=_GROUP,
    ),
]
KeepUpper = Annotated[
    list[str] | None,
    typer.Option(metavar=_FILE, help="The same for spine, arms and head; the rest is danced.", rich_help_panel=_GROUP),
]
KeepLower = Annotated[
    list[str] | None,
    typer.Option(metavar=_FILE, help="The same for pelvis and legs; the rest is danced.", rich_help_panel=_GROUP),
]
Loop = Annotated[
    bool, typer.Option("--loop", help="End as the dance begins, after whole bars.", rich_help_panel=_GROUP)
]
Radius = Annotated[
    float | None, typer.Option(metavar="METRES", help="Stay this near to the start.", rich_help_panel=_GROUP)
]

_NUMBER = r"\d+(?:\.\d+)?"
# DOTALL, since a file's name may hold a line break.
_KEEP = re.compile(rf"(?P<file>.*?)(?::(?P<first>{_NUMBER})-(?P<last>{_NUMBER}))?(?:@(?P<at>{_NUMBER}))?", re.DOTALL)
_LATER = re.compile(rf"(?P<second>{_NUMBER}):(?P<genre>.+)")


def split_genres(words: Sequence[str]) -> tuple[str | None, tuple[tuple[float, str], ...]]:
    """The first genre, None for what suits, and the changes (second, genre).

    Raises StepsmithError for two first ones.
    """
    first, changes = None, []
    for word in words:
        if later := _LATER.fullmatch(word):
            changes.append((float(later["second"]), later["genre"]))
        elif first is None:
            first = word
        else:
            raise StepsmithError(f"“{first}” and “{word}” can't both be danced first: write --genre 20:{word}.")
    return first, tuple(sorted(changes))


def read_controls(
    *,
    changes: tuple[tuple[float, str], ...] = (),
    energy: str | None = None,
    candidates: int = 1,
    start_from: str | None = None,
    keep: Sequence[str] = (),
    keep_upper: Sequence[str] = (),
    keep_lower: Sequence[str] = (),
    loop: bool = False,
    radius: float | None = None,
    mirror: bool = False,
) -> Controls:
    """What the options ask for, its motion files read. Raises StepsmithError where they make no sense."""
    from .dance.controls import Controls

    if start_from is not None and not Path(start_from).is_file() and _said(start_from)["at"] is not None:
        raise StepsmithError(f"“{start_from}” won't do: the dance starts with it, so leave its @SECOND out.")
    kept = [_keep(text, "all") for text in ([start_from] if start_from else []) + list(keep)]
    kept += [_keep(text, "upper") for text in keep_upper]
    kept += [_keep(text, "lower") for text in keep_lower]
    return Controls(changes, _energy(energy), tuple(kept), loop, radius, mirror, candidates)


def _energy(text: str | None) -> float | tuple[tuple[float, float], ...] | None:
    if text is None:
        return None
    try:
        if ":" not in text:
            return float(text)
        points = (point.split(":") for point in text.split(","))
        return tuple((float(second), float(level)) for second, level in points)
    except ValueError as error:
        form = "--energy takes a number, or seconds and numbers, as 0:-1,20:1.5"
        raise StepsmithError(f"“{text}” won't do: {form}.") from error


def _said(text: str) -> re.Match[str]:
    said = _KEEP.fullmatch(text)
    assert said is not None  # anything is at least a file's name
    return said


def kept_file(text: str) -> Path:
    """The file of an option FILE[:FROM-TO][@SECOND]; one whose name looks like more than a name is meant by it."""
    return Path(text) if Path(text).is_file() else Path(_said(text)["file"])


def _keep(text: str, part: Part) -> Keep:
    from ..retarget.files import load_motion
    from .dance.controls import Keep

    said, file = _said(text), kept_file(text)
    motion = load_motion(file)
    if said["first"] is not None and file != Path(text):
        first, last = (round(float(said[name]) * motion.fps) for name in ("first", "last"))
        last = len(motion) - 1 if last == len(motion) else last  # its end, as it is told
        if not first <= last < len(motion):
            raise StepsmithError(
                f"{file.name} has no seconds {said['first']} to {said['last']}: it lasts {motion.duration:.2f} s."
            )
        motion = motion.slice(first, last + 1)
    return Keep(motion, float(said["at"] or 0.0) if file != Path(text) else 0.0, part)
