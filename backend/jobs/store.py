"""Jobs, songs and dances on disk: one SQLite file and two folders.

jobs.sqlite         every job with its request and state
songs/SHA256/NAME   uploaded songs under the name their owner gave them, so that messages can use it
dances/ID.npz       what finished jobs made
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ...retarget.errors import StepsmithError
from ..settings import Settings
from .work import part_file

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
OVER = (DONE, FAILED, CANCELLED)

_PLACES = 16  # servers that may share one data folder
_FRESH = 900.0  # s that an unused song stays however little room there is: the job it was sent for may be on its way
_LONGEST_STEM = 120  # bytes of a song's file name before its ending
_LONGEST_ENDING = 10  # characters
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT UNIQUE NOT NULL,
    kind TEXT NOT NULL,
    song TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL,
    progress REAL NOT NULL DEFAULT 0,
    text TEXT NOT NULL DEFAULT '',
    eta REAL,
    error TEXT,
    tries INTEGER NOT NULL DEFAULT 0
)
"""


class StoreError(StepsmithError):
    """The data folder can't be used."""


@dataclass(frozen=True)
class Job:
    """A piece of work and how far it is.

    ``song``: SHA-256 of the song, or of a video; "" where the request names a ``file``. ``request``: what was
    asked, plain values; ``progress`` in 0..1; ``eta``: seconds left or None; ``error``: one sentence or None;
    ``tries``: times a worker began it.
    """

    id: str
    kind: str
    song: str
    request: dict[str, Any]
    state: str = QUEUED
    progress: float = 0.0
    text: str = "Waiting for its turn"
    eta: float | None = None
    error: str | None = None
    tries: int = 0

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def file(self) -> Path | None:
        """A file of this machine that is used where it is, instead of one that was sent."""
        file = self.request.get("file")
        return None if file is None else Path(file)

    @property
    def source(self) -> str:
        """What the work is about, in a word."""
        return "video" if self.kind == "capture" else "song"

    @property
    def motions(self) -> set[str]:
        """SHA-256 of the motions that the request names; they are kept as songs are."""
        return {keep["motion"] for keep in (self.request.get("controls") or {}).get("keep", ())}

    def public(self) -> dict[str, Any]:
        """What clients see."""
        return {
            "id": self.id,
            "state": self.state,
            "progress": self.progress,
            "text": self.text,
            "eta": self.eta,
            "error": self.error,
        }


class Store:
    """The data folder of one server. Used from one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        with _said(settings.data):
            self._folder, self._lock = _claim(settings.data)
            self._songs, self._dances = self._folder / "songs", self._folder / "dances"
            self._songs.mkdir(exist_ok=True)
            self._dances.mkdir(exist_ok=True)
            for left in [*self._songs.glob(".*.part"), *self._dances.glob(".*.part")]:
                left.unlink()
            self._database = _open(self._folder / "jobs.sqlite")
            self._database.execute(
                "UPDATE jobs SET state = ?, text = ?, progress = 0, eta = NULL WHERE state = ?",
                (QUEUED, "Waiting for its turn", RUNNING),
            )

    @property
    def folder(self) -> Path:
        return self._folder

    def close(self) -> None:
        self._database.close()
        self._lock.release()

    # --- jobs ---------------------------------------------------------------------------------------

    def add(self, kind: str, song: str, request: dict[str, Any]) -> Job:
        job = Job(uuid.uuid4().hex, kind, song, request)
        with _said(self._folder):
            self._database.execute(
                "INSERT INTO jobs (id, kind, song, request, state, text) VALUES (?, ?, ?, ?, ?, ?)",
                (job.id, kind, song, json.dumps(request), job.state, job.text),
            )
        return job

    def job(self, job_id: str) -> Job | None:
        return next(self._select("WHERE id = ?", job_id), None)

    def jobs(self) -> list[Job]:
        """All of them, the oldest first."""
        return list(self._select("ORDER BY number"))

    def next(self) -> Job | None:
        """The queued job that has waited longest."""
        return next(self._select("WHERE state = ? ORDER BY number LIMIT 1", QUEUED), None)

    def change(self, job: Job, **values: Any) -> Job:
        """Write ``values`` into the job; the job as it is now."""
        columns = ", ".join(f"{name} = ?" for name in values)
        with _said(self._folder):
            self._database.execute(f"UPDATE jobs SET {columns} WHERE id = ?", (*values.values(), job.id))
        return replace(job, **values)

    def _select(self, clause: str, *values: object) -> Iterator[Job]:
        with _said(self._folder):
            columns = "id, kind, song, request, state, progress, text, eta, error, tries"
            for row in self._database.execute(f"SELECT {columns} FROM jobs {clause}", values).fetchall():
                job_id, kind, song, request, *rest = row
                yield Job(job_id, kind, song, json.loads(request), *rest)

    # --- files --------------------------------------------------------------------------------------

    def song(self, sha256: str) -> Path | None:
        """The song's file, if it is here; asking for it keeps it for longer."""
        folder = self._songs / sha256
        file = next(iter(folder.glob("*")), None) if folder.is_dir() else None
        if file is not None:
            with suppress(OSError):
                os.utime(folder)
        return file

    def unfinished_song(self) -> Path:
        """Where an upload is to be written, before ``keep_song``."""
        return self._songs / f".{uuid.uuid4().hex}.part"

    def keep_song(self, upload: Path, sha256: str, name: str) -> None:
        """Make a whole upload the song ``sha256``; songs not used for long go if there are too many.

        Those sent or asked for in the last quarter of an hour stay, and those that a job still needs.
        """
        folder = self._songs / sha256
        with _said(self._folder):
            folder.mkdir(exist_ok=True)
            for other in folder.glob("*"):
                other.unlink()
            os.replace(upload, folder / _plain(name))
        self._prune_songs(sha256)

    def dance(self, job_id: str) -> Path:
        """Where the dance of a job is, or is to be."""
        return self._dances / f"{job_id}.npz"

    def part(self, job_id: str, number: int) -> Path:
        """Where a part of a dance is, while the dance is made and handed out."""
        return part_file(self.dance(job_id), number)

    def drop_parts(self, job_id: str) -> None:
        for number in count():
            try:
                self.part(job_id, number).unlink()
            except OSError:
                return

    def room(self) -> int:
        """Bytes free on the folder's disk."""
        with _said(self._folder):
            return shutil.disk_usage(self._folder).free

    def prune(self) -> None:
        """Forget the oldest finished jobs and their dances where there are too many; the last one stays."""
        total = 0
        over = self._select("WHERE state IN (?, ?, ?) ORDER BY number DESC", *OVER)
        for number, job in enumerate(over):
            dance = self.dance(job.id)
            total += dance.stat().st_size if dance.is_file() else 0
            if number == 0 or (number < self._settings.jobs_kept and total <= self._settings.dances_kept):
                continue
            with _said(self._folder):
                dance.unlink(missing_ok=True)
                self._database.execute("DELETE FROM jobs WHERE id = ?", (job.id,))

    def _prune_songs(self, newest: str) -> None:
        needed = {newest}.union(*({job.song, *job.motions} for job in self.jobs() if not job.over))
        used = {folder: folder.stat().st_mtime for folder in self._songs.iterdir() if folder.is_dir()}
        total, long_ago = 0, time.time() - _FRESH
        for folder in sorted(used, key=lambda folder: used[folder], reverse=True):
            total += sum(file.stat().st_size for file in folder.iterdir())
            if total > self._settings.songs_kept and used[folder] < long_ago and folder.name not in needed:
                shutil.rmtree(folder, ignore_errors=True)


def _claim(folder: Path) -> tuple[Path, FileLock]:
    """``folder``, or where another server uses it the first free one of its subfolders 2, 3, ...

    Two servers on the same jobs would both resume them.
    """
    for place in [folder, *(folder / str(number) for number in range(2, _PLACES + 1))]:
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / "lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            continue
        return place, lock
    raise StoreError(f"{_PLACES} servers already use {folder}: end some, or choose another folder with --data.")


def _open(file: Path) -> sqlite3.Connection:
    """The database; one that can't be read is put aside and a new one begun, since it holds only passing things."""
    for attempt in range(2):
        database = sqlite3.connect(file, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(_SCHEMA)
            return database
        except sqlite3.DatabaseError as error:
            database.close()
            if isinstance(error, sqlite3.OperationalError) or attempt:
                raise
            os.replace(file, file.with_name(f"jobs.damaged-{int(time.time())}.sqlite"))
            for companion in ("-wal", "-shm"):
                file.with_name(file.name + companion).unlink(missing_ok=True)
    raise AssertionError("not reached")


@contextmanager
def _said(folder: Path) -> Iterator[None]:
    """Failures of disk and database as one sentence."""
    try:
        yield
    except (OSError, sqlite3.Error, NotImplementedError) as error:  # the last: a disk without locks
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(
            f"The data folder {folder} can't be used ({reason}): free some room on its disk, or choose another"
            " folder with --data."
        ) from error


def _plain(name: str) -> str:
    """A file name that is safe in every folder, as near to ``name`` as can be."""
    kept = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in name).strip(" .") or "song"
    ending = Path(kept).suffix
    if len(ending) > _LONGEST_ENDING:
        ending = ""
    stem = kept.removesuffix(ending).encode()[:_LONGEST_STEM]
    return stem.decode(errors="ignore") + ending
