"""``stepsmith dataset``: training data out of videos."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..bar import progress_bar

dataset_app = typer.Typer(help="Make training data.", no_args_is_help=True, add_completion=False)
_FOLDER = "folder"


class Length(StrEnum):
    """Seconds of a clip, or whole stretches."""

    FIVE = "5"
    TEN = "10"
    FIFTEEN = "15"
    SONG = "song"


@dataset_app.callback()
def _dataset() -> None:
    """Make training data."""


@dataset_app.command(
    epilog="""[bold]Examples[/bold]

stepsmith dataset build videos/ -o dances/

stepsmith dataset build videos/ -o dances/ --length 10 --workers 4

stepsmith train --data dances/"""
)
def build(
    videos: Annotated[
        Path, typer.Argument(metavar="VIDEO_DIR", help="Folder of dance videos of any kind; its subfolders are genres.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for the data set; one that is there is gone on with."),
    ],
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Videos captured at once, each by a process of its own.")
    ] = max(1, (os.cpu_count() or 1) // 4),
    length: Annotated[
        Length, typer.Option(help="Seconds of each clip; song: whole stretches of a dancer in one go.")
    ] = Length.SONG,
    genre_from: Annotated[
        str,
        typer.Option(
            metavar="folder|FILE.csv",
            help="Where genres stand: in the names of the subfolders, or in a table with the columns name (the video's "
            "path below VIDEO_DIR) and genre.",
        ),
    ] = _FOLDER,
    least_alignment: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Drop clips that hit less than this share of the beats; usual is 0.1 to 0.4."
        ),
    ] = 0.0,
    retry: Annotated[bool, typer.Option("--retry", help="Try videos anew that could not be used before.")] = False,
) -> None:
    """Turn a folder of dance videos into training data for “stepsmith train --data DIR”.

    Stretches with one dancer are captured and cut into clips of motion and sound; poor clips and near duplicates are
    dropped, the others split by song. When it is stopped, the same command goes on. DIR/report.html shows what is kept,
    what is dropped, and why.
    """
    from .build import MANIFEST, REPORT, Options
    from .build import build as run
    from .videos import read_genres

    genres = None if genre_from == _FOLDER else read_genres(Path(genre_from))
    seconds = None if length is Length.SONG else float(length.value)
    with progress_bar() as progress:
        data = run(videos, out, Options(seconds, workers, genres, least_alignment, retry), progress)
    for name, reason in data.bad:
        print(f"Left out: {name}: {reason}", file=sys.stderr)
    kept = data.kept
    minutes = sum(clip.seconds for clip in kept) / 60.0
    counts = ", ".join(f"{sum(c.split == split for c in kept)} {split}" for split in ("train", "val", "test"))
    print(f"{len(kept)} clips, {minutes:.1f} minutes, {len({clip.song for clip in kept})} songs: {counts}.")
    print(f"{len(data.dropped)} clips dropped; {len(data.bad)} of {data.videos} videos gave nothing.")
    if not any(clip.split == "train" for clip in kept):
        print(
            "Nothing is left to train on, since songs stay in the splits of the build before: add videos, or remove"
            f" {out / MANIFEST} and run this again to split all songs anew."
        )
    print(out / REPORT)
