"""Finished files to their places: ``put_in_place``."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from .errors import StepsmithError

# Blender's USD exporter writes a file's pictures there, beside it, and the file names them so; neither can be set.
TEXTURES = "textures"


def put_in_place(staged: Mapping[Path, Path]) -> None:
    """Rename each finished file, in a folder of its own on the same disk, to its place; ``staged``: place to file.

    A folder of textures beside a file joins the one beside its place, picture by picture. Raises
    StepsmithError, with nothing put anywhere, where that has another picture of the same name, and
    OSError where a folder can't be written.
    """
    with ExitStack() as undo:
        for out, file in staged.items():
            _add_textures(file.parent / TEXTURES, out, undo)
        # Textures first: a USD file never stands without them.
        for out, file in staged.items():
            os.replace(file, out)
        undo.pop_all()


def _add_textures(folder: Path, out: Path, undo: ExitStack) -> None:
    """What is new in ``folder`` to the textures beside ``out``; ``undo`` would take it away again."""
    if not folder.is_dir():
        return
    shared = out.parent / TEXTURES
    if not shared.exists():
        shared.mkdir()
        undo.callback(shared.rmdir)
    for picture in sorted(folder.iterdir()):
        place = shared / picture.name
        if not place.exists():
            os.replace(picture, place)
            undo.callback(place.unlink)
        elif not place.is_file() or not filecmp.cmp(picture, place, shallow=False):
            raise StepsmithError(
                f"{place} is another picture than {out.name} has: choose another folder, or write"
                f" {out.stem}.usdz, which holds its textures."
            )
