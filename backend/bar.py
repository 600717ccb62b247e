"""Progress in a terminal, or in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from .progress import Progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_LINE_EVERY = 30.0  # seconds


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """How far the work is, with the time left, on the error stream, so that the output can be piped: a bar in a
    terminal, elsewhere a line now and then."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    with _bar(console) as progress:
        yield progress


@contextlib.contextmanager
def _bar(console: Console) -> Iterator[Progress]:
    from rich import progress as rich
    from rich.text import Text

    columns = (
        rich.BarColumn(),
        rich.TaskProgressColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("left"),
    )

    class Bar(rich.Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            """What is being done above how far it is: the words may be long."""
            for task in self.tasks:
                yield Text(task.description)
                yield self.make_tasks_table([task])

    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Starting", total=1.0)
        yield lambda fraction, text: bar.update(task, completed=fraction, description=text)


def _lines() -> Progress:
    began = told = time.monotonic()
    first: float | None = None  # what is done already where earlier work is gone on with

    def tell(fraction: float, text: str) -> None:
        nonlocal told, first
        now = time.monotonic()
        first = fraction if first is None else first
        if now - told >= _LINE_EVERY:
            told = now
            done = fraction - first
            left = f"{timedelta(seconds=round((now - began) * (1.0 - fraction) / done))} left  " if done > 0.0 else ""
            print(f"{fraction:4.0%}  {left}{text}", file=sys.stderr, flush=True)

    return tell
