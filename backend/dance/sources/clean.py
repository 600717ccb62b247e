"""Recorded motion made fit to learn from: without glitches, on the floor, at one frame rate, dancing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import binary_dilation, gaussian_filter1d, median_filter

from ....retarget import rotations as rot
from ....retarget.errors import MotionError
from ....retarget.motion import Motion, detect_contacts
from ....retarget.rotations import Array
from ....retarget.skeleton import ANKLE_HEIGHT, CONTACT_JOINTS, FOOT_HEIGHT

# Turns y up, facing +z (SMPL) into z up, facing -y (ours): (x, y, z) -> (x, -z, y). Both the world and
# every joint's rest frame turn, so rotations are conjugated, not only the root's multiplied.
UPRIGHT = rot.from_axis_angle([np.pi / 2, 0.0, 0.0])

# Faster than this no joint of a dancer moves (m/s) or turns (rad/s): a marker was lost there.
_FASTEST, _FASTEST_TURN = 12.0, 60.0
_MARGIN, _BRIDGE = 0.017, 0.2  # s left out on either side of a glitch, and that may be bridged in all
_SMOOTHING = 0.013  # s, sigma; a Gaussian passes half of what swings at 0.19 / sigma = 14 Hz
SHORTEST = 6.0  # s of a stretch worth keeping: the model's window of 5 s, somewhat faster
CLIP = 5.0  # s of a clip of a data set, at least: that window
_LONGEST = 600.0  # s of a stretch
_RATES = (5.0, 1000.0)  # frames a second of recordings
_STILL = 0.12  # m/s of all joints' mean, smoothed over a second, under which nobody dances
_STANDING = 0.2  # m/s over the floor, under which a foot stands


def stretches(motion: Motion, fps: float, shortest: float = SHORTEST) -> list[tuple[float, Motion]]:
    """What there is to learn from a recording, as ``clean`` finds it, or from a clip of a data set, as ``clip`` does.

    Raises MotionError where there is nothing, or for a frame rate that can't be right.
    """
    is_clip = "clip" in motion.meta
    found = clip(motion, fps) if is_clip else clean(motion, fps, shortest)
    if not found:
        raise MotionError(f"it holds no {CLIP if is_clip else shortest:g} s of dance: record longer ones.")
    return found


def clean(motion: Motion, fps: float, shortest: float = SHORTEST) -> list[tuple[float, Motion]]:
    """The stretches of a recording in which somebody dances, at ``fps``, on the floor, with contacts.

    Each with the second of the recording at which it begins.
    Single bad frames are bridged; where the body jumps for longer, the recording is cut. What is at rest at
    either end is left out, and stretches under ``shortest`` seconds. Recordings of more than ten minutes are cut into
    such, which bounds the memory. Raises MotionError for a frame rate that can't be right.
    """
    _check_rate(motion)
    most = round(_LONGEST * motion.fps)
    found = []
    for piece in range(0, len(motion), most):
        recorded = motion.slice(piece, piece + most)
        for first, part in without_glitches(recorded):
            part = smooth(part)
            dancing = _dancing(part)
            if len(dancing) / motion.fps >= shortest:
                start = piece + first + dancing.start
                part = part.slice(dancing.start, dancing.stop)
                found.append((start / motion.fps, with_contacts(on_floor(resample(part, fps)))))
    return found


def clip(motion: Motion, fps: float) -> list[tuple[float, Motion]]:
    """A clip of a data set, which is clean already, as ``clean`` has stretches; none where it is shorter than CLIP.

    Raises MotionError for a frame rate that can't be right.
    """
    _check_rate(motion)
    return [(0.0, with_contacts(resample(motion, fps)))] if len(motion) >= round(CLIP * motion.fps) else []


def _check_rate(motion: Motion) -> None:
    if not _RATES[0] <= motion.fps <= _RATES[1]:
        raise MotionError(f"it has {motion.fps:g} frames a second, which can't be right: correct its frame rate.")


def without_glitches(motion: Motion) -> list[tuple[int, Motion]]:
    """The stretches of a motion in which no body jumps, and their first frames; single bad frames are bridged."""
    return [
        (int(frames[0]) + first, part) for frames in _good(motion) for first, part in _unbroken(_at(motion, frames))
    ]


def _good(motion: Motion) -> list[NDArray[np.intp]]:
    """The frames of each stretch whose bad ones, if left out, can be bridged.

    Bad is where joints move or turn faster than a body can; where that is over within 0.2 s, a cubic through
    the frames on either side is better.
    """
    if len(motion) < 4:
        return []
    bad = _impossible(motion)
    beside = np.concatenate([bad, [False]]) | np.concatenate([[False], bad])
    margin = round(_MARGIN * motion.fps)
    wide = binary_dilation(beside, iterations=margin) if margin and bad.any() else beside
    good = np.flatnonzero(~wide)
    torn = np.flatnonzero(np.diff(good) > max(1.0, _BRIDGE * motion.fps)) + 1
    return [frames for frames in np.split(good, torn) if len(frames) >= 4]


def _unbroken(motion: Motion) -> list[tuple[int, Motion]]:
    """The stretches between impossible frames, if any are left, and their first frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], _impossible(motion), [True]]).astype(int)))
    return [(int(a), motion.slice(a, b + 1)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _impossible(motion: Motion) -> NDArray[np.bool_]:
    """(T - 1,) whether a body can't get from one frame to the next."""
    moved = np.linalg.norm(np.diff(motion.positions(), axis=0), axis=-1).max(axis=1) * motion.fps
    steps = rot.multiply(rot.conjugate(motion.rotations[:-1]), motion.rotations[1:])
    return (moved > _FASTEST) | (rot.angle(steps).max(axis=1) * motion.fps > _FASTEST_TURN)


def _at(motion: Motion, frames: NDArray[np.intp]) -> Motion:
    """The motion from the first to the last of ``frames``, ascending, by a cubic through those alone."""
    whole = motion.slice(int(frames[0]), int(frames[-1]) + 1)
    if len(whole) == len(frames):
        return whole
    every = np.arange(frames[0], frames[-1] + 1)
    local = rot.normalise(CubicSpline(frames, rot.continuous(motion.rotations[frames]))(every))
    return replace(whole, root=CubicSpline(frames, motion.root[frames])(every), rotations=local)


def smooth(motion: Motion) -> Motion:
    """The motion without what swings faster than about 14 Hz: noise of the recording, and no dance."""
    sigma = _SMOOTHING * motion.fps
    local = gaussian_filter1d(rot.continuous(motion.rotations), sigma, axis=0, mode="nearest")
    return replace(
        motion, root=gaussian_filter1d(motion.root, sigma, axis=0, mode="nearest"), rotations=rot.normalise(local)
    )


def _dancing(motion: Motion) -> range:
    """The frames between standing still at either end."""
    if len(motion) < 2:
        return range(0)
    speed = np.linalg.norm(np.diff(motion.positions(), axis=0), axis=-1).mean(axis=1) * motion.fps
    moving = np.flatnonzero(gaussian_filter1d(speed, 0.5 * motion.fps) > _STILL)
    return range(int(moving[0]), int(moving[-1]) + 1) if len(moving) else range(0)


def resample(motion: Motion, fps: float) -> Motion:
    """The motion at ``fps``, contacts left behind.

    Cubic, since linear interpolation would leave a kink, and so an acceleration, at every source frame.
    """
    at = np.arange(int((len(motion) - 1) * fps / motion.fps + 1e-9) + 1) / fps
    local = rot.normalise(CubicSpline(motion.times, rot.continuous(motion.rotations))(at))
    root = CubicSpline(motion.times, motion.root)(at)
    return replace(motion, fps=fps, root=root, rotations=local, contacts=np.zeros((len(at), 4)))


def soles(motion: Motion) -> Array:
    """(T, 4) metres, how high the soles are below the ankles and balls, left and right."""
    height: Array = motion.positions()[:, list(CONTACT_JOINTS), 2]
    return height - [ANKLE_HEIGHT, ANKLE_HEIGHT, FOOT_HEIGHT, FOOT_HEIGHT]


def on_floor(motion: Motion) -> Motion:
    """The motion begun over the origin and set down on its one, level floor.

    The floor is where the lower foot is while it stands: the lower quarter of those heights, since heels
    and toes rise from a floor more often than they sink into it.
    """
    height = soles(motion)
    lower = np.argmin(height, axis=1)[:, None]
    feet = motion.positions()[:, list(CONTACT_JOINTS), :2]
    speed = np.linalg.norm(np.gradient(feet, axis=0), axis=-1) * motion.fps
    standing = np.take_along_axis(speed, lower, axis=1)[:, 0] < _STANDING
    lowest = np.take_along_axis(height, lower, axis=1)[:, 0]
    floor = float(np.percentile(lowest[standing] if standing.any() else lowest, 25.0))
    return motion.shift(-np.array([*motion.root[0, :2], floor]))


def with_contacts(motion: Motion) -> Motion:
    """The motion, its floor at z = 0, with contacts of its feet, without those of single frames."""
    found = detect_contacts(motion.positions(), motion.fps)
    return replace(motion, contacts=median_filter(found, size=(max(3, int(motion.fps / 10) | 1), 1)))
