"""Where over the floor a dance goes: steered back before it drifts off, through given places, round in a circle.

Places are complex numbers, x + iy in metres; headings are radians about z.
"""

from __future__ import annotations

import cmath
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ...retarget.rotations import Array
from . import representation as rep

Complex = NDArray[np.complex128]

_MEMORY = 1.0  # seconds over which the direction of travel is judged
_SMOOTHING = 0.2  # s, sigma with which the dance's speed is smoothed before a correction is spread by it
_AT_REST = 0.1  # m/s, the speed as which standing counts there
_FREE = 0.75  # share of a circle's radius within which its edge is not felt


@dataclass(frozen=True)
class Bounds:
    """``free``: metres from the middle within which a dance goes where it likes; ``full``: metres from which it is
    steered with full strength; ``fastest``: rad/s added to its heading at most. Recorded waltzes go 4 m within 20 s."""

    free: float = 3.0
    full: float = 5.0
    fastest: float = 0.35  # a pivot of a dancer, not a spin

    @staticmethod
    def within(radius: float | None) -> Bounds:
        """Those for a dance that must not leave a circle; the usual ones without."""
        if radius is None:
            return Bounds()
        return Bounds(min(0.4 * radius, 1.5), min(0.9 * radius, 3.0), 0.9)


@dataclass(frozen=True)
class Anchors:
    """Where a dance of T frames must be: ``known`` (T,) frames, their ``place`` and ``yaw``, (T,) each."""

    known: NDArray[np.bool_]
    place: Complex
    yaw: Array

    @staticmethod
    def none(frames: int) -> Anchors:
        return Anchors(np.zeros(frames, bool), np.zeros(frames, complex), np.zeros(frames))


@dataclass(frozen=True)
class Path:
    """A dance's way: ``place`` (T,) and ``yaw`` (T,), and ``features`` (T, 152) whose velocities lead along it."""

    features: Array
    place: Complex
    yaw: Array


def lead(
    features: Array,
    fps: float,
    anchors: Anchors,
    *,
    loop: bool = False,
    radius: float | None = None,
    middle: complex = 0j,
) -> Path:
    """The way of a dance, features (T, 152), through ``anchors``; without any from the origin, facing -y.

    A dance integrated from velocities walks off in the course of a song. Turning it slowly about the vertical
    keeps every step as it is; pulling its root back would make the feet slide. So a dance that travels outwards
    is turned inwards. Where it must still be elsewhere, what is missing is spread over the frames between
    two anchors, most where the dancer travels anyway. With ``loop`` the last frame leads to the first.
    It turns back to ``middle``; with ``radius`` (metres) no free frame is farther from there.
    """
    frames = len(features)
    out = np.array(features, dtype=np.float64)
    place, yaw = np.array(anchors.place), np.array(anchors.yaw)
    known = np.flatnonzero(anchors.known)
    guide = _Guide(fps, middle, radius, Bounds.within(radius))
    if len(known) and radius is not None:
        guide = guide.reaching(float(np.abs(place[known] - middle).max()))
    for stretch in _stretches(known, frames, loop):
        index = stretch.index % frames
        velocity, rate = features[index][:, rep.VELOCITY] @ np.array([1, 1j]), features[index, rep.YAW_RATE]
        # Walked backwards where only the end is known.
        turn = -1 if stretch.start is None and stretch.stop is not None else 1
        first, last = (stretch.start, stretch.stop)[::turn]
        begin = (0j, 0.0) if first is None else (complex(place[first]), float(yaw[first]))
        end = None if last is None else (complex(place[last]), float(yaw[last]))
        way = guide.walk(turn * velocity[::turn], turn * rate[::turn], begin, end, round_about=stretch.closed)
        places, yaws, velocity, rate = (values[::turn] for values in way)
        free = ~anchors.known[index]
        if stretch.closed:  # its last frame is the first again
            free[-1] = False
        place[index[free]], yaw[index[free]] = places[free], yaws[free]
        out[index[free], rep.YAW_RATE] = turn * rate[free]
        out[index[free], rep.VELOCITY] = turn * np.column_stack([velocity[free].real, velocity[free].imag])
    return Path(out.astype(features.dtype), place, yaw)


@dataclass(frozen=True)
class _Stretch:
    """Frames ``index`` to walk, with the anchors they lead from and to; they count on past the end of a loop."""

    index: NDArray[np.intp]
    start: int | None
    stop: int | None
    closed: bool = False


def _stretches(known: NDArray[np.intp], frames: int, loop: bool) -> list[_Stretch]:
    if not len(known):
        closed = _Stretch(np.arange(frames + 1), 0, 0, closed=True)
        return [closed if loop else _Stretch(np.arange(frames), None, None)]
    first, last = int(known[0]), int(known[-1])
    between = [_Stretch(np.arange(a, b + 1), int(a), int(b)) for a, b in pairwise(known) if b > a + 1]
    if loop:
        return [*between, _Stretch(np.arange(last, frames + first + 1), last, first)]
    before = [_Stretch(np.arange(first + 1), None, first)] if first > 0 else []
    after = [_Stretch(np.arange(last, frames), last, None)] if last < frames - 1 else []
    return [*before, *between, *after]


@dataclass(frozen=True)
class _Guide:
    """Walks with steady bounds. ``free``: metres from the middle within which a circle's edge is not felt."""

    fps: float
    middle: complex
    radius: float | None
    bounds: Bounds
    free: float = 0.0

    def reaching(self, distance: float) -> _Guide:
        """The same for anchors as far as ``distance`` from the middle, which the circle must not move."""
        return _Guide(self.fps, self.middle, self.radius, self.bounds, distance)

    def walk(
        self,
        velocity: Complex,
        rate: Array,
        begin: tuple[complex, float],
        end: tuple[complex, float] | None,
        *,
        round_about: bool = False,
    ) -> tuple[Complex, Array, Complex, Array]:
        """Places, yaws, velocities in the heading frame and yaw rates, (n,) each, of a walk that is wanted to have
        these velocities and rates."""
        rate = rate + self._steer(velocity, rate, *begin)
        yaw = begin[1] + _integrate(rate, self.fps)
        if end is not None:
            missing = np.angle(np.exp(1j * (end[1] - yaw[-1])))
            off = missing * self._spread(velocity, round_about)
            yaw, rate = yaw + off, rate + np.gradient(off) * self.fps
        plain = begin[0] + _integrate(velocity * np.exp(1j * yaw), self.fps)
        place = plain
        if end is not None:
            place = plain + (end[0] - plain[-1]) * self._spread(velocity, round_about)
        if self.radius is not None:
            place = self._within(place)
        velocity = velocity + np.gradient(place - plain) * self.fps * np.exp(-1j * yaw)
        return place, yaw, velocity, rate

    def _steer(self, velocity: Complex, rate: Array, place: complex, yaw: float) -> Array:
        """(n,) rad/s to be added to the yaw rate, so that a dance beyond the free bounds turns homewards."""
        bounds, dt = self.bounds, 1.0 / self.fps
        keep = float(np.exp(-dt / _MEMORY))
        extra = np.zeros(len(velocity))
        travel, place = 0j, place - self.middle
        for frame, (own, turn) in enumerate(zip(velocity.tolist(), rate.tolist(), strict=True)):
            away = (abs(place) - bounds.free) / (bounds.full - bounds.free)
            more = 0.0
            if away > 0 and travel != 0:
                # angle from the way it goes to the way home
                more = bounds.fastest * min(away, 1.0) * cmath.phase(-place / travel) / cmath.pi
                extra[frame] = more
            yaw += (turn + more) * dt
            step = own * cmath.exp(1j * yaw)
            # the memory turns along, since everything that follows does
            travel = (keep * travel + (1 - keep) * step) * cmath.exp(1j * more * dt)
            place += step * dt
        return extra

    def _spread(self, velocity: Complex, round_about: bool) -> Array:
        """(n,) rising from 0 to 1, most where the dancer travels; with no jump of speed at its ends."""
        count = len(velocity) - 1
        speed = gaussian_filter1d(np.abs(velocity), _SMOOTHING * self.fps, mode="wrap" if round_about else "nearest")
        weight = 0.5 * (speed[1:] + speed[:-1]) + _AT_REST
        if not round_about:
            weight = weight * np.sin(np.pi * (np.arange(count) + 0.5) / count) ** 2
        rising = np.concatenate([[0.0], np.cumsum(weight)])
        return rising / rising[-1]

    def _within(self, place: Complex) -> Complex:
        """Places drawn into the circle, the more the nearer to its edge."""
        assert self.radius is not None
        free = max(_FREE * self.radius, min(self.free, 0.999 * self.radius))
        away = np.abs(place - self.middle)
        over = np.maximum(away - free, 0.0)
        nearer = np.minimum(away, free) + over / (1.0 + over / (self.radius - free))
        return self.middle + (place - self.middle) * nearer / np.maximum(away, 1e-9)


def _integrate(rate: NDArray[Any], fps: float) -> NDArray[Any]:
    """The integral from the first frame on, by the trapezoid rule."""
    return np.concatenate([np.zeros(1, rate.dtype), np.cumsum(0.5 * (rate[1:] + rate[:-1]) / fps)])
