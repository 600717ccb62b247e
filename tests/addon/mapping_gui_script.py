"""Runs inside a Blender with a window: draws the bone map's panel and the check of the rest pose.

The wishes are in the environment, as JSON: the ``folder`` for pictures, the file to note in.
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
import numpy as np

NAME = "bl_ext.user_default.stepsmith"
wishes = json.loads(os.environ["STEPSMITH_GUI"])
seen: dict[str, Any] = {"drawn": [], "green": {}}
mapping = f"{NAME}.addon.mapping"


def view() -> bpy.types.Area:
    return next(a for a in bpy.context.window_manager.windows[0].screen.areas if a.type == "VIEW_3D")


def picture(name: str) -> None:
    """Note how many pixels of the screen have the colour of sure bones; nothing where no picture can be taken."""
    if not shutil.which("import"):
        return
    path = Path(wishes["folder"]) / f"{name}.png"
    subprocess.run(["import", "-window", "root", str(path)], check=False)
    image = bpy.data.images.load(str(path))
    pixels = np.array(image.pixels[:]).reshape(-1, 4)[:, :3]
    bpy.data.images.remove(image)
    green = importlib.import_module(f"{mapping}.rest_check")._SURE
    seen["green"][name] = int((np.abs(pixels - green[:3]) < 0.03).all(axis=1).sum())


def open_panels() -> None:
    """Have all panels of the map open, and note when they are drawn without an error."""
    panel, registration = (importlib.import_module(f"{mapping}.{room}") for room in ("panel", "registration"))
    registration.unregister()
    for cls in (panel.STEPSMITH_PT_map, panel.STEPSMITH_PT_map_table, panel.STEPSMITH_PT_map_pose):
        cls.bl_options = set()
        cls.draw = noted(cls.__name__, cls.draw)
    registration.register()


def noted(name: str, draw: Any) -> Any:
    def drawn(self: Any, context: bpy.types.Context) -> None:
        draw(self, context)
        seen["drawn"].append(name)

    return drawn


def steps() -> Iterator[float]:
    """The test, as seconds to wait between its steps."""
    open_panels()
    window = bpy.context.window_manager.windows[0]
    view().spaces.active.show_region_ui = True
    yield 1.0
    next(r for r in view().regions if r.type == "UI").active_panel_category = "Stepsmith"
    with bpy.context.temp_override(window=window):
        for ob in list(bpy.data.objects):
            bpy.data.objects.remove(ob)
        importlib.import_module(f"{NAME}.addon.character").make_character(bpy.context)
    region = next(r for r in view().regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=view(), region=region):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_selected()
    yield 1.0
    picture("without map")
    with bpy.context.temp_override(window=window):
        bpy.ops.stepsmith.map_detect("EXEC_DEFAULT", True)
    bpy.context.window_manager.stepsmith_rest_check.show = True
    bpy.context.window_manager.stepsmith_rest_check.labels = True
    yield 1.0
    picture("checked")
    dancer = bpy.context.view_layer.objects.active
    dancer.stepsmith_map["left_knee"].bone = ""
    yield 0.5
    with bpy.context.temp_override(window=window):
        bpy.ops.ed.undo_push(message="Before")
        dancer.stepsmith_map["left_knee"].bone = "left_knee"
        bpy.ops.stepsmith.map_select_bone("EXEC_DEFAULT", True, slot="left_knee")
        bpy.ops.stepsmith.map_match_pose("EXEC_DEFAULT", True)
    yield 0.5
    picture("matching")
    with bpy.context.temp_override(window=window):
        bpy.ops.stepsmith.map_store_pose("EXEC_DEFAULT", True)
    yield 0.5
    with bpy.context.temp_override(window=window):
        bpy.ops.object.mode_set(mode="OBJECT")
        bpy.ops.ed.undo()
        for ob in list(bpy.data.objects):
            bpy.data.objects.remove(ob)
    view().tag_redraw()
    yield 0.5
    picture("deleted")
    bpy.ops.wm.read_homefile(use_empty=True)
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
