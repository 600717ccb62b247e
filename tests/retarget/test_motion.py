from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import MotionError
from stepsmith.retarget.motion import Motion, concatenate, detect_contacts
from stepsmith.retarget.skeleton import CONTACT_JOINTS, SMPL, SMPL_MIRROR

MakeMotion = Callable[..., Motion]


def still(frames: int = 10, fps: float = 30.0) -> Motion:
    root = np.tile([0.0, 0.0, SMPL.rest_root_height], (frames, 1))
    return Motion(fps, root, np.tile(rot.IDENTITY, (frames, 24, 1)), np.ones((frames, 4)))


def test_a_motion_cannot_be_changed() -> None:
    motion = still()
    with pytest.raises(ValueError, match="read-only"):
        motion.root[0, 0] = 1.0
    with pytest.raises(FrozenInstanceError):
        motion.fps = 60.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        motion.meta["seed"] = 1  # type: ignore[index]


def test_a_motion_does_not_share_the_callers_arrays() -> None:
    root = np.zeros((3, 3))
    motion = Motion(30, root, np.tile(rot.IDENTITY, (3, 24, 1)), np.zeros((3, 4)))
    root[0] = 5.0
    assert motion.root[0, 0] == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": 0.0}, "frame rate"),
        ({"fps": float("nan")}, "frame rate"),
        ({"root": np.zeros((0, 3))}, "at least one frame"),
        ({"root": np.zeros((10, 2))}, "shape"),
        ({"contacts": np.zeros((9, 4))}, "contacts have shape"),
        ({"root": np.full((10, 3), np.nan)}, "not finite in 10 frames, first in frame 0"),
        ({"rotations": np.zeros((10, 24, 4))}, "not unit quaternions"),
    ],
)
def test_wrong_motions_say_what_is_wrong(change: dict, message: str) -> None:
    with pytest.raises(MotionError, match=message):
        replace(still(), **change)


@given(fps=st.sampled_from([24.0, 25.0, 29.97, 30.0, 60.0, 120.0]), frames=st.integers(1, 40))
def test_resampling_keeps_time(fps: float, frames: int) -> None:
    motion = replace(still(frames), root=np.arange(frames)[:, None] / 30.0 * [1.0, 0.0, 0.0])
    other = motion.resample(fps)
    assert np.array_equal(other.root[0], motion.root[0])
    assert np.allclose(other.root[:, 0], other.times)
    assert other.times[-1] <= motion.times[-1] + 1e-9
    assert motion.times[-1] - other.times[-1] < 1.0 / fps + 1e-9


def test_no_rate_makes_frames_without_end() -> None:
    slow = replace(still(3), fps=1e-9)
    with pytest.raises(MotionError, match=r"^At 30 frames a second .* more than 1000000: correct its frame rate"):
        slow.resample(30.0)
    assert len(still(3).resample(90.0)) == 7


def test_resampling_there_and_back_is_the_same(make_motion: MakeMotion) -> None:
    motion = make_motion(31)
    back = motion.resample(90.0).resample(30.0)
    assert np.allclose(back.root, motion.root)
    assert rot.angle(rot.multiply(rot.conjugate(back.rotations), motion.rotations)).max() < 1e-6


@given(a=st.integers(0, 12), b=st.integers(1, 12))
def test_slices_and_concatenation_are_inverse(a: int, b: int) -> None:
    beats = np.arange(0.0, 0.8, 0.1)
    whole = replace(still(24), beats=beats)
    start = min(a, 23)
    parts = [part for part in (whole.slice(0, start) if start else None, whole.slice(start)) if part]
    joined = concatenate(parts)
    assert len(joined) == 24
    assert joined.beats is not None
    assert np.allclose(joined.beats, beats)
    assert len(whole.slice(start, start + b)) == min(b, 24 - start)


def test_slices_move_beats_and_refuse_to_be_empty() -> None:
    motion = replace(still(60), beats=[0.0, 0.5, 1.0, 1.5], downbeats=[1.0])
    part = motion.slice(15, 45)
    assert np.allclose(part.beats, [0.0, 0.5])
    assert np.allclose(part.downbeats, [0.5])
    with pytest.raises(MotionError, match="hold nothing"):
        motion.slice(60)


def test_motions_of_other_rates_do_not_join() -> None:
    with pytest.raises(MotionError, match="resample"):
        concatenate([still(), still(fps=25.0)])
    with pytest.raises(MotionError, match="nothing"):
        concatenate([])


def test_mirror_reflects_every_joint(make_motion: MakeMotion) -> None:
    motion = make_motion()
    mirrored = motion.mirror()
    expected = motion.positions()[:, list(SMPL_MIRROR)] * [-1.0, 1.0, 1.0]
    assert np.allclose(mirrored.positions(), expected)
    assert np.allclose(mirrored.mirror().rotations, motion.rotations)


@given(yaw=st.floats(-7.0, 7.0))
def test_turning_and_shifting_move_the_body_whole(yaw: float) -> None:
    motion = still(2).shift([1.0, 2.0, 0.0]).turn(yaw)
    turn = rot.to_matrix(rot.from_axis_angle([0.0, 0.0, yaw]))
    assert np.allclose(motion.positions(), still(2).shift([1.0, 2.0, 0.0]).positions() @ turn.T)


def test_contacts_are_low_and_slow() -> None:
    positions = np.array(still(20).positions())
    assert detect_contacts(positions, 30.0).all()
    up, fast = positions.copy(), positions.copy()
    up[:, list(CONTACT_JOINTS), 2] += 0.1
    fast[..., 0] += np.arange(20)[:, None] / 30.0
    assert not detect_contacts(up, 30.0).any()
    assert not detect_contacts(fast, 30.0).any()
    assert detect_contacts(positions[:1], 30.0).shape == (1, 4)
