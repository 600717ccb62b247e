"""Whether a bone map can be danced on a rig."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import RigError
from ..rig import Rig
from ..skeleton import SMPL_NAMES, SMPL_PARENTS
from .bone_map import BoneMap
from .far_ends import is_far_end

# Without these there is no dance; all else a rig may lack.
REQUIRED = (
    "pelvis", "left_hip", "right_hip", "left_knee", "right_knee",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
)  # fmt: skip
SPINE = ("spine1", "spine2", "spine3")
# Joints that a chain of several bones may follow.
_CHAINED = (*SPINE, "neck")


def check_map(rig: Rig, bone_map: BoneMap) -> None:
    """Raises RigError where the map does not suit the rig.

    That is: bones or joints that do not exist, two bones for one joint (but for spine and neck), a bone
    that follows itself, a required joint without a bone, or bones that don't hang together as a body.
    """
    for bone in (*bone_map.bones, *bone_map.parents, *bone_map.parents.values(), *bone_map.pose):
        if bone not in rig.indices:
            raise RigError(f"The armature has no bone “{bone}”: choose another one for it in the bone map.")
    seen: dict[str, str] = {}
    for bone, joint in bone_map.bones.items():
        if joint not in SMPL_NAMES:
            raise RigError(f"The bone map names “{joint}”, which is no part of the body: choose one that is.")
        if joint in seen and joint not in _CHAINED:
            raise RigError(
                f"The bones “{seen[joint]}” and “{bone}” are both mapped to the {spoken(joint)}: choose one of them."
            )
        seen[joint] = bone
    lost = [joint for joint in REQUIRED if joint not in seen]
    if lost:
        raise RigError(f"The bone map names no {spoken(lost[0])}: choose a bone for it.")
    parents = effective_parents(rig, bone_map.parents)
    stray = next(iter(strays(rig, bone_map.bones, parents)), None)
    if stray:
        bone, above = stray
        raise RigError(
            f"The bone “{bone}” does not hang below “{above}”: parent it there, or choose another bone for the "
            f"{spoken(bone_map.bones[bone])}."
        )


def effective_parents(rig: Rig, parents: Mapping[str, str]) -> tuple[int, ...]:
    """J indices of the bones that the rig's bones follow, -1 for none.

    ``parents``: bone to the bone that it follows instead of its own parent. Raises RigError where a bone
    follows itself.
    """
    changed = list(rig.parents)
    for bone, parent in parents.items():
        changed[rig.indices[bone]] = rig.indices[parent]
    for bone in parents:
        at, steps = rig.indices[bone], 0
        while at >= 0:
            at, steps = changed[at], steps + 1
            if steps > len(changed):
                raise RigError(
                    f"The bone “{bone}” follows itself in the bone map: choose another bone for it to follow."
                )
    return tuple(changed)


def strays(rig: Rig, bones: Mapping[str, str], parents: tuple[int, ...]) -> list[tuple[str, str]]:
    """(bone, the bone it should hang below) where a bone's chain is not its joint's.

    ``parents``: J indices, as ``effective_parents`` gives them. Legs that hang from nothing are let pass, some
    motion capture has such bodies; and so are feet and hands that hang elsewhere but lie at their limbs' ends.
    """
    first: dict[str, str] = {}
    for bone, joint in bones.items():
        first.setdefault(joint, bone)
    found = []
    for bone, joint in bones.items():
        if bone != first[joint]:
            continue
        parent = SMPL_PARENTS[SMPL_NAMES.index(joint)]
        while parent >= 0 and SMPL_NAMES[parent] not in first:
            parent = SMPL_PARENTS[parent]
        if parent < 0:
            continue
        wanted, at = rig.indices[first[SMPL_NAMES[parent]]], parents[rig.indices[bone]]
        while at >= 0 and at != wanted:
            at = parents[at]
        free = joint.endswith("_hip") and _hangs_free(rig.indices[bone], parents, bones, rig)
        if at < 0 and not free and not is_far_end(rig, bones, joint):
            found.append((bone, rig.names[wanted]))
    return found


def _hangs_free(bone: int, parents: tuple[int, ...], bones: Mapping[str, str], rig: Rig) -> bool:
    """Whether nothing above ``bone`` is in the map, nor bears anything that is but what is below ``bone``."""
    top = bone
    while parents[top] >= 0:
        top = parents[top]
    for name in bones:
        at = rig.indices[name]
        chain = {at}
        while parents[at] >= 0:
            at = parents[at]
            chain.add(at)
        if at == top and bone not in chain:
            return False
    return True


def spoken(joint: str) -> str:
    """A joint's name in a sentence."""
    return joint.replace("_", " ")
