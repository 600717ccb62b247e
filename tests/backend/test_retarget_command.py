"""``stepsmith retarget`` and ``stepsmith rig``, as a user runs them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stepsmith.backend import retarget_command
from stepsmith.backend.cli import app
from stepsmith.backend.file_options import ENDINGS
from stepsmith.backend.keying import Keying
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.files import load_motion, save_motion
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.rig_path import RIG_ENDINGS, split_rig
from stepsmith.retarget.skeleton import SMPL
from typer.testing import CliRunner


def run(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def motion(tmp_path: Path) -> Path:
    """A file with half a second of standing and raising the left arm."""
    rotations = np.tile([1.0, 0.0, 0.0, 0.0], (15, 24, 1))
    angle = np.linspace(0.0, 0.5, 15)
    rotations[:, 16] = np.column_stack([np.cos(angle / 2), 0 * angle, -np.sin(angle / 2), 0 * angle])
    root = np.tile([0.0, 0.0, SMPL.rest_root_height], (15, 1))
    save_motion(tmp_path / "raise.npz", Motion(30, root, rotations, np.ones((15, 4))))
    return tmp_path / "raise.npz"


@pytest.fixture(scope="module")
def character(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in character in a file of another program's kind, its name with a space and an accent."""
    folder = tmp_path_factory.mktemp("characters")
    still = Motion(30, np.tile([0.0, 0.0, 0.92], (2, 1)), np.tile([1.0, 0.0, 0.0, 0.0], (2, 24, 1)), np.ones((2, 4)))
    save_motion(folder / "still.npz", still)
    file = folder / "la héroïne.glb"
    assert run("retarget", folder / "still.npz", "-o", file).exit_code == 0
    return file


def test_motion_files_become_other_motion_files(motion: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "raise.bvh", tmp_path / "mirrored.pkl"]
    result = run("retarget", motion, "-o", outs[0], "-o", outs[1], "--mirror")
    assert (result.exit_code, result.stdout.split()) == (0, [str(out) for out in outs])
    raised = [load_motion(out).positions()[-1] for out in outs]
    for joints in raised:
        # The right arm now; the left one stays.
        assert joints[21, 2] - joints[20, 2] > 0.2


def test_a_motion_on_a_character_of_another_file(motion: Path, character: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.fbx"
    result = run("retarget", motion, "--rig", character, "-o", out, "--in-place", "--keys", "0.5,5")
    assert result.exit_code == 0, result.stderr
    assert out.stat().st_size > 1000
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_is_known_of_a_character(character: Path) -> None:
    table = run("rig", character)
    assert table.exit_code == 0
    assert "SMPL, 100% sure" in table.stdout
    assert "left knee" in table.stdout
    found = json.loads(run("rig", character, "--json").stdout)
    assert found["confidence"] == 1.0
    assert {"joint": "left_knee", "bone": "left_knee", "confidence": 1.0} in found["bones"]
    assert found["missing"] == []


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    names = "thigh[l]", "[red]arm", ":hand:", "foot[/r]"
    found = {
        "object": names[1],
        "convention": "none",
        "confidence": 0.5,
        "bones": [{"joint": "left_hip", "bone": name, "confidence": 0.9} for name in names],
        "missing": [],
        "switches": [{"property": "IK[b]", "bone": names[0], "value": 1.0}],
        "notices": [f"The bone “{name}” has no length." for name in names],
    }
    retarget_command._print(found)
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("[red]arm: none, 50% sure")
    assert "Keyed while it dances: IK[b] of thigh[l] at 1." in said
    for name in names:
        assert f"left hip │ {name} │ 90%" in re.sub(" +", " ", said)
        assert f"The bone “{name}” has no length." in said


def test_a_preset_is_danced_by(motion: Path, character: Path, tmp_path: Path) -> None:
    preset = tmp_path / "map.json"
    preset.write_text(json.dumps({"format": "something else"}))
    wrong = run("retarget", motion, "--rig", character, "-o", tmp_path / "out.blend", "--map", preset)
    assert wrong.exit_code == 1
    assert "map.json" in wrong.stderr
    assert wrong.stderr.count("\n") == 1
    assert not (tmp_path / "out.blend").exists()


def test_what_has_no_body_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chair.glb").write_bytes(b"no chair")
    result = run("rig", tmp_path / "chair.glb")
    assert result.exit_code == 1
    assert "chair.glb can't be read as .glb" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-o", "{motion}"], "choose another name"),
        (["-o", "{folder}/out.txt"], "end its name"),
        (["-o", "{folder}/out.blend", "--rig", "{folder}/none.glb"], "no rig file"),
        (["-o", "{folder}/out.bvh", "--place", "left"], "--place takes two numbers"),
        (["-o", "{folder}/out.bvh", "--place", "nan,0"], "--place takes two numbers"),
        (["-o", "{folder}/out.bvh", "--heading", "nan"], "--heading takes degrees"),
        (["-o", "{folder}/out.bvh", "--heading", "inf"], "--heading takes degrees"),
        (["-o", "{folder}/out.bvh", "--keys", "0,5"], "above 0"),
        (["-o", "{folder}/out.bvh", "--keys", "inf,5"], "--keys takes degrees"),
        (["-o", "{folder}/out.bvh", "--keys", "1,nan"], "--keys takes degrees"),
        (["-o", "{folder}/out.bvh", "--map", "{folder}/none.json"], "no bone map"),
    ],
)
def test_what_can_not_be_done_is_said_first(motion: Path, tmp_path: Path, words: list[str], complaint: str) -> None:
    before = sorted(tmp_path.iterdir())
    result = run("retarget", motion, *(word.format(motion=motion, folder=tmp_path) for word in words))
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("command", "endings"),
    [("rig", RIG_ENDINGS), ("dance", (*RIG_ENDINGS, *ENDINGS)), ("retarget", (*RIG_ENDINGS, *ENDINGS))],
)
def test_all_kinds_of_files_are_named(command: str, endings: tuple[str, ...]) -> None:
    said = run(command, "--help").stdout.replace("│", " ")
    assert all(re.search(rf"\{ending}\b", said) for ending in endings)


@pytest.mark.parametrize("command", ["dance", "retarget"])
def test_of_several_rigs_none_is_left_out_silently(motion: Path, tmp_path: Path, command: str) -> None:
    file = tmp_path / "crowd.blend"
    result = run(command, motion, "--rig", f"{file}:Anna", "--rig", f"{file}:Ben", "-o", tmp_path / "out.blend")
    assert result.exit_code == 1
    assert "give --rig once" in result.stderr


def test_options_as_the_exporter_reads_them() -> None:
    asked = Keying(None, "never", True, "-1,2", -30.0, True, False, "0.5,5")
    assert asked.arguments() == [
        "--feet", "never", "--in-place", "--reach", "--place=-1,2", "--heading=-30.0", "--keys=0.5,5",
    ]  # fmt: skip
    with pytest.raises(StepsmithError):
        Keying(place="1")


@pytest.mark.parametrize(
    ("text", "file", "name"),
    [
        ("hero.vrm", "hero.vrm", None),
        ("hero.FBX:Root: left", "hero.FBX", "Root: left"),
        ("C:\\rigs\\hero.usdc", "C:\\rigs\\hero.usdc", None),
        ("a.glb:b.usdz:Body", "a.glb:b.usdz", "Body"),
    ],
)
def test_files_and_objects_are_told_apart(text: str, file: str, name: str | None) -> None:
    assert split_rig(text) == (Path(file), name)
