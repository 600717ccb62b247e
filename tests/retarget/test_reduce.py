from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.retarget import reduce as reduce_module
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.channels import to_rotations, to_values
from stepsmith.retarget.errors import RigError
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.reduce import LOCATION, Curve, Reduction, Track, reduce_keys
from stepsmith.retarget.rig import Rig
from stepsmith.retarget.solve import Pose, solve

Array = np.ndarray
MakeRig = Callable[..., Rig]
MakeMotion = Callable[..., Motion]
PoseRig = Callable[..., Array]


def tracks_of(pose: Pose, mode: str = "QUATERNION") -> list[Track]:
    tracks = [Track(bone, mode, to_values(pose.rotations[:, k], mode)) for k, bone in enumerate(pose.bones)]
    return [*tracks, Track(pose.root_bone, LOCATION, pose.locations)]


def played(curve: Curve, frames: int) -> Array:
    """(T, n) the values on every frame: cubics by their four control values."""
    values = np.empty((frames, curve.values.shape[1]))
    values[curve.frames[-1]] = curve.values[-1]
    for k, (start, end) in enumerate(zip(curve.frames, curve.frames[1:], strict=False)):
        t = (np.arange(end - start) / (end - start))[:, None]
        a, b, c, d = curve.values[k], *curve.inner[k], curve.values[k + 1]
        values[start:end] = (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
    return values


def shown(rig: Rig, pose: Pose, tracks: list[Track], reduction: Reduction, pose_rig: PoseRig) -> Array:
    """(T, J, 4, 4) the bones as the reduced keys pose them."""
    values = [played(curve, len(pose)) for curve in reduction.curves]
    turns = [to_rotations(v, track.mode) for v, track in zip(values[:-1], tracks, strict=False)]
    return pose_rig(rig, pose.bones, np.stack(turns, axis=1), pose.root_bone, values[-1])


def apart(rig: Rig, one: Array, other: Array) -> tuple[float, float]:
    """The largest difference of two poses (T, J, 4, 4): degrees, and millimetres of heads and tails in the world."""
    turn = one[..., :3, :3].swapaxes(-1, -2) @ other[..., :3, :3]
    degrees = np.degrees(rot.angle(rot.from_matrix(turn))).max()
    tails = [m[..., :3, 3] + m[..., :3, 1] * rig.lengths[:, None] for m in (one, other)]
    moved = np.concatenate([tails[1] - tails[0], other[..., :3, 3] - one[..., :3, 3]], axis=1)
    return float(degrees), 1000.0 * float(np.linalg.norm(moved @ rig.world[:3, :3].T, axis=-1).max())


@pytest.mark.parametrize("mode", ["QUATERNION", "AXIS_ANGLE", "XYZ", "YXZ"])
@pytest.mark.parametrize(("degrees", "millimetres"), [(1.0, 10.0), (0.1, 100.0), (30.0, 1.0)])
def test_the_errors_stay_as_small_as_stated(
    make_rig: MakeRig, make_motion: MakeMotion, pose: PoseRig, mode: str, degrees: float, millimetres: float
) -> None:
    world = np.diag([2.0, 2.0, 2.0, 1.0])
    rig = make_rig(arms=40.0, rolls=3, helpers=True, world=world)
    danced = solve(make_motion(120, seed=2), rig)
    tracks = tracks_of(danced, mode)
    reduction = reduce_keys(rig, tracks, degrees, millimetres)
    whole = pose(rig, danced.bones, danced.rotations, danced.root_bone, danced.locations)
    measured = apart(rig, whole, shown(rig, danced, tracks, reduction, pose))
    assert measured[0] <= degrees
    assert measured[1] <= millimetres
    # What it says of the errors is what they are, and they are made use of.
    assert (reduction.degrees, reduction.millimetres) == pytest.approx(measured, rel=1e-3, abs=1e-4)
    assert max(measured[0] / degrees, measured[1] / millimetres) > 0.3


def test_kept_frames_have_their_own_values(make_rig: MakeRig, make_motion: MakeMotion) -> None:
    rig = make_rig()
    tracks = tracks_of(solve(make_motion(50), rig))
    for track, curve in zip(tracks, reduce_keys(rig, tracks, 1.0, 10.0).curves, strict=True):
        assert curve.frames[0] == 0
        assert curve.frames[-1] == 49
        assert (np.diff(curve.frames) > 0).all()
        assert curve.values == pytest.approx(track.values[curve.frames])
        assert curve.inner.shape == (len(curve.frames) - 1, 2, track.values.shape[1])


def test_a_smooth_dance_needs_few_keys(make_rig: MakeRig, make_motion: MakeMotion) -> None:
    rig = make_rig()
    tracks = tracks_of(solve(make_motion(300), rig, feet="never"))
    keys = {error: total(reduce_keys(rig, tracks, error, 10.0 * error)) for error in (0.1, 0.5, 2.0)}
    assert keys[0.1] > keys[0.5] > keys[2.0]
    assert keys[0.5] < 300 * len(tracks) / 10


def total(reduction: Reduction) -> int:
    return sum(len(curve.frames) for curve in reduction.curves)


def test_what_stands_still_needs_two_keys(make_rig: MakeRig, make_motion: MakeMotion) -> None:
    rig = make_rig()
    still = make_motion(900)
    still = replace(still, root=np.tile(still.root[:1], (900, 1)), rotations=np.tile(still.rotations[:1], (900, 1, 1)))
    reduction = reduce_keys(rig, tracks_of(solve(still, rig)), 0.5, 5.0)
    assert max(len(curve.frames) for curve in reduction.curves) <= 3
    assert reduction.degrees < 1e-4


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5])
def test_short_motions(make_rig: MakeRig, make_motion: MakeMotion, frames: int) -> None:
    rig = make_rig()
    tracks = tracks_of(solve(make_motion(40).slice(0, frames), rig))
    reduction = reduce_keys(rig, tracks, 0.5, 5.0)
    assert reduction.degrees <= 0.5
    assert [curve.frames[-1] for curve in reduction.curves] == [frames - 1] * len(tracks)


def test_long_motions_are_reduced_in_stretches(
    make_rig: MakeRig, make_motion: MakeMotion, pose: PoseRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig()
    danced = solve(make_motion(200), rig)
    tracks = tracks_of(danced)
    monkeypatch.setattr(reduce_module, "_STRETCH", 64)
    reduction = reduce_keys(rig, tracks, 0.5, 5.0)
    whole = pose(rig, danced.bones, danced.rotations, danced.root_bone, danced.locations)
    measured = apart(rig, whole, shown(rig, danced, tracks, reduction, pose))
    assert (reduction.degrees, reduction.millimetres) == pytest.approx(measured, rel=1e-3)
    assert all({0, 64, 128, 192, 199} <= set(curve.frames.tolist()) for curve in reduction.curves)


@given(st.integers(0, 10_000), st.sampled_from([0.2, 1.0, 5.0]))
@settings(max_examples=25, deadline=None)
def test_noise_and_jumps_stay_within_the_error_too(seed: int, degrees: float) -> None:
    """A chain of three bones with values that no curve likes."""
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(1, 60))
    rest = np.tile(np.eye(4), (3, 1, 1))
    rest[:, 1, 3] = [0.0, 0.5, 1.0]
    rig = Rig(("a", "b", "c"), (-1, 0, 1), rest, np.full(3, 0.5))
    turns = np.cumsum(rng.normal(0.0, rng.choice([0.01, 0.3, 2.0]), (frames, 3, 3)), axis=0)
    turns[rng.random((frames, 3)) < 0.2] = 0.0
    quaternions = rot.continuous(rot.from_axis_angle(turns))
    modes = rng.choice(["QUATERNION", "AXIS_ANGLE", "XYZ", "ZXY"], 3)
    tracks = [
        Track(name, m, to_values(quaternions[:, k], m)) for k, (name, m) in enumerate(zip("abc", modes, strict=True))
    ]
    tracks.append(Track("a", LOCATION, np.cumsum(rng.normal(0.0, 0.1, (frames, 3)), axis=0)))
    reduction = reduce_keys(rig, tracks, degrees, 10.0 * degrees)
    head, turn = np.zeros((2, frames, 3)), np.tile(rot.IDENTITY, (2, frames, 1))
    for k in range(3):
        values = [tracks[k].values, played(reduction.curves[k], frames)]
        if k == 0:
            head = np.stack([tracks[3].values, played(reduction.curves[3], frames)])
        turn = rot.multiply(turn, np.stack([to_rotations(v, tracks[k].mode) for v in values]))
        assert np.degrees(rot.angle(rot.multiply(rot.conjugate(turn[0]), turn[1]))).max() <= degrees
        head = head + rot.rotate(turn, [0.0, 0.5, 0.0])
        assert 1000.0 * np.linalg.norm(head[1] - head[0], axis=-1).max() <= 10.0 * degrees


def test_a_bone_that_follows_another_than_its_parent_counts_there() -> None:
    """An error of a bone moves what follows it, also where only constraints make it follow."""
    rest = np.tile(np.eye(4), (2, 1, 1))
    rest[1, 1, 3] = 3.0
    rig = Rig(("arm", "hand"), (-1, -1), rest, np.ones(2))
    swing = to_values(rot.from_axis_angle(np.sin(np.arange(200.0) / 9.0)[:, None] * [0.5, 0.0, 0.0]), "QUATERNION")
    tracks = [Track("arm", "QUATERNION", swing)]
    free = reduce_keys(rig, tracks, 10.0, 20.0)
    bound = reduce_keys(rig, tracks, 10.0, 20.0, {"hand": "arm"})
    assert total(bound) > total(free)
    assert total(reduce_keys(replace(rig, parents=(-1, 0)), tracks, 10.0, 20.0, {"hand": ""})) == total(free)
    with pytest.raises(RigError, match="follows itself"):
        reduce_keys(rig, tracks, 1.0, 1.0, {"hand": "arm", "arm": "hand"})


def test_a_bone_that_does_not_turn_with_its_parent_is_no_worse_for_it(pose: PoseRig) -> None:
    rest = np.tile(np.eye(4), (2, 1, 1))
    rest[1, 1, 3] = 0.1
    rig = Rig(("short", "long"), (-1, 0), rest, np.array([0.1, 9.0]))
    swing = to_values(rot.from_axis_angle(np.sin(np.arange(200.0) / 9.0)[:, None] * [0.5, 0.0, 0.0]), "QUATERNION")
    tracks = [Track("short", "QUATERNION", swing)]
    aloof = replace(rig, inherits_rotation=(True, False))
    assert total(reduce_keys(aloof, tracks, 10.0, 10.0)) < total(reduce_keys(rig, tracks, 10.0, 10.0))


@pytest.mark.parametrize("wrong", [(0.0, 1.0), (1.0, -1.0), (np.nan, 1.0)])
def test_errors_are_larger_than_nothing(make_rig: MakeRig, make_motion: MakeMotion, wrong: tuple[float, float]) -> None:
    rig = make_rig()
    with pytest.raises(ValueError, match="larger than 0"):
        reduce_keys(rig, tracks_of(solve(make_motion(5), rig)), *wrong)
