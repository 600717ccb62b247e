from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.channels import to_free_values, to_rotations, to_values

ORDERS = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")
MODES = ("QUATERNION", "AXIS_ANGLE", *ORDERS)
AXES = "XYZ"


def likeness(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """1 for the same rotations, less for others; both (..., 4)."""
    return np.abs(np.sum(one * other, axis=-1))


def smooth(frames: int, seed: int, bend: float = 1.5) -> np.ndarray:
    """(T, 4) rotations that wander slowly, all the way round."""
    rng = np.random.default_rng(seed)
    times = np.linspace(0.0, 6.0, frames)[:, None, None]
    waves = np.sin(rng.uniform(0.3, 1.0, (4, 3)) * times + rng.uniform(0.0, 6.0, (4, 3)))
    return rot.from_axis_angle((rng.normal(0.0, bend, (4, 3)) * waves).sum(axis=1))


@given(st.sampled_from(MODES), st.integers(0, 10_000))
@settings(max_examples=100, deadline=None)
def test_there_and_back(mode: str, seed: int) -> None:
    q = smooth(60, seed)
    assert likeness(to_rotations(to_values(q, mode), mode), q).min() > 1 - 1e-9


@pytest.mark.parametrize("order", ORDERS)
def test_the_first_axis_is_applied_first(order: str) -> None:
    angles = np.array([0.3, 0.7, -1.1])
    expected = rot.IDENTITY
    for axis in order:
        expected = rot.multiply(rot.from_axis_angle(np.eye(3)[AXES.index(axis)] * angles[AXES.index(axis)]), expected)
    assert likeness(to_rotations(angles, order), expected) == pytest.approx(1.0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_angles_go_through_gimbal_lock_as_they_came(order: str, side: float) -> None:
    """At a right angle of the middle axis, hit exactly, the outer two turn about one line."""
    angles = np.zeros((101, 3))
    first, middle, third = (AXES.index(axis) for axis in order)
    angles[:, first], angles[:, third] = np.linspace(0.4, 0.6, 101), np.linspace(-1.2, -0.9, 101)
    angles[:, middle] = side * (np.pi / 2 + np.linspace(-0.5, 0.5, 101))
    assert to_values(to_rotations(angles, order), order) == pytest.approx(angles, abs=0.02)


@pytest.mark.parametrize("order", ORDERS)
def test_angles_that_stay_in_gimbal_lock_stay_still(order: str) -> None:
    angles = np.zeros((20, 3))
    first, middle, third = (AXES.index(axis) for axis in order)
    angles[:, middle], angles[:, third] = np.minimum(np.arange(20) / 5.0, 1.0) * np.pi / 2, 0.5
    angles[:, first] = np.arange(20) * 0.1
    values = to_values(to_rotations(angles, order), order)
    assert np.abs(np.diff(values, axis=0)).max() < 0.33
    assert likeness(to_rotations(values, order), to_rotations(angles, order)).min() > 1 - 1e-9


@given(st.sampled_from(MODES), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_numbers_go_on_from_those_before(mode: str, seed: int) -> None:
    """Cut anywhere, the second part goes on from the first as if it were one, sign, turns and all."""
    q = smooth(80, seed, bend=0.7)
    whole = to_values(q, mode)
    if mode == "AXIS_ANGLE":
        whole = np.concatenate([whole[:, :1] + 4 * np.pi, whole[:, 1:]], axis=1)
    elif mode != "QUATERNION":
        whole = whole + 2 * np.pi * np.array([1.0, 0.0, -1.0])
    else:
        whole = -whole
    again = to_values(q[40:], mode, whole[39])
    assert likeness(to_rotations(again, mode), q[40:]).min() > 1 - 1e-9
    if np.abs(np.diff(whole, axis=0)).max() < 0.5:  # away from gimbal lock and from no rotation at all
        assert again == pytest.approx(whole[40:], abs=1e-6)


@given(st.sampled_from(ORDERS), st.integers(0, 10_000), st.sampled_from([(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]))
@settings(max_examples=60, deadline=None)
def test_no_other_free_angles_come_nearer(order: str, seed: int, free: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    wanted, held = rot.normalise(rng.normal(size=(3, 4))), rng.uniform(-2.0, 2.0, 3)
    locked = np.array([axis not in free for axis in range(3)])
    values = to_free_values(wanted, order, locked, held)
    assert (values[:, locked] == held[locked]).all()
    reached = likeness(to_rotations(values, order), wanted)
    others = np.tile(held, (2000, 1))
    others[:, ~locked] = rng.uniform(-np.pi, np.pi, (2000, len(free)))
    best = np.abs(to_rotations(others, order) @ wanted.T).max(axis=0)
    assert (best <= reached + 1e-9).all()
    assert (best > reached - 0.05).all()


@pytest.mark.parametrize("free", [c for n in (1, 2, 3) for c in combinations(range(4), n)])
def test_no_other_free_numbers_of_a_quaternion_come_nearer(free: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    locked = np.array([axis not in free for axis in range(4)])
    for held in (rng.normal(size=4), np.array([1.0, 0.0, 0.0, 0.0])):
        wanted = rot.normalise(rng.normal(size=(5, 4)))
        values = to_free_values(wanted, "QUATERNION", locked, held)
        assert (values[:, locked] == held[locked]).all()
        others = np.tile(held, (5000, 1))
        others[:, ~locked] = rng.normal(size=(5000, len(free))) * np.exp(2 * rng.normal(size=(5000, 1)))
        best = np.abs(to_rotations(others, "QUATERNION") @ wanted.T).max(axis=0)
        assert (best <= likeness(to_rotations(values, "QUATERNION"), wanted) + 1e-6).all()


def test_a_locked_axis_is_a_hinge() -> None:
    wanted = smooth(50, 4)
    axis = np.array([0.0, 0.6, 0.8])
    values = to_free_values(wanted, "AXIS_ANGLE", [False, True, True, True], [0.0, *axis])
    assert likeness(to_rotations(values, "AXIS_ANGLE"), rot.twist(wanted, axis)).min() > 1 - 1e-9
    assert np.abs(np.diff(values[:, 0])).max() < 1.0


def test_a_locked_angle_turns_the_right_way_round() -> None:
    wanted = rot.from_axis_angle([[0.0, 0.0, 0.9], [0.5, 0.0, 0.0], [0.0, -0.7, 0.0]])
    values = to_free_values(wanted, "AXIS_ANGLE", [True, False, False, False], [-0.6, 0.0, 0.0, 1.0])
    expected = rot.from_axis_angle([[0.0, 0.0, 0.6], [0.6, 0.0, 0.0], [0.0, -0.6, 0.0]])
    assert likeness(to_rotations(values, "AXIS_ANGLE"), expected).min() > 1 - 1e-9


def test_all_locked_is_all_held() -> None:
    assert to_free_values(smooth(3, 0), "XYZ", [True] * 3, [1.0, 2.0, 3.0]) == pytest.approx(np.tile([1, 2, 3], (3, 1)))
