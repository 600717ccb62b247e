"""Runs inside a Blender with a window: captures a video's dancer with the panel's buttons and notes what comes of it.

The wishes are in the environment, as JSON: the backend's ``command``, the ``video``, the file ``out`` to note in.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

NAME = "bl_ext.user_default.stepsmith"
wishes = json.loads(os.environ["STEPSMITH_GUI"])
seen: dict[str, Any] = {"fractions": [], "texts": []}
session = importlib.import_module(f"{NAME}.addon.session")
panel = importlib.import_module(f"{NAME}.addon.video_panel").STEPSMITH_PT_video


def counts() -> dict[str, Any]:
    scene = bpy.context.scene
    editor = scene.sequence_editor
    strips: list[Any] = []
    if editor is not None:
        strips = list(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)
    return {
        "actions": len(bpy.data.actions),
        "strips": [(strip.type, Path(strip.sound.filepath).name) for strip in strips],
        "markers": len(scene.timeline_markers),
        "end": scene.frame_end,
    }


def take_picture(name: str) -> None:
    if shutil.which("import"):
        subprocess.run(["import", "-window", "root", str(Path(wishes["out"]).with_name(name))], check=False)


def steps() -> Iterator[float]:
    """The test, as seconds to wait between its steps."""
    bpy.context.preferences.addons[NAME].preferences.command = wishes["command"]
    # Open, since what is closed is not drawn.
    bpy.utils.unregister_class(panel)
    panel.bl_options = set()
    bpy.utils.register_class(panel)
    window = bpy.context.window_manager.windows[0]
    area = next(a for a in window.screen.areas if a.type == "VIEW_3D")
    area.spaces.active.show_region_ui = True
    yield 1.0
    next(r for r in area.regions if r.type == "UI").active_panel_category = "Stepsmith"
    with bpy.context.temp_override(window=window):
        bpy.ops.stepsmith.choose_video("EXEC_DEFAULT", True, filepath=wishes["video"])
    area.tag_redraw()
    yield 0.5
    seen["before"] = counts()
    with bpy.context.temp_override(window=window):
        bpy.ops.stepsmith.capture_video("EXEC_DEFAULT", True)
    current = session.current
    while current.task is not None:
        status = current.status
        if not status.over and status.fraction != (seen["fractions"] or [None])[-1]:
            seen["fractions"].append(status.fraction)
            seen["texts"].append(status.text)
        yield 0.05
    yield 1.0
    # What was wrong with the video is at the panel's end.
    sidebar = next(r for r in area.regions if r.type == "UI")
    with bpy.context.temp_override(window=window, area=area, region=sidebar):
        for _ in range(20):
            bpy.ops.view2d.scroll_down()
    yield 0.5
    take_picture("captured.png")
    seen["error"] = current.error
    seen["applied"] = counts()
    with bpy.context.temp_override(window=window):
        bpy.ops.ed.undo()
    yield 0.5
    seen["undone"] = counts()
    with bpy.context.temp_override(window=window):
        bpy.ops.stepsmith.go_to_problem("EXEC_DEFAULT", True, frame=16)
    seen["frame"] = bpy.context.scene.frame_current


bpy.context.preferences.view.show_splash = False
running = steps()


def step() -> float | None:
    try:
        return next(running)
    except StopIteration:
        Path(wishes["out"]).write_text(json.dumps(seen))
    bpy.ops.wm.quit_blender()
    return None


bpy.app.timers.register(step, first_interval=1.0)
