"""In the sidebar: what the dance shall be like, and what of the dancer's own animation it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty

from ..retarget.bone_maps import BoneMap
from ..retarget.errors import StepsmithError
from ..retarget.fit import Fit
from .armature import chosen_map, read_rig
from .controls import MOST_CANDIDATES, MOST_ENERGY, Controls, Energy, Frames, Kept
from .keys import Into
from .rig_to_rig import read_motion
from .sidebar import Sidebar
from .timeline import scene_fps

_KEEP = [
    ("nothing", "Nothing", "All is danced anew"),
    ("all", "Whole Body", "The dance passes through what the dancer does in these frames; one frame is a pose"),
    ("upper", "Upper Body", "Spine, arms and head go on doing what they do in these frames; the rest is danced"),
    ("lower", "Lower Body", "Pelvis and legs go on doing what they do in these frames; the rest is danced"),
]


class SteeringSettings(bpy.types.PropertyGroup):
    energetic: BoolProperty(name="Set Energy", description="Choose how much the dancer moves; off: as the music has it")
    energy: FloatProperty(
        name="Energy",
        description="How much the dancer moves, more or less than usual in the genre: 0 as usual",
        min=-MOST_ENERGY,
        max=MOST_ENERGY,
        precision=1,
        step=10,
    )
    radius: FloatProperty(
        name="Stay Within",
        description="How far the dancer may go from where the dance begins. 0: anywhere",
        min=0.0,
        soft_max=10.0,
        unit="LENGTH",
    )
    loop: BoolProperty(
        name="Loop",
        description="End as the dance begins, after whole bars of the music, so that it can be played over and over",
    )
    candidates: IntProperty(
        name="Best Of",
        description="Make as many dances and take the best one; takes as many times as long",
        default=1,
        min=1,
        max=MOST_CANDIDATES,
    )
    keep: EnumProperty(name="Keep", description="What of the dancer's animation the dance keeps", items=_KEEP)
    keep_first: IntProperty(name="First Frame", description="First frame of the animation that is kept", default=1)
    keep_last: IntProperty(name="Last Frame", description="Last frame of the animation that is kept", default=1)


class STEPSMITH_PT_steering(Sidebar, bpy.types.Panel):
    bl_idname = "STEPSMITH_PT_steering"
    bl_parent_id = "STEPSMITH_PT_dance"
    bl_label = "Steering"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = context.scene.stepsmith_steering
        row = layout.row(heading="Energy")
        row.prop(settings, "energetic", text="")
        value = row.row()
        value.active = settings.energetic
        value.prop(settings, "energy", text="", slider=True)
        layout.prop(settings, "radius")
        layout.prop(settings, "candidates")
        layout.prop(settings, "loop")
        layout.prop(settings, "keep")
        if settings.keep != "nothing":
            column = layout.column(align=True)
            column.prop(settings, "keep_first")
            column.prop(settings, "keep_last")


def chosen_controls(context: bpy.types.Context, dancer: bpy.types.Object | None) -> Controls:
    """What the panel asks of a dance of this armature, or of a new character where None.

    Raises StepsmithError as ``read_controls``.
    """
    settings: SteeringSettings = context.scene.stepsmith_steering
    kept = [] if settings.keep == "nothing" else [Frames(settings.keep_first, settings.keep_last, settings.keep)]
    return read_controls(
        context,
        dancer,
        energy=settings.energy if settings.energetic else None,
        loop=settings.loop,
        radius=settings.radius or None,
        candidates=settings.candidates,
        keep=kept,
        into="action" if dancer is None else context.scene.stepsmith_settings.into,
        mirror=context.scene.stepsmith_settings.mirror,
    )


def read_controls(
    context: bpy.types.Context,
    dancer: bpy.types.Object | None,
    *,
    energy: Energy | None = None,
    loop: bool = False,
    radius: float | None = None,
    candidates: int = 1,
    keep: Sequence[Frames] = (),
    into: Into = "action",
    mirror: bool = False,
    bone_map: BoneMap | None = None,
) -> Controls:
    """What is asked of a dance of ``dancer`` (None: a new character), in the backend's terms.

    ``radius``: units of the scene. ``keep``: frames of the scene, whose poses the dance keeps; ``mirror``: whether
    the dance will be mirrored when it is put on the dancer; ``bone_map``: the one the user edited, or else the one
    found, where None. Raises StepsmithError where what is kept can't be read.
    """
    if radius is not None and dancer is None:
        radius *= context.scene.unit_settings.scale_length
    elif radius is not None:
        radius /= _units_per_metre(dancer, bone_map)
    asked = Controls(energy, loop, radius, candidates)
    if not keep:
        return asked
    if dancer is None:
        raise StepsmithError("A new character has no animation to keep: choose an armature, or keep nothing.")
    begin, fps = first_frame(context.scene, into), scene_fps(context.scene)
    kept = []
    for frames in keep:
        if not begin <= frames.first <= frames.last:
            raise StepsmithError(
                f"The dance begins on frame {begin}, so frames {frames.first} to {frames.last} can't be kept: choose"
                " frames in order from there on."
            )
        motion = read_motion(context, dancer, frame_range=(frames.first, frames.last), bone_map=bone_map)
        motion = motion.mirror() if mirror else motion
        kept.append(Kept.of(motion, (frames.first - begin) / fps, frames.part))
    return replace(asked, keep=tuple(kept), first_frame=begin)


def first_frame(scene: bpy.types.Scene, into: Into) -> int:
    """The frame on which a dance begins: beside other animation where the user is, else where the scene does."""
    return int(scene.frame_current if into in ("nla", "blend") else scene.frame_start)


def _units_per_metre(dancer: bpy.types.Object, bone_map: BoneMap | None) -> float:
    """How many units of the scene the dancer goes where a body of usual size goes a metre."""
    rig = read_rig(dancer)
    return float(Fit(rig, bone_map or chosen_map(dancer, rig)).scale * np.cbrt(abs(np.linalg.det(rig.world[:3, :3]))))


CLASSES = (SteeringSettings, STEPSMITH_PT_steering)


def register() -> None:
    bpy.types.Scene.stepsmith_steering = PointerProperty(type=SteeringSettings)


def unregister() -> None:
    del bpy.types.Scene.stepsmith_steering
