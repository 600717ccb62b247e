"""Beats against what is known: ballroom recordings of known genre, their dancers, songs made with known beats.

    python benchmarks/beats.py --data DIR [--split train val]

DIR holds the tang2018 dances (manifest.csv, a .npz and an .ogg a dance). Prints the tempo and metre
heard in each song, the share of songs whose metre and bars a minute suit the genre, and the tempo at which
the dancer really moved beside that of the song.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from stepsmith.backend.audio import Music, analyse

Array = NDArray[np.float64]

# Bars a minute. Competition standards are narrower for rumba (25 to 27); these recordings include practice tempi.
BARS = {"waltz": (26.0, 33.0), "tango": (31.0, 33.0), "rumba": (19.8, 27.0), "cha-cha": (28.5, 32.0)}
# Of the 21 recorded joints: ankles and toes; and hips, knee, neck and ankle for heights.
FEET, HEIGHTS = [9, 11, 18, 20], [7, 16, 1, 9, 18]


def dancer_bars(joints: Array, fps: float, meter: int) -> tuple[float, float]:
    """Bars a minute that explain the dancer's steps best, and how clearly.

    ``joints``: (F, 21, 3), y up. The power of foot speeds and vertical velocities at the first 3 * ``meter``
    multiples of each bar frequency; clearness is the peak over the median (1: none).
    """
    velocity = np.diff(joints, axis=0) * fps
    speed = gaussian_filter1d(np.linalg.norm(velocity[:, FEET], axis=2), 1.0, axis=0)
    signals = np.concatenate([speed, velocity[:, HEIGHTS, 1]], axis=1)
    signals -= gaussian_filter1d(signals, 40.0, axis=0)
    signals /= signals.std(axis=0)
    bars, seconds = np.arange(25.0, 36.0, 0.05), np.arange(len(signals)) / fps
    power = np.zeros(len(bars))
    for multiple in range(1, 3 * meter + 1):
        waves = np.exp(-2j * np.pi * multiple * np.outer(bars / 60.0, seconds))
        power += (np.abs(waves @ signals) ** 2).sum(axis=1)
    return float(bars[np.argmax(power)]), float(power.max() / np.median(power))


def locking(music: Music, joints: Array, fps: float) -> tuple[float, float]:
    """Phase locking of the joints' speed minima to the beats, 0 to 1, and the same to beats at wrong tempi."""
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=2).mean(axis=1)
    speed = gaussian_filter1d(speed, 0.083 * fps)
    minima = np.flatnonzero((speed[1:-1] < speed[:-2]) & (speed[1:-1] <= speed[2:])) + 1
    seconds = (minima + 0.5) / fps

    def lock(times: Array) -> float:
        return float(np.abs(np.mean(np.exp(2j * np.pi * music.beat_phase(times)))))

    return lock(seconds), float(np.mean([lock(seconds * wrong) for wrong in (0.83, 0.89, 1.13, 1.21)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", nargs="+", default=["train", "val", "test"])
    options = parser.parse_args()
    with (options.data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] in options.split]
    right: dict[str, list[tuple[bool, bool, float, float]]] = defaultdict(list)
    print("song genre     bpm  meter  bars/min  dancer's bars/min (clear)  locking (chance)  seconds")
    for row in rows:
        begun = time.perf_counter()
        music = analyse(options.data / f"{row['name']}.ogg")
        took = time.perf_counter() - begun
        with np.load(options.data / f"{row['name']}.npz", allow_pickle=False) as dance:
            joints, fps = dance["joints"].astype(float), float(dance["fps"])
        genre, bars = row["genre"], music.tempo / music.meter
        danced, clear = dancer_bars(joints, fps, 3 if genre == "waltz" else 4)
        lock, chance = locking(music, joints, fps)
        meter_right = music.meter == (3 if genre == "waltz" else 4)
        right[genre].append((meter_right and BARS[genre][0] <= bars <= BARS[genre][1], meter_right, lock, chance))
        print(
            f"{row['name']:4} {genre:8} {music.tempo:6.1f} {music.meter:3} {bars:10.2f} {danced:12.2f} ({clear:.1f})"
            f" {lock:18.2f} ({chance:.2f}) {took:9.2f}"
        )
    print("\ngenre    songs  tempo right  metre right  locking (chance)")
    for genre, results in right.items():
        tempo, meter, lock, chance = np.mean(np.array(results, dtype=float), axis=0)
        print(f"{genre:8} {len(results):5} {tempo:11.0%} {meter:12.0%} {lock:11.2f} ({chance:.2f})")


if __name__ == "__main__":
    main()
