from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from stepsmith.retarget import rotations as rot

finite = st.floats(-1.0, 1.0, allow_subnormal=False)


def longer_than(least: float) -> Callable[[np.ndarray], bool]:
    return lambda rows: bool((np.linalg.norm(rows, axis=-1) > least).all())


vectors = arrays(float, (5, 3), elements=finite).filter(longer_than(1e-3))
quaternions = arrays(float, (5, 4), elements=finite).filter(longer_than(1e-2)).map(rot.normalise)


def unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def same(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-7) -> bool:
    """Whether two rotations are one, whatever their sign."""
    return bool((rot.angle(rot.multiply(rot.conjugate(a), b)) < tolerance).all())


@given(quaternions, vectors)
def test_quaternions_and_matrices_rotate_alike(q: np.ndarray, v: np.ndarray) -> None:
    matrices = rot.to_matrix(q)
    assert np.allclose(rot.rotate(q, v), np.einsum("nij,nj->ni", matrices, v))
    assert np.allclose(np.linalg.det(matrices), 1.0)
    assert same(rot.from_matrix(matrices), q)


@given(quaternions, quaternions, vectors)
def test_product_applies_the_right_factor_first(a: np.ndarray, b: np.ndarray, v: np.ndarray) -> None:
    assert np.allclose(rot.rotate(rot.multiply(a, b), v), rot.rotate(a, rot.rotate(b, v)))
    assert same(rot.multiply(a, rot.conjugate(a)), np.broadcast_to(rot.IDENTITY, a.shape))


@given(quaternions)
def test_every_form_comes_back(q: np.ndarray) -> None:
    assert same(rot.from_axis_angle(rot.to_axis_angle(q)), q)
    assert same(rot.from_6d(rot.to_6d(q)), q)
    assert (np.linalg.norm(rot.to_axis_angle(q), axis=-1) <= np.pi + 1e-9).all()
    assert np.allclose(np.linalg.norm(rot.to_axis_angle(q), axis=-1), rot.angle(q))


def test_no_direction_is_turned_by_nothing() -> None:
    somewhere, nowhere = np.array([0.0, 0.0, 2.0]), np.zeros(3)
    pairs = ((nowhere, somewhere), (somewhere, nowhere), (nowhere, nowhere))
    assert all(np.array_equal(rot.between(a, b), rot.IDENTITY) for a, b in pairs)


@given(vectors, vectors)
def test_between_turns_one_direction_into_the_other(a: np.ndarray, b: np.ndarray) -> None:
    turned = rot.rotate(rot.between(a, b), a)
    assert np.allclose(
        turned / np.linalg.norm(turned, axis=-1, keepdims=True),
        b / np.linalg.norm(b, axis=-1, keepdims=True),
        atol=1e-6,
    )


@pytest.mark.parametrize("near", [1e-3, 1e-5, 1e-7, 1e-9, 1e-11])
def test_between_is_exact_near_its_limits(near: float) -> None:
    a = unit(np.array([0.3, -0.5, 0.8]))
    for b in (unit(a + np.array([near, 0.0, 0.0])), unit(np.array([0.0, near, 0.0]) - a)):
        assert np.abs(rot.rotate(rot.between(a, b), a) - b).max() < 1e-12


def test_between_opposite_directions_turns_half_round() -> None:
    for axis in np.vstack([np.eye(3), -np.eye(3), [[0.6, 0.8, 0.0]]]):
        q = rot.between(axis, -axis)
        assert np.allclose(rot.rotate(q, axis), -axis)
        assert np.isclose(rot.angle(q), np.pi)


@given(quaternions, quaternions, st.floats(0.0, 1.0))
def test_slerp_divides_the_angle(a: np.ndarray, b: np.ndarray, t: float) -> None:
    whole = rot.angle(rot.multiply(rot.conjugate(a), b))
    part = rot.angle(rot.multiply(rot.conjugate(a), rot.slerp(a, b, np.full(len(a), t))))
    assert np.allclose(part, t * whole, atol=1e-5)


def test_slerp_takes_the_short_way() -> None:
    a, b = rot.IDENTITY, -rot.from_axis_angle([0.0, 0.0, 0.2])
    assert np.isclose(rot.angle(rot.slerp(a, b, 0.5)), 0.1)


@given(arrays(float, (8, 2, 4), elements=finite).filter(longer_than(1e-2)))
def test_continuous_changes_signs_only(q: np.ndarray) -> None:
    q = rot.normalise(q)
    steady = rot.continuous(q)
    assert (np.sum(steady[1:] * steady[:-1], axis=-1) >= -1e-12).all()
    assert np.allclose(np.abs(np.sum(steady * q, axis=-1)), 1.0)


@given(quaternions, vectors)
def test_twist_is_the_turn_about_the_axis(q: np.ndarray, axis: np.ndarray) -> None:
    axis = unit(axis)
    twist = rot.twist(q, axis)
    assert np.allclose(rot.rotate(twist, axis), axis)
    pure = rot.from_axis_angle(axis * 0.7)
    assert same(rot.twist(pure, axis), pure)


@pytest.mark.parametrize("size", [0.0, 1e-14, 1e-9, 1e-7, 1e-5])
def test_tiny_rotations_keep_their_size(size: float) -> None:
    vector = np.array([0.0, size, 0.0])
    assert np.allclose(rot.to_axis_angle(rot.from_axis_angle(vector)), vector, rtol=1e-6, atol=1e-18)


def test_a_zero_quaternion_becomes_the_identity() -> None:
    assert np.array_equal(rot.normalise(np.zeros((2, 4))), np.tile(rot.IDENTITY, (2, 1)))
