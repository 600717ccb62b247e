"""The command line's options on how a motion becomes a rig's keys, as Blender's process takes them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..retarget.errors import StepsmithError

# That of ``retarget.solve``, which would load numpy.
FeetMode = Literal["auto", "always", "never"]

Map = Annotated[
    Path | None, typer.Option("--map", metavar="PRESET.json", help="A bone map saved in Blender's panel, for --rig.")
]
Feet = Annotated[FeetMode, typer.Option(help="Keep planted feet from sliding.")]
InPlace = Annotated[bool, typer.Option("--in-place", help="Dance on the spot.")]
Place = Annotated[str | None, typer.Option(metavar="X,Y", help="Where the dancer stands first, in units of the scene.")]
Heading = Annotated[float | None, typer.Option(metavar="DEGREES", help="Where the dancer faces first; 0 is -Y.")]
Reach = Annotated[bool, typer.Option("--reach", help="Hands that touch the body still do on other proportions.")]
Mirror = Annotated[bool, typer.Option("--mirror", help="Exchange left and right.")]
Keys = Annotated[
    str | None,
    typer.Option(
        metavar="DEG,MM", help="Leave keys out while the pose is off by no more; without it, a key on every frame."
    ),
]


@dataclass(frozen=True)
class Keying:
    """What was asked for. Raises StepsmithError where it makes no sense.

    ``place``: "X,Y". ``keys``: "DEGREES,MILLIMETRES".
    """

    preset: Path | None = None
    feet: FeetMode = "auto"
    in_place: bool = False
    place: str | None = None
    heading: float | None = None
    reach: bool = False
    mirror: bool = False
    keys: str | None = None

    def __post_init__(self) -> None:
        if self.preset is not None and not self.preset.is_file():
            raise StepsmithError(f"There is no bone map {self.preset}: check the path.")
        if self.place is not None:
            _pair(self.place, "--place takes two numbers, as 1.5,-2")
        if self.heading is not None and not math.isfinite(self.heading):
            raise StepsmithError(f"“{self.heading}” won't do: --heading takes degrees, as -90.")
        if (
            self.keys is not None
            and min(_pair(self.keys, form := "--keys takes degrees and millimetres, as 0.5,5")) <= 0
        ):
            raise StepsmithError(f"“{self.keys}” won't do: {form}, above 0.")

    def for_scenes(self) -> str | None:
        """An option that was given and says how keys are made, which files of motion don't have; None without one."""
        plain, options = Keying(), {"preset": "map"}
        for name in (field.name for field in fields(self) if field.name != "mirror"):
            if getattr(self, name) != getattr(plain, name):
                return "--" + options.get(name, name).replace("_", "-")
        return None

    def arguments(self) -> list[str]:
        """As the exporter reads them."""
        words = ["--feet", self.feet]
        for name in ("in_place", "reach", "mirror"):
            if getattr(self, name):
                words.append("--" + name.replace("_", "-"))
        # With "=", since a number may begin with a minus sign.
        for option, value in (("place", self.place), ("heading", self.heading), ("keys", self.keys)):
            if value is not None:
                words.append(f"--{option}={value}")
        if self.preset is not None:
            words += ["--map", str(self.preset.absolute())]
        return words


def _pair(text: str, form: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in text.split(","))
        finite = math.isfinite(first) and math.isfinite(second)
    except ValueError as error:
        raise StepsmithError(f"“{text}” won't do: {form}.") from error
    if not finite:
        raise StepsmithError(f"“{text}” won't do: {form}.")
    return first, second
