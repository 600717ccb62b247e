"""Poses an armature for the user to correct, and puts it back as it was. Nothing is keyed."""

from __future__ import annotations

import math
from typing import Any

import bpy
from mathutils import Quaternion

from ...retarget.bone_maps import BoneMap
from ...retarget.bone_maps.bone_map import Quaternion as Turn
from ...retarget.solve import Pose

# A pose bone's own transform, one value a rotation mode; with what Blender sets in a new armature.
_CHANNELS: dict[str, Any] = {
    "location": [0.0, 0.0, 0.0],
    "rotation_quaternion": [1.0, 0.0, 0.0, 0.0],
    "rotation_axis_angle": [0.0, 0.0, 1.0, 0.0],
    "rotation_euler": [0.0, 0.0, 0.0],
    "scale": [1.0, 1.0, 1.0],
}
_TURNED = 1e-4  # radians; rotations below are rounding


def read_channels(armature: bpy.types.Object) -> dict[str, dict[str, list[float]]]:
    """The bones' own transforms, those that are not at rest; to put back with ``write_channels``."""
    channels = {}
    for bone in armature.pose.bones:
        moved = {name: list(getattr(bone, name)) for name, rest in _CHANNELS.items()}
        moved = {name: value for name, value in moved.items() if value != _CHANNELS[name]}
        if moved:
            channels[bone.name] = moved
    return channels


def write_channels(armature: bpy.types.Object, channels: dict[str, dict[str, list[float]]]) -> None:
    """Put the bones' own transforms to these; all that is not in ``channels`` to rest."""
    for bone in armature.pose.bones:
        own = channels.get(bone.name, {})
        for name, rest in _CHANNELS.items():
            value = own.get(name, rest)
            if list(getattr(bone, name)) != value:
                setattr(bone, name, value)


def show_pose(armature: bpy.types.Object, pose: Pose) -> None:
    """Turn the bones as in the first frame of ``pose``, each in its own rotation mode; all else to rest."""
    write_channels(armature, {})
    for name, turn in zip(pose.bones, pose.rotations[0], strict=True):
        armature.pose.bones[name].matrix_basis = Quaternion(turn.tolist()).to_matrix().to_4x4()


def read_pose(armature: bpy.types.Object, bone_map: BoneMap) -> dict[str, Turn]:
    """Basis rotations (w, x, y, z) of the mapped bones, and of all others that are turned."""
    pose: dict[str, Turn] = {}
    for bone in armature.pose.bones:
        turn = bone.matrix_basis.to_quaternion().normalized()
        if bone.name in bone_map.bones or turn.to_axis_angle()[1] % math.tau > _TURNED:
            pose[bone.name] = (turn.w, turn.x, turn.y, turn.z)
    return pose
