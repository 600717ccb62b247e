"""The stages of making a data set: which videos, sound on their clock, the same song, the same dance, the split."""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.backend.audio import AudioError, Sound, spectrum
from stepsmith.backend.audio.decode import RATE
from stepsmith.backend.dance.sources import SPLITS, load_dances
from stepsmith.backend.dataset import clips, dances, film, quality, songs
from stepsmith.backend.dataset.build import slug
from stepsmith.backend.dataset.split import earlier_splits, groups, split_songs
from stepsmith.backend.dataset.videos import find_videos, read_genres
from stepsmith.backend.pose import sound as sound_of_videos
from stepsmith.backend.pose.sound import VideoSound, read_sound
from stepsmith.backend.pose.video import read
from stepsmith.backend.progress import silent
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.motion import Motion

sys.path.insert(0, str(Path(__file__).parent / "work"))

from dance_videos import RATE as FILMED_RATE
from dance_videos import dance, hear, jumping, music, shaken

DATA = Path(__file__).parents[3] / "shared" / "data"


# --- sound ---------------------------------------------------------------------------------------------------


def clicking(
    path: Path, *pieces: tuple[float, float], seconds: float = 12.0, codec: str = "pcm_s16le", starts: int = 0
) -> Path:
    """A video with a click at every full second of its own clock, its sound in ``pieces`` (begin and end, seconds).

    ``starts``: the second at which its pictures begin.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 32, "yuv420p"
        sound = container.add_stream(codec, rate=FILMED_RATE)
        sound.layout = "mono"
        for number in range(round(seconds * 10)):
            frame = av.VideoFrame.from_ndarray(np.full((32, 64, 3), number % 200, np.uint8), format="rgb24")
            frame.pts = number + 10 * starts
            container.mux(video.encode(frame))
        container.mux(video.encode())
        size = sound.codec_context.frame_size or 1024
        for begin, end in pieces:
            at = np.arange(round(begin * FILMED_RATE), round(end * FILMED_RATE))
            samples = np.where(at % FILMED_RATE < 30, 0.9, 0.0).astype(np.float32)
            for first in range(0, len(samples), size):
                frame = av.AudioFrame.from_ndarray(samples[None, first : first + size], format="fltp", layout="mono")
                frame.sample_rate, frame.time_base = FILMED_RATE, Fraction(1, FILMED_RATE)
                frame.pts = int(at[0]) + first
                (whole,) = av.AudioResampler(sound.codec_context.format.name).resample(frame)
                container.mux(sound.encode(whole))
        container.mux(sound.encode())
    return path


def clicks(samples: np.ndarray) -> np.ndarray:
    """Seconds at which clicks begin."""
    loud = np.flatnonzero(np.abs(samples) > 0.3)
    return loud[np.flatnonzero(np.diff(loud, prepend=-1000) > 500)] / RATE


@pytest.mark.parametrize(
    ("name", "codec"),
    [("c.mkv", "pcm_s16le"), ("c.avi", "pcm_s16le"), ("c.mp4", "aac"), ("c.ts", "aac"), ("c.mkv", "libmp3lame")],
)
def test_sound_is_on_the_pictures_clock(tmp_path: Path, name: str, codec: str) -> None:
    sound = read_sound(clicking(tmp_path / name, (0.0, 12.0), codec=codec))
    assert clicks(sound.cut(2.5, 3 * RATE)) == pytest.approx([0.5, 1.5, 2.5], abs=1e-3)


def test_sound_that_begins_late_is_not_moved_to_the_start(tmp_path: Path) -> None:
    sound = read_sound(clicking(tmp_path / "late.mkv", (1.4, 12.0)))
    assert sound.spans[0][0] == pytest.approx(1.4, abs=0.003)
    assert clicks(sound.cut(1.5, 3 * RATE)) == pytest.approx([0.5, 1.5, 2.5], abs=3e-3)


def test_sound_with_a_gap_stays_in_time_after_it(tmp_path: Path) -> None:
    sound = read_sound(clicking(tmp_path / "gap.mkv", (0.0, 4.2), (5.7, 12.0)))
    assert [pytest.approx(span, abs=0.06) for span in [(0.0, 4.2), (5.7, 12.0)]] == sound.spans
    assert clicks(sound.cut(6.5, 3 * RATE)) == pytest.approx([0.5, 1.5, 2.5], abs=3e-3)
    moving = dance(0, 12.0)
    made, left = clips.cut([(0.0, moving)], sound, 4.0)
    assert [clip.start for clip in made] == pytest.approx([0.0, sound.spans[1][0]], abs=0.04)
    for clip in made:
        assert len(clip.samples) == len(clip.motion) * RATE / clips.FPS
        seconds = clip.start + clicks(clip.samples)
        assert seconds == pytest.approx(np.round(seconds), abs=4e-3)
        np.testing.assert_array_equal(clip.motion.root, moving.slice(round(clip.start * 30), None).root[:120])
    assert any(one.reason == "there is no sound" for one in left)


@pytest.mark.parametrize("starts", [1, 300])
def test_sound_of_joined_recordings_goes_on_as_their_pictures_do(tmp_path: Path, starts: int) -> None:
    parts = [
        clicking(tmp_path / "first.ts", (1.0, 12.8), codec="aac", starts=1),
        clicking(tmp_path / "later.ts", (float(starts), starts + 12.0), codec="aac", starts=starts),
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    sound = read_sound(joined)
    times = np.array([frame.time for frame in read(joined)])
    np.testing.assert_allclose(times, times[0] + np.arange(240) / 10, atol=2e-3)
    for second in (2.5, 13.5, 20.5):
        assert clicks(sound.cut(times[0] + second, 3 * RATE)) == pytest.approx([0.5, 1.5, 2.5], abs=3e-3)
    for (_, end), (start, _) in itertools.pairwise(sound.spans):
        assert end <= start


def test_a_stamp_of_a_frame_that_was_lost_with_a_gap_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """MPEG audio after a gap in a transport stream: the first frame has the stamp of the one before it."""
    frame = 1152 / 44100
    before, after = np.arange(100) * frame, 5.0 + np.arange(100) * frame
    after[0] -= frame
    monkeypatch.setattr(sound_of_videos, "_frames", lambda video: ((t, frame) for t in (*before, *(after + frame))))
    monkeypatch.setattr(sound_of_videos, "clock_breaks", lambda video: [])
    places = sound_of_videos.sound_places(Path("cut.ts"))
    np.testing.assert_allclose(places, [[0.0, 0.0], [5.0 + frame, 100 * frame]], atol=1e-9)


def test_videos_without_sound_say_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 32, "yuv420p"
        container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 64, 3), np.uint8), format="rgb24")))
        container.mux(video.encode())
    with pytest.raises(AudioError, match="holds no sound"):
        read_sound(tmp_path / "mute.mp4")


@settings(max_examples=60, deadline=None)
@given(
    begins=st.floats(0.0, 30.0),
    frames=st.integers(1, 900),
    spans=st.lists(st.tuples(st.floats(0.1, 9.0), st.floats(0.1, 9.0)), min_size=1, max_size=4),
    length=st.sampled_from([5.0, 10.0, 15.0, None]),
)
def test_clips_never_overlap_and_are_as_long_as_their_sound(
    begins: float, frames: int, spans: list[tuple[float, float]], length: float | None
) -> None:
    places, clock, heard = [], 0.0, 0.0
    for gap, seconds in spans:
        places.append((clock + gap, heard))
        clock, heard = clock + gap + seconds, heard + seconds
    ramp = np.arange(round(heard * RATE), dtype=np.float32)
    sound = VideoSound(Sound(ramp, RATE), np.array(places))
    still = np.tile([1.0, 0.0, 0.0, 0.0], (frames, 24, 1))
    motion = Motion(30.0, np.zeros((frames, 3)), still, np.zeros((frames, 4)))
    made, left = clips.cut([(begins, motion)], sound, length)
    for clip in made:
        assert len(clip.samples) * clips.FPS == len(clip.motion) * RATE
        assert length is None or len(clip.motion) == length * clips.FPS
        end = clip.start + clip.motion.duration
        assert any(a - 0.002 <= clip.start and end <= b + 2.01 / 30 for a, b in sound.spans)
    pieces = sorted([(c.start, c.start + c.motion.duration) for c in made] + [(one.start, one.end) for one in left])
    assert sum(b - a for a, b in pieces) == pytest.approx(frames / 30.0, abs=0.01 + 2 / 30 * len(made))
    assert all(first[1] <= second[0] + 2.01 / 30 for first, second in itertools.pairwise(pieces))


def test_ten_seconds_are_two_clips_of_five_though_the_last_picture_ends_them() -> None:
    sound = VideoSound(Sound(np.zeros(10 * RATE, np.float32), RATE), np.zeros((1, 2)))
    made, left = clips.cut([(0.0, dance(0, 10.0).slice(0, 299))], sound, 5.0)
    assert [(clip.start, len(clip.motion)) for clip in made] == [(0.0, 150), (pytest.approx(149 / 30), 150)]
    assert left == []


@pytest.mark.parametrize(
    ("kind", "share"),
    [("nobody", 0.4), ("unclear", 0.4), ("cut", 0.0), ("dark", 0.0), ("onlookers", 0.0), ("away", 0.0)],
)
def test_a_clip_knows_for_how_long_the_dancer_is_seen_badly(kind: str, share: float) -> None:
    """Darkness alone is no reason to leave a clip out: how sure the detector is tells."""
    clip = clips.Clip(2.0, dance(0, 5.0), np.zeros(5 * RATE, np.float32), RATE)
    shown = film.Shown([], [(kind, 5.0, 5.0 if kind == "cut" else 9.0, "It is so.")])
    assert film.badly_seen(clip, shown) == pytest.approx(share, abs=0.01)


def test_others_end_a_stretch_but_not_those_who_pass_by() -> None:
    moving = dance(0, 10.0)
    passing, dancing = ("people", 2.0, 3.0, "There are 2 people."), ("people", 5.0, 7.0, "There are 3 people.")
    onlooking = ("onlookers", 1.0, 5.0, "There are 2 people.")
    parts, left = film.alone(film.Shown([(1.0, moving)], [passing, onlooking, dancing]))
    assert [(start, start + motion.duration) for start, motion in parts] == [
        (1.0, pytest.approx(5.0, abs=0.04)),
        (pytest.approx(7.0, abs=0.04), 11.0),
    ]
    assert [one.reason for one in left] == ["several people are seen"]
    np.testing.assert_array_equal(parts[1][1].root, moving.root[-len(parts[1][1]) :])


def test_single_bad_frames_are_bridged_and_all_else_stays() -> None:
    moving = dance(0, 10.0)
    ((begins, motion),), left = film.steady([(1.0, jumping(moving, slice(150, 151)))])
    assert (begins, left) == (1.0, [])
    np.testing.assert_allclose(motion.positions(), moving.positions(), atol=0.02)
    np.testing.assert_array_equal(motion.contacts, moving.contacts)


def test_a_stretch_ends_where_the_body_jumps_for_longer() -> None:
    moving = dance(0, 10.0)
    parts, left = film.steady([(1.0, jumping(moving, slice(150, 165)))])
    spans = [(begins, begins + motion.duration) for begins, motion in parts]
    gone = [(one.start, one.end) for one in left]
    times = [moment for span in sorted([*spans, *gone]) for moment in span]
    assert times[0] == 1.0
    assert times[-1] == 11.0
    assert times[1:-1:2] == pytest.approx(times[2::2])
    assert {one.reason for one in left} == {"the body jumps"}
    assert sum(b - a for a, b in gone) < 0.5
    for (begins, _), (_, motion) in zip(spans, parts, strict=True):
        first = round((begins - 1.0) * 30)
        np.testing.assert_allclose(motion.rotations, moving.rotations[first : first + len(motion)], atol=1e-3)


def test_what_jumps_all_the_time_is_measured_as_it_is() -> None:
    motion = shaken(dance(0, 8.0), 30.0)
    assert film.steady([(1.0, motion)]) == ([(1.0, motion)], [])


def test_ten_seconds_are_a_clip_of_ten() -> None:
    sound = VideoSound(Sound(np.ones(20 * RATE, np.float32), RATE), np.array([[0.0, 0.0], [12.0, 10.0]]))
    motion = dance(0, 10.0)
    (made,), left = clips.cut([(0.0, motion.slice(0, 298))], sound, 10.0)
    assert (len(made.motion), len(made.samples), left) == (300, 10 * RATE, [])
    np.testing.assert_array_equal(made.motion.rotations[297:], motion.rotations[[297, 297, 297]])
    (late,), _ = clips.cut([(0.06, motion)], sound, 10.0)
    assert late.samples[: round(9.94 * RATE)].all()
    assert not late.samples[round(9.94 * RATE) :].any()
    made_of_less, left = clips.cut([(0.0, motion.slice(0, 297))], sound, 10.0)
    assert made_of_less == []
    assert "9.90 s" in left[0].reason


# --- the same song -------------------------------------------------------------------------------------------


def heard(samples: np.ndarray) -> songs.Landmarks:
    return songs.landmarks(Sound(samples[::2].astype(np.float32), RATE))


def through_codec(tmp_path: Path, samples: np.ndarray) -> np.ndarray:
    """Samples encoded at 48 kbit/s and decoded again."""
    with av.open(str(tmp_path / "small.mp3"), "w") as container:
        stream = container.add_stream("libmp3lame", rate=FILMED_RATE)
        stream.layout, stream.bit_rate = "mono", 48_000
        hear(container, stream, samples)
    with av.open(str(tmp_path / "small.mp3")) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def test_a_song_is_known_again_and_when(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.05, 10 * FILMED_RATE)
    excerpt = music(1)[5 * FILMED_RATE : 15 * FILMED_RATE]
    prints = [heard(music(k)) for k in range(6)]
    prints += [heard(through_codec(tmp_path, 0.3 * excerpt)), heard(0.5 * excerpt + noise)]
    same = {(one.first, one.second): one for one in songs.same_songs(prints)}
    assert set(same) == {(1, 6), (1, 7), (6, 7)}
    assert same[1, 6].lag == pytest.approx(-5.0, abs=0.1)
    assert same[1, 7].lag == pytest.approx(-5.0, abs=0.1)


def test_long_sound_is_heard_piece_by_piece_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.tile(music(2), 4)[: 60 * FILMED_RATE]
    cut = heard(samples)
    monkeypatch.setattr(spectrum, "_BLOCK", 1 << 20)
    at_once = heard(samples)
    np.testing.assert_array_equal(cut.keys, at_once.keys)
    np.testing.assert_array_equal(cut.frames, at_once.frames)
    assert len(heard(samples[:1000]).keys) == 0


def test_silence_is_no_song() -> None:
    nothing = heard(np.zeros(5 * FILMED_RATE))
    assert songs.same_songs([nothing, nothing, heard(music(0))]) == []
    assert songs.same_songs([]) == []


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the recorded dances")
def test_of_real_songs_only_the_same_is_taken_for_the_same() -> None:
    from stepsmith.backend.audio import decode

    names = ["t1", "t9", "c1", "c7", "t6", "t8", "w26", "w8", "r4"]  # t1 and t9 share a song
    prints = [songs.landmarks(decode(DATA / "tang2018" / f"{name}.ogg", duration=60.0)) for name in names]
    assert {(one.first, one.second) for one in songs.same_songs(prints)} == {(0, 1)}


# --- the same dance ------------------------------------------------------------------------------------------


def unlike(*motions: Motion) -> list[dances.SameDance]:
    return dances.same_dances([dances.fingerprint(motion) for motion in motions])


def test_other_dances_are_no_duplicates() -> None:
    assert unlike(*(dance(seed, 8.0) for seed in range(12))) == []


@pytest.mark.parametrize("mirror", [False, True])
def test_a_dance_is_known_again_elsewhere_turned_trembling_and_cut(mirror: bool) -> None:
    motion = dance(3, 10.0)
    other = shaken(motion.slice(40, 280), 1.0).turn(2.0).shift([3.0, -1.0, 0.0])
    (same,) = unlike(dance(1, 8.0), motion, dance(2, 8.0), other.mirror() if mirror else other)
    assert (same.first, same.second, same.mirrored) == (1, 3, mirror)
    assert same.lag == pytest.approx(-40 / 30, abs=0.11)
    assert same.apart < dances.MOST_APART


def test_clips_of_other_frame_rates_are_compared() -> None:
    (same,) = unlike(dance(3, 8.0), dance(3, 8.0).resample(60.0))
    assert same.apart < 0.02


def test_standing_still_is_no_dance_of_its_own() -> None:
    def standing(seed: int) -> Motion:
        still = dance(0, 8.0)
        return shaken(replace(still, rotations=np.repeat(still.rotations[:1], len(still), axis=0)), 0.2 + 0.1 * seed)

    assert unlike(standing(0), standing(1)) == []


def test_dances_with_the_same_pause_in_them_are_no_duplicates() -> None:
    pause = dance(0, 8.0).rotations[:1]

    def pausing(motion: Motion) -> Motion:
        still = np.repeat(pause, 140, axis=0)
        rotations = np.concatenate([motion.rotations[:50], still, motion.rotations[190:]])
        return replace(motion, rotations=rotations)

    one, other = pausing(dance(1, 8.0)), pausing(dance(2, 8.0))
    (same,) = unlike(one, other, shaken(one, 1.0))
    assert (same.first, same.second) == (0, 2)


def test_in_step_to_the_same_song_less_is_asked() -> None:
    motion = dance(3, 8.0)
    offset = rot.from_axis_angle([0.0, 0.0, 0.22])
    rotations = np.array(motion.rotations)
    rotations[:, [16, 17]] = rot.multiply(offset, rotations[:, [16, 17]])
    prints = [dances.fingerprint(motion), dances.fingerprint(replace(motion, rotations=rotations))]
    assert dances.same_dances(prints) == []
    (same,) = dances.same_dances(prints, [(0, 1, 0.0)])
    assert dances.MOST_APART < same.apart < dances.MOST_APART_IN_STEP
    assert dances.same_dances(prints, [(0, 1, 3.0)]) == []


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the recorded dances")
def test_of_real_dances_none_is_taken_for_another() -> None:
    recorded = load_dances(DATA / "tang2018", "test", 30.0)
    assert unlike(*(one.motion.slice(300, 600) for one in recorded)) == []


# --- quality ------------------------------------------------------------------------------------------------


def test_scores_tell_what_is_wrong() -> None:
    motion = dance(0, 8.0)
    beats = np.arange(0.0, 8.0, 0.5)
    good = quality.measure(motion, beats, 0.9, 0.0)
    assert quality.reasons(good) == []
    sliding = replace(motion, root=motion.root + np.arange(len(motion))[:, None] * [0.05, 0.0, 0.0])
    flying = replace(motion, root=motion.root + np.sin(np.arange(len(motion)))[:, None] * [0.0, 0.0, 0.5])
    still = replace(motion, rotations=np.repeat(motion.rotations[:1], len(motion), axis=0))
    bent = np.array(motion.rotations)
    bent[:, 4] = rot.from_axis_angle([-2.0, 0.0, 0.0])
    for wrong, words in (
        (quality.measure(shaken(motion, 15.0), beats, 0.9, 0.0), "tremble"),
        (quality.measure(sliding, beats, 0.9, 0.0), "slide"),
        (quality.measure(flying, beats, 0.9, 0.0), "jumps|stands"),
        (quality.measure(still, beats, 0.9, 0.0), "nobody dances"),
        (quality.measure(replace(motion, rotations=bent), beats, 0.9, 0.0), "beyond human range"),
        (quality.measure(motion, beats, 0.3, 0.0), "sure of 30 %"),
        (quality.measure(motion, beats, None, 0.6), "not seen well in 60 %"),
    ):
        said = quality.reasons(wrong)
        assert any(word in reason for reason in said for word in words.split("|")), (words, said)
        assert quality.quality(wrong) < quality.quality(good)
    assert quality.reasons(good, least_alignment=1.0)


# --- the split ----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=0, max_size=60, unique=True))
def test_every_split_has_songs_and_the_order_means_nothing(names: list[str]) -> None:
    splits = split_songs(dict.fromkeys(names, 1.0))
    assert splits == split_songs(dict.fromkeys(reversed(names), 1.0))
    assert set(splits) == set(names)
    assert set(splits.values()) == (set(SPLITS) if len(names) >= 3 else {"train"} if names else set())


def test_many_songs_are_split_in_eighty_ten_and_ten() -> None:
    splits = split_songs({str(number): 1.0 for number in range(3000)})
    shares = {split: list(splits.values()).count(split) / 3000 for split in SPLITS}
    assert shares == pytest.approx({"train": 0.8, "val": 0.1, "test": 0.1}, abs=0.02)
    more = split_songs({str(number): 1.0 for number in range(4000)})
    assert all(more[song] == split for song, split in splits.items())


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40))
def test_groups_hold_together(count: int, pairs: list[tuple[int, int]]) -> None:
    pairs = [(a % count, b % count) for a, b in pairs]
    found = groups(range(count), pairs)
    assert all(found[a] == found[b] for a, b in pairs)
    assert all(found[found[member]] == found[member] <= member for member in range(count))


def test_a_song_stays_in_its_split_when_another_video_of_it_comes() -> None:
    def content(*of: object) -> str:
        return hashlib.blake2b(repr(of).encode(), digest_size=16).hexdigest()

    videos = sorted(content(number) for number in range(100))
    first = split_songs(dict.fromkeys(videos, 1.0))
    renamed = 0
    for video in videos:
        another = content(video)
        song_of = groups(sorted([*videos, another]), [(video, another)])
        later = split_songs(dict.fromkeys(song_of.values(), 1.0), earlier_splits(song_of, first))
        assert {known: later[song_of[known]] for known in videos} == first
        assert len(later) == len(videos)
        renamed += song_of[video] == another
    assert renamed > 20, "songs are called by another video"


@pytest.mark.parametrize("most", "abcdefghij")
def test_a_song_with_most_of_the_dance_is_for_training(most: str) -> None:
    seconds = dict.fromkeys("abcdefghij", 10.0)
    assert set(split_songs(seconds).values()) == set(SPLITS)
    splits = split_songs(seconds | {most: 91.0})
    assert splits[most] == "train"
    assert set(splits.values()) == set(SPLITS)


def test_two_songs_that_are_one_go_where_they_are_learnt() -> None:
    song_of = dict(zip("abcdefg", "aabbeef", strict=True))
    before = {"a": "test", "b": "train", "c": "val", "d": "test", "e": "test", "x": "train"}
    assert earlier_splits(song_of, before) == {"a": "train", "b": "val", "e": "test"}


def test_no_song_is_taken_out_of_its_split_to_fill_another() -> None:
    known = dict.fromkeys("abcdef", "train")
    assert split_songs(dict.fromkeys(known, 1.0), known) == known
    assert split_songs({"a": 9.0, "b": 1.0}, {"a": "test", "x": "val"}) == {"a": "test", "b": "train"}
    more = split_songs(dict.fromkeys("abcdefgh", 1.0), known)
    assert {song: more[song] for song in known} == known
    assert {more["g"], more["h"]} == {"val", "test"}


# --- videos -------------------------------------------------------------------------------------------------


def test_genres_come_from_names_folders_and_tables(tmp_path: Path) -> None:
    for name in ("plain.mp4", "Cha-Cha/1.MP4", "cha-cha /2.mov", "x/gBR_sBM_c01_d04_mBR2_ch08.mp4", "a/b/deep.mkv"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"x")
    (tmp_path / "genres.csv").write_text("name,genre\nplain.mp4,Jazz\n", encoding="utf-8-sig")
    found = find_videos(tmp_path / "in", tmp_path / "out", read_genres(tmp_path / "genres.csv"))
    assert {video.name: video.genre for video in found.videos} == {
        "plain.mp4": "jazz",
        "Cha-Cha/1.MP4": "cha-cha",
        "cha-cha /2.mov": "cha-cha",
        "x/gBR_sBM_c01_d04_mBR2_ch08.mp4": "break",
        "a/b/deep.mkv": "a",
    }
    for text in ("title\nx\n", "name,genre\n\xff".encode("latin-1")):
        (tmp_path / "genres.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(StepsmithError, match=r"genres\.csv"):
            read_genres(tmp_path / "genres.csv")


def test_videos_of_a_genre_come_before_their_copies_in_none(tmp_path: Path) -> None:
    for name in ("a.mp4", "tango/b.mp4", "tango/a.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [video.name for video in find_videos(tmp_path, tmp_path / "out").videos] == [
        "tango/a.mp4",
        "tango/b.mp4",
        "a.mp4",
    ]


def test_links_broken_names_and_odd_files_do_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "real").mkdir(parents=True)
    (folder / "real" / "a.mp4").write_bytes(b"x")
    os.symlink(folder, folder / "real" / "up")
    os.symlink(folder / "real", folder / "again")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "._a.mp4").write_bytes(b"x")
    bad = os.fsencode(folder) + b"/b\xff\x07.mp4"
    with open(bad, "wb") as file:
        file.write(b"x")
    (folder / "out").mkdir()
    (folder / "out" / "made.mp4").write_bytes(b"x")
    found = find_videos(folder, folder / "out")
    assert len(found.videos) == 2
    assert [name for name, _ in found.unreadable] == ["pipe.mp4"]
    for video in found.videos:
        assert video.name.encode("utf-8")
        assert video.name.isprintable()


@given(st.text(max_size=300))
def test_slugs_are_names_of_files_anywhere(text: str) -> None:
    name = slug(text)
    assert 1 <= len(name.encode("utf-8", "surrogatepass")) <= 120
    assert not set(name) & set('/\\:*?"<>|. \n\0')


# --- one video ----------------------------------------------------------------------------------------------


def test_a_video_that_vanishes_is_not_remembered_as_bad(tmp_path: Path) -> None:
    places = tmp_path / "captured", tmp_path / "clips"
    for place in places:
        place.mkdir()
    with pytest.raises(StepsmithError, match="There is no video"):
        film.make_clips(tmp_path / "gone.mp4", "0" * 32, film.Plan(5.0), places, silent)
    (tmp_path / "junk.mp4").write_bytes(b"junk " * 99)
    film.make_clips(tmp_path / "junk.mp4", "1" * 32, film.Plan(5.0), places, silent)
    (kept,) = places[1].iterdir()
    assert kept.name.startswith("1" * 32)
    assert "can't be read as a video" in (kept / "facts.json").read_text()


@pytest.mark.data
def test_the_pictures_and_the_sound_of_a_real_video_stay_together() -> None:
    video = DATA / "video" / "dancer.avi"
    if not video.is_file():
        pytest.skip("needs the video of a dancer")
    sound = read_sound(video)
    assert sound.spans == [(0.0, pytest.approx(62.9, abs=0.05))]
