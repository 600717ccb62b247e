"""The scene's frame rate and range, and whether a dance may set them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import bpy
import numpy as np

from ..retarget.motion import Motion
from .keys import Into
from .ownership import TAG
from .song_strip import all_strips, replaceable_strips

# Custom properties of the scene: the frame rate, and the first and last frame, that a dance gave it.
_OUR_RATE, _OUR_RANGE = "stepsmith_rate", "stepsmith_range"

# Blender's own, which nobody has chosen.
_FACTORY_RATE, _FACTORY_RANGE = 24.0, (1, 250)


def scene_fps(scene: bpy.types.Scene) -> float:
    """Frames a second that the scene plays at."""
    return float(scene.render.fps / scene.render.fps_base)


def rate_of_dance(scene: bpy.types.Scene, armature: bpy.types.Object, motion: Motion, into: Into) -> float:
    """Frames a second at which a dance of the armature is keyed: the motion's where the scene takes them, else its own.

    It takes them where nothing else is timed and nobody has chosen a frame rate or range.
    """
    now = scene_fps(scene)
    chosen = not np.isclose(now, [_FACTORY_RATE, scene.get(_OUR_RATE, _FACTORY_RATE)], rtol=1e-5).any()
    free = not chosen and _range_is_free(scene) and _is_alone(scene, armature, into)
    return motion.fps if free and not np.isclose(now, motion.fps, rtol=1e-6) else now


def fit_scene(
    undo: ExitStack, scene: bpy.types.Scene, armature: bpy.types.Object, into: Into, fps: float, first: int, last: int
) -> list[str]:
    """Have the scene play at the dance's rate, and over its frames or at least over them too; what is to be told.

    ``undo`` puts that back, and how the scene keeps in time with sound.
    """
    ranged = _range_is_free(scene) and _is_alone(scene, armature, into)
    told: list[str] = []
    _keep(undo, scene.render, "fps", "fps_base")
    _keep(undo, scene, "frame_start", "frame_end", "sync_mode")
    if fps != scene_fps(scene):
        told.append(f"The scene now plays at {fps:.5g} frames a second, was {scene_fps(scene):.5g}.")
        scene.render.fps = max(1, round(fps))
        scene.render.fps_base = scene.render.fps / fps
        keep_entry(undo, scene, _OUR_RATE)
        scene[_OUR_RATE] = scene_fps(scene)
    if ranged:
        _set_range(scene, first, last)
        keep_entry(undo, scene, _OUR_RANGE)
        scene[_OUR_RANGE] = [first, last]
    else:
        _set_range(scene, min(scene.frame_start, first), max(scene.frame_end, last))
    return told


def _keep(undo: ExitStack, owner: Any, *properties: str) -> None:
    """Have ``undo`` put these properties back."""
    for name in properties:
        undo.callback(setattr, owner, name, getattr(owner, name))


def keep_entry(undo: ExitStack, scene: bpy.types.Scene, name: str) -> None:
    """Have ``undo`` put this custom property back, a number, text or array."""
    if name in scene:
        value = scene[name]
        # An array is a view that would follow the new value.
        undo.callback(scene.__setitem__, name, value.to_list() if hasattr(value, "to_list") else value)
    else:
        undo.callback(scene.__delitem__, name)


def _set_range(scene: bpy.types.Scene, first: int, last: int) -> None:
    # Blender moves one end when the other passes it, so the order matters.
    scene.frame_end = max(last, scene.frame_end)
    scene.frame_start = first
    scene.frame_end = last


def _range_is_free(scene: bpy.types.Scene) -> bool:
    """Whether the scene's range is Blender's, or that of an earlier dance."""
    now = (scene.frame_start, scene.frame_end)
    return now in (_FACTORY_RANGE, tuple(scene.get(_OUR_RANGE, _FACTORY_RANGE)))


def _is_alone(scene: bpy.types.Scene, armature: bpy.types.Object, into: Into) -> bool:
    """Whether nothing in the scene is timed, but a dance made here for this armature that is replaced."""
    replaced = into == "action"
    if len(replaceable_strips(scene, armature)) < len(all_strips(scene)):
        return False
    if scene.animation_data is not None and _is_animated(scene.animation_data):
        return False
    for ob in scene.objects:
        keys = getattr(ob.data, "shape_keys", None)
        for owner in (ob, ob.data, keys):
            data = getattr(owner, "animation_data", None)
            if data is None:
                continue
            own = replaced and owner is armature and data.action is not None and TAG in data.action
            if _is_animated(data, ignore_action=own):
                return False
    return True


def _is_animated(data: bpy.types.AnimData, *, ignore_action: bool = False) -> bool:
    return (data.action is not None and not ignore_action) or len(data.nla_tracks) > 0
