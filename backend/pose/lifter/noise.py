"""What detectors do to the points they see: noise, drift, bursts of errors, swapped sides, points hidden or lost.

The measures are those of MediaPipe's pose and of a COCO detector on calibrated videos of several cameras.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from ....retarget.rotations import Array
from ..landmarks import COCO, MIRROR, POINTS

_ARMS = [i for i, name in enumerate(POINTS) if any(part in name for part in ("elbow", "wrist", "index", "pinky"))]
_LEGS = [i for i, name in enumerate(POINTS) if any(part in name for part in ("knee", "ankle", "heel", "toe"))]
_LIMBS = np.isin(np.arange(len(POINTS)), _ARMS + _LEGS)
_TORSO = [POINTS.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]
_HIDDEN_DEPTH = 0.12  # m behind the torso, from where on its silhouette hides a point
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
    ``gaps`` of the person. ``sure``: its confidence in the torso and face tells nothing.
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
    points=COCO, memory=0.8, bias=0.005, bursts=0.6, burst=(2, 9), burst_size=0.10, turned=0.01, swapped=0.1,
    losses=0.02, gaps=0.02, sure=False,
)  # fmt: skip


def detect(
    rng: np.random.Generator, detector: Detector, seen: Array, pixels: Array, size: Array
) -> tuple[Array, Array]:
    """What a detector makes of N clips: (N, T, 25, 2) pixels, (N, T, 25) confidence, 0 where a point is not given.

    ``seen``: (N, T, 25, 3) the true places in the camera's frame, metres. ``pixels``: (N, T, 25, 2) where they are in
    the pictures of ``size`` (N, 2). 30 frames a second.
    """
    clips, frames, count = pixels.shape[:3]
    extent = np.median((pixels.max(axis=2) - pixels.min(axis=2)).max(axis=2), axis=1)[:, None, None, None]
    outside = ((pixels < 0.0) | (pixels > size[:, None, None])).any(axis=-1)
    shape = (clips, frames, count)
    hidden = _hidden(seen, pixels) | _runs(rng, shape, 0.05, (5, 45)) | outside
    # Some videos are worse than others.
    scale = (
        np.exp(rng.normal(0.0, 0.35, (clips, 1, 1, 1))).astype(np.float32)
        * np.where(hidden, np.float32(1.6), np.float32(1.0))[..., None]
    )
    error = scale * (
        _WHITE_OF[:, None] * rng.standard_normal((*shape, 2), dtype=np.float32)
        + _LASTING_OF[:, None] * _lasting(rng, (*shape, 2), detector.memory)
    )
    error += (rng.normal(0.0, detector.bias, (clips, 1, count, 2)) + rng.normal(0.0, 0.004, (clips, 1, 1, 2))).astype(
        np.float32
    )
    burst, elsewhere = _bursts(rng, detector, hidden)
    found = pixels + (error + elsewhere) * extent
    confidence = _confidence(rng, detector, hidden, burst)
    found, confidence = _swap(rng, found, confidence, detector)
    lost = _runs(rng, shape, detector.losses, (1, 12)) | _runs(rng, (clips, frames, 1), detector.gaps, (1, 15))
    lost |= outside & (rng.random((clips, 1, 1)) < 0.5)
    confidence = np.where(lost, 0.0, np.clip(confidence, 0.01, 1.0))
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
    rate = detector.bursts * np.where(hidden, 5.0, 1.0) * np.where(_LIMBS, 1.0, 0.4)
    burst, shift = np.zeros(hidden.shape, dtype=bool), np.zeros((*hidden.shape, 2), dtype=np.float32)
    begins = np.nonzero(rng.random(hidden.shape) < rate / _FPS)
    away = rng.normal(size=(len(begins[0]), 2))
    away *= (detector.burst_size * np.exp(rng.normal(0.0, 0.6, len(away))) / np.linalg.norm(away, axis=1))[:, None]
    lengths = rng.integers(*detector.burst, size=len(away))
    for clip, frame, point, length, by in zip(*begins, lengths, away, strict=True):
        burst[clip, frame : frame + length, point] = True
        shift[clip, frame : frame + length, point] = by
    return burst, shift


def _confidence(
    rng: np.random.Generator, detector: Detector, hidden: NDArray[np.bool_], burst: NDArray[np.bool_]
) -> Array:
    """(N, T, 25) what the detector says of its points: lower where hidden or wrong, though not always, on a scale that
    differs between detectors, and now and then 1 throughout."""
    clip = (len(hidden), 1, 1)
    honest = rng.random(burst.shape) < 0.75
    level = 2.8 - 2.5 * hidden - 2.0 * (burst & honest) + 0.7 * _lasting(rng, hidden.shape, 0.9)
    confidence = 1.0 / (1.0 + np.exp(-level))
    if detector.sure:
        confidence = np.where(_LIMBS, confidence, 1.0 - 0.001 * rng.random(hidden.shape))
    else:
        confidence = confidence ** np.exp(rng.uniform(np.log(0.5), np.log(4.0), clip))
    return np.where(rng.random(clip) < 0.1, 1.0, confidence)


def _hidden(seen: Array, pixels: Array) -> NDArray[np.bool_]:
    """(N, T, 25) whether the torso stands before a point."""
    torso = pixels[..., _TORSO, :]
    low, high = torso.min(axis=-2, keepdims=True), torso.max(axis=-2, keepdims=True)
    inside = ((pixels > low) & (pixels < high)).all(axis=-1)
    behind: NDArray[np.bool_] = seen[..., 2] > seen[..., _TORSO, 2].mean(axis=-1, keepdims=True) + _HIDDEN_DEPTH
    behind[..., _TORSO] = False
    return inside & behind


def _runs(rng: np.random.Generator, shape: tuple[int, ...], rate: float, lengths: tuple[int, int]) -> NDArray[np.bool_]:
    """Of ``shape`` (N, T, P), stretches of random lengths in frames that begin at ``rate`` a second."""
    runs = np.zeros(shape, dtype=bool)
    begins = np.nonzero(rng.random(shape) < rate / _FPS)
    for clip, frame, which, length in zip(*begins, rng.integers(*lengths, size=len(begins[0])), strict=True):
        runs[clip, frame : frame + length, which] = True
    return runs


def _swap(rng: np.random.Generator, points: Array, confidence: Array, detector: Detector) -> tuple[Array, Array]:
    """Now and then the left and right arm, leg, or all of both sides are taken for each other, with full confidence."""
    mirror = np.array(MIRROR)
    for part, rate, lengths in (
        (_ARMS, detector.swapped / 2.0, (1, 4)),
        (_LEGS, detector.swapped / 2.0, (1, 6)),
        (range(len(POINTS)), detector.turned, (1, 20)),
    ):
        swapped = _runs(rng, (*points.shape[:2], 1), rate, lengths) & np.isin(np.arange(len(POINTS)), part)
        points = np.where(swapped[..., None], points[..., mirror, :], points)
        confidence = np.where(swapped, confidence[..., mirror], confidence)
    return points, confidence
