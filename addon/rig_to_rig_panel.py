"""In the sidebar: dances from another armature, and one dance for all that are selected."""

from __future__ import annotations

from dataclasses import replace

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, PointerProperty

from ..retarget.errors import StepsmithError
from . import preferences, session
from .armature import chosen_map, read_rig
from .controls import must_begin, ranking
from .crowd import dance_together, variations
from .dance_task import Dance, Request
from .keys import check_place
from .operators import can_generate, chosen_options, chosen_request, chosen_target
from .rig_to_rig import actions_of, retarget_action, retarget_actions
from .sidebar import Sidebar
from .steering import chosen_controls, first_frame

_FORMATIONS = [
    ("keep", "Where They Stand", "Each begins at its own place"),
    ("line", "Line", "Side by side, about the middle of all"),
    ("circle", "Circle", "Around the middle of all"),
]


def _may_be_source(self: RigToRigSettings, ob: bpy.types.Object) -> bool:
    return ob.type == "ARMATURE" and ob.name in self.id_data.objects


class RigToRigSettings(bpy.types.PropertyGroup):
    source: PointerProperty(
        name="Source", description="The armature to take the motion from", type=bpy.types.Object, poll=_may_be_source
    )
    action: PointerProperty(
        name="Action",
        description="The source's action to retarget. Empty: all that moves the source now, constraints too",
        type=bpy.types.Action,
    )
    every_action: BoolProperty(
        name="All Actions",
        description="Retarget each of the source's actions into a new one; the dancer keeps playing its own",
    )
    mirror: BoolProperty(name="Mirror Every Second", description="Every second dancer has left and right exchanged")
    delay: FloatProperty(
        name="Delay",
        description="How much later each dancer begins than the one before",
        min=0.0,
        soft_max=5.0,
        unit="TIME_ABSOLUTE",
    )
    formation: EnumProperty(name="Formation", description="Where the dancers begin", items=_FORMATIONS)
    spacing: FloatProperty(
        name="Spacing",
        description="How far apart neighbours in the formation begin",
        default=1.5,
        min=0.01,
        soft_max=10.0,
        unit="LENGTH",
    )


class STEPSMITH_OT_retarget_action(bpy.types.Operator):
    """Have the dancer chosen above do what the source armature does"""

    bl_idname = "stepsmith.retarget_action"
    bl_label = "Retarget"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene.stepsmith_rig_to_rig.source is None:
            cls.poll_message_set("Choose a source armature first")
            return False
        if context.scene.stepsmith_settings.target is None:
            cls.poll_message_set("Choose a dancer first")
            return False
        if context.mode not in ("OBJECT", "POSE"):
            cls.poll_message_set("Go to Object Mode or Pose Mode first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.scene.stepsmith_rig_to_rig
        source = settings.source
        try:
            target = chosen_target(context)
            assert target is not None  # poll has seen it
            # A deleted object stays in the file while something points at it, here the panel's own property.
            if session.find_armature(context.scene, source.session_uid) is None:
                raise StepsmithError(f"{source.name} is not in this scene any more: choose another source.")
            options = chosen_options(context)
            if not settings.every_action:
                result = retarget_action(context, source, target, settings.action, options=options)
                return _done(self, [f"{target.name} does what {source.name} does", *result.told], {})
            actions = actions_of(source)
            if not actions:
                raise StepsmithError(f"No action moves a bone of {source.name}: choose another source.")
            batch = retarget_actions(context, source, target, actions, options=options)
        except StepsmithError as error:
            return _failed(self, str(error))
        if not batch.results:
            return _failed(self, next(iter(batch.errors.values())))
        return _done(self, [f"{len(batch.results)} actions retargeted", *batch.told], batch.errors)


class STEPSMITH_OT_dance_together(bpy.types.Operator):
    """Put the last dance on all selected armatures, each with its own variation"""

    bl_idname = "stepsmith.dance_together"
    bl_label = "Dance With All Selected"
    bl_options = {"REGISTER", "UNDO"}

    each: BoolProperty(
        name="Another Dance Each",
        description="Put on each armature the dance that was made for it",
        options={"HIDDEN", "SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not session.current.has_last_dance():
            cls.poll_message_set("No dance was made yet")
            return False
        return context.mode in ("OBJECT", "POSE")

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.scene.stepsmith_rig_to_rig
        try:
            dances = _made_dances(context) if self.each else _last_dances(context)
            armatures, dance = [armature for armature, _ in dances], dances[0][1]
            places = [tuple(ob.matrix_world.translation[:2]) for ob in armatures]
            varied = variations(
                places,
                mirror=settings.mirror,
                delay=settings.delay,
                formation=settings.formation,
                spacing=settings.spacing,
            )
            options = chosen_options(context)
            crowd = dance_together(
                context,
                armatures,
                [own.motion for _, own in dances],
                varied,
                song=dance.song_at_hand,
                song_start=dance.start,
                start_frame=must_begin(dance.motion, first_frame(context.scene, options.into)),
                options=options,
            )
        except StepsmithError as error:
            return _failed(self, str(error))
        if not crowd.results:
            return _failed(self, next(iter(crowd.errors.values())))
        errors = crowd.errors | (session.current.dancers.errors if self.each else {})
        ranked = dict.fromkeys(text for _, own in dances for text in ranking(own.motion))
        return _done(self, [f"{len(crowd.results)} dance", *crowd.told, *ranked], errors)


class STEPSMITH_OT_generate_each(bpy.types.Operator):
    """Make another dance for each selected armature, with seeds counted on from the one above"""

    bl_idname = "stepsmith.generate_each"
    bl_label = "Generate Another Dance Each"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not can_generate(cls, context):
            return False
        if not _selected(context):
            cls.poll_message_set("Select armatures")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.scene.stepsmith_settings
        try:
            request = chosen_request(settings)
            requests: list[Request] = []
            places: list[session.Place] = []
            for armature in _selected(context):
                check_place(armature, settings.into)
                chosen_map(armature, read_rig(armature))
                places.append(session.Place(context.scene.session_uid, armature.session_uid, armature.name))
                wishes = chosen_controls(context, armature)
                requests.append(replace(request, seed=request.seed + len(requests), controls=wishes))
            session.current.begin_each(preferences.connection(), requests, places)
        except StepsmithError as error:
            return _failed(self, str(error))
        return {"FINISHED"}


class STEPSMITH_PT_rig_to_rig(Sidebar, bpy.types.Panel):
    bl_idname = "STEPSMITH_PT_rig_to_rig"
    bl_parent_id = "STEPSMITH_PT_dance"
    bl_label = "From Another Armature"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = context.scene.stepsmith_rig_to_rig
        layout.prop(settings, "source")
        row = layout.row()
        row.active = not settings.every_action
        row.prop(settings, "action", placeholder="What Moves It Now")
        layout.prop(settings, "every_action")
        layout.operator("stepsmith.retarget_action", icon="ARMATURE_DATA")


class STEPSMITH_PT_together(Sidebar, bpy.types.Panel):
    bl_idname = "STEPSMITH_PT_together"
    bl_parent_id = "STEPSMITH_PT_dance"
    bl_label = "Several Dancers"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = context.scene.stepsmith_rig_to_rig
        layout.prop(settings, "mirror")
        layout.prop(settings, "delay")
        layout.prop(settings, "formation")
        if settings.formation != "keep":
            layout.prop(settings, "spacing")
        layout.operator("stepsmith.dance_together", icon="COMMUNITY")
        layout.operator("stepsmith.generate_each", icon="PLAY")


def _selected(context: bpy.types.Context) -> list[bpy.types.Object]:
    return sorted((ob for ob in context.selected_objects if ob.type == "ARMATURE"), key=lambda ob: ob.name)


def _last_dances(context: bpy.types.Context) -> list[tuple[bpy.types.Object, Dance]]:
    """The last dance for each selected armature."""
    armatures = _selected(context)
    if not armatures:
        raise StepsmithError("No armature is selected: select those that shall dance.")
    dance = session.current.last_dance()
    if dance is None:
        raise StepsmithError("The last dance's file can't be read any more: generate it again.")
    return [(armature, dance) for armature in armatures]


def _made_dances(context: bpy.types.Context) -> list[tuple[bpy.types.Object, Dance]]:
    """The armatures that another dance each was made for and that are still there, and their dances."""
    made = session.current.dancers
    found = ((session.find_armature(context.scene, uid), dance) for uid, dance in made.dances.items())
    dances = [(armature, dance) for armature, dance in found if armature is not None]
    if not dances:
        raise StepsmithError("The armatures that dances were made for were deleted: generate again for others.")
    return dances


def _done(operator: bpy.types.Operator, notes: list[str], errors: dict[str, str]) -> set[str]:
    """Say what was made; what went wrong stays in the sidebar."""
    session.current.error = " ".join(f"{name}: {text}" for name, text in errors.items())
    failed = f", {len(errors)} failed" if errors else ""
    operator.report(
        {"WARNING"} if errors or len(notes) > 1 else {"INFO"},
        notes[0] + failed + "".join(f"; {note}" for note in notes[1:]),
    )
    return {"FINISHED"}


def _failed(operator: bpy.types.Operator, text: str) -> set[str]:
    session.current.error = text
    operator.report({"ERROR"}, text)
    return {"CANCELLED"}


_CLASSES = (
    RigToRigSettings,
    STEPSMITH_OT_retarget_action,
    STEPSMITH_OT_dance_together,
    STEPSMITH_OT_generate_each,
    STEPSMITH_PT_rig_to_rig,
    STEPSMITH_PT_together,
)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.stepsmith_rig_to_rig = PointerProperty(type=RigToRigSettings)


def unregister() -> None:
    del bpy.types.Scene.stepsmith_rig_to_rig
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
