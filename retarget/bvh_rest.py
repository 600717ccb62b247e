"""What body the skeleton of a BVH file is, and the pose that is its rest.

A file says where each joint lies in its parent's axes, and mostly that is a body at rest where nothing is rotated.
Conversions from other formats leave the joints' own axes in the angles: without rotations their skeletons
lie in a heap. Where it is known how those axes stand at rest, that tells the rest pose (``bvh_axes``); else the
frame in which the body stands best is its rest pose, and its heading the front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import rotations as rot
from .bone_maps import BoneMap, find_map
from .bvh_axes import known_axes
from .bvh_parse import Joint
from .errors import RigError
from .rig import Rig
from .rotations import Array
from .stance import cosine

# A skeleton known less surely than the first, or that stands less well than the second, may not be at rest.
_DOUBTFUL, _STANDING = 0.6, 0.8
# So many frames are then tried.
_TRIED = 9
_LIMBS = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))


@dataclass(frozen=True, eq=False)
class Body:
    """A skeleton at rest, and what its joints are.

    ``turned``: (J, 4) how far the joints are turned at rest, in the file's axes; ``above``: (J, 4) how far their
    parents are.
    """

    rig: Rig
    bone_map: BoneMap
    turned: Array
    above: Array

    def from_rest(self, positions: Array, rotations: Array) -> tuple[Array, Array]:
        """Local positions (T, J, 3) and rotations (T, J, 4) of the file, as they are from this rest pose on."""
        rotations = rot.multiply(rot.multiply(self.above, rotations), rot.conjugate(self.turned))
        return rot.rotate(self.above, positions), rotations


def find_body(joints: list[Joint], rotations: Array) -> Body:
    """The skeleton's body; ``rotations``: (T, J, 4) local to the parents.

    Raises RigError where it is none in any pose.
    """
    axes = known_axes(joints)
    if axes is not None:
        return _body(joints, axes, _above(joints, axes))
    lost: RigError | None = None
    found: list[tuple[tuple[bool, float, float], Body]] = []
    for frame in (None, *np.unique(np.linspace(0, len(rotations) - 1, _TRIED).astype(int))):
        still = np.tile(rot.IDENTITY, (len(joints), 1))
        turned, above = _in_world(joints, still if frame is None else rotations[frame])
        try:
            body = _body(joints, turned, above)
        except RigError as error:
            lost = lost or error
            continue
        bone_map, stands = body.bone_map, _stands(body.rig, body.bone_map)
        if frame is None and bone_map.confidence >= _DOUBTFUL and stands >= _STANDING:
            return body
        # Names tell better what is what than a pose does.
        found.append(((bone_map.convention != "structure", round(bone_map.confidence, 1), stands), body))
    if lost is not None and not found:
        raise lost
    return max(found, key=lambda rated: rated[0])[1]


def _body(joints: list[Joint], turned: Array, above: Array) -> Body:
    rig = _rig(joints, turned)
    return Body(rig, find_map(rig), turned, above)


def _stands(rig: Rig, bone_map: BoneMap) -> float:
    """-1 to 1: how straight the legs stand below the torso, and how alike both sides' limbs are, the worst of all."""
    heads = {joint: rig.heads[rig.indices[bone]] for bone, joint in bone_map.bones.items()}
    hips, shoulders = ([heads[f"{side}_{part}"] for side in ("left", "right")] for part in ("hip", "shoulder"))
    up = np.mean(shoulders, axis=0) - np.mean(hips, axis=0)
    across = hips[0] - hips[1]
    across = across / max(float(np.linalg.norm(across)), 1e-12)
    worst = 1.0
    for part, end in _LIMBS:
        ways = [
            heads[f"{side}_{end}"] - heads[f"{side}_{part}"] for side in ("left", "right") if f"{side}_{end}" in heads
        ]
        if len(ways) == 2:
            mirrored = ways[1] - 2.0 * np.dot(ways[1], across) * across
            worst = min(worst, cosine(ways[0], mirrored))
            if part == "hip":
                worst = min(worst, cosine(ways[0] + mirrored, -up))
    return worst


def _in_world(joints: list[Joint], rotations: Array) -> tuple[Array, Array]:
    """(J, 4) how one frame's rotations (J, 4) turn the joints in all, and (J, 4) their parents."""
    turned = np.array(rotations)
    for k, joint in enumerate(joints):
        if joint.parent >= 0:
            turned[k] = rot.multiply(turned[joint.parent], rotations[k])
    return turned, _above(joints, turned)


def _above(joints: list[Joint], turned: Array) -> Array:
    """(J, 4) how the parents of joints ``turned`` (J, 4) are."""
    above = [rot.IDENTITY if joint.parent < 0 else turned[joint.parent] for joint in joints]
    return np.array(above)


def _rig(joints: list[Joint], turned: Array) -> Rig:
    """The skeleton, its joints ``turned`` (J, 4), as an armature: every bone points to its first child or end."""
    heads = np.zeros((len(joints), 3))
    for k, joint in enumerate(joints):
        offset = np.array(joint.offset)
        heads[k] = offset if joint.parent < 0 else heads[joint.parent] + rot.rotate(turned[joint.parent], offset)
    size = float(np.ptp(heads, axis=0).max())
    rest, lengths = np.tile(np.eye(4), (len(joints), 1, 1)), np.empty(len(joints))
    for k, joint in enumerate(joints):
        child = next((c for c, other in enumerate(joints) if other.parent == k), None)
        along = rot.rotate(turned[k], np.array(joint.end or joint.offset)) if child is None else heads[child] - heads[k]
        length = float(np.linalg.norm(along))
        # Mocap skeletons have joints on top of one another; Blender's bones have a length.
        if length < 1e-6 * size or length == 0.0:
            along, length = np.array([0.0, 1.0, 0.0]), max(1e-3 * size, 1e-9)
        rest[k, :3, :3] = rot.to_matrix(rot.between([0.0, 1.0, 0.0], along))
        rest[k, :3, 3] = heads[k]
        lengths[k] = length
    return Rig(tuple(j.name for j in joints), tuple(j.parent for j in joints), rest, lengths)
