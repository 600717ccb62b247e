"""What is asked of a dance: from the panel and the command line to the backend, and what of a dancer is kept."""

from __future__ import annotations

import hashlib
import importlib
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from stepsmith.addon.controls import Frames
from stepsmith.addon.rig_to_rig import read_motion
from stepsmith.addon.scene import Options, apply_motion
from stepsmith.addon.steering import read_controls
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.files import motion_from_bytes, save_motion
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL

NewArmature = Callable[[str], Any]
FAKE = Path(__file__).with_name("fake_backend.py")


@pytest.fixture
def swaying() -> Motion:
    """Two seconds of a body that swings its arms and walks off."""
    angles = np.zeros((60, 24, 3))
    angles[:, 16:18, 1] = np.sin(np.arange(60) * 0.2)[:, None]
    root = np.stack([np.arange(60) * 0.01, np.arange(60) * -0.02, np.full(60, SMPL.rest_root_height)], axis=1)
    return Motion(30.0, root, rot.from_axis_angle(angles), np.zeros((60, 4)))


@pytest.fixture
def rig(new_armature: NewArmature) -> Any:
    bpy.ops.wm.read_homefile(use_empty=True)
    return new_armature("Rig")


# --- in the panel ----------------------------------------------------------------------------------------


@pytest.fixture
def panel(installed: str, song: Path, swaying: Motion, rig: Any, tmp_path: Path) -> Iterator[Any]:
    """Presses Generate and hands over what the backend was asked for."""
    session = importlib.import_module(f"{installed}.addon.session")
    session.register()
    preferences = bpy.context.preferences.addons[installed].preferences
    preferences.folder, preferences.place = str(tmp_path), "HERE"
    save_motion(tmp_path / "motion.npz", swaying)
    memory = tmp_path / "memory.json"
    words = [sys.executable, FAKE, "--motion", tmp_path / "motion.npz", "--seconds", "0", "--memory", memory]
    preferences.command = shlex.join(map(str, words))
    bpy.context.scene.stepsmith_settings.song = str(song)
    bpy.context.scene.stepsmith_settings.target = rig

    def generate() -> dict[str, Any]:
        assert bpy.ops.stepsmith.generate() == {"FINISHED"}
        deadline = time.monotonic() + 20.0
        while session.current.task is not None:
            assert time.monotonic() < deadline, session.current.status
            session.current.tick()
            time.sleep(0.02)
        assert session.current.error == ""
        return list(json.loads(memory.read_text())["jobs"].values())[-1]["wishes"]

    yield generate
    session.unregister()
    session.register()


def test_nothing_is_asked_for_that_was_not_chosen(panel: Callable[[], dict[str, Any]]) -> None:
    bpy.context.scene.stepsmith_steering.energy = 1.5  # and not set
    assert "controls" not in panel()


def test_what_is_chosen_reaches_the_backend(panel: Callable[[], dict[str, Any]]) -> None:
    settings = bpy.context.scene.stepsmith_steering
    settings.energetic, settings.energy, settings.loop, settings.candidates = True, -1.5, True, 3
    assert panel()["controls"] == {"energy": -1.5, "loop": True, "candidates": 3}
    settings.energy, settings.loop, settings.candidates = 0.0, False, 1
    assert panel()["controls"] == {"energy": 0.0}, "as usual is not as the music has it"


def test_the_circle_is_one_of_the_scene(panel: Callable[[], dict[str, Any]], rig: Any) -> None:
    settings = bpy.context.scene.stepsmith_steering
    settings.radius = 1.5
    small = panel()["controls"]["radius"]
    rig.scale = (2.0, 2.0, 2.0)
    assert panel()["controls"]["radius"] == pytest.approx(small / 2.0)
    bpy.context.scene.stepsmith_settings.target = None
    assert panel()["controls"]["radius"] == pytest.approx(1.5)
    bpy.context.scene.unit_settings.scale_length = 0.01
    bpy.context.scene.stepsmith_settings.target = None
    assert panel()["controls"]["radius"] == pytest.approx(0.015), "a new character is as tall in centimetres"
    assert small == pytest.approx(1.5, rel=0.02), "the test's rig is as tall as a new character"


def test_a_pose_is_kept_where_it_is(panel: Callable[[], dict[str, Any]], rig: Any, swaying: Motion) -> None:
    apply_motion(bpy.context, rig, swaying)
    bpy.context.scene.stepsmith_settings.into = "nla"
    bpy.context.scene.frame_set(11)
    settings = bpy.context.scene.stepsmith_steering
    settings.keep, settings.keep_first, settings.keep_last = "upper", 26, 40
    (kept,) = panel()["controls"]["keep"]
    assert (kept["at"], kept["part"]) == (0.5, "upper")
    assert rig.animation_data.nla_tracks[0].strips[0].frame_start == 11


def test_the_dance_begins_where_it_was_asked_to(panel: Callable[[], dict[str, Any]], rig: Any, swaying: Motion) -> None:
    """... though the user has gone on to another frame, since what is kept is on its own frames."""
    apply_motion(bpy.context, rig, swaying)
    bpy.context.scene.stepsmith_settings.into = "nla"
    bpy.context.scene.frame_set(11)
    bpy.context.scene.stepsmith_steering.keep = "all"
    bpy.context.scene.stepsmith_steering.keep_first = bpy.context.scene.stepsmith_steering.keep_last = 20
    panel()
    bpy.context.scene.frame_set(50)
    assert bpy.ops.stepsmith.apply_dance() == {"FINISHED"}
    assert rig.animation_data.nla_tracks[-1].strips[0].frame_start == 11


def test_what_cant_be_kept_is_said_before_the_work(panel: Callable[[], dict[str, Any]]) -> None:
    settings = bpy.context.scene.stepsmith_steering
    settings.keep, settings.keep_first, settings.keep_last = "all", -5, 3
    with pytest.raises(RuntimeError, match="begins on frame 1, so frames -5 to 3"):
        panel()
    bpy.context.scene.stepsmith_settings.target = None
    with pytest.raises(RuntimeError, match="no animation to keep"):
        panel()


def test_the_panel_has_a_tooltip_for_everything(installed: str) -> None:
    settings = bpy.context.scene.stepsmith_steering
    for name, prop in settings.bl_rna.properties.items():
        assert prop.description or name in ("rna_type", "name"), name


# --- what is kept ----------------------------------------------------------------------------------------


def test_kept_frames_come_back_on_the_rig_they_were_read_from(rig: Any, swaying: Motion) -> None:
    rig.location, rig.rotation_euler = (3.0, 1.0, 0.0), (0.0, 0.0, 1.0)
    apply_motion(bpy.context, rig, swaying)
    (kept,) = read_controls(bpy.context, rig, keep=[Frames(10, 40)]).keep
    before = heads(rig, 10, 40)
    motion = motion_from_bytes(kept.data).with_meta(first_frame=10)
    apply_motion(bpy.context, rig, motion, start_frame=10, options=Options(into="blend", blend_frames=0, feet="never"))
    assert np.abs(heads(rig, 10, 40) - before).max() < 0.01


def test_what_is_kept_of_a_mirrored_dance_is_not_mirrored(rig: Any, swaying: Motion) -> None:
    apply_motion(bpy.context, rig, swaying)
    (kept,) = read_controls(bpy.context, rig, keep=[Frames(1, 30, "lower")], mirror=True).keep
    plain = read_motion(bpy.context, rig, frame_range=(1, 30))
    assert np.allclose(motion_from_bytes(kept.data).mirror().rotations, plain.rotations)
    assert kept.name == hashlib.sha256(kept.data).hexdigest()


def heads(rig: Any, first: int, last: int) -> np.ndarray:
    found = []
    for frame in range(first, last + 1):
        bpy.context.scene.frame_set(frame)
        found.append([rig.matrix_world @ bone.head for bone in rig.pose.bones])
    return np.array(found)


# --- on the command line ---------------------------------------------------------------------------------


@pytest.fixture
def command(installed: str, song: Path, swaying: Motion, rig: Any, tmp_path: Path) -> Callable[..., Any]:
    """Runs the headless command; hands over its exit code and what the backend was asked for."""
    run = importlib.import_module(f"{installed}.addon.commands").run
    save_motion(tmp_path / "motion.npz", swaying)
    memory = tmp_path / "memory.json"
    words = [sys.executable, FAKE, "--motion", tmp_path / "motion.npz", "--seconds", "0", "--memory", memory]

    def dance(*options: str) -> tuple[int, dict[str, Any]]:
        asked = ["dance", str(song), "--rig", "Rig", "-o", str(tmp_path / "out.blend"), *options]
        code = run([*asked, "--backend", shlex.join(map(str, words))])
        jobs = json.loads(memory.read_text())["jobs"] if memory.exists() else {}
        return code, list(jobs.values())[-1]["wishes"] if jobs else {}

    return dance


def test_the_command_asks_for_all_of_it(command: Callable[..., Any], rig: Any, swaying: Motion) -> None:
    apply_motion(bpy.context, rig, swaying)
    code, wishes = command("--energy", "-0.5", "--loop", "--candidates", "2", "--keep", "1-1", "--keep", "31-60:upper")
    assert code == 0
    asked = wishes["controls"]
    assert (asked["energy"], asked["loop"], asked["candidates"]) == (-0.5, True, 2)
    assert [(kept["at"], kept["part"]) for kept in asked["keep"]] == [(0.0, "all"), (1.0, "upper")]


@pytest.mark.parametrize(
    ("ranked", "told"), [([1, 0], True), ([1], False), ("10", False), ([1, "0"], False), (None, False)]
)
def test_the_command_tells_the_ranking(
    command: Callable[..., Any], swaying: Motion, tmp_path: Path, capsys: Any, ranked: Any, told: bool
) -> None:
    save_motion(tmp_path / "motion.npz", swaying.with_meta(ranked=ranked))
    assert command("--candidates", "2")[0] == 0
    assert ("Seed 1 is the best of 2, then 0." in capsys.readouterr().err) == told


def test_energy_may_change_along_the_dance(command: Callable[..., Any]) -> None:
    assert command("--energy", "0:-1,20:1.5")[1]["controls"] == {"energy": [[0.0, -1.0], [20.0, 1.5]]}
    assert "controls" not in command()[1]


def test_the_genre_may_change_along_the_dance(command: Callable[..., Any]) -> None:
    wishes = command("--genre", "20:tango", "--genre", "waltz", "--genre", "7.5:rumba")[1]
    assert (wishes["genre"], wishes["controls"]) == ("waltz", {"changes": [[7.5, "rumba"], [20.0, "tango"]]})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--genre", "waltz", "--genre", "tango"], "waltz and tango can't both be danced first"),
        (["--genre", "5:waltz", "--genre", "5:tango"], "can't change to waltz at 5 s"),
        (["--genre", "0:waltz"], "can't change to waltz at 0 s"),
        (["--energy", "7"], "7 is no energy from -2.5 to 2.5"),
        (["--energy", "0:1,0:2"], "is no energy"),
        (["--energy", "nan"], "nan is no energy"),
        (["--radius", "0"], "0 is no distance above 0"),
        (["--candidates", "17"], "from 1 to 16"),
        (["--keep", "9-3"], "9-3 are no frames"),
        (["--keep", "1-9:nose"], "are no frames"),
        (["--keep=-9-3"], "begins on frame 1"),
        (["--energy", "5:1,inf:2"], "is no energy"),
    ],
)
def test_wishes_that_make_no_sense_are_one_sentence(
    command: Callable[..., Any], options: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code, wishes = command(*options)
    assert (code != 0, wishes) == (True, {})
    said = capfd.readouterr().err
    assert words in said
    assert "Traceback" not in said


def test_a_kept_motion_is_sent_once(command: Callable[..., Any], rig: Any, swaying: Motion, tmp_path: Path) -> None:
    apply_motion(bpy.context, rig, swaying)
    for _ in range(2):
        assert command("--keep", "1-9")[0] == 0
        bpy.context.view_layer.update()
    songs = json.loads((tmp_path / "memory.json").read_text())["songs"]
    assert len(songs) == len(set(songs))
