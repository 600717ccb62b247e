"""Measuring dances: recorded ones, and those of every system that dances to the same songs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ... import __version__
from ...retarget.errors import StepsmithError
from ..dance.sources import Skip, check_split, ignore, load_dances
from ..dance.weights import load_model
from ..measures import anatomy
from ..measures.metrics import Estimate
from ..model_header import DEFAULT
from ..progress import Progress, part, parts, silent
from . import protocol
from .systems import Memory, StepsmithModel, System, digest

# Shares of the time after which the songs are heard, and after which all is danced.
_HEARD, _DANCED = 0.05, 0.7

# Recorded dancers, in the tables.
REAL = "real"


@dataclass(frozen=True)
class Report:
    """Figures by system, the floors of the distances, the facts that make them repeatable, and the dances."""

    facts: dict[str, object]
    floors: dict[str, Estimate]
    floors_by_clips: dict[str, Estimate]
    systems: dict[str, dict[str, Estimate]]
    performances: dict[str, list[protocol.Performance]]
    songs: dict[str, protocol.Song]


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
    # What can't be danced to is told before the dances are read, which may take minutes.
    check_split(split)
    chosen = None if songs is None else protocol.pieces_in(songs)
    progress(0.0, "Reading the dances")
    train = load_dances(data, "train", skip=skip)
    reference = protocol.Reference([clip for dance in train for clip in protocol.cut(dance.name, dance.motion)])
    floors, floors_by_clips = reference.floors(), reference.floors_by_clips()
    dances = load_dances(data, split, skip=skip) if chosen is None else []
    pieces = protocol.pieces_of(dances) if chosen is None else chosen
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
            name: sum(protocol.clip_count(one.motion) for one in danced) for name, danced in performances.items()
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
        from ..baselines.systems import load_baselines

        found += [(system, memory([baselines / f"{system.name}.safetensors"])) for system in load_baselines(baselines)]
    return found
