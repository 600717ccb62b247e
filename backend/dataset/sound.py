"""The sound of a video on the video's own clock, to the sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...retarget.errors import StepsmithError
from ...retarget.rotations import Array
from ..audio import Sound, decode
from ..progress import Progress, silent

if TYPE_CHECKING:
    import av

# A packet that comes this much later or earlier (s) than the one before it ends was not recorded in one go with it.
_JUMP = 0.06
_WITHIN = 0.001  # s
# Sound that comes out longer or shorter than its packets say by more than this (s) has damaged parts.
_AMISS = 0.12


class SoundError(StepsmithError):
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
        piece = max(0, int(np.searchsorted(self.places[:, 0], time + _WITHIN, side="right")) - 1)
        begins, before = self.places[piece]
        return max(0.0, float(before + time - begins))

    def cut(self, start: float, samples: int) -> NDArray[np.float32]:
        """(samples,) of the sound from ``start`` on, seconds of the video within one of the ``spans``; silence where
        rounding reaches past the end of all."""
        first = round(self.heard(start) * self.sound.rate)
        found = self.sound.samples[first : first + samples]
        return np.pad(found, (0, samples - len(found)))


def read_sound(video: Path, progress: Progress = silent) -> VideoSound:
    """The sound of a video. Raises StepsmithError where there is none, or it is damaged."""
    places, length = _timeline(video)
    sound = decode(video, progress=progress)
    if abs(sound.duration - length) > _AMISS:
        raise SoundError(
            f"The sound of “{video.name}” is damaged ({sound.duration:.2f} s of its {length:.2f} s can be read), so it"
            " can't be held against the dance: export the video anew."
        )
    return VideoSound(sound, places)


def _timeline(video: Path) -> tuple[Array, float]:
    """The places of a VideoSound, and the seconds of sound that there are in all, as the packets say.

    Second 0 of a video is the start of the first of its streams, as in ``pose.video``.
    """
    import av  # loads FFmpeg: only those who decode pay for it

    def opened() -> av.container.InputContainer:
        return av.open(f"file:{video}", metadata_errors="ignore")

    try:
        with opened() as container:
            if not container.streams.audio:
                raise SoundError(f"“{video.name}” holds no sound: a dance is learned with its music.")
            start = (container.start_time or 0) / 1e6
            heard = _first(container, container.streams.audio[0])
        if heard is None:
            raise SoundError(f"None of the sound of “{video.name}” can be read: export the video anew.")
        with opened() as container:
            pieces, length = _pieces(container.demux(container.streams.audio[0]), heard)
    except av.error.FFmpegError as error:
        raise SoundError(f"“{video.name}” can't be read as a video ({error.strerror}): export it anew.") from error
    places = np.array(pieces) - [start, 0.0]
    if (np.diff(places[:, 0]) <= 0).any():
        raise SoundError(f"The clock of the sound of “{video.name}” runs backwards: export the video anew.")
    return places, length


def _first(container: av.container.InputContainer, stream: av.stream.Stream) -> float | None:
    """Seconds, on the container's clock, of the first frame of a stream; None where there is none."""
    import av

    for packet in container.demux(stream):
        try:
            for frame in packet.decode():
                if isinstance(frame, av.AudioFrame) and frame.pts is not None and frame.time_base is not None:
                    return float(frame.pts * frame.time_base)
        except av.error.InvalidDataError:
            continue
    return None


def _pieces(packets: Iterator[av.packet.Packet], heard: float) -> tuple[list[tuple[float, float]], float]:
    """Where unbroken pieces of sound begin (seconds on the container's clock, seconds of sound before), and all its
    seconds.

    ``heard``: seconds on that clock of the first sound that is decoded; encoders put some before it that is not.
    """
    pieces = [(heard, 0.0)]
    due: float | None = None  # when the next packet begins if nothing is missing
    length = 0.0
    for packet in packets:
        if not packet.size or packet.time_base is None:
            continue
        begins = due if packet.pts is None else float(packet.pts * packet.time_base)
        if begins is None:
            begins = heard
        if due is None:
            length = min(0.0, begins - heard)
        elif abs(begins - due) > _JUMP:
            pieces.append((begins, length))
        else:
            begins = due
        seconds = _seconds(packet)
        due, length = begins + seconds, length + seconds
    return pieces, length


def _seconds(packet: av.packet.Packet) -> float:
    if packet.duration:
        return float(packet.duration * packet.time_base)
    codec = packet.stream.codec_context
    return codec.frame_size / codec.sample_rate if codec.sample_rate else 0.0
