"""How a camera moves, by what stands still behind the person: pans, zooms and the shaking of a hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...retarget.rotations import Array
from .detections import Views
from .mediapipe_graphs import Image

Grey = NDArray[np.uint8]
Box = tuple[Array, Array]

_LONGER = 320  # pixels, about, of the picture's longer side in which movement is looked for
_CORNERS, _LEAST = 80, 12  # points that are followed at most, and at least
_APART = 7  # pixels between them
# Squares along the longer side, each of which has a say with so many points at most: writing over a picture has the
# strongest points, but covers little of it.
_SQUARES, _SAY = 12, 2
# Shares of the strongest point's strength from which on points are followed: so many times the strength of most of the
# picture, which is that of its noise. Where noise or fine patterns are everywhere, only the strongest points tell.
_WEAK, _STRONG, _NOISY = 0.002, 0.01, 10.0
_BEYOND = 0.15  # of the person's height by which hair and clothes reach beyond the landmarks
_MISS = 1.0  # pixels by which a point may miss where the others say it is
_AGREED = 0.5  # share of the points that must say the same, or they tell nothing
_FAR, _CLOSER = 0.25, 1.25  # shares of the longer side moved, and of size, after which other points are followed
# Shares of the longer side by which a camera that stands still may seem to move: in all, and since the key picture,
# so that what is missed does not add up.
_STILL, _NOISE = 0.004, 0.001
_QUIET, _SELDOM = 30, 4  # pictures without movement, after which one in so many is looked at
_STANDING = 0.2  # s for which a foot stays where it is in any dance
_ABOUT = 1.2
_AT_REST = (1.0 + 0.0j, 0.0j)


@dataclass(eq=False)
class _Key:
    """A picture against which the following ones are seen: its grey values and ``corners`` (N, 2), and its view."""

    grey: Grey
    corners: NDArray[np.float32]
    view: tuple[complex, complex]


class CameraMotion:
    """Follows the background through the pictures of one shot, through one in four while nothing moves."""

    def __init__(self) -> None:
        self._key: _Key | None = None
        self._moved = _AT_REST  # from the key picture to the last one
        self._frames: list[int] = []  # that were looked at
        self._views: list[tuple[complex, complex]] = []
        self._count = self._quiet = 0
        self._factor = self._side = 1.0

    def see(self, image: Image, person: Array | None) -> None:
        """The next picture (height, width, 3), and the landmarks (P, 2) in it of whom we follow, in pixels."""
        self._count += 1
        if self._quiet >= _QUIET and self._count % _SELDOM:
            return
        grey, self._factor = _small(image)
        self._side = float(max(grey.shape))
        box = None if person is None else _box(person * self._factor)
        view = self._views[-1] if self._views else _AT_REST
        if self._key is not None:
            moved, agreed = self._follow(self._key, grey, box)
            still = moved is None or self._apart(moved, self._moved) < _STILL
            self._quiet = self._quiet + 1 if still else 0
            if moved is not None:
                self._moved = _AT_REST if self._apart(moved, _AT_REST) < _NOISE else moved
                view = _after(self._key.view, self._moved)
            far = abs(self._moved[1]) > _FAR * self._side or abs(np.log(abs(self._moved[0]))) > np.log(_CLOSER)
            if far or agreed < _AGREED * len(self._key.corners):
                self._key = None
        if self._key is None:
            self._key, self._moved = _Key(grey, _corners(grey, box), view), _AT_REST
        self._frames.append(self._count - 1)
        self._views.append(view)

    def views(self) -> Views:
        """(F, 2) from where each picture is seen, as ``Detections.views``, against the first; all alike where nothing
        moves."""
        if max((self._apart(view, _AT_REST) for view in self._views), default=0.0) < _STILL:
            return np.tile(np.array(_AT_REST), (self._count, 1))
        seen, frames = np.array(self._views) * [1.0, 1.0 / self._factor], np.arange(self._count)
        return np.stack([np.interp(frames, self._frames, column) for column in seen.T], axis=1)

    def _apart(self, one: tuple[complex, complex], other: tuple[complex, complex]) -> float:
        """How far a corner of the picture is in one view from where it is in the other, as a share of its side."""
        corners = self._side * np.array([0.0, 1.0, 1.0j, 1.0 + 1.0j])
        return float(np.abs((one[0] - other[0]) * corners + one[1] - other[1]).max()) / self._side

    def _follow(self, key: _Key, grey: Grey, box: Box | None) -> tuple[tuple[complex, complex] | None, int]:
        """How the background moved from the key picture to this one, None where it can't be told, and how many points
        say so."""
        import cv2

        if len(key.corners) < _LEAST:
            return None, 0
        guess = _pairs(self._moved[0] * _complex(key.corners) + self._moved[1])
        found, status, _ = cv2.calcOpticalFlowPyrLK(
            key.grey, grey, key.corners, guess, winSize=(13, 13), maxLevel=3, flags=cv2.OPTFLOW_USE_INITIAL_FLOW
        )
        good = (status[:, 0] > 0) & ~_inside(found, box)
        if good.sum() < _LEAST:
            return None, 0
        cv2.setRNGSeed(0)  # the same pictures are seen the same way
        matrix, inliers = cv2.estimateAffinePartial2D(
            key.corners[good], found[good], method=cv2.RANSAC, ransacReprojThreshold=_MISS
        )
        agreed = 0 if inliers is None else int(inliers.sum())
        if matrix is None or agreed < max(_LEAST, _AGREED * good.sum()):
            return None, 0
        return (complex(matrix[0, 0], matrix[1, 0]), complex(matrix[0, 2], matrix[1, 2])), agreed


def stands(views: Views, feet: Array, seconds: float) -> bool:
    """Whether somebody stands in the steadied pictures at least about as still as in the pictures.

    What moves behind them may be a screen, not the room. ``feet``: (F, 2, 2) pixels, nan where not seen;
    ``seconds`` between two pictures.
    """
    lag = max(1, round(_STANDING / seconds))
    points = feet[..., 0] + 1.0j * feet[..., 1]
    moves = [np.abs(one[lag:] - one[:-lag]).min(axis=1) for one in (points, views[:, :1] * points + views[:, 1:])]
    known = np.isfinite(moves[0])
    return bool(known.any() and np.median(moves[1][known]) < _ABOUT * np.median(moves[0][known]))


def _after(view: tuple[complex, complex], moved: tuple[complex, complex]) -> tuple[complex, complex]:
    """The view of a picture to which the background moved from one with that ``view``."""
    turn = view[0] / moved[0]
    return turn, view[1] - turn * moved[1]


def _small(image: Image) -> tuple[Grey, float]:
    """The picture, small and grey, and how much smaller it is."""
    import cv2

    step = max(1, max(image.shape) // (2 * _LONGER))
    return np.asarray(cv2.pyrDown(np.ascontiguousarray(image[::step, ::step, 1])), dtype=np.uint8), 0.5 / step


def _corners(grey: Grey, box: Box | None) -> NDArray[np.float32]:
    """(N, 2) points that can be followed, outside of the box."""
    import cv2

    outside = np.ones_like(grey)
    if box is not None:
        (left, top), (right, bottom) = np.clip(np.round(box).astype(int), 0, None).tolist()
        outside[top:bottom, left:right] = 0
    strength = cv2.cornerMinEigenVal(grey, 3)  # as goodFeaturesToTrack has it
    share = _NOISY * float(np.median(strength[::3, ::3])) / max(float(strength.max()), 1e-12)
    found = cv2.goodFeaturesToTrack(grey, 0, min(max(share, _WEAK), _STRONG), _APART, mask=outside)
    if found is None:
        return np.zeros((0, 2), np.float32)
    strongest = np.asarray(found.reshape(-1, 2), np.float32)  # first
    return strongest[:_CORNERS] if share >= _STRONG else _spread(strongest, max(grey.shape) / _SQUARES)


def _spread(points: NDArray[np.float32], side: float) -> NDArray[np.float32]:
    """The first of the points (N, 2) in each of the squares of that ``side``, _CORNERS of them at most."""
    told: Counter[tuple[int, ...]] = Counter()
    chosen = []
    for point, square in zip(points, map(tuple, (points // side).astype(int).tolist()), strict=True):
        told[square] += 1
        if told[square] <= _SAY:
            chosen.append(point)
    return np.array(chosen[:_CORNERS])


def _box(person: Array) -> Box:
    """Low and high corner (2,) of what the person fills."""
    low, high = person.min(axis=0), person.max(axis=0)
    beyond = _BEYOND * float((high - low).max())
    return low - beyond, high + beyond


def _inside(points: NDArray[Any], box: Box | None) -> NDArray[np.bool_]:
    """Which of the points (..., 2) lie in the box."""
    if box is None:
        return np.zeros(points.shape[:-1], dtype=bool)
    inside: NDArray[np.bool_] = ((points > box[0]) & (points < box[1])).all(axis=-1)
    return inside


def _complex(points: NDArray[np.float32]) -> NDArray[np.complex128]:
    return points[:, 0].astype(float) + 1.0j * points[:, 1]


def _pairs(numbers: NDArray[np.complex128]) -> NDArray[np.float32]:
    return np.stack([numbers.real, numbers.imag], axis=1).astype(np.float32)
