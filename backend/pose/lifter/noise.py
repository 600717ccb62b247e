"""What detectors do to the points they see: noise, drift, outliers, swapped sides, points hidden or lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from ....retarget.rotations import Array
from ..landmarks import COCO, MIRROR, POINTS

_ARMS = [i for i, name in enumerate(POINTS) if any(part in name for part in ("elbow", "wrist", "index", "pinky"))]
_LEGS = [i for i, name in enumerate(POINTS) if any(part in name for part in ("knee", "ankle", "heel", "toe"))]
_TORSO = [POINTS.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]
_HIDDEN_DEPTH = 0.12  # m behind the torso, from where on its silhouette hides a point


@dataclass(frozen=True)
class Detector:
    """How a detector errs; lengths in the person's height in the picture, rates a second at 30 frames a second.

    ``spread`` of the errors by part, of which ``slow`` is the share of variance that lasts (its lag-1 correlation
    ``memory``); ``bias``, constant over a clip. ``hidden``: by how much errors grow for hidden points.
    ``outliers``, ``swaps``, ``losses`` (of a point), ``gaps`` (of the whole person): how often.
    ``points``: how many of POINTS it knows.
    """

    spread: dict[str, float]
    slow: float
    memory: float
    bias: float
    hidden: float
    outliers: float
    swaps: float
    losses: float
    gaps: float
    points: int = len(POINTS)

    def spreads(self) -> Array:
        """(25,) the spread of each point's errors."""
        return np.array([next(v for part, v in self.spread.items() if part in name) for name in POINTS])


MEDIAPIPE_LIKE = Detector(
    {
        "nose": 0.006, "eye": 0.006, "ear": 0.007, "shoulder": 0.009, "hip": 0.011, "elbow": 0.011, "wrist": 0.012,
        "index": 0.014, "pinky": 0.014, "knee": 0.010, "ankle": 0.011, "heel": 0.012, "toe": 0.013,
    },
    slow=0.75, memory=0.88, bias=0.007, hidden=2.5, outliers=0.02, swaps=0.03, losses=0.02, gaps=0.03,
)  # fmt: skip
COCO_LIKE = Detector(
    {
        "nose": 0.004, "eye": 0.004, "ear": 0.006, "shoulder": 0.006, "hip": 0.008, "elbow": 0.006, "wrist": 0.007,
        "index": 0.0, "pinky": 0.0, "knee": 0.006, "ankle": 0.007, "heel": 0.0, "toe": 0.0,
    },
    slow=0.6, memory=0.8, bias=0.004, hidden=3.0, outliers=0.05, swaps=0.05, losses=0.02, gaps=0.01, points=COCO,
)  # fmt: skip


def detect(
    rng: np.random.Generator, detector: Detector, seen: Array, pixels: Array, size: tuple[int, int]
) -> tuple[Array, Array]:
    """What a detector makes of a clip: (T, 25, 2) pixels and (T, 25) confidence, 0 where a point is not given.

    ``seen``: (T, 25, 3) the true places in the camera's frame, metres. ``pixels``: (T, 25, 2) where they are in the
    picture of ``size``. 30 frames a second.
    """
    frames = len(pixels)
    extent = float(np.median((pixels.max(axis=1) - pixels.min(axis=1)).max(axis=1)))
    covered = _hidden(seen, pixels) | _runs(rng, frames, len(POINTS), 0.05, (5, 45))
    outside = ((pixels < 0.0) | (pixels > np.array(size))).any(axis=-1)
    unsure = covered | outside
    scale = detector.spreads() * np.exp(rng.normal(0.0, 0.35)) * np.where(unsure, detector.hidden, 1.0)
    error = _noise(rng, (frames, len(POINTS), 2), detector) * scale[..., None]
    error += rng.normal(0.0, detector.bias, (len(POINTS), 2))
    jumps = rng.random((frames, len(POINTS))) < detector.outliers / 30.0
    error += jumps[..., None] * rng.normal(0.0, 0.12, error.shape)
    found = pixels + error * extent
    # A confidence that tells a good part of how large the errors are, but not all.
    worth = np.where(unsure, rng.normal(-0.3, 1.2, (1, len(POINTS))), 3.0) + _noise(rng, unsure.shape, detector)
    confidence = 1.0 / (1.0 + np.exp(-worth - rng.normal(0.0, 0.5)))
    found, confidence = _swap(rng, found, confidence, detector)
    lost = _runs(rng, frames, len(POINTS), detector.losses, (1, 12)) | _runs(rng, frames, 1, detector.gaps, (1, 15))
    if rng.random() < 0.5:
        lost |= outside
    confidence = np.where(lost, 0.0, np.maximum(confidence, 0.02))
    confidence[:, detector.points :] = 0.0
    return found, confidence


def _noise(rng: np.random.Generator, shape: tuple[int, ...], detector: Detector) -> Array:
    """Noise of unit variance of which a part lasts: white plus first-order autoregressive."""
    white = rng.normal(size=shape)
    memory = detector.memory
    start = rng.normal(size=(1, *shape[1:]))
    steps = rng.normal(size=shape) * np.sqrt(1.0 - memory**2)
    lasting = lfilter([1.0], [1.0, -memory], steps, axis=0, zi=memory * start)[0]
    mixed: Array = np.sqrt(1.0 - detector.slow) * white + np.sqrt(detector.slow) * lasting
    return mixed


def _hidden(seen: Array, pixels: Array) -> NDArray[np.bool_]:
    """(T, 25) whether the torso stands before a point."""
    torso = pixels[:, _TORSO]
    low, high = torso.min(axis=1, keepdims=True), torso.max(axis=1, keepdims=True)
    inside = ((pixels > low) & (pixels < high)).all(axis=-1)
    behind: NDArray[np.bool_] = seen[..., 2] > seen[:, _TORSO, 2].mean(axis=1, keepdims=True) + _HIDDEN_DEPTH
    behind[:, _TORSO] = False
    return inside & behind


def _runs(
    rng: np.random.Generator, frames: int, count: int, rate: float, lengths: tuple[int, int]
) -> NDArray[np.bool_]:
    """(T, count) stretches of random lengths in frames that begin at ``rate`` a second."""
    runs = np.zeros((frames, count), dtype=bool)
    begins = rng.random((frames, count)) < rate / 30.0
    for frame, which in zip(*np.nonzero(begins), strict=True):
        runs[frame : frame + rng.integers(*lengths), which] = True
    return runs


def _swap(rng: np.random.Generator, points: Array, confidence: Array, detector: Detector) -> tuple[Array, Array]:
    """Now and then the left and right arm, leg, or all of both sides are taken for each other."""
    mirror = np.array(MIRROR)
    points, confidence = points.copy(), confidence.copy()
    for part in (_ARMS, _LEGS, list(range(len(POINTS)))):
        times = _runs(rng, len(points), 1, detector.swaps / 3.0, (2, 20))[:, 0]
        rows = np.flatnonzero(times)[:, None]
        points[rows, part], confidence[rows, part] = points[rows, mirror[part]], confidence[rows, mirror[part]]
    return points, confidence
