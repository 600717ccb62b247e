"""From the camera's frame into a world that stands upright."""

from __future__ import annotations

import numpy as np

from ....retarget.rotations import Array

_UP, _AWAY = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])


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
