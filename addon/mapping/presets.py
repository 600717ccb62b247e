"""Where bone maps are kept as files of their own, for other armatures of the same kind."""

from __future__ import annotations

from pathlib import Path

import bpy

from .. import preferences

SUFFIX = ".json"


def presets_folder() -> Path:
    """The folder of the user's presets; may not be there yet."""
    data = preferences.data_folder()
    if data is None:  # not installed as an extension
        data = Path(bpy.utils.user_resource("DATAFILES", path="stepsmith"))
    return data / "bone maps"


def presets() -> list[Path]:
    """The user's presets, by name."""
    try:
        found = [path for path in presets_folder().iterdir() if path.suffix.lower() == SUFFIX]
    except OSError:  # no folder yet
        return []
    return sorted(found, key=lambda path: path.stem.casefold())
