"""From the camera's frame into a world that stands upright on its floor.

What is said to be up is only an estimate. Where feet stand tells more, as soon as the dancer gets about; and over
some seconds a dancer's neck is above the feet on average.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from ....retarget.rotations import Array
from ....retarget.skeleton import ANKLE_HEIGHT, CONTACT_JOINTS, FOOT_HEIGHT, SMPL_NAMES

SOLES = np.array([ANKLE_HEIGHT, ANKLE_HEIGHT, FOOT_HEIGHT, FOOT_HEIGHT])
_UP, _AWAY = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])
_NECK, _ANKLES = SMPL_NAMES.index("neck"), list(CONTACT_JOINTS[:2])

# Slopes (radians) within which up is known beforehand, and within which a neck is over its feet on average.
_KNOWN, _UPRIGHT = np.radians([3.0, 2.5])
# A body that slopes more than this (as a cosine) from upright or is lower than this share of its height says nothing.
_STANDING, _TALL = 0.8, 0.85
# Metres: how far a supporting sole is off the floor, and how wrong its distance from the camera is.
_OFF, _DISTANCE = 0.02, 0.08
# Seconds for which such errors last, and the speed (m/s) of a foot that does not stand.
_LASTS, _SLOW = 0.5, 0.4


def to_world(up: Array) -> Array:
    """(3, 3) rotation from the camera's frame (x right, y down, z away) into a world with ``up`` (3,) as z.

    The camera looks along the world's y, so that somebody who faces the camera faces -y. A camera that looks
    straight down or up has the picture's top, or bottom, along y instead.
    """
    size = float(np.linalg.norm(up))
    up = up / size if np.isfinite(size) and size > 1e-6 else _UP
    ahead = _AWAY - up * (up @ _AWAY)
    if np.linalg.norm(ahead) < 1e-3:
        ahead = _UP * -np.sign(up @ _AWAY)
        ahead = ahead - up * (up @ ahead)
    ahead = ahead / np.linalg.norm(ahead)
    return np.stack([np.cross(ahead, up), ahead, up])


def find_up(up: Array, joints: Array, fps: float) -> Array:
    """(3,) unit, what is up in the camera's frame, on the evidence of the estimate ``up`` (3,) and of the body.

    ``joints``: (T, 24, 3) in the camera's frame, of the standard skeleton's size. By least squares of the floor's
    two slopes and its height, robustly: most feet that seem to stand do, some are in the air.
    """
    world = to_world(up)
    joints = joints @ world.T
    place, slow = _supports(joints, fps)
    evidence = [(0.0, 0.0, _KNOWN)]
    lean = _lean(joints)
    if lean is not None:
        evidence.append((*lean, _UPRIGHT))
    frames = max(1.0, _LASTS * fps)

    def misfit(plane: Array) -> Array:
        slope_x, slope_y, height = plane
        off = place[:, 2] - height - slope_x * place[:, 0] - slope_y * place[:, 1]
        # A foot too far away or too near is off along its ray, which slopes to the floor by this much.
        ray = (height / np.maximum(np.abs(place[:, 1]), 0.5)) * _DISTANCE
        off = slow * off / np.sqrt((_OFF**2 + ray**2) * frames)
        priors = [value for x, y, spread in evidence for value in ((slope_x - x) / spread, (slope_y - y) / spread)]
        return np.concatenate([_one_sided(off), priors])

    start = [0.0, 0.0, float(np.median(place[:, 2]))]
    slope_x, slope_y, _ = least_squares(misfit, start, max_nfev=30).x
    found = np.array([-slope_x, -slope_y, 1.0]) @ world
    return np.asarray(found / np.linalg.norm(found))


def _one_sided(off: Array) -> Array:
    """Residuals of which those of feet in the air count less the higher they are."""
    return np.where(off > 0.0, np.tanh(off), off)


def _supports(joints: Array, fps: float) -> tuple[Array, Array]:
    """The lowest sole of each frame, (T, 3), and how surely it stands (T,): no joint is lower, and it is slow."""
    soles = joints[:, list(CONTACT_JOINTS)] - SOLES[:, None] * [0.0, 0.0, 1.0]
    every, lowest = np.arange(len(soles)), np.argmin(soles[..., 2], axis=1)
    found = soles[every, lowest]
    sure = (found[:, 2] < joints[..., 2].min(axis=1)).astype(float)
    if len(soles) > 1:
        # Distances from the camera are too noisy to tell.
        speed = np.linalg.norm(np.gradient(soles[..., [0, 2]], axis=0), axis=-1) * fps
        sure *= np.exp(-0.5 * (speed[every, lowest] / _SLOW) ** 2)
    return found, sure


def _lean(joints: Array) -> tuple[float, float] | None:
    """The slopes of a floor on which the body stands upright on average; None if it never stands."""
    axis = joints[:, _NECK] - joints[:, _ANKLES].mean(axis=1)
    size = np.linalg.norm(axis, axis=-1)
    standing: NDArray[Any] = (axis[:, 2] > _STANDING * size) & (size > _TALL * np.percentile(size, 95))
    if not standing.any():
        return None
    x, y, z = (axis[standing] / size[standing, None]).mean(axis=0)
    return -float(x / z), -float(y / z)
