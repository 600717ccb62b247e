"""Dances with their songs: a folder of motions and sound files that share their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path

from ....retarget.errors import MotionError
from . import tang2018
from .clean import stretches
from .dance import Dance, DataError, NoDancesError, Skip, about, collect, ignore
from .manifest import FILE as MANIFEST
from .manifest import SPLITS, Row, aist_genre, read_manifest, song_name, split_of
from .motion_file import SUFFIXES, read_motion

_SONGS = (".wav", ".mp3", ".ogg", ".flac", ".m4a", ".aac", ".opus", ".wma", ".aiff", ".aif", ".mp4")
# Motion that is read once it is in another form.
_FOREIGN = (".fbx", ".c3d", ".glb", ".usd", ".vmd", ".trc", ".mot")
# Fewer songs than these are all for training.
_FEW = 10
# Genre of dances in the folder itself, of which nobody says one.
_PLAIN = "dance"


def load_dances(
    folder: Path | str,
    split: str,
    fps: float = 30.0,
    names: Sequence[str] | None = None,
    skip: Skip = ignore,
    *,
    beside: float = 0.0,
) -> list[Dance]:
    """The dances of one split of a folder, in stretches of 6 s and more, at ``fps``.

    Motions (``.npz``, ``.pkl``, ``.bvh``, ``.amc``) and songs lie anywhere below it and share their names, but for
    AIST++'s: gBR_sBM_cAll_d04_mBR2_ch08 is danced to mBR2. Each motion begins with its song. A
    ``manifest.csv`` may name genres and splits (see ``read_manifest``); else the genre is the name of the subfolder
    that holds both, and the split follows from the song's name (see ``split_of``).
    ``names``: only these dances. ``skip`` hears of motions left out: also of those with songs in forms that can't be
    read, or that a manifest without splits does not list.
    ``beside``: seconds of other dances that are held in memory too.
    Raises DataError where the folder holds no dance of the split, or more than fit in memory.
    """
    folder = Path(folder)
    check_split(split)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: give one of songs and motions.")
    dances = collect(_of_split(folder, split, fps, names, skip), folder, beside)
    if not dances:
        raise NoDancesError(
            f"{folder} holds no dance of the split “{split}” that can be used: say in a manifest.csv which dances are."
        )
    return dances


def check_split(split: str) -> None:
    """Raise DataError where there is no such split."""
    if split not in SPLITS:
        raise DataError(f"There is no split “{split}”: choose one of {', '.join(SPLITS)}.")


def genres_of(folder: Path, split: str) -> set[str]:
    """The genres of the dances of one split of a folder, whether or not they can be used. Raises DataError."""
    return {listed.genre for listed in _listed(folder, split, None, ignore)}


def held_back(folder: Path) -> dict[Path, str]:
    """The files below a folder that its ``manifest.csv``, where it has one, puts in another split than train, with that
    split. Raises DataError where the manifest can't be read."""
    splits = {name: row.split for name, row in (read_manifest(folder) or {}).items()}
    found = {}
    for path in folder.rglob("*"):
        below = path.relative_to(folder)
        for name in (path.stem, path.name, below.with_suffix("").as_posix(), below.as_posix()):
            split = splits.get(name)
            if split and split != SPLITS[0]:
                found[path] = split
    return found


@dataclass(frozen=True)
class _Listed:
    """A motion of a split with its song, ``heard`` where it is the dance's; nothing of either is read yet."""

    path: Path
    name: str
    genre: str
    song: Path
    heard: bool
    in_time: bool | None


def _of_split(folder: Path, split: str, fps: float, names: Sequence[str] | None, skip: Skip) -> Iterator[Dance]:
    for one in _listed(folder, split, names, skip):
        yield from _read(one.path, one.name, one.genre, one.song if one.heard else None, one.in_time, fps, skip)


def _listed(folder: Path, split: str, names: Sequence[str] | None, skip: Skip) -> Iterator[_Listed]:
    rows = read_manifest(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    songs = [path for path in files if path.suffix.lower() in _SONGS]
    motions = _by_name([path for path in files if path.suffix.lower() in SUFFIXES], folder, skip)
    if rows is not None:
        rows = {_as_named(name, motions): row for name, row in rows.items()}
    foreign = _foreign(files, songs, {path.stem for path in motions.values()})
    # Where a manifest names splits, dances without one are in none.
    whole = rows is None or not any(row.split for row in rows.values())
    if names is None:
        for motion in foreign.values():
            skip(f"{motion.name} is no motion file that can be read: export it as BVH.")
        for name, motion in motions.items():
            # What has no song either is none of these dances.
            if rows is not None and whole and name not in rows and _song_of(motion, songs):
                skip(f"{motion.name} is not in the {MANIFEST}: add a line for it.")
    few = len({song_name(name) for name in motions}) < _FEW
    for name, row in (dict.fromkeys(motions, Row()) if rows is None else rows).items():
        assigned = row.split or (split_of(song_name(name), few) if whole else None)
        if (names is not None and name not in names) or assigned != split:
            continue
        path = motions.get(name)
        if path is None:
            if name not in foreign:
                skip(f"{name}, which the manifest names, has no motion file.")
            continue
        song = _song_of(path, songs)
        if song is None:
            skip(f"{path.name} has no song beside it: name one {song_name(path.stem)}.")
            continue
        # The folder that holds motion and song; one that holds motions alone says nothing of how they dance.
        both = Path(commonpath([path.parent, song.parent]))
        genre = row.genre or aist_genre(path.stem) or (both.name if both != folder else _PLAIN)
        yield _Listed(path, name, genre, song, row.heard, row.in_time)


def _as_named(name: str, motions: Container[str]) -> str:
    """A name as ``motions`` has it, where it was written with the file's suffix."""
    path = Path(name)
    return path.with_suffix("").as_posix() if name not in motions and path.suffix.lower() in SUFFIXES else name


def _foreign(files: Sequence[Path], songs: Sequence[Path], read: Container[str]) -> dict[str, Path]:
    """The motions, by name, that have songs but are in forms that can't be read; not those that are ``read`` as well,
    from another file of their name."""
    found = [path for path in files if path.suffix.lower() in _FOREIGN and path.stem not in read]
    return {path.stem: path for path in found if _song_of(path, songs)}


def _by_name(paths: Sequence[Path], folder: Path, skip: Skip) -> dict[str, Path]:
    """Files by name without suffix; those of one name in several subfolders are named with them: polka/01."""
    count = Counter(path.stem for path in paths)
    found: dict[str, Path] = {}
    for path in paths:
        name = path.stem if count[path.stem] == 1 else path.relative_to(folder).with_suffix("").as_posix()
        if found.setdefault(name, path) is not path:
            skip(f"{path.name} is left out: {found[name].name} has the same name.")
    return found


def _song_of(motion: Path, songs: Sequence[Path]) -> Path | None:
    """The song of a motion: of its name in its folder, or else the only one of its name anywhere."""
    named = [song for song in songs if song.stem == song_name(motion.stem)]
    beside = [song for song in named if song.parent == motion.parent]
    return beside[0] if beside else named[0] if len({song.parent for song in named}) == 1 else None


def _read(
    path: Path, name: str, genre: str, song: Path | None, in_time: bool | None, fps: float, skip: Skip
) -> Iterator[Dance]:
    try:
        whole = tang2018.read(path, fps)
        if whole is not None:
            yield Dance(name, genre, song, whole.with_meta(name=name), in_time=in_time or False)
            return
        found = stretches(read_motion(path), fps)
    except MotionError as error:
        skip(about(path, error))
        return
    for k, (start, motion) in enumerate(found):
        label = f"{name}-{k}" if len(found) > 1 else name
        yield Dance(label, genre, song, motion.with_meta(name=label), start, in_time)
