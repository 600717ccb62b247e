"""When feet rest on the floor, and a path over it on which they stay where they rest.

A lifter sees a person's distance worst, and its errors last. A foot at rest tells how the body moves much better:
the path is the likeliest one under noise, a distance that drifts, and feet that stand still on the floor; a sum of
squares whose matrix is banded, so that one banded solver finds it for all frames at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.ndimage import maximum_filter1d

from ....retarget.feet import runs
from ....retarget.rotations import Array
from ....retarget.skeleton import CONTACT_JOINTS
from .level import SOLES
from .smooth import PATH_JERK, bands, loosen, solve_bands

# Log speeds (m/s) and heights (m) of feet that stand and of those that don't, from recorded dances.
_STANDS, _MOVES = (-1.8, 0.65), (0.0, 1.0)
_LOW, _AIR = 0.02, 0.06
# How often a second a foot steps or rises.
_SWITCHES = 4.0
# Metres and seconds of the distance's drift.
_DRIFT, _DRIFTS = 0.055, 1.5
# Metres of it within so many seconds of where the person is not seen. Of a body half hidden by what it goes behind,
# landmarks are squeezed together, as if far away, and sure all the same.
_HIDDEN, _BESIDE = 1.0, 0.35
# What counts less is not seen; seconds that all of this lasts at most: whoever is seen badly for longer has no other
# distance than the lifted one.
_LOST, _LONGEST = 0.5, 2.0
# Metres by which a foot that stands is off its place, and from where on it has left it.
_PLACE, _STRAYED = 0.05, 0.15
_OFF = 0.02  # metres that a resting sole is off the floor
# Metres from other joints than the feet's to the skin, at least.
_FLESH = 0.03
# Metres by which the floor seems to rise or sink, and how fast that changes, m/s^3.
_STRAYS, _HEAVE = 0.1, 1.0
_ROUNDS = 3
_STATE = 4  # numbers of a frame: the place, and the error of the distance


@dataclass(frozen=True)
class Noise:
    """How far off places are: deviations (3,) in metres along the camera's axes, of the ``path`` and of the ``feet``
    from it. ``axes``: (3, 3) those axes in the world, as rows."""

    axes: Array
    path: Array
    feet: Array

    def precision(self, deviation: Array) -> Array:
        """(3, 3) the inverse covariance of ``deviation`` (3,) along the camera's axes."""
        return (self.axes.T / deviation**2) @ self.axes


def find_contacts(feet: Array, noise: Noise, fps: float) -> Array:
    """(T, 4) how surely feet rest, by a hidden Markov model of two states with speed and height as evidence.

    ``feet``: (T, 4, 3) metres over the floor z = 0. Speeds count the less the noisier their direction is.
    """
    if len(feet) < 2:
        speed = np.zeros(feet.shape[:2])
    else:
        velocity = np.gradient(feet, axis=0) @ noise.axes.T * fps
        speed = np.linalg.norm(velocity * (noise.feet.min() / noise.feet), axis=-1)
    pace = np.maximum(np.log(speed + 0.02), _STANDS[0])
    low = float(np.hypot(_LOW, noise.feet.min()))
    height = np.maximum(feet[..., 2] - SOLES, 0.0)
    evidence = _log_normal(pace, *_STANDS) - _log_normal(pace, *_MOVES)
    evidence += _log_normal(height, 0.0, low) - _log_normal(height, 0.0, max(_AIR, 2.0 * low))
    return _posterior(np.clip(evidence, -20.0, 20.0), min(0.5, _SWITCHES / fps))


def _log_normal(value: Array, mean: float, deviation: float) -> Array:
    return np.asarray(-0.5 * ((value - mean) / deviation) ** 2 - np.log(deviation))


def _posterior(evidence: Array, switch: float) -> Array:
    """(T, K) probabilities of the first of two states by forward and backward passes.

    ``evidence``: (T, K) log likelihood ratios. ``switch``: probability of a change from frame to frame.
    """
    ratio = np.exp(evidence)

    def passed(ratio: Array) -> Array:
        odds = np.empty_like(ratio)
        before = np.full(ratio.shape[1], 0.5)
        for t, likely in enumerate(ratio):
            prior = switch + (1.0 - 2.0 * switch) * before
            odds[t] = likely * prior / (1.0 - prior)
            before = odds[t] / (1.0 + odds[t])
        return odds

    forward, backward = passed(ratio), passed(ratio[::-1])[::-1]
    after = backward / (1.0 + backward)
    after = np.concatenate([after[1:], np.full((1, ratio.shape[1]), 0.5)])
    prior = switch + (1.0 - 2.0 * switch) * after
    odds = forward * prior / (1.0 - prior)
    return np.asarray(odds / (1.0 + odds))


def find_path(seen: Array, weight: Array, feet: Array, contacts: Array, noise: Noise, fps: float) -> Array:
    """(T, 3) the likeliest path of the hips.

    ``seen``: (T, 3) as lifted, the camera at the origin; ``weight``: (T,) how much each counts. ``feet``: (T, 4, 3)
    from the hips. ``contacts``: (T, 4).
    """
    frames = len(seen)
    rays = seen / np.maximum(np.linalg.norm(seen, axis=-1, keepdims=True), 1e-6)
    usual = PATH_JERK**2 / fps**6
    hidden = _beside_losses(weight, fps)
    spread = np.where(hidden, _HIDDEN, _DRIFT)
    loose = np.ones(max(0, frames - 3))
    path = _bridged(seen, ~hidden)  # or feet would be held where they seemed to be
    for _ in range(_ROUNDS):
        blocks, links = np.zeros((frames, _STATE, _STATE)), np.zeros((max(0, frames - 1), _STATE, _STATE))
        right = np.zeros((frames, _STATE))
        _measure(blocks, right, seen, weight, rays * spread[:, None], noise)
        _drift(blocks, links, fps)
        _stand(blocks, links, right, path, feet, contacts, noise)
        _stay(blocks, right, path, feet, contacts)
        solved = _solve(blocks, links, loose / usual, right)
        path = solved[:, :3]
        loose = loosen(path, usual)
    return path


def _beside_losses(weight: Array, fps: float) -> NDArray[np.bool_]:
    """(T,) where the person is not seen for a moment, or just before or after; what lasts is left as it was lifted."""
    hidden = maximum_filter1d(weight < _LOST, 2 * round(_BESIDE * fps) + 1)
    for start, stop in runs(hidden):
        hidden[start:stop] = stop - start <= _LONGEST * fps
    return hidden


def level_beside_losses(heights: Array, weight: Array, fps: float) -> Array:
    """(T,) metres to raise a body by, so that where it is not seen for a moment its lowest point is as far over the
    floor as before and after: a wrong distance lifts or sinks it along the camera's ray.

    ``heights``: (T, 24) of all joints over the floor; ``weight``: (T,) how much each frame counts.
    """
    flesh = np.full(heights.shape[1], _FLESH)
    flesh[list(CONTACT_JOINTS)] = SOLES
    lowest = (heights - flesh).min(axis=1)
    return _bridged(lowest[:, None], ~_beside_losses(weight, fps))[:, 0] - lowest


def _bridged(seen: Array, sure: NDArray[np.bool_]) -> Array:
    """The path (T, K), straight where it is not ``sure`` (T,); as it is where it never is."""
    if not sure.any():
        return seen
    at, known = np.arange(len(seen)), np.flatnonzero(sure)
    return np.column_stack([np.interp(at, known, axis[known]) for axis in seen.T])


def _measure(blocks: Array, right: Array, seen: Array, weight: Array, rays: Array, noise: Noise) -> None:
    """What was lifted is the place, off along its ray by the distance's error, and noise.

    ``rays``: (T, 3), as long as that error usually is.
    """
    view = np.concatenate([np.broadcast_to(np.eye(3), (len(rays), 3, 3)), rays[..., None]], axis=2)
    scaled = np.einsum("tai,ab->tib", view, noise.precision(noise.path)) * weight[:, None, None]
    blocks += scaled @ view
    right += np.einsum("tib,tb->ti", scaled, seen)


def _drift(blocks: Array, links: Array, fps: float) -> None:
    """The distance's error, in its usual size, wanders and comes back to nothing (a first-order autoregressive
    process)."""
    memory = np.exp(-1.0 / (_DRIFTS * fps))
    precision = 1.0 / (1.0 - memory**2)
    blocks[0, 3, 3] += 1.0
    blocks[1:, 3, 3] += precision
    blocks[:-1, 3, 3] += precision * memory**2
    links[:, 3, 3] -= precision * memory


def _stand(blocks: Array, links: Array, right: Array, path: Array, feet: Array, contacts: Array, noise: Noise) -> None:
    """Feet in contact stay where they are from frame to frame."""
    still = noise.precision(0.5 * noise.feet)
    both = contacts[1:] * contacts[:-1]
    steps = np.diff(feet, axis=0)
    # A foot that slides all the same is no longer believed (Geman and McClure's weights).
    off = np.diff(path, axis=0)[:, None] + steps
    both = both / (1.0 + np.einsum("tki,ij,tkj->tk", off, still, off) / 9.0) ** 2
    total = both.sum(axis=1)[:, None, None] * still
    pull = np.einsum("tk,tki->ti", both, steps) @ still
    blocks[1:, :3, :3] += total
    blocks[:-1, :3, :3] += total
    links[:, :3, :3] -= total
    right[1:, :3] -= pull
    right[:-1, :3] += pull


def _stay(blocks: Array, right: Array, path: Array, feet: Array, contacts: Array) -> None:
    """Feet in contact are where they mostly are during it, over the floor: else they would drift by small steps."""
    for foot, sure in zip(np.moveaxis(feet, 1, 0), contacts.T, strict=True):
        for start, stop in runs(sure > 0.5):
            seen = path[start:stop] + foot[start:stop]
            place = np.median(seen, axis=0)
            far = np.sum((seen - place)[:, :2] ** 2, axis=1) / _STRAYED**2
            weight = sure[start:stop] / (1.0 + far) ** 2 / _PLACE**2
            for axis in (0, 1):
                blocks[start:stop, axis, axis] += weight
                right[start:stop, axis] += weight * (place - foot[start:stop])[:, axis]


def _solve(blocks: Array, links: Array, stiff: Array, right: Array) -> Array:
    """(T, 4) the minimum of the sum of squares; ``stiff``: (T - 3,) of the place's third differences.

    ``blocks``: (T, 4, 4) on the diagonal, ``links``: (T - 1, 4, 4) above it.
    """
    width = 3 * _STATE
    upper = np.zeros((width + 1, blocks.shape[0] * _STATE))
    smooth = bands(np.zeros(len(blocks)), stiff)
    for axis in range(3):
        for step in range(4):
            upper[width - step * _STATE, axis::_STATE] += smooth[3 - step]
    for a in range(_STATE):
        for b in range(_STATE):
            if b >= a:
                upper[width - (b - a), b::_STATE] += blocks[:, a, b]
            upper[width - (_STATE + b - a), _STATE + b :: _STATE] += links[:, a, b]
    return np.asarray(solveh_banded(upper, right.reshape(-1), check_finite=False)).reshape(-1, _STATE)


def find_floor(heights: Array, contacts: Array, fps: float) -> Array:
    """(T,) metres, the height at which resting soles are around each frame; ``heights``: (T, 24) of all joints.

    It is one floor, but slow errors of the lifted heights make it seem to rise and sink. A foot rests on the lower
    of heel and ball. Without contacts the floor is where the lower sole mostly is. Whoever kneels or lies does so
    on it too.
    """
    soles, rest = heights[:, list(CONTACT_JOINTS)] - SOLES, np.delete(heights, CONTACT_JOINTS, axis=1)
    soles = np.minimum(soles[:, :2], soles[:, 2:])
    contacts = np.maximum(contacts[:, :2], contacts[:, 2:])
    lowest = np.where(contacts > 0.5, soles, np.inf).min(axis=1)
    sure = np.isfinite(lowest)
    level = float(np.median(lowest[sure])) if sure.any() else float(np.percentile(soles.min(axis=1), 25))
    level = min(level, float(np.percentile(rest.min(axis=1), 2)) - _FLESH)
    off = soles - level
    firm = contacts / _OFF**2 / (1.0 + (off / _STRAYS) ** 2) ** 2
    stiff = np.full(max(0, len(soles) - 3), fps**6 / _HEAVE**2)
    back = np.full(len(soles), 1.0 / _STRAYS**2)
    return level + solve_bands(firm.sum(axis=1) + back, stiff, (firm * off).sum(axis=1))
