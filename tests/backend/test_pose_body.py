"""A body lifted into space becomes the performance that it was: on recorded and on invented movement."""

from __future__ import annotations

import numpy as np
import pytest
from stepsmith.backend.pose.body import solve_body
from stepsmith.backend.pose.detections import Lifted
from stepsmith.backend.pose.lifter.bodies import body_points
from stepsmith.backend.pose.lifter.camera import look
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL, SMPL_NAMES

FRAMES, FPS = 90, 30.0


def sway(frames: int = FRAMES, fps: float = FPS) -> Motion:
    """Somebody who shifts weight from foot to foot with bent knees and elbows, arms moving; feet on the floor."""
    beat = 2.0 * np.pi * np.arange(frames) / fps
    vectors = np.zeros((frames, 24, 3))
    at = {name: i for i, name in enumerate(SMPL_NAMES)}
    bend = 0.35 + 0.1 * np.cos(beat)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        vectors[:, at[f"{side}_hip"], 0] = -bend
        vectors[:, at[f"{side}_knee"], 0] = 2.0 * bend
        vectors[:, at[f"{side}_ankle"], 0] = -bend
        vectors[:, at[f"{side}_shoulder"], 1] = sign * (1.0 + 0.3 * np.sin(beat))
        vectors[:, at[f"{side}_elbow"], 2] = -sign * (1.2 + 0.4 * np.sin(beat))
    vectors[:, at["spine2"], 2] = 0.3 * np.sin(beat / 2.0)
    vectors[:, at["head"], 2] = 0.4 * np.sin(beat / 2.0)
    motion = Motion(fps, np.zeros((frames, 3)), rot.from_axis_angle(vectors), np.ones((frames, 4)))
    ankles = motion.positions()[:, [7, 8]].mean(axis=1)
    return Motion(fps, [0.0, 0.0, 0.072] - ankles, motion.rotations, motion.contacts)


def filmed(motion: Motion, place: tuple[float, float, float] = (0.0, -4.0, 1.3), roll: float = 0.0) -> Lifted:
    """What a perfect lifter makes of it, seen by a camera at ``place`` that looks at the middle of the scene."""
    position = np.array(place)
    turn = look(position, np.array([0.0, 0.0, 0.9]), roll)
    points, joints = (np.asarray(places - position) @ turn.T for places in body_points(motion))
    return Lifted(motion.fps, points, joints, turn @ [0.0, 0.0, 1.0])


def joint_error(found: Motion, truth: Motion) -> np.ndarray:
    """(T, 24) metres around the pelvis, both turned to the same heading."""
    a, b = (m.positions() - m.positions()[:, :1] for m in (found, truth))
    yaw = np.angle(np.sum((b[..., 0] + 1j * b[..., 1]) * (a[..., 0] - 1j * a[..., 1])))
    return np.linalg.norm(rot.rotate(rot.from_axis_angle([0.0, 0.0, float(yaw)]), a) - b, axis=-1)


@pytest.mark.parametrize("place", [(0.0, -4.0, 1.3), (3.0, -2.5, 2.4), (-2.0, 3.0, 0.4)])
def test_what_a_camera_sees_is_what_was_danced(place: tuple[float, float, float]) -> None:
    truth = sway()
    found = solve_body(filmed(truth, place, roll=0.1))
    assert joint_error(found, truth).max() < 0.006
    assert np.abs(found.positions()[..., 2] - truth.positions()[..., 2]).max() < 0.006
    assert found.meta["scale"] == pytest.approx(1.0, abs=0.005)
    assert (found.contacts > 0.5).all()


def test_somebody_who_faces_the_camera_faces_the_viewer() -> None:
    found = solve_body(filmed(sway()))
    left = found.positions()[:, 1] - found.positions()[:, 2]
    assert left[:, 0].mean() == pytest.approx(2 * SMPL.offsets[1, 0], abs=0.005)


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_a_few_frames_are_solved_too(frames: int) -> None:
    truth = sway(frames)
    assert joint_error(solve_body(filmed(truth)), truth).max() < 0.006


def test_what_is_no_body_is_told() -> None:
    lifted = filmed(sway())
    lifted.joints[3, 4] = np.nan
    with pytest.raises(StepsmithError, match="lift the video anew"):
        solve_body(lifted)
