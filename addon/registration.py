"""Adds the interface to Blender and takes it out again."""

from __future__ import annotations

import atexit

import bpy

from . import (
    commands,
    operators,
    panel,
    preferences,
    properties,
    rig_to_rig_panel,
    session,
    smpl_panel,
    steering,
    video_panel,
)
from .mapping import registration as mapping

_CLASSES = (
    preferences.STEPSMITH_OT_copy_install_command,
    preferences.STEPSMITH_OT_open_preferences,
    preferences.StepsmithPreferences,
    properties.StepsmithSettings,
    operators.STEPSMITH_OT_choose_song,
    operators.STEPSMITH_OT_roll_seed,
    operators.STEPSMITH_OT_generate,
    operators.STEPSMITH_OT_cancel,
    operators.STEPSMITH_OT_apply_dance,
    operators.STEPSMITH_OT_load_motion,
    operators.STEPSMITH_OT_dismiss,
    panel.STEPSMITH_PT_dance,
    # Panels within a panel are shown in this order: right below the song what may take its place.
    *video_panel.CLASSES,
    *steering.CLASSES,
    panel.STEPSMITH_PT_options,
    panel.STEPSMITH_PT_backend,
)


def register() -> None:
    session.register()
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    properties.register()
    steering.register()
    video_panel.register()
    mapping.register()
    smpl_panel.register()
    rig_to_rig_panel.register()
    commands.register()
    atexit.register(session.unregister)  # Blender may quit without switching its extensions off


def unregister() -> None:
    atexit.unregister(session.unregister)
    session.unregister()
    commands.unregister()
    rig_to_rig_panel.unregister()
    smpl_panel.unregister()
    mapping.unregister()
    video_panel.unregister()
    steering.unregister()
    properties.unregister()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
