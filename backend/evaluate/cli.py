"""``stepsmith evaluate``: the table of figures, real dances beside the model's."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from ... import __version__
from ...retarget.errors import StepsmithError
from ..dance.data import load_dances
from ..dance.weights import load_model
from . import protocol
from .metrics import Estimate

evaluate_app = typer.Typer(help="Measure how good the dances are.", no_args_is_help=True, add_completion=False)

SYSTEMS = ("real", "model")


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
    Row("div_g_varying", "Div_g, features that vary", 1),
    Row("bas", "BAS, own song", 3),
    Row("bas_others", "BAS, other songs", 3),
    Row("listening_gap", "listening gap (BAS own - others)", 3),
    Row("bas_own_clock", "BAS, the dancer's own beats", 3),
    Row("bas_of_motion_beats", "BAS over motion beats (POPDG)", 3),
    Row("motion_beats", "motion beats a second"),
    Row("tempo_ratio", "tempo ratio, song 1.25x faster"),
    Row("pfc", "PFC, whole dances"),
    Row("pfc_clips", "PFC, clips"),
    Row("skating_share", "foot skating, % of contact frames", 1, 100.0),
    Row("skating_slide", "foot skating, cm a contact second", 1),
    Row("freezing", "frozen seconds, %", 1, 100.0),
    Row("speed", "joint speed, m/s"),
    Row("acceleration", "joint acceleration, m/s²"),
)


@dataclass(frozen=True)
class Report:
    """Figures by system, the floors of the distances, and the facts that make them repeatable."""

    facts: dict[str, object]
    floors: dict[str, Estimate]
    systems: dict[str, dict[str, Estimate]]


@evaluate_app.callback()
def _evaluate() -> None:
    """Measure how good the dances are."""


@evaluate_app.command("dance")
def evaluate_dance(
    data: Annotated[Path, typer.Option(help="Folder of recorded dances: manifest.csv, a .npz and an .ogg a dance.")],
    split: Annotated[str, typer.Option(help="Songs to dance to: train, val or test.")] = "test",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file too.")] = None,
    systems: Annotated[str, typer.Option(help="Whom to measure, of: real, model.")] = "real,model",
    weights: Annotated[Path | None, typer.Option("--model", help="Other weights than those that come along.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the model's dances.")] = 0,
) -> None:
    """Figures of recorded dances and of the model's for the same songs, with 95 % intervals over clips."""
    wanted = [system.strip() for system in systems.split(",") if system.strip()]
    unknown = [system for system in wanted if system not in SYSTEMS]
    if unknown or not wanted:
        raise StepsmithError(f"There is no system “{', '.join(unknown)}”: choose from {', '.join(SYSTEMS)}.")
    if json_file is not None and not json_file.resolve().parent.is_dir():
        raise StepsmithError(f"The folder of {json_file} does not exist: make it first.")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Reading the dances", total=None)
        report = evaluate(
            data,
            split,
            wanted,
            weights=weights,
            seed=seed,
            progress=lambda _, text: bar.update(task, description=text),
        )
    print(markdown(report))
    if json_file is not None:
        beside = json_file.with_name(json_file.name + ".part")
        beside.write_text(json.dumps(_plain(asdict(report)), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(beside, json_file)


def evaluate(
    data: Path,
    split: str,
    systems: Sequence[str],
    *,
    weights: Path | None = None,
    seed: int = 0,
    progress: protocol.Progress = protocol.silent,
) -> Report:
    """Measure ``systems`` (of SYSTEMS) on a split of the dances in ``data``."""
    model = load_model(weights) if "model" in systems else None
    progress(0.0, "Reading the dances")
    dances = load_dances(data, split)
    train = load_dances(data, "train")
    reference = protocol.Reference([clip for dance in train for clip in protocol.cut(dance.name, dance.motion)])
    songs = protocol.song_beats(dances, progress)
    measured: dict[str, dict[str, Estimate]] = {}
    for system in systems:
        if system == "model" and model is not None:
            performances = protocol.model_performances(dances, model, seed=seed, progress=progress)
        else:
            performances = protocol.real_performances(dances, train if split != "train" else [])
        progress(1.0, f"Measuring: {system}")
        measured[system] = protocol.measure(performances, reference, songs)
    geometric = reference.distances["fid_g_varying"][1]
    facts: dict[str, object] = {
        "stepsmith": __version__,
        "split": split,
        "seed": seed,
        "weights": str(weights) if weights else "default",
        "clip_seconds": protocol.CLIP_SECONDS,
        "clips": sum(int(dance.motion.duration // protocol.CLIP_SECONDS) for dance in dances),
        "reference_clips": len(reference.clips),
        "varying_geometric_features": len(geometric),
        "real_fid_k_of_halves_by_clip": protocol.metrics.frechet_distance(
            reference.distances["fid_k"][2][::2], reference.distances["fid_k"][2][1::2]
        ),
        "usual_speed": reference.usual_speed,
    }
    return Report(facts, reference.floors(), measured)


def markdown(report: Report) -> str:
    """The report as a Markdown table, columns aligned."""
    lines = [["", "floor", *report.systems]]
    for row in ROWS:
        floor = report.floors.get(row.key)
        cells = [_cell(row, figures[row.key]) for figures in report.systems.values()]
        lines.append([row.label, _cell(row, floor) if floor else "", *cells])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rule = ["-" * width for width in widths]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in [lines[0], rule, *lines[1:]]
    ]
    facts = report.facts
    text.append("")
    text.append(
        f"{facts['clips']} clips of {facts['clip_seconds']:g} s (split “{facts['split']}”), reference "
        f"{facts['reference_clips']} clips of the real train split; 95 % intervals by bootstrap over clips. Floor: "
        f"disjoint halves of the reference, by dances (halved by clips, FID_k is "
        f"{facts['real_fid_k_of_halves_by_clip']:.1f}). {facts['varying_geometric_features']} of 32 geometric "
        f"features vary in the reference; one that never does makes FID_g as published explode as soon as it fires "
        f"once. Nearest to the real column is best, but for skating, where less is better: recorded feet slide."
    )
    return "\n".join(text)


def _cell(row: Row, figure: Estimate) -> str:
    """``value [low, high]``, or a dash where there is no value."""
    if not np.isfinite(figure.value):
        return "–"
    text = _number(figure.value * row.scale, row.digits)
    if not np.isfinite(figure.low):
        return text
    return f"{text} [{_number(figure.low * row.scale, row.digits)}, {_number(figure.high * row.scale, row.digits)}]"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if abs(value) < 1e5 else f"{value:.1e}"


def _plain(value: object) -> object:
    """The same with None for NaN, as JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value
