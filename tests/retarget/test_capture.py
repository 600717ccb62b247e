from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.bone_maps import find_map
from stepsmith.retarget.capture import capture_poses
from stepsmith.retarget.errors import MotionError
from stepsmith.retarget.rig import Rig


@pytest.fixture
def shown(make_rig: Callable[..., Rig]) -> tuple[Rig, Any, np.ndarray]:
    """A rig, its map, and the poses (T, B, 4, 4) of its mapped bones at rest, for 60 frames."""
    rig = make_rig()
    found = find_map(rig)
    mapped = [bone for bone, name in enumerate(rig.names) if name in found.bones]
    return rig, found, np.tile(rig.rest[mapped], (60, 1, 1, 1))


def lifted(height: float) -> np.ndarray:
    world = np.tile(np.eye(4), (60, 1, 1))
    world[:, 2, 3] = height
    return world


def test_a_rig_at_rest_stands_with_both_feet(shown: tuple[Rig, Any, np.ndarray]) -> None:
    motion = capture_poses(*shown, 30.0)
    assert (motion.contacts == 1.0).all()
    assert np.ptp(motion.root, axis=0) == pytest.approx(np.zeros(3), abs=1e-9)


def test_a_moving_object_moves_and_turns_the_dancer(shown: tuple[Rig, Any, np.ndarray]) -> None:
    rig = shown[0]
    still = capture_poses(*shown, 30.0)
    angles = np.linspace(0.0, 1.0, 60)
    spin = np.tile(np.eye(4), (60, 1, 1))
    spin[:, :3, :3] = rot.to_matrix(rot.from_axis_angle(angles[:, None] * [0.0, 0.0, 1.0]))
    turned = capture_poses(*shown, 30.0, spin @ rig.world)
    change = rot.multiply(turned.rotations[:, 0], rot.conjugate(still.rotations[:, 0]))
    assert rot.angle(change) == pytest.approx(angles, abs=1e-6)


def test_a_floor_elsewhere_is_found(shown: tuple[Rig, Any, np.ndarray]) -> None:
    on_stage = capture_poses(*shown, 30.0, lifted(0.8) @ shown[0].world)
    assert (on_stage.contacts == 1.0).all()
    assert on_stage.positions()[..., 2].min() == pytest.approx(0.02, abs=0.06)


def test_scaled_bones_keep_their_directions(shown: tuple[Rig, Any, np.ndarray]) -> None:
    rig, found, poses = shown
    plain = capture_poses(rig, found, poses, 30.0)
    squashed = poses.copy()
    squashed[..., :3, :3] *= [0.5, 2.0, 1.5]
    turns = rot.multiply(rot.conjugate(plain.rotations), capture_poses(rig, found, squashed, 30.0).rotations)
    assert np.degrees(rot.angle(turns)).max() < 0.01


def test_poses_that_are_not_finite_are_refused(shown: tuple[Rig, Any, np.ndarray]) -> None:
    rig, found, poses = shown
    poses[7, 3, 0, 0] = np.nan
    with pytest.raises(MotionError, match="frame 7"):
        capture_poses(rig, found, poses, 30.0)


def test_feet_that_glide_beside_locked_ones_do_not_stand(shown: tuple[Rig, Any, np.ndarray]) -> None:
    rig, bone_map, poses = shown
    still, glide = np.repeat(poses[:1], 60, axis=0), np.repeat(poses[:1], 30, axis=0)
    glide[..., 0, 3] += np.arange(1, 31)[:, None] / 30.0 * 0.25  # at 0.25 m/s
    contacts = capture_poses(rig, bone_map, np.concatenate([still, glide]), 30.0).contacts
    assert contacts[:59].all()
    assert not contacts[62:].any()


def test_feet_that_always_slide_a_little_stand(shown: tuple[Rig, Any, np.ndarray]) -> None:
    rig, bone_map, poses = shown
    slid = np.repeat(poses[:1], 60, axis=0)
    slid[..., 0, 3] += np.arange(60)[:, None] / 30.0 * 0.15  # at 0.15 m/s
    assert capture_poses(rig, bone_map, slid, 30.0).contacts.all()
