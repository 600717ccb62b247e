"""Motions on disk: AMASS ``.npz`` (and our own), EDGE and AIST++ ``.pkl``, ``.bvh``.

Conventions of the files, and what becomes of them here:

- AMASS: axis-angle, the body y up inside a z-up world; so the root's rotation carries a quarter turn
  about x that ours does not, and all others are seen from turned axes.
- EDGE: the same, 30 fps, ``full_pose`` holding joint positions, z up.
- AIST++: y up throughout, centimetres with ``smpl_scaling``, 60 fps.
- The arrays of EDGE and AIST++, under their own names, are read from ``.npz`` as well.
- ``trans`` in files of others moves SMPL's origin, which lies above the pelvis, not the pelvis; files
  written here hold the pelvis itself and say so (``root_convention = "pelvis"``). Since those bodies
  have legs of other lengths, their motions are set down on the floor by their lowest feet.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from . import bvh
from . import rotations as rot
from .arrays import ArrayFileError, Record, as_array, read_npz, unpickle
from .errors import MotionError
from .motion import MAX_FRAMES, Motion, detect_contacts
from .placing import written_beside
from .rotations import Array
from .skeleton import ANKLE_HEIGHT, CONTACT_JOINTS, FOOT_HEIGHT

# A file may unpack to this much.
MAX_BYTES = 1 << 30

EDGE_FPS = 30.0
AIST_FPS = 60.0
AMASS_FPS = 60.0

# No angle, place or second is as large, in any unit.
_LARGEST = 1e8

# Metres a second over the floor, under which a foot stands.
_STILL = 0.2

_NPZ_KEYS = (
    "poses", "trans", "mocap_framerate", "mocap_frame_rate",
    "root_convention", "rotations", "contacts", "beats", "downbeats", "meta",
    "smpl_poses", "smpl_trans", "smpl_scaling", "fps",
)  # fmt: skip

_PKL_KEYS = ("smpl_poses", "smpl_trans", "smpl_scaling", "fps", "root_convention", "contacts")

# SMPL's rest pelvis seen from its origin (metres, y up): the neutral body's, in the published model's frame.
_SMPL_PELVIS = np.array([-0.002, -0.223, 0.028])
# Mean share of the body's up along an axis from which on that is the world's.
_STANDS = 0.85
# y up to z up: (x, y, z) -> (x, -z, y).
_UPRIGHT = rot.from_axis_angle([np.pi / 2, 0.0, 0.0])


def load_motion(path: Path | str) -> Motion:
    """The motion in a ``.npz``, ``.pkl`` or ``.bvh`` file.

    Contacts are found from the feet where the file has none. Raises MotionError where the file is
    missing, of another kind, damaged or holds no motion of a body.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise MotionError(f"“{path.name}” is no motion file: choose a .npz, .pkl or .bvh.")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise MotionError(f"“{path.name}” is larger than {MAX_BYTES >> 20} MB: cut it into shorter motions.")
        with path.open("rb") as file:
            return reader(file)
    except OSError as error:
        raise MotionError(f"“{path}” can't be read ({error.strerror}): check the path.") from error
    except MotionError as error:
        raise MotionError(f"{path.name}: {error}") from error


def save_motion(path: Path | str, motion: Motion) -> None:
    """Write ``motion`` as ``.npz`` (lossless), ``.pkl`` (EDGE's form, 30 fps) or ``.bvh`` (centimetres, y up).

    The file appears whole or not at all. Raises MotionError where it can't be written.
    """
    path = Path(path)
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise MotionError(f"A motion can't be written as “{path.name}”: choose .npz, .pkl or .bvh.")
    try:
        with written_beside(path) as unfinished, unfinished.open("xb") as file:
            writer(file, motion)
    except OSError as error:
        raise MotionError(f"“{path}” can't be written ({error.strerror}): choose another folder.") from error


def motion_to_bytes(motion: Motion) -> bytes:
    """Our ``.npz`` as bytes."""
    buffer = io.BytesIO()
    _write_npz(buffer, motion)
    return buffer.getvalue()


def motion_from_bytes(data: bytes) -> Motion:
    """The motion in the bytes of a ``.npz``; raises MotionError as ``load_motion`` does."""
    return _read_npz(io.BytesIO(data))


# --- .npz -------------------------------------------------------------------------------------------


def _write_npz(file: BinaryIO, motion: Motion) -> None:
    """AMASS's keys, and under ours what they can't hold: exact quaternions, contacts, beats and meta."""
    try:
        meta = json.dumps(dict(motion.meta))
    except (TypeError, ValueError) as error:
        raise MotionError(f"The motion's meta can't be written as JSON ({error}): keep to plain values.") from error
    poses = _to_body_axes(motion.rotations)
    arrays = {
        "poses": poses.reshape(len(motion), 72),
        "trans": np.asarray(motion.root),
        "betas": np.zeros(10),
        "gender": np.array("neutral"),
        "mocap_framerate": np.array(motion.fps),
        "root_convention": np.array("pelvis"),
        "rotations": np.asarray(motion.rotations),
        "contacts": np.asarray(motion.contacts),
        "meta": np.array(meta),
    }
    for name in ("beats", "downbeats"):
        if getattr(motion, name) is not None:
            arrays[name] = np.asarray(getattr(motion, name))
    np.savez_compressed(file, **arrays)


def _read_npz(file: BinaryIO) -> Motion:
    try:
        arrays = read_npz(file, _NPZ_KEYS, MAX_BYTES)
    except ArrayFileError as error:
        raise MotionError(f"{error}: write or download it anew.") from error
    if "smpl_poses" in arrays and "smpl_trans" in arrays:
        return _from_smpl_arrays(arrays)
    if "poses" not in arrays or "trans" not in arrays:
        raise MotionError("this .npz holds no poses and trans: choose an AMASS or Stepsmith file.")
    fps = _number(arrays.get("mocap_framerate", arrays.get("mocap_frame_rate")), AMASS_FPS, "frame rate")
    poses = _poses(arrays["poses"])
    root = _rows(arrays["trans"], len(poses), 3, "trans")
    if _text(arrays.get("root_convention")) != "pelvis":
        return _grounded(fps, *_z_up(root + _SMPL_PELVIS, _from_body_axes(poses)))
    rotations = arrays.get("rotations")
    exact = _from_body_axes(poses) if rotations is None else _floats(rotations, "rotations")
    motion = Motion(fps, root, exact, np.zeros((len(poses), 4)))
    return replace(
        _with_contacts(motion, arrays.get("contacts")),
        beats=None if "beats" not in arrays else _floats(arrays["beats"], "beats"),
        downbeats=None if "downbeats" not in arrays else _floats(arrays["downbeats"], "downbeats"),
        meta=_meta(arrays.get("meta")),
    )


# --- .pkl -------------------------------------------------------------------------------------------


def _read_pkl(file: BinaryIO) -> Motion:
    try:
        content = unpickle(file.read())
        if isinstance(content, dict):
            held = {key: content[key] for key in _PKL_KEYS if key in content}
            content = {key: as_array(value) if isinstance(value, Record) else value for key, value in held.items()}
    except ArrayFileError as error:
        raise MotionError(f"{error}: write or download it anew.") from error
    if not isinstance(content, dict) or "smpl_poses" not in content or "smpl_trans" not in content:
        raise MotionError("this .pkl holds no smpl_poses and smpl_trans: choose one of EDGE or AIST++.")
    return _from_smpl_arrays(content)


def _from_smpl_arrays(content: Mapping[str, Any]) -> Motion:
    """What is in the arrays of EDGE and of AIST++, by their names."""
    poses = _poses(content["smpl_poses"])
    root = _rows(content["smpl_trans"], len(poses), 3, "smpl_trans")
    if "smpl_scaling" in content:
        scaling = _number(content["smpl_scaling"], 1.0, "smpl_scaling")
        root = root / scaling + _SMPL_PELVIS
        local = rot.multiply(rot.multiply(_UPRIGHT, rot.from_axis_angle(poses)), rot.conjugate(_UPRIGHT))
        fps = _number(content.get("fps"), AIST_FPS, "fps")
        return _grounded(fps, rot.rotate(_UPRIGHT, root), local)
    fps = _number(content.get("fps"), EDGE_FPS, "fps")
    rotations = _from_body_axes(poses)
    if _text(content.get("root_convention")) != "pelvis":
        # EDGE puts the pelvis itself at smpl_trans.
        return _grounded(fps, *_z_up(root, rotations))
    return _with_contacts(Motion(fps, root, rotations, np.zeros((len(poses), 4))), content.get("contacts"))


def _write_pkl(file: BinaryIO, motion: Motion) -> None:
    motion = motion.resample(EDGE_FPS)
    content = {
        "smpl_poses": _to_body_axes(motion.rotations).reshape(len(motion), 72),
        "smpl_trans": np.array(motion.root),
        "full_pose": motion.positions(),
        "fps": EDGE_FPS,
        "root_convention": "pelvis",
        "contacts": np.array(motion.contacts),
    }
    pickle.dump(content, file, protocol=4)


# --- .bvh -------------------------------------------------------------------------------------------


def _read_bvh(file: BinaryIO) -> Motion:
    motion, ours = bvh.read(file.read())
    return _with_contacts(motion, None) if ours else _grounded(motion.fps, motion.root, motion.rotations)


def _write_bvh(file: BinaryIO, motion: Motion) -> None:
    file.write(bvh.write(motion).encode("ascii"))


_READERS: dict[str, Callable[[BinaryIO], Motion]] = {".npz": _read_npz, ".pkl": _read_pkl, ".bvh": _read_bvh}
_WRITERS: dict[str, Callable[[BinaryIO, Motion], None]] = {".npz": _write_npz, ".pkl": _write_pkl, ".bvh": _write_bvh}


# --- shared -----------------------------------------------------------------------------------------


def _to_body_axes(rotations: Array) -> Array:
    """(T, 24, 3) rotation vectors as AMASS and EDGE have them, from ours (T, 24, 4)."""
    q = rot.multiply(rot.multiply(rot.conjugate(_UPRIGHT), rotations), _UPRIGHT)
    q[:, 0] = rot.multiply(rotations[:, 0], _UPRIGHT)
    return rot.to_axis_angle(q)


def _from_body_axes(poses: Array) -> Array:
    """The inverse of ``_to_body_axes``."""
    q = rot.from_axis_angle(poses)
    local = rot.multiply(rot.multiply(_UPRIGHT, q), rot.conjugate(_UPRIGHT))
    local[:, 0] = rot.multiply(q[:, 0], rot.conjugate(_UPRIGHT))
    return rot.continuous(local)


def _z_up(root: Array, rotations: Array) -> tuple[Array, Array]:
    """Root (T, 3) and rotations (T, 24, 4) with z up, of a world in which y is up, or down as cameras have it: where
    the body stands along that axis nearly all the time, since nobody lies so still."""
    up = rot.rotate(rotations[:, 0], [0.0, 0.0, 1.0]).mean(axis=0)
    if abs(up[1]) < _STANDS:
        return root, rotations
    turn = _UPRIGHT if up[1] > 0.0 else rot.conjugate(_UPRIGHT)
    turned = np.array(rotations)
    turned[:, 0] = rot.multiply(turn, turned[:, 0])
    return rot.rotate(turn, root), turned


def _poses(value: Any) -> Array:
    """(T, 24, 3) rotation vectors from SMPL (72), SMPL-H (156) or SMPL-X (165) poses.

    The wide ones have fingers where SMPL has two hand joints, which stay at rest.
    """
    array = _floats(value, "poses")
    if array.ndim == 3 and array.shape[1:] == (24, 3):
        array = array.reshape(len(array), 72)
    if array.ndim != 2 or array.shape[1] not in (66, 72, 156, 165):
        raise MotionError(f"its poses have shape {array.shape}, expected (frames, 72), (frames, 156) or (frames, 165).")
    if not 1 <= len(array) <= MAX_FRAMES:
        raise MotionError(f"it has {len(array)} frames: 1 to {MAX_FRAMES} are possible.")
    poses = np.zeros((len(array), 24, 3))
    joints = 24 if array.shape[1] == 72 else 22
    poses[:, :joints] = array[:, : joints * 3].reshape(len(array), joints, 3)
    return poses


def _rows(value: Any, count: int, width: int, name: str) -> Array:
    array = _floats(value, name)
    if array.shape != (count, width):
        raise MotionError(f"its {name} have shape {array.shape}, expected ({count}, {width}).")
    return array


def _floats(value: Any, name: str) -> Array:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
        raise MotionError(f"its {name} are no array of numbers: write the file anew.")
    array = value.astype(np.float64)
    sound = np.isfinite(array) & (np.abs(array) < _LARGEST)
    if not sound.all():
        bad = int(np.argwhere(~sound)[0][0]) if array.ndim else 0
        raise MotionError(
            f"its {name} are infinite, undefined or impossibly large, first in frame {bad}: cut that part out."
        )
    return array


def _number(value: Any, default: float, name: str) -> float:
    if value is None:
        return default
    try:
        array = np.asarray(value)
    except ValueError:  # lists of several lengths
        array = np.empty(0)
    number = float(array.reshape(())) if array.size == 1 and array.dtype.kind in "iuf" else np.nan
    if not (np.isfinite(number) and number > 0):
        raise MotionError(f"its {name} is no positive number: correct it.")
    return number


def _text(value: Any) -> str | None:
    """A string, or what an array of one holds; None for anything else."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.size == 1:
        return str(value.reshape(())[()])
    return value if isinstance(value, str) else None


def _meta(value: Array | None) -> dict[str, Any]:
    text = _text(value)
    if text is None:
        return {}
    try:
        meta = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise MotionError("its meta is no JSON: write the file anew.") from error
    if not isinstance(meta, dict):
        raise MotionError("its meta is no JSON object: write the file anew.")
    return meta


def _with_contacts(motion: Motion, contacts: Any) -> Motion:
    if contacts is None:
        return replace(motion, contacts=detect_contacts(motion.positions(), motion.fps))
    return replace(motion, contacts=_rows(contacts, len(motion), 4, "contacts"))


def _grounded(fps: float, root: Array, rotations: Array) -> Motion:
    """A motion of another body, set down so that its feet stand on the floor, with contacts.

    The floor is where the lowest part of the feet is while it is still; not where it is lowest of all,
    which is often an outlier.
    """
    motion = Motion(fps, root, rotations, np.zeros((len(root), 4)))
    feet = motion.positions()[:, list(CONTACT_JOINTS)]
    soles = feet[..., 2] - [ANKLE_HEIGHT, ANKLE_HEIGHT, FOOT_HEIGHT, FOOT_HEIGHT]
    lowest = np.argmin(soles, axis=1)[:, None]
    height = np.take_along_axis(soles, lowest, axis=1)[:, 0]
    if len(feet) > 1:
        speed = np.linalg.norm(np.gradient(feet[..., :2], axis=0), axis=-1) * fps
        still = np.take_along_axis(speed, lowest, axis=1)[:, 0] < _STILL
        height = height[still] if still.any() else height
    return _with_contacts(motion.shift([0.0, 0.0, -float(np.percentile(height, 25.0))]), None)
