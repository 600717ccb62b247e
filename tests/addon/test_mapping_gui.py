"""The bone map's panel and the check of the rest pose, drawn in a real Blender with a window."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]

SCRIPT = Path(__file__).with_name("mapping_gui_script.py")


def test_the_map_in_a_window(
    installed_blender: Callable[..., subprocess.CompletedProcess[str]], display: str, tmp_path: Path
) -> None:
    wishes = {"folder": str(tmp_path), "out": str(tmp_path / "seen.json")}
    ended = installed_blender(
        *("--window-geometry", "0", "0", "1100", "700", "-P", SCRIPT),
        DISPLAY=display,
        TMPDIR=str(tmp_path),  # where Blender leaves quit.blend
        STEPSMITH_GUI=json.dumps(wishes),
    )
    said = ended.stdout + ended.stderr
    assert "Traceback" not in said, said
    assert (tmp_path / "seen.json").exists(), said
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert set(seen["drawn"]) == {"STEPSMITH_PT_map", "STEPSMITH_PT_map_table", "STEPSMITH_PT_map_pose"}
    green = seen["green"]
    if green:  # where pictures of the screen can be taken
        assert green["checked"] > green["without map"] + 500, "the bones are drawn in green"
        assert green["matching"] > green["deleted"] + 500
        assert green["deleted"] < 50, "a deleted armature is not drawn"
