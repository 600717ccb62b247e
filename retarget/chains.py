"""Where the joints of a posed rig are: forward kinematics over the bones that follow something."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from . import rotations as rot
from .fit import Fit
from .rotations import Array


def joint_positions(fit: Fit, pelvis: Array, turns: Array, joints: Iterable[str]) -> dict[str, Array]:
    """(T, 3) as shown in the dance frame, armature units, the heads of the bones that follow ``joints``.

    ``pelvis``: (T, 3) as shown, the pelvis bone's head. ``turns``: (T, B, 4) the followers' turns from rest.
    Joints that no bone follows are left out.
    """
    known: dict[int, Array] = {}
    return {joint: _head(fit, pelvis, turns, fit.index(joint), known) for joint in joints if fit.has(joint)}


def head_of(fit: Fit, pelvis: Array, turns: Array, follower: int) -> Array:
    """(T, 3) the head of one follower, as ``joint_positions``."""
    return _head(fit, pelvis, turns, follower, {})


def hanging_head(fit: Fit, pelvis: Array, turns: Array, bone: int) -> Array:
    """(T, 3) or (3,), as ``joint_positions``, where a bone of the rig has its head while its location is 0."""
    if not fit.travels(bone):
        return fit.show(fit.heads[bone])
    carrier, steps = fit.hangs(bone)
    here = pelvis if carrier < 0 else _head(fit, pelvis, turns, carrier, {})
    return _along(fit, turns, here, steps)


def carried(fit: Fit, turn: Array, step: Array) -> Array:
    """(T, 3) as shown: a ``step`` (3,) of the rest pose on a bone turned by ``turn`` (T, 4)."""
    return fit.show(rot.rotate(turn, step))


def _head(fit: Fit, pelvis: Array, turns: Array, follower: int, known: dict[int, Array]) -> Array:
    if follower not in known:
        carrier, steps = fit.links[follower]
        here = pelvis if carrier < 0 else _head(fit, pelvis, turns, carrier, known)
        known[follower] = _along(fit, turns, here, steps)
    return known[follower]


def _along(fit: Fit, turns: Array, here: Array, steps: Iterable[tuple[int, Array]]) -> Array:
    for turner, step in steps:
        here = here + (fit.show(step) if turner < 0 else carried(fit, turns[:, turner], step))
    return here


def leg_positions(fit: Fit, pelvis: Array, turns: Array) -> Array:
    """(T, 2, 4, 3) hip, knee, ankle and ball of both feet as shown in the dance frame, armature units."""
    names = [f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "ankle")]
    found = joint_positions(fit, pelvis, turns, names)
    spots = np.empty((len(pelvis), 2, 4, 3))
    for k, side in enumerate(("left", "right")):
        ankle, ball = fit.foot_points(side)
        spots[:, k, 0], spots[:, k, 1] = found[f"{side}_hip"], found[f"{side}_knee"]
        foot = fit.index(f"{side}_knee")
        if fit.has(f"{side}_ankle"):
            spots[:, k, 2] = found[f"{side}_ankle"]
            foot = fit.index(f"{side}_ankle")
        else:
            knee = fit.heads[fit.followers[foot].bone]
            spots[:, k, 2] = spots[:, k, 1] + carried(fit, turns[:, foot], ankle - knee)
        spots[:, k, 3] = spots[:, k, 2] + carried(fit, turns[:, foot], ball - ankle)
    return spots
