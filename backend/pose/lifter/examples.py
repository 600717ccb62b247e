"""Examples to learn from: recorded motion on random bodies, before random cameras, seen by detectors that err."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL_MIRROR
from .bodies import pose, random_body
from .camera import STATURE, View, find_view, random_camera
from .data import Recording
from .noise import COCO_LIKE, MEDIAPIPE_LIKE, detect

# Shares of the examples seen without error, and by a detector of COCO's points alone.
_IDEAL, _COCO = 0.15, 0.35
_UNSURE_FOCAL = 0.2  # standard deviation of the error in the focal length's logarithm
_OFF_CENTRE, _OFF_SIZE = 0.15, 0.15  # how far a window's view differs from its whole stretch's
_FLIP = np.array([-1.0, 1.0, 1.0], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Example:
    """One window of T frames. ``inputs``: (T, C) as ``encode`` makes them. ``valid``: (T,) whether the recording has
    that frame. What is to be learnt, in the frame of the view: ``shape`` (T, 48, 3) points, and joints but the pelvis,
    from the pelvis, metres; ``place`` (T, 3) of the pelvis as ``encode_place`` has it; ``up`` (3,), against gravity."""

    inputs: Array
    shape: Array
    place: Array
    up: Array
    valid: Array


def encode(view: View, points: Array, confidence: Array) -> Array:
    """(F, 3 P + 1) the network's inputs: (F, P, 2) pixels in the view, confidences, and how large the person is seen.

    Points with confidence 0 are zeros.
    """
    seen = confidence > 0.0
    where = np.clip(np.where(seen[..., None], view.normalise(points), 0.0), -3.0, 3.0)
    size = np.full((len(points), 1), np.log(view.angle) + 1.0)
    return np.concatenate([where.reshape(len(points), -1), confidence, size], axis=1).astype(np.float32)


def encode_place(view: View, place: Array) -> Array:
    """(..., 3) places in the view's frame as (x / z, y / z, log z), each in the person's size."""
    depth = place[..., 2:]
    return np.concatenate([place[..., :2] / depth / view.angle, np.log(depth * view.angle / STATURE)], axis=-1)


def decode_place(view: View, code: Array) -> Array:
    """The inverse of ``encode_place``."""
    depth = np.exp(code[..., 2:]) * STATURE / view.angle
    return np.concatenate([code[..., :2] * depth * view.angle, depth], axis=-1)


def make_example(rng: np.random.Generator, recordings: Sequence[Recording], chances: Array, frames: int) -> Example:
    """A window of ``frames`` of one of the recordings, drawn by ``chances``; it may begin before or end after it."""
    recording = recordings[rng.choice(len(recordings), p=chances)]
    first = int(rng.integers(-frames // 2, max(len(recording) - frames // 2, -frames // 2 + 1)))
    there = np.arange(max(first, 0), min(first + frames, len(recording)))
    orientations, root = recording.turns[there], recording.root[there]
    if rng.random() < 0.5:
        orientations, root = mirrored(orientations, root)
    points, joints = pose(random_body(rng), orientations, root)
    camera = random_camera(rng, root)
    seen, skeleton = camera.see(points), camera.see(joints)
    pixels = camera.project(seen)
    chance = rng.random()
    if chance < _IDEAL:
        found, confidence = pixels, np.ones(pixels.shape[:2])
    else:
        detector = COCO_LIKE if chance < _IDEAL + _COCO else MEDIAPIPE_LIKE
        found, confidence = detect(rng, detector, seen, pixels, camera.size)
    shaken = _shaken(rng, found, confidence)
    believed = camera.focal * float(np.exp(rng.normal(0.0, _UNSURE_FOCAL)))
    inputs = encode(find_view(shaken, confidence, camera.size, believed), found, confidence)
    view = find_view(shaken, confidence, camera.size, camera.focal)
    points, joints = view.from_camera(seen), view.from_camera(skeleton)
    pelvis = joints[:, :1]
    place = np.maximum(pelvis[:, 0], [-np.inf, -np.inf, 0.5])
    up = view.from_camera(camera.rotation @ np.array([0.0, 0.0, 1.0]))
    offset = there[0] - first
    return Example(
        _placed(inputs, offset, frames),
        _placed(np.concatenate([points, joints[:, 1:]], axis=1) - pelvis, offset, frames),
        _placed(encode_place(view, place), offset, frames),
        up.astype(np.float32),
        _placed(np.ones(len(there)), offset, frames),
    )


def mirrored(orientations: Array, root: Array) -> tuple[Array, Array]:
    """The pose on the other side: left and right change places, reflected in x."""
    return orientations[:, SMPL_MIRROR] * _FLIP[:, None] * _FLIP, root * _FLIP


def _shaken(rng: np.random.Generator, points: Array, confidence: Array) -> Array:
    """The points moved and scaled as one, so that their view is another than their own."""
    seen = confidence > 0.0
    if not seen.any():
        return points
    middle = points[seen].mean(axis=0)
    extent = np.abs(points[seen] - middle).max()
    scale = np.exp(rng.normal(0.0, _OFF_SIZE))
    moved: Array = middle + (points - middle) * scale + rng.normal(0.0, _OFF_CENTRE, 2) * extent
    return moved


def _placed(rows: Array, offset: int, frames: int) -> Array:
    """Rows at their place within a window of ``frames``, zeros around them."""
    out = np.zeros((frames, *rows.shape[1:]), dtype=np.float32)
    out[offset : offset + len(rows)] = rows
    return out
