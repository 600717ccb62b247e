"""The way back: the Motion that a posed rig shows, the inverse of ``solve``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import rotations as rot
from .bone_maps import SPINE, BoneMap
from .errors import MotionError
from .fit import HIP_HEIGHT, HIP_OFFSET, LIMBS, Fit
from .motion import Motion, detect_contacts
from .rig import Rig
from .rotations import Array
from .skeleton import ANKLE_HEIGHT, CONTACT_JOINTS, FOOT_HEIGHT, SMPL, SMPL_NAMES

# A floor farther than this (m) from where the rig stands at rest is the motion's own, if feet stand on it in at
# least this share of the frames.
_OTHER_FLOOR, _STANDING = 0.05, 0.2
# Feet that stand still are slower than this (m/s); where they are this share of all slow ones, they are locked.
_STILL, _LOCKED = 0.1, 0.6
# Of the lowest soles of all frames, the percentile that is the floor: below are feet that sink into it.
_FLOOR_PERCENTILE = 5.0


def capture(rig: Rig, bone_map: BoneMap, rotations: Array, root: Array, fps: float) -> Motion:
    """The Motion that a posed rig shows: the inverse of ``solve``, without contacts.

    ``rotations``: (T, J, 4) basis quaternions of all the rig's bones; ``root``: (T, 3) basis location of
    the bone that travels, ``Pose.root_bone``. Joints that no bone follows stay at rest.
    """
    fit = Fit(rig, bone_map)
    posed = _posed(fit, np.asarray(rotations))
    turns = fit.stretch(np.stack([posed[:, f.bone] for f in fit.followers], axis=1))
    bone = fit.root_bone
    pelvis = fit.heads[bone] + rot.rotate(fit.rest[fit.travel_bone], np.asarray(root))
    hips = fit.show(pelvis + rot.rotate(posed[:, bone], fit.pelvis_to_hips))
    return _motion(fit, turns, hips, fps)


def capture_poses(rig: Rig, bone_map: BoneMap, poses: Array, fps: float, worlds: Array | None = None) -> Motion:
    """The Motion that a rig shows whose bones stand as measured, whatever moves them: keys, constraints, parents.

    ``poses``: (T, B, 4, 4) matrices in armature space of the mapped bones in the rig's order, Blender's
    ``pose_bone.matrix`` after evaluation. ``worlds``: (T, 4, 4) armature space to the world, where the
    object moves too; without it, it stays where ``rig.world`` has it. The motion begins relative to there.
    It is scaled to metres by leg length, has contacts, and stands on the floor that the feet tell.
    Raises RigError where the map does not suit the rig, MotionError where the poses are not finite.
    """
    fit = Fit(rig, bone_map)
    poses = np.asarray(poses, dtype=np.float64)
    wanted = (len(poses), len(fit.names), 4, 4)
    if poses.shape != wanted or not len(poses):
        raise ValueError(f"poses have shape {poses.shape}, expected {wanted} with at least one frame")
    if worlds is not None:
        poses = (np.linalg.inv(rig.world) @ np.asarray(worlds, dtype=np.float64))[:, None] @ poses
    if not np.isfinite(poses).all():
        frame = int((~np.isfinite(poses)).reshape(len(poses), -1).any(axis=1).argmax())
        raise MotionError(f"The armature's pose in frame {frame} is not finite: check its animation.")
    back = rot.conjugate(fit.frame)
    rest = rig.rotations[[f.bone for f in fit.followers]]
    turns = rot.multiply(_orientations(poses[..., :3, :3]), rot.conjugate(rest))
    turns = fit.stretch(rot.multiply(rot.multiply(back, turns), fit.frame))
    origin = rot.rotate(back, rig.heads[fit.root_bone]) - fit.heads[fit.root_bone]
    heads = fit.show(rot.rotate(back, poses[..., :3, 3]) - origin)
    turns = _point(fit, turns, heads)
    hips = heads[:, [fit.index("left_hip"), fit.index("right_hip")]].mean(axis=1)
    return _stand(_motion(fit, turns, hips, fps))


def _orientations(axes: Array) -> Array:
    """(..., 4) quaternions of bones whose axes (..., 3, 3) may be scaled or sheared; y, along the bone, is kept."""
    x, y = axes[..., 0], axes[..., 1]
    y = y / np.maximum(np.linalg.norm(y, axis=-1, keepdims=True), 1e-12)
    x = x - np.sum(x * y, axis=-1, keepdims=True) * y
    x = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
    return rot.from_matrix(np.stack([x, y, np.cross(x, y)], axis=-1))


def _point(fit: Fit, turns: Array, heads: Array) -> Array:
    """Turns (T, B, 4) of limbs that point to where the next joint is; ``heads``: (T, B, 3) as shown.

    Bones that stretch, slide or hang from others point elsewhere than their own turn says.
    """
    turns = np.array(turns)
    for joint, end in LIMBS.items():
        if fit.has(joint) and fit.has(end):
            at, follower = fit.index(joint), fit.followers[fit.index(joint)]
            along = heads[:, fit.index(end)] - heads[:, at]
            near = np.linalg.norm(along, axis=-1, keepdims=True) < 1e-6 * fit.scale
            seen = rot.rotate(turns[:, at], follower.segment)
            turned = rot.multiply(rot.between(seen, np.where(near, seen, along)), turns[:, at])
            turns[:, at] = turned
    return turns


def _stand(motion: Motion) -> Motion:
    """The motion with contacts, moved up or down where its feet stand on another floor than z = 0."""
    positions = motion.positions()
    soles = positions[:, list(CONTACT_JOINTS), 2] - [ANKLE_HEIGHT, ANKLE_HEIGHT, FOOT_HEIGHT, FOOT_HEIGHT]
    floor = np.array([0.0, 0.0, np.percentile(soles.min(axis=1), _FLOOR_PERCENTILE)])
    contacts = _contacts(positions - floor, motion.fps)
    if abs(floor[2]) <= _OTHER_FLOOR or contacts.any(axis=1).mean() < _STANDING:
        floor = np.zeros(3)
    return replace(motion, root=motion.root - floor, contacts=contacts)


def _contacts(positions: Array, fps: float) -> Array:
    """(T, 4) contacts of joints (T, 24, 3) over the floor z = 0.

    Recorded feet slide a little while they stand. Where most stand quite still, somebody has locked them, and those
    that move glide or step: to lock them too would bend the legs.
    """
    slow, still = detect_contacts(positions, fps), detect_contacts(positions, fps, _STILL)
    return still if still.sum() >= _LOCKED * slow.sum() else slow


def _motion(fit: Fit, turns: Array, hips: Array, fps: float) -> Motion:
    """``turns``: (T, B, 4) of the followers from rest; ``hips``: (T, 3) their middle; both as shown."""
    turned = _joints(fit, rot.multiply(turns, rot.conjugate(fit.aligns)))
    parents = np.array(SMPL.parents)
    local = rot.multiply(rot.conjugate(turned[:, np.maximum(parents, 0)]), turned)
    local[:, 0] = turned[:, 0]
    middle = (hips - [0.0, 0.0, fit.hip_height]) / fit.scale + [0.0, 0.0, HIP_HEIGHT]
    place = middle - rot.rotate(turned[:, 0], HIP_OFFSET)
    return Motion(fps, place, rot.continuous(rot.normalise(local)), np.zeros((len(middle), 4)))


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
