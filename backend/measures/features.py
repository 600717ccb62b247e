"""Two descriptions of a dance as a vector: how it moves (kinetic, 72) and which poses it passes (geometric, 32).

Both follow the evaluation of AIST++ (Li et al., "AI Choreographer", ICCV 2021), which took them from
fairmotion's motion features (kinetic: Onuma et al., "FMDistance", 2008; geometric: Müller et al.,
"Efficient content-based retrieval of motion capture data", 2005), so that distances between them can be
compared with published ones. Written anew from the definitions; numpy over all frames at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...retarget.rotations import Array
from ...retarget.skeleton import SMPL_NAMES

FEATURE_FPS = 60.0
# Frames to each side over which velocities and accelerations are averaged.
_WINDOW = 2

# The body the geometric thresholds are measured by: shoulders, an elbow and hips of the mean SMPL body, metres.
_LEFT_SHOULDER = np.array([0.199113488, 0.236807942, -0.0180702247])
_RIGHT_SHOULDER = np.array([-0.191692337, 0.236928746, -0.0123055102])
_LEFT_ELBOW = np.array([0.454445392, 0.221158922, -0.0410167128])
_LEFT_HIP = np.array([0.0564076714, -0.323069185, 0.0109197125])
_RIGHT_HIP = np.array([-0.0624834076, -0.331302464, 0.0150412619])
UPPER_ARM = float(np.linalg.norm(_LEFT_SHOULDER - _LEFT_ELBOW))
SHOULDER_WIDTH = float(np.linalg.norm(_LEFT_SHOULDER - _RIGHT_SHOULDER))
HIP_WIDTH = float(np.linalg.norm(_LEFT_HIP - _RIGHT_HIP))
# The frame time of the published velocity relations, although the dances run at 60 frames a second.
_PUBLISHED_FRAME = 1.0 / 120.0


def y_up(positions: Array) -> Array:
    """Positions (..., 3) from our frame (z up, facing -y) to the published one (y up, facing +z)."""
    return np.stack([positions[..., 0], positions[..., 2], -positions[..., 1]], axis=-1)


def kinetic_features(positions: Array) -> Array:
    """(72,) features of joint positions (T, 24, 3): metres, z up, 60 frames a second, T >= 3.

    Per joint three means over the frames 1 to T - 1: squared horizontal speed (m²/s²), squared vertical
    speed (m²/s²), and the norm of the acceleration, each velocity and acceleration being averaged first
    over the frames within 2 of its own that have one. Positions are taken from the first frame's root.

    The acceleration is the published one, slip included: of its two velocities the earlier is
    ``p[k] - p[k-1] / dt`` instead of ``(p[k] - p[k-1]) / dt``. It depends on where the joint is more
    than on how it accelerates; only so can the distances be compared with those in the literature. (A
    later revision of the published code puts the bracket right: its numbers are others.)
    """
    dt = 1.0 / FEATURE_FPS
    p = y_up(positions - positions[0, 0])
    frames = np.arange(1, len(p))
    velocity = _window_mean((p[1:] - p[:-1]) / dt, frames - 1)
    earlier = p[1:-1] - p[:-2] / dt
    acceleration = _window_mean(((p[2:] - p[1:-1]) / dt - earlier) / dt, frames - 1)
    horizontal = (velocity[..., [0, 2]] ** 2).sum(axis=-1)
    vertical = velocity[..., 1] ** 2
    effort = np.linalg.norm(acceleration, axis=-1)
    return np.stack([horizontal, vertical, effort], axis=-1).mean(axis=0).reshape(-1)


def _window_mean(values: Array, centres: NDArray[np.intp]) -> Array:
    """Means of ``values`` (N, ...) over the indices within _WINDOW of each centre that exist."""
    sums = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    low = np.clip(centres - _WINDOW, 0, len(values))
    high = np.clip(centres + _WINDOW + 1, 0, len(values))
    count = (high - low).reshape(-1, *([1] * (values.ndim - 1)))
    return (sums[high] - sums[low]) / count


def geometric_features(positions: Array) -> Array:
    """(32,) features of joint positions (T, 24, 3): metres, z up, 60 frames a second, T >= 2.

    Each is the share of the frames 1 to T - 1 in which a relation between joints holds: a hand moves
    forward or apart from the other, an elbow or knee is bent, a foot is raised or behind, the body
    leans, a joint is fast. Velocities use a frame time of 1/120 s, as published.
    """
    return _Relations(y_up(positions)).holds().mean(axis=1)


class _Relations:
    """The 32 relations of a dance (T, 24, 3), y up; their boolean values are (T - 1,)."""

    def __init__(self, positions: Array) -> None:
        self._now = positions[1:]
        self._velocity = np.diff(positions, axis=0) / _PUBLISHED_FRAME
        self._height = self._now[..., 1] - self._now[..., 1].min(axis=1, keepdims=True)

    def holds(self) -> NDArray[np.bool_]:
        """(32, T - 1) whether each relation holds in each frame, in the published order."""
        arm = UPPER_ARM
        up = np.array([0.0, 1.0, 0.0])
        return np.array(
            [
                self._crosses_plane("neck", "right_hip", "left_hip", "right_wrist", 1.8 * arm),
                self._crosses_plane("neck", "left_hip", "right_hip", "left_wrist", 1.8 * arm),
                self._beyond("spine3", "neck", "neck", "right_wrist", 0.2 * arm),
                self._beyond("spine3", "neck", "neck", "left_wrist", 0.2 * arm),
                # seen from the belly, the chest moves up the spine: the published code names the chest
                # where the wrist was meant
                self._moves_along("spine1", "spine3", "spine3", 1.8 * arm),
                self._moves_along("spine1", "spine3", "spine3", 1.8 * arm),
                self._angle("right_elbow", "right_shoulder", "right_elbow", "right_wrist", 0, 110),
                self._angle("left_elbow", "left_shoulder", "left_elbow", "left_wrist", 0, 110),
                self._beyond("left_shoulder", "right_shoulder", "left_wrist", "right_wrist", 2.5 * SHOULDER_WIDTH),
                self._moves_along("left_wrist", "right_wrist", "right_wrist", 1.4 * arm),
                self._moves_along("right_wrist", "pelvis", "left_wrist", 1.4 * arm),
                self._moves_along("left_wrist", "pelvis", "right_wrist", 1.4 * arm),
                self._fast("right_wrist", 2.5 * arm),
                self._fast("left_wrist", 2.5 * arm),
                self._off_plane("pelvis", "left_hip", "left_foot", "right_ankle", 0.38 * arm),
                self._off_plane("pelvis", "right_hip", "right_foot", "left_ankle", 0.38 * arm),
                self._above("right_ankle", 1.2 * arm),
                self._above("left_ankle", 1.2 * arm),
                self._beyond("left_hip", "right_hip", "left_ankle", "right_ankle", 2.1 * HIP_WIDTH),
                self._angle("right_knee", "right_hip", "right_knee", "right_ankle", 0, 110),
                self._angle("left_knee", "left_hip", "left_knee", "left_ankle", 0, 110),
                self._fast("right_ankle", 2.5 * arm),
                self._fast("left_ankle", 2.5 * arm),
                self._angle("neck", "pelvis", "right_shoulder", "right_elbow", 25, 180),
                self._angle("neck", "pelvis", "left_shoulder", "left_elbow", 25, 180),
                self._angle("neck", "pelvis", "right_hip", "right_knee", 50, 180),
                self._angle("neck", "pelvis", "left_hip", "left_knee", 50, 180),
                self._off_plane("right_ankle", "neck", "left_ankle", "pelvis", 0.5 * arm),
                _angle_within(self._from("neck", "pelvis"), up, 70, 110),
                self._below("right_wrist", 1.2 * arm),
                self._below("left_wrist", 1.2 * arm),
                self._fast("pelvis", 2.3 * arm),
            ]
        )

    def _at(self, joint: str) -> Array:
        return self._now[:, SMPL_NAMES.index(joint)]

    def _from(self, start: str, end: str) -> Array:
        return self._at(end) - self._at(start)

    def _speed_from(self, start: str, end: str) -> Array:
        return self._velocity[:, SMPL_NAMES.index(end)] - self._velocity[:, SMPL_NAMES.index(start)]

    def _normal(self, a: str, b: str, c: str) -> Array:
        return np.cross(self._from(a, c), self._from(a, b))

    def _crosses_plane(self, a: str, b: str, c: str, joint: str, threshold: float) -> NDArray[np.bool_]:
        """Is ``joint``, seen from ``a``, faster than ``threshold`` along the normal of the plane a, b, c?"""
        return _along(self._speed_from(a, joint), self._normal(a, b, c)) > threshold

    def _moves_along(self, a: str, b: str, joint: str, threshold: float) -> NDArray[np.bool_]:
        """Is ``joint``, seen from ``a``, faster than ``threshold`` in the direction from ``a`` to ``b``?"""
        return _along(self._speed_from(a, joint), self._from(a, b)) > threshold

    def _off_plane(self, a: str, b: str, c: str, joint: str, threshold: float) -> NDArray[np.bool_]:
        """Is ``joint`` further than ``threshold`` to the front of the plane a, b, c?"""
        return _along(self._from(a, joint), self._normal(a, b, c)) > threshold

    def _beyond(self, a: str, b: str, start: str, joint: str, threshold: float) -> NDArray[np.bool_]:
        """Is ``joint`` further than ``threshold`` from ``start`` in the direction from ``a`` to ``b``?"""
        return _along(self._from(start, joint), self._from(a, b)) > threshold

    def _angle(self, a: str, b: str, c: str, d: str, low: float, high: float) -> NDArray[np.bool_]:
        return _angle_within(self._from(a, b), self._from(c, d), low, high)

    def _fast(self, joint: str, threshold: float) -> NDArray[np.bool_]:
        return np.linalg.norm(self._velocity[:, SMPL_NAMES.index(joint)], axis=-1) > threshold

    def _above(self, joint: str, threshold: float) -> NDArray[np.bool_]:
        return self._height[:, SMPL_NAMES.index(joint)] > threshold

    def _below(self, joint: str, threshold: float) -> NDArray[np.bool_]:
        return self._height[:, SMPL_NAMES.index(joint)] < threshold


def _along(vectors: Array, directions: Array) -> Array:
    """The part of ``vectors`` (T, 3) along ``directions`` (T, 3), metres; 0 where there is no direction."""
    norms = np.linalg.norm(directions, axis=-1)
    return (vectors * directions).sum(axis=-1) / np.where(norms > 0, norms, 1.0)


def _angle_within(a: Array, b: Array, low: float, high: float) -> NDArray[np.bool_]:
    """Is the angle between vectors (T, 3) or (3,) strictly between ``low`` and ``high`` degrees?"""
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    cosine = (a * b).sum(axis=-1) / np.where(norms > 0, norms, 1.0)
    degrees = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return (degrees > low) & (degrees < high) & (norms > 0)
