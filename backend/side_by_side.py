"""A video beside the character that moves as its dancer does: one picture to look at, with the sound."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..retarget.errors import StepsmithError
from .progress import Progress, silent

if TYPE_CHECKING:
    import av

    from .pose.video import Frame, Video

Picture = NDArray[np.uint8]

_QUALITY = {"crf": "20", "preset": "veryfast"}
_HARDLY = 1e-3  # seconds by which times in two files may differ by rounding


def compose(video: Path, begins: float, rendering: Path, out: Path, progress: Progress = silent) -> None:
    """Write ``out``, an .mp4: on the left ``video`` from second ``begins`` on, on the right ``rendering``.

    It has the rendering's height, frame rate, length and sound. Raises StepsmithError where a file can't be used;
    lets what ``progress`` raises through, and leaves an unfinished ``out`` to whoever asked for it.
    """
    import av

    from .pose.video import Video

    try:
        with (
            closing(Video(video, begins)) as film,
            av.open(str(rendering)) as character,
            av.open(str(out), "w") as written,
        ):
            shown = character.streams.video[0]
            left = _Film(film, begins, shown.height)
            picture = written.add_stream("libx264", rate=shown.average_rate, options=_QUALITY)
            picture.width, picture.height, picture.pix_fmt = left.width + shown.width, shown.height, "yuv420p"
            sounds = {stream.index: written.add_stream_from_template(stream) for stream in character.streams.audio}
            done = 0
            for packet in character.demux(shown, *character.streams.audio):
                if packet.stream is not shown:
                    if packet.dts is not None:  # not the empty one at the end
                        packet.stream = sounds[packet.stream.index]
                        written.mux(packet)
                    continue
                for frame in packet.decode():
                    assert isinstance(frame, av.VideoFrame)
                    beside: Picture = np.hstack([left.at(frame.time or 0.0), _pixels(frame)])
                    written.mux(picture.encode(av.VideoFrame.from_ndarray(beside)))
                    done += 1
                    progress(done / max(shown.frames, done), f"Putting picture {done} of {shown.frames} together")
            written.mux(picture.encode(None))
    except (av.error.FFmpegError, OSError) as error:
        raise StepsmithError(
            f"The video beside the character can't be written ({error.strerror}): leave --side-by-side out."
        ) from error


class _Film:
    """A video's pictures in the order of time, ``height`` pixels high; second 0 is ``begins`` of the video's."""

    def __init__(self, video: Video, begins: float, height: int) -> None:
        wide, high = video.info.size
        self.width = max(2 * round(wide * height / high / 2), 2)  # even, as H.264 has it
        self._height, self._begins = height, begins
        self._coming = video.frames()
        self._next: Frame | None = next(self._coming)
        self._now: Picture | None = None

    def at(self, second: float) -> Picture:
        """(height, width, 3) the picture that is seen at ``second``, which must not go back."""
        latest = self._next if self._now is None else None
        while self._next is not None and self._next.time <= self._begins + second + _HARDLY:
            latest, self._next = self._next, next(self._coming, None)
        if latest is not None:
            self._now = self._scaled(latest.image)
        assert self._now is not None
        return self._now

    def _scaled(self, picture: Picture) -> Picture:
        import av

        frame = av.VideoFrame.from_ndarray(picture)
        return _pixels(frame.reformat(self.width, self._height, "rgb24", interpolation="AREA"))


def _pixels(frame: av.VideoFrame) -> Picture:
    """(height, width, 3) RGB."""
    return frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
