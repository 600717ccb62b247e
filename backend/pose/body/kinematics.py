"""Inverse kinematics: from where joints and points are to how each joint of the standard skeleton is turned.

Closed form, joint after joint from the pelvis outward. A bone's direction is seen; how it is turned about its own
length follows from the hinge of elbow or knee and from what hangs on it (foot, knuckles), and where neither tells,
from the frames around and what is natural. Everything is in the world: z up, a body at rest facing -y.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from ....retarget import rotations as rot
from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL, SMPL_NAMES, SMPL_PARENTS
from ...limits import within_reach
from ..landmarks import POINTS
from ..lifter.bodies import STANDARD
from .orient import fit_points, fit_vectors

_AT = {name: i for i, name in enumerate(SMPL_NAMES)}
_POINT = {name: i for i, name in enumerate(POINTS)}
_SIDES = ("left", "right")
_REST = SMPL.rest_positions

# Radians within which a joint is likely to stay near what its neighbours suggest: our choice, from recorded dances.
_CHEST, _SPINE, _COLLAR, _NECK, _HEAD, _FOOT, _HAND = np.radians([30.0, 12.0, 15.0, 20.0, 40.0, 25.0, 40.0])
# The same of the pelvis and, from nothing known, of the trunk as one piece, whose joints stay within so many metres.
_PELVIS, _ANYHOW, _BENDING = np.radians(30.0), np.radians(90.0), 0.06
# Radians by which the axis of an elbow or knee is uncertain, and within which upper arms and thighs are turned
# about their length from the shortest way out of the T pose.
_HINGE, _TURNED = 0.1, np.radians(35.0)
# Radians by which a foot's heading is uncertain as a sign of how its leg is turned.
_HEADING = np.radians(25.0)
# Radians a second by which limbs turn about their length, and the seconds for which they go on doing so.
_TURNING, _LASTING = 3.5, 0.1
# Share of the forearm's turn about its length that shows at the elbow; the rest at the wrist.
_PRONATION = 0.5


def solve_rotations(joints: Array, points: Array, noise: Array, point_noise: Array, fps: float) -> Array:
    """(T, 24, 4) local rotations of the standard skeleton.

    ``joints``: (T, 24, 3) and ``points``: (T, 25, 3) in metres of the standard skeleton's size, in the world.
    ``noise``: (T, 24) and ``point_noise``: (T, 25) standard deviations of a coordinate, metres.
    """
    turned = np.tile(rot.IDENTITY, (len(joints), len(SMPL_NAMES), 1))
    body = _Seen(joints, points, noise, point_noise, fps)
    _trunk(body, turned)
    for side in _SIDES:
        _leg(body, turned, side)
        _arm(body, turned, side)
    for joint in ("left_foot", "right_foot", "left_hand", "right_hand"):
        turned[:, _AT[joint]] = turned[:, SMPL_PARENTS[_AT[joint]]]
    return within_reach(turned)


class _Seen:
    """What was seen, by name."""

    def __init__(self, joints: Array, points: Array, noise: Array, point_noise: Array, fps: float) -> None:
        self.fps = fps
        self._joints, self._points = joints, points
        self._noise, self._point_noise = noise, point_noise

    def joint(self, *names: str) -> Array:
        """(T, K, 3) of K joints."""
        return self._joints[:, [_AT[n] for n in names]]

    def bone(self, start: str, end: str) -> Array:
        """(T, 3) from joint to joint."""
        return self._joints[:, _AT[end]] - self._joints[:, _AT[start]]

    def point(self, *names: str) -> Array:
        """(T, K, 3) of K points."""
        return self._points[:, [_POINT[n] for n in names]]

    def variance(self, *names: str) -> Array:
        """(T, K) of a coordinate of joints."""
        return self._noise[:, [_AT[n] for n in names]] ** 2

    def point_variance(self, *names: str) -> Array:
        """(T, K) of a coordinate of points."""
        return self._point_noise[:, [_POINT[n] for n in names]] ** 2


def _trunk(body: _Seen, turned: Array) -> None:
    """Pelvis, spine, neck, head and collars."""
    # The trunk as one piece, which it is not quite, tells where pelvis and chest are turned about.
    whole = ("left_hip", "right_hip", "spine1", "spine2", "spine3", "neck", "left_shoulder", "right_shoulder")
    piece = _as_one(body, whole, np.full(len(whole), _BENDING), turned[:, 0], _ANYHOW)
    # What lies further along the spine tells less, since the spine bends: so many radians in each joint.
    low = ("pelvis", "left_hip", "right_hip", "spine1", "spine2", "spine3")
    pelvis = _as_one(body, low, np.array([0.0, 0.0, 0.0, 0.0, 0.135, 0.19]) * _SPINE, piece, _PELVIS)
    high = ("spine3", "neck", "left_collar", "right_collar", "left_shoulder", "right_shoulder", "spine2")
    chest = _as_one(body, high, np.array([0.0, 0.0, 0.0, 0.0, 0.105, 0.105, 0.058]) * _COLLAR, piece, _CHEST)
    turned[:, _AT["pelvis"]], turned[:, _AT["spine3"]] = pelvis, chest
    for share, start, end in ((1.0 / 3.0, "spine1", "spine2"), (2.0 / 3.0, "spine2", "spine3")):
        between = rot.slerp(pelvis, chest, np.full(len(chest), share))
        turned[:, _AT[start]] = _along_bone(body, start, end, between, _SPINE)

    face = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    seen = np.concatenate([body.joint("head"), body.point(*face)], axis=1)
    rest = np.vstack([np.zeros(3), STANDARD.places[[_POINT[n] for n in face]]])
    weights = 1.0 / np.concatenate([body.variance("head"), body.point_variance(*face)], axis=1)
    head = fit_points(rest, seen, weights, chest, _HEAD)
    turned[:, _AT["head"]] = head
    turned[:, _AT["neck"]] = _along_bone(body, "neck", "head", rot.slerp(chest, head, np.full(len(head), 0.5)), _NECK)
    for side in _SIDES:
        collar = _along_bone(body, f"{side}_collar", f"{side}_shoulder", chest, _COLLAR)
        turned[:, _AT[f"{side}_collar"]] = collar


def _as_one(body: _Seen, names: tuple[str, ...], loose: Array, prior: Array, spread: float) -> Array:
    """(T, 4) how joints are turned that move as one piece, but for ``loose`` (K,) metres."""
    return fit_points(_rest(*names), body.joint(*names), 1.0 / (body.variance(*names) + loose**2), prior, spread)


def _leg(body: _Seen, turned: Array, side: str) -> None:
    hip, knee, ankle, foot = (f"{side}_{part}" for part in ("hip", "knee", "ankle", "foot"))
    heel, toe = f"{side}_heel", f"{side}_toe"
    thigh, shin = body.bone(hip, knee), body.bone(knee, ankle)
    swing = _swing(turned[:, 0], SMPL.offsets[_AT[knee]], thigh)
    # The foot's heading, seen along the shin as the thigh's frame would have it, tells of the leg's turn too.
    straight = _swing(swing, SMPL.offsets[_AT[ankle]], shin)
    heading = body.point(toe)[:, 0] - body.point(heel)[:, 0]
    rest_heading = _foot_at_rest(side)[1] - _foot_at_rest(side)[2]
    level = np.linalg.norm(np.cross(_unit(heading), _unit(shin)), axis=-1)
    by_foot = np.exp(1j * _angle_about(shin, rot.rotate(straight, rest_heading), heading)) * (level / _HEADING) ** 2
    axis = np.array([1.0, 0.0, 0.0])
    turned[:, _AT[hip]] = _hinged(body, swing, thigh, shin, axis, (hip, knee, ankle), by_foot)
    turned[:, _AT[knee]] = _swing(turned[:, _AT[hip]], SMPL.offsets[_AT[ankle]], shin)
    rest = _foot_at_rest(side)
    seen = np.stack([body.bone(ankle, foot), *(body.point(p)[:, 0] - body.joint(ankle)[:, 0] for p in (toe, heel))], 1)
    noise = np.concatenate([body.variance(foot), body.point_variance(toe, heel)], axis=1) + body.variance(ankle)
    turned[:, _AT[ankle]] = fit_vectors(rest, seen, 1.0 / noise, turned[:, _AT[knee]], _FOOT)


def _arm(body: _Seen, turned: Array, side: str) -> None:
    shoulder, elbow, wrist, hand = (f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hand"))
    index, pinky = f"{side}_index", f"{side}_pinky"
    upper, fore = body.bone(shoulder, elbow), body.bone(elbow, wrist)
    swing = _swing(turned[:, _AT["spine3"]], SMPL.offsets[_AT[elbow]], upper)
    # Elbows of a T pose bend to the front.
    axis = np.array([0.0, 0.0, -1.0 if side == "left" else 1.0])
    arm = _hinged(body, swing, upper, fore, axis, (shoulder, elbow, wrist), np.zeros(len(upper)))
    turned[:, _AT[shoulder]] = arm
    forearm = _swing(arm, SMPL.offsets[_AT[wrist]], fore)
    rest = np.vstack([SMPL.offsets[_AT[hand]], STANDARD.places[[_POINT[index], _POINT[pinky]]]])
    seen = np.concatenate([body.joint(hand), body.point(index, pinky)], axis=1) - body.joint(wrist)
    noise = np.concatenate([body.variance(hand), body.point_variance(index, pinky)], axis=1) + body.variance(wrist)
    palm = fit_vectors(rest, seen, 1.0 / noise, forearm, _HAND)
    along = _unit(SMPL.offsets[_AT[wrist]])
    pronation = rot.twist(rot.multiply(rot.conjugate(forearm), palm), along)
    half = rot.slerp(np.broadcast_to(rot.IDENTITY, pronation.shape), pronation, np.full(len(palm), _PRONATION))
    turned[:, _AT[elbow]] = rot.multiply(forearm, half)
    turned[:, _AT[wrist]] = palm


def _hinged(
    body: _Seen, swing: Array, upper: Array, lower: Array, axis: Array, joints: tuple[str, str, str], other: Array
) -> Array:
    """(T, 4) the upper half of a limb, turned about its length so that its hinge bends as seen.

    ``swing``: (T, 4) the shortest way there. ``upper``, ``lower``: (T, 3) both bones. ``axis``: (3,) the hinge's at
    rest. ``other``: (T,) complex, the angle that something else tells, as long as it is sure. A limb that is nearly
    straight tells little, and keeps the turn of the frames around.
    """
    length = np.linalg.norm(lower, axis=-1)
    normal = np.cross(_unit(upper), _unit(lower))
    sine = np.linalg.norm(normal, axis=-1)
    noise = body.variance(*joints).sum(axis=1) / np.maximum(length, 1e-3) ** 2
    sure = sine**2 / (noise + _HINGE**2)
    angle = _angle_about(upper, rot.rotate(swing, axis), normal)
    natural = 1.0 / _TURNED**2
    change = (_TURNING**2 * _LASTING) / body.fps
    mean = _carried(sure * np.exp(1j * angle) + other + natural, sure + np.abs(other) + natural, 1.0 / change)
    return rot.multiply(rot.from_axis_angle(_unit(upper) * np.angle(mean)[:, None]), swing)


def _carried(told: NDArray[np.complexfloating], weight: Array, stiff: float) -> NDArray[np.complexfloating]:
    """(T,) values that are near ``told`` / ``weight`` where that weighs much, and change little elsewhere."""
    if len(told) < 2:
        return told
    bands = np.zeros((2, len(told)))
    bands[1] = weight + stiff * np.r_[1.0, np.full(len(told) - 2, 2.0), 1.0]
    bands[0, 1:] = -stiff
    solved = solveh_banded(bands, np.column_stack([told.real, told.imag]))
    mean: NDArray[np.complexfloating] = solved[:, 0] + 1j * solved[:, 1]
    return mean


def _along_bone(body: _Seen, start: str, end: str, prior: Array, spread: float) -> Array:
    """(T, 4) the joint ``start``, its bone as seen, otherwise as ``prior`` (T, 4) says."""
    weight = 1.0 / body.variance(start, end).sum(axis=1, keepdims=True)
    return fit_vectors(SMPL.offsets[[_AT[end]]], body.bone(start, end)[:, None], weight, prior, spread)


def _swing(above: Array, rest: Array, seen: Array) -> Array:
    """(T, 4) ``above`` (T, 4) turned the shortest way that takes the bone ``rest`` (3,) to ``seen`` (T, 3)."""
    return rot.multiply(rot.between(rot.rotate(above, rest), seen), above)


def _angle_about(axis: Array, start: Array, end: Array) -> Array:
    """(T,) radians from ``start`` to ``end`` about ``axis``, all (T, 3)."""
    axis = _unit(axis)
    return np.arctan2(
        np.sum(np.cross(start, end) * axis, axis=-1),
        np.sum(start * end, axis=-1) - np.sum(start * axis, axis=-1) * np.sum(end * axis, axis=-1),
    )


def _foot_at_rest(side: str) -> Array:
    """(3, 3) ball, toe and heel from the ankle."""
    ball = SMPL.offsets[_AT[f"{side}_foot"]]
    return np.stack([ball, ball + STANDARD.places[_POINT[f"{side}_toe"]], STANDARD.places[_POINT[f"{side}_heel"]]])


def _rest(*names: str) -> Array:
    return _REST[[_AT[n] for n in names]]


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
