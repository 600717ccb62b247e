"""From a video to one motion: parts at their own times, kept still between, with the sound's beats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from stepsmith.backend.audio.synth import synthesise
from stepsmith.backend.performance import Take, perform
from stepsmith.backend.pose import body, stretches, watch
from stepsmith.backend.pose import capture as room
from stepsmith.backend.pose.capture import Capture, CaptureError, capture
from stepsmith.backend.pose.detections import Detections, Lifted
from stepsmith.backend.pose.landmarks import FROM_MEDIAPIPE
from stepsmith.backend.pose.lifter import WEIGHTS, published
from stepsmith.backend.pose.lifter.network import TemporalNetwork
from stepsmith.backend.pose.stretches import Problem, Stretch
from stepsmith.backend.progress import Cancelled
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.motion import Motion

Array = np.ndarray


def turning(seconds: float, x: float = 0.0, fps: float = 30.0) -> Motion:
    """Walks along x from ``x`` on at 1 m/s, and turns the head by 1 radian a second."""
    frames = round(seconds * fps)
    at = np.arange(frames) / fps
    rotations = np.tile([1.0, 0.0, 0.0, 0.0], (frames, 24, 1))
    rotations[:, 15] = rot.from_axis_angle(at[:, None] * [0.0, 0.0, 1.0])
    return Motion(fps, np.column_stack([x + at, 0 * at, 0 * at + 0.93]), rotations, np.ones((frames, 4)))


def make_video(
    path: Path, seconds: float, *, fps: int = 25, sound: Array | None = None, late: float = 0.0, codec: str = "aac"
) -> Path:
    """A video that grows from black to white, with a sound (n,) of 44,100 samples a second from second ``late`` on."""
    with av.open(str(path), "w") as file:
        pictures = file.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sounds = None if sound is None else file.add_stream(codec, rate=44100, layout="mono", bit_rate=128_000)
        count = round(seconds * fps)
        for k in range(count):
            grey = np.full((48, 64, 3), round(255 * k / (count - 1)), np.uint8)
            file.mux(pictures.encode(av.VideoFrame.from_ndarray(grey)))
        file.mux(pictures.encode(None))
        if sound is not None and sounds is not None:
            samples = sound.astype(np.float32)
            for first in range(0, len(samples), 1024):
                frame = av.AudioFrame.from_ndarray(samples[None, first : first + 1024].copy(), "fltp", "mono")
                frame.sample_rate, frame.time_base = 44100, Fraction(1, 44100)
                frame.pts = first + round(late * 44100)
                file.mux(sounds.encode(frame))
            file.mux(sounds.encode(None))
    return path


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Have the room's stages see what a test says; returns what they were asked."""

    def make(
        found: list[Stretch],
        problems: Sequence[Problem] = (),
        frames: int = 200,
        fps: float = 50.0,
        begins: float = 0.2,
    ) -> dict[str, Any]:
        asked: dict[str, Any] = {}
        mark = np.arange(33.0)
        seen = Detections(
            times=begins + np.arange(frames) / fps,
            size=(640, 480),
            points=np.tile(np.stack([mark, mark], axis=-1), (frames, 1, 1)),
            confidence=np.tile(mark / 40.0, (frames, 1)),
            world=np.zeros((frames, 33, 3)),
            people=np.ones(frames, dtype=int),
            cuts=np.zeros(0, dtype=int),
        )

        class Network:
            def lift(self, times: Array, points: Array, confidence: Array, size: Any, **wishes: Any) -> Lifted:
                asked.setdefault("lifted", []).append((times, points, confidence, size, wishes))
                count = round((times[-1] - times[0]) * wishes["fps"]) + 1
                return Lifted(wishes["fps"], np.zeros((count, 25, 3)), np.zeros((count, 24, 3)), np.array([0.0, -1, 0]))

        def look(video: Path, *, progress: Any, **wishes: Any) -> Detections:
            asked.update(wishes)
            for k in range(frames):
                progress(k / frames, f"Frame {k + 1} of {frames}")
            return seen

        def load(path: Path | None = None, *, causal: bool = False) -> Network:
            asked["lifter"] = path
            return Network()

        def solve(lifted: Lifted, *, confidence: Array | None = None) -> Motion:
            asked.setdefault("confidence", []).append(confidence)
            return turning(len(lifted) / lifted.fps)

        monkeypatch.setattr(published, "load_lifter", load)
        monkeypatch.setattr(watch, "watch", look)
        monkeypatch.setattr(stretches, "find_stretches", lambda detections: (found, list(problems)))
        monkeypatch.setattr(body, "solve_body", solve)
        return asked

    return make


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return make_video(tmp_path / "dancer.mp4", 2.0)


# --- capture ---------------------------------------------------------------------------------------------


def test_every_stretch_becomes_a_part_at_its_own_time(pretend: Any, video: Path) -> None:
    problem = Problem("nobody", 1.2, 2.2, "Nobody is seen.")
    asked = pretend([Stretch(0, 51), Stretch(100, 200)], [problem])
    captured = capture(video, person=2, lifter=Path("mine.pt"), field_of_view=60.0)
    assert [begins for begins, _ in captured.parts] == pytest.approx([0.2, 2.2])
    assert [motion.fps for _, motion in captured.parts] == [30.0, 30.0]
    assert captured.parts[0][1].duration == pytest.approx(1.0, abs=0.05)
    assert list(captured.problems) == [problem]
    assert (captured.size, captured.fps) == ((640, 480), pytest.approx(50.0))
    assert captured.duration == pytest.approx(4.2)
    assert (asked["person"], asked["lifter"]) == (2, Path("mine.pt"))
    assert [wishes["field_of_view"] for *_, wishes in asked["lifted"]] == [60.0, 60.0]


def test_the_lifter_gets_its_own_points_and_the_body_their_confidence(pretend: Any, video: Path) -> None:
    asked = pretend([Stretch(10, 61)])
    capture(video)
    times, points, _, size, wishes = asked["lifted"][0]
    assert (times[0], times[-1]) == pytest.approx((0.4, 1.4))
    assert points.shape == (51, 25, 2)
    np.testing.assert_array_equal(points[7, :, 0], FROM_MEDIAPIPE)
    assert (size, wishes["fps"]) == ((640, 480), 30.0)
    assert asked["confidence"][0].shape == (31, 25)
    np.testing.assert_allclose(asked["confidence"][0][20], np.array(FROM_MEDIAPIPE) / 40.0)


def test_a_video_without_anybody_says_so(pretend: Any, video: Path) -> None:
    nobody = Problem("nobody", 0.0, 3.5, "Nobody is seen from 0.0 s to 3.5 s: that part is left out.")
    pretend([], [nobody])
    with pytest.raises(CaptureError, match=r"Nobody in “dancer\.mp4” can be seen well enough to be captured: film one"):
        capture(video)
    pretend([], [nobody, Problem("short", 3.5, 4.0, "The dancer is seen for only 0.5 s: that is left out.")])
    with pytest.raises(CaptureError, match=r"captured \(The dancer is seen for only 0\.5 s\): film one"):
        capture(video)
    with pytest.raises(CaptureError, match=r"Person 3 of “dancer\.mp4” .*count people from the left"):
        capture(video, person=3)


def test_a_video_that_is_too_short_says_so_and_not_that_nobody_is_seen(pretend: Any, video: Path) -> None:
    pretend([], [Problem("short", 0.2, 1.0, "The dancer is seen for only 0.8 s: that is left out.")], frames=40)
    with pytest.raises(CaptureError, match=r"^Only 0\.8 s of pictures are in “dancer\.mp4”: .* 1 s or longer\.$"):
        capture(video)
    with pytest.raises(CaptureError, match=r"^Only 0\.8 s of pictures are in that part of “dancer\.mp4”"):
        capture(video, start=0.1)


def test_a_video_of_nothing_but_short_shots_says_so(pretend: Any, video: Path) -> None:
    short, cut = (Problem(kind, 1.0, 1.5, "The dancer: so it is.") for kind in ("short", "cut"))
    pretend([], [short, cut, short])
    with pytest.raises(CaptureError, match=r"^No shot of “dancer\.mp4” shows a dancer for 1 s: choose a video that is"):
        capture(video)
    pretend([], [cut])
    with pytest.raises(CaptureError, match=r"^Nobody in “dancer\.mp4” can be seen"):
        capture(video)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no video"):
        capture(tmp_path / "nothing.mp4")


def test_progress_only_grows_and_stops_the_work(pretend: Any, video: Path) -> None:
    pretend([Stretch(0, 60), Stretch(100, 200)])
    told: list[float] = []
    capture(video, progress=lambda fraction, text: told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)

    def stop(fraction: float, text: str) -> None:
        if fraction > 0.4:
            raise Cancelled

    with pytest.raises(Cancelled):
        capture(video, progress=stop)


@pytest.mark.parametrize("weights", [None, "ours"])
def test_stepsmiths_own_weights_are_not_called_causal(video: Path, weights: str | None) -> None:
    with pytest.raises(CaptureError, match=r"say themselves whether they are causal: leave --causal out"):
        capture(video, lifter=None if weights is None else WEIGHTS, causal=True)


@pytest.mark.parametrize("causal", [True, False])
def test_a_checkpoint_of_a_causal_model_is_lifted_with_as_one(
    pretend: Any, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, causal: bool
) -> None:
    load = published.load_lifter
    pretend([Stretch(0, 100)])
    monkeypatch.setattr(published, "load_lifter", load)
    weights, used = tmp_path / "theirs.bin", []
    torch.save({"model_pos": TemporalNetwork(34, 51, 8, (3, 3), causal).state_dict()}, weights)
    lift = published.PublishedLifter.lift

    def noted(lifter: published.PublishedLifter, *words: Any, **wishes: Any) -> Lifted:
        used.append(lifter.position.causal)
        return lift(lifter, *words, **wishes)

    monkeypatch.setattr(published.PublishedLifter, "lift", noted)
    assert len(capture(video, lifter=weights, causal=causal).parts) == 1
    assert used == [causal]


# --- a part of a video -----------------------------------------------------------------------------------


def test_a_part_is_watched_and_its_times_are_the_videos(pretend: Any, video: Path) -> None:
    asked = pretend([Stretch(10, 110)], begins=30.0)
    captured = capture(video, start=30.0, duration=4.0)
    assert (asked["start"], asked["duration"]) == (30.0, 4.0)
    assert captured.begins == pytest.approx(30.2)
    assert captured.problems == []
    report = captured.report()
    assert (report["start"], report["duration"], report["fps"]) == (30.0, 4.0, 50.0)
    assert report["parts"] == [[30.2, pytest.approx(32.2, abs=0.04)]]


def test_nobody_in_a_part_says_that_it_is_a_part(pretend: Any, video: Path) -> None:
    pretend([])
    with pytest.raises(CaptureError, match=r"Nobody in that part of “dancer\.mp4” can be seen"):
        capture(video, start=30.0)


def test_a_beginning_without_pictures_is_told(pretend: Any, video: Path) -> None:
    pretend([Stretch(0, 200)], [Problem("cut", 3.0, 3.0, "A cut.")], begins=2.5)
    first, second = capture(video).problems
    assert (first.kind, first.start, first.end, second.kind) == ("missing", 0.0, 2.5, "cut")


# --- parts together --------------------------------------------------------------------------------------


def captured(*parts: tuple[float, Motion]) -> Capture:
    return Capture(parts, [], (640, 480), 10.0, 25.0)


def test_parts_keep_their_times_when_joined() -> None:
    first, second = turning(1.0), turning(2.0, x=5.0).turn(1.0)
    joined = captured((0.5, first), (3.5, second)).joined()
    assert joined.duration == pytest.approx(5.0)
    np.testing.assert_array_equal(joined.rotations[:30], first.rotations)
    np.testing.assert_array_equal(joined.rotations[90:], second.rotations)


def test_the_body_keeps_still_between_parts() -> None:
    first, second = turning(1.0), turning(2.0, x=5.0)
    joined = captured((0.5, first), (3.5, second)).joined()
    held = slice(30, 75)  # until half a second before it is seen again
    np.testing.assert_allclose(joined.rotations[held], np.tile(first.rotations[-1], (45, 1, 1)))
    np.testing.assert_array_equal(joined.contacts[held], 1.0)
    # It comes into the next pose on the spot and without a jump.
    places = joined.root[29:91]
    assert np.ptp(places[:, :2], axis=0).max() < 1e-9
    turned = rot.angle(rot.multiply(joined.rotations[1:, 15], rot.conjugate(joined.rotations[:-1, 15])))
    assert turned[29:90].max() < 0.15
    # And goes on from there.
    np.testing.assert_allclose(joined.root[90:] - joined.root[90], second.root - second.root[0], atol=1e-12)


def test_one_part_is_itself() -> None:
    motion = turning(1.0)
    assert captured((2.0, motion)).joined() is motion


@pytest.mark.parametrize("gap", [0.0, 0.01, 1 / 30, 0.2])
def test_parts_close_together_are_joined(gap: float) -> None:
    joined = captured((0.0, turning(1.0)), (1.0 + gap, turning(1.0))).joined()
    assert len(joined) == 60 + round(gap * 30)


# --- with the sound --------------------------------------------------------------------------------------


def film(monkeypatch: pytest.MonkeyPatch, *parts: tuple[float, Motion]) -> None:
    monkeypatch.setattr(room, "capture", lambda video, **wishes: captured(*parts))


@pytest.fixture(scope="module")
def beats() -> Array:
    """Eight seconds of music at 120 beats a minute, the first beat at 0."""
    return synthesise(tempo=120, duration=8.0).samples.mean(axis=1)


@pytest.mark.parametrize(("begins", "late"), [(0.0, 0.0), (1.25, 0.0), (1.25, 0.3), (0.0, 0.4)])
def test_the_beats_are_those_of_the_videos_sound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, beats: Array, begins: float, late: float
) -> None:
    video = make_video(tmp_path / "dancer.mkv", 8.0, sound=beats, late=late)
    film(monkeypatch, (begins, turning(6.0)))
    performance = perform(Take(video))
    assert performance.song == video
    assert performance.song_start == pytest.approx(begins - late, abs=0.03)
    motion = performance.motion
    assert motion.beats is not None
    # A beat every half second of the video's sound, on the motion's own clock.
    off = (motion.beats - (late - begins) + 0.25) % 0.5 - 0.25
    assert np.abs(off).max() < 0.05
    assert len(motion.beats) >= 10
    assert motion.beats.min() >= 0.0
    assert motion.beats.max() < 6.0
    assert motion.meta["song_start"] == performance.song_start


def test_the_song_begins_where_it_can_be_decoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, beats: Array) -> None:
    """A decoder of Windows Media needs two packets before it says something."""
    video = make_video(tmp_path / "dancer.wmv", 8.0, sound=beats, codec="wmav2")
    film(monkeypatch, (1.25, turning(6.0)))
    performance = perform(Take(video))
    assert performance.song_start == pytest.approx(1.25 - 4096 / 44100, abs=0.002)


def test_what_is_asked_for_reaches_the_capture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, video: Path) -> None:
    asked: dict[str, Any] = {}

    def pretended(video: Path, *, progress: Any, **wishes: Any) -> Capture:
        asked.update(wishes)
        return captured((1.0, turning(1.0)))

    monkeypatch.setattr(room, "capture", pretended)
    weights = tmp_path / "weights.bin"
    perform(Take(video, 2, weights, 60.0, 1.0, 5.0, True))
    assert asked == {
        "person": 2, "lifter": weights, "field_of_view": 60.0, "start": 1.0, "duration": 5.0, "causal": True
    }  # fmt: skip


def test_a_silent_film_has_no_song(monkeypatch: pytest.MonkeyPatch, video: Path) -> None:
    film(monkeypatch, (0.0, turning(1.0)))
    performance = perform(Take(video))
    assert (performance.song, performance.motion.beats) == (None, None)
    assert "song" not in performance.motion.meta


def test_sound_that_can_not_be_listened_to_leaves_only_the_beats_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    video = make_video(tmp_path / "dancer.mp4", 2.0, sound=np.zeros(88200))
    film(monkeypatch, (0.0, turning(1.5)))
    performance = perform(Take(video))
    assert performance.song == video
    assert performance.motion.beats is None


def test_a_motion_says_what_was_wrong_with_its_video(monkeypatch: pytest.MonkeyPatch, video: Path) -> None:
    problem = Problem("cut", 1.0, 1.5, "The picture changes to another shot.")
    shown = Capture([(0.0, turning(1.0)), (1.5, turning(0.5))], [problem], (640, 480), 2.0, 25.0)
    monkeypatch.setattr(room, "capture", lambda video, **wishes: shown)
    meta = perform(Take(video)).motion.meta
    assert meta["parts"] == [[0.0, 1.0], [1.5, 2.0]]
    assert meta["problems"] == [
        {"kind": "cut", "start": 1.0, "end": 1.5, "text": "The picture changes to another shot."}
    ]
    assert meta["video"] == "dancer.mp4"


def test_what_can_not_be_captured_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(StepsmithError, match="no video"):
        perform(Take(tmp_path / "nothing.mov"))


# --- a real video ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.data
def test_a_man_in_a_real_video_stands_on_his_feet() -> None:
    pytest.importorskip("mediapipe", reason="needs the extra “video”")
    video = Path(__file__).parents[3] / "shared" / "data" / "video" / "pose2sim" / "cam01.mp4"
    if not video.is_file():
        pytest.skip(f"needs the videos beside the checkout ({video})")
    told: list[tuple[float, str]] = []
    shown = capture(video, progress=lambda fraction, text: told.append((fraction, text)))
    ((begins, motion),) = shown.parts
    # 100 pictures at 60 a second become half as many.
    assert begins == pytest.approx(0.0, abs=0.1)
    assert len(motion) == pytest.approx(50, abs=4)
    assert shown.fps == pytest.approx(60.0, rel=0.01)
    joints = motion.positions()
    feet, hips, head = joints[:, [7, 8, 10, 11], 2], joints[:, 0, 2], joints[:, 15, 2]
    assert np.abs(feet.min(axis=1)).max() < 0.15
    assert (hips > 0.6).all()
    assert (head > hips + 0.4).all()
    # Nobody's limbs fly about.
    assert np.linalg.norm(np.diff(joints, axis=0), axis=-1).max() * motion.fps < 12.0
    assert any("of 100" in text for _, text in told), "progress in frames"
