"""Videos as clips to measure lifters on: with the truth where calibrated cameras filmed the same person together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from ...retarget.errors import StepsmithError
from ...retarget.rotations import Array
from ..dance.sources import Skip
from ..pose.detections import Detections
from ..pose.landmarks import FROM_MEDIAPIPE, to_human36m
from ..progress import Progress, parts
from .lifter_cameras import read_qualisys, reconstruct
from .lifter_sets import FPS, Clip, TestSet, at_times

_CALIBRATION = ".qca.txt"
_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}
_SHORTEST = 1.0  # s
_MARKS = list(FROM_MEDIAPIPE)


def video_sets(data: Path, note: Skip, progress: Progress) -> Iterator[TestSet]:
    """The sets of the videos in ``data`` and the folders below: one for each calibrated group, one of all others.

    ``note`` hears of videos that can't be measured. MediaPipe must be there.
    """
    calibrations = sorted(data.rglob("*" + _CALIBRATION))
    together = {calibration.parent for calibration in calibrations}
    alone = [video for video in _videos(data) if video.parent not in together]
    shares = iter(parts(progress, len(calibrations) + len(alone)))
    for calibration in calibrations:
        name = calibration.parent.resolve().name
        try:
            clips = filmed_together(calibration, next(shares))
            yield TestSet(name, f"{name}, MediaPipe's detections in {len(clips)} calibrated cameras", clips)
        except StepsmithError as error:
            note(str(error))
    clips = []
    for video, share in zip(alone, shares, strict=True):
        try:
            clips += filmed(video, share)
        except StepsmithError as error:
            note(str(error))
    if clips:
        yield TestSet("videos", "other videos, truth unknown", clips)


def filmed_together(calibration: Path, progress: Progress) -> list[Clip]:
    """A clip for each camera of a Qualisys calibration, whose videos lie beside it and begin with the same frame.

    The truth is what the detections of all of them agree upon.
    """
    cameras, videos = read_qualisys(calibration), _films(calibration.parent)
    if len(cameras) != len(videos):
        raise StepsmithError(
            f"{calibration} has {len(cameras)} cameras, but {len(videos)} videos lie beside it: give one for each."
        )
    seen = [_watch(video, share) for video, share in zip(videos, parts(progress, len(videos)), strict=True)]
    frames = min(len(one) for one in seen)
    times = seen[0].times[:frames]
    if not frames or times[-1] - times[0] < _SHORTEST or not all((one.confidence > 0.0).any() for one in seen):
        raise StepsmithError(
            f"The videos beside {calibration} don't all show somebody for {_SHORTEST:g} s or more: leave them out."
        )
    pixels = np.stack([np.where(one.confidence[:frames, :, None] > 0.0, one.points[:frames], np.nan) for one in seen])
    progress(1.0, "Finding the truth that the cameras agree upon")
    places, moved = reconstruct(cameras, pixels[:, :, _MARKS], (frames - 1) / float(times[-1] - times[0]))
    return [
        _clip(f"{calibration.parent.name}/{camera.name}", one, slice(0, frames), to_human36m(camera.see(places)))
        for camera, one in zip(moved, seen, strict=True)
    ]


def filmed(video: Path, progress: Progress) -> list[Clip]:
    """A clip for each stretch of a video that shows somebody; the truth is not known."""
    from ..pose.stretches import find_stretches

    seen = _watch(video, progress)
    stretches, _ = find_stretches(seen)
    return [_clip(f"{video.name}/{s.start}", seen, slice(s.start, s.stop), None) for s in stretches]


def _watch(video: Path, progress: Progress) -> Detections:
    from ..pose.watch import watch

    return watch(video, progress=progress)


def _clip(name: str, seen: Detections, frames: slice, truth: Array | None) -> Clip:
    """The frames of what was seen as a clip; ``truth`` (F, 17, 3) of those frames."""
    times, confidence = seen.times[frames], seen.confidence[frames][:, _MARKS]
    at = times[0] + np.arange(int((times[-1] - times[0]) * FPS + 1e-6) + 1) / FPS
    known = confidence.max(axis=1) > 0.0
    world = to_human36m(seen.world[frames][:, _MARKS])[known]
    return Clip(
        name,
        times,
        seen.points[frames][:, _MARKS],
        confidence,
        seen.size,
        None if truth is None else at_times(times, truth, at),
        at_times(times[known], world, at),
    )


# -- the time that it takes ---------------------------------------------------------------------------


def short_videos(data: Path) -> list[Path]:
    """Videos to take the time with: those of the first calibrated group, or else the first video."""
    for calibration in sorted(data.rglob("*" + _CALIBRATION)):
        return _films(calibration.parent)
    return _videos(data)[:1]


def mediapipe_alone(video: Path) -> int:
    """Let MediaPipe's ready-made Pose look at each frame of a video, as its examples do; the number of frames."""
    from mediapipe.python.solutions.pose import Pose

    from ..pose.mediapipe_graphs import quiet
    from ..pose.video import Video

    frames = 0
    with closing(Video(video)) as source, quiet(), Pose(model_complexity=1) as pose:
        for frame in source.frames():
            pose.process(frame.image)
            frames += 1
    return frames


def _videos(data: Path) -> list[Path]:
    return sorted(path for path in data.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())


def _films(folder: Path) -> list[Path]:
    """The videos right in a folder, by name: the order of the cameras."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file())
