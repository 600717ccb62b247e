"""The headless command, called as Blender calls it."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion

FAKE = Path(__file__).with_name("fake_backend.py")
Run = Callable[..., int]
NewArmature = Callable[[str], bpy.types.Object]


@pytest.fixture
def backend(still: Callable[..., Motion], tmp_path: Path) -> Callable[..., str]:
    """The command of a backend with these options."""
    save_motion(tmp_path / "motion.npz", still(frames=60))
    return lambda *options: shlex.join([sys.executable, str(FAKE), "--motion", str(tmp_path / "motion.npz"), *options])


@pytest.fixture
def run(installed: str, backend: Callable[..., str], new_armature: NewArmature) -> Run:
    bpy.ops.wm.read_homefile(use_empty=True)
    new_armature("Rig")
    command = importlib.import_module(f"{installed}.addon.commands").run

    def dance(*arguments: object, options: tuple[str, ...] = ("--seconds", "0.2")) -> int:
        return command(["dance", *map(str, arguments), "--backend", backend(*options)])

    return dance


def test_a_file_with_the_dance_is_saved(
    run: Run, song: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.blend"
    assert run(song, "--rig", "Rig", "-o", out) == 0
    printed = capfd.readouterr().out
    assert "% Dancing" in printed
    assert str(out) in printed
    assert sorted(p.name for p in tmp_path.iterdir() if "blend" in p.name) == ["out.blend"]
    bpy.ops.wm.open_mainfile(filepath=str(out))
    assert bpy.data.objects["Rig"].animation_data.action is not None
    assert len(bpy.context.scene.timeline_markers) == 4
    assert bpy.context.scene.frame_end == 60


def test_without_a_rig_the_built_in_character_dances(run: Run, song: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.blend"
    assert run(song, "-o", out) == 0
    bpy.ops.wm.open_mainfile(filepath=str(out))
    dancers = [ob for ob in bpy.data.objects if ob.type == "ARMATURE" and ob.animation_data]
    assert [ob.name for ob in dancers] == ["Dancer"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["{song}", "--rig", "Rig", "-o", "{folder}/out.fbx"], "end the name after -o in .blend"),
        (["{song}", "--rig", "Rig", "-o", "{folder}/none/out.blend"], "doesn't exist: make it first"),
        (["{folder}/none.wav", "--rig", "Rig", "-o", "{folder}/out.blend"], "There is no song"),
        (["{song}", "--rig", "Nobody", "-o", "{folder}/out.blend"], "Nobody is not in the scene.*(Rig)"),
        (["{song}", "--rig", "Rig", "-o", "{folder}/out.blend", "--genre", "unheard"], "no genre unheard"),
        (["{song}", "--rig", "Rig", "-o", "{folder}/out.blend", "--seed", "x"], "x is no whole number"),
        (["{song}", "--rig", "Rig", "-o", "{folder}/out.blend", "--start", "-1"], "-1 is no number"),
        (["{song}", "--rig", "Rig", "-o", "{folder}/out.blend", "--duration", "0"], "lasts between 1 s and 2 hours"),
        (["{song}", "--rig", "Rig", "-o", "{folder}/out.blend", "--bpm", "5"], "between 30 and 300 beats a minute"),
        (["{song}"], "required.*--out"),
    ],
)
def test_wrong_wishes_are_one_sentence_and_a_code(
    run: Run, song: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert run(*(part.format(song=song, folder=tmp_path) for part in arguments)) != 0
    said = capfd.readouterr().err
    assert "Traceback" not in said
    assert re.search(reason, said), said
    assert not list(tmp_path.glob("*.blend*"))


def _hips(rig: bpy.types.Object) -> tuple[float, float]:
    """Where the rig's hips are on the scene's current frame (x, y)."""
    x, y, _ = rig.matrix_world @ rig.pose.bones["pelvis"].head
    return x, y


def test_several_dance_together(
    run: Run, new_armature: NewArmature, song: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    new_armature("Ben").location = (4.0, 0.0, 0.0)
    new_armature("Carl").location = (8.0, 0.0, 0.0)
    out = tmp_path / "out.blend"
    asked = ("--delay", "0.5", "--formation", "line", "--spacing", "2")
    assert run(song, "--rig", "Carl", "--rig", "Rig", "--rig", "Ben", *asked, "-o", out) == 0
    assert f"Carl, Rig and Ben dance 2.0 s in {out}" in capfd.readouterr().out
    bpy.ops.wm.open_mainfile(filepath=str(out))
    scene, rigs = bpy.context.scene, [bpy.data.objects[name] for name in ("Carl", "Rig", "Ben")]
    assert [tuple(rig.animation_data.action.frame_range) for rig in rigs] == [(1, 60), (16, 75), (31, 90)]
    assert (scene.frame_start, scene.frame_end) == (1, 90)
    scene.frame_set(31)
    assert [_hips(rig) for rig in rigs] == [pytest.approx((x, 0.0), abs=1e-3) for x in (2.0, 4.0, 6.0)]
    assert [tuple(rig.location) for rig in rigs] == [(8.0, 0.0, 0.0), (0.0, 0.0, 0.0), (4.0, 0.0, 0.0)]


def test_another_dance_each(
    run: Run, new_armature: NewArmature, song: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    new_armature("Ben")
    memory = tmp_path / "memory.json"
    wishes = (song, "--rig", "Rig", "--rig", "Ben", "--another-each", "--seed", "7", "-o", tmp_path / "out.blend")
    assert run(*wishes, options=("--seconds", "0.2", "--memory", str(memory))) == 0
    assert [job["wishes"]["seed"] for job in json.loads(memory.read_text())["jobs"].values()] == [7, 8]
    assert "Dancing (dance 2 of 2)" in capfd.readouterr().out


def test_every_second_is_mirrored(
    run: Run, installed: str, new_armature: NewArmature, still: Callable[..., Motion], tmp_path: Path
) -> None:
    new_armature("Ben").location = (3.0, 0.0, 0.0)
    calm = still(frames=30)
    right = calm.root + np.linspace(0.0, 1.0, 30)[:, None] * [1.0, 0.0, 0.0]
    save_motion(tmp_path / "right.npz", replace(calm, root=right, contacts=np.zeros((30, 4))))
    command = importlib.import_module(f"{installed}.addon.commands").run
    asked = ["--rig", "Rig", "--rig", "Ben", "--mirror-every-second", "-o", str(tmp_path / "out.blend")]
    assert command(["retarget", str(tmp_path / "right.npz"), *asked]) == 0
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "out.blend"))
    bpy.context.scene.frame_set(30)
    ends = [_hips(bpy.data.objects[name]) for name in ("Rig", "Ben")]
    assert ends == [pytest.approx((1.0, 0.0), abs=0.05), pytest.approx((2.0, 0.0), abs=0.05)]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (["--rig", "Rig", "--rig", "Bad"], "Bad.*no bones"),
        (["--rig", "Rig", "--rig", "Nobody"], "Nobody is not in the scene"),
        (["--rig", "Rig", "--rig", "Ben", "--rig", "Rig"], "Rig is named twice"),
        (["--rig", "Rig", "--another-each"], "--another-each is for several dancers"),
        (["--rig", "Rig", "--delay", "1"], "--delay is for several dancers"),
        (["--formation", "line"], "--formation is for several dancers"),
        (["--rig", "Rig", "--rig", "Ben", "--place", "1,1"], "can't all begin at one --place"),
        (["--rig", "Rig", "--rig", "Ben", "--spacing", "2"], "--spacing is that of a formation"),
        (["--rig", "Rig", "--rig", "Ben", "--formation", "line", "--spacing", "0"], "can't all stand 0 apart"),
        (["--rig", "Rig", "--rig", "Ben", "--formation", "heap"], "invalid choice"),
        (["--rig", "Rig", "--rig", "Ben", "--another-each", "--seed", str(2**31 - 1)], "give a smaller --seed"),
    ],
)
def test_several_are_checked_before_the_work(
    run: Run,
    new_armature: NewArmature,
    song: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    asked: list[str],
    reason: str,
) -> None:
    new_armature("Ben")
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("Bad", bpy.data.armatures.new("Bad")))
    assert run(song, *asked, "-o", tmp_path / "out.blend") != 0
    printed = capfd.readouterr()
    assert re.search(reason, printed.err), printed.err
    assert "% Dancing" not in printed.out
    assert all(ob.animation_data is None for ob in bpy.data.objects)
    assert not list(tmp_path.glob("*.blend*"))


def test_one_who_cant_dance_what_was_made_leaves_no_file(
    run: Run, new_armature: NewArmature, song: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for bone in new_armature("Ben").pose.bones:
        bone.rotation_mode = "XYZ"
        bone.lock_rotation = bone.lock_location = (True, True, True)
    assert run(song, "--rig", "Rig", "--rig", "Ben", "-o", tmp_path / "out.blend") == 1
    assert "Ben can't dance with all its bones' channels locked" in capfd.readouterr().err
    assert not list(tmp_path.glob("*.blend*"))


def test_a_backend_that_fails_leaves_no_file(
    run: Run, song: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ("--seconds", "0", "--fail", "The song is silent: choose another one.")
    assert run(song, "--rig", "Rig", "-o", tmp_path / "out.blend", options=options) == 1
    assert capfd.readouterr().err.strip() == "stepsmith: The song is silent: choose another one."
    assert run(song, "--rig", "Rig", "-o", tmp_path / "out.blend", "--verbose", options=options) == 1
    assert "Traceback" in capfd.readouterr().err
    assert not list(tmp_path.glob("*.blend*"))


def test_an_unforeseen_error_is_one_sentence_too(
    run: Run,
    installed: str,
    song: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_out: Path) -> None:
        raise ZeroDivisionError("by\nnothing")

    monkeypatch.setattr(importlib.import_module(f"{installed}.addon.commands"), "save", fail)
    assert run(song, "--rig", "Rig", "-o", tmp_path / "out.blend") == 1
    said = capfd.readouterr().err
    assert "ZeroDivisionError: by nothing" in said.strip().splitlines()[-1]
    assert "Traceback" not in said
    assert run(song, "--rig", "Rig", "-o", tmp_path / "out.blend", "--verbose") == 1
    assert "Traceback" in capfd.readouterr().err


def test_an_earlier_file_survives_a_failure(run: Run, song: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.blend"
    out.write_bytes(b"precious")
    assert run(song, "--rig", "Rig", "-o", out, options=("--seconds", "0", "--fail", "No.")) == 1
    assert out.read_bytes() == b"precious"


def test_ctrl_c_cancels_and_leaves_no_file(
    run: Run, song: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    before = time.monotonic()
    assert run(song, "--rig", "Rig", "-o", tmp_path / "out.blend", options=("--seconds", "60")) == 130
    assert time.monotonic() - before < 15.0
    assert "cancelled" in capfd.readouterr().err
    assert not list(tmp_path.glob("*.blend*"))


@pytest.mark.blender
def test_a_real_blender_makes_a_character_in_an_opened_file(
    installed_blender: Callable[..., subprocess.CompletedProcess[str]],
    backend: Callable[..., str],
    song: Path,
    tmp_path: Path,
) -> None:
    """Without a window, as Blender has none for a file opened in the background, it knows no active object."""
    scene, out = tmp_path / "scene.blend", tmp_path / "out.blend"
    make = (
        "import bpy; bpy.ops.mesh.primitive_cube_add(); bpy.ops.object.mode_set(mode='EDIT');"
        f"bpy.ops.wm.save_as_mainfile(filepath={str(scene)!r})"
    )
    assert installed_blender("-b", "--factory-startup", "--python-expr", make).returncode == 0
    wishes = [song, "-o", out, "--backend", backend("--seconds", "0.2")]
    done = installed_blender("-b", scene, "--command", "stepsmith", "dance", *wishes)
    assert done.returncode == 0, done.stderr
    look = (
        f"import bpy; bpy.ops.wm.open_mainfile(filepath={str(out)!r});"
        "dancer = bpy.data.objects['Dancer']; assert dancer.animation_data.action is not None;"
        "assert dancer.select_get() and not bpy.data.objects['Cube'].select_get()"
    )
    looked = installed_blender("-b", "--python-exit-code", "3", "--python-expr", look)
    assert looked.returncode == 0, looked.stderr


@pytest.mark.blender
def test_a_real_blender_runs_the_command(
    installed_blender: Callable[..., subprocess.CompletedProcess[str]],
    backend: Callable[..., str],
    song: Path,
    tmp_path: Path,
) -> None:
    scene, out = tmp_path / "scene.blend", tmp_path / "out.blend"
    bpy.ops.wm.read_homefile(use_empty=True)
    make = (
        "import bpy; from bl_ext.user_default.stepsmith.addon.character import make_character;"
        "make_character(bpy.context, 'Hero'); bpy.context.window.scene = bpy.data.scenes.new('Credits');"
        f"bpy.ops.wm.save_as_mainfile(filepath={str(scene)!r})"
    )
    assert installed_blender("-b", "--python-exit-code", "3", "--python-expr", make).returncode == 0
    wishes = [song, "--rig", "Hero", "-o", out, "--backend", backend("--seconds", "0.5")]
    done = installed_blender("-b", scene, "--command", "stepsmith", "dance", *wishes)
    assert done.returncode == 0, done.stderr
    assert "% Dancing" in done.stdout
    look = (
        f"import bpy; bpy.ops.wm.open_mainfile(filepath={str(out)!r});"
        "assert bpy.data.objects['Hero'].animation_data.action is not None;"
        "assert bpy.context.scene.sequence_editor.sequences_all"
    )
    assert installed_blender("-b", "--python-exit-code", "3", "--python-expr", look).returncode == 0
    failed = installed_blender("-b", scene, "--command", "stepsmith", "dance", song, "--rig", "Nobody", "-o", out)
    assert failed.returncode != 0
    assert "Nobody is not in the scene" in failed.stderr


def test_a_motion_file_on_a_rig(
    run: Run, installed: str, still: Callable[..., Motion], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = importlib.import_module(f"{installed}.addon.commands").run
    save_motion(tmp_path / "still.npz", still(frames=40))
    out = tmp_path / "still.blend"
    asked = ["--rig", "Rig", "-o", str(out), "--place=-2,3", "--heading", "90", "--keys", "0.5,5", "--mirror"]
    assert command(["retarget", str(tmp_path / "still.npz"), *asked]) == 0
    assert "Rig dances 1.3 s" in capfd.readouterr().out
    bpy.ops.wm.open_mainfile(filepath=str(out))
    rig = bpy.data.objects["Rig"]
    bpy.context.scene.frame_set(bpy.context.scene.frame_start)
    hips = [rig.matrix_world @ rig.pose.bones[f"{side}_hip"].head for side in ("left", "right")]
    middle = (hips[0] + hips[1]) / 2.0
    assert tuple(middle)[:2] == pytest.approx((-2.0, 3.0), abs=1e-3)
    # Facing +x, the left hip is towards +y.
    assert tuple(hips[0] - hips[1])[:2] == pytest.approx((0.0, (hips[0] - hips[1]).length), abs=1e-3)


def test_the_rigs_scene_is_opened(
    run: Run, installed: str, still: Callable[..., Motion], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = importlib.import_module(f"{installed}.addon.commands").run
    save_motion(tmp_path / "still.npz", still(frames=4))
    scene = bpy.context.scene
    bpy.context.window.scene = bpy.data.scenes.new("Credits")
    assert command(["retarget", str(tmp_path / "still.npz"), "--rig", "Rig", "-o", str(tmp_path / "out.blend")]) == 0
    assert bpy.context.scene == scene
    assert scene.objects["Rig"].animation_data.action is not None


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--rig", "Nobody"], "Nobody is not in the scene"),
        (["--rig", "Rig", "--map", "missing.json"], "missing.json can't be read"),
        (["--rig", "Rig", "--keys", "0,5"], "above 0"),
        (["--rig", "Rig", "--place", "left"], "no pair of numbers"),
        (["--rig", "Rig", "--source", "Rig"], "not allowed"),
        (["--rig", "Rig", "--rig", "Rig"], "Rig is named twice"),
    ],
)
def test_what_retarget_refuses(
    run: Run,
    installed: str,
    still: Callable[..., Motion],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    asked: list[str],
    words: str,
) -> None:
    command = importlib.import_module(f"{installed}.addon.commands").run
    save_motion(tmp_path / "still.npz", still(frames=4))
    assert command(["retarget", str(tmp_path / "still.npz"), "-o", str(tmp_path / "out.blend"), *asked]) != 0
    assert words in capfd.readouterr().err
    assert not (tmp_path / "out.blend").exists()
