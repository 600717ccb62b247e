"""Folders that work is written to, seen to before the work."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Collection
from pathlib import Path

from ..retarget.errors import StepsmithError
from ..retarget.placing import unfinished_of

_NO_ROOM = [getattr(errno, name) for name in ("ENOSPC", "EDQUOT") if hasattr(errno, name)]


def make_folder(folder: Path) -> None:
    """Make a folder where there is none, and see that it takes files. Raises StepsmithError where it does not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StepsmithError(f"The folder {folder} can't be made ({error.strerror}): choose another.") from error
    check_writable(folder)


def check_writable(folder: Path) -> None:
    """Raise StepsmithError where a folder takes no files."""
    try:
        # Asking the system for permission is not enough: only writing shows it.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StepsmithError(f"The folder {folder} can't be written to ({error.strerror}): choose another.") from error


def is_full_disk(error: BaseException | None) -> bool:
    """Whether the error says that a disk, or what one may have of it, is full."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def check_file(path: Path) -> None:
    """Raise StepsmithError where a file can't be written to ``path``, by its name and folder."""
    if path.is_dir():
        raise StepsmithError(f"{path} is a folder: choose another name for the file.")
    if not path.resolve().parent.is_dir():
        raise StepsmithError(f"The folder of {path} does not exist: make it first.")


def sweep(folder: Path, names: Collection[str]) -> None:
    """Remove what a process that was killed while it wrote files of ``names`` has left in its ``folder``.

    A checkpoint has hundreds of megabytes, and a training may be killed often. Raises OSError.
    """
    for path in folder.iterdir():
        if unfinished_of(path) in names:
            path.unlink()
