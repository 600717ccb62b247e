"""A Pose as keys of an action: a few array copies a curve, the same on every Blender from 4.2 on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import bpy
import numpy as np

from ..retarget import rotations as rot
from ..retarget.errors import RigError
from ..retarget.rotations import Array

if TYPE_CHECKING:
    from ..retarget.solve import Pose

# Values of Keyframe.interpolation and Keyframe.handle_left_type, which foreach_set takes as integers.
_INTERPOLATION = {"linear": 1, "bezier": 2}
_HANDLE_AUTO_CLAMPED = 4
_AXES = {"X": 0, "Y": 1, "Z": 2}


def write_action(
    armature: bpy.types.Object,
    pose: Pose,
    *,
    name: str,
    start_frame: int,
    interpolation: Literal["linear", "bezier"] = "linear",
) -> bpy.types.Action:
    """Key ``pose`` on ``armature`` as a new action, one key a frame from ``start_frame`` on.

    Each bone is keyed in its own rotation mode; only the pose's bones get keys. An action the armature
    already has stays in the file, with a fake user. Raises RigError where the armature can't be animated.
    """
    check_animatable(armature)
    data = armature.animation_data or armature.animation_data_create()
    previous = data.action
    action = bpy.data.actions.new(name)
    try:
        channels = _channels(armature, action)
        frames = np.arange(start_frame, start_frame + len(pose.rotations), dtype=np.float32)
        for bone, path, values in _curves(armature, pose):
            for index, column in enumerate(values.T):
                _write_curve(channels, path, index, bone, frames, column, _INTERPOLATION[interpolation])
    except BaseException:
        data.action = previous
        bpy.data.actions.remove(action)
        raise
    if previous is not None:
        previous.use_fake_user = True
    return action


def check_animatable(armature: bpy.types.Object) -> None:
    """Raise RigError where ``armature`` is no armature, or can't take an action as it stands."""
    if armature is None or armature.type != "ARMATURE":
        what = "nothing" if armature is None else f"{armature.name!r}, which is no armature"
        raise RigError(f"The dance needs an armature and got {what}; choose the character's armature.")
    if armature.library is not None:
        raise RigError(
            f"{armature.name!r} is linked from another file; make a library override of it first"
            " (Object > Library Override > Make)."
        )
    data = armature.animation_data
    if data is not None and data.use_tweak_mode:
        raise RigError(f"{armature.name!r} is in the NLA's tweak mode; leave it (Tab in the NLA editor) first.")


def _channels(armature: bpy.types.Object, action: bpy.types.Action) -> Any:
    """What holds the curves: the action itself (4.2, 4.3), or its slot's channel bag (4.4 on)."""
    data = armature.animation_data
    data.action = action
    if not hasattr(action, "slots"):
        return action
    slot = action.slots.new(id_type="OBJECT", name=armature.name)
    strip = action.layers.new("Layer").strips.new(type="KEYFRAME")
    data.action_slot = slot
    return strip.channelbag(slot, ensure=True)


def _curves(armature: bpy.types.Object, pose: Pose) -> Iterator[tuple[str, str, Array]]:
    """Bone name, data path and (T, n) values of everything to key."""
    for column, bone in enumerate(pose.bones):
        pose_bone = armature.pose.bones[bone]
        prop, values = rotation_values(pose.rotations[:, column], pose_bone.rotation_mode)
        yield bone, pose_bone.path_from_id(prop), values
        if bone == pose.root_bone:
            yield bone, pose_bone.path_from_id("location"), pose.locations


def _write_curve(
    channels: Any, path: str, index: int, group: str, frames: Array, values: Array, interpolation: int
) -> None:
    curve = channels.fcurves.new(path, index=index)
    curve.group = channels.groups.get(group) or channels.groups.new(group)
    points = curve.keyframe_points
    points.add(len(frames))
    points.foreach_set("co", np.stack([frames, values], axis=1).astype(np.float32).ravel())
    points.foreach_set("interpolation", np.full(len(frames), interpolation, np.int32))
    if interpolation == _INTERPOLATION["bezier"]:
        for side in ("handle_left_type", "handle_right_type"):
            points.foreach_set(side, np.full(len(frames), _HANDLE_AUTO_CLAMPED, np.int32))
    curve.update()


def rotation_values(rotations: Array, mode: str) -> tuple[str, Array]:
    """Quaternions (T, 4) as the property and its (T, n) values for a bone of this ``rotation_mode``.

    Angles are in radians and go on past a full turn rather than jump.
    """
    q = rot.continuous(rotations)
    if mode == "QUATERNION":
        return "rotation_quaternion", q
    if mode == "AXIS_ANGLE":
        return "rotation_axis_angle", _axis_angle(q)
    return "rotation_euler", _euler(q, mode)


def _axis_angle(q: Array) -> Array:
    """(T, 4) angle and axis. Where there is no rotation the axis is the last one seen before."""
    sine = np.linalg.norm(q[:, 1:], axis=-1)
    turning = sine > 1e-9
    if not turning.any():
        return np.tile([0.0, 0.0, 1.0, 0.0], (len(q), 1))
    last = np.maximum.accumulate(np.where(turning, np.arange(len(q)), int(turning.argmax())))
    axis = (q[:, 1:] / np.where(turning, sine, 1.0)[:, None])[last]
    # An axis that flips over is the same axis turned the other way round.
    sign = np.cumprod(np.concatenate([[1.0], np.where(np.sum(axis[1:] * axis[:-1], axis=-1) < 0, -1.0, 1.0)]))
    angle = np.unwrap(sign * 2.0 * np.arctan2(sine, q[:, 0]))
    return np.concatenate([angle[:, None], axis * sign[:, None]], axis=1)


def _euler(q: Array, order: str) -> Array:
    """(T, 3) angles about x, y, z, applied in ``order`` ("XYZ": x first), with no jumps between frames.

    Each rotation has two sets of Euler angles; the set nearer to the frame before is taken.
    """
    i, j, k = (_AXES[axis] for axis in order)
    parity = 1.0 if (j - i) % 3 == 1 else -1.0
    m = rot.to_matrix(q)
    cosine = np.hypot(m[:, i, i], m[:, j, i])
    locked = cosine < 1e-6
    first = np.where(locked, np.arctan2(-m[:, j, k], m[:, j, j]), np.arctan2(m[:, k, j], m[:, k, k]))
    third = np.where(locked, 0.0, np.arctan2(m[:, j, i], m[:, i, i]))
    angles = np.empty((len(q), 3))
    angles[:, i] = parity * first
    angles[:, j] = parity * np.arctan2(-m[:, k, i], cosine)
    angles[:, k] = parity * third
    other = angles + np.pi
    other[:, j] = np.pi - angles[:, j]

    # Whichever set the frame before took, the set nearer to it; then along that chain of choices.
    sets = np.stack([angles, other])
    apart = np.abs(np.remainder(sets[None, :, 1:] - sets[:, None, :-1] + np.pi, 2.0 * np.pi) - np.pi).sum(axis=-1)
    follows = apart.argmin(axis=1).tolist()
    choice = [0]
    for frame in range(len(q) - 1):
        choice.append(follows[choice[-1]][frame])
    return np.unwrap(sets[choice, np.arange(len(q))], axis=0)
