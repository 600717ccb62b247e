"""Pictures of an evaluation: distances and beats with their intervals, speed curves against beats, the dances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ...retarget.rotations import Array
from ..dance.train_log import contact_sheet
from ..measures import metrics
from ..measures.metrics import Estimate
from ..pictures import save_picture
from .protocol import FPS, Performance, Song

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CURVE_SECONDS = 8.0
_SHEET_SECONDS = 6.0


def draw(
    folder: Path,
    floors: Mapping[str, Estimate],
    systems: Mapping[str, Mapping[str, Estimate]],
    performances: Mapping[str, Sequence[Performance]],
    songs: Mapping[str, Song],
) -> list[Path]:
    """Draws ``scores.png``, ``speed.png`` and ``dances.png`` into ``folder``; all systems dance to one song.

    The song is the first that everybody dances to.
    """
    shared = [song for song in songs if all(any(p.song == song for p in danced) for danced in performances.values())]
    paths = [folder / "scores.png"]
    save_picture(_scores(floors, systems), paths[0])
    if shared:
        name = shared[0]
        joints = {
            system: next(p.motion.resample(FPS).positions() for p in danced if p.song == name)
            for system, danced in performances.items()
        }
        paths += [folder / "speed.png", folder / "dances.png"]
        save_picture(_speeds(joints, songs[name].beats, name), paths[1])
        begin = min(len(positions) for positions in joints.values()) // 2
        end = begin + round(_SHEET_SECONDS * FPS)
        contact_sheet({system: positions[begin:end] for system, positions in joints.items()}, paths[2])
    return paths


def _scores(floors: Mapping[str, Estimate], systems: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """Fréchet distances and beat alignment with their intervals, a line a system."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure = Figure(figsize=(12.0, 1.6 + 0.35 * len(systems)), dpi=80, layout="constrained")
    places = np.arange(len(systems))
    panels = zip(figure.subplots(1, 3, sharey=True), ("fid_k", "fid_g_varying", "bas"), strict=True)
    for axes, key in panels:
        figures = [system[key] for system in systems.values()]
        values = np.array([figure.value for figure in figures])
        ends = np.array([[figure.low, figure.high] for figure in figures]).T
        reach = np.nan_to_num(np.maximum(np.abs(ends - values), 0.0))
        axes.errorbar(values, places, xerr=reach, fmt="o", color="tab:blue", ecolor="0.4", capsize=3)
        axes.grid(axis="x", alpha=0.3)
        axes.set(yticks=places, yticklabels=list(systems), ylim=(len(systems) - 0.5, -0.5))
        if key == "bas":
            others = [system["bas_others"].value for system in systems.values()]
            axes.vlines(others, places - 0.3, places + 0.3, color="tab:orange")
            axes.set_title("beat alignment (bar: with other songs)", fontsize=9)
            continue
        # Fréchet distances of one table differ by powers of ten.
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.axvline(floors[key].value, color="tab:green")
        features = "kinetic" if key == "fid_k" else "geometric, features that vary"
        axes.set_title(f"FID, {features} (line: floor)", fontsize=9)
    return figure


def _speeds(joints: Mapping[str, Array], beats: Array, song: str) -> Figure:
    """The joints' mean speed over some seconds from the middle, the music's beats as lines, motion beats as dots."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 1.5 * len(joints) + 0.6), dpi=80, layout="constrained")
    begin = min(len(positions) for positions in joints.values()) / FPS / 2
    end = begin + _CURVE_SECONDS
    for axes, (name, positions) in zip(
        figure.subplots(len(joints), 1, sharex=True, squeeze=False)[:, 0], joints.items(), strict=True
    ):
        speed = np.linalg.norm(np.diff(positions, axis=0), axis=-1).mean(axis=-1) * FPS
        smooth = gaussian_filter1d(speed, metrics.BEAT_SMOOTHING * FPS)
        times = np.arange(len(speed)) / FPS
        seen = (times >= begin) & (times < end)
        paused = metrics.motion_beats(positions, FPS)
        paused = paused[(paused >= begin) & (paused < end)]
        for beat in beats[(beats >= begin) & (beats < end)]:
            axes.axvline(beat, color="tab:orange", linewidth=1)
        axes.plot(times[seen], speed[seen], color="0.75", linewidth=1)
        axes.plot(times[seen], smooth[seen], color="tab:blue")
        axes.plot(paused, np.interp(paused, times, smooth), "o", color="tab:red", markersize=4)
        axes.set_title(name, fontsize=9, loc="left")
        axes.set(ylim=(0.0, None), ylabel="m/s")
    axes.set_xlabel(f"seconds of {song}; lines: the music's beats; dots: the motion's")
    return figure
