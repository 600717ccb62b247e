"""``stepsmith retarget``: a motion file onto a rig; ``stepsmith rig``: what of a rig is understood."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..retarget.errors import StepsmithError
from ..retarget.files import load_motion
from ..retarget.rig_path import split_rig
from . import export, file_options, keying
from .bar import progress_bar
from .keying import Keying

retarget_app = typer.Typer(help="Put a motion file on a character.", add_completion=False, rich_markup_mode="rich")
rig_app = typer.Typer(help="Show the bone map of a character.", add_completion=False, rich_markup_mode="rich")

_SURE, _LIKELY = 0.8, 0.5


@retarget_app.command(
    epilog="""[bold]Examples[/bold]

stepsmith retarget walk.bvh --rig hero.glb -o hero_walks.blend

stepsmith retarget dance.npz --rig crowd.blend:Anna -o anna.fbx --in-place --keys 0.5,5

stepsmith retarget dance.pkl -o dance.bvh"""
)
def retarget(
    motion: Annotated[Path, typer.Argument(metavar="MOTION", help="A motion file: .npz, .pkl or .bvh.")],
    out: file_options.Out,
    rig: file_options.Rig = None,
    preset: keying.Map = None,
    feet: keying.Feet = "auto",
    in_place: keying.InPlace = False,
    place: keying.Place = None,
    heading: keying.Heading = None,
    reach: keying.Reach = False,
    mirror: keying.Mirror = False,
    keys: keying.Keys = None,
) -> None:
    """Put a motion file on a character, or write it as another kind of motion file."""
    asked = Keying(preset, feet, in_place, place, heading, reach, mirror, keys)
    if not motion.is_file():
        raise StepsmithError(f"There is no motion file {motion}: check the path.")
    character = file_options.one_rig(rig)
    inputs = [motion, *([split_rig(character)[0]] if character else []), *([preset] if preset else [])]
    danced = load_motion(motion)
    export.check(out, character, sources=inputs, how=asked)
    with progress_bar() as progress:
        for warning in export.export(danced, out, export.Stage(rig=character, how=asked), progress):
            print(f"stepsmith: {warning}", file=sys.stderr)
    for path in out:
        print(path)


@rig_app.command(
    epilog="""[bold]Examples[/bold]

stepsmith rig hero.fbx

stepsmith rig crowd.blend:Anna --json"""
)
def rig(
    file: Annotated[str, typer.Argument(metavar="FILE[:OBJECT]", help=f"A character: {file_options.CHARACTERS}.")],
    preset: keying.Map = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for programs.")] = False,
) -> None:
    """Show which bones of a character dance, and how sure that is."""
    found = export.describe(file, Keying(preset))
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    # Names are printed as they are: “thigh[l]” is no markup, “:hand:” no picture.
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(f"{found['object']}: {found['convention']}, {found['confidence']:.0%} sure")
    table = Table("joint", "bone", "sure")
    for row in found["bones"]:
        sure = row["confidence"]
        colour = "green" if sure >= _SURE else "yellow" if sure >= _LIKELY else "red"
        table.add_row(row["joint"].replace("_", " "), row["bone"], Text(f"{sure:.0%}", style=colour))
    console.print(table)
    if found["missing"]:
        missing = ", ".join(joint.replace("_", " ") for joint in found["missing"])
        console.print(f"Not found: {missing}.")
    for switch in found["switches"]:
        console.print(f"Keyed while it dances: {switch['property']} of {switch['bone']} at {switch['value']:g}.")
    for notice in found["notices"]:
        console.print(notice, style="yellow")
