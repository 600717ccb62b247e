"""Blender for the tests: its own settings in a folder of its own, and a real one where there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL

# Before the first `import bpy`, which reads it once: the tests neither see nor change a user's Blender.
os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="stepsmith-blender-")


_status = pytest.StashKey[int]()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_status] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(os.environ["BLENDER_USER_RESOURCES"], ignore_errors=True)
    bpy = sys.modules.get("bpy")
    if bpy is not None and bpy.app.version < (5, 0) and _status in config.stash:
        # Once its add-ons for glTF or Rigify were on, 4.2's module crashes at its end, when all is said and done,
        # and 4.5's hangs.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[_status])


@pytest.fixture(scope="session")
def write_song() -> Callable[[Path], None]:
    """Writes a sound file of 4 s."""

    def write(path: Path) -> None:
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 22050, 0, "NONE", "not compressed"))
            file.writeframes((8000 * np.sin(np.arange(22050 * 4) * 0.06)).astype("<i2").tobytes())

    return write


@pytest.fixture
def song(write_song: Callable[[Path], None], tmp_path: Path) -> Path:
    write_song(tmp_path / "sông & dance.wav")
    return tmp_path / "sông & dance.wav"


@pytest.fixture(scope="session")
def still() -> Callable[..., Motion]:
    """Makes a motion of so many frames at 30 a second, standing still, with two beats a second."""

    def make(frames: int) -> Motion:
        rotations = np.zeros((frames, 24, 4))
        rotations[..., 0] = 1.0
        root = np.tile([0.0, 0.0, SMPL.rest_root_height], (frames, 1))
        return Motion(30.0, root, rotations, np.ones((frames, 4)), beats=np.arange(0.0, frames / 30.0, 0.5))

    return make


@pytest.fixture(scope="session")
def new_armature() -> Callable[[str], Any]:
    """Makes an armature with SMPL's names and rest pose, quicker than the built-in character."""
    import bpy

    def make(name: str) -> Any:
        armature = bpy.data.objects.new(name, bpy.data.armatures.new(name))
        bpy.context.scene.collection.objects.link(armature)
        bpy.context.view_layer.objects.active = armature
        bpy.ops.object.mode_set(mode="EDIT")
        heads = SMPL.rest_positions + np.array([0.0, 0.0, SMPL.rest_root_height])
        for bone_name, parent, head in zip(SMPL.names, SMPL.parents, heads, strict=True):
            bone = armature.data.edit_bones.new(bone_name)
            bone.head, bone.tail = head, np.add(head, [0.0, 0.0, 0.05])
            bone.parent = armature.data.edit_bones[parent] if parent >= 0 else None
        bpy.ops.object.mode_set(mode="OBJECT")
        return armature

    return make


@pytest.fixture(scope="session")
def blender() -> Path:
    """A real Blender: what STEPSMITH_BLENDER names, or the one on the PATH."""
    found = os.environ.get("STEPSMITH_BLENDER") or shutil.which("blender")
    if not found:
        pytest.skip("needs a real Blender: set STEPSMITH_BLENDER to one (tools/blender-chroot makes one)")
    return Path(found)


@pytest.fixture(scope="session")
def installed() -> Iterator[str]:
    """Stepsmith as Blender has it, an extension under its own name; yields that name.

    A link in the folder of installed extensions stands for the installation.
    """
    import addon_utils
    import bpy
    from stepsmith.addon.mapping.storage import unregister_storage

    # What tests of the library had it register: Blender would keep it in place of the extension's own.
    unregister_storage()
    folder = Path(bpy.utils.user_resource("EXTENSIONS", path="user_default", create=True))
    (folder / "stepsmith").symlink_to(Path(__file__).parents[2], target_is_directory=True)
    name = "bl_ext.user_default.stepsmith"
    assert addon_utils.enable(name, default_set=True) is not None
    yield name
    addon_utils.disable(name)
    (folder / "stepsmith").unlink()


@pytest.fixture(scope="session")
def extension_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension as it is given to users, built and validated."""
    folder = tmp_path_factory.mktemp("dist")
    tool = Path(__file__).parents[2] / "tools" / "build-extension"
    environment = {**os.environ, "PYTHON": sys.executable}
    built = subprocess.run([tool, folder], env=environment, capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    return Path(built.stdout.strip())


@pytest.fixture(scope="session")
def installed_blender(
    blender: Path, extension_zip: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a real Blender, the extension installed in it from its zip, with these arguments."""
    resources = tmp_path_factory.mktemp("resources")
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(resources), "LIBGL_ALWAYS_SOFTWARE": "1"}

    def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        command = [str(blender), *map(str, arguments)]
        return subprocess.run(command, env={**environment, **more}, capture_output=True, text=True, timeout=240)

    install = run("--command", "extension", "install-file", "-r", "user_default", "--enable", extension_zip)
    assert install.returncode == 0, install.stderr
    return run


@pytest.fixture
def display(blender: Path) -> Iterator[str]:
    """A virtual screen, where the machine or the folder of the Blender has one."""
    beside = blender.with_name("Xvfb")
    server = str(beside) if beside.exists() else shutil.which("Xvfb")
    if server is None:
        pytest.skip("needs Xvfb, a virtual screen")
    read, write = os.pipe()
    arguments = ["-displayfd", str(write), "-screen", "0", "1100x700x24", "+extension", "GLX"]
    process = subprocess.Popen([server, *arguments], pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as number:
        yield f":{number.readline().strip()}"
    process.terminate()
    process.wait()


@pytest.fixture
def in_a_window(
    installed_blender: Callable[..., subprocess.CompletedProcess[str]], display: str, tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Runs a script of this folder in a real Blender with a window, and returns what it wrote of what it saw.

    The script finds what is given beside its name in STEPSMITH_GUI, as JSON, and there as "out" where to write.
    """

    def run(script: str, **wishes: str) -> dict[str, Any]:
        out = tmp_path / "seen.json"
        ended = installed_blender(
            *("--window-geometry", "0", "0", "1100", "700", "-P", Path(__file__).with_name(script)),
            DISPLAY=display,
            TMPDIR=str(tmp_path),  # where Blender leaves quit.blend
            STEPSMITH_GUI=json.dumps({**wishes, "out": str(out)}),
        )
        said = ended.stdout + ended.stderr
        assert "Traceback" not in said, said
        assert out.exists(), said
        seen: dict[str, Any] = json.loads(out.read_text())
        return seen

    return run
