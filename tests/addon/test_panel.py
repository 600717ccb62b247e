"""What the panel says."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import bpy
import pytest
from stepsmith.addon.panel import time_left


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s left"), (-1.0, "0 s left"), (59.4, "59 s left"), (59.6, "1 min 0 s left"), (7300.0, "2 h 1 min left")],
)
def test_time_left_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert time_left(seconds) == text


class Layout:
    """A layout that notes the properties drawn in it and all its parts."""

    def __init__(self, drawn: list[str]) -> None:
        self.drawn = drawn

    def row(self, **_: Any) -> Layout:
        return Layout(self.drawn)

    column = row

    def prop(self, owner: Any, name: str, **_: Any) -> None:
        assert owner.bl_rna.properties[name].description
        self.drawn.append(name)


def test_options_show_what_the_chosen_ones_ask_for(installed: str) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    panel = importlib.import_module(f"{installed}.addon.panel").STEPSMITH_PT_options
    settings = bpy.context.scene.stepsmith_settings

    def drawn() -> list[str]:
        names: list[str] = []
        panel.draw(SimpleNamespace(layout=Layout(names)), bpy.context)
        return names

    plain = drawn()
    assert {"feet", "root", "at_cursor", "heading", "reach", "into", "reduced"} <= set(plain)
    settings.into, settings.reduced = "blend", True
    assert set(drawn()) - set(plain) == {"blend_frames", "key_degrees", "key_millimetres"}
