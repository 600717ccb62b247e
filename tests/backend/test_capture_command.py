"""``stepsmith capture``, as a user runs it; the capture itself is pretended."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from stepsmith.backend import export, side_by_side
from stepsmith.backend.cli import app
from stepsmith.backend.pose import capture as room
from stepsmith.backend.pose.capture import Capture, CaptureError
from stepsmith.backend.pose.stretches import Problem
from stepsmith.retarget.files import load_motion
from stepsmith.retarget.motion import Motion
from typer.testing import CliRunner

Array = np.ndarray
Film = Callable[..., Path]
BEGINS = 0.5  # of the video's seconds, where the motion begins


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["capture", *(str(word) for word in words)])


def standing(seconds: float) -> Motion:
    frames = round(seconds * 30)
    rest = np.tile([1.0, 0.0, 0.0, 0.0], (frames, 24, 1))
    return Motion(30, np.tile([0.0, 0.0, 0.93], (frames, 1)), rest, np.ones((frames, 4)))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Two seconds, wider than high, black at first and from second 1 on white, with a tone that begins there too."""
    path = tmp_path / "dancer.mp4"
    with av.open(str(path), "w") as file:
        pictures = file.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        pictures.width, pictures.height, pictures.pix_fmt = 96, 64, "yuv420p"
        sounds = file.add_stream("aac", rate=44100, layout="mono")
        for k in range(50):
            grey = np.full((64, 96, 3), 255 * (k >= 25), np.uint8)
            file.mux(pictures.encode(av.VideoFrame.from_ndarray(grey)))
        file.mux(pictures.encode(None))
        at = np.arange(2 * 44100) / 44100
        tone = (0.5 * np.sin(2 * np.pi * 440 * at) * (at >= 1.0)).astype(np.float32)
        for first in range(0, len(tone), 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, first : first + 1024].copy(), "fltp", "mono")
            frame.sample_rate = 44100
            file.mux(sounds.encode(frame))
        file.mux(sounds.encode(None))
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the capture was asked, which finds a second of standing and a problem."""
    wishes: dict[str, Any] = {}

    def pretend(video: Path, *, progress: Any, **wished: Any) -> Capture:
        wishes.update(wished, video=video)
        progress(0.5, "Frame 1 of 2")
        problem = Problem("people", 61.04, 63.5, "There are 2 people from 61.0 s to 63.5 s.")
        return Capture([(BEGINS, standing(1.0))], [problem], (96, 64), 2.0, 25.0)

    monkeypatch.setattr(room, "capture", pretend)
    return wishes


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_dancer_becomes_motion_files_and_a_report(asked: dict[str, Any], video: Path, tmp_path: Path) -> None:
    outs, report = [tmp_path / "a.npz", tmp_path / "b.bvh"], tmp_path / "said.json"
    weights = tmp_path / "weights.bin"
    weights.touch()
    result = run(video, "-o", outs[0], "-o", outs[1], "--report", report, "--person", 2, "--field-of-view", 70,
                 "--lifter", weights, "--causal", "--start", 0.5, "--duration", 1)  # fmt: skip
    assert (result.exit_code, result.stdout.split()) == (0, [str(path) for path in (*outs, report)]), result.stderr
    assert asked == {"video": video, "person": 2, "field_of_view": 70.0, "lifter": weights, "causal": True,
                     "start": 0.5, "duration": 1.0}  # fmt: skip
    assert "stepsmith: There are 2 people from 61.0 s to 63.5 s.\n" in result.stderr
    motion = load_motion(outs[0])
    assert (motion.duration, motion.meta["song_start"]) == (1.0, pytest.approx(BEGINS, abs=0.03))
    said = json.loads(report.read_text())
    assert (said["video"], said["duration"], said["fps"], said["size"]) == ("dancer.mp4", 2.0, 25.0, [96, 64])
    assert said["parts"] == [[0.5, 1.5]]
    assert said["problems"] == [
        {"kind": "people", "start": 61.04, "end": 63.5, "text": "There are 2 people from 61.0 s to 63.5 s."}
    ]
    assert left_in(tmp_path) == ["a.npz", "b.bvh", "dancer.mp4", "said.json", "weights.bin"]


def test_the_video_beside_the_character_is_in_sync(asked: dict[str, Any], video: Path, tmp_path: Path) -> None:
    beside, scene = tmp_path / "beside.mp4", tmp_path / "dancer.blend"
    result = run(video, "-o", scene, "--side-by-side", beside)
    assert (result.exit_code, result.stdout.split()) == (0, [str(scene), str(beside)]), result.stderr
    with av.open(str(beside)) as file:
        stream = file.streams.video[0]
        assert (stream.width, stream.height) == (640 + 540, 360)
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]
    assert len(frames) == 30
    # The video on the left: black, and white from where its second 1 is.
    white = [bool(picture[:, :500].mean() > 128) for _, picture in frames]
    assert white == [time >= 1.0 - BEGINS - 0.001 for time, _ in frames]
    # The character on the right.
    assert frames[0][1][:, 560:].std() > 10
    with av.open(str(beside)) as file:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
        rate = file.streams.audio[0].rate
    assert np.argmax(np.abs(heard) > 0.1) / rate == pytest.approx(1.0 - BEGINS, abs=0.05)
    assert left_in(tmp_path) == ["beside.mp4", "dancer.blend", "dancer.mp4"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--side-by-side", "look.mov"], "end the name after --side-by-side in .mp4"),
        (["--side-by-side", "dancer.mp4"], "is itself what the dance is made from"),
        (["--report", "said.txt"], "end the name after --report in .json"),
        (["--report", "no/such/said.json"], "folder"),
        (["--lifter", "none.bin"], "no file of weights"),
        (["--field-of-view", "0.5"], "between 1 and 170 degrees"),
        (["--causal"], "give them with --lifter"),
        (["--start", "-1"], "must begin at 0 s or later, not at -1 s"),
        (["--start", "nan"], "must begin at 0 s or later"),
        (["--duration", "0.5"], "must last between 1 s and 2 hours, not 0.5 s"),
        (["--rig", "none.blend"], "no rig file"),
        (["-o", "dancer.mp4"], "is itself what the dance is made from"),
    ],
)
def test_what_can_not_be_done_is_said_before_the_work(
    asked: dict[str, Any],
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(video, "-o", "a.npz", *words)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert asked == {}
    assert left_in(tmp_path) == ["dancer.mp4"]


def test_there_is_no_video(tmp_path: Path) -> None:
    result = run(tmp_path / "none.mp4", "-o", tmp_path / "a.npz")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "There is no video" in result.stderr


def test_nobody_in_the_video_leaves_nothing(monkeypatch: pytest.MonkeyPatch, video: Path, tmp_path: Path) -> None:
    def nobody(video: Path, **wishes: Any) -> Capture:
        raise CaptureError("Nobody can be seen: film one person.")

    monkeypatch.setattr(room, "capture", nobody)
    result = run(video, "-o", tmp_path / "a.npz", "--report", tmp_path / "said.json")
    assert (result.exit_code, result.stderr) == (1, "stepsmith: Nobody can be seen: film one person.\n")
    assert left_in(tmp_path) == ["dancer.mp4"]


@pytest.mark.parametrize("place", ["capture", "drawing", "composing"])
def test_ctrl_c_leaves_nothing_half_written(
    asked: dict[str, Any], video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def interrupted(*words: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    def half(*words: Any, **more: Any) -> Any:
        Path(words[3]).write_bytes(b"half")
        raise KeyboardInterrupt

    def drawn(motion: Motion, outs: Any, *more: Any) -> list[str]:
        for out in outs:
            out.write_bytes(b"whole")
        return []

    if place == "capture":
        monkeypatch.setattr(room, "capture", interrupted)
    else:
        monkeypatch.setattr(export, "export", interrupted if place == "drawing" else drawn)
        monkeypatch.setattr(side_by_side, "compose", half)
    result = run(video, "-o", tmp_path / "a.npz", "--side-by-side", tmp_path / "b.mp4")
    assert result.exit_code == 130
    whole = ["a.npz"] if place == "composing" else []
    assert left_in(tmp_path) == [*whole, "dancer.mp4"]


def test_a_video_of_the_character_is_drawn_once(
    asked: dict[str, Any], video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[Path]] = []
    composed: list[Path] = []

    def draw(motion: Motion, outs: Any, *more: Any) -> list[str]:
        drawn.append(list(outs))
        return ["The song is not in the sequencer."]

    def compose(video: Path, begins: float, rendering: Path, out: Path, progress: Any) -> None:
        composed.append(rendering)
        out.write_bytes(b"whole")

    monkeypatch.setattr(export, "export", draw)
    monkeypatch.setattr(side_by_side, "compose", compose)
    result = run(video, "-o", tmp_path / "a.mp4", "--side-by-side", tmp_path / "b.mp4")
    assert result.exit_code == 0
    assert (drawn, composed) == ([[tmp_path / "a.mp4"]], [tmp_path / "a.mp4"])
    assert "not in the sequencer" in result.stderr


def test_help_shows_examples() -> None:
    result = run("--help")
    assert result.exit_code == 0
    options = ("--start", "--duration", "--person", "--lifter", "--causal", "--report", "--side-by-side")
    for word in (*options, "Examples", "keeps still"):
        assert word in result.stdout
