"""Poses an armature for the user to correct, and puts it back as it was. Nothing is keyed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import bpy
from mathutils import Quaternion

from ...retarget.bone_maps import BoneMap, Switch
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


def read_state(armature: bpy.types.Object, switches: Iterable[Switch] = ()) -> dict[str, Any]:
    """How the armature is posed, to put back with ``write_state``: its bones where not at rest, and ``switches``.

    In types that JSON knows, and no longer than it must be: it is kept with the armature.
    """
    bones = {}
    for bone in armature.pose.bones:
        moved = {name: list(getattr(bone, name)) for name in _CHANNELS}
        moved = {name: value for name, value in moved.items() if value != _CHANNELS[name]}
        if moved:
            bones[bone.name] = moved
    values = [[bone.name, switch.name, bone[switch.name]] for switch, bone in _present(armature, switches)]
    return {"bones": bones, "switches": values}


def write_state(armature: bpy.types.Object, state: Mapping[str, Any]) -> None:
    """Pose the armature as ``state`` says; bones that it does not name go to rest."""
    for bone in armature.pose.bones:
        own = state["bones"].get(bone.name, {})
        for name, rest in _CHANNELS.items():
            value = own.get(name, rest)
            if list(getattr(bone, name)) != value:
                setattr(bone, name, value)
    for name, switch, value in state["switches"]:
        if name in armature.pose.bones and switch in armature.pose.bones[name]:
            armature.pose.bones[name][switch] = value
    armature.update_tag()  # of switches Blender takes no notice


def show_pose(armature: bpy.types.Object, pose: Pose) -> None:
    """Turn the bones as in the first frame of ``pose``, each in its own rotation mode, and set its switches.

    All else goes to rest.
    """
    # A switch keeps the type it has: a whole number, a fraction, or yes and no.
    switches = [[s.bone, s.name, type(bone[s.name])(s.value)] for s, bone in _present(armature, pose.switches)]
    write_state(armature, {"bones": {}, "switches": switches})
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


def _present(armature: bpy.types.Object, switches: Iterable[Switch]) -> Iterator[tuple[Switch, bpy.types.PoseBone]]:
    """The switches that the armature has, each with its bone."""
    for switch in switches:
        bone = armature.pose.bones.get(switch.bone)
        if bone is not None and switch.name in bone:
            yield switch, bone
