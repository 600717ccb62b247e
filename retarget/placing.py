"""Finished files to their places: ``written_beside`` and ``write_whole`` for one, ``put_in_place`` for several.

``unfinished_of`` knows what a process that was killed meanwhile has left.
"""

from __future__ import annotations

import filecmp
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .errors import StepsmithError

# Blender's USD exporter writes a file's pictures there, beside it, and the file names them so; neither can be set.
TEXTURES = "textures"
_UNFINISHED = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part")


@contextmanager
def written_beside(place: Path) -> Iterator[Path]:
    """Where to write a file, on the same disk, that becomes ``place`` at the end; on any error nothing is left of it.

    Raises OSError where the folder can't be written.
    """
    unfinished = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
    try:
        yield unfinished
        os.replace(unfinished, place)
    finally:
        unfinished.unlink(missing_ok=True)


def unfinished_of(path: Path) -> str:
    """The name of the file that ``path`` was to become, where ``written_beside`` gave it its name; else an empty one.

    Its writer was killed, or is still at work: who removes it must know that nobody else writes such a file there.
    """
    known = _UNFINISHED.fullmatch(path.name)
    return known[1] if known else ""


def write_whole(place: Path, text: str) -> None:
    """Write a text file, in UTF-8, that appears whole or not at all. Raises OSError where it can't be written."""
    with written_beside(place) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


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
