"""What is known of the dances in a folder: genre, split, and whether they keep time with their songs."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .dance import DataError

SPLITS = ("train", "val", "test")
FILE = "manifest.csv"

# gBR_sBM_cAll_d04_mBR2_ch08: genre, situation, camera, dancer, music, choreography.
_AIST_NAME = re.compile(r"g(?P<genre>[A-Z]{2})_s\w{2}_c\w+_d\d+_(?P<music>m[A-Z]{2}\d)_ch\d+")
_AIST_GENRES = {
    "BR": "break", "PO": "pop", "LO": "lock", "MH": "middle hip-hop", "LH": "la hip-hop", "HO": "house",
    "WA": "waack", "KR": "krump", "JS": "street jazz", "JB": "ballet jazz",
}  # fmt: skip
_TRUTH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": None}
# Sound that is longer or shorter than its motion by this many seconds does not belong to the whole of it.
_APART = 6.0
_MAX_BYTES = 16 << 20


@dataclass(frozen=True)
class Row:
    """A line of a manifest. ``in_time``: None where it says nothing; ``heard``: whether the song is the dance's."""

    genre: str | None = None
    split: str | None = None
    in_time: bool | None = None
    heard: bool = True


def read_manifest(folder: Path) -> dict[str, Row] | None:
    """The rows of the folder's ``manifest.csv`` by the dances' names; None where there is none.

    Columns: ``name`` (the motion file's, with or without its suffix; with its subfolder, as polka/01, where others
    have the same), and as many of these as wanted: ``genre``; ``split`` (train, val, test, or empty for none);
    ``in_time`` (yes, no); ``motion_s`` and ``audio_s``, seconds.
    Raises DataError, with the line, where it says something else.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path} is larger than {_MAX_BYTES >> 20} MB: it should hold a line for each dance.")
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, skipinitialspace=True)
            # Written by hand, columns may have spaces around them; a split must not go unseen for that.
            table.fieldnames = [column.strip() for column in table.fieldnames or ()]
            if "name" not in table.fieldnames:
                raise DataError(f"{path} has no column “name”: begin it with the line name,genre,split.")
            rows = (((row["name"] or "").strip(), _row(row, f"{path}, line {table.line_num},")) for row in table)
            return {name: row for name, row in rows if name}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} can't be read as a table ({error}): save it as CSV in UTF-8.") from error


def _row(row: Mapping[str, str | None], where: str) -> Row:
    values = {key: (row.get(key) or "").strip() for key in ("genre", "split", "in_time", "motion_s", "audio_s")}
    if values["split"] not in (*SPLITS, ""):
        raise DataError(f"{where} has the split “{values['split'][:30]}”: write one of {', '.join(SPLITS)}.")
    if values["in_time"].lower() not in _TRUTH:
        raise DataError(f"{where} has “{values['in_time'][:30]}” for in_time: write yes or no.")
    try:
        lengths = [float(values[key]) for key in ("motion_s", "audio_s") if values[key]]
    except ValueError as error:
        raise DataError(f"{where} has a length that is no number: write seconds.") from error
    heard = len(lengths) < 2 or abs(lengths[0] - lengths[1]) < _APART
    return Row(values["genre"] or None, values["split"] or None, _TRUTH[values["in_time"].lower()], heard)


def aist_genre(name: str) -> str | None:
    """The genre that a name of AIST++'s tells; None for other names."""
    match = _AIST_NAME.fullmatch(name)
    return _AIST_GENRES.get(match["genre"]) if match else None


def song_name(name: str) -> str:
    """The name of the song that a motion belongs to: its own, or the music's in a name of AIST++'s."""
    match = _AIST_NAME.fullmatch(name)
    return match["music"] if match else name


def split_of(song: str, few: bool = False) -> str:
    """train, val or test, for 80, 10 and 10 % of all songs, always the same for a song's name.

    By song, so that no model is measured on what it learned by heart. Of ``few`` songs all are for training.
    """
    share = int.from_bytes(hashlib.sha256(song.encode(errors="surrogateescape")).digest()[:8], "big") / 2**64
    return SPLITS[0 if few else int(share >= 0.8) + int(share >= 0.9)]
