"""Videos of every kind are read upright, in time, in little memory; what is no video is refused in one sentence."""

from __future__ import annotations

import subprocess
import sys
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from stepsmith.backend.audio.decode import decode
from stepsmith.backend.audio.synth import synthesise
from stepsmith.backend.pose.damage import Damage
from stepsmith.backend.pose.sound import read_sound
from stepsmith.backend.pose.video import DETAIL, Frame, Video, VideoError, read
from stepsmith.retarget.errors import StepsmithError

Image = np.ndarray


def picture(width: int, height: int, number: int = 0) -> Image:
    """Red in the upper left, green in the lower right quarter, a white line that moves."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (250, 20, 20)
    image[height // 2 :, width // 2 :] = (20, 250, 20)
    image[:, (3 * number) % width] = 255
    return image


def write(
    path: Path,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    frames: int = 10,
    times: Sequence[int] | None = None,
    sound: np.ndarray | None = None,
    turned: tuple[int, bool] = (0, False),
    aspect: Fraction | None = None,
    **options: str,
) -> Path:
    """A video of 25 frames a second; ``times``: milliseconds, ``sound`` (n,) at 22,050 Hz."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        if turned != (0, False):
            stream.set_display_rotation(turned[0], hflip=turned[1])
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        song: Any = container.add_stream("aac", rate=22050, layout="mono") if sound is not None else None
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(*size, number), format="rgb24").reformat(format=pixels)
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if song is not None and sound is not None:
            heard = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None], np.float32), "fltp", "mono")
            heard.sample_rate = 22050
            container.mux(song.encode(heard))
            container.mux(song.encode())
    return path


def colours(frame: Frame) -> list[str]:
    """The colours of the quarters: upper left, upper right, lower left, lower right."""
    height, width = frame.image.shape[:2]
    found = []
    for y in (height // 4, 3 * height // 4):
        for x in (width // 4, 3 * width // 4):
            r, g, _ = np.median(frame.image[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3), axis=0)
            found.append("red" if r > 200 > g else "green" if g > 200 > r else "black")
    return found


KINDS = [
    ("odd.mp4", "libx264", "yuv444p", (65, 49)),
    ("ten_bits.mkv", "libx264", "yuv422p10le", (64, 48)),
    ("full_range.avi", "mjpeg", "yuvj420p", (64, 48)),
    ("alpha.webm", "libvpx-vp9", "yuva420p", (64, 48)),
    ("alpha.mov", "qtrle", "argb", (64, 48)),
    ("old.mpg", "mpeg2video", "yuv420p", (64, 48)),
    ("colours.gif", "gif", "rgb8", (64, 48)),
    ("lossless.mkv", "ffv1", "bgr0", (64, 48)),
    ("large.mov", "prores_ks", "yuv422p10le", (1280, 720)),
]


@pytest.mark.parametrize(("name", "codec", "pixels", "size"), KINDS, ids=[kind[0] for kind in KINDS])
def test_reads_containers_codecs_and_pixels_of_every_kind(
    tmp_path: Path, name: str, codec: str, pixels: str, size: tuple[int, int]
) -> None:
    frames = list(read(write(tmp_path / name, codec, pixels, size)))
    assert len(frames) == 10
    assert [frame.time for frame in frames] == pytest.approx(np.arange(10) / 25, abs=1e-3)
    assert all(colours(frame) == ["red", "black", "black", "green"] for frame in frames)
    video = Video(tmp_path / name)
    assert len(list(video.frames())) == 10
    assert video.damage() == []
    video.close()
    assert max(frames[0].image.shape) <= DETAIL


@pytest.mark.parametrize("colours_of", [8, 10, 14])
def test_colours_of_an_unknown_kind_are_read_as_usual_ones(tmp_path: Path, colours_of: int) -> None:
    path = write(tmp_path / "colours.mkv", colorspace=str(colours_of))
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).colorspace == colours_of
    assert [colours(frame) for frame in read(path)] == [["red", "black", "black", "green"]] * 10


def test_a_codec_that_nobody_knows_is_refused_in_one_sentence(tmp_path: Path) -> None:
    data = write(tmp_path / "whole.avi", "mjpeg", "yuvj420p").read_bytes()
    (tmp_path / "unknown.avi").write_bytes(data.replace(b"MJPG", b"ABCD"))
    with pytest.raises(VideoError, match=r"No picture of “unknown\.avi” can be decoded"):
        Video(tmp_path / "unknown.avi")


def test_interlaced_pictures_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "field.mp4", x264opts="tff=1", flags="+ildct+ilme")
    assert [colours(frame)[0] for frame in read(path)] == ["red"] * 10


@pytest.mark.parametrize(
    ("turned", "expected"),
    [
        ((90, False), ["black", "green", "red", "black"]),
        ((180, False), ["green", "black", "black", "red"]),
        ((270, False), ["black", "red", "green", "black"]),
        ((0, True), ["black", "red", "green", "black"]),
        ((90, True), ["green", "black", "black", "red"]),
    ],
)
def test_pictures_are_set_upright(tmp_path: Path, turned: tuple[int, bool], expected: list[str]) -> None:
    """A telephone held upright films on its side, and says so."""
    path = write(tmp_path / "turned.mp4", size=(64, 32), turned=turned)
    first = next(read(path))
    assert colours(first) == expected
    size = (32, 64) if turned[0] in (90, 270) else (64, 32)
    assert first.image.shape[1::-1] == size
    video = Video(path)
    assert video.info.size == size
    video.close()


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    path = write(tmp_path / "wide.mkv", size=(64, 48), aspect=Fraction(4, 3))
    assert next(read(path)).image.shape == (48, 85, 3)


def test_frames_keep_their_own_times(tmp_path: Path) -> None:
    times = [0, 40, 50, 300, 310, 900, 940, 980, 2000, 2040]
    frames = list(read(write(tmp_path / "uneven.mkv", times=times)))
    assert [frame.time for frame in frames] == pytest.approx(np.array(times) / 1000, abs=1e-3)


def test_times_count_from_the_start_of_the_video(tmp_path: Path) -> None:
    """Recordings cut out of a stream begin at any time of the stream."""
    frames = list(read(write(tmp_path / "late.ts", "mpeg2video")))
    assert frames[0].time == pytest.approx(0.0, abs=0.05)
    frames = list(read(write(tmp_path / "late.mkv", times=range(5000, 5400, 40))))
    assert frames[0].time == pytest.approx(0.0, abs=0.05)


def test_a_video_says_what_it_is(tmp_path: Path) -> None:
    sound = synthesise(tempo=120, duration=2.0).samples.mean(axis=1)
    video = Video(write(tmp_path / "both.mp4", size=(128, 96), frames=50, sound=sound))
    info = video.info
    video.close()
    assert (info.size, info.fps) == ((128, 96), 25.0)
    assert info.duration == pytest.approx(2.0, abs=0.1)
    assert info.sound == pytest.approx(0.0, abs=0.1)
    silent = Video(write(tmp_path / "silent.mp4"))
    assert silent.info.sound is None
    silent.close()


def test_pictures_that_begin_after_the_sound_end_later_too(tmp_path: Path) -> None:
    sound = synthesise(tempo=120, duration=2.0).samples.mean(axis=1)
    video = Video(write(tmp_path / "late.mp4", frames=50, sound=sound, times=range(1000, 3000, 40)))
    times = [frame.time for frame in video.frames()]
    video.close()
    assert times[0] == pytest.approx(1.0, abs=0.1)
    assert video.info.end == pytest.approx(times[-1] + 0.04, abs=0.1)


def test_the_sound_of_a_video_is_read_by_the_same_way_as_a_song(tmp_path: Path) -> None:
    sound = synthesise(tempo=120, duration=2.0).samples.mean(axis=1)
    path = write(tmp_path / "both.mp4", frames=50, sound=sound)
    heard = decode(path).samples[: len(sound)]
    # The encoder puts 1,024 samples before it, a twentieth of a second.
    alike = [np.corrcoef(heard[late:], sound[: len(heard) - late])[0, 1] for late in (0, 1024)]
    assert max(alike) > 0.9


def test_a_stream_that_turns_up_late_ends_neither_sound_nor_pictures(tmp_path: Path) -> None:
    """By one wrong byte: the kind of the last picture's tag, after which FFmpeg knows of a stream of texts."""
    sound = synthesise(tempo=120, duration=2.0).samples.mean(axis=1)
    video = write(tmp_path / "texts.flv", codec="flv", frames=50, sound=sound)
    content, places, place = bytearray(video.read_bytes()), [], 13
    while place < len(content):
        places += [place] if content[place] == 9 else []
        place += 15 + int.from_bytes(content[place + 1 : place + 4], "big")
    before = decode(video).duration
    content[places[-1]] = 18
    video.write_bytes(content)
    assert decode(video).duration == before
    assert len(read_sound(video).spans) == 1
    assert len(list(read(video))) == 49


def test_what_is_left_of_a_damaged_video_is_read(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.avi", "mjpeg", "yuvj420p", size=(160, 120), frames=40)
    data = bytearray(whole.read_bytes())
    start, end = len(data) // 2, len(data) // 2 + 3000
    data[start:end] = bytes(end - start)
    (tmp_path / "holes.avi").write_bytes(data)
    frames = list(read(tmp_path / "holes.avi"))
    assert 15 <= len(frames) < 40
    assert colours(frames[0]) == ["red", "black", "black", "green"]
    (tmp_path / "half.avi").write_bytes(whole.read_bytes()[: len(data) // 2])
    assert 10 <= len(list(read(tmp_path / "half.avi"))) <= 25


def _not_videos(folder: Path) -> dict[str, str]:
    """Files that can't be watched, and a word of what is said about each."""
    (folder / "empty.mp4").touch()
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    (folder / "text.mp4").write_text("a video\n" * 50)
    (folder / "text.txt").write_text("a video\n" * 50)  # which FFmpeg draws
    (folder / "folder.mp4").mkdir()
    whole = write(folder / "whole.mp4")
    (folder / "half.mp4").write_bytes(whole.read_bytes()[:1500])
    (folder / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:10,\n{whole}\n#EXT-X-ENDLIST\n")
    (folder / "list.ffconcat").write_text("ffconcat version 1.0\nfile whole.mp4\n")
    with wave.open(str(folder / "song.wav"), "wb") as song:
        song.setnchannels(1)
        song.setsampwidth(2)
        song.setframerate(8000)
        song.writeframes(bytes(16_000))
    write(folder / "tiny.mkv", "ffv1", "bgr0", size=(8, 8))
    write(folder / "huge.mkv", "ffv1", "gray", size=(9000, 16), frames=1)
    write(folder / "years.mkv", times=[0, 40, 80, *range(10**8, 10**8 + 7)])
    return {
        "missing.mp4": "no video",
        "folder.mp4": "no video",
        "empty.mp4": "empty",
        "noise.mp4": "can't be read",
        "text.mp4": "can't be read",
        "text.txt": "can't be read",
        "half.mp4": "index is damaged or missing",
        "list.m3u8": "can't be read",
        "list.ffconcat": "list of other files",
        "song.wav": "sound alone",
        "tiny.mkv": "8 by 8",
        "huge.mkv": "9000",
        "years.mkv": "hours",
    }


def test_what_is_no_video_is_refused_in_one_sentence(tmp_path: Path) -> None:
    for name, word in _not_videos(tmp_path).items():
        with pytest.raises(VideoError) as caught:
            list(read(tmp_path / name))
        sentence = str(caught.value)
        assert name in sentence
        assert word in sentence
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert isinstance(caught.value, StepsmithError)


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    video = write(tmp_path / "theirs.mp4")
    monkeypatch.setattr(av, "open", lambda *_, **__: av.error.err_check(-13))
    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(VideoError, match=r"“theirs\.mp4” can't be read \(Permission denied\): copy it"):
        Video(video)


def test_a_broken_clock_is_mended(tmp_path: Path) -> None:
    """Recordings that were joined begin anew within the file: their times go on, none twice."""
    parts = [write(tmp_path / f"{i}.ts", "mpeg2video", frames=50) for i in range(2)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    times = np.array([frame.time for frame in read(joined)])
    assert len(times) > 90
    assert (np.diff(times) > 0.0).all()
    assert times[-1] == pytest.approx(4.0, abs=0.5)


def test_frames_in_another_order_than_they_are_shown_in_are_all_read(tmp_path: Path) -> None:
    """AVIs say when frames are decoded, not when they are shown."""
    times = [frame.time for frame in read(write(tmp_path / "old.avi", frames=100, bf="3"))]
    assert len(times) >= 97
    assert np.median(np.diff(times)) == pytest.approx(0.04)
    assert np.diff(times)[3:].max() < 0.05


def test_a_recording_goes_on_where_a_part_was_cut_out_of_it(tmp_path: Path) -> None:
    """A receiver's clock runs on meanwhile, and ahead by years where one time is damaged."""
    first = write(tmp_path / "first.ts", frames=50, bf="0")
    later = write(tmp_path / "later.ts", frames=50, bf="0", times=range(300_000, 302_000, 40))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + later.read_bytes())
    times = np.array([frame.time for frame in read(joined)])
    assert len(times) > 90
    assert times[-1] == pytest.approx(4.0, abs=0.5)


# --- a part of a video -----------------------------------------------------------------------------------

LONG = [
    ("indexed.mp4", "libx264"), ("indexed.mkv", "libx264"), ("few_keys.avi", "mpeg4"), ("intra.avi", "mjpeg"),
    ("stream.ts", "mpeg2video"), ("stream.mpg", "mpeg2video"), ("new.webm", "libvpx-vp9"), ("raw.h264", "libx264"),
]  # fmt: skip


@pytest.fixture(scope="module")
def long_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds each, with B frames where the codec has them, key frames two seconds apart."""
    folder = tmp_path_factory.mktemp("long")
    for name, codec in LONG:
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        speed = {"libx264": {"preset": "veryfast"}, "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"}}
        write(folder / name, codec, pixels, frames=500, g="50", **speed.get(codec, {}))
    return folder


@pytest.mark.parametrize("name", [name for name, _ in LONG])
@pytest.mark.parametrize(("start", "duration"), [(0.3, 1.0), (3.0, 2.0), (17.03, 1.5), (18.5, None), (19.0, 50.0)])
def test_a_part_is_the_same_as_in_the_whole(long_videos: Path, name: str, start: float, duration: float | None) -> None:
    end = np.inf if duration is None else start + duration
    whole = [frame for frame in read(long_videos / name) if start - 1e-3 <= frame.time < end - 1e-3]
    part = list(read(long_videos / name, start, duration))
    assert len(part) >= 24
    assert [frame.time for frame in part] == pytest.approx([frame.time for frame in whole], abs=1e-6)
    for one, other in zip(part, whole, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


@pytest.mark.parametrize(("name", "most"), [("indexed.mp4", 110), ("indexed.mkv", 110), ("stream.ts", 370)])
def test_what_comes_before_a_part_is_not_decoded(
    long_videos: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    decoded, honest = 0, Video._decode

    def counted(video: Video) -> Any:
        nonlocal decoded
        for frame in honest(video):
            decoded += 1
            yield frame

    monkeypatch.setattr(Video, "_decode", counted)
    assert len(list(read(long_videos / name, 18.5, 1.0))) == 25
    assert decoded < most


def test_a_part_says_where_it_is(long_videos: Path) -> None:
    for start, duration, end in ((0.0, None, 20.0), (3.0, 2.0, 5.0), (19.0, 50.0, 20.0)):
        video = Video(long_videos / "indexed.mp4", start, duration)
        video.close()
        assert (video.info.duration, video.info.start, video.info.end) == pytest.approx((20.0, start, end))


@pytest.mark.parametrize("name", [name for name, _ in LONG])
def test_a_part_behind_the_end_is_refused_in_one_sentence(long_videos: Path, name: str) -> None:
    with pytest.raises(
        VideoError, match=rf"“{name}” ends at 20\.\d s: choose a part that begins before that, not at 33"
    ):
        list(read(long_videos / name, 33.0, 2.0))


@pytest.mark.parametrize(
    ("start", "duration", "words"),
    [
        (-1.0, None, "begin at 0 s or later, not at -1 s"),
        (np.nan, None, "begin at 0 s or later"),
        (np.inf, None, "begin at 0 s or later"),
        (0.0, 0.5, "last between 1 s and 2 hours, not 0.5 s"),
        (0.0, np.nan, "last between 1 s and 2 hours"),
        (0.0, 7201.0, "last between 1 s and 2 hours, not 7201 s"),
    ],
)
def test_a_part_that_no_video_has_is_refused(
    long_videos: Path, start: float, duration: float | None, words: str
) -> None:
    with pytest.raises(VideoError, match=words):
        Video(long_videos / "indexed.mp4", start, duration)


def test_a_part_of_a_joined_recording_has_the_mended_times(tmp_path: Path) -> None:
    parts = [write(tmp_path / f"{i}.ts", "mpeg2video", frames=500, g="12") for i in range(2)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    whole = [frame for frame in read(joined) if 34.999 <= frame.time < 35.999]
    part = list(read(joined, 35.0, 1.0))
    assert [frame.time for frame in part] == pytest.approx([frame.time for frame in whole], abs=0.05)
    assert len(part) == pytest.approx(25, abs=1)
    assert np.abs(part[0].image.astype(int) - whole[0].image).mean() < 1.0


def test_a_part_of_a_video_that_is_too_long_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "years.mkv", frames=20, times=[*range(0, 2000, 200), *range(10**8, 10**8 + 400, 40)])
    with pytest.raises(VideoError, match=r"more than 2 hours: choose the part .* by start and duration"):
        Video(path)
    assert len(list(read(path, 0.0, 2.0))) == 10
    assert len(list(read(path, 1e5, 2.0))) == 10


# --- damage ----------------------------------------------------------------------------------------------


def found(path: Path, start: float = 0.0, duration: float | None = None) -> list[Damage]:
    video = Video(path, start, duration)
    try:
        for _ in video.frames():
            pass
        return video.damage()
    finally:
        video.close()


@pytest.mark.parametrize("name", [name for name, _ in LONG])
def test_whole_videos_are_not_damaged(long_videos: Path, name: str) -> None:
    assert found(long_videos / name) == []
    assert found(long_videos / name, 5.0, 3.0) == []
    assert found(long_videos / name, 15.0) == []


@pytest.mark.parametrize("name", ["front.mp4", "indexed.mkv", "few_keys.avi", "intra.avi"])
def test_a_video_that_was_cut_off_says_from_when_on(long_videos: Path, tmp_path: Path, name: str) -> None:
    if name == "front.mp4":  # with its index in front, as videos for the web have it
        remux(long_videos / "indexed.mp4", long_videos / name, movflags="faststart")
    cut = tmp_path / name
    cut.write_bytes((long_videos / name).read_bytes()[: (long_videos / name).stat().st_size // 2])
    last = [frame.time for frame in read(cut)][-1]
    assert 5.0 < last < 15.0
    (damage,) = found(cut)
    assert (damage.start, damage.end, damage.pictures) == (
        pytest.approx(last + 0.04, abs=0.01), pytest.approx(20.0, abs=0.1), None
    )  # fmt: skip
    # A part that is whole is not damaged, one that is not ends where it should.
    assert found(cut, 1.0, 2.0) == []
    (damage,) = found(cut, last - 2.0, 5.0)
    assert damage.end == pytest.approx(last + 3.0)
    with pytest.raises(VideoError, match="choose a part that begins before"):
        list(read(cut, 18.0))


def test_a_time_that_is_nonsense_hides_no_loss(long_videos: Path, tmp_path: Path) -> None:
    """One of the durations in an index is made an hour, so that all after it comes too late."""
    data = bytearray((long_videos / "indexed.mp4").read_bytes())
    table = data.index(b"stts") + 12
    assert int.from_bytes(data[table - 4 : table], "big") == 1, "all durations in one entry"
    step = int.from_bytes(data[table + 4 : table + 8], "big")
    data[table + 4 : table + 8] = (step * 90_000).to_bytes(4, "big")
    (tmp_path / "late.mp4").write_bytes(data)
    (damage,) = found(tmp_path / "late.mp4", 0.0, 7200.0)
    assert (damage.end, damage.pictures) == (pytest.approx(20.0, abs=0.1), None)
    assert damage.start < 0.1


@pytest.mark.parametrize(("name", "packet"), [("stream.ts", 188), ("camera.m2ts", 192)])
def test_a_transport_stream_that_was_cut_off_is_told(long_videos: Path, tmp_path: Path, name: str, packet: int) -> None:
    """It states no length, but its last packet is not whole."""
    whole = long_videos / name
    if name == "camera.m2ts":
        remux(long_videos / "stream.ts", whole)
        assert found(whole) == []
    cut = tmp_path / name
    for share in (0.3, 0.5, 0.9):
        packets = round(share * whole.stat().st_size / packet)
        cut.write_bytes(whole.read_bytes()[: packets * packet + 100])
        last = [frame.time for frame in read(cut)][-1]
        (damage,) = found(cut)
        assert (damage.start, damage.pictures) == (pytest.approx(last + 0.04, abs=0.01), None)
        assert found(cut, 1.0, 2.0) == []


def test_a_fragmented_video_that_was_cut_off_is_told(long_videos: Path, tmp_path: Path) -> None:
    """Its fragments don't say how many there are, but the last one is shorter than it says."""
    whole = remux(long_videos / "indexed.mp4", tmp_path / "whole.mp4", movflags="frag_keyframe+empty_moov")
    cut = tmp_path / "cut.mp4"
    for share in (0.3, 0.5, 0.9, 0.93):
        cut.write_bytes(whole.read_bytes()[: round(whole.stat().st_size * share)])
        last = [frame.time for frame in read(cut)][-1]
        (damage,) = found(cut)
        assert (damage.start, damage.pictures) == (pytest.approx(last + 0.04), None)
        assert damage.end < 20.0
        assert len(list(read(cut, last - 2.02))) == 51


def test_the_rest_of_a_fragmented_video_behind_a_hole_is_missed(long_videos: Path, tmp_path: Path) -> None:
    whole = remux(long_videos / "indexed.mp4", tmp_path / "whole.mp4", movflags="frag_keyframe+empty_moov")
    assert found(whole) == []
    holed = make_hole(whole, tmp_path / "holed.mp4", 0.5, 5000)
    last = [frame.time for frame in read(holed)][-1]
    assert last < 15.0
    assert found(holed) == [Damage(pytest.approx(last + 0.04, abs=0.01), pytest.approx(last + 0.04, abs=0.01), None)]


@pytest.mark.parametrize("name", ["indexed.mp4", "few_keys.avi", "stream.ts", "indexed.mkv"])
def test_what_can_not_be_decoded_is_counted(long_videos: Path, tmp_path: Path, name: str) -> None:
    holed = make_hole(long_videos / name, tmp_path / name, 0.5, 400)
    (damage,) = found(holed)
    assert damage.pictures is not None
    assert damage.pictures >= 1
    assert 7.0 < damage.start < damage.end < 13.0
    assert found(holed, 15.0, 2.0) == []


def make_hole(whole: Path, holed: Path, place: float, size: int) -> Path:
    """A copy with nonsense from that share of the file on."""
    data = bytearray(whole.read_bytes())
    start = round(len(data) * place)
    data[start : start + size] = np.random.default_rng(1).bytes(size)
    holed.write_bytes(data)
    return holed


def remux(path: Path, out: Path, **options: str) -> Path:
    """The same packets in another kind of file."""
    with av.open(str(path)) as source, av.open(str(out), "w", options=options) as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return out


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    """Frames are handed out one by one, and small."""
    import tracemalloc

    path = write(tmp_path / "long.mp4", size=(1920, 1080), frames=60, preset="ultrafast")
    tracemalloc.start()
    for frame in read(path):
        assert frame.image.shape == (540, 960, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20  # 60 of these pictures have 93 MB


def test_nothing_is_missed_where_there_is_no_error_stream(tmp_path: Path) -> None:
    code = (
        "import sys; assert sys.stderr is None\n"
        "from stepsmith.backend.pose.mediapipe_graphs import quiet\n"
        f"with quiet(): open({str(tmp_path / 'done')!r}, 'w').close()"
    )
    subprocess.run(["/bin/sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, code], check=True)
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("shown", [0, 1])
def test_of_several_pictures_those_that_players_show_are_read(tmp_path: Path, shown: int) -> None:
    sizes, path = [(32, 32), (64, 48)], tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams: list[Any] = [container.add_stream("mpeg4", rate=25) for _ in sizes]
        for number, (stream, size) in enumerate(zip(streams, sizes, strict=True)):
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.disposition = av.stream.Disposition.default if number == shown else av.stream.Disposition(0)
        for number in range(30):
            for stream, size in zip(streams, sizes, strict=True):
                frame = av.VideoFrame.from_ndarray(picture(*size, number), format="rgb24")
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    width, height = sizes[shown]
    assert {frame.image.shape for frame in read(path)} == {(height, width, 3)}
