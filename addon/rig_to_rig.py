"""From rig to rig: the motion that any armature of the file shows, and its actions on another armature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import bpy
import numpy as np

from ..retarget.bone_maps import BoneMap, check_map
from ..retarget.capture import capture_poses
from ..retarget.channels import to_rotations
from ..retarget.errors import MotionError, RigError, StepsmithError
from ..retarget.motion import Motion
from ..retarget.rig import Rig
from ..retarget.rotations import Array, to_matrix
from .armature import chosen_map, read_rig
from .fcurves import playing_curves
from .keys import check_animatable, check_readable, rotation_property
from .scene import DanceResult, Options, apply_motion, contacts_of
from .timeline import scene_fps

# Frames more than these are no action but a mistake; they would take gigabytes.
_MOST_FRAMES = 200_000
_TURNS = ("rotation_quaternion", "rotation_axis_angle", "rotation_euler")
_EVERY_KEY = Options()


@dataclass
class Batch:
    """What ``retarget_actions`` made: results by the source's action name, and what went wrong, by it too."""

    results: dict[str, DanceResult] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def told(self) -> list[str]:
        """All sentences that the user should see of the results, each once."""
        return list(dict.fromkeys(text for result in self.results.values() for text in result.told))


def read_motion(
    context: bpy.types.Context,
    armature: bpy.types.Object,
    *,
    action: bpy.types.Action | None = None,
    frame_range: tuple[int, int] | None = None,
    bone_map: BoneMap | None = None,
) -> Motion:
    """The motion that ``armature`` shows in the scene, a pose for each frame, at the scene's frame rate.

    ``action``: played alone for this; without it, all that moves the armature now counts. ``frame_range``:
    first and last frame; without it, the action's, or the scene's where no action says. ``bone_map``: the
    one the user edited, or else the one found, where None. The file stays as it was. Of a dance made here the
    contacts are its own.
    Raises StepsmithError where the armature is no body, does not move, or the range is empty.
    """
    scene = context.scene
    check_readable(armature)
    if armature not in context.view_layer.objects.values():
        raise RigError(f"{armature.name} is not in the view layer: show it in the scene to read its motion.")
    with _playing(context, armature, action):
        first, last = frame_range or _frames(scene, armature, action)
        if not 0 <= last - first < _MOST_FRAMES:
            raise MotionError(
                f"Frames {first} to {last} are no range to read: give at least one frame, at most {_MOST_FRAMES}."
            )
        scene.frame_set(first)
        context.view_layer.update()
        rig = read_rig(armature)
        found = bone_map or chosen_map(armature, rig)
        if bone_map is not None:
            check_map(rig, bone_map)
        mapped = [name for name in rig.names if name in found.bones]
        frames = np.arange(float(first), last + 1)
        if _is_plain(armature, mapped):
            poses, worlds = _from_curves(armature, rig, mapped, frames), None
        else:
            poses, worlds = _from_frames(context, armature, mapped, frames)
        motion = capture_poses(rig, found, poses, scene_fps(scene), worlds)
        known = _known_contacts(armature, frames)
        # Both, since somebody may have edited the dance.
        return motion if known is None else replace(motion, contacts=motion.contacts * known)


def _known_contacts(armature: bpy.types.Object, frames: Array) -> Array | None:
    """(T, 4) which feet stand, where all that the armature plays is a dance made here; else None.

    Feet in the air that hardly move are not told from such by their motion, and locking them would bend the legs.
    """
    data = armature.animation_data
    if data is None or data.action is None or (data.use_nla and len(data.nla_tracks)):
        return None
    return contacts_of(data.action, frames)


def retarget_action(
    context: bpy.types.Context,
    source: bpy.types.Object,
    target: bpy.types.Object,
    action: bpy.types.Action | None = None,
    *,
    options: Options = _EVERY_KEY,
    source_map: BoneMap | None = None,
    for_later: bool = False,
) -> DanceResult:
    """Have ``target`` do what ``source`` does, in an action or in all that moves it now, in the same frames.

    The keys go where ``options`` say; a new action is named after the target and the source's action.
    ``for_later`` is that of ``apply_motion``.
    Raises StepsmithError, with the scene as it was, where something is wrong.
    """
    if source == target:
        raise StepsmithError(f"{source.name} can't be its own source: choose two armatures.")
    check_animatable(target)
    motion = read_motion(context, source, action=action, bone_map=source_map)
    played = action or (source.animation_data and source.animation_data.action)
    first, _ = _frames(context.scene, source, action)
    name = f"{target.name} {played.name if played else source.name}"
    return apply_motion(context, target, motion, start_frame=first, name=name, options=options, for_later=for_later)


def retarget_actions(
    context: bpy.types.Context,
    source: bpy.types.Object,
    target: bpy.types.Object,
    actions: Sequence[bpy.types.Action],
    *,
    options: Options = _EVERY_KEY,
) -> Batch:
    """One new action on ``target`` for each of ``actions``; the target goes on playing what it played.

    The song and the beat markers of what it plays stay, and so do the scene's rate and range.
    An action that can't be retargeted does not stop the others.
    """
    check_animatable(target)
    batch = Batch()
    stood = _values(target, None)
    for action in actions:
        try:
            with _still_playing(target):
                result = retarget_action(
                    context, source, target, action, options=replace(options, into="action"), for_later=True
                )
            result.action.use_fake_user = True
            batch.results[action.name] = result
        except StepsmithError as error:
            batch.errors[action.name] = str(error)
    context.scene.frame_set(context.scene.frame_current, subframe=context.scene.frame_subframe)
    _put_back(stood)
    return batch


def actions_of(armature: bpy.types.Object) -> list[bpy.types.Action]:
    """The file's actions that move at least one of the armature's bones, by name."""
    return [action for action in bpy.data.actions if any(_moves(armature, curve) for curve in _all_curves(action))]


def _moves(armature: bpy.types.Object, curve: bpy.types.FCurve) -> bool:
    parts = curve.data_path.split('"')
    return parts[0] == "pose.bones[" and len(parts) > 2 and parts[1] in armature.pose.bones


def _all_curves(action: bpy.types.Action) -> Iterator[bpy.types.FCurve]:
    """The curves of all the action's slots; an action has none of its own from Blender 5.0 on."""
    if not hasattr(action, "slots"):
        yield from action.fcurves
        return
    for layer in action.layers:
        for strip in layer.strips:
            for bag in strip.channelbags:
                yield from bag.fcurves


def _frames(scene: bpy.types.Scene, armature: bpy.types.Object, action: bpy.types.Action | None) -> tuple[int, int]:
    """First and last frame of the action; of the one that plays, where no tracks play beside it; else the scene's."""
    data = armature.animation_data
    if action is None and data is not None and not (data.use_nla and len(data.nla_tracks)):
        action = data.action
    if action is None:
        return scene.frame_start, scene.frame_end
    first, last = action.frame_range
    return int(np.floor(first)), int(np.ceil(last))


# --- state -----------------------------------------------------------------------------------------------


@contextmanager
def _playing(context: bpy.types.Context, armature: bpy.types.Object, action: bpy.types.Action | None) -> Iterator[None]:
    """The armature plays ``action`` alone, or goes on as it is; then all is as before, the frame and the pose too."""
    scene = context.scene
    frame, part = scene.frame_current, scene.frame_subframe
    with ExitStack() as undo:
        # Undone last to first: the pose goes back after the frame, which would pose what is keyed.
        undo.callback(context.view_layer.update)
        undo.callback(_put_back, _values(armature, action))
        undo.callback(lambda: scene.frame_set(frame, subframe=part))
        if action is not None:
            if armature.animation_data is None:
                armature.animation_data_create()
                undo.callback(armature.animation_data_clear)
            else:
                undo.enter_context(_still_playing(armature))
            data = armature.animation_data
            undo.callback(setattr, data, "use_nla", data.use_nla)
            data.use_nla = False
            data.action = action
            if hasattr(data, "action_slot") and data.action_slot is None and len(data.action_suitable_slots):
                data.action_slot = data.action_suitable_slots[0]
            if not any(_moves(armature, curve) for curve in playing_curves(armature)):
                raise MotionError(f"The action {action.name} moves no bone of {armature.name}: choose another one.")
        yield


@contextmanager
def _still_playing(armature: bpy.types.Object) -> Iterator[None]:
    """Afterwards the armature plays the action, and slot, that it plays now."""
    data = armature.animation_data
    action = None if data is None else data.action
    slot = getattr(data, "action_slot", None)
    try:
        yield
    finally:
        data = armature.animation_data
        if data is not None and (data.action != action or getattr(data, "action_slot", None) != slot):
            data.action = action
            if slot is not None:
                data.action_slot = slot


def _values(armature: bpy.types.Object, action: bpy.types.Action | None) -> list[tuple[Any, str, Any]]:
    """(owner, property, value) of all that evaluation may leave changed: transforms, and what curves move."""
    saved = [_transform(armature)] + [_transform(bone) for bone in armature.pose.bones]
    values = [value for part in saved for value in part]
    curves = playing_curves(armature) + ([] if action is None else list(_all_curves(action)))
    for path in {curve.data_path for curve in curves}:
        owner_path, _, name = path.rpartition("[" if path.endswith('"]') else ".")
        if name in ("location", "scale", *_TURNS):
            continue
        try:
            owner = armature.path_resolve(owner_path) if owner_path else armature
            name = f"[{name}" if path.endswith('"]') else name
            value = owner.path_resolve(name)
        except ValueError:  # the curve moves nothing that is there
            continue
        values.append((owner, name, value[:] if hasattr(value, "__len__") and not isinstance(value, str) else value))
    return values


def _transform(owner: Any) -> list[tuple[Any, str, Any]]:
    return [(owner, name, tuple(getattr(owner, name))) for name in ("location", "scale", *_TURNS)]


def _put_back(values: list[tuple[Any, str, Any]]) -> None:
    for owner, name, value in values:
        if name.startswith("["):
            owner[name[2:-2]] = value
        else:
            setattr(owner, name, value)


# --- poses -----------------------------------------------------------------------------------------------


def _is_plain(armature: bpy.types.Object, mapped: Sequence[str]) -> bool:
    """Whether the curves of its action alone say how the mapped bones stand."""
    data = armature.animation_data
    if data is None or data.action is None or (data.use_nla and len(data.nla_tracks)) or len(data.drivers):
        return False
    if armature.parent is not None or len(armature.constraints) or armature.data.pose_position != "POSE":
        return False
    if data.action_influence != 1.0 or data.action_blend_type != "REPLACE":
        return False
    if any(not curve.data_path.startswith("pose.bones[") for curve in playing_curves(armature)):
        return False
    if armature.data.animation_data is not None:
        return False
    return not any(_is_special(armature.pose.bones[name]) for name in _with_parents(armature, mapped))


def _is_special(bone: bpy.types.PoseBone) -> bool:
    rest = bone.bone
    follows = rest.use_inherit_rotation and rest.use_local_location and rest.inherit_scale == "FULL"
    return len(bone.constraints) > 0 or not follows or (rest.use_connect and any(bone.location))


def _with_parents(armature: bpy.types.Object, mapped: Sequence[str]) -> dict[str, None]:
    """The bones and all above them, each after its parent."""
    chain: dict[str, None] = {}
    for name in mapped:
        bone = armature.pose.bones[name]
        chain |= dict.fromkeys([*(parent.name for parent in reversed(bone.parent_recursive)), name])
    return chain


def _from_curves(armature: bpy.types.Object, rig: Rig, mapped: Sequence[str], frames: Array) -> Array:
    """(T, B, 4, 4) what ``_from_frames`` sees of a plain armature, from the curves themselves."""
    curves = {(curve.data_path, curve.array_index): curve for curve in playing_curves(armature) if not curve.mute}
    posed: dict[str, Array] = {}
    for name in _with_parents(armature, mapped):
        bone = armature.pose.bones[name]
        path = bone.path_from_id()
        turn = rotation_property(bone.rotation_mode)
        basis = np.zeros((len(frames), 4, 4))
        basis[:, 3, 3] = 1.0
        if not bone.bone.use_connect:
            basis[:, :3, 3] = _channel(curves, f"{path}.location", bone.location, frames)
        values = _channel(curves, f"{path}.{turn}", getattr(bone, turn)[:], frames)
        scale = _channel(curves, f"{path}.scale", bone.scale, frames)
        basis[:, :3, :3] = to_matrix(to_rotations(values, bone.rotation_mode)) * scale[:, None, :]
        rest = rig.rest[rig.indices[name]]
        if bone.parent is None:
            posed[name] = rest @ basis
        else:
            step = np.linalg.inv(rig.rest[rig.indices[bone.parent.name]]) @ rest
            posed[name] = posed[bone.parent.name] @ (step @ basis)
    return np.stack([posed[name] for name in mapped], axis=1)


def _channel(curves: dict[tuple[str, int], bpy.types.FCurve], path: str, now: Sequence[float], frames: Array) -> Array:
    """(T, n) the values of a property, as they are now where no curve moves them."""
    values = np.tile(np.array(now, dtype=np.float64), (len(frames), 1))
    for index in range(values.shape[1]):
        curve = curves.get((path, index))
        if curve is not None and not curve.is_empty:
            values[:, index] = [curve.evaluate(frame) for frame in frames.tolist()]
    return values


def _from_frames(
    context: bpy.types.Context, armature: bpy.types.Object, mapped: Sequence[str], frames: Array
) -> tuple[Array, Array]:
    """Poses (T, B, 4, 4) and worlds (T, 4, 4) as Blender evaluates them, frame after frame."""
    poses = np.empty((len(frames), len(mapped), 4, 4), np.float32)
    worlds = np.empty((len(frames), 4, 4))
    manager = context.window_manager
    manager.progress_begin(0, len(frames))
    try:
        for k, frame in enumerate(frames.tolist()):
            context.scene.frame_set(int(frame))
            seen = armature.evaluated_get(context.evaluated_depsgraph_get())
            bones = seen.pose.bones
            poses[k] = [bones[name].matrix for name in mapped]
            worlds[k] = seen.matrix_world
            manager.progress_update(k)
    finally:
        manager.progress_end()
    return poses, worlds
