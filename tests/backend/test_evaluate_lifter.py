"""The lifter's evaluation as users run it, on cameras and dances made up here, and the arithmetic it stands on."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.backend.evaluate import lifter_metrics as metrics
from stepsmith.backend.evaluate.cli import evaluate_app
from stepsmith.backend.evaluate.lifter import (
    MEDIAPIPE,
    OURS,
    PERFORMANCE,
    REFERENCE,
    TRUTH,
    evaluate_lifters,
    lifter_speed,
    measure,
    measure_set,
)
from stepsmith.backend.evaluate.lifter_cameras import FilmCamera, read_qualisys, reconstruct
from stepsmith.backend.evaluate.lifter_command import as_json, markdown
from stepsmith.backend.evaluate.lifter_sets import CAMERAS, FPS, Clip, TestSet, aist_clips, ideal_clips, recorded_sets
from stepsmith.backend.pose.detections import Lifted
from stepsmith.backend.pose.landmarks import HUMAN36M, MIRROR, POINTS, to_human36m
from stepsmith.backend.pose.lifter.bodies import body_points
from stepsmith.backend.pose.lifter.camera import look
from stepsmith.backend.pose.lifter.data import held_out
from stepsmith.backend.pose.lifter.human36m import fill_body
from stepsmith.backend.pose.lifter.network import TemporalNetwork
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL, SMPL_NAMES
from typer.testing import CliRunner

UP = np.array([0.0, -1.0, 0.0])
REAL = Path(__file__).parents[2] / ".." / "shared" / "data"


def dance(frames: int = 90, seed: int = 0) -> Motion:
    """Arms and legs that swing, a body that turns and travels."""
    rng = np.random.default_rng(seed)
    times = np.arange(frames) / 30
    angles = np.zeros((frames, 24, 3))
    for name in ("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_hip", "right_hip"):
        angles[:, SMPL_NAMES.index(name)] = rng.normal(0, 0.5, 3) * np.sin(times * rng.uniform(1, 4))[:, None]
    angles[:, 0, 2] = times * 0.5
    root = np.stack([0.3 * np.sin(times), 0.3 * np.cos(times), np.full(frames, SMPL.rest_root_height)], axis=1)
    return Motion(30.0, root, rot.from_axis_angle(angles), np.zeros((frames, 4)))


class Knowing:
    """A lifter that knows what was seen by heart, and errs as it is told."""

    def __init__(self, clips: list[Clip], points: list[np.ndarray], error: float = 0.0) -> None:
        self.answers = {clip.points[0].tobytes(): p for clip, p in zip(clips, points, strict=True)}
        self.error, self.flips = error, []

    def lift(self, times, points, confidence, size, *, fps=30.0, field_of_view=None, flip=True) -> Lifted:  # type: ignore[no-untyped-def]
        self.flips.append(flip)
        true = self.answers[points[0].tobytes()]
        noise = np.random.default_rng(0).normal(0.0, self.error, true.shape) if self.error else 0.0
        joints = fill_body(to_human36m(true))[1]
        return Lifted(fps, np.concatenate([true + noise, fill_body(to_human36m(true))[0][:, 17:]], axis=1), joints, UP)


# -- metrics ------------------------------------------------------------------------------------------


def joints(frames: int = 20, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.5, (frames, 17, 3))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.3, 3.0))
def test_distances_do_not_see_what_they_should_not(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    true = joints(6, seed)
    turn = rot.normalise(rng.normal(size=(6, 1, 4)))
    posed = scale * rot.rotate(turn, true) + rng.normal(size=(6, 1, 3))
    assert metrics.p_mpjpe(posed, true) < 1e-6
    assert metrics.mpjpe(true + rng.normal(size=(6, 1, 3)), true) < 1e-9


def test_distances_see_what_they_should() -> None:
    true = joints()
    off = true.copy()
    off[:, 5, 1] += 0.17
    assert metrics.mpjpe(off, true) == pytest.approx(10.0)
    assert metrics.p_mpjpe(off, true) > 5.0
    assert ((metrics.procrustes(off, true) - true) ** 2).sum() < ((off - true) ** 2).sum()
    mirrored = true * [-1.0, 1.0, 1.0]
    assert metrics.p_mpjpe(mirrored, true) > 100.0  # a body is not its mirror image
    assert metrics.mpjpe(1.1 * true, true) > 1.0


def test_a_better_fit_than_procrustes_is_not_found_by_search() -> None:
    true, found = joints(1, 1), joints(1, 2)
    best = ((metrics.procrustes(found, true) - true) ** 2).sum()
    fitted = metrics.procrustes(found, true)
    rng = np.random.default_rng(0)
    for _ in range(200):
        turn = rot.from_axis_angle(rng.normal(0, 0.02, 3))
        near = rng.normal(1.0, 0.01) * rot.rotate(turn, fitted) + rng.normal(0, 0.005, 3)
        assert ((near - true) ** 2).sum() >= best - 1e-9


def test_velocity_acceleration_and_jerk_in_their_units() -> None:
    true = np.zeros((30, 17, 3))
    times = np.arange(30) / FPS
    found = true.copy()
    found[:, 1, 0] = times  # one joint of 17 at 1 m/s
    assert metrics.mpjve(found, true) == pytest.approx(1000.0 / FPS / 17)
    assert metrics.acceleration_error(found, true, FPS) == pytest.approx(0.0, abs=1e-6)
    found[:, 1, 0] = times**3
    assert metrics.jerk(found, FPS) == pytest.approx(6.0 / 16)
    found[:, 1, 0] = times**2
    assert metrics.acceleration_error(found, true, FPS) == pytest.approx(2.0 / 17)
    moved = found + 3.0 * times[:, None, None]  # the hip takes everybody along
    assert metrics.mpjve(moved, found) == pytest.approx(0.0, abs=1e-9)


def test_a_path_is_measured_in_bodies() -> None:
    """A giant far away is a person near by; a body that goes another way is not."""
    points = to_human36m(body_points(dance())[0])
    assert metrics.path_error(2.0 * points + [1.0, 2.0, 3.0], points) == pytest.approx(0.0, abs=1e-6)
    drift = points + np.linspace(0.0, 0.4, 90)[:, None, None] * [1.0, 0.0, 0.0]
    assert metrics.path_error(drift, points) == pytest.approx(100.0, rel=0.02)


def test_a_clip_is_turned_as_one() -> None:
    points = to_human36m(body_points(dance())[0])
    turned = 1.3 * rot.rotate(rot.from_axis_angle([0.3, 2.0, -1.0]), points) + [0.0, 1.0, 5.0]
    again = metrics.turned_alike(turned, points)
    assert metrics.mpjpe(again, points) < 1e-6
    assert metrics.path_error(again, points) < 1e-6
    spun = rot.rotate(rot.from_axis_angle(np.linspace(0, 3, 90)[:, None, None] * [0.0, 0.0, 1.0]), points)
    assert metrics.mpjpe(metrics.turned_alike(spun, points), points) > 50.0  # each frame by itself would fit


def test_bones_that_change_their_length_are_told_from_bones_that_turn() -> None:
    points, _ = body_points(dance())
    head_and_trunk = to_human36m(points)
    assert metrics.bone_spread(np.repeat(head_and_trunk[:1], 5, axis=0)) == pytest.approx(0.0)
    breathing = head_and_trunk[:1] * (1.0 + 0.1 * np.sin(np.arange(40)))[:, None, None]
    lengths = [np.linalg.norm(head_and_trunk[0, b] - head_and_trunk[0, a]) for a, b in metrics.BONES]
    assert metrics.bone_spread(breathing) == pytest.approx(1000 * np.mean(lengths) * 0.1 * np.sin(np.arange(40)).std())
    assert len(metrics.BONES) == 16
    assert {b for _, b in metrics.BONES} == set(range(1, 17))


# -- sets ---------------------------------------------------------------------------------------------


def test_ideal_clips_are_the_same_each_time_and_true() -> None:
    clips, again = list(ideal_clips("a", dance())), list(ideal_clips("a", dance()))
    assert len(clips) == CAMERAS
    for clip, other in zip(clips, again, strict=True):
        assert np.array_equal(clip.points, other.points)
        assert clip.truth is not None
        assert clip.truth.shape == (90, 17, 3)
        # The truth lies where the points were seen: the same rays, whatever the lens.
        rays = clip.truth[..., :2] / clip.truth[..., 2:]
        wrist = clip.points[:, POINTS.index("left_wrist")] - np.divide(clip.size, 2)
        focal = wrist / rays[:, HUMAN36M.index("left_wrist")]
        assert np.allclose(focal, focal[0, 0], rtol=1e-6)
    assert len({clip.points.tobytes() for clip in clips}) == CAMERAS
    assert not np.array_equal(clips[0].points, next(iter(ideal_clips("b", dance()))).points)
    assert len(list(ideal_clips("long", dance(2000)))) == 3 * CAMERAS


def test_what_is_held_out_is_measured_alone(tmp_path: Path) -> None:
    names = [f"take{i}" for i in range(40)]
    (tmp_path / "walks").mkdir()
    for number, name in enumerate(names[:12]):
        save_motion(tmp_path / "walks" / f"{name}.npz", dance(70, number))
    everything = {c.name.split("/")[0] for s in recorded_sets(tmp_path, everything=True, skip=print) for c in s.clips}
    held = {c.name.split("/")[0] for s in recorded_sets(tmp_path, skip=print) for c in s.clips}
    assert len(everything) == 12
    assert held == {name for name in everything if held_out(name)}


def aist_folder(folder: Path, frames: int = 61, cameras: int = 2) -> list[np.ndarray]:
    """A dance as AIST++ stores it, seen without error; the points in each camera's frame, at 60 frames a second."""
    motion = dance(frames)
    world = body_points(Motion(60.0, motion.root, motion.rotations, motion.contacts))[0][:, :17]
    kept, seen, described = [], [], []
    for number in range(cameras):
        position = np.array([3.5 * np.cos(number), 3.5 * np.sin(number), 1.5])
        turn = look(position, np.array([0.0, 0.0, 1.0]))
        there = (world - position) @ turn.T
        kept.append(there)
        pixels = there[..., :2] / there[..., 2:] * 1400.0 + [960.0, 540.0]
        seen.append(np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 0.8)], axis=-1))
        described.append(
            {
                "name": f"c{number:02}",
                "size": [1920, 1080],
                "matrix": [[1400.0, 0.0, 960.0], [0.0, 1400.0, 540.0], [0.0, 0.0, 1.0]],
                "distortions": [0.0] * 5,
                "rotation": rot.to_axis_angle(rot.from_matrix(turn)).tolist(),
                "translation": (-100.0 * turn @ position).tolist(),
            }
        )
    folder.mkdir(parents=True, exist_ok=True)
    detected = np.stack(seen)
    detected[0, 5] = np.nan
    arrays = {"keypoints2d": detected, "keypoints3d": 100.0 * world, "fps": np.array(60.0)}
    np.savez(folder / "gXX_d01.npz", **{name: value.astype(np.float32) for name, value in arrays.items()})
    (folder / "gXX_d01.cameras.json").write_text(json.dumps(described))
    return kept


def test_aist_dances_are_read_in_each_cameras_frame(tmp_path: Path) -> None:
    kept = aist_folder(tmp_path / "aist")
    clips = aist_clips(tmp_path / "aist" / "gXX_d01.cameras.json")
    assert [clip.name for clip in clips] == ["gXX_d01/c00", "gXX_d01/c01"]
    for clip, true in zip(clips, kept, strict=True):
        assert clip.truth is not None
        assert np.abs(clip.truth - to_human36m(true[::2])).max() < 1e-4
        assert (clip.size, len(clip.times)) == ((1920, 1080), 61)
    assert clips[0].confidence[5].max() == 0.0
    assert np.isfinite(clips[0].points).all()
    assert clips[1].confidence.min() == pytest.approx(0.8)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "gXX_d01.cameras.json").write_text("[]"),
        lambda folder: (folder / "gXX_d01.cameras.json").write_text('[{"name": "c"}]'),
        lambda folder: (folder / "gXX_d01.cameras.json").write_text("no json"),
        lambda folder: (folder / "gXX_d01.cameras.json").write_text("3"),
        lambda folder: (folder / "gXX_d01.npz").unlink(),
        lambda folder: (folder / "gXX_d01.npz").write_bytes(b"no zip"),
        lambda folder: np.savez(folder / "gXX_d01.npz", keypoints2d=np.zeros(3), keypoints3d=np.zeros(3), fps=60.0),
    ],
)
def test_a_damaged_aist_dance_is_refused_in_a_sentence(tmp_path: Path, spoil) -> None:  # type: ignore[no-untyped-def]
    aist_folder(tmp_path)
    spoil(tmp_path)
    with pytest.raises(StepsmithError) as error:
        aist_clips(tmp_path / "gXX_d01.cameras.json")
    assert "gXX_d01" in str(error.value)


# -- measuring ----------------------------------------------------------------------------------------


def test_a_perfect_lifter_errs_by_nothing_and_a_worse_one_by_what_it_errs(tmp_path: Path) -> None:
    kept = [true[::2] for true in aist_folder(tmp_path)]
    clips = aist_clips(tmp_path / "gXX_d01.cameras.json")
    lifters = {OURS: (Knowing(clips, kept), True), "noisy": (Knowing(clips, kept, 0.02), False)}
    report = measure_set(TestSet("x", "X", clips), lifters)
    ours, noisy = report.systems[OURS], report.systems["noisy"]
    assert ours["mpjpe"].value < 0.1
    assert ours["acceleration_error"].value < 0.1
    # Two joints' noise in each of the distances from the hip; the mean of a Chi distribution with 3 degrees.
    assert 20 * 1.6 * 0.9 < noisy["mpjpe"].value < 20 * 1.6 * np.sqrt(2)
    assert noisy["p_mpjpe"].value < noisy["mpjpe"].value
    assert noisy["p_mpjpe"].low <= noisy["p_mpjpe"].value <= noisy["p_mpjpe"].high
    assert noisy["jerk"].value > 10 * ours["jerk"].value
    assert ours["path_error"].value < 0.1
    # Another skeleton, that is rigid, but the same dance.
    performance = report.systems[PERFORMANCE]
    assert performance["bone_spread"].value < 4.0  # the trunk bends, and collars move
    assert ours["p_mpjpe"].value < performance["p_mpjpe"].value < 60.0
    assert performance["mpjpe"].value < 80.0
    assert performance["path_error"].value < 60.0
    assert np.isnan(report.systems[TRUTH]["mpjpe"].value)
    assert report.systems[TRUTH]["jerk"].value == pytest.approx(ours["jerk"].value, rel=0.01)
    assert lifters[OURS][0].flips == [True, True]
    assert lifters["noisy"][0].flips == [False, False]


def test_a_lifter_is_compared_with_mediapipe_clip_by_clip(tmp_path: Path) -> None:
    kept = [true[::2] for true in aist_folder(tmp_path)]
    rng = np.random.default_rng(1)
    clips = []
    for clip, spread in zip(aist_clips(tmp_path / "gXX_d01.cameras.json"), (0.0, 0.05), strict=True):
        assert clip.truth is not None
        world = clip.truth + rng.normal(0, 1, clip.truth.shape) * spread
        clips.append(Clip(clip.name, clip.times, clip.points, clip.confidence, clip.size, clip.truth, world))
    report = measure_set(TestSet("x", "X", clips), {OURS: (Knowing(clips, kept, 0.01), True)})
    assert report.systems[OURS]["closer"].value == 0.5
    assert report.systems[OURS]["quieter"].value == 0.5
    assert "closer" not in report.systems[MEDIAPIPE]


def test_without_a_truth_there_are_the_figures_that_need_none() -> None:
    figures = measure(joints(), None)
    assert np.isnan(figures["p_mpjpe"])
    assert figures["jerk"] > 0


# -- several cameras ----------------------------------------------------------------------------------


def film_cameras() -> list[FilmCamera]:
    found = []
    for number in range(4):
        position = np.array([4.0 * np.cos(1.4 * number), 4.0 * np.sin(1.4 * number), 1.6])
        turn = look(position, np.array([0.0, 0.0, 1.0]), 0.2 * number)
        found.append(
            FilmCamera(
                f"cam{number}",
                turn,
                position,
                np.array([1650.0, 1660.0]),
                np.array([535.0, 955.0]),
                np.array([-0.05, 0.14, 0.0006, -0.0005]),
            )
        )
    return found


def film(camera: FilmCamera, world: np.ndarray) -> np.ndarray:
    """Pixels through the lens, by Brown's model as it is written down."""
    seen = camera.see(world)
    x, y = np.moveaxis(seen[..., :2] / seen[..., 2:], -1, 0)
    k1, k2, p1, p2 = camera.distortion
    r2 = x * x + y * y
    bend = 1 + k1 * r2 + k2 * r2 * r2
    bent = [x * bend + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * bend + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y]
    return np.stack(bent, axis=-1) * camera.focal + camera.centre


def test_a_lens_is_undone() -> None:
    world = body_points(dance(5))[0]
    for camera in film_cameras():
        seen = camera.see(world)
        assert np.abs(camera.rays(film(camera, world)) - seen[..., :2] / seen[..., 2:]).max() < 1e-7


def test_the_truth_is_found_among_errors_swaps_and_a_camera_that_was_moved() -> None:
    cameras = film_cameras()
    motion = dance(36)
    world = body_points(motion)[0]
    rng = np.random.default_rng(0)
    pixels = np.stack([film(camera, world) for camera in cameras]) + rng.normal(0, 2.0, (4, 36, 25, 2))
    pixels[1, 20:32] = pixels[1, 20:32][:, list(MIRROR)]  # one camera takes left for right
    wild = rng.random(pixels.shape[:3]) < 0.04
    pixels[wild] += rng.normal(0, 150, (int(wild.sum()), 2))
    pixels[3, 5:10] = np.nan
    turn = rot.to_matrix(rot.from_axis_angle([0.006, -0.008, 0.004]))
    believed = list(cameras)
    moved = cameras[2]
    believed[2] = FilmCamera(
        moved.name, turn @ moved.rotation, moved.position, moved.focal, moved.centre, moved.distortion
    )
    places, found = reconstruct(believed, pixels, 30.0)
    off = metrics.p_mpjpe(to_human36m(places), to_human36m(world))
    assert off < 12.0
    true, seen = (to_human36m(c.see(w)) for c, w in ((cameras[0], world), (found[0], places)))
    assert metrics.mpjpe(seen, true) < 30.0
    # The camera that was moved sees again what it saw.
    misses = [np.linalg.norm(film(c, places) - film(moved, world), axis=-1) for c in (believed[2], found[2])]
    assert np.median(misses[1]) < 4.0 < 8.0 < np.median(misses[0])


QUALISYS = """<?xml version='1.0' encoding='ASCII'?>
<calibration><cameras>
{}
</cameras></calibration>"""
CAMERA = """<camera serial="cam{number}">
<transform r11="{r[0][0]}" r12="{r[0][1]}" r13="{r[0][2]}" r21="{r[1][0]}" r22="{r[1][1]}" r23="{r[1][2]}"
 r31="{r[2][0]}" r32="{r[2][1]}" r33="{r[2][2]}" x="{p[0]}" y="{p[1]}" z="{p[2]}"/>
<intrinsic centerPointU="{c[0]}" centerPointV="{c[1]}" focalLengthU="{f[0]}" focalLengthV="{f[1]}" focallength="none"
 radialDistortion1="{d[0]}" radialDistortion2="{d[1]}" tangentalDistortion1="{d[2]}" tangentalDistortion2="{d[3]}"/>
</camera>"""


def qualisys(cameras: list[FilmCamera]) -> str:
    return QUALISYS.format(
        "".join(
            CAMERA.format(
                number=i,
                r=np.diag([1.0, -1.0, -1.0]) @ c.rotation,
                p=1000 * c.position,
                c=64 * c.centre,
                f=64 * c.focal,
                d=c.distortion,
            )
            for i, c in enumerate(cameras)
        )
    )


def test_a_qualisys_calibration_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.qca.txt").write_text(qualisys(film_cameras()))
    world = body_points(dance(3))[0]
    for camera, expected in zip(read_qualisys(tmp_path / "a.qca.txt"), film_cameras(), strict=True):
        assert np.allclose(film(camera, world), film(expected, world), atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<calibration/>",
        qualisys(film_cameras()[:1]),
        qualisys(film_cameras()).replace("r23", "r99"),
        qualisys(film_cameras()).replace(' z="', ' z="x'),
        '<!DOCTYPE a [<!ENTITY b "c">]>' + qualisys(film_cameras()).partition("?>")[2],
        "ä",
    ],
)
def test_another_file_is_no_calibration(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.qca.txt").write_text(text, encoding="utf-8")
    with pytest.raises(StepsmithError, match=r"a\.qca\.txt is no calibration"):
        read_qualisys(tmp_path / "a.qca.txt")


# -- the command --------------------------------------------------------------------------------------


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with an AIST++ dance, and a lifter in place of Stepsmith's that knows it."""
    kept = [true[::2] for true in aist_folder(tmp_path / "data" / "aist")]
    clips = aist_clips(tmp_path / "data" / "aist" / "gXX_d01.cameras.json")
    monkeypatch.setattr("stepsmith.backend.evaluate.lifter.load_lifter", lambda *_, **__: Knowing(clips, kept))
    return tmp_path / "data"


def test_the_command_prints_a_table_and_writes_all_figures(known: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = ["lifter", "--data", str(known), "--json", str(out), "--plots", str(tmp_path / "plots"), "--no-speed"]
    result = CliRunner().invoke(evaluate_app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "P-MPJPE" in result.stdout
    assert "aist, real detections of each camera (2 clips)" in result.stdout
    written = json.loads(out.read_text())
    figures = written["sets"]["aist"]["systems"]
    assert figures["lifter"]["p_mpjpe"] < 0.1
    assert figures["truth"]["p_mpjpe"] is None
    each = [clip["lifter"]["mpjve"] for clip in written["sets"]["aist"]["by_clip"].values()]
    assert np.mean(each) == pytest.approx(figures["lifter"]["mpjve"])
    low, high = figures["lifter"]["intervals"]["mpjve"]
    assert low <= figures["lifter"]["mpjve"] <= high
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"lifter.png", "poses-aist.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "plots").iterdir())


def test_a_published_checkpoint_is_measured_like_stepsmiths_own(tmp_path: Path) -> None:
    aist_folder(tmp_path / "aist")
    network = TemporalNetwork(34, 51, 16, (3, 3), causal=True)
    torch.save({"model_pos": network.state_dict(), "epoch": 1}, tmp_path / "causal.bin")
    report = evaluate_lifters(tmp_path, weights=tmp_path / "causal.bin", causal=True, videos=False, speed=False)
    figures = report.sets["aist"].systems[OURS]
    assert figures["p_mpjpe"].value > 10.0
    assert all(np.isfinite(figures[key].value) for key in ("mpjpe", "mpjve", "jerk", "bone_spread"))
    assert report.facts["lifter"] == str(tmp_path / "causal.bin")


def test_speed_is_told_for_each_way_to_lift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepsmith.backend.evaluate.lifter._SPEED_FRAMES", 300)

    class Slow:
        def lift(self, times, *_, flip=True, **__) -> None:  # type: ignore[no-untyped-def]
            time.sleep(len(times) * (4e-4 if flip else 2e-4))

    speed = lifter_speed({OURS: (Slow(), True), "no flip": (Slow(), False)})  # type: ignore[dict-item]
    assert speed["no flip"] == pytest.approx(5000.0, rel=0.2)
    assert speed[OURS] == pytest.approx(2500.0, rel=0.2)
    assert 0 < speed[REFERENCE] < np.inf


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "missing"], "There is no folder missing"),
        (["--data", "empty"], "holds no recorded motion"),
        (["--data", "empty", "--json", "nowhere/a.json"], "The folder of nowhere"),
        (["--data", "empty", "--lifter", "missing.bin"], "missing"),
    ],
)
def test_what_is_wrong_is_said_first(
    arguments: list[str], said: str, known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--lifter" in arguments:
        monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StepsmithError, match=said):
        CliRunner().invoke(evaluate_app, ["lifter", *arguments], catch_exceptions=False)


def test_a_calibration_without_its_videos_is_noted_and_left_out(known: Path) -> None:
    pytest.importorskip("mediapipe")
    (known / "films").mkdir()
    (known / "films" / "a.qca.txt").write_text(qualisys(film_cameras()))
    report = evaluate_lifters(known, speed=False)
    assert list(report.sets) == ["aist"]
    assert "0 videos lie beside" in report.notes[0]
    assert report.notes[0] in markdown(report)
    assert as_json(report)["notes"] == report.notes


def test_a_video_that_can_not_be_captured_costs_no_other_figure(
    known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mediapipe")
    monkeypatch.setattr("stepsmith.backend.evaluate.lifter._frames_a_second", lambda *_: 1000.0)
    (known / "empty.mp4").write_bytes(b"no video at all")
    out = tmp_path / "out.json"
    arguments = ["lifter", "--data", str(known), "--json", str(out)]
    result = CliRunner().invoke(evaluate_app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    written = json.loads(out.read_text())
    assert written["sets"]["aist"]["systems"]["lifter"]["p_mpjpe"] < 0.1
    assert set(written["speed"]) == {OURS, "lifter, no flip", "causal", REFERENCE}
    (untimed,) = [note for note in written["notes"] if note.startswith("The whole way was not timed: ")]
    assert "empty.mp4" in untimed
    assert untimed in result.stdout
    assert "from the video to the performance" not in result.stdout


@pytest.mark.data
@pytest.mark.slow
def test_mediapipes_figures_on_the_calibrated_videos(tmp_path: Path) -> None:
    films = REAL / "video" / "pose2sim"
    if not films.is_dir():
        pytest.skip("the calibrated videos are not there")
    pytest.importorskip("mediapipe")
    from stepsmith.backend.evaluate.lifter_videos import filmed_together

    shutil.copytree(films, tmp_path / "films")
    clips = filmed_together(tmp_path / "films" / "Calib.qca.txt", lambda *_: None)
    assert len(clips) == 4
    for clip in clips:
        assert clip.truth is not None
        assert clip.world is not None
        assert len(clip.truth) == len(clip.world) == 50
        legs = np.linalg.norm(clip.truth[:, 3] - clip.truth[:, 2], axis=-1)
        assert 0.3 < legs.mean() < 0.5
        assert metrics.p_mpjpe(clip.world, clip.truth) < 140.0
