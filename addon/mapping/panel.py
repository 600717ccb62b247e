"""The sidebar's panel of the bone map: a table to read and edit, presets, the check of the rest pose."""

from __future__ import annotations

from typing import Any

import bpy

from ...retarget.bone_maps import REQUIRED
from ...retarget.errors import RigError
from ..panel import draw_sentence
from ..sidebar import Sidebar
from .operators import is_matching
from .presets import presets
from .storage import LIKELY, NECK_SLOTS, SPINE_SLOTS, SURE, check_editable, has_map, read_facts, slots_of, spoken
from .target import armature_of, check
from .tpose import Stance

# From which width of the sidebar on, in pixels at scale 1, left and right stand side by side.
_WIDE = 420
# Limbs at most so many degrees from the T pose are in it.
_T_POSE = 8.0
_ARM = ("collar", "shoulder", "elbow", "wrist", "hand")
_LEG = ("hip", "knee", "ankle", "foot")


class STEPSMITH_PT_map(Sidebar, bpy.types.Panel):
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
        dancer = context.scene.stepsmith_settings.target
        other = "" if dancer in (None, armature) else f", not the dancer {dancer.name}"
        layout.label(text=f"{armature.name}{other}", icon="ARMATURE_DATA")
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
        try:
            check_editable(armature)
        except RigError as error:
            draw_sentence(layout, context, str(error), "INFO")
        if found.problem:
            draw_sentence(layout, context, found.problem, "ERROR")
        _draw_check(layout, context, found.stance)


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
        armature: Any = armature_of(context)  # poll saw to it
        layout.enabled = _is_editable(armature)
        slots = slots_of(armature)
        taking = armature.mode == "POSE"
        column = layout.column(align=True)
        _draw_slot(column, armature, "pelvis", taking)
        for chain in (SPINE_SLOTS, NECK_SLOTS):
            used = max((place for place, name in enumerate(chain, start=1) if slots[name].bone), default=0)
            for name in chain[: used + 1]:
                _draw_slot(column, armature, name, taking)
        _draw_slot(column, armature, "head", taking)

        wide = context.region.width / context.preferences.system.ui_scale > _WIDE
        for parts, limb in ((_ARM, "arm"), (_LEG, "leg")):
            grid = layout.row() if wide else layout
            for side in ("left", "right"):
                column = grid.column(align=True)
                head = column.row(align=True)
                head.label(text=f"{side.title()} {limb}")
                other = "right" if side == "left" else "left"
                head.operator("stepsmith.map_mirror", text="", icon="MOD_MIRROR").source = other
                for part in parts:
                    _draw_slot(column, armature, f"{side}_{part}", taking)


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
        armature: Any = armature_of(context)  # poll saw to it
        if is_matching(armature):
            meanwhile = ", without changing the frame" if armature.animation_data is not None else ""
            draw_sentence(layout, context, f"Correct the pose in Pose Mode{meanwhile}, then store it.", "INFO")
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


def _draw_without_map(layout: bpy.types.UILayout, context: bpy.types.Context, armature: bpy.types.Object) -> None:
    try:
        check_editable(armature)
    except RigError as error:
        draw_sentence(layout, context, f"Its bones are found anew for every dance. {error}", "INFO")
        return
    draw_sentence(layout, context, "Its bones are found anew for every dance. Detect them to see or edit them.", "INFO")
    row = layout.row()
    row.scale_y = 1.2
    row.operator("stepsmith.map_detect", text="Detect Bones", icon="VIEWZOOM")
    row = layout.row(align=True)
    row.operator("stepsmith.map_by_hand", text="By Hand")
    row.menu("STEPSMITH_MT_map_presets", text="Presets")


def _draw_check(layout: bpy.types.UILayout, context: bpy.types.Context, stance: Stance | None) -> None:
    shown = context.window_manager.stepsmith_rest_check
    row = layout.row(align=True)
    row.prop(shown, "show", toggle=True, icon="HIDE_OFF" if shown.show else "HIDE_ON")
    names = row.row(align=True)
    names.enabled = shown.show
    names.prop(shown, "labels", text="", toggle=True, icon="SORTALPHA")
    if stance is not None and (said := rest_pose(stance)):
        layout.label(text=said)


def rest_pose(stance: Stance) -> str:
    """How far from the T pose the limbs are at rest, in words; empty where that is not known."""
    off = []
    for limb, start, end in (("arms", "shoulder", "elbow"), ("legs", "hip", "knee")):
        turns = [stance.turned(f"{side}_{start}", f"{side}_{end}") for side in ("left", "right")]
        degrees = max((turn for turn in turns if turn is not None), default=None)
        if degrees is None:
            return ""
        if degrees > _T_POSE:
            off.append(f"{limb} {degrees:.0f}°")
    return f"Rest pose: {' and '.join(off)} from the T pose" if off else "Rest pose: T pose"


def _draw_slot(layout: bpy.types.UILayout, armature: bpy.types.Object, name: str, taking: bool) -> None:
    """A row: how sure the bone is and what it is of the body, the bone, and where ``taking`` an eyedropper."""
    slot = slots_of(armature)[name]
    split = layout.split(factor=0.38, align=True)
    label = split.row(align=True)
    icon = score_icon(armature, slot)
    label.operator("stepsmith.map_select_bone", text="", icon=icon, emboss=False).slot = name
    label.label(text=spoken(name).removeprefix("left ").removeprefix("right ").capitalize())
    row = split.row(align=True)
    row.prop_search(slot, "bone", armature.data, "bones", text="")
    if taking:
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
