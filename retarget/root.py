"""Where a dance happens: on its own path, on one spot, or from a chosen place and heading on."""

from __future__ import annotations

from typing import Literal

import numpy as np

from . import rotations as rot
from .fit import HIP_HEIGHT, HIP_OFFSET, Fit
from .motion import Motion
from .rotations import Array

RootMode = Literal["path", "in_place"]

_UP = np.array([0.0, 0.0, 1.0])


def place(motion: Motion, fit: Fit, start: tuple[float, float] | None, heading: float | None) -> Motion:
    """The motion, turned and moved as a whole, so that it begins where and how it is wanted on this rig.

    ``start``: (x, y) in the world, scene units, where the hips stand on the first frame. ``heading``:
    radians about the world's z that the dancer faces on the first frame, 0 towards -y.
    """
    if heading is not None:
        # In the dance frame, whose own up may not be the world's where the armature lies down.
        ahead = rot.rotate(rot.conjugate(fit.to_world), [np.sin(heading), -np.cos(heading), 0.0])
        hips = _hips(motion)[0]
        turned = motion.turn(_yaw(ahead) - _yaw(facing(motion.rotations[0, 0])))
        motion = turned.shift((hips - _hips(turned)[0]) * [1.0, 1.0, 0.0])
    if start is not None:
        wanted = fit.to_dance(np.array([start[0], start[1], fit.rig.world[2, 3]])) / fit.scale
        motion = motion.shift((wanted - _hips(motion)[0]) * [1.0, 1.0, 0.0])
    return motion


def facing(pelvis: Array) -> Array:
    """(3,) horizontal direction that a body faces whose pelvis is turned by ``pelvis`` (4,).

    The mean of where the pelvis's front points and of what its left side says, so that it holds for
    dancers who bend over, lie or cartwheel.
    """
    ahead, left = rot.rotate(pelvis, [0.0, -1.0, 0.0]), rot.rotate(pelvis, [1.0, 0.0, 0.0])
    return (ahead + np.cross(left, _UP)) * [1.0, 1.0, 0.0]


def travel(fit: Fit, motion: Motion, turned: Array, pelvis_turn: Array) -> Array:
    """(T, 3) the pelvis bone's head as shown: the hips go where the dancer's go, in the target's size.

    ``turned``: (T, 4) the dancer's pelvis; ``pelvis_turn``: (T, 4) the bone's turn from rest.
    """
    hips = motion.root + rot.rotate(turned, HIP_OFFSET) - HIP_HEIGHT * _UP
    hips = fit.scale * hips + fit.hip_height * _UP
    return hips - fit.show(rot.rotate(pelvis_turn, fit.pelvis_to_hips))


def stay(fit: Fit, pelvis: Array, pelvis_turn: Array, start: tuple[float, float] | None) -> Array:
    """``pelvis`` (T, 3) with the hips above one spot: ``start``, else where the rig stands at rest."""
    offset = fit.show(rot.rotate(pelvis_turn, fit.pelvis_to_hips)) * [1.0, 1.0, 0.0]
    spot = np.zeros(3) if start is None else fit.to_dance(np.array([start[0], start[1], fit.rig.world[2, 3]]))
    return (spot - offset) * [1.0, 1.0, 0.0] + pelvis * [0.0, 0.0, 1.0]


def _hips(motion: Motion) -> Array:
    """(T, 3) metres, the middle of the dancer's hips."""
    return motion.root + rot.rotate(motion.rotations[:, 0], HIP_OFFSET)


def _yaw(direction: Array) -> float:
    return float(np.arctan2(direction[1], direction[0]))
