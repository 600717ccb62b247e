"""A SMPL body in a real Blender with a window: shaped, undone, redone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]

SCRIPT = Path(__file__).with_name("smpl_gui_script.py")


def test_a_shape_in_a_window_is_undone_with_its_skeleton(
    installed_blender: Callable[..., subprocess.CompletedProcess[str]],
    display: str,
    make_body_arrays: Callable[..., dict[str, Any]],
    write_body_npz: Callable[..., Path],
    tmp_path: Path,
) -> None:
    body = write_body_npz(tmp_path / "body.npz", make_body_arrays())
    ended = installed_blender(
        *("--window-geometry", "0", "0", "1100", "700", "-P", SCRIPT),
        DISPLAY=display,
        TMPDIR=str(tmp_path),  # where Blender leaves quit.blend
        STEPSMITH_GUI=json.dumps({"body": str(body), "out": str(tmp_path / "seen.json")}),
    )
    said = ended.stdout + ended.stderr
    assert "Traceback" not in said, said
    assert (tmp_path / "seen.json").exists(), said
    seen = json.loads((tmp_path / "seen.json").read_text())
    key, slider, head = seen["added"]
    assert (key, slider) == (0.0, 0.0)
    for mode in ("OBJECT", "POSE"):
        assert seen[f"shaped {mode}"] == pytest.approx([2.0, 2.0, 1.1 * head], abs=1e-5)
        assert seen[f"undo {mode}"] == pytest.approx([0.0, 0.0, head], abs=1e-6)
        assert seen[f"redo {mode}"] == seen[f"shaped {mode}"]
        assert seen[f"mode {mode}"] == mode
