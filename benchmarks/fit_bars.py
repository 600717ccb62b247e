"""Fit the weights of ``backend/audio/bars.py``.

    python benchmarks/fit_bars.py --data DIR [--songs N] > backend/audio/bar_weights.py

Songs of our own, drawn at random, and the train and validation songs of tang2018 (DIR; none of its test songs)
are turned into every series of beats that the tracker considers, read in three and in four with every phase.
The weights make the right readings the likeliest ones: conditional logit with an L2 penalty. Right is, for
songs of our own, what has the known beats, metre and downbeats; for recordings, whose downbeats nobody noted,
what has the genre's metre and the tempo that ``beats.reference_tempo`` measures.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from beats import STANDARDS, reference_tempo
from numpy.typing import NDArray
from scipy.optimize import minimize
from stepsmith.backend.audio import Sound, bars, decode
from stepsmith.backend.audio.beats import METERS, series, whitened
from stepsmith.backend.audio.decode import levelled
from stepsmith.backend.audio.spectrum import spectrum
from stepsmith.backend.audio.synth import SynthSong, synthesise, write_wav
from stepsmith.backend.measures.metrics import f_measure

Array = NDArray[np.float64]
Readings = tuple[Array, NDArray[np.bool_]]  # (R, D) what each reading of a song hears, (R,) whether it is right

PENALTY = 0.3
RECORDINGS = 4  # times that a recording counts
# Beats a minute at which each style is played, and how often it is drawn.
STYLES = {
    "pop": (66, 194, 0.30),
    "house": (80, 176, 0.10),
    "funk": (72, 128, 0.12),
    "latin": (72, 190, 0.12),
    "jazz": (72, 195, 0.14),
    "tango": (88, 160, 0.11),
    "ballad": (66, 176, 0.11),
}


def random_wishes(seed: int) -> dict[str, Any]:
    """Arguments of ``synthesise`` for the song of a number."""
    random = np.random.default_rng([2026, seed])
    style = str(random.choice(list(STYLES), p=[share for _, _, share in STYLES.values()]))
    slowest, fastest, _ = STYLES[style]
    tempo = float(np.exp(random.uniform(np.log(slowest), np.log(fastest))))
    wishes: dict[str, Any] = {"tempo": tempo, "style": style, "seed": 10_000 + seed, "duration": 24.0}
    if style in ("pop", "jazz", "tango", "ballad") and random.random() < 0.42:
        wishes["meter"] = 3
    if style == "jazz" or random.random() < 0.2:
        wishes["swing"] = float(random.uniform(0.4, 1.0))
    if style in ("pop", "ballad") and random.random() < 0.35:
        wishes["syncopation"] = float(random.uniform(0.2, 0.6))
    if random.random() < 0.3:
        wishes["looseness"] = float(random.uniform(0.004, 0.018))
    rest = str(random.choice(["breaks", "solos", "silences", "none"], p=[0.1, 0.1, 0.1, 0.7]))
    if rest != "none":
        first = int(random.integers(2, 5))
        wishes[rest] = ((first, first + int(random.integers(1, 3))),)
    if random.random() < 0.2:
        wishes["tempo_end"] = tempo * float(random.uniform(0.87, 1.15))
    return wishes


def layout() -> dict[str, tuple[int, ...]]:
    """The weights' names and shapes, in the order in which they lie in a vector."""
    shapes: dict[str, tuple[int, ...]] = {"ON": (bars.CUES,), "OFF": (bars.CUES,)}
    for meter in METERS:
        shapes |= {
            f"PLACES {meter}": (meter, bars.CUES),
            f"TEMPO {meter}": (3,),
            f"LIKENESS {meter}": (len(bars.LAGS),),
        }
    return shapes


def packed(parts: dict[str, Array]) -> Array:
    """A vector of the named parts, zero where one is missing."""
    return np.concatenate([np.ravel(parts.get(name, np.zeros(shape))) for name, shape in layout().items()])


def unpacked(vector: Array) -> dict[str, Array]:
    """The named parts of a vector."""
    shapes = layout()
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes.values()])[:-1]
    return {
        name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), np.split(vector, ends), strict=True)
    }


def readings(sound: Sound) -> Iterator[tuple[Array, int, int, Array]]:
    """Beats (seconds), metre, phase and what is heard (D,) of every reading of a sound."""
    sound = levelled(sound)
    bands = whitened(spectrum(sound).flux)
    heard = bars.cues(sound, bands)
    for times, _ in series(bands):
        on, off = bars.on_and_off(heard, times)
        alike = bars.likeness(on, off)
        octaves = np.log2(60.0 / float(np.median(np.diff(times))) / bars.MIDDLE_TEMPO)
        for meter in METERS:
            for phase in range(meter):
                played = np.array([on[(phase + place) % meter :: meter].mean(axis=0) for place in range(meter)])
                parts = {
                    "ON": on.mean(axis=0),
                    "OFF": off.mean(axis=0),
                    # What all places share is the pulse's part: so the weights of a bar cancel out.
                    f"PLACES {meter}": played - played.mean(axis=0),
                    f"TEMPO {meter}": np.array([1.0, octaves, octaves**2]),
                    f"LIKENESS {meter}": alike,
                }
                yield times, meter, phase, packed(parts)


def read_known(sound: Sound, song: SynthSong, meter: int) -> Readings:
    """The readings of a song of our own."""
    rows, right = [], []
    for times, read_in, phase, row in readings(sound):
        beats, downbeats = f_measure(times, song.beats), f_measure(times[phase::read_in], song.downbeats)
        rows.append(row)
        right.append(read_in == meter and beats > 0.85 and downbeats > 0.8)
    return np.array(rows), np.array(right)


def read_recording(sound: Sound, genre: str) -> Readings:
    """The readings of a recording of a dance."""
    tempo = reference_tempo(sound, genre)
    rows, right = [], []
    for times, meter, _, row in readings(sound):
        rows.append(row)
        heard = 60.0 / float(np.median(np.diff(times)))
        right.append(meter == STANDARDS[genre].meter and abs(heard / tempo - 1.0) < 0.04)
    return np.array(rows), np.array(right)


def fitted(songs: list[Readings]) -> Array:
    """The weights (D,) that make the right readings likeliest, over songs that have one."""
    songs = [(rows, right) for rows, right in songs if right.any()]

    def loss(weights: Array) -> tuple[float, Array]:
        value, slope = 0.5 * PENALTY * float(weights @ weights), PENALTY * weights
        for rows, right in songs:
            scores = rows @ weights
            odds = np.exp(scores - scores.max())
            chosen = np.where(right, odds, 0.0)
            value -= float(np.log(chosen.sum() / odds.sum() + 1e-300))
            slope = slope + rows.T @ (odds / odds.sum() - chosen / (chosen.sum() + 1e-300))
        return value, slope

    return np.asarray(minimize(loss, np.zeros(songs[0][0].shape[1]), jac=True, method="L-BFGS-B").x)


def source(weights: Array) -> str:
    """The module that holds the weights."""
    parts = unpacked(weights)

    def text(values: Array) -> str:
        if values.ndim == 2:
            return "[" + "".join(f"\n        {text(row)}," for row in values) + "\n    ]"
        return "[" + ", ".join(f"{value:.2f}" for value in values) + "]"

    def by_meter(name: str) -> str:
        return "{" + "".join(f"\n    {m}: np.array({text(parts[f'{name} {m}'])})," for m in METERS) + "\n}"

    return f'''"""The weights of ``bars``, rounded, as ``benchmarks/fit_bars.py`` prints them.

The order of cues: onsets low, in the middle, high; new harmony.
"""

import numpy as np

# Of each cue on beats and between them.
ON = np.array({text(parts["ON"])})
OFF = np.array({text(parts["OFF"])})
# Of each cue on the places of the bar, by metre.
PLACES = {by_meter("PLACES")}
# Of 1, the tempo in octaves from the middle one, and its square, by metre.
TEMPO = {by_meter("TEMPO")}
# Of the likeness of beats 1, 2, 3, 4, 6 and 8 beats apart, by metre.
LIKENESS = {by_meter("LIKENESS")}'''


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the tang2018 dances")
    parser.add_argument("--songs", type=int, default=260, help="how many songs of our own")
    options = parser.parse_args()
    songs = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.songs):
            wishes = random_wishes(seed)
            song = synthesise(**wishes)
            write_wav(Path(folder) / "song.wav", song)
            songs.append(read_known(decode(Path(folder) / "song.wav"), song, wishes.get("meter", 4)))
    with (options.data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] in ("train", "val")]
    songs += RECORDINGS * [read_recording(decode(options.data / f"{row['name']}.ogg"), row["genre"]) for row in rows]
    print(source(fitted(songs)))


if __name__ == "__main__":
    main()
