"""Retargeting: a Motion onto any rig, in closed form.

The principle. Let G be the rotation of a SMPL joint in the dance frame and A the constant alignment
that turns the target's rest segment into SMPL's rest pose, direction and roll. Then G A is how far the
target bone must be turned from its own rest, whatever its rest pose and roll, and the pose-bone basis
is the difference between that and what its nearest moving ancestor already does:

    basis = Q^-1 (G_a A_a)^-1 (G A) Q        Q: the bone's rest orientation in the dance frame

so that bones between them which follow nothing stay at rest. Limbs are aligned by direction, each
segment carrying on the roll of the one before; trunk and head keep the target's own rest shape, and
feet, turned about the vertical only, their soles on the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from . import rotations as rot
from .bone_maps import BoneMap, Switch, find_map
from .feet import Heights, bend, plant, possible_contacts, settle, steady
from .fit import HIP_HEIGHT, HIP_OFFSET, Fit
from .motion import Motion, detect_contacts
from .rig import Rig
from .rotations import Array
from .skeleton import SMPL, SMPL_NAMES, forward_kinematics

FeetMode = Literal["auto", "always", "never"]

_SIDES = ("left", "right")


@dataclass(frozen=True, eq=False)
class Pose:
    """Rotations of a rig's bones over time.

    ``bones``: B bone names. ``rotations``: (T, B, 4) pose-bone basis quaternions (w, x, y, z),
    neighbours in time in one hemisphere. ``root_bone``: the bone that travels. ``locations``: (T, 3)
    its basis location, armature units. ``fps``: frames a second. ``bone_map``: which bone follows what.
    """

    fps: float
    bones: tuple[str, ...]
    rotations: Array
    root_bone: str
    locations: Array
    bone_map: BoneMap

    @property
    def switches(self) -> tuple[Switch, ...]:
        """What must be set on a control rig for its bones to obey."""
        return self.bone_map.switches

    def __len__(self) -> int:
        return len(self.locations)


def solve(motion: Motion, rig: Rig, bone_map: BoneMap | None = None, *, feet: FeetMode = "auto") -> Pose:
    """The pose of ``rig`` that dances ``motion``.

    ``bone_map``: found by ``find_map`` where None. ``feet``: "auto" locks the target's feet where the
    motion has contacts, "always" finds contacts itself where it has none, "never" leaves feet alone.
    Raises RigError where the rig is no body that can dance.
    """
    if feet not in ("auto", "always", "never"):
        raise ValueError(f"feet is 'auto', 'always' or 'never', not {feet!r}")
    fit = Fit(rig, bone_map or find_map(rig))
    positions, turned = forward_kinematics(SMPL, motion.rotations, motion.root)
    turns = _turns(fit, turned)
    pelvis = _pelvis(fit, motion.root, turned[:, 0], turns)
    contacts = motion.contacts
    if feet == "always" and not (contacts > 0.5).any():
        contacts = detect_contacts(positions, motion.fps)
    if feet != "never" and (contacts > 0.5).any() and all(fit.has(f"{s}_ankle") for s in _SIDES):
        pelvis, turns = _lock(fit, pelvis, turns, turned, contacts, motion.fps)

    above = np.array([f.above for f in fit.followers])
    rest = fit.rest[[f.bone for f in fit.followers]]
    free = above < 0
    parents = turns[:, np.where(free, 0, above)]
    parents[:, free] = rot.IDENTITY
    basis = rot.multiply(rot.multiply(rot.conjugate(parents), turns), rest)
    basis = rot.continuous(rot.normalise(rot.multiply(rot.conjugate(rest), basis)))
    root = fit.root_bone
    locations = rot.rotate(rot.conjugate(fit.rest[root]), pelvis - fit.heads[root])
    return Pose(motion.fps, fit.names, basis, rig.names[root], locations, fit.bone_map)


def _turns(fit: Fit, turned: Array) -> Array:
    """(T, B, 4) how far each follower is turned from its rest, in the dance frame."""
    low, high = ([getattr(f, end) for f in fit.followers] for end in ("low", "high"))
    turns = turned[:, high]
    for k, follower in enumerate(fit.followers):
        if low[k] != high[k] and follower.share < 1.0:
            turns[:, k] = rot.slerp(turned[:, low[k]], turned[:, high[k]], follower.share)
    return rot.multiply(turns, fit.aligns)


def _pelvis(fit: Fit, root: Array, pelvis_turn: Array, turns: Array) -> Array:
    """(T, 3) the root bone's head in the dance frame: the hips go where the dancer's go, in the target's size."""
    up = np.array([0.0, 0.0, 1.0])
    hips = fit.scale * (root + rot.rotate(pelvis_turn, HIP_OFFSET) - HIP_HEIGHT * up) + fit.hip_height * up
    return hips - rot.rotate(turns[:, fit.index("pelvis")], fit.pelvis_to_hips)


def _lock(fit: Fit, pelvis: Array, turns: Array, turned: Array, contacts: Array, fps: float) -> tuple[Array, Array]:
    """Pelvis (T, 3) and turns (T, B, 4) with the target's feet held in place by its legs.

    Feet work in metres of the dancer, so that what counts as near or slow does not depend on the rig.
    """
    hip_at, knee_at = ([fit.index(f"{s}_{j}") for s in _SIDES] for j in ("hip", "knee"))
    spots = _leg_positions(fit, pelvis, turns)
    hips, knees, ankles, toes = (spots[:, :, k] / fit.scale for k in range(4))
    heights = fit.foot_heights
    metres = Heights(
        (heights.ankles[0] / fit.scale, heights.ankles[1] / fit.scale),
        (heights.toes[0] / fit.scale, heights.toes[1] / fit.scale),
    )
    contacts = possible_contacts(ankles, toes, contacts, metres)
    heading = steady(ankles, toes, contacts, fps)
    toes = ankles + rot.rotate(heading, toes - ankles)
    targets = ankles + plant(ankles, toes, contacts, fps, metres)
    down = np.zeros((len(pelvis), 1, 3))
    down[..., 2] = -settle(hips, knees, ankles, targets, fps)[:, None]
    forward = rot.rotate(turned[:, [SMPL_NAMES.index(f"{s}_hip") for s in _SIDES]], [0.0, -1.0, 0.0])
    thigh, shin = bend(hips + down, knees + down, ankles + down, targets, forward)
    turns = np.array(turns)
    turns[:, hip_at] = rot.multiply(thigh, turns[:, hip_at])
    turns[:, knee_at] = rot.multiply(shin, turns[:, knee_at])
    for part in ("ankle", "foot"):
        if all(fit.has(f"{s}_{part}") for s in _SIDES):
            at = [fit.index(f"{s}_{part}") for s in _SIDES]
            turns[:, at] = rot.multiply(heading, turns[:, at])
    return pelvis + down[:, 0] * fit.scale, turns


def _leg_positions(fit: Fit, pelvis: Array, turns: Array) -> Array:
    """(T, 2, 4, 3) hip, knee, ankle and ball of both feet in the dance frame, armature units."""
    spots = np.empty((len(pelvis), 2, 4, 3))
    for k, side in enumerate(_SIDES):
        chain = [fit.index(joint) for joint in ("pelvis", f"{side}_hip", f"{side}_knee", f"{side}_ankle")]
        ankle, toe = fit.foot_points(side)
        rest = [fit.heads[fit.followers[c].bone] for c in chain[:3]] + [ankle, toe]
        here = pelvis
        for joint, (bone, start, end) in enumerate(zip(chain, rest[:-1], rest[1:], strict=True)):
            here = here + rot.rotate(turns[:, bone], end - start)
            spots[:, k, joint] = here
    return spots
