"""Processes that make clips, one video at a time each. One that dies takes one video with it, and is replaced."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from ...retarget.errors import StepsmithError
from ..folders import is_full_disk
from .film import Plan, make_clips

_EVERY = 0.2  # seconds between two reports of one worker
_PATIENCE = 5.0  # seconds that a worker has to end


@dataclass(frozen=True)
class Task:
    """A video to make clips of: ``places`` are the store's folders of captures and of clips."""

    number: int
    video: Path
    content: str
    plan: Plan
    places: tuple[Path, Path]


@dataclass(frozen=True)
class Report:
    """How far a task is, in [0, 1]. ``done``: it has ended; ``error``: why without success, where it has not."""

    number: int
    fraction: float
    text: str
    done: bool = False
    error: str | None = None


class FullDiskError(StepsmithError):
    """There is no room for what a worker has made."""


def work(tasks: Iterator[Task], count: int, log: Path) -> Iterator[Report]:
    """Do ``tasks``, ``count`` at once; tasks are asked for when a worker is free. What libraries print goes to ``log``.

    Workers are gone when this ends, however it does. Raises FullDiskError.
    """
    crew: list[_Worker] = []
    try:
        idle = True
        while True:
            while idle and len([w for w in crew if w.task]) < count:
                task = next(tasks, None)
                if task is None:
                    idle = False
                    break
                free = next((w for w in crew if not w.task), None)
                if free is None:
                    free = _Worker(count, log)
                    crew.append(free)
                free.begin(task)
                yield Report(task.number, 0.0, "")
            busy = [w for w in crew if w.task]
            if not busy:
                return
            ready = wait([w.connection for w in busy] + [w.process.sentinel for w in busy], timeout=1.0)
            for worker in busy:
                if worker.connection in ready or worker.process.sentinel in ready:
                    yield from worker.reports()
            crew = [w for w in crew if w.process.is_alive() or w.task]
    finally:
        for worker in crew:
            worker.end()


class _Worker:
    def __init__(self, count: int, log: Path) -> None:
        context = multiprocessing.get_context("spawn")  # forked, the threads of libraries would be missing
        self.connection, theirs = context.Pipe()
        self.task: Task | None = None
        self.process: BaseProcess = context.Process(target=_main, args=(theirs, str(log)), daemon=True)
        # Read by libraries when they are loaded: together the workers are to use each core once.
        threads = str(max(1, (os.cpu_count() or 1) // count))
        before = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = before or threads
        try:
            self.process.start()
        finally:
            if before is None:
                del os.environ["OMP_NUM_THREADS"]
        theirs.close()

    def begin(self, task: Task) -> None:
        self.task = task
        with contextlib.suppress(OSError):  # a worker that is dead already is noticed by its end
            self.connection.send(task)

    def reports(self) -> Iterator[Report]:
        """What the worker has said, or that it is gone."""
        assert self.task is not None
        number = self.task.number
        try:
            while self.task and self.connection.poll():
                message = self.connection.recv()
                if isinstance(message, FullDiskError):
                    raise message
                if message.done:
                    self.task = None
                yield message
        except (EOFError, OSError):
            self.task = None
            self.process.join(_PATIENCE)
            yield Report(number, 1.0, "", done=True, error=_death(self.process.exitcode))

    def end(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _death(code: int | None) -> str:
    if code == -9:  # SIGKILL, where there are signals
        return "The process that worked on it was killed, perhaps for want of memory: run the command again."
    return f"The process that worked on it ended (code {code}): run the command again, and report it if it stays."


def _main(connection: Connection, log: str) -> None:
    # Ctrl-C in a terminal reaches the whole group; it is the first process that decides what becomes of this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Where memory runs out, Linux shall take this process.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    quiet = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(quiet, stream)
    with contextlib.suppress(EOFError, OSError):  # nobody is there any more
        while True:
            task = connection.recv()
            connection.send(do(task, connection.send))


def do(task: Task, say: Callable[[Report], None]) -> Report | FullDiskError:
    """Do one task; ``say`` hears how far it is. The last word on it is returned."""
    last = 0.0

    def report(fraction: float, text: str) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _EVERY:
            last = now
            say(Report(task.number, fraction, text))

    try:
        make_clips(task.video, task.content, task.plan, task.places, report)
    except BrokenPipeError:
        raise
    except StepsmithError as error:
        return _failed(task, str(error))
    except MemoryError:
        return _failed(task, "There is not enough memory for it: cut it into shorter videos, or use fewer workers.")
    except Exception as error:  # the next video shall not suffer from this one
        if is_full_disk(error):
            return FullDiskError(f"The disk of {task.places[0].parent.parent} is full: make room, and run this again.")
        traceback.print_exc()
        words = " ".join(str(error).split())
        return _failed(task, f"An unexpected error stopped the work on it ({type(error).__name__}: {words}).")
    return Report(task.number, 1.0, "", done=True)


def _failed(task: Task, sentence: str) -> Report:
    return Report(task.number, 1.0, "", done=True, error=sentence)
