"""The panel in a real Blender with a window: drawn, generating, applied, undone."""

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
SCRIPT = Path(__file__).with_name("gui_script.py")


def test_a_dance_in_a_window(
    installed_blender: Callable[..., subprocess.CompletedProcess[str]],
    display: str,
    still: Callable[..., Motion],
    song: Path,
    tmp_path: Path,
) -> None:
    save_motion(tmp_path / "motion.npz", still(frames=90))
    words = [sys.executable, str(FAKE), "--motion", str(tmp_path / "motion.npz"), "--seconds", "4"]
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
    fractions = seen["fractions"]
    assert fractions == sorted(fractions)
    assert any(0.0 < fraction < 1.0 for fraction in fractions)
    assert seen["longest_tick"] < 0.005, "Blender must stay responsive while the dance is made"
    assert seen["applied"] == {"objects": 2, "actions": 1, "strips": 1, "markers": 6, "target": True}
    nothing = {"objects": 0, "actions": 0, "strips": 0, "markers": 0, "target": False}
    assert seen["undone"] == nothing, "one undo takes everything back"
    assert seen["redone"] == seen["applied"]
    assert seen["replaced"], "an undo meanwhile must not lose the dancer"
    assert seen["dancers"] == 1
    assert seen["error"] == ""
    assert "Apply Last Dance" in seen["closed"]
    with pytest.raises(ProcessLookupError):
        os.kill(seen["backend"], 0)
    picture = Path(seen["picture"]) if seen["picture"] else None
    keep = os.environ.get("STEPSMITH_PICTURES")
    if keep and picture and picture.exists():
        shutil.copy(picture, keep)
