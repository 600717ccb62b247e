"""``stepsmith capture``: the dancer of a video onto a rig."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..retarget.errors import StepsmithError
from ..retarget.placing import write_whole
from ..retarget.rig_path import split_rig
from . import export, file_options, keying
from .bar import progress_bar
from .keying import Keying
from .progress import Progress, part

if TYPE_CHECKING:
    from .performance import Performance, Take

capture_app = typer.Typer(help="Capture the dancer of a video.", add_completion=False, rich_markup_mode="rich")

_NARROWEST, _WIDEST = 1.0, 170.0  # degrees that a camera with a flat picture sees
_DRAWING = 0.9  # of the work on a video beside the character: drawing the character


@capture_app.command(
    epilog="""[bold]Examples[/bold]

stepsmith capture dancer.mp4 -o dancer.blend

stepsmith capture dancer.mov -o hero.blend -o dancer.npz --rig hero.blend:Armature --keys 0.5,5

stepsmith capture show.mp4 -o chorus.blend --start 75 --duration 30

stepsmith capture duo.mp4 -o second.fbx --person 2 --report second.json --side-by-side look.mp4"""
)
def capture(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A video of one dancer, of any kind.")],
    out: file_options.Out,
    rig: file_options.Rig = None,
    person: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Whom to follow where there are several, counted from the left, those much smaller last.",
        ),
    ] = None,
    start: Annotated[
        float, typer.Option(metavar="SECONDS", help="Where in the video the part to capture begins.")
    ] = 0.0,
    duration: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="How long that part is; without it, to the video's end."),
    ] = None,
    lifter: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Other weights than Stepsmith's: its own kind, or VideoPose3D's."),
    ] = None,
    causal: Annotated[
        bool, typer.Option("--causal", help="VideoPose3D's weights after --lifter are of a causal model.")
    ] = False,
    field_of_view: Annotated[
        float | None,
        typer.Option(metavar="DEGREES", help="The camera's, across its picture's longer side, where it is known."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write what was captured, and what was wrong when.")
    ] = None,
    side_by_side: Annotated[
        Path | None, typer.Option(metavar="FILE.mp4", help="Write the video beside the character, with the sound.")
    ] = None,
    preset: keying.Map = None,
    feet: keying.Feet = "auto",
    in_place: keying.InPlace = False,
    place: keying.Place = None,
    heading: keying.Heading = None,
    reach: keying.Reach = False,
    mirror: keying.Mirror = False,
    keys: keying.Keys = None,
) -> None:
    """Capture the dancer of a video, with the video's sound and its beats.

    Where nobody can be captured for long the character keeps still, so that all else stays at its own time.
    """
    from .performance import Take, perform

    how = Keying(preset, feet, in_place, place, heading, reach, mirror, keys)
    character = file_options.one_rig(rig)
    sources = [video, *([split_rig(character)[0]] if character else []), *(file for file in (preset, lifter) if file)]
    take = Take(video, person, lifter, field_of_view, start, duration, causal)
    _check_inputs(take)
    _check_ending(side_by_side, "--side-by-side", ".mp4")
    outs = [*out, *([side_by_side] if side_by_side else [])]
    export.check(outs, character, sources, how)
    _check_report(report, [*outs, *sources])
    # Drawing a picture of the character takes several times as long as finding the dancer in one.
    share = 0.25 if any(path.suffix.lower() == ".mp4" for path in outs) else 0.9
    with progress_bar() as progress:
        performance = perform(take, part(progress, 0.0, share))
        stage = export.Stage(
            performance.song, performance.song_start, character, how, straight=side_by_side is not None
        )
        rest = part(progress, share, 1.0)
        if side_by_side is None:
            warnings = export.export(performance.motion, out, stage, rest)
        else:
            warnings = _export_beside(performance, video, out, side_by_side, stage, rest)
    if report is not None:
        said = {"video": video.name, **performance.capture.report()}
        write_whole(report, json.dumps(said, indent=2, ensure_ascii=False) + "\n")
    for sentence in (*(problem.sentence for problem in performance.capture.problems), *warnings):
        print(f"stepsmith: {sentence}", file=sys.stderr)
    for path in (*outs, *([report] if report else [])):
        print(path)


def _check_inputs(take: Take) -> None:
    from .pose.video import check_part

    if not take.video.is_file():
        raise StepsmithError(f"There is no video “{take.video}”: check the name.")
    check_part(take.start, take.duration)
    if take.lifter is not None and not take.lifter.is_file():
        raise StepsmithError(f"There is no file of weights “{take.lifter}”: check the name after --lifter.")
    if take.causal and take.lifter is None:
        raise StepsmithError("--causal is said of VideoPose3D's weights: give them with --lifter, or leave it out.")
    if take.field_of_view is not None and not _NARROWEST <= take.field_of_view <= _WIDEST:
        raise StepsmithError(
            f"A camera sees between {_NARROWEST:g} and {_WIDEST:g} degrees, not {take.field_of_view:g}: leave"
            " --field-of-view out where it is not known."
        )


def _check_ending(path: Path | None, option: str, ending: str) -> None:
    if path is not None and path.suffix.lower() != ending:
        raise StepsmithError(f"{path} can't be written: end the name after {option} in {ending}.")


def _check_report(report: Path | None, others: Sequence[Path]) -> None:
    _check_ending(report, "--report", ".json")
    if report is None:
        return
    if not report.parent.is_dir() or not os.access(report.parent, os.W_OK) or report.is_dir():
        raise StepsmithError(f"{report} can't be written: name a file in a folder that is there and takes files.")
    if any(report.resolve() == other.resolve() for other in others):
        raise StepsmithError(f"{report} is given twice: give the report a name of its own.")


def _export_beside(
    performance: Performance, video: Path, out: Sequence[Path], beside: Path, stage: export.Stage, progress: Progress
) -> list[str]:
    """Write all of ``out``, and ``beside`` with the video beside a drawing of the character; returns warnings."""
    from .side_by_side import compose

    with tempfile.TemporaryDirectory(prefix=".stepsmith-", dir=beside.parent, ignore_cleanup_errors=True) as folder:
        # A video of the character that is wanted anyway need not be drawn twice.
        wanted = next((path for path in out if path.suffix.lower() == ".mp4"), None)
        drawn, whole = wanted or Path(folder) / "character.mp4", Path(folder) / beside.name
        outs = out if wanted else [*out, drawn]
        warnings = export.export(performance.motion, outs, stage, part(progress, 0.0, _DRAWING))
        compose(video, performance.capture.begins, drawn, whole, part(progress, _DRAWING, 1.0))
        os.replace(whole, beside)
    return warnings
