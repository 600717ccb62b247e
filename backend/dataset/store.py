"""What is kept of every video, so that no work is done twice: under ``.stepsmith`` in the data set's folder.

Captures lie in ``captured/``, clips in ``clips/``, each in a folder named by a hash of the video's content and of the
options that matter to it. A folder is filled under another name and renamed, so what is there is whole. Files in it
have endings that training takes for neither motions nor songs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from ...retarget.files import motion_from_bytes, motion_to_bytes
from ...retarget.motion import Motion
from .videos import Video, content_hash

HIDDEN = ".stepsmith"
FACTS = "facts.json"
_PART = ".part-"
_MAX_FACTS = 256 << 20  # bytes


class Store:
    """The hidden folder of the data set in ``folder``, which is made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / HIDDEN
        self.captured, self.clips = self.folder / "captured", self.folder / "clips"
        self._hashes = self.folder / "hashes.jsonl"
        for place in (self.captured, self.clips):
            place.mkdir(parents=True, exist_ok=True)
        self._known = self._read_hashes()

    def sweep(self) -> None:
        """Remove what processes that were killed have left. None may be at work."""
        for place in (self.captured, self.clips):
            for unfinished in place.glob(f"*{_PART}*"):
                shutil.rmtree(unfinished, ignore_errors=True)

    def content(self, video: Video) -> str:
        """The hash of a video's content; files that look unchanged are not read again. Raises OSError."""
        row = self._known.get(video.name)
        if row is not None and row[:2] == (video.size, video.changed):
            return row[2]
        digest = content_hash(video.path)
        self._known[video.name] = (video.size, video.changed, digest)
        with self._hashes.open("a", encoding="utf-8") as file:
            file.write(json.dumps([video.name, video.size, video.changed, digest]) + "\n")
        return digest

    def _read_hashes(self) -> dict[str, tuple[int, int, str]]:
        """What is known, by names; lines that were not written to their end are left out."""
        known: dict[str, tuple[int, int, str]] = {}
        if self._hashes.is_file():
            with self._hashes.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    with contextlib.suppress(ValueError, TypeError):
                        name, size, changed, digest = json.loads(line)
                        known[str(name)] = (int(size), int(changed), str(digest))
        return known


def key(content: str, **options: Any) -> str:
    """A folder's name: of a content and the options that matter."""
    told = json.dumps(options, sort_keys=True)
    return f"{content}-{hashlib.blake2b(told.encode(), digest_size=6).hexdigest()}"


def read_facts(place: Path) -> dict[str, Any] | None:
    """What ``facts.json`` in a folder says; None where it is not there, or no JSON object."""
    try:
        if (place / FACTS).stat().st_size > _MAX_FACTS:
            return None
        facts = json.loads((place / FACTS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


@contextlib.contextmanager
def filled(place: Path, facts: Mapping[str, Any]) -> Iterator[Path]:
    """A folder to fill, which becomes ``place``, with its ``facts``, when all is written; on any error nothing is left.

    ``facts`` are written at the end, so that they may be added to on the way.
    """
    beside = Path(tempfile.mkdtemp(prefix=f"{place.name}{_PART}", dir=place.parent))
    try:
        yield beside
        (beside / FACTS).write_text(json.dumps(facts, allow_nan=False), encoding="utf-8")
        if place.exists():  # what is damaged, or what another process was faster with
            shutil.rmtree(place, ignore_errors=True)
        os.replace(beside, place)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def write_motion(path: Path, motion: Motion) -> None:
    path.write_bytes(motion_to_bytes(motion))


def read_motion(path: Path) -> Motion:
    """Raises MotionError or OSError."""
    return motion_from_bytes(path.read_bytes())


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, str] | None = None) -> None:
    path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, dict(about or {})))


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Raises OSError, and SafetensorError where the file is damaged."""
    found: dict[str, NDArray[Any]] = load(path.read_bytes())
    return found
