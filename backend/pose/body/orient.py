"""Rotations that fit what is seen, weighed against what is likely: closed form, for all frames at once.

With Gaussian noise on vectors and a matrix Fisher prior, the most likely rotation is the one nearest to a weighted
sum of outer products (Wahba's problem; Markley's solution by singular values, "Attitude determination using vector
observations and the singular value decomposition", 1988), the prior being one more term of the sum.
"""

from __future__ import annotations

import numpy as np

from ....retarget import rotations as rot
from ....retarget.rotations import Array


def fit_vectors(rest: Array, seen: Array, weights: Array, prior: Array, spread: float) -> Array:
    """(T, 4) the likeliest turns of vectors ``rest`` (K, 3) into ``seen`` (T, K, 3).

    ``weights``: (K,) or (T, K), one over the variance of each vector's components. ``prior``: (T, 4) what is
    likely beforehand, within ``spread`` radians about each axis.
    """
    outer = np.einsum("tk,tki,kj->tij", np.broadcast_to(weights, seen.shape[:2]), seen, rest)
    return nearest(outer + rot.to_matrix(prior) / (2.0 * spread**2))


def fit_points(rest: Array, seen: Array, weights: Array, prior: Array, spread: float) -> Array:
    """As ``fit_vectors``, for points (K, 3) and (T, K, 3) with noise of their own and an unknown origin."""
    weights = np.broadcast_to(weights, seen.shape[:2])
    share = (weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12))[..., None]
    middle = (share * seen).sum(axis=1, keepdims=True)
    rest_middle = (share * rest).sum(axis=1, keepdims=True)
    outer = np.einsum("tk,tki,tkj->tij", weights, seen - middle, rest - rest_middle)
    return nearest(outer + rot.to_matrix(prior) / (2.0 * spread**2))


def nearest(matrices: Array) -> Array:
    """(T, 4) the rotations nearest to matrices (T, 3, 3)."""
    u, _, vt = np.linalg.svd(matrices)
    u[..., 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return rot.from_matrix(u @ vt)
