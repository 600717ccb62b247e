"""What a terminal, or a log, hears of the work: how far it is, and what was left out."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from .progress import Progress, silent

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_LINE_EVERY = 30.0  # seconds


@contextlib.contextmanager
def progress_bar(*, quiet: bool = False) -> Iterator[Progress]:
    """How far the work is, with the time left, on the error stream, so that the output can be piped: a bar in a
    terminal, elsewhere a line now and then; nothing if ``quiet``."""
    from rich.console import Console

    if quiet:
        yield silent
        return

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    with _bar(console) as progress:
        yield progress


@contextlib.contextmanager
def left_out(kind: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """To name, on the error stream, what is left out of the work, once each; how many of a ``kind`` these were is said
    at the end; nothing if ``quiet``."""
    named: set[str] = set()

    def name(sentence: str) -> None:
        if not quiet and sentence not in named:
            print(f"Left out: {sentence}", file=sys.stderr, flush=True)
        named.add(sentence)

    yield name
    if named and not quiet:
        print(f"{len(named)} {kind}{' was' if len(named) == 1 else 's were'} left out.", file=sys.stderr)


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
    told = time.monotonic()
    first: float | None = None
    moved: tuple[float, float] | None = None  # when it first moved, and to where: what was done before took no time

    def tell(fraction: float, text: str) -> None:
        nonlocal told, first, moved
        now = time.monotonic()
        first = fraction if first is None else first
        if moved is None and fraction > first:
            moved = now, fraction
        if now - told >= _LINE_EVERY:
            told = now
            left = ""
            if moved is not None and fraction > moved[1]:
                pace = (now - moved[0]) / (fraction - moved[1])
                left = f"{timedelta(seconds=round(pace * (1.0 - fraction)))} left  "
            print(f"{fraction:4.0%}  {left}{text}", file=sys.stderr, flush=True)

    return tell
