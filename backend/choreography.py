"""A song file in, a dance out: the one way that the command line and the server's worker share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..retarget.errors import StepsmithError
from ..retarget.motion import Motion
from .progress import Progress, part, silent

if TYPE_CHECKING:
    from .audio import Music
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


# Seconds of a song listened to before a streamed dance begins, enough to tell the tempo, and before it goes on.
_OPENINGS = (12.0, 60.0, 300.0, 1500.0)


class Choreographer:
    """Makes dances, on a GPU where there is one; keeps the model in memory between them.

    ``weights``: None for those of Stepsmith.
    """

    def __init__(self, weights: Path | None = None) -> None:
        self._weights = weights
        self._model: DanceModel | None = None

    def dance(self, wish: Wish, progress: Progress = silent) -> Motion:
        """The dance for ``wish``; its time 0 is the song's ``wish.start``.

        Raises StepsmithError for a song or genre that can't be used, weights that can't be read, or a full GPU;
        MemoryError; lets what ``progress`` raises through.
        """
        progress(0.0, "Listening to the song")
        music = _listen(wish, wish.duration, part(progress, 0.0, 0.4), around=True)
        progress(0.4, "Loading the dance model")
        # Here and below: only who dances pays for loading the libraries behind.
        from .dance.generate import generate

        with _memory_errors():
            motion = generate(
                music,
                genre=wish.genre,
                seed=wish.seed,
                controls=wish.controls,
                model=self._load(),
                progress=part(progress, 0.5, 1.0),
            )
        return motion.with_meta(song=wish.song.name, song_start=wish.start)

    def stream(self, wish: Wish, progress: Progress = silent) -> Iterator[Motion]:
        """The parts of a dance for ``wish``, as soon as each is made; see ``generate_stream``.

        The song is listened to no farther ahead than the dance needs. Raises as ``dance`` does.
        """
        from .dance.stream import generate_stream

        with _memory_errors():
            parts = generate_stream(
                _listen_longer(wish, part(progress, 0.0, 0.0)),
                genre=wish.genre,
                seed=wish.seed,
                controls=wish.controls,
                model=self._load(),
                progress=progress,
            )
            for motion in parts:
                yield motion.with_meta(song=wish.song.name, song_start=wish.start)

    def _load(self) -> DanceModel:
        if self._model is None:
            import torch

            from .dance.weights import load_model

            # Only the model moves there: the sampler sends it what it needs, all else is done on the processor.
            self._model = load_model(self._weights).to("cuda" if torch.cuda.is_available() else "cpu")
        return self._model


def _listen(wish: Wish, duration: float | None, progress: Progress, *, around: bool = False) -> Music:
    """The wish's song from where it starts, or ``duration`` seconds of it, judged by what is ``around`` it too."""
    from .audio import CONTEXT, analyse

    return analyse(
        wish.song,
        start=wish.start,
        duration=duration,
        bpm=wish.bpm,
        meter=wish.meter,
        context=CONTEXT if around else 0.0,
        progress=progress,
    )


def _listen_longer(wish: Wish, progress: Progress) -> Iterator[Music]:
    """The beginning of the wish's song, then longer ones, at last all that is wanted.

    Raises AudioError at once for a song that is too long as a whole, not when most of it is danced.
    """
    from .audio.decode import check_length

    if wish.duration is None:
        check_length(wish.song, wish.start)
    for seconds in _OPENINGS:
        if wish.duration is not None and wish.duration <= seconds:
            break
        opening = _listen(wish, seconds, progress)
        yield opening
        if opening.duration < seconds - 0.1:
            return
    yield _listen(wish, wish.duration, progress, around=True)


@contextmanager
def _memory_errors() -> Iterator[None]:
    """torch's ways to say that memory ran out: a processor's as Python's, a GPU's with its own advice."""
    try:
        yield
    except RuntimeError as error:
        if "out of memory" in str(error):
            raise StepsmithError(
                "The GPU has not enough free memory: close other programs that use it, "
                "or set CUDA_VISIBLE_DEVICES to nothing, and the processor dances."
            ) from error
        if "allocate memory" in str(error):
            raise MemoryError from error
        raise
