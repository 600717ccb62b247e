"""Rotations as the numbers of a bone's own rotation mode, and back: what Blender's channels hold.

A mode is Blender's ``rotation_mode``: "QUATERNION" (w, x, y, z), "AXIS_ANGLE" (angle, x, y, z), or an Euler
order as "XYZ" (angles about x, y and z, x applied first). Angles are in radians. Blender makes
quaternions and axes unit when it plays them, so the numbers need not be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import rotations as rot
from .rotations import Array

Flags = NDArray[np.bool_]

_AXES = {"X": 0, "Y": 1, "Z": 2}
# How far beside a value that is not 0 a free one may go: a tangent has no end.
_STEEPEST = 1e4


def to_values(rotations: ArrayLike, mode: str, before: ArrayLike | None = None) -> Array:
    """(T, n) numbers of a bone of this mode that say the quaternions (T, 4), with no jumps from frame to frame.

    Angles go on past a full turn; quaternions keep to one hemisphere. ``before``: (n,) numbers of the frame
    before, from which they go on.
    """
    q = rot.continuous(rotations)
    if mode == "QUATERNION":
        return q if before is None or q[0] @ np.asarray(before) >= 0.0 else -q
    if mode == "AXIS_ANGLE":
        return _axis_angle(q, before)
    return _euler(q, mode, before)


def to_rotations(values: ArrayLike, mode: str) -> Array:
    """(..., 4) quaternions that the numbers (..., n) of a bone of this mode say, as Blender reads them."""
    values = np.asarray(values)
    if mode == "QUATERNION":
        return rot.normalise(values)
    if mode == "AXIS_ANGLE":
        axis = values[..., 1:]
        size = np.linalg.norm(axis, axis=-1, keepdims=True)
        return rot.from_axis_angle(values[..., :1] * axis / np.where(size > 0.0, size, 1.0))
    first, second, third = (_turn(values[..., _AXES[axis]], _AXES[axis]) for axis in mode)
    return rot.multiply(third, rot.multiply(second, first))


def to_free_values(rotations: ArrayLike, mode: str, locked: ArrayLike, held: ArrayLike) -> Array:
    """As ``to_values``, where ``locked`` (n,) channels keep their value in ``held`` (n,).

    The free channels take what brings the bone nearest to ``rotations`` (T, 4).
    """
    q, fixed, held = rot.continuous(rotations), np.asarray(locked, dtype=bool), np.asarray(held, dtype=float)
    if not fixed.any():
        return to_values(q, mode)
    if fixed.all():
        return np.tile(held, (len(q), 1))
    if mode == "QUATERNION":
        return _nearest_beside(q, fixed, held)
    if mode == "AXIS_ANGLE":
        return _free_axis_angle(q, fixed, held)
    return _free_euler(q, mode, fixed, held)


def _turn(angle: Array, axis: int) -> Array:
    """(..., 4) quaternions that turn by ``angle`` (...) about x, y or z."""
    q = np.zeros((*np.shape(angle), 4))
    q[..., 0], q[..., 1 + axis] = np.cos(angle / 2.0), np.sin(angle / 2.0)
    return q


# --- all channels free -----------------------------------------------------------------------------------


def _axis_angle(q: Array, before: ArrayLike | None = None) -> Array:
    """(T, 4) angle and axis. Where there is no rotation the axis is the last one seen before."""
    past = np.array([0.0, 0.0, 1.0, 0.0] if before is None else before, dtype=float)
    sine = np.linalg.norm(q[:, 1:], axis=-1)
    turning = sine > 1e-9
    if not turning.any():
        axis = np.tile(past[1:], (len(q), 1))
    else:
        axis = _steady_axis(_held(q[:, 1:] / np.where(turning, sine, 1.0)[:, None], turning))
    if before is not None and axis[0] @ past[1:] < 0.0:
        axis = -axis
    angle = np.unwrap(2.0 * np.arctan2(np.sum(q[:, 1:] * axis, axis=-1), q[:, 0]))
    if before is not None:
        angle += _whole_turns(past[0] - angle[0])
    return np.concatenate([angle[:, None], axis], axis=1)


def _whole_turns(angle: Array) -> Array:
    """The multiple of a full turn that is nearest to ``angle`` (...)."""
    return 2.0 * np.pi * np.round(angle / (2.0 * np.pi))


def _steady_axis(axis: Array) -> Array:
    """(T, 3) the same lines, each pointing the way the one before does."""
    flips = np.where(np.sum(axis[1:] * axis[:-1], axis=-1) < 0, -1.0, 1.0)
    return axis * np.cumprod(np.concatenate([[1.0], flips]))[:, None]


def _euler(q: Array, order: str, before: ArrayLike | None = None) -> Array:
    """(T, 3) angles about x, y, z, applied in ``order`` ("XYZ": x first), with no jumps between frames.

    Each rotation has two sets of Euler angles; the set nearer to the frame before is taken. In gimbal lock,
    where the first and the third turn about one line, the third stays as it was before.
    """
    i, j, k = (_AXES[axis] for axis in order)
    parity = 1.0 if (j - i) % 3 == 1 else -1.0
    m = rot.to_matrix(q)
    cosine = np.hypot(m[:, i, i], m[:, j, i])
    gimbal = cosine < 1e-6
    second = np.arctan2(-m[:, k, i], cosine)
    third = _held(np.arctan2(m[:, j, i], m[:, i, i]), ~gimbal)
    both = np.arctan2(-m[:, j, k], m[:, j, j]) + np.sign(second) * third
    first = np.where(gimbal, both, np.arctan2(m[:, k, j], m[:, k, k]))
    angles = np.empty((len(q), 3))
    angles[:, [i, j, k]] = parity * np.column_stack([first, second, third])
    other = angles + np.pi
    other[:, j] = np.pi - angles[:, j]

    # Whichever set the frame before took, the set nearer to it; then along that chain of choices.
    sets = np.stack([angles, other])
    apart = np.abs(np.remainder(sets[None, :, 1:] - sets[:, None, :-1] + np.pi, 2.0 * np.pi) - np.pi).sum(axis=-1)
    follows = apart.argmin(axis=1).tolist()
    past = sets[0, 0] if before is None else np.asarray(before)
    off = sets[:, 0] - past
    choice = [int(np.abs(off - _whole_turns(off)).sum(axis=-1).argmin())]
    for frame in range(len(q) - 1):
        choice.append(follows[choice[-1]][frame])
    angles = np.unwrap(sets[choice, np.arange(len(q))], axis=0)
    return angles if before is None else angles + _whole_turns(past - angles[0])


def _held(values: Array, known: Flags) -> Array:
    """``values`` (T, ...), where not ``known`` (T,) the last known ones before, or else the first after."""
    if not known.any():
        return np.zeros_like(values)
    return values[np.maximum.accumulate(np.where(known, np.arange(len(known)), int(known.argmax())))]


# --- some channels locked --------------------------------------------------------------------------------


def _nearest_beside(wanted: Array, fixed: Flags, held: Array) -> Array:
    """(T, n) vectors that keep ``held`` where ``fixed`` and point as nearly along ``wanted`` (T, n) as they can.

    Only their line counts, as with quaternions. By Cauchy and Schwarz the free part is parallel to the
    wanted one; setting the derivative of the cosine to zero gives its length, b |held|^2 / (held a).
    """
    values = np.tile(held, (len(wanted), 1))
    size = float(np.sum(held[fixed] ** 2))
    if size == 0.0:
        values[:, ~fixed] = wanted[:, ~fixed]
        return values
    along = wanted[:, fixed] @ held[fixed]
    least = np.maximum(np.abs(along), np.linalg.norm(wanted[:, ~fixed], axis=-1) * np.sqrt(size) / _STEEPEST)
    share = np.where(along < 0.0, -1.0, 1.0) * size / np.where(least > 0.0, least, 1.0)
    values[:, ~fixed] = share[:, None] * wanted[:, ~fixed]
    return values


def _free_axis_angle(q: Array, fixed: Flags, held: Array) -> Array:
    """(T, 4) angle and axis: the axis as near as it can be, and the turn about it."""
    axis = _axis_angle(q)[:, 1:]
    if fixed[1:].any():
        axis = _nearest_beside(axis, fixed[1:], held[1:])
    size = np.linalg.norm(axis, axis=-1, keepdims=True)
    along = np.sum(q[:, 1:] * axis, axis=-1) / np.where(size > 0.0, size, 1.0)[:, 0]
    angle = np.unwrap(2.0 * np.arctan2(along, q[:, 0]))
    if fixed[0]:
        if not fixed[1:].any():  # so the axis says which way round
            axis = axis * np.where(np.sin(held[0]) * along * q[:, 0] < 0.0, -1.0, 1.0)[:, None]
        angle = np.full(len(q), held[0])
    return np.concatenate([angle[:, None], axis], axis=1)


def _free_euler(q: Array, order: str, fixed: Flags, held: Array) -> Array:
    """(T, 3) Euler angles nearest to ``q`` (T, 4) of those with the ``fixed`` ones at ``held``.

    With one free angle, the turn about its axis between the fixed ones; with two, x and y, the product
    with q is (cos x/2, sin x/2) M (cos y/2, sin y/2)^T for a 2 x 2 matrix M, largest at its leading singular
    vectors, whose sum and difference of angles stand in sums and differences of M's entries.
    """
    values = np.tile(held, (len(q), 1))
    applied = [_AXES[axis] for axis in order]  # the first is applied first, so it stands rightmost
    free = [axis for axis in applied if not fixed[axis]]

    def product(halves: dict[int, Array]) -> Array:
        """(4,) the whole rotation with these quaternions about the free axes."""
        total = rot.IDENTITY
        for axis in applied:
            total = rot.multiply(halves.get(axis, _turn(held[axis], axis)), total)
        return total

    if len(free) == 1:
        none, half = (q @ product({free[0]: _unit(free[0], part)}) for part in (0, 1))
        values[:, free[0]] = np.unwrap(2.0 * np.arctan2(half, none))
        return values
    low, high = free
    m = {(a, b): q @ product({high: _unit(high, a), low: _unit(low, b)}) for a in (0, 1) for b in (0, 1)}
    apart = np.arctan2(m[1, 0] - m[0, 1], m[0, 0] + m[1, 1])
    together = np.arctan2(m[1, 0] + m[0, 1], m[0, 0] - m[1, 1])
    values[:, high] = np.unwrap(together + apart)
    values[:, low] = np.unwrap(together - apart)
    return values


def _unit(axis: int, part: int) -> Array:
    """(4,) the quaternion 1 (part 0) or the axis' own unit (part 1): a turn about it is a sum of both."""
    return np.eye(4)[0 if part == 0 else 1 + axis]
