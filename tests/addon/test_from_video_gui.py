"""A dancer of a video in a real Blender: captured from the panel in a window, and by the headless command."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion

pytestmark = [pytest.mark.blender, pytest.mark.slow]

FAKE = Path(__file__).with_name("fake_backend.py")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Four seconds of grey pictures and a tone."""
    av = pytest.importorskip("av", reason="needs PyAV to make a video")
    path = tmp_path / "dancer.mp4"
    with av.open(str(path), "w") as file:
        pictures = file.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        pictures.width, pictures.height, pictures.pix_fmt = 96, 64, "yuv420p"
        sounds = file.add_stream("aac", rate=44100, layout="mono")
        for _ in range(100):
            file.mux(pictures.encode(av.VideoFrame.from_ndarray(np.full((64, 96, 3), 99, np.uint8))))
        file.mux(pictures.encode(None))
        tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(4 * 44100) / 44100)).astype(np.float32)
        for first in range(0, len(tone), 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, first : first + 1024].copy(), "fltp", "mono")
            frame.sample_rate = 44100
            file.mux(sounds.encode(frame))
        file.mux(sounds.encode(None))
    return path


@pytest.fixture
def command(tmp_path: Path, still: Callable[..., Motion]) -> str:
    """A backend that takes a second to capture three seconds of a dancer."""
    nobody = {"kind": "nobody", "start": 1.0, "end": 2.5, "text": "Nobody is seen from 1.0 s to 2.5 s."}
    lost = "The video's file is damaged from 2.5 s on: the pictures from there to 9.0 s are missing."
    damaged = {"kind": "damaged", "start": 2.5, "end": 9.0, "text": lost}
    facts = {"parts": [[0.5, 3.5]], "problems": [nobody, damaged], "song": "dancer.mp4", "song_start": 0.5}
    captured = still(frames=90).with_meta(**facts)
    save_motion(tmp_path / "captured.npz", captured)
    return shlex.join([sys.executable, str(FAKE), "--motion", str(tmp_path / "captured.npz"), "--seconds", "2"])


def test_a_capture_in_a_window(
    in_a_window: Callable[..., dict[str, Any]], video: Path, command: str, tmp_path: Path
) -> None:
    seen = in_a_window("from_video_gui_script.py", command=command, video=str(video))
    assert seen["error"] == ""
    assert any(0.0 < fraction < 1.0 for fraction in seen["fractions"])
    assert seen["applied"] == {"actions": 1, "strips": [["SOUND", "dancer.mp4"]], "markers": 6, "end": 90}
    assert seen["undone"] == seen["before"], "one undo takes everything back"
    assert seen["frame"] == 16
    picture, keep = tmp_path / "captured.png", os.environ.get("STEPSMITH_PICTURES")
    if keep and picture.exists():
        shutil.copy(picture, keep)


def test_a_real_blender_runs_the_command(
    installed_blender: Callable[..., subprocess.CompletedProcess[str]], video: Path, command: str, tmp_path: Path
) -> None:
    scene, out = tmp_path / "scene.blend", tmp_path / "out.blend"
    bpy.ops.wm.read_homefile(use_empty=True)
    make = (
        "import bpy; from bl_ext.user_default.stepsmith.addon.character import make_character;"
        f"make_character(bpy.context, 'Hero'); bpy.ops.wm.save_as_mainfile(filepath={str(scene)!r})"
    )
    assert installed_blender("-b", "--python-exit-code", "3", "--python-expr", make).returncode == 0
    wishes = [video, "--rig", "Hero", "-o", out, "--backend", command]
    done = installed_blender("-b", scene, "--command", "stepsmith", "capture", *wishes)
    assert done.returncode == 0, done.stderr
    assert "Nobody is seen from 1.0 s to 2.5 s." in done.stderr
    look = (
        f"import bpy; bpy.ops.wm.open_mainfile(filepath={str(out)!r});"
        "assert bpy.data.objects['Hero'].animation_data.action is not None;"
        "assert bpy.context.scene.sequence_editor.sequences_all"
    )
    assert installed_blender("-b", "--python-exit-code", "3", "--python-expr", look).returncode == 0
