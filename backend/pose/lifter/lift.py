"""From the points seen in a video to places in space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL_MIRROR
from ..detections import Lifted
from ..landmarks import MIRROR, POINTS
from .camera import View, find_view, focal_length
from .examples import bridge, decode_place, encode
from .network import TemporalNetwork, fold
from .shapes import SHAPE
from .weights import load_network

_CHUNK = 2048  # frames put through the network at once, which bounds the memory
_JOINT_MIRROR = np.concatenate([MIRROR, len(POINTS) - 1 + np.array(SMPL_MIRROR[1:])])  # of points and joints but one


class Lifter:
    """A trained network, ready to lift."""

    def __init__(self, network: TemporalNetwork) -> None:
        self.before, self.after = network.before, network.field - 1 - network.before
        self.causal = network.causal
        self.network: nn.Module = fold(network)

    @classmethod
    def load(cls, path: Path | None = None) -> Lifter:
        """The lifter of a file of weights; Stepsmith's own by default. Raises LifterError where they are no good."""
        return cls(load_network(path))

    def lift(
        self,
        times: Array,
        points: Array,
        confidence: Array,
        size: tuple[int, int],
        *,
        fps: float = 30.0,
        field_of_view: float | None = None,
        flip: bool = True,
    ) -> Lifted:
        """Where somebody is in space who was seen in a stretch of video.

        ``times``: (F,) seconds, ascending. ``points``: (F, P, 2) pixels of a picture of ``size``, in the order of
        POINTS, the first 17 or all 25. ``confidence``: (F, P) in [0, 1], 0 where a point was not seen.
        ``field_of_view``: of the camera, across the longer side of the picture, in degrees. ``flip``: average with
        what is made of the picture's mirror image. The frames returned are evenly spaced from the first time on.
        """
        at = even_times(times, fps)
        points, confidence = _resample(times, *_all_points(points, confidence), at, fps)
        points, confidence = bridge(points, confidence, fps, self.causal)
        focal = np.array(focal_length(size, field_of_view))
        view = find_view(points, confidence, np.array(size, dtype=float), focal, self.causal)
        inputs = encode(view, points, confidence)
        shape, place, up = self._run(inputs)
        if flip:
            mirrored = self._run(_flip_inputs(inputs))
            shape = (shape + mirrored[0][:, _JOINT_MIRROR] * [-1.0, 1.0, 1.0]) / 2
            place, up = (((one + two * [-1.0, 1.0, 1.0]) / 2) for one, two in ((place, mirrored[1]), (up, mirrored[2])))
        return _in_camera(view, shape, place, up, fps)

    def _run(self, inputs: Array) -> tuple[Array, Array, Array]:
        """(T, 48, 3) shapes, (T, 3) places and (T, 3) ups of (T, C) inputs, in the frame of the view."""
        # As if who is seen had been there before, and stayed: without, the body would lean and pop at the ends.
        padded = np.pad(inputs, ((self.before, self.after), (0, 0)), mode="edge")
        out = run_padded(self.network, padded, len(inputs))
        return out[:, :SHAPE].reshape(len(out), -1, 3), out[:, SHAPE : SHAPE + 3], out[:, SHAPE + 3 :]


def even_times(times: Array, fps: float) -> Array:
    """(T,) seconds of evenly spaced frames from the first of ``times`` to the last."""
    at: Array = times[0] + np.arange(int((times[-1] - times[0]) * fps + 1e-6) + 1) / fps
    return at


def run_padded(network: nn.Module, padded: Array, frames: int) -> Array:
    """(T, outputs) what a network makes of ``frames`` T, float32 inputs (T + field - 1, C), a part at a time."""
    inputs, beside = torch.from_numpy(padded), len(padded) - frames
    made: list[Tensor] = []
    with torch.inference_mode():
        for first in range(0, frames, _CHUNK):
            last = min(first + _CHUNK, frames)
            made.append(network(inputs[None, first : last + beside])[0])
    out: Array = torch.cat(made).double().numpy()
    return out


def _all_points(points: Array, confidence: Array) -> tuple[Array, Array]:
    """Points of any detector made all of POINTS: those it does not know have no confidence, the unseen are zero."""
    points = np.where(confidence[..., None] > 0.0, points, 0.0)
    lacking = len(POINTS) - points.shape[1]
    return np.pad(points, ((0, 0), (0, lacking), (0, 0))), np.pad(confidence, ((0, 0), (0, lacking)))


def _resample(times: Array, points: Array, confidence: Array, at: Array, fps: float) -> tuple[Array, Array]:
    """Points and confidence at other times, ``fps`` apart: means over the frames around, the nearer the more.

    So of a fast video no frame is lost; between the frames of a slow one it is straight on. A point is there if it is
    in the nearer half of them.
    """
    after = np.clip(np.searchsorted(times, at, side="right"), 1, max(len(times) - 1, 1))
    gap = times[np.minimum(after, len(times) - 1)] - times[after - 1]
    reach = np.maximum(gap, 1.0 / fps)
    first, last = np.searchsorted(times, at - reach, side="right"), np.searchsorted(times, at + reach, side="left")
    sums, there, sure = np.zeros((len(at), *points.shape[1:])), *np.zeros((2, len(at), points.shape[1]))
    weights = np.zeros((len(at), 1))
    for frame in range(int((last - first).max())):
        which = np.minimum(first + frame, len(times) - 1)
        near = np.where(first + frame < last, 1.0 - np.abs(times[which] - at) / reach, 0.0)[:, None]
        weights += near
        near = near * (confidence[which] > 0.0)
        there += near
        sums += near[..., None] * points[which]
        sure += near * confidence[which]
    seen = there >= 0.5 * weights - 1e-9
    there = np.maximum(there, 1e-9)
    return sums / there[..., None], np.where(seen, sure / there, 0.0)


def _flip_inputs(inputs: Array) -> Array:
    """The network's inputs of the picture's mirror image."""
    count, mirror = len(POINTS), list(MIRROR)
    where = inputs[:, : 2 * count].reshape(len(inputs), count, 2)[:, mirror] * np.array([-1.0, 1.0], dtype=np.float32)
    confidence = inputs[:, 2 * count : 3 * count][:, mirror]
    return np.concatenate([where.reshape(len(inputs), -1), confidence, inputs[:, 3 * count :]], axis=1)


def _in_camera(view: View, shape: Array, place: Array, up: Array, fps: float) -> Lifted:
    """What the network made, as places in the camera's frame."""
    pelvis = decode_place(view, place)[:, None]
    points, joints = np.split(shape, [len(POINTS)], axis=1)
    joints = np.concatenate([np.zeros_like(pelvis), joints], axis=1)
    mean = view.to_camera(up[:, None]).mean(axis=(0, 1))
    return Lifted(fps, view.to_camera(points + pelvis), view.to_camera(joints + pelvis), mean / np.linalg.norm(mean))
