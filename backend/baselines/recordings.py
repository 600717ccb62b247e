"""The dances that the model learns from, as the baselines learn from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from ...retarget.motion import Motion
from ..audio import FEATURE_FPS, AudioError, Music, analyse
from ..audio.spectrum import Floats
from ..dance.sources import Dance, Skip, ignore, load_dances
from ..dance.sources.dance import about
from ..dance.timing import FIGURES, set_to_music
from ..dance.tracks import STORE_FPS
from ..progress import Progress, silent
from .sound import FPS, listen


@dataclass(frozen=True)
class Recording:
    """A dance at 30 frames a second and what is heard meanwhile: by kind, (T, S) as ``listen`` gives it."""

    motion: Motion
    sound: Mapping[str, Floats]


def load_recordings(
    data: Path, kinds: set[str], progress: Progress = silent, skip: Skip = ignore, split: str = "train"
) -> list[Recording]:
    """Dances of the split with their songs in the dancers' time, as ``set_to_music`` plays them to the model too.

    Frames before the song begins and after it ends are left out, and so are dances without a song. ``skip`` hears of
    songs that can't be read. Raises DataError for a folder without dances.
    """
    dances: list[Dance] = []
    songs: list[Music] = []
    heard: dict[Path, dict[str, Floats]] = {}

    @cache  # many dances may be to one song
    def music_of(song: Path, meter: int | None) -> Music | None:
        """A song in bars of ``meter``, its sound put into ``heard``; None, and told to ``skip``, where it can't be."""
        try:
            music = analyse(song, meter=meter)
            if song not in heard:
                heard[song] = listen(song, kinds)
        except AudioError as error:
            skip(about(song, error))
            return None
        return music

    found = [dance for dance in load_dances(data, split, STORE_FPS, skip=skip) if dance.song is not None]
    for number, dance in enumerate(found):
        progress(number / len(found), f"Listening to the song of {dance.name}")
        assert dance.song is not None
        song = music_of(dance.song, FIGURES[dance.genre].meter if dance.genre in FIGURES else None)
        if song is None:
            continue
        # The song's own clock travels in place of its onsets, 0 where there is no song.
        clock = (np.arange(len(song.onset), dtype=np.float32) + 1) / FEATURE_FPS
        songs.append(replace(song, onset=clock))
        dances.append(dance)
    recordings = []
    for dance, played in zip(dances, set_to_music(dances, songs), strict=True):
        assert dance.song is not None
        motion = dance.motion.resample(FPS)
        clock = played.onset[: len(motion)]
        within = np.flatnonzero(clock)
        if len(within) == 0:
            continue
        first, last = int(within[0]), int(within[-1]) + 1
        at = np.round(clock[first:last] * FPS).astype(int) - 1
        sound = {kind: rows[np.clip(at, 0, len(rows) - 1)] for kind, rows in heard[dance.song].items()}
        recordings.append(Recording(motion.slice(first, last), sound))
    return recordings
