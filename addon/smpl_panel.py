"""SMPL bodies in the sidebar: add one from a model file, change its shape."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import FloatVectorProperty, IntProperty, PointerProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ..retarget.errors import StepsmithError
from . import session
from .operators import failed
from .sidebar import Sidebar
from .smpl_body import LARGEST_BETA, SHAPES, fit_skeleton, get_betas, is_smpl_body, make_smpl_body, set_betas


class SmplBodyShape(bpy.types.PropertyGroup):
    """The sliders of a body's first betas: another way to see and set the values of its shape keys."""

    def _get(self) -> list[float]:
        betas = get_betas(self.id_data)[:SHAPES].tolist() if is_smpl_body(self.id_data) else []
        return betas + [0.0] * (SHAPES - len(betas))

    def _set(self, values: list[float]) -> None:
        try:
            set_betas(bpy.context, self.id_data, values)
        except StepsmithError as error:  # nobody hears what a property's setter raises
            session.current.error = str(error)

    betas: FloatVectorProperty(
        name="Shape",
        description="The body's shape. Its skeleton follows, and the dance keeps its feet on the floor",
        size=SHAPES,
        min=-LARGEST_BETA,
        max=LARGEST_BETA,
        soft_min=-3.0,
        soft_max=3.0,
        precision=2,
        options=set(),  # not to be animated: bones can't change at rest while they move
        get=_get,
        set=_set,
    )


class STEPSMITH_OT_add_smpl_body(bpy.types.Operator, ImportHelper):
    """Add a body from your own SMPL, SMPL-H or SMPL-X model file (.npz or .pkl), ready to dance"""

    bl_idname = "stepsmith.add_smpl_body"
    bl_label = "Add SMPL Body"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: StringProperty(default="*.npz;*.pkl", options={"HIDDEN"})
    shapes: IntProperty(
        name="Shapes",
        description="How many of the model's betas get a shape key; the first ones change the body most",
        default=SHAPES,
        min=1,
        max=300,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode == "OBJECT":
            return True
        cls.poll_message_set("Go to Object Mode first")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            armature = make_smpl_body(context, Path(self.filepath), shapes=self.shapes)
        except StepsmithError as error:
            return failed(self, error)
        session.current.error = ""
        context.scene.stepsmith_settings.target = armature
        self.report({"INFO"}, f"{armature.name} is the dancer now")
        return {"FINISHED"}


class STEPSMITH_OT_fit_skeleton(bpy.types.Operator):
    """Move the body's joints to where its shape keys have them. The sliders here do so by themselves"""

    bl_idname = "stepsmith.fit_skeleton"
    bl_label = "Fit Skeleton to Shape"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if smpl_body(context) is not None:
            return True
        cls.poll_message_set("Select a SMPL body")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        body = smpl_body(context)
        assert body is not None  # poll has seen it
        try:
            fit_skeleton(context, body)
        except StepsmithError as error:
            return failed(self, error)
        session.current.error = ""
        return {"FINISHED"}


class STEPSMITH_PT_smpl_body(Sidebar, bpy.types.Panel):
    bl_idname = "STEPSMITH_PT_smpl_body"
    bl_parent_id = "STEPSMITH_PT_dance"
    bl_label = "SMPL Body"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.operator("stepsmith.add_smpl_body", icon="OUTLINER_OB_ARMATURE")
        body = smpl_body(context)
        if body is None:
            return
        column = layout.column(align=True)
        for number in range(min(len(get_betas(body)), SHAPES)):
            column.prop(body.stepsmith_body, "betas", index=number, text=f"Shape {number}", slider=True)
        layout.operator("stepsmith.fit_skeleton", icon="BONE_DATA")


def smpl_body(context: bpy.types.Context) -> bpy.types.Object | None:
    """The SMPL body that the user works on: the active object or its parent, else the chosen dancer."""
    active = context.object
    candidates = (active, active.parent if active else None, context.scene.stepsmith_settings.target)
    return next((ob for ob in candidates if is_smpl_body(ob)), None)


_CLASSES = (SmplBodyShape, STEPSMITH_OT_add_smpl_body, STEPSMITH_OT_fit_skeleton, STEPSMITH_PT_smpl_body)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Object.stepsmith_body = PointerProperty(type=SmplBodyShape)


def unregister() -> None:
    del bpy.types.Object.stepsmith_body
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
