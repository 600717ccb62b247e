"""What detectors do to the points they see: noise, drift, bursts of errors, swapped sides, points hidden or lost.

The measures are those of MediaPipe's pose and of a COCO detector on calibrated videos of several cameras.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import expit

from ....retarget.rotations import Array
from ..landmarks import COCO, MIRROR, POINTS
from .camera import box_of

_ARMS = [i for i, name in enumerate(POINTS) if any(part in name for part in ("elbow", "wrist", "index", "pinky"))]
_LEGS = [i for i, name in enumerate(POINTS) if any(part in name for part in ("knee", "ankle", "heel", "toe"))]
_LIMBS = np.isin(np.arange(len(POINTS)), _ARMS + _LEGS)
_TORSO = [POINTS.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]
_FACE = [i for i, name in enumerate(POINTS) if any(part in name for part in ("nose", "eye", "ear"))]
_EARS = [POINTS.index("left_ear"), POINTS.index("right_ear")]
_HIDDEN_DEPTH = 0.12  # m behind the torso, from where on its silhouette hides a point
_TURNED_AWAY = 0.03  # m behind the middle of the head, from where on it hides a point of the face
_FPS = 30.0

# Spread of the errors that last, and of white ones, by part, in the person's stature in the picture.
_LASTING = {
    "nose": 0.011, "eye": 0.011, "ear": 0.012, "shoulder": 0.0103, "elbow": 0.0115, "wrist": 0.012, "hip": 0.012,
    "knee": 0.012, "ankle": 0.011, "heel": 0.013, "toe": 0.0137, "index": 0.0126, "pinky": 0.0131,
}  # fmt: skip
_WHITE = {
    "nose": 0.0035, "eye": 0.0035, "ear": 0.0035, "shoulder": 0.0028, "elbow": 0.0036, "wrist": 0.0042, "hip": 0.003,
    "knee": 0.0036, "ankle": 0.0036, "heel": 0.0042, "toe": 0.0043, "index": 0.0048, "pinky": 0.0047,
}  # fmt: skip


def _of_parts(spread: dict[str, float]) -> Array:
    return np.array([next(value for part, value in spread.items() if part in name) for name in POINTS])


_LASTING_OF, _WHITE_OF = (_of_parts(spread).astype(np.float32) for spread in (_LASTING, _WHITE))


@dataclass(frozen=True)
class Detector:
    """How a detector errs; lengths in the person's stature in the picture, rates a second.

    ``points``: how many of POINTS it knows. ``memory``: lag-1 correlation at 30 frames a second of the errors that
    last; ``bias``: those of a whole clip. ``bursts``: how often a limb's point is somewhere else for some frames
    (``burst`` from, to), of a median size ``burst_size``; hidden points five times as often. ``turned``: how often
    the whole body is taken for its mirror image; ``swapped``: an arm or leg for the other. ``losses`` of a point,
    ``gaps`` of the person. ``sure``: its confidence in torso and face tells nothing; others are the less sure the
    more they err, and see no face from behind.
    """

    points: int
    memory: float
    bias: float
    bursts: float
    burst: tuple[int, int]
    burst_size: float
    turned: float
    swapped: float
    losses: float
    gaps: float
    sure: bool


MEDIAPIPE_LIKE = Detector(
    points=len(POINTS), memory=0.88, bias=0.006, bursts=0.4, burst=(1, 5), burst_size=0.08, turned=0.03, swapped=0.05,
    losses=0.01, gaps=0.02, sure=True,
)  # fmt: skip
COCO_LIKE = Detector(
    points=COCO, memory=0.9, bias=0.005, bursts=0.6, burst=(2, 9), burst_size=0.10, turned=0.02, swapped=0.1,
    losses=0.02, gaps=0.02, sure=False,
)  # fmt: skip

# Confidence of a detector that is not sure, as its logarithm of odds: of a clip mean and standard deviation, of each
# point in it, and over time; how much less of what is hidden.
_LEVEL, _OF_CLIPS, _OF_POINTS, _OVER_TIME, _WHEN_HIDDEN = 1.1, 1.0, 0.35, 0.9, 2.3


def detect(
    rng: np.random.Generator, detector: Detector, seen: Array, pixels: Array, size: Array
) -> tuple[Array, Array]:
    """What a detector makes of N clips: (N, T, 25, 2) pixels, (N, T, 25) confidence, 0 where a point is not given.

    ``seen``: (N, T, 25, 3) the true places in the camera's frame, metres. ``pixels``: (N, T, 25, 2) where they are in
    the pictures of ``size`` (N, 2). 30 frames a second.
    """
    clips, frames, count = pixels.shape[:3]
    low, high = box_of(pixels)
    extent = np.median((high - low).max(axis=2), axis=1)[:, None, None, None]
    beyond = (pixels < 0.0) | (pixels > size[:, None, None])
    outside = beyond[..., 0] | beyond[..., 1]
    shape = (clips, frames, count)
    hidden = _hidden(seen, pixels) | _runs(rng, shape, 0.05, (5, 45)) | outside
    if not detector.sure:
        hidden[..., _FACE] |= _turned_away(seen)
    level = _levels(rng, detector, hidden)
    worse = np.where(hidden, np.float32(1.6), np.float32(1.0)) if detector.sure else _error_at(expit(level))
    # Some videos are worse than others.
    scale = np.exp(rng.normal(0.0, 0.35, (clips, 1, 1, 1))).astype(np.float32) * worse[..., None]
    error = scale * (
        _WHITE_OF[:, None] * rng.standard_normal((*shape, 2), dtype=np.float32)
        + _LASTING_OF[:, None] * _lasting(rng, (*shape, 2), detector.memory)
    )
    error += (rng.normal(0.0, detector.bias, (clips, 1, count, 2)) + rng.normal(0.0, 0.004, (clips, 1, 1, 2))).astype(
        np.float32
    )
    burst, elsewhere = _bursts(rng, detector, hidden)
    found = pixels + (error + elsewhere) * extent
    level[burst & (rng.random(shape, dtype=np.float32) < 0.75)] -= 2.0
    confidence = _confidence(rng, detector, level)
    _swap(rng, found, confidence, detector)
    lost = _runs(rng, shape, detector.losses, (1, 12)) | _runs(rng, (clips, frames, 1), detector.gaps, (1, 15))
    lost |= outside & (rng.random((clips, 1, 1)) < 0.5)
    confidence = np.where(lost, np.float32(0.0), np.clip(confidence, 0.01, 1.0))
    confidence[..., detector.points :] = 0.0
    return found, confidence


def _lasting(rng: np.random.Generator, shape: tuple[int, ...], memory: float) -> Array:
    """First-order autoregressive noise of unit variance along the second axis, time."""
    start = rng.standard_normal((shape[0], 1, *shape[2:]), dtype=np.float32)
    steps = rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(1.0 - memory**2))
    filtered = np.array([1.0], dtype=np.float32), np.array([1.0, -memory], dtype=np.float32)
    noise: Array = lfilter(*filtered, steps, axis=1, zi=np.float32(memory) * start)[0]
    return noise


def _bursts(rng: np.random.Generator, detector: Detector, hidden: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Array]:
    """(N, T, 25) whether a point is found elsewhere, and (N, T, 25, 2) by how much; it stays there for a burst."""
    burst, shift = np.zeros(hidden.shape, dtype=bool), np.zeros((*hidden.shape, 2), dtype=np.float32)
    clips, begins, ends, which = _events(rng, hidden.shape, 5.0 * detector.bursts, detector.burst)
    rate = np.where(hidden[clips, begins, which], 1.0, 0.2) * np.where(_LIMBS[which], 1.0, 0.4)
    kept = rng.random(len(rate)) < rate
    away = rng.normal(size=(int(kept.sum()), 2))
    away *= (detector.burst_size * np.exp(rng.normal(0.0, 0.6, len(away))) / np.linalg.norm(away, axis=1))[:, None]
    for clip, first, end, point, by in zip(clips[kept], begins[kept], ends[kept], which[kept], away, strict=True):
        burst[clip, first:end, point] = True
        shift[clip, first:end, point] = by
    return burst, shift


def _levels(rng: np.random.Generator, detector: Detector, hidden: NDArray[np.bool_]) -> Array:
    """(N, T, 25) logarithms of the odds that a detector gives what it finds: lower where hidden."""
    if detector.sure:
        level: Array = np.float32(2.8) + np.float32(0.7) * _lasting(rng, hidden.shape, 0.9)
        level[hidden] -= 2.5
    else:
        clips, _, points = hidden.shape
        usual = rng.normal(_LEVEL, _OF_CLIPS, (clips, 1, 1)) + rng.normal(0.0, _OF_POINTS, (clips, 1, points))
        level = usual.astype(np.float32) + np.float32(_OVER_TIME) * _lasting(rng, hidden.shape, 0.93)
        level[hidden] -= _WHEN_HIDDEN
    return level


def _error_at(confidence: Array) -> Array:
    """How much more than usual a detector errs that says so by its confidence: up to seven times."""
    doubt = 1.0 - confidence
    more: Array = 0.75 + 2.2 * doubt**2 + 3.8 * doubt**8
    return more


def _confidence(rng: np.random.Generator, detector: Detector, level: Array) -> Array:
    """(N, T, 25) what the detector says of its points, on a scale that differs between detectors; now and then 1
    throughout."""
    clip = (len(level), 1, 1)
    confidence = expit(level)
    if detector.sure:
        confidence[..., ~_LIMBS] = 1.0 - 0.001 * rng.random(confidence[..., ~_LIMBS].shape, dtype=np.float32)
    else:
        confidence = confidence ** np.exp(rng.uniform(np.log(0.6), np.log(1.7), clip)).astype(np.float32)
    confidence[rng.random(len(level)) < 0.1] = 1.0
    return confidence


def _hidden(seen: Array, pixels: Array) -> NDArray[np.bool_]:
    """(N, T, 25) whether the torso stands before a point."""
    low, high = (edge[..., None, :] for edge in box_of(pixels[..., _TORSO, :]))
    above, below = pixels > low, pixels < high
    inside = above[..., 0] & above[..., 1] & below[..., 0] & below[..., 1]
    behind: NDArray[np.bool_] = seen[..., 2] > seen[..., _TORSO, 2].mean(axis=-1, keepdims=True) + _HIDDEN_DEPTH
    behind[..., _TORSO] = False
    return inside & behind


def _turned_away(seen: Array) -> NDArray[np.bool_]:
    """(N, T, 5) whether the head stands before a point of its own face."""
    away: NDArray[np.bool_] = seen[..., _FACE, 2] > seen[..., _EARS, 2].mean(axis=-1, keepdims=True) + np.float32(
        _TURNED_AWAY
    )
    return away


def _runs(rng: np.random.Generator, shape: tuple[int, ...], rate: float, lengths: tuple[int, int]) -> NDArray[np.bool_]:
    """Of ``shape`` (N, T, P), stretches of random lengths in frames that begin at ``rate`` a second."""
    runs = np.zeros(shape, dtype=bool)
    for clip, first, end, which in zip(*_events(rng, shape, rate, lengths), strict=True):
        runs[clip, first:end, which] = True
    return runs


def _events(
    rng: np.random.Generator, shape: tuple[int, ...], rate: float, lengths: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Clips, first frames, ends and points of what happens at ``rate`` a second in clips of ``shape`` (N, T, P).

    Some of it began before the clip: short clips see as much of it as long ones.
    """
    clips, frames, points = shape
    longest = lengths[1] - 1
    count = rng.poisson(rate / _FPS * clips * (frames + longest - 1) * points)
    begins = rng.integers(1 - longest, frames, count)
    ends = begins + rng.integers(*lengths, count)
    there = ends > 0
    return tuple(
        part[there]
        for part in (rng.integers(clips, size=count), np.maximum(begins, 0), ends, rng.integers(points, size=count))
    )  # type: ignore[return-value]


def _swap(rng: np.random.Generator, points: Array, confidence: Array, detector: Detector) -> None:
    """Now and then the left and right arm, leg, or all of both sides are taken for each other, with full confidence;
    in place."""
    mirror = np.array(MIRROR)
    for part, rate, lengths in (
        (np.array(_ARMS), detector.swapped / 2.0, (1, 4)),
        (np.array(_LEGS), detector.swapped / 2.0, (1, 6)),
        (np.arange(len(POINTS)), detector.turned, (1, 20)),
    ):
        clips, frames, _ = np.nonzero(_runs(rng, (*points.shape[:2], 1), rate, lengths))
        at, other = (clips[:, None], frames[:, None], part), (clips[:, None], frames[:, None], mirror[part])
        points[at], confidence[at] = points[other], confidence[other]
