"""Videos of every kind are read upright, in time, in little memory; what is no video is refused in one sentence."""

from __future__ import annotations

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
    assert max(frames[0].image.shape) <= DETAIL


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


def test_the_sound_of_a_video_is_read_by_the_same_way_as_a_song(tmp_path: Path) -> None:
    sound = synthesise(tempo=120, duration=2.0).samples.mean(axis=1)
    path = write(tmp_path / "both.mp4", frames=50, sound=sound)
    heard = decode(path).samples[: len(sound)]
    # The encoder puts 1,024 samples before it, a twentieth of a second.
    alike = [np.corrcoef(heard[late:], sound[: len(heard) - late])[0, 1] for late in (0, 1024)]
    assert max(alike) > 0.9


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
        "half.mp4": "can't be read",
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


def test_a_broken_clock_is_mended(tmp_path: Path) -> None:
    """Recordings that were joined begin anew within the file: their times go on, none twice."""
    parts = [write(tmp_path / f"{i}.ts", "mpeg2video", frames=50) for i in range(2)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    times = np.array([frame.time for frame in read(joined)])
    assert len(times) > 90
    assert (np.diff(times) > 0.0).all()
    assert times[-1] == pytest.approx(4.0, abs=0.5)


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
