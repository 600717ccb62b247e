"""Beats and downbeats of songs whose beats are known, and the dancers' own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stepsmith.backend.audio import AudioError, analyse, decode
from stepsmith.backend.audio.songs import beginnings
from stepsmith.backend.audio.synth import RATE, synthesise, write_wav
from stepsmith.backend.dance.sources import load_dances
from stepsmith.backend.dance.timing import FIGURES, keep_time
from stepsmith.backend.measures.metrics import f_measure

Array = NDArray[np.float64]

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "tang2018"
needs_data = [pytest.mark.data, pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/tang2018")]


SONGS: dict[str, dict[str, Any]] = {
    "pop": {"tempo": 120, "duration": 20},
    "waltz": {"tempo": 87, "meter": 3, "duration": 25},
    "slow waltz in swing": {"tempo": 80, "meter": 3, "swing": 0.7, "seed": 2, "duration": 25},
    "Viennese waltz": {"tempo": 178, "meter": 3, "duration": 20, "seed": 1},
    "slow": {"tempo": 70, "duration": 25},
    "ballad": {"tempo": 76, "duration": 25},
    "tango tempo": {"tempo": 128, "seed": 3, "duration": 20},
    "fast": {"tempo": 140, "duration": 20, "seed": 4},
    "very fast": {"tempo": 188, "duration": 16, "seed": 2},
    "backbeat 145": {"tempo": 145, "duration": 16},
    "backbeat 150": {"tempo": 150, "duration": 16, "seed": 1},
    "fast swing": {"tempo": 150, "swing": 1.0, "duration": 16},
    "fast and syncopated": {"tempo": 155, "syncopation": 0.5, "duration": 16, "seed": 1},
    "slow and syncopated": {"tempo": 76, "syncopation": 0.5, "duration": 25, "seed": 1},
    "slow swing": {"tempo": 76, "swing": 0.6, "syncopation": 0.3, "duration": 25, "seed": 1},
    "swing": {"tempo": 104, "swing": 1.0, "duration": 20},
    "syncopated": {"tempo": 116, "syncopation": 0.5, "seed": 5, "duration": 20},
    "four on the floor": {"tempo": 126, "style": "house", "duration": 20},
    "funk": {"tempo": 98, "style": "funk", "duration": 20},
    "clave": {"tempo": 104, "style": "latin", "duration": 25},
    "jazz": {"tempo": 132, "style": "jazz", "swing": 0.8, "duration": 20},
    "tango without drums": {"tempo": 124, "style": "tango", "duration": 20},
    "strings": {"tempo": 92, "style": "ballad", "duration": 25},
    "strings in three": {"tempo": 96, "meter": 3, "style": "ballad", "duration": 25},
    "break": {"tempo": 122, "breaks": ((4, 7),), "seed": 6, "duration": 24},
    "drum solo": {"tempo": 116, "solos": ((3, 6),), "duration": 24},
    "silence": {"tempo": 90, "silences": ((3, 5),), "duration": 28},
    "getting faster": {"tempo": 100, "tempo_end": 115, "duration": 40, "seed": 7},
    "getting slower": {"tempo": 126, "tempo_end": 110, "duration": 40, "seed": 8},
    "ritardando": {"tempo": 104, "ritardando": 0.3, "duration": 24, "seed": 1},
    "loose": {"tempo": 96, "looseness": 0.015, "duration": 24},
    "short": {"tempo": 116, "duration": 8},
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("meter", [None, 2, 12])
def test_a_song_shorter_than_its_bar_has_beats_in_it(meter: int | None, tmp_path: Path) -> None:
    write_wav(tmp_path / "song.wav", synthesise(tempo=60, duration=1.3))
    music = analyse(tmp_path / "song.wav", meter=meter)
    assert len(music.beats) >= 2
    assert len(music.downbeats) >= 1
    assert music.meter == (meter or music.meter)


HALF_BARS_ALIKE = ("very fast",)  # its downbeat is heard on 3


@pytest.mark.parametrize("name", SONGS)
def test_beats_of_known_songs(tmp_path: Path, name: str) -> None:
    wishes = SONGS[name]
    song = synthesise(**wishes)
    write_wav(tmp_path / "song.wav", song)
    music = analyse(tmp_path / "song.wav")
    assert music.meter == wishes.get("meter", 4)
    assert music.tempo == pytest.approx(60.0 / float(np.median(np.diff(song.beats))), rel=0.01)
    assert f_measure(music.beats, song.beats) >= 0.95
    if name not in HALF_BARS_ALIKE:
        assert f_measure(music.downbeats, song.downbeats) >= 0.9
    # Dancers see 20 ms: beats must be near, not only within the measure's 70 ms.
    near = np.abs(music.beats[:, None] - song.beats).min(axis=1)
    assert np.median(near) < (0.02 if wishes.get("style") == "ballad" else 0.012)  # tones that rise in 30 ms
    assert set(music.downbeats) <= set(music.beats)
    assert (np.diff(music.beats) > 0).all()


@pytest.mark.parametrize(
    "parts",
    [
        ((100, 4, "latin"), (128, 4, "house")),
        ((128, 4, "house"), (100, 4, "latin")),
        ((120, 4, "house"), (128, 4, "pop"), (132, 4, "house")),
        ((124, 4, "latin"), (87, 3, "pop"), (128, 4, "tango")),
    ],
)
def test_each_song_of_a_mix_is_heard_by_itself(parts: tuple[tuple[float, int, str], ...], tmp_path: Path) -> None:
    """The off-beats of house are as loud as its beats: a pulse that comes from another song may be on either. And the
    one that leads from a song in four into a waltz has three beats where the waltz has four."""
    songs = [
        synthesise(tempo, meter, style=style, duration=30, seed=seed)
        for seed, (tempo, meter, style) in enumerate(parts)
    ]
    mix = replace(songs[0], samples=np.concatenate([song.samples for song in songs]))
    write_wav(tmp_path / "mix.wav", mix)
    music = analyse(tmp_path / "mix.wav")
    begin = 0.0
    for song, (tempo, meter, _), heard in zip(songs, parts, music.songs, strict=True):
        assert heard.start == pytest.approx(begin, abs=1.0)
        assert heard.tempo == pytest.approx(tempo, rel=0.01)
        assert heard.meter == meter
        for marks, known in ((music.beats, song.beats), (music.downbeats, song.downbeats)):
            inside = marks[(marks >= begin) & (marks < begin + song.duration)]
            assert f_measure(inside - begin, known) >= 0.9
        begin += song.duration
    slowest = 60.0 / min(tempo for tempo, _, _ in parts)
    fastest = 60.0 / max(tempo for tempo, _, _ in parts)
    assert np.diff(music.beats).min() > 0.75 * fastest
    assert np.diff(music.beats).max() < 1.75 * slowest
    assert set(music.downbeats) <= set(music.beats)


def test_silence_is_no_song_of_its_own() -> None:
    beats = np.concatenate([np.arange(0.0, 20.0, 0.4), np.arange(20.0, 60.0, 0.5), np.arange(60.0, 90.0, 0.4)])
    mel = np.zeros((2700, 32), np.float32)
    assert beginnings(beats, mel + np.repeat([0.0, 3.0, 1.0], [600, 1200, 900])[:, None]) == [0.0, 20.0, 60.0]
    assert beginnings(beats, mel + np.repeat([-11.5, 0.0, 1.0], [600, 1200, 900])[:, None]) == [0.0, 60.0]
    assert beginnings(beats, mel + np.repeat([0.0, 1.0, -11.5], [600, 1200, 900])[:, None]) == [0.0, 20.0]


def test_an_excerpt_has_the_songs_beats(tmp_path: Path) -> None:
    song = synthesise(110, duration=30, seed=3)
    write_wav(tmp_path / "song.wav", song)
    excerpt = analyse(tmp_path / "song.wav", start=10.2, duration=15.0)
    known = song.beats[(song.beats >= 10.2) & (song.beats < 25.2)] - 10.2
    assert f_measure(excerpt.beats, known) >= 0.95


@pytest.mark.parametrize(("start", "seconds"), [(0.0, 4.0), (10.2, 4.0), (25.7, 4.0), (10.2, 40.0)])
def test_a_part_is_judged_by_what_is_around_it(start: float, seconds: float, tmp_path: Path) -> None:
    song = synthesise(176, duration=30, seed=1)
    write_wav(tmp_path / "song.wav", song)
    alone, heard = (
        analyse(tmp_path / "song.wav", start=start, duration=seconds, context=context) for context in (0.0, 30.0)
    )
    assert heard.tempo == pytest.approx(176, rel=0.02)
    known = song.beats[(song.beats >= start) & (song.beats < start + heard.duration)] - start
    assert f_measure(heard.beats, known) >= 0.95
    assert heard.beats.min() >= 0.0
    assert heard.beats.max() <= heard.duration == alone.duration
    assert heard.mel.shape == alone.mel.shape
    assert heard.onset.shape == alone.onset.shape
    np.testing.assert_allclose(heard.mel[3:-3].mean(), alone.mel[3:-3].mean(), atol=0.05)


def test_a_part_that_tells_no_tempo_has_the_songs(tmp_path: Path) -> None:
    write_wav(tmp_path / "song.wav", synthesise(150, duration=30, seed=1, silences=[(6, 9)]))
    alone, heard = (analyse(tmp_path / "song.wav", start=9.9, duration=4.0, context=context) for context in (0.0, 30.0))
    assert alone.tempo < 100  # or there would be nothing to tell
    assert heard.tempo == pytest.approx(150, abs=1.0)


def test_a_part_beyond_the_songs_end_is_told_whatever_is_around(tmp_path: Path) -> None:
    write_wav(tmp_path / "song.wav", synthesise(120, duration=12))
    with pytest.raises(AudioError, match="from 20 s on"):
        analyse(tmp_path / "song.wav", start=20.0, duration=5.0, context=30.0)


def test_beats_go_on_through_silence_at_both_ends(tmp_path: Path) -> None:
    song = synthesise(120, duration=16, seed=1)
    quiet = np.zeros((3 * RATE, 2), np.float32)
    long = type(song)(np.concatenate([quiet, song.samples, quiet]), RATE, song.beats, song.downbeats)
    write_wav(tmp_path / "song.wav", long)
    music = analyse(tmp_path / "song.wav")
    assert music.beats[0] < 0.6
    assert music.beats[-1] > music.duration - 0.6
    np.testing.assert_allclose(np.diff(music.beats), 0.5, atol=0.04)


@pytest.mark.parametrize(("bpm", "tempo"), [(60.0, 60.0), (97.0, 97.0), (118.0, 120.0), (140.0, 140.0), (240.0, 240.0)])
def test_the_user_knows_the_tempo_better(tmp_path: Path, bpm: float, tempo: float) -> None:
    write_wav(tmp_path / "song.wav", synthesise(120, duration=16))
    music = analyse(tmp_path / "song.wav", bpm=bpm)
    assert music.tempo == pytest.approx(tempo, rel=0.02 if tempo % 60 == 0 else 0.05)
    assert 60.0 / np.diff(music.beats) == pytest.approx(bpm, rel=0.08)


@pytest.mark.parametrize("meter", [2, 3, 5, 6])
def test_the_user_knows_the_metre_better(tmp_path: Path, meter: int) -> None:
    write_wav(tmp_path / "song.wav", synthesise(120, duration=16))
    music = analyse(tmp_path / "song.wav", meter=meter)
    assert music.meter == meter
    places = np.searchsorted(music.beats, music.downbeats)
    assert np.median(np.diff(places)) == meter


def test_noise_has_beats_too(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.1, (10 * RATE, 2)).astype(np.float32)
    song = synthesise(120, duration=1)
    write_wav(tmp_path / "noise.wav", type(song)(noise, RATE, song.beats, song.downbeats))
    music = analyse(tmp_path / "noise.wav")
    assert 50.0 <= music.tempo <= 210.0
    assert (np.diff(music.beats) > 0.2).all()


def test_a_song_of_our_own_is_clean_and_full(tmp_path: Path) -> None:
    song = synthesise(120, duration=20, seed=0)
    assert song.samples.shape == (20 * RATE, 2)
    assert song.samples.dtype == np.float32
    assert np.abs(song.samples).max() == pytest.approx(0.9, abs=1e-3)
    assert np.abs(song.samples.mean(axis=0)).max() < 0.01
    assert 0.1 < np.sqrt(np.mean(song.samples**2)) < 0.4
    # Bass, middle and treble all hold a share of the energy, and the sides differ.
    power = np.abs(np.fft.rfft(song.samples.mean(axis=1))) ** 2
    frequency = np.fft.rfftfreq(len(song.samples), 1 / RATE)
    for low, high, least in ((30, 200, 0.1), (200, 2000, 0.02), (2000, 12000, 0.001)):
        assert power[(frequency >= low) & (frequency < high)].sum() / power.sum() > least
    assert not np.array_equal(song.samples[:, 0], song.samples[:, 1])
    np.testing.assert_allclose(song.beats, np.arange(40) * 0.5)
    np.testing.assert_allclose(song.downbeats, np.arange(10) * 2.0)


def test_songs_of_our_own_repeat_and_differ() -> None:
    first, again, other = (synthesise(120, bars=2, seed=seed).samples for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_song_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    song = synthesise(120, bars=2)
    write_wav(tmp_path / "song.wav", song)
    assert decode(tmp_path / "song.wav").duration == pytest.approx(song.duration, abs=0.001)
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]
    with pytest.raises(OSError, match="nowhere"):
        write_wav(tmp_path / "nowhere" / "song.wav", song)


@pytest.mark.parametrize(
    ("song", "bpm", "meter"), [("w8", 87, 3), ("w34", 96.8, 3), ("c8", 124, 4), ("r5", 80, 4), ("r1", 70, 4)]
)
class TestRealSongs:
    pytestmark = needs_data

    def test_tempo_and_metre(self, song: str, bpm: float, meter: int) -> None:
        music = analyse(DATA / f"{song}.ogg")
        assert music.tempo == pytest.approx(bpm, rel=0.005)
        assert music.meter == meter


DANCES = {
    "waltz": ("w2", "w3", "w4", "w6", "w7", "w8"),
    "cha-cha": ("c1", "c2", "c3", "c6", "c8"),
    "rumba": ("r2", "r4", "r5", "r8", "r10"),
}


class TestDancersTime:
    pytestmark = needs_data

    @pytest.mark.parametrize(("genre", "bpm"), [("waltz", 93.3), ("cha-cha", 120.0), ("rumba", 120.0)])
    def test_dancers_keep_their_own_tempo(self, genre: str, bpm: float) -> None:
        dances = [dance.motion for dance in load_dances(DATA, "train", names=DANCES[genre])]
        for beats, downbeats in keep_time(dances, FIGURES[genre]):
            assert 60.0 / float(np.median(np.diff(beats))) == pytest.approx(bpm, rel=0.015)
            assert set(downbeats) <= set(beats)
            assert np.median(np.diff(np.searchsorted(beats, downbeats))) == FIGURES[genre].meter

    def test_waltzes_sink_before_the_bar_and_rise_in_it(self) -> None:
        dances = [dance.motion for dance in load_dances(DATA, "train", names=DANCES["waltz"])]
        for dance, (_, downbeats) in zip(dances, keep_time(dances, FIGURES["waltz"]), strict=True):
            height = dance.positions()[:, 0, 2]
            bar = float(np.median(np.diff(downbeats)))
            before = np.interp(downbeats[1:-1] - 0.2 * bar, dance.times, height)
            within = np.interp(downbeats[1:-1] + 0.3 * bar, dance.times, height)
            assert np.mean(within > before) > 0.8
