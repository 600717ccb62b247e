"""The process that does the jobs: ``python -m stepsmith.backend.jobs.worker MODULE:ATTRIBUTE``.

MODULE:ATTRIBUTE names a mapping from kinds of jobs to functions (``work.KINDS``). Lines of JSON come in
on stdin: an order {"kind", "request", "song", "out", "model", "motions"} begins a job, {"cancel": true} stops it.
Lines of JSON go out on stdout: {"fraction", "text"} on the way, and {"done": true}, {"cancelled": true}
or {"error": sentence} at the end. When stdin ends, so does the process, whatever it is doing: the server
is gone. Only one job at a time.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from ...retarget.errors import StepsmithError
from ..folders import is_full_disk
from ..progress import Cancelled, Progress
from .work import Order, Work

_EVERY = 0.1  # seconds between two reports
_FULL = "The disk of the backend's data folder is full: free some room on it, then ask again."


def main() -> None:
    # Ctrl-C in a terminal reaches the whole group; it is the server that decides what becomes of the worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Where memory runs out, Linux shall take this process, not Blender with the user's work.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    say = _own_stdout()
    module, _, attribute = sys.argv[1].partition(":")
    kinds: Mapping[str, Work] = getattr(importlib.import_module(module), attribute)
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    cancelled = threading.Event()
    threading.Thread(target=_listen, args=(orders, cancelled), name="orders", daemon=True).start()
    while True:
        say(_do(kinds, orders.get(), cancelled, say))


def _listen(orders: queue.SimpleQueue[dict[str, Any]], cancelled: threading.Event) -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "cancel" in message:
            cancelled.set()
        else:
            cancelled.clear()
            orders.put(message)
    os._exit(0)  # not sys.exit: the main thread may be deep in a library


def _do(
    kinds: Mapping[str, Work],
    message: dict[str, Any],
    cancelled: threading.Event,
    say: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Do one job; its last word."""
    order = Order(
        message["kind"],
        message["request"],
        Path(message["song"]),
        Path(message["out"]),
        Path(message["model"]) if message["model"] else None,
        {sha256: Path(file) for sha256, file in message["motions"].items()},
    )
    try:
        kinds[order.kind](order, _reporter(cancelled, say))
    except Cancelled:
        return {"cancelled": True}
    except StepsmithError as error:
        return {"error": _FULL if is_full_disk(error.__cause__) else str(error)}
    except MemoryError:
        advice = "video: use a shorter one" if order.kind == "capture" else "dance: dance to a shorter part of the song"
        return {"error": f"There is not enough memory for this {advice}."}
    except Exception as error:  # the next job shall not suffer from this one
        if is_full_disk(error):
            return {"error": _FULL}
        traceback.print_exc()
        words = " ".join(str(error).split())
        return {"error": f"An unexpected error stopped the work ({type(error).__name__}: {words}): please report it."}
    return {"done": True}


def _reporter(cancelled: threading.Event, say: Callable[[dict[str, Any]], None]) -> Progress:
    last, words = 0.0, ""

    def report(fraction: float, text: str) -> None:
        nonlocal last, words
        if cancelled.is_set():
            raise Cancelled
        now = time.monotonic()
        if text != words or now - last >= _EVERY:
            last, words = now, text
            say({"fraction": fraction, "text": text})

    return report


def _own_stdout() -> Callable[[dict[str, Any]], None]:
    """A function that writes JSON lines to the real stdout, while whatever libraries print goes to stderr."""
    stream: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(line: dict[str, Any]) -> None:
        stream.write(json.dumps(line) + "\n")
        stream.flush()

    return say


if __name__ == "__main__":
    main()
