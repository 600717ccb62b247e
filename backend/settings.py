"""What a server is started with, and the bounds it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import platformdirs

API_VERSION = 1
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SHORTEST_OPEN_TOKEN = 16  # characters, of a server that other machines can reach


@dataclass(frozen=True)
class Settings:
    """How a server is to run.

    ``token`` opens it; ``data``: the folder of songs, jobs and dances; ``parent``: the process it ends
    with; ``model``: weights, None for Stepsmith's own; ``work``: "module:attribute" where the worker
    finds what it can do. Bounds: ``largest_song`` of one upload, ``songs_kept`` and ``dances_kept`` of all
    (the longest unused go first, songs just sent stay), ``room_needed`` on the disk before work is taken on, all in
    bytes; ``jobs_kept``: finished jobs remembered; ``tries``: how often a job may bring its worker down.
    """

    token: str
    host: str = "127.0.0.1"
    port: int = 0
    data: Path = Path()
    parent: int | None = None
    model: Path | None = None
    work: str = "stepsmith.backend.jobs.work:KINDS"
    largest_song: int = 4 << 30  # a video of ten minutes in 4K
    songs_kept: int = 2 << 30
    dances_kept: int = 1 << 30
    jobs_kept: int = 1000  # a night's batch, fetched in the morning
    room_needed: int = 64 << 20
    tries: int = 2


def data_folder() -> Path:
    """Where this user's programs keep their data on this system."""
    return platformdirs.user_data_path("stepsmith", appauthor=False)
