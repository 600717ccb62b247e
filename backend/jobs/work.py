"""What a worker can do: one function for every kind of job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...retarget.files import save_motion
from ..choreography import Choreographer, Wish
from ..progress import Progress


@dataclass(frozen=True)
class Order:
    """One job as the worker gets it: ``request`` as the client sent it, ``song`` its file, ``out`` where the
    result goes (an .npz), ``model`` the weights or None for Stepsmith's own."""

    kind: str
    request: dict[str, Any]
    song: Path
    out: Path
    model: Path | None = None


Work = Callable[[Order, Progress], None]


def dance(order: Order, progress: Progress) -> None:
    """A dance for the order's song."""
    motion = _choreographer(order.model).dance(Wish(order.song, **order.request), progress)
    save_motion(order.out, motion)


@lru_cache(maxsize=1)
def _choreographer(model: Path | None) -> Choreographer:
    """One for all jobs, so that the model is read once."""
    return Choreographer(model)


KINDS: dict[str, Work] = {"dance": dance}
