"""The same dance, however it was filmed: fingerprints of motion, and which of them are near duplicates.

A fingerprint is where elbows, wrists, knees, ankles and head are, seen from the hips. It does not change with the
place, the heading, the camera or the body's size. A mirrored dance has it with left and right exchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from ...retarget import rotations as rot
from ...retarget.motion import Motion
from ...retarget.rotations import Array
from ...retarget.skeleton import SMPL_NAMES
from ..dance.representation import headings

FPS = 10.0
_JOINTS = ("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_knee", "right_knee", "left_ankle",
           "right_ankle", "head")  # fmt: skip
_PARTNERS = [1, 0, 3, 2, 5, 4, 7, 6, 8]
_WINDOW = 20  # frames: 2 s are compared at once
_COEFFICIENTS = 7  # of a window's cosine transform over time that are kept: up to 1.5 Hz
_DIMENSIONS = 20  # principal ones of those
_HOP, _DATABASE_HOP = 5, 2  # frames between the windows looked up, and between those looked up in
_MOST = 64  # neighbours of a window, at most
_LEAST_VOTES = 3  # windows that agree on a lag
_CLOSER = 4  # frames about a lag, within which the best one is sought
_WINDOW_APART = 0.07  # m, root mean square, that windows are looked for within
# Two clips are the same dance where the joints, over at least this share of the shorter clip and this many seconds,
# are on the median this near (m), and while they move nearer than this share of what they move in it: standing about,
# any two are alike. In tang2018, clips of 5 s that are copies of one recording are 0 to 3 cm apart; the same figure
# danced again is 5 cm and more. Of one dancer, who stands a quarter of the time, captures of the same seconds are
# while moving at 0.14 to 0.44 of the movement; of others, with the same pause in them, at 0.52 and more.
LEAST_SHARE, LEAST_SECONDS = 0.5, 2.5
MOST_APART, MOST_OF_MOVEMENT = 0.04, 0.46
# With the same song in step, less is asked: captures of one dance differ. Of a real dancer, the video encoded anew is
# 1 cm away, mirrored 3 cm, and a part cut out of it and captured by itself 3 to 4.5 cm.
MOST_APART_IN_STEP, MOST_OF_MOVEMENT_IN_STEP = 0.12, 0.6


@dataclass(frozen=True)
class SameDance:
    """Clips ``first`` and ``second`` are one dance: ``apart`` metres over ``share`` of the shorter, ``lag`` seconds
    from a moment of the first clip to the same in the second; ``mirrored``: left is right."""

    first: int
    second: int
    apart: float
    share: float
    lag: float
    mirrored: bool


def fingerprint(motion: Motion) -> NDArray[np.float16]:
    """(T, 9, 3) metres, joints from the pelvis in its heading's frame, at FPS."""
    positions = motion.positions()
    turn = rot.conjugate(rot.from_axis_angle(_smooth(headings(motion), motion.fps)[:, None] * [0.0, 0.0, 1.0]))
    joints = [SMPL_NAMES.index(name) for name in _JOINTS]
    seen = rot.rotate(turn[:, None], positions[:, joints] - positions[:, :1])
    seen = gaussian_filter1d(seen, 0.3 * motion.fps / FPS, axis=0, mode="nearest")
    at = np.arange(int((len(motion) - 1) * FPS / motion.fps + 1e-9) + 1) * motion.fps / FPS
    return seen[np.round(at).astype(int)].astype(np.float16)


def _smooth(angles: Array, fps: float) -> Array:
    return gaussian_filter1d(np.unwrap(angles), 0.2 * fps, mode="nearest")


def mirrored(poses: Array) -> Array:
    """The fingerprint of the mirrored dance."""
    return poses[:, _PARTNERS] * [-1.0, 1.0, 1.0]


def same_dances(
    prints: Sequence[NDArray[np.float16]], in_step: Iterable[tuple[int, int, float]] = ()
) -> list[SameDance]:
    """Which clips are the same dance, each pair once, the first clip before the second.

    ``in_step``: pairs of clips, first < second, to one song, with the seconds from a moment of the first clip to the
    one in the second at which the song has got as far.
    """
    usable = [clip for clip, poses in enumerate(prints) if len(poses) >= _WINDOW]
    judged = [
        _judge(prints, first, second, lag, flipped, MOST_APART, MOST_OF_MOVEMENT)
        for first, second, lag, flipped in (_candidates(prints, usable) if len(usable) > 1 else ())
    ] + [
        _judge(prints, first, second, round(lag * FPS), flipped, MOST_APART_IN_STEP, MOST_OF_MOVEMENT_IN_STEP)
        for first, second, lag in in_step
        for flipped in (False, True)
    ]
    found: dict[tuple[int, int], SameDance] = {}
    for same in judged:
        if same and ((pair := (same.first, same.second)) not in found or same.apart < found[pair].apart):
            found[pair] = same
    return list(found.values())


def _candidates(prints: Sequence[NDArray[np.float16]], usable: Sequence[int]) -> list[tuple[int, int, int, bool]]:
    """Pairs of clips, first < second, with a lag in frames and whether mirrored, that have several like windows."""
    windows = [_windows(prints[clip].astype(np.float64), _DATABASE_HOP) for clip in usable]
    coefficients = np.concatenate(windows)
    centre = coefficients.mean(axis=0)
    axes = np.linalg.eigh(np.cov(coefficients - centre, rowvar=False))[1][:, -_DIMENSIONS:]
    tree = cKDTree((coefficients - centre) @ axes)
    owners = np.repeat(usable, [len(w) for w in windows])
    places = np.concatenate([np.arange(len(w)) * _DATABASE_HOP for w in windows])
    reach = _WINDOW_APART * np.sqrt(_WINDOW * len(_JOINTS))
    votes = []
    for clip in usable:
        poses = prints[clip].astype(np.float64)
        for flipped in (False, True):
            looked_up = (_windows(mirrored(poses) if flipped else poses, _HOP) - centre) @ axes
            _, near = tree.query(looked_up, k=min(_MOST, tree.n), distance_upper_bound=reach)
            row, column = np.nonzero(near < tree.n)
            at = near[row, column]
            others = owners[at] > clip
            row, at = row[others], at[others]
            lag = np.round((places[at] - row * _HOP) / _DATABASE_HOP).astype(int) * _DATABASE_HOP
            votes.append(np.stack([np.full(len(at), clip), owners[at], lag, np.full(len(at), flipped)], axis=1))
    unique, counts = np.unique(np.concatenate(votes), axis=0, return_counts=True)
    return [(a, b, lag, bool(flipped)) for a, b, lag, flipped in unique[counts >= _LEAST_VOTES].tolist()]


def _windows(poses: Array, hop: int) -> Array:
    """(W, 7 * 27) the lowest cosine coefficients of windows of ``poses`` (T, 9, 3) that begin every ``hop`` frames.

    The transform is orthonormal, so that these are no further apart than the windows are.
    """
    rows = np.lib.stride_tricks.sliding_window_view(poses.reshape(len(poses), -1), _WINDOW, axis=0)[::hop]
    return dct(rows, axis=2, norm="ortho")[..., :_COEFFICIENTS].reshape(len(rows), -1)


def _judge(
    prints: Sequence[NDArray[np.float16]], first: int, second: int, lag: int, flipped: bool, most: float, of: float
) -> SameDance | None:
    """Whether the clips are one dance at the best lag (frames) near ``lag``: at most ``most`` metres apart, and ``of``
    what they move while they do."""
    a, b = (prints[clip].astype(np.float64) for clip in (first, second))
    a = mirrored(a) if flipped else a
    shortest = max(LEAST_SECONDS * FPS, LEAST_SHARE * min(len(a), len(b)))
    best: SameDance | None = None
    for shift in range(lag - _CLOSER, lag + _CLOSER + 1):
        start, end = max(0, -shift), min(len(a), len(b) - shift)
        if end - start < shortest:
            continue
        one, other = a[start:end], b[start + shift : end + shift]
        distances = _root_mean_square(one - other)
        apart = float(np.median(distances))
        if apart > (most if best is None else best.apart):
            continue
        moved = float(np.sqrt(((one - one.mean(axis=0)) ** 2).sum(axis=-1).mean()))
        speeds = _root_mean_square(np.gradient(one, axis=0)) + _root_mean_square(np.gradient(other, axis=0))
        if _weighted_median(distances, speeds) <= of * moved:
            covered = (end - start) / min(len(a), len(b))
            best = SameDance(first, second, apart, covered, shift / FPS, flipped)
    return best


def _root_mean_square(vectors: Array) -> Array:
    """(T,) of the lengths of all joints' ``vectors`` (T, 9, 3) in each frame."""
    found: Array = np.sqrt((vectors**2).sum(axis=-1).mean(axis=-1))
    return found


def _weighted_median(values: Array, weights: Array) -> float:
    """The least value up to which the values (N,) have half of all weight."""
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(summed, 0.5 * summed[-1])])
