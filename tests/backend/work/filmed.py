"""The worker's work on videos, with a capture that only pretends to see a dancer. Given to a server by settings."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stepsmith.backend.jobs import work
from stepsmith.backend.pose import capture as room
from stepsmith.backend.progress import Progress
from stepsmith.retarget.motion import Motion


@dataclass(frozen=True)
class Problem:
    kind: str
    start: float
    end: float
    sentence: str


def still(seconds: float, x: float = 0.0) -> Motion:
    """Standing at rest at ``x``, at 30 frames a second."""
    frames = round(seconds * 30)
    rest = np.tile([1.0, 0.0, 0.0, 0.0], (frames, 24, 1))
    return Motion(30, np.tile([x, 0.0, 0.93], (frames, 1)), rest, np.ones((frames, 4)))


def pretend(video: Path, *, progress: Progress, person: int | None = None, **wishes: Any) -> room.Capture:
    """Two parts with a gap between; slow for a video called slow, until the gate opens."""
    for step in range(600 if video.stem == "slow" else 1):
        progress(0.1 + step / 1000, f"Picture {step}")
        if Path(os.environ["STEPSMITH_TEST_GATE"]).exists():
            break
        time.sleep(0.05)
    problem = Problem("nobody", 1.5, 3.0, f"Nobody is seen{'' if person is None else f' of {person}'}.")
    return room.Capture([(0.5, still(1.0)), (3.0, still(1.0, 1.0))], [problem], (640, 480), 4.0, 25.0, wishes["start"])


room.capture = pretend
KINDS = work.KINDS
