"""Who dances: everything that makes a dance of a song, behind one interface, so that all are measured alike."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ... import __version__
from ...retarget.files import load_motion, save_motion
from ...retarget.motion import Motion
from ..audio import analyse
from ..dance.generate import generate
from ..dance.model import DanceModel
from ..progress import Progress, part, silent


class System(Protocol):
    """A maker of dances. ``name``: as the tables print it."""

    @property
    def name(self) -> str: ...

    def dance(self, song: Path, *, seed: int, progress: Progress = silent) -> Motion:
        """A dance of the song's length: 30 frames a second, z up, metres, the floor at z = 0.

        The same seed gives the same dance. Raises StepsmithError for a file that is no song.
        """
        ...


@dataclass(frozen=True)
class StepsmithModel:
    """The dance model as it comes to users: they give a song, and say more where they like.

    ``genre``, ``bpm`` and ``meter`` override what would be chosen and heard.
    """

    model: DanceModel
    name: str = "Stepsmith"
    genre: str | None = None
    bpm: float | None = None
    meter: int | None = None

    def dance(self, song: Path, *, seed: int, progress: Progress = silent) -> Motion:
        music = analyse(song, bpm=self.bpm, meter=self.meter, progress=part(progress, 0.0, 0.3))
        return generate(music, genre=self.genre, seed=seed, model=self.model, progress=part(progress, 0.3, 1.0))


@dataclass(frozen=True)
class Memory:
    """Dances kept in ``folder``, so that measuring again need not wait for them to be danced again.

    ``weights``: a digest of what the dancer has learnt (see ``digest``). A dance is taken from the folder if
    dancer, weights, song, seed and the version of Stepsmith are the same; who changes the program takes
    another folder.
    """

    folder: Path
    weights: str

    def dance(self, system: System, song: Path, *, seed: int, progress: Progress = silent) -> Motion:
        """As ``system.dance``, if need be. Raises StepsmithError where the folder can't be written to."""
        key = hashlib.sha256(f"{__version__} {system.name} {self.weights} {seed} {digest([song])}".encode()).hexdigest()
        title = re.sub(r"[^\w.-]+", "_", f"{system.name}-{song.stem}")
        path = self.folder / f"{title}-{key[:16]}.npz"
        if path.is_file():
            return load_motion(path)
        motion = system.dance(song, seed=seed, progress=progress)
        save_motion(path, motion)
        return motion


def digest(files: Iterable[Path]) -> str:
    """A digest of what is in ``files``."""
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()
