"""Beats against what is known: songs made with known beats, ballroom recordings of known genre, their dancers.

    python benchmarks/beats.py [--data DIR] [--split train val test]

DIR holds the tang2018 dances (manifest.csv, a .npz and an .ogg a dance). Prints, for songs of our own, the
F-measure of beats and downbeats at 70 ms; for the recordings, tempo and metre of every song, the share that
suit the genre, the tempo at which the dancer really moved, and how well the joints' speed minima lock to
the song's beats and to the dancer's own.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from stepsmith.backend.audio import Music, analyse
from stepsmith.backend.audio.synth import synthesise, write_wav
from stepsmith.backend.dance.data import SPLITS, Dance, load_dances
from stepsmith.backend.dance.timing import FIGURES, keep_time
from stepsmith.backend.evaluate.metrics import f_measure

Array = NDArray[np.float64]

SONGS: tuple[dict[str, Any], ...] = (
    *({"tempo": tempo, "seed": seed} for seed, tempo in enumerate((76, 96, 106, 117, 128, 139, 150))),
    *({"tempo": tempo, "meter": 3, "seed": seed} for seed, tempo in enumerate((80, 84, 88, 92, 96, 108))),
    {"tempo": 104, "swing": 1.0},
    {"tempo": 128, "swing": 0.5, "seed": 7},
    {"tempo": 110, "swing": 0.6, "syncopation": 0.3, "seed": 2},
    {"tempo": 128, "syncopation": 0.5},
    {"tempo": 120, "breaks": ((6, 10),), "duration": 50},
    {"tempo": 122, "breaks": ((4, 6), (10, 13)), "seed": 9, "duration": 40},
    {"tempo": 100, "tempo_end": 112, "duration": 60},
    {"tempo": 130, "tempo_end": 120, "duration": 90},
    {"tempo": 84, "meter": 3, "tempo_end": 90, "duration": 60, "seed": 3},
    {"tempo": 160},
    {"tempo": 60},
    {"tempo": 170, "meter": 3},
)
# Bars a minute. Competition standards are narrower for rumba (25 to 27); these recordings include practice tempi.
BARS = {"waltz": (26.0, 33.0), "tango": (31.0, 33.0), "rumba": (19.8, 27.0), "cha-cha": (28.5, 32.0)}


def known_songs() -> None:
    """The table of songs of our own."""
    print("beats  downbeats  heard          song")
    with tempfile.TemporaryDirectory() as folder:
        for wishes in SONGS:
            song = synthesise(**{"duration": 30, **wishes})
            write_wav(Path(folder) / "song.wav", song)
            music = analyse(Path(folder) / "song.wav")
            scores = f_measure(music.beats, song.beats), f_measure(music.downbeats, song.downbeats)
            print(f"{scores[0]:5.3f} {scores[1]:10.3f}  {music.tempo:6.1f} in {music.meter}   {wishes}")


def speed_minima(joints: Array, fps: float) -> Array:
    """Seconds of the minima of the joints' mean speed, smoothed by 83 ms; ``joints``: (F, J, 3)."""
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=2).mean(axis=1)
    speed = gaussian_filter1d(speed, 0.083 * fps)
    return (np.flatnonzero((speed[1:-1] < speed[:-2]) & (speed[1:-1] <= speed[2:])) + 1.5) / fps


def locking(seconds: Array, beats: Array) -> float:
    """Length of the mean of ``seconds`` as phases between ``beats``: 0 for none, 1 for all at one phase."""
    inner = seconds[(seconds >= beats[0]) & (seconds <= beats[-1])]
    return float(np.abs(np.mean(np.exp(2j * np.pi * np.interp(inner, beats, np.arange(len(beats)))))))


def dancers_beats(dances: list[Dance]) -> dict[str, Array]:
    """The dancers' own beats, by name of the dance."""
    found = {}
    for genre, figure in FIGURES.items():
        group = [dance for dance in dances if dance.genre == genre]
        for dance, (beats, _) in zip(group, keep_time([dance.motion for dance in group], figure), strict=True):
            found[dance.name] = beats
    return found


def recordings(data: Path, splits: list[str]) -> None:
    """The tables of real songs and dancers."""
    own = dancers_beats([dance for split in SPLITS for dance in load_dances(data, split)])
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] in splits]
    results: dict[str, list[tuple[float, ...]]] = {}
    print("\nsong genre      bpm in  bars/min | dancer's bpm | locking to: song  wrong tempi  own beats | seconds")
    for row in rows:
        begun = time.perf_counter()
        music: Music = analyse(data / f"{row['name']}.ogg")
        took = time.perf_counter() - begun
        with np.load(data / f"{row['name']}.npz", allow_pickle=False) as dance:
            minima = speed_minima(dance["joints"].astype(float), float(dance["fps"]))
        genre, bars, beats = row["genre"], music.tempo / music.meter, own[row["name"]]
        danced = 60.0 / float(np.median(np.diff(beats)))
        locks = locking(minima, music.beats), locking(minima, beats)
        chance = float(np.mean([locking(minima * wrong, music.beats) for wrong in (0.83, 0.89, 1.13, 1.21)]))
        metre_right = music.meter == FIGURES[genre].meter
        tempo_right = metre_right and BARS[genre][0] <= bars <= BARS[genre][1]
        results.setdefault(genre, []).append(
            (tempo_right, metre_right, music.tempo, danced, locks[0], chance, locks[1])
        )
        print(
            f"{row['name']:4} {genre:8} {music.tempo:6.1f} {music.meter:2} {bars:9.2f} | {danced:12.1f} |"
            f" {locks[0]:16.2f} {chance:12.2f} {locks[1]:10.2f} | {took:.2f}"
        )
    print("\ngenre    songs  tempo right  metre right  song's bpm  dancer's bpm  locking: song  wrong tempi  own beats")
    for genre, values in results.items():
        tempo, metre, heard, danced, song, chance, itself = np.mean(np.array(values, dtype=float), axis=0)
        print(
            f"{genre:8} {len(values):5} {tempo:12.0%} {metre:12.0%} {heard:11.1f} {danced:13.1f}"
            f" {song:14.2f} {chance:12.2f} {itself:10.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the tang2018 dances")
    parser.add_argument("--split", nargs="+", default=list(SPLITS), choices=SPLITS)
    options = parser.parse_args()
    known_songs()
    if options.data is not None:
        recordings(options.data, options.split)


if __name__ == "__main__":
    main()
