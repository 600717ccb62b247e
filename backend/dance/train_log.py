"""What a training run leaves to look at: ``log.csv``, ``losses.png``, ``samples.png``, TensorBoard's events."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...retarget.errors import StepsmithError
from ...retarget.placing import written_beside
from ...retarget.rotations import Array
from ...retarget.skeleton import SMPL_PARENTS
from ..pictures import save_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.tensorboard import SummaryWriter

_INSTALL = "pip install 'stepsmith[train]'"
_POSES = 12  # of a dance in a contact sheet
_RIGHT = (2, 5, 8, 11, 14, 17, 19, 21, 23)  # joints drawn in another colour


class Log:
    """Numbers of a training run by step, appended to ``log.csv`` and, where asked for, to TensorBoard's events.

    Each number has a column from the first row on that has it. Raises StepsmithError where TensorBoard is asked for and
    not installed.
    """

    def __init__(self, folder: Path, tensorboard: bool = False) -> None:
        self.path = folder / "log.csv"
        self._events = None
        if tensorboard:
            if find_spec("tensorboard") is None:
                raise StepsmithError(f"TensorBoard is not installed: {_INSTALL}.")
            self._events = self._open_events()

    def add(self, step: int, **numbers: float) -> None:
        """Log ``numbers`` at ``step``."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        columns = self._columns()
        new = [name for name in ("step", *numbers) if name not in columns]
        if columns and new:
            self._rewrite([*columns, *new], self._rows())
        with self.path.open("a+", newline="", encoding="utf-8", errors="replace") as file:
            table = csv.DictWriter(file, [*columns, *new])
            if file.tell() == 0:
                table.writeheader()
            elif not self._ends_a_line():
                file.write("\r\n")
            table.writerow({"step": step, **{name: f"{value:.6g}" for name, value in numbers.items()}})
        if self._events is not None:
            for name, value in numbers.items():
                self._events.add_scalar(name, value, step)
            self._events.flush()

    def forget_after(self, step: int) -> None:
        """Drop the rows after ``step``, of a run stopped before its next checkpoint: they are about to come again."""
        if self._events is not None:  # TensorBoard drops what was logged at or after this step
            self._events.close()
            self._events = self._open_events(step + 1)
        if step == 0:
            self.path.unlink(missing_ok=True)
            return
        columns = self._columns()
        if columns:
            self._rewrite(columns, [row for row in self._rows() if (_number(row.get("step")) or 0.0) <= step])

    def _rewrite(self, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
        with written_beside(self.path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, columns, extrasaction="ignore")
            table.writeheader()
            table.writerows(rows)

    def _open_events(self, first: int | None = None) -> SummaryWriter:
        """To log to TensorBoard, which drops what was logged before at step ``first`` and after."""
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.path.with_name("events")), purge_step=first)

    def read(self) -> dict[str, tuple[Array, Array]]:
        """Steps and values of every column; what is no number, as after a stop in mid-line, is left out."""
        found: dict[str, tuple[list[float], list[float]]] = {}
        for row in self._rows():
            for name, text in row.items():
                step, value = _number(row.get("step")), _number(text)
                if name not in ("step", None) and step is not None and value is not None:
                    steps, values = found.setdefault(name, ([], []))
                    steps.append(step)
                    values.append(value)
        return {name: (np.array(steps), np.array(values)) for name, (steps, values) in found.items()}

    def _ends_a_line(self) -> bool:
        """Whether the last row is whole: a run may have been stopped while it wrote."""
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"

    def _columns(self) -> list[str]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
            return next(csv.reader(file), [])

    def _rows(self) -> list[dict[str, str]]:
        with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
            return list(csv.DictReader(file))


def _number(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def plot_losses(log: Log, path: Path, without: Sequence[str] = ()) -> None:
    """The numbers of a log over the steps, ``without`` some, as a picture."""
    figure = _figure(8.0, 5.0)
    axes = figure.subplots()
    for name, (steps, values) in log.read().items():
        if name not in without:
            axes.plot(steps, values, "o-" if len(values) < 50 else "-", markersize=3, linewidth=1, label=name)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    save_picture(figure, path)


def contact_sheet(dances: Mapping[str, Array], path: Path) -> None:
    """Dances, joints (T, 24, 3) in metres by title, as rows of stick figures in a picture; the right side is red."""
    figure = _figure(1.2 * _POSES, 1.7 * len(dances))
    grid = figure.subplots(len(dances), _POSES, squeeze=False)
    for row, (title, joints) in zip(grid, dances.items(), strict=True):
        frames = np.linspace(0, len(joints) - 1, _POSES).astype(int)
        for axes, frame in zip(row, frames, strict=True):
            # Seen from the front and a little from the left, the pelvis in the middle.
            x, y, z = (joints[frame] - joints[frame, 0] * [1.0, 1.0, 0.0]).T
            across, up = x + 0.35 * y, z - 0.15 * y
            axes.axhline(0.0, color="0.7", linewidth=0.5)
            for joint, parent in enumerate(SMPL_PARENTS):
                if parent >= 0:
                    bone = [joint, parent]
                    axes.plot(across[bone], up[bone], color="tab:red" if joint in _RIGHT else "tab:blue", linewidth=1)
            axes.set(xlim=(-1.0, 1.0), ylim=(-0.2, 2.1), aspect="equal")
            axes.axis("off")
        row[0].set_title(title, fontsize=8, loc="left")
    save_picture(figure, path)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=80, layout="constrained")
