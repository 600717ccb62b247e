"""Dark pictures made brighter: detectors know people in daylight, and see nobody at a tenth of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce

import numpy as np

from .video import Frame, Image

# Levels, of 255, that the brightest hundredth of a picture has: dark below the first, as it should be from the second
# on; a bit is gained between them. What is brightest is brought to the third.
_DARK, _BRIGHT, _WANTED = 120.0, 180.0, 230.0
_DARKEST = 10.0  # level below which there is nothing but noise
_STEADY = 0.5  # s over which the light is measured, for pictures not to flicker
_VERY_DARK = 45.0  # level below which a body is found less exactly, even in a brightened picture


def brightened(frames: Iterable[tuple[Frame, bool]]) -> Iterator[tuple[Frame, bool]]:
    """The frames, brighter where they are dark, each with whether another shot begins with it, in other light."""
    light = Light()
    for frame, cut in frames:
        if cut:
            light = Light()
        yield light.brighten(frame), cut


class Light:
    """Brightens the pictures of one shot, one after the other."""

    def __init__(self) -> None:
        self._level, self._time = 0.0, 0.0

    def brighten(self, frame: Frame) -> Frame:
        """The next frame, brighter if it is dark."""
        level = max(_brightest(frame.image), _DARKEST)
        if level > self._level:
            self._level = level  # at once, or the picture would be blinding for a moment
        else:
            self._level += (level - self._level) * float(1.0 - np.exp((self._time - frame.time) / _STEADY))
        self._time = frame.time
        image = frame.image if self._level >= _BRIGHT else np.take(_brighter(self._level), frame.image)
        return Frame(frame.time, image, level < _VERY_DARK)


def _brightest(image: Image) -> float:
    """The level that the brightest hundredth of a picture reaches in its brightest colour."""
    rows, columns = (max(1, length // 48) for length in image.shape[:2])
    some = image[rows // 2 :: rows, columns // 2 :: columns]
    # Colour by colour: numpy takes five times as long for the largest along so short an axis.
    levels = reduce(np.maximum, np.moveaxis(some, -1, 0)).ravel()
    place = int(0.99 * len(levels))
    return float(np.partition(levels, place)[place])


def _brighter(level: float) -> Image:
    """(256,) what each level becomes, in proportion, where ``level`` is the brightest."""
    share = np.clip((_BRIGHT - level) / (_BRIGHT - _DARK), 0.0, 1.0)
    gain = 1.0 + share * (_WANTED / level - 1.0)
    return (np.arange(256) * gain).round().clip(0, 255).astype(np.uint8)
