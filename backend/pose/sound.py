"""The sound of a video on the video's own clock, to the sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...retarget.rotations import Array
from ..audio import AudioError, Sound, decode
from ..packets import sound_frames
from ..progress import Progress, silent

if TYPE_CHECKING:
    import av

# A frame that comes this much later or earlier (s) than it is due was not recorded in one go with those before: some
# is missing in between, or the clocks of sound and pictures have drifted apart.
_JUMP = 0.03
_WITHIN = 0.001  # s
# A first piece shorter than this (s) may have a time of before the clock's beginning, which some containers can't say.
_STRAY = 0.5


class SoundError(AudioError):
    """A video without sound that its dance can be held against."""


@dataclass(frozen=True, eq=False)
class VideoSound:
    """The sound of a video. ``places``: (P, 2), ascending: seconds of the video, and of ``sound``, at which each
    unbroken piece begins."""

    sound: Sound
    places: Array

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Seconds of the video at which each unbroken piece begins and ends."""
        ends = np.append(self.places[1:, 1], self.sound.duration)
        return [(begins, begins + end - heard) for (begins, heard), end in zip(self.places.tolist(), ends, strict=True)]

    def heard(self, time: float) -> float:
        """The second of ``sound`` that is heard at ``time``, seconds of the video."""
        begins, before = self.places[self._piece(time)]
        return max(0.0, float(before + time - begins))

    def cut(self, start: float, samples: int) -> NDArray[np.float32]:
        """(samples,) of the sound from ``start`` on, seconds of the video within one of the ``spans``; silence after
        the end of that."""
        rate, piece = self.sound.rate, self._piece(start)
        ends = len(self.sound.samples) if piece + 1 == len(self.places) else round(self.places[piece + 1, 1] * rate)
        first = round(self.heard(start) * rate)
        found = self.sound.samples[first : min(first + samples, ends)]
        return np.pad(found, (0, samples - len(found)))

    def _piece(self, time: float) -> int:
        return max(0, int(np.searchsorted(self.places[:, 0], time + _WITHIN, side="right")) - 1)


def read_sound(video: Path, progress: Progress = silent) -> VideoSound:
    """The sound of a video. Raises SoundError or AudioError where there is none that can be held against the dance.

    What is damaged is missing between the ``places``.
    """
    places = _places(video)
    return VideoSound(decode(video, progress=progress), places)


def _places(video: Path) -> Array:
    """The places of a VideoSound.

    Second 0 of a video is the start of the first of its streams, as in ``pose.video``.
    """
    import av  # loads FFmpeg: only those who decode pay for it

    places: list[tuple[float, float]] = []
    heard = 0.0
    try:
        with av.open(f"file:{video}", metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise SoundError(f"“{video.name}” holds no sound: a dance is learned with its music.")
            start = (container.start_time or 0) / 1e6
            for time, seconds in _frames(container):
                if not places or abs(time - (places[-1][0] + heard - places[-1][1])) > _JUMP:
                    places.append((time, heard))
                heard += seconds
    except av.error.FFmpegError as error:
        raise SoundError(f"“{video.name}” can't be read as a video ({error.strerror}): export it anew.") from error
    found = np.array(places).reshape(-1, 2) - [start, 0.0]
    if not len(found):
        raise SoundError(f"The sound of “{video.name}” has no clock: export the video anew.")
    if len(found) > 1 and found[1, 0] <= found[0, 0] and found[1, 1] < _STRAY:
        found = found[1:]
    if (np.diff(found[:, 0]) <= 0).any():
        raise SoundError(f"The clock of the sound of “{video.name}” runs backwards: export the video anew.")
    return found


def _frames(container: av.container.InputContainer) -> Iterator[tuple[float, float]]:
    """When each frame of sound that can be decoded begins, on the container's clock, and how long it is, seconds."""
    due = 0.0
    for frame in sound_frames(container):  # those that are decoded for their samples too
        time = due if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
        seconds = frame.samples / frame.sample_rate
        yield time, seconds
        due = time + seconds
