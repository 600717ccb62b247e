"""A video in, what was seen of one person out."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import numpy as np

from ..progress import Progress, silent
from .detections import Detections
from .landmarks import MEDIAPIPE
from .mediapipe_graphs import Landmarks, People, Pose
from .video import Video, VideoInfo

_LOOK = 0.33  # s between two looks at who is in the picture
_TELL = 0.2  # s between two words on the progress


def watch(video: Path, *, person: int | None = None, progress: Progress = silent) -> Detections:
    """What is seen of one person in a video, in every frame.

    ``person``: the how manieth from the left, from 1, where there are several; None follows the most central.
    ``progress`` is told the frames and the time left; what it raises ends the work. Raises StepsmithError where the
    video can't be read or MediaPipe is missing.
    """
    with closing(People()) as people, closing(Landmarks()) as landmarks, closing(Video(video)) as source:
        told = _Teller(source.info, progress)
        times: list[float] = []
        poses: list[Pose | None] = []
        counts: list[int] = []
        square, looked, count = None, -np.inf, 0
        scale = 1.0
        for frame in source.frames():
            told(frame.time)
            if square is None or frame.time - looked >= _LOOK:
                figures = people.find(frame.image, frame.time)
                looked, count = frame.time, len(figures)
                if square is None and figures:
                    square = figures[0].square
            pose = landmarks.find(frame.image, frame.time, square) if square else None
            square = pose.square if pose else None
            times.append(frame.time)
            poses.append(pose)
            counts.append(max(count, 1) if pose else count)
            scale = source.info.size[0] / frame.image.shape[1]
    return _detections(times, poses, counts, source.info.size, scale)


def _detections(
    times: list[float], poses: list[Pose | None], counts: list[int], size: tuple[int, int], scale: float
) -> Detections:
    marks, seen = len(MEDIAPIPE), [i for i, pose in enumerate(poses) if pose is not None]
    points, confidence = np.zeros((len(times), marks, 2)), np.zeros((len(times), marks))
    world = np.zeros((len(times), marks, 3))
    for i in seen:
        pose = poses[i]
        assert pose is not None
        points[i], confidence[i], world[i] = pose.points * scale, pose.visibility, pose.world
    return Detections(np.array(times), size, points, confidence, world, np.array(counts), np.array([], dtype=int))


class _Teller:
    """Tells the progress in frames and the time left, every so often."""

    def __init__(self, info: VideoInfo, progress: Progress) -> None:
        self._info, self._progress = info, progress
        self._frames, self._started = 0, time.monotonic()
        self._told = self._started - _TELL

    def __call__(self, second: float) -> None:
        self._frames += 1
        now = time.monotonic()
        if now - self._told < _TELL:
            return
        self._told = now
        duration = self._info.duration
        if not duration:
            self._progress(0.0, f"Watching the dancer, frame {self._frames}")
            return
        share = min(max(second / duration, 0.0), 1.0)
        total = max(round(duration * self._info.fps), self._frames)
        left = f", {(now - self._started) * (1.0 / share - 1.0):.0f} s left" if self._frames > 20 and share else ""
        self._progress(share, f"Watching the dancer, frame {self._frames} of {total}{left}")
