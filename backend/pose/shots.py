"""Where a video goes over to another shot: the picture changes at once, or one dissolves into the other, or fades
out and another in; or, within one scene, the body is suddenly elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from ...retarget.rotations import Array
from .video import Frame, Image

_AFTER = 4  # frames, and seconds, that are looked at before a cut is believed: a flash is over by then
_FLASH = 0.3
_SHORTEST = 0.15  # s of a shot; the pictures between two shots may be of both
_BEFORE = 8  # frames against which a sudden change is told from fast movement
_CELLS = 12  # a side of the small picture that is compared
_LEVELS = 12  # of each colour
# A cut changes most of the picture at once, and far more than the frames around it change.
_CHANGE = 0.15
_SUDDEN = 3.0
# A dissolve is looked for in so many seconds around its middle; no two are nearer to each other.
_WINDOWS = (0.3, 0.45, 0.6)
_MOST = 72  # pictures held back at most
_APART = 1.5
_DISSOLVED = 0.2  # change from its beginning to its end
# How far its pictures may be from mixtures of the first and last: as a share of the way, for each unit of change; or
# at all, where edges are as faint half-way as they are where unlike things are mixed. Slow pans are farther off.
_MIXED, _MIXED_FAINT, _HALFWAY = 0.75, 0.3, 0.81
_STEPS = 0.34  # share of the way that one picture may go; it may hardly go back
_BACK = 0.06
_ALIKE = 0.5  # likeness from which on two pictures are of one scene, if in other light
_SURELY_ALIKE = 0.7
# A picture without features, as between fading out and in: its edges, as a share of those before, and at most.
_BLANK, _FAINT = 0.3, 0.6
# A body that was cut moves by this share of its trunk from one frame to the next, all joints on average; in the
# frames around it moves much less. At 30 frames a second that would be 8 metres a second.
_JUMP = 0.5
_JUMP_SUDDEN = 5.0


def mark_cuts(frames: Iterable[Frame]) -> Iterator[tuple[Frame, bool]]:
    """Every frame, and whether another shot begins with it; the first frame begins none.

    A frame begins a shot where the picture changes at once and stays changed, for a flash is over after a few
    frames, and what moves fast changes every frame; in the middle of a dissolve; and where it emerges from a fade as
    another scene. Holds the pictures of half a second or so back.
    """
    judge = _Judge()
    waiting: deque[tuple[Frame, Array]] = deque()
    for frame in frames:
        waiting.append((frame, summary(frame.image)))
        if frame.time - waiting[0][0].time > _WINDOWS[-1] or len(waiting) > _MOST:
            yield _judged(judge, waiting)
    while waiting:
        yield _judged(judge, waiting)


def _judged(judge: _Judge, waiting: deque[tuple[Frame, Array]]) -> tuple[Frame, bool]:
    times = np.array([frame.time for frame, _ in waiting])
    cut = judge.begins_shot(times, np.array([seen for _, seen in waiting]))
    return waiting.popleft()[0], cut


class _Judge:
    """Decides of frame after frame whether it begins a shot, knowing what was before in the shot."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._before: list[Array] = []
        self._shown: list[float] = []  # the features of each of them
        self._kept: Array | None = None  # the last picture with features, while there is none
        self._faintest = 0.0
        self._dissolved = -np.inf

    def begins_shot(self, times: Array, ahead: Array) -> bool:
        """Whether the first of the frames at ``times`` (A,) with the summaries ``ahead`` (A, S) begins one."""
        begins = bool(self._times) and times[0] - self._times[0] > _SHORTEST and self._is_other(times, ahead)
        if begins:
            self._times.clear()
            self._before.clear()
            self._shown.clear()
            self._kept = None
        self._times.append(float(times[0]))
        self._before.append(ahead[0])
        self._shown.append(float(_features(ahead[0])))
        while len(self._times) > _BEFORE and (self._times[1] < times[0] - _WINDOWS[-1] or len(self._times) > _MOST):
            del self._times[0], self._before[0], self._shown[0]
        return begins

    def _is_other(self, times: Array, ahead: Array) -> bool:
        known, before = np.array(self._times), np.array(self._before)
        now = float(_features(ahead[0]))
        if self._kept is not None:
            return self._emerges(self._kept, now, ahead)
        most = max(self._shown)
        if _is_blank(now, most):
            self._kept, self._faintest = before[self._shown.index(most)], now
            return False
        soon = max(_AFTER + 1, int(np.searchsorted(times, times[0] + _FLASH)))
        late = min(len(before) - _BEFORE, int(np.searchsorted(known, times[0] - _FLASH)))
        if is_cut(before[max(late, 0) :], ahead[:soon]):
            return True
        if times[0] - self._dissolved < _APART or not _is_dissolve(known, before, times, ahead):
            return False
        self._dissolved = float(times[0])
        return True

    def _emerges(self, kept: Array, now: float, ahead: Array) -> bool:
        """Whether, after pictures without features, another scene than the one that was ``kept`` comes up."""
        self._faintest = min(self._faintest, now)
        # A scene with few features is known by there being more of them than a moment ago.
        if _is_blank(now, float(_features(kept))) and now < 3.0 * self._faintest + 0.1:
            return False
        self._kept = None
        return _likeness(kept, ahead[int(_features(ahead).argmax())]) < _ALIKE


def summary(image: Image) -> Array:
    """(S,) what is compared of a picture (height, width, 3): how much of it is how red, green and blue, and which
    colour is where."""
    height, width = image.shape[:2]
    rows, columns = (np.linspace(0, length - 1, 4 * _CELLS).astype(int) for length in (height, width))
    small = image[rows[:, None], columns].reshape(-1, 3) * ((_LEVELS - 1) / 255.0)
    # Every value counts for both levels it lies between, so that a little more light is a little change.
    low = np.minimum(small.astype(int), _LEVELS - 2)
    above, place = small - low, low + np.arange(3) * _LEVELS
    levels = np.bincount(place.ravel(), (1.0 - above).ravel(), 3 * _LEVELS)
    levels += np.bincount(place.ravel() + 1, above.ravel(), 3 * _LEVELS)
    where = small.reshape(_CELLS, 4, _CELLS, 4, 3).mean(axis=(1, 3)) / (_LEVELS - 1)
    return np.concatenate([levels / small.size, where.ravel() / where.size])


def _change(a: Array, b: Array) -> Array:
    """(...) how much differs between summaries (..., S), 0 to 1: the colours there are, and what is where."""
    differing = np.abs(a - b)
    colours = differing[..., : 3 * _LEVELS].sum(axis=-1) / 2.0
    places = differing[..., 3 * _LEVELS :].sum(axis=-1)
    return 0.5 * colours + 0.5 * np.minimum(3.0 * places, 1.0)


def is_cut(before: Array, after: Array) -> bool:
    """Whether another shot begins at once between the summaries (B, S) before and (A, S) after, in order of time."""
    step = float(_change(before[-1], after[0]))
    if step < _CHANGE:
        return False
    # The frames on either side are alike, or at least change much less than the picture does here.
    earlier, later = before[-_BEFORE:], after[: _AFTER + 1]
    around = np.concatenate([_change(earlier[1:], earlier[:-1]), _change(later[1:], later[:-1])])
    if len(around) and step < _SUDDEN * float(np.median(around)):
        return False
    if len(later) > 2 and step < 1.5 * float(np.median(_change(later[1:], later[:-1]))):
        return False  # it goes on as it began: a dissolve, or a light that goes on
    # After a flash all is as before, and where only the light changed the same things are seen.
    other = bool(_change(before[:, None], after[None]).min() > 0.6 * _CHANGE)
    return other and _likeness(before[-1], after[-1]) < _SURELY_ALIKE


def _is_dissolve(known: Array, before: Array, times: Array, ahead: Array) -> bool:
    """Whether one scene has dissolved into another by half: before are the summaries (B, S) at ``known`` (B,)
    seconds, from here on those ``ahead`` (A, S) at ``times`` (A,)."""
    for window in _WINDOWS:
        first = int(np.searchsorted(known, times[0] - window - 1e-6))
        last = int(np.searchsorted(times, times[0] + window + 1e-6)) - 1
        whole = known[0] <= times[0] - 0.8 * window and times[last] >= times[0] + 0.8 * window
        if not whole or first == len(known):  # nothing is known of the time between, where pictures are missing
            continue
        change = float(_change(before[first], ahead[last]))
        if change < _DISSOLVED:
            continue
        middle = len(before) - first
        mixed = np.concatenate([before[first:], ahead[: last + 1]])
        features = _features(mixed)
        seen = _cells(mixed).reshape(middle + last + 1, -1)
        way = seen[-1] - seen[0]
        length = float(np.linalg.norm(way))
        share = (seen - seen[0]) @ way / length**2
        off = np.linalg.norm(seen - seen[0] - share[:, None] * way, axis=1) / length
        steps = np.diff(share)
        sixth = len(share) // 6
        begun = max(share[sixth], 1.0 - share[-1 - sixth]) > 0.5 * sixth / len(share)
        if begun and window < _WINDOWS[-1]:
            continue  # it began earlier, or goes on: a longer window sees all of it
        faint = features[middle] < _HALFWAY * (features[0] + features[-1]) / 2
        if (
            share[middle - 1] < 0.5 <= share[middle]
            and (off.max() < _MIXED * change or (faint and off.max() < _MIXED_FAINT))
            and steps.max() < _STEPS
            and steps.min() > -_BACK
            and not _is_blank(features.min(), features.max())  # or it is a fade
            and _likeness(before[first], ahead[last]) < _ALIKE
        ):
            return True
    return False


def _cells(seen: Array) -> Array:
    """(..., CELLS, CELLS, 3) mean colour of each part of the picture, 0 to 1, out of summaries (..., S)."""
    where = seen[..., 3 * _LEVELS :] * (3 * _CELLS**2)
    return where.reshape(*seen.shape[:-1], _CELLS, _CELLS, 3)


def _edges(seen: Array) -> Array:
    """(..., E, 3) how much each part of the picture differs from those beside and below it, in each colour."""
    cells = _cells(seen)
    flat = (*seen.shape[:-1], -1, 3)
    return np.concatenate([np.diff(cells, axis=axis).reshape(flat) for axis in (-2, -3)], axis=-2)


def _features(seen: Array) -> Array:
    """(...) how much there is to be seen in pictures of summaries (..., S)."""
    return np.linalg.norm(_edges(seen), axis=(-2, -1))


def _is_blank(features: float, others: float) -> bool:
    """Whether a picture shows next to nothing, beside another."""
    return features < min(_BLANK * others, _FAINT)


def _likeness(a: Array, b: Array) -> float:
    """Correlation of the edges of two summaries (S,), colour by colour: near 1 for one scene in whatever coloured
    light, near 0 for two."""
    first, second = _edges(a), _edges(b)
    sizes = np.linalg.norm(first, axis=0) * np.linalg.norm(second, axis=0)
    return float((first * second).sum() / max(sizes.sum(), 1e-12))


def jumps(times: Array, points: Array, seen: Array, trunk: float) -> Array:
    """Frames before which the body is suddenly elsewhere: a cut within one scene, too small to change the picture.

    ``points``: (F, P, 2) of the body in pixels, where ``seen`` (F,); ``trunk``: its length in pixels.
    """
    frames = np.flatnonzero(seen)
    if len(frames) < 4:
        return np.array([], dtype=int)
    moves = np.linalg.norm(np.diff(points[frames], axis=0), axis=-1).mean(axis=-1) / max(trunk, 1e-6)
    around = np.maximum(np.pad(moves, (1, 0))[:-1], np.pad(moves, (0, 1))[1:])
    sudden = (moves > _JUMP) & (moves > _JUMP_SUDDEN * around) & (np.diff(times[frames]) < 0.1)
    return frames[1:][sudden]
