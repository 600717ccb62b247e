"""Runs inside a Blender with a window: another dance for each of two armatures, undone, redone, and noted.

The wishes are in the environment, as JSON: the backend's ``command``, the ``song``, and the file to note in, ``out``.
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
session = importlib.import_module(f"{NAME}.addon.session")
panel = importlib.import_module(f"{NAME}.addon.rig_to_rig_panel")
character = importlib.import_module(f"{NAME}.addon.character")
wishes = json.loads(os.environ["STEPSMITH_GUI"])
seen: dict[str, Any] = {"picture": None}


def actions() -> int:
    """How many armatures have an action."""
    armatures = [ob for ob in bpy.context.scene.objects if ob.type == "ARMATURE"]
    return sum(ob.animation_data is not None and ob.animation_data.action is not None for ob in armatures)


def opened() -> None:
    """Have the two sub-panels open, which users do by a click."""
    for cls in (panel.STEPSMITH_PT_rig_to_rig, panel.STEPSMITH_PT_together):
        bpy.utils.unregister_class(cls)
        cls.bl_options = set()
        bpy.utils.register_class(cls)


def steps() -> Iterator[float]:
    """The test, as seconds to wait between its steps."""
    bpy.context.preferences.addons[NAME].preferences.command = wishes["command"]
    window = bpy.context.window_manager.windows[0]
    area = next(a for a in window.screen.areas if a.type == "VIEW_3D")
    area.spaces.active.show_region_ui = True
    opened()
    yield 1.0
    next(r for r in area.regions if r.type == "UI").active_panel_category = "Stepsmith"
    with bpy.context.temp_override(window=window, area=area):
        for ob in list(bpy.data.objects):
            bpy.data.objects.remove(ob)
        for place in (0.0, 1.5):
            dancer = character.make_character(bpy.context)
            dancer.location.x = place
            dancer.select_set(True)
        for ob in bpy.context.scene.objects:
            ob.select_set(ob.type == "ARMATURE")
        bpy.context.scene.stepsmith_settings.song = wishes["song"]
        bpy.context.scene.stepsmith_rig_to_rig.formation = "circle"
        bpy.ops.ed.undo_push(message="Dancers")
        area.tag_redraw()
    yield 1.0
    if shutil.which("import"):
        seen["picture"] = str(Path(wishes["out"]).with_name("panel.png"))
        subprocess.run(["import", "-window", "root", seen["picture"]], check=False)
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.stepsmith.generate_each("EXEC_DEFAULT", True)
    while session.current.task is not None:
        yield 0.05
    seen["error"] = session.current.error
    seen["applied"] = actions()
    for name in ("undo", "redo"):
        yield 0.5
        with bpy.context.temp_override(window=window, area=area):
            getattr(bpy.ops.ed, name)()
        seen[name] = actions()


progress = steps()


def step() -> float | None:
    try:
        return next(progress)
    except BaseException as end:
        Path(wishes["out"]).write_text(json.dumps(seen))
        bpy.app.timers.register(lambda: bpy.ops.wm.quit_blender() and None, first_interval=0.1, persistent=True)
        if isinstance(end, StopIteration):
            return None
        raise


bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(step, first_interval=1.0, persistent=True)
