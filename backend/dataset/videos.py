"""The videos below a folder: which there are, what they are called, what is danced in them."""

from __future__ import annotations

import csv
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...retarget.errors import StepsmithError
from ..dance.sources.manifest import aist_genre

ENDINGS = frozenset(
    [".mp4", ".m4v", ".mov", ".qt", ".avi", ".divx", ".mkv", ".webm", ".mpg", ".mpeg", ".mpe", ".m2v", ".vob", ".ts",
     ".mts", ".m2ts", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".ogm", ".mxf", ".rm", ".rmvb", ".dv",
     ".gif"]
)  # fmt: skip
# Genre of videos in the folder itself, of which nobody says one.
_PLAIN = "dance"
_BLOCK = 1 << 20
_MAX_TABLE = 16 << 20  # bytes of a table of genres


@dataclass(frozen=True)
class Video:
    """A video file. ``name``: its path below the folder, with slashes, as text that can be shown and written.

    ``size`` in bytes; ``changed``: when it was last written to, nanoseconds.
    """

    path: Path
    name: str
    genre: str
    size: int
    changed: int


@dataclass(frozen=True)
class Found:
    """What lies below a folder. ``unreadable``: names with what is wrong; ``others``: names of files of other kinds."""

    videos: list[Video]
    unreadable: list[tuple[str, str]]
    others: list[str]


def find_videos(folder: Path, without: Path, genres: Mapping[str, str] | None = None) -> Found:
    """The videos anywhere below ``folder``, but for those below ``without``, in the order of their names, those in no
    genre last.

    Links are followed, each folder once. Hidden files and folders are left alone. ``genres``: by names; without it,
    and for videos that it does not name, the genre is that of an AIST++ name, or else the first folder's on the way
    from ``folder`` to the video. Raises StepsmithError where the folder can't be read or holds no video.
    """
    if not folder.is_dir():
        raise StepsmithError(f"{folder} is no folder: give one of dance videos, genres as its subfolders.")
    found = Found([], [], [])
    for path in _files(folder, without, found.unreadable):
        name = readable(path.relative_to(folder).as_posix())
        if path.suffix.lower() not in ENDINGS:
            found.others.append(name)
            continue
        try:
            facts = path.stat()
        except OSError as error:
            found.unreadable.append((name, f"It can't be read ({error.strerror}): is it a link to nowhere?"))
            continue
        if not stat.S_ISREG(facts.st_mode):
            found.unreadable.append((name, "It is no plain file."))
        elif not facts.st_size:
            found.unreadable.append((name, "It is empty."))
        else:
            genre = (genres or {}).get(name) or _genre(name)
            found.videos.append(Video(path, name, genre, facts.st_size, facts.st_mtime_ns))
    if not found.videos:
        raise StepsmithError(f"{folder} holds no video that can be read: give a folder of dance videos.")
    # Of copies the first is taken: one whose genre is known.
    found.videos.sort(key=lambda video: (video.genre == _PLAIN, video.name))
    return found


def _files(folder: Path, without: Path, unreadable: list[tuple[str, str]]) -> Iterator[Path]:
    """Paths of all that is no folder, those in folders that were met before left out."""
    left_out = without.resolve()
    seen: set[tuple[int, int]] = set()

    def complain(error: OSError) -> None:
        place = Path(error.filename)
        name = place.relative_to(folder).as_posix() if place.is_relative_to(folder) else str(place)
        unreadable.append((readable(name), f"The folder can't be read ({error.strerror})."))

    for place, folders, files in os.walk(folder, onerror=complain, followlinks=True):
        here = Path(place)
        facts = here.stat()
        if (facts.st_dev, facts.st_ino) in seen or here.resolve() == left_out:
            folders.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        # Sorted, so that of a folder reached by two links the same one is met first, always.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (here / name for name in sorted(files) if not name.startswith("."))


def _genre(name: str) -> str:
    parts = name.split("/")
    return aist_genre(Path(parts[-1]).stem) or (tidy(parts[0]) if len(parts) > 1 else _PLAIN)


def readable(text: str) -> str:
    """Text that can be shown and written as UTF-8: composed letters, no control characters, no broken bytes."""
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def tidy(genre: str) -> str:
    """A genre as it is written: Cha-Cha, cha-cha and “cha-cha ” are one."""
    return " ".join(readable(genre).lower().split())[:60] or _PLAIN


def read_genres(table: Path) -> dict[str, str]:
    """Genres by the videos' names, out of a CSV file with the columns ``name`` and ``genre``.

    Raises StepsmithError where it is none.
    """
    try:
        if table.stat().st_size > _MAX_TABLE:
            raise StepsmithError(f"{table} is larger than {_MAX_TABLE >> 20} MB: give a line for each video.")
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"name", "genre"} <= set(rows.fieldnames or ()):
                raise StepsmithError(f"{table} has no columns “name” and “genre”: begin it with the line name,genre.")
            return {readable(row["name"]): tidy(row["genre"]) for row in rows if row["name"] and row["genre"]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StepsmithError(f"{table} can't be read as a table ({error}): save it as CSV in UTF-8.") from error


def content_hash(path: Path) -> str:
    """32 hexadecimal digits that tell a file's content. Raises OSError."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
