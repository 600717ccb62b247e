"""Dances without music: folders and zips of motion files, a genre each."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from types import MappingProxyType

from ....retarget.errors import MotionError
from ....retarget.files import MAX_BYTES
from .clean import SHORTEST, stretches
from .dance import Dance, DataError, NoDancesError, Skip, about, collect, ignore
from .folder import held_back
from .manifest import FILE as MANIFEST
from .manifest import aist_genre
from .motion_file import SUFFIXES, read_motion

# The dances among CMU's recordings, by their archives' names; the walks and fights are none.
_CMU_GENRES = {
    "salsa": "salsa", "indian": "indian", "modern05": "modern", "mjackson": "street",
    "martial": None, "martialwalk": None, "locomotion": None,
}  # fmt: skip


def load_unpaired(
    folder: Path | str,
    fps: float,
    skip: Skip = ignore,
    *,
    dances_only: bool = True,
    shortest: float = SHORTEST,
    chosen: Callable[[str], bool] = lambda recording: True,
    beside: float = 0.0,
) -> list[Dance]:
    """The dances below a folder, or in a zip, of motions without music, in stretches of ``shortest`` seconds and more,
    at ``fps``.

    Each zip or subfolder is a genre by its name; files named as AIST++'s are "street".
    Motions are ``.bvh``, ``.npz``, ``.pkl``, or ``.amc`` beside their ``.asf``; ``skip`` hears of those that can't
    be read or hold no dance. Without ``dances_only`` CMU's walks and fights are there too. What a ``manifest.csv`` in
    the folder, or in one below it, puts in the splits val or test is left out, and ``skip`` hears of it.
    Only recordings are read whose names, as "salsa-60_01", are ``chosen``. ``beside``: seconds of other dances that are
    held in memory too. Raises DataError where there is none at all, more than fit in memory, or a manifest can't be
    read.
    """
    folder = Path(folder)
    check_unpaired(folder)
    wanted = _Wanted(fps, skip, dances_only, shortest, chosen)
    found = _below(folder, folder.name, wanted) if folder.is_dir() else _packed(folder, wanted)
    dances = collect(found, folder, beside)
    if not dances:
        raise NoDancesError(f"{folder} holds no motion of {shortest:g} s or more: give a folder of motion files.")
    return dances


def check_unpaired(folder: Path) -> None:
    """Raise DataError where there is neither a folder nor a zip to load."""
    if not folder.is_dir() and not (_is_zip(folder) and folder.is_file()):
        raise DataError(f"{folder} is no folder or zip: give one of motion files.")


@dataclass(frozen=True)
class _Wanted:
    fps: float
    skip: Skip
    dances_only: bool
    shortest: float
    chosen: Callable[[str], bool]


def _below(
    folder: Path, genre: str, wanted: _Wanted, back: Mapping[Path, str] = MappingProxyType({})
) -> Iterator[Dance]:
    """The dances below a folder; ``back``: the splits of those that a manifest above it keeps back."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        wanted.skip(f"{folder} can't be read ({error.strerror}).")
        return
    back = {**back, **held_back(folder)} if (folder / MANIFEST).is_file() else back
    for path in paths:
        # Linked folders might lead back here.
        if path.is_dir() and not path.is_symlink():
            yield from _below(path, path.name, wanted, back)
        elif _is_zip(path):
            yield from _packed(path, wanted)
        elif path.suffix.lower() in SUFFIXES and path in back:
            wanted.skip(f"{path.name} is kept back: a {MANIFEST} has it in the split “{back[path]}”.")
        elif path.suffix.lower() in SUFFIXES:
            label = "street" if aist_genre(path.stem) else _CMU_GENRES.get(genre, genre)
            name = f"{genre}-{path.stem}"
            if (label is not None or not wanted.dances_only) and wanted.chosen(name):
                yield from _stretches(path, label or genre, name, wanted)


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _packed(path: Path, wanted: _Wanted) -> Iterator[Dance]:
    with TemporaryDirectory() as unpacked:
        _unpack(path, Path(unpacked), wanted.skip)
        yield from _below(Path(unpacked), path.stem, wanted)


def _stretches(path: Path, genre: str, name: str, wanted: _Wanted) -> Iterator[Dance]:
    try:
        found = stretches(read_motion(path), wanted.fps, wanted.shortest)
    except MotionError as error:
        wanted.skip(about(path, error))
        return
    for k, (_, motion) in enumerate(found):
        label = f"{name}-{k}" if len(found) > 1 else name
        yield Dance(label, genre, None, motion.with_meta(name=label))


def _is_wanted(member: Path) -> bool:
    return member.suffix.lower() in (*SUFFIXES, ".asf") or member.name == MANIFEST


def _unpack(path: Path, folder: Path, skip: Skip) -> None:
    """The motion files and the manifest of a zip into ``folder``, its own folders left out, as far as they are of sane
    size."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if _is_wanted(Path(m.filename))]
            if sum(member.file_size for member in members) > 4 * MAX_BYTES:
                raise MotionError(f"{path.name} unpacks to more than {4 * MAX_BYTES >> 20} MB: unpack it yourself.")
            for member in members:
                *folders, name = PurePosixPath(member.filename).parts
                # Files of one name in several folders of the zip are told apart by those.
                while (folder / name).exists() and folders:
                    name = f"{folders.pop()}_{name}"
                with archive.open(member) as source, (folder / Path(name).name).open("wb") as file:
                    shutil.copyfileobj(source, file)
    except MotionError as error:
        skip(str(error))
    except Exception as error:  # Damaged archives raise whatever their decoder does.
        skip(f"{path.name} is no whole zip ({error}).")
