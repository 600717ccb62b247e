"""Who is in the picture: everybody is found, told apart over time, and one is chosen to be followed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from statistics import median
from typing import Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment

from ...retarget.rotations import Array
from .mediapipe_graphs import Figure, Image, Pose, Square

_SAME = 0.3  # of a body's square: two findings nearer to each other are of one person
_FORGET = 5.0  # s after which whoever was not seen is not taken for the same person any more
_REACH = 1.0  # squares a second that a person moves at most
_TINTS = 4  # levels of each colour by which clothes are compared
_LEARN = 0.15  # share of a new look in what is remembered of someone's clothes
_ALIKE = 0.35  # distance of colours up to which two may be one person
_COVERED = 0.25  # of a body's square, from one to another behind
_HIDDEN = 1.5  # s for which people are expected to go on as they went
_OTHER = 0.6  # distance of colours from which on two are not, wherever they are
_CONFIRMED = 2  # times that somebody must have been found to be reckoned with
# What it takes to be called a person, and not a coat on its hook: found so often, over so many seconds, as surely.
_BELIEVED, _LASTING, _SURE = 3, 0.5, 0.65
# Those who are counted: there for as long, and before the others as large, at least, as shares of the longest and the
# largest.
AS_LARGE, _AS_LONG = 0.5, 0.15


class Finder(Protocol):
    """Finds people in a picture, as ``mediapipe_graphs.People`` does."""

    def find(self, image: Image, time: float) -> list[Figure]: ...


@dataclass(frozen=True)
class View:
    """A part of the picture: the square, or the whole, from (``left``, ``top``) on, in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def whole_image(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def tiles(width: int, height: int, side: int) -> list[View]:
    """Squares that cover a picture, each half over the next."""
    across, down = (
        np.linspace(0, n - side, max(1, int(np.ceil(2 * n / side - 1)))).astype(int) for n in (width, height)
    )
    return [View(left, top, side, side) for top in down.tolist() for left in across.tolist()]


class Spotter:
    """Looks for people in a picture, and in parts of it: the detector sees only those that fill a third of what it
    is shown."""

    def __init__(self, finder: Finder, width: int, height: int) -> None:
        self._finder, self._size = finder, (width, height)
        short, long = sorted((width, height))
        self._whole = View(0, 0, width, height)
        self._parts = tiles(width, height, short if long >= 1.3 * short else round(0.65 * short))
        self._small = tiles(width, height, max(short // 2, 1))
        self._turns, self._searching = cycle([self._whole, *self._parts]), cycle(self._small)
        self._clock = 0.0

    def everybody(self, image: Image, thorough: bool = False) -> list[Figure]:
        """All people: in the whole picture and its parts; in small parts too while nobody is found, or where it is
        to be ``thorough``."""
        found = self._in(image, [self._whole, *self._parts])
        return distinct([*found, *self._in(image, self._small)]) if thorough or not found else found

    def glance(self, image: Image, near: Square | None) -> list[Figure]:
        """Those in one part of the picture, another one at each call; ``near``: around somebody."""
        return self._in(image, [next(self._turns) if near is None else self._around(near)])

    def search(self, image: Image) -> list[Figure]:
        """Those in a part and in a small part, others at each call: for when nobody is known to be there."""
        return self._in(image, [next(self._turns), next(self._searching)])

    def _around(self, square: Square) -> View:
        width, height = self._size
        side = min(round(2.0 * square.side), width, height)
        left, top = (
            int(np.clip(middle - side / 2, 0, length - side))
            for middle, length in zip(square.centre, self._size, strict=True)
        )
        return View(left, top, side, side)

    def _in(self, image: Image, views: Iterable[View]) -> list[Figure]:
        found: list[Figure] = []
        for view in views:
            self._clock += 1.0
            part = np.ascontiguousarray(image[view.whole_image])
            found += [_moved(figure, view) for figure in self._finder.find(part, self._clock)]
        return distinct(found)


def _moved(figure: Figure, view: View) -> Figure:
    (x, y), square = figure.square.centre, figure.square
    corner = np.array([view.left, view.top])
    return Figure(
        Square((x + view.left, y + view.top), square.side, square.turn), figure.shoulders + corner, figure.score
    )


def distance(a: Square, b: Square) -> float:
    """Between two bodies' hips, in sides of the larger square."""
    return float(np.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1])) / max(a.side, b.side)


def distinct(figures: Sequence[Figure]) -> list[Figure]:
    """One of each person, the surest: bodies are found in several parts of the picture, twice, and in parts."""
    kept: list[Figure] = []
    for figure in sorted(figures, key=lambda one: -one.score):
        if not any(_part(figure.square, other.square) for other in kept):
            kept.append(figure)
    return kept


def _part(square: Square, other: Square) -> bool:
    """Whether a square is round the same body as another, or round a part of that body."""
    apart = distance(square, other)
    return apart < _SAME / 2 or (apart < _SAME and square.side < 0.6 * other.side)


def figure_of(pose: Pose) -> Figure:
    """The person whose landmarks were found."""
    return Figure(pose.square, pose.points[11:13].mean(axis=0), 1.0)


def clothes(image: Image, figure: Figure) -> Array:
    """(2, C) the share of each colour along the trunk, and along the thighs, of a person in a picture."""
    hips, shoulders = np.array(figure.square.centre), figure.shoulders
    trunk = shoulders - hips
    across = 0.15 * np.array([-trunk[1], trunk[0]])
    shares = []
    for first, last in ((0.15, 0.85), (-0.6, -0.05)):
        along, aside = np.meshgrid(np.linspace(first, last, 16), np.linspace(-1.0, 1.0, 8))
        places = hips + along[..., None] * trunk + aside[..., None] * across
        columns, rows = (np.clip(places[..., i], 0, image.shape[1 - i] - 1).astype(int) for i in range(2))
        levels = (image[rows, columns].astype(int) * _TINTS) >> 8
        counts = np.bincount((levels @ [_TINTS**2, _TINTS, 1]).ravel(), minlength=_TINTS**3)
        shares.append(counts / counts.sum())
    return np.array(shares)


def unlike(a: Array, b: Array) -> float:
    """0 where two have the same colours, 1 where they share none: one minus the Bhattacharyya coefficient."""
    return float(1.0 - np.sqrt(a * b).sum(axis=-1).mean())


@dataclass(eq=False)
class Track:
    """One person over time: ``times`` in seconds at which they were found, the ``squares`` then, and the detector's
    ``scores``; how often they were found ``beside`` somebody else, and ``missed`` where they should have been."""

    times: list[float]
    squares: list[Square]
    clothes: Array
    scores: list[float] = field(default_factory=list)
    beside: int = 0
    missed: int = 0

    def add(self, time: float, figure: Figure, seen: Array | None) -> None:
        self.times.append(time)
        self.squares.append(figure.square)
        self.scores.append(figure.score)
        if seen is not None:
            self.clothes = (1.0 - _LEARN) * self.clothes + _LEARN * seen

    def forget(self, since: float) -> None:
        """Forget where they were found later than that, but for the first time."""
        kept = max(bisect_right(self.times, since), 1)
        del self.times[kept:], self.squares[kept:], self.scores[kept:]

    @property
    def seconds(self) -> Array:
        """For how long each finding speaks: whoever was found twice in a row was there in between."""
        return np.minimum(np.diff(self.times, append=self.times[-1] + 0.5), 2.0)

    @property
    def side(self) -> float:
        """How large the person was of late."""
        return median(square.side for square in self.squares[-5:])

    @property
    def mostly(self) -> float:
        """How large the person was all in all."""
        return float(np.median([square.side for square in self.squares]))

    def expected(self, time: float) -> Square:
        """Where the person is likely to be."""
        last, span = self.squares[-1], time - self.times[-1]
        # Speed over the last third of a second or so; whoever is not seen for long may have turned.
        first = bisect_left(self.times, self.times[-1] - 0.4)
        if first == len(self.times) - 1:
            return Square(last.centre, self.side, last.turn)
        moved = np.subtract(last.centre, self.squares[first].centre) / (self.times[-1] - self.times[first])
        x, y = np.add(last.centre, moved * min(span, _HIDDEN))
        return Square((float(x), float(y)), self.side, last.turn)

    def at(self, time: float) -> Square | None:
        """Where the person was, None where that is not known to half a second; of somebody new a bit before, for
        they are found some time after they came."""
        known = 0.5 if time >= self.times[0] else 1.2
        return self.nearest(time) if np.abs(np.subtract(self.times, time)).min() <= known else None

    def nearest(self, time: float) -> Square:
        """Where the person was when found nearest to a time."""
        return self.squares[int(np.argmin(np.abs(np.subtract(self.times, time))))]


@dataclass(eq=False)
class Tracker:
    """Tells people apart within one shot, by where they are and by the colours of their clothes."""

    tracks: list[Track] = field(default_factory=list)

    def update(
        self, time: float, image: Image, figures: Sequence[Figure], first: Track | None = None
    ) -> dict[Figure, Track]:
        """Who the figures are, those left out who are a second finding of one before, or one of two of whom only
        one is seen; ``first``: who the first is known to be."""
        seen: dict[Figure, Array] = {}
        for figure in figures:
            wears = clothes(image, figure)
            if not any(
                _part(figure.square, other.square)
                or (distance(figure.square, other.square) < _SAME and unlike(wears, known) < _ALIKE)
                for other, known in seen.items()
            ):
                seen[figure] = wears
        unsure = [one for one in seen if (first is None or one is not figures[0]) and self._unsure(time, one, seen)]
        seen = {one: wears for one, wears in seen.items() if one not in unsure}
        people = self._assign(time, seen, first)
        for figure, wears in seen.items():
            if figure not in people:
                people[figure] = Track([], [], wears)
                self.tracks.append(people[figure])
            alone = all(distance(figure.square, other.square) > 2 * _SAME for other in seen if other is not figure)
            people[figure].add(time, figure, wears if alone else None)
            people[figure].beside += len(seen) > 1
        return people

    def doubtful(self, track: Track | None, time: float, patience: float) -> Track | None:
        """Somebody other than ``track`` who was found in the last seconds, and may be nobody."""
        doubted = [
            one for one in self.tracks if one is not track and time - one.times[-1] < patience and not _is_believed(one)
        ]
        return min(doubted, key=lambda one: one.times[-1], default=None)

    def miss(self, track: Track) -> None:
        """Somebody wasn't found where they should be: they are forgotten once that is so as often as not."""
        track.missed += 1
        if track.missed >= len(track.times):
            self.tracks.remove(track)

    def _unsure(self, time: float, figure: Figure, seen: dict[Figure, Array]) -> bool:
        """Whether a figure may be either of two people dressed alike, who should both be about here."""
        near = [t for t in confirmed(self.tracks) if time - t.times[-1] <= _HIDDEN]
        near = [
            track
            for track in near
            if distance(track.expected(time), figure.square) < _COVERED and unlike(track.clothes, seen[figure]) < _ALIKE
        ]
        here = sum(distance(other.square, figure.square) < 2.0 * _COVERED for other in seen)
        return len(near) > here

    def _assign(self, time: float, seen: dict[Figure, Array], first: Track | None) -> dict[Figure, Track]:
        """Which figures are people known already: the most likely of all ways to tell."""
        known = [track for track in self.tracks if time - track.times[-1] <= _FORGET]
        if not known or not seen:
            return {}
        costs = np.array([[_cost(track, time, figure, wears) for track in known] for figure, wears in seen.items()])
        if first in known:
            costs[0], costs[:, known.index(first)] = np.inf, np.inf
            costs[0, known.index(first)] = 0.0
        figures, pairs = list(seen), zip(*linear_sum_assignment(np.minimum(costs, 100.0)), strict=True)
        return {figures[row]: known[column] for row, column in pairs if np.isfinite(costs[row, column])}

    def rivals(self, track: Track, time: float, reach: float = 2.0 * _SAME) -> list[Track]:
        """The others who are, or were a moment ago, within ``reach`` squares: near enough to be mistaken for them."""
        here = track.expected(time)
        return [
            other
            for other in self.tracks
            if other is not track
            and len(other.times) >= _CONFIRMED
            and time - other.times[-1] <= _HIDDEN
            and distance(other.expected(time), here) < reach
        ]

    def covered(self, track: Track, time: float) -> bool:
        """Whether somebody larger, so nearer, stands before the person and wears the same."""
        return any(
            unlike(other.clothes, track.clothes) < _ALIKE and other.side > track.side
            for other in self.rivals(track, time, _COVERED)
        )


def _cost(track: Track, time: float, figure: Figure, seen: Array) -> float:
    """How unlikely it is that a figure is the person of a track; infinite where it can't be."""
    span = time - track.times[-1]
    expected, colours = track.expected(time), unlike(track.clothes, seen)
    ratio = figure.square.side / expected.side
    away = distance(expected, figure.square)
    if not 0.5 < ratio < 2.0 or away > _SAME + _REACH * span or colours > (_ALIKE if away > _SAME else _OTHER):
        return np.inf
    return away / (_SAME + 0.5 * _REACH * span) + 3.0 * colours + abs(np.log(ratio))


def differs(track: Track, seen: Array) -> bool:
    """Whether somebody in clothes of these colours is not the person of a track, or stands in other light."""
    return unlike(track.clothes, seen) > _ALIKE


def within_reach(was: Square, passed: float, square: Square) -> bool:
    """Whether somebody in one square may be in another when some seconds have ``passed``."""
    return 0.5 < square.side / was.side < 2.0 and distance(was, square) <= _SAME + _REACH * passed


def confirmed(tracks: Iterable[Track]) -> list[Track]:
    """Those who were found more than once, and may be people."""
    return [track for track in tracks if len(track.times) >= _CONFIRMED]


def believed(tracks: Iterable[Track]) -> list[Track]:
    """Those who were found for long enough, and surely enough, to be called people."""
    return [track for track in tracks if _is_believed(track)]


def _is_believed(track: Track) -> bool:
    lasted = len(track.times) >= _BELIEVED and track.times[-1] - track.times[0] >= _LASTING
    return lasted and float(np.mean(track.scores)) >= _SURE


def choose(tracks: Sequence[Track], size: tuple[int, int], person: int | None = None) -> Track | None:
    """The one to follow in a picture of ``size`` (width, height): the how manieth from the left, from 1, when all
    are there for the first time, those much smaller after the others; None: whoever is there for longest, largest and
    nearest to the middle."""
    if person is None:
        return max(tracks, key=lambda track: presence(track, size), default=None)
    spans = {track: float(track.seconds.sum()) for track in tracks}
    lasting = [track for track in tracks if spans[track] >= _AS_LONG * max(spans.values())]
    largest = max((track.mostly for track in lasting), default=0.0)
    dancing = [track for track in lasting if track.mostly >= AS_LARGE * largest]
    counted = [*_from_left(dancing), *_from_left([track for track in lasting if track not in dancing])]
    return counted[person - 1] if person <= len(counted) else None


def _from_left(tracks: Sequence[Track]) -> list[Track]:
    """In their order when all have been seen, before they change places."""
    together = max((track.times[0] for track in tracks), default=0.0)
    return sorted(tracks, key=lambda track: track.nearest(together).centre[0])


def presence(track: Track, size: tuple[int, int]) -> float:
    """How much a person is the subject: seconds times the share of the picture times how near to the middle."""
    shares = np.array([square.side for square in track.squares]) ** 2 / (size[0] * size[1])
    off = np.abs(np.array([square.centre for square in track.squares]) / size - 0.5).max(axis=1)
    return float((track.seconds * shares * np.exp(-((off / 0.35) ** 2))).sum())


def count(tracks: Sequence[Track], times: Array, least: float = 0.0) -> Array:
    """(F,) how many as large as ``least`` were there together at each of the ``times`` (F,); 0 where there was one at
    most, who may have been taken for another for a while."""
    counts = np.zeros(len(times), dtype=int)
    for track in believed(track for track in tracks if track.beside >= _CONFIRMED and track.mostly >= least):
        # Who was found was there until somebody looked again.
        counts += (times >= track.times[0]) & (times < track.times[-1] + np.median(np.diff(track.times)))
    return counts
