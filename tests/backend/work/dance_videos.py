"""Videos for the tests of data sets, and a capture that pretends: what is danced stands in the pictures, as two greys.

The left half's shade is the dance, the right half's says what is special about it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from stepsmith.backend.pose.capture import Capture, CaptureError
from stepsmith.backend.pose.stretches import Problem
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.motion import Motion, detect_contacts
from stepsmith.retarget.skeleton import SMPL

PLAIN, MIRRORED, NOISY, SHAKING, NOBODY, KILLED, SLOW, CROWD, TWO_PARTS, BROKEN, JUMPING = range(11)
FPS, PICTURES, RATE = 30.0, 10, 44100


def shade(value: int) -> int:
    """The grey that stands for a number: far enough from others to outlive encoding."""
    return 16 + 20 * value


def film(
    path: Path,
    seed: int,
    special: int = PLAIN,
    *,
    song: int | None = None,
    seconds: float,
    late: float = 0.0,
    mp3: bool = False,
) -> Path:
    """Write a video of dance ``seed``. ``song``: which, from second ``late`` of it on; None for no sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((32, 64, 3), shade(seed), np.uint8)
    picture[:, 32:] = shade(special)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=PICTURES)
        video.width, video.height, video.pix_fmt = 64, 32, "yuv420p"
        sound = None
        if song is not None:
            sound = container.add_stream("libmp3lame" if mp3 else "aac", rate=RATE)
            sound.layout, sound.bit_rate = "mono", 64_000 if mp3 else 96_000
        for number in range(round(seconds * PICTURES)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if sound is not None and song is not None:
            first = round(late * RATE)
            hear(container, sound, music(song)[first : first + round(seconds * RATE)])
    return path


def hear(container: Any, stream: Any, samples: Any, begin: float = 0.0) -> None:
    """Write ``samples`` (n,) at RATE into a stream, from second ``begin`` on."""
    size = stream.codec_context.frame_size or 1024
    resampler = av.AudioResampler(stream.codec_context.format.name, "mono", RATE, frame_size=size)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None], np.float32), format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, round(begin * RATE), Fraction(1, RATE)
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        container.mux(stream.encode(piece))
    container.mux(stream.encode())


@lru_cache(maxsize=16)
def music(song: int) -> Any:
    """(n,) samples at RATE of a song of its own tempo and tune, 17 s: two plucked notes an eighth, a drum a beat."""
    random = np.random.default_rng(song)
    eighth = round(RATE * 30.0 / (90.0 + 9 * song))
    times = np.arange(2 * eighth) / RATE
    samples = np.zeros(17 * RATE + 2 * eighth)
    for number, first in enumerate(range(0, 17 * RATE, eighth)):
        for pitch in random.integers(0, 30, 2):
            tone = 2 * np.pi * 196.0 * 2 ** (pitch / 12) * times
            samples[first : first + 2 * eighth] += 0.15 * (np.sin(tone) + 0.5 * np.sin(2 * tone)) * np.exp(-6 * times)
        if number % 2 == 0:
            samples[first : first + 2 * eighth] += 0.5 * np.sin(2 * np.pi * 60.0 * times) * np.exp(-25 * times)
    return samples[: 17 * RATE]


def dance(seed: int, seconds: float) -> Motion:
    """A smooth random dance that stays on its feet."""
    random = np.random.default_rng(seed)
    times = np.arange(round(FPS * seconds)) / FPS
    pace, phase = random.uniform(0.3, 0.9, (3, 24, 3)), random.uniform(0, 2 * np.pi, (3, 24, 3))
    size = np.zeros((24, 1))
    size[[12, 15, 16, 17, 18, 19]] = 0.25  # neck, head, arms
    angles = size * np.sin(2 * np.pi * times[:, None, None, None] * pace + phase).sum(axis=1)
    root = np.tile([0.0, 0.0, SMPL.rest_root_height], (len(times), 1))
    motion = Motion(FPS, root, rot.from_axis_angle(angles), np.zeros((len(times), 4)))
    return replace(motion, contacts=detect_contacts(motion.positions(), FPS))


def shaken(motion: Motion, degrees: float) -> Motion:
    noise = np.random.default_rng(1).normal(0.0, np.radians(degrees), (len(motion), 24, 3))
    noise[:, :12] = 0.0
    return replace(motion, rotations=rot.multiply(motion.rotations, rot.from_axis_angle(noise)))


def jumping(motion: Motion, frames: slice) -> Motion:
    """The dance, three metres away for some frames."""
    root = np.array(motion.root)
    root[frames] += [3.0, 0.0, 0.0]
    return replace(motion, root=root)


def capture(video: Path, *, progress: Callable[[float, str], None]) -> Capture:
    dance_seed, special, size, seconds = read(video)
    if trace := os.environ.get("STEPSMITH_TEST_TRACE"):
        with open(trace, "a", encoding="utf-8") as file:
            file.write(video.name + "\n")
    progress(0.5, "Looking")
    if special == NOBODY:
        raise CaptureError(f"Nobody can be seen in “{video.name}”: film somebody.")
    if special == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    if special == BROKEN:
        raise ZeroDivisionError("three by\nnothing")
    if special == SLOW:
        while not Path(os.environ["STEPSMITH_TEST_GATE"]).exists():
            progress(0.6, "Waiting")
            time.sleep(0.05)
    motion = dance(dance_seed, seconds)
    if special == MIRRORED:
        motion = motion.mirror()
    if special in (NOISY, SHAKING):
        motion = shaken(motion, 0.4 if special == NOISY else 20.0)
    if special == JUMPING:
        motion = jumping(motion, slice(100, 101))
    parts, problems = [(0.0, motion)], []
    if special == CROWD:
        problems = [Problem("people", 5.0, 7.0, "Several people are seen.")]
    if special == TWO_PARTS:
        parts = [(0.5, motion.slice(15, 180)), (7.0, motion.slice(210))]
        problems = [Problem("nobody", 6.0, 7.0, "Nobody is seen.")]
    return Capture(parts, problems, size, seconds, FPS)


def read(video: Path) -> tuple[int, int, tuple[int, int], float]:
    """Dance, what is special, size and seconds of a video made for this."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        picture = next(container.decode(stream)).to_ndarray(format="gray")
        half = picture.shape[1] // 2
        left, right = (round((float(side.mean()) - 16) / 20) for side in (picture[:, :half], picture[:, half:]))
        assert container.duration is not None
        return left, right, (picture.shape[1], picture.shape[0]), container.duration / 1e6
