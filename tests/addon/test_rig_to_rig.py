from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix, Vector
from stepsmith.addon.armature import read_rig
from stepsmith.addon.character import make_character
from stepsmith.addon.fcurves import playing_curves
from stepsmith.addon.rig_to_rig import actions_of, read_motion, retarget_action, retarget_actions
from stepsmith.addon.scene import Options, apply_motion
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import MotionError, StepsmithError
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL, SMPL_NAMES, SMPL_PARENTS

MakeArmature = Callable[[str], Any]
LIMBS = [SMPL_NAMES.index(f"{side}_{end}") for side in ("left", "right") for end in ("knee", "ankle", "elbow", "wrist")]


@pytest.fixture(autouse=True)
def scene() -> Any:
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.render.fps = 30
    return bpy.context.scene


@pytest.fixture
def dance() -> Motion:
    """2 s of swaying all over while walking, with all joints' turns different."""
    frames = 60
    swing = np.random.default_rng(3).normal(scale=0.25, size=(24, 3))
    swing = np.sin(np.linspace(0, 6, frames))[:, None, None] * swing
    root = np.array([0.0, 0.0, SMPL.rest_root_height]) + np.linspace(0, 1, frames)[:, None] * [1.0, 0.4, 0.0]
    return Motion(30.0, root, rot.from_axis_angle(swing), np.zeros((frames, 4)))


def dancer(make: MakeArmature, name: str, dance: Motion) -> Any:
    armature = make(name)
    apply_motion(bpy.context, armature, dance, options=Options(feet="never"))
    return armature


def directions(motion: Motion) -> np.ndarray:
    positions = motion.positions()
    spans = positions[:, LIMBS] - positions[:, [SMPL_PARENTS[joint] for joint in LIMBS]]
    return np.asarray(spans / np.linalg.norm(spans, axis=-1, keepdims=True))


def degrees_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(2.0 * np.arcsin(np.clip(np.linalg.norm(a - b, axis=-1) / 2.0, 0.0, 1.0)))


def assert_same(back: Motion, dance: Motion) -> None:
    assert len(back) == len(dance)
    assert back.fps == pytest.approx(dance.fps)
    turns = rot.angle(rot.multiply(rot.conjugate(back.rotations), dance.rotations))
    assert np.degrees(turns).mean() < 0.5
    assert np.abs(back.root - dance.root).max() < 2e-3


def test_reads_back_what_was_danced(new_armature: MakeArmature, dance: Motion) -> None:
    assert_same(read_motion(bpy.context, dancer(new_armature, "Source", dance)), dance)


def test_reads_the_same_from_curves_and_from_frames(new_armature: MakeArmature, dance: Motion) -> None:
    source = dancer(new_armature, "Source", dance)
    quick = read_motion(bpy.context, source)
    constraint = source.pose.bones["head"].constraints.new("COPY_ROTATION")
    constraint.target, constraint.subtarget, constraint.influence = source, "neck", 0.0
    slow = read_motion(bpy.context, source)
    assert np.abs(quick.root - slow.root).max() < 1e-4
    assert np.degrees(rot.angle(rot.multiply(rot.conjugate(quick.rotations), slow.rotations))).max() < 0.1


def test_constraints_count(new_armature: MakeArmature, dance: Motion) -> None:
    source = dancer(new_armature, "Source", dance)
    hand = bpy.data.objects.new("Goal", None)
    bpy.context.scene.collection.objects.link(hand)
    hand.location = (0.4, -0.3, 1.5)
    ik = source.pose.bones["left_elbow"].constraints.new("IK")
    ik.target, ik.chain_count = hand, 2
    back = read_motion(bpy.context, source)
    for k in (0, 30, 59):
        bpy.context.scene.frame_set(bpy.context.scene.frame_start + k)
        seen = source.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
        for start, end in (("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")):
            way = (seen[end].head - seen[start].head).normalized()
            column = LIMBS.index(SMPL_NAMES.index(end))
            assert degrees_between(directions(back)[k, column], np.array(way)) < 0.35


def test_an_animated_object_carries_the_dancer(new_armature: MakeArmature, dance: Motion) -> None:
    source = dancer(new_armature, "Source", dance)
    carrier = bpy.data.objects.new("Carrier", None)
    bpy.context.scene.collection.objects.link(carrier)
    source.parent = carrier
    carrier.location = (0.0, 0.0, 0.0)
    carrier.keyframe_insert("location", frame=1)
    carrier.location = (0.0, 3.0, 0.0)
    carrier.keyframe_insert("location", frame=60)
    back = read_motion(bpy.context, source)
    scale = np.linalg.norm(dance.root[-1] - dance.root[0])
    assert scale > 1.0
    assert back.root[-1] - back.root[0] == pytest.approx(dance.root[-1] - dance.root[0] + [0.0, 3.0, 0.0], abs=5e-3)


def test_scale_place_and_frame_rate_of_the_source_make_no_difference(new_armature: MakeArmature, dance: Motion) -> None:
    bpy.context.scene.render.fps = 24
    source = new_armature("Source")
    source.location, source.scale, source.rotation_euler = (3.0, -2.0, 0.5), (0.01, 0.01, 0.01), (0.0, 0.0, 2.0)
    source.keyframe_insert("location", frame=1)  # so that the scene keeps its frame rate
    apply_motion(bpy.context, source, dance, options=Options(feet="never"), start_frame=1)
    source.location = (3.0, -2.0, 0.5)
    back = read_motion(bpy.context, source)
    assert back.fps == pytest.approx(24.0)
    assert_same(back, dance.resample(24.0))


def test_contacts_of_a_dance_are_its_own(new_armature: MakeArmature, still: Callable[[int], Motion]) -> None:
    """A foot that hardly moves may be in the air all the same; to lock it would bend the leg."""
    source = new_armature("Source")
    contacts = np.zeros((40, 4))
    contacts[10:30, [1, 3]] = 1.0
    apply_motion(bpy.context, source, replace(still(40), contacts=contacts))
    action = source.animation_data.action
    assert read_motion(bpy.context, source).contacts == pytest.approx(contacts)
    assert read_motion(bpy.context, source, action=action, frame_range=(11, 20)).contacts == pytest.approx(
        contacts[10:20]
    )
    for curve in playing_curves(source):  # moved in time
        for key in curve.keyframe_points:
            key.co.x += 5.0
    assert read_motion(bpy.context, source).contacts == pytest.approx(contacts)
    source.pose.bones["pelvis"].location.z += 1.0
    source.pose.bones["pelvis"].keyframe_insert("location", frame=60)  # made longer
    assert read_motion(bpy.context, source).contacts[:35].all()


def test_everything_is_as_before(new_armature: MakeArmature, dance: Motion, scene: Any) -> None:
    source = dancer(new_armature, "Source", dance)
    danced = source.animation_data.action
    apply_motion(bpy.context, source, dance.mirror(), options=Options(feet="never"))
    played = source.animation_data.action
    source.pose.bones["head"].scale = (1.0, 2.0, 1.0)
    scene.frame_set(7)
    source.pose.bones["neck"].rotation_quaternion = (0.0, 1.0, 0.0, 0.0)
    before = [tuple(bone.rotation_quaternion) for bone in source.pose.bones]
    slot = getattr(source.animation_data, "action_slot", None)
    back = read_motion(bpy.context, source, action=danced)
    assert np.degrees(rot.angle(rot.multiply(rot.conjugate(back.rotations), dance.rotations))).mean() < 0.5
    assert source.animation_data.action == played
    assert getattr(source.animation_data, "action_slot", None) == slot
    assert source.animation_data.use_nla
    assert scene.frame_current == 7
    assert [tuple(bone.rotation_quaternion) for bone in source.pose.bones] == before
    assert tuple(source.pose.bones["head"].scale) == (1.0, 2.0, 1.0)


def test_an_action_of_something_else_is_refused(new_armature: MakeArmature, dance: Motion) -> None:
    source = dancer(new_armature, "Source", dance)
    played = source.animation_data.action
    with pytest.raises(MotionError, match="moves no bone"):
        read_motion(bpy.context, source, action=bpy.data.actions.new("Nothing"))
    assert source.animation_data.action == played


def test_from_rig_to_rig(new_armature: MakeArmature, dance: Motion) -> None:
    source = dancer(new_armature, "Source", dance)
    target = make_character(bpy.context)
    target.location, target.scale = (2.0, 1.0, 0.0), (1.5, 1.5, 1.5)
    result = retarget_action(bpy.context, source, target, options=Options(feet="never"))
    assert result.frames == (1, 60)
    assert result.action.name == f"{target.name} Source Dance"
    back = read_motion(bpy.context, target)
    error = degrees_between(directions(back), directions(dance))
    assert error.mean() < 0.35
    assert error.max() < 2.0
    with pytest.raises(StepsmithError, match="own source"):
        retarget_action(bpy.context, source, source)


def test_a_batch_keeps_what_the_target_plays(new_armature: MakeArmature, dance: Motion) -> None:
    source, target = dancer(new_armature, "Source", dance), dancer(new_armature, "Target", dance)
    apply_motion(bpy.context, source, dance.mirror(), name="Mirrored", options=Options(feet="never"))
    played = target.animation_data.action
    bad = bpy.data.actions.new("Bad")
    actions = [*(a for a in actions_of(source) if a != played), bad]
    batch = retarget_actions(bpy.context, source, target, actions)
    assert sorted(batch.results) == ["Mirrored", "Source Dance"]
    assert list(batch.errors) == ["Bad"]
    assert {result.action.name for result in batch.results.values()} == {"Target Mirrored", "Target Source Dance"}
    assert target.animation_data.action == played


def test_a_batch_leaves_the_scene_of_what_the_target_plays(
    new_armature: MakeArmature, dance: Motion, scene: Any, song: Path
) -> None:
    target, source = new_armature("Target"), new_armature("Source")
    apply_motion(bpy.context, source, dance.slice(0, 20))
    action = source.animation_data.action
    source.animation_data_clear()
    apply_motion(bpy.context, target, replace(dance, beats=np.arange(4) / 2.0), song=song)

    def shown() -> tuple[Any, ...]:
        editor = scene.sequence_editor
        strips = editor.strips if hasattr(editor, "strips") else editor.sequences
        places = [(marker.name, marker.frame) for marker in scene.timeline_markers]
        return [strip.name for strip in strips], places, (scene.frame_start, scene.frame_end), scene.render.fps

    before = shown()
    assert len(before[1]) == 4
    assert len(retarget_actions(bpy.context, source, target, [action]).results) == 1
    assert shown() == before


def raised(armature: Any, degrees: float) -> None:
    """Turn the upper arms' rest pose down by these degrees, the arms' bones with them."""
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for side, sign in (("left", 1.0), ("right", -1.0)):
        bones = armature.data.edit_bones
        pivot = Vector(bones[f"{side}_shoulder"].head)
        turn = Matrix.Rotation(sign * np.radians(degrees), 4, "Y")
        whole = Matrix.Translation(pivot) @ turn @ Matrix.Translation(-pivot)
        for part in ("shoulder", "elbow", "wrist", "hand"):
            bones[f"{side}_{part}"].transform(whole)
    bpy.ops.object.mode_set(mode="OBJECT")


@pytest.mark.parametrize("rest", [0.0, 45.0, 80.0])
def test_either_rest_pose_gives_the_same_dance(new_armature: MakeArmature, dance: Motion, rest: float) -> None:
    source = new_armature("Source")
    raised(source, rest)
    apply_motion(bpy.context, source, dance, options=Options(feet="never"))
    back = read_motion(bpy.context, source)
    assert degrees_between(directions(back), directions(dance)).mean() < 0.35


def test_a_minute_takes_less_than_seconds(new_armature: MakeArmature, dance: Motion) -> None:
    long = replace(
        dance,
        root=np.tile(dance.root, (30, 1)),
        rotations=np.tile(dance.rotations, (30, 1, 1)),
        contacts=np.tile(dance.contacts, (30, 1)),
    )
    source = dancer(new_armature, "Source", long)
    assert len(read_rig(source)) == 24
    started = time.perf_counter()
    assert len(read_motion(bpy.context, source)) == 1800
    assert time.perf_counter() - started < 5.0


def test_the_command(new_armature: MakeArmature, dance: Motion, tmp_path: Path, installed: str, capsys: Any) -> None:
    run = importlib.import_module(f"{installed}.addon.commands").run
    dancer(new_armature, "Source", dance)
    new_armature("Target")
    out = tmp_path / "out.blend"
    ends = ["--source", "Source", "--rig", "Target", "-o", str(out)]
    assert run(["retarget", *ends, "--action", "Nothing"]) == 1
    assert not out.exists()
    assert run(["retarget", "--source", "Nobody", *ends[2:]]) == 1
    assert "--source" in capsys.readouterr().err
    target = bpy.data.objects["Target"]
    target.pose.bones["head"].lock_rotation = (True, True, True)
    bpy.data.objects["Source"].animation_data.action.copy()
    assert run(["retarget", *ends, "--all-actions"]) == 0
    assert capsys.readouterr().err.count("The bone head has locked channels") == 1, "of two actions"
    assert target.animation_data.action is None
    assert all(tuple(bone.rotation_quaternion) == (1.0, 0.0, 0.0, 0.0) for bone in target.pose.bones)
    assert run(["retarget", *ends]) == 0
    bpy.ops.wm.open_mainfile(filepath=str(out))
    assert bpy.data.objects["Target"].animation_data.action.name.startswith("Target Source Dance")


def test_drivers_count(new_armature: MakeArmature, dance: Motion) -> None:
    source = dancer(new_armature, "Source", dance)
    neck = source.pose.bones["neck"]
    neck.rotation_mode = "XYZ"
    curve = neck.driver_add("rotation_euler", 1)
    curve.driver.expression = "0.6"
    seen = read_motion(bpy.context, source)
    still = np.tile(seen.rotations[:1, 12], (len(seen), 1))
    assert np.degrees(rot.angle(rot.multiply(rot.conjugate(still), seen.rotations[:, 12]))).max() < 0.1
    assert degrees_between(directions(seen), directions(dance)).max() < 0.5


def test_tracks_count(new_armature: MakeArmature, dance: Motion, scene: Any) -> None:
    source = dancer(new_armature, "Source", dance)
    data = source.animation_data
    strip = data.nla_tracks.new().strips.new("Later", 11, data.action)
    if hasattr(strip, "action_slot"):
        strip.action_slot = data.action_slot
    data.action = None
    scene.frame_start, scene.frame_end = 11, 70
    assert_same(read_motion(bpy.context, source), dance)


def linked_from(file: Path) -> Any:
    """The armature Source of that file in a new scene."""
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.render.fps = 30
    with bpy.data.libraries.load(str(file), link=True) as (_, wanted):
        wanted.objects = ["Source"]
    (linked,) = wanted.objects
    bpy.context.scene.collection.objects.link(linked)
    bpy.context.view_layer.update()
    return linked


def stands(armature: Any) -> list[Any]:
    return [armature.matrix_world.copy(), *(bone.matrix_basis.copy() for bone in armature.pose.bones)]


@pytest.mark.parametrize("named", [False, True])
def test_a_linked_source_is_only_read(new_armature: MakeArmature, dance: Motion, tmp_path: Path, named: bool) -> None:
    bpy.data.libraries.write(str(tmp_path / "source.blend"), {dancer(new_armature, "Source", dance)})
    source = linked_from(tmp_path / "source.blend")
    action = source.animation_data.action
    before = stands(source)
    target = new_armature("Target")
    retarget_action(bpy.context, source, target, action if named else None, options=Options(feet="never"))
    assert_same(read_motion(bpy.context, target), dance)
    assert source.animation_data.action == action
    assert stands(source) == before
    batch = retarget_actions(bpy.context, source, target, [action], options=Options(feet="never"))
    assert (len(batch.results), batch.errors) == (1, {})
    with pytest.raises(StepsmithError, match="library override"):
        retarget_action(bpy.context, target, source)


def test_a_linked_source_plays_an_action_of_this_file(
    new_armature: MakeArmature, dance: Motion, tmp_path: Path
) -> None:
    bpy.data.libraries.write(str(tmp_path / "source.blend"), {new_armature("Source")})
    source = linked_from(tmp_path / "source.blend")
    other = dancer(new_armature, "Other", dance)
    assert_same(read_motion(bpy.context, source, action=other.animation_data.action), dance)
    assert source.animation_data is None


def test_a_linked_and_overridden_source(new_armature: MakeArmature, dance: Motion, tmp_path: Path) -> None:
    source = dancer(new_armature, "Source", dance)
    bpy.data.libraries.write(str(tmp_path / "source.blend"), {source})
    linked = linked_from(tmp_path / "source.blend")
    overridden = linked.override_create(remap_local_usages=True)
    overridden.location = (0.0, 0.0, 0.0)
    bpy.context.view_layer.update()
    target = new_armature("Target")
    result = retarget_action(bpy.context, overridden, target, options=Options(feet="never"))
    assert result.frames == (1, 60)
    assert_same(read_motion(bpy.context, target), dance)


def test_scene_units_make_no_difference(new_armature: MakeArmature, dance: Motion, scene: Any) -> None:
    source = dancer(new_armature, "Source", dance)
    scene.unit_settings.scale_length = 0.01
    assert_same(read_motion(bpy.context, source), dance)
