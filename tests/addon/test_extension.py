"""The extension's zip: what is in it, and that a real Blender takes it."""

from __future__ import annotations

import subprocess
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from stepsmith import __version__


def test_the_zip_holds_what_blender_needs_and_nothing_else(extension_zip: Path) -> None:
    names = zipfile.ZipFile(extension_zip).namelist()
    assert {"blender_manifest.toml", "__init__.py", "LICENSE", "addon/panel.py", "retarget/solve.py"} <= set(names)
    assert {name.split("/")[0] for name in names if "/" in name} == {"addon", "retarget"}
    assert all(name.endswith((".py", ".toml", ".md", "LICENSE")) for name in names)
    assert not any("__pycache__" in name or name.startswith(".") for name in names)
    assert "__main__.py" not in names, "it is the backend's, which stays outside"
    assert extension_zip.stat().st_size < 1_000_000


def test_manifest_and_package_agree(extension_zip: Path) -> None:
    manifest = tomllib.loads(zipfile.ZipFile(extension_zip).read("blender_manifest.toml").decode())
    assert manifest["version"] == __version__
    assert manifest["blender_version_min"] == "4.2.0"
    for text in (manifest["tagline"], *manifest["permissions"].values()):
        assert len(text) <= 64
        assert not text.endswith(".")


@pytest.mark.blender
def test_a_real_blender_takes_it(installed_blender: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    listed = installed_blender("--command", "extension", "list")
    said = listed.stdout + listed.stderr
    assert "stepsmith [installed]" in said
    assert "Policy violation" not in said
    look = "import bpy; bpy.ops.stepsmith.generate.get_rna_type(); bpy.context.scene.stepsmith_settings.genre"
    looked = installed_blender("-b", "--python-exit-code", "3", "--python-expr", look)
    assert looked.returncode == 0, looked.stderr
    off = (
        "import addon_utils, bpy, sys; addon_utils.disable('bl_ext.user_default.stepsmith');"
        "assert not hasattr(bpy.types.Scene, 'stepsmith_settings');"
        "addon_utils.enable('bl_ext.user_default.stepsmith'); bpy.context.scene.stepsmith_settings"
    )
    switched = installed_blender("-b", "--python-exit-code", "3", "--python-expr", off)
    assert switched.returncode == 0, switched.stderr
