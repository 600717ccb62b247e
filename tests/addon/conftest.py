"""Blender for the tests: its own settings in a folder of its own, and a real one where there is one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before the first `import bpy`, which reads it once: the tests neither see nor change a user's Blender.
os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="stepsmith-blender-")


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["BLENDER_USER_RESOURCES"], ignore_errors=True)


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

    folder = Path(bpy.utils.user_resource("EXTENSIONS", path="user_default", create=True))
    (folder / "stepsmith").symlink_to(Path(__file__).parents[2], target_is_directory=True)
    name = "bl_ext.user_default.stepsmith"
    assert addon_utils.enable(name, default_set=True) is not None
    yield name
    addon_utils.disable(name)
    (folder / "stepsmith").unlink()
