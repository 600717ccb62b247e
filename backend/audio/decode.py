"""Sound files to samples: any container, codec, rate and channel count that PyAV reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...retarget.errors import StepsmithError
from ..packets import sound_frames
from ..progress import Progress, silent

if TYPE_CHECKING:
    import av

RATE = 22050  # Hz; beats and timbre are below 11 kHz, and 735 samples are exactly 1/30 s
SHORTEST = 1.0  # s
LONGEST = 2 * 3600.0  # s
SILENCE = 1e-4  # peak of full scale (-80 dB) below which there is nothing to dance to
LOUD = 0.4  # root mean square, of full scale, of what is loud in dance music as it is sold
# FFmpeg's sample formats; the planar ones have a "p" behind.
_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}


class AudioError(StepsmithError):
    """A song that can't be used."""


@dataclass(frozen=True)
class Sound:
    """Sound in memory.

    ``samples``: (n,) float32, one channel, full scale is 1; ``rate``: samples a second.
    """

    samples: NDArray[np.float32]
    rate: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate


def decode(
    path: Path | str, *, start: float = 0.0, duration: float | None = None, progress: Progress | None = None
) -> Sound:
    """The sound of a file, all channels mixed to one, at 22,050 Hz; a video's sound too.

    ``start`` and ``duration`` (seconds) choose an excerpt; without ``duration`` it goes to the end. The
    file is read from its beginning and never sought in, so that the excerpt starts on the exact sample
    in every format. Memory: 4 bytes a sample of the excerpt.

    Raises AudioError where the file is missing, holds no sound, can't be read, or where the excerpt is
    silent, shorter than a second or longer than two hours.
    """
    path = Path(path)
    if not 0.0 <= start < float("inf"):
        raise AudioError(f"The start of the song must be 0 s or later, not {start:g} s.")
    if duration is not None and not SHORTEST <= duration <= LONGEST:
        raise AudioError(f"A dance lasts between {SHORTEST:g} s and {LONGEST / 3600:g} hours, not {duration:g} s.")
    sound = Sound(_read(path, start, duration, progress or silent), RATE)
    if sound.duration < SHORTEST:
        heard = f"{sound.duration:.2f} s of sound from {start:g} s on"
        raise AudioError(f"“{path.name}” has only {heard}: choose a song, or a part of it, of at least {SHORTEST:g} s.")
    if max(-float(sound.samples.min()), float(sound.samples.max())) < SILENCE:
        raise AudioError(f"“{path.name}” is silent there: choose a song, or a part of it, that can be heard.")
    return sound


def levelled(sound: Sound) -> Sound:
    """The sound, its loudest tenth of half seconds at ``LOUD``: copies of a song, louder or softer, are heard alike."""
    halves = np.array_split(sound.samples, max(1, 2 * len(sound.samples) // sound.rate))
    levels = [np.sqrt(np.mean(np.square(half, dtype=np.float64))) for half in halves]
    gain = LOUD / max(float(np.percentile(levels, 90)), SILENCE)
    return replace(sound, samples=sound.samples * np.float32(gain))


def check_length(path: Path | str, start: float = 0.0) -> None:
    """Raise AudioError, before anything is decoded, where a file can't be opened, or states that it lasts longer from
    ``start`` (seconds) to its end than ``decode`` takes."""
    with _opened(Path(path)) as container:
        _check_length(Path(path), _length(container, start))


def _check_length(path: Path, length: float | None) -> None:
    if length is not None and length > LONGEST:
        raise _too_long(path)


@contextmanager
def _opened(path: Path) -> Iterator[av.container.InputContainer]:
    """A file that holds sound; what FFmpeg finds wrong with it becomes an AudioError."""
    import av  # loads FFmpeg: only those who decode pay for it

    if not path.is_file():
        raise AudioError(f"There is no sound file “{path}”: check the name.")
    if path.stat().st_size == 0:
        raise AudioError(f"“{path.name}” is empty: choose a file with sound.")
    try:
        # Without "file:" FFmpeg would take the start of some names for a protocol.
        with av.open(f"file:{path}", metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise AudioError(f"“{path.name}” holds no sound: choose a sound file, or a video that has sound.")
            yield container
    except av.error.FFmpegError as error:
        raise AudioError(f"“{path.name}” can't be read as sound ({error.strerror}): choose another file.") from error


def _read(path: Path, start: float, duration: float | None, progress: Progress) -> NDArray[np.float32]:
    """The excerpt's samples at RATE, (n,); n may be 0."""
    limit = round(LONGEST * RATE) if duration is None else round(duration * RATE)
    # A bytearray grows in place, so an hour of sound is never held twice.
    collected = bytearray()
    with _opened(path) as container:
        length = _length(container, start)
        if duration is None:
            _check_length(path, length)
        expected = min(known for known in (duration, length, LONGEST) if known)
        told = 0.0
        for block in _resampled(_mono(container, start)):
            collected += block.tobytes()
            seconds = len(collected) / (4 * RATE)
            if seconds >= told:
                progress(min(seconds / expected, 1.0), "Reading the song")
                told = seconds + 5.0
            if len(collected) >= 4 * limit:
                break
    samples = np.frombuffer(collected, dtype=np.float32)
    if duration is None and len(samples) > limit:
        raise _too_long(path)
    return samples[:limit]


def _too_long(path: Path) -> AudioError:
    return AudioError(f"“{path.name}” lasts more than {LONGEST / 3600:g} hours: use a part of it, or a shorter one.")


def _length(container: av.container.InputContainer, start: float) -> float | None:
    """Seconds from ``start`` to the end as the file states them, if it does."""
    stream = container.streams.audio[0]
    if stream.duration is not None and stream.time_base is not None:
        return max(float(stream.duration * stream.time_base) - start, 0.0)
    if container.duration is not None:
        return max(container.duration / 1e6 - start, 0.0)
    return None


def _mono(container: av.container.InputContainer, start: float) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Blocks of mixed samples (n,) with their rate, from ``start`` (seconds) on.

    The mix is the mean of the channels, whatever their layout, so that files with unusual ones can be used too.
    """
    elapsed = 0.0
    for frame in sound_frames(container):
        skip = round(min((start - elapsed) * frame.sample_rate, frame.samples))
        elapsed += frame.samples / frame.sample_rate
        if skip < frame.samples:
            yield _mix(frame)[max(skip, 0) :], frame.sample_rate


def _mix(frame: av.AudioFrame) -> NDArray[np.float32]:
    """The mean of a frame's channels, (samples,), full scale 1."""
    channels, dtype = len(frame.layout.channels), _DTYPES[frame.format.name.removesuffix("p")]
    if frame.format.is_planar:
        # Not to_ndarray: with eight channels or more it reads planes that aren't there, and crashes.
        planes = frame.planes[:channels]
        samples = np.stack([np.frombuffer(memoryview(plane), dtype)[: frame.samples] for plane in planes])
    else:
        samples = np.frombuffer(memoryview(frame.planes[0]), dtype)[: frame.samples * channels].reshape(-1, channels).T
    mixed = samples.mean(axis=0, dtype=np.float64)
    if samples.dtype == np.uint8:
        mixed = (mixed - 128.0) / 128.0
    elif samples.dtype.kind == "i":
        mixed = mixed / -float(np.iinfo(samples.dtype.name).min)
    return np.clip(np.nan_to_num(mixed), -1.0, 1.0).astype(np.float32)


def _resampled(blocks: Iterator[tuple[NDArray[np.float32], int]]) -> Iterator[NDArray[np.float32]]:
    """Blocks at RATE; a rate that changes within the file is followed."""
    import av

    resampler, current = None, 0
    for samples, rate in blocks:
        if rate != current:
            if resampler is not None:
                yield from _samples(resampler.resample(None))
            resampler, current = av.AudioResampler(format="fltp", layout="mono", rate=RATE), rate
        assert resampler is not None
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        frame.sample_rate = rate
        yield from _samples(resampler.resample(frame))
    if resampler is not None:
        yield from _samples(resampler.resample(None))


def _samples(frames: list[av.AudioFrame]) -> Iterator[NDArray[np.float32]]:
    for frame in frames:
        yield frame.to_ndarray()[0]
