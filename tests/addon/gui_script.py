"""Runs inside a Blender with a window: presses the panel's buttons and notes what comes of it.

The wishes are in the environment, as JSON: the backend's ``command``, the ``song``, the file to note in.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

NAME = "bl_ext.user_default.stepsmith"
wishes = json.loads(os.environ["STEPSMITH_GUI"])
seen: dict[str, Any] = {"fractions": [], "picture": None}
session = importlib.import_module(f"{NAME}.addon.session")


def counts() -> dict[str, Any]:
    scene = bpy.context.scene
    editor = scene.sequence_editor
    strips = 0
    if editor is not None:
        strips = len(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)
    return {
        "objects": len(scene.objects),
        "actions": len(bpy.data.actions),
        "strips": strips,
        "markers": len(scene.timeline_markers),
        "target": scene.stepsmith_settings.target is not None,
    }


def view() -> bpy.types.Area:
    return next(a for a in bpy.context.window_manager.windows[0].screen.areas if a.type == "VIEW_3D")


def steps() -> Iterator[float]:
    """The test, as seconds to wait between its steps."""
    bpy.context.preferences.addons[NAME].preferences.command = wishes["command"]
    window = bpy.context.window_manager.windows[0]
    view().spaces.active.show_region_ui = True
    yield 1.0
    region = next(r for r in view().regions if r.type == "UI")
    region.active_panel_category = "Stepsmith"
    with bpy.context.temp_override(window=window):
        for ob in list(bpy.data.objects):
            bpy.data.objects.remove(ob)
        bpy.ops.stepsmith.choose_song("EXEC_DEFAULT", True, filepath=wishes["song"])
    view().tag_redraw()
    yield 1.0
    with bpy.context.temp_override(window=window):
        bpy.ops.stepsmith.generate("EXEC_DEFAULT", True)
    longest = 0.0
    current = session.current
    tick = current.tick

    def measured() -> float | None:
        nonlocal longest
        over = current.status is None or current.status.over
        before = time.thread_time()  # not the clock's: other programs may be busy
        wait = tick()
        if not over:  # the last tick applies the dance
            longest = max(longest, time.thread_time() - before)
        return wait

    current.tick = measured
    while current.task is not None:
        if current.status.fraction != (seen["fractions"] or [None])[-1] and not current.status.over:
            seen["fractions"].append(current.status.fraction)
        if current.status.fraction > 0.5 and seen["picture"] is None and shutil.which("import"):
            picture = str(Path(wishes["out"]).with_name("panel.png"))
            subprocess.run(["import", "-window", "root", picture], check=False)
            seen["picture"] = picture
        yield 0.05
    seen["longest_tick"] = longest
    seen["applied"] = counts()
    seen["error"] = current.error
    seen["backend"] = current.backend.pid
    yield 0.5
    with bpy.context.temp_override(window=window):
        bpy.ops.ed.undo()
    seen["undone"] = counts()
    yield 0.5
    with bpy.context.temp_override(window=window):
        bpy.ops.ed.redo()
    seen["redone"] = counts()
    yield 0.5
    # Another dance on the same character, with an undo while it is made: that replaces all pointers.
    before = bpy.context.scene.stepsmith_settings.target.animation_data.action.session_uid
    with bpy.context.temp_override(window=window):
        bpy.ops.stepsmith.generate("EXEC_DEFAULT", True)
        bpy.ops.object.empty_add("EXEC_DEFAULT", True)
    yield 1.0
    with bpy.context.temp_override(window=window):
        bpy.ops.ed.undo()
    while current.task is not None:
        yield 0.05
    seen["error"] += current.error
    seen["replaced"] = bpy.context.scene.stepsmith_settings.target.animation_data.action.session_uid != before
    seen["dancers"] = sum(ob.type == "ARMATURE" for ob in bpy.context.scene.objects)
    yield 0.5
    # And one whose file is closed while it is made.
    with bpy.context.temp_override(window=window):
        bpy.ops.stepsmith.generate("EXEC_DEFAULT", True)
    yield 1.0
    bpy.ops.wm.read_homefile(use_empty=True)
    while current.task is not None:
        yield 0.05
    seen["closed"] = current.error
    yield 0.5
    Path(wishes["out"]).write_text(json.dumps(seen))


bpy.context.preferences.view.show_splash = False
running = steps()


def step() -> float | None:
    try:
        return next(running)
    except BaseException as end:
        bpy.app.timers.register(lambda: bpy.ops.wm.quit_blender() and None, first_interval=0.1, persistent=True)
        if isinstance(end, StopIteration):
            return None
        raise


bpy.app.timers.register(step, first_interval=0.5, persistent=True)
