"""A motion into files: motion files by ``retarget.files``, scenes and videos by Blender in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..retarget.errors import StepsmithError
from ..retarget.files import save_motion
from ..retarget.motion import Motion
from ..retarget.placing import put_in_place
from ..retarget.rig_path import split_rig
from .file_options import ENDINGS, SCENE_ENDINGS
from .folders import check_writable
from .keying import Keying
from .progress import Progress, part, silent

_EXPORTER = "stepsmith.addon.export"
_ROOM = dict.fromkeys(SCENE_ENDINGS, 64 << 20)  # bytes a file may well need
_ROOM_FOR_MOTION = 16 << 20
_PATIENCE = 10.0  # seconds the exporter has to clean up when it is stopped
_LAST_WORDS = 2000  # bytes of what it said on stderr


class ExportError(StepsmithError):
    """A file that can't be written."""


@dataclass(frozen=True)
class Stage:
    """Who dances to what in scene files.

    ``song``: the sound beside the dance, from ``song_start`` seconds on. ``rig``: "FILE" or "FILE:OBJECT";
    None for the built-in character. ``how``: how the motion becomes keys. ``straight``: seen along y, as the
    camera saw a captured dancer, where the scene has no camera of its own.
    """

    song: Path | None = None
    song_start: float = 0.0
    rig: str | None = None
    how: Keying = field(default_factory=Keying)
    straight: bool = False


def check(
    outs: Sequence[Path],
    rig: str | None = None,
    sources: Sequence[Path] = (),
    how: Keying | None = None,
) -> None:
    """Say before the work what would fail after it: names, folders, room on the disk, Blender's module, the rig.

    ``sources``: files that must not be overwritten. ``how``: how the rig is to be keyed. Raises StepsmithError.
    """
    seen: set[Path] = set()
    for out in outs:
        _check_place(out)
        place = out.parent.resolve() / out.name
        if place in seen:
            raise ExportError(f"{out} is given twice: give every output a name of its own.")
        if any(out.exists() and source.exists() and out.samefile(source) for source in sources):
            raise ExportError(f"{out} is itself what the dance is made from: choose another name for the output.")
        seen.add(place)
    _check_room(outs)
    scenes = [out for out in outs if is_scene(out)]
    if scenes:
        _check_blender(f"Writing {scenes[0].suffix}")
    if rig is not None:
        _check_rig(rig, scenes, how or Keying())
    elif not scenes and how is not None and (option := how.for_scenes()):
        raise ExportError(f"{option} is of no use for motion files: add an output that ends in {SCENE_ENDINGS[0]}.")


def export(motion: Motion, outs: Sequence[Path], stage: Stage, progress: Progress = silent) -> list[str]:
    """Write ``motion`` as every one of ``outs``, by its ending; all appear whole at the end, or none.

    Returns sentences that the user should see. Raises ExportError; lets what ``progress`` raises through,
    KeyboardInterrupt as well.
    """
    warnings: list[str] = []
    with _staged(outs) as staged:
        for out, beside in staged.items():
            if not is_scene(out):
                save_motion(beside, motion.mirror() if stage.how.mirror else motion)
        scenes = [beside for out, beside in staged.items() if is_scene(out)]
        if scenes:
            warnings = _export_scenes(motion, scenes, stage, part(progress, 0.0, 1.0))
    progress(1.0, "Done")
    return warnings


def is_scene(out: Path) -> bool:
    """Whether Blender is needed to write ``out``."""
    return out.suffix.lower() in SCENE_ENDINGS


def _check_place(out: Path) -> None:
    if out.suffix.lower() not in ENDINGS:
        raise ExportError(f"{out} can't be written: end its name in one of {', '.join(ENDINGS)}.")
    if not out.parent.is_dir():
        raise ExportError(f"The folder {out.parent} doesn't exist: make it first.")
    if out.is_dir():
        raise ExportError(f"{out} is a folder: choose another name for the output.")
    check_writable(out.parent)


def _check_room(outs: Sequence[Path]) -> None:
    needed: dict[int, int] = {}
    for out in outs:
        device = out.parent.stat().st_dev
        needed[device] = needed.get(device, 0) + _ROOM.get(out.suffix.lower(), _ROOM_FOR_MOTION)
        free = shutil.disk_usage(out.parent).free
        if free < needed[device]:
            raise ExportError(
                f"The disk of {out.parent} has {free >> 20} MB left and about {needed[device] >> 20} MB are needed:"
                " free some, or choose another folder."
            )


def _check_rig(rig: str, scenes: Sequence[Path], how: Keying) -> None:
    file, _ = split_rig(rig)
    if not file.is_file():
        raise ExportError(f"There is no rig file {file}: check the path.")
    if not scenes:
        raise ExportError(f"A rig is of no use for motion files: add an output that ends in {SCENE_ENDINGS[0]}.")
    _run(["--rig", rig, *how.arguments()], silent)


def describe(rig: str, how: Keying) -> dict[str, Any]:
    """The bone map of the armature in "FILE" or "FILE:OBJECT", as ``addon.export`` describes it.

    Raises ExportError where there is none that can dance.
    """
    _check_blender("Reading a character")
    return dict(_run(["--rig", rig, "--describe", *how.arguments()], silent)["rig"])


def _check_blender(what: str) -> None:
    if importlib.util.find_spec("bpy") is None:
        raise ExportError(
            f"{what} needs Blender's Python module: in a copy of Stepsmith's source run"
            " “pip install -c constraints.txt '.[bpy]'”."
        )


@contextmanager
def _staged(outs: Sequence[Path]) -> Iterator[dict[Path, Path]]:
    """For each of ``outs`` a path in a folder beside it; renamed to it at the end, its textures too, or removed."""
    with ExitStack() as stack:
        staged = {}
        for out in outs:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix=".stepsmith-", dir=out.parent, ignore_cleanup_errors=True)
            )
            staged[out] = Path(folder) / out.name
        try:
            yield staged
            put_in_place(staged)
        except OSError as error:
            place = error.filename or outs[0].parent
            raise ExportError(f"{place} can't be written ({error.strerror}): choose another folder.") from error


def _export_scenes(motion: Motion, scenes: Sequence[Path], stage: Stage, progress: Progress) -> list[str]:
    progress(0.0, "Starting Blender")
    with tempfile.TemporaryDirectory(prefix="stepsmith-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "dance.npz"
        save_motion(file, motion)
        arguments = ["--motion", str(file)]
        for scene in scenes:
            arguments += ["--out", str(scene.absolute())]
        if stage.song is not None:
            arguments += ["--song", str(stage.song.absolute()), "--song-start", repr(stage.song_start)]
        if stage.rig is not None:
            arguments += ["--rig", stage.rig]
        if stage.straight:
            arguments.append("--straight")
        said = _run([*arguments, *stage.how.arguments()], progress)
    return [str(warning) for warning in said.get("warnings", [])]


def _run(arguments: Sequence[str], progress: Progress) -> dict[str, Any]:
    """Run the exporter, its JSON lines as progress; returns all else that they say.

    Whatever happens, it is gone afterwards.
    """
    result: dict[str, Any] = {}
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", _EXPORTER, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                said = _parsed(line)
                if "fraction" in said:
                    progress(float(said["fraction"]), str(said.get("text", "")))
                else:
                    result |= said
            code = process.wait()
        finally:
            _end(process)
        if "error" in result:
            raise ExportError(str(result["error"]))
        if code != 0:
            stderr.seek(0)
            said_last = stderr.read()[-_LAST_WORDS:].decode("utf-8", "replace").strip()
            last_line = said_last.rpartition("\n")[2] or "without a word"
            raise ExportError(
                f"Blender's module ended with code {code} ({last_line}): see more of it with --verbose."
            ) from RuntimeError(said_last)
    return result


def _parsed(line: str) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _end(process: subprocess.Popen[str]) -> None:
    """Stop the exporter, first with time to clean up, and close its pipe."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
