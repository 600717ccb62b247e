from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mathutils import Euler, Quaternion
from stepsmith.addon.keys import write_action
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.channels import to_values
from stepsmith.retarget.errors import RigError

MODES = ("QUATERNION", "AXIS_ANGLE", "XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")


@pytest.fixture
def armature(new_armature: Callable[[str], Any]) -> Any:
    bpy.ops.wm.read_homefile(use_empty=True)
    return new_armature("Rig")


def wander(frames: int, seed: int, step: float = 0.2) -> np.ndarray:
    """(T, 4) quaternions that turn by up to about ``step`` radians a frame and go all the way round."""
    rng = np.random.default_rng(seed)
    turns = rot.from_axis_angle(rng.normal(size=3) * step / 2 + rng.normal(size=(frames, 3)) * step / 6)
    result = [rot.normalise(rng.normal(size=4))]
    for turn in turns[1:]:
        result.append(rot.multiply(turn, result[-1]))
    return np.array(result)


def pose_of(bones: tuple[str, ...], frames: int = 30) -> Any:
    rotations = np.stack([wander(frames, seed) for seed in range(len(bones))], axis=1)
    locations = np.random.default_rng(1).normal(size=(frames, 3))
    return SimpleNamespace(
        fps=30.0, bones=bones, rotations=rotations, root_bone=bones[0], locations=locations, switches=()
    )


def curves_of(armature: Any) -> list[Any]:
    action = armature.animation_data.action
    if hasattr(action, "fcurves"):
        return list(action.fcurves)
    return list(action.layers[0].strips[0].channelbag(armature.animation_data.action_slot).fcurves)


def rotation_of(mode: str, values: np.ndarray) -> Quaternion:
    if mode == "QUATERNION":
        return Quaternion(values)
    if mode == "AXIS_ANGLE":
        return Quaternion(values[1:], values[0])
    return Euler(values, mode).to_quaternion()


@given(st.sampled_from(MODES), st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_every_rotation_mode_says_the_same_rotation(mode: str, seed: int) -> None:
    q = wander(40, seed)
    values = to_values(q, mode)
    said = np.array([rotation_of(mode, row) for row in values])
    assert np.abs(np.sum(said * q, axis=1)).min() > 1 - 1e-5


@given(st.sampled_from(("QUATERNION", "AXIS_ANGLE")), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_quaternions_and_angles_do_not_jump(mode: str, seed: int) -> None:
    values = to_values(wander(200, seed, step=0.1), mode)
    if mode == "QUATERNION":
        assert np.linalg.norm(np.diff(values, axis=0), axis=1).max() < 0.5
    else:
        assert np.abs(np.diff(values[:, 0])).max() < 0.5


@pytest.mark.parametrize("order", MODES[2:])
def test_euler_angles_go_on_past_a_full_turn(order: str) -> None:
    angles = np.linspace(0.0, 4 * np.pi, 200)
    for axis in np.eye(3):
        values = to_values(rot.from_axis_angle(angles[:, None] * axis), order)
        assert np.abs(np.diff(values, axis=0)).max() < 0.1
        assert values @ axis == pytest.approx(angles, abs=1e-6)


def test_no_rotation_at_all_is_an_axis_and_no_angle() -> None:
    values = to_values(np.tile(rot.IDENTITY, (5, 1)), "AXIS_ANGLE")
    assert np.allclose(values[:, 0], 0.0)
    assert np.allclose(np.linalg.norm(values[:, 1:], axis=1), 1.0)


def test_an_axis_is_kept_through_no_rotation() -> None:
    angles = np.linspace(-0.5, 0.5, 11)
    values = to_values(rot.from_axis_angle(angles[:, None] * [0.0, 0.6, 0.8]), "AXIS_ANGLE")
    turned = values[:, :1] * values[:, 1:]
    assert turned == pytest.approx(angles[:, None] * [0.0, 0.6, 0.8], abs=1e-9)
    assert np.abs(np.diff(values[:, 0])).max() < 0.11


@pytest.mark.parametrize("mode", MODES)
def test_blender_plays_what_was_written(armature: Any, mode: str) -> None:
    pose = pose_of(("pelvis", "left_knee", "head"))
    for bone in pose.bones:
        armature.pose.bones[bone].rotation_mode = mode
    write_action(armature, pose, name="Dance", start_frame=11)
    for frame in (0, 7, 29):
        bpy.context.scene.frame_set(11 + frame)
        for column, bone in enumerate(pose.bones):
            basis = armature.pose.bones[bone].matrix_basis
            assert abs(np.dot(basis.to_quaternion(), pose.rotations[frame, column])) > 1 - 1e-5
        assert np.array(armature.pose.bones["pelvis"].location) == pytest.approx(pose.locations[frame], abs=1e-5)


def test_one_key_a_frame_for_the_poses_bones_only(armature: Any) -> None:
    write_action(armature, pose_of(("pelvis", "left_knee"), frames=20), name="Dance", start_frame=5)
    curves = curves_of(armature)
    assert {(curve.data_path, curve.group.name) for curve in curves} == {
        ('pose.bones["pelvis"].rotation_quaternion', "pelvis"),
        ('pose.bones["pelvis"].location', "pelvis"),
        ('pose.bones["left_knee"].rotation_quaternion', "left_knee"),
    }
    assert all([key.co.x for key in curve.keyframe_points] == list(range(5, 25)) for curve in curves)


def test_an_earlier_action_is_kept_and_untouched(armature: Any) -> None:
    first = write_action(armature, pose_of(("pelvis",), frames=9), name="Dance", start_frame=1).action
    before = [tuple(key.co) for curve in curves_of(armature) for key in curve.keyframe_points]
    second = write_action(armature, pose_of(("head",)), name="Dance", start_frame=1).action
    assert armature.animation_data.action == second
    assert first.use_fake_user
    armature.animation_data.action = first
    if hasattr(first, "slots"):
        armature.animation_data.action_slot = first.slots[0]
    assert [tuple(key.co) for curve in curves_of(armature) for key in curve.keyframe_points] == before


def test_a_failure_leaves_the_earlier_action(armature: Any) -> None:
    first = write_action(armature, pose_of(("pelvis",)), name="Dance", start_frame=1).action
    with pytest.raises(KeyError):
        write_action(armature, pose_of(("pelvis", "no such bone")), name="Other", start_frame=1)
    assert armature.animation_data.action == first
    assert list(bpy.data.actions) == [first]
    assert curves_of(armature)  # the action's slot is in use again, too


def test_bone_names_may_hold_anything(armature: Any) -> None:
    armature.data.bones["head"].name = 'he"ad\\é]'
    write_action(armature, pose_of(('he"ad\\é]',)), name="Dance", start_frame=1)
    bpy.context.scene.frame_set(10)
    assert armature.pose.bones['he"ad\\é]'].rotation_quaternion.angle > 0.01


def test_nothing_or_something_else_is_no_armature() -> None:
    with pytest.raises(RigError, match="armature"):
        write_action(None, pose_of(("pelvis",)), name="Dance", start_frame=1)
    mesh = bpy.data.objects.new("Cube", bpy.data.meshes.new("Cube"))
    with pytest.raises(RigError, match="no armature"):
        write_action(mesh, pose_of(("pelvis",)), name="Dance", start_frame=1)


def test_a_linked_rig_says_what_to_do_and_an_override_dances(armature: Any, tmp_path: Path) -> None:
    bpy.data.libraries.write(str(tmp_path / "rig.blend"), {armature})
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "rig.blend"), link=True) as (_, wanted):
        wanted.objects = ["Rig"]
    linked = wanted.objects[0]
    bpy.context.scene.collection.objects.link(linked)
    with pytest.raises(RigError, match="library override"):
        write_action(linked, pose_of(("pelvis",)), name="Dance", start_frame=1)
    override = linked.override_create(remap_local_usages=True)
    pose = pose_of(("pelvis", "left_knee"))
    write_action(override, pose, name="Dance", start_frame=1)
    bpy.context.scene.frame_set(10)
    knee = override.pose.bones["left_knee"].rotation_quaternion
    assert abs(np.dot(knee, pose.rotations[9, 1])) > 1 - 1e-5
