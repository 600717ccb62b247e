"""A Motion as the rows of numbers the model learns, and back.

A frame is 152 numbers:

====== ===== ==========================================================================
from   count what
====== ===== ==========================================================================
0      4     contacts, in [0, 1]
4      2     velocity of the root over the floor, in the heading frame, m/s
6      1     height of the root, m
7      1     yaw rate of the heading about z, rad/s
8      6     rotation of the pelvis without its heading, 6D
14     138   local rotations of the 23 other joints, 6D each
====== ===== ==========================================================================

Position and heading over the floor are left out on purpose: a dance is the same dance wherever it
happens and whichever way it faces, and integrated velocities cannot jitter as absolute positions do.
"""

from __future__ import annotations

import numpy as np

from ...retarget import rotations as rot
from ...retarget.motion import Motion
from ...retarget.rotations import Array
from ...retarget.skeleton import SMPL_MIRROR

CONTACTS = slice(0, 4)
VELOCITY = slice(4, 6)
HEIGHT = 6
YAW_RATE = 7
ROTATIONS = slice(8, 152)
WIDTH = 152

_UP = np.array([0.0, 0.0, 1.0])


def encode(motion: Motion) -> Array:
    """(T, 152) float32 features of a motion of T >= 2 frames."""
    pelvis = motion.rotations[:, 0]
    yaw = headings(motion)
    heading = facing(yaw)
    velocity = np.gradient(motion.root, axis=0) * motion.fps
    local = np.array(motion.rotations)
    local[:, 0] = rot.multiply(rot.conjugate(heading), pelvis)
    return np.concatenate(
        [
            motion.contacts,
            rot.rotate(rot.conjugate(heading), velocity)[:, :2],
            motion.root[:, 2:],
            (np.gradient(yaw) * motion.fps)[:, None],
            rot.to_6d(local).reshape(len(motion), -1),
        ],
        axis=1,
    ).astype(np.float32)


def headings(motion: Motion) -> Array:
    """(T,) radians about z that the pelvis faces, 0 towards -y, without jumps."""
    heading = rot.continuous(rot.twist(motion.rotations[:, 0], _UP))
    return np.unwrap(2.0 * np.arctan2(heading[:, 3], heading[:, 0]))


def facing(yaw: Array) -> Array:
    """(T, 4) turns about z from the heading frames of ``yaw`` (T,) radians into the world."""
    return rot.from_axis_angle(yaw[:, None] * _UP)


def decode(features: Array, fps: float) -> Motion:
    """The motion of features (T, 152); starts over the origin, facing -y.

    Velocity and yaw rate are integrated by the trapezoid rule, the inverse of the central
    differences of ``encode`` up to second order.
    """
    features = np.asarray(features, dtype=np.float64)
    yaw = _integrate(features[:, YAW_RATE], fps)
    flat = np.column_stack([features[:, VELOCITY], np.zeros(len(features))])
    place = _integrate(rot.rotate(facing(yaw), flat), fps)
    return place_in_world(features, fps, place[:, :2], yaw)


def place_in_world(features: Array, fps: float, place: Array, yaw: Array) -> Motion:
    """The motion of features (T, 152) over ``place`` (T, 2) metres with headings ``yaw`` (T,) radians."""
    features = np.asarray(features, dtype=np.float64)
    local = rot.from_6d(features[:, ROTATIONS].reshape(len(features), 24, 6))
    local[:, 0] = rot.multiply(facing(yaw), local[:, 0])
    root = np.column_stack([place, features[:, HEIGHT]])
    return Motion(fps, root, rot.continuous(local), np.clip(features[:, CONTACTS], 0.0, 1.0))


def retimed(features: Array, at: Array, speed: Array | float) -> Array:
    """Features (N, 152) of (T, 152) at fractional frames ``at`` (N,), linearly between them, when they are played at
    ``speed``, one number or (N,)."""
    low = np.minimum(np.floor(at).astype(int), len(features) - 2)
    share = (at - low)[:, None].astype(features.dtype)
    played: Array = features[low] * (1 - share) + features[low + 1] * share
    rates = [*range(WIDTH)[VELOCITY], YAW_RATE]
    played[:, rates] *= np.reshape(speed, (-1, 1)).astype(features.dtype)
    return played


def mirror(features: Array) -> Array:
    """Features (T, 152) of the mirrored motion, as ``encode(motion.mirror())`` gives them.

    The reflection S = diag(-1, 1, 1) makes S R S of a rotation R: its x column (a, b, c) becomes
    (a, -b, -c), its y column (-a, b, c).
    """
    out = np.array(features)
    out[:, CONTACTS] = features[:, [1, 0, 3, 2]]
    out[:, 4] *= -1
    out[:, YAW_RATE] *= -1
    local = features[:, ROTATIONS].reshape(len(features), 24, 6)[:, list(SMPL_MIRROR)]
    out[:, ROTATIONS] = (local * np.array([1, -1, -1, -1, 1, 1], dtype=features.dtype)).reshape(len(features), -1)
    return out


def _integrate(rate: Array, fps: float) -> Array:
    steps = 0.5 * (rate[1:] + rate[:-1]) / fps
    return np.concatenate([np.zeros_like(rate[:1]), np.cumsum(steps, axis=0)])
