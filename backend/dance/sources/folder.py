"""Dances with their songs: a folder of motions and sound files that share their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ....retarget.errors import MotionError
from . import tang2018
from .clean import clean
from .dance import Dance, DataError, NoDancesError, Skip, collect, ignore
from .manifest import SPLITS, Row, aist_genre, read_manifest, song_name, split_of
from .motion_file import SUFFIXES, read_motion

_SONGS = (".wav", ".mp3", ".ogg", ".flac", ".m4a", ".aac", ".opus", ".wma", ".aiff", ".aif", ".mp4")
# Genre of dances in the folder itself, of which nobody says one.
_PLAIN = "dance"


def load_dances(
    folder: Path | str, split: str, fps: float = 30.0, names: Sequence[str] | None = None, skip: Skip = ignore
) -> list[Dance]:
    """The dances of one split of a folder, in stretches of 6 s and more, at ``fps``.

    Motions (``.npz``, ``.pkl``, ``.bvh``, ``.amc``) and songs lie anywhere below it and share their names, but for
    AIST++'s: gBR_sBM_cAll_d04_mBR2_ch08 is danced to mBR2. Each motion begins with its song. A
    ``manifest.csv`` may name genres and splits (see ``read_manifest``); else the genre is the subfolder's name, and
    the split follows from the song's. ``names``: only these dances. ``skip`` hears of motions
    left out. Raises DataError where the folder holds no dance of the split, or more than fit in memory.
    """
    folder = Path(folder)
    if split not in SPLITS:
        raise DataError(f"There is no split “{split}”: choose one of {', '.join(SPLITS)}.")
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: give one of songs and motions.")
    dances = collect(_of_split(folder, split, fps, names, skip), folder)
    if not dances:
        raise NoDancesError(f"{folder} holds no dance of the split “{split}”.")
    return dances


def _of_split(folder: Path, split: str, fps: float, names: Sequence[str] | None, skip: Skip) -> Iterator[Dance]:
    rows = read_manifest(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    songs = _by_name((path for path in files if path.suffix.lower() in _SONGS), skip)
    motions = _by_name((path for path in files if path.suffix.lower() in SUFFIXES), skip)
    for name, row in (dict.fromkeys(motions, Row()) if rows is None else rows).items():
        path, song = motions.get(name), song_name(name)
        if (names is not None and name not in names) or (row.split or _assigned(song, rows)) != split:
            continue
        if path is None:
            skip(f"{name}, which the manifest names, has no motion file.")
            continue
        if song not in songs:
            skip(f"{path.name} has no song beside it: name one {song}.")
            continue
        genre = row.genre or aist_genre(name) or (path.parent.name if path.parent != folder else _PLAIN)
        heard = songs[song] if row.heard else None
        yield from _read(path, name, genre, heard, row.in_time, fps, skip)


def _assigned(song: str, rows: dict[str, Row] | None) -> str | None:
    """The split of a dance that has none of its own: none either where others have."""
    return None if rows is not None and any(row.split for row in rows.values()) else split_of(song)


def _by_name(paths: Iterable[Path], skip: Skip) -> dict[str, Path]:
    """Files by name, without suffix; of several of one name the first."""
    found: dict[str, Path] = {}
    for path in paths:
        if found.setdefault(path.stem, path) is not path:
            skip(f"{path.name} is left out: {found[path.stem].name} has the same name.")
    return found


def _read(
    path: Path, name: str, genre: str, song: Path | None, in_time: bool | None, fps: float, skip: Skip
) -> Iterator[Dance]:
    try:
        whole = tang2018.read(path, fps)
        if whole is not None:
            yield Dance(name, genre, song, whole.with_meta(name=name), in_time=in_time or False)
            return
        stretches = clean(read_motion(path), fps)
    except MotionError as error:
        skip(str(error))
        return
    if not stretches:
        skip(f"{path.name} holds no 6 s of dance.")
    for k, (start, motion) in enumerate(stretches):
        label = f"{name}-{k}" if len(stretches) > 1 else name
        yield Dance(label, genre, song, motion.with_meta(name=label), start, in_time)
