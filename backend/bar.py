"""Progress in a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .progress import Progress

if TYPE_CHECKING:
    from rich.console import RenderableType


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar with the time left, where there is a terminal to show it: on its error stream, so that
    the output can be piped."""
    from rich import progress as rich
    from rich.console import Console
    from rich.text import Text

    columns = (
        rich.BarColumn(),
        rich.TaskProgressColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("left"),
    )
    console = Console(stderr=True)

    class Bar(rich.Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            """What is being done above how far it is: the words may be long."""
            for task in self.tasks:
                yield Text(task.description)
                yield self.make_tasks_table([task])

    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Starting", total=1.0)
        yield lambda fraction, text: bar.update(task, completed=fraction, description=text)
