"""A body lifted into space becomes the performance that it was: on recorded and on invented movement."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.backend.measures.anatomy import RANGES, hand_depth, joint_angles
from stepsmith.backend.pose.body import solve_body
from stepsmith.backend.pose.detections import Lifted
from stepsmith.backend.pose.landmarks import POINTS
from stepsmith.backend.pose.lifter.bodies import body_points
from stepsmith.backend.pose.lifter.camera import look
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import CONTACT_JOINTS, SMPL, SMPL_NAMES, forward_kinematics

FRAMES, FPS = 90, 30.0


def sway(frames: int = FRAMES, fps: float = FPS, bent: float = 0.35) -> Motion:
    """Somebody who shifts weight from foot to foot with bent knees and elbows, arms moving; feet on the floor.

    ``bent``: radians of hips and ankles on average."""
    beat = 2.0 * np.pi * np.arange(frames) / fps
    vectors = np.zeros((frames, 24, 3))
    at = {name: i for i, name in enumerate(SMPL_NAMES)}
    bend = bent + 0.1 * np.cos(beat)
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


def shape_error(found: Motion, truth: Motion) -> tuple[np.ndarray, float]:
    """(T, 24) metres around the pelvis, the whole turned to fit, and the degrees by which it was tilted."""
    a, b = (m.positions() - m.positions()[:, :1] for m in (found, truth))
    u, _, vt = np.linalg.svd(np.einsum("tji,tjk->ik", b, a))
    turn = (u * [1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return np.linalg.norm(a @ turn.T - b, axis=-1), float(np.degrees(np.arccos(min(turn[2, 2], 1.0))))


@pytest.mark.parametrize(
    "place",
    [(0.0, -4.0, 1.3), (3.0, -2.5, 2.4), (-2.0, 3.0, 0.4), (0.0, -1.2, 1.0), (0.01, -0.01, 6.0)],
    ids=["front", "above", "behind and low", "near", "overhead"],
)
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


def turned_between_frames(motion: Motion) -> np.ndarray:
    """(T - 1, 24) degrees by which joints turn from frame to frame, in the world."""
    world = forward_kinematics(SMPL, motion.rotations, motion.root)[1]
    return np.degrees(rot.angle(rot.multiply(rot.conjugate(world[:-1]), world[1:])))


def noisy(lifted: Lifted, noise: float, seed: int = 0) -> Lifted:
    """With white noise, three times as large along the camera's view."""
    rng = np.random.default_rng(seed)
    spread = noise * np.array([1.0, 1.0, 3.0])
    return replace(
        lifted,
        points=lifted.points + rng.normal(size=lifted.points.shape) * spread,
        joints=lifted.joints + rng.normal(size=lifted.joints.shape) * spread,
    )


def slide(motion: Motion) -> float:
    """Centimetres a contact second that feet move over the floor."""
    feet = motion.positions()[:, list(CONTACT_JOINTS), :2]
    held = (motion.contacts[1:] > 0.6) & (motion.contacts[:-1] > 0.6)
    return 100.0 * float(np.linalg.norm(np.diff(feet, axis=0), axis=-1)[held].mean()) * motion.fps


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), fps=st.sampled_from([24.0, 30.0, 60.0]))
def test_any_dance_comes_back(seed: int, fps: float) -> None:
    """Joints where they were; rotations too, but for twists that no joint shows."""
    rng = np.random.default_rng(seed)
    truth = invented(rng, fps)
    found = solve_body(filmed(truth, (rng.uniform(-2.0, 2.0), -4.0, rng.uniform(0.5, 2.5)), rng.normal(0.0, 0.05)))
    error, tilt = shape_error(found, truth)
    assert tilt < 3.0  # what the floor and the body's stance add to the camera's up
    assert error.mean() < 0.008
    assert error.max() < 0.05


def invented(rng: np.random.Generator, fps: float, seconds: float = 2.0) -> Motion:
    """A smooth dance within the joints' ranges, elbows and knees hinges, gliding over the floor."""
    frames = round(seconds * fps)
    phase = 2.0 * np.pi * np.arange(frames)[:, None] / fps * rng.uniform(0.3, 0.9)
    at = {name: i for i, name in enumerate(SMPL_NAMES)}
    swing = np.sin(phase + rng.uniform(0.0, 2.0 * np.pi, 24))
    vectors = np.zeros((frames, 24, 3))
    for joint, size in (("spine1", 0.1), ("spine2", 0.1), ("spine3", 0.1), ("neck", 0.1), ("head", 0.25)):
        vectors[:, at[joint]] = swing[:, [at[joint]]] * rng.normal(0.0, size, 3).clip(-size, size)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        shoulder, elbow, hip, knee, ankle = (at[f"{side}_{p}"] for p in ("shoulder", "elbow", "hip", "knee", "ankle"))
        vectors[:, shoulder, 1] = sign * (rng.uniform(-0.2, 1.0) + 0.3 * swing[:, shoulder])
        vectors[:, shoulder, 2] = -sign * (0.4 + 0.3 * swing[:, elbow])
        vectors[:, elbow, 2] = -sign * (1.1 + 0.8 * swing[:, elbow])
        bend = 0.4 + 0.3 * swing[:, hip]
        vectors[:, hip, 0], vectors[:, knee, 0], vectors[:, ankle, 0] = -bend, 1.8 * bend, -0.3 * bend
    vectors[:, 0, 2] = 0.5 * swing[:, 0]
    motion = Motion(fps, np.zeros((frames, 3)), rot.from_axis_angle(vectors), np.zeros((frames, 4)))
    height = motion.positions()[:, list(CONTACT_JOINTS), 2].min(axis=1)
    # Round and round, so fast that no foot can rest.
    way = 2.0 * motion.times + rng.uniform(0.0, 2.0 * np.pi)
    root = np.column_stack([np.cos(way), np.sin(way), 0.03 - height])
    return replace(motion, root=root)


def test_noise_goes_and_the_dance_stays() -> None:
    truth = sway(240)
    lifted = noisy(filmed(truth), 0.02)
    found = solve_body(lifted)
    raw = np.linalg.norm(lifted.joints - filmed(truth).joints, axis=-1).mean()
    assert joint_error(found, truth).mean() < 0.5 * raw
    assert slide(found) < 2.0
    path = found.positions()[:, 0] - truth.positions()[:, 0]
    assert (path - path.mean(axis=0)).std(axis=0).max() < 0.02  # of 0.06 along the view
    speeds = [np.linalg.norm(np.diff(m.positions()[:, 20], axis=0), axis=-1).max() for m in (found, truth)]
    assert 0.9 < speeds[0] / speeds[1] < 1.25


def test_a_person_of_another_size_stands_on_the_same_floor() -> None:
    truth = sway()
    lifted = filmed(truth)
    small = replace(lifted, points=0.7 * lifted.points, joints=0.7 * lifted.joints)
    found = solve_body(small)
    assert found.meta["scale"] == pytest.approx(1.0 / 0.7, rel=0.01)
    assert np.abs(found.positions()[..., 2] - truth.positions()[..., 2]).max() < 0.008


@pytest.mark.parametrize("tilt", [(0.06, 0.0), (-0.05, 0.05)])
def test_a_wrong_up_is_put_right_by_who_walks_about(tilt: tuple[float, float]) -> None:
    step = sway(300)
    travel = 1.5 * np.column_stack([np.sin(step.times), np.cos(step.times), 0.0 * step.times])
    # Hops from place to place: the feet travel with the hips.
    truth = replace(step, root=step.root + travel[(np.arange(300) // 60) * 60])
    lifted = filmed(truth, (0.0, -5.0, 1.6))
    found = solve_body(replace(lifted, up=lifted.up + np.array([tilt[0], 0.0, tilt[1]])))
    spine = found.positions()[:, 12] - found.positions()[:, 0]
    true = truth.positions()[:, 12] - truth.positions()[:, 0]
    lean = [np.degrees(np.arctan2(np.linalg.norm(s.mean(axis=0)[:2]), s.mean(axis=0)[2])) for s in (spine, true)]
    assert abs(lean[0] - lean[1]) < 0.5 * np.degrees(np.hypot(*tilt))


def test_straight_limbs_do_not_flip() -> None:
    """Arms and legs that bend this way and that by no more than noise keep their turn about their length."""
    frames = 150
    beat = 2.0 * np.pi * np.arange(frames) / FPS
    vectors = np.zeros((frames, 24, 3))
    for shoulder, sign in ((16, 1.0), (17, -1.0)):
        vectors[:, shoulder, 1] = sign * (0.6 + 0.7 * np.sin(beat / 2.0))
    truth = Motion(FPS, np.tile([0.0, 0.0, 0.955], (frames, 1)), rot.from_axis_angle(vectors), np.zeros((frames, 4)))
    found = solve_body(noisy(filmed(truth), 0.008))
    assert turned_between_frames(found)[:, [1, 2, 4, 5, 16, 17, 18, 19]].max() < 12.0
    world = [forward_kinematics(SMPL, m.rotations, m.root)[1][:, [16, 17]] for m in (found, truth)]
    off = np.degrees(rot.angle(rot.multiply(rot.conjugate(world[0]), world[1])))
    assert off.max() < 60.0


def test_an_arm_that_is_lost_is_bridged() -> None:
    truth = sway(120)
    lifted, confidence = filmed(truth), np.ones((120, 25))
    rng = np.random.default_rng(0)
    lost = slice(40, 50)
    for name in ("left_elbow", "left_wrist", "left_index", "left_pinky"):
        lifted.points[lost, POINTS.index(name)] += rng.normal(0.0, 0.3, (10, 3))
        confidence[lost, POINTS.index(name)] = 0.0
    for joint in (18, 20, 22):
        lifted.joints[lost, joint] += rng.normal(0.0, 0.3, (10, 3))
    blind, told = (joint_error(solve_body(lifted, confidence=c), truth)[lost] for c in (None, confidence))
    assert told[:, [18, 20, 22]].mean() < 0.03 < blind[:, [18, 20, 22]].mean()


def test_coco_confidence_leaves_feet_and_hands_to_the_lifter() -> None:
    truth = sway()
    found = solve_body(filmed(truth), confidence=np.full((FRAMES, 17), 0.9))
    assert joint_error(found, truth).max() < 0.02


def test_somebody_who_lies_on_the_floor_lies_on_the_floor() -> None:
    standing = sway(60)
    rotations = np.array(standing.rotations)
    rotations[:, 0] = rot.multiply(rot.from_axis_angle([-np.pi / 2, 0.0, 0.0]), rotations[:, 0])
    lying = Motion(FPS, standing.root * 0.0, rotations, np.zeros((60, 4)))
    lying = lying.shift([0.0, 0.0, 0.06 - lying.positions()[..., 2].min()])
    found = solve_body(filmed(lying, (3.0, -2.5, 1.5)))
    upper = [0, 3, 6, 9, 12, 15, 16, 17, 18, 19]
    assert np.abs(found.positions()[:, upper, 2] - lying.positions()[:, upper, 2]).max() < 0.08
    assert joint_error(found, lying)[:, upper].max() < 0.02


def test_a_handstand_stands_on_its_hands() -> None:
    standing = sway(60)
    rotations = np.array(standing.rotations)
    rotations[:, 0] = rot.multiply(rot.from_axis_angle([np.pi, 0.0, 0.0]), rotations[:, 0])
    truth = replace(standing, rotations=rotations, contacts=np.zeros((60, 4)))
    truth = truth.shift([0.0, 0.0, 0.03 - truth.positions()[..., 2].min()])
    found = solve_body(filmed(truth))
    assert joint_error(found, truth).max() < 0.01
    assert np.abs(found.root[:, 2] - truth.root[:, 2]).max() < 0.02


def test_a_spin_stays_a_spin() -> None:
    """A turn a second, seen with noise: the pelvis turns evenly, the way it did."""
    still = sway(90)
    turns = rot.from_axis_angle(np.outer(2.0 * np.pi * still.times, [0.0, 0.0, 1.0]))
    rotations = np.array(still.rotations)
    rotations[:, 0] = rot.multiply(turns, rotations[:, 0])
    truth = replace(still, rotations=rotations, root=rot.rotate(turns, still.root))
    found = solve_body(noisy(filmed(truth), 0.01))
    off = np.degrees(rot.angle(rot.multiply(rot.conjugate(truth.rotations[:, 0]), found.rotations[:, 0])))
    assert np.percentile(off, 95) < 20.0
    assert turned_between_frames(found)[:, 0].max() < 2.5 * 12.0


def test_a_jump_leaves_the_floor_and_lands_on_it() -> None:
    standing = sway(90)
    height = 0.35 * np.maximum(0.0, np.sin(2.0 * np.pi * standing.times))
    truth = replace(standing, root=standing.root + height[:, None] * [0.0, 0.0, 1.0])
    found = solve_body(noisy(filmed(truth), 0.01))
    assert found.root[:, 2].max() == pytest.approx(truth.root[:, 2].max(), abs=0.04)
    assert found.contacts[height > 0.15].max() < 0.5
    assert found.contacts[height == 0.0].mean() > 0.7


def test_somebody_who_stands_still_stands_still() -> None:
    truth = replace(
        sway(), rotations=np.repeat(sway(1).rotations, FRAMES, axis=0), root=np.repeat(sway(1).root, FRAMES, 0)
    )
    found = solve_body(noisy(filmed(truth), 0.01))
    speed = np.linalg.norm(np.diff(found.positions(), axis=0), axis=-1) * FPS
    assert speed[:, [7, 8, 10, 11]].mean() < 0.02
    assert speed.mean() < 0.12
    assert (found.contacts > 0.5).mean() > 0.95


def test_somebody_who_stands_does_not_wander_with_the_lifted_distance() -> None:
    truth = sway(240)
    lifted = noisy(filmed(truth), 0.01)
    away = np.zeros((len(truth), 1, 3))
    away[:, 0, 2] = 0.1 * np.sin(np.linspace(0.0, 2.0 * np.pi, len(truth)))
    found = solve_body(replace(lifted, joints=lifted.joints + away, points=lifted.points + away))
    assert np.ptp(found.root[:, 1]) < 0.1


def test_who_goes_behind_something_jumps_neither_away_from_the_camera_nor_off_the_floor() -> None:
    truth = sway(120)
    across = np.linspace(-1.0, 1.0, len(truth))[:, None] * [1.0, 0.0, 0.0]
    truth = replace(truth, root=truth.root + across)
    lifted, confidence = noisy(filmed(truth, (0.0, -6.0, 1.3)), 0.01), np.ones((120, 25))
    confidence[55:65] = 0.0
    # Half hidden, at both sides of the gap, a body seems smaller: as far away as if it were at 1.3 times the distance,
    # and higher.
    seconds = (np.arange(len(truth)) - 60) / FPS
    beside = np.exp(-((seconds / 0.25) ** 2))[:, None, None]
    off = beside * (0.3 * lifted.joints[:, :1] + 0.3 * lifted.up)
    far = replace(lifted, joints=lifted.joints + off, points=lifted.points + off)
    found, blind = solve_body(far, confidence=confidence), solve_body(far)
    assert np.ptp(blind.root[:, 1]) > 1.0, "what cannot be told from a dancer who runs off and comes back"
    assert np.ptp(found.root[:, 1]) < 0.15
    assert np.linalg.norm(np.diff(found.root[:, :2], axis=0), axis=1).max() * FPS < 1.0
    assert found.positions()[:, CONTACT_JOINTS, 2].min(axis=1).max() < 0.05


def test_joints_stay_within_human_range() -> None:
    truth = sway()
    rotations = np.array(truth.rotations)
    rotations[:, 4] = rot.from_axis_angle([-0.9, 0.0, 0.0])  # a knee bent to the front
    found = solve_body(filmed(replace(truth, rotations=rotations)))
    assert joint_angles(found.rotations)["knee flexion"].min() > -25.0


def test_a_hand_that_was_lifted_into_the_trunk_is_beside_it() -> None:
    truth = sway()
    rotations = np.array(truth.rotations)
    rotations[:, SMPL_NAMES.index("left_shoulder")] = rot.from_axis_angle([0.0, 1.9, 0.0])
    rotations[:, SMPL_NAMES.index("left_elbow")] = rot.IDENTITY
    truth = replace(truth, rotations=rotations)
    assert hand_depth(truth.positions()).max() > 0.02
    found = solve_body(filmed(truth))
    assert hand_depth(found.positions()).max() < 1e-3
    arm = [SMPL_NAMES.index(f"left_{name}") for name in ("elbow", "wrist", "hand")]
    assert np.delete(joint_error(found, truth), arm, axis=1).max() < 0.01


def test_feet_that_seem_to_slope_throughout_stand_flat() -> None:
    truth = sway()
    rotations = np.array(truth.rotations)
    rotations[:, [7, 8]] = rot.multiply(rotations[:, [7, 8]], rot.from_axis_angle([0.25, 0.0, 0.0]))
    found = solve_body(filmed(replace(truth, rotations=rotations)))
    feet = found.positions()[:, list(CONTACT_JOINTS), 2]
    assert np.abs(feet - [0.072, 0.072, 0.02, 0.02]).max() < 0.01


def test_toes_bend_under_a_raised_heel() -> None:
    """On the floor half of the time and on the balls of the feet for the other half."""
    rise = np.where(np.arange(120) < 60, 0.0, 0.6)
    vectors = np.zeros((120, 24, 3))
    vectors[:, [7, 8], 0] = rise[:, None]
    standing = Motion(FPS, np.zeros((120, 3)), rot.from_axis_angle(vectors), np.zeros((120, 4)))
    lowest = standing.positions()[:, 10, 2]
    found = solve_body(filmed(replace(standing, root=np.array([0.0, 0.0, 0.02]) - lowest[:, None] * [0.0, 0.0, 1.0])))
    positions, world = forward_kinematics(SMPL, found.rotations, found.root)
    tips = positions[:, [10, 11]] + rot.rotate(world[:, [10, 11]], [0.0, -0.062, 0.0])
    assert positions[70:, 7, 2].min() > 0.1
    assert tips[..., 2].min() > 0.005


def test_heels_rise_from_under_shins_that_lean_too_far() -> None:
    """Deep knees over flat feet, as a lifter may see them: up to 46 degrees at the ankles, where 30 are possible."""
    truth = sway(bent=0.7)
    assert joint_angles(truth.rotations)["ankle dorsiflexion"].max() > 44.0
    found = solve_body(filmed(truth))
    assert joint_angles(found.rotations)["ankle dorsiflexion"].max() < 31.0
    ankles, balls = (found.positions()[:, joints] for joints in ([7, 8], [10, 11]))
    assert ankles[..., 2].max() > 0.09
    assert np.abs(balls[..., 2] - 0.02).max() < 0.01
    assert np.linalg.norm(np.ptp(balls, axis=0), axis=-1).max() < 0.02
    raised = ankles[..., 2] > 0.09
    assert found.contacts[:, :2][raised].max() < 0.1
    assert found.contacts[:, 2:].min() > 0.9


def test_feet_that_stand_neither_turn_nor_break_their_ankles() -> None:
    found = solve_body(noisy(filmed(sway(240)), 0.02))
    assert turned_between_frames(found)[:, [7, 8]].max() < 1.5
    for name in ("ankle dorsiflexion", "ankle sideways"):
        low, high = RANGES[name]
        angles = joint_angles(found.rotations)[name]
        assert low - 15.0 < angles.min()
        assert angles.max() < high + 15.0


def test_the_same_body_gives_the_same_performance() -> None:
    lifted = noisy(filmed(sway()), 0.01)
    one, other = solve_body(lifted), solve_body(lifted)
    assert np.array_equal(one.rotations, other.rotations)
    assert np.array_equal(one.root, other.root)


def test_a_minute_is_solved_in_no_time() -> None:
    lifted = noisy(filmed(sway(1800)), 0.01)
    solve_body(filmed(sway(10)))
    begun = time.process_time()
    solve_body(lifted)
    assert time.process_time() - begun < 4.0


def test_what_is_no_body_is_told() -> None:
    lifted = filmed(sway())
    lifted.joints[3, 4] = np.nan
    with pytest.raises(StepsmithError, match="lift the video anew"):
        solve_body(lifted)


@pytest.mark.parametrize("times", [1e-6, 1e25])
def test_a_body_of_no_such_size_is_refused(times: float) -> None:
    rng = np.random.default_rng(2)
    lifted = Lifted(
        30.0, times * rng.normal(size=(40, 25, 3)), times * rng.normal(size=(40, 24, 3)), np.array([0.0, -1, 0])
    )
    with pytest.raises(StepsmithError, match="nobody does"):
        solve_body(lifted)


def test_no_forearm_turns_round_from_one_frame_to_the_next() -> None:
    """As where a lifter takes the hand before the body for one behind it."""
    truth = sway(90)
    rotations = np.array(truth.rotations)
    elbow = SMPL_NAMES.index("left_elbow")
    for frames, degrees in ((slice(0, 45), 20.0), (slice(45, 90), 140.0)):
        rotations[frames, elbow] = rot.from_axis_angle(np.radians([0.0, 0.0, -degrees]))
    found = solve_body(filmed(replace(truth, rotations=rotations)))
    turns = rot.multiply(rot.conjugate(found.rotations[:-1, elbow]), found.rotations[1:, elbow])
    assert np.degrees(rot.angle(turns)).max() < 46.0
    away = np.abs(np.arange(90) - 45) > 8
    assert joint_error(found, replace(truth, rotations=rotations))[away].max() < 0.03
