"""What lies in a file of sound or pictures, as far as it can be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av


def packets(
    container: av.container.InputContainer, stream: av.VideoStream | av.AudioStream, *, others: bool = False
) -> Iterator[av.Packet]:
    """The packets of a stream, of all ``others`` too, and an empty one at the end that empties the decoder.

    Raises FFmpegError where the file can't be read on.
    """
    import av

    emptied = False
    try:
        for packet in container.demux() if others else container.demux(stream):
            emptied = emptied or (packet.stream is stream and not packet.size)
            yield packet
    except IndexError:  # PyAV's, at the end of a file in which it met more streams than it knew of
        if not emptied:
            last = av.Packet()
            last.stream = stream
            yield last


def sound_frames(container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """The frames of the first sound; damaged packets are skipped, as players do.

    Raises FFmpegError where the file can't be read on, or none of its packets can be decoded.
    """
    import av

    fault: av.error.FFmpegError | None = None
    heard = False
    for packet in packets(container, container.streams.audio[0]):
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:  # of damage, decoders of AC-3 and AAC have numbers of their own
            fault = error
            continue
        for frame in frames:
            if isinstance(frame, av.AudioFrame):
                heard = True
                yield frame
    if fault is not None and not heard:
        raise fault
