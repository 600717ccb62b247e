from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.feet import bend, lock_feet
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import ANKLE_HEIGHT, CONTACT_JOINTS, FOOT_HEIGHT, SMPL, forward_kinematics

MakeMotion = Callable[..., Motion]
FLOORS = np.array([ANKLE_HEIGHT, ANKLE_HEIGHT, FOOT_HEIGHT, FOOT_HEIGHT])


def slide(motion: Motion, contacts: np.ndarray) -> float:
    """Centimetres a contact second that foot joints move over the floor."""
    feet = motion.positions()[:, list(CONTACT_JOINTS), :2]
    steps = np.linalg.norm(np.diff(feet, axis=0), axis=-1)
    held = (contacts[1:] > 0.5) & (contacts[:-1] > 0.5)
    return 100.0 * float(steps[held].mean()) * motion.fps


def acceleration(motion: Motion) -> np.ndarray:
    """(T - 2, 24) m/s^2."""
    return np.linalg.norm(np.diff(motion.positions(), 2, axis=0), axis=-1) * motion.fps**2


def test_skating_feet_stand_still(make_walk: MakeMotion) -> None:
    motion = make_walk(slide=0.1, noise=0.01)
    locked = lock_feet(motion)
    assert slide(motion, motion.contacts) > 8.0
    assert slide(locked, motion.contacts) < 0.5


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 1000), fps=st.sampled_from([24.0, 30.0, 60.0]), noise=st.floats(0.0, 0.02))
@example(seed=584, fps=30.0, noise=0.01953125)
def test_locking_keeps_the_dance(make_walk: MakeMotion, seed: int, fps: float, noise: float) -> None:
    # Contacts must tell of every landing, also of the last, at 4 s: feet can ease to the floor only where they do.
    motion = make_walk(4.1, fps=fps, noise=noise, seed=seed)
    locked = lock_feet(motion)
    before, after = motion.positions(), locked.positions()
    # The feet keep their orientation, everything above the hips its pose.
    turned = [forward_kinematics(SMPL, m.rotations, m.root)[1] for m in (motion, locked)]
    for joint in (0, 7, 8, 10, 11, 15, 20):
        assert rot.angle(rot.multiply(rot.conjugate(turned[0][:, joint]), turned[1][:, joint])).max() < 1e-5
    moved = np.abs(after - before)
    # Standing feet are not taken farther than they may stray. Lifted ones go on for a moment as they were moved when
    # they left the floor; of 2,336 walks with 2 cm of noise that took the farthest 17.5 cm, no standing one over 14.
    assert moved[:, list(CONTACT_JOINTS)][motion.contacts > 0.5].max() < 0.15
    assert moved.max() < 0.2
    assert (after[:, list(CONTACT_JOINTS), 2] > FLOORS - 1e-6).all()
    assert slide(locked, motion.contacts) < 0.5
    # Feet ease to and from their places: no pop. (Knees of nearly straight legs amplify what their ankles do.)
    old, new = acceleration(motion), acceleration(locked)
    assert new.mean() < 1.15 * old.mean() + 0.3
    assert np.delete(new, [4, 5], axis=1).max() < 1.3 * old.max() + 2.0
    assert new[:, [4, 5]].max() < 2.0 * old.max() + 2.0


@pytest.mark.parametrize(("seed", "noise"), [(584, 0.01953125), (271, 0.02), (797, 0.02), (408, 0.02)])
def test_a_landing_no_contact_tells_of_ends_on_the_floor(make_walk: MakeMotion, seed: int, noise: float) -> None:
    """A walk that ends before the right foot's contact begins, with the foot on its way 2 cm into the floor.

    Nothing says that it lands, so it comes down as it was danced and stops where it would go through the floor.
    However fast it is, that may be within one frame: how sharply it stops is the dance's. But no joint of the leg
    is hurried or thrown back, and the foot rests once it is down.
    """
    motion = make_walk(4.0, noise=noise, seed=seed)
    right = [5, 8, 11]
    before, after = (m.positions()[-4:, right] for m in (motion, lock_feet(motion)))
    assert not motion.contacts[-4:, [1, 3]].any()
    assert (before[-2:, 2, 2] < FOOT_HEIGHT - 0.01).all()
    assert np.abs(after - before)[:2, 1:].max() < 0.001
    assert np.abs(after[-2:, 1:, 2] - [ANKLE_HEIGHT, FOOT_HEIGHT]).max() < 0.001
    steps = [np.linalg.norm(np.diff(joints, axis=0), axis=-1) for joints in (before, after)]
    assert (steps[1] < steps[0] + 0.001).all()


def test_a_dance_without_contacts_is_left_alone(make_walk: MakeMotion) -> None:
    motion = make_walk().shift([0.0, 0.0, 0.05])
    motion = replace(motion, contacts=np.zeros((len(motion), 4)))
    locked = lock_feet(motion)
    assert np.allclose(locked.root, motion.root)
    assert np.degrees(rot.angle(rot.multiply(rot.conjugate(locked.rotations), motion.rotations))).max() < 1e-4


def test_feet_below_the_floor_come_up(make_walk: MakeMotion) -> None:
    motion = make_walk().shift([0.0, 0.0, -0.03])
    for contacts in (motion.contacts, np.zeros((len(motion), 4))):
        feet = lock_feet(replace(motion, contacts=contacts)).positions()[:, list(CONTACT_JOINTS), 2]
        assert (feet > FLOORS - 1e-6).all()


def test_a_leg_that_cannot_reach_lowers_the_pelvis_smoothly(make_walk: MakeMotion) -> None:
    motion = make_walk().shift([0.0, 0.0, 0.03])
    locked = lock_feet(motion)
    standing = motion.contacts[:, 2:] > 0.5
    toes = locked.positions()[:, [10, 11], 2]
    assert np.abs(toes[standing] - FOOT_HEIGHT).max() < 0.006
    assert 0.005 < (motion.root - locked.root)[:, 2].max() < 0.061
    assert np.abs(np.diff(locked.root[:, 2], 2)).max() * motion.fps**2 < 8.0


def test_a_captured_pelvis_sinks_no_more_than_it_must(make_walk: MakeMotion) -> None:
    motion = make_walk(noise=0.03, seed=5)
    danced, captured = lock_feet(motion), lock_feet(motion, captured=True)
    sunk, less = ((motion.root - locked.root)[:, 2] for locked in (danced, captured))
    assert (less < sunk + 1e-9).all()
    assert less.mean() < 0.8 * sunk.mean()
    assert slide(captured, motion.contacts) < 0.5


def test_a_real_glide_is_let_go(make_walk: MakeMotion) -> None:
    motion = make_walk()
    glide = np.zeros((len(motion), 3))
    glide[:, 1] = np.arange(len(motion)) / motion.fps * 0.33
    motion = replace(motion, root=motion.root + glide, contacts=np.ones((len(motion), 4)))
    feet = [m.positions()[:, [7, 8], 1] for m in (motion, lock_feet(motion))]
    assert np.abs(feet[0] - feet[1]).max() < 0.02


def test_standing_feet_do_not_turn(make_walk: MakeMotion) -> None:
    motion = make_walk()
    yaw = 0.15 * np.sin(2.0 * motion.times)[:, None] * [0.0, 0.0, 1.0]
    rotations = np.array(motion.rotations)
    rotations[:, 0] = rot.multiply(rot.from_axis_angle(yaw), rotations[:, 0])
    motion = replace(motion, rotations=rotations)
    assert slide(motion, motion.contacts) > 1.5
    assert slide(lock_feet(motion), motion.contacts) < 0.5


def test_contacts_of_a_foot_in_the_air_are_not_believed(make_walk: MakeMotion) -> None:
    leap = make_walk(noise=0.01).shift([0.0, 0.0, 0.3])
    assert np.allclose(lock_feet(leap).positions(), leap.positions(), atol=1e-6)


def test_a_step_within_one_contact_stays_a_step() -> None:
    """Contacts that say "stands" across a quick step of 30 cm: the foot stands before and after."""
    frames = 60
    rotations = np.tile(rot.IDENTITY, (frames, 24, 1))
    root = np.tile([0.0, 0.0, SMPL.rest_root_height - 0.05], (frames, 1))
    root[:, 0] = 0.3 / (1.0 + np.exp(-(np.arange(frames) - 30.0))) + 0.0005 * np.arange(frames)
    motion = Motion(30.0, root, rotations, np.ones((frames, 4)))
    locked = lock_feet(motion).positions()[:, 10, 0]
    assert np.ptp(locked[:22]) < 0.005
    assert np.ptp(locked[-22:]) < 0.005
    assert locked[-1] - locked[0] > 0.27


def test_contacts_that_never_end_are_divided_into_steps() -> None:
    """Ten minutes of wandering during which both feet are said to stand all the time."""
    frames = 18_000
    rng = np.random.default_rng(0)
    root = np.zeros((frames, 3))
    jumps = rng.random(frames) < 0.05
    root[:, :2] = np.cumsum(jumps[:, None] * rng.normal(0.0, 0.15, (frames, 2)), axis=0)
    root[:, 2] = SMPL.rest_root_height
    motion = Motion(30.0, root, np.tile(rot.IDENTITY, (frames, 24, 1)), np.ones((frames, 4)))
    locked = lock_feet(motion)
    assert (locked.positions()[:, list(CONTACT_JOINTS), 2] > FLOORS - 1e-6).all()
    assert np.abs(locked.root - motion.root).max() < 0.07


def test_flickering_contacts_do_not_shake_the_foot(make_walk: MakeMotion) -> None:
    motion = make_walk(slide=0.05)
    rng = np.random.default_rng(0)
    flicker = np.where(rng.random((len(motion), 4)) < 0.15, 0.0, motion.contacts * 0.9)
    calm = acceleration(lock_feet(motion))[:, [7, 8, 10, 11]]
    shaken = acceleration(lock_feet(replace(motion, contacts=flicker)))[:, [7, 8, 10, 11]]
    assert shaken.mean() < 1.3 * calm.mean() + 0.2


def test_locking_twice_changes_nothing_more(make_walk: MakeMotion) -> None:
    once = lock_feet(make_walk(slide=0.08, noise=0.01))
    twice = lock_feet(once)
    assert np.abs(once.positions() - twice.positions()).max() < 0.005


def test_all_else_is_kept(make_walk: MakeMotion) -> None:
    motion = replace(make_walk(), beats=[0.5, 1.0], downbeats=[0.5], meta={"seed": 3})
    locked = lock_feet(motion)
    assert locked.fps == motion.fps
    assert np.array_equal(locked.contacts, motion.contacts)
    assert np.array_equal(locked.beats, motion.beats)
    assert np.array_equal(locked.downbeats, motion.downbeats)
    assert dict(locked.meta) == {"seed": 3}


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_short_motions_work(make_walk: MakeMotion, frames: int) -> None:
    assert len(lock_feet(make_walk().slice(0, frames))) == frames


@given(
    st.floats(0.3, 1.2), st.floats(-2.5, 2.5), st.floats(0.02, 2.3), st.floats(0.1, 0.98), st.floats(-1.0, 1.0)
)  # fmt: skip
def test_bend_reaches_what_can_be_reached(ratio: float, swing: float, flex: float, reach: float, aside: float) -> None:
    upper, lower = 0.4, 0.4 * ratio
    hip = np.zeros(3)
    knee = upper * np.array([0.0, -np.sin(swing), -np.cos(swing)])
    ankle = knee + lower * np.array([0.0, -np.sin(swing - flex), -np.cos(swing - flex)])
    nearest = abs(upper - lower) * 1.01
    distance = nearest + reach * (upper + lower - nearest)
    target = distance * np.array([aside, 0.2, -1.0]) / np.linalg.norm([aside, 0.2, -1.0])
    joints = [np.broadcast_to(p, (1, 2, 3)) for p in (hip, knee, ankle, target, np.array([0.0, -1.0, 0.1]))]
    thigh, shin = bend(*joints)
    got = rot.rotate(thigh, knee) + rot.rotate(shin, ankle - knee)
    assert np.allclose(got, target, atol=1e-6)


def test_bend_is_nothing_where_the_foot_is_in_place(make_motion: MakeMotion) -> None:
    positions = make_motion().positions()
    legs = [positions[:, joints] for joints in ([1, 2], [4, 5], [7, 8])]
    forward = np.broadcast_to([0.0, -1.0, 0.0], legs[0].shape)
    for turn in bend(*legs, legs[2], forward):
        assert np.degrees(rot.angle(turn)).max() < 1e-4


@pytest.mark.slow
def test_thirty_seconds_are_locked_at_once(make_walk: MakeMotion) -> None:
    motion = make_walk(30.0, slide=0.05, noise=0.01)
    best = min(_seconds(lambda: lock_feet(motion)) for _ in range(5))
    assert best < 0.15


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
