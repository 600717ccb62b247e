"""The ballroom dances published with “Dance with Melody” (Tang, Jia and Mao, 2018)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

from ....retarget import rotations as rot
from ....retarget.arrays import ArrayFileError, read_npz
from ....retarget.errors import MotionError
from ....retarget.files import MAX_BYTES
from ....retarget.motion import Motion
from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL
from .clean import SHORTEST, UPRIGHT, resample, soles, with_contacts
from .dance import about

_KEYS = ("fps", "smpl_poses", "joints")
# Marker joints of the recordings: right and left hip, knee and ankle.
_HIPS = [7, 16]
_SHORTEST_LEGS = 0.1  # m
_LEGS = ((7, 8), (8, 9), (16, 17), (17, 18))


def read(path: Path, fps: float) -> Motion | None:
    """The motion in one of the recordings' ``.npz`` at ``fps``, on the floor, with contacts; None for other files.

    Raises MotionError where the file is one of them and damaged, or shorter than SHORTEST.
    """
    if path.suffix.lower() != ".npz":
        return None
    try:
        with path.open("rb") as file:
            arrays = read_npz(file, _KEYS, MAX_BYTES)
    except (ArrayFileError, OSError):
        return None  # what is wrong with it, others say better
    if len(arrays) < len(_KEYS):
        return None
    source_fps, poses, joints = (arrays[name] for name in _KEYS)
    numbers = all(array.dtype.kind in "iuf" for array in arrays.values())
    shapes = numbers and source_fps.size == 1 and joints.shape[1:] == (21, 3) and poses.shape == (len(joints), 72)
    if not shapes or not 1.0 <= float(source_fps) <= 1000.0 or not np.isfinite(joints[:2]).all():
        raise MotionError(f"{path.name}: its poses and joints do not fit together: write or download it anew.")
    try:
        return from_markers(poses.astype(float), joints.astype(float), float(source_fps), fps)
    except MotionError as error:
        raise MotionError(about(path, error)) from error


def from_markers(poses: Array, joints: Array, source_fps: float, fps: float) -> Motion:
    """A Motion from SMPL rotations and recorded joint centres.

    ``poses``: (F, 72) axis-angle, y up; ``joints``: (F, 21, 3) metres, y up, in the recordings' order.
    Frames from the first one that is not finite on are left out. The pelvis follows the middle of the
    recorded hips, scaled by leg length, over the floor as ``_floor`` finds it. Raises MotionError where what is left is
    shorter than SHORTEST, or the joints are no body's.
    """
    finite = np.isfinite(poses).all(axis=1) & np.isfinite(joints).all(axis=(1, 2))
    frames = len(poses) if finite.all() else int(np.argmin(finite))
    if frames < SHORTEST * source_fps:
        raise MotionError(f"it holds no {SHORTEST:g} s of dance: record longer ones.")
    local = rot.from_axis_angle(poses[:frames].reshape(frames, 24, 3))
    local = rot.continuous(rot.multiply(rot.multiply(UPRIGHT, local), rot.conjugate(UPRIGHT)))
    joints = rot.rotate(UPRIGHT, joints[:frames])

    legs = sum(float(np.median(np.linalg.norm(joints[:, a] - joints[:, b], axis=-1))) for a, b in _LEGS) / 2
    if legs < _SHORTEST_LEGS:
        raise MotionError(f"its legs are {legs:.2g} m long, which can't be right: write or download it anew.")
    hips = joints[:, _HIPS].mean(axis=1) * (SMPL.leg_length / legs)
    root = hips - rot.rotate(local[:, 0], SMPL.offsets[1:3].mean(axis=0))

    motion = resample(Motion(source_fps, root, local, np.zeros((frames, 4))), fps)
    floor = np.zeros((len(motion), 3))
    floor[:, :2], floor[:, 2] = motion.root[0, :2], _floor(motion)
    return with_contacts(Motion(fps, motion.root - floor, motion.rotations, motion.contacts))


def _floor(motion: Motion) -> Array:
    """(T,) metres, the height the dancer stands on.

    The recordings climb by tens of centimetres in the course of a dance, so one floor a dance is wrong.
    Ballroom dancers keep a foot on the floor nearly always: the floor is the lower envelope of the
    lower foot within 0.8 s, smoothed.
    """
    width = max(1, round(0.8 * motion.fps))
    return gaussian_filter1d(minimum_filter1d(soles(motion).min(axis=1), width), width / 2)
