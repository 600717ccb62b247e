"""What on an armature would spoil its dance or fight with the keys: said before, changed never."""

from __future__ import annotations

import bpy

from ..retarget.bone_maps import BoneMap


def notices(armature: bpy.types.Object, bone_map: BoneMap) -> tuple[str, ...]:
    """A sentence for each thing that would keep the dance's keys from showing as they are; none where all is well."""
    found = []
    if armature.data.pose_position == "REST":
        found.append(f"{armature.name} shows its rest position: switch it to Pose Position to see it dance.")
    return tuple(found)
