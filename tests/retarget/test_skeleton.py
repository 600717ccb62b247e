from __future__ import annotations

import numpy as np
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.skeleton import (
    ANKLE_HEIGHT,
    CONTACT_JOINTS,
    CONTACT_NAMES,
    FOOT_HEIGHT,
    SMPL,
    SMPL_MIRROR,
    forward_kinematics,
)


def test_rest_pose_is_a_t_pose_that_faces_the_viewer() -> None:
    rest = dict(zip(SMPL.names, SMPL.rest_positions, strict=True))
    assert rest["left_wrist"][0] > 0.5 > -0.5 > rest["right_wrist"][0]
    assert np.isclose(rest["left_shoulder"][2], rest["left_wrist"][2], atol=0.03)
    assert rest["left_foot"][1] < rest["left_ankle"][1]
    assert 1.5 < rest["head"][2] + SMPL.rest_root_height < 1.75


def test_rest_pose_is_symmetrical() -> None:
    mirrored = SMPL.rest_positions[list(SMPL_MIRROR)] * [-1.0, 1.0, 1.0]
    assert np.allclose(mirrored, SMPL.rest_positions)
    assert [SMPL.parents[SMPL_MIRROR[j]] for j in range(1, 24)] == [SMPL_MIRROR[p] for p in SMPL.parents[1:]]


def test_rest_pose_stands_on_flat_feet() -> None:
    heights = SMPL.rest_positions[list(CONTACT_JOINTS), 2] + SMPL.rest_root_height
    assert np.allclose(heights, [ANKLE_HEIGHT, ANKLE_HEIGHT, FOOT_HEIGHT, FOOT_HEIGHT])
    assert [SMPL.names[j] for j in CONTACT_JOINTS] == list(CONTACT_NAMES)


def test_forward_kinematics_keeps_bone_lengths_and_turns_children() -> None:
    rng = np.random.default_rng(0)
    rotations = rot.normalise(rng.normal(size=(6, 24, 4)))
    root = rng.normal(size=(6, 3))
    positions, turned = forward_kinematics(SMPL, rotations, root)
    assert np.allclose(positions[:, 0], root)
    for joint, parent in enumerate(SMPL.parents[1:], start=1):
        lengths = np.linalg.norm(positions[:, joint] - positions[:, parent], axis=-1)
        assert np.allclose(lengths, np.linalg.norm(SMPL.offsets[joint]))
        assert np.allclose(turned[:, joint], rot.multiply(turned[:, parent], rotations[:, joint]))


def test_turning_the_elbow_moves_only_the_arm_below() -> None:
    rotations = np.tile(rot.IDENTITY, (1, 24, 1))
    rotations[0, 18] = rot.from_axis_angle([0.0, 0.0, -np.pi / 2])
    positions, _ = forward_kinematics(SMPL, rotations, np.zeros((1, 3)))
    moved = np.linalg.norm(positions[0] - SMPL.rest_positions, axis=-1) > 1e-9
    assert np.flatnonzero(moved).tolist() == [20, 22]
    # A left elbow turned by -90 degrees about the vertical brings the hand to the front.
    assert positions[0, 20, 1] < positions[0, 18, 1] - 0.2
