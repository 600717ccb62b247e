"""One motion file of any known form."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ....retarget import rotations as rot
from ....retarget.arrays import ArrayFileError, read_npz
from ....retarget.errors import MotionError
from ....retarget.files import AIST_FPS, MAX_BYTES, load_motion
from ....retarget.motion import Motion
from ....retarget.rotations import Array
from . import acclaim
from .clean import UPRIGHT
from .dance import about

SUFFIXES = (".npz", ".pkl", ".bvh", ".amc")

_AIST_KEYS = ("smpl_poses", "smpl_trans", "smpl_scaling", "fps")


def read_motion(path: Path) -> Motion:
    """The motion in a ``.npz`` or ``.pkl`` (AMASS's, AIST++'s, EDGE's or ours), ``.bvh`` or ``.amc``.

    As recorded: it may begin anywhere, and stand on any height. Raises MotionError, with the file's name,
    where it can't be read.
    """
    suffix = path.suffix.lower()
    if suffix in (".pkl", ".bvh"):
        return load_motion(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MotionError(f"it is larger than {MAX_BYTES >> 20} MB: cut it into shorter motions.")
        if suffix == ".amc":
            return acclaim.read(_skeleton_of(path).read_bytes(), path.read_bytes())
        with path.open("rb") as file:
            arrays = read_npz(file, _AIST_KEYS, MAX_BYTES)
        return _from_aist(arrays) if "smpl_poses" in arrays else load_motion(path)
    except OSError as error:
        raise MotionError(f"“{path}” can't be read ({error.strerror}): check the path.") from error
    except (MotionError, ArrayFileError) as error:
        raise MotionError(about(path, error)) from error


def _skeleton_of(path: Path) -> Path:
    """The ``.asf`` of an ``.amc``: that of its subject, 07 of 07_10, or the only one in the folder."""
    skeletons = sorted(path.parent.glob("*.asf"))
    own = [file for file in skeletons if file.stem == path.stem.rpartition("_")[0]]
    if not own and len(skeletons) != 1:
        raise MotionError("its skeleton is not there: put the .asf of its subject beside it.")
    return (own or skeletons)[0]


def _from_aist(arrays: dict[str, Array]) -> Motion:
    """AIST++'s motion, y up, its path in centimetres where it has a scaling."""
    poses, trans = (np.asarray(arrays.get(name, np.empty(0)), dtype=np.float64) for name in _AIST_KEYS[:2])
    poses = poses.reshape(len(poses), -1) if poses.ndim > 1 else poses
    if poses.ndim != 2 or poses.shape[1] != 72 or trans.shape != (len(poses), 3) or not len(poses):
        raise MotionError(f"its smpl_poses and smpl_trans have shapes {poses.shape} and {trans.shape}.")
    scaling, fps = (
        float(np.ravel(arrays[name])[0]) if name in arrays else default
        for name, default in (("smpl_scaling", 1.0), ("fps", AIST_FPS))
    )
    if not (scaling > 0 and fps > 0 and np.isfinite(poses).all() and np.isfinite(trans).all()):
        raise MotionError("it holds values that are not finite, or a scale or frame rate that is not positive.")
    local = rot.multiply(rot.multiply(UPRIGHT, rot.from_axis_angle(poses.reshape(-1, 24, 3))), rot.conjugate(UPRIGHT))
    return Motion(fps, rot.rotate(UPRIGHT, trans / scaling), rot.continuous(local), np.zeros((len(poses), 4)))
