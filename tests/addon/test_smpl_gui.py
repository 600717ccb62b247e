"""A SMPL body in a real Blender with a window: shaped, undone, redone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]


def test_a_shape_in_a_window_is_undone_with_its_skeleton(
    in_a_window: Callable[..., dict[str, Any]],
    make_body_arrays: Callable[..., dict[str, Any]],
    write_body_npz: Callable[..., Path],
    tmp_path: Path,
) -> None:
    body = write_body_npz(tmp_path / "body.npz", make_body_arrays())
    seen = in_a_window("smpl_gui_script.py", body=str(body))
    key, slider, head = seen["added"]
    assert (key, slider) == (0.0, 0.0)
    for mode in ("OBJECT", "POSE"):
        assert seen[f"shaped {mode}"] == pytest.approx([2.0, 2.0, 1.1 * head], abs=1e-5)
        assert seen[f"undo {mode}"] == pytest.approx([0.0, 0.0, head], abs=1e-6)
        assert seen[f"redo {mode}"] == seen[f"shaped {mode}"]
        assert seen[f"mode {mode}"] == mode
