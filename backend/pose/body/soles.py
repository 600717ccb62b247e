"""Soles that lie on the floor as long as feet stand flat on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from ....retarget import rotations as rot
from ....retarget.feet import ANKLES, HIPS, KNEES, TOES, bend, smoothly, uncurl
from ....retarget.motion import Motion
from ....retarget.rotations import Array
from ....retarget.skeleton import ANKLE_HEIGHT, FOOT_HEIGHT, SMPL, forward_kinematics
from ...measures.anatomy import MARGIN, RANGES, joint_angles
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
# Degrees of dorsiflexion that an ankle may have, seconds that a heel takes to rise, radians from which on it is off the
# floor, and how often it is raised anew: with the heel the knee goes forwards, which bends the ankle again.
_MOST_BENT = RANGES["ankle dorsiflexion"][1] + MARGIN
_RISING, _OFF_FLOOR, _TRIES = 0.2, 0.1, 6


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


def rest_soles(motion: Motion) -> Motion:
    """The motion with feet that neither turn nor rock while heel and ball both stand.

    A sole that is nearly flat then lies flat, however far its ankle bends for it.
    """
    _, world = forward_kinematics(SMPL, motion.rotations, motion.root)
    rotations = np.array(motion.rotations)
    for side, (knee, ankle) in enumerate(zip(KNEES, ANKLES, strict=True)):
        foot = world[:, ankle]
        up = rot.rotate(foot, [0.0, 0.0, 1.0])
        slope = np.arccos(np.clip(up[:, 2], -1.0, 1.0))
        stands = motion.contacts[:, side] * motion.contacts[:, side + 2]
        flat = rot.multiply(rot.between(up, [0.0, 0.0, 1.0]), foot)
        foot = rot.slerp(foot, flat, stands * np.interp(slope, _FLAT, (1.0, 0.0)))
        still = _FREE + _STILL * stands[1:] * stands[:-1]
        rotations[:, ankle] = rot.multiply(rot.conjugate(world[:, knee]), _held(rot.continuous(foot), still))
    return replace(motion, rotations=rotations)


def raise_heels(motion: Motion) -> Motion:
    """The motion with heels that rise where shins lean over feet further than ankles bend.

    Feet turn about their balls, which stay where they are, as hips and toes do; knees follow. Where a heel is off the
    floor it is no longer in contact.
    """
    least, raised, which = np.zeros((len(motion), 2)), motion, np.arange(len(motion))
    for _ in range(_TRIES):
        bent = joint_angles(raised.rotations[which])["ankle dorsiflexion"] - _MOST_BENT
        if bent.max() <= 0.0:
            break
        least[which] += np.radians(np.maximum(bent, 0.0))
        by = np.column_stack([smoothly(side, _RISING, motion.fps) for side in least.T])
        which = np.flatnonzero(by.any(axis=1))
        raised = _on_balls(motion, by, which)
    return raised


def _on_balls(motion: Motion, by: Array, which: NDArray[np.intp]) -> Motion:
    """The motion with heels raised ``by`` (T, 2) radians, which is 0 but in the frames ``which``."""
    positions, turned = forward_kinematics(SMPL, motion.rotations[which], motion.root[which])
    hips, knees, ankles, balls = (positions[:, joints] for joints in (HIPS, KNEES, ANKLES, TOES))
    pitched = np.stack([by[which], *np.zeros((2, len(hips), 2))], axis=-1)
    feet = rot.multiply(turned[:, ANKLES], rot.from_axis_angle(pitched))
    heels = rot.rotate(rot.multiply(feet, rot.conjugate(turned[:, ANKLES])), ankles - balls)
    forward = rot.rotate(turned[:, HIPS], [0.0, -1.0, 0.0])
    thigh, shin = bend(hips, knees, ankles, balls + heels, forward)
    turned[:, HIPS], turned[:, KNEES] = rot.multiply(thigh, turned[:, HIPS]), rot.multiply(shin, turned[:, KNEES])
    turned[:, ANKLES] = feet
    rotations = np.array(motion.rotations)
    for joints, carriers in ((HIPS, [0, 0]), (KNEES, HIPS), (ANKLES, KNEES), (TOES, ANKLES)):
        local = rot.multiply(rot.conjugate(turned[:, carriers]), turned[:, joints])
        rotations[which[:, None], joints] = local
    contacts = np.array(motion.contacts)
    contacts[:, :2] *= np.interp(by, (0.0, _OFF_FLOOR), (1.0, 0.0))
    return replace(motion, rotations=rot.continuous(rotations), contacts=contacts)


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
