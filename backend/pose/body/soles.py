"""Soles that lie on the floor as long as feet stand flat on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.linalg import solveh_banded

from ....retarget import rotations as rot
from ....retarget.feet import ANKLES, TOES, uncurl
from ....retarget.motion import Motion
from ....retarget.rotations import Array
from ....retarget.skeleton import ANKLE_HEIGHT, FOOT_HEIGHT, SMPL, forward_kinematics
from ...limits import within_reach
from ..landmarks import POINTS
from ..lifter.bodies import STANDARD

# (2, 3) tips of the toes from the balls of the feet at rest.
_TIPS = STANDARD.places[[POINTS.index("left_toe"), POINTS.index("right_toe")]]
# Radians by which lifted feet may slope throughout.
_POINTED = 0.5
# Radians from flat within which a foot that stands comes to lie flat, and from which on it keeps its slope.
_FLAT = (0.35, 0.6)
# How much stiffer than a foot in the air (which follows what was seen) one is that stands flat, and how stiff that is.
_STILL, _FREE = 100.0, 0.1


def level_feet(rotations: Array, contacts: Array) -> Array:
    """``rotations`` (T, 24, 4) with feet that lie flat at least for a quarter of the time for which they rest.

    Whatever slope they have even then is an error of the lifted feet, or a heel of a shoe that the standard
    skeleton does not wear: a constant that is taken off throughout.
    """
    rests = np.maximum(contacts[:, :2], contacts[:, 2:]) > 0.5
    if not rests.any():
        return rotations
    positions = forward_kinematics(SMPL, rotations, np.zeros((len(rotations), 3)))[0]
    span = positions[:, TOES] - positions[:, ANKLES]
    length = np.linalg.norm(span, axis=-1)
    pointed = np.arcsin((FOOT_HEIGHT - ANKLE_HEIGHT) / length) - np.arcsin(span[..., 2] / length)
    raised = np.clip(np.percentile(pointed[rests], 25), -_POINTED, _POINTED)
    levelled = np.array(rotations)
    levelled[:, ANKLES] = rot.multiply(rotations[:, ANKLES], rot.from_axis_angle([-raised, 0.0, 0.0]))
    return levelled


def rest_soles(rotations: Array, contacts: Array) -> Array:
    """``rotations`` (T, 24, 4) with feet that neither turn nor rock while heel and ball both stand.

    A sole that is nearly flat then lies flat. Ankles stay within their range.
    """
    world = forward_kinematics(SMPL, rotations, np.zeros((len(rotations), 3)))[1]
    for side, (ankle, toe) in enumerate(zip(ANKLES, TOES, strict=True)):
        foot = world[:, ankle]
        up = rot.rotate(foot, [0.0, 0.0, 1.0])
        slope = np.arccos(np.clip(up[:, 2], -1.0, 1.0))
        stands = contacts[:, side] * contacts[:, side + 2]
        flat = rot.multiply(rot.between(up, [0.0, 0.0, 1.0]), foot)
        foot = rot.slerp(foot, flat, stands * np.interp(slope, _FLAT, (1.0, 0.0)))
        still = _FREE + _STILL * stands[1:] * stands[:-1]
        turn = rot.multiply(_held(rot.continuous(foot), still), rot.conjugate(world[:, ankle]))
        world[:, [ankle, toe]] = rot.multiply(turn[:, None], world[:, [ankle, toe]])
    return within_reach(world)


def bend_toes(motion: Motion) -> Motion:
    """The motion with toes that bend rather than dig into the floor while the heel rises over them."""
    positions, world = forward_kinematics(SMPL, motion.rotations, motion.root)
    tips = positions[:, TOES] + rot.rotate(world[:, TOES], _TIPS)
    turns = uncurl(positions[:, TOES], tips, (FOOT_HEIGHT + _TIPS[0, 2], FOOT_HEIGHT + _TIPS[1, 2]))
    rotations = np.array(motion.rotations)
    rotations[:, TOES] = rot.multiply(rot.conjugate(world[:, ANKLES]), rot.multiply(turns, world[:, TOES]))
    return replace(motion, rotations=rotations)


def _held(turns: Array, still: Array) -> Array:
    """(T, 4) near ``turns`` (T, 4), but changing the less from frame to frame the larger ``still`` (T - 1,) is."""
    if len(turns) < 2:
        return turns
    bands = np.zeros((2, len(turns)))
    bands[0, 1:] = -still
    bands[1] = 1.0 + np.r_[0.0, still] + np.r_[still, 0.0]
    return rot.normalise(solveh_banded(bands, turns, check_finite=False))
