"""In the sidebar: the dancer of a video, captured and put on the dancer chosen above."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ..retarget.errors import StepsmithError
from . import preferences, session
from .capture_task import Problem, VideoRequest, begins, problems_of
from .dance_task import Dance, is_there
from .operators import chosen_target, failed, place_of
from .panel import draw_progress, wrapped
from .sidebar import Sidebar

_SHOWN = 12  # problems, at most


class VideoSettings(bpy.types.PropertyGroup):
    video: StringProperty(name="Video", description="The video of a dancer, of any kind; its sound comes along")
    person: IntProperty(
        name="Person",
        description="Whom to follow where there are several, counted from the left, those much smaller last. "
        "0: the most central one",
        min=0,
        max=100,
    )
    start: FloatProperty(
        name="Start",
        description="Where in the video the part to capture begins",
        min=0.0,
        soft_max=3600.0,
        unit="TIME_ABSOLUTE",
    )
    duration: FloatProperty(
        name="Duration",
        description="How long the part to capture is. 0: to the end of the video",
        min=0.0,
        soft_max=600.0,
        unit="TIME_ABSOLUTE",
    )


class STEPSMITH_OT_choose_video(bpy.types.Operator):
    """Choose the video of a dancer"""

    bl_idname = "stepsmith.choose_video"
    bl_label = "Choose Video"
    bl_options = {"INTERNAL", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})
    filter_movie: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        self.filepath = bpy.path.abspath(context.scene.stepsmith_video.video)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.stepsmith_video.video = self.filepath
        return {"FINISHED"}


class STEPSMITH_OT_capture_video(bpy.types.Operator):
    """Capture the video's dancer and put the movement on the dancer chosen above. Blender stays usable meanwhile"""

    bl_idname = "stepsmith.capture_video"
    bl_label = "Capture Dancer"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.current.task is not None:
            cls.poll_message_set("Another dance is being made")
            return False
        if not context.scene.stepsmith_video.video:
            cls.poll_message_set("Choose a video first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings: VideoSettings = context.scene.stepsmith_video
        try:
            # All that can be wrong here is said now, not after a minute of work.
            video = Path(bpy.path.abspath(settings.video)).absolute()
            if not is_there(video):
                raise StepsmithError(f"The video {settings.video} is not there: choose another file.")
            place = place_of(context, chosen_target(context))
            request = VideoRequest(video, settings.person or None, settings.start, settings.duration or None)
            session.current.begin(preferences.connection(), request, place)
        except StepsmithError as error:
            return failed(self, error)
        return {"FINISHED"}


class STEPSMITH_OT_go_to_problem(bpy.types.Operator):
    """Go to the frame at which this problem of the video begins"""

    bl_idname = "stepsmith.go_to_problem"
    bl_label = "Go to Problem"
    bl_options = {"INTERNAL"}

    frame: IntProperty(name="Frame", description="The frame to go to", options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        return f"Go to frame {properties.frame}, where this problem of the video begins"

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.frame_set(self.frame)
        return {"FINISHED"}


class STEPSMITH_PT_video(Sidebar, bpy.types.Panel):
    bl_idname = "STEPSMITH_PT_video"
    bl_parent_id = "STEPSMITH_PT_dance"
    bl_label = "From Video"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = context.scene.stepsmith_video
        row = layout.row(align=True)
        row.prop(settings, "video", placeholder="Video of a dancer")
        row.operator("stepsmith.choose_video", text="", icon="FILE_FOLDER")
        layout.prop(settings, "person")
        column = layout.column(align=True)
        column.prop(settings, "start")
        column.prop(settings, "duration")
        status = session.current.status
        if status is not None and session.current.captures:
            draw_progress(layout, status)
        else:
            row = layout.row()
            row.scale_y = 1.5
            row.operator("stepsmith.capture_video", icon="OUTLINER_OB_CAMERA")
        _draw_problems(layout, context)


def _draw_problems(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What was wrong with the video that the last dance was captured from, and when."""
    dance = session.current.last
    problems = [] if dance is None else problems_of(dance.motion)
    if dance is None or not problems or session.current.task is not None or session.current.settling:
        return
    at = session.current.last_at
    if at is not None and at.scene != context.scene.session_uid:
        return
    column = layout.box().column()
    for problem in problems[:_SHOWN]:
        row = column.row()
        lines = row.column()
        lines.scale_y = 0.8
        for k, line in enumerate(wrapped(context, problem.text)):
            lines.label(text=line, icon="BLANK1" if k else "ERROR")
        if at is not None:
            go = row.operator("stepsmith.go_to_problem", text="", icon="TIME", emboss=False)
            go.frame = _frame(problem, dance, at.first, at.fps)
    if len(problems) > _SHOWN:
        column.label(text=f"and {len(problems) - _SHOWN} more", icon="BLANK1")


def _frame(problem: Problem, dance: Dance, first: int, fps: float) -> int:
    """The scene's frame at which a problem begins; the nearest of the dance's, which begins at ``first``."""
    second = min(max(problem.start - begins(dance.motion), 0.0), dance.motion.duration)
    return first + min(round(second * fps), round(dance.motion.duration * fps) - 1)


CLASSES = (
    VideoSettings,
    STEPSMITH_OT_choose_video,
    STEPSMITH_OT_capture_video,
    STEPSMITH_OT_go_to_problem,
    STEPSMITH_PT_video,
)


def register() -> None:
    bpy.types.Scene.stepsmith_video = PointerProperty(type=VideoSettings)


def unregister() -> None:
    del bpy.types.Scene.stepsmith_video
