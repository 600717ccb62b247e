"""The bone map's panel and the check of the rest pose, drawn in a real Blender with a window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]


def test_the_map_in_a_window(in_a_window: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    seen = in_a_window("mapping_gui_script.py", folder=str(tmp_path))
    assert set(seen["drawn"]) == {"STEPSMITH_PT_map", "STEPSMITH_PT_map_table", "STEPSMITH_PT_map_pose"}
    green = seen["green"]
    if green:  # where pictures of the screen can be taken
        assert green["checked"] > green["without map"] + 500, "the bones are drawn in green"
        assert green["matching"] > green["deleted"] + 500
        assert green["deleted"] < 50, "a deleted armature is not drawn"
