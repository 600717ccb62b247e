"""The panel in a real Blender with a window: drawn, generating, applied, undone."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion

pytestmark = [pytest.mark.blender, pytest.mark.slow]

FAKE = Path(__file__).with_name("fake_backend.py")


def test_a_dance_in_a_window(
    in_a_window: Callable[..., dict[str, Any]],
    still: Callable[..., Motion],
    song: Path,
    tmp_path: Path,
) -> None:
    save_motion(tmp_path / "motion.npz", still(frames=90))
    words = [sys.executable, str(FAKE), "--motion", str(tmp_path / "motion.npz"), "--seconds", "4"]
    seen = in_a_window("gui_script.py", command=shlex.join(words), song=str(song))
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
