"""Pictures of trainings and evaluations on disk."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..retarget.errors import StepsmithError
from ..retarget.placing import written_beside
from .folders import make_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_plots(folder: Path) -> None:
    """Raises StepsmithError where pictures can't be drawn into ``folder``; makes the folder."""
    if find_spec("matplotlib") is None:
        raise StepsmithError("Pictures need matplotlib: install it (pip install matplotlib), or leave out --plots.")
    make_folder(folder)


def save_picture(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all. Raises OSError where it can't be written."""
    with written_beside(path) as unfinished:
        figure.savefig(unfinished, format="png")
