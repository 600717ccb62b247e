"""A dancer of a video on its way from the backend. No bpy here, as in ``dance_task``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..retarget.errors import StepsmithError
from ..retarget.motion import Motion
from .client import Client, Job
from .dance_task import Backend, Connection, Dance, Task

_SHORTEST = 1.0  # s


@dataclass(frozen=True)
class VideoRequest:
    """Whom to capture: in ``video`` the how manieth ``person`` from the left, None for the most central one.

    ``start``, ``duration``: the part of the video, seconds (None: to the end). Raises StepsmithError where that is too
    short for anybody to be captured.
    """

    video: Path
    person: int | None = None
    start: float = 0.0
    duration: float | None = None

    def __post_init__(self) -> None:
        if self.duration is not None and self.duration < _SHORTEST:
            raise StepsmithError(
                f"The part of a video must last {_SHORTEST:g} s or longer, not {self.duration:.2g} s: take more of it."
            )


@dataclass(frozen=True)
class Problem:
    """What was wrong with a video from ``start`` to ``end`` (seconds of it), in a sentence that names them too."""

    start: float
    end: float
    text: str


class CaptureTask(Task):
    """Captures what one VideoRequest asks for."""

    source = "video"

    def __init__(
        self, backend: Backend, connection: Connection, request: VideoRequest, keep_as: Path | None = None
    ) -> None:
        self.request = request
        super().__init__(backend, connection, keep_as)

    def _ask(self, client: Client) -> Job:
        request = self.request
        if self._connection.url:
            which = {"video": client.upload(request.video, self._uploading)}
        else:  # A backend of this machine reads a video, however large, where it is.
            which = {"file": str(request.video)}
        # A wish that is none is left out: an older backend would not know it.
        part = {"start": request.start or None, "duration": request.duration}
        part = {name: seconds for name, seconds in part.items() if seconds is not None}
        return client.capture(**which, person=request.person, **part)

    def _made(self, motion: Motion) -> Dance:
        """The strip beside it is the video's sound, where it has any."""
        start = motion.meta.get("song_start")
        if not isinstance(start, int | float):
            return Dance(motion, None, 0.0)
        return Dance(motion.with_meta(song=str(self.request.video)), self.request.video, float(start))


def begins(motion: Motion) -> float:
    """The second of the video at which a motion that was captured from it begins, as its ``meta`` says."""
    parts = motion.meta.get("parts")
    first = parts[0] if isinstance(parts, list) and parts else None
    second = first[0] if isinstance(first, list) and first else None
    return float(second) if isinstance(second, int | float) and math.isfinite(second) else 0.0


def problems_of(motion: Motion) -> list[Problem]:
    """What was wrong with the video that a motion was captured from, as its ``meta`` says; whatever else that holds."""
    said = motion.meta.get("problems")
    return [
        Problem(float(one["start"]), float(one["end"]), one["text"])
        for one in (said if isinstance(said, list) else [])
        if _is_problem(one)
    ]


def _is_problem(said: Any) -> bool:
    if not isinstance(said, Mapping) or not isinstance(said.get("text"), str):
        return False
    return all(isinstance(said.get(key), int | float) and math.isfinite(said[key]) for key in ("start", "end"))
