"""Which parts of what was seen are worth solving, and what is said about the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.backend.pose.damage import Damage
from stepsmith.backend.pose.detections import Detections
from stepsmith.backend.pose.landmarks import MEDIAPIPE
from stepsmith.backend.pose.shots import jumps
from stepsmith.backend.pose.stretches import BRIDGED, SHORTEST, Problem, find_stretches
from stepsmith.backend.pose.swaps import unswap

Array = np.ndarray
SIZE = (640, 360)

# Where landmarks are in somebody who faces the camera: across (their left to the right) and down, in trunk's lengths
# from the hips.
_HEIGHTS = {
    "eye": -1.5, "ear": -1.45, "mouth": -1.35, "shoulder": -1.0, "elbow": -0.5, "wrist": 0.0, "pinky": 0.1,
    "index": 0.1, "thumb": 0.05, "hip": 0.0, "knee": 0.9, "ankle": 1.8, "heel": 1.85, "toe": 1.9,
}  # fmt: skip
_WIDTHS = {"eye": 0.05, "mouth": 0.04, "ear": 0.1, "shoulder": 0.35, "elbow": 0.5, "wrist": 0.5, "hip": 0.2}


def _place(name: str) -> tuple[float, float]:
    kind = next((kind for kind in _HEIGHTS if kind in name), "")
    side = 1.0 if "left" in name else -1.0 if "right" in name else 0.0
    return side * _WIDTHS.get(kind, 0.25), _HEIGHTS.get(kind, -1.4)


BODY = np.array([_place(name) for name in MEDIAPIPE])
LEFT = [i for i, name in enumerate(MEDIAPIPE) if "left" in name]
RIGHT = [MEDIAPIPE.index(MEDIAPIPE[i].replace("left", "right")) for i in LEFT]


def dancer(seconds: float = 6.0, fps: float = 30.0, trunk: float = 60.0) -> Detections:
    """Somebody who sways and swings arms and legs in the middle of the picture."""
    times = np.arange(round(seconds * fps)) / fps
    sway = np.sin(2 * np.pi * 0.5 * times)[:, None, None] * [0.3, 0.05]
    swing = np.sin(2 * np.pi * 1.0 * times)[:, None] * np.clip(BODY[:, 1], 0.0, None) * np.sign(BODY[:, 0]) * 0.3
    points = (BODY + sway + np.stack([swing, np.zeros_like(swing)], -1)) * trunk + [320.0, 180.0]
    confidence = np.full(points.shape[:2], 0.95)
    world = np.concatenate([points / 100.0, np.zeros((*points.shape[:2], 1))], axis=-1)
    return Detections(times, SIZE, points, confidence, world, np.ones(len(times), int), np.array([], int))


def without(detections: Detections, first: float, last: float) -> Detections:
    """Nobody seen from one second to another."""
    gone = (detections.times >= first - 1e-6) & (detections.times < last - 1e-6)
    return replace(
        detections,
        points=np.where(gone[:, None, None], 0.0, detections.points),
        confidence=np.where(gone[:, None], 0.0, detections.confidence),
        people=np.where(gone, 0, detections.people),
    )


def spans(detections: Detections) -> list[tuple[float, float]]:
    stretches, _ = find_stretches(detections)
    ends = np.append(detections.times, detections.times[-1] + 1 / 30)
    return [(round(float(ends[s.start]), 2), round(float(ends[s.stop]), 2)) for s in stretches]


def problem(detections: Detections) -> Problem:
    """The only problem there is."""
    (found,) = find_stretches(detections)[1]
    return found


def test_somebody_seen_well_is_one_stretch_without_problems() -> None:
    stretches, problems = find_stretches(dancer())
    assert [(one.start, one.stop) for one in stretches] == [(0, 180)]
    assert problems == []


def test_a_short_gap_is_bridged_and_said() -> None:
    seen = without(dancer(), 2.0, 2.4)
    assert spans(seen) == [(0.0, 6.0)]
    found = problem(seen)
    assert found.kind == "nobody"
    assert "bridged" in found.sentence
    assert (found.start, found.end) == pytest.approx((2.0, 2.4), abs=0.05)


def test_a_long_gap_is_left_out_and_said() -> None:
    seen = without(dancer(), 2.0, 3.0)
    assert spans(seen) == [(0.0, 2.0), (3.0, 6.0)]
    found = problem(seen)
    assert "2.0 s to 3.0 s" in found.sentence
    assert "left out" in found.sentence


def test_where_nobody_is_ever_seen_nothing_is_solved() -> None:
    seen = without(dancer(), 0.0, 6.0)
    assert spans(seen) == []
    assert problem(seen).kind == "nobody"
    nothing = replace(
        seen, times=np.zeros(0), points=np.zeros((0, 33, 2)), confidence=np.zeros((0, 33)), people=np.zeros(0, int)
    )
    assert find_stretches(nothing) == ([], [])


def test_what_is_seen_for_less_than_a_second_is_left_out() -> None:
    seen = without(without(dancer(), 2.0, 3.0), 3.6, 5.0)
    assert spans(seen) == [(0.0, 2.0), (5.0, 6.0)]
    assert [one.kind for one in find_stretches(seen)[1]] == ["nobody", "short", "nobody"]


def test_short_pieces_one_after_the_other_are_said_at_once() -> None:
    seen = replace(dancer(), cuts=np.array([60, 75, 96, 110]))
    assert spans(seen) == [(0.0, 2.0), (3.67, 6.0)]
    (short,) = [one for one in find_stretches(seen)[1] if one.kind == "short"]
    assert short.sentence == (
        "The dancer is seen for only 0.7 s at a time from 2.0 s to 3.7 s: that is too short, and left out."
    )


def test_a_cut_ends_a_stretch() -> None:
    seen = replace(dancer(), cuts=np.array([75]))
    assert spans(seen) == [(0.0, 2.5), (2.5, 6.0)]
    found = problem(seen)
    assert (found.kind, found.start) == ("cut", 2.5)


def test_a_cut_within_a_gap_keeps_it_from_being_bridged() -> None:
    seen = replace(without(dancer(), 2.0, 2.4), cuts=np.array([66]))
    assert spans(seen) == [(0.0, 2.0), (2.4, 6.0)]
    assert problem(seen).kind == "cut"  # which says all


def test_pictures_missing_from_the_video_are_left_out_and_said() -> None:
    seen = dancer()
    kept = (seen.times < 2.0) | (seen.times >= 4.0)
    seen = Detections(
        seen.times[kept], SIZE, seen.points[kept], seen.confidence[kept], seen.world[kept], seen.people[kept], seen.cuts
    )
    assert len(find_stretches(seen)[0]) == 2
    found = problem(seen)
    assert found.kind == "missing"
    assert (found.start, found.end) == pytest.approx((2.0, 4.0), abs=0.05)


def test_several_people_are_said_and_who_is_followed() -> None:
    seen = dancer()
    found = problem(replace(seen, people=np.where((seen.times > 1.0) & (seen.times < 4.0), 3, 1)))
    assert found.kind == "people"
    assert found.sentence.startswith("There are 3 people from 1.0 s to 4.0 s: the one in the middle is followed")


def test_onlookers_are_told_from_people() -> None:
    seen = dancer()
    seen = replace(seen, people=np.where(seen.times < 3.0, 2, 3), onlookers=range(90))
    problems = find_stretches(seen)[1]
    assert [one.kind for one in problems] == ["onlookers", "people"]
    assert [one.sentence.partition(" from")[0] for one in problems] == ["There are 2 people", "There are 3 people"]


def _at(detections: Detections, first: float, last: float) -> Array:
    return ((detections.times >= first) & (detections.times < last))[:, None]


def test_feet_out_of_the_picture_are_said_and_solved_all_the_same() -> None:
    seen = dancer()
    below = np.where(_at(seen, 2.0, 4.0)[..., None], [0.0, 120.0], 0.0)
    seen = replace(seen, points=seen.points + below)
    assert spans(seen) == [(0.0, 6.0)]
    found = problem(seen)
    assert (found.kind, round(found.start, 1), round(found.end, 1)) == ("feet", 2.0, 4.0)


def test_somebody_upside_down_is_said() -> None:
    seen = dancer()
    turned = np.where(_at(seen, 2.0, 3.0)[..., None], [640.0, 360.0] - seen.points, seen.points)
    found = problem(replace(seen, points=turned))
    assert (found.kind, round(found.start, 1), round(found.end, 1)) == ("upside down", 2.0, 3.0)


def test_a_back_is_said_and_whether_it_is_seen_worse() -> None:
    seen = dancer()
    behind = _at(seen, 2.0, 4.0)
    turned = np.where(behind[..., None], [640.0, 0.0] + seen.points * [-1.0, 1.0], seen.points)
    found = problem(replace(seen, points=turned))
    assert (found.kind, round(found.start), round(found.end)) == ("away", 2, 4)
    found = problem(replace(seen, points=turned, confidence=np.where(behind, 0.6, 0.95) * np.ones((1, 33))))
    assert (found.kind, round(found.start), round(found.end)) == ("unclear", 2, 4)
    assert "faces away" in found.sentence


def test_somebody_tiny_and_somebody_unclear_are_said() -> None:
    assert problem(dancer(trunk=20.0)).kind == "small"
    seen = dancer()
    found = problem(replace(seen, confidence=np.where(_at(seen, 2.0, 4.0), 0.3, seen.confidence)))
    assert (found.kind, round(found.start), round(found.end)) == ("unclear", 2, 4)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.booleans(), min_size=1, max_size=40),
    st.lists(st.integers(0, 200), max_size=4, unique=True),
    st.sampled_from([12.0, 25.0, 60.0]),
)
def test_every_stretch_can_be_solved_and_all_else_is_explained(runs: list[bool], cuts: list[int], fps: float) -> None:
    """Whatever was seen: stretches are in order, long enough, without long gaps or cuts; the rest has a problem."""
    flags = np.repeat(runs, 7)
    seen = dancer(len(flags) / fps, fps)
    seen = replace(
        seen,
        confidence=np.where(flags[:, None], seen.confidence, 0.0),
        cuts=np.array(sorted(cut for cut in cuts if 0 < cut < len(flags)), int),
    )
    stretches, problems = find_stretches(seen)
    covered = np.zeros(len(flags), bool)
    for before, after in zip([None, *stretches], stretches, strict=False):
        assert before is None or before.stop <= after.start
        assert flags[after.start]
        assert flags[after.stop - 1]
        assert (after.stop - after.start) / fps >= SHORTEST - 1e-6
        there = seen.times[after.start : after.stop][flags[after.start : after.stop]]
        assert np.diff(there).max() <= BRIDGED + 1.01 / fps
        assert not ((seen.cuts > after.start) & (seen.cuts < after.stop)).any()
        covered[after.start : after.stop] = True
    for second in seen.times[~covered]:
        kinds = ("nobody", "short", "missing")
        near = [p for p in problems if p.kind in kinds and p.start - 1.01 / fps <= second <= p.end + 1.01 / fps]
        brief = not flags[round(second * fps)]  # a gap of a frame or two, beside a cut, needs no words
        assert near or brief
    assert [one.start for one in problems] == sorted(one.start for one in problems)
    assert all(one.sentence.endswith(".") and one.sentence.count(". ") == 0 for one in problems)


def test_pictures_that_are_very_dark_are_said_where_they_last() -> None:
    seen = replace(dancer(), dark=[*range(60, 120), 150])
    found = problem(seen)
    assert (found.kind, round(found.start, 1), round(found.end, 1)) == ("dark", 2.0, 4.0)
    assert spans(seen) == [(0.0, 6.0)]
    assert "less exact" in found.sentence


def test_where_nobody_is_seen_in_the_dark_no_motion_is_less_exact() -> None:
    seen = dancer()
    confidence = seen.confidence.copy()
    confidence[62:120] = 0.0  # seen at its edge
    (dark,) = (
        one
        for one in find_stretches(replace(seen, confidence=confidence, dark=[*range(60, 120)]))[1]
        if one.kind == "dark"
    )
    assert dark.sentence == "The video is very dark from 2.0 s to 4.0 s: nobody can be made out there."


@pytest.mark.parametrize(("fps", "rate"), [(1.0, "1"), (7.5, "7.5"), (10.0, None), (25.0, None)])
def test_pictures_that_are_too_few_are_said(fps: float, rate: str | None) -> None:
    problems = [one for one in find_stretches(dancer(fps=fps))[1] if one.kind == "sparse"]
    assert [one.sentence for one in problems] == [
        f"The video has only {rate} pictures a second from 0.0 s to 6.0 s: fast movement is lost."
    ] * (rate is not None)


def _swapped(detections: Detections, first: int, last: int, which: list[int]) -> Detections:
    """Left and right taken for each other in some frames and landmarks."""
    points, confidence, world = (a.copy() for a in (detections.points, detections.confidence, detections.world))
    pairs = [(left, right) for left, right in zip(LEFT, RIGHT, strict=True) if left in which]
    for array in (points, confidence, world):
        for left, right in pairs:
            array[first:last, [left, right]] = array[first:last, [right, left]]
    return replace(detections, points=points, confidence=confidence, world=world)


LEGS = [i for i in LEFT if MEDIAPIPE[i].split("_")[1] in ("hip", "knee", "ankle", "heel", "toe")]


@pytest.mark.parametrize("which", [LEFT, LEGS], ids=["whole", "legs"])
@pytest.mark.parametrize(("first", "last"), [(60, 61), (60, 75), (0, 8), (170, 180)])
def test_swapped_sides_are_put_back(first: int, last: int, which: list[int]) -> None:
    seen = dancer()
    mended = unswap(_swapped(seen, first, last, which))
    np.testing.assert_array_equal(mended.points, seen.points)
    np.testing.assert_array_equal(mended.world, seen.world)


def test_somebody_who_turns_round_is_not_taken_for_swapped() -> None:
    """In a pirouette of a second the sides do change places in the picture, each time within half a turn."""
    seen = dancer()
    facing = np.cos(2 * np.pi * np.clip(seen.times - 2.0, 0.0, 1.5))[:, None]
    middle = seen.points[:, :, 0].mean(axis=1, keepdims=True)
    points = seen.points.copy()
    points[..., 0] = middle + facing * (points[..., 0] - middle)
    seen = replace(seen, points=points)
    np.testing.assert_array_equal(unswap(seen).points, points)


def test_sides_are_not_compared_across_a_cut() -> None:
    seen = dancer()
    mirrored = _swapped(seen, 90, 180, LEFT)
    mirrored = replace(mirrored, cuts=np.array([90]))
    np.testing.assert_array_equal(unswap(mirrored).points, mirrored.points)


def test_a_jump_of_the_body_is_found_and_fast_dancing_is_not() -> None:
    seen = dancer()
    there = np.ones(len(seen), bool)
    fast = 320.0 + 90.0 * np.sin(2 * np.pi * 2.0 * seen.times)  # 0.75 m either side, twice a second
    points = seen.points + np.stack([fast, np.zeros_like(fast)], -1)[:, None]
    assert len(jumps(seen.times, points, there, 60.0)) == 0
    points = seen.points.copy()
    points[75:, :, 0] += 60.0
    assert jumps(seen.times, points, there, 60.0).tolist() == [75]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (Damage(2.0, 9.04, None), "damaged from 2.0 s on: the pictures from there to 9.0 s are missing."),
        (Damage(2.0, 2.0, None), "damaged from 2.0 s on: the rest can't be read."),
        (Damage(1.0, 1.04, 1), "damaged at 1.0 s: a picture can't be decoded whole, and those after may be wrong."),
        (Damage(1.0, 1.6, 15), "damaged from 1.0 s to 1.6 s: 15 pictures can't be decoded whole, and those after"),
    ],
)
def test_a_damaged_file_is_told(damage: Damage, sentence: str) -> None:
    found, (problem,) = find_stretches(replace(dancer(2.0), damage=[damage]))
    assert len(found) == 1
    assert (problem.kind, problem.start, problem.end) == ("damaged", damage.start, damage.end)
    assert sentence in problem.sentence
