"""Cameras: how bodies come to be points of a picture, and how those are made what the lifter takes.

The camera's frame is x right, y down, z away from it, as in computer vision; the world's z is up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from ....retarget.rotations import Array

# The focal length where nobody states one, in longer sides of the picture: 53 degrees across, between the
# phones' 65 and the photographers' 40.
USUAL_FOCAL = 1.0
_NEAREST = 0.3  # m in front of the camera, what is closer is not projected
STATURE = 1.7  # m, the size that a body seen is taken to have
_LEAST = 1e-3  # of a picture's longer side, the smallest body
_FOLLOWING = 8.0  # frames, standard deviation of the window over which a view follows the person
_UNSEEN = 1e-4  # weight of where a person is on average
_SIZES = np.array([[1920.0, 1080.0], [1080.0, 1920.0], [1280.0, 960.0], [1080.0, 1080.0]])
_SIZE_CHANCES = (0.55, 0.25, 0.1, 0.1)
# Degrees (standard deviation) by which cameras on stands are rolled, and those in the hand; the share of these.
_ROLL, _ASKEW, _IN_HAND = 3.0, 15.0, 0.2


def focal_length(size: tuple[int, int], field_of_view: float | None) -> float:
    """Pixels, of a picture of ``size`` with so many degrees across its longer side; the usual where None."""
    longer = max(size)
    return longer * USUAL_FOCAL if field_of_view is None else float(longer / 2 / np.tan(np.radians(field_of_view) / 2))


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera: ``rotation`` (..., 3, 3) from the world into its frame, ``position`` (..., 3) in the world,
    ``focal`` length (...) in pixels, ``size`` (..., 2) of the picture in pixels, its centre the principal point.
    More cameras than one are along the first axes; so is, then, what they see."""

    rotation: Array
    position: Array
    focal: Array
    size: Array

    def see(self, world: Array) -> Array:
        """(..., T, P, 3) places of the world in the camera's frame."""
        turned: Array = (world - self.position[..., None, None, :]) @ np.swapaxes(self.rotation, -1, -2)[
            ..., None, :, :
        ]
        return turned

    def project(self, seen: Array) -> Array:
        """(..., T, P, 2) pixels of (..., T, P, 3) places in the camera's frame."""
        depth = np.maximum(seen[..., 2:], _NEAREST)
        return seen[..., :2] / depth * _four(self.focal) + self.size[..., None, None, :] / 2.0


def random_cameras(rng: np.random.Generator, paths: Array) -> Camera:
    """Cameras that see people who walk along ``paths`` (N, T, 3), the hips' places in the world; one each.

    Landscape or upright pictures; wide or long lenses; near the floor or above the heads; rolled a little or a lot;
    as near as lets the person fill from a third of the picture's height to more than all of it.
    """
    count = len(paths)
    size = _SIZES[rng.choice(len(_SIZES), count, p=_SIZE_CHANCES)]
    focal = size.max(axis=1) * np.exp(rng.uniform(np.log(0.65), np.log(2.2), count))
    middle = (paths.max(axis=1) + paths.min(axis=1)) / 2
    reach = np.linalg.norm((paths - middle[:, None])[..., :2], axis=-1).max(axis=1)
    share = np.exp(rng.uniform(np.log(0.3), np.log(1.1), count))
    distance = focal * STATURE / (share * np.minimum(size[:, 1], 1.5 * size[:, 0]))
    distance = np.maximum(distance, np.maximum(reach + 1.2, 1.5))
    side = rng.uniform(0.0, 2.0 * np.pi, count)
    height = np.clip(np.exp(rng.normal(np.log(1.25), 0.5, count)), 0.15, 0.75 * distance + 0.5)
    position = np.column_stack([middle[:, 0] + distance * np.cos(side), middle[:, 1] + distance * np.sin(side), height])
    target = middle + rng.normal(0.0, 0.15, (count, 3)) - [0.0, 0.0, 0.1]
    roll = np.radians(rng.normal(0.0, np.where(rng.random(count) < _IN_HAND, _ASKEW, _ROLL)))
    rotation = look(position, target, roll)
    return Camera(*(part.astype(paths.dtype) for part in (rotation, position, focal, size)))


def look(position: Array, target: Array, roll: Array | float = 0.0) -> Array:
    """(..., 3, 3) rotations from the world into the frames of cameras that look from ``position`` at ``target``.

    ``roll``: radians by which they are turned about their axes.
    """
    away = _unit(target - position)
    right = _unit(np.cross(away, [0.0, 0.0, 1.0]))
    down = np.cross(away, right)
    c, s = np.cos(roll)[..., None], np.sin(roll)[..., None]
    return np.stack([c * right - s * down, s * right + c * down, away], axis=-2)


@dataclass(frozen=True, eq=False)
class View:
    """How a stretch of video is shown to the lifter: as by a camera that follows the person, who stays in its middle.

    ``rotation``: (..., T, 3, 3) from the camera's frame into the view's. ``angle``: (..., T) the person's size, as the
    tangent of the angle it takes. ``focal`` (...) in pixels, ``size`` (..., 2) of the picture.
    More views than one are along the first axes; so is, then, what they show.
    """

    rotation: Array
    angle: Array
    focal: Array
    size: Array

    def normalise(self, points: Array) -> Array:
        """(..., T, P, 2) pixels as the view shows them, the person's size as the unit, its middle the origin."""
        across = (points - self.size[..., None, None, :] / 2.0) / _four(self.focal)
        ahead = np.ones((*across.shape[:-1], 1), dtype=across.dtype)
        turned = self.from_camera(np.concatenate([across, ahead], axis=-1))
        shown: Array = turned[..., :2] / np.maximum(turned[..., 2:], 0.1) / self.angle[..., None, None]
        return shown

    def from_camera(self, seen: Array) -> Array:
        """(..., T, P, 3) places in the camera's frame as the view has them."""
        places: Array = seen @ np.swapaxes(self.rotation, -1, -2)
        return places

    def to_camera(self, places: Array) -> Array:
        """(..., T, P, 3) places in the view's frame as the camera has them."""
        seen: Array = places @ self.rotation
        return seen


def find_view(points: Array, confidence: Array, size: Array, focal: Array, causal: bool = False) -> View:
    """The views that follow whoever is seen in stretches of (..., T, P, 2) pixels with (..., T, P) confidence."""
    return look_along(*follow(points, confidence, size, causal), size, focal)


def follow(points: Array, confidence: Array, size: Array, causal: bool = False) -> tuple[Array, Array]:
    """(..., T, 2) pixels, the middle of the box around a person, and (..., T), its larger side; smooth over time.

    Where nobody is seen for long, it is where the person is on average; without anybody, half the picture.
    ``causal``: each is made of the frames up to its own alone.
    """
    mask = (confidence > 0.0)[..., None]
    somebody = mask.sum(axis=-2) >= 2
    low = np.where(somebody, box_of(np.where(mask, points, np.inf))[0], 0.0)
    high = np.where(somebody, box_of(np.where(mask, points, -np.inf))[1], 0.0)
    box = np.concatenate([(low + high) / 2, (high - low).max(axis=-1, keepdims=True)], axis=-1)
    anywhen = somebody.any(axis=-2, keepdims=True) & ~np.bool_(causal)
    weight = somebody.astype(box.dtype)
    mean = box.sum(axis=-2, keepdims=True) / np.maximum(weight.sum(axis=-2, keepdims=True), 1.0)
    unseen = np.concatenate([size / 2, size.max(axis=-1, keepdims=True) / 2], axis=-1)[..., None, :]
    mean = np.where(anywhen, mean, unseen)
    sums, weights = _smoothed(box, causal), _smoothed(weight, causal)
    box = (sums + _UNSEEN * mean) / (weights + _UNSEEN)
    return box[..., :2], np.maximum(box[..., 2], _LEAST * size.max(axis=-1)[..., None])


def _smoothed(values: Array, causal: bool) -> Array:
    """Over (..., T, D) frames; beyond the ends are zeros."""
    if causal:
        memory = np.exp(-1.0 / _FOLLOWING)
        made: Array = lfilter(*(np.array(c, dtype=values.dtype) for c in ([1.0 - memory], [1.0, -memory])), values, -2)
    else:
        made = gaussian_filter1d(values, _FOLLOWING, axis=-2, mode="constant", truncate=3.0)
    return made


def box_of(points: Array) -> tuple[Array, Array]:
    """The (..., D) least and greatest coordinates of (..., P, D) points."""
    # Over the first axis numpy compares whole rows at once, many times as fast as the few numbers of a point.
    first = np.ascontiguousarray(np.moveaxis(points, -2, 0))
    return first.min(axis=0), first.max(axis=0)


def look_along(middle: Array, extent: Array, size: Array, focal: Array) -> View:
    """The views that look straight at people whose boxes ``follow`` found."""
    ahead = np.ones((*middle.shape[:-1], 1), dtype=middle.dtype)
    ray = np.concatenate([(middle - size[..., None, :] / 2.0) / focal[..., None, None], ahead], axis=-1)
    away = _unit(ray)
    # The smallest turn that takes the ray to the axis: the picture's x stays x as far as it can.
    right = _unit(np.cross(np.array([0.0, 1.0, 0.0], dtype=away.dtype), away))
    rotation = np.stack([right, np.cross(away, right), away], axis=-2)
    # What the extent is as a tangent, seen straight on.
    return View(rotation, extent / focal[..., None] / np.linalg.norm(ray, axis=-1), focal, size)


def _unit(vector: Array) -> Array:
    unit: Array = vector / np.linalg.norm(vector, axis=-1, keepdims=True)
    return unit


def _four(value: Array) -> Array:
    """(...) numbers, one a camera, to go with (..., T, P, D)."""
    return np.asarray(value)[..., None, None, None]
