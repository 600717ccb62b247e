"""What lifters are measured on: recorded motion seen by made-up cameras, and dances that real cameras filmed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...retarget import rotations as rot
from ...retarget.arrays import ArrayFileError, read_npz
from ...retarget.errors import StepsmithError
from ...retarget.motion import Motion
from ...retarget.rotations import Array
from ...retarget.skeleton import SMPL_MIRROR
from ..dance.sources import SPLITS, DataError, Skip, load_dances, load_unpaired
from ..pose.landmarks import COCO, to_human36m
from ..pose.lifter.bodies import STANDARD, Body, body_points
from ..pose.lifter.camera import look
from ..pose.lifter.data import load_motions

FPS = 30.0
CLIP_SECONDS = 20.0
SHORTEST = 1.5  # s
CAMERAS = 4  # that see each recorded clip
SIZE = (1280, 720)  # of their pictures
_PARTS = 0.05  # by how much bodies differ in the length of each part, a standard deviation
_AIST_CAMERAS = ".cameras.json"
_MOST_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Clip:
    """Somebody seen by one camera.

    ``times`` (F,) seconds, ``points`` (F, P, 2) pixels of a picture of ``size``, ``confidence`` (F, P): what was
    detected, for ``Lifter.lift``. ``truth``: (T, 17, 3) metres in the camera's frame, Human3.6M's joints, at FPS from
    the first time on; None where it is not known. ``world``: the same by MediaPipe alone, where it looked.
    """

    name: str
    times: Array
    points: Array
    confidence: Array
    size: tuple[int, int]
    truth: Array | None
    world: Array | None = None


@dataclass(frozen=True, eq=False)
class TestSet:
    """Clips that are averaged. ``title``: what they are, for the table."""

    __test__ = False  # no test of pytest's, whatever its name

    name: str
    title: str
    clips: list[Clip]


# -- recorded motion, ideal 2D ------------------------------------------------------------------------


def recorded_sets(data: Path, *, everything: bool = False, skip: Skip) -> Iterator[TestSet]:
    """A set for each folder of recorded motion in ``data``, or for ``data`` itself: what is held out of training.

    That is the ``test`` split of dances with a manifest, the tenth of other recordings that is kept for it; with
    ``everything`` all of them, for recordings that nothing was trained on.
    """
    folders = [path for path in sorted(data.iterdir()) if path.is_dir()]
    found = False
    if not (data / "manifest.csv").exists():
        for folder in folders:
            if clips := _ideal(folder, everything, skip):
                found = True
                yield TestSet(folder.name, f"{folder.name}, ideal 2D of {CAMERAS} cameras", clips)
    if not found and (clips := _ideal(data, everything, skip)):
        yield TestSet(data.resolve().name, f"{data.resolve().name}, ideal 2D of {CAMERAS} cameras", clips)


def _ideal(folder: Path, everything: bool, skip: Skip) -> list[Clip]:
    """The clips of a folder of recorded motion; none where there is no such motion."""
    if any(folder.glob("*" + _AIST_CAMERAS)):
        return []
    return [clip for name, motion in _motions(folder, everything, skip) for clip in ideal_clips(name, motion)]


def _motions(folder: Path, everything: bool, skip: Skip) -> list[tuple[str, Motion]]:
    try:
        if not everything:
            return list(load_motions(folder, held=True, skip=skip))
        if (folder / "manifest.csv").exists():
            found = [dance for split in SPLITS for dance in load_dances(folder, split, FPS, skip=skip)]
        else:
            found = load_unpaired(folder, FPS, skip, dances_only=False, shortest=SHORTEST)
        return [(dance.name, dance.motion) for dance in found]
    except DataError:
        return []


def ideal_clips(name: str, motion: Motion) -> Iterator[Clip]:
    """A recording in pieces of at most CLIP_SECONDS, each as CAMERAS cameras see it; another body in each piece.

    Bodies and cameras are drawn at random, the same each time for a name, and not as in training.
    """
    motion = motion.resample(FPS)
    count = max(1, round(motion.duration / CLIP_SECONDS))
    for piece, frames in enumerate(np.array_split(np.arange(len(motion)), count)):
        part = motion.slice(int(frames[0]), int(frames[-1]) + 1)
        if part.duration < SHORTEST:
            continue
        rng = np.random.default_rng(list(hashlib.sha256(f"{name}/{piece}".encode()).digest()))
        points, _ = body_points(part, _body(rng))
        first = rng.uniform(0.0, 2.0 * np.pi)
        for number in range(CAMERAS):
            seen, focal = _seen(rng, points, first + 2.0 * np.pi * number / CAMERAS)
            pixels = seen[..., :2] / seen[..., 2:] * focal + np.divide(SIZE, 2.0)
            clip = f"{name}/{piece}/{number}"
            yield Clip(clip, part.times, pixels, np.ones(pixels.shape[:2]), SIZE, to_human36m(seen))


def _body(rng: np.random.Generator) -> Body:
    """A body of other proportions, the same on both sides."""
    lengths = np.exp(rng.normal(0.0, _PARTS, len(SMPL_MIRROR)))[np.minimum(np.arange(len(SMPL_MIRROR)), SMPL_MIRROR)]
    return Body(STANDARD.offsets * lengths[:, None], STANDARD.places)


def _seen(rng: np.random.Generator, points: Array, side: float) -> tuple[Array, float]:
    """(T, P, 3) points in the frame of a camera at an angle of about ``side`` round their way, and its focal length.

    At the height of knees to above the head, tilted a little, and so far that the body is half to nine tenths as high
    as the picture; the way that is gone is in the picture, if need be by standing further off.
    """
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    focal = SIZE[0] * rng.uniform(0.7, 1.8)
    around = np.linalg.norm(high - low) / 2.0
    height = np.ptp(points[..., 2], axis=1).max()
    distance = max(focal * height / (SIZE[1] * rng.uniform(0.5, 0.9)), 2.0 * focal * around / SIZE[0], around + 1.0)
    angle = side + rng.uniform(-0.5, 0.5)
    middle = (low + high) / 2.0
    ground = middle[:2] + distance * np.array([np.cos(angle), np.sin(angle)])
    position = np.array([*ground, rng.uniform(0.4, 2.4)])
    turn = look(position, middle, float(rng.normal(0.0, np.radians(3.0))))
    return (points - position) @ turn.T, focal


# -- AIST++: real detections of nine calibrated cameras -------------------------------------------------


def aist_sets(data: Path) -> Iterator[TestSet]:
    """The AIST++ dances in ``data`` or a folder in it, each as its cameras detected it."""
    for folder in [data, *(path for path in sorted(data.iterdir()) if path.is_dir())]:
        clips = [clip for path in sorted(folder.glob("*" + _AIST_CAMERAS)) for clip in aist_clips(path)]
        if clips:
            yield TestSet(folder.resolve().name, f"{folder.resolve().name}, real detections of each camera", clips)


def aist_clips(cameras: Path) -> list[Clip]:
    """A clip for each camera of an AIST++ dance, told by its ``.cameras.json``; the ``.npz`` lies beside.

    ``keypoints2d`` (C, F, 17, 3) pixels and scores, ``keypoints3d`` (F, 17, 3) cm, ``fps``; cameras as OpenCV has
    them, cm. Frames without a detection have confidence 0. Raises StepsmithError where a file is not like that.
    """
    arrays = cameras.with_name(cameras.name.removesuffix(_AIST_CAMERAS) + ".npz")
    try:
        with arrays.open("rb") as file:
            found = read_npz(file, ("keypoints2d", "keypoints3d", "fps"), _MOST_BYTES)
        seen, true, fps = found["keypoints2d"].astype(float), found["keypoints3d"] / 100.0, float(found["fps"])
        places = [_place(camera) for camera in json.loads(cameras.read_text(encoding="utf-8"))]
        if seen.shape != (len(places), len(true), COCO, 3) or true.shape[1:] != (COCO, 3) or not fps > 0:
            raise ValueError(f"shapes {seen.shape} and {true.shape}")
    except (OSError, ArrayFileError, KeyError, TypeError, ValueError) as error:
        raise StepsmithError(
            f"{cameras} and the .npz beside it hold no AIST++ dance with cameras ({error}): get them again."
        ) from error
    times = np.arange(len(true)) / fps
    at = np.arange(int(times[-1] * FPS + 1e-6) + 1) / FPS
    clips = []
    for points, (name, size, turn, move) in zip(seen, places, strict=True):
        confidence = np.where(np.isfinite(points).all(axis=-1), np.clip(np.nan_to_num(points[..., 2]), 0.0, 1.0), 0.0)
        truth = to_human36m(rot.rotate(turn, true) + move)
        clips.append(
            Clip(
                f"{arrays.stem}/{name}",
                times,
                np.nan_to_num(points[..., :2]),
                confidence,
                size,
                at_times(times, truth, at),
            )
        )
    return clips


def _place(camera: dict[str, object]) -> tuple[str, tuple[int, int], Array, Array]:
    """Name, picture's size, and the turn (4,) and move (3,) in metres from the world into the camera's frame."""
    width, height = np.array(camera["size"], dtype=int)
    turn = rot.from_axis_angle(np.array(camera["rotation"], dtype=float).reshape(3))
    return str(camera["name"]), (int(width), int(height)), turn, np.array(camera["translation"]).reshape(3) / 100.0


def at_times(times: Array, rows: Array, at: Array) -> Array:
    """(T, ...) rows (F, ...) of ascending ``times`` at other times, linear between them, still before and after."""
    if len(times) == 1:
        return np.repeat(rows, len(at), axis=0)
    after = np.clip(np.searchsorted(times, at), 1, len(times) - 1)
    share = np.clip((at - times[after - 1]) / (times[after] - times[after - 1]), 0.0, 1.0)
    share = share.reshape(-1, *[1] * (rows.ndim - 1))
    between: Array = rows[after - 1] * (1.0 - share) + rows[after] * share
    return between


__all__ = ["FPS", "Clip", "TestSet", "aist_clips", "aist_sets", "at_times", "ideal_clips", "recorded_sets"]
