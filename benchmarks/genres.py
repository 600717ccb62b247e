"""Whether who asks for a genre gets that genre: what a classifier that learnt from recordings takes dances for.

    python benchmarks/genres.py --data FOLDER [--model FILE] [--json FILE]

FOLDER holds ``tang2018`` and ``cmu``. Recordings are cut into clips of 5 s, each described by the means and deviations
of its features; a linear discriminant learns their genres. Each genre is then danced to the songs of tang2018's test
split, 20 s of each: the table says what share of the clips is taken for the genre that was asked for, in songs of the
genre's metre and in others, and of the recordings themselves, each classified by what the others teach.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from stepsmith.backend.audio import analyse
from stepsmith.backend.dance import representation
from stepsmith.backend.dance.generate import generate
from stepsmith.backend.dance.sources import load_dances, load_unpaired
from stepsmith.backend.dance.timing import beats_a_bar
from stepsmith.backend.dance.weights import load_model
from stepsmith.retarget.motion import Motion

Array = np.ndarray
FPS = 30.0
CLIP, SONG = 5.0, 20.0  # s
MOST = 150  # clips of a genre to learn from
SHRINKAGE = 0.3  # share of the covariance that is the same for all features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of recorded dances")
    parser.add_argument("--model", type=Path, help="other weights than those that come along")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    if not (options.data / "tang2018").is_dir():
        parser.error(f"{options.data} has no folder tang2018: give the one above the recorded dances.")
    model = load_model(options.model)
    dances = load_dances(options.data / "tang2018", "train", FPS) + load_unpaired(options.data / "cmu", FPS)
    genres = sorted({dance.genre for dance in dances} & set(model.config.genres))
    rows, labels, names = learn_from(dances, genres)
    figures = {
        genre: {"recordings": float(share)} for genre, share in zip(genres, left_out(rows, labels, names), strict=True)
    }
    classify = Discriminant(rows, labels)
    songs = [dance.song for dance in load_dances(options.data / "tang2018", "test", FPS) if dance.song is not None]
    heard = [analyse(song, duration=SONG) for song in songs]
    for number, genre in enumerate(genres):
        right: dict[str, list[float]] = {"own metre": [], "another metre": []}
        for seed, music in enumerate(heard):
            motion = generate(music, genre=genre, seed=seed, model=model)
            share = float(np.mean(classify(np.stack(describe(motion))) == number))
            right["own metre" if music.meter == beats_a_bar(genre) else "another metre"].append(share)
        figures[genre] |= {name: float(np.mean(shares)) for name, shares in right.items() if shares}
    print(table(figures))
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def describe(motion: Motion) -> list[Array]:
    """A row for each whole CLIP of a motion."""
    features, frames = representation.encode(motion), round(CLIP * FPS)
    clips = [features[first : first + frames] for first in range(0, len(features) - frames + 1, frames)]
    return [np.concatenate([clip.mean(axis=0), clip.std(axis=0)]) for clip in clips]


def learn_from(dances: list, genres: list[str]) -> tuple[Array, Array, Array]:
    """Rows of clips, their genres' numbers and their recordings' names; of each genre at most MOST."""
    random = np.random.default_rng(0)
    found = []
    for number, genre in enumerate(genres):
        clips = [
            (row, number, dance.name) for dance in dances if dance.genre == genre for row in describe(dance.motion)
        ]
        found += [clips[k] for k in random.permutation(len(clips))[:MOST]]
    rows, labels, names = zip(*found, strict=True)
    return np.stack(rows), np.array(labels), np.array(names)


def left_out(rows: Array, labels: Array, names: Array) -> Array:
    """(G,) shares of each genre's clips that are taken for it by what the other recordings teach."""
    right = np.zeros(len(rows))
    for name in np.unique(names):
        own = names == name
        right[own] = Discriminant(rows[~own], labels[~own])(rows[own]) == labels[own]
    return np.array([right[labels == genre].mean() for genre in range(labels.max() + 1)])


class Discriminant:
    """Linear discriminant analysis with one covariance, shrunk towards a multiple of one (Friedman, 1989)."""

    def __init__(self, rows: Array, labels: Array) -> None:
        self.centre, self.scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
        rows = (rows - self.centre) / self.scale
        self.means = np.stack([rows[labels == genre].mean(axis=0) for genre in range(labels.max() + 1)])
        off = rows - self.means[labels]
        covariance = off.T @ off / len(off)
        same = np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
        self.precision = np.linalg.inv((1.0 - SHRINKAGE) * covariance + SHRINKAGE * same)

    def __call__(self, rows: Array) -> Array:
        """(N,) the genres whose means are nearest."""
        away = ((rows - self.centre) / self.scale)[:, None] - self.means
        nearest: Array = np.einsum("ngi,ij,ngj->ng", away, self.precision, away).argmin(axis=1)
        return nearest


def table(figures: dict[str, dict[str, float]]) -> str:
    columns = ("recordings", "own metre", "another metre")
    lines = [["taken for the genre, % of clips", *columns], ["---"] * (len(columns) + 1)]
    for genre, shares in figures.items():
        lines.append([genre, *(f"{100.0 * shares[name]:.0f}" if name in shares else "–" for name in columns)])
    means = [np.mean([shares[name] for shares in figures.values() if name in shares]) for name in columns]
    lines.append(["mean", *(f"{100.0 * mean:.0f}" for mean in means)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
