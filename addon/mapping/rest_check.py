"""Draws in the viewport how the mapped bones stand at rest, and the T pose that they are taken to."""

from __future__ import annotations

from typing import Any

import blf
import bpy
import gpu
import numpy as np
from bpy.app.handlers import persistent
from bpy.props import BoolProperty, PointerProperty
from bpy_extras.view3d_utils import location_3d_to_region_2d
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix, Vector

from ...retarget.rotations import Array
from .storage import LIKELY, SURE, has_map, slots_of, spoken
from .target import armature_of, check, forget_checks
from .tpose import Stance

Colour = tuple[float, float, float, float]

# Bones that are sure, likely and doubtful, as in the table; and the T pose.
_SURE: Colour = (0.27, 0.80, 0.35, 1.0)
_LIKELY: Colour = (0.95, 0.75, 0.15, 1.0)
_DOUBTFUL: Colour = (0.95, 0.25, 0.20, 1.0)
_T_POSE: Colour = (0.35, 0.70, 1.0, 0.75)
_TEXT: Colour = (1.0, 1.0, 1.0, 0.9)

# What is drawn: callback to its handle, while the check is shown.
_handles: list[Any] = []


def _switched(shown: StepsmithRestCheck, _context: object) -> None:
    if shown.show:
        start_drawing()
    else:
        stop_drawing()
    _redraw()


def _named(_shown: StepsmithRestCheck, _context: object) -> None:
    _redraw()


class StepsmithRestCheck(bpy.types.PropertyGroup):
    show: BoolProperty(
        name="Check Rest Pose",
        description=(
            "Draw the mapped bones at rest, coloured by how sure they are, and in blue the T pose that "
            "Stepsmith takes them to. Where blue arms and legs don't point as a T pose's do, match the pose by hand"
        ),
        update=_switched,
        options={"SKIP_SAVE"},
    )
    labels: BoolProperty(
        name="Names",
        description="Write at each bone what part of the body it is taken for",
        update=_named,
        options={"SKIP_SAVE"},
    )


def start_drawing() -> None:
    """Draw in all 3D views from their next redraw on."""
    if not _handles:
        add = bpy.types.SpaceView3D.draw_handler_add
        _handles.extend((add(_draw_body, (), "WINDOW", "POST_VIEW"), add(_draw_names, (), "WINDOW", "POST_PIXEL")))


def stop_drawing() -> None:
    """Draw no more."""
    while _handles:
        bpy.types.SpaceView3D.draw_handler_remove(_handles.pop(), "WINDOW")


def is_drawing() -> bool:
    """Whether 3D views draw the check."""
    return bool(_handles)


def shown(context: bpy.types.Context) -> tuple[bpy.types.Object, Stance] | None:
    """The armature to draw in this 3D view, and how it stands; None where there is none to draw now."""
    armature = armature_of(context)
    if armature is None or not has_map(armature) or armature.mode == "EDIT":
        return None
    space = context.space_data
    if space is not None and not space.overlay.show_overlays:
        return None
    if not armature.visible_get(view_layer=context.view_layer, viewport=space):
        return None
    stance = check(armature).stance
    return None if stance is None else (armature, stance)


def line_colours(armature: bpy.types.Object, stance: Stance) -> list[Colour]:
    """A colour a line of ``stance``: that of the less sure one of its bones."""
    scores = {slot.bone: slot.score for slot in slots_of(armature)}
    own = [scores.get(stance.bones[owner], 0.0) for owner in stance.owners]
    sure = [min(own[start], own[end]) for start, end in stance.lines]
    return [_SURE if score >= SURE else _LIKELY if score >= LIKELY else _DOUBTFUL for score in sure]


def draw_stance(
    stance: Stance, colours: list[Colour], matrix: Matrix, size: tuple[int, int], scale: float = 1.0
) -> None:
    """Draw T pose and rest pose into the current framebuffer, ``size`` pixels large.

    ``colours``: of the lines at rest. ``matrix``: armature space to the world. ``scale``: of the interface.
    """
    if not stance.lines:
        return
    shader = gpu.shader.from_builtin("POLYLINE_FLAT_COLOR")
    gpu.state.blend_set("ALPHA")
    gpu.state.depth_test_set("NONE")  # in front of the mesh
    try:
        with gpu.matrix.push_pop():
            gpu.matrix.multiply_matrix(matrix)
            shader.bind()
            shader.uniform_float("viewportSize", size)
            if stance.tpose is not None:
                _draw_lines(shader, stance, stance.tpose, [_T_POSE] * len(stance.lines), 2.0 * scale)
            _draw_lines(shader, stance, stance.rest, colours, 4.0 * scale)
    finally:
        gpu.state.blend_set("NONE")
        gpu.state.depth_test_set("LESS_EQUAL")


def _draw_lines(shader: Any, stance: Stance, points: Array, colours: list[Colour], width: float) -> None:
    """Lines through ``points`` (P, 3), one colour each, so many pixels wide."""
    ends = points[np.ravel(stance.lines)].astype(np.float32)
    content = {"pos": ends.tolist(), "color": np.repeat(colours, 2, axis=0).tolist()}
    shader.uniform_float("lineWidth", width)
    batch_for_shader(shader, "LINES", content).draw(shader)


def _draw_body() -> None:
    context = bpy.context
    if (drawn := shown(context)) is None:
        return
    armature, stance = drawn
    size, scale = (context.region.width, context.region.height), context.preferences.system.ui_scale
    draw_stance(stance, line_colours(armature, stance), armature.matrix_world, size, scale)


def _draw_names() -> None:
    context = bpy.context
    if not context.window_manager.stepsmith_rest_check.labels or (drawn := shown(context)) is None:
        return
    armature, stance = drawn
    font = 0
    scale = context.preferences.system.ui_scale
    blf.size(font, 11.0 * scale)
    blf.color(font, *_TEXT)
    blf.enable(font, blf.SHADOW)
    blf.shadow(font, 3, 0.0, 0.0, 0.0, 1.0)
    for joint, point in zip(stance.joints, stance.rest, strict=False):
        spot = armature.matrix_world @ Vector(point)
        place = location_3d_to_region_2d(context.region, context.region_data, spot)
        if place is not None:
            blf.position(font, place.x + 6.0 * scale, place.y, 0.0)
            blf.draw(font, _label(joint))
    blf.disable(font, blf.SHADOW)


def _label(joint: str) -> str:
    """Short, as many stand close together.

    >>> _label("left_knee"), _label("spine1")
    ('L shin', 'spine1')
    """
    return spoken(joint).replace("left ", "L ").replace("right ", "R ")


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


@persistent
def _file_changes(*_arguments: object) -> None:
    """Another file is shown without the check, whatever was on when it was saved."""
    stop_drawing()
    forget_checks()
    for manager in bpy.data.window_managers:
        manager.stepsmith_rest_check.show = False


def register() -> None:
    bpy.utils.register_class(StepsmithRestCheck)
    bpy.types.WindowManager.stepsmith_rest_check = PointerProperty(type=StepsmithRestCheck)
    bpy.app.handlers.load_pre.append(_file_changes)
    bpy.app.handlers.load_post.append(_file_changes)


def unregister() -> None:
    stop_drawing()
    forget_checks()
    bpy.app.handlers.load_pre.remove(_file_changes)
    bpy.app.handlers.load_post.remove(_file_changes)
    del bpy.types.WindowManager.stepsmith_rest_check
    bpy.utils.unregister_class(StepsmithRestCheck)
