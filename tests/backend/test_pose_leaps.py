"""Points that leap away and back are doubted, and fast dancing is not."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.backend.pose import leaps
from stepsmith.backend.pose.detections import Detections
from stepsmith.backend.pose.landmarks import MEDIAPIPE
from stepsmith.backend.pose.leaps import doubt_leaps

WRIST, TRUNK = MEDIAPIPE.index("left_wrist"), 80.0  # px, half a metre


def standing(seconds: float = 3.0, fps: float = 30.0, sure: float = 0.95) -> Detections:
    """Somebody who stands and breathes."""
    times = np.arange(round(seconds * fps)) / fps
    points = np.tile([300.0, 200.0], (len(times), 33, 1))
    points[:, 11:13, 1] -= TRUNK
    points[:, WRIST, 0] += 60.0
    points += np.random.default_rng(0).normal(0.0, 0.5, points.shape)
    size = (640, 480)
    ones, none = np.ones(len(times), int), np.array([], int)
    return Detections(
        times, size, points, np.full((len(times), 33), sure), np.zeros((*points.shape[:2], 3)), ones, none
    )


def moved(seen: Detections, frames: slice, metres: np.ndarray, sure: float) -> Detections:
    """The wrist elsewhere, and seen so well, in some frames."""
    points, confidence = seen.points.copy(), seen.confidence.copy()
    points[frames, WRIST] += metres * (TRUNK / 0.5)
    confidence[frames, WRIST] = sure
    return replace(seen, points=points, confidence=confidence)


@pytest.mark.parametrize(("frames", "sure", "far"), [(1, 0.95, 0.4), (1, 0.3, 0.2), (3, 0.2, 0.3), (4, 0.1, 0.5)])
@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
def test_a_leap_away_and_back_is_doubted(frames: int, sure: float, far: float, fps: float) -> None:
    seen = standing(fps=fps)
    leapt = moved(seen, slice(40, 40 + frames), np.array([-far, 0.2 * far]), sure)
    doubted = doubt_leaps(leapt)
    assert (doubted.confidence[40 : 40 + frames, WRIST] == 0.0).all()
    rest = leapt.confidence.copy()
    rest[40 : 40 + frames, WRIST] = 0.0
    np.testing.assert_array_equal(doubted.confidence, rest)
    np.testing.assert_array_equal(doubted.points, leapt.points)


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0, 120.0])
@pytest.mark.parametrize("acceleration", [50.0, 120.0])
def test_hits_are_believed(fps: float, acceleration: float) -> None:
    """A hand that is thrown out and drawn back, as hard as dancers do it, again and again."""
    seen = standing(fps=fps)
    within = np.abs(np.mod(seen.times, 0.5) - 0.25)  # from each hit's middle
    reach = 0.35
    out = np.maximum(reach - 0.5 * acceleration * within**2, 0.0)
    hits = moved(seen, slice(None), np.stack([out, -0.5 * out], -1), 0.95)
    np.testing.assert_array_equal(doubt_leaps(hits).confidence, hits.confidence)


def test_what_is_seen_elsewhere_for_longer_is_believed() -> None:
    seen = moved(standing(), slice(40, 60), np.array([0.4, 0.0]), 0.5)
    np.testing.assert_array_equal(doubt_leaps(seen).confidence, seen.confidence)


def test_a_cut_there_and_back_is_no_leap() -> None:
    seen = moved(standing(), slice(40, 43), np.array([0.4, 0.0]), 0.3)
    cut = replace(seen, cuts=np.array([40, 43]))
    np.testing.assert_array_equal(doubt_leaps(cut).confidence, cut.confidence)
    assert (doubt_leaps(seen).confidence[40:43, WRIST] == 0.0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16), st.integers(0, 40), st.sampled_from([12.0, 30.0, 240.0]))
def test_confidence_is_lost_or_kept_whatever_was_seen(seed: int, frames: int, fps: float) -> None:
    rng = np.random.default_rng(seed)
    seen = standing(frames / fps, fps)
    gone = rng.random(frames) < 0.2
    points = seen.points + rng.normal(0.0, 30.0, seen.points.shape)
    confidence = np.where(gone[:, None], 0.0, rng.random((frames, 33)))
    cuts = np.unique(rng.integers(0, frames + 1, 2))
    seen = replace(seen, points=points, confidence=confidence, cuts=cuts[(cuts > 0) & (cuts < frames)])
    doubted = doubt_leaps(seen)
    assert ((doubted.confidence == seen.confidence) | (doubted.confidence == 0.0)).all()


def test_a_long_video_is_looked_at_in_pieces_and_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = standing(20.0)
    trembling = np.random.default_rng(1).normal(0.0, 15.0, seen.points.shape)
    seen = replace(seen, points=seen.points + trembling)
    whole = doubt_leaps(seen).confidence
    assert 0.01 < (whole == 0.0).mean() < 0.99
    monkeypatch.setattr(leaps, "_AT_ONCE", 50)
    np.testing.assert_array_equal(doubt_leaps(seen).confidence, whole)


def test_memory_hardly_grows_with_the_video() -> None:
    seen = standing(1200.0)
    tracemalloc.start()
    doubt_leaps(seen)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 4 * seen.points.nbytes
