"""Which parts of what was seen are worth solving, and what is wrong with the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .detections import Detections

BRIDGED = 0.5  # s that a gap may last
SHORTEST = 1.0  # s that a stretch lasts at least


@dataclass(frozen=True)
class Stretch:
    """Frames ``start`` to ``stop`` (exclusive) of the detections, with short gaps in which nobody was seen."""

    start: int
    stop: int


@dataclass(frozen=True)
class Problem:
    """What was wrong from ``start`` to ``end`` (seconds of the video), as a ``sentence`` for the user.

    ``kind``: one of "nobody", "people", "cut".
    """

    kind: str
    start: float
    end: float
    sentence: str


def find_stretches(detections: Detections) -> tuple[list[Stretch], list[Problem]]:
    """The stretches that can be solved, in order, and all problems in order of time."""
    times, seen = detections.times, detections.confidence.max(axis=1, initial=0.0) > 0.0
    stretches: list[Stretch] = []
    frames = np.flatnonzero(seen)
    breaks = set(detections.cuts.tolist())
    for frame in frames.tolist():
        cut = stretches and any(stretches[-1].stop <= b <= frame for b in breaks)
        if stretches and not cut and times[frame] - times[stretches[-1].stop - 1] <= BRIDGED:
            stretches[-1] = Stretch(stretches[-1].start, frame + 1)
        else:
            stretches.append(Stretch(frame, frame + 1))
    stretches = [s for s in stretches if times[s.stop - 1] - times[s.start] >= SHORTEST]
    return stretches, []
