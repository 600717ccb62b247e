"""Video files to pictures: any container and codec that PyAV reads, frame by frame, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ...retarget.errors import StepsmithError

if TYPE_CHECKING:
    import av
    from av.sidedata.sidedata import SideData

Image = NDArray[np.uint8]

LONGEST = 2 * 3600.0  # s
LARGEST = 8192  # px a side; a decoder holds some twenty pictures of the full size
SMALLEST = 16  # px a side
DETAIL = 960  # px on the long side: more than a pose detector can use of one dancer
# Decoding ahead in the background; every thread of a decoder holds another picture of the full size.
_THREADS = 4
_UNKNOWN_RATE = 30.0  # frames a second, where a file has no times at all
# FFmpeg would follow what a playlist names: only files, and none that lists others.
_LISTS = {"hls", "dash", "concat", "ffmetadata", "imf", "tty"}


class VideoError(StepsmithError):
    """A video that can't be used."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    ``size``: width and height in pixels of the upright picture, with square pixels. ``fps``: frames a second, on
    average. ``duration``: seconds, None where the file does not say. ``sound``: where its sound begins, in seconds
    from the video's start, None where it has none. A video's times count from its start: the first of its streams.
    """

    size: tuple[int, int]
    fps: float
    duration: float | None
    sound: float | None


class Frame(NamedTuple):
    """An upright picture (height, width, 3) RGB, at most DETAIL pixels long, and its second of the video."""

    time: float
    image: Image


def read(path: Path) -> Iterator[Frame]:
    """All frames of a video; raises what Video raises."""
    with closing(Video(path)) as video:
        yield from video.frames()


class Video:
    """An open video, to be closed. ``info``: what is known of it without decoding it all.

    Holds a few pictures of the full size at once, however long the video. Raises VideoError where the file is
    missing, empty, too large, too long, no video, or holds no picture that can be decoded.
    """

    def __init__(self, path: Path) -> None:
        import av  # loads FFmpeg: only those who decode pay for it

        self._path = path = Path(path)
        if not path.is_file():
            raise VideoError(f"There is no video “{path}”: check the name.")
        if path.stat().st_size == 0:
            raise VideoError(f"“{path.name}” is empty: choose a video of a dancer.")
        try:
            # Without "file:" FFmpeg would take the start of some names for a protocol.
            self._container = av.open(
                f"file:{path}", metadata_errors="ignore", options={"protocol_whitelist": "file", "max_streams": "100"}
            )
        except (av.error.FFmpegError, ValueError) as error:
            raise self._unreadable() from error
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._container.close()

    def _start(self) -> None:
        import av

        # A song's cover is a video stream of one picture.
        pictures = [s for s in self._container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if set(self._container.format.name.split(",")) & _LISTS:
            raise VideoError(f"“{self._path.name}” is a list of other files: choose the video itself.")
        if not pictures:
            if self._container.streams.audio:
                raise VideoError(
                    f"“{self._path.name}” holds sound alone: choose a video, or make a dance to this song."
                )
            raise self._unreadable()
        self._stream = pictures[0]
        width, height = self._stream.codec_context.width, self._stream.codec_context.height
        if max(width, height) > LARGEST:
            raise VideoError(
                f"“{self._path.name}” is {width} by {height} pixels, more than {LARGEST} a side: make it smaller."
            )
        self._stream.codec_context.thread_count = _THREADS
        self._stream.codec_context.thread_type = "AUTO"
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise VideoError(f"No picture of “{self._path.name}” can be decoded: it is damaged, or no video.")
        self._first = first
        self._upright = _Upright(self._stream, first)
        if min(self._upright.size) < SMALLEST:
            raise VideoError(f"“{self._path.name}” is only {first.width} by {first.height} pixels: nobody can be seen.")
        self.info = self._info()

    def _unreadable(self) -> VideoError:
        return VideoError(f"“{self._path.name}” can't be read as a video: it is damaged, or something else.")

    def _info(self) -> VideoInfo:
        stream, container = self._stream, self._container
        rate = stream.average_rate or stream.guessed_rate or stream.base_rate
        fps = float(rate) if rate and 1.0 <= rate <= 1000.0 else _UNKNOWN_RATE
        duration = None
        if stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            duration = container.duration / 1e6
        if duration is not None and duration > LONGEST:
            raise self._too_long()
        sounds = container.streams.audio
        sound = None if not sounds else self._seconds(sounds[0].start_time, sounds[0].time_base) or 0.0
        return VideoInfo(self._upright.size, fps, duration if duration and duration > 0.0 else None, sound)

    def _too_long(self) -> VideoError:
        return VideoError(
            f"“{self._path.name}” lasts more than {LONGEST / 3600:g} hours: cut out the part with the dance."
        )

    def _seconds(self, stamp: int | None, base: Any) -> float | None:
        """Seconds from the start of the video."""
        if stamp is None or base is None:
            return None
        return float(stamp * base) - (self._container.start_time or 0) / 1e6

    def _decode(self) -> Iterator[av.VideoFrame]:
        """The frames that can be decoded; where the file breaks off, the video ends."""
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue
            except av.error.FFmpegError:
                return
            yield from frames

    def frames(self) -> Iterator[Frame]:
        """The frames in the order of their times, scaled down while decoding; to be read once.

        What is damaged is left out: its frames are missing between the others' times.
        """
        step, last, shift = 1.0 / self.info.fps, -np.inf, 0.0
        decoded: av.VideoFrame | None = self._first
        while decoded is not None:
            time = self._seconds(decoded.pts, decoded.time_base)
            if time is None:
                time = last + step if last > -np.inf else 0.0
            elif time + shift < last - 1.0:  # the clock began anew, as in recordings that were joined
                shift = last + step - time
            time += shift
            if time > LONGEST:
                raise self._too_long()
            # Two frames of one time, and frames that come too late, are of no use.
            if time > last:
                yield Frame(time, self._upright.picture(decoded))
                last = time
            decoded = next(self._decoded, None)


class _Upright:
    """Makes upright pictures of one size, with square pixels, out of a video's frames."""

    def __init__(self, stream: av.VideoStream, frame: av.VideoFrame) -> None:
        self.turn = _turn(frame)
        aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        wide = float(aspect) if aspect and 0.1 <= aspect <= 10.0 else 1.0
        width, height = round(frame.width * wide), frame.height
        self.size = (height, width) if self.turn.swaps else (width, height)
        scale = min(1.0, DETAIL / max(width, height))
        self.scaled = max(1, round(width * scale)), max(1, round(height * scale))

    def picture(self, frame: av.VideoFrame) -> Image:
        width, height = self.scaled
        if frame.width * frame.height > 2 * width * height:
            # Averaged, so that fine patterns don't flicker; the fewer pixels are then turned into RGB, the faster.
            frame = frame.reformat(width, height, "yuv420p", interpolation="AREA")
        image = cast(Image, frame.reformat(width, height, "rgb24", interpolation="BILINEAR").to_ndarray())
        return np.ascontiguousarray(self.turn.apply(image))


@dataclass(frozen=True)
class _Turn:
    """How a picture is set upright: axes swapped first, then mirrored."""

    swaps: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    def apply(self, image: Image) -> Image:
        if self.swaps:
            image = image.swapaxes(0, 1)
        return image[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]


def _turn(frame: av.VideoFrame) -> _Turn:
    """What the frame's display matrix asks for, to the next quarter turn.

    The matrix [a b u; c d v; x y w] of 16.16 numbers sends (p, q) to (a p + c q, b p + d q), y down.
    """
    for data in frame.side_data:
        content = cast("SideData", data)  # iterating gives the data, whatever their type says
        if content.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(content)[:20], np.int32).tolist()
            if abs(b) + abs(c) > abs(a) + abs(d):
                return _Turn(True, c < 0, b < 0)
            return _Turn(False, a < 0, d < 0)
    return _Turn()
