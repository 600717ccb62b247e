"""The text of a BVH file, checked line by line.

UTF-8 or UTF-16, lines ending in any way, keywords in any case. Whatever is wrong is said with its line's number.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field

import numpy as np

from .errors import MotionError
from .motion import MAX_FRAMES
from .rotations import Array

_MAX_JOINTS = 1000
# Joints times frames; a skeleton of 100 joints may move for an hour at 60 frames a second.
_MAX_POSES = 25_000_000
# No angle or place is as large.
_LARGEST = 1e8
# Stands for an End Site among the places of joints.
_END = -1
ROTATIONS = {"Xrotation": 0, "Yrotation": 1, "Zrotation": 2}
POSITIONS = {"Xposition": 0, "Yposition": 1, "Zposition": 2}


@dataclass
class Joint:
    """One joint as the file gives it.

    ``parent``: place in the list of joints, -1 for the root. ``offset``: (3,) from the parent, the file's unit;
    ``channels``: in the file's order; ``end``: the End Site's offset, where there is one.
    """

    name: str
    parent: int
    offset: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    channels: list[str] = field(default_factory=list)
    end: list[float] | None = None


@dataclass(frozen=True)
class Recording:
    """``joints``: parents before children. ``values``: (T, C) of all their channels, in that order."""

    joints: list[Joint]
    fps: float
    values: Array


def parse(data: bytes) -> Recording:
    """What the bytes of a BVH file say; raises MotionError, with the line, where they are none."""
    lines = _text(data).replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    joints, at = _hierarchy(lines)
    fps, values = _frames(lines, at, joints)
    return Recording(joints, fps, values)


def _text(data: bytes) -> str:
    encoding = "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\x00" in data[:2]:
        # The first letter is a Latin one, half of whose two bytes is zero.
        encoding = "utf-16-be" if data[0] == 0 else "utf-16-le"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1
        raise MotionError(
            f"line {line} has bytes that are no text: save the file as UTF-8 text, or choose a BVH file."
        ) from error


class _Hierarchy:
    """The joints read so far, and the braces that are open."""

    def __init__(self) -> None:
        self.joints: list[Joint] = []
        self.names: set[str] = set()
        # Places of the joints that have an OFFSET.
        self.placed: set[int] = set()
        # Places of the joints whose brace is open, or _END.
        self.open: list[int] = []
        # What the next brace opens, where one must follow.
        self.pending: int | None = None

    @property
    def complete(self) -> bool:
        return bool(self.joints) and not self.open and self.pending is None

    def read(self, words: list[str], number: int) -> None:
        """Take in the words of one line."""
        key = words[0].upper()
        if key in ("ROOT", "JOINT", "END") and words[-1] == "{":
            self.read(words[:-1], number)
            words, key = ["{"], "{"
        if (self.pending is None) == (key == "{"):
            belongs = "no brace belongs" if key == "{" else "“{” belongs"
            raise _wrong(number, f"{_shown(words[0])} where {belongs}")
        if key == "{" and self.pending is not None:
            self.open.append(self.pending)
            self.pending = None
        elif key == "}":
            self._close(number)
        elif key in ("ROOT", "JOINT"):
            self._joint(key, " ".join(words[1:]), number)
        elif key == "END":
            if not self.open or self.open[-1] == _END:
                raise _wrong(number, "an End Site outside of a joint")
            self.pending = _END
        elif key == "OFFSET" and self.open:
            self._offset(_numbers(words[1:], number, 3), number)
        elif key == "CHANNELS" and self.open and self.open[-1] != _END:
            self._channels(self.joints[self.open[-1]], words, number)
        else:
            raise _wrong(number, f"{_shown(words[0])}, which is not understood there")

    def _close(self, number: int) -> None:
        if not self.open:
            raise _wrong(number, "a “}” too many")
        place = self.open.pop()
        if place != _END and place not in self.placed:
            raise _wrong(number, f"the end of joint {_shown(self.joints[place].name)}, which has no OFFSET")

    def _joint(self, key: str, name: str, number: int) -> None:
        if key == "ROOT" and self.joints:
            raise _wrong(number, "a second ROOT; one skeleton a file can be read")
        if key == "JOINT" and (not self.open or self.open[-1] == _END):
            raise _wrong(number, "a JOINT outside of a joint")
        if not name:
            raise _wrong(number, "a joint without a name")
        if name in self.names:
            raise _wrong(number, f"a second joint {_shown(name)}")
        if len(self.joints) == _MAX_JOINTS:
            raise _wrong(number, f"more than {_MAX_JOINTS} joints")
        self.pending = len(self.joints)
        self.joints.append(Joint(name, parent=self.open[-1] if self.open else -1))
        self.names.add(name)

    def _offset(self, offset: Array, number: int) -> None:
        place = self.open[-1]
        if place == _END:
            self.joints[self.open[-2]].end = offset.tolist()
        elif place in self.placed:
            raise _wrong(number, f"a second OFFSET of joint {_shown(self.joints[place].name)}")
        else:
            self.placed.add(place)
            self.joints[place].offset = offset.tolist()

    def _channels(self, joint: Joint, words: list[str], number: int) -> None:
        channels = [word.capitalize() for word in words[2:]]
        unknown = next((word for word in words[2:] if word.capitalize() not in {**ROTATIONS, **POSITIONS}), None)
        if unknown is not None:
            raise _wrong(number, f"{_shown(unknown)}, which is no channel")
        if len(words) < 2 or words[1] != str(len(channels)):
            raise _wrong(number, f"{len(channels)} channels where {_shown(''.join(words[1:2]))} are announced")
        twice = next((c for k, c in enumerate(channels) if c in channels[:k]), None)
        if twice is not None:
            raise _wrong(number, f"the channel {twice} twice")
        if joint.channels:
            raise _wrong(number, f"second CHANNELS of joint {_shown(joint.name)}")
        joint.channels = channels


def _hierarchy(lines: list[str]) -> tuple[list[Joint], int]:
    """The joints, parents before children, and the number of the line after MOTION (from 0)."""
    hierarchy = _Hierarchy()
    for number, line in enumerate(lines):
        words = line.split()
        key = words[0].upper() if words else "HIERARCHY"
        if key == "MOTION":
            if not hierarchy.complete:
                raise _wrong(number, "MOTION before the hierarchy is complete")
            return hierarchy.joints, number + 1
        if key != "HIERARCHY":
            hierarchy.read(words, number)
    raise _wrong(len(lines) - 1, "the file's end before its MOTION part")


def _frames(lines: list[str], at: int, joints: list[Joint]) -> tuple[float, Array]:
    """Frames a second and the channel values (T, C); ``at``: the line after MOTION."""
    filled = [n for n in range(at, len(lines)) if lines[n].strip()]
    header = [(n, lines[n].replace(":", " ").split()) for n in filled[:2]]
    labels = (["frames"], ["frame", "time"])
    for k, label in enumerate(labels):
        number, words = header[k] if k < len(header) else (len(lines) - 1, [])
        if [word.lower() for word in words[: len(label)]] != label or len(words) != len(label) + 1:
            wanted = ("“Frames:” and their number", "“Frame Time:” and seconds")[k]
            raise _wrong(number, f"no {wanted}, as belong after MOTION")
    (count_at, (_, count_word)), (time_at, (_, _, time_word)) = header
    count, time = _number(count_word), _number(time_word)
    if not (1 <= count <= MAX_FRAMES and count == int(count)):
        raise _wrong(count_at, f"{_shown(count_word)} frames; 1 to {MAX_FRAMES} are possible")
    if not 1e-4 <= time <= 10.0:
        raise _wrong(time_at, f"a frame time of {_shown(time_word)} s; 0.0001 to 10 are possible")
    if len(joints) * count > _MAX_POSES:
        raise _wrong(count_at, f"{int(count)} frames of {len(joints)} joints, too many at once; cut it into parts")
    rows = filled[2:]
    if len(rows) != count:
        raise _wrong(len(lines) - 1, f"the file's end after {len(rows)} frames where {int(count)} are announced")
    width = sum(len(joint.channels) for joint in joints)
    values = np.empty((len(rows), width))
    for k, number in enumerate(rows):
        values[k] = _numbers(lines[number].split(None, width), number, width)
    # Frame times are written with few digits: 0.033333 means 30 frames a second.
    fps = round(1.0 / time)
    return (float(fps) if fps and abs(1.0 / fps - time) < 1e-6 else 1.0 / time), values


def _number(word: str) -> float:
    """The number that ``word`` is, NaN for none."""
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _numbers(words: list[str], number: int, count: int) -> Array:
    """(count,) the numbers of one line."""
    if len(words) != count:
        found = f"more than {count}" if len(words) > count else f"{len(words)}"
        raise _wrong(number, f"{found} values where {count} belong")
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError:
        values = np.array([_number(word) for word in words])
    fine = np.abs(values) < _LARGEST
    if not fine.all():
        word = words[int(np.argmin(fine))]
        raise _wrong(number, f"{_shown(word)} where a number below {_LARGEST:.0f} belongs")
    return values


def _shown(word: str) -> str:
    """A word of the file as a sentence can show it."""
    return "“" + "".join(c if c.isprintable() else "?" for c in word[:30]) + "”"


def _wrong(number: int, what: str) -> MotionError:
    return MotionError(f"line {number + 1} has {what}: correct it or export the file anew.")
