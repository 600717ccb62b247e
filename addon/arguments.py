"""The command line's options on how a motion becomes keys, shared by all that read one."""

from __future__ import annotations

import argparse
import contextlib
import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import bpy

from ..retarget.bone_maps import BoneMap, load_map
from .armature import chosen_map, read_rig
from .keys import check_animatable
from .properties import FEET
from .scene import Options


@dataclass(frozen=True)
class How:
    """How a motion becomes keys: ``options`` but for their bone map, which is that of the file ``preset``, where
    there is one."""

    options: Options = field(default_factory=Options)
    preset: Path | None = None

    def bone_map(self, armature: bpy.types.Object) -> BoneMap:
        """The preset's bone map, or the armature's own. Raises RigError where the armature can't dance by it."""
        rig = read_rig(armature)
        return chosen_map(armature, rig) if self.preset is None else load_map(self.preset, rig)

    def options_for(self, armature: bpy.types.Object) -> Options:
        """The options with the armature's bone map. Raises RigError as ``bone_map``, or where it takes no action."""
        check_animatable(armature)
        return replace(self.options, bone_map=self.bone_map(armature))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Have ``parser`` read what ``read`` makes a How of."""
    parser.add_argument("--map", type=Path, metavar="PRESET.json", help="a bone map saved by Stepsmith")
    parser.add_argument("--feet", choices=[item[0] for item in FEET], default="auto", help="lock planted feet")
    parser.add_argument("--in-place", action="store_true", help="dance on the spot")
    parser.add_argument(
        "--place", type=_pair, metavar="X,Y", help="where the dancer stands first, scene units; --place=-1,2 below 0"
    )
    parser.add_argument("--heading", type=_number, metavar="DEGREES", help="where the dancer faces first, 0 is -Y")
    parser.add_argument("--reach", action="store_true", help="hands that touch the body still do on other proportions")
    parser.add_argument("--mirror", action="store_true", help="exchange left and right")
    parser.add_argument("--repeat", action="store_true", help="play a dance that loops for ever")
    parser.add_argument(
        "--keys", type=_error, metavar="DEG,MM", help="leave keys out as long as the pose is off by no more than this"
    )


def read(given: argparse.Namespace) -> How:
    """What ``parser`` read."""
    options = Options(
        feet=given.feet,
        root="in_place" if given.in_place else "path",
        start=given.place,
        heading=None if given.heading is None else math.radians(given.heading),
        reach=given.reach,
        mirror=given.mirror,
        key_error=given.keys,
        repeat=given.repeat,
    )
    return How(options, given.map)


def _number(text: str) -> float:
    with contextlib.suppress(ValueError):
        if math.isfinite(value := float(text)):
            return value
    raise argparse.ArgumentTypeError(f"{text} is no number")


def _pair(text: str) -> tuple[float, float]:
    parts = text.split(",")
    if len(parts) != 2:
        raise argparse.ArgumentTypeError(f"{text} is no pair of numbers, as 1.5,-2")
    return _number(parts[0]), _number(parts[1])


def _error(text: str) -> tuple[float, float]:
    degrees, millimetres = _pair(text)
    if degrees <= 0.0 or millimetres <= 0.0:
        raise argparse.ArgumentTypeError(f"{text} are no degrees and millimetres above 0")
    return degrees, millimetres
