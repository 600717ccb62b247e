"""``stepsmith evaluate``: the table of figures, real dances beside the model's and other systems'."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ... import __version__
from ...retarget.errors import StepsmithError
from ...retarget.placing import write_whole
from ..bar import left_out, progress_bar
from ..dance.sources import Skip, ignore, load_dances
from ..dance.weights import load_model
from ..folders import check_file, make_folder
from ..model_header import DEFAULT
from ..progress import Progress, part, parts, silent
from . import anatomy, protocol
from .lifter_command import evaluate_lifter
from .metrics import Estimate
from .plots import check_plots, draw
from .systems import Memory, StepsmithModel, System, digest

evaluate_app = typer.Typer(
    help="Measure how good dances and captured bodies are.", no_args_is_help=True, add_completion=False
)
evaluate_app.command("lifter")(evaluate_lifter)

# Shares of the time after which the songs are heard, and after which all is danced.
_HEARD, _DANCED = 0.05, 0.7

# Recorded dancers, in the tables.
REAL = "real"
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


@dataclass(frozen=True)
class Report:
    """Figures by system, the floors of the distances, the facts that make them repeatable, and the dances."""

    facts: dict[str, object]
    floors: dict[str, Estimate]
    floors_by_clips: dict[str, Estimate]
    systems: dict[str, dict[str, Estimate]]
    performances: dict[str, list[protocol.Performance]]
    songs: dict[str, protocol.Song]


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
            draw(plots, report.floors, report.systems, report.performances, report.songs)
    print(markdown(report))
    if json_file is not None:
        write_whole(json_file, json.dumps(as_json(report), indent=2, allow_nan=False) + "\n")


def evaluate(
    data: Path,
    split: str = "test",
    *,
    weights: Path | None = None,
    baselines: Path | None = None,
    songs: Path | None = None,
    only: Sequence[str] | None = None,
    keep: Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
    skip: Skip = ignore,
) -> Report:
    """Measure real dances, the model and every baseline in the folder ``baselines`` on a split of those in ``data``.

    ``songs``: a folder of songs to dance to instead of the split's; no real dances then. ``only``: the names of
    the systems that are wanted. ``keep``: a folder where dances are kept and found. ``skip`` hears of motions
    and songs that can't be used, and are left out.
    """
    found = [] if only == [REAL] and songs is None else _dancers(weights, baselines, keep)
    names = [*([REAL] if songs is None else []), *(dancer.name for dancer, _ in found)]
    wanted = names if only is None else only
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted:
        raise StepsmithError(f"There is no system “{', '.join(unknown)}”: choose from {', '.join(names)}.")
    progress(0.0, "Reading the dances")
    train = load_dances(data, "train", skip=skip)
    reference = protocol.Reference([clip for dance in train for clip in protocol.cut(dance.name, dance.motion)])
    floors, floors_by_clips = reference.floors(), reference.floors_by_clips()
    dances = load_dances(data, split, skip=skip) if songs is None else []
    pieces = protocol.pieces_of(dances) if songs is None else protocol.pieces_in(songs)
    heard = protocol.listen(pieces, part(progress, 0.0, _HEARD), skip)
    pieces = {name: piece for name, piece in pieces.items() if name in heard}
    performances: dict[str, list[protocol.Performance]] = {}
    if REAL in wanted:
        performances[REAL] = protocol.real_performances(dances, train if split != "train" else [])
    dancers = [one for one in found if one[0].name in wanted]
    shares = parts(part(progress, _HEARD, _DANCED), len(dancers))
    for (dancer, memory), share in zip(dancers, shares, strict=True):
        performances[dancer.name] = protocol.perform(dancer, pieces, heard, seed=seed, memory=memory, progress=share)
    measured = {}
    measuring = part(progress, _DANCED, 1.0)
    for number, (name, danced) in enumerate(performances.items()):
        measuring(number / len(performances), f"Measuring: {name}")
        measured[name] = protocol.measure(danced, reference, heard)
    facts: dict[str, object] = {
        "stepsmith": __version__,
        "songs": f"split “{split}”" if songs is None else str(songs),
        "seed": seed,
        "weights": str(weights) if weights else "default",
        "clip_seconds": protocol.CLIP_SECONDS,
        "clips": {
            name: sum(int(one.motion.duration // protocol.CLIP_SECONDS) for one in danced)
            for name, danced in performances.items()
        },
        "reference_clips": len(reference.clips),
        "varying_geometric_features": len(reference.distances["fid_g_varying"][1]),
        "usual_speed": reference.usual_speed,
        "joint_ranges": {name: list(limits) for name, limits in anatomy.RANGES.items()},
        "joint_range_margin": anatomy.MARGIN,
        "budgets": {dancer.name: str(dancer.budget) for dancer, _ in found if hasattr(dancer, "budget")},
    }
    return Report(facts, floors, floors_by_clips, measured, performances, heard)


def _dancers(weights: Path | None, baselines: Path | None, keep: Path | None) -> list[tuple[System, Memory | None]]:
    """Everybody who can dance, each with the memory of what was danced before."""

    def memory(files: Sequence[Path]) -> Memory | None:
        return None if keep is None else Memory(keep, digest(files))

    found: list[tuple[System, Memory | None]] = [(StepsmithModel(load_model(weights)), memory([weights or DEFAULT]))]
    if baselines is not None:
        from ..baselines import load_baselines

        found += [(system, memory([baselines / f"{system.name}.safetensors"])) for system in load_baselines(baselines)]
    return found


def markdown(report: Report) -> str:
    """The report as a Markdown table, columns aligned."""
    lines = [["", "floor", "floor by clips", *report.systems]]
    for row in ROWS:
        floors = (report.floors.get(row.key), report.floors_by_clips.get(row.key))
        cells = [_cell(row, figures[row.key]) for figures in report.systems.values()]
        lines.append([row.label, *(_cell(row, floor) if floor else "" for floor in floors), *cells])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rule = ["-" * width for width in widths]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in [lines[0], rule, *lines[1:]]
    ]
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
    """The report as plain numbers: an object a system, whose ``intervals`` hold [low, high] under the same keys."""
    return {
        "facts": report.facts,
        "systems": {
            "floor": _figures(report.floors),
            "floor by clips": _figures(report.floors_by_clips),
            **{name: _figures(figures) for name, figures in report.systems.items()},
        },
    }


def _figures(figures: Mapping[str, Estimate]) -> dict[str, object]:
    """Value by key, None for what is not known (KEYS are always there), and the intervals by key."""
    nothing = Estimate(float("nan"))
    known = {key: figures.get(key, nothing) for key in (*KEYS, *figures)}
    plain: dict[str, object] = {key: _plain(figure.value) for key, figure in known.items()}
    return plain | {"intervals": {key: [_plain(f.low), _plain(f.high)] for key, f in known.items()}}


def _plain(value: float) -> float | None:
    """None for NaN, as JSON knows no NaN."""
    return float(value) if np.isfinite(value) else None


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
