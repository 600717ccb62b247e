"""Measuring lifters: every set of clips, every way to lift them, and how fast it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from ... import __version__
from ...retarget.errors import StepsmithError
from ...retarget.rotations import Array
from ..dance.sources import Skip, ignore
from ..measures.metrics import Estimate, mean_estimate
from ..pose.body import solve_body
from ..pose.detections import Lifted
from ..pose.landmarks import COCO, HUMAN36M, POINTS, to_human36m
from ..pose.lifter import WEIGHTS
from ..pose.lifter.bodies import body_points
from ..pose.lifter.network import TemporalNetwork
from ..pose.lifter.published import Lifts, PublishedLifter, load_lifter
from ..progress import Progress, part, silent
from . import lifter_metrics as metrics
from .lifter_sets import FPS, Clip, TestSet, aist_sets, at_times, recorded_sets
from .lifter_videos import mediapipe_alone, short_videos, video_sets

# Names of the ways to lift, in the tables.
OURS, UNFLIPPED, CAUSAL, MEDIAPIPE, TRUTH = "lifter", "lifter, no flip", "causal", "mediapipe", "truth"
PERFORMANCE = "performance"  # what the body that is solved does, on its rigid skeleton
CAUSAL_WEIGHTS = WEIGHTS.with_name("lifter-causal.safetensors")
REFERENCE = "VideoPose3D's network, 243 frames, no flip"
THREADS = 2  # as the published figures of speed have it
_SPEED_FRAMES = 4500
# Shares of the time after which all is read and watched, and after which all is measured.
_READ, _MEASURED = 0.4, 0.8

# Figures of a clip by key; NaN where the truth is not known.
Figures = dict[str, float]


@dataclass(frozen=True, eq=False)
class SetReport:
    """Figures of a set by system and key, with intervals over its clips; ``by_clip`` those of each clip and system;
    and what was lifted of its first clip."""

    title: str
    by_clip: dict[str, dict[str, Figures]]
    systems: dict[str, dict[str, Estimate]]
    example: dict[str, Array]


@dataclass(frozen=True, eq=False)
class LifterReport:
    """``facts`` that make it repeatable, ``sets`` by name, ``speed`` in frames a second (or a ratio) by key,
    ``notes``: sentences on what was left out."""

    facts: dict[str, object]
    sets: dict[str, SetReport]
    speed: dict[str, float]
    notes: list[str] = field(default_factory=list)


def evaluate_lifters(
    data: Path,
    *,
    weights: Path | None = None,
    causal: bool = False,
    everything: bool = False,
    videos: bool = True,
    speed: bool = True,
    progress: Progress = silent,
    skip: Skip = ignore,
) -> LifterReport:
    """Measure the lifter of a file, Stepsmith's own by default, on all that ``data`` holds.

    That is recorded motion (what is held out of training, or ``everything``), AIST++ dances with their cameras and
    detections, and, with ``videos``, videos: with the truth where calibrated cameras filmed the same.
    ``causal``: the file is a published checkpoint of a causal model. ``skip`` hears of recordings left out.
    Raises StepsmithError where ``data`` holds nothing of these or the weights are no good.
    """
    if not data.is_dir():
        raise StepsmithError(f"There is no folder {data}: give one of recorded motion, AIST++ dances or videos.")
    lifter = load_lifter(weights, causal=causal)
    notes: list[str] = []
    lifters: dict[str, tuple[Lifts, bool]] = {OURS: (lifter, True), UNFLIPPED: (lifter, False)}
    if weights is None and CAUSAL_WEIGHTS.is_file():
        lifters[CAUSAL] = (load_lifter(CAUSAL_WEIGHTS), True)
    sets = list(_sets(data, everything, videos, notes.append, part(progress, 0.0, _READ), skip))
    measuring, clips, done = part(progress, _READ, _MEASURED), sum(len(found.clips) for found in sets), 0
    measured: dict[str, SetReport] = {}
    for found in sets:
        share = part(measuring, done / clips, (done + len(found.clips)) / clips)
        measured[found.name] = measure_set(found, lifters, share)
        done += len(found.clips)
    if not measured:
        raise StepsmithError(f"{data} holds no recorded motion, AIST++ dances or videos: give a folder that does.")
    progress(_MEASURED, "Taking the time")
    whole = short_videos(data) if videos else []
    taken = lifter_speed(lifters, whole=whole, weights=weights, note=notes.append) if speed else {}
    return LifterReport(
        {
            "stepsmith": __version__,
            "lifter": "default" if weights is None else str(weights),
            "fps": FPS,
            "recordings": "all" if everything else "held out",
        },
        measured,
        taken,
        notes,
    )


def _sets(data: Path, everything: bool, videos: bool, note: Skip, progress: Progress, skip: Skip) -> Iterator[TestSet]:
    progress(0.0, "Reading the recordings")
    yield from recorded_sets(data, everything=everything, skip=skip)
    yield from aist_sets(data)
    if not videos:
        return
    if find_spec("mediapipe") is None:
        note("The videos were left out, since MediaPipe is missing: pip install “stepsmith[video]”.")
        return
    yield from video_sets(data, note, progress)


# -- accuracy -----------------------------------------------------------------------------------------


def measure_set(found: TestSet, lifters: Mapping[str, tuple[Lifts, bool]], progress: Progress = silent) -> SetReport:
    """Figures of each lifter, with or without flip, on a set's clips; of MediaPipe's own, and of the truth itself."""
    by_clip: dict[str, dict[str, Figures]] = {}
    example: dict[str, Array] = {}
    for number, clip in enumerate(found.clips):
        progress(number / len(found.clips), f"Lifting: {found.title}")
        lifted = {name: lift_clip(lifter, clip, flip) for name, (lifter, flip) in lifters.items()}
        ways = {name: to_human36m(one.points) for name, one in lifted.items()}
        if OURS in lifted:
            ways[PERFORMANCE] = perform(lifted[OURS], clip)
        if clip.world is not None:
            ways[MEDIAPIPE] = clip.world
        if clip.truth is not None:
            ways[TRUTH] = clip.truth
        rows = {name: measure(joints, clip.truth, path=name != MEDIAPIPE) for name, joints in ways.items()}
        for name, row in rows.items():
            if MEDIAPIPE in rows and name not in (MEDIAPIPE, TRUTH):
                row |= _compare(row, rows[MEDIAPIPE])
        by_clip[clip.name] = rows
        example = example or ways
    names = dict.fromkeys(name for rows in by_clip.values() for name in rows)
    systems = {name: _means([rows[name] for rows in by_clip.values() if name in rows]) for name in names}
    return SetReport(found.title, by_clip, systems, example)


def _means(rows: Sequence[Figures]) -> dict[str, Estimate]:
    """Means over clips by key, with their intervals."""
    return {key: mean_estimate([row[key] for row in rows]) for key in rows[0]}


def lift_clip(lifter: Lifts, clip: Clip, flip: bool) -> Lifted:
    """What a lifter makes of a clip."""
    return lifter.lift(clip.times, clip.points, clip.confidence, clip.size, fps=FPS, flip=flip)


def perform(lifted: Lifted, clip: Clip) -> Array:
    """(T, 17, 3) joints of the performance that is solved for a lifted clip, turned and scaled as one as it was lifted.

    The performance stands in a world of its own, on the standard skeleton.
    """
    at = clip.times[0] + np.arange(len(lifted)) / FPS
    motion = solve_body(lifted, confidence=at_times(clip.times, clip.confidence, at))
    return metrics.turned_alike(to_human36m(body_points(motion)[0]), to_human36m(lifted.points))


def measure(joints: Array, truth: Array | None, *, path: bool = True) -> Figures:
    """All figures of joints (T, 17, 3) at FPS; NaN for those that need a truth that is not known.

    Joints that are known around the hips alone have no ``path``.
    """
    own = {"jerk": metrics.jerk(joints, FPS), "bone_spread": metrics.bone_spread(joints)}
    if truth is None or truth is joints:
        return {key: float("nan") for key in ("p_mpjpe", "mpjpe", "mpjve", "acceleration_error", "path_error")} | own
    frames = min(len(joints), len(truth))
    joints, truth = joints[:frames], truth[:frames]
    return {
        "p_mpjpe": metrics.p_mpjpe(joints, truth),
        "mpjpe": metrics.mpjpe(joints, truth),
        "mpjve": metrics.mpjve(joints, truth),
        "acceleration_error": metrics.acceleration_error(joints, truth, FPS),
        "path_error": metrics.path_error(joints, truth) if path else float("nan"),
        **own,
    }


def _compare(row: Figures, other: Figures) -> Figures:
    """Whether a lifter is closer to the truth than MediaPipe in both distances, and quieter: 1 or 0."""
    closer = all(row[key] < other[key] for key in ("p_mpjpe", "mpjpe"))
    known = np.isfinite(row["p_mpjpe"])
    return {"closer": float(closer) if known else float("nan"), "quieter": float(row["jerk"] < other["jerk"])}


# -- speed --------------------------------------------------------------------------------------------


def lifter_speed(
    lifters: Mapping[str, tuple[Lifts, bool]],
    *,
    whole: Sequence[Path] = (),
    weights: Path | None = None,
    note: Skip = ignore,
) -> dict[str, float]:
    """Frames a second on THREADS threads of each way to lift and of VideoPose3D's network; of MediaPipe alone and the
    whole way with ``weights``, if videos are given, and how many times as long the whole way takes.

    ``note`` hears why the whole way was not timed, where one of its videos can't be captured.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        found = {name: _frames_a_second(lifter, flip) for name, (lifter, flip) in lifters.items()}
        # How fast the machine is, by the network that the published figures of speed are of.
        known = PublishedLifter(TemporalNetwork(2 * COCO, 3 * len(HUMAN36M), 1024, (3, 3, 3, 3, 3)))
        found[REFERENCE] = _frames_a_second(known, False)
        if whole and find_spec("mediapipe") is not None:
            try:
                found |= _whole_way(whole, weights)
            except StepsmithError as error:  # all else is measured: one poor video must not cost it
                note(f"The whole way was not timed: {error}")
    finally:
        torch.set_num_threads(before)
    return found


def _frames_a_second(lifter: Lifts, flip: bool) -> float:
    rng = np.random.default_rng(0)
    points = 400.0 + np.cumsum(rng.normal(0.0, 1.0, (_SPEED_FRAMES, len(POINTS), 2)), axis=0)
    times, confidence = np.arange(_SPEED_FRAMES) / FPS, np.ones(points.shape[:2])

    def lift(frames: int) -> None:
        lifter.lift(times[:frames], points[:frames], confidence[:frames], (1280, 720), fps=FPS, flip=flip)

    lift(500)  # the first time is slower
    return _SPEED_FRAMES / min(_seconds(lambda: lift(_SPEED_FRAMES)) for _ in range(2))


def _whole_way(videos: Sequence[Path], weights: Path | None) -> dict[str, float]:
    """Frames a second of MediaPipe alone, and of the capture of the same videos.

    Raises StepsmithError where nobody can be captured from one of them.
    """
    from ..pose.capture import capture

    mediapipe_alone(videos[0]), capture(videos[0], lifter=weights)  # the first time is slower
    began = time.perf_counter()
    frames = sum(mediapipe_alone(video) for video in videos)
    alone = time.perf_counter() - began
    way = _seconds(lambda: [capture(video, lifter=weights) for video in videos])
    return {"mediapipe_alone": frames / alone, "whole_way": frames / way, "whole_way_ratio": way / alone}


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
