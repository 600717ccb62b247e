"""Acclaim's ``.asf`` skeletons and ``.amc`` motions, the original form of the CMU recordings.

A bone of an ``.asf`` ends ``direction * length`` away from its parent's end, directions seen from the world at
rest; the ``.amc`` turns it about the axes of its own frame ``axis`` = C, so seen from the parent it turns by
C L C⁻¹, where L = Rz Ry Rx of the frame's angles. y is up. Lengths are in inches times 1 / ``length`` (the unit
that the file states); only their ratios matter here, since ``capture`` scales the body to ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ....retarget import rotations as rot
from ....retarget.errors import MotionError
from ....retarget.motion import Motion
from ....retarget.rig import Rig
from ....retarget.rotations import Array
from .posed_rig import motion_of

CMU_FPS = 120.0

_MAX_BONES = 500
_MAX_FRAMES = 1_000_000
# Bones times frames: a skeleton of 31 bones for twenty minutes.
_MAX_POSES = 5_000_000
# Text takes many times its size in memory, while it is taken apart; a minute of CMU's is 6 MB.
_MAX_BYTES = 64 << 20
_LARGEST = 1e8
_ROOT = "root"
# Bones by the names that CMU's recordings have as BVH, by which the body is known.
_NAMES = {
    "root": "Hips", "lowerback": "LowerBack", "upperback": "Spine", "thorax": "Spine1",
    "lowerneck": "Neck", "upperneck": "Neck1", "head": "Head",
} | {
    f"{side[0].lower()}{bone}": name.format(side)
    for side in ("Left", "Right")
    for bone, name in (
        ("femur", "{}UpLeg"), ("tibia", "{}Leg"), ("foot", "{}Foot"), ("toes", "{}ToeBase"),
        ("clavicle", "{}Shoulder"), ("humerus", "{}Arm"), ("radius", "{}ForeArm"), ("hand", "{}Hand"),
    )
}  # fmt: skip
_AXES = {"rx": 0, "ry": 1, "rz": 2}
_PLACES = {"tx": 0, "ty": 1, "tz": 2}


@dataclass
class _Bone:
    """``axis``: quaternion of its frame at rest; ``reach``: (3,) from its head to its end; ``dof``: its numbers."""

    axis: Array = field(default_factory=lambda: rot.IDENTITY)
    reach: Array = field(default_factory=lambda: np.zeros(3))
    dof: list[str] = field(default_factory=list)
    parent: str = ""


def read(skeleton: bytes, motion: bytes, fps: float = CMU_FPS) -> Motion:
    """The motion of an ``.amc`` on its ``.asf``, without contacts, its height over the floor unknown.

    An ``.amc`` says nothing of its frame rate: ``fps``. Raises MotionError where one of the two can't be read.
    """
    if max(len(skeleton), len(motion)) > _MAX_BYTES:
        raise MotionError(f"it is larger than {_MAX_BYTES >> 20} MB: cut it into shorter motions.")
    bones = _skeleton(_lines(skeleton))
    places, angles = _frames(_lines(motion), bones)
    turns = np.empty((*angles.shape[:2], 4))
    for k, bone in enumerate(bones.values()):
        x, y, z = (rot.from_axis_angle(angles[:, k, [axis]] * np.eye(3)[axis]) for axis in range(3))
        local = rot.multiply(z, rot.multiply(y, x))
        turns[:, k] = rot.multiply(rot.multiply(bone.axis, local), rot.conjugate(bone.axis))
    rig = _rig(bones)
    # Seen from the bones of the rig instead of the world, as Blender does.
    basis = rot.multiply(rot.multiply(rot.conjugate(rig.rotations), turns), rig.rotations)
    return motion_of(rig, basis, places, fps)


def _rig(bones: dict[str, _Bone]) -> Rig:
    """The bones as an armature, y up as in the file."""
    names = list(bones)
    parents = [names.index(bone.parent) if bone.parent else -1 for bone in bones.values()]
    heads, ends = np.zeros((len(names), 3)), np.zeros((len(names), 3))
    rest, lengths = np.tile(np.eye(4), (len(names), 1, 1)), np.empty(len(names))
    for k, bone in enumerate(bones.values()):
        heads[k] = ends[parents[k]] if parents[k] >= 0 else 0.0
        ends[k] = heads[k] + bone.reach
    size = float(np.ptp(ends, axis=0).max())
    for k, bone in enumerate(bones.values()):
        length = float(np.linalg.norm(bone.reach))
        along = bone.reach if length > 1e-6 * size else np.array([0.0, 1.0, 0.0])
        rest[k, :3, :3] = rot.to_matrix(rot.between([0.0, 1.0, 0.0], along))
        rest[k, :3, 3] = heads[k]
        lengths[k] = max(length, 1e-3 * size)
    return Rig(tuple(_NAMES.get(name, name) for name in names), tuple(parents), rest, lengths)


def _lines(data: bytes) -> list[list[str]]:
    """The words of every line, comments left out."""
    return [line.split("#")[0].split() for line in data.decode("latin-1").splitlines()]


def _skeleton(lines: list[list[str]]) -> dict[str, _Bone]:
    """Bones by name, parents before children."""
    found: dict[str, _Bone] = {_ROOT: _Bone()}
    section, name, bone, degrees = "", "", _Bone(), True
    order: dict[str, _Bone] = {_ROOT: found[_ROOT]}
    for number, words in enumerate(lines):
        if not words:
            continue
        key = words[0].lower()
        if key.startswith(":"):
            section = key
        elif section == ":units" and key == "angle":
            degrees = words[1:2] == ["deg"]
        elif section == ":root" and key == "order":
            found[_ROOT].dof = [word.lower() for word in words[1:]]
        elif section == ":bonedata":
            if key == "begin":
                name, bone = "", _Bone()
            elif key == "name" and len(words) == 2:
                name = words[1]
            elif key == "direction":
                bone.reach = bone.reach + _floats(words[1:4], number, 3)
            elif key == "length":
                bone.reach = bone.reach * _floats(words[1:2], number, 1)
            elif key == "axis":
                bone.axis = _turn(_floats(words[1:4], number, 3), degrees)
            elif key == "dof":
                bone.dof = [word.lower() for word in words[1:]]
            elif key == "end":
                if not name or name in found or len(found) > _MAX_BONES:
                    raise _wrong(number, "a bone without a name of its own, or too many bones")
                found[name] = bone
        elif section == ":hierarchy" and key not in ("begin", "end"):
            for child in words[1:]:
                if words[0] not in order or child not in found or child in order:
                    raise _wrong(number, f"“{child[:30]}” below “{words[0][:30]}”, which is no tree of the bones")
                found[child].parent = words[0]
                order[child] = found[child]
    if len(order) < 2:
        raise MotionError("it is no .asf skeleton: give the one that belongs to the motion.")
    return order


def _turn(angles: Array, degrees: bool) -> Array:
    """Quaternion Rz Ry Rx of (3,) angles."""
    x, y, z = rot.from_axis_angle(np.diag(np.radians(angles) if degrees else angles))
    return rot.multiply(z, rot.multiply(y, x))


def _frames(lines: list[list[str]], bones: dict[str, _Bone]) -> tuple[Array, Array]:
    """The root's place (T, 3), the file's unit, and angles (T, J, 3) about x, y and z, radians."""
    degrees = [":RADIANS"] not in [[word.upper() for word in words] for words in lines[:20]]
    starts = [k for k, words in enumerate(lines) if len(words) == 1 and words[0].isdigit()]
    if not 1 <= len(starts) <= _MAX_FRAMES:
        raise MotionError(f"it is no .amc motion: it has {len(starts)} frames.")
    if len(starts) * len(bones) > _MAX_POSES:
        raise MotionError(f"it has {len(starts)} frames of {len(bones)} bones, too many at once: cut it into parts.")
    names = {name: k for k, name in enumerate(bones)}
    places, angles = np.zeros((len(starts), 3)), np.zeros((len(starts), len(bones), 3))
    for frame, (start, stop) in enumerate(zip(starts, [*starts[1:], len(lines)], strict=True)):
        for number in range(start + 1, stop):
            words = lines[number]
            if not words:
                continue
            if words[0] not in names:
                raise _wrong(number, f"“{words[0][:30]}”, a bone that the skeleton lacks")
            dof = bones[words[0]].dof
            for kind, value in zip(dof, _floats(words[1:], number, len(dof)), strict=True):
                if kind in _PLACES:
                    places[frame, _PLACES[kind]] = value
                elif kind in _AXES:
                    angles[frame, names[words[0]], _AXES[kind]] = value
    return places, np.radians(angles) if degrees else angles


def _floats(words: list[str], number: int, count: int) -> Array:
    if len(words) != count:
        raise _wrong(number, f"{len(words)} numbers where {count} belong")
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError as error:
        raise _wrong(number, "a value that is no number") from error
    if not (np.abs(values) < _LARGEST).all():
        raise _wrong(number, "a value that is infinite, undefined or impossibly large")
    return values


def _wrong(number: int, what: str) -> MotionError:
    return MotionError(f"line {number + 1} has {what}: correct it or export the file anew.")
