"""What the buttons of the bone map do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from ...retarget.bone_maps import BoneMap, check_map, find_map, mirrored
from ...retarget.bone_maps.preset import load_map, save_map
from ...retarget.errors import RigError, StepsmithError
from ...retarget.skeleton import SMPL_NAMES
from ..armature import read_rig
from .posing import read_pose, read_state, show_pose, write_state
from .presets import SUFFIX, presets_folder
from .storage import (
    StepsmithBone,
    check_editable,
    clear_map,
    has_map,
    keep_map,
    kept_map,
    read_facts,
    slots_of,
    spoken,
    write_facts,
)
from .target import armature_of
from .tpose import t_pose


class _OnArmature(bpy.types.Operator):
    """An operator on the armature that the panel shows; ``work`` does it and returns what to report."""

    needs_map = True

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        armature = armature_of(context)
        if armature is None:
            cls.poll_message_set("Select an armature first")
            return False
        if cls.needs_map and not has_map(armature):
            cls.poll_message_set("Detect the bone map first")
            return False
        if context.mode == "EDIT_ARMATURE":
            cls.poll_message_set("Leave Edit Mode first")
            return False
        return cls.allowed(armature)

    @classmethod
    def allowed(cls, armature: bpy.types.Object) -> bool:
        """Whether it can be done to ``armature``; says why not by ``poll_message_set``."""
        try:
            check_editable(armature)
        except RigError as error:
            cls.poll_message_set(str(error))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        armature = armature_of(context)
        context.view_layer.update()  # matrix_world of an object made just now
        try:
            said = self.work(context, armature)
        except StepsmithError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if said:
            self.report({"INFO"}, said)
        return {"FINISHED"}

    def work(self, context: bpy.types.Context, armature: bpy.types.Object) -> str:
        """Do it. Raises StepsmithError, with nothing changed, where it can't be done."""
        raise NotImplementedError


class STEPSMITH_OT_map_detect(_OnArmature):
    """Find out which bone moves which part of the body, by names and by the armature's build. Replaces the map"""

    bl_idname = "stepsmith.map_detect"
    bl_label = "Detect"
    bl_options = {"REGISTER", "UNDO"}
    needs_map = False

    def work(self, _context: bpy.types.Context, armature: bpy.types.Object) -> str:
        bone_map = find_map(read_rig(armature))
        keep_map(armature, bone_map)
        return f"{bone_map.convention}: {len(bone_map.bones)} bones mapped, {bone_map.confidence:.0%} sure"


class STEPSMITH_OT_map_by_hand(_OnArmature):
    """Start with an empty map and choose the bones yourself"""

    bl_idname = "stepsmith.map_by_hand"
    bl_label = "Map by Hand"
    bl_options = {"REGISTER", "UNDO"}
    needs_map = False

    def work(self, _context: bpy.types.Context, armature: bpy.types.Object) -> str:
        keep_map(armature, BoneMap("by hand", {}, 0.0, SMPL_NAMES), edited=True)
        return ""


class STEPSMITH_OT_map_clear(_OnArmature):
    """Forget this map and its stored pose. The bones are then found anew for every dance"""

    bl_idname = "stepsmith.map_clear"
    bl_label = "Clear"
    bl_options = {"REGISTER", "UNDO"}

    def work(self, _context: bpy.types.Context, armature: bpy.types.Object) -> str:
        _put_back(armature)
        clear_map(armature)
        return ""


class STEPSMITH_OT_map_mirror(_OnArmature):
    """Fill one side of the map with the partners of the other side's bones"""

    bl_idname = "stepsmith.map_mirror"
    bl_label = "Mirror"
    bl_options = {"REGISTER", "UNDO"}

    source: EnumProperty(
        name="From",
        description="The side that is right already",
        items=[
            ("left", "Left to Right", "The left side is right: find the right side's bones"),
            ("right", "Right to Left", "The right side is right: find the left side's bones"),
        ],
    )

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: Any) -> str:
        other = "right" if properties.source == "left" else "left"
        return f"Fill the {other} side of the map with the partners of the {properties.source} side's bones"

    def work(self, _context: bpy.types.Context, armature: bpy.types.Object) -> str:
        keep_map(armature, mirrored(read_rig(armature), kept_map(armature), self.source), edited=True)
        return ""


class _OnSlot(_OnArmature):
    slot: StringProperty(name="Part", description="The part of the body, as “left_knee” or “spine_2”")

    def work(self, context: bpy.types.Context, armature: bpy.types.Object) -> str:
        if self.slot not in slots_of(armature):
            raise RigError(f"The map has no part “{self.slot}”: name one as “left_knee” or “spine_2”.")
        return self.work_on(context, armature, slots_of(armature)[self.slot])

    def work_on(self, context: bpy.types.Context, armature: bpy.types.Object, slot: StepsmithBone) -> str:
        """Do it. Raises StepsmithError, with nothing changed, where it can't be done."""
        raise NotImplementedError


class STEPSMITH_OT_map_take_bone(_OnSlot):
    """Map the active bone to this part of the body"""

    bl_idname = "stepsmith.map_take_bone"
    bl_label = "Take Active Bone"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    @classmethod
    def description(cls, context: bpy.types.Context, properties: Any) -> str:
        armature = armature_of(context)
        active = None if armature is None else armature.data.bones.active
        what = "the active bone" if active is None else f"the active bone, “{active.name}”,"
        return f"Take {what} for the {spoken(properties.slot)}"

    @classmethod
    def allowed(cls, armature: bpy.types.Object) -> bool:
        if armature.data.bones.active is None:
            cls.poll_message_set("Select a bone in Pose Mode first")
            return False
        return super().allowed(armature)

    def work_on(self, _context: bpy.types.Context, armature: bpy.types.Object, slot: StepsmithBone) -> str:
        slot.bone = armature.data.bones.active.name
        return ""


class STEPSMITH_OT_map_select_bone(_OnSlot):
    """Select the bone in Pose Mode"""

    bl_idname = "stepsmith.map_select_bone"
    bl_label = "Select Bone"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    @classmethod
    def description(cls, context: bpy.types.Context, properties: Any) -> str:
        armature = armature_of(context)
        slot = None if armature is None else slots_of(armature).get(properties.slot)
        if slot is None or not slot.bone:
            return f"No bone is mapped to the {_both_names(properties.slot)}"
        part = _both_names(properties.slot)
        return f"The {part} is “{slot.bone}”, {slot.score:.0%} sure. Click to select it in Pose Mode"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode not in ("OBJECT", "POSE"):
            cls.poll_message_set("Go to Object Mode or Pose Mode first")
            return False
        return super().poll(context)

    @classmethod
    def allowed(cls, armature: bpy.types.Object) -> bool:
        return True

    def work_on(self, context: bpy.types.Context, armature: bpy.types.Object, slot: StepsmithBone) -> str:
        if not slot.bone:
            raise RigError(f"The {spoken(slot.name)} has no bone: choose one first.")
        bone = armature.data.bones.get(slot.bone)
        if bone is None:
            raise RigError(f"The armature has no bone “{slot.bone}”: choose another one.")
        if not armature.visible_get():
            raise RigError(f"{armature.name} is hidden: show it first.")
        if context.view_layer.objects.active != armature or context.mode != "POSE":
            if context.mode != "OBJECT":
                bpy.ops.object.mode_set(mode="OBJECT")
            context.view_layer.objects.active = armature
            armature.select_set(True)
            bpy.ops.object.mode_set(mode="POSE")
        for other in armature.pose.bones:
            # Selection is the pose bone's since 5.0.
            owner = other if hasattr(other, "select") else other.bone
            owner.select = other.name == bone.name
        armature.data.bones.active = bone
        return ""


class STEPSMITH_OT_map_save_preset(_OnArmature, ExportHelper):
    """Save the map, with its stored pose, as a file for other armatures of this kind"""

    bl_idname = "stepsmith.map_save_preset"
    bl_label = "Save Preset"

    filename_ext = SUFFIX
    filepath: StringProperty(name="File", description="The preset, a .json file", subtype="FILE_PATH")
    filter_glob: StringProperty(default=f"*{SUFFIX}", options={"HIDDEN"})

    @classmethod
    def allowed(cls, armature: bpy.types.Object) -> bool:
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self.filepath:
            armature: Any = armature_of(context)  # poll saw to it
            self.filepath = str(_made_folder() / bpy.path.clean_name(armature.name))
        return super().invoke(context, event)

    def work(self, _context: bpy.types.Context, armature: bpy.types.Object) -> str:
        bone_map = kept_map(armature)
        check_map(read_rig(armature), bone_map)
        path = Path(bpy.path.abspath(self.filepath))
        save_map(path, bone_map)
        return f"Saved {path.name}"


class STEPSMITH_OT_map_load_preset(_OnArmature, ImportHelper):
    """Take the map from a file that was saved for an armature of this kind. Replaces the map"""

    bl_idname = "stepsmith.map_load_preset"
    bl_label = "Load Preset"
    bl_options = {"REGISTER", "UNDO"}
    needs_map = False

    filepath: StringProperty(name="File", description="The preset, a .json file", subtype="FILE_PATH")
    filter_glob: StringProperty(default=f"*{SUFFIX}", options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self.filepath:
            self.filepath = str(_made_folder()) + os.sep
        return super().invoke(context, event)

    def work(self, _context: bpy.types.Context, armature: bpy.types.Object) -> str:
        path = Path(bpy.path.abspath(self.filepath))
        bone_map = load_map(path, read_rig(armature))
        keep_map(armature, bone_map, edited=True)
        return f"{path.stem}: {len(bone_map.bones)} bones mapped"


class _OnPose(_OnArmature):
    @classmethod
    def allowed(cls, armature: bpy.types.Object) -> bool:
        if armature.data.pose_position == "REST":
            cls.poll_message_set("Switch the armature to Pose Position first")
            return False
        return super().allowed(armature)


class STEPSMITH_OT_map_match_pose(_OnPose):
    """Pose the armature as Stepsmith takes the T pose to be, for you to correct by hand. Nothing is keyed"""

    bl_idname = "stepsmith.map_match_pose"
    bl_label = "Match T Pose"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene.tool_settings.use_keyframe_insert_auto:
            cls.poll_message_set("Switch Auto Keying off first: it would key what you correct")
            return False
        return super().poll(context)

    def work(self, _context: bpy.types.Context, armature: bpy.types.Object) -> str:
        rig, bone_map = read_rig(armature), kept_map(armature)
        check_map(rig, bone_map)
        pose = t_pose(rig, bone_map)
        if not is_matching(armature):
            write_facts(armature, before=read_state(armature, pose.switches))
        show_pose(armature, pose)
        return "Correct the pose by hand, then store it"


class STEPSMITH_OT_map_store_pose(_OnPose):
    """Store the pose the armature shows as its T pose"""

    bl_idname = "stepsmith.map_store_pose"
    bl_description = (
        "Store the pose the armature shows as its T pose: dances then start from it, not from the rest pose. "
        "A pose that was matched goes back to what it was before"
    )
    bl_label = "Store Pose"
    bl_options = {"REGISTER", "UNDO"}

    def work(self, _context: bpy.types.Context, armature: bpy.types.Object) -> str:
        write_facts(armature, pose=read_pose(armature, kept_map(armature)))
        _put_back(armature)
        return "Stored: dances start from this pose"


class STEPSMITH_OT_map_cancel_pose(_OnPose):
    """Put the armature back to the pose it had before, and store nothing"""

    bl_idname = "stepsmith.map_cancel_pose"
    bl_label = "Cancel Matching"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def allowed(cls, armature: bpy.types.Object) -> bool:
        if not is_matching(armature):
            cls.poll_message_set("No T pose is being matched")
            return False
        return super().allowed(armature)

    def work(self, _context: bpy.types.Context, armature: bpy.types.Object) -> str:
        _put_back(armature)
        return ""


class STEPSMITH_OT_map_clear_pose(_OnArmature):
    """Forget the stored pose: dances start from the rest pose again"""

    bl_idname = "stepsmith.map_clear_pose"
    bl_label = "Clear Stored Pose"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def allowed(cls, armature: bpy.types.Object) -> bool:
        if not read_facts(armature)["pose"]:
            cls.poll_message_set("No pose is stored")
            return False
        return super().allowed(armature)

    def work(self, _context: bpy.types.Context, armature: bpy.types.Object) -> str:
        write_facts(armature, pose={})
        return ""


def _both_names(slot: str) -> str:
    """A slot as the table calls it, and by the joint where it begins, as messages do.

    >>> _both_names("left_knee"), _both_names("head")
    ('left shin (left knee)', 'head')
    """
    part, joint = spoken(slot), slot.replace("_", " ")
    return part if part == joint else f"{part} ({joint})"


def is_matching(armature: bpy.types.Object) -> bool:
    """Whether the armature shows its T pose for the user to correct."""
    return has_map(armature) and read_facts(armature)["before"] is not None


def _put_back(armature: bpy.types.Object) -> None:
    """Pose the armature as it was before its T pose was matched; nothing where none was."""
    before = read_facts(armature)["before"]
    if before is not None:
        write_state(armature, before)
        write_facts(armature, before=None)


def _made_folder() -> Path:
    folder = presets_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # the file dialog then begins elsewhere
        return Path.home()
    return folder
