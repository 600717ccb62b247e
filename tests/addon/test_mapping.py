"""The bone map that is kept on an armature, edited, checked, mirrored, saved and loaded."""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix
from stepsmith.retarget.skeleton import SMPL

NewArmature = Callable[[str], bpy.types.Object]


class Rooms:
    """The add-on's modules under their installed names."""

    def __init__(self, name: str) -> None:
        self.storage = self._room(f"{name}.addon.mapping.storage")
        self.target = self._room(f"{name}.addon.mapping.target")
        self.tpose = self._room(f"{name}.addon.mapping.tpose")
        self.posing = self._room(f"{name}.addon.mapping.posing")
        self.panel = self._room(f"{name}.addon.mapping.panel")
        self.presets = self._room(f"{name}.addon.mapping.presets")
        self.rest_check = self._room(f"{name}.addon.mapping.rest_check")
        self.registration = self._room(f"{name}.addon.mapping.registration")
        self.armature = self._room(f"{name}.addon.armature")
        self.scene = self._room(f"{name}.addon.scene")
        self.bone_maps = self._room(f"{name}.retarget.bone_maps")
        self.errors = self._room(f"{name}.retarget.errors")
        self.motion = self._room(f"{name}.retarget.motion")

    @staticmethod
    def _room(name: str) -> ModuleType:
        return importlib.import_module(name)

    def found(self, armature: bpy.types.Object) -> Any:
        """The map of the armature as it is found anew."""
        return self.bone_maps.find_map(self.armature.read_rig(armature))


@pytest.fixture
def rooms(installed: str) -> Rooms:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    return Rooms(installed)


@pytest.fixture
def armature(rooms: Rooms, new_armature: NewArmature) -> bpy.types.Object:
    return new_armature("Body")


@pytest.fixture
def mapped(armature: bpy.types.Object) -> bpy.types.Object:
    """An armature whose map was detected."""
    assert bpy.ops.stepsmith.map_detect() == {"FINISHED"}
    return armature


def lower_arms(armature: bpy.types.Object, degrees: float) -> None:
    """Make the rest pose an A pose."""
    bpy.ops.object.mode_set(mode="EDIT")
    for side, sign in (("left", 1.0), ("right", -1.0)):
        bones = armature.data.edit_bones
        centre = Matrix.Translation(bones[f"{side}_shoulder"].head)
        turn = centre @ Matrix.Rotation(math.radians(sign * degrees), 4, "Y") @ centre.inverted()
        for part in ("shoulder", "elbow", "wrist", "hand"):
            bones[f"{side}_{part}"].transform(turn)
    bpy.ops.object.mode_set(mode="OBJECT")


def whole_state(armature: bpy.types.Object) -> Any:
    """All of an armature that a map must not change."""
    return (
        [(b.name, b.matrix_local.copy(), b.parent and b.parent.name, b.use_connect) for b in armature.data.bones],
        [(b.name, b.rotation_mode, b.matrix_basis.copy(), list(b.keys())) for b in armature.pose.bones],
        armature.matrix_world.copy(),
        armature.mode,
        armature.animation_data,
        bpy.context.view_layer.objects.active,
        [ob.name for ob in bpy.context.selected_objects],
        len(bpy.data.actions),
    )


def test_an_armature_nobody_mapped_has_no_map_and_no_trace_of_one(rooms: Rooms, armature: bpy.types.Object) -> None:
    assert rooms.storage.map_of(armature) is None
    assert list(armature.keys()) == []
    assert not any(armature.is_property_set(key) for key in (rooms.storage.SLOTS_KEY, rooms.storage.FACTS_KEY))


def test_detect_keeps_the_map_that_is_found_and_changes_nothing_else(rooms: Rooms, armature: bpy.types.Object) -> None:
    before = whole_state(armature)
    assert bpy.ops.stepsmith.map_detect() == {"FINISHED"}
    kept, found = rooms.storage.map_of(armature), rooms.found(armature)
    assert list(kept.bones.items()) == list(found.bones.items())
    assert (kept.convention, kept.missing, kept.switches) == (found.convention, found.missing, found.switches)
    assert kept.confidence == pytest.approx(found.confidence)
    assert dict(kept.parents) == dict(found.parents)
    assert whole_state(armature) == before


def test_detect_says_what_is_no_body_and_keeps_the_map_there_was(rooms: Rooms, mapped: bpy.types.Object) -> None:
    stick = bpy.data.objects.new("Stick", bpy.data.armatures.new("Stick"))
    bpy.context.scene.collection.objects.link(stick)
    bpy.context.view_layer.objects.active = stick
    with pytest.raises(RuntimeError, match="armature"):
        bpy.ops.stepsmith.map_detect()
    assert rooms.storage.map_of(stick) is None
    assert rooms.storage.map_of(mapped) is not None


def test_the_dancer_chosen_in_the_panel_is_mapped_where_no_armature_is_active(
    rooms: Rooms, armature: bpy.types.Object
) -> None:
    bpy.context.view_layer.objects.active = None
    with pytest.raises(RuntimeError, match="Select an armature first"):
        bpy.ops.stepsmith.map_detect()
    bpy.context.scene.stepsmith_settings.target = armature
    assert bpy.ops.stepsmith.map_detect() == {"FINISHED"}
    assert rooms.storage.map_of(armature) is not None
    bpy.context.scene.collection.objects.unlink(armature)
    assert rooms.target.armature_of(bpy.context) is None, "it is not in the scene any more"


def test_every_part_of_a_map_is_kept(rooms: Rooms, armature: bpy.types.Object) -> None:
    maps = rooms.bone_maps
    found = rooms.found(armature)
    whole = maps.BoneMap(
        convention="Mine",
        bones=found.bones,
        confidence=0.625,
        missing=(),
        scores={bone: (k % 5) / 4 for k, bone in enumerate(found.bones)},
        pose={"left_shoulder": (0.5, 0.5, -0.5, 0.5)},
        parents={"left_hip": "pelvis"},
        switches=(maps.Switch("pelvis", "IK_FK", 1.0),),
    )
    rooms.storage.keep_map(armature, whole)
    kept = rooms.storage.map_of(armature)
    assert list(kept.bones.items()) == list(whole.bones.items())
    for part in ("convention", "confidence", "missing", "scores", "pose", "parents", "switches"):
        assert getattr(kept, part) == getattr(whole, part), part


@pytest.mark.parametrize("count", [1, 2, 3, 5, 12])
def test_chains_of_any_length_fit(rooms: Rooms, armature: bpy.types.Object, count: int) -> None:
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    spine = [bones["spine1"], bones["spine2"], bones["spine3"]]
    for name in ("spine2", "spine3"):
        bones.remove(bones[name])
    last = spine[0]
    for place in range(1, count):
        bone = bones.new(f"back.{place}")
        bone.head, bone.tail, bone.parent = last.tail, last.tail + (last.tail - last.head), last
        last = bone
    for name in ("neck", "left_collar", "right_collar"):
        bones[name].parent = last
    bpy.ops.object.mode_set(mode="OBJECT")
    chain = ["spine1", *(f"back.{place}" for place in range(1, count))]
    rest = {bone: joint for bone, joint in rooms.found(armature).bones.items() if not joint.startswith("spine")}
    joints = {1: ["spine3"], 2: ["spine2", "spine3"], 3: ["spine1", "spine2", "spine3"]}.get(count)
    given = dict.fromkeys(chain, "spine3")
    rooms.storage.keep_map(armature, rooms.bone_maps.BoneMap("Mine", {**rest, **given}, 1.0, ()))
    kept = rooms.storage.map_of(armature)
    assert [bone for bone, joint in kept.bones.items() if joint.startswith("spine")] == chain
    assert kept.bones[chain[-1]] == "spine3"
    if joints:
        assert [kept.bones[bone] for bone in chain] == joints
    assert list(kept.bones) == [bone.name for bone in armature.data.bones if bone.name in kept.bones]


def test_a_map_that_does_not_fit_the_table_is_refused_whole(rooms: Rooms, mapped: bpy.types.Object) -> None:
    before = rooms.storage.map_of(mapped)
    bones = dict(before.bones)
    for wrong, said in (
        ({**bones, "Extra": "head"}, "head"),
        ({**bones, "Extra": "tail"}, "tail"),
        ({**bones, **{f"s{k}": "spine2" for k in range(20)}}, "spine"),
    ):
        with pytest.raises(rooms.errors.RigError, match=said):
            rooms.storage.keep_map(mapped, rooms.bone_maps.BoneMap("Mine", wrong, 1.0, ()))
        assert rooms.storage.map_of(mapped) == before


def test_a_bone_chosen_by_hand_is_sure_and_the_map_is_edited(rooms: Rooms, mapped: bpy.types.Object) -> None:
    slot = mapped.stepsmith_map["left_hand"]
    slot.score = 0.2
    slot.bone = "left_foot"
    slot.bone = "left_hand"
    kept = rooms.storage.map_of(mapped)
    assert slot.score == 1.0
    assert rooms.storage.read_facts(mapped)["edited"]
    assert kept.confidence == 1.0


def test_by_hand_begins_empty_and_says_what_is_missing(rooms: Rooms, armature: bpy.types.Object) -> None:
    assert bpy.ops.stepsmith.map_by_hand() == {"FINISHED"}
    kept = rooms.storage.map_of(armature)
    assert (dict(kept.bones), set(kept.missing)) == ({}, set(SMPL.names))
    assert rooms.target.check(armature).problem
    for joint in (*rooms.storage.JOINT_SLOTS,):
        armature.stepsmith_map[joint].bone = joint
    for place in (1, 2, 3):
        armature.stepsmith_map[f"spine_{place}"].bone = f"spine{place}"
    armature.stepsmith_map["neck_1"].bone = "neck"
    assert rooms.target.check(armature).problem == ""
    assert dict(rooms.storage.map_of(armature).bones) == dict(rooms.found(armature).bones)


def test_a_chain_is_sorted_by_the_hierarchy_whatever_the_order_of_picking(
    rooms: Rooms, mapped: bpy.types.Object
) -> None:
    slots = mapped.stepsmith_map
    slots["spine_1"].bone, slots["spine_3"].bone, slots["spine_7"].bone = "", "spine2", "spine1"
    slots["spine_2"].bone = "spine3"
    kept = rooms.storage.map_of(mapped)
    assert [bone for bone in kept.bones if "spine" in bone] == ["spine1", "spine2", "spine3"]
    assert [kept.bones[bone] for bone in ("spine1", "spine2", "spine3")] == ["spine1", "spine2", "spine3"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"left_knee": ""}, "left"),
        ({"left_knee": "right_knee"}, "right_knee"),
        ({"left_knee": "no such bone"}, "no such bone"),
        ({"left_knee": "left_elbow", "left_elbow": "left_knee"}, "left_"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    rooms: Rooms, mapped: bpy.types.Object, changes: dict[str, str], said: str
) -> None:
    assert rooms.target.check(mapped).problem == ""
    for slot, bone in changes.items():
        mapped.stepsmith_map[slot].bone = bone
    problem = rooms.target.check(mapped).problem
    assert said in problem
    assert problem.endswith(".")
    assert problem.count(". ") == 0


def test_the_check_follows_the_bones(rooms: Rooms, mapped: bpy.types.Object) -> None:
    assert rooms.target.check(mapped).problem == ""
    mapped.data.bones["left_knee"].name = "Renamed"
    assert "left_knee" in rooms.target.check(mapped).problem
    mapped.data.bones["Renamed"].name = "left_knee"
    before = rooms.target.check(mapped).stance.rest
    assert rooms.target.check(mapped).stance.rest is before, "asked again, nothing is computed again"
    lower_arms(mapped, 30.0)
    assert not np.allclose(rooms.target.check(mapped).stance.rest, before)


def test_clear_leaves_no_trace(rooms: Rooms, mapped: bpy.types.Object) -> None:
    assert bpy.ops.stepsmith.map_clear() == {"FINISHED"}
    assert rooms.storage.map_of(mapped) is None
    assert list(mapped.keys()) == []
    with pytest.raises(RuntimeError, match="Detect the bone map first"):
        bpy.ops.stepsmith.map_clear()


def test_the_map_is_saved_with_the_file(rooms: Rooms, mapped: bpy.types.Object, tmp_path: Path) -> None:
    before = rooms.storage.map_of(mapped)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "body.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "body.blend"))
    assert rooms.storage.map_of(bpy.data.objects["Body"]) == before


def test_switching_the_extension_off_and_on_keeps_maps(rooms: Rooms, mapped: bpy.types.Object) -> None:
    before = rooms.storage.map_of(mapped)
    rooms.registration.unregister()
    try:
        assert not hasattr(bpy.types.Object, rooms.storage.SLOTS_KEY)
    finally:
        rooms.registration.register()
    assert rooms.storage.map_of(mapped) == before


def test_a_program_without_the_interface_finds_the_map(rooms: Rooms, mapped: bpy.types.Object, tmp_path: Path) -> None:
    mapped.stepsmith_map["head"].bone = ""
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "body.blend"))
    look = (
        "import sys, bpy\n"
        "from stepsmith.addon.mapping import map_of\n"
        "from stepsmith.addon.armature import chosen_map, read_rig\n"
        "bpy.ops.wm.open_mainfile(filepath=sys.argv[1]); body = bpy.data.objects['Body']\n"
        "print('seen', map_of(body).bone('head'), chosen_map(body, read_rig(body)).bone('neck'))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", look, tmp_path / "body.blend"], capture_output=True, text=True, timeout=60
    )
    assert "seen None neck" in ended.stdout, ended.stderr


@pytest.mark.parametrize("had_map", [False, True])
def test_a_library_override_keeps_a_map_of_its_own(
    rooms: Rooms, armature: bpy.types.Object, tmp_path: Path, had_map: bool
) -> None:
    if had_map:
        bpy.ops.stepsmith.map_detect()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, wanted):
        wanted.objects = ["Body"]
    linked = wanted.objects[0]
    bpy.context.scene.collection.objects.link(linked)
    bpy.context.view_layer.objects.active = linked
    assert (rooms.storage.map_of(linked) is not None) == had_map, "a linked map is used"
    with pytest.raises(RuntimeError, match=r"linked from library\.blend: make a library override"):
        bpy.ops.stepsmith.map_detect()

    bpy.context.view_layer.objects.active = linked.override_create(remap_local_usages=True)
    assert bpy.ops.stepsmith.map_detect() == {"FINISHED"}
    bpy.context.view_layer.objects.active.stepsmith_map["left_hand"].bone = ""
    for wanted_bone in (None, "left_hand"):
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
        own = next(ob for ob in bpy.data.objects if ob.override_library)
        assert rooms.storage.map_of(own).bone("left_hand") == wanted_bone
        own.stepsmith_map["left_hand"].bone = "left_hand"
    bpy.context.view_layer.objects.active = own
    assert bpy.ops.stepsmith.map_clear() == {"FINISHED"}
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert rooms.storage.map_of(next(ob for ob in bpy.data.objects if ob.override_library)) is None


def test_the_active_bone_is_taken(rooms: Rooms, mapped: bpy.types.Object) -> None:
    mapped.data.bones.active = None
    with pytest.raises(RuntimeError, match="Select a bone in Pose Mode first"):
        bpy.ops.stepsmith.map_take_bone(slot="left_hand")
    mapped.data.bones.active = mapped.data.bones["left_wrist"]
    assert bpy.ops.stepsmith.map_take_bone(slot="left_hand") == {"FINISHED"}
    assert mapped.stepsmith_map["left_hand"].bone == "left_wrist"
    assert "left_wrist" in rooms.target.check(mapped).problem, "it is in the map twice now"
    with pytest.raises(RuntimeError, match="no part “nose”"):
        bpy.ops.stepsmith.map_take_bone(slot="nose")


def test_a_mapped_bone_is_selected_in_pose_mode(mapped: bpy.types.Object) -> None:
    assert bpy.ops.stepsmith.map_select_bone(slot="left_knee") == {"FINISHED"}
    assert mapped.mode == "POSE"
    assert bpy.context.active_pose_bone.name == "left_knee"
    assert [bone.name for bone in bpy.context.selected_pose_bones] == ["left_knee"]
    assert bpy.ops.stepsmith.map_select_bone(slot="head") == {"FINISHED"}
    assert [bone.name for bone in bpy.context.selected_pose_bones] == ["head"]
    mapped.stepsmith_map["head"].bone = "gone"
    with pytest.raises(RuntimeError, match="no bone “gone”"):
        bpy.ops.stepsmith.map_select_bone(slot="head")


@pytest.mark.parametrize(("source", "other"), [("left", "right"), ("right", "left")])
def test_mirror_fills_the_other_side(rooms: Rooms, mapped: bpy.types.Object, source: str, other: str) -> None:
    before = dict(rooms.storage.map_of(mapped).bones)
    for slot in mapped.stepsmith_map:
        if slot.name.startswith(other):
            slot.bone = ""
    assert bpy.ops.stepsmith.map_mirror(source=source) == {"FINISHED"}
    assert dict(rooms.storage.map_of(mapped).bones) == before


def test_presets_are_saved_listed_and_loaded(
    rooms: Rooms, mapped: bpy.types.Object, new_armature: NewArmature, tmp_path: Path, installed: str
) -> None:
    bpy.context.preferences.addons[installed].preferences.folder = str(tmp_path)
    assert rooms.presets.presets() == []
    mapped.stepsmith_map["left_hand"].bone = ""
    rooms.storage.write_facts(mapped, pose={"head": [1.0, 0.0, 0.0, 0.0]})
    folder = rooms.presets.presets_folder()
    folder.mkdir()
    for name in ("zoe", "Anna"):
        assert bpy.ops.stepsmith.map_save_preset(filepath=str(folder / f"{name}.json")) == {"FINISHED"}
    assert [path.stem for path in rooms.presets.presets()] == ["Anna", "zoe"]
    json.loads((folder / "zoe.json").read_text(encoding="utf-8"))

    other = new_armature("Other")
    assert bpy.ops.stepsmith.map_load_preset(filepath=str(folder / "zoe.json")) == {"FINISHED"}
    loaded, saved = rooms.storage.map_of(other), rooms.storage.map_of(mapped)
    assert dict(loaded.bones) == dict(saved.bones)
    assert dict(loaded.pose) == {"head": (1.0, 0.0, 0.0, 0.0)}


@pytest.mark.parametrize("text", ["", "[1, 2", '{"bones": 3}', '{"bones": {"head": "nose"}}', "\0\1\2"])
def test_a_broken_preset_is_refused_and_nothing_changes(
    rooms: Rooms, mapped: bpy.types.Object, tmp_path: Path, text: str
) -> None:
    before = rooms.storage.map_of(mapped)
    (tmp_path / "broken.json").write_text(text)
    with pytest.raises(RuntimeError):
        bpy.ops.stepsmith.map_load_preset(filepath=str(tmp_path / "broken.json"))
    with pytest.raises(RuntimeError):
        bpy.ops.stepsmith.map_load_preset(filepath=str(tmp_path / "not there.json"))
    assert rooms.storage.map_of(mapped) == before


def test_a_broken_map_is_not_saved(rooms: Rooms, mapped: bpy.types.Object, tmp_path: Path) -> None:
    mapped.stepsmith_map["left_knee"].bone = ""
    with pytest.raises(RuntimeError):
        bpy.ops.stepsmith.map_save_preset(filepath=str(tmp_path / "broken.json"))
    assert list(tmp_path.iterdir()) == []


def test_a_dance_goes_by_the_edited_map_and_refuses_a_broken_one(rooms: Rooms, mapped: bpy.types.Object) -> None:
    still = np.zeros((3, 24, 4))
    still[..., 0] = 1.0
    motion = rooms.motion.Motion(30.0, np.tile([0.0, 0.0, 0.9], (3, 1)), still, np.zeros((3, 4)))
    mapped.stepsmith_map["left_knee"].bone = "right_elbow"
    mapped.stepsmith_map["right_elbow"].bone = "left_knee"
    with pytest.raises(rooms.errors.RigError, match="does not hang below"):
        rooms.scene.apply_motion(bpy.context, mapped, motion)
    assert mapped.animation_data is None
    mapped.stepsmith_map["left_knee"].bone = "left_knee"
    mapped.stepsmith_map["right_elbow"].bone = "right_elbow"
    mapped.stepsmith_map["head"].bone = ""
    result = rooms.scene.apply_motion(bpy.context, mapped, motion)
    curves = (
        result.action.fcurves
        if hasattr(result.action, "fcurves")
        else result.action.layers[0].strips[0].channelbags[0].fcurves
    )
    keyed = {curve.data_path.split('"')[1] for curve in curves}
    assert keyed == set(rooms.storage.map_of(mapped).bones)
    assert "head" not in keyed
