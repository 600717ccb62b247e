"""The add-on's side with the real backend: the server's own process, a small untrained model of the real kind."""

from __future__ import annotations

import importlib
import os
import shlex
import signal
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest
from stepsmith.addon.controls import Controls, Kept
from stepsmith.addon.dance_task import Backend, Connection, DanceTask, Request, wait_for
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.motion import Motion

pytest.importorskip("fastapi", reason="needs the backend, which is not installed beside this bpy")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a song of 8 s, one of 120 s that can be interrupted, and the weights of a small model."""
    from stepsmith.backend.audio.synth import synthesise, write_wav
    from stepsmith.backend.dance.model import DanceModel, ModelConfig
    from stepsmith.backend.dance.weights import save_model

    folder = tmp_path_factory.mktemp("backend")
    write_wav(folder / "song.wav", synthesise(tempo=120, duration=8))
    with wave.open(str(folder / "song.wav")) as short, wave.open(str(folder / "long.wav"), "wb") as long:
        long.setparams(short.getparams())
        long.writeframes(short.readframes(short.getnframes()) * 15)
    config = ModelConfig(genres=("tango", "waltz"), width=32, depth=1, heads=2)
    save_model(folder / "small.safetensors", DanceModel(config), {"data": "none", "licence": "none"})
    return folder


@pytest.fixture(scope="module")
def connection(folder: Path) -> Connection:
    code = (
        "import sys; from stepsmith.backend.cli import main;"
        f"sys.argv += ['--model', {str(folder / 'small.safetensors')!r}]; main()"
    )
    return Connection(command=shlex.join([sys.executable, "-c", code]), data=folder / "data")


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    made = Backend()
    yield made
    made.close()


def test_a_dance_for_a_song(backend: Backend, connection: Connection, folder: Path) -> None:
    fractions: list[float] = []
    request = Request(folder / "song.wav", genre="waltz", seed=3, start=1.0, duration=4.0)
    dance = wait_for(DanceTask(backend, connection, request), lambda status: fractions.append(status.fraction))
    assert dance.motion.duration == pytest.approx(4.0, abs=0.1)
    assert fractions == sorted(fractions)
    assert "waltz" in backend.genres
    again = wait_for(DanceTask(backend, connection, request), lambda _: None)
    assert (again.motion.rotations == dance.motion.rotations).all()


def test_all_that_can_be_asked_of_a_dance(
    backend: Backend, connection: Connection, folder: Path, still: Callable[..., Motion]
) -> None:
    pose = still(frames=10)
    controls = Controls(
        energy=((0.0, -1.0), (2.0, 1.0)),
        loop=True,
        radius=1.5,
        candidates=2,
        changes=((2.0, "tango"),),
        keep=(Kept.of(pose, 1.0, "upper"),),
        first_frame=7,
    )
    request = Request(folder / "song.wav", genre="waltz", start=1.0, duration=5.0, controls=controls)
    motion = wait_for(DanceTask(backend, connection, request), lambda _: None).motion
    facts = [motion.meta[name] for name in ("loop", "genre_changes", "first_frame")]
    assert facts == [True, [[2.0, "tango"]], 7]
    assert np.linalg.norm(motion.root[:, :2] - motion.root[0, :2], axis=1).max() <= 1.5 + 1e-6
    off = rot.angle(rot.multiply(rot.conjugate(motion.rotations[30:40, 16:22]), pose.rotations[:, 16:22]))
    assert off.max() < 1e-6, "the arms are kept"


def test_a_killed_backend_goes_on(backend: Backend, connection: Connection, folder: Path) -> None:
    task = DanceTask(backend, connection, Request(folder / "long.wav"))
    while task.status.fraction <= 0.05 and not task.status.over:
        time.sleep(0.005)
    assert not task.status.over, task.status.error
    pid = backend.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_for(task, lambda _: None).motion.duration == pytest.approx(120.0, abs=0.1)
    assert backend.pid != pid


def test_what_is_no_song_is_refused_in_one_sentence(backend: Backend, connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("This is a letter, not a song.\n" * 50)
    with pytest.raises(StepsmithError) as error:
        wait_for(DanceTask(backend, connection, Request(tmp_path / "text.mp3")), lambda _: None)
    assert "text.mp3" in str(error.value) or "sound" in str(error.value)
    assert "\n" not in str(error.value)


def test_cancelling_leaves_the_backend_ready(backend: Backend, connection: Connection, folder: Path) -> None:
    task = DanceTask(backend, connection, Request(folder / "long.wav"))
    while task.status.fraction <= 0.05 and not task.status.over:
        time.sleep(0.005)
    task.cancel()
    assert task.wait(20.0)
    assert task.status.cancelled
    request = Request(folder / "song.wav", duration=2.0)
    assert wait_for(DanceTask(backend, connection, request), lambda _: None).motion.duration < 2.2


def test_the_headless_command(installed: str, connection: Connection, folder: Path, tmp_path: Path) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    out = tmp_path / "out.blend"
    run = importlib.import_module(f"{installed}.addon.commands").run
    wishes = ["dance", str(folder / "song.wav"), "-o", str(out), "--duration", "3", "--backend", connection.command]
    assert run(wishes) == 0
    bpy.ops.wm.open_mainfile(filepath=str(out))
    scene = bpy.context.scene
    assert scene.objects["Dancer"].animation_data.action is not None
    assert scene.frame_end == 90
    assert len(scene.timeline_markers) >= 2
    assert len(scene.sequence_editor.strips_all) == 1
