"""Who dances: everything that makes a dance of a song, behind one interface, so that all are measured alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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
    """The dance model as it comes to users who give nothing but a song."""

    model: DanceModel
    name: str = "Stepsmith"

    def dance(self, song: Path, *, seed: int, progress: Progress = silent) -> Motion:
        music = analyse(song, progress=part(progress, 0.0, 0.3))
        return generate(music, seed=seed, model=self.model, progress=part(progress, 0.3, 1.0))
