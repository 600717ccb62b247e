"""An armature as numpy, and the bone map it dances by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import bpy
import numpy as np
from mathutils import Matrix

from ..retarget.bone_maps import BoneMap, check_map, find_map
from ..retarget.rig import Rig
from .keys import check_readable
from .mapping import map_of


def read_rig(armature: bpy.types.Object) -> Rig:
    """The armature as numpy, at rest and where it stands. Raises RigError where it can't be read."""
    check_readable(armature)
    bones = list(_parents_first(armature.data.bones))
    index = {bone.name: i for i, bone in enumerate(bones)}
    return Rig(
        names=tuple(index),
        parents=tuple(-1 if bone.parent is None else index[bone.parent.name] for bone in bones),
        rest=np.array([bone.matrix_local for bone in bones], dtype=np.float64).reshape(-1, 4, 4),
        lengths=np.array([bone.length for bone in bones], dtype=np.float64),
        world=np.array(world_of(armature, bpy.context.evaluated_depsgraph_get()), dtype=np.float64),
        rotation_modes=tuple(armature.pose.bones[bone.name].rotation_mode for bone in bones),
        connected=tuple(bone.use_connect for bone in bones),
        inherits_rotation=tuple(bone.use_inherit_rotation for bone in bones),
        deforms=tuple(bone.use_deform for bone in bones),
    )


def chosen_map(armature: bpy.types.Object, rig: Rig) -> BoneMap:
    """The bone map that the user edited, or else the one found. Raises RigError where it can't be danced."""
    edited = map_of(armature)
    if edited is None:
        return find_map(rig)
    check_map(rig, edited)
    return edited


def world_of(ob: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> Matrix:
    """Where the object stands; Blender itself knows it only of what is enabled in the view layer."""
    if ob.evaluated_get(depsgraph).is_evaluated:
        return ob.matrix_world
    if ob.parent is None:
        return ob.matrix_basis
    above = world_of(ob.parent, depsgraph)
    if ob.parent_type == "BONE" and ob.parent_bone in ob.parent.pose.bones:
        bone = ob.parent.pose.bones[ob.parent_bone]
        above = above @ bone.matrix @ Matrix.Translation((0.0, bone.length, 0.0))
    return above @ ob.matrix_parent_inverse @ ob.matrix_basis


def _parents_first(bones: Iterable[bpy.types.Bone]) -> Iterator[bpy.types.Bone]:
    waiting = [bone for bone in reversed(list(bones)) if bone.parent is None]
    while waiting:
        bone = waiting.pop()
        yield bone
        waiting.extend(reversed(bone.children))
