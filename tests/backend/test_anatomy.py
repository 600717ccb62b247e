"""Joints within the human range and hands outside of the body, on poses whose angles are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.backend.dance.sources import load_dances
from stepsmith.backend.measures import anatomy
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL, SMPL_NAMES, forward_kinematics

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "tang2018"


def pose(**turns: tuple[float, float, float]) -> np.ndarray:
    """(1, 24, 4) the T pose with some joints turned about x (left), y (back), z (up): axis times degrees."""
    angles = np.zeros((1, 24, 3))
    for joint, turn in turns.items():
        angles[0, SMPL_NAMES.index(joint)] = np.radians(turn)
    return rot.from_axis_angle(angles)


def positions(rotations: np.ndarray) -> np.ndarray:
    return forward_kinematics(SMPL, rotations, np.zeros((len(rotations), 3)))[0]


# Right-hand rule: about x (left) +90 takes back to up; about y (back) up to left; about z (up) left to back.
CLINICAL = [
    ("trunk flexion", {"spine1": (20, 0, 0), "spine3": (25, 0, 0)}, 45),
    ("trunk lateral bending", {"spine2": (0, 30, 0)}, 30),
    ("trunk rotation", {"spine2": (0, 0, -35)}, -35),
    ("head flexion", {"neck": (-20, 0, 0), "head": (-10, 0, 0)}, -30),
    ("head rotation", {"head": (0, 0, 60)}, 60),
    ("hip flexion", {"left_hip": (-90, 0, 0), "right_hip": (-90, 0, 0)}, 90),
    ("hip abduction", {"left_hip": (0, -40, 0), "right_hip": (0, 40, 0)}, 40),
    ("hip lateral rotation", {"left_hip": (0, 0, 30), "right_hip": (0, 0, -30)}, 30),
    ("knee flexion", {"left_knee": (120, 0, 0), "right_knee": (120, 0, 0)}, 120),
    ("knee sideways", {"left_knee": (0, -10, 0), "right_knee": (0, 10, 0)}, 10),
    ("knee lateral rotation", {"left_knee": (0, 0, 25), "right_knee": (0, 0, -25)}, 25),
    ("ankle dorsiflexion", {"left_ankle": (40, 0, 0), "right_ankle": (40, 0, 0)}, -40),
    ("ankle sideways", {"left_ankle": (0, 0, 15), "right_ankle": (0, 0, -15)}, 15),
    ("shoulder extension", {"left_shoulder": (0, 0, 30), "right_shoulder": (0, 0, -30)}, 30),
    ("shoulder adduction", {"left_collar": (0, 0, -20), "left_shoulder": (0, 0, -100), "right_collar": (0, 0, 20),
                            "right_shoulder": (0, 0, 100)}, 30),
    ("elbow flexion", {"left_elbow": (0, 0, -130), "right_elbow": (0, 0, 130)}, 130),
    ("elbow flexion", {"left_elbow": (0, 0, 25), "right_elbow": (0, 0, -25)}, -25),
    ("elbow flexion", {"left_elbow": (0, 0, -200), "right_elbow": (0, 0, 200)}, 200),
    ("wrist bending", {"left_wrist": (0, 50, 0), "right_wrist": (0, 0, 50)}, 50),
    ("wrist rotation", {"left_wrist": (70, 0, 0), "right_wrist": (70, 0, 0)}, 70),
]  # fmt: skip


@pytest.mark.parametrize(("name", "turns", "degrees"), CLINICAL)
def test_angles_are_the_clinical_ones(name: str, turns: dict[str, tuple[float, float, float]], degrees: float):
    np.testing.assert_allclose(anatomy.joint_angles(pose(**turns))[name], degrees, atol=1e-6)


def test_every_angle_has_a_range_and_the_t_pose_is_in_all():
    angles = anatomy.joint_angles(pose())
    assert angles.keys() == anatomy.RANGES.keys()
    assert anatomy.beyond_range(pose())[0] <= 0


@pytest.mark.parametrize(
    ("turns", "beyond"),
    [
        ({"left_knee": (-40, 0, 0)}, 30),  # bent forward
        ({"right_elbow": (0, 0, -60)}, 50),  # bent backward
        ({"spine1": (0, 0, 40), "spine2": (0, 0, 40)}, 35),  # each within reach, together too far
        ({"head": (0, 0, 170)}, 90),  # an owl
        ({"right_ankle": (90, 0, 0)}, 40),
    ],
)
def test_impossible_poses_are_out_of_range_by_as_much(turns: dict[str, tuple[float, float, float]], beyond: float):
    assert anatomy.beyond_range(pose(**turns))[0] == pytest.approx(beyond, abs=1e-6)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_left_and_right_are_held_to_the_same(seed: int):
    random = np.random.default_rng(seed)
    rotations = rot.from_axis_angle(random.normal(0, 0.8, (5, 24, 3)))
    motion = Motion(30.0, np.zeros((5, 3)), rotations, np.zeros((5, 4)))
    np.testing.assert_allclose(
        anatomy.beyond_range(motion.mirror().rotations), anatomy.beyond_range(rotations), atol=1e-6
    )


def test_hands_are_in_the_body_where_they_are():
    joints = np.repeat(positions(pose()), 5, axis=0)
    index = SMPL_NAMES.index
    left, hand = index("left_wrist"), index("left_hand")
    joints[1, [left, hand]] = joints[1, index("spine2")]
    joints[2, [left, hand]] = 0.5 * (joints[2, index("right_hip")] + joints[2, index("right_knee")])
    joints[3, left] = joints[3, index("spine2")] + [0.0, -0.2, 0.0]  # before the belly
    joints[3, hand] = joints[3, index("spine2")] + [0.0, -0.2, 0.1]
    joints[4, left] = joints[4, index("neck")] + [0.3, 0.0, 0.03]  # through the neck, from side to side
    joints[4, hand] = joints[4, index("neck")] + [-0.3, 0.0, 0.03]
    depth = anatomy.hand_depth(joints)
    assert depth[:, 1].tolist() == [0, 0, 0, 0, 0], "the right hand stayed where it was"
    assert depth[[0, 3], 0].tolist() == [0, 0]
    assert depth[1, 0] == pytest.approx(0.10, abs=0.02)
    assert depth[2, 0] == pytest.approx(0.05, abs=1e-6)
    assert depth[4, 0] > 0.03


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="the recorded dances are not beside the checkout")
def test_real_dancers_are_human():
    motions = [dance.motion for dance in load_dances(REAL, "val")]
    beyond = np.concatenate([anatomy.beyond_range(motion.rotations) for motion in motions])
    assert (beyond > anatomy.MARGIN).mean() < 0.02
    inside = np.concatenate([anatomy.hand_depth(motion.positions()) for motion in motions])
    assert (inside > 0).any(axis=1).mean() < 0.01
