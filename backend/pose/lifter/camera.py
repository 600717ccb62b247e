"""Cameras: how bodies come to be points of a picture, and how those are made what the lifter takes.

The camera's frame is x right, y down, z away from it, as in computer vision; the world's z is up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....retarget.rotations import Array

# The focal length where nobody states one, in longer sides of the picture: 53 degrees across, between the
# phones' 65 and the photographers' 40.
USUAL_FOCAL = 1.0
_NEAREST = 0.3  # m in front of the camera, what is closer is not projected
STATURE = 1.7  # m, the size that a body seen is taken to have
_LEAST = 1e-3  # of a picture's longer side, the smallest body


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera: ``rotation`` (3, 3) from the world into its frame, ``position`` (3,) in the world, ``focal``
    length in pixels, ``size`` of the picture in pixels, its centre the principal point."""

    rotation: Array
    position: Array
    focal: float
    size: tuple[int, int]

    def see(self, world: Array) -> Array:
        """(..., 3) places of the world in the camera's frame."""
        return (world - self.position) @ self.rotation.T

    def project(self, seen: Array) -> Array:
        """(..., 2) pixels of (..., 3) places in the camera's frame."""
        depth = np.maximum(seen[..., 2:], _NEAREST)
        return seen[..., :2] / depth * self.focal + np.divide(self.size, 2.0)


def random_camera(rng: np.random.Generator, path: Array) -> Camera:
    """A camera that sees somebody who walks along ``path`` (T, 3), the hips' places in the world.

    Landscape or upright pictures; wide or long lenses; near the floor or above the heads; somewhat tilted;
    as near as lets the person fill from a third of the picture's height to more than all of it.
    """
    size = ((1920, 1080), (1080, 1920), (1280, 960), (1080, 1080))[rng.choice(4, p=(0.55, 0.25, 0.1, 0.1))]
    focal = max(size) * float(np.exp(rng.uniform(np.log(0.65), np.log(2.2))))
    middle = (path.max(axis=0) + path.min(axis=0)) / 2
    reach = np.linalg.norm(path[:, :2] - middle[:2], axis=1).max()
    share = float(np.exp(rng.uniform(np.log(0.3), np.log(1.1))))
    distance = max(focal * STATURE / (share * min(size[1], 1.5 * size[0])), reach + 1.2, 1.5)
    side = rng.uniform(0.0, 2.0 * np.pi)
    height = float(np.clip(np.exp(rng.normal(np.log(1.25), 0.5)), 0.15, 0.75 * distance + 0.5))
    position = np.array([middle[0] + distance * np.cos(side), middle[1] + distance * np.sin(side), height])
    target = middle + rng.normal(0.0, 0.15, 3) - [0.0, 0.0, 0.1]
    return Camera(look(position, target, float(rng.normal(0.0, np.radians(3.0)))), position, focal, size)


def look(position: Array, target: Array, roll: float = 0.0) -> Array:
    """(3, 3) rotation from the world into the frame of a camera that looks from ``position`` at ``target``.

    ``roll``: radians by which it is turned about its axis.
    """
    away = (target - position) / np.linalg.norm(target - position)
    right = np.cross(away, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    level = np.stack([right, np.cross(away, right), away])
    c, s = np.cos(roll), np.sin(roll)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ level


@dataclass(frozen=True, eq=False)
class View:
    """How a stretch of video is shown to the lifter: as by a camera that looks straight at the person.

    ``rotation``: (3, 3) from the camera's frame into the view's. ``angle``: the person's size, as the tangent of the
    angle it takes. ``focal`` in pixels, ``size`` of the picture.
    """

    rotation: Array
    angle: float
    focal: float
    size: tuple[int, int]

    def normalise(self, points: Array) -> Array:
        """(..., 2) pixels as the view shows them, the person's size as the unit, its middle the origin."""
        rays = np.concatenate(
            [(points - np.divide(self.size, 2.0)) / self.focal, np.ones((*points.shape[:-1], 1))], axis=-1
        )
        turned = rays @ self.rotation.T
        return turned[..., :2] / np.maximum(turned[..., 2:], 0.1) / self.angle

    def from_camera(self, seen: Array) -> Array:
        """(..., 3) places in the camera's frame as the view has them."""
        return seen @ self.rotation.T

    def to_camera(self, places: Array) -> Array:
        """(..., 3) places in the view's frame as the camera has them."""
        return places @ self.rotation


def find_view(points: Array, confidence: Array, size: tuple[int, int], focal: float) -> View:
    """The view of a stretch of (F, P, 2) pixels with (F, P) confidence: to the middle of the points, by medians.

    The size is the median of the larger side of the box around the points.
    """
    seen = confidence > 0.0
    anybody = seen.sum(axis=1) >= 2
    if not anybody.any():
        return View(np.eye(3), 0.5, focal, size)
    some, mask = points[anybody], seen[anybody][..., None]
    low = np.where(mask, some, np.inf).min(axis=1)
    high = np.where(mask, some, -np.inf).max(axis=1)
    middle = np.median((low + high) / 2, axis=0)
    extent = max(float(np.median((high - low).max(axis=1))), _LEAST * max(size))
    ray = np.append((middle - np.divide(size, 2.0)) / focal, 1.0)
    # The smallest turn that takes the ray to the axis: the picture's x stays x as far as it can.
    away = ray / np.linalg.norm(ray)
    right = np.cross([0.0, 1.0, 0.0], away)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(away, right), away])
    # What the extent is as a tangent, seen straight on.
    return View(rotation, extent / focal / float(np.linalg.norm(ray)), focal, size)
