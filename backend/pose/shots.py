"""Where a video cuts to another shot: the picture changes at once, or, within one scene, the body does."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from ...retarget.rotations import Array
from .video import Frame, Image

_AFTER = 4  # frames that are looked at before a cut is believed
_BEFORE = 8  # frames against which a sudden change is told from fast movement
_CELLS = 12  # a side of the small picture that is compared
_LEVELS = 12  # of each colour
# A cut changes most of the picture at once, and far more than the frames around it change.
_CHANGE = 0.15
_SUDDEN = 3.0
# A body that was cut moves by this share of its trunk from one frame to the next, all joints on average; in the
# frames around it moves much less. At 30 frames a second that would be 8 metres a second.
_JUMP = 0.5
_JUMP_SUDDEN = 5.0


def mark_cuts(frames: Iterable[Frame]) -> Iterator[tuple[Frame, bool]]:
    """Every frame, and whether another shot begins with it; the first frame begins none.

    A frame begins a shot where the picture changes at once and stays changed: a flash is over after a few frames,
    and what moves fast changes every frame. Holds a few frames back.
    """
    waiting: deque[tuple[Frame, Array]] = deque()
    before: deque[Array] = deque(maxlen=_BEFORE)
    for frame in frames:
        waiting.append((frame, summary(frame.image)))
        if len(waiting) > _AFTER:
            yield _judged(waiting, before)
    while waiting:
        yield _judged(waiting, before)


def _judged(waiting: deque[tuple[Frame, Array]], before: deque[Array]) -> tuple[Frame, bool]:
    cut = is_cut(np.array([*before]), np.array([one for _, one in waiting])) if before else False
    if cut:
        before.clear()
    frame, seen = waiting.popleft()
    before.append(seen)
    return frame, cut


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
    """Whether another shot begins between the summaries (B, S) before and (A, S) after, both in order of time."""
    step = float(_change(before[-1], after[0]))
    if step < _CHANGE:
        return False
    # The frames on either side are alike, or at least change much less than the picture does here.
    around = np.concatenate([_change(before[1:], before[:-1]), _change(after[1:], after[:-1])])
    if len(around) and step < _SUDDEN * float(np.median(around)):
        return False
    # After a flash all is as before.
    return bool(_change(before[-3:, None], after[None]).min() > 0.6 * _CHANGE)


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
