"""A Pose as keys: a few array copies a curve, the same on every Blender from 4.2 on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import bpy
import numpy as np

from ..retarget import rotations as rot
from ..retarget.channels import to_free_values, to_rotations, to_values
from ..retarget.errors import RigError, StepsmithError
from ..retarget.reduce import LOCATION, Reduction, Track
from ..retarget.rotations import Array
from .fcurves import (
    CONSTANT,
    Keys,
    between,
    bezier_keys,
    constant_keys,
    linear_keys,
    new_curve,
    playing_curves,
    splice,
    strays,
    track_curves,
    write_keys,
)

if TYPE_CHECKING:
    from ..retarget.solve import Pose

Into = Literal["action", "slot", "nla", "blend"]
Reduce = Callable[[Sequence[Track]], Reduction]

# The mode of switches and of what is held at rest but is no rotation: numbers, mixed as such.
_NUMBERS = "NUMBERS"
# What a bone's properties are at rest, and how near to that counts as such.
_REST = {
    "location": (0.0, 0.0, 0.0),
    "scale": (1.0, 1.0, 1.0),
    "rotation_quaternion": (1.0, 0.0, 0.0, 0.0),
    "rotation_axis_angle": (0.0, 0.0, 1.0, 0.0),
    "rotation_euler": (0.0, 0.0, 0.0),
}
_AT_REST = 1e-5


@dataclass(frozen=True, eq=False)
class Written:
    """What ``write_action`` made. ``action``: it holds the keys. ``keys``: how many. ``reduction``: the errors
    of reduced keys, None where every frame has one. ``put_back``: bones above the dancing ones that were away
    from rest and are held there; ``reset``: dancing bones that somebody, and no action, had moved or scaled and
    that are at rest in it too."""

    action: bpy.types.Action
    keys: int
    reduction: Reduction | None
    put_back: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Channels:
    """One property of a pose bone over time.

    ``bone``: its name. ``path``: the property's data path. ``mode``: the rotation mode whose numbers
    ``values`` (T, n) are, ``LOCATION`` or ``_NUMBERS``. ``now``: (n,) what the property is. ``free``: n flags,
    which of them get keys. ``held``: whether the values, unless blended, are all the same.
    ``breaks_off``: whether the last key holds until the next.
    """

    bone: str
    path: str
    mode: str
    values: Array
    now: Array
    free: tuple[bool, ...]
    held: bool = False
    breaks_off: bool = False


def write_action(
    armature: bpy.types.Object,
    pose: Pose,
    *,
    name: str,
    start_frame: int,
    into: Into = "action",
    blend_frames: int = 0,
    reduce: Reduce | None = None,
) -> Written:
    """Key ``pose`` on ``armature`` from ``start_frame`` on.

    ``into``: a new "action", which the armature then has; a new "slot" of its action; a new action as a
    strip on an "nla" track of its own; or "blend", a copy of its action in which the pose takes over for
    its frames, coming and going within ``blend_frames``. An action that the armature had stays in the
    file, with a fake user, and is not changed but for the new slot. ``reduce``: leaves keys out; without it
    there is one a frame.

    Each bone is keyed in its own rotation mode; only the pose's bones and switches get keys, locked
    channels none. What the pose takes to be at rest and is not, or is not in what the armature plays, gets
    a key that holds it there. Raises RigError, with everything as it was, where the armature can't be
    animated so.
    """
    check_place(armature, into)
    channels = list(_channels(armature, pose))
    if all(part.held for part in channels):
        raise RigError(f"{armature.name} can't dance with all its bones' channels locked: unlock some of them.")
    at_rest = list(_at_rest(armature, pose))
    channels += at_rest
    away = [part for part in at_rest if any(part.free) and _is_away(part.path, part.now)]
    played = {curve.data_path for curve in playing_curves(armature)}
    frames = start_frame + np.arange(float(len(pose.rotations)))
    with ExitStack() as undo:
        place = _PLACES[into](armature, name, undo)
        if into == "blend":
            channels = [_blended(part, place, frames, blend_frames) for part in channels]
        tracks = [Track(part.bone, part.mode, part.values) for part in channels if not part.held]
        reduction = None if reduce is None else reduce(tracks)
        keys = 0
        for part, index, new in _curves(channels, frames, reduction, blended=place.old):
            keys += len(new["co"])
            curve = place.curve(part, index)
            if curve is None and place.old:
                new = between(new, float(part.now[index]))
            if curve is None:
                write_keys(new_curve(place.curves, part.path, index, part.bone), new)
            else:
                splice(curve, new)
        if into == "nla":
            _push_strip(armature, place, name, start_frame, undo)
        undo.pop_all()
    put_back = dict.fromkeys(part.bone for part in away if part.bone not in pose.bones)
    reset = dict.fromkeys(part.bone for part in away if part.bone in pose.bones and part.path not in played)
    return Written(place.action, keys, reduction, tuple(put_back), tuple(reset))


def check_readable(armature: bpy.types.Object) -> None:
    """Raise RigError where ``armature`` is no armature, or its bones can't be read as it stands."""
    if armature is None or armature.type != "ARMATURE":
        what = "nothing" if armature is None else f"{armature.name!r}, which is no armature"
        raise RigError(f"The dance needs an armature and got {what}; choose the character's armature.")
    if armature.data.is_editmode:
        raise RigError(f"{armature.name!r} is in Edit Mode; leave it (Tab) first.")
    data = armature.animation_data
    if data is not None and data.use_tweak_mode:
        raise RigError(f"{armature.name!r} is in the NLA's tweak mode; leave it (Tab in the NLA editor) first.")


def check_animatable(armature: bpy.types.Object) -> None:
    """Raise RigError as ``check_readable``, or where ``armature`` can't take an action."""
    check_readable(armature)
    if armature.library is not None:
        raise RigError(
            f"{armature.name!r} is linked from another file; make a library override of it first"
            " (Object > Library Override > Make)."
        )


def check_place(armature: bpy.types.Object, into: Into) -> None:
    """Raise StepsmithError where keys can't go there on this armature."""
    if into not in _PLACES:
        raise ValueError(f"keys go into one of {', '.join(_PLACES)}, not {into!r}")
    check_animatable(armature)
    action = _action_of(armature)
    if into == "slot" and "slots" not in bpy.types.Action.bl_rna.properties:
        raise StepsmithError("Actions have slots only from Blender 4.4 on: put the dance into a new action.")
    if into == "slot" and action is not None and action.library is not None:
        raise RigError(f"The action {action.name} is linked from another file: put the dance into a new action.")
    if into == "blend" and action is None:
        raise RigError(f"{armature.name} has no action to blend the dance into: put it into a new action.")


# --- what is keyed ---------------------------------------------------------------------------------------


def _channels(armature: bpy.types.Object, pose: Pose) -> Iterator[_Channels]:
    """What the pose keys; the bones below one with locks make up for what it can't do."""
    missing: dict[str, Array] = {}
    locations = {pose.root_bone: pose.locations, **pose.loose}
    for column, bone in enumerate(pose.bones):
        pose_bone = armature.pose.bones[bone]
        lost = _lost_above(pose_bone, pose, missing)
        turn, rest = pose.rotations[:, column], np.array(pose_bone.bone.matrix_local.to_quaternion())
        wanted = turn if lost is None else rot.multiply(_seen_from(rest, lost), turn)
        rotation = _rotation(pose_bone, wanted)
        if any(pose_bone.lock_rotation) or not all(rotation.free):
            reached = to_rotations(rotation.values, rotation.mode)
            missing[bone] = _seen_from(rot.conjugate(rest), rot.multiply(rot.conjugate(reached), wanted))
        if any(rotation.free):
            yield rotation
        free = tuple(not lock for lock in pose_bone.lock_location)
        if bone in locations and any(free):
            now = np.array(pose_bone.location)
            values = np.where(free, locations[bone], now)
            yield _Channels(bone, pose_bone.path_from_id("location"), LOCATION, values, now, free)
    for switch in pose.switches:
        owner = armature.pose.bones.get(switch.bone)
        if owner is not None and switch.name in owner:
            path = f'{owner.path_from_id()}["{bpy.utils.escape_identifier(switch.name)}"]'
            values = np.full((len(pose.rotations), 1), float(switch.value))
            yield _Channels(switch.bone, path, _NUMBERS, values, np.array([owner[switch.name]]), (True,), held=True)


def _at_rest(armature: bpy.types.Object, pose: Pose) -> Iterator[_Channels]:
    """What the pose takes to be at rest and what was played before leaves elsewhere, held at rest.

    Of the pose's bones that is all but what it keys, of those above them everything; but not what a
    constraint, a driver or, above them, an NLA track moves, which goes on doing so, nor that somebody made the
    dancer larger or smaller as a whole.
    """
    data = armature.animation_data
    drivers = [] if data is None else [driver for driver in data.drivers if not driver.mute]
    driven = {(driver.data_path, driver.array_index) for driver in drivers}
    tracked = {curve.data_path for _, _, curve in track_curves(armature) if strays_from_rest(curve)}
    moved = tracked | {curve.data_path for curve in playing_curves(armature) if strays_from_rest(curve)}
    dancing = [armature.pose.bones[name] for name in pose.bones]
    links = {link.name: link for last in dancing for link in (*reversed(last.parent_recursive), last)}
    for bone in links.values():
        above = bone.name not in pose.bones
        if above and any(not constraint.mute and constraint.influence > 0.0 for constraint in bone.constraints):
            continue
        for name in _unkeyed(bone, pose):
            path, now = bone.path_from_id(name), np.array(getattr(bone, name))
            if (above and path in tracked) or not (path in moved or _is_away(path, now)):
                continue
            if above and name == "scale" and path not in moved and np.ptp(now) <= _AT_REST:
                continue
            if name in ("location", "scale"):
                values = np.tile(_REST[name], (len(pose.rotations), 1))
                locks = getattr(bone, f"lock_{name}")
                part = _Channels(bone.name, path, _NUMBERS, values, now, tuple(not lock for lock in locks))
            else:
                part = _rotation(bone, np.tile(rot.IDENTITY, (len(pose.rotations), 1)))
            free = tuple(one and (path, index) not in driven for index, one in enumerate(part.free))
            yield replace(part, free=free, held=True)


def _unkeyed(bone: bpy.types.PoseBone, pose: Pose) -> list[str]:
    """The bone's properties that are the pose's but have no keys of it."""
    names = ["scale"]
    # The location of a connected bone says nothing.
    if not (bone.bone.use_connect and bone.parent) and bone.name not in (pose.root_bone, *pose.loose):
        names.append("location")
    if bone.name not in pose.bones:
        names.append(rotation_property(bone.rotation_mode))
    return names


def _is_away(path: str, values: Array) -> bool:
    """Whether a bone's property is not at rest."""
    return bool((np.abs(values - _REST[path.rpartition(".")[2]]) > _AT_REST).any())


def rotation_property(mode: str) -> str:
    """What holds a bone's rotation in this rotation mode."""
    return {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}.get(mode, "rotation_euler")


def strays_from_rest(curve: bpy.types.FCurve) -> bool:
    """Whether the curve brings a bone away from rest."""
    rest = _REST.get(curve.data_path.rpartition(".")[2])
    return rest is not None and curve.array_index < len(rest) and strays(curve, rest[curve.array_index], _AT_REST)


def _lost_above(bone: bpy.types.PoseBone, pose: Pose, missing: dict[str, Array]) -> Array | None:
    """``missing`` of the nearest bone of the pose that the bone turns with, None without it."""
    if not missing or not bone.bone.use_inherit_rotation:
        return None
    above = next((parent.name for parent in bone.parent_recursive if parent.name in pose.bones), "")
    return missing.get(above)


def _seen_from(rest: Array, turns: Array) -> Array:
    """Turns (T, 4) of armature space in the frame of a bone with this rest orientation (4,)."""
    return rot.multiply(rot.multiply(rot.conjugate(rest), turns), rest)


def _rotation(bone: bpy.types.PoseBone, rotations: Array) -> _Channels:
    """The quaternions (T, 4) in the bone's own mode, as near as its locks let it come.

    Quaternions and axis-angles have locks of their own four numbers only where the bone says so; else its
    three locks are those of the XYZ angles, as they are when a user turns the bone by hand.
    """
    mode = bone.rotation_mode
    name = rotation_property(mode)
    now, locked = np.array(getattr(bone, name)), np.array(bone.lock_rotation)
    if mode == "QUATERNION" and locked.all():  # w alone would say nothing
        locked = np.full(4, True)
    elif len(now) == 4 and bone.lock_rotations_4d:
        locked = np.append(bone.lock_rotation_w, locked)
    elif len(now) == 4:
        if locked.any():
            angles = to_values(to_rotations(now[None], mode), "XYZ")[0]
            rotations = to_rotations(to_free_values(rotations, "XYZ", locked, angles), "XYZ")
        locked = np.full(4, locked.all())
    values = to_free_values(rotations, mode, locked, now)
    return _Channels(bone.name, bone.path_from_id(name), mode, values, now, tuple((~locked).tolist()))


def _curves(
    channels: Sequence[_Channels], frames: Array, reduction: Reduction | None, *, blended: bool
) -> Iterator[tuple[_Channels, int, Keys]]:
    """(channels, index, keys) of every curve. ``blended``: whether they end at the last frame."""
    reduced = iter(() if reduction is None else reduction.curves)
    for part in channels:
        kept = next(reduced) if reduction is not None and not part.held else None
        for index in np.flatnonzero(part.free).tolist():
            values = part.values[:, index]
            if kept is not None:
                keys = bezier_keys(frames[kept.frames], kept.values[:, index], kept.inner[:, :, index])
            elif part.held and np.ptp(values) == 0.0:
                ends = [0, -1] if blended else [0]
                keys = constant_keys(frames[ends], values[ends])
            else:
                keys = linear_keys(frames, values)
            if part.breaks_off:
                keys["interpolation"][-1] = CONSTANT
            yield part, index, keys


# --- where the keys go -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """Where the keys go. ``slot``: the action's, None before Blender 4.4. ``curves``: what holds ``fcurves`` and
    ``groups``, the action itself or from 4.4 on its slot's channel bag. ``old``: whether there may be curves."""

    action: bpy.types.Action
    slot: Any
    curves: Any
    old: bool = False

    def curve(self, part: _Channels, index: int) -> bpy.types.FCurve | None:
        """The curve that is there already, None without one. Raises RigError where keys can't be set into it."""
        curve = self.curves.fcurves.find(part.path, index=index) if self.old else None
        if curve is not None and (len(curve.modifiers) or len(curve.sampled_points)):
            raise RigError(
                f"The curves of {part.bone} have modifiers or are baked, so no dance can be blended into them: put it"
                " into a new action or an NLA strip."
            )
        return curve


def _new_action(name: str, slot_name: str, undo: ExitStack) -> _Place:
    action = bpy.data.actions.new(name)
    undo.callback(bpy.data.actions.remove, action)
    if hasattr(action, "slots"):
        return _in_slot(action, action.slots.new(id_type="OBJECT", name=slot_name))
    action.id_root = "OBJECT"
    return _Place(action, None, action)


def _in_slot(action: bpy.types.Action, slot: Any, *, old: bool = False) -> _Place:
    layer = action.layers[0] if len(action.layers) else action.layers.new("Layer")
    strip = layer.strips[0] if len(layer.strips) else layer.strips.new(type="KEYFRAME")
    return _Place(action, slot, strip.channelbag(slot, ensure=True), old)


def _assign(armature: bpy.types.Object, action: bpy.types.Action, slot: Any, undo: ExitStack) -> None:
    """Let the armature play the action. The one it had stays in the file."""
    data = _animation_data(armature, undo)
    previous, previous_slot = data.action, getattr(data, "action_slot", None)

    def put_back() -> None:
        data.action = previous
        if previous_slot is not None:
            data.action_slot = previous_slot

    undo.callback(put_back)
    data.action = action
    if slot is not None:
        data.action_slot = slot
    if previous is not None and previous != action and previous.library is None:
        undo.callback(setattr, previous, "use_fake_user", previous.use_fake_user)
        previous.use_fake_user = True


def _animation_data(armature: bpy.types.Object, undo: ExitStack) -> bpy.types.AnimData:
    if armature.animation_data is None:
        undo.callback(armature.animation_data_clear)
        return armature.animation_data_create()
    return armature.animation_data


def _action_of(armature: bpy.types.Object) -> bpy.types.Action | None:
    return None if armature.animation_data is None else armature.animation_data.action


def _into_action(armature: bpy.types.Object, name: str, undo: ExitStack) -> _Place:
    place = _new_action(name, armature.name, undo)
    _assign(armature, place.action, place.slot, undo)
    return place


def _into_slot(armature: bpy.types.Object, name: str, undo: ExitStack) -> _Place:
    action = _action_of(armature)
    if action is None:
        return _into_action(armature, name, undo)
    slot = action.slots.new(id_type="OBJECT", name=name)
    undo.callback(action.slots.remove, slot)
    _assign(armature, action, slot, undo)
    return _in_slot(action, slot)


def _into_strip(armature: bpy.types.Object, name: str, undo: ExitStack) -> _Place:
    return _new_action(name, armature.name, undo)


def _into_copy(armature: bpy.types.Object, name: str, undo: ExitStack) -> _Place:
    action = armature.animation_data.action.copy()
    undo.callback(bpy.data.actions.remove, action)
    action.name = name
    if not hasattr(action, "slots"):
        _assign(armature, action, None, undo)
        return _Place(action, None, action, old=True)
    used = armature.animation_data.action_slot
    slot = action.slots.new(id_type="OBJECT", name=armature.name) if used is None else action.slots[used.identifier]
    _assign(armature, action, slot, undo)
    return _in_slot(action, slot, old=True)


_PLACES: dict[str, Callable[[bpy.types.Object, str, ExitStack], _Place]] = {
    "action": _into_action,
    "slot": _into_slot,
    "nla": _into_strip,
    "blend": _into_copy,
}


def _push_strip(armature: bpy.types.Object, place: _Place, name: str, start_frame: int, undo: ExitStack) -> None:
    """The action as a strip on a track of its own, above all others."""
    data = _animation_data(armature, undo)
    alone = data.action is None and not len(data.nla_tracks)
    track = data.nla_tracks.new()
    undo.callback(data.nla_tracks.remove, track)
    track.name = name
    strip = track.strips.new(name, start_frame, place.action)
    if place.slot is not None:
        strip.action_slot = place.slot
    # Held beyond its ends, it would hide the tracks below there.
    strip.extrapolation = "HOLD" if alone else "NOTHING"


# --- blending --------------------------------------------------------------------------------------------


def _blended(part: _Channels, place: _Place, frames: Array, blend_frames: int) -> _Channels:
    """The channels as they come and go, over what the action does there."""
    share = _shares(len(frames), blend_frames)
    mixed = share < 1.0
    ends = [frames[0] - 1, frames[-1] + 1]
    before, *was, after = (_played(part, place, frame) for frame in [ends[0], *frames[mixed], ends[1]])
    values = np.array(part.values)
    if part.mode == _NUMBERS and part.now.dtype.kind != "f":
        return part  # flags and whole numbers have no halfway
    if part.mode in (_NUMBERS, LOCATION):
        if mixed.any():
            values[mixed] = np.array(was) + share[mixed, None] * (values[mixed] - np.array(was))
        return replace(part, values=values)
    rotations = to_rotations(values, part.mode)
    if mixed.any():
        rotations[mixed] = rot.slerp(to_rotations(np.array(was), part.mode), rotations[mixed], share[mixed])
    if all(part.free):
        values = to_values(rotations, part.mode, before)
    else:
        values = to_free_values(rotations, part.mode, ~np.array(part.free), part.now)
    # Other numbers may say what the action goes on with; then nothing between them may be played.
    next_one = to_values([rotations[-1], *to_rotations(after[None], part.mode)], part.mode, values[-1])[1]
    return replace(part, values=values, breaks_off=bool(np.linalg.norm(next_one - after) > 1.0))


def _shares(count: int, blend_frames: int) -> Array:
    """(T,) how much of the dance there is on each frame: all, but for smooth steps at the ends."""
    at = np.arange(count)
    length = min(blend_frames, (count - 1) // 2)
    way = np.minimum((np.minimum(at, at[::-1]) + 1) / (length + 1), 1.0)
    return way * way * (3.0 - 2.0 * way)


def _played(part: _Channels, place: _Place, frame: float) -> Array:
    """(n,) what the action makes of the property at ``frame``; where it has no curve, what it is now."""
    numbers = part.now.astype(float)
    for index in range(len(numbers)):
        curve = place.curves.fcurves.find(part.path, index=index)
        if curve is not None and not curve.mute and not curve.is_empty:
            numbers[index] = curve.evaluate(frame)
    return numbers
