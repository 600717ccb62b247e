"""Hands kept out of the body."""

from __future__ import annotations

import numpy as np
from stepsmith.backend.limits import in_range, out_of_body, unsnapped
from stepsmith.backend.measures.anatomy import MARGIN, beyond_range, hand_depth, joint_angles
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL, SMPL_NAMES, forward_kinematics

FPS = 30.0
LEFT_WRIST, LEFT_HAND, LEFT_ELBOW = (SMPL_NAMES.index(f"left_{name}") for name in ("wrist", "hand", "elbow"))


def swinging(degrees: float) -> Motion:
    """Four seconds in which the left arm swings down from the T pose by so many degrees, and up again."""
    frames = round(4 * FPS)
    angles = np.zeros((frames, 24, 3))
    angles[:, SMPL_NAMES.index("left_shoulder"), 1] = np.radians(degrees) * np.sin(np.linspace(0.0, np.pi, frames)) ** 2
    return Motion(
        fps=FPS,
        root=np.tile([0.0, 0.0, 0.95], (frames, 1)),
        rotations=rot.from_axis_angle(angles),
        contacts=np.ones((frames, 4)),
    )


def test_a_hand_goes_around_the_trunk_and_not_through_it():
    motion = swinging(110.0)
    before, depth = motion.positions(), hand_depth(motion.positions())
    assert 0.02 < depth[:, 0].max() < 0.1, "it would be inside"
    mended = out_of_body(motion)
    after = mended.positions()
    assert hand_depth(after).max() < 1e-3
    moved = np.linalg.norm(after - before, axis=-1)
    assert set(np.flatnonzero(moved.max(axis=0) > 1e-6)) <= {LEFT_ELBOW, LEFT_WRIST, LEFT_HAND}
    assert moved[:, LEFT_WRIST].max() < depth.max() + 0.03, "no further than it must"
    first, last = np.flatnonzero(depth[:, 0])[[0, -1]]
    away = np.ones(len(moved), dtype=bool)
    away[max(0, first - round(0.6 * FPS)) : last + round(0.6 * FPS)] = False
    assert away.any()
    assert moved[away].max() < 1e-6, "only around it"


def test_its_way_is_smooth_and_its_orientation_stays():
    motion = swinging(110.0)
    mended = out_of_body(motion)
    faster = [np.abs(np.diff(m.positions()[:, LEFT_WRIST], n=2, axis=0)).max() * FPS**2 for m in (motion, mended)]
    assert faster[1] < faster[0] + 6.0
    was, now = (forward_kinematics(SMPL, m.rotations, m.root)[1][:, LEFT_WRIST] for m in (motion, mended))
    assert np.abs((was * now).sum(axis=-1)).min() > 1.0 - 1e-9
    assert (mended.rotations[1:] * mended.rotations[:-1]).sum(axis=-1).min() > 0.0


def test_without_a_hand_in_the_body_the_motion_stays_as_it_was():
    motion = swinging(80.0)
    assert out_of_body(motion) is motion


def bending(joint: str, axis: int, degrees: np.ndarray) -> Motion:
    """A T pose of which one joint is turned by so many degrees, frame by frame."""
    angles = np.zeros((len(degrees), 24, 3))
    angles[:, SMPL_NAMES.index(joint), axis] = np.radians(degrees)
    return Motion(FPS, np.zeros((len(degrees), 3)), rot.from_axis_angle(angles), np.ones((len(degrees), 4)))


def turn_per_frame(motion: Motion, joint: str) -> np.ndarray:
    turns = motion.rotations[:, SMPL_NAMES.index(joint)]
    return np.degrees(rot.angle(rot.multiply(rot.conjugate(turns[:-1]), turns[1:])))


def test_what_is_bent_by_more_than_half_a_turn_is_not_stretched_the_other_way():
    """An elbow that is bent to 190 degrees stays bent as far as elbows go, without a flip on its way."""
    degrees = 120.0 + 70.0 * np.sin(np.linspace(0.0, np.pi, 60))
    mended = in_range(bending("left_elbow", 2, -degrees))
    flexion = joint_angles(mended.rotations)["elbow flexion"][:, 0]
    assert np.abs(flexion - np.minimum(degrees, 160.0)).max() < 0.2
    assert turn_per_frame(mended, "left_elbow").max() < 5.0


def test_what_is_turned_the_other_way_for_good_is_mended_the_shorter_way():
    """A wrist that has gone round once is where it was."""
    mended = in_range(bending("left_wrist", 0, np.linspace(0.0, 360.0, 90)))
    np.testing.assert_allclose(np.abs(mended.rotations[-1, LEFT_WRIST, 0]), 1.0, atol=1e-6)
    assert beyond_range(mended.rotations).max() < MARGIN + 0.5


def test_what_snaps_takes_a_moment_within_its_range():
    degrees = np.where(np.arange(60) < 30, 85.0, -95.0)
    motion = bending("left_wrist", 0, degrees)
    assert turn_per_frame(motion, "left_wrist").max() > 170.0
    mended = unsnapped(motion)
    assert turn_per_frame(mended, "left_wrist").max() < 60.0
    assert beyond_range(mended.rotations).max() < MARGIN
    away = np.abs(np.arange(60) - 29.5) > 4
    np.testing.assert_array_equal(mended.rotations[away, LEFT_WRIST], motion.rotations[away, LEFT_WRIST])
    still = bending("left_wrist", 0, 40.0 * np.sin(np.linspace(0, 6, 60)))
    np.testing.assert_array_equal(unsnapped(still).rotations, still.rotations)
