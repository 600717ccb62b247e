"""Front or back: from one picture the landmark network can't always tell, and changes its mind from frame to frame.

Then every landmark of the right goes to the left for a moment, mostly through frames that are a bit of both, so that
afterwards nobody can tell it from half a turn. But in such pictures it also changes its mind with the square that it
is shown, while of somebody who did turn it says the same in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, islice

import numpy as np

from ...retarget.rotations import Array
from .mediapipe_graphs import Pose, Square
from .swaps import PARTNERS, TRUNK

# Breadths in lengths of the trunk, of somebody who faces the camera.
_SHOULDERS, _HIPS = 0.6, 0.36
_TURNED = 0.1  # breadth, as a share of the full one, from which on somebody faces the camera, or away
_FACING = 0.25  # breadth to have been seen a moment ago for a turn to be surprising
_MEMORY = 0.2  # s over which that is remembered
_LONGEST = 0.8  # s for which the surprising is not believed
_AGREED = 3  # pictures one after the other that show a turn in all squares, for it to be believed
# Other squares to show to the network: how much larger, and turned by how many radians.
_OTHERS = ((1.25, 0.0), (1.0, -0.2), (0.85, 0.0))
_AT_ONCE = 2  # of them for one picture, the others for the next
_SETTLED = 0.2  # s for which an answer holds
# How often it may be asked: so many times a frame on average, and in a row.
_ALLOWED, _IN_A_ROW = 0.02, 12.0


class Facing:
    """Knows which way one person faced a moment ago."""

    def __init__(self) -> None:
        self._breadth, self._time = 0.0, -np.inf
        self._surprised: float | None = None  # when the person first seemed to have turned at once
        self._denied = -np.inf  # when another square said last that they have not
        self._agreed = 0
        self._credit, self._next = _IN_A_ROW, cycle(_OTHERS)

    def steady(self, pose: Pose, time: float, square: Square, find: Callable[[Square], Pose | None]) -> Pose:
        """The pose that was found in a ``square``, its sides put right where it turned the person round at once and
        other squares do not. ``find``: asks the network."""
        self._credit = min(self._credit + _ALLOWED, _IN_A_ROW)
        passed, self._time = time - self._time, time
        known = passed < 2.0 * _MEMORY and abs(self._breadth) > _FACING
        side, now = float(np.sign(self._breadth)), breadth(pose.points)
        if known and side * now < -_TURNED:
            right = self._doubt(pose, time, side, square, find)
            if right is not None:
                return right
        elif known and side * now > _TURNED:
            self._surprised = None
        if self._surprised is None:
            share = float(1.0 - np.exp(-passed / _MEMORY)) if known else 1.0
            self._breadth += share * (now - self._breadth)
        return pose

    def _doubt(
        self, pose: Pose, time: float, side: float, square: Square, find: Callable[[Square], Pose | None]
    ) -> Pose | None:
        """The pose with the person facing as before, None where they turned indeed, or nobody knows."""
        if self._surprised is None:
            self._surprised, self._agreed = time, 0
        swapped = replace(
            pose, points=pose.points[PARTNERS], visibility=pose.visibility[PARTNERS], world=pose.world[PARTNERS]
        )
        if time - self._denied < _SETTLED:
            return swapped
        if time - self._surprised < _LONGEST:
            for other in self._others(square, find):
                if side * breadth(other.points) > 0.5 * _TURNED:
                    self._agreed, self._denied = 0, time
                    # Where it was of two minds it saw neither front nor back well.
                    return swapped if side * breadth(swapped.points) > _FACING else replace(other, square=pose.square)
            self._agreed += 1
            if self._agreed < _AGREED:
                return None
        self._surprised = None
        self._breadth = -side  # so it is
        return None

    def _others(self, square: Square, find: Callable[[Square], Pose | None]) -> Iterator[Pose]:
        """What is found in other squares."""
        for larger, turned in islice(self._next, _AT_ONCE):
            if self._credit < 1.0:
                return
            self._credit -= 1.0
            pose = find(Square(square.centre, larger * square.side, square.turn + turned))
            if pose is not None:
                yield pose


def breadth(points: Array) -> float:
    """About 1 where somebody with the landmarks (33, 2) faces the camera, -1 with the back to it, 0 sideways."""
    # Plain numbers: numpy takes ten times as long for so few.
    left, right, left_hip, right_hip = points[TRUNK].tolist()
    x = (left[0] + right[0] - left_hip[0] - right_hip[0]) / 2.0
    y = (left[1] + right[1] - left_hip[1] - right_hip[1]) / 2.0
    total = 0.0
    for one, other, full in ((left, right, _SHOULDERS), (left_hip, right_hip, _HIPS)):
        across = (one[1] - other[1]) * x - (one[0] - other[0]) * y
        total += across / (full * max(x * x + y * y, 1e-6))
    return min(max(total / 2.0, -1.0), 1.0)
