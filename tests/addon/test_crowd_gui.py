"""Several dancers in a real Blender with a window: generated, undone in one step, redone."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion

pytestmark = [pytest.mark.blender, pytest.mark.slow]

FAKE = Path(__file__).with_name("fake_backend.py")
SCRIPT = Path(__file__).with_name("crowd_gui_script.py")


def test_another_dance_each_is_one_step_of_undo(
    installed_blender: Callable[..., subprocess.CompletedProcess[str]],
    display: str,
    still: Callable[..., Motion],
    song: Path,
    tmp_path: Path,
) -> None:
    save_motion(tmp_path / "motion.npz", still(frames=90))
    words = [sys.executable, str(FAKE), "--motion", str(tmp_path / "motion.npz"), "--seconds", "0.5"]
    wishes = {"command": shlex.join(words), "song": str(song), "out": str(tmp_path / "seen.json")}
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
    assert seen["error"] == ""
    assert (seen["applied"], seen["undo"], seen["redo"]) == (2, 0, 2)
    keep = os.environ.get("STEPSMITH_PICTURES")
    if keep and seen["picture"] and Path(seen["picture"]).exists():
        shutil.copy(seen["picture"], keep)
