"""BVH, text motion capture: our skeleton out, any known skeleton in.

Written: SMPL-24 names, y up, facing +z, centimetres, the root's position absolute (its OFFSET is zero),
Z-X-Y Euler angles in degrees, the floor at y = 0.
Read: any channel order; positions stand for the whole offset, as Blender has it; units and up axis
follow from the skeleton itself. Rest is the pose without rotations, or, where that is no body's because the
joints' own axes are in the angles, as conversions from other formats leave them, the known T pose of those axes or the
frame that shows the body best.
"""

from __future__ import annotations

import numpy as np

from . import rotations as rot
from .bvh_parse import POSITIONS, ROTATIONS, Joint, parse
from .bvh_rest import find_body
from .capture import capture
from .errors import MotionError, RigError
from .motion import Motion
from .rotations import Array
from .skeleton import SMPL

CENTIMETRES = 100.0
# y up to z up: (x, y, z) -> (x, -z, y).
_UPRIGHT = rot.from_axis_angle([np.pi / 2, 0.0, 0.0])


def write(motion: Motion) -> str:
    """The motion as BVH text."""
    offsets = rot.rotate(rot.conjugate(_UPRIGHT), SMPL.offsets) * CENTIMETRES
    lines = ["HIERARCHY"]
    order: list[int] = []

    def joint(index: int, depth: int) -> None:
        order.append(index)
        pad = "  " * depth
        lines.append(f"{pad}{'JOINT' if depth else 'ROOT'} {SMPL.names[index]}")
        lines.append(f"{pad}{{")
        lines.append(f"{pad}  OFFSET {_numbers(offsets[index])}")
        positions = "" if depth else "Xposition Yposition Zposition "
        lines.append(f"{pad}  CHANNELS {3 if depth else 6} {positions}Zrotation Xrotation Yrotation")
        children = [c for c, parent in enumerate(SMPL.parents) if parent == index]
        for child in children:
            joint(child, depth + 1)
        if not children:
            # As long as the bone before, so that programs that draw bones have one to draw.
            end = f"OFFSET {_numbers(offsets[index])}"
            lines.extend([f"{pad}  End Site", f"{pad}  {{", f"{pad}    {end}", f"{pad}  }}"])
        lines.append(f"{pad}}}")

    joint(0, 0)
    rotations = rot.multiply(rot.multiply(rot.conjugate(_UPRIGHT), motion.rotations), _UPRIGHT)
    angles = _to_zxy(rotations)[:, order].reshape(len(motion), -1)
    root = rot.rotate(rot.conjugate(_UPRIGHT), motion.root) * CENTIMETRES
    lines += ["MOTION", f"Frames: {len(motion)}", f"Frame Time: {1.0 / motion.fps:.10g}"]
    rows = np.concatenate([root, angles], axis=1)
    template = " ".join(["%.6f"] * rows.shape[1])
    lines += [template % tuple(row) for row in rows.tolist()]
    return "\n".join(lines) + "\n"


def read(data: bytes) -> tuple[Motion, bool]:
    """The motion in BVH text, without contacts, and whether its skeleton is ours.

    A skeleton of other names and proportions is mapped by its bones' names and its path scaled by leg
    length; its height above the floor is then unknown. Raises MotionError, with the line where there is
    one, where the text is no BVH or the skeleton no known body.
    """
    recording = parse(data)
    joints, fps = recording.joints, recording.fps
    positions, rotations = _channels(joints, recording.values)
    if _is_ours(joints):
        order = [next(k for k, j in enumerate(joints) if j.name == name) for name in SMPL.names]
        local = rot.multiply(rot.multiply(_UPRIGHT, rotations[:, order]), rot.conjugate(_UPRIGHT))
        root = rot.rotate(_UPRIGHT, positions[:, 0]) / CENTIMETRES
        return Motion(fps, root, rot.continuous(local), np.zeros((len(root), 4))), True
    return _foreign(joints, positions, rotations, fps), False


def _foreign(joints: list[Joint], positions: Array, rotations: Array, fps: float) -> Motion:
    try:
        body = find_body(joints, rotations)
        rig, bone_map = body.rig, body.bone_map
        positions, rotations = body.from_rest(positions, rotations)
        basis = rot.multiply(rot.multiply(rot.conjugate(rig.rotations), rotations), rig.rotations)
        bone = rig.indices[str(bone_map.bone("pelvis"))]
        place, turned = np.zeros(positions[:, 0].shape), np.broadcast_to(rot.IDENTITY, rotations[:, 0].shape)
        for j in [*reversed(rig.ancestors(bone)), bone]:
            place = place + rot.rotate(turned, positions[:, j])
            turned = rot.multiply(turned, rotations[:, j])
        location = rot.rotate(rot.conjugate(rig.rotations[bone]), place - rig.heads[bone])
        return capture(rig, bone_map, basis, location, fps)
    except RigError as error:
        raise MotionError(f"its skeleton is not known to Stepsmith ({error})") from error


def _is_ours(joints: list[Joint]) -> bool:
    if sorted(j.name for j in joints) != sorted(SMPL.names):
        return False
    offsets = rot.rotate(rot.conjugate(_UPRIGHT), SMPL.offsets) * CENTIMETRES
    for joint in joints:
        index = SMPL.names.index(joint.name)
        above = joints[joint.parent].name if joint.parent >= 0 else None
        if above != (SMPL.names[SMPL.parents[index]] if index else None):
            return False
        if index and np.abs(offsets[index] - joint.offset).max() > 1e-3:
            return False
    return len(joints[0].channels) == 6


def _channels(joints: list[Joint], values: Array) -> tuple[Array, Array]:
    """Positions relative to the parent (T, J, 3), the file's unit, and local quaternions (T, J, 4)."""
    frames = len(values)
    positions = np.tile(np.array([j.offset for j in joints]), (frames, 1, 1))
    rotations = np.tile(rot.IDENTITY, (frames, len(joints), 1))
    at = 0
    for k, joint in enumerate(joints):
        for channel in joint.channels:
            if channel in POSITIONS:
                positions[:, k, POSITIONS[channel]] = values[:, at]
            else:
                turn = np.zeros((frames, 3))
                turn[:, ROTATIONS[channel]] = np.radians(values[:, at])
                rotations[:, k] = rot.multiply(rotations[:, k], rot.from_axis_angle(turn))
            at += 1
    return positions, rotations


def _to_zxy(q: Array) -> Array:
    """(T, J, 3) degrees z, x, y with ``R = Rz Rx Ry``, without jumps in time."""
    m = rot.to_matrix(q)
    x = np.arcsin(np.clip(m[..., 2, 1], -1.0, 1.0))
    locked = np.abs(m[..., 2, 1]) > 1.0 - 1e-12
    z = np.where(locked, np.arctan2(m[..., 1, 0], m[..., 0, 0]), np.arctan2(-m[..., 0, 1], m[..., 1, 1]))
    y = np.where(locked, 0.0, np.arctan2(-m[..., 2, 0], m[..., 2, 2]))
    return np.degrees(np.unwrap(np.stack([z, x, y], axis=-1), axis=0))


def _numbers(vector: Array) -> str:
    return " ".join(f"{v:.6f}" for v in vector)
