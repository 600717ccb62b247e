"""Published checkpoints of VideoPose3D (Pavllo et al., CVPR 2019), lifting as Stepsmith's own network does.

Their networks take COCO-17 points alone and give Human3.6M's 17 joints around the hips, metres in the camera's
frame; a second one, where the checkpoint has it, gives the hips' path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ....retarget.rotations import Array
from ..detections import Lifted
from ..landmarks import COCO, HUMAN36M, MIRROR
from .camera import focal_length
from .human36m import fill_body
from .lift import Lifter, even_times, run_padded
from .network import TemporalNetwork
from .weights import LifterError

_MOST_BYTES = 1 << 30  # of a checkpoint; with the optimiser's state the published ones stay below 0.6 GB
_LONGEST = 2187  # frames that one output may be made of; the published ones are made of 1 to 243
_NEAREST = 0.5  # m from the camera
# Human3.6M's joints with left and right exchanged.
_JOINT_MIRROR = [
    HUMAN36M.index(re.sub("left|right", lambda side: "right" if side[0] == "left" else "left", name))
    for name in HUMAN36M
]
_POINT_MIRROR = list(MIRROR[:COCO])

# What a checkpoint holds beside the weights, and nobody needs: the state of numpy's random numbers, by the names
# that numpy's versions gave its parts.
_UNREAD = (
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.random.__RandomState_ctor",
    "numpy.random._pickle.__randomstate_ctor",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._mt19937.MT19937",
    "numpy.random.mtrand.RandomState",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *(f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")),
)


class Lifts(Protocol):
    """Whatever makes places in space of points in a picture; ``Lifter.lift`` says how."""

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
    ) -> Lifted: ...


def load_lifter(path: Path | None = None, *, causal: bool = False) -> Lifts:
    """The lifter of a file, Stepsmith's weights or a published checkpoint; Stepsmith's own by default.

    ``causal``: a published checkpoint is one of a causal model, which its weights don't tell. Raises LifterError
    where the file is missing, damaged, or neither.
    """
    if path is None or not path.is_file() or _is_safetensors(path):
        return Lifter.load(path)
    return PublishedLifter.load(path, causal=causal)


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: the length of a header, and the header."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


class PublishedLifter:
    """A network with VideoPose3D's published weights, and the one for the path if there is one."""

    def __init__(self, position: TemporalNetwork, trajectory: TemporalNetwork | None = None) -> None:
        self.position = position.eval().requires_grad_(False)
        self.trajectory = trajectory.eval().requires_grad_(False) if trajectory is not None else None

    @classmethod
    def load(cls, path: Path, *, causal: bool = False) -> PublishedLifter:
        """The networks of a checkpoint, filter widths and channels as its weights have them.

        Raises LifterError where it is missing, damaged, or another network's.
        """
        checkpoint = _read(path)
        position = _network(path, checkpoint["model_pos"], 3 * len(HUMAN36M), causal)
        trajectory = checkpoint.get("model_traj")
        return cls(position, None if trajectory is None else _network(path, trajectory, 3, causal))

    def joints(self, points: Array, size: tuple[int, int], *, flip: bool = True) -> Array:
        """(F, 17, 3) Human3.6M's joints in metres, as the network gives them, of (F, 17, 2) COCO points in pixels.

        ``flip``: averaged with what the picture's mirror image gives.
        """
        return _averaged(self.position, _normalised(points, size), _JOINT_MIRROR, flip)

    def path(self, points: Array, size: tuple[int, int], *, flip: bool = True) -> Array | None:
        """(F, 3) metres, the hips' place before the camera as the second network gives it; None without one."""
        if self.trajectory is None:
            return None
        return _averaged(self.trajectory, _normalised(points, size), [0], flip)[:, 0]

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
        """As ``Lifter.lift``; points beyond COCO's are not looked at, and the camera is taken to stand level.

        Points that are not seen are put between those before and after, since the network knows no confidence.
        What Human3.6M lacks of the body is added in its rest pose. Without a network for the path, it is where
        the joints best cover the points.
        """
        seen = _at_times(times, points[:, :COCO], confidence[:, :COCO], even_times(times, fps))
        joints = self.joints(seen, size, flip=flip)
        path = self.path(seen, size, flip=flip)
        body_points, body_joints = fill_body(joints)
        if path is None:
            focal = focal_length(size, field_of_view)
            path = _cover(body_points[:, :COCO], (seen - np.divide(size, 2.0)) / focal)
        return Lifted(fps, body_points + path[:, None], body_joints + path[:, None], np.array([0.0, -1.0, 0.0]))


def _normalised(points: Array, size: tuple[int, int]) -> Array:
    """Pixels as the published networks take them: -1 to 1 over the picture's width, 0 its middle."""
    width, height = size
    scaled: Array = points / width * 2.0 - [1.0, height / width]
    return scaled


def _averaged(network: TemporalNetwork, points: Array, mirror: list[int], flip: bool) -> Array:
    """(F, J, 3) what a network makes of (F, 17, 2) points, averaged with their mirror image's if ``flip``."""
    made = _run(network, points)
    if flip:
        turned = _run(network, points[:, _POINT_MIRROR] * [-1.0, 1.0])
        made = (made + turned[:, mirror] * [-1.0, 1.0, 1.0]) / 2.0
    return made


def _run(network: TemporalNetwork, points: Array) -> Array:
    """(F, J, 3) outputs of (F, 17, 2) points; the first and last frame stand for those before and after."""
    flat = points.reshape(len(points), -1).astype(np.float32)
    before, after = network.before, network.field - 1 - network.before
    padded = np.pad(flat, ((before, after), (0, 0)), mode="edge")
    return run_padded(network, padded, len(flat)).reshape(len(flat), -1, 3)


def _at_times(times: Array, points: Array, confidence: Array, at: Array) -> Array:
    """(T, P, 2) points (F, P, 2) at other times, each between the frames around in which it is seen.

    A point that is never seen stands in the middle of the others.
    """
    found = np.full((len(at), *points.shape[1:]), np.nan)
    for point in range(points.shape[1]):
        seen = confidence[:, point] > 0.0
        if seen.any():
            for axis in range(2):
                found[:, point, axis] = np.interp(at, times[seen], points[seen, point, axis])
    known = np.isfinite(found[0, :, 0])
    if not known.any():
        return np.zeros_like(found)
    return np.where(known[:, None], found, found[:, known].mean(axis=1, keepdims=True))


def _cover(places: Array, rays: Array) -> Array:
    """(T, 3) where to move places (T, P, 3) in the camera's frame for them to lie on rays (T, P, 2), x / z and y / z.

    ``x + dx = ray (z + dz)`` is linear in the way to go: least squares, in each frame.
    """
    ones, zeros = np.ones_like(rays[..., 0]), np.zeros_like(rays[..., 0])
    rows = np.concatenate(
        [np.stack([ones, zeros, -rays[..., 0]], axis=-1), np.stack([zeros, ones, -rays[..., 1]], axis=-1)], axis=1
    )
    wanted = np.concatenate([rays[..., k] * places[..., 2] - places[..., k] for k in range(2)], axis=1)
    normal = np.swapaxes(rows, 1, 2) @ rows + 1e-9 * np.eye(3)
    way = np.linalg.solve(normal, np.swapaxes(rows, 1, 2) @ wanted[..., None])[..., 0]
    depth = np.maximum(way[:, 2:], _NEAREST)
    return np.concatenate([way[:, :2] / np.where(way[:, 2:] == 0.0, 1.0, way[:, 2:]) * depth, depth], axis=1)


# -- reading ------------------------------------------------------------------------------------------


class _Unread:
    """Stands for an object in a checkpoint that is skipped: nothing of it is looked up, made or called."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def _read(path: Path) -> dict[str, Any]:
    """A checkpoint with ``model_pos``. Weights alone are read of it: tensors, plain values, nothing that runs."""
    if not path.is_file():
        raise LifterError(f"There is no file of weights “{path}”: check the name after --lifter.")
    if path.stat().st_size > _MOST_BYTES:
        raise LifterError(f"{path} is too large for a lifter's checkpoint: give another file with --lifter.")
    try:
        with torch.serialization.safe_globals([(_Unread, name) for name in _UNREAD]):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # Damaged and hostile files raise whatever torch's readers meet.
        raise LifterError(
            f"{path} is no lifter that can be read, it is damaged or holds more than weights: "
            "give another file with --lifter."
        ) from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("model_pos"), Mapping):
        raise LifterError(f"{path} holds no weights under “model_pos”, as VideoPose3D's checkpoints do: give another.")
    return checkpoint


def _network(path: Path, state: Any, outputs: int, causal: bool) -> TemporalNetwork:
    """The network of a state dictionary; its sizes are those of the weights."""
    try:
        tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
        blocks = sum(bool(re.fullmatch(r"layers_conv\.\d+\.weight", name)) for name in tensors) // 2
        names = ["expand_conv.weight", *(f"layers_conv.{2 * block}.weight" for block in range(blocks))]
        widths = [int(tensors[name].shape[2]) for name in names]
        channels, taken, _ = tensors["expand_conv.weight"].shape
        made = int(tensors["shrink.weight"].shape[0])
        if (taken, made) != (2 * COCO, outputs) or any(width % 2 == 0 for width in widths):
            raise ValueError("other sizes")
        # Tensors may claim any size, but not hold more than the file does.
        if np.prod(widths, dtype=float) > _LONGEST or sum(t.nbytes for t in tensors.values()) > path.stat().st_size:
            raise ValueError("sizes beyond reason")
        with torch.device("meta"):  # nothing is set aside before the sizes are known to agree
            network = TemporalNetwork(2 * COCO, outputs, int(channels), widths, causal)
        counters = {name for name in network.state_dict() if name.endswith("num_batches_tracked")}
        weights = [value for name, value in tensors.items() if name not in counters]
        if not all(t.is_floating_point() and bool(torch.isfinite(t).all()) for t in weights):
            raise ValueError("no numbers")
        uncounted = {name: torch.zeros((), dtype=torch.int64) for name in counters - set(tensors)}
        network.load_state_dict({**tensors, **uncounted}, assign=True)
    except (KeyError, ValueError, RuntimeError, AttributeError, IndexError, TypeError) as error:
        raise LifterError(
            f"{path} holds another network than VideoPose3D's for COCO's 17 points and Human3.6M's 17 joints: "
            "give another file with --lifter."
        ) from error
    return network.float()
