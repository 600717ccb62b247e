"""What the panel says."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import bpy
import pytest
from blf import dimensions, size
from stepsmith.addon.panel import time_left, wrapped


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s left"), (-1.0, "0 s left"), (59.4, "59 s left"), (59.6, "1 min 0 s left"), (7300.0, "2 h 1 min left")],
)
def test_time_left_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert time_left(seconds) == text


@pytest.mark.parametrize("scale", [1.0, 1.75])
@pytest.mark.parametrize(
    "text", ["The song /home/Somebody/MUSIC/ALBUM/日本語の歌のとても長い名前のファイル.flac is not there.", "M" * 60]
)
def test_every_line_of_a_message_fits_into_the_sidebar(scale: float, text: str) -> None:
    context: Any = SimpleNamespace(
        region=SimpleNamespace(width=291 * scale),
        preferences=SimpleNamespace(
            system=SimpleNamespace(ui_scale=scale),
            ui_styles=bpy.context.preferences.ui_styles,
        ),
    )
    lines = wrapped(context, text)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    size(0, 11.0 * scale)
    widths = [dimensions(0, line)[0] for line in lines]
    assert 130 * scale < max(widths) <= 166 * scale, "as wide as there is room beside icon and button"


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
