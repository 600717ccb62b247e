"""Video files to pictures: any container and codec that PyAV reads, frame by frame, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ...retarget.errors import StepsmithError
from ..packets import packets
from .damage import Damage, Damages

if TYPE_CHECKING:
    import av
    from av.sidedata.sidedata import SideData

Image = NDArray[np.uint8]

SHORTEST = 1.0  # s
LONGEST = 2 * 3600.0  # s
LARGEST = 8192  # px a side; a decoder holds some twenty pictures of the full size
SMALLEST = 16  # px a side
DETAIL = 960  # px on the long side: more than a pose detector can use of one dancer
# Decoding ahead in the background; every thread of a decoder holds another picture of the full size.
_THREADS = 4
_UNKNOWN_RATE = 30.0  # frames a second, where a file has no times at all
_HARDLY = 1e-3  # s by which a frame may seem early, since some containers round times to milliseconds
# What is read before a part of a video: a key frame's picture may come some frames after its place in the file.
_LEAD = 1.0  # s
_BLIND_LEAD = 12.0  # s, where key frames can't be looked up; encoders put them at most some ten seconds apart
_TIMELESS = 0x0080 | 0x0200  # FFmpeg's AVFMT_NOTIMESTAMPS and AVFMT_TS_DISCONT
_CUT_OUT = 10.0  # s from one frame to the next, in such files, from which on a part was cut out of the recording
# FFmpeg would follow what a playlist names: only files, and none that lists others. It draws texts as pictures, too.
_LISTS, _TEXTS = {"hls", "dash", "concat", "ffmetadata", "imf"}, {"tty"}


class VideoError(StepsmithError):
    """A video that can't be used."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    ``size``: width and height in pixels of the upright picture, with square pixels. ``fps``: frames a second, on
    average. ``duration``: seconds, None where the file does not say. ``sound``: where its sound begins by what the
    file says, in seconds from the video's start, None where it has none. A video's times count from its start: the
    first of its streams. ``start``: the second at which what is read of it begins; ``end``: that at which it ends,
    None where not known.
    """

    size: tuple[int, int]
    fps: float
    duration: float | None
    sound: float | None
    start: float = 0.0
    end: float | None = None


class Frame(NamedTuple):
    """An upright picture (height, width, 3) RGB, at most DETAIL pixels long, and its second of the video; ``dark``
    where it was very dark before it was brightened."""

    time: float
    image: Image
    dark: bool = False


def read(path: Path, start: float = 0.0, duration: float | None = None) -> Iterator[Frame]:
    """All frames of a video, or of a part of it; raises what Video raises."""
    with closing(Video(path, start, duration)) as video:
        yield from video.frames()


def clock_breaks(path: Path) -> list[float]:
    """What Video.clock_breaks says of a whole video; raises what Video raises."""
    with closing(Video(path)) as video:
        for _ in video.frames():
            pass
        return video.clock_breaks()


def check_part(start: float, duration: float | None) -> None:
    """Raise VideoError where no video has a part that begins at second ``start`` and lasts ``duration`` seconds."""
    if not 0.0 <= start < float("inf"):
        raise VideoError(f"The part of a video must begin at 0 s or later, not at {start:g} s.")
    if duration is not None and not SHORTEST <= duration <= LONGEST:
        raise VideoError(
            f"The part of a video must last between {SHORTEST:g} s and {LONGEST / 3600:g} hours, not {duration:g} s."
        )


class Video:
    """An open video, to be closed. ``info``: what is known of it without decoding it all.

    ``start`` and ``duration`` (seconds) choose a part of it; without ``duration``, to its end. The part ends with the
    video at the latest. Of what comes before, no more is decoded than need be. Holds a few pictures of the full size
    at once, however long the video. Raises VideoError where the file is missing, empty, too large, too long, no
    video, holds no picture that can be decoded, or ends before the part.
    """

    def __init__(self, path: Path, start: float = 0.0, duration: float | None = None) -> None:
        check_part(start, duration)
        self._path = path = Path(path)
        if not path.is_file():
            raise VideoError(f"There is no video “{path}”: check the name.")
        if path.stat().st_size == 0:
            raise VideoError(f"“{path.name}” is empty: choose a video of a dancer.")
        self._begin, self._end = start, None if duration is None else start + duration
        self._open()
        try:
            self._go_to_part()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._container.close()

    # --- opening ---

    def _open(self) -> None:
        """Open the file, and decode its first picture."""
        self._container = self._opened()
        try:
            self._stream = self._pictures()
            self._damages = Damages(self._stated(), self._fragments(), self._transport())
            self._clock = _Clock(1.0 / self._fps(), _CUT_OUT if self._timeless() else np.inf)
            self._packets = self._read()
            self._decoded = self._decode()
            first = next(self._decoded, None)
            if first is None:
                raise self._undecodable()
            self._upright = _Upright(self._stream, first)
            if min(self._upright.size) < SMALLEST:
                raise VideoError(
                    f"“{self._path.name}” is only {first.width} by {first.height} pixels: nobody can be seen."
                )
            self._first: av.VideoFrame | None = first
            self.info = self._info()
        except BaseException:
            self.close()
            raise

    def _opened(self) -> av.container.InputContainer:
        import av  # loads FFmpeg: only those who decode pay for it

        self._one_way = False
        # Without "file:" FFmpeg would take the start of some names for a protocol.
        name, options = f"file:{self._path}", {"protocol_whitelist": "file", "max_streams": "100"}
        try:
            return av.open(name, metadata_errors="ignore", options=options)
        except (av.error.FFmpegError, ValueError) as error:
            # Where it can, FFmpeg looks up all fragments of an MP4 at once, and gives up at half a one.
            self._one_way = True
            with suppress(av.error.FFmpegError, ValueError):
                return av.open(name, metadata_errors="ignore", options={**options, "seekable": "0"})
            raise self._unreadable() from error

    def _pictures(self) -> av.VideoStream:
        """The stream to watch."""
        import av

        kinds = set(self._container.format.name.split(","))
        if kinds & _TEXTS:
            raise self._unreadable()
        if kinds & _LISTS:
            raise VideoError(f"“{self._path.name}” is a list of other files: choose the video itself.")
        # A song's cover is a video stream of one picture.
        pictures = [s for s in self._container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not pictures:
            if self._container.streams.audio:
                raise VideoError(
                    f"“{self._path.name}” holds sound alone: choose a video, or make a dance to this song."
                )
            raise self._unreadable()
        # Of several, that which players show.
        chosen = next((s for s in pictures if s.disposition & av.stream.Disposition.default), pictures[0])
        codec: av.VideoCodecContext | None = chosen.codec_context
        if codec is None:
            raise self._undecodable()
        if max(codec.width, codec.height) > LARGEST:
            raise VideoError(
                f"“{self._path.name}” is {codec.width} by {codec.height} pixels, more than {LARGEST} a side: make it"
                " smaller."
            )
        codec.thread_count = _THREADS
        codec.thread_type = "AUTO"
        return chosen

    def _unreadable(self) -> VideoError:
        try:
            with self._path.open("rb") as file:
                head = file.read(8)
        except OSError as error:
            return VideoError(
                f"“{self._path.name}” can't be read ({error.strerror}): copy it to where you may read it."
            )
        if head[4:] == b"ftyp":
            return VideoError(
                f"“{self._path.name}” can't be read, since its index is damaged or missing, as where a recording or"
                " a download breaks off: copy it again."
            )
        return VideoError(f"“{self._path.name}” can't be read as a video: it is damaged, or something else.")

    def _undecodable(self) -> VideoError:
        return VideoError(
            f"No picture of “{self._path.name}” can be decoded: it is damaged, or of a kind to convert to MP4 first."
        )

    def _fps(self) -> float:
        rate = self._stream.average_rate or self._stream.guessed_rate or self._stream.base_rate
        return float(rate) if rate and 1.0 <= rate <= 1000.0 else _UNKNOWN_RATE

    def _info(self) -> VideoInfo:
        stream, container = self._stream, self._container
        duration = None
        if not self._one_way:  # else it is that of the first fragment alone
            if stream.duration is not None and stream.time_base is not None:
                begins = self._seconds(stream.start_time, stream.time_base) or 0.0
                duration = begins + float(stream.duration * stream.time_base)
            elif container.duration is not None:
                duration = container.duration / 1e6
        duration = duration if duration and duration > 0.0 else None
        end = min((end for end in (duration, self._end) if end is not None), default=None)
        if end is not None and end - self._begin > LONGEST:
            raise self._too_long()
        sounds = container.streams.audio
        sound = None if not sounds else self._seconds(sounds[0].start_time, sounds[0].time_base) or 0.0
        return VideoInfo(self._upright.size, self._fps(), duration, sound, self._begin, end)

    def _timeless(self) -> bool:
        """Whether the file can't be gone through by its times: they may begin anew, or are guesses."""
        return self._one_way or bool(self._container.format.flags & _TIMELESS)

    def _stated(self) -> float | None:
        """Seconds that the file says it lasts, as far as it can be relied upon: that of its longest stream."""
        if self._timeless() or self._container.duration is None:
            return None
        stated = self._container.duration / 1e6
        if self._container.format.name == "avi" and self._stream.time_base is not None:
            # FFmpeg shortens the duration that an AVI states to what the file's size makes likely.
            stated = max(stated, float(self._stream.frames * self._stream.time_base))
        return stated

    def _fragments(self) -> Path | None:
        """The file, if it is an MP4 in fragments, which states no length of the whole."""
        whole = not self._container.format.name.startswith("mov") or self._stream.frames > 0
        return None if whole else self._path

    def _transport(self) -> Path | None:
        """The file, if it is an MPEG transport stream, which states no length either."""
        return self._path if self._container.format.name == "mpegts" else None

    def _too_long(self) -> VideoError:
        return VideoError(
            f"“{self._path.name}” lasts more than {LONGEST / 3600:g} hours: choose the part with the dance by start and"
            " duration."
        )

    def _ends_before(self, end: float) -> VideoError:
        return VideoError(
            f"“{self._path.name}” ends at {end:.1f} s: choose a part that begins before that, not at {self._begin:g} s."
        )

    # --- going to a part ---

    def _go_to_part(self) -> None:
        """Leave out what comes before the part, as far as it need not be decoded."""
        import av

        lead = _BLIND_LEAD if self._timeless() else _LEAD
        if self._begin <= lead:
            return
        if (stated := self._stated()) is not None and self._begin >= stated:
            raise self._ends_before(stated)
        try:
            if self._timeless():
                self._skip(self._begin - lead)
            else:
                self._seek(self._begin - lead)
            self._first = next(self._decoded, None)
            first = None if self._first is None else self._seconds(self._first.pts, self._first.time_base)
            reached = first is not None and first + self._clock.shift <= self._begin + _HARDLY
        except av.error.FFmpegError:
            reached = False
        if not reached:  # then all of it has to be decoded
            self.close()
            self._open()

    def _seek(self, second: float) -> None:
        """Go on with the last key frame before a second."""
        base = self._stream.time_base
        stamp = (second * 1e6 + (self._container.start_time or 0)) / 1e6 / float(base or 1)
        self._container.seek(round(stamp), stream=self._stream)
        self._packets, self._decoded = self._read(), self._decode()

    def _skip(self, second: float) -> None:
        """Read on to a second, without decoding, to learn how often the clock begins anew before it."""
        while self._clock.last < second and (packet := next(self._packets, None)) is not None:
            time = self._seconds(packet.pts, packet.time_base)
            if time is not None and packet.stream is self._stream:
                self._clock.last = max(self._clock.at(time), self._clock.last)
        self._stream.codec_context.flush_buffers()
        self._clock.last, self._decoded = -np.inf, self._decode()

    # --- decoding ---

    def _seconds(self, stamp: int | None, base: Any) -> float | None:
        """Seconds from the start of the video."""
        if stamp is None or base is None:
            return None
        return float(stamp * base) - (self._container.start_time or 0) / 1e6

    def _read(self) -> Iterator[av.Packet]:
        """The packets of all streams, since the file's length is that of the longest."""
        return packets(self._container, self._stream, others=True)

    def _decode(self) -> Iterator[av.VideoFrame]:
        """The frames that can be decoded; where the file breaks off, the video ends."""
        import av

        while True:
            packet: av.Packet | None = None
            try:
                packet = next(self._packets, None)
                if packet is None:
                    break
                stamp = packet.pts if packet.pts is not None else packet.dts
                self._damages.read(packet, self._seconds(stamp, packet.time_base))
                if packet.stream is not self._stream:
                    continue
                frames = packet.decode()
            except av.error.InvalidDataError:
                if packet is not None:
                    self._note_fault(packet)
                continue
            except av.error.FFmpegError:
                break
            if packet.is_corrupt:
                self._note_fault(packet)
            for frame in frames:
                assert isinstance(frame, av.VideoFrame)
                if frame.is_corrupt:
                    self._note_fault(frame)
                yield frame
        self._damages.over()

    def _note_fault(self, damaged: av.Packet | av.VideoFrame) -> None:
        time = self._seconds(damaged.pts, damaged.time_base)
        self._damages.fault(max(self._clock.last, 0.0) if time is None else time + self._clock.shift)

    def frames(self) -> Iterator[Frame]:
        """The frames in the order of their times, scaled down while decoding; to be read once.

        What is damaged is left out: its frames are missing between the others' times.
        """
        import av

        clock, stamps, seen = self._clock, _Stamps(), False
        decoded = self._first
        while decoded is not None:
            time = clock.at(self._seconds(stamps.of(decoded), decoded.time_base))
            if self._end is not None and time >= self._end - _HARDLY:
                break
            if time - self._begin > LONGEST:
                raise self._too_long()
            # Two frames of one time, and frames that come too late, are of no use.
            if time > clock.last:
                clock.last = time
                if time >= self._begin - _HARDLY:
                    try:
                        image = self._upright.picture(decoded)
                    except av.error.FFmpegError:
                        self._damages.fault(time)
                    else:
                        seen = True
                        yield Frame(time, image)
            decoded = next(self._decoded, None)
        if not seen:
            raise self._ends_before(max(clock.last + clock.step, 0.0)) if self._begin > 0.0 else self._undecodable()

    def damage(self) -> list[Damage]:
        """Where what was read of the file is damaged, in order; known once all frames were read."""
        return self._damages.found(self._begin, self._end, self._clock.last + self._clock.step, self._clock.step)

    def clock_breaks(self) -> list[float]:
        """By how many seconds the file's clock jumps at each place where recordings were cut or joined, in order: the
        frames' times go on there. Known once all frames were read."""
        return list(self._clock.breaks)


class _Stamps:
    """Knows which stamp of a frame to believe: that of when it is to be shown, unless those go to and fro, as where
    AVIs hold frames in another order than they are shown in. The decoder's own go on then, as FFmpeg has it too."""

    def __init__(self) -> None:
        self._last, self._faults = [-np.inf, -np.inf], [0, 0]

    def of(self, frame: av.VideoFrame) -> int | None:
        """The stamp of the next frame."""
        for kind, stamp in enumerate((frame.pts, frame.dts)):
            if stamp is not None:
                self._faults[kind] += stamp <= self._last[kind]
                self._last[kind] = stamp
        shown, decoded = self._faults
        return frame.pts if shown <= decoded or frame.dts is None else frame.dts


class _Clock:
    """Mends the times of recordings that were joined, in which they begin anew. ``last``: of the latest frame.

    ``step``: seconds from frame to frame, for files without times; ``longest``: seconds that may pass without a frame,
    if no part of a recording was cut out. ``breaks``: by how many seconds the file's times jumped, each time.
    """

    def __init__(self, step: float, longest: float) -> None:
        self.step, self.last, self.shift = step, -np.inf, 0.0
        self._longest = longest
        self.breaks: list[float] = []

    def at(self, time: float | None) -> float:
        """The time of a frame of which the file says ``time``."""
        if time is None:
            return self.last + self.step if self.last > -np.inf else 0.0
        if self.last > -np.inf and not -1.0 <= time + self.shift - self.last <= self._longest:
            shift = self.last + self.step - time
            self.breaks.append(self.shift - shift)
            self.shift = shift
        return time + self.shift


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
        """The frame's picture. Raises FFmpegError where it can't be made."""
        import av

        try:
            return self._picture(frame)
        except av.error.FFmpegError:
            # FFmpeg converts no colours of a kind that it doesn't know, or that there isn't: to find somebody, any do.
            frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = 2, 0, 2, 2
            return self._picture(frame)

    def _picture(self, frame: av.VideoFrame) -> Image:
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
