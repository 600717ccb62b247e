"""The sound of a video on the video's own clock, to the sample."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...retarget.rotations import Array
from ..audio import AudioError, Sound, decode
from ..packets import sound_frames
from ..progress import Progress, silent
from .video import clock_breaks

# A frame that comes this much later or earlier (s) than it is due was not recorded in one go with those before: some
# is missing in between, or the clocks of sound and pictures have drifted apart.
_JUMP = 0.03
_BREAK = 1.0  # s; where recordings were cut or joined, clocks jump by no less
# By how much (s) the jumps of sound and pictures may differ there: those begin with the next key frame that is whole.
_BESIDE = 5.0
_ROUNDED = 0.005  # s by which stamps may be off
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
        """Seconds of the video at which each unbroken piece begins, and ends or is followed by the next."""
        begins, heard = self.places.T
        ends = begins + np.append(heard[1:], self.sound.duration) - heard
        ends[:-1] = np.minimum(ends[:-1], begins[1:])
        return list(zip(begins.tolist(), ends.tolist(), strict=True))

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
    """The sound of a video. Raises SoundError or AudioError where there is none that can be held against the dance,
    VideoError where the pictures can't be read.

    What is damaged is missing between the ``places``.
    """
    places = sound_places(video)
    return VideoSound(decode(video, progress=progress), places)


def sound_places(video: Path) -> Array:
    """The places of a VideoSound. Raises SoundError where there are none, VideoError where there are no pictures.

    Second 0 of a video is the start of the first of its streams, as in ``pose.video``, and where recordings were cut
    or joined, its pictures' times go on, and so do these.
    """
    times, seconds = np.array(list(_frames(video))).T
    jumps = np.diff(times) - seconds[:-1]
    # Where there are none, the pictures need not be decoded to know.
    breaks = clock_breaks(video) if (np.abs(jumps) > _BREAK).any() else []
    found = _pieces(times, seconds, _moved(jumps, breaks))
    if len(found) > 1 and found[1, 0] <= found[0, 0] and found[1, 1] < _STRAY:
        found = found[1:]
    if (np.diff(found[:, 0]) <= 0).any():
        raise SoundError(f"The clock of the sound of “{video.name}” runs backwards: export the video anew.")
    return found


def sound_start(video: Path) -> float:
    """The second of a video at which begins what can be decoded of its sound: some decoders swallow what comes first.
    Raises SoundError where there is none."""
    with closing(_frames(video)) as frames:
        start, _ = next(frames)
    return start


def _frames(video: Path) -> Generator[tuple[float, float], None, None]:
    """When each frame of sound that can be decoded begins, seconds from the video's start on the file's clock, and how
    long it is. Raises SoundError where there is none."""
    import av  # loads FFmpeg: only those who decode pay for it

    due: float | None = None
    try:
        with av.open(f"file:{video}", metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise SoundError(f"“{video.name}” holds no sound: a dance is learned with its music.")
            start = (container.start_time or 0) / 1e6
            for frame in sound_frames(container):  # those that are decoded for their samples too
                if frame.pts is None or frame.time_base is None:
                    time = due or 0.0
                else:
                    time = float(frame.pts * frame.time_base) - start
                seconds = frame.samples / frame.sample_rate
                yield time, seconds
                due = time + seconds
    except av.error.FFmpegError as error:
        raise SoundError(f"“{video.name}” can't be read as a video ({error.strerror}): export it anew.") from error
    if due is None:
        raise SoundError(f"The sound of “{video.name}” has no clock: export the video anew.")


def _moved(jumps: Array, breaks: Sequence[float]) -> Array:
    """(F,) seconds by which the breaks before each frame of sound have moved the file's clock.

    ``jumps``: (F - 1,) how much later than due frames come; ``breaks``: by how much the pictures' clock jumps at each.
    A jump of the sound is at as many of the next breaks as together come nearest to it, which may be none.
    """
    moved, coming = np.zeros(len(jumps) + 1), list(breaks)
    for frame in np.flatnonzero(np.abs(jumps) > _JUMP).tolist():
        sums = np.cumsum([0.0, *coming])
        apart = np.abs(jumps[frame] - sums)
        passed = int(apart.argmin())
        if apart[passed] <= _BESIDE:
            moved[frame + 1 :] += sums[passed]
            del coming[:passed]
    return moved


def _pieces(times: Array, seconds: Array, moved: Array) -> Array:
    """The places of frames of sound.

    ``times``: (F,) when each begins on the file's clock; ``seconds``: (F,) how long it is; ``moved``: (F,) by how many
    seconds breaks have moved that clock.
    """
    heard = np.concatenate([[0.0], np.cumsum(seconds)[:-1]])
    begun = times - moved - heard  # when all sound would have begun, to be here now
    starts = [0]
    for frame in range(1, len(begun)):
        if abs(begun[frame] - begun[starts[-1]]) > _JUMP or moved[frame] != moved[frame - 1]:
            starts.append(frame)
    # The stamp of the first frame after a gap may be that of one that was lost with it: the others know better.
    late = np.array([np.median(piece - piece[0]) for piece in np.split(begun, starts[1:])])
    first = begun[starts] + np.where(np.abs(late) > _ROUNDED, late, 0.0)
    return np.stack([first + heard[starts], heard[starts]], axis=1)
