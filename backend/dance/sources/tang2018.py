"""The ballroom dances published with “Dance with Melody” (Tang, Jia and Mao, 2018)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

from ....retarget import rotations as rot
from ....retarget.motion import Motion
from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL
from .clean import UPRIGHT, resample, soles, with_contacts
from .dance import Dance, DataError

SPLITS = ("train", "val", "test")

# Marker joints of the recordings: right and left hip, knee and ankle.
_HIPS = [7, 16]
_LEGS = ((7, 8), (8, 9), (16, 17), (17, 18))


def load_dances(folder: Path | str, split: str, fps: float = 30.0, names: Sequence[str] | None = None) -> list[Dance]:
    """The dances of one split of the tang2018 recordings (``manifest.csv``, a ``.npz`` and ``.ogg`` a dance).

    ``fps``: the frame rate wanted. ``names``: only these dances. Raises DataError where the folder is
    not such a set, or holds no dance of the split.
    """
    folder = Path(folder)
    if split not in SPLITS:
        raise DataError(f"There is no split “{split}”: choose one of {', '.join(SPLITS)}.")
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise DataError(f"{folder} holds no manifest.csv: give the folder of the dances.")
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    dances = [_load(folder, row, fps) for row in rows if names is None or row["name"] in names]
    if not dances:
        raise DataError(f"{folder} holds no dance of the split “{split}”.")
    return dances


def _load(folder: Path, row: dict[str, str], fps: float) -> Dance:
    with np.load(folder / f"{row['name']}.npz", allow_pickle=False) as file:
        source_fps, poses, joints = float(file["fps"]), file["smpl_poses"], file["joints"]
    motion = from_markers(poses.astype(float), joints.astype(float), source_fps, fps)
    whole = abs(float(row["audio_s"]) - float(row["motion_s"])) < 6.0
    song = folder / f"{row['name']}.ogg"
    return Dance(row["name"], row["genre"], song if whole else None, motion.with_meta(name=row["name"]))


def from_markers(poses: Array, joints: Array, source_fps: float, fps: float) -> Motion:
    """A Motion from SMPL rotations and recorded joint centres.

    ``poses``: (F, 72) axis-angle, y up; ``joints``: (F, 21, 3) metres, y up, in the recordings' order.
    Frames from the first one that is not finite on are left out. The pelvis follows the middle of the
    recorded hips, scaled by leg length, over the floor as ``_floor`` finds it.
    """
    finite = np.isfinite(poses).all(axis=1) & np.isfinite(joints).all(axis=(1, 2))
    frames = len(poses) if finite.all() else int(np.argmin(finite))
    local = rot.from_axis_angle(poses[:frames].reshape(frames, 24, 3))
    local = rot.continuous(rot.multiply(rot.multiply(UPRIGHT, local), rot.conjugate(UPRIGHT)))
    joints = rot.rotate(UPRIGHT, joints[:frames])

    legs = sum(float(np.median(np.linalg.norm(joints[:, a] - joints[:, b], axis=-1))) for a, b in _LEGS) / 2
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
