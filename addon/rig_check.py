"""What on an armature would spoil its dance or fight with the keys: said, never changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import bpy
import numpy as np

from ..retarget import rotations as rot
from ..retarget.bone_maps import BoneMap
from ..retarget.fit import Fit
from ..retarget.rig import Rig
from .fcurves import playing_curves, strays, track_curves
from .keys import rotation_property, strays_from_rest

_WHOLE = ("location", "rotation_euler", "rotation_quaternion", "rotation_axis_angle", "scale")
_STILL = 1e-5
_UPRIGHT = np.cos(np.radians(30.0))


def notices(armature: bpy.types.Object, bone_map: BoneMap, frames: tuple[int, int] | None = None) -> tuple[str, ...]:
    """A sentence for each thing that keeps the dance's keys from showing as they are; none where all is well.

    ``frames``: the dance's first and last, where only what happens then counts.
    """
    found: list[str] = []
    if armature.data.pose_position == "REST":
        found.append(f"{armature.name} shows its rest position: switch it to Pose Position to see it dance.")
    found += _hidden(armature)
    found += _summed(
        list(_constraints(armature, bone_map)),
        "The bone {} has a constraint that works against the dance: mute it.",
        "{} bones have constraints that work against the dance, e.g. {}: mute them.",
    )
    found += _summed(
        list(_driven(armature, bone_map)),
        "The bone {} is driven, so its keys don't show: mute the driver.",
        "{} bones are driven, so their keys don't show, e.g. {}: mute the drivers.",
    )
    found += _summed(
        list(_locked(armature, bone_map)),
        "The bone {} has locked channels and dances only as far as the others let it.",
        "{} bones have locked channels and dance only as far as the others let them, e.g. {}.",
    )
    found += _summed(
        list(_muted(armature, bone_map)),
        "The action's curves of the bone {} are muted: unmute them to see it dance.",
        "The action's curves of {} bones are muted, e.g. {}: unmute them to see all of the dance.",
    )
    return tuple(found + _tracks(armature) + _carriers(armature, bone_map, frames))


def lying(armature: bpy.types.Object, rig: Rig, bone_map: BoneMap) -> tuple[str, ...]:
    """A sentence where the armature, read as ``rig``, does not stand at rest; none where it does."""
    up = rot.rotate(Fit(rig, bone_map).to_world, [0.0, 0.0, 1.0])
    if up[2] > _UPRIGHT:
        return ()
    return (f"{armature.name} does not stand upright at rest, so it dances lying: turn the object, then dance again.",)


def strip_notices(armature: bpy.types.Object) -> tuple[str, ...]:
    """The same for a dance that is the topmost NLA strip."""
    data = armature.animation_data
    found = []
    if data.action is not None:
        found.append(
            f"The action {data.action.name} plays over the dance's NLA strip: push it down or unlink it to see the"
            " dance."
        )
    if not data.use_nla:
        found.append(f"The NLA of {armature.name} is switched off: switch it on to see the dance.")
    return tuple(found)


def _summed(named: Sequence[str], one: str, many: str) -> list[str]:
    if not named:
        return []
    return [one.format(named[0]) if len(named) == 1 else many.format(len(named), named[0])]


def _hidden(armature: bpy.types.Object) -> list[str]:
    if any(ob.visible_get() for ob in (armature, *armature.children_recursive)):
        return []
    return [f"{armature.name} is hidden in this view layer, and so are its meshes: show them to see the dance."]


def _dancing(armature: bpy.types.Object, bone_map: BoneMap) -> dict[str, bpy.types.PoseBone]:
    """The mapped bones that there are."""
    return {name: armature.pose.bones[name] for name in bone_map.bones if name in armature.pose.bones}


def _moving(armature: bpy.types.Object, bone_map: BoneMap) -> set[str]:
    """The mapped bones and all above them.

    Of a control rig, which has switches or bones that really follow others than their parents, the mapped
    bones alone: the constraints between them are how it works, and the map knows of them.
    """
    dancing = _dancing(armature, bone_map)
    if bone_map.switches or bone_map.parents:
        return set(dancing)
    return {link.name for bone in dancing.values() for link in (bone, *bone.parent_recursive)}


def _constraints(armature: bpy.types.Object, bone_map: BoneMap) -> Iterator[str]:
    """ "bone (constraint)" for each bone that moves the dance or is moved by it, with a constraint in force."""
    moving = _moving(armature, bone_map)
    for bone in armature.pose.bones:
        for constraint in bone.constraints:
            if constraint.mute or constraint.influence <= 0.0 or not constraint.is_valid or not _has_target(constraint):
                continue
            if moving.intersection(_constrained(bone, constraint)):
                yield f"{bone.name} ({constraint.name})"
                break


def _has_target(constraint: bpy.types.Constraint) -> bool:
    """False for a constraint that does nothing for want of a target."""
    if constraint.type == "ARMATURE":
        return any(part.target is not None for part in constraint.targets)
    return not hasattr(constraint, "target") or constraint.target is not None


def _constrained(bone: bpy.types.PoseBone, constraint: bpy.types.Constraint) -> list[str]:
    """The bones that the constraint moves: the bone itself, for chains of inverse kinematics those above as well."""
    if constraint.type not in ("IK", "SPLINE_IK"):
        return [bone.name]
    chain = [bone, *bone.parent_recursive]
    if constraint.type == "IK" and not constraint.use_tail:
        chain = chain[1:]
    return [link.name for link in chain[: constraint.chain_count or None]]


def _driven(armature: bpy.types.Object, bone_map: BoneMap) -> Iterator[str]:
    data = armature.animation_data
    if data is None:
        return
    paths = {driver.data_path for driver in data.drivers if not driver.mute}
    for name, bone in _dancing(armature, bone_map).items():
        if paths.intersection(_paths(bone, located=bone_map.bones[name] == "pelvis")):
            yield name
    for switch in bone_map.switches:
        owner = armature.pose.bones.get(switch.bone)
        if owner and f'{owner.path_from_id()}["{bpy.utils.escape_identifier(switch.name)}"]' in paths:
            yield f"{switch.bone} ({switch.name})"


def _paths(bone: bpy.types.PoseBone, *, located: bool) -> set[str]:
    """Data paths of what a dance keys of the bone."""
    names = [rotation_property(bone.rotation_mode), *(["location"] if located else [])]
    return {bone.path_from_id(name) for name in names}


def _locked(armature: bpy.types.Object, bone_map: BoneMap) -> Iterator[str]:
    for name, bone in _dancing(armature, bone_map).items():
        if any(bone.lock_rotation) or (bone_map.bones[name] == "pelvis" and any(bone.lock_location)):
            yield name


def _muted(armature: bpy.types.Object, bone_map: BoneMap) -> Iterator[str]:
    muted = {curve.data_path for curve in playing_curves(armature) if curve.mute}
    for name, bone in _dancing(armature, bone_map).items():
        if muted.intersection(_paths(bone, located=bone_map.bones[name] == "pelvis")):
            yield name


def _tracks(armature: bpy.types.Object) -> list[str]:
    """What of the NLA hides an action."""
    data = armature.animation_data
    if data is None or not data.use_nla:
        return []
    found = [
        f"The NLA track {track.name} plays alone and hides all else: click its star off to see the dance."
        for track in data.nla_tracks
        if track.is_solo
    ]
    plays_below = any(not track.mute and len(track.strips) for track in data.nla_tracks)
    if plays_below and data.action is not None and (data.action_blend_type != "REPLACE" or data.action_influence < 1.0):
        found.append(
            f"The action of {armature.name} is mixed with its NLA tracks: set it to Replace with influence 1 to see"
            " the dance as it is."
        )
    return found


def _carriers(armature: bpy.types.Object, bone_map: BoneMap, frames: tuple[int, int] | None) -> list[str]:
    """What moves the dancer as a whole, planted feet and all."""
    slides = f"{armature.name} as a whole, so its feet will slide"
    above = _above(armature, bone_map)
    tracks = [
        track.name
        for track, strip, curve in track_curves(armature)
        if (_moves_object(curve) and _plays(strip, frames))
        or (curve.data_path.rpartition(".")[0] in above and strays_from_rest(curve))
    ]
    found = [f"The NLA track {name} moves {slides}: mute it." for name in dict.fromkeys(tracks)]
    if any(_moves_object(curve) for curve in playing_curves(armature)):
        found.append(f"The action {armature.animation_data.action.name} moves {slides}: mute its curves of the object.")
    for constraint in armature.constraints:
        target = getattr(constraint, "target", None)
        if not constraint.mute and constraint.influence > 0.0 and target is not None and _may_move(target):
            found.append(
                f"The constraint {constraint.name} has {armature.name} follow {target.name}, so its feet will slide"
                " where that moves: mute it."
            )
    return found


def _above(armature: bpy.types.Object, bone_map: BoneMap) -> set[str]:
    """Data paths of the bones above the dancing ones."""
    dancing = _dancing(armature, bone_map)
    above = {link.name: link for bone in dancing.values() for link in bone.parent_recursive}
    return {bone.path_from_id() for name, bone in above.items() if name not in dancing}


def _plays(strip: bpy.types.NlaStrip, frames: tuple[int, int] | None) -> bool:
    """Whether the strip has some of these frames; always where they are None."""
    return frames is None or bool(strip.frame_start <= frames[1] and strip.frame_end >= frames[0])


def _moves_object(curve: bpy.types.FCurve) -> bool:
    """Whether the curve moves the object itself."""
    if curve.data_path.removeprefix("delta_") not in _WHOLE or not len(curve.keyframe_points):
        return False
    return strays(curve, curve.keyframe_points[0].co.y, _STILL)


def _may_move(ob: bpy.types.Object) -> bool:
    """Whether something animates the object, or what it hangs from."""
    data = ob.animation_data
    if data is not None and (data.action is not None or len(data.nla_tracks) or len(data.drivers)):
        return True
    return len(ob.constraints) > 0 or (ob.parent is not None and _may_move(ob.parent))
