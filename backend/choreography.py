"""A song file in, a dance out: the one way that the command line and the server's worker share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..retarget.motion import Motion
from .progress import Progress, part, silent

if TYPE_CHECKING:
    from .dance.controls import Controls
    from .dance.model import DanceModel


@dataclass(frozen=True)
class Wish:
    """What to dance to, and how.

    ``song``: a sound file; ``start``, ``duration``: the part of it, seconds (None: to the end); ``genre``,
    ``bpm`` (beats a minute) and ``meter`` (beats a bar) None for what suits; ``seed``: another
    number makes another dance; ``controls``: further wishes.
    """

    song: Path
    genre: str | None = None
    seed: int = 0
    start: float = 0.0
    duration: float | None = None
    bpm: float | None = None
    meter: int | None = None
    controls: Controls | None = None


class Choreographer:
    """Makes dances; keeps the model in memory between them. ``weights``: None for those of Stepsmith."""

    def __init__(self, weights: Path | None = None) -> None:
        self._weights = weights
        self._model: DanceModel | None = None

    def dance(self, wish: Wish, progress: Progress = silent) -> Motion:
        """The dance for ``wish``; its time 0 is the song's ``wish.start``.

        Raises StepsmithError for a song or genre that can't be used, or weights that can't be read;
        MemoryError; lets what ``progress`` raises through.
        """
        progress(0.0, "Listening to the song")
        # Here and below: only who dances pays for loading the libraries behind.
        from .audio import analyse

        music = analyse(
            wish.song,
            start=wish.start,
            duration=wish.duration,
            bpm=wish.bpm,
            meter=wish.meter,
            progress=part(progress, 0.0, 0.4),
        )
        progress(0.4, "Loading the dance model")
        from .dance.generate import generate

        model = self._load()
        try:
            motion = generate(
                music,
                genre=wish.genre,
                seed=wish.seed,
                controls=wish.controls,
                model=model,
                progress=part(progress, 0.5, 1.0),
            )
        except RuntimeError as error:
            if "allocate memory" in str(error):  # torch's way to say it
                raise MemoryError from error
            raise
        return motion.with_meta(song=wish.song.name, song_start=wish.start)

    def _load(self) -> DanceModel:
        if self._model is None:
            from .dance.weights import load_model

            self._model = load_model(self._weights)
        return self._model
