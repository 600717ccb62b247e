"""Pictures of how well bodies were lifted: the errors with their intervals, and skeletons beside the true ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..pictures import save_picture
from .lifter_metrics import BONES, from_hip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .lifter import LifterReport, SetReport

_POSES = 6
_DPI = 110  # dots an inch
_ERRORS = {"p_mpjpe": "P-MPJPE, mm", "mpjve": "MPJVE, mm a frame", "jerk": "jerk, m/s³"}


def draw(folder: Path, report: LifterReport) -> list[Path]:
    """Draws ``lifter.png``, all figures, and ``poses-SET.png``, what was lifted of a set's first clip."""
    paths = [folder / "lifter.png"]
    save_picture(_bars(report), paths[0])
    for name, found in report.sets.items():
        paths.append(folder / f"poses-{name}.png")
        save_picture(_poses(found), paths[-1])
    return paths


def _bars(report: LifterReport) -> Figure:
    """A panel for each error: the systems' figures, set by set."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * len(_ERRORS), 1.5 + 0.9 * len(report.sets)), dpi=_DPI, layout="constrained")
    systems = list(dict.fromkeys(name for found in report.sets.values() for name in found.systems))
    for panel, (key, label) in zip(figure.subplots(1, len(_ERRORS)), _ERRORS.items(), strict=True):
        for number, system in enumerate(systems):
            rows = [(i, s.systems[system][key]) for i, s in enumerate(report.sets.values()) if system in s.systems]
            rows = [(i, estimate) for i, estimate in rows if np.isfinite(estimate.value)]
            if rows:
                at = [i + 0.8 * (number + 0.5) / len(systems) for i, _ in rows]
                spans = np.nan_to_num([[e.value - e.low for _, e in rows], [e.high - e.value for _, e in rows]])
                values = [e.value for _, e in rows]
                errors = np.maximum(spans, 0.0).tolist()
                panel.barh(at, values, 0.75 / len(systems), xerr=errors, label=system, color=f"C{number}")
        panel.set_yticks(np.arange(len(report.sets)) + 0.4, list(report.sets))
        panel.set_ylim(len(report.sets), -0.1)
        panel.set_xlabel(label)
        panel.legend(fontsize=7)
    return figure


def _poses(found: SetReport) -> Figure:
    """Skeletons as the camera sees them and from the side: moments in columns, systems in colours."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.2 * _POSES, 5.0), dpi=_DPI, layout="constrained")
    figure.suptitle(found.title, fontsize=9)
    frames = min(len(joints) for joints in found.example.values())
    panels = figure.subplots(2, _POSES)
    for column, frame in enumerate(np.linspace(0, frames - 1, _POSES).round().astype(int)):
        for row, across in enumerate((0, 2)):
            panel = panels[row, column]
            for number, (name, joints) in enumerate(found.example.items()):
                pose = from_hip(joints[frame : frame + 1])[0]
                for bone, ends in enumerate(BONES):
                    line = pose[list(ends)]
                    label = name if bone == 0 and column == 0 and row == 0 else None
                    panel.plot(line[:, across], -line[:, 1], color=f"C{number}", linewidth=1.2, label=label)
            panel.set_aspect("equal")
            panel.set_xlim(-1.1, 1.1)
            panel.set_ylim(-1.1, 1.1)
            panel.set_axis_off()
    figure.legend(loc="lower center", ncols=len(found.example), fontsize=7)
    return figure
