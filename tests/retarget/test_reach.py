"""Hands that touch still touch on other arms, and else are left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.rig import Rig
from stepsmith.retarget.skeleton import SMPL, SMPL_NAMES
from stepsmith.retarget.solve import solve

Array = np.ndarray
ARMS = [SMPL_NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("elbow", "wrist", "hand")]

# Rotation vectors, degrees, of shoulders and elbows; mirrored for the right side.
POSES = {
    "hips": {"shoulder": (44.0, 75.0, 3.0), "elbow": (0.0, -1.0, -70.0)},
    "hands together": {"shoulder": (23.0, 1.0, -64.0), "elbow": (0.0, -5.0, -83.0)},
    "thighs": {"shoulder": (-10.0, 84.0, -15.0), "elbow": (0.0, 0.0, -12.0)},
    "head": {"shoulder": (-65.0, -28.0, -14.0), "elbow": (0.0, -23.0, -128.0)},
}
TOUCHED = {"hips": "left_hip", "hands together": "right_hand", "thighs": "left_hip", "head": "head"}


def arms_to(vectors: dict[str, tuple[float, float, float]], frames: int = 90) -> Motion:
    """From the T pose to a pose of the arms and back, held for a third of the time."""
    share = np.clip(2.2 * np.sin(np.linspace(0.0, np.pi, frames)) - 0.2, 0.0, 1.0)
    share = share * share * (3.0 - 2.0 * share)
    rotations = np.tile(rot.IDENTITY, (frames, 24, 1))
    for part, vector in vectors.items():
        for side, mirror in (("left", (1, 1, 1)), ("right", (1, -1, -1))):
            turn = np.radians(vector) * mirror
            rotations[:, SMPL_NAMES.index(f"{side}_{part}")] = rot.from_axis_angle(share[:, None] * turn)
    root = np.tile([0.0, 0.0, SMPL.rest_root_height], (frames, 1))
    return Motion(30.0, root, rotations, np.zeros((frames, 4)))


def longer_arms(rig: Rig, share: float) -> Rig:
    """``rig``, SMPL's in a T pose, with arms of another length."""
    rest = np.array(rig.rest)
    for side in ("left", "right"):
        shoulder = rig.heads[rig.indices[f"{side}_shoulder"]]
        for part in ("elbow", "wrist", "hand"):
            bone = rig.indices[f"{side}_{part}"]
            rest[bone, :3, 3] = shoulder + share * (rig.heads[bone] - shoulder)
    return replace(rig, rest=rest)


def joints(rig: Rig, motion: Motion, pose: Callable[..., Array], reach: bool) -> Array:
    """(T, 24, 3) where the rig's joints are."""
    found = solve(motion, rig, reach=reach)
    posed = pose(rig, found.bones, found.rotations, found.root_bone, found.locations)[..., :3, 3]
    return posed[:, [rig.indices[name] for name in SMPL_NAMES]]


def from_touched(points: Array, what: str) -> Array:
    """(T, 3) metres from what the left hand touches to the hand."""
    return points[:, SMPL_NAMES.index("left_hand")] - points[:, SMPL_NAMES.index(TOUCHED[what])]


# Arms that hang down straight can't reach farther, so the shorter ones don't get to the thighs.
@pytest.mark.parametrize(
    ("what", "arms"), [(what, a) for what in POSES for a in (0.85, 1.2) if (what, a) != ("thighs", 0.85)]
)
def test_hands_still_touch(make_rig: Callable[..., Rig], pose: Callable[..., Array], what: str, arms: float) -> None:
    motion, rig = arms_to(POSES[what]), longer_arms(make_rig(rolls=1), arms)
    middle = slice(40, 50)
    wanted = from_touched(motion.positions(), what)[middle]
    free, held = (from_touched(joints(rig, motion, pose, reach), what)[middle] for reach in (False, True))
    assert np.linalg.norm(free - wanted, axis=-1).max() > 0.03
    assert np.linalg.norm(held - wanted, axis=-1).max() < 0.02


@pytest.mark.parametrize("what", POSES)
def test_hands_do_not_jump(make_rig: Callable[..., Rig], pose: Callable[..., Array], what: str) -> None:
    motion, rig = arms_to(POSES[what]), longer_arms(make_rig(rolls=2), 1.2)
    free, held = (np.diff(joints(rig, motion, pose, reach)[:, ARMS], 2, axis=0) for reach in (False, True))
    strongest = [np.linalg.norm(move, axis=-1).max() * motion.fps**2 for move in (free, held)]
    assert strongest[1] < 1.5 * strongest[0] + 10.0


def test_hands_far_from_the_body_are_left_alone(make_rig: Callable[..., Rig], pose: Callable[..., Array]) -> None:
    motion, rig = arms_to({"shoulder": (0.0, -30.0, 15.0)}), longer_arms(make_rig(rolls=3), 1.2)
    free, held = (solve(motion, rig, reach=reach).rotations for reach in (False, True))
    assert np.array_equal(free, held)


def test_the_same_body_is_left_alone(
    make_rig: Callable[..., Rig], make_motion: Callable[..., Motion], pose: Callable[..., Array]
) -> None:
    motion, rig = make_motion(60, bend=0.8), make_rig(rolls=4, arms=45.0)
    free, held = (joints(rig, motion, pose, reach) for reach in (False, True))
    assert np.abs(free - held).max() < 1e-6
