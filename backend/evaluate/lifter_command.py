"""``stepsmith evaluate lifter``: how near lifted bodies come to the truth, how quietly they move, how fast it goes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...retarget.placing import write_whole
from ..bar import left_out, progress_bar
from ..folders import check_file
from ..pictures import check_plots
from .tables import cell, figures_by_key, plain, table

if TYPE_CHECKING:
    from .lifter import LifterReport, SetReport

# Key, label, digits after the point and scale of each column.
COLUMNS = (
    ("p_mpjpe", "P-MPJPE, mm", 1, 1.0),
    ("mpjpe", "MPJPE, mm", 1, 1.0),
    ("mpjve", "MPJVE, mm a frame", 2, 1.0),
    ("acceleration_error", "acceleration error, m/s²", 2, 1.0),
    ("jerk", "jerk, m/s³", 1, 1.0),
    ("path_error", "path error, mm", 0, 1.0),
    ("bone_spread", "bone spread, mm", 1, 1.0),
    ("closer", "closer than mediapipe, % of clips", 0, 100.0),
    ("quieter", "less jerk than mediapipe, % of clips", 0, 100.0),
)
_SPEEDS = {
    "mediapipe_alone": "mediapipe alone",
    "whole_way": "from the video to the performance",
    "whole_way_ratio": "time of the whole way, times mediapipe's",
}


def evaluate_lifter(
    data: Annotated[Path, typer.Option(help="Folder of recorded motion, AIST++ dances with cameras, videos.")],
    lifter: Annotated[
        Path | None,
        typer.Option(help="Other weights than those that come along, or a published VideoPose3D checkpoint."),
    ] = None,
    causal: Annotated[bool, typer.Option("--causal", help="The checkpoint is one of a causal model.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Measure on all recordings, not on those held out of training alone.")
    ] = False,
    videos: Annotated[bool, typer.Option(help="Look at the videos too, which takes longest.")] = True,
    speed: Annotated[bool, typer.Option(help="Take the time too.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file too.")] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw pictures into this folder.")] = None,
) -> None:
    """Figures of the lifter beside MediaPipe's own landmarks in space, with 95 % intervals over clips."""
    if json_file is not None:
        check_file(json_file)
    if plots is not None:
        check_plots(plots)
    from .lifter import evaluate_lifters

    with left_out("file") as skip, progress_bar() as progress:
        report = evaluate_lifters(
            data,
            weights=lifter,
            causal=causal,
            everything=everything,
            videos=videos,
            speed=speed,
            progress=progress,
            skip=skip,
        )
        if plots is not None:
            from .lifter_plots import draw

            draw(plots, report)
    print(markdown(report))
    if json_file is not None:
        write_whole(json_file, json.dumps(as_json(report), indent=2, allow_nan=False) + "\n")


def markdown(report: LifterReport) -> str:
    """The report as Markdown: a table for each set, one for the speed, and what the figures are."""
    text = [line for found in report.sets.values() for line in (*_set_table(found), "")]
    if report.speed:
        lines = [["", "frames a second"]]
        lines += [
            [_SPEEDS.get(key, key), f"{value:,.2f}" if value < 10 else f"{value:,.0f}"]
            for key, value in report.speed.items()
        ]
        text += [*table(lines), ""]
    text.append(
        "17 joints in Human3.6M's order, from the hip, at 30 frames a second, the field of view unknown to the lifter; "
        "P-MPJPE after Procrustes in each frame. Means over clips with 95 % intervals by bootstrap; each camera's view "
        "is a clip. Acceleration error: mean error of the second differences; jerk: mean size of the third, which "
        "trembling has much of. Path error: of the hips, bodies made equally large. The performance is what is solved "
        "of the lifted body, one rigid skeleton, turned and scaled as one to the lifted clip. Closer than mediapipe: "
        "in both MPJPE and P-MPJPE."
    )
    text += [f"\n{note}" for note in report.notes]
    return "\n".join(text)


def _set_table(found: SetReport) -> list[str]:
    known = {key for figures in found.systems.values() for key, f in figures.items() if math.isfinite(f.value)}
    columns = [column for column in COLUMNS if column[0] in known]
    lines = [[f"{found.title} ({len(found.by_clip)} clips)", *(label for _, label, _, _ in columns)]]
    for name, figures in found.systems.items():
        lines.append([name, *(cell(figures.get(key), digits, scale) for key, _, digits, scale in columns)])
    return table(lines)


def as_json(report: LifterReport) -> dict[str, object]:
    """The report as plain numbers: an object a set and system, whose ``intervals`` hold [low, high] by key.

    ``by_clip`` has the same figures of each clip and system.
    """
    return {
        "facts": report.facts,
        "sets": {
            name: {
                "title": found.title,
                "clips": len(found.by_clip),
                "systems": {system: figures_by_key(figures) for system, figures in found.systems.items()},
                "by_clip": {
                    clip: {system: {key: plain(v) for key, v in row.items()} for system, row in rows.items()}
                    for clip, rows in found.by_clip.items()
                },
            }
            for name, found in report.sets.items()
        },
        "speed": report.speed,
        "notes": report.notes,
    }
