"""F-curves as arrays: their keys written and read at once, and new keys set into an old curve.

``Keys``: an array for each attribute of Blender's keyframes that is given, a row a key: co, handle_left
and handle_right (K, 2) as frame and value, all others (K,), enumerations by number.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..retarget.rotations import Array

Keys = dict[str, NDArray[Any]]

# Blender's numbers for a keyframe's interpolation and for its handles' types.
CONSTANT, _LINEAR, _BEZIER = 0, 1, 2
_FREE, _AUTO, _VECTOR, _ALIGNED, _AUTO_CLAMPED = 0, 1, 2, 3, 4

_POINTS = ("co", "handle_left", "handle_right")
_NUMBERS = ("interpolation", "easing", "type", "handle_left_type", "handle_right_type")
_FACTORS = ("amplitude", "back", "period")
# Frames nearer than this are one.
_SAME = 1e-3
# Where a handle is that says nothing, from its key.
_BESIDE = np.array([1.0 / 3.0, 0.0])


# --- keys ------------------------------------------------------------------------------------------------


def linear_keys(frames: Array, values: Array) -> Keys:
    """Keys (K,) with straight lines between."""
    return {"co": np.column_stack([frames, values]), "interpolation": np.full(len(frames), _LINEAR)}


def constant_keys(frames: Array, values: Array) -> Keys:
    """Keys (K,) that each hold their value until the next."""
    return {"co": np.column_stack([frames, values]), "interpolation": np.full(len(frames), CONSTANT)}


def bezier_keys(frames: Array, values: Array, inner: Array) -> Keys:
    """Keys (K,) with cubics between; ``inner``: (K - 1, 2) the handles' values at 1/3 and 2/3 of the way."""
    third = np.diff(frames) / 3.0
    co = np.column_stack([frames, values])
    left, right = co - _BESIDE, co + _BESIDE
    right[:-1] = np.column_stack([frames[:-1] + third, inner[:, 0]])
    left[1:] = np.column_stack([frames[1:] - third, inner[:, 1]])
    free = np.full(len(frames), _FREE)
    return {
        "co": co,
        "handle_left": left,
        "handle_right": right,
        "interpolation": np.full(len(frames), _BEZIER),
        "handle_left_type": free,
        "handle_right_type": free,
    }


def read_keys(curve: bpy.types.FCurve) -> Keys:
    """All keys of a curve, with every attribute."""
    points = curve.keyframe_points
    count = len(points)
    keys: Keys = {}
    for names, width, kind in ((_POINTS, 2, np.float32), (_NUMBERS, 1, np.int32), (_FACTORS, 1, np.float32)):
        for name in names:
            flat = np.empty(count * width, kind)
            points.foreach_get(name, flat)
            keys[name] = flat.reshape(count, 2).astype(float) if width == 2 else flat
    return keys


def playing_curves(ob: bpy.types.Object) -> list[bpy.types.FCurve]:
    """The curves of the action that the object plays; of its slot, from Blender 4.4 on."""
    data = ob.animation_data
    if data is None or data.action is None:
        return []
    return _curves(data.action, getattr(data, "action_slot", None))


def track_curves(ob: bpy.types.Object) -> list[tuple[bpy.types.NlaTrack, bpy.types.NlaStrip, bpy.types.FCurve]]:
    """The curves of the actions in the object's NLA tracks that are not muted; of the slots in use there."""
    data = ob.animation_data
    if data is None or not data.use_nla:
        return []
    return [
        (track, strip, curve)
        for track in data.nla_tracks
        for strip in track.strips
        if strip.action is not None and not (track.mute or strip.mute)
        for curve in _curves(strip.action, getattr(strip, "action_slot", None))
    ]


def _curves(action: bpy.types.Action, slot: Any) -> list[bpy.types.FCurve]:
    """The action's curves for the slot; all, where actions have no slots."""
    if not hasattr(action, "slots"):
        return list(action.fcurves)
    strips = [strip for layer in action.layers for strip in layer.strips]
    bags = [strip.channelbag(slot) for strip in strips if slot is not None]
    return [curve for bag in bags if bag is not None for curve in bag.fcurves]


def strays(curve: bpy.types.FCurve, value: float, within: float) -> bool:
    """Whether the curve brings its property further than this from ``value``, or may."""
    if curve.mute:
        return False
    if len(curve.modifiers) or len(curve.sampled_points):
        return True
    co = np.empty(2 * len(curve.keyframe_points), np.float32)
    curve.keyframe_points.foreach_get("co", co)
    return bool((np.abs(co[1::2] - value) > within).any())


def new_curve(channels: Any, path: str, index: int, group: str) -> bpy.types.FCurve:
    """An empty curve of ``channels`` (an action, or from Blender 4.4 on its slot's channel bag)."""
    curve = channels.fcurves.new(path, index=index)
    curve.group = channels.groups.get(group) or channels.groups.new(group)
    return curve


def write_keys(curve: bpy.types.FCurve, keys: Keys) -> None:
    """Give the curve these keys in place of its own."""
    points = curve.keyframe_points
    points.clear()
    points.add(len(keys["co"]))
    for name, values in keys.items():
        points.foreach_set(name, values.astype(np.int32 if name in _NUMBERS else np.float32).ravel())
    curve.update()


# --- a new stretch in an old curve -----------------------------------------------------------------------


def splice(curve: bpy.types.FCurve, keys: Keys) -> None:
    """Put ``keys``, whose frames are whole, into the curve in place of what it does there.

    From one frame before them back, and from one frame after them on, the curve is as it was: there it
    is cut, and keys beside the cuts get the handles that keep its shape. A piece that can't be cut, an
    easing or one whose handles reach far, has a key on every frame from the cut to its own key.
    """
    frames = keys["co"][:, 0]
    old = read_keys(curve)
    before = _up_to(curve, old, float(frames[0]) - 1.0)
    after = _from(curve, old, float(frames[-1]) + 1.0)
    write_keys(curve, _joined(before, keys, after))


def between(keys: Keys, value: float) -> Keys:
    """``keys`` with ``value`` from one frame before them back and from one frame after them on."""
    frames, held = keys["co"][[0, -1], 0] + [-1.0, 1.0], np.full(1, value)
    return _joined(linear_keys(frames[:1], held), keys, linear_keys(frames[1:], held))


def _up_to(curve: bpy.types.FCurve, old: Keys, cut: float) -> Keys:
    """The keys before the frame ``cut`` and one there, to which a straight line may follow."""
    x = old["co"][:, 0]
    count = int(np.searchsorted(x, cut - _SAME))
    keys = _rows(old, slice(0, count))
    if count < len(x) and x[count] < cut + _SAME:
        at = _frozen(_rows(old, slice(count, count + 1)), 0)
        at["interpolation"][0] = _LINEAR
        return _joined(keys, at)
    at = _key(curve, cut)
    if count == 0:
        return _joined(_key(curve, cut - 1.0), at) if curve.extrapolation == "LINEAR" else at
    keys = _frozen(keys, -1)
    if count == len(x):
        keys["interpolation"][-1] = _LINEAR if curve.extrapolation == "LINEAR" else CONSTANT
    elif (control := _split(old, count - 1, cut)) is not None:
        keys["handle_right"][-1], at["handle_left"][0] = control[1], control[2]
    elif keys["interpolation"][-1] not in (CONSTANT, _LINEAR):
        keys["interpolation"][-1] = _LINEAR
        return _joined(keys, *(_key(curve, f) for f in np.arange(np.floor(x[count - 1]) + 1.0, cut)), at)
    return _joined(keys, at)


def _from(curve: bpy.types.FCurve, old: Keys, cut: float) -> Keys:
    """A key at the frame ``cut`` and those after it."""
    x = old["co"][:, 0]
    start = int(np.searchsorted(x, cut + _SAME))
    keys = _rows(old, slice(start, None))
    if start > 0 and x[start - 1] > cut - _SAME:
        return _joined(_frozen(_rows(old, slice(start - 1, start)), 0), keys)
    at = _key(curve, cut)
    if start == len(x):
        return _joined(at, _key(curve, cut + 1.0)) if curve.extrapolation == "LINEAR" else at
    keys = _frozen(keys, 0)
    if start == 0:
        return _joined(at, keys)
    kind = old["interpolation"][start - 1]
    if (control := _split(old, start - 1, cut)) is not None:
        at["handle_right"][0], keys["handle_left"][0] = control[4], control[5]
        at["interpolation"][0] = _BEZIER
    elif kind == CONSTANT:
        at["interpolation"][0] = CONSTANT
    elif kind != _LINEAR:
        return _joined(at, *(_key(curve, f) for f in np.arange(cut + 1.0, x[start])), keys)
    return _joined(at, keys)


def _key(curve: bpy.types.FCurve, frame: float) -> Keys:
    """One key where the curve is at ``frame``, a straight line after it."""
    co = np.array([[frame, curve.evaluate(frame)]])
    keys: Keys = {name: np.zeros(1, np.int32) for name in (*_NUMBERS, *_FACTORS)}
    keys |= {"co": co, "handle_left": co - _BESIDE, "handle_right": co + _BESIDE}
    keys["interpolation"][0] = _LINEAR
    return keys


def _frozen(keys: Keys, at: int) -> Keys:
    """The keys, that at ``at`` with handles that stay as they are whatever comes beside it."""
    left, right = keys["handle_left_type"], keys["handle_right_type"]
    automatic = [side[at] in (_AUTO, _AUTO_CLAMPED) for side in (left, right)]
    stays = _ALIGNED if all(automatic) else _FREE
    for side, was_automatic in zip((left, right), automatic, strict=True):
        if was_automatic or side[at] == _VECTOR:
            side[at] = stays if was_automatic else _FREE
    return keys


def _control(keys: Keys, start: int) -> Array:
    """(4, 2) the control points from key ``start`` to the next, as Blender plays them.

    It shortens a handle that reaches beyond the other key in time.
    """
    first, last = keys["co"][start], keys["co"][start + 1]
    length = last[0] - first[0]
    points = [first, keys["handle_right"][start], keys["handle_left"][start + 1], last]
    for handle, key in ((1, 0), (2, 3)):
        reach = abs(points[handle][0] - points[key][0])
        if reach > length:
            points[handle] = points[key] + (points[handle] - points[key]) * length / reach
    return np.array(points)


def _split(keys: Keys, start: int, frame: float) -> Array | None:
    """(7, 2) control points of the two parts into which ``frame`` cuts the piece after key ``start``.

    By de Casteljau. None where that is no cubic, or the parts' handles would reach beyond them in time.
    """
    if keys["interpolation"][start] != _BEZIER:
        return None
    control, low, high = _control(keys, start), 0.0, 1.0
    while high - low > 1e-12:
        share = (low + high) / 2.0
        one = control[:-1] + share * np.diff(control, axis=0)
        two = one[:-1] + share * np.diff(one, axis=0)
        middle = two[0] + share * (two[1] - two[0])
        low, high = (share, high) if middle[0] < frame else (low, share)
    parts = np.array([control[0], one[0], two[0], [frame, middle[1]], two[1], one[2], control[3]])
    x = parts[:, 0]
    within = x[1] <= frame + _SAME and x[2] >= x[0] - _SAME and x[4] <= x[6] + _SAME and x[5] >= frame - _SAME
    return parts if within else None


def _rows(keys: Keys, rows: slice) -> Keys:
    return {name: values[rows].copy() for name, values in keys.items()}


def _joined(*parts: Keys) -> Keys:
    """The parts' keys in a row, each with every attribute; what a part does not say is as in a new key."""
    whole: Keys = {}
    for name in (*_POINTS, *_NUMBERS, *_FACTORS):
        whole[name] = np.concatenate([part[name] if name in part else _default(part, name) for part in parts])
    return whole


def _default(keys: Keys, name: str) -> NDArray[Any]:
    return keys["co"].copy() if name in _POINTS else np.zeros(len(keys["co"]), np.int32)
