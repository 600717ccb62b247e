"""What the panel's buttons do."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ..retarget.errors import RigError, StepsmithError
from . import preferences, session
from .armature import chosen_map, read_rig
from .character import make_character, set_mode
from .controls import must_begin, told_of
from .dance_task import Dance, Request, is_there
from .keys import check_place
from .properties import AUTOMATIC, StepsmithSettings
from .scene import DanceResult, Options, apply_motion
from .steering import chosen_controls, first_frame

_MOTION_FILES = "*.npz;*.pkl;*.bvh"


class STEPSMITH_OT_choose_song(bpy.types.Operator):
    """Choose the song to dance to"""

    bl_idname = "stepsmith.choose_song"
    bl_label = "Choose Song"
    bl_options = {"INTERNAL", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})
    filter_sound: BoolProperty(default=True, options={"HIDDEN"})
    filter_movie: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        self.filepath = bpy.path.abspath(context.scene.stepsmith_settings.song)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.stepsmith_settings.song = self.filepath
        return {"FINISHED"}


class STEPSMITH_OT_roll_seed(bpy.types.Operator):
    """Take a random seed, for another dance to the same song"""

    bl_idname = "stepsmith.roll_seed"
    bl_label = "Random Seed"
    bl_options = {"INTERNAL", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.stepsmith_settings.seed = random.randrange(10_000)
        return {"FINISHED"}


class STEPSMITH_OT_generate(bpy.types.Operator):
    """Make a dance for the song and put it on the dancer. Blender stays usable meanwhile"""

    bl_idname = "stepsmith.generate"
    bl_label = "Generate Dance"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_generate(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings: StepsmithSettings = context.scene.stepsmith_settings
        try:
            # All that can be wrong here is said now, not after a minute of work.
            target = chosen_target(context)
            place = place_of(context, target)
            request = replace(chosen_request(settings), controls=chosen_controls(context, target))
            session.current.begin(preferences.connection(), request, place)
        except StepsmithError as error:
            return failed(self, error)
        return {"FINISHED"}


class STEPSMITH_OT_cancel(bpy.types.Operator):
    """Stop making this dance. Nothing in the scene changes"""

    bl_idname = "stepsmith.cancel"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return session.current.task is not None

    def execute(self, _context: bpy.types.Context) -> set[str]:
        session.current.cancel()
        return {"FINISHED"}


class STEPSMITH_OT_apply_dance(bpy.types.Operator):
    """Put the last dance that was made on the dancer chosen above, in this scene"""

    bl_idname = "stepsmith.apply_dance"
    bl_label = "Apply Last Dance"
    bl_options = {"REGISTER", "UNDO"}

    armature: IntProperty(
        name="Armature",
        description="session_uid of the armature, 0 for a new character, -1 for the one chosen in the panel",
        default=session.PANEL_TARGET,
        options={"HIDDEN", "SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not session.current.has_last_dance():
            cls.poll_message_set("No dance was made yet")
            return False
        return _right_mode(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            dance = session.current.last_dance()
            if dance is None:
                raise StepsmithError("The last dance's file can't be read any more: generate it again.")
            if self.armature == session.PANEL_TARGET:
                target = chosen_target(context)
            elif self.armature == session.NEW_CHARACTER:
                target = None
            else:
                target = session.find_armature(context.scene, self.armature)
                if target is None:
                    raise RigError("The armature of this dance was deleted: choose another one.")
            armature, result = apply_dance(context, dance, target)
        except StepsmithError as error:
            return failed(self, error)
        session.current.last_at = session.Applied(context.scene.session_uid, result.frames[0], result.fps)
        return _applied(self, armature, result)


class STEPSMITH_OT_load_motion(bpy.types.Operator, ImportHelper):
    """Put a motion file (.npz, .pkl or .bvh) on the dancer. Works without the backend"""

    bl_idname = "stepsmith.load_motion"
    bl_label = "Load Motion File"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: StringProperty(default=_MOTION_FILES, options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _right_mode(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            dance = session.read_dance(Path(self.filepath))
            armature, result = apply_dance(context, dance, chosen_target(context))
        except StepsmithError as error:
            return failed(self, error)
        return _applied(self, armature, result)


class STEPSMITH_OT_dismiss(bpy.types.Operator):
    """Hide this message"""

    bl_idname = "stepsmith.dismiss"
    bl_label = "Hide Message"
    bl_options = {"INTERNAL"}

    def execute(self, _context: bpy.types.Context) -> set[str]:
        session.current.error = session.current.note = ""
        return {"FINISHED"}


def chosen_request(settings: StepsmithSettings) -> Request:
    """What the panel asks to be danced. Raises StepsmithError where the song is not there."""
    song = Path(bpy.path.abspath(settings.song))
    if not is_there(song):
        raise StepsmithError(f"The song {settings.song} is not there: choose another file.")
    return Request(
        song=song,
        genre=None if settings.genre == AUTOMATIC else settings.genre,
        seed=settings.seed,
        start=settings.start,
        duration=settings.duration or None,
        bpm=settings.bpm or None,
        meter=settings.meter or None,
    )


def chosen_target(context: bpy.types.Context) -> bpy.types.Object | None:
    """The armature chosen in the panel, None for a new character. Raises RigError where it is deleted.

    A deleted object stays in the file while something points at it, here the panel's own property.
    """
    target = context.scene.stepsmith_settings.target
    if target is not None and session.find_armature(context.scene, target.session_uid) is None:
        raise RigError(f"{target.name} is not in this scene any more: choose another armature, or none.")
    return target


def place_of(context: bpy.types.Context, target: bpy.types.Object | None) -> session.Place:
    """Where a dance of ``target`` goes. Raises StepsmithError where it can't dance as the panel says."""
    if target is not None:
        check_place(target, context.scene.stepsmith_settings.into)
        chosen_map(target, read_rig(target))
    return session.Place(
        scene=context.scene.session_uid,
        armature=session.NEW_CHARACTER if target is None else target.session_uid,
        armature_name="" if target is None else target.name,
    )


def chosen_options(context: bpy.types.Context) -> Options:
    """How the panel says that motions become keys."""
    settings: StepsmithSettings = context.scene.stepsmith_settings
    cursor = context.scene.cursor.location
    return Options(
        feet=settings.feet,
        root=settings.root,
        start=(cursor.x, cursor.y) if settings.at_cursor else None,
        heading=settings.heading if settings.turned else None,
        reach=settings.reach,
        mirror=settings.mirror,
        key_error=(math.degrees(settings.key_degrees), settings.key_millimetres) if settings.reduced else None,
        into=settings.into,
        blend_frames=settings.blend_frames,
        repeat=settings.repeat,
    )


def apply_dance(
    context: bpy.types.Context,
    dance: Dance,
    target: bpy.types.Object | None,
    options_for: Callable[[bpy.types.Object], Options] | None = None,
) -> tuple[bpy.types.Object, DanceResult]:
    """Put a dance on the armature, or on a new character, who becomes the scene's chosen dancer.

    ``options_for``: how, for that armature; as the panel says where None.
    Raises StepsmithError where it can't be done; the scene is as before then.
    """
    settings: StepsmithSettings = context.scene.stepsmith_settings
    song = dance.song_at_hand  # one that went away since is no reason to lose its dance
    with _made_or_unmade(context, target) as armature:
        options = chosen_options(context) if options_for is None else options_for(armature)
        if target is None:  # who has no action for a slot or to blend into
            options = replace(options, into="action")
        result = apply_motion(
            context,
            armature,
            dance.motion,
            song=song,
            song_start=dance.start,
            start_frame=must_begin(dance.motion, first_frame(context.scene, options.into)),
            options=options,
        )
    settings.target = armature
    result = replace(result, notes=(*result.notes, *told_of(dance.motion)))
    if dance.song is not None and song is None:
        warning = f"The song {dance.song} is gone, so the dance has no sound strip."
        result = replace(result, warnings=(*result.warnings, warning))
    return armature, result


@contextlib.contextmanager
def _made_or_unmade(context: bpy.types.Context, target: bpy.types.Object | None) -> Iterator[bpy.types.Object]:
    """The armature, or a new character where None; on an exception nothing is left of that one, and selection,
    active object and mode, which making it changes, are as before."""
    if target is not None:
        yield target
        return
    objects = context.view_layer.objects
    chosen, active = list(objects.selected), objects.active
    mode = "OBJECT" if active is None else active.mode
    armature = make_character(context)
    try:
        yield armature
    except Exception:
        made = [armature, *armature.children_recursive]
        materials = [slot.material for ob in made for slot in ob.material_slots]
        bpy.data.batch_remove([*made, *(ob.data for ob in made), *materials])
        for ob in objects:
            ob.select_set(ob in chosen)
        objects.active = active
        if mode != "OBJECT":
            set_mode(context, active, mode)
        raise


def can_generate(operator: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Whether a dance can be asked for now; if not, the operator says why."""
    if session.current.task is not None:
        operator.poll_message_set("A dance is being made")
        return False
    if not context.scene.stepsmith_settings.song:
        operator.poll_message_set("Choose a song first")
        return False
    return True


def _right_mode(operator: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    if context.mode in ("OBJECT", "POSE"):
        return True
    operator.poll_message_set("Go to Object Mode or Pose Mode first")
    return False


def _applied(operator: bpy.types.Operator, armature: bpy.types.Object, result: DanceResult) -> set[str]:
    session.current.error, session.current.note = "", " ".join(result.told)
    first, last = result.frames
    operator.report({"INFO"}, f"{armature.name} dances from frame {first} to {last}")
    return {"FINISHED"}


def failed(operator: bpy.types.Operator, error: StepsmithError) -> set[str]:
    """Say an error where the user looks: in the panel, where it stays, and in the status bar."""
    session.current.error = str(error)
    operator.report({"ERROR"}, str(error))
    return {"CANCELLED"}
