"""Adds the bone map's interface to Blender and takes it out again."""

from __future__ import annotations

import bpy

from . import operators, panel, rest_check
from .storage import register_storage, unregister_storage

_CLASSES = (
    operators.STEPSMITH_OT_map_detect,
    operators.STEPSMITH_OT_map_by_hand,
    operators.STEPSMITH_OT_map_clear,
    operators.STEPSMITH_OT_map_mirror,
    operators.STEPSMITH_OT_map_take_bone,
    operators.STEPSMITH_OT_map_select_bone,
    operators.STEPSMITH_OT_map_save_preset,
    operators.STEPSMITH_OT_map_load_preset,
    operators.STEPSMITH_OT_map_match_pose,
    operators.STEPSMITH_OT_map_store_pose,
    operators.STEPSMITH_OT_map_cancel_pose,
    operators.STEPSMITH_OT_map_clear_pose,
    panel.STEPSMITH_MT_map_presets,
    panel.STEPSMITH_PT_map,
    panel.STEPSMITH_PT_map_pose,
    panel.STEPSMITH_PT_map_table,
)


def register() -> None:
    """Add everything of this package to Blender."""
    register_storage()
    rest_check.register()
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Take everything of this package out again."""
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
    rest_check.unregister()
    unregister_storage()
