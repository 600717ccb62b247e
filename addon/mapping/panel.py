"""The sidebar's panel of the bone map: a table to read and edit, presets, the check of the rest pose."""

from __future__ import annotations

import textwrap
from typing import Any

import bpy

from ...retarget.bone_maps import REQUIRED
from ...retarget.errors import RigError
from .operators import is_matching
from .presets import presets
from .storage import LIKELY, NECK_SLOTS, SPINE_SLOTS, SURE, check_editable, has_map, read_facts, slots_of
from .target import armature_of, check

_ARM = ("collar", "shoulder", "elbow", "wrist", "hand")
_LEG = ("hip", "knee", "ankle", "foot")


class STEPSMITH_PT_map(bpy.types.Panel):
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Stepsmith"
    bl_idname = "STEPSMITH_PT_map"
    bl_label = "Rig"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 10  # below the dance

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        armature = armature_of(context)
        if armature is None:
            layout.label(text="Select an armature", icon="INFO")
            return
        layout.label(text=armature.name, icon="ARMATURE_DATA")
        if not has_map(armature):
            _draw_without_map(layout, context, armature)
            return
        facts = read_facts(armature)
        found = check(armature)
        origin = facts["convention"] + (", edited" if facts["edited"] else f", {facts['confidence']:.0%} sure")
        row = layout.row(align=True)
        row.label(text=origin)
        row.operator("stepsmith.map_detect", text="", icon="FILE_REFRESH")
        row.menu("STEPSMITH_MT_map_presets", text="", icon="PRESET")
        row.operator("stepsmith.map_clear", text="", icon="X")
        if found.problem:
            draw_sentence(layout, context, found.problem, "ERROR")
        _draw_check(layout, context, armature)


class STEPSMITH_PT_map_table(bpy.types.Panel):
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_idname = "STEPSMITH_PT_map_table"
    bl_parent_id = "STEPSMITH_PT_map"
    bl_label = "Bones"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        armature = armature_of(context)
        return armature is not None and has_map(armature)

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        armature = armature_of(context)
        layout.enabled = _is_editable(armature)
        slots = slots_of(armature)
        column = layout.column(align=True)
        _draw_slot(column, armature, "pelvis")
        for chain in (SPINE_SLOTS, NECK_SLOTS):
            used = max((place for place, name in enumerate(chain, start=1) if slots[name].bone), default=0)
            for name in chain[: used + 1]:
                _draw_slot(column, armature, name)
        _draw_slot(column, armature, "head")

        row = layout.row(align=True)
        row.label(text="Left")
        row.operator("stepsmith.map_mirror", text="", icon="FORWARD").source = "left"
        row.operator("stepsmith.map_mirror", text="", icon="BACK").source = "right"
        right = row.row()
        right.alignment = "RIGHT"
        right.label(text="Right")
        for parts in (_ARM, _LEG):
            column = layout.column(align=True)
            for part in parts:
                _draw_pair(column, armature, part)


class STEPSMITH_PT_map_pose(bpy.types.Panel):
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_idname = "STEPSMITH_PT_map_pose"
    bl_parent_id = "STEPSMITH_PT_map"
    bl_label = "Match the T Pose"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        armature = armature_of(context)
        return armature is not None and has_map(armature)

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        armature = armature_of(context)
        if is_matching(armature):
            draw_sentence(layout, context, "Correct the pose in Pose Mode, then store it.", "INFO")
            row = layout.row(align=True)
            row.operator("stepsmith.map_store_pose", icon="CHECKMARK")
            row.operator("stepsmith.map_cancel_pose", text="Cancel", icon="X")
            return
        stored = len(read_facts(armature)["pose"])
        said = "From a pose you stored" if stored else "From the rest pose, found by Stepsmith"
        layout.label(text=said)
        column = layout.column(align=True)
        column.operator("stepsmith.map_match_pose", icon="ARMATURE_DATA")
        column.operator("stepsmith.map_store_pose", text="Store Pose as It Is", icon="CHECKMARK")
        if stored:
            column.operator("stepsmith.map_clear_pose", icon="X")


class STEPSMITH_MT_map_presets(bpy.types.Menu):
    """Bone maps kept as files, for other armatures of the same kind"""

    bl_idname = "STEPSMITH_MT_map_presets"
    bl_label = "Bone Map Presets"

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator_context = "EXEC_DEFAULT"
        for path in presets():
            layout.operator("stepsmith.map_load_preset", text=path.stem, icon="NONE").filepath = str(path)
        if presets():
            layout.separator()
        layout.operator_context = "INVOKE_DEFAULT"
        layout.operator("stepsmith.map_save_preset", text="Save Preset...", icon="EXPORT")
        layout.operator("stepsmith.map_load_preset", text="Load Preset...", icon="IMPORT")


def draw_sentence(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str) -> None:
    """A sentence in as many lines as the sidebar's width asks for."""
    row = layout.box().row()
    row.label(text="", icon=icon)
    column = row.column()
    column.scale_y = 0.8
    # A letter of the interface's font is about 6.5 pixels wide at scale 1; icons and margins take 70.
    letters = (context.region.width / context.preferences.system.ui_scale - 70) / 6.5
    for line in textwrap.wrap(text, max(int(letters), 16)):
        column.label(text=line)


def _draw_without_map(layout: bpy.types.UILayout, context: bpy.types.Context, armature: bpy.types.Object) -> None:
    try:
        check_editable(armature)
    except RigError as error:
        draw_sentence(layout, context, f"Its bones are found anew for every dance. {error}", "INFO")
        return
    draw_sentence(
        layout, context, "Its bones are found anew for every dance. Detect them to see or edit them.", "INFO"
    )
    row = layout.row()
    row.scale_y = 1.2
    row.operator("stepsmith.map_detect", text="Detect Bones", icon="VIEWZOOM")
    row = layout.row(align=True)
    row.operator("stepsmith.map_by_hand", text="By Hand")
    row.menu("STEPSMITH_MT_map_presets", text="Presets")


def _draw_check(layout: bpy.types.UILayout, context: bpy.types.Context, armature: bpy.types.Object) -> None:
    shown = context.window_manager.stepsmith_rest_check
    row = layout.row(align=True)
    row.prop(shown, "show", toggle=True, icon="HIDE_OFF" if shown.show else "HIDE_ON")
    labels = row.row(align=True)
    labels.enabled = shown.show
    labels.prop(shown, "labels", text="", toggle=True, icon="SORTALPHA")


def _draw_pair(layout: bpy.types.UILayout, armature: bpy.types.Object, part: str) -> None:
    row = layout.row(align=True)
    for side in ("left", "right"):
        _draw_slot(row.row(align=True), armature, f"{side}_{part}")


def _draw_slot(layout: bpy.types.UILayout, armature: bpy.types.Object, name: str) -> None:
    slot = slots_of(armature)[name]
    row = layout.row(align=True)
    row.operator("stepsmith.map_select_bone", text="", icon=score_icon(armature, slot), emboss=False).slot = name
    row.prop_search(slot, "bone", armature.data, "bones", text="", icon="BONE_DATA")
    row.operator("stepsmith.map_take_bone", text="", icon="EYEDROPPER").slot = name


def score_icon(armature: bpy.types.Object, slot: Any) -> str:
    """Green where the bone is sure, yellow where it is likely, red where it is doubtful, not there or missed."""
    if not slot.bone:
        return "ERROR" if slot.name in REQUIRED else "RADIOBUT_OFF"
    if slot.bone not in armature.data.bones:
        return "ERROR"
    return "COLORSET_03_VEC" if slot.score >= SURE else "COLORSET_09_VEC" if slot.score >= LIKELY else "COLORSET_01_VEC"


def _is_editable(armature: bpy.types.Object) -> bool:
    try:
        check_editable(armature)
    except RigError:
        return False
    return True
