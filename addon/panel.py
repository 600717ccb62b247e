"""The sidebar panel: 3D view, tab "Stepsmith"."""

from __future__ import annotations

import bpy
from blf import dimensions, size  # the bpy module brings it, so not before that

from . import session
from .backend_process import INSTALL_COMMAND
from .dance_task import Status
from .sidebar import Sidebar

# Tabs, icon, button and margins beside a message in the sidebar, pixels at scale 1.
_BESIDE_TEXT = 125
_NARROWEST = 100


class STEPSMITH_PT_dance(Sidebar, bpy.types.Panel):
    bl_idname = "STEPSMITH_PT_dance"
    bl_label = "Dance"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = context.scene.stepsmith_settings

        row = layout.row(align=True)
        row.prop(settings, "song", placeholder="Sound or video file")
        row.operator("stepsmith.choose_song", text="", icon="FILE_FOLDER")
        layout.prop(settings, "target", placeholder="New character")
        layout.prop(settings, "genre")
        row = layout.row(align=True)
        row.prop(settings, "seed")
        row.operator("stepsmith.roll_seed", text="", icon="FILE_REFRESH")

        status = session.current.status
        if status is None or session.current.captures:
            row = layout.row()
            row.scale_y = 1.5
            row.operator("stepsmith.generate", icon="PLAY")
        else:
            draw_progress(layout, status)
        for text, icon in ((session.current.note, "INFO"), (session.current.error, "ERROR")):
            if text and not session.current.settling:
                row = draw_sentence(layout, context, text, icon)
                row.operator("stepsmith.dismiss", text="", icon="X", emboss=False)
        if INSTALL_COMMAND in session.current.error:
            layout.operator("stepsmith.copy_install_command", icon="COPYDOWN")

        column = layout.column(align=True)
        if session.current.has_last_dance():
            column.operator("stepsmith.apply_dance", icon="ARMATURE_DATA")
        column.operator("stepsmith.load_motion", icon="IMPORT")


class STEPSMITH_PT_options(Sidebar, bpy.types.Panel):
    bl_idname = "STEPSMITH_PT_options"
    bl_parent_id = "STEPSMITH_PT_dance"
    bl_label = "Options"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = context.scene.stepsmith_settings
        column = layout.column(align=True)
        column.prop(settings, "start")
        column.prop(settings, "duration")
        column = layout.column(align=True)
        column.prop(settings, "bpm")
        column.prop(settings, "meter")
        column = layout.column(align=True)
        column.prop(settings, "feet")
        column.prop(settings, "root")
        column = layout.column()
        column.prop(settings, "mirror")
        column.prop(settings, "reach")
        column.prop(settings, "at_cursor")
        row = column.row(heading="Heading")
        row.prop(settings, "turned", text="")
        value = row.row()
        value.active = settings.turned
        value.prop(settings, "heading", text="")
        column = layout.column()
        column.prop(settings, "into")
        if settings.into == "blend":
            column.prop(settings, "blend_frames")
        if settings.into in ("action", "slot"):
            column.prop(settings, "repeat")
        column.prop(settings, "reduced")
        if settings.reduced:
            errors = column.column(align=True)
            errors.prop(settings, "key_degrees")
            errors.prop(settings, "key_millimetres")


class STEPSMITH_PT_backend(Sidebar, bpy.types.Panel):
    bl_idname = "STEPSMITH_PT_backend"
    bl_parent_id = "STEPSMITH_PT_dance"
    bl_label = "Backend"

    def draw(self, _context: bpy.types.Context) -> None:
        row = self.layout.row()
        row.label(text=session.current.backend.state)
        row.operator("stepsmith.open_preferences", text="", icon="PREFERENCES")


def time_left(seconds: float) -> str:
    """Seconds as people say them.

    >>> time_left(12.4), time_left(75), time_left(7300)
    ('12 s left', '1 min 15 s left', '2 h 1 min left')
    """
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s left"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s left"
    return f"{whole // 3600} h {whole % 3600 // 60} min left"


def draw_progress(layout: bpy.types.UILayout, status: Status) -> None:
    left = "" if status.eta is None else f", {time_left(status.eta)}"
    row = layout.row(align=True)
    row.scale_y = 1.5
    row.progress(factor=status.fraction, text=f"{status.fraction:.0%}{left}")
    row.operator("stepsmith.cancel", text="", icon="CANCEL")
    layout.label(text=status.text)


def wrapped(context: bpy.types.Context, text: str) -> list[str]:
    """A text as lines that fit into the sidebar beside an icon; a word that is too long alone is cut."""
    scale, style = context.preferences.system.ui_scale, context.preferences.ui_styles[0].widget
    size(0, style.points * scale)
    room = max(context.region.width - _BESIDE_TEXT * scale, _NARROWEST * scale)
    lines = [""]
    for word in text.split():
        line = f"{lines[-1]} {word}".lstrip()
        if _width(line) <= room:
            lines[-1] = line
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and _width(lines[-1] + letter) > room:
                lines.append("")
            lines[-1] += letter
    return lines


def _width(text: str) -> float:
    """Of a line in the interface's font, pixels."""
    return float(dimensions(0, text)[0])


def draw_sentence(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str) -> bpy.types.UILayout:
    """A sentence in as many lines as the sidebar's width asks for; its row, for a button at the end."""
    row = layout.box().row()
    row.label(text="", icon=icon)
    column = row.column()
    column.scale_y = 0.8
    for line in wrapped(context, text):
        column.label(text=line)
    return row
