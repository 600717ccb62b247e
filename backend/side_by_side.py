"""A video beside the character that moves as its dancer does: one picture to look at, with the sound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..retarget.errors import StepsmithError
from .progress import Progress, silent

Picture = NDArray[np.uint8]

_QUALITY = {"crf": "20", "preset": "veryfast"}
_HARDLY = 1e-3  # seconds by which times in two files may differ by rounding


def compose(video: Path, begins: float, rendering: Path, out: Path, progress: Progress = silent) -> None:
    """Write ``out``, an .mp4: on the left ``video`` from second ``begins`` on, on the right ``rendering``.

    It has the rendering's height, frame rate, length and sound. Raises StepsmithError where a file can't be used;
    lets what ``progress`` raises through, and leaves an unfinished ``out`` to whoever asked for it.
    """
    import av

    try:
        with av.open(str(rendering)) as character, av.open(str(out), "w") as written:
            shown, sounding = character.streams.video[0], next(iter(character.streams.audio), None)
            films = _Film(video, begins, shown.height)
            picture = written.add_stream("libx264", rate=shown.average_rate, options=_QUALITY)
            picture.pix_fmt = "yuv420p"
            sound = None if sounding is None else written.add_stream_from_template(sounding)
            done = 0
            for packet in character.demux():
                if packet.stream is sounding and packet.dts is not None:
                    packet.stream = sound
                    written.mux(packet)
                elif packet.stream is shown:
                    for frame in packet.decode():
                        beside = np.hstack([films.at(frame.time or 0.0), frame.to_ndarray(format="rgb24")])
                        picture.width, picture.height = beside.shape[1], beside.shape[0]
                        written.mux(picture.encode(av.VideoFrame.from_ndarray(beside)))
                        done += 1
                        progress(done / max(shown.frames, done), f"Putting picture {done} of {shown.frames} together")
            written.mux(picture.encode(None))
    except (av.error.FFmpegError, OSError) as error:
        raise StepsmithError(
            f"The video beside the character can't be written ({error.strerror}): leave --side-by-side out."
        ) from error


class _Film:
    """A video's pictures in the order of time, ``height`` pixels high; second 0 is its second ``begins``."""

    def __init__(self, video: Path, begins: float, height: int) -> None:
        from .pose.video import read

        self._coming: Iterator[tuple[float, Picture]] = read(video)
        self._begins, self._height = begins, height
        self._next = next(self._coming)
        self._now = self._scaled(self._next[1])

    def at(self, second: float) -> Picture:
        """(height, width, 3) the picture that is seen at ``second``, which must not go back."""
        latest = None
        while self._next is not None and self._next[0] <= self._begins + second + _HARDLY:
            latest = self._next[1]
            self._next = next(self._coming, None)
        if latest is not None:
            self._now = self._scaled(latest)
        return self._now

    def _scaled(self, picture: Picture) -> Picture:
        import av

        width = 2 * round(picture.shape[1] * self._height / picture.shape[0] / 2)  # even, as H.264 has it
        return av.VideoFrame.from_ndarray(picture).reformat(width=width, height=self._height).to_ndarray(format="rgb24")
