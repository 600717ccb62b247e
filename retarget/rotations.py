"""Rotations as numpy arrays: unit quaternions (w, x, y, z) in the last axis, everything vectorised.

Conventions: a quaternion ``q`` rotates column vectors, ``rotate(q, v) = R(q) @ v``; ``multiply(a, b)``
first applies ``b``, then ``a``. All functions broadcast over leading axes and keep float64 unless
float32 comes in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]

IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])
_TINY = 1e-12


def normalise(q: ArrayLike) -> Array:
    """Unit quaternions (..., 4); a zero quaternion becomes the identity."""
    q = np.asarray(q)
    norm = np.linalg.norm(q, axis=-1, keepdims=True)
    safe = np.where(norm < _TINY, 1.0, norm)
    return np.where(norm < _TINY, IDENTITY.astype(q.dtype, copy=False), q / safe)


def multiply(a: ArrayLike, b: ArrayLike) -> Array:
    """Hamilton product (..., 4): the rotation ``b`` followed by ``a``."""
    a, b = np.asarray(a), np.asarray(b)
    aw, ax, ay, az = (a[..., k] for k in range(4))
    bw, bx, by, bz = (b[..., k] for k in range(4))
    product = _empty(a, b)
    product[..., 0] = aw * bw - ax * bx - ay * by - az * bz
    product[..., 1] = aw * bx + ax * bw + ay * bz - az * by
    product[..., 2] = aw * by - ax * bz + ay * bw + az * bx
    product[..., 3] = aw * bz + ax * by - ay * bx + az * bw
    return product


def conjugate(q: ArrayLike) -> Array:
    """The inverse of unit quaternions (..., 4)."""
    q = np.asarray(q)
    return q * np.array([1, -1, -1, -1], dtype=q.dtype)


def rotate(q: ArrayLike, v: ArrayLike) -> Array:
    """Vectors (..., 3) rotated by unit quaternions (..., 4)."""
    q, v = np.asarray(q), np.asarray(v)
    w, xyz = q[..., :1], q[..., 1:]
    t = 2.0 * _cross(xyz, v)
    return v + w * t + _cross(xyz, t)


def from_axis_angle(rotvec: ArrayLike) -> Array:
    """Rotation vectors (..., 3), radians, to quaternions (..., 4)."""
    rotvec = np.asarray(rotvec)
    angle = np.linalg.norm(rotvec, axis=-1, keepdims=True)
    half = 0.5 * angle
    # sin(a/2)/a, by its series near 0
    scale = np.where(angle < 1e-6, 0.5 - angle**2 / 48.0, np.sin(half) / np.where(angle < 1e-6, 1.0, angle))
    return np.concatenate([np.cos(half), rotvec * scale], axis=-1)


def to_axis_angle(q: ArrayLike) -> Array:
    """Quaternions (..., 4) to rotation vectors (..., 3) of at most pi radians."""
    q = np.asarray(q)
    q = np.where(q[..., :1] < 0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[..., :1])
    scale = np.where(sine < 1e-9, 2.0, angle / np.where(sine < 1e-9, 1.0, sine))
    return q[..., 1:] * scale


def to_matrix(q: ArrayLike) -> Array:
    """Unit quaternions (..., 4) to rotation matrices (..., 3, 3)."""
    w, x, y, z = np.moveaxis(np.asarray(q), -1, 0)
    return np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
            np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
            np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
        ],
        axis=-2,
    )


def from_matrix(m: ArrayLike) -> Array:
    """Rotation matrices (..., 3, 3) to unit quaternions (..., 4) with w >= 0.

    Picks, per matrix, the largest of the four squared components (Shepperd's method), so it is
    accurate everywhere.
    """
    m = np.asarray(m)
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    trace = m00 + m11 + m22
    # each row is 4 * component_i * (w, x, y, z)
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    rows = np.stack(
        [
            np.stack([1 + trace, a, b, c], -1),
            np.stack([a, 1 + m00 - m11 - m22, d, e], -1),
            np.stack([b, d, 1 - m00 + m11 - m22, f], -1),
            np.stack([c, e, f, 1 - m00 - m11 + m22], -1),
        ],
        axis=-2,
    )
    best = np.argmax(np.stack([trace, m00, m11, m22], -1), axis=-1)
    q = np.take_along_axis(rows, best[..., None, None], axis=-2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., :1] < 0, -q, q)


def from_6d(d6: ArrayLike) -> Array:
    """6D rotations (..., 6) to quaternions (..., 4).

    The six numbers are the first two COLUMNS of the matrix, made orthonormal by Gram-Schmidt
    (Zhou et al., "On the Continuity of Rotation Representations", CVPR 2019).
    """
    d6 = np.asarray(d6)
    x = d6[..., :3] / np.maximum(np.linalg.norm(d6[..., :3], axis=-1, keepdims=True), _TINY)
    y = d6[..., 3:] - np.sum(x * d6[..., 3:], axis=-1, keepdims=True) * x
    y = y / np.maximum(np.linalg.norm(y, axis=-1, keepdims=True), _TINY)
    return from_matrix(np.stack([x, y, np.cross(x, y)], axis=-1))


def to_6d(q: ArrayLike) -> Array:
    """Quaternions (..., 4) to the first two columns of their matrices (..., 6)."""
    m = to_matrix(q)
    return np.concatenate([m[..., :, 0], m[..., :, 1]], axis=-1)


def between(a: ArrayLike, b: ArrayLike) -> Array:
    """The shortest rotation (..., 4) that turns the direction ``a`` (..., 3) into ``b`` (..., 3).

    Opposite directions turn by pi about an axis at right angles to ``a``; no direction at all, (0, 0, 0), by nothing.
    """
    start, end = (np.asarray(v, dtype=float) for v in np.broadcast_arrays(a, b))
    start = start / np.maximum(np.linalg.norm(start, axis=-1, keepdims=True), _TINY)
    end = end / np.maximum(np.linalg.norm(end, axis=-1, keepdims=True), _TINY)
    total, change = start + end, end - start
    # start x end, from the shorter of sum and difference, which cancels no digits.
    obtuse = np.sum(start * end, axis=-1, keepdims=True) < 0
    axis = _cross(start, np.where(obtuse, total, change))
    size = np.linalg.norm(axis, axis=-1, keepdims=True)
    aside = _cross(start, np.where(np.abs(start[..., :1]) < 0.9, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]))
    aside = aside / np.maximum(np.linalg.norm(aside, axis=-1, keepdims=True), _TINY)
    axis = np.where(size > _TINY, axis / np.maximum(size, _TINY), aside)
    # Half-angle cosine and sine from sum and difference of the directions: accurate near 0 and near pi.
    cosine, sine = (np.linalg.norm(v, axis=-1, keepdims=True) for v in (total, change))
    turn = normalise(np.concatenate([cosine, axis * sine], axis=-1))
    nowhere = ~(start.any(axis=-1) & end.any(axis=-1))[..., None]
    return np.where(nowhere, IDENTITY, turn)


def slerp(a: ArrayLike, b: ArrayLike, t: ArrayLike) -> Array:
    """Spherical interpolation from ``a`` to ``b`` (..., 4) by ``t`` (...) in [0, 1], the short way."""
    a, b, t = np.asarray(a), np.asarray(b), np.asarray(t)[..., None]
    dot = np.sum(a * b, axis=-1, keepdims=True)
    b = np.where(dot < 0, -b, b)
    angle = np.arccos(np.clip(np.abs(dot), -1.0, 1.0))
    sine = np.sin(angle)
    close = sine < 1e-6
    safe = np.where(close, 1.0, sine)
    wa = np.where(close, 1.0 - t, np.sin((1.0 - t) * angle) / safe)
    wb = np.where(close, t, np.sin(t * angle) / safe)
    return normalise(wa * a + wb * b)


def continuous(q: ArrayLike) -> Array:
    """The same rotations (T, ..., 4) with signs chosen so that neighbours in time share a hemisphere."""
    q = np.array(q)
    if len(q) > 1:
        flips = np.where(np.sum(q[1:] * q[:-1], axis=-1) < 0, -1.0, 1.0)
        q[1:] *= np.cumprod(flips, axis=0)[..., None]
    return q


def angle(q: ArrayLike) -> Array:
    """Rotation angle in radians, 0 to pi, of quaternions (..., 4)."""
    q = np.asarray(q)
    return 2.0 * np.arctan2(np.linalg.norm(q[..., 1:], axis=-1), np.abs(q[..., 0]))


def twist(q: ArrayLike, axis: ArrayLike) -> Array:
    """The part (..., 4) of ``q`` that turns about ``axis`` (..., 3): ``q = swing * twist``."""
    q, axis = np.asarray(q), np.asarray(axis)
    along = np.sum(q[..., 1:] * axis, axis=-1, keepdims=True) * axis
    return normalise(np.concatenate([q[..., :1], along], axis=-1))


def _cross(a: Array, b: Array) -> Array:
    """The cross product (..., 3) by components; NumPy's own takes twice as long."""
    ax, ay, az = (a[..., k] for k in range(3))
    bx, by, bz = (b[..., k] for k in range(3))
    product = _empty(a, b)
    product[..., 0] = ay * bz - az * by
    product[..., 1] = az * bx - ax * bz
    product[..., 2] = ax * by - ay * bx
    return product


def _empty(a: Array, b: Array) -> Array:
    """Room for a product of two arrays with vectors or quaternions in the last axis."""
    shape = np.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    return np.empty((*shape, a.shape[-1]), dtype=np.result_type(a, b))
