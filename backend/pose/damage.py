"""Where a video file is damaged: what a decoder stumbles over, and where the pictures end too early."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import av

_TOGETHER = 1.0  # s between two faults of one damage
_LOST = 0.5  # s that may be missing at the end, where files round what they state
_BEYOND = 60.0  # s that a file may go on behind what it states
_UNREAD = 0.05  # of a file in fragments that may follow its last packet: their index

_MOST_BOXES = 100_000  # that are looked at; a fragment of a second's length has two


@dataclass(frozen=True)
class Damage:
    """Where a file is damaged, from ``start`` to ``end`` (seconds of the video).

    ``pictures``: how many can't be decoded, or not whole. None where all pictures after ``start`` are missing; then
    ``end`` is the second at which the last one should end, or ``start`` again where the file doesn't say.
    """

    start: float
    end: float
    pictures: int | None


class Damages:
    """Notes, while a video is decoded, what is wrong with it.

    ``stated``: how many seconds the file says that it lasts, None where that can't be relied upon.
    ``fragments``: the file, if it is an MP4 whose parts each state their own length alone; ``stream``: the file, if it
    is an MPEG transport stream; None for others.
    """

    def __init__(self, stated: float | None, fragments: Path | None, stream: Path | None) -> None:
        self._stated, self._fragments, self._stream = stated, fragments, stream
        self._faults: set[float] = set()
        self._reached, self._read, self._over = 0.0, 0, False

    def read(self, packet: av.Packet, end: float | None) -> None:
        """A packet of any stream was read, which ends at second ``end``."""
        # Far behind what is stated, it is the time that is damaged.
        if end is not None and self._stated is not None and end < self._stated + _BEYOND:
            self._reached = max(self._reached, end)
        self._read = max(self._read, (packet.pos or 0) + packet.size)

    def fault(self, time: float) -> None:
        """The picture of that second can't be decoded, or only in part."""
        self._faults.add(time)

    def over(self) -> None:
        """The file goes no further."""
        self._over = True

    def found(self, start: float, end: float | None, last: float, step: float) -> list[Damage]:
        """What is damaged from second ``start`` to ``end`` of the video, in order, once all of that was read.

        ``last``: when its last picture ends; ``step``: seconds from one picture to the next.
        """
        breaks = self._break(end, last)
        runs = [run for run in self._runs(start, end, step) if breaks is None or run.end < breaks.start - _TOGETHER]
        return runs if breaks is None else [*runs, breaks]

    def _runs(self, start: float, end: float | None, step: float) -> Iterator[Damage]:
        times = np.array(sorted(time for time in self._faults if start <= time < (np.inf if end is None else end)))
        for run in np.split(times, np.flatnonzero(np.diff(times) > _TOGETHER) + 1):
            if len(run):
                yield Damage(float(run[0]), float(run[-1]) + step, len(run))

    def _break(self, end: float | None, last: float) -> Damage | None:
        """Where the pictures end before they should, if they do."""
        if not self._over or (end is not None and end - last <= _LOST):
            return None
        if self._stated is not None and self._stated - max(self._reached, last) > _LOST:
            return Damage(last, self._stated if end is None else min(end, self._stated), None)
        if self._fragments is not None and (self._much_unread(self._fragments) or not boxes_end_well(self._fragments)):
            return Damage(last, last, None)
        if self._stream is not None and not packets_end_well(self._stream):
            return Damage(last, last, None)
        return None

    def _much_unread(self, file: Path) -> bool:
        size = file.stat().st_size
        return size - self._read > _UNREAD * size


def boxes_end_well(mp4: Path) -> bool:
    """Whether the last of the boxes that an MP4 is a row of ends with the file (ISO/IEC 14496-12, 4.2)."""
    size, place = mp4.stat().st_size, 0
    with mp4.open("rb") as file:
        for _ in range(_MOST_BOXES):
            if place >= size:
                break
            file.seek(place)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:  # too long for four bytes
                length = int.from_bytes(head[8:16], "big")
            elif length == 0:  # to the end of the file
                return True
            if length < 8:
                return False
            place += length
    return place <= size


def packets_end_well(stream: Path) -> bool:
    """Whether the last packet of an MPEG transport stream is whole (ISO/IEC 13818-1, 2.4.3): each has 188 bytes, the
    first one "G"; cameras and discs put four bytes of time before it, broadcasters sixteen for repair behind."""
    with stream.open("rb") as file:
        head = file.read(5 * 204)
    for before, length in ((0, 188), (4, 192), (0, 204)):
        if head[before::length][:4] == b"GGGG":
            return stream.stat().st_size % length == 0
    return True
