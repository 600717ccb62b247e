"""A dance handed out while it is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stepsmith.backend.audio import FEATURE_FPS, MEL_BANDS, Music, Song
from stepsmith.backend.choreography import Choreographer, Wish
from stepsmith.backend.dance.controls import Controls, Keep
from stepsmith.backend.dance.model import DanceModel, ModelConfig
from stepsmith.backend.dance.stream import generate_stream
from stepsmith.backend.dance.weights import load_model
from stepsmith.backend.progress import Cancelled
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.motion import Motion, concatenate


def music(seconds: float, tempo: float = 120.0) -> Music:
    frames = int(np.ceil(seconds * FEATURE_FPS))
    beats = np.arange(0.1, seconds, 60.0 / tempo)
    mel = np.random.default_rng(0).normal(size=(frames, MEL_BANDS)).astype(np.float32)
    return Music(seconds, tempo, 4, beats, beats[::4], mel, np.ones(frames, np.float32))


@pytest.fixture(scope="module")
def model() -> DanceModel:
    torch.manual_seed(0)
    made = DanceModel(ModelConfig(genres=("rumba", "waltz"), window=60, width=32, depth=1, heads=2))
    made.mean[8:] = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(24)
    made.mean[6], made.std[:] = 0.97, 0.1
    torch.nn.init.normal_(made.write.weight, std=0.1)
    return made.eval()


@pytest.mark.parametrize("seconds", [2.0, 5.0, 6.0, 8.0, 12.0, 23.0, 40.5])
def test_the_parts_are_the_whole_dance_with_its_beats(model: DanceModel, seconds: float) -> None:
    song = music(seconds)
    parts = list(generate_stream([song], genre="waltz", seed=3, model=model))
    dance = concatenate(parts)
    assert len(dance) == round(seconds * 30)
    assert dance.beats is not None
    np.testing.assert_allclose(dance.beats, song.beats)
    assert dance.downbeats is not None
    np.testing.assert_allclose(dance.downbeats, song.downbeats)
    assert (dance.meta["genre"], dance.meta["seed"]) == ("waltz", 3)
    if seconds > 8.0:
        assert len(parts[0]) == 150
    assert max(map(len, parts)) <= 450 + 75


def test_the_same_seed_gives_the_same_parts(model: DanceModel) -> None:
    one, same, other = (concatenate(list(generate_stream([music(14.0)], seed=s, model=model))) for s in (1, 1, 2))
    assert np.array_equal(one.rotations, same.rotations)
    assert not np.array_equal(one.rotations, other.rotations)


def test_the_song_is_listened_to_as_far_as_the_dance_needs(model: DanceModel) -> None:
    asked: list[float] = []

    def longer() -> Iterator[Music]:
        for seconds, tempo in ((12.0, 120.0), (40.0, 100.0), (50.0, 90.0)):
            asked.append(seconds)
            yield music(seconds, tempo)

    parts, listened = [], []
    for part in generate_stream(longer(), model=model, controls=Controls(changes=((20.0, "rumba"), (99.0, "waltz")))):
        parts.append(part)
        listened.append(len(asked))
    assert [len(part) for part in parts] == [150, 450, 450, 450]
    assert listened == [1, 2, 2, 3]
    assert [part.meta["tempo"] for part in parts] == [120.0, 100.0, 100.0, 90.0]


def test_the_genre_chosen_first_is_danced_to_the_end(model: DanceModel) -> None:
    waltz = replace(music(30.0, tempo=87.0), meter=3)
    parts = list(generate_stream([music(12.0, tempo=104.0), waltz], model=model))
    assert [part.meta["tempo"] for part in parts] == [104.0, 87.0, 87.0]
    assert {part.meta["genre"] for part in parts} == {"rumba"}


def test_each_song_of_a_mix_has_its_dance(model: DanceModel) -> None:
    songs = [Song(0.0, 87.0, 3), Song(18.0, 104.0, 4), Song(22.0, 86.0, 3), Song(33.0, 104.0, 4)]
    hearings = [replace(music(12.0), songs=(songs[0],)), replace(music(23.0), songs=(Song(0.0, 128.0, 4),))]
    hearings.append(replace(music(40.0), songs=tuple(songs)))
    meta = list(generate_stream(hearings, model=model))[-1].meta
    assert meta["genre"] == "waltz"
    # The second song was told apart when 20 s were danced.
    assert meta["genre_changes"] == [[20.0, "rumba"], [22.0, "waltz"], [33.0, "rumba"]]
    # Whoever names a genre or changes it has one dance.
    assert "genre_changes" not in list(generate_stream(hearings, genre="waltz", model=model))[-1].meta


def test_progress_rises_to_the_end_and_can_stop_the_work(model: DanceModel) -> None:
    seen: list[float] = []
    songs = [music(12.0), music(30.0)]
    list(generate_stream(songs, model=model, progress=lambda fraction, _: seen.append(fraction)))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    def stop(fraction: float, text: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        next(generate_stream(songs, model=model, progress=stop))


def test_parts_meet_as_smoothly_as_frames_within_them() -> None:
    dance = concatenate(list(generate_stream([music(12.0)], genre="tango", seed=1, model=load_model())))
    moving = np.linalg.norm(np.diff(dance.positions(), n=2, axis=0), axis=-1) * 900
    assert np.mean(moving[146:152] > np.percentile(moving, 99)) <= 0.03
    assert np.linalg.norm(dance.root[150] - dance.root[149]) < 0.07


def test_a_streamed_dance_stays_in_its_circle_and_can_be_mirrored(model: DanceModel) -> None:
    def streamed(mirror: bool) -> Motion:
        wishes = Controls(radius=0.5, mirror=mirror)
        return concatenate(list(generate_stream([music(26.0)], seed=1, model=model, controls=wishes)))

    plain, mirrored = streamed(False), streamed(True)
    assert np.linalg.norm(plain.root[:, :2], axis=1).max() < 0.5
    np.testing.assert_allclose(mirrored.positions(), plain.mirror().positions(), atol=1e-3)


def test_what_needs_the_whole_dance_is_refused(model: DanceModel) -> None:
    pose = next(generate_stream([music(2.0)], model=model)).slice(0, 1)
    for controls in (Controls(loop=True), Controls(candidates=2), Controls(keep=(Keep(pose),))):
        with pytest.raises(StepsmithError, match="while it is made"):
            next(generate_stream([music(8.0)], controls=controls, model=model))


@pytest.mark.parametrize("duration", [None, 3.0])
def test_a_song_file_is_streamed(small_model: Path, song: Path, duration: float | None) -> None:
    parts = list(Choreographer(small_model).stream(Wish(song, genre="tango", seed=2, start=1.0, duration=duration)))
    dance = concatenate(parts)
    assert len(dance) == round((duration or 5.0) * 30)
    assert {"song": "song.wav", "song_start": 1.0, "genre": "tango"}.items() <= dance.meta.items()
