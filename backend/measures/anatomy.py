"""Can a body do that? Joints within the human range of motion, and hands outside of the body.

Rotations are those of a Motion: local unit quaternions (T, 24, 4) whose frames are aligned with the world
in the T pose (x to the left, y backward, z up). Angles are degrees in the directions in which joints are
measured clinically; a limb's pair of angles is (T, 2), left and right.
"""

from __future__ import annotations

import numpy as np

from ...retarget import rotations as rot
from ...retarget.rotations import Array
from ...retarget.skeleton import SMPL_NAMES

# Degrees from the anatomical position, flexion or what the name says counting up. Rounded from clinical tables:
# shoulder extension, elbow and wrist as of the American Academy of Orthopaedic Surgeons; hip, ankle and forearm as
# in the Merck Manual's "Normal Values for Range of Motion of Joints"; trunk and head near the means of Apti, Çolak
# and Akçay (2023), 300 young adults. No table fits, and the limits are our own, for what is turned or skewed about
# other axes than the clinic's: knee sideways and rotation, ankle sideways, shoulder adduction; and the knee bends
# to 150, for full squats.
RANGES = {
    "trunk flexion": (-30, 80),
    "trunk lateral bending": (-35, 35),
    "trunk rotation": (-45, 45),
    "head flexion": (-60, 50),
    "head lateral bending": (-45, 45),
    "head rotation": (-80, 80),
    "hip flexion": (-30, 120),
    "hip abduction": (-30, 45),
    "hip lateral rotation": (-45, 45),
    "knee flexion": (-10, 150),
    "knee sideways": (-15, 15),
    "knee lateral rotation": (-30, 40),
    "ankle dorsiflexion": (-50, 20),
    "ankle sideways": (-35, 35),
    "shoulder extension": (-90, 60),
    "shoulder adduction": (-90, 45),
    "elbow flexion": (-10, 150),
    "wrist bending": (0, 80),
    "wrist rotation": (-90, 90),
}
# Degrees by which a range must be left to count, since the axes of a fitted skeleton are not a patient's: our choice.
# With it, 1.3 % of the frames of tang2018's train split count. How upper arms are turned is not judged at all.
MARGIN = 10.0

# Capsules well inside of a slim adult: the joints at both ends, metres of radius.
_BODY = (("pelvis", "neck", 0.10), ("neck", "head", 0.07), ("left_hip", "left_knee", 0.05),
         ("right_hip", "right_knee", 0.05))  # fmt: skip

# +1 where outward is +x (left), -1 where it is -x (right).
_SIDES = np.array([1.0, -1.0])
_X, _Y, _Z = np.eye(3)


def joint_angles(rotations: Array) -> dict[str, Array]:
    """The angles that RANGES bounds, degrees by name: (T,) of the trunk and head, (T, 2) of the limbs.

    Limbs are seen from the bone they hang on: the thigh from the pelvis, the upper arm from the chest
    (clavicle and shoulder together, as arms are measured), the head from the chest. How upper arm and
    forearm are turned about their own length is left out: from a T pose on, it means nothing clinical.
    """
    trunk = _turn(rotations, "spine1", "spine2", "spine3")
    head = _turn(rotations, "neck", "head")
    hip, knee, ankle = (_pair(rotations, name) for name in ("hip", "knee", "ankle"))
    shoulder = rot.multiply(_pair(rotations, "collar"), _pair(rotations, "shoulder"))
    elbow, wrist = (_pair(rotations, name) for name in ("elbow", "wrist"))

    thigh, shin = rot.rotate(hip, -_Z), rot.rotate(knee, -_Z)
    foot = rot.rotate(ankle, -_Y)
    upper_arm, forearm, hand = (_outward(rot.rotate(q, _SIDES[:, None] * _X)) for q in (shoulder, elbow, wrist))
    angles = {}
    for name, turn in (("trunk", trunk), ("head", head)):
        up = rot.rotate(turn, _Z)
        angles[f"{name} flexion"] = _bearing(-up[..., 1], up[..., 2])
        angles[f"{name} lateral bending"] = _elevation(up[..., 0])
        angles[f"{name} rotation"] = _twist(turn, _Z)
    angles["hip flexion"] = _bearing(-thigh[..., 1], -thigh[..., 2])
    angles["hip abduction"] = _elevation(thigh[..., 0] * _SIDES)
    angles["hip lateral rotation"] = _twist(hip, _Z) * _SIDES
    angles["knee flexion"] = _bearing(shin[..., 1], -shin[..., 2])
    angles["knee sideways"] = _elevation(shin[..., 0] * _SIDES)
    angles["knee lateral rotation"] = _twist(knee, _Z) * _SIDES
    angles["ankle dorsiflexion"] = _bearing(foot[..., 2], -foot[..., 1])
    angles["ankle sideways"] = _elevation(foot[..., 0] * _SIDES)
    angles["shoulder extension"] = _elevation(upper_arm[..., 1])
    angles["shoulder adduction"] = _elevation(-upper_arm[..., 0])
    elbow_flexion = _bearing(-forearm[..., 1], forearm[..., 0])
    # past the shoulder: an elbow bent too far, not one bent backward
    angles["elbow flexion"] = np.where(elbow_flexion < -90.0, elbow_flexion + 360.0, elbow_flexion)
    angles["wrist rotation"] = _twist(wrist, _X)
    angles["wrist bending"] = np.degrees(np.arccos(np.clip(hand[..., 0], -1.0, 1.0)))
    return angles


def beyond_range(rotations: Array) -> Array:
    """(T,) degrees by which the joint that is furthest out of RANGES is out of it; negative if all are within."""
    excess = []
    for name, angles in joint_angles(rotations).items():
        low, high = RANGES[name]
        excess.append(np.maximum(low - angles, angles - high).reshape(len(angles), -1).max(axis=1))
    return np.max(excess, axis=0)


def hand_depth(positions: Array) -> Array:
    """(T, 2) metres by which the left and right hand are inside of the body, as in ``hand_overlap``; 0 outside."""
    depth: Array = np.linalg.norm(hand_overlap(positions), axis=-1)
    return depth


def hand_overlap(positions: Array) -> Array:
    """(T, 2, 3) the shortest ways, metres, that the left and right hand would have out of trunk, neck or thighs, from
    where they are deepest in them; 0 outside.

    ``positions``: (T, 24, 3) metres. A hand is the line from wrist to knuckles, the body the capsules of
    _BODY: what is inside of them would be inside of anybody.
    """
    wrists, knuckles = (
        positions[:, [SMPL_NAMES.index(f"{s}_{n}") for s in ("left", "right")]] for n in ("wrist", "hand")
    )
    out = np.zeros_like(wrists)
    deepest = np.zeros(wrists.shape[:2])
    for share in (0.0, 0.5, 1.0):
        point = (1.0 - share) * wrists + share * knuckles
        for start, end, radius in _BODY:
            a, b = (positions[:, SMPL_NAMES.index(name), None] for name in (start, end))
            away = _from_segment(point, a, b)
            distance = np.linalg.norm(away, axis=-1)
            depth = radius - distance
            # Whoever is in the very middle goes forwards.
            way = np.where(distance[..., None] > 1e-9, away / np.maximum(distance, 1e-9)[..., None], -_Y)
            deeper = depth > deepest
            out = np.where(deeper[..., None], depth[..., None] * way, out)
            deepest = np.where(deeper, depth, deepest)
    return out


def _from_segment(point: Array, a: Array, b: Array) -> Array:
    """The shortest ways (..., 3) from the lines from ``a`` to ``b`` to points (..., 3)."""
    along = b - a
    share = ((point - a) * along).sum(axis=-1) / np.maximum((along**2).sum(axis=-1), 1e-12)
    return point - a - np.clip(share, 0.0, 1.0)[..., None] * along


def _turn(rotations: Array, *names: str) -> Array:
    """(T, 4) the joints ``names`` one after the other."""
    turn = rotations[:, SMPL_NAMES.index(names[0])]
    for name in names[1:]:
        turn = rot.multiply(turn, rotations[:, SMPL_NAMES.index(name)])
    return turn


def _pair(rotations: Array, name: str) -> Array:
    """(T, 2, 4) the left and the right joint."""
    return rotations[:, [SMPL_NAMES.index(f"{side}_{name}") for side in ("left", "right")]]


def _outward(directions: Array) -> Array:
    """Directions (T, 2, 3) with x away from the midline on both sides."""
    return directions * np.stack([_SIDES, np.ones(2), np.ones(2)], axis=-1)


def _bearing(opposite: Array, adjacent: Array) -> Array:
    return np.degrees(np.arctan2(opposite, adjacent))


def _elevation(sine: Array) -> Array:
    return np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))


def _twist(turn: Array, axis: Array) -> Array:
    """Degrees, -180 to 180, that ``turn`` turns about ``axis``."""
    part = rot.twist(turn, axis)
    degrees = 2.0 * np.degrees(np.arctan2(part[..., 1:] @ axis, part[..., 0]))
    return (degrees + 180.0) % 360.0 - 180.0
