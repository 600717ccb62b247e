"""What was seen of one person in a video, and where it stands in space: the two things that pass between stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...retarget.rotations import Array
from .damage import Damage

Views = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Detections:
    """One person, frame by frame, as a detector saw them.

    ``times``: (F,) seconds of the video, ascending, not necessarily evenly apart. ``size``: width and height of the
    upright picture in pixels. ``points``: (F, 33, 2) MediaPipe's landmarks in pixels, x to the right, y down; they
    may lie outside the picture. ``confidence``: (F, 33) in [0, 1], 0 throughout where nobody was seen.
    ``world``: (F, 33, 3) MediaPipe's own metres around the hips (x right, y down, z away), for comparison alone.
    ``people``: (F,) how many people were seen. ``cuts``: frames that begin another shot. ``damage``: where the video's
    file is damaged. ``dark``: frames whose pictures are very dark. ``onlookers``: frames in which all others are much
    smaller than the person. ``views``: (F, 2) complex, from where the camera saw each frame: a
    camera that stays as it was sees a point x + iy of frame f at ``views[f, 0] * (x + iy) + views[f, 1]``; None where
    it stood still.
    """

    times: Array
    size: tuple[int, int]
    points: Array
    confidence: Array
    world: Array
    people: NDArray[Any]
    cuts: NDArray[Any]
    damage: Sequence[Damage] = ()
    dark: Sequence[int] = ()
    onlookers: Sequence[int] = ()
    views: Views | None = None

    def __len__(self) -> int:
        return len(self.times)

    def steadied(self, frames: slice) -> Array:
        """(f, 33, 2) the points in these frames, as if the camera had stayed where it mostly was in them."""
        points = self.points[frames]
        if self.views is None:
            return points
        views = self.views[frames]
        usual = np.median(views[:, 1].real) + 1.0j * np.median(views[:, 1].imag)
        turn, shift = views[np.argmin(np.abs(views[:, 1] - usual))]
        seen = (views[:, :1] * (points[..., 0] + 1.0j * points[..., 1]) + views[:, 1:] - shift) / turn
        return np.stack([seen.real, seen.imag], axis=-1)


@dataclass(frozen=True, eq=False)
class Lifted:
    """One person in space, evenly spaced frames, in the camera's frame: metres, x right, y down, z away from it.

    ``points``: (T, 25, 3) in the order of ``landmarks.POINTS``. ``joints``: (T, 24, 3) the SMPL-24 joints.
    Both with the person's path: the hips' distance from the camera is in z. ``up``: (3,) unit, against gravity.
    """

    fps: float
    points: Array
    joints: Array
    up: Array

    def __len__(self) -> int:
        return len(self.points)
