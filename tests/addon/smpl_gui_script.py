"""Runs inside a Blender with a window: adds a SMPL body, changes its shape, undoes, and notes what comes of it.

The wishes are in the environment, as JSON: the ``body`` file and the file to note in, ``out``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

wishes = json.loads(os.environ["STEPSMITH_GUI"])
seen: dict[str, Any] = {}


def state() -> list[float]:
    """A shape key's value, the slider's, and the height of the head's joint; empty without a body."""
    armature = bpy.context.scene.objects.get("SMPL")
    if armature is None:
        return []
    key = armature.children[0].data.shape_keys.key_blocks["Shape000"]
    return [key.value, armature.stepsmith_body.betas[0], armature.data.bones["head"].head_local[2]]


def steps() -> Iterator[float]:
    """The test, as seconds to wait between its steps."""
    window = bpy.context.window_manager.windows[0]
    area = next(a for a in window.screen.areas if a.type == "VIEW_3D")
    area.spaces.active.show_region_ui = True
    yield 1.0
    next(r for r in area.regions if r.type == "UI").active_panel_category = "Stepsmith"
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.stepsmith.add_smpl_body("EXEC_DEFAULT", True, filepath=wishes["body"])
    yield 1.0
    seen["added"] = state()
    for mode in ("OBJECT", "POSE"):
        with bpy.context.temp_override(window=window, area=area):
            bpy.ops.object.mode_set(mode=mode)
            bpy.ops.ed.undo_push(message="Mode")
            for value in (0.5, 1.0, 2.0):  # as a drag of the slider does, which is one step of undo
                bpy.context.scene.objects["SMPL"].stepsmith_body.betas[0] = value
            bpy.ops.ed.undo_push(message="Shape")
        yield 0.5
        seen[f"shaped {mode}"] = state()
        for name in ("undo", "redo", "undo"):
            with bpy.context.temp_override(window=window, area=area):
                getattr(bpy.ops.ed, name)()
            yield 0.5
            seen[f"{name} {mode}"] = state()
        seen[f"mode {mode}"] = bpy.context.scene.objects["SMPL"].mode


progress = steps()


def step() -> float | None:
    try:
        return next(progress)
    except StopIteration:
        Path(wishes["out"]).write_text(json.dumps(seen))
        bpy.ops.wm.quit_blender()
    return None


bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(step, first_interval=1.0)
