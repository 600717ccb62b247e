"""A dancer of a video on its way from the backend. No bpy here, as in ``dance_task``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..retarget.motion import Motion
from .client import Client, Job
from .dance_task import Backend, Connection, Dance, Task


@dataclass(frozen=True)
class VideoRequest:
    """Whom to capture: in ``video`` the how manieth ``person`` from the left, None for the most central one."""

    video: Path
    person: int | None = None


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
        if self._connection.url:
            return client.capture(video=client.upload(self.request.video, self._uploading), person=self.request.person)
        # A backend of this machine reads a video, however large, where it is.
        return client.capture(file=str(self.request.video), person=self.request.person)

    def _made(self, motion: Motion) -> Dance:
        """The strip beside it is the video's sound, where it has any."""
        start = motion.meta.get("song_start")
        if not isinstance(start, int | float):
            return Dance(motion, None, 0.0)
        return Dance(motion.with_meta(song=str(self.request.video)), self.request.video, float(start))


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
