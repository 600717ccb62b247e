"""Several dancers in a real Blender with a window: generated, undone in one step, redone."""

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


def test_another_dance_each_is_one_step_of_undo(
    in_a_window: Callable[..., dict[str, Any]],
    still: Callable[..., Motion],
    song: Path,
    tmp_path: Path,
) -> None:
    save_motion(tmp_path / "motion.npz", still(frames=90))
    words = [sys.executable, str(FAKE), "--motion", str(tmp_path / "motion.npz"), "--seconds", "0.5"]
    seen = in_a_window("crowd_gui_script.py", command=shlex.join(words), song=str(song))
    assert seen["error"] == ""
    assert (seen["applied"], seen["undo"], seen["redo"]) == (2, 0, 2)
    keep = os.environ.get("STEPSMITH_PICTURES")
    if keep and seen["picture"] and Path(seen["picture"]).exists():
        shutil.copy(seen["picture"], keep)
