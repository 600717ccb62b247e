"""A song's analysis in, a dance out: genre, length, beats, seed; and the dancers' own time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from stepsmith.backend.audio import FEATURE_FPS, MEL_BANDS, Music, Song
from stepsmith.backend.dance.condition import SOUND, condition
from stepsmith.backend.dance.controls import Controls
from stepsmith.backend.dance.generate import choose_genres, generate
from stepsmith.backend.dance.model import DanceModel, ModelConfig
from stepsmith.backend.dance.plan import plan_dance
from stepsmith.backend.dance.timing import arrivals, dancers_music
from stepsmith.backend.measures.anatomy import MARGIN, beyond_range
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import CONTACT_JOINTS

GENRES = ("cha-cha", "rumba", "tango", "waltz")


def music(tempo: float = 120.0, meter: int = 4, seconds: float = 6.0) -> Music:
    frames = int(np.ceil(seconds * FEATURE_FPS))
    beats = np.arange(0.1, seconds, 60.0 / tempo)
    mel = np.arange(frames, dtype=np.float32)[:, None] * np.ones(MEL_BANDS, np.float32) / FEATURE_FPS
    return Music(seconds, tempo, meter, beats, beats[::meter], mel, np.ones(frames, np.float32))


@pytest.fixture(scope="module")
def model() -> DanceModel:
    torch.manual_seed(0)
    made = DanceModel(ModelConfig(genres=GENRES, window=30, width=32, depth=1, heads=2))
    made.mean[8:] = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(24)
    made.mean[6], made.std[:] = 0.97, 0.1
    torch.nn.init.normal_(made.write.weight, std=0.1)
    return made.eval()


@pytest.mark.parametrize(
    ("tempo", "meter", "genre"),
    [(87, 3, "waltz"), (180, 3, "waltz"), (90, 4, "rumba"), (121, 4, "cha-cha"), (129, 4, "tango"), (160, 4, "tango")],
)
def test_the_genre_that_suits_metre_and_tempo_is_danced(tempo: float, meter: int, genre: str) -> None:
    assert choose_genres(music(tempo, meter), GENRES) == [(0.0, genre)]


def test_each_song_of_a_mix_has_its_dance(model: DanceModel) -> None:
    songs = (Song(0.0, 87.0, 3), Song(2.0, 120.0, 4), Song(3.0, 118.0, 4), Song(4.0, 128.0, 4))
    mix = replace(music(), songs=songs)
    assert choose_genres(mix, GENRES) == [(0.0, "waltz"), (2.0, "cha-cha"), (4.0, "tango")]
    assert choose_genres(mix, ("hip-hop",)) == [(0.0, "hip-hop")]
    meta = generate(mix, model=model).meta
    assert (meta["genre"], meta["genre_changes"]) == ("waltz", [[2.0, "cha-cha"], [4.0, "tango"]])
    # Whoever names a genre, changes it or wants a loop has one dance.
    assert "genre_changes" not in generate(mix, genre="tango", model=model).meta
    assert "genre_changes" not in generate(mix, controls=Controls(loop=True), model=model).meta
    asked = Controls(changes=((5.0, "rumba"),))
    assert generate(mix, controls=asked, model=model).meta["genre_changes"] == [[5.0, "rumba"]]


def test_the_model_is_told_the_tempo_of_each_song(model: DanceModel) -> None:
    mix = replace(music(), songs=(Song(0.0, 60.0, 4), Song(3.0, 120.0, 3)))
    tempo, waltz = condition(mix, np.array([1.0, 4.0]))[:, SOUND][:, -2:].T
    np.testing.assert_allclose(tempo, [-1.0, 0.0])
    np.testing.assert_allclose(waltz, [0.0, 1.0])
    # Danced is the metre in which a genre was learnt, and where none was noted that of each song.
    told = plan_dance(mix, "tango", Controls(), model).cues(0)[:, SOUND][:, -1]
    np.testing.assert_allclose(told[[30, 120]], [0.0, 1.0])


def test_genres_of_other_peoples_models_can_be_chosen_from() -> None:
    assert choose_genres(music(), ("hip-hop", "house")) == [(0.0, "hip-hop")]
    assert choose_genres(music(87, 3), ("hip-hop", "waltz")) == [(0.0, "waltz")]


def test_a_genre_is_told_bars_of_the_metre_in_which_it_was_learnt() -> None:
    config = ModelConfig(genres=("free", "rumba", "waltz"), meters=(0, 4, 3), window=30, width=32, depth=1, heads=2)
    model = DanceModel(config)
    song = music(meter=3)

    def bars(genre: str, changes: tuple[tuple[float, str], ...] = ()) -> tuple[np.ndarray, np.ndarray]:
        """Seconds of the frames at which a bar begins, and where the model is told of bars of three."""
        plan = plan_dance(song, genre, Controls(changes=changes), model)
        cues = plan.cues(0)
        phase = np.arctan2(cues[:, MEL_BANDS + 5], cues[:, MEL_BANDS + 6])
        begins = np.flatnonzero((phase[1:] >= 0) & (phase[:-1] < 0) & (np.abs(np.diff(phase)) < 3.0)) + 1
        return begins / 30.0, cues[:, MEL_BANDS + 8] == 1.0

    for genre, meter in (("free", 3), ("waltz", 3), ("rumba", 4)):
        begins, three = bars(genre)
        assert (three == (meter == 3)).all()
        assert np.diff(begins) == pytest.approx(0.5 * meter, abs=0.04)
        assert begins[0] == pytest.approx(song.downbeats[0], abs=0.04)
    _, three = bars("waltz", ((3.0, "rumba"),))
    assert three[:90].all()
    assert not three[91:].any()


def test_beats_are_counted_in_other_bars() -> None:
    song = music(meter=4)
    assert song.in_bars_of(4) is song
    late = replace(song, downbeats=song.beats[2::4])
    waltz = late.in_bars_of(3)
    assert waltz.meter == 3
    np.testing.assert_array_equal(waltz.downbeats, song.beats[2::3])
    np.testing.assert_array_equal(replace(song, downbeats=song.beats[5::4]).in_bars_of(3).downbeats, song.beats[2::3])
    silent = replace(song, beats=np.zeros(0), downbeats=np.zeros(0))
    assert len(silent.in_bars_of(3).downbeats) == 0


def test_a_dance_lasts_as_long_as_its_music_and_knows_its_beats(model: DanceModel) -> None:
    song = music()
    motion = generate(song, genre="rumba", seed=5, model=model)
    assert len(motion) == 180
    assert motion.fps == 30.0
    np.testing.assert_array_equal(motion.beats, song.beats)
    np.testing.assert_array_equal(motion.downbeats, song.downbeats)
    assert motion.meta["genre"] == "rumba"
    assert motion.meta["seed"] == 5


@pytest.mark.parametrize("loop", [False, True])
def test_no_joint_of_a_wild_dance_leaves_the_human_range(model: DanceModel, loop: bool) -> None:
    song, wild = music(), DanceModel(model.config)
    wild.load_state_dict(model.state_dict())
    wild.std[:] = 0.25
    motion = generate(song, genre="rumba", model=wild.eval(), controls=Controls(loop=loop))
    assert beyond_range(motion.rotations).max() < MARGIN + 0.01
    assert (beyond_range(motion.rotations) > MARGIN - 1.0).mean() > 0.2, "it would"
    assert motion.positions()[:, CONTACT_JOINTS, 2].min() > -0.02


def test_the_same_seed_gives_the_same_dance(model: DanceModel) -> None:
    one, same, other = (generate(music(), seed=seed, model=model) for seed in (1, 1, 2))
    assert np.array_equal(one.rotations, same.rotations)
    assert np.array_equal(one.root, same.root)
    assert not np.array_equal(one.rotations, other.rotations)


def test_an_unknown_genre_is_named_with_those_known(model: DanceModel) -> None:
    with pytest.raises(StepsmithError, match=r"polka.*waltz"):
        generate(music(), genre="polka", model=model)


def test_progress_rises_to_the_end(model: DanceModel) -> None:
    seen: list[float] = []
    generate(music(), model=model, progress=lambda fraction, _: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def swinging(period: float, seconds: float, fps: float = 60.0) -> Motion:
    """A body whose arms swing and come to rest every ``period`` seconds."""
    times = np.arange(round(seconds * fps)) / fps
    swing = np.cos(np.pi * times / period)
    angles = np.zeros((len(times), 24, 3))
    angles[:, [16, 17], 0] = 0.8 * swing[:, None]
    root = np.tile([0.0, 0.0, 0.98], (len(times), 1))
    return Motion(fps, root, rot.from_axis_angle(angles), np.zeros((len(times), 4)))


@pytest.mark.parametrize("period", [0.45, 0.5, 0.66])
def test_beats_are_where_the_dancer_arrives(period: float) -> None:
    # asked for a tempo that is a little off, the beats still follow the body
    beats = arrivals(swinging(period, 12.0), 60.0 / period * 1.04)
    inner = beats[(beats > 1) & (beats < 11)]
    np.testing.assert_allclose(inner, np.round(inner / period) * period, atol=0.03)
    np.testing.assert_allclose(np.diff(inner), period, atol=0.04)


def test_the_song_is_played_in_the_dancers_time() -> None:
    motion = swinging(0.5, 12.0)
    clock = np.arange(0.5, 12.0, 0.5)
    heard = dancers_music(music(100.0, seconds=12.0), motion, clock, clock[::4], 4)
    assert heard.duration == motion.duration
    assert heard.tempo == pytest.approx(120.0)
    assert len(heard.mel) == len(heard.onset) == round(12.0 * FEATURE_FPS)
    # 12 s of a song of 100 beats a minute, less its lead, last under 10 s at 120; then only the beats are known
    assert heard.onset[30:200].min() > 0
    assert not heard.mel[300:].any()
    assert not heard.onset[300:].any()
    # a second of the dance plays 1.2 s of the song
    assert heard.mel[90, 0] - heard.mel[60, 0] == pytest.approx(1.2, abs=0.1)
    without = dancers_music(None, motion, clock, clock[::4], 4)
    assert not without.mel.any()
    np.testing.assert_array_equal(without.beats, heard.beats)


def test_music_is_left_as_it_was(model: DanceModel) -> None:
    song = music()
    kept = replace(song, mel=song.mel.copy())
    generate(song, model=model)
    np.testing.assert_array_equal(song.mel, kept.mel)
