"""Retargeting: a Motion onto any rig, in closed form.

The principle. Let G be the rotation of a SMPL joint in the dance frame and A the constant alignment
that turns the target's rest segment into SMPL's rest pose, direction and roll. Then G A is how far the
target bone must be turned from its own rest, whatever its rest pose and roll, and the pose-bone basis
is the difference between that and what its nearest moving ancestor already does:

    basis = Q^-1 (G_a A_a)^-1 (G A) Q        Q: the bone's rest orientation in the dance frame

so that bones between them which follow nothing stay at rest. Limbs are aligned by direction, each
segment carrying on the roll of the one before; trunk and head keep the target's own rest shape, and
feet, turned about the vertical only, their soles on the floor. Palms that face elsewhere than SMPL's roll
there, and a torso that is bent at rest is set upright.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from . import rotations as rot
from .bone_maps import BoneMap, Switch, find_map
from .chains import carried, hanging_head, head_of, leg_positions
from .feet import ANKLES, TOES, Heights, bend, plant, possible_contacts, settle, steady, uncurl
from .fit import Fit
from .motion import Motion, detect_contacts
from .reach import keep_touch
from .rig import Rig
from .root import RootMode, place, stay, travel
from .rotations import Array
from .skeleton import SMPL, SMPL_NAMES, forward_kinematics

FeetMode = Literal["auto", "always", "never"]

_SIDES = ("left", "right")
_STRETCHED_STEPS = 4


@dataclass(frozen=True, eq=False)
class Pose:
    """Rotations of a rig's bones over time.

    ``bones``: B bone names. ``rotations``: (T, B, 4) pose-bone basis quaternions (w, x, y, z),
    neighbours in time in one hemisphere. ``root_bone``: the bone that travels, one of ``bones``. ``locations``: (T, 3)
    its basis location, armature units. ``fps``: frames a second. ``bone_map``: which bone follows what.
    ``loose``: (T, 3) basis locations of further ones of ``bones``, on rigs whose legs or arms hang from nothing.
    """

    fps: float
    bones: tuple[str, ...]
    rotations: Array
    root_bone: str
    locations: Array
    bone_map: BoneMap
    loose: Mapping[str, Array] = field(default_factory=dict)

    @property
    def switches(self) -> tuple[Switch, ...]:
        """What must be set on a control rig for its bones to obey."""
        return self.bone_map.switches

    def __len__(self) -> int:
        return len(self.locations)


def solve(
    motion: Motion,
    rig: Rig,
    bone_map: BoneMap | None = None,
    *,
    feet: FeetMode = "auto",
    root: RootMode = "path",
    start: tuple[float, float] | None = None,
    heading: float | None = None,
    reach: bool = False,
) -> Pose:
    """The pose of ``rig`` that dances ``motion``.

    ``bone_map``: found by ``find_map`` where None. ``feet``: "auto" locks the target's feet where the
    motion has contacts, "always" finds contacts itself where it has none, "never" leaves feet alone.
    ``root``: "path" travels as the dancer does, scaled by leg length; "in_place" keeps the hips above one
    spot. ``start``: (x, y) in the world, scene units, where the hips stand on the first frame. ``heading``:
    radians about the world's z that the dancer faces on the first frame, 0 towards -y. Without them the
    dance is where the motion has it, around the rig's own place and as the rig faces. ``reach``: hands
    that touch the body or each other still do on other proportions.
    Raises RigError where the rig is no body that can dance.
    """
    if feet not in ("auto", "always", "never"):
        raise ValueError(f"feet is 'auto', 'always' or 'never', not {feet!r}")
    if root not in ("path", "in_place"):
        raise ValueError(f"root is 'path' or 'in_place', not {root!r}")
    if not np.isfinite([*(start or ()), heading or 0.0]).all():
        raise ValueError("start and heading are finite numbers")
    fit = Fit(rig, bone_map or find_map(rig))
    motion = place(motion, fit, start, heading)
    positions, turned = forward_kinematics(SMPL, motion.rotations, motion.root)
    turns = _turns(fit, turned)
    pelvis = travel(fit, motion, turned[:, 0], _real(fit, turns, "pelvis"))
    contacts = motion.contacts
    if feet == "always" and not (contacts > 0.5).any():
        contacts = detect_contacts(positions, motion.fps)
    if feet != "never" and (contacts > 0.5).any():
        pelvis, turns = _lock(fit, pelvis, turns, positions, turned, contacts, motion.fps)
    if reach:
        turns = keep_touch(fit, positions, turned, pelvis, turns, motion.fps)
    turns = fit.unstretch(turns)
    if root == "in_place":
        pelvis = stay(fit, pelvis, turns[:, fit.index("pelvis")], start)
    return _pose(fit, motion.fps, pelvis, turns)


def _pose(fit: Fit, fps: float, pelvis: Array, turns: Array) -> Pose:
    """What to key: ``pelvis`` (T, 3) as shown, ``turns`` (T, B, 4) from rest in the dance frame."""
    above = np.array([f.above for f in fit.followers])
    rest = fit.rest[[f.bone for f in fit.followers]]
    free = above < 0
    parents = turns[:, np.where(free, 0, above)]
    parents[:, free] = rot.IDENTITY
    basis = rot.multiply(rot.multiply(rot.conjugate(parents), turns), rest)
    basis = rot.continuous(rot.multiply(rot.conjugate(rest), basis))
    traveller = fit.rig.names[fit.travel_bone]
    moved = fit.unshow(pelvis) - fit.heads[fit.root_bone]
    locations = {traveller: rot.rotate(rot.conjugate(fit.rest[fit.travel_bone]), moved)}
    for bone, follower in fit.loose.items():
        locations[fit.rig.names[bone]] = _location(fit, pelvis, turns, bone, follower)
    still = [name for name in locations if name not in fit.names]
    basis = np.concatenate([np.broadcast_to(rot.IDENTITY, (len(basis), len(still), 4)), basis], axis=1)
    return Pose(fps, (*still, *fit.names), basis, traveller, locations.pop(traveller), fit.bone_map, locations)


def _location(fit: Fit, pelvis: Array, turns: Array, bone: int, follower: int) -> Array:
    """(T, 3) the basis location of a loose bone that brings the follower on it to where it belongs."""
    wanted = head_of(fit, pelvis, turns, follower)
    moved = fit.unshow(wanted - hanging_head(fit, pelvis, turns, fit.followers[follower].bone))
    above = fit.parents[bone]
    turner = fit.turner(above) if above >= 0 else -1
    if turner >= 0:
        moved = rot.rotate(rot.conjugate(turns[:, turner]), moved)
    return rot.rotate(rot.conjugate(fit.rest[bone]), moved)


def _turns(fit: Fit, turned: Array) -> Array:
    """(T, B, 4) how far each follower is turned from its rest, in the dance frame."""
    low, high = ([getattr(f, end) for f in fit.followers] for end in ("low", "high"))
    turns = turned[:, high]
    for k, follower in enumerate(fit.followers):
        if low[k] != high[k] and follower.share < 1.0:
            turns[:, k] = rot.slerp(turned[:, low[k]], turned[:, high[k]], follower.share)
    return rot.multiply(turns, fit.aligns)


def _real(fit: Fit, turns: Array, joint: str) -> Array:
    """(T, 4) what the bone of ``joint`` is turned by when its rig points where ``turns`` do."""
    return fit.unstretch(turns)[:, fit.index(joint)]


def _lock(
    fit: Fit, pelvis: Array, turns: Array, positions: Array, turned: Array, contacts: Array, fps: float
) -> tuple[Array, Array]:
    """Pelvis (T, 3) and turns (T, B, 4) with the target's feet held in place by its legs.

    ``positions``: (T, 24, 3) metres and ``turned``: (T, 24, 4), the dancer. Feet work in the dancer's
    metres, so that what counts as near or slow does not depend on the rig.
    """
    spots = leg_positions(fit, pelvis, fit.unstretch(turns)) / fit.scale
    hips, knees, ankles, toes = (spots[:, :, k] for k in range(4))
    heights = fit.foot_heights
    metres = Heights(
        (heights.ankles[0] / fit.scale, heights.ankles[1] / fit.scale),
        (heights.toes[0] / fit.scale, heights.toes[1] / fit.scale),
    )
    contacts = possible_contacts(ankles, toes, contacts, metres)
    heading = steady(ankles, toes, contacts, fps, metres)
    toes = ankles + rot.rotate(heading, toes - ankles)
    dancer = (positions[:, ANKLES], positions[:, TOES])
    targets = ankles + plant(ankles, toes, contacts, fps, metres, dancer)
    down = np.zeros((len(pelvis), 1, 3))
    down[..., 2] = -settle(hips, knees, ankles, targets, fps)[:, None]
    pelvis = pelvis + down[:, 0] * fit.scale
    turns = np.array(turns)
    for part in ("ankle", "foot"):
        _turn(fit, turns, part, heading)
    forward = rot.rotate(turned[:, [SMPL_NAMES.index(f"{s}_hip") for s in _SIDES]], [0.0, -1.0, 0.0])
    # Under uneven scale a leg's length depends on where it points: again, for the lengths it then has.
    hips, knees, ankles = hips + down, knees + down, ankles + down
    for step in range(_STRETCHED_STEPS if fit.stretched else 1):
        if step > 0:
            spots = leg_positions(fit, pelvis, fit.unstretch(turns)) / fit.scale
            hips, knees, ankles = (spots[:, :, k] for k in range(3))
        thigh, shin = bend(hips, knees, ankles, targets, forward)
        _turn(fit, turns, "hip", thigh)
        _turn(fit, turns, "knee", shin)
    if fit.toe_tips is not None:
        spans, floors = fit.toe_tips
        real = fit.unstretch(turns)
        toes = leg_positions(fit, pelvis, real)[:, :, 3]
        tips = [toes[:, k] + carried(fit, real[:, fit.index(f"{s}_foot")], spans[k]) for k, s in enumerate(_SIDES)]
        _turn(fit, turns, "foot", uncurl(toes, np.stack(tips, axis=1), floors))
    return pelvis, turns


def _turn(fit: Fit, turns: Array, part: str, by: Array) -> None:
    """Turn the bones of both sides' ``part`` further, in place; ``by``: (T, 2, 4)."""
    for k, side in enumerate(_SIDES):
        for follower in fit.all_of(f"{side}_{part}"):
            turns[:, follower] = rot.multiply(by[:, k], turns[:, follower])
