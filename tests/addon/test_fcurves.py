from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import pytest
from stepsmith.addon.fcurves import between, bezier_keys, linear_keys, read_keys, splice, write_keys

HANDLES = ("FREE", "ALIGNED", "VECTOR", "AUTO", "AUTO_CLAMPED")
EASINGS = ("SINE", "QUAD", "CUBIC", "EXPO", "BACK", "BOUNCE", "ELASTIC")


@pytest.fixture
def curve() -> Any:
    bpy.ops.wm.read_homefile(use_empty=True)
    ob = bpy.data.objects.new("Empty", None)
    ob.animation_data_create().action = action = bpy.data.actions.new("Action")
    if hasattr(action, "slots"):
        slot = action.slots.new(id_type="OBJECT", name="Empty")
        action = action.layers.new("Layer").strips.new(type="KEYFRAME").channelbag(slot, ensure=True)
    return action.fcurves.new("location", index=0)


def fill(
    curve: Any, seed: int, interpolation: tuple[str, ...] = ("BEZIER",), step: float = 7.0, reach: float = 0.3
) -> None:
    """Random keys about every ``step`` frames from -30 to 130, of these interpolations, with handles of all types.

    ``reach``: the handles' longest, in steps.
    """
    rng = np.random.default_rng(seed)
    frames = np.cumsum(rng.uniform(0.4 * step, 1.6 * step, int(160 / step))) - 30.0
    if rng.random() < 0.5:
        frames = np.round(frames)
    frames = np.unique(frames)
    for frame in frames:
        curve.keyframe_points.insert(frame, rng.normal(), options={"FAST"})
    for key in curve.keyframe_points:
        key.interpolation = str(rng.choice(interpolation))
        key.easing = str(rng.choice(["AUTO", "EASE_IN", "EASE_OUT", "EASE_IN_OUT"]))
        both = str(rng.choice(HANDLES))
        key.handle_left_type = key.handle_right_type = both
        if both == "FREE":
            key.handle_right_type = str(rng.choice(["FREE", "VECTOR"]))
        key.handle_left = key.co[0] - rng.uniform(0.0, reach * step), key.co[1] + rng.normal()
        key.handle_right = key.co[0] + rng.uniform(0.0, reach * step), key.co[1] + rng.normal()
    curve.update()


def played(curve: Any, frames: np.ndarray) -> np.ndarray:
    return np.array([curve.evaluate(frame) for frame in frames])


NEW = linear_keys(np.arange(21.0, 60.0), np.sin(np.arange(21.0, 60.0)))


@pytest.mark.parametrize("extrapolation", ["CONSTANT", "LINEAR"])
@pytest.mark.parametrize("seed", range(12))
def test_outside_a_spliced_stretch_a_curve_plays_as_before(curve: Any, seed: int, extrapolation: str) -> None:
    fill(curve, seed, ("BEZIER", "BEZIER", "LINEAR", "CONSTANT"))
    curve.extrapolation = extrapolation
    times = np.arange(-60.0, 160.0, 0.25)
    outside = (times <= 20.0) | (times >= 60.0)
    before = played(curve, times)
    splice(curve, NEW)
    after = played(curve, times)
    assert after[outside] == pytest.approx(before[outside], abs=2e-4)
    whole = (times >= 21.0) & (times <= 59.0) & (times == np.floor(times))
    assert after[whole] == pytest.approx(np.sin(times[whole]), abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_it_plays_so_on_after_blender_has_worked_its_handles_out_again(curve: Any, seed: int) -> None:
    fill(curve, seed)
    times = np.arange(-60.0, 160.0, 0.5)
    outside = (times <= 20.0) | (times >= 60.0)
    before = played(curve, times)
    splice(curve, NEW)
    for _ in range(3):
        curve.update()
        curve.keyframe_points.handles_recalc()
    assert played(curve, times)[outside] == pytest.approx(before[outside], abs=2e-4)


@pytest.mark.parametrize("seed", range(6))
def test_handles_that_reach_far_play_as_before_on_every_frame(curve: Any, seed: int) -> None:
    fill(curve, seed, reach=1.5)
    times = np.arange(-60.0, 160.0)
    outside = (times <= 20.0) | (times >= 60.0)
    before = played(curve, times)
    splice(curve, NEW)
    assert played(curve, times)[outside] == pytest.approx(before[outside], abs=2e-4)


@pytest.mark.parametrize("easing", EASINGS)
def test_easings_play_as_before_on_every_frame(curve: Any, easing: str) -> None:
    fill(curve, 3, (easing,), step=25.0)
    times = np.arange(-60.0, 160.0)
    outside = (times <= 20.0) | (times >= 60.0)
    before = played(curve, times)
    splice(curve, NEW)
    assert played(curve, times)[outside] == pytest.approx(before[outside], abs=1e-5)


@pytest.mark.parametrize("extrapolation", ["CONSTANT", "LINEAR"])
@pytest.mark.parametrize("shift", [-200.0, 200.0])
def test_a_stretch_beyond_all_keys_leaves_the_curve_as_it_was(curve: Any, shift: float, extrapolation: str) -> None:
    fill(curve, 5)
    curve.extrapolation = extrapolation
    frames = np.arange(21.0, 60.0) + shift
    times = np.arange(-300.0, 300.0, 0.5)
    outside = (times <= frames[0] - 1) | (times >= frames[-1] + 1)
    before = played(curve, times)
    splice(curve, linear_keys(frames, np.zeros(39)))
    after = played(curve, times)
    assert after[outside] == pytest.approx(before[outside], abs=5e-4, rel=1e-5)
    assert played(curve, frames) == pytest.approx(0.0, abs=1e-6)


def test_keys_away_from_the_stretch_stay_as_they_are(curve: Any) -> None:
    fill(curve, 1)
    before = read_keys(curve)
    splice(curve, NEW)
    after = read_keys(curve)
    frames = before["co"][:, 0]
    away = np.flatnonzero((frames < frames[frames < 20.0].max()) | (frames > frames[frames > 60.0].min()))
    for key in away:
        at = int(np.flatnonzero(np.abs(after["co"][:, 0] - frames[key]) < 1e-4)[0])
        for name, values in before.items():
            assert after[name][at] == pytest.approx(values[key], abs=1e-4), name


def test_a_curve_spliced_twice_keeps_both_stretches(curve: Any) -> None:
    fill(curve, 2)
    times = np.arange(-60.0, 160.0)
    before = played(curve, times)
    splice(curve, NEW)
    later = linear_keys(np.arange(80.0, 101.0), np.full(21, 3.0))
    splice(curve, later)
    after = played(curve, times)
    outside = (times <= 20.0) | ((times >= 60.0) & (times <= 79.0)) | (times >= 101.0)
    assert after[outside] == pytest.approx(before[outside], abs=2e-4)
    assert played(curve, np.arange(80.0, 101.0)) == pytest.approx(3.0)
    assert played(curve, NEW["co"][:, 0]) == pytest.approx(NEW["co"][:, 1], abs=1e-6)


def test_a_cubic_is_played_as_it_is_meant(curve: Any) -> None:
    rng = np.random.default_rng(0)
    frames, values, inner = np.array([1.0, 8.0, 9.0, 40.0, 1000.0]), rng.normal(size=5), rng.normal(size=(4, 2))
    write_keys(curve, bezier_keys(frames, values, inner))
    for start, first, last, y0, y1, (a, b) in zip(
        range(4), frames, frames[1:], values, values[1:], inner, strict=False
    ):
        t = np.linspace(0.0, 1.0, 30)
        cubic = (1 - t) ** 3 * y0 + 3 * (1 - t) ** 2 * t * a + 3 * (1 - t) * t**2 * b + t**3 * y1
        assert played(curve, first + t * (last - first)) == pytest.approx(cubic, abs=1e-4), start


def test_keys_between_two_frames_of_one_value(curve: Any) -> None:
    write_keys(curve, between(linear_keys(np.array([5.0, 6.0]), np.array([1.0, 2.0])), 7.0))
    assert played(curve, np.array([-9.0, 4.0, 5.0, 6.0, 7.0, 99.0])) == pytest.approx([7, 7, 1, 2, 7, 7])
