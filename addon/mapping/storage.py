"""Where an edited bone map is kept: properties of the armature object, saved with the file.

A place in the table (a *slot*) is a SMPL joint, or for spine and neck the place in their chain of bones,
from the bottom up. An armature whose map was never found or edited has none of them.

Library overrides can insert items into a collection of properties and change them, but neither remove a
linked one nor fill a group of properties that the library leaves empty. So there is an item for every
slot, used or not, and no group.
"""

from __future__ import annotations

import atexit
import json
from typing import Any

import bpy
from bpy.props import CollectionProperty, FloatProperty, StringProperty

from ...retarget.bone_maps import SPINE, BoneMap, Switch
from ...retarget.errors import RigError
from ...retarget.skeleton import SMPL_NAMES

# The properties: the slots, and the rest as JSON, which is empty where there is no map. Up to Blender 4.5
# they share their namespace with the object's custom properties.
SLOTS_KEY, FACTS_KEY = "stepsmith_map", "stepsmith_map_facts"

SPINE_SLOTS = tuple(f"spine_{place}" for place in range(1, 13))
NECK_SLOTS = tuple(f"neck_{place}" for place in range(1, 7))
_CHAINS = {SPINE_SLOTS: SPINE, NECK_SLOTS: ("neck",)}
# The joints that have one bone each, in SMPL's order.
JOINT_SLOTS = tuple(joint for joint in SMPL_NAMES if joint not in (*SPINE, "neck"))
SLOTS = (*JOINT_SLOTS, *SPINE_SLOTS, *NECK_SLOTS)

# From which score on a bone is sure, and from which on it is likely.
SURE, LIKELY = 0.8, 0.5

_OVERRIDABLE = {"LIBRARY_OVERRIDABLE"}


def _chosen(slot: StepsmithBone, _context: object) -> None:
    """A bone picked by hand is sure."""
    if has_map(slot.id_data):  # not while ``keep_map`` fills it
        slot.score = 1.0
        write_facts(slot.id_data, edited=True)


class StepsmithBone(bpy.types.PropertyGroup):
    """The slot ``name``: which bone is in it (empty: none), and how sure that is."""

    bone: StringProperty(
        name="Bone",
        description="The armature's bone that moves as this part of the dancer does. Empty: none",
        override=_OVERRIDABLE,
        update=_chosen,
    )
    score: FloatProperty(
        name="Confidence",
        description="How surely this is the right bone; 1 for one chosen by hand",
        default=1.0,
        min=0.0,
        max=1.0,
        override=_OVERRIDABLE,
    )


def map_of(armature: bpy.types.Object) -> BoneMap | None:
    """The bone map that was found or edited in the panel; None where that never happened.

    Bones that are in the map and no longer in the armature stay in it: ``check_map`` says so. A program
    without the interface, that opens a file of one with it, finds its maps too.
    """
    _need_storage()
    if not has_map(armature):
        return None
    slots, facts = slots_of(armature), read_facts(armature)
    order = {bone.name: place for place, bone in enumerate(armature.data.bones)}
    places = [(joint, slots[joint].bone) for joint in JOINT_SLOTS if slots[joint].bone]
    for names, joints in _CHAINS.items():
        chain = [slots[name].bone for name in names if slots[name].bone]
        places += _spread(sorted(chain, key=lambda bone: order.get(bone, len(order))), joints)
    bones: dict[str, str] = {}
    for joint, bone in sorted(places, key=lambda place: order.get(place[1], len(order))):
        if bone in bones:
            raise RigError(
                f"The bone “{bone}” is mapped to both {spoken(bones[bone])} and {spoken(joint)}: "
                "choose another one for either."
            )
        bones[bone] = joint
    scores = {slot.bone: slot.score for slot in slots if slot.bone}
    sure = sum(scores.values()) / max(len(scores), 1)
    return BoneMap(
        convention=facts["convention"],
        bones=bones,
        confidence=sure if facts["edited"] else facts["confidence"],
        missing=tuple(joint for joint in SMPL_NAMES if joint not in bones.values()),
        scores=scores,
        # A helper bone that was deleted since is no reason to lose the pose.
        pose={bone: tuple(turn) for bone, turn in facts["pose"].items() if bone in order},
        parents=facts["parents"],
        switches=tuple(Switch(*switch) for switch in facts["switches"]),
    )


def kept_map(armature: bpy.types.Object) -> BoneMap:
    """The map that was found or edited in the panel. Raises RigError where that never happened."""
    bone_map = map_of(armature)
    if bone_map is None:
        raise RigError(f"{armature.name} has no bone map: detect it first.")
    return bone_map


def has_map(armature: bpy.types.Object) -> bool:
    """Whether a map is kept on the armature."""
    return bool(getattr(armature, FACTS_KEY, ""))


def keep_map(armature: bpy.types.Object, bone_map: BoneMap, *, edited: bool = False) -> None:
    """Keep ``bone_map`` on the armature, in place of the one that was there.

    ``edited``: by hand, so that its confidence is that of its bones. Raises RigError, with the armature
    as it was, where the table has no room for the map or Blender lets nobody change the object.
    """
    _need_storage()
    check_editable(armature)
    places = _places(bone_map)
    slots = slots_of(armature)
    before = read_facts(armature)["before"] if has_map(armature) else None
    setattr(armature, FACTS_KEY, "")
    for name in SLOTS:
        slot = slots[name] if name in slots else slots.add()
        slot.name = name
        slot.bone = places.get(name, "")
        slot.score = bone_map.scores.get(slot.bone, 1.0)
    facts = {
        "convention": bone_map.convention,
        "confidence": bone_map.confidence,
        "edited": edited,
        "pose": {bone: [float(part) for part in turn] for bone, turn in bone_map.pose.items()},
        "parents": dict(bone_map.parents),
        "switches": [[switch.bone, switch.name, switch.value] for switch in bone_map.switches],
        "before": before,
    }
    setattr(armature, FACTS_KEY, json.dumps(facts, ensure_ascii=False))


def clear_map(armature: bpy.types.Object) -> None:
    """Forget the map kept on the armature, and any trace of it."""
    check_editable(armature)
    if armature.override_library is None:
        armature.property_unset(SLOTS_KEY)
        armature.property_unset(FACTS_KEY)
    else:  # what the library's own file keeps can't be taken out here
        setattr(armature, FACTS_KEY, "")


def slots_of(armature: bpy.types.Object) -> Any:
    """The armature's slots, a collection by name; empty where it has no map."""
    return getattr(armature, SLOTS_KEY)


def read_facts(armature: bpy.types.Object) -> dict[str, Any]:
    """What is kept of a map besides its slots: convention, confidence, edited, pose, parents, switches, before.

    ``before``: how the armature was posed before its T pose was matched, None while it is not.
    """
    facts: dict[str, Any] = json.loads(getattr(armature, FACTS_KEY))
    return facts


def write_facts(armature: bpy.types.Object, **changes: Any) -> None:
    """Change some of ``read_facts``."""
    setattr(armature, FACTS_KEY, json.dumps({**read_facts(armature), **changes}, ensure_ascii=False))


def check_editable(armature: bpy.types.Object) -> None:
    """Raise RigError where Blender lets nobody change the armature's object."""
    if armature.library is not None:
        raise RigError(
            f"{armature.name} is linked from {armature.library.name}: make a library override of it to keep a "
            "bone map here, or edit its map in that file."
        )
    if armature.override_library is not None and armature.override_library.is_system_override:
        raise RigError(f"{armature.name} is an override that can't be edited: make it editable in the Outliner first.")


def _places(bone_map: BoneMap) -> dict[str, str]:
    """Slot to bone. Raises RigError where a slot would hold two bones, or a chain is too long."""
    places: dict[str, str] = {}
    chains: dict[tuple[str, ...], list[str]] = {slots: [] for slots in _CHAINS}
    for bone, joint in bone_map.bones.items():
        chain = next((slots for slots, joints in _CHAINS.items() if joint in joints), None)
        if chain is not None:
            chains[chain].append(bone)
        elif joint in places:
            raise RigError(f"Both “{places[joint]}” and “{bone}” are mapped to the {spoken(joint)}: keep one of them.")
        elif joint not in JOINT_SLOTS:
            raise RigError(f"The bone “{bone}” is mapped to “{joint}”, which is no part of the dancer.")
        else:
            places[joint] = bone
    for slots, bones in chains.items():
        if len(bones) > len(slots):
            raise RigError(f"{len(bones)} bones are mapped to the {spoken(slots[0])[:-2]}: map {len(slots)} at most.")
        places |= dict(zip(slots, bones, strict=False))
    return places


def _spread(bones: list[str], joints: tuple[str, ...]) -> list[tuple[str, str]]:
    """(joint, bone) for a chain of n bones on m joints: bone k of n follows joint ceil(k m / n)."""
    count = len(bones)
    return [(joints[-(-(place + 1) * len(joints) // count) - 1], bone) for place, bone in enumerate(bones)]


# What a bone is to its owner, where people say otherwise than the joint it begins at.
_PARTS = {
    "pelvis": "hips", "hip": "thigh", "knee": "shin", "ankle": "foot", "foot": "toes",
    "collar": "clavicle", "shoulder": "upper arm", "elbow": "forearm", "wrist": "hand", "hand": "fingers",
}  # fmt: skip


def spoken(slot: str) -> str:
    """The bone of a slot or joint as people say it.

    >>> spoken("left_hip"), spoken("spine_2"), spoken("pelvis")
    ('left thigh', 'spine 2', 'hips')
    """
    side, _, part = slot.rpartition("_")
    return " ".join(word for word in (side, _PARTS.get(part, part)) if word)


def _need_storage() -> None:
    """Have the properties in a program without the interface too, until it ends."""
    if not StepsmithBone.is_registered:
        register_storage()
        # Blender's module may crash at its end over classes that are still registered.
        atexit.register(unregister_storage)


def register_storage() -> None:
    """Let objects keep bone maps; again is harmless."""
    if not hasattr(bpy.types.Object, SLOTS_KEY):
        bpy.utils.register_class(StepsmithBone)
        slots = CollectionProperty(type=StepsmithBone, override={"LIBRARY_OVERRIDABLE", "USE_INSERTION"})
        setattr(bpy.types.Object, SLOTS_KEY, slots)
        setattr(bpy.types.Object, FACTS_KEY, StringProperty(options={"HIDDEN"}, override=_OVERRIDABLE))


def unregister_storage() -> None:
    """Take the properties out again, where they came from here; what files hold stays in them."""
    if StepsmithBone.is_registered:
        delattr(bpy.types.Object, SLOTS_KEY)
        delattr(bpy.types.Object, FACTS_KEY)
        bpy.utils.unregister_class(StepsmithBone)
