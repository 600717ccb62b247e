"""``stepsmith evaluate``: the table of figures, real dances beside the model's and other systems'."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...retarget.errors import StepsmithError
from ...retarget.placing import write_whole
from ..bar import left_out, progress_bar
from ..folders import check_file, make_folder
from ..pictures import check_plots
from .lifter_command import evaluate_lifter
from .tables import cell, figures_by_key, table

if TYPE_CHECKING:
    from .dances import Report

evaluate_app = typer.Typer(
    help="Measure how good dances and captured bodies are.", no_args_is_help=True, add_completion=False
)
evaluate_app.command("lifter")(evaluate_lifter)

# What every system's object in the file has, whatever else it has.
KEYS = ("fid_k", "fid_g", "div_k", "div_g", "bas", "pfc", "skating", "listening", "tempo_ratio", "freezing")


@dataclass(frozen=True)
class Row:
    """A line of the table. ``scale``: the figure is shown times this; ``digits`` after the point."""

    key: str
    label: str
    digits: int = 2
    scale: float = 1.0


ROWS = (
    Row("fid_k", "FID_k", 1),
    Row("fid_g", "FID_g, as published", 1),
    Row("fid_g_varying", "FID_g, features that vary", 1),
    Row("div_k", "Div_k", 1),
    Row("div_g", "Div_g, as published", 1),
    Row("div_g_varying", "Div_g, features that vary", 1),
    Row("bas", "BAS, own song", 3),
    Row("bas_others", "BAS, other songs", 3),
    Row("listening", "listening (BAS own - others)", 3),
    Row("bas_own_clock", "BAS, the dancer's own beats", 3),
    Row("bas_of_motion_beats", "BAS over motion beats (POPDG)", 3),
    Row("motion_beat_rate", "motion beats a second"),
    Row("tempo_ratio", "tempo ratio, song 1.25x faster"),
    Row("bar_share", "motion the same in every bar, %", 1, 100.0),
    Row("waltz_in_three", "waltzes: in bars of 3 more than of 4, %", 1, 100.0),
    Row("pfc", "PFC, whole dances"),
    Row("pfc_clips", "PFC, clips"),
    Row("pfc_undivided", "PFC, clips, undivided, cm² m/s²", digits=1),
    Row("skating", "foot skating, % of contact frames", 1, 100.0),
    Row("skating_slide", "foot skating, cm a contact second", 1),
    Row("freezing", "frozen seconds, %", 1, 100.0),
    Row("joint_range", "beyond human range, % of frames", 2, 100.0),
    Row("self_intersection", "hands in the body, % of frames", 2, 100.0),
    Row("self_intersection_depth", "hands in the body, cm deep", 1),
    Row("joint_speed", "joint speed, m/s"),
    Row("acceleration", "joint acceleration, m/s²"),
    Row("jitter", "joint jerk, m/s³", 1),
    Row("endurance", "acceleration, last 20 s over first"),
)


@evaluate_app.callback()
def _evaluate() -> None:
    """Measure how good dances and captured bodies are."""


@evaluate_app.command("dance")
def evaluate_dance(
    data: Annotated[Path, typer.Option(help="Folder of recorded dances with their songs, as for training.")],
    split: Annotated[str, typer.Option(help="Songs to dance to: train, val or test.")] = "test",
    weights: Annotated[Path | None, typer.Option("--model", help="Other weights than those that come along.")] = None,
    baselines: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Measure the baselines in this folder too.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file too.")] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw pictures into this folder.")] = None,
    songs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Dance to the songs in this folder, not to those of the split.")
    ] = None,
    systems: Annotated[
        str | None, typer.Option(help="Measure these alone, by the names in the table, separated by commas.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the dances here, and take those made before.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the dances.")] = 0,
) -> None:
    """Figures of recorded dances, of the model's and of baselines' for the same songs, with 95 % intervals."""
    if json_file is not None:
        check_file(json_file)
    if baselines is not None and not baselines.is_dir():
        raise StepsmithError(f"There is no folder {baselines}: train baselines into one first.")
    if plots is not None:
        check_plots(plots)
    if keep is not None:
        make_folder(keep)
    from .dances import evaluate

    only = None if systems is None else [name.strip() for name in systems.split(",") if name.strip()]
    with left_out("file") as skip, progress_bar() as progress:
        report = evaluate(
            data,
            split,
            weights=weights,
            baselines=baselines,
            songs=songs,
            only=only,
            keep=keep,
            seed=seed,
            progress=progress,
            skip=skip,
        )
        if plots is not None:
            from .plots import draw

            draw(plots, report.floors, report.systems, report.performances, report.songs)
    print(markdown(report))
    if json_file is not None:
        write_whole(json_file, json.dumps(as_json(report), indent=2, allow_nan=False) + "\n")


def markdown(report: Report) -> str:
    """The report as a Markdown table, columns aligned."""
    lines = [["", "floor", "floor by clips", *report.systems]]
    for row in ROWS:
        floors = [known.get(row.key) for known in (report.floors, report.floors_by_clips)]
        cells = [cell(figures[row.key], row.digits, row.scale) for figures in report.systems.values()]
        lines.append([row.label, *(cell(floor, row.digits, row.scale) if floor else "" for floor in floors), *cells])
    text = table(lines)
    facts = report.facts
    text.append("")
    text.append(
        f"{_clips(facts['clips'])} clips of {facts['clip_seconds']:g} s ({facts['songs']}), reference "
        f"{facts['reference_clips']} clips of the real train split; 95 % intervals by bootstrap over clips. Floor: "
        f"disjoint halves of the reference, by dances, and, lower, by clips. {facts['varying_geometric_features']} "
        f"of 32 geometric features vary in the reference; one that never does makes FID_g and Div_g as published "
        f"explode as soon as it fires once. Beyond human range: by more than {facts['joint_range_margin']:g}°. "
        f"Nearest to the real column is best, but for skating, joints beyond their range and hands in the body, "
        f"where less is better: recorded feet slide."
    )
    budgets = facts["budgets"]
    assert isinstance(budgets, dict)
    text += [f"\n{name} was trained for {budget}." for name, budget in budgets.items() if name in report.systems]
    return "\n".join(text)


def _clips(counts: object) -> str:
    """How many clips all systems have, or the least and the most."""
    found = sorted(set(counts.values())) if isinstance(counts, dict) else []
    return f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"


def as_json(report: Report) -> dict[str, object]:
    """The report as plain numbers: an object a system, whose ``intervals`` hold [low, high] under the same keys.

    KEYS are in every object, None where they are not known.
    """
    return {
        "facts": report.facts,
        "systems": {
            "floor": figures_by_key(report.floors, KEYS),
            "floor by clips": figures_by_key(report.floors_by_clips, KEYS),
            **{name: figures_by_key(figures, KEYS) for name, figures in report.systems.items()},
        },
    }
