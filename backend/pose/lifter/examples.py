"""Examples to learn from: recorded motion on random bodies, before random cameras, seen by detectors that err."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL_MIRROR
from .bodies import pose, random_bodies
from .camera import STATURE, View, follow, look_along, random_cameras
from .data import FPS, Library
from .noise import COCO_LIKE, MEDIAPIPE_LIKE, detect
from .vary import vary, vary_lightly

_AS_RECORDED = 0.5  # share of the bodies not varied of which knees and head are not either
# Shares of the examples seen without error, and by a detector of COCO's points alone.
_IDEAL, _COCO = 0.25, 0.3
_SPEED, _BACKWARDS = 0.3, 0.4  # standard deviation of the logarithm of a varied window's speed; share played backwards
_UNSURE_FOCAL = 0.2  # standard deviation of the error in the focal length's logarithm
_OFF_CENTRE, _OFF_SIZE = 0.06, 0.08  # how far a window's box differs from its whole stretch's, in its size
# Seconds for which a point may be lost that is taken to go straight meanwhile. Arms lost for 0.4 s are put twice as
# near to the truth so, for 1 s by a quarter, for 2 s no nearer.
_BRIDGED = 1.2
_FLIP = np.array([-1.0, 1.0, 1.0], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Examples:
    """N windows of T frames. ``inputs``: (N, T, C) as ``encode`` makes them. ``valid``: (N, T) whether the recording
    has that frame. What is to be learnt, in the frames of the views: ``shape`` (N, T, 48, 3) points, and joints but the
    pelvis, from the pelvis, metres; ``place`` (N, T, 3) of the pelvis as ``encode_place`` has it; ``up`` (N, T, 3),
    against gravity. All float32."""

    inputs: Array
    shape: Array
    place: Array
    up: Array
    valid: Array


def encode(view: View, points: Array, confidence: Array) -> Array:
    """(..., T, 3 P + 1) the network's inputs: (..., T, P, 2) pixels in the view, confidences, and the person's size.

    Points with confidence 0 are zeros.
    """
    seen = confidence > 0.0
    where = np.clip(np.where(seen[..., None], view.normalise(points), 0.0), -3.0, 3.0)
    size = np.log(view.angle)[..., None] + 1.0
    flat = where.reshape(*confidence.shape[:-1], -1)
    return np.concatenate([flat, confidence, size], axis=-1).astype(np.float32)


def bridge(points: Array, confidence: Array, fps: float, causal: bool = False) -> tuple[Array, Array]:
    """Points (..., T, P, 2), lost for a while where their confidence (..., T, P) is 0, put straight between where they
    were seen, as sure as the less sure of the two; both anew.

    Before and after all that was seen, and everywhere if ``causal``, they are where they are seen next, or were last.
    """
    frames = confidence.shape[-2]
    frame, seen = np.arange(frames)[:, None], confidence > 0.0
    if seen.all():
        return points.copy(), confidence.copy()
    before = np.maximum.accumulate(np.where(seen, frame, -1), axis=-2)
    after = np.flip(np.minimum.accumulate(np.flip(np.where(seen, frame, frames), axis=-2), axis=-2), axis=-2)
    if causal:
        after = np.full_like(after, frames)
    first = np.where(before >= 0, before, np.minimum(after, frames - 1))
    last = np.where(after < frames, after, first)
    gap, since = last - first, frame - first
    found = (before >= 0) | (after < frames)
    short = ~seen & found & (np.where(gap > 0, gap, 2 * np.abs(since)) <= _BRIDGED * fps)
    share = (since / np.maximum(gap, 1))[..., None].astype(points.dtype)
    start, end = (np.take_along_axis(points, which[..., None], axis=-3) for which in (first, last))
    sure = np.minimum(*(np.take_along_axis(confidence, which, axis=-2) for which in (first, last)))
    return np.where(short[..., None], start + share * (end - start), points), np.where(short, sure, confidence)


def encode_place(view: View, place: Array) -> Array:
    """(..., T, 3) places in the view's frame as (x / z, y / z, log z), each in the person's size."""
    angle = view.angle[..., None]
    depth = place[..., 2:]
    return np.concatenate([place[..., :2] / depth / angle, np.log(depth * angle / STATURE)], axis=-1)


def decode_place(view: View, code: Array) -> Array:
    """The inverse of ``encode_place``."""
    angle = view.angle[..., None]
    depth = np.exp(code[..., 2:]) * STATURE / angle
    return np.concatenate([code[..., :2] * depth * angle, depth], axis=-1)


def make_examples(
    rng: np.random.Generator, library: Library, count: int, frames: int, varied: float = 0.5, causal: bool = False
) -> Examples:
    """``count`` windows of ``frames`` of the library's recordings; some begin before or end after one.

    A share of them ``varied``: faster, slower, backwards, other parts of bodies, bent joints, bodies that lean, lie or
    fall; of the others some in knees and head alone, and the rest are as they were recorded. ``causal``: the view
    follows what was seen up to each frame alone.
    """
    chance = rng.random(count)
    other, nearly = chance < varied, (chance >= varied) & (chance < 1.0 - (1.0 - varied) * _AS_RECORDED)
    turns, root, valid = library.draw(rng, np.where(other, _speeds(rng, count), 1.0), frames)
    turns[:, other] = vary(rng, turns[:, other])
    turns[:, nearly] = vary_lightly(rng, turns[:, nearly])
    flipped = rng.random(count) < 0.5
    turns[:, flipped], root[flipped] = mirrored(turns[:, flipped], root[flipped])
    points, joints = pose(random_bodies(rng, count), turns, root)
    camera = random_cameras(rng, root)
    seen, skeleton = camera.see(points), camera.see(joints)
    pixels = camera.project(seen)
    found, confidence = _detected(rng, seen, pixels, camera.size)
    found, confidence = bridge(found, confidence * valid[..., None], FPS, causal)
    middle, extent = _shaken(rng, *follow(found, confidence, camera.size, causal))
    believed = camera.focal * np.exp(rng.normal(0.0, _UNSURE_FOCAL, count)).astype(np.float32)
    inputs = _held(encode(look_along(middle, extent, camera.size, believed), found, confidence), valid)
    view = look_along(middle, extent, camera.size, camera.focal)
    points, joints = view.from_camera(seen), view.from_camera(skeleton)
    pelvis = joints[..., :1, :]
    place = np.maximum(pelvis[..., 0, :], [-np.inf, -np.inf, 0.5])
    up = view.from_camera(camera.rotation[:, None, None, :, 2])[..., 0, :]
    shape = np.concatenate([points, joints[..., 1:, :]], axis=-2) - pelvis
    made = (inputs, shape, encode_place(view, place), up, valid)
    return Examples(*(np.asarray(part, dtype=np.float32) for part in made))


def _held(inputs: Array, valid: Array) -> Array:
    """(N, T, C) inputs with those of the first and last frames that are ``valid`` (N, T) before and after them, as the
    lifter has them."""
    frames = valid.shape[1]
    first, last = valid.argmax(axis=1)[:, None], frames - 1 - valid[:, ::-1].argmax(axis=1)[:, None]
    return np.take_along_axis(inputs, np.clip(np.arange(frames), first, last)[..., None], axis=1)


def join_examples(parts: Sequence[Examples]) -> Examples:
    """All the windows of several lots."""
    return Examples(*(np.concatenate(arrays) for arrays in zip(*(vars(part).values() for part in parts), strict=True)))


def _speeds(rng: np.random.Generator, count: int) -> Array:
    """(N,) how fast recordings are played; some backwards."""
    backwards = rng.random(count) < _BACKWARDS
    speeds: Array = np.exp(rng.normal(0.0, _SPEED, count)) * np.where(backwards, -1.0, 1.0)
    return speeds


def mirrored(turns: Array, root: Array) -> tuple[Array, Array]:
    """The pose on the other side: left and right change places, reflected in x; (24, ..., 3, 3) and (..., 3)."""
    return turns[list(SMPL_MIRROR)] * (_FLIP[:, None] * _FLIP), root * _FLIP


def _detected(rng: np.random.Generator, seen: Array, pixels: Array, size: Array) -> tuple[Array, Array]:
    """The clips as seen each by one of the detectors, or by one that never errs."""
    found, confidence = pixels.copy(), np.ones(pixels.shape[:-1], dtype=pixels.dtype)
    chance = rng.random(len(pixels))
    for detector, who in (
        (COCO_LIKE, (chance >= _IDEAL) & (chance < _IDEAL + _COCO)),
        (MEDIAPIPE_LIKE, chance >= _IDEAL + _COCO),
    ):
        found[who], confidence[who] = detect(rng, detector, seen[who], pixels[who], size[who])
    return found, confidence


def _shaken(rng: np.random.Generator, middle: Array, extent: Array) -> tuple[Array, Array]:
    """The box of each clip moved and scaled as one, as if more had been seen of it than its own frames."""
    moved = middle + extent[..., None] * rng.normal(0.0, _OFF_CENTRE, (len(middle), 1, 2)).astype(np.float32)
    return moved, extent * np.exp(rng.normal(0.0, _OFF_SIZE, (len(middle), 1))).astype(np.float32)
