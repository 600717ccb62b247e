"""Meshes of a SMPL body: the same by smplx as by numpy, whole or not at all."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from stepsmith.backend import body as meshes
from stepsmith.backend.export import ExportError
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.body_model import dance, load_body, skin
from stepsmith.retarget.errors import RigError
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion, concatenate
from stepsmith.retarget.skeleton import SMPL

smplx = pytest.importorskip("smplx", reason="needs the extra body: smplx")
trimesh = pytest.importorskip("trimesh", reason="needs the extra body: trimesh")

Array = np.ndarray
KINDS = ("SMPL", "SMPL-H", "SMPL-X")
BETAS = [1.0, -1.0, 0.5, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, -1.0]
# What the classes of smplx want in a file besides what a body is made of.
FACE_AND_HANDS = {
    "hands_componentsl": np.eye(45),
    "hands_componentsr": np.eye(45),
    "hands_meanl": np.zeros(45),
    "hands_meanr": np.zeros(45),
    "lmk_faces_idx": np.zeros(51, int),
    "lmk_bary_coords": np.full((51, 3), 1.0 / 3.0),
}


@pytest.fixture(scope="module")
def files(
    make_body_arrays: Callable[..., dict[str, Array]],
    write_body_npz: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """A model file of each kind."""
    folder = tmp_path_factory.mktemp("bodies")
    return {kind: write_body_npz(folder / f"{kind}.npz", make_body_arrays(kind), **FACE_AND_HANDS) for kind in KINDS}


@pytest.fixture
def motion() -> Motion:
    rng = np.random.default_rng(0)
    phase = np.linspace(0.0, 2 * np.pi, 6)[:, None, None]
    root = np.tile([0.2, 0.0, SMPL.rest_root_height], (6, 1))
    rotations = rot.from_axis_angle(rng.normal(0.0, 0.4, (24, 3)) * np.sin(phase))
    return Motion(30.0, root, rotations, np.zeros((6, 4)))


@pytest.mark.parametrize("kind", KINDS)
def test_smplx_and_numpy_pose_the_same_vertices(files: dict[str, Path], kind: str) -> None:
    rng = np.random.default_rng(1)
    body = load_body(files[kind])
    rotations = rot.from_axis_angle(rng.normal(0.0, 0.5, (70, len(body.names), 3)))
    root = rng.normal(0.0, 1.0, (70, 3))
    for betas in ([], BETAS):
        ours = skin(body, rotations, root, betas)
        np.testing.assert_allclose(np.stack(list(meshes.pose(body, rotations, root, betas))), ours, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_models_own_class_given_amass_poses_makes_the_same_body(
    kind: str, make_body_arrays: Callable[..., dict[str, Array]], write_body_npz: Callable[..., Path], tmp_path: Path
) -> None:
    """The file through smplx's classes, with y-up rotation vectors and SMPL's origin as AMASS has them."""
    arrays = make_body_arrays(kind, 20 if kind == "SMPL-X" else 10)
    if kind == "SMPL":
        file = tmp_path / "body.pkl"
        file.write_bytes(pickle.dumps(arrays))
    else:
        file = write_body_npz(tmp_path / "body.npz", arrays, **FACE_AND_HANDS)
    body = load_body(file)
    rng = np.random.default_rng(2)
    poses = rng.normal(0.0, 0.5, (3, len(body.names), 3)).astype(np.float32)
    origin = rng.normal(0.0, 1.0, (3, 3)).astype(np.float32)
    theirs = _by_class(kind, file, poses, origin)

    up = rot.from_axis_angle([np.pi / 2, 0.0, 0.0])
    q = rot.from_axis_angle(poses.astype(float))
    rotations = rot.multiply(rot.multiply(up, q), rot.conjugate(up))
    rotations[:, 0] = rot.multiply(q[:, 0], rot.conjugate(up))
    pelvis = arrays["J_regressor"][0] @ (arrays["v_template"] + arrays["shapedirs"][..., :10] @ BETAS)
    np.testing.assert_allclose(skin(body, rotations, origin + pelvis, BETAS), theirs, atol=1e-5)


def _by_class(kind: str, file: Path, poses: Array, origin: Array) -> Array:
    """(T, V, 3) vertices by the model class of smplx for this kind."""
    import torch
    from smplx import body_models

    parts = {
        "SMPL": {"body_pose": (1, 24)},
        "SMPL-H": {"body_pose": (1, 22), "left_hand_pose": (22, 37), "right_hand_pose": (37, 52)},
        "SMPL-X": {
            "body_pose": (1, 22),
            "jaw_pose": (22, 23),
            "leye_pose": (23, 24),
            "reye_pose": (24, 25),
            "left_hand_pose": (25, 40),
            "right_hand_pose": (40, 55),
        },
    }[kind]
    # Joints that smplx takes from certain vertices of the real body, which ours has not.
    points = dict.fromkeys({**body_models.VERTEX_IDS["smplh"], **body_models.VERTEX_IDS["smplx"]}, 0)
    more: dict[str, Any] = {} if kind == "SMPL" else {"ext": "npz", "use_pca": False, "flat_hand_mean": True}
    made = {"SMPL": smplx.SMPL, "SMPL-H": smplx.SMPLH, "SMPL-X": smplx.SMPLX}[kind]
    with mock.patch.dict(body_models.VERTEX_IDS, {"smplh": points, "smplx": points}):
        model = made(str(file), batch_size=len(poses), num_betas=10, **more)
    given = {name: torch.tensor(poses[:, first:last].reshape(len(poses), -1)) for name, (first, last) in parts.items()}
    given["global_orient"] = torch.tensor(poses[:, 0])
    betas = torch.tensor([BETAS] * len(poses), dtype=torch.float32)
    with torch.no_grad():
        vertices: Array = model(betas=betas, transl=torch.tensor(origin), **given).vertices.numpy()
    return vertices


@pytest.mark.parametrize("ending", [".obj", ".ply", ".glb"])
def test_every_frame_becomes_a_mesh(files: dict[str, Path], motion: Motion, ending: str, tmp_path: Path) -> None:
    seen: list[float] = []
    written = meshes.write_meshes(
        motion,
        files["SMPL-X"],
        tmp_path / f"dance{ending}",
        betas=BETAS,
        progress=lambda fraction, text: seen.append(fraction),
    )
    assert [file.name for file in written] == [f"dance_{k:04d}{ending}" for k in range(1, 7)]
    assert sorted(tmp_path.iterdir()) == written
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    body = load_body(files["SMPL-X"])
    vertices = skin(body, *dance(body, motion, BETAS), BETAS)
    for k in (0, 5):
        mesh = trimesh.load(written[k], process=False, force="mesh")
        upright = mesh.vertices if ending == ".ply" else np.array(mesh.vertices)[:, [0, 2, 1]] * [1.0, -1.0, 1.0]
        np.testing.assert_allclose(upright, vertices[k], atol=1e-5)
        np.testing.assert_array_equal(mesh.faces, body.faces)


def test_one_frame_becomes_the_file_named(files: dict[str, Path], motion: Motion, tmp_path: Path) -> None:
    out = tmp_path / "pose.ply"
    assert meshes.write_meshes(motion, files["SMPL"], out, frame=4) == [out]
    body = load_body(files["SMPL"])
    vertices = skin(body, *dance(body, motion))
    np.testing.assert_allclose(trimesh.load(out, process=False).vertices, vertices[3], atol=1e-5)


def test_a_longer_dance_counts_on_past_9999(files: dict[str, Path]) -> None:
    assert meshes._frame_name(Path("a/dance.obj"), 12345) == "dance_12345.obj"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_a_dance_that_is_stopped_leaves_nothing(
    files: dict[str, Path], motion: Motion, stop: type[BaseException], tmp_path: Path
) -> None:
    (tmp_path / "dance_0002.obj").write_text("from before")

    def stopping(fraction: float, text: str) -> None:
        if fraction > 0.5:
            raise stop

    with pytest.raises(stop):
        meshes.write_meshes(motion, files["SMPL"], tmp_path / "dance.obj", progress=stopping)
    assert [file.name for file in tmp_path.iterdir()] == ["dance_0002.obj"]
    assert (tmp_path / "dance_0002.obj").read_text() == "from before"


def test_a_dance_stopped_while_its_files_are_put_in_place_leaves_none_of_them(
    files: dict[str, Path], motion: Motion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = []
    replace = meshes.os.replace

    def stopping(source: Any, target: Any) -> None:
        replace(source, target)
        moved.append(target)
        if len(moved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(meshes.os, "replace", stopping)
    with pytest.raises(KeyboardInterrupt):
        meshes.write_meshes(motion, files["SMPL"], tmp_path / "dance.obj")
    assert not list(tmp_path.iterdir())


def test_what_would_fail_is_said_before_the_work(motion: Motion, tmp_path: Path, files: dict[str, Path]) -> None:
    def check(out: Path, said: str, frame: int | None = None) -> None:
        with pytest.raises(ExportError, match=said):
            meshes.write_meshes(motion, files["SMPL"], out, frame=frame)

    check(tmp_path / "dance.fbx", "end its name in one of .glb, .obj, .ply")
    check(tmp_path / "none" / "dance.obj", "doesn't exist")
    check(tmp_path / "dance.obj", "from 1 to 6", frame=7)
    check(tmp_path / "dance.obj", "from 1 to 6", frame=0)
    (tmp_path / "dance_0007.obj").write_text("longer")
    check(tmp_path / "dance.obj", "dance_0007.obj is left")
    (tmp_path / "folder.obj").mkdir()
    check(tmp_path / "folder.obj", "is a folder")
    with pytest.raises(RigError, match="10 betas"):
        meshes.write_meshes(motion, files["SMPL"], tmp_path / "pose.obj", betas=[0.0] * 11, frame=1)


def test_a_full_disk_is_said(
    files: dict[str, Path], motion: Motion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meshes.shutil, "disk_usage", lambda _: mock.Mock(free=1000))
    with pytest.raises(ExportError, match="MB left"):
        meshes.write_meshes(motion, files["SMPL"], tmp_path / "dance.obj")
    assert not list(tmp_path.iterdir())


def test_without_the_packages_the_command_to_get_them_is_said(
    files: dict[str, Path], motion: Motion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meshes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"not for commercial use.*pip install -c constraints.txt '.\[body\]'"):
        meshes.write_meshes(motion, files["SMPL"], tmp_path / "dance.obj")


# --- the command -----------------------------------------------------------------------------------------


# Ctrl-C is heard even where the tests themselves run in the background.
COMMAND = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from stepsmith.backend.cli import main; main()",
]


def stepsmith(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, "mesh", *map(str, arguments)], capture_output=True, text=True, timeout=120)


def test_the_command_writes_what_it_says(files: dict[str, Path], motion: Motion, tmp_path: Path) -> None:
    save_motion(tmp_path / "dance.npz", motion)
    out = tmp_path / "dance.obj"
    done = stepsmith(tmp_path / "dance.npz", "--body", files["SMPL"], "--betas", "-1,0.5", "-o", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'dance_0001.obj'} to dance_0006.obj\n"
    assert len(list(tmp_path.glob("dance_*.obj"))) == 6


def test_the_command_says_in_one_line_what_is_wrong(files: dict[str, Path], motion: Motion, tmp_path: Path) -> None:
    save_motion(tmp_path / "dance.npz", motion)
    for wrong, said in ((("--betas", "a,b"), "no list of betas"), (("--frame", "9"), "from 1 to 6")):
        done = stepsmith(tmp_path / "dance.npz", "--body", files["SMPL"], "-o", tmp_path / "dance.obj", *wrong)
        assert done.returncode == 1
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_command_stopped_leaves_nothing(files: dict[str, Path], motion: Motion, tmp_path: Path) -> None:
    save_motion(tmp_path / "dance.npz", concatenate([motion] * 300))
    out = tmp_path / "meshes"
    out.mkdir()
    arguments = ["mesh", str(tmp_path / "dance.npz"), "--body", str(files["SMPL"]), "-o", str(out / "dance.glb")]
    process = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 90.0
    while not list(out.glob(".stepsmith-*/dance_0003.glb")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert "no half-written file was left" in said
    assert not list(out.iterdir())
