"""How a rig stands at rest: what its bones follow, where it faces, how long its legs are, where the floor is.

All that tells where the dance frame lies (see ``fit``) is here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from . import rotations as rot
from .bone_maps import BoneMap
from .errors import RigError
from .rig import Rig
from .rotations import Array
from .skeleton import ANKLE_HEIGHT, FOOT_HEIGHT, SMPL, SMPL_NAMES

# Joint to the index of the (first) bone that follows it.
Bones = Mapping[str, int]


def followed(rig: Rig, bone_map: BoneMap) -> tuple[int, ...]:
    """J indices of the bones that the rig's bones follow, -1 for none; a bone that follows "" follows none.

    Raises RigError for names that the rig or SMPL does not know, and for bones that follow themselves.
    """
    followed = [parent for parent in bone_map.parents.values() if parent]
    for what in (bone_map.bones, bone_map.pose, bone_map.parents, followed):
        for name in what:
            if name not in rig.indices:
                raise RigError(f"The armature has no bone “{name}”: map its bones anew.")
    for joint in bone_map.bones.values():
        if joint not in SMPL_NAMES:
            raise RigError(f"The bone map names a joint “{joint}” that no body has: map its bones anew.")
    parents = list(rig.parents)
    for name, parent in bone_map.parents.items():
        parents[rig.indices[name]] = rig.indices.get(parent, -1)
    if bone_map.parents:
        for bone, name in enumerate(rig.names):
            at, steps = bone, 0
            while at >= 0 and steps <= len(rig):
                at, steps = parents[at], steps + 1
            if at >= 0:
                raise RigError(f"The bone “{name}” follows itself in the bone map: map its bones anew.")
    return tuple(parents)


def parents_first(parents: tuple[int, ...]) -> list[int]:
    """Indices of all bones, each after the one that it follows."""
    done: dict[int, None] = {}
    for bone in range(len(parents)):
        chain = [bone]
        while (bone := parents[bone]) >= 0:
            chain.append(bone)
        done |= dict.fromkeys(b for b in reversed(chain) if b not in done)
    return list(done)


def matched_pose(rig: Rig, bone_map: BoneMap, parents: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Heads (J, 3), tails (J, 3) and turns from rest (J, 4), armature space, in the matched pose or at rest.

    ``parents``: J indices of the bones that the bones follow, as ``followed`` gives them.
    """
    heads, turned = np.array(rig.heads), np.tile(rot.IDENTITY, (len(rig), 1))
    if not bone_map.pose:
        return heads, rig.tails, turned
    for bone in parents_first(parents):
        parent = parents[bone]
        basis = rot.normalise(bone_map.pose.get(rig.names[bone], tuple(rot.IDENTITY)))
        own = rot.multiply(rot.multiply(rig.rotations[bone], basis), rot.conjugate(rig.rotations[bone]))
        if parent >= 0:
            heads[bone] = heads[parent] + rot.rotate(turned[parent], rig.heads[bone] - rig.heads[parent])
        carried = turned[parent] if parent >= 0 and rig.inherits_rotation[bone] else rot.IDENTITY
        turned[bone] = rot.multiply(carried, own)
    return heads, heads + rot.rotate(turned, rig.tails - rig.heads), turned


def facing(rig: Rig, bone_of: Bones, heads: Array) -> Array:
    """(4,) turns the frame of a Motion (z up, facing -y, left +x) into the world.

    ``heads``: (J, 3) the bones' in the world's axes. Up is the world's z where the body stands within 45
    degrees of it, else the armature's axis nearest to the body's. Left is from right to left hip and
    shoulder, put on an axis of the armature or the world that is within 10 degrees, so that a body not
    quite symmetrical still dances straight.
    """
    hips = heads[[bone_of["left_hip"], bone_of["right_hip"]]]
    left = hips[0] - hips[1]
    top = next((heads[bone_of[j]] for j in ("head", "neck", "left_shoulder", "spine3") if j in bone_of), None)
    if "left_shoulder" in bone_of and "right_shoulder" in bone_of:
        shoulders = heads[[bone_of["left_shoulder"], bone_of["right_shoulder"]]]
        left = left + (shoulders[0] - shoulders[1])
        top = shoulders.mean(axis=0)
    if top is None:
        top = 2.0 * hips.mean(axis=0) - heads[[bone_of["left_knee"], bone_of["right_knee"]]].mean(axis=0)
    body = top - hips.mean(axis=0)
    if np.linalg.norm(body) < 1e-9 or np.linalg.norm(left) < 1e-9:
        raise RigError("The armature's rest pose has neither height nor width: check its rest pose.")

    own_axes = rig.world[:3, :3].T / np.linalg.norm(rig.world[:3, :3], axis=0)[:, None]
    axes = np.vstack([np.eye(3), -np.eye(3), own_axes, -own_axes])
    up = axes[2]
    if cosine(up, body) < np.sqrt(0.5):
        up = axes[6 + np.argmax(axes[6:] @ body)]
    left = left - up * np.dot(left, up)
    size = np.linalg.norm(left)
    if size < 1e-9:
        raise RigError("The armature's hips lie above one another: check its rest pose.")
    left = left / size
    candidates = axes - (axes @ up)[:, None] * up
    sizes = np.linalg.norm(candidates, axis=-1)
    candidates = candidates[sizes > 0.99] / sizes[sizes > 0.99, None]
    if len(candidates):
        nearest = candidates[np.argmax(candidates @ left)]
        if np.dot(nearest, left) > np.cos(np.radians(10.0)):
            left = nearest
    return rot.from_matrix(np.column_stack([left, np.cross(up, left), up]))


def dance_frame(linear: Array, to_world: Array) -> tuple[Array, Array]:
    """The dance frame in armature space (4,), and the stretch (3, 3), of determinant 1, with which it is shown.

    ``linear``: (3, 3) armature space to the world. By the polar decomposition of what leads from the shown
    dance frame to armature space, so that the stretch turns nothing.
    """
    seen = rot.to_matrix(to_world).T @ linear
    u, _, vt = np.linalg.svd(np.linalg.inv(seen))
    frame = u @ vt
    return rot.from_matrix(frame), seen @ frame / np.cbrt(np.linalg.det(linear))


def leg_length(bone_of: Bones, stance: Array, stance_tails: Array) -> float:
    """From hip over knee to ankle, the mean of both sides; ``stance``, ``stance_tails``: (J, 3)."""
    length = 0.0
    for side in ("left", "right"):
        hip, knee = (stance[bone_of[f"{side}_{joint}"]] for joint in ("hip", "knee"))
        ankle_bone = bone_of.get(f"{side}_ankle")
        ankle = stance_tails[bone_of[f"{side}_knee"]] if ankle_bone is None else stance[ankle_bone]
        length += (float(np.linalg.norm(knee - hip)) + float(np.linalg.norm(ankle - knee))) / 2.0
    if length < 1e-9:
        raise RigError("The armature's legs have no length: check its rest pose.")
    return length


def floor_height(bone_of: Bones, stance: Array, stance_tails: Array, scale: float) -> float:
    """Height, along the frame's up, of the plane that the rest pose stands on.

    Characters are made with the armature's origin on the floor; where the feet are nowhere near
    it, the floor is as far below the toes as SMPL's. ``stance``, ``stance_tails``: (J, 3) heads and tails;
    ``scale``: armature units per metre of the dancer.
    """
    lowest = [
        (float(stance[bone_of[joint], 2]), height * scale)
        for part, height in (("foot", FOOT_HEIGHT), ("ankle", ANKLE_HEIGHT))
        for joint in sides(part)
        if joint in bone_of
    ]
    if not lowest:
        lowest = [(float(stance_tails[[bone_of[joint] for joint in sides("knee")], 2].min()), ANKLE_HEIGHT * scale)]
    height, sole = min(lowest)
    leg = scale * SMPL.leg_length
    return 0.0 if -0.02 * leg <= height <= 0.15 * leg else height - sole


def sides(*parts: str) -> list[str]:
    """The joints of these parts on both sides, left first."""
    return [f"{side}_{part}" for part in parts for side in ("left", "right")]


def cosine(a: Array, b: Array) -> float:
    """The cosine of the angle between two vectors (3,)."""
    return float(np.dot(a, b) / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))
