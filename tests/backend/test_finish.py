"""What sampled features are finished with: accents on the beats, a body that its feet carry."""

from __future__ import annotations

import numpy as np
import pytest
from stepsmith.backend.dance import representation as rep
from stepsmith.backend.dance.accent import accented
from stepsmith.backend.dance.support import supported
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL_NAMES

FPS = 30.0
FRAMES = 240


def gliding(speed: float, height: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    """Features (T, 152) of a body that stands upright and travels to its left at ``speed``, turning about itself."""
    seconds = np.arange(FRAMES) / FPS
    standing = Motion(FPS, np.zeros((FRAMES, 3)), np.tile(rot.IDENTITY, (FRAMES, 24, 1)), np.ones((FRAMES, 4)))
    low = standing.positions()[0, SMPL_NAMES.index("left_foot"), 2] - 0.02
    root = np.column_stack([speed * seconds, np.zeros(FRAMES), np.full(FRAMES, height - low)])
    rotations = np.array(standing.rotations)
    rotations[:, 0] = rot.from_axis_angle(yaw * seconds[:, None] * [0.0, 0.0, 1.0])
    return rep.encode(Motion(FPS, root, rotations, standing.contacts))


def test_a_dance_is_slowest_on_the_beat_and_where_it_was() -> None:
    phase = (np.arange(FRAMES) / 15.0) % 1.0  # two beats a second
    given = gliding(1.0)
    made = accented(given, phase, FPS)
    speed = made[15:-15, 4]
    np.testing.assert_allclose(speed, 1.0 - 0.15 * np.cos(2.0 * np.pi * phase[15:-15]), atol=0.02)
    assert speed.mean() == pytest.approx(1.0, abs=0.01)
    before, after = (rep.decode(features, FPS).root for features in (given, made))
    assert np.abs(after - before).max() < 0.02, "it arrives as before"
    np.testing.assert_allclose(made[:, rep.ROTATIONS], given[:, rep.ROTATIONS], atol=1e-6)


def test_accents_follow_beats_that_come_faster_and_poses_come_along() -> None:
    beats = np.cumsum(np.linspace(0.03, 0.09, FRAMES))
    given = gliding(0.5, yaw=1.0)
    given[:, rep.HEIGHT] = np.arange(FRAMES)  # tells which frame it was
    made = accented(given, beats % 1.0, FPS)
    moved = made[:, rep.HEIGHT] - np.arange(FRAMES)
    on_beat = np.abs(beats - np.round(beats)) < 0.01
    assert on_beat.any()
    assert np.abs(moved[on_beat]).max() < 0.1
    assert 0.3 < np.abs(moved).max() < 0.4, "frames; 12 ms"
    assert (np.diff(made[:, rep.HEIGHT]) > 0.0)[5:-5].all(), "never backwards"


def test_whoever_glides_on_both_feet_hardly_travels() -> None:
    for yaw in (0.0, 1.0):
        given = gliding(1.0, yaw=yaw)
        made = supported(given, FPS)
        before, after = (rep.decode(features, FPS).positions() for features in (given, made))
        feet = [SMPL_NAMES.index(f"{side}_foot") for side in ("left", "right")]
        slides = [np.linalg.norm(np.diff(p[:, feet, :2], axis=0), axis=-1).min(axis=1) * FPS for p in (before, after)]
        assert np.median(slides[0]) > 0.8
        assert np.median(slides[1]) < 0.45, "0.3 m/s are left"
        rest = [c for c in range(rep.WIDTH) if c not in range(*rep.VELOCITY.indices(rep.WIDTH))]
        np.testing.assert_array_equal(made[:, rest], given[:, rest])


def test_slow_slides_and_leaps_stay() -> None:
    for features in (gliding(0.2), gliding(2.0, height=0.2)):
        np.testing.assert_allclose(supported(features, FPS), features, atol=1e-4)


def test_a_foot_that_stands_carries_whatever_the_other_does() -> None:
    # The left foot stands, the body turns about it: the right one is fast and as low.
    given = gliding(0.0, yaw=2.0)
    foot = rep.decode(given, FPS).positions()[:, SMPL_NAMES.index("left_foot"), :2]
    rates = np.gradient(foot, axis=0) * FPS
    yaw = 2.0 * np.arange(FRAMES) / FPS
    own = rot.rotate(rot.from_axis_angle(-yaw[:, None] * [0.0, 0.0, 1.0]), np.column_stack([-rates, np.zeros(FRAMES)]))
    given[:, rep.VELOCITY] = own[:, :2]
    stays = rep.decode(given, FPS).positions()[:, SMPL_NAMES.index("left_foot"), :2]
    assert np.ptp(stays, axis=0).max() < 0.03
    made = supported(given, FPS)
    assert np.abs(made[2:-2, rep.VELOCITY] - given[2:-2, rep.VELOCITY]).max() < 0.1
