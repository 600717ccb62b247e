"""The way back: the Motion that a posed rig shows, the inverse of ``solve``."""

from __future__ import annotations

import numpy as np

from . import rotations as rot
from .bone_maps import SPINE, BoneMap
from .fit import HIP_HEIGHT, HIP_OFFSET, Fit
from .motion import Motion
from .rig import Rig
from .rotations import Array
from .skeleton import SMPL, SMPL_NAMES


def capture(rig: Rig, bone_map: BoneMap, rotations: Array, root: Array, fps: float) -> Motion:
    """The Motion that a posed rig shows: the inverse of ``solve``, without contacts.

    ``rotations``: (T, J, 4) basis quaternions of all the rig's bones; ``root``: (T, 3) basis location of
    the bone that travels, ``Pose.root_bone``. Joints that no bone follows stay at rest.
    """
    fit = Fit(rig, bone_map)
    posed = _posed(fit, np.asarray(rotations))
    turns = np.stack([posed[:, f.bone] for f in fit.followers], axis=1)
    turned = _joints(fit, rot.multiply(fit.stretch(turns), rot.conjugate(fit.aligns)))
    parents = np.array(SMPL.parents)
    local = rot.multiply(rot.conjugate(turned[:, np.maximum(parents, 0)]), turned)
    local[:, 0] = turned[:, 0]

    bone = fit.root_bone
    pelvis = fit.heads[bone] + rot.rotate(fit.rest[fit.travel_bone], np.asarray(root))
    hips = fit.show(pelvis + rot.rotate(posed[:, bone], fit.pelvis_to_hips))
    hips = hips - [0.0, 0.0, fit.hip_height]
    middle = hips / fit.scale + [0.0, 0.0, HIP_HEIGHT]
    frames = len(middle)
    place = middle - rot.rotate(turned[:, 0], HIP_OFFSET)
    return Motion(fps, place, rot.continuous(rot.normalise(local)), np.zeros((frames, 4)))


def _posed(fit: Fit, rotations: Array) -> Array:
    """(T, J, 4) turns from rest of all bones, in the dance frame, from their basis rotations."""
    posed = np.empty_like(rotations)
    for bone in fit.order:
        rest, parent = fit.rest[bone], fit.parents[bone]
        posed[:, bone] = rot.multiply(rot.multiply(rest, rotations[:, bone]), rot.conjugate(rest))
        if parent >= 0 and fit.rig.inherits_rotation[bone]:
            posed[:, bone] = rot.multiply(posed[:, parent], posed[:, bone])
    return posed


def _joints(fit: Fit, own: Array) -> Array:
    """(T, 24, 4) global rotations of SMPL's joints from those that the followers show (T, B, 4).

    A joint without a bone follows its parent; the spine's joints lie evenly on the target's chain.
    """
    turned = np.empty((len(own), len(SMPL_NAMES), 4))
    spine = [(k, f) for k, f in enumerate(fit.followers) if SMPL_NAMES[f.joint] in SPINE]
    followed = {f.joint: k for k, f in enumerate(fit.followers)}
    for joint, parent in enumerate(SMPL.parents):
        if spine and SMPL_NAMES[joint] in SPINE:
            chain = [turned[:, 0], *(own[:, k] for k, _ in spine)]
            at = (SPINE.index(SMPL_NAMES[joint]) + 1) * len(spine) / len(SPINE)
            low = min(int(at), len(spine) - 1)
            turned[:, joint] = rot.slerp(chain[low], chain[low + 1], at - low)
        else:
            turned[:, joint] = own[:, followed[joint]] if joint in followed else turned[:, parent]
    return turned
