"""Captured stretches cut into clips: motion and sound of one length, to the frame and to the sample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...retarget.motion import Motion
from ..pose.sound import VideoSound

FPS = 30.0  # of clips; at 22,050 Hz a frame is 735 samples
# Seconds of a stretch that is taken whole, at least: what training takes, with some to spare for what it trims.
SHORTEST = 6.5
_ROUNDING = 1e-3  # of a frame
# Frames that two clips may have in common, or for which the last pose is held: ten seconds of video, from the first
# picture to the last, are a little less, and still one clip of ten or two of five.
_SHARED = 2


@dataclass(frozen=True, eq=False)
class Clip:
    """``start``: second of the video. ``motion`` at FPS, ``samples`` exactly as long: T * rate / FPS."""

    start: float
    motion: Motion
    samples: NDArray[np.float32]
    rate: int


@dataclass(frozen=True)
class LeftOut:
    """Seconds of the video that no clip is made of, and why: a clause."""

    start: float
    end: float
    reason: str


def cut(
    parts: Sequence[tuple[float, Motion]], sound: VideoSound, length: float | None
) -> tuple[list[Clip], list[LeftOut]]:
    """Clips of ``length`` seconds each, one after the other; of None each stretch of at least SHORTEST whole.

    ``parts``: seconds of the video at which motions begin. A clip holds its sound whole: where that ends or is
    interrupted, so does the clip.
    """
    clips: list[Clip] = []
    left: list[LeftOut] = []
    for begins, motion in parts:
        motion = motion.resample(FPS)
        done = 0
        for first, last in _heard(begins, len(motion), sound):
            if first > done:
                left.append(LeftOut(begins + done / FPS, begins + first / FPS, "there is no sound"))
            done = last
            for start, stop in _sequences(first, last, length):
                piece = motion.slice(start, stop)
                if length is not None and 0 < (lacking := round(length * FPS) - len(piece)) <= _SHARED:
                    piece = _held(piece, lacking)
                if len(piece) < round((length or SHORTEST) * FPS):
                    enough = f"at least {length or SHORTEST:g} s"
                    why = f"{len(piece) / FPS:.2f} s of one dancer in one go are too short ({enough})"
                    left.append(LeftOut(begins + start / FPS, begins + stop / FPS, why))
                    continue
                samples = sound.cut(begins + start / FPS, round(len(piece) * sound.sound.rate / FPS))
                clips.append(Clip(begins + start / FPS, piece, samples, sound.sound.rate))
        if done < len(motion):
            left.append(LeftOut(begins + done / FPS, begins + len(motion) / FPS, "there is no sound"))
    return clips, left


def _heard(begins: float, frames: int, sound: VideoSound) -> Iterator[tuple[int, int]]:
    """The frames of a motion, first and one past the last, of each stretch with unbroken sound."""
    for start, end in sound.spans:
        first = max(0, math.ceil((start - begins) * FPS - _ROUNDING))
        last = min(frames, math.floor((end - begins) * FPS + _ROUNDING))
        if first < last:
            yield first, last


def _sequences(first: int, last: int, length: float | None) -> Iterator[tuple[int, int]]:
    """Frames cut into sequences of ``length`` seconds, the last one shorter; whole where it is None.

    Where the last one lacks a frame or two, it begins that much earlier.
    """
    step = last - first if length is None else round(length * FPS)
    for start in range(first, last, step):
        lacking = max(0, start + step - last)
        yield (start - lacking if lacking <= _SHARED and start > first else start), min(start + step, last)


def _held(motion: Motion, frames: int) -> Motion:
    """The motion with its last frame there for as many ``frames`` more, as the last picture is."""
    root, rotations, contacts = (
        np.concatenate([rows, np.repeat(rows[-1:], frames, axis=0)])
        for rows in (motion.root, motion.rotations, motion.contacts)
    )
    return replace(motion, root=root, rotations=rotations, contacts=contacts)
