"""Songs in: every format and channel count, clear errors, phases, features."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.backend.audio import FEATURE_FPS, MEL_BANDS, AudioError, Music, Song, analyse, decode
from stepsmith.backend.audio.decode import RATE, check_length
from stepsmith.backend.audio.synth import SynthSong, synthesise, write_wav
from stepsmith.backend.choreography import Choreographer, Wish
from stepsmith.backend.progress import Cancelled, part

CODECS = {
    "mp3": "libmp3lame",
    "m4a": "aac",
    "ogg": "libopus",
    "opus": "libopus",
    "flac": "flac",
    "wav": "pcm_s16le",
    "aiff": "pcm_s24be",
}


def encode(path: Path, samples: np.ndarray, rate: int, codec: str, layout: str = "stereo", video: bool = False) -> Path:
    """Write (channels, n) float samples, with a grey picture track where ``video``."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=25) if video else None
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        stream = container.add_stream(codec, rate=rate, layout=layout)
        if picture is not None:
            grey = np.full((64, 64, 3), 128, np.uint8)
            for _ in range(int(25 * samples.shape[1] / rate)):
                container.mux(picture.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            container.mux(picture.encode(None))
        packed = np.ascontiguousarray(samples.T, dtype=np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.pts, frame.time_base = 0, Fraction(1, rate)
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def clicks(seconds: float, rate: int, channels: int = 2) -> np.ndarray:
    """Short 1 kHz bursts, full strength within a millisecond, at every whole second but the first."""
    time = np.arange(round(seconds * rate)) / rate
    since = time % 1.0
    burst = np.sin(2 * np.pi * 1000 * since) * np.exp(-since / 0.02) * (time >= 1.0)
    return np.tile(0.5 * burst, (channels, 1)).astype(np.float32)


def burst_times(samples: np.ndarray, rate: int) -> np.ndarray:
    """Where each second's burst reaches a third of the largest value."""
    loud = np.abs(samples) > 0.33 * np.abs(samples).max()
    seconds = np.arange(1, int(len(samples) / rate))
    starts = [int((second - 0.2) * rate) for second in seconds]
    return np.array([(start + np.argmax(loud[start : start + rate])) / rate for start in starts])


@pytest.fixture(scope="session")
def song() -> SynthSong:
    return synthesise(120, duration=12, seed=1)


@pytest.fixture(scope="session")
def song_file(song: SynthSong, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("songs") / "song.wav"
    write_wav(path, song)
    return path


@pytest.fixture(scope="session")
def music(song_file: Path) -> Music:
    return analyse(song_file)


@pytest.mark.parametrize("ending", CODECS)
def test_every_format_keeps_its_time(tmp_path: Path, ending: str) -> None:
    rate = 48000 if CODECS[ending] == "libopus" else 44100
    path = encode(tmp_path / f"song.{ending}", clicks(5, rate), rate, CODECS[ending])
    sound = decode(path)
    assert sound.rate == RATE
    assert sound.duration == pytest.approx(5.0, abs=0.06)
    np.testing.assert_allclose(burst_times(sound.samples, RATE), [1, 2, 3, 4], atol=0.003)


def test_a_videos_sound(tmp_path: Path) -> None:
    path = encode(tmp_path / "film.mp4", clicks(4, 44100), 44100, "aac", video=True)
    np.testing.assert_allclose(burst_times(decode(path).samples, RATE), [1, 2, 3], atol=0.003)


@pytest.mark.parametrize("layout", ["mono", "stereo", "2.1", "quad", "5.1", "7.1"])
def test_any_number_of_channels_is_mixed(tmp_path: Path, layout: str) -> None:
    channels = av.AudioLayout(layout).nb_channels
    samples = np.zeros((channels, 2 * 44100), np.float32)
    samples[-1] = 0.8 * np.sin(2 * np.pi * 440 * np.arange(2 * 44100) / 44100)
    sound = decode(encode(tmp_path / "song.wav", samples, 44100, "pcm_f32le", layout))
    assert np.abs(sound.samples[1000:-1000]).max() == pytest.approx(0.8 / channels, rel=0.02)


@pytest.mark.parametrize("layout", ["5.1", "7.1"])
@pytest.mark.parametrize("codec", ["aac", "flac", "libopus"])
def test_a_films_surround_sound(tmp_path: Path, codec: str, layout: str) -> None:
    channels = av.AudioLayout(layout).nb_channels
    path = encode(tmp_path / "film.mka", clicks(3, 48000, channels), 48000, codec, layout)
    np.testing.assert_allclose(burst_times(decode(path).samples, RATE), [1, 2], atol=0.003)


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"])
def test_any_sample_format_has_the_same_level(tmp_path: Path, codec: str) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * 44100) / 44100)[None]
    sound = decode(encode(tmp_path / "song.wav", tone, 44100, codec, "mono"))
    inner = sound.samples[1000:-1000]
    assert np.abs(inner).max() == pytest.approx(0.5, abs=0.01)
    assert abs(inner.mean()) < 0.005


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 32000, 48000, 96000])
def test_any_rate(tmp_path: Path, rate: int) -> None:
    sound = decode(encode(tmp_path / "song.wav", clicks(3, rate), rate, "pcm_s16le"))
    assert sound.duration == pytest.approx(3.0, abs=0.002)
    np.testing.assert_allclose(burst_times(sound.samples, RATE), [1, 2], atol=0.002)


def test_an_excerpt_is_cut_on_the_sample(song_file: Path) -> None:
    whole, excerpt = decode(song_file), decode(song_file, start=2.5, duration=3.0)
    assert excerpt.duration == 3.0
    first = round(2.5 * RATE)
    inner = slice(200, -200)  # the resampler knows nothing of what is before the cut
    np.testing.assert_allclose(excerpt.samples[inner], whole.samples[first : first + 3 * RATE][inner], atol=1e-4)


def test_an_excerpt_ends_with_the_song(song_file: Path) -> None:
    assert decode(song_file, start=10.0, duration=60.0).duration == pytest.approx(2.0, abs=0.001)


def test_names_that_look_like_addresses(tmp_path: Path, song_file: Path) -> None:
    path = tmp_path / "http: what? 100%#.wav"
    path.write_bytes(song_file.read_bytes())
    assert decode(path, duration=1.0).duration == 1.0


def silence(folder: Path) -> Path:
    return encode(folder / "silence.wav", np.zeros((1, 3 * 44100)), 44100, "pcm_s16le", "mono")


def short(folder: Path) -> Path:
    return encode(folder / "short.wav", clicks(2, 44100, 1)[:, -30000:], 44100, "pcm_s16le", "mono")


def text(folder: Path) -> Path:
    (folder / "notes.mp3").write_text("This is no song.\n" * 100, encoding="utf-8")
    return folder / "notes.mp3"


def empty(folder: Path) -> Path:
    (folder / "empty.mp3").touch()
    return folder / "empty.mp3"


def mute_film(folder: Path) -> Path:
    with av.open(str(folder / "film.mp4"), "w") as container:
        picture = container.add_stream("mpeg4", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        for _ in range(50):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(picture.encode(None))
    return folder / "film.mp4"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: folder / "nowhere.mp3", "no sound file"),
        (lambda folder: folder, "no sound file"),
        (empty, "is empty"),
        (text, "can't be read as sound|holds no sound"),
        (silence, "is silent"),
        (short, "only 0.68 s"),
        (mute_film, "holds no sound"),
    ],
    ids=["missing", "folder", "empty", "text", "silent", "short", "film without sound"],
)
def test_what_is_no_song_is_said_in_one_sentence(tmp_path: Path, make, says: str) -> None:
    with pytest.raises(AudioError, match=says) as error:
        analyse(make(tmp_path))
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


def test_a_start_behind_the_end(song_file: Path) -> None:
    with pytest.raises(AudioError, match=r"only 0\.00 s of sound from 50 s on"):
        decode(song_file, start=50.0)
    with pytest.raises(AudioError, match=r"only 0\.00 s of sound from 1e\+308 s on"):
        decode(song_file, start=1e308)


@pytest.mark.parametrize(
    "wrong",
    [{"start": -1.0}, {"start": float("nan")}, {"duration": 0.5}, {"duration": 1e6}, {"bpm": 5.0}, {"meter": 1}],
    ids=str,
)
def test_wishes_nobody_can_fulfil(song_file: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(AudioError):
        analyse(song_file, **wrong)  # type: ignore[arg-type]


def three_hours(path: Path) -> Path:
    """A WAV file of three hours at 8 kHz, nearly all of it a hole in the file."""
    size = 3 * 3600 * 8000
    header = b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    header += b"".join(n.to_bytes(k, "little") for n, k in ((1, 2), (1, 2), (8000, 4), (8000, 4), (1, 2), (8, 2)))
    with path.open("wb") as file:
        file.write(header + b"data" + size.to_bytes(4, "little"))
        file.truncate(44 + size)
    return path


def test_too_long_is_said_before_work_begins(tmp_path: Path) -> None:
    path = three_hours(tmp_path / "long.wav")
    told: list[float] = []
    with pytest.raises(AudioError, match="more than 2 hours"):
        analyse(path, progress=lambda fraction, _: told.append(fraction))
    assert not told


def test_too_long_is_said_before_a_dance_is_handed_out(tmp_path: Path, small_model: Path) -> None:
    song = three_hours(tmp_path / "long.wav")
    with pytest.raises(AudioError, match="more than 2 hours: use a part of it, or a shorter one"):
        next(Choreographer(small_model).stream(Wish(song)))
    assert len(next(Choreographer(small_model).stream(Wish(song, duration=2.0)))) == 60
    check_length(song, start=1.5 * 3600)
    with pytest.raises(AudioError, match="no sound file"):
        next(Choreographer(small_model).stream(Wish(tmp_path / "none.wav")))


def test_damaged_packets_are_passed_over(tmp_path: Path) -> None:
    path = encode(tmp_path / "song.mp3", clicks(10, 44100), 44100, "libmp3lame")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 500] = b"\xff" * 500
    path.write_bytes(data)
    assert decode(path).duration == pytest.approx(10.0, abs=0.3)


def test_damage_that_a_decoder_has_a_number_of_its_own_for_is_passed_over(tmp_path: Path) -> None:
    path = encode(tmp_path / "song.ac3", clicks(10, 44100), 44100, "ac3")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 3001 :])
    assert decode(path).duration == pytest.approx(10.0, abs=0.3)


def test_features_have_their_shape_and_scale(music: Music) -> None:
    assert music.duration == pytest.approx(12.0, abs=0.001)
    frames = int(np.ceil(music.duration * FEATURE_FPS))
    assert music.mel.shape == (frames, MEL_BANDS)
    assert music.mel.dtype == music.onset.dtype == np.float32
    assert music.mel.mean() == pytest.approx(0.0, abs=1e-3)
    assert music.mel.std() == pytest.approx(1.0, abs=1e-3)
    assert music.onset.shape == (frames,)
    assert np.percentile(music.onset, 95) == pytest.approx(1.0, abs=1e-4)
    assert 0.0 <= music.onset.min() <= music.onset.max() <= 2.0


@pytest.mark.parametrize("seconds", [1.0, 1.01, 1.5, 2.0])
def test_the_shortest_songs(song_file: Path, seconds: float) -> None:
    music = analyse(song_file, duration=seconds)
    assert len(music.mel) == len(music.onset) == int(np.ceil(music.duration * FEATURE_FPS - 1e-9))
    assert np.isfinite(music.mel).all()
    assert len(music.beats) >= 1
    assert np.isfinite(music.bar_phase(np.linspace(0, seconds, 50))).all()


def test_onsets_are_where_the_sound_begins(tmp_path: Path) -> None:
    music = analyse(encode(tmp_path / "clicks.wav", clicks(8, 44100), 44100, "pcm_s16le"))
    np.testing.assert_array_less(0.9, music.onset[FEATURE_FPS::FEATURE_FPS])
    np.testing.assert_array_less(music.onset[FEATURE_FPS // 2 :: FEATURE_FPS], 0.1)


def test_the_same_song_sounds_the_same(song_file: Path, music: Music) -> None:
    again = analyse(song_file)
    for name in ("beats", "downbeats", "mel", "onset"):
        np.testing.assert_array_equal(getattr(again, name), getattr(music, name))


@pytest.mark.parametrize("level", [0.5, 0.1, 0.02])
def test_level_does_not_matter(tmp_path: Path, song: SynthSong, music: Music, level: float) -> None:
    write_wav(tmp_path / "soft.wav", SynthSong(song.samples * level, song.rate, song.beats, song.downbeats))
    soft = analyse(tmp_path / "soft.wav")
    np.testing.assert_allclose(soft.beats, music.beats, atol=0.001)
    np.testing.assert_allclose(soft.downbeats, music.downbeats, atol=0.001)
    np.testing.assert_allclose(soft.onset, music.onset, atol=0.02)


def test_progress_rises_to_the_end(song_file: Path) -> None:
    told: list[tuple[float, str]] = []
    analyse(song_file, progress=lambda fraction, text: told.append((fraction, text)))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert 0.0 <= fractions[0] <= 0.4
    assert fractions[-1] > 0.9
    assert all(text for _, text in told)


def test_cancelling_ends_the_work(song_file: Path) -> None:
    def stop(fraction: float, text: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        analyse(song_file, progress=stop)


def test_a_part_of_the_progress() -> None:
    told: list[float] = []
    half = part(lambda fraction, _: told.append(fraction), 0.5, 0.75)
    for fraction in (-1.0, 0.0, 0.5, 1.0, 2.0):
        half(fraction, "")
    assert told == [0.5, 0.5, 0.625, 0.75, 0.75]
    part(None, 0.0, 1.0)(0.5, "told to nobody")


def made_music(beats: np.ndarray, first: int, meter: int) -> Music:
    frames = int(beats[-1] * FEATURE_FPS) + 1
    mel = np.tile(np.arange(frames, dtype=np.float32)[:, None], (1, MEL_BANDS))
    tempo = 60.0 / float(np.median(np.diff(beats)))
    return Music(frames / FEATURE_FPS, tempo, meter, beats, beats[first::meter], mel, mel[:, 0] / frames)


rhythms = st.builds(
    lambda start, periods, first, meter: made_music(start + np.cumsum([0.0, *periods]), first % meter, meter),
    st.floats(0.0, 2.0),
    st.lists(st.floats(0.3, 1.2), min_size=8, max_size=40),
    st.integers(0, 3),
    st.sampled_from([3, 4]),
)


@given(rhythms, st.floats(-20.0, 60.0))
def test_phases_are_parts_of_a_turn(music: Music, time: float) -> None:
    for phase in (music.beat_phase(time), music.bar_phase(time)):
        assert 0.0 <= phase < 1.0


@given(rhythms)
def test_phases_are_zero_on_beats_and_half_between(music: Music) -> None:
    turn = np.minimum(music.beat_phase(music.beats), 1.0 - music.beat_phase(music.beats))
    np.testing.assert_allclose(turn, 0.0, atol=1e-6)
    middles = (music.beats[1:] + music.beats[:-1]) / 2
    np.testing.assert_allclose(music.beat_phase(middles), 0.5, atol=1e-6)
    turn = np.minimum(music.bar_phase(music.downbeats), 1.0 - music.bar_phase(music.downbeats))
    np.testing.assert_allclose(turn, 0.0, atol=1e-6)


@given(rhythms)
def test_phases_run_evenly_before_and_after_the_beats(music: Music) -> None:
    first, last = music.beats[1] - music.beats[0], music.beats[-1] - music.beats[-2]
    assert music.beat_phase(music.beats[0] - 0.25 * first) == pytest.approx(0.75)
    assert music.beat_phase(music.beats[-1] + 3.25 * last) == pytest.approx(0.25)


@settings(max_examples=50)
@given(rhythms, rhythms)
def test_a_retimed_song_keeps_the_dancers_time(song: Music, dancer: Music) -> None:
    retimed = song.retimed(dancer.beats, dancer.downbeats)
    np.testing.assert_array_equal(retimed.beats, dancer.beats[: len(retimed.beats)])
    assert len(retimed.mel) == len(retimed.onset) == round(retimed.duration * FEATURE_FPS)
    # The mel of a made song is its frame number: read at dancer's beats, it must give the song's beats.
    inner = retimed.beats[1:-1]
    inner = inner[inner > dancer.beats[0]]
    heard = np.interp(inner * FEATURE_FPS, np.arange(len(retimed.mel)), retimed.mel[:, 0]) / FEATURE_FPS
    distance = np.abs(heard[:, None] - song.beats).min(axis=1) if len(inner) else np.zeros(1)
    # A frame of the dance may span several frames of a song played faster.
    assert distance.max() < 4.5 / FEATURE_FPS


@pytest.fixture
def mix() -> Music:
    """Eight beats in four, then nine in three, faster; of both, the second beat is the first downbeat."""
    beats = np.concatenate([0.5 * np.arange(8), 4.0 + 0.4 * np.arange(9)])
    marks = beats[[1, 5, 9, 12, 15]]
    songs = (Song(0.0, 120.0, 4), Song(4.0, 150.0, 3))
    return replace(made_music(beats, 0, 4), tempo=120.0, downbeats=marks, songs=songs)


def test_each_song_of_a_mix_is_counted_in_other_bars_by_itself(mix: Music) -> None:
    np.testing.assert_allclose(mix.in_bars_of(4).downbeats, mix.beats[[1, 5, 9, 13]])
    np.testing.assert_allclose(mix.in_bars_of(3).downbeats, mix.beats[[1, 4, 7, 9, 12, 15]])
    assert [song.meter for song in mix.in_bars_of(3).songs] == [3, 3]
    assert mix.in_bars_of(3).in_bars_of(3).meter == 3


def test_a_mix_tells_which_song_is_heard_when(mix: Music) -> None:
    np.testing.assert_array_equal(mix.song_at([-1.0, 0.0, 3.9, 4.0, 60.0]), [0, 0, 0, 1, 1])
    alone = replace(mix, songs=())
    np.testing.assert_array_equal(alone.song_at([-1.0, 60.0]), [0, 0])
    assert alone.each_song == (Song(0.0, 120.0, 4),)


def test_a_part_of_a_mix_has_the_songs_in_it(tmp_path: Path) -> None:
    songs = [synthesise(tempo, meter, duration=28, seed=meter) for tempo, meter in ((124, 4), (100, 3))]
    write_wav(tmp_path / "mix.wav", replace(songs[0], samples=np.concatenate([song.samples for song in songs])))
    whole = analyse(tmp_path / "mix.wav", start=5.0)
    assert [(song.meter, round(song.tempo)) for song in whole.songs] == [(4, 124), (3, 100)]
    assert whole.songs[1].start == pytest.approx(23.0, abs=1.0)
    assert (whole.meter, round(whole.tempo)) == (3, 100)  # of the longest
    second = analyse(tmp_path / "mix.wav", start=32.0, duration=12.0, context=40.0)
    assert (second.songs, second.meter, round(second.tempo)) == ((), 3, 100)
