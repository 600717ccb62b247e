"""Which parts of what was seen are worth solving, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...retarget.rotations import Array
from .detections import Detections
from .landmarks import MEDIAPIPE
from .video import DETAIL

BRIDGED = 0.5  # s that a gap may last
SHORTEST = 1.0  # s that a stretch lasts at least

_LASTING = 0.3  # s that something must last to be worth a word
_TOGETHER = 1.0  # s between two parts of one problem
_UNCLEAR = 0.5  # mean confidence below which a body can hardly be made out
_WORSE = 0.8  # share of the confidence elsewhere below which a back is seen worse than a front
_SPARSE = 9.0  # pictures a second below which dancing can't be seen
_PANNED = 0.05  # shares of the picture's longer side by which the camera is moved in a second
_SMALL = 90.0  # px of the pictures that are watched, from head to foot

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Stretch:
    """Frames ``start`` to ``stop`` (exclusive) of the detections, with short gaps in which nobody was seen."""

    start: int
    stop: int


@dataclass(frozen=True)
class Problem:
    """What was wrong from ``start`` to ``end`` (seconds of the video), as a ``sentence`` for the user.

    ``kind``: "nobody", "missing" (pictures), "short", "damaged" (the file), "cut", "people", "onlookers" (all others
    are much smaller), "feet", "upside down", "away", "camera" (it moves), "small", "sparse" (pictures), "dark" or
    "unclear". The first three are left out of the stretches, unless they are short enough to be bridged.
    """

    kind: str
    start: float
    end: float
    sentence: str


def find_stretches(detections: Detections) -> tuple[list[Stretch], list[Problem]]:
    """The stretches that can be solved, in order, and all problems in order of time.

    A stretch goes on through up to half a second without anybody, ends at a cut, and lasts a second or longer.
    """
    if len(detections) == 0:
        return [], []
    stretches, short = _split(detections)
    lost = [*_gaps(detections), *short, *_damages(detections)]
    pictures = [*_sparse(detections), *_dark(detections)]
    problems = [*lost, *_cuts(detections), *_people(detections), *pictures, *_poor(detections)]
    return stretches, sorted(problems, key=lambda problem: (problem.start, problem.end))


def _split(detections: Detections) -> tuple[list[Stretch], list[Problem]]:
    """The stretches, and what was too short for one."""
    times = detections.times
    frames = np.flatnonzero(_seen(detections))
    if len(frames) == 0:
        return [], []
    shots = np.searchsorted(detections.cuts, frames, side="right")
    breaks = np.flatnonzero((np.diff(times[frames]) > BRIDGED + _step(times)) | (np.diff(shots) > 0)) + 1
    stretches, pieces = [], []
    for part in np.split(frames, breaks):
        start, end = _span(times, part[0], part[-1])
        if end - start >= SHORTEST - 1e-6:
            stretches.append(Stretch(int(part[0]), int(part[-1]) + 1))
        else:
            pieces.append((start, end))
    return stretches, _too_short(pieces)


def _too_short(pieces: Sequence[tuple[float, float]]) -> list[Problem]:
    """What is said of ``pieces`` (seconds from and to) that are left out, those close together as one."""
    together: list[list[tuple[float, float]]] = []
    for piece in pieces:
        if together and piece[0] - together[-1][-1][1] < _TOGETHER:
            together[-1].append(piece)
        else:
            together.append([piece])
    problems = []
    for group in together:
        start, end, longest = group[0][0], group[-1][1], max(b - a for a, b in group)
        each = " at a time" if len(group) > 1 else ""
        what = f"The dancer is seen for only {longest:.2g} s{each} {_when(start, end)}"
        problems.append(Problem("short", start, end, f"{what}: that is too short, and left out."))
    return problems


def _gaps(detections: Detections) -> Iterator[Problem]:
    """Where nobody is seen, and where the video itself has no pictures."""
    times = detections.times
    for start, end in _runs(times, ~_seen(detections), shortest=0.0, together=0.0):
        cut = ((times[detections.cuts] >= start - 1e-6) & (times[detections.cuts] <= end + 1e-6)).any()
        if end - start > BRIDGED + 1e-6:
            yield Problem("nobody", start, end, f"Nobody to follow is seen {_when(start, end)}: that part is left out.")
        elif end - start >= 2.5 * _step(times) and times[0] < start and end < times[-1] and not cut:
            yield Problem("nobody", start, end, f"The dancer is lost {_when(start, end)}: the motion is bridged there.")
    for i in np.flatnonzero(np.diff(times) > max(BRIDGED, 5.0 * _step(times))):
        yield missing(float(times[i]), float(times[i + 1]))


def missing(start: float, end: float) -> Problem:
    """That the video has no pictures there."""
    return Problem("missing", start, end, f"The video has no pictures {_when(start, end)}: that part is left out.")


def _damages(detections: Detections) -> Iterator[Problem]:
    for start, end, pictures in ((one.start, one.end, one.pictures) for one in detections.damage):
        if pictures is None:
            lost = f"the pictures from there to {end:.1f} s are missing" if end > start else "the rest can't be read"
            sentence = f"The video's file is damaged from {start:.1f} s on: {lost}."
        else:
            when = _when(start, end) if end - start >= _LASTING else f"at {start:.1f} s"
            many = f"{pictures} pictures" if pictures > 1 else "a picture"
            lost = f"{many} can't be decoded whole, and those after may be wrong"
            sentence = f"The video's file is damaged {when}: {lost}."
        yield Problem("damaged", start, end, sentence)


def _cuts(detections: Detections) -> Iterator[Problem]:
    for frame in detections.cuts.tolist():
        second = float(detections.times[frame])
        sentence = f"Another shot, or another dancer, begins at {second:.1f} s: the motion is split there."
        yield Problem("cut", second, second, sentence)


def _people(detections: Detections) -> Iterator[Problem]:
    onlooking = np.isin(np.arange(len(detections)), detections.onlookers)
    yield from _crowds(detections, "people", ~onlooking)
    yield from _crowds(detections, "onlookers", onlooking)


def _crowds(detections: Detections, kind: str, which: Flags) -> Iterator[Problem]:
    times, seen = detections.times, _seen(detections)
    middle = detections.points[:, [_HIPS[0], _HIPS[1]], 0].mean(axis=1) / detections.size[0]
    for start, end in _runs(times, (detections.people > 1) & which):
        within = (times >= start) & (times <= end)
        many = int(detections.people[within & which].max())
        text = f"There are {many} people {_when(start, end)}"
        if (within & seen).any():
            place = float(np.median(middle[within & seen]))
            where = "on the left" if place < 0.4 else "on the right" if place > 0.6 else "in the middle"
            text += f": the one {where} is followed, another one can be chosen by number from the left"
        yield Problem(kind, start, end, f"{text}.")


def _sparse(detections: Detections) -> Iterator[Problem]:
    times = detections.times
    rate = 1.0 / _step(times)
    if rate < _SPARSE:
        start, end = _span(times, 0, -1)
        sentence = f"The video has only {rate:.2g} pictures a second {_when(start, end)}: fast movement is lost."
        yield Problem("sparse", start, end, sentence)


def _dark(detections: Detections) -> Iterator[Problem]:
    times, seen = detections.times, _seen(detections)
    flags = np.isin(np.arange(len(detections)), detections.dark)
    for start, end in _runs(times, flags, shortest=BRIDGED):
        captured = float(np.mean(seen[(times >= start) & (times < end)])) > 0.5  # not at its edges alone
        effect = "the motion is less exact there, film in more light" if captured else "nobody can be made out there"
        yield Problem("dark", start, end, f"The video is very dark {_when(start, end)}: {effect}.")


def _poor(detections: Detections) -> Iterator[Problem]:
    """Where somebody is seen, but not as a body should be to be captured well."""
    seen = _seen(detections)
    tests: list[tuple[str, float, Callable[[Detections], Flags], str]] = [
        ("feet", _LASTING, _feet_out, "The feet are out of the picture {when}: the legs are guessed there."),
        ("upside down", _LASTING, _upside_down, "The dancer is upside down {when}: the motion may be wrong there."),
        ("away", 1.0, _well_from_behind, "The dancer faces away {when}: what the body hides is guessed there."),
        ("unclear", 1.0, _badly_from_behind, "The dancer faces away {when}, seen worse: the motion may be wrong."),
        (
            "camera",
            _LASTING,
            _camera_moves,
            "The camera moves {when}: its movement is taken out as far as the background shows it.",
        ),
        ("small", 1.0, _small, "The dancer is very small in the picture {when}: film from nearer, or crop the video."),
        ("unclear", _LASTING, _unclear, "The dancer can hardly be made out {when}: too dark, blurred or hidden."),
    ]
    for kind, shortest, test, sentence in tests:
        for start, end in _runs(detections.times, seen & test(detections), shortest):
            yield Problem(kind, start, end, sentence.format(when=_when(start, end)))


def _indices(*names: str) -> list[int]:
    return [MEDIAPIPE.index(f"{side}_{name}") for name in names for side in ("left", "right")]


_SHOULDERS, _HIPS, _FEET = _indices("shoulder"), _indices("hip"), _indices("ankle", "heel", "toe")
_BODY = _indices("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


def _feet_out(detections: Detections) -> Flags:
    """(F,) where most of the feet's points lie outside the picture."""
    feet = detections.points[:, _FEET]
    outside = ((feet < 0.0) | (feet > np.array(detections.size))).any(axis=-1)
    return outside.sum(axis=1) >= 3


def _upside_down(detections: Detections) -> Flags:
    """(F,) where the shoulders are below the hips, by more than half of the trunk's length."""
    trunk = _trunk(detections)
    return trunk[:, 1] > 0.5 * np.linalg.norm(trunk, axis=1)


def _well_from_behind(detections: Detections) -> Flags:
    """(F,) where the back is to the camera, and the body is seen as well as otherwise."""
    return _facing(detections, -1.0) & ~_badly_from_behind(detections)


def _badly_from_behind(detections: Detections) -> Flags:
    """(F,) where the back is to the camera, and the body is seen worse than otherwise."""
    sure, front = _sureness(detections), _facing(detections, 1.0)
    usual = float(np.median(sure[front])) if front.any() else 1.0
    return _facing(detections, -1.0) & (_smooth(sure, detections.times) < _WORSE * usual)


def _facing(detections: Detections, side: float) -> Flags:
    """(F,) where somebody upright faces the camera, for a ``side`` of 1, or has the back to it, for -1."""
    left, right = (detections.points[:, i, 0] for i in _SHOULDERS)
    trunk = _trunk(detections)
    broad = side * (left - right) > 0.2 * np.linalg.norm(trunk, axis=1)
    return _seen(detections) & (trunk[:, 1] < 0.0) & broad


def _small(detections: Detections) -> Flags:
    """(F,) where the body fills few pixels of the picture that was watched."""
    shown = min(1.0, DETAIL / max(detections.size))
    spread = np.ptp(detections.points, axis=1).max(axis=1) * shown
    return _smooth(spread, detections.times) < _SMALL


def _camera_moves(detections: Detections) -> Flags:
    """(F,) where the camera is panned or zoomed, or led far within a second; a trembling hand is not."""
    views, times = detections.views, detections.times
    if views is None:
        return np.zeros(len(times), dtype=bool)
    corners = np.array([0.0, detections.size[0], 1.0j * detections.size[1], complex(*detections.size)])
    seen = views[:, :1] * corners + views[:, 1:]
    first, last = np.searchsorted(times, times - 0.5), np.searchsorted(times, times + 0.5, side="right") - 1
    moved = np.abs(seen[last] - seen[first]).max(axis=1) / np.abs(views[:, 0])
    return moved > _PANNED * max(detections.size)


def _unclear(detections: Detections) -> Flags:
    return _smooth(_sureness(detections), detections.times) < _UNCLEAR


def _seen(detections: Detections) -> Flags:
    return detections.confidence.max(axis=1, initial=0.0) > 0.0


def _sureness(detections: Detections) -> Array:
    """(F,) mean confidence of the body's joints."""
    return detections.confidence[:, _BODY].mean(axis=1)


def _trunk(detections: Detections) -> Array:
    """(F, 2) pixels from the middle of the hips to that of the shoulders."""
    return detections.points[:, _SHOULDERS].mean(axis=1) - detections.points[:, _HIPS].mean(axis=1)


def _smooth(values: Array, times: Array) -> Array:
    """(F,) means over about a third of a second."""
    width = max(1, round(0.33 / _step(times)))
    kernel = np.ones(width)
    return (
        np.convolve(values, kernel, "same")[: len(values)]
        / np.convolve(np.ones_like(values), kernel, "same")[: len(values)]
    )


def _step(times: Array) -> float:
    """Seconds from frame to frame."""
    return max(float(np.median(np.diff(times))), 1e-3) if len(times) > 1 else 1.0 / 30.0


def _span(times: Array, first: int, last: int) -> tuple[float, float]:
    """Seconds at which the first frame begins and the last one ends."""
    return float(times[first]), float(times[last]) + _step(times)


def _runs(
    times: Array, flags: Flags, shortest: float = _LASTING, together: float = _TOGETHER
) -> Iterator[tuple[float, float]]:
    """Seconds from and to which the ``flags`` (F,) are set, those close together as one."""
    frames = np.flatnonzero(flags)
    if len(frames) == 0:
        return
    apart = max(together, 1.5 * _step(times))
    split = np.diff(times[frames]) > apart if together else np.diff(frames) > 1
    for part in np.split(frames, np.flatnonzero(split) + 1):
        start, end = _span(times, part[0], part[-1])
        if end - start >= shortest:
            yield start, end


def _when(start: float, end: float) -> str:
    return f"from {start:.1f} s to {end:.1f} s"
