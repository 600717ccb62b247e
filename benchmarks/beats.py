"""Beats against what is known: songs made with known beats, ballroom recordings of known genre.

    python benchmarks/beats.py [--data DIR] [--split train val test] [--json FILE]

DIR holds the tang2018 dances (manifest.csv, an .ogg a dance). Prints tables in Markdown: for each
kind of song of our own the F-measure of beats and downbeats at 70 ms; for every recording tempo and metre
heard, and the tempo that another way of listening finds when told the genre; then how many recordings lie in
their genre's competition standard, as heard and as measured.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stepsmith.backend.audio import Sound, analyse, decode
from stepsmith.backend.audio.synth import RATE, synthesise, write_wav
from stepsmith.backend.measures.metrics import f_measure

Array = NDArray[np.float64]
Wishes = dict[str, Any]


def _at(*tempi: float, **wishes: Any) -> tuple[Wishes, ...]:
    """Songs that differ in tempo and seed."""
    return tuple({"tempo": tempo, "seed": seed, **wishes} for seed, tempo in enumerate(tempi))


KINDS: dict[str, tuple[Wishes, ...]] = {
    "steady": _at(70, 76, 84, 97, 110, 125, 141, 158, 175, 190),
    "in three": _at(72, 80, 88, 97, 110, 130, 152, 174, 188, meter=3),
    "four on the floor": _at(84, 100, 116, 128, 140, 172, style="house"),
    "swing": (
        *_at(76, 104, 128, 150, swing=1.0),
        *_at(84, 112, 140, 168, 188, style="jazz", swing=1.0),
        *_at(92, 124, 160, style="jazz", meter=3, swing=0.8),
        *_at(80, 96, meter=3, swing=0.7),
    ),
    "syncopation": (
        *_at(72, 76, 96, 116, 138, 155, syncopation=0.5),
        *_at(78, 92, 104, 118, style="funk"),
        *_at(110, 76, swing=0.6, syncopation=0.3),
    ),
    "clave": _at(76, 88, 100, 112, 126, 180, style="latin"),
    "no drums": (*_at(100, 116, 124, 128, 136, style="tango"), *_at(92, 150, style="tango", meter=3)),
    "soft": (*_at(70, 80, 92, 108, 126, style="ballad"), *_at(84, 96, 120, 170, style="ballad", meter=3)),
    "breaks": (
        *_at(80, 122, 150, breaks=((4, 7), (10, 12))),
        *_at(88, 174, meter=3, breaks=((4, 8),)),
        *_at(120, breaks=((6, 10),)),
    ),
    "drum solos": (
        *_at(84, 116, 140, solos=((3, 6), (9, 11))),
        *_at(90, meter=3, solos=((4, 7),)),
        *_at(128, style="house", solos=((4, 8),)),
    ),
    "silences": (
        *_at(90, 120, 152, silences=((4, 6), (9, 10))),
        *_at(87, 174, meter=3, silences=((5, 7),)),
        *_at(112, style="latin", silences=((6, 8),)),
    ),
    "tempo change": tuple(
        {"tempo": tempo, "tempo_end": end, "seed": seed, "duration": 45, **wishes}
        for seed, (tempo, end, wishes) in enumerate(
            (
                (100, 115, {}),
                (130, 112, {}),
                (84, 96, {"meter": 3}),
                (150, 170, {}),
                (96, 83, {"style": "funk"}),
                (180, 160, {"meter": 3}),
                (120, 138, {"style": "house"}),
                (90, 78, {"style": "ballad"}),
            )
        )
    ),
    "ritardando": (
        *_at(76, 104, 128, 160, ritardando=0.3),
        *_at(87, meter=3, ritardando=0.35),
        *_at(124, style="tango", ritardando=0.3),
    ),
    "loose band": (
        *_at(74, 96, 120, 148, looseness=0.015),
        *_at(87, 168, meter=3, looseness=0.015),
        *_at(104, style="latin", looseness=0.012),
        *_at(132, style="jazz", swing=0.8, looseness=0.012),
    ),
}


# Tempo, metre and style of the songs of a mix, each of as many seconds, with as many of silence in between.
MIXES: dict[str, tuple[float, float, tuple[tuple[float, int, str], ...]]] = {
    "two songs": (60, 0, ((128, 4, "house"), (100, 4, "latin"))),
    "a DJ's set": (90, 0, ((120, 4, "house"), (124, 4, "house"), (128, 4, "pop"), (132, 4, "house"))),
    "a band's set": (
        *(60, 2),
        ((92, 4, "funk"), (120, 4, "house"), (75, 4, "ballad"), (140, 4, "pop"), (105, 4, "latin"), (128, 4, "house")),
    ),
    "a ballroom show": (40, 0, ((124, 4, "latin"), (87, 3, "ballad"), (104, 4, "funk"), (128, 4, "tango"))),
    "a ball": (
        *(60, 2),
        ((87, 3, "pop"), (128, 4, "tango"), (174, 3, "ballad"), (104, 4, "latin"), (122, 4, "latin")),
    ),
    "short songs": (30, 0, ((124, 4, "latin"), (87, 3, "pop"), (128, 4, "tango"), (92, 4, "funk"))),
    "very short songs": (20, 0, ((90, 4, "pop"), (140, 4, "house"), (87, 3, "pop"))),
}


@dataclass(frozen=True)
class Standard:
    """Competition tempi of a genre: beats a minute, and beats a bar."""

    slowest: float
    fastest: float
    meter: int

    def holds(self, tempo: float, meter: int, tolerance: float = 0.0) -> bool:
        """Whether a tempo lies within the standard, or misses it by a share of at most ``tolerance``."""
        return meter == self.meter and self.slowest * (1 - tolerance) <= tempo <= self.fastest * (1 + tolerance)


# Bars a minute: waltz 28 to 30, tango 31 to 33, rumba 25 to 27, cha-cha 30 to 32.
STANDARDS = {
    "waltz": Standard(84.0, 90.0, 3),
    "tango": Standard(124.0, 132.0, 4),
    "rumba": Standard(100.0, 108.0, 4),
    "cha-cha": Standard(120.0, 128.0, 4),
}
_ROUNDING = 0.005  # share by which a tempo may miss the standard's edge, since it is measured
SPLITS = ("train", "val", "test")
_NEAR = 0.04  # share within which two tempi are taken for the same


def reference_tempo(sound: Sound, genre: str) -> float:
    """A recording's tempo, measured in another way than the tracker's, and told the genre.

    The autocorrelation of librosa's onset strength over the whole song, summed over a beat, a bar, two and
    four bars; of tempi between 2/3 and 4/3 of the standard's middle, the one with the largest sum.
    """
    import librosa

    standard, hop = STANDARDS[genre], 256
    rate = sound.rate / hop
    onsets = librosa.onset.onset_strength(y=sound.samples, sr=sound.rate, hop_length=hop, lag=2, max_size=3)
    onsets = np.minimum(onsets, np.percentile(onsets, 99))
    onsets = onsets - np.convolve(onsets, np.ones(round(rate)) / round(rate), "same")
    lags = np.arange(min(round(20 * rate), len(onsets) // 2))
    repeats = librosa.autocorrelate(onsets, max_size=len(lags)) / (len(onsets) - lags)
    tempi = np.geomspace(2 / 3, 4 / 3, 1401) * (standard.slowest + standard.fastest) / 2
    beats = np.array([1, standard.meter, 2 * standard.meter, 4 * standard.meter])
    at = np.minimum(beats[:, None] * 60.0 * rate / tempi, lags[-1])
    return float(tempi[np.argmax(np.interp(at, lags, repeats).sum(axis=0))])


def known_songs() -> list[dict[str, Any]]:
    """What is heard in each song of our own."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.wav"
        for kind, songs in KINDS.items():
            for wishes in songs:
                song = synthesise(**{"duration": 30, **wishes})
                write_wav(path, song)
                music = analyse(path)
                found.append(
                    {
                        "kind": kind,
                        "song": wishes,
                        "beats": f_measure(music.beats, song.beats),
                        "downbeats": f_measure(music.downbeats, song.downbeats),
                        "tempo": music.tempo,
                        "meter": music.meter,
                        "metre right": music.meter == wishes.get("meter", 4),
                    }
                )
    return found


def known_mixes() -> list[dict[str, Any]]:
    """What is heard in each song of each mix."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mix.wav"
        for mix, (seconds, gap, parts) in MIXES.items():
            songs = [synthesise(t, m, style=s, duration=seconds, seed=k) for k, (t, m, s) in enumerate(parts)]
            silence = np.zeros((round(gap * RATE), *songs[0].samples.shape[1:]), songs[0].samples.dtype)
            sounds = [sound for song in songs for sound in (song.samples, silence)]
            write_wav(path, replace(songs[0], samples=np.concatenate(sounds)))
            music, begin = analyse(path), 0.0
            for song, (tempo, meter, style) in zip(songs, parts, strict=True):
                end = begin + song.duration
                beats, downbeats = (
                    f_measure(marks[(marks >= begin) & (marks < end)] - begin, known)
                    for marks, known in ((music.beats, song.beats), (music.downbeats, song.downbeats))
                )
                heard = music.each_song[int(music.song_at((begin + end) / 2.0))]
                found.append(
                    {
                        "kind": mix,
                        "song": {"tempo": tempo, "meter": meter, "style": style},
                        "beats": beats,
                        "downbeats": downbeats,
                        "tempo": heard.tempo,
                        "meter": heard.meter,
                        "metre right": heard.meter == meter,
                    }
                )
                begin = end + gap
    return found


def print_known(found: list[dict[str, Any]]) -> None:
    """A row a kind of song or mix, then the songs whose beats are missed."""
    print("| songs of our own | songs | F beats | worst | F downbeats | metre right |\n|---|---|---|---|---|---|")
    for kind in dict.fromkeys(song["kind"] for song in found):
        songs = [song for song in found if song["kind"] == kind]
        beats, bars, metres = (np.array([song[key] for song in songs]) for key in ("beats", "downbeats", "metre right"))
        print(
            f"| {kind} | {len(songs)} | {beats.mean():.3f} | {beats.min():.3f} | {bars.mean():.3f} |"
            f" {metres.mean():.0%} |"
        )
    for song in found:
        if song["beats"] < 0.95:
            heard = f"F {song['beats']:.3f}, heard {song['tempo']:.1f} in {song['meter']}"
            print(f"\nBeats missed ({heard}): {song['song']}")


@dataclass(frozen=True)
class Heard:
    """What is heard in a recording, and its measured tempo; beats a minute. ``seconds``: taken to hear it."""

    name: str
    genre: str
    tempo: float
    meter: int
    reference: float
    seconds: float


def recordings(data: Path, splits: list[str]) -> list[Heard]:
    """What is heard in each recording."""
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] in splits]
    found = []
    for row in rows:
        path = data / f"{row['name']}.ogg"
        begun = time.perf_counter()
        music = analyse(path)
        took = time.perf_counter() - begun
        found.append(
            Heard(
                name=row["name"],
                genre=row["genre"],
                tempo=music.tempo,
                meter=music.meter,
                reference=reference_tempo(decode(path), row["genre"]),
                seconds=took,
            )
        )
    return found


def print_recordings(found: list[Heard]) -> None:
    """A row a song, then a row a genre."""
    print("\n| song | genre | heard | bars a minute | measured | s |")
    print("|---|---|---|---|---|---|")
    for song in found:
        print(
            f"| {song.name} | {song.genre} | {song.tempo:.1f} in {song.meter} | {song.tempo / song.meter:.2f} |"
            f" {song.reference:.1f} | {song.seconds:.2f} |"
        )
    names = " | ".join(shares(found))
    print(f"\n| genre | songs | {names} |\n|---|---|---|---|---|---|---|---|")
    for genre in (*STANDARDS, "all"):
        if songs := [song for song in found if genre in (song.genre, "all")]:
            print(
                f"| {genre} | {len(songs)} | " + " | ".join(f"{share:.0%}" for share in shares(songs).values()) + " |"
            )


def shares(songs: list[Heard]) -> dict[str, float]:
    """Of these songs, the shares that are heard rightly and that lie in their genre's standard."""
    standards = [STANDARDS[song.genre] for song in songs]
    both = list(zip(songs, standards, strict=True))
    counts = {
        "metre right": [song.meter == standard.meter for song, standard in both],
        "tempo as measured": [abs(song.tempo / song.reference - 1.0) <= _NEAR for song in songs],
    }
    for name, tolerance in (("in the standard", _ROUNDING), ("within 4 % of it", _NEAR)):
        counts[f"heard {name}"] = [std.holds(song.tempo, song.meter, tolerance) for song, std in both]
        counts[f"measured {name}"] = [std.holds(song.reference, std.meter, tolerance) for song, std in both]
    return {name: float(np.mean(values)) for name, values in counts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the tang2018 dances")
    parser.add_argument("--split", nargs="+", default=list(SPLITS), choices=SPLITS)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    if options.data is not None and not (options.data / "manifest.csv").is_file():
        parser.error(f"{options.data} has no manifest.csv: give the folder of the tang2018 dances.")
    known, mixes = known_songs(), known_mixes()
    print_known(known)
    print("\nOf mixes, each song in its place:\n")
    print_known(mixes)
    figures: dict[str, Any] = {"known": known, "mixes": mixes}
    if options.data is not None:
        heard = recordings(options.data, options.split)
        print_recordings(heard)
        figures |= {"recordings": [asdict(song) for song in heard], "shares": shares(heard)}
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
