"""One motion file of any known form."""

from __future__ import annotations

from pathlib import Path

from ....retarget.errors import MotionError
from ....retarget.files import MAX_BYTES, load_motion
from ....retarget.motion import Motion
from . import acclaim
from .dance import about

SUFFIXES = (".npz", ".pkl", ".bvh", ".amc")


def read_motion(path: Path) -> Motion:
    """The motion in a ``.npz`` or ``.pkl`` (AMASS's, AIST++'s, EDGE's or ours), ``.bvh`` or ``.amc``.

    As recorded: it may begin anywhere, and stand on any height. Raises MotionError, with the file's name,
    where it can't be read.
    """
    if path.suffix.lower() != ".amc":
        return load_motion(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MotionError(f"it is larger than {MAX_BYTES >> 20} MB: cut it into shorter motions.")
        return acclaim.read(_skeleton_of(path).read_bytes(), path.read_bytes())
    except OSError as error:
        raise MotionError(f"“{path}” can't be read ({error.strerror}): check the path.") from error
    except MotionError as error:
        raise MotionError(about(path, error)) from error


def _skeleton_of(path: Path) -> Path:
    """The ``.asf`` of an ``.amc``: that of its subject, 07 of 07_10, or the only one in the folder."""
    skeletons = sorted(path.parent.glob("*.asf"))
    own = [file for file in skeletons if file.stem == path.stem.rpartition("_")[0]]
    if not own and len(skeletons) != 1:
        raise MotionError("its skeleton is not there: put the .asf of its subject beside it.")
    return (own or skeletons)[0]
