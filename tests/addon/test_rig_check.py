from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
import pytest
from mathutils import Matrix
from stepsmith.addon.armature import read_rig
from stepsmith.addon.rig_check import lying, notices, strip_notices
from stepsmith.addon.scene import Options, apply_motion
from stepsmith.retarget.bone_maps import BoneMap, Switch, find_map
from stepsmith.retarget.motion import Motion


@pytest.fixture
def armature(new_armature: Callable[[str], Any]) -> Any:
    bpy.ops.wm.read_homefile(use_empty=True)
    return new_armature("Rig")


def said(armature: Any, **facts: Any) -> tuple[str, ...]:
    found = find_map(read_rig(armature))
    return notices(armature, BoneMap(found.convention, found.bones, found.confidence, found.missing, **facts))


def constrain(armature: Any, bone: str, kind: str, **settings: Any) -> Any:
    constraint = armature.pose.bones[bone].constraints.new(kind)
    target = bpy.data.objects.get("Target") or bpy.data.objects.new("Target", None)
    if hasattr(constraint, "target"):
        constraint.target = target
    for name, value in settings.items():
        setattr(constraint, name, value)
    bpy.context.view_layer.update()
    return constraint


def test_a_plain_rig_has_nothing_to_say(armature: Any) -> None:
    assert said(armature) == ()


def test_a_rest_position(armature: Any) -> None:
    armature.data.pose_position = "REST"
    assert "Pose Position" in said(armature)[0]


def test_one_constraint_is_named_and_many_are_counted(armature: Any) -> None:
    constrain(armature, "head", "COPY_ROTATION", name="Look")
    (sentence,) = said(armature)
    assert "head (Look)" in sentence
    for side in ("left", "right"):
        constrain(armature, f"{side}_elbow", "LIMIT_ROTATION")
    (sentence,) = said(armature)
    assert sentence.startswith("3 bones have constraints")
    assert "head (Look)" in sentence


def test_constraints_that_do_nothing_are_not_named(armature: Any) -> None:
    constrain(armature, "head", "COPY_ROTATION", mute=True)
    constrain(armature, "neck", "COPY_ROTATION", influence=0.0)
    constrain(armature, "spine1", "COPY_ROTATION", target=None)
    assert said(armature) == ()


def test_constraints_above_the_dancing_bones_count_and_those_below_do_not(armature: Any) -> None:
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    for name in ("mover", "prop"):
        bones.new(name).head, bones[name].tail = (0, 0, 0), (0, 1, 0)
    bones["pelvis"].parent, bones["prop"].parent = bones["mover"], bones["left_hand"]
    bpy.ops.object.mode_set(mode="OBJECT")
    constrain(armature, "prop", "COPY_ROTATION")
    assert said(armature) == ()
    constrain(armature, "mover", "CHILD_OF")
    assert "mover" in said(armature)[0]
    # In a control rig, constraints between the mapped bones are how it works.
    assert said(armature, parents={"pelvis": ""}) == ()
    constrain(armature, "pelvis", "COPY_LOCATION")
    assert "pelvis" in said(armature, parents={"pelvis": ""})[0]


@pytest.mark.parametrize(("bone", "chain", "counts"), [("tip", 1, False), ("tip", 2, True), ("tip", 0, True)])
def test_inverse_kinematics_count_for_all_of_their_chain(armature: Any, bone: str, chain: int, counts: bool) -> None:
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    bones.new("tip").head, bones["tip"].tail = (0, 0, 0), (0, 1, 0)
    bones["tip"].parent = bones["right_hand"]
    bpy.ops.object.mode_set(mode="OBJECT")
    constrain(armature, bone, "IK", chain_count=chain)
    assert bool(said(armature)) is counts


def test_drivers_on_what_is_keyed(armature: Any) -> None:
    armature.pose.bones["head"]["IK_FK"] = 0.5
    armature.pose.bones["left_knee"].driver_add("rotation_euler", 0)  # not its rotation mode
    armature.pose.bones["left_knee"].driver_add("scale", 0)
    armature.pose.bones["left_hip"].driver_add("location", 0)
    assert said(armature) == ()
    armature.driver_add('pose.bones["head"]["IK_FK"]')
    assert said(armature) == ()
    assert "head (IK_FK)" in said(armature, switches=(Switch("head", "IK_FK", 1.0),))[0]
    armature.pose.bones["left_hip"].driver_add("rotation_quaternion", 1)
    assert "left_hip" in said(armature)[0]
    for driver in armature.animation_data.drivers:
        driver.mute = True
    assert said(armature) == ()


def test_locked_channels(armature: Any) -> None:
    armature.pose.bones["left_hip"].lock_location = (True, True, True)  # it has no keys there anyway
    assert said(armature) == ()
    armature.pose.bones["left_knee"].lock_rotation = (False, True, True)
    assert "left_knee" in said(armature)[0]
    armature.pose.bones["pelvis"].lock_location = (True, False, False)
    assert said(armature)[0].startswith("2 bones have locked channels")


def test_a_hidden_armature_whose_mesh_is_hidden_too(armature: Any) -> None:
    mesh = bpy.data.objects.new("Body", bpy.data.meshes.new("Body"))
    bpy.context.scene.collection.objects.link(mesh)
    mesh.parent = armature
    armature.hide_viewport = True
    bpy.context.view_layer.update()
    assert said(armature) == ()
    mesh.hide_viewport = True
    bpy.context.view_layer.update()
    assert "hidden" in said(armature)[0]


def test_what_plays_over_a_strip(armature: Any, still: Callable[[int], Motion]) -> None:
    apply_motion(bpy.context, armature, still(9))
    result = apply_motion(bpy.context, armature, still(9), options=Options(into="nla"))
    assert len(result.warnings) == 1
    assert "push it down" in result.warnings[0]
    armature.animation_data.action = None
    assert strip_notices(armature) == ()
    armature.animation_data.use_nla = False
    assert "switched off" in strip_notices(armature)[0]


def test_tracks_that_hide_or_mix_an_action(armature: Any, still: Callable[[int], Motion]) -> None:
    apply_motion(bpy.context, armature, still(9), options=Options(into="nla"))
    data = armature.animation_data
    assert apply_motion(bpy.context, armature, still(9)).warnings == ()
    data.action_blend_type = "ADD"
    assert "Replace" in said(armature)[0]
    data.action_blend_type = "REPLACE"
    data.nla_tracks[0].is_solo = True
    assert "plays alone" in said(armature)[0]


def test_muted_curves(armature: Any, still: Callable[[int], Motion]) -> None:
    apply_motion(bpy.context, armature, still(9))
    data = armature.animation_data
    action = data.action
    curves = action.fcurves if hasattr(action, "fcurves") else action.layers[0].strips[0].channelbags[0].fcurves
    curves.find('pose.bones["head"].rotation_quaternion', index=2).mute = True
    assert "head" in said(armature)[0]
    data.action = None
    assert said(armature) == ()


# --- what moves the dancer as a whole --------------------------------------------------------------------


def move(owner: Any, *xs: float) -> None:
    for k, x in enumerate(xs):
        owner.location.x = x
        owner.keyframe_insert("location", frame=1 + 20 * k)


def pushed_down(armature: Any, name: str) -> Any:
    """The armature's action as an NLA track of this name."""
    data = armature.animation_data
    track = data.nla_tracks.new()
    track.name = name
    strip = track.strips.new(name, 1, data.action)
    if hasattr(strip, "action_slot"):
        strip.action_slot = data.action_slot
    data.action = None
    return track


def test_a_track_that_moves_the_object(armature: Any, still: Callable[[int], Motion]) -> None:
    move(armature, 0.0, 3.0)
    track = pushed_down(armature, "Walk")
    (sentence,) = said(armature)
    assert sentence == "The NLA track Walk moves Rig as a whole, so its feet will slide: mute it."
    assert apply_motion(bpy.context, armature, still(9)).warnings == (sentence,)
    assert apply_motion(bpy.context, armature, still(9), start_frame=100).warnings == (), "it is over by then"
    track.mute = True
    assert said(armature) == ()


def test_a_track_that_keeps_the_object_where_it_is_moves_nothing(armature: Any) -> None:
    move(armature, 3.0, 3.0)
    pushed_down(armature, "Stand")
    assert said(armature) == ()


def test_a_track_that_moves_a_bone_above_the_dancing_ones(armature: Any) -> None:
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    bones.new("root").tail = (0, 0.3, 0)
    bones["pelvis"].parent = bones["root"]
    bpy.ops.object.mode_set(mode="OBJECT")
    move(armature.pose.bones["left_knee"], 0.0, 3.0)
    pushed_down(armature, "Bend")
    assert said(armature) == ()
    move(armature.pose.bones["root"], 0.0, 3.0)
    pushed_down(armature, "Ride")
    (sentence,) = said(armature)
    assert "NLA track Ride moves Rig as a whole" in sentence


def test_an_action_that_moves_the_object_too(armature: Any, still: Callable[[int], Motion]) -> None:
    move(armature, 0.0, 3.0)
    (sentence,) = apply_motion(bpy.context, armature, still(9), options=Options(into="blend")).warnings
    assert "moves Rig as a whole" in sentence
    assert "mute its curves of the object" in sentence


def test_a_constraint_to_what_moves(armature: Any) -> None:
    target = bpy.data.objects.new("Platform", None)
    constraint = armature.constraints.new("CHILD_OF")
    assert said(armature) == ()
    constraint.target = target
    assert said(armature) == (), "nothing moves it"
    target.parent = bpy.data.objects.new("Lift", None)
    move(target.parent, 0.0, 3.0)
    (sentence,) = said(armature)
    assert "has Rig follow Platform" in sentence
    constraint.influence = 0.0
    assert said(armature) == ()


@pytest.mark.parametrize(("degrees", "tells"), [(0.0, False), (25.0, False), (90.0, True), (180.0, True)])
def test_an_armature_that_lies(armature: Any, degrees: float, tells: bool) -> None:
    armature.matrix_world = Matrix.Rotation(-degrees / 57.29578, 4, "X")
    bpy.context.view_layer.update()
    rig = read_rig(armature)
    sentences = lying(armature, rig, find_map(rig))
    assert ["does not stand upright" in sentence for sentence in sentences] == [True] * tells
