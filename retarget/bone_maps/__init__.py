"""Which bone of a rig plays which joint of SMPL: ``find_map`` tries every known naming convention."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import RigError
from ..rig import Rig
from ..skeleton import SMPL_NAMES, SMPL_PARENTS
from .bone_map import BoneMap, Switch
from .convention import Convention
from .mixamo import MIXAMO_CONVENTION
from .poser import POSER_CONVENTION
from .smpl import SMPL_CONVENTION

__all__ = ["CONVENTIONS", "REQUIRED", "SPINE", "BoneMap", "Switch", "find_map", "map_by_names"]

CONVENTIONS: tuple[Convention, ...] = (SMPL_CONVENTION, MIXAMO_CONVENTION, POSER_CONVENTION)

# Without these there is no dance; all else a rig may lack.
REQUIRED = (
    "pelvis", "left_hip", "right_hip", "left_knee", "right_knee",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
)  # fmt: skip
SPINE = ("spine1", "spine2", "spine3")
# Joints that count towards the confidence; few rigs have bones for SMPL's hands.
_SCORED = tuple(joint for joint in SMPL_NAMES if joint not in ("left_hand", "right_hand"))


def find_map(rig: Rig) -> BoneMap:
    """The bone map of the best fitting convention.

    Raises RigError where no convention finds hips, knees, shoulders and elbows of both sides, or where
    the bones found don't hang together as a body.
    """
    best = max((map_by_names(rig, convention) for convention in CONVENTIONS), key=lambda m: m.confidence)
    lost = [joint for joint in REQUIRED if joint in best.missing]
    if lost:
        named = ", ".join(joint.replace("_", " ") for joint in lost[:3]) + (" and more" if len(lost) > 3 else "")
        *others, last = (convention.name for convention in CONVENTIONS)
        known = f"{', '.join(others)} or {last}"
        raise RigError(
            f"No bone of this armature is known as {named}: choose a two-legged character, or give its bones "
            f"{known} names."
        )
    strays = _strays(rig, best.bones)
    if strays:
        bone, parent = strays[0]
        raise RigError(
            f"The bone “{bone}” does not hang below “{parent}”: parent it there, or choose another armature."
        )
    return best


def map_by_names(rig: Rig, convention: Convention) -> BoneMap:
    """The bones of ``rig`` that ``convention`` knows; the result may lack any joint."""
    by_name: dict[str, str] = {}
    for name in rig.names:
        by_name.setdefault(convention.plain(name), name)
    found = {
        by_name[name]: joint
        for joint, names in convention.joints.items()
        for name in [next((n for n in names if n in by_name), None)]
        if name is not None
    }
    found |= _shared([by_name[n] for n in convention.spine if n in by_name], SPINE)
    found |= _shared([by_name[n] for n in convention.neck if n in by_name], ("neck",))
    bones = {name: found[name] for name in rig.names if name in found}
    missing = tuple(joint for joint in SMPL_NAMES if joint not in bones.values())
    share = sum(joint not in missing for joint in _SCORED) / len(_SCORED)
    sound = 1.0 - len(_strays(rig, bones)) / max(len(bones), 1)
    return BoneMap(convention.name, bones, share * sound, missing)


def _shared(bones: list[str], joints: tuple[str, ...]) -> dict[str, str]:
    """A chain of n bones on a chain of m joints: bone k of n follows joint ceil(k m / n)."""
    count = len(bones)
    return {bone: joints[-(-(k + 1) * len(joints) // count) - 1] for k, bone in enumerate(bones)}


def _strays(rig: Rig, bones: Mapping[str, str]) -> list[tuple[str, str]]:
    """(bone, the bone it should hang below) where a bone's chain is not its joint's."""
    first: dict[str, str] = {}
    for bone, joint in bones.items():
        first.setdefault(joint, bone)
    strays = []
    for bone, joint in bones.items():
        above = {rig.names[i] for i in rig.ancestors(rig.indices[bone])}
        parent = SMPL_PARENTS[SMPL_NAMES.index(joint)]
        while parent >= 0 and SMPL_NAMES[parent] not in first:
            parent = SMPL_PARENTS[parent]
        if parent >= 0 and first[SMPL_NAMES[parent]] not in above and bone != first[SMPL_NAMES[parent]]:
            strays.append((bone, first[SMPL_NAMES[parent]]))
    return strays
