"""Front and back are not confused where the landmark network can't tell them apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from stepsmith.backend.pose.facing import Facing, breadth
from stepsmith.backend.pose.landmarks import MEDIAPIPE
from stepsmith.backend.pose.mediapipe_graphs import Pose, Square

SQUARE = Square((300.0, 200.0), 250.0, 0.0)
FPS = 25.0
_ACROSS = {"shoulder": 0.3, "hip": 0.18, "elbow": 0.4, "wrist": 0.5, "knee": 0.2, "ankle": 0.2, "heel": 0.2}
_DOWN = {"shoulder": -1.0, "hip": 0.0, "elbow": -0.5, "wrist": -0.1, "knee": 0.9, "ankle": 1.8, "heel": 1.8}


def pose(degrees: float, lean: float = 0.0) -> Pose:
    """Somebody turned from the camera by so many degrees, the trunk leaning by so many radians, 60 px long."""
    points = np.zeros((33, 2))
    for i, name in enumerate(MEDIAPIPE):
        kind = name.split("_")[-1]
        side = 1.0 if "left" in name else -1.0 if "right" in name else 0.0
        points[i] = side * _ACROSS.get(kind, 0.05) * np.cos(np.radians(degrees)), _DOWN.get(kind, -1.4)
    cosine, sine = np.cos(lean), np.sin(lean)
    points = 60.0 * points @ np.array([[cosine, sine], [-sine, cosine]]) + SQUARE.centre
    return Pose(points, np.full(33, 0.9), np.zeros((33, 3)), SQUARE)


def steadied(raw: list[Pose], others: Callable[[int], Pose | None]) -> tuple[list[Pose], int]:
    """What becomes of the ``raw`` poses of one frame after the other, and how often the network was asked.

    ``others``: what it says of other squares in a frame."""
    facing, asked, found = Facing(), 0, []
    for i, one in enumerate(raw):

        def ask(square: Square, i: int = i) -> Pose | None:
            nonlocal asked
            asked += 1
            assert square != SQUARE
            return others(i)

        found.append(facing.steady(one, i / FPS, SQUARE, ask))
    return found, asked


@pytest.mark.parametrize("lean", [0.0, 0.8, -2.0])
def test_breadth_says_how_far_somebody_is_turned(lean: float) -> None:
    for degrees in (0.0, 60.0, 90.0, 130.0, 180.0):
        assert breadth(pose(degrees, lean).points) == pytest.approx(np.cos(np.radians(degrees)), abs=1e-6)
    assert breadth(np.zeros((33, 2))) == 0.0


@pytest.mark.parametrize("ways", [[150.0] * 10, [70.0, 100.0, 140.0, 140.0, 140.0, 110.0, 80.0]])
def test_who_is_turned_round_for_a_moment_in_one_square_alone_is_not(ways: list[float]) -> None:
    raw = [pose(30.0)] * 20 + [pose(way) for way in ways] + [pose(30.0)] * 20
    found, asked = steadied(raw, lambda i: pose(50.0))
    facing = np.array([breadth(one.points) for one in found])
    assert facing.min() > 0.15 if len(ways) == 10 else facing.min() > -0.1
    assert asked <= len(ways)  # an answer holds for more than one picture
    turned = [i for i in range(20, 20 + len(ways)) if breadth(raw[i].points) < -0.5]
    for i in turned:
        assert min(np.abs(found[i].points - pose(way).points).max() for way in (30.0, 50.0)) < 10.0
        assert found[i].square == SQUARE


@pytest.mark.parametrize("seconds", [0.3, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("turns", [0.5, 1.0, 3.0])
def test_whoever_turns_indeed_is_seen_turning(seconds: float, turns: float) -> None:
    """In every square the same is seen, up to pirouettes of three turns a second."""
    times = np.arange(150) / FPS
    degrees = 20.0 + 360.0 * turns * np.clip((times - 2.0) / (seconds * turns), 0.0, 1.0)
    raw = [pose(one) for one in degrees.tolist()]
    found, _ = steadied(raw, lambda i: raw[i])
    assert all(one is other for one, other in zip(found, raw, strict=True))


def test_where_nobody_else_knows_it_stays_as_it_was_found() -> None:
    raw = [pose(20.0)] * 20 + [pose(160.0)] * 40
    found, asked = steadied(raw, lambda i: None)
    assert all(one is other for one, other in zip(found, raw, strict=True))
    assert asked <= 8


def test_the_network_is_asked_seldom_however_much_it_wavers() -> None:
    raw = [pose(20.0 if i // 5 % 2 else 160.0) for i in range(1500)]
    _, asked = steadied(raw, lambda i: pose(20.0))
    assert asked <= 12 + 0.02 * 1500


def test_a_turn_while_nobody_was_seen_is_none_to_doubt() -> None:
    facing = Facing()

    def ask(square: Square) -> Pose | None:
        raise AssertionError

    for i in range(20):
        facing.steady(pose(10.0), i / FPS, SQUARE, ask)
    after = pose(170.0)
    assert facing.steady(after, 3.0, SQUARE, ask) is after
