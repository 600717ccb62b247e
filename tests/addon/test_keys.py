from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mathutils import Euler, Matrix, Quaternion
from stepsmith.addon.keys import write_action
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.bone_maps import Switch
from stepsmith.retarget.channels import to_values
from stepsmith.retarget.errors import RigError, StepsmithError

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
        fps=30.0, bones=bones, rotations=rotations, root_bone=bones[0], locations=locations, loose={}, switches=()
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


# --- locked channels and switches ------------------------------------------------------------------------


def written_paths(armature: Any) -> set[tuple[str, int]]:
    return {(curve.data_path.rpartition(".")[2], curve.array_index) for curve in curves_of(armature)}


def test_locked_channels_get_no_keys_and_keep_their_value(armature: Any) -> None:
    knee, pelvis = armature.pose.bones["left_knee"], armature.pose.bones["pelvis"]
    knee.rotation_mode, knee.lock_rotation, knee.rotation_euler = "XZY", (False, True, True), (0.0, 0.3, -0.2)
    pelvis.lock_location, pelvis.location = (True, False, True), (7.0, 8.0, 9.0)
    pelvis.lock_rotation, pelvis.lock_rotations_4d, pelvis.lock_rotation_w = (False, True, False), True, False
    pelvis.rotation_quaternion = (1.0, 0.0, 0.1, 0.0)
    pose = pose_of(("pelvis", "left_knee"))
    write_action(armature, pose, name="Dance", start_frame=1)
    assert written_paths(armature) == {
        ("rotation_euler", 0),
        ("location", 1),
        ("rotation_quaternion", 0),
        ("rotation_quaternion", 1),
        ("rotation_quaternion", 3),
    }
    bpy.context.scene.frame_set(10)
    assert knee.rotation_euler[1:] == pytest.approx((0.3, -0.2))
    assert np.array(pelvis.location) == pytest.approx([7.0, pose.locations[9, 1], 9.0])
    assert pelvis.rotation_quaternion[2] == pytest.approx(0.1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("locked", [(True, False, False), (False, True, False), (True, False, True)])
def test_free_channels_come_as_near_as_they_can(armature: Any, mode: str, locked: tuple[bool, ...]) -> None:
    """No random other values of the free channels come nearer to what is wanted."""
    head = armature.pose.bones["head"]
    head.rotation_mode, head.lock_rotation, head.lock_rotations_4d = mode, locked, True
    pose = pose_of(("head",))
    write_action(armature, pose, name="Dance", start_frame=1)
    bpy.context.scene.frame_set(7)
    name = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}.get(mode, "rotation_euler")
    values = np.array(getattr(head, name))
    wanted = pose.rotations[6, 0]
    reached = abs(np.dot(head.matrix_basis.to_quaternion(), wanted))
    free = [len(values) - 3 + axis for axis in range(3) if not locked[axis]]
    free += [0] if len(values) == 4 else []
    rng = np.random.default_rng(0)
    for _ in range(400):
        values[free] = rng.uniform(-3.2, 3.2, len(free))
        assert abs(np.dot(rotation_of(mode, values).normalized(), wanted)) < reached + 1e-4


def test_locks_of_quaternions_are_those_of_their_angles(armature: Any) -> None:
    head = armature.pose.bones["head"]
    head.lock_rotation, head.lock_rotations_4d = (False, True, False), False
    head.rotation_quaternion = Euler((0.0, 0.4, 0.0)).to_quaternion()
    write_action(armature, pose_of(("head",)), name="Dance", start_frame=1)
    for frame in (1, 9, 30):
        bpy.context.scene.frame_set(frame)
        # A rotation has two sets of angles, with y and pi - y.
        assert np.sin(head.rotation_quaternion.to_euler("XYZ").y) == pytest.approx(np.sin(0.4), abs=1e-5)


def test_a_bone_locked_altogether_gets_no_keys(armature: Any) -> None:
    for bone, own_numbers in (("head", True), ("neck", False)):
        armature.pose.bones[bone].lock_rotation = (True, True, True)
        armature.pose.bones[bone].lock_rotations_4d = own_numbers
    write_action(armature, pose_of(("pelvis", "head", "neck")), name="Dance", start_frame=1)
    assert {curve.group.name for curve in curves_of(armature)} == {"pelvis"}
    armature.pose.bones["head"].lock_location = (True, True, True)
    with pytest.raises(RigError, match="locked"):
        write_action(armature, pose_of(("head", "neck")), name="Dance", start_frame=1)


def test_bones_below_a_locked_one_make_up_for_what_it_cant_do(armature: Any) -> None:
    """The foot stays flat where the knee is but a hinge; so does what hangs from it over bones that don't dance."""
    pose = pose_of(("pelvis", "left_hip", "left_knee", "left_foot"))
    write_action(armature, pose, name="Dance", start_frame=1)
    free = {bone: turn_of(armature, bone, 12) for bone in pose.bones}
    armature.pose.bones["left_knee"].rotation_mode = "XYZ"
    armature.pose.bones["left_knee"].lock_rotation = (False, True, True)
    armature.pose.bones["left_hip"].lock_rotation = (True, False, False)
    for bone in pose.bones:
        armature.pose.bones[bone].matrix_basis.identity()
    write_action(armature, pose, name="Dance", start_frame=1)
    for bone, same in (("pelvis", True), ("left_hip", False), ("left_knee", False), ("left_foot", True)):
        assert bool(abs(np.dot(turn_of(armature, bone, 12), free[bone])) > 1 - 1e-5) is same, bone


def turn_of(armature: Any, bone: str, frame: int) -> Quaternion:
    bpy.context.scene.frame_set(frame)
    return armature.pose.bones[bone].matrix.to_quaternion()


def test_switches_are_keyed_once_where_the_rig_has_them(armature: Any) -> None:
    armature.pose.bones["head"]['IK "FK"'] = 0.25
    armature.pose.bones["neck"]["follow"] = 3
    pose = pose_of(("pelvis",))
    pose.switches = (
        Switch("head", 'IK "FK"', 1.0),
        Switch("neck", "follow", 0.0),
        Switch("neck", "gone", 1.0),
        Switch("no such bone", "IK", 1.0),
    )
    write_action(armature, pose, name="Dance", start_frame=4)
    switches = [curve for curve in curves_of(armature) if curve.data_path.endswith('"]')]
    assert [[key.co[:] for key in curve.keyframe_points] for curve in switches] == [[(4.0, 1.0)], [(4.0, 0.0)]]
    assert {key.interpolation for curve in switches for key in curve.keyframe_points} == {"CONSTANT"}
    bpy.context.scene.frame_set(9)
    assert armature.pose.bones["head"]['IK "FK"'] == 1.0
    assert armature.pose.bones["neck"]["follow"] == 0


# --- slots and strips ------------------------------------------------------------------------------------

HAS_SLOTS = bpy.app.version >= (4, 4)
needs_slots = pytest.mark.skipif(not HAS_SLOTS, reason="actions have slots from 4.4 on")


def keyed(armature: Any, frames: tuple[int, ...] = (1, 40, 80)) -> Any:
    """An action of the user's, made by hand, on knee and pelvis; returned."""
    knee, pelvis = armature.pose.bones["left_knee"], armature.pose.bones["pelvis"]
    knee.rotation_mode = "XYZ"
    for turn, frame in enumerate(frames):
        knee.rotation_euler = (0.5 * turn, 0.2, 6.5)
        knee.keyframe_insert("rotation_euler", frame=frame)
        pelvis.location = (turn, 0.0, -turn)
        pelvis.keyframe_insert("location", frame=frame)
    return armature.animation_data.action


@needs_slots
def test_a_slot_beside_the_users_own(armature: Any) -> None:
    action = keyed(armature)
    own = armature.animation_data.action_slot
    before = [key.co[:] for curve in curves_of(armature) for key in curve.keyframe_points]
    pose = pose_of(("pelvis", "head"))
    assert write_action(armature, pose, name="My Dance", start_frame=1, into="slot").action == action
    assert armature.animation_data.action == action
    assert armature.animation_data.action_slot.name_display == "My Dance"
    bpy.context.scene.frame_set(5)
    assert np.array(armature.pose.bones["pelvis"].location) == pytest.approx(pose.locations[4], abs=1e-6)
    armature.animation_data.action_slot = own
    assert [key.co[:] for curve in curves_of(armature) for key in curve.keyframe_points] == before


@needs_slots
def test_a_slot_of_an_armature_without_an_action_is_in_a_new_one(armature: Any) -> None:
    result = write_action(armature, pose_of(("pelvis",)), name="Dance", start_frame=1, into="slot")
    assert armature.animation_data.action == result.action


@needs_slots
def test_a_failure_leaves_no_slot(armature: Any) -> None:
    action = keyed(armature)
    own = armature.animation_data.action_slot
    with pytest.raises(KeyError):
        write_action(armature, pose_of(("pelvis", "gone")), name="Dance", start_frame=1, into="slot")
    with pytest.raises(MemoryError):
        write_action(armature, pose_of(("pelvis",)), name="Dance", start_frame=1, into="slot", reduce=fail)
    assert list(action.slots) == [own]
    assert armature.animation_data.action_slot == own


@pytest.mark.skipif(HAS_SLOTS, reason="this Blender has slots")
def test_without_slots_it_says_so(armature: Any) -> None:
    keyed(armature)
    with pytest.raises(StepsmithError, match=r"4\.4"):
        write_action(armature, pose_of(("pelvis",)), name="Dance", start_frame=1, into="slot")


def fail(_tracks: Any) -> Any:
    raise MemoryError


def test_a_strip_on_a_track_of_its_own(armature: Any) -> None:
    action = keyed(armature)
    data = armature.animation_data
    track = data.nla_tracks.new()
    track.strips.new("Idle", 200, action)
    pose = pose_of(("pelvis", "head"))
    result = write_action(armature, pose, name="Dance", start_frame=11, into="nla")
    assert data.action == action
    assert [(t.name, [s.name for s in t.strips]) for t in data.nla_tracks] == [
        (track.name, ["Idle"]),
        ("Dance", ["Dance"]),
    ]
    strip = data.nla_tracks["Dance"].strips[0]
    assert (strip.frame_start, strip.frame_end, strip.action) == (11.0, 40.0, result.action)
    data.action = None
    bpy.context.scene.frame_set(15)
    assert np.array(armature.pose.bones["pelvis"].location) == pytest.approx(pose.locations[4], abs=1e-6)
    bpy.context.scene.frame_set(240)  # the track below is not hidden there
    assert armature.pose.bones["pelvis"].location.x == pytest.approx(1.0, abs=0.1)


def test_a_strip_alone_holds_its_pose(armature: Any) -> None:
    pose = pose_of(("pelvis",))
    write_action(armature, pose, name="Dance", start_frame=11, into="nla")
    bpy.context.scene.frame_set(90)
    assert np.array(armature.pose.bones["pelvis"].location) == pytest.approx(pose.locations[-1], abs=1e-6)


def test_a_failure_leaves_no_strip(armature: Any) -> None:
    action = keyed(armature)
    with pytest.raises(MemoryError):
        write_action(armature, pose_of(("pelvis",)), name="Dance", start_frame=1, into="nla", reduce=fail)
    assert not armature.animation_data.nla_tracks
    assert list(bpy.data.actions) == [action]


# --- blended ---------------------------------------------------------------------------------------------


def basis(armature: Any, bone: str, frame: float) -> np.ndarray:
    bpy.context.scene.frame_set(int(frame), subframe=frame % 1.0)
    return np.array(armature.pose.bones[bone].matrix_basis)


@pytest.mark.parametrize("mode", MODES)
def test_a_dance_comes_over_an_action_and_goes_again(armature: Any, mode: str) -> None:
    head = armature.pose.bones["head"]
    head.rotation_mode = mode
    for frame, seed in ((1, 5), (30, 6), (90, 7)):
        turn = Quaternion(wander(1, seed)[0])
        head.matrix_basis = turn.to_matrix().to_4x4()
        for name in ("rotation_quaternion", "rotation_axis_angle", "rotation_euler"):
            head.keyframe_insert(name, frame=frame)
    original = keyed(armature)
    times = [*np.arange(1.0, 19.25, 0.5), *np.arange(50.0, 95.0, 0.5)]
    before = {t: (basis(armature, "head", t), basis(armature, "pelvis", t)) for t in times}
    pose = pose_of(("pelvis", "head", "left_hip"))
    result = write_action(armature, pose, name="Dance", start_frame=20, into="blend", blend_frames=6)
    assert armature.animation_data.action == result.action != original
    assert original.use_fake_user
    for t in times:
        assert basis(armature, "head", t) == pytest.approx(before[t][0], abs=1e-4), t
        assert basis(armature, "pelvis", t)[:3, 3] == pytest.approx(before[t][1][:3, 3], abs=1e-4), t
    for frame in range(26, 44):
        for bone in ("head", "left_hip"):
            turn = Quaternion(pose.rotations[frame - 20, pose.bones.index(bone)]).to_matrix()
            assert basis(armature, bone, frame)[:3, :3] == pytest.approx(np.array(turn), abs=1e-4)
        assert basis(armature, "pelvis", frame)[:3, 3] == pytest.approx(pose.locations[frame - 20], abs=1e-5)
    # What the action says of bones that don't dance goes on as well.
    bpy.context.scene.frame_set(40)
    assert armature.pose.bones["left_knee"].rotation_euler.x == pytest.approx(0.5)


def turns(armature: Any, bone: str, frames: range) -> np.ndarray:
    """Degrees that a bone turns from each of these frames to the next."""
    rotations = [Quaternion(Matrix(basis(armature, bone, f)).to_quaternion()) for f in frames]
    return np.degrees([2 * np.arccos(min(1.0, abs(a @ b))) for a, b in pairwise(np.array(rotations))])


@pytest.mark.parametrize("mode", ["QUATERNION", "AXIS_ANGLE", "YZX"])
def test_it_comes_and_goes_smoothly(armature: Any, mode: str) -> None:
    head = armature.pose.bones["head"]
    head.rotation_mode = mode
    for name in ("rotation_quaternion", "rotation_axis_angle", "rotation_euler"):
        head.keyframe_insert(name, frame=1)
    pose = pose_of(("head",), frames=61)
    pose.rotations[:] = rot.from_axis_angle(
        np.radians([60.0, 60.0, 69.2820323])
    )  # a still pose, turned by 109.5 degrees
    write_action(armature, pose, name="Dance", start_frame=20, into="blend", blend_frames=20)
    steps = turns(armature, "head", range(10, 100))
    assert steps.sum() == pytest.approx(2 * 109.54, abs=1.5)
    assert steps.max() < 1.6 * 109.54 / 20  # the steepest of a smooth step is one and a half times the mean
    assert np.abs(np.diff(steps)).max() < 1.1 * 6 * 109.54 / 21**2  # its sharpest bend
    # Nothing turns round between the frames either.
    assert turns_between(armature, "head", np.arange(10.0, 100.0, 0.25)) < 1.6 * 109.54 / 20


def turns_between(armature: Any, bone: str, times: np.ndarray) -> float:
    rotations = np.array([Matrix(basis(armature, bone, t)).to_quaternion() for t in times])
    return float(np.degrees(2 * np.arccos(np.minimum(np.abs(np.sum(rotations[1:] * rotations[:-1], axis=1)), 1))).max())


def test_quaternions_of_the_other_sign_do_not_turn_round_between_frames(armature: Any) -> None:
    head = armature.pose.bones["head"]
    for frame, sign in ((1, 1.0), (100, 1.0), (101, -1.0)):
        head.rotation_quaternion = sign * np.array([0.8, 0.6, 0.0, 0.0])
        head.keyframe_insert("rotation_quaternion", frame=frame)
    for curve in curves_of(armature):
        curve.keyframe_points[1].interpolation = "CONSTANT"
    pose = pose_of(("head",), frames=100)
    pose.rotations[:] = rot.from_axis_angle(np.linspace(0.9, 2 * np.pi + 1.6, 100)[:, None] * [1.0, 0.0, 0.0])[:, None]
    write_action(armature, pose, name="Dance", start_frame=50, into="blend", blend_frames=0)
    assert turns_between(armature, "head", np.arange(50.0, 149.0, 0.25)) < 6.0
    assert turns_between(armature, "head", np.arange(149.0, 150.0, 0.25)) < 6.0


def test_switches_go_back_after_the_dance(armature: Any) -> None:
    head = armature.pose.bones["head"]
    head["IK_FK"], head["parent"] = 0.0, 2
    head.keyframe_insert('["IK_FK"]', frame=1)
    head.keyframe_insert('["parent"]', frame=1)
    pose = pose_of(("pelvis",), frames=30)
    pose.switches = (Switch("head", "IK_FK", 1.0), Switch("head", "parent", 5.0))
    write_action(armature, pose, name="Dance", start_frame=20, into="blend", blend_frames=9)
    seen = {}
    for frame in (19, 24, 35, 50):
        bpy.context.scene.frame_set(frame)
        seen[frame] = (round(head["IK_FK"], 4), head["parent"])
    assert seen == {19: (0.0, 2), 24: (0.5, 5), 35: (1.0, 5), 50: (0.0, 2)}


def test_what_cant_be_blended_says_so_and_changes_nothing(armature: Any) -> None:
    with pytest.raises(RigError, match="no action"):
        write_action(armature, pose_of(("pelvis",)), name="Dance", start_frame=20, into="blend")
    action = keyed(armature)
    curves_of(armature)[-1].modifiers.new("CYCLES")
    slot = getattr(armature.animation_data, "action_slot", None)
    with pytest.raises(RigError, match="modifiers"):
        write_action(armature, pose_of(("pelvis",)), name="Dance", start_frame=20, into="blend")
    assert list(bpy.data.actions) == [action]
    assert armature.animation_data.action == action
    assert getattr(armature.animation_data, "action_slot", None) == slot
    assert not action.use_fake_user


def test_another_armature_of_the_same_action_dances_on_as_before(
    armature: Any, new_armature: Callable[[str], Any]
) -> None:
    other = new_armature("Other")
    action = keyed(armature)
    other.animation_data_create().action = action
    if hasattr(action, "slots"):
        other.animation_data.action_slot = action.slots[0]
    before = basis(other, "pelvis", 30)
    write_action(armature, pose_of(("pelvis",), frames=60), name="Dance", start_frame=5, into="blend")
    assert basis(other, "pelvis", 30) == pytest.approx(before)
    assert other.animation_data.action == action


# --- what is taken to be at rest -------------------------------------------------------------------------


@pytest.fixture
def rooted(armature: Any) -> Any:
    """The armature with a bone "root" above its pelvis and "prop" beside that."""
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    for name in ("root", "prop"):
        bones.new(name).head, bones[name].tail = (0, 0, 0), (0, 0.3, 0)
    bones["pelvis"].parent = bones["prop"].parent = bones["root"]
    bpy.ops.object.mode_set(mode="OBJECT")
    return armature


def disturb(bone: Any) -> None:
    bone.location, bone.scale = (0.3, 0.2, -0.1), (1.0, 1.3, 0.8)
    bone.matrix_basis = bone.matrix_basis @ Euler((0.5, 0.2, -0.4)).to_matrix().to_4x4()


def heads(armature: Any, frames: range) -> np.ndarray:
    """(T, B, 3) where the mapped bones are."""
    seen = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        seen.append([armature.pose.bones[name].head[:] for name in ("pelvis", "left_hip", "left_knee", "head")])
    return np.array(seen)


@pytest.mark.parametrize("mode", ["QUATERNION", "AXIS_ANGLE", "ZXY"])
@pytest.mark.parametrize("into", ["action", "nla", pytest.param("slot", marks=needs_slots)])
def test_what_was_played_before_leaves_nothing(rooted: Any, mode: str, into: Any) -> None:
    rooted.pose.bones["root"].rotation_mode = mode
    pose = pose_of(("pelvis", "left_hip", "left_knee", "head"), frames=9)
    write_action(rooted, pose, name="Dance", start_frame=1)
    wanted = heads(rooted, range(1, 10))
    data = rooted.animation_data
    data.action = None
    for name in ("root", "left_hip", "left_knee", "prop"):
        disturb(rooted.pose.bones[name])
    written = write_action(rooted, pose, name="Dance", start_frame=1, into=into)
    assert written.put_back == ("root",)
    assert written.reset == ("left_hip", "left_knee")
    prop = np.array(rooted.pose.bones["prop"].matrix_basis)
    assert heads(rooted, range(1, 10)) == pytest.approx(wanted, abs=1e-5)
    # Bones that carry nothing of the dance are the user's.
    assert np.array(rooted.pose.bones["prop"].matrix_basis) == pytest.approx(prop)


def test_what_the_action_before_moves_is_held_whatever_its_frame(rooted: Any) -> None:
    """So that one may go from one action to the other and back."""
    pose = pose_of(("pelvis", "left_hip", "left_knee", "head"), frames=9)
    write_action(rooted, pose, name="Dance", start_frame=1)
    wanted = heads(rooted, range(1, 10))
    rooted.animation_data.action = None
    for frame in (1, 20):
        for name in ("root", "left_knee"):
            bone = rooted.pose.bones[name]
            if frame == 20:
                disturb(bone)
            for path in ("location", "scale", "rotation_quaternion"):
                bone.keyframe_insert(path, frame=frame)
    before = rooted.animation_data.action
    slot = getattr(rooted.animation_data, "action_slot", None)
    bpy.context.scene.frame_set(1)
    assert rooted.pose.bones["root"].location.length == 0.0
    written = write_action(rooted, pose, name="Dance", start_frame=1)
    assert written.reset == (), "what an action moved nobody chose"
    dance = written.action
    own = getattr(rooted.animation_data, "action_slot", None)
    held = [curve for curve in curves_of(rooted) if len(curve.keyframe_points) == 1]
    assert {curve.data_path for curve in held} == {
        *(f'pose.bones["root"].{name}' for name in ("location", "scale", "rotation_quaternion")),
        *(f'pose.bones["left_knee"].{name}' for name in ("location", "scale")),
    }
    assert {key.interpolation for curve in held for key in curve.keyframe_points} == {"CONSTANT"}
    for action, its in ((before, slot), (dance, own)):
        rooted.animation_data.action = action
        if its is not None:
            rooted.animation_data.action_slot = its
        bpy.context.scene.frame_set(20)
    assert heads(rooted, range(1, 10)) == pytest.approx(wanted, abs=1e-5)


def test_a_dancer_made_larger_as_a_whole_stays_so(rooted: Any) -> None:
    rooted.pose.bones["root"].scale = (1.2, 1.2, 1.2)
    pose = pose_of(("pelvis", "left_hip", "left_knee", "head"), frames=9)
    written = write_action(rooted, pose, name="Dance", start_frame=1)
    assert not [curve for curve in curves_of(rooted) if "root" in curve.data_path]
    assert written.put_back == written.reset == ()
    larger = heads(rooted, range(1, 10))
    rooted.pose.bones["root"].scale = (1.0, 1.0, 1.0)
    assert larger == pytest.approx(1.2 * heads(rooted, range(1, 10)), abs=1e-5)


def test_blended_in_it_comes_to_rest_and_goes_back(rooted: Any) -> None:
    knee, root = rooted.pose.bones["left_knee"], rooted.pose.bones["root"]
    disturb(root)
    for frame, x in ((1, 0.1), (90, 0.2)):
        knee.location.x = x
        for bone in (knee, root):
            bone.keyframe_insert("location", frame=frame)
            bone.keyframe_insert("rotation_quaternion", frame=frame)
    before = {frame: basis(rooted, "left_knee", frame) for frame in (19, 50)}
    turned = basis(rooted, "root", 19)
    pose = pose_of(("pelvis", "left_hip", "left_knee", "head"))
    assert write_action(rooted, pose, name="Dance", start_frame=20, into="blend", blend_frames=5)
    for frame, seen in before.items():
        assert basis(rooted, "left_knee", frame)[:3, 3] == pytest.approx(seen[:3, 3], abs=1e-4)
        assert basis(rooted, "root", frame) == pytest.approx(turned, abs=1e-4)
    for frame in (25, 44):
        assert basis(rooted, "left_knee", frame)[:3, 3] == pytest.approx(np.zeros(3), abs=1e-6)
        assert basis(rooted, "root", frame) == pytest.approx(np.eye(4), abs=1e-5)


def test_what_something_else_moves_goes_on(rooted: Any) -> None:
    bones = rooted.pose.bones
    for name in ("root", "left_knee", "left_hip"):
        disturb(bones[name])
    bones["left_knee"].driver_add("location", 1)
    bones["left_hip"].lock_location = (True, False, True)
    bones["root"].constraints.new("LIMIT_LOCATION")
    write_action(rooted, pose_of(("pelvis", "left_hip", "left_knee")), name="Dance", start_frame=1)
    assert not [curve for curve in curves_of(rooted) if "root" in curve.data_path]
    located = {(c.group.name, c.array_index) for c in curves_of(rooted) if c.data_path.endswith("location")}
    assert located == {("pelvis", 0), ("pelvis", 1), ("pelvis", 2), ("left_hip", 1), ("left_knee", 0), ("left_knee", 2)}


def test_a_track_moves_on_what_is_above_the_dance_but_no_joint_of_it(rooted: Any) -> None:
    for name in ("root", "left_knee"):
        bone = rooted.pose.bones[name]
        for frame, x in ((1, 0.0), (20, 1.0)):
            bone.location.x = x
            bone.keyframe_insert("location", frame=frame)
    data = rooted.animation_data
    strip = data.nla_tracks.new().strips.new("Ride", 1, data.action)
    if hasattr(strip, "action_slot"):
        strip.action_slot = data.action_slot
    data.action = None
    write_action(rooted, pose_of(("pelvis", "left_knee")), name="Dance", start_frame=1)
    bpy.context.scene.frame_set(20)
    assert rooted.pose.bones["root"].location.x == pytest.approx(1.0)
    assert rooted.pose.bones["left_knee"].location.x == pytest.approx(0.0)
