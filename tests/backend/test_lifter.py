"""The lifter: its cameras, the errors it learns from, its network, and what it makes of a stretch of video."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from stepsmith.backend.dance.sources import DataError
from stepsmith.backend.evaluate.lifter import CAUSAL_WEIGHTS
from stepsmith.backend.measures.anatomy import MARGIN, RANGES, joint_angles
from stepsmith.backend.pose.landmarks import COCO, MEDIAPIPE, MIRROR, POINTS, to_human36m
from stepsmith.backend.pose.lifter import bodies, camera, examples, noise
from stepsmith.backend.pose.lifter import train as training
from stepsmith.backend.pose.lifter import vary as vary_module
from stepsmith.backend.pose.lifter.data import FPS, Library, Recording, held_out, load_recordings
from stepsmith.backend.pose.lifter.invent import invent
from stepsmith.backend.pose.lifter.lift import Lifter
from stepsmith.backend.pose.lifter.network import TemporalNetwork, fold, widen
from stepsmith.backend.pose.lifter.published import load_lifter
from stepsmith.backend.pose.lifter.shapes import INPUTS, OUTPUTS
from stepsmith.backend.pose.lifter.train import Stage, TrainConfig, Trainer, train
from stepsmith.backend.pose.lifter.vary import vary
from stepsmith.backend.pose.lifter.weights import FORMAT, LifterError, load_network, save_network
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion

SEEDS = st.integers(0, 2**31)


def swinging(frames: int = 90) -> Motion:
    """Somebody who walks along y while arms and legs swing."""
    t = np.arange(frames) / 30.0
    turns = np.zeros((frames, 24, 3))
    for joint, axis, size in ((1, 0, 0.5), (2, 0, -0.5), (16, 1, 1.1), (17, 1, -0.8), (18, 2, 0.7), (4, 0, 0.4)):
        turns[:, joint, axis] = size * np.sin(2.0 * np.pi * t + joint)
    root = np.stack([0.1 * np.sin(t), -0.3 * t, np.full(frames, 0.95)], axis=1)
    return Motion(30.0, root, rot.from_axis_angle(turns), np.zeros((frames, 4)))


def recording(frames: int = 90) -> Recording:
    motion = swinging(frames)
    return Recording("swing", bodies.turns(motion.rotations).astype(np.float32), np.float32(motion.root))


def windows(turns: np.ndarray, count: int) -> np.ndarray:
    """(24, N, T, 3, 3): so many times the same of (24, T, 3, 3)."""
    return np.stack([turns] * count, axis=1)


def random_network(widths: tuple[int, ...] = (3, 3), causal: bool = False) -> TemporalNetwork:
    torch.manual_seed(1)
    network = TemporalNetwork(INPUTS, OUTPUTS, 16, widths, causal)
    with torch.no_grad():
        for norm in (network.expand_bn, *network.layers_bn):
            norm.running_mean.normal_(0.0, 0.2)
            norm.running_var.uniform_(0.5, 2.0)
            norm.weight.uniform_(0.5, 1.5)
    return network.eval()


def test_points_have_names_of_mediapipe_and_partners() -> None:
    assert len(MEDIAPIPE) == 33
    assert POINTS[MIRROR[POINTS.index("left_toe")]] == "right_toe"
    assert MIRROR[POINTS.index("nose")] == POINTS.index("nose")


def test_human36m_takes_its_joints_from_coco() -> None:
    points = np.random.default_rng(0).normal(size=(5, len(POINTS), 3))
    joints = to_human36m(points)
    assert joints.shape == (5, 17, 3)
    np.testing.assert_allclose(joints[:, 0], (points[:, 11] + points[:, 12]) / 2)
    np.testing.assert_allclose(joints[:, 16], points[:, POINTS.index("right_wrist")])
    np.testing.assert_array_equal(joints, to_human36m(points[:, :COCO]))


def test_joints_are_those_of_the_motion() -> None:
    motion = swinging()
    points, joints = bodies.body_points(motion)
    np.testing.assert_allclose(joints, motion.positions(), atol=1e-9)
    np.testing.assert_allclose(points[:, POINTS.index("left_knee")], joints[:, 4])


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_bodies_are_symmetric_and_human(seed: int) -> None:
    three = bodies.random_bodies(np.random.default_rng(seed), 3)
    body = bodies.Body(three.offsets[1], three.places[1])
    still = Motion(30.0, np.zeros((1, 3)), np.tile([1.0, 0, 0, 0], (1, 24, 1)), np.zeros((1, 4)))
    points, joints = bodies.body_points(still, body)
    sided = [i for i in range(len(POINTS)) if MIRROR[i] != i]
    np.testing.assert_allclose(points[0, sided], points[0, np.array(MIRROR)[sided]] * [-1, 1, 1], atol=1e-9)
    assert 1.0 < np.ptp(points[0, :, 2]) < 2.4
    assert joints[0, 4, 2] < joints[0, 1, 2] < joints[0, 12, 2]


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_cameras_see_somebody_the_right_way_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, _ = bodies.body_points(swinging())
    shots = camera.random_cameras(rng, np.stack([swinging().root] * 4))
    np.testing.assert_allclose(
        shots.rotation @ np.swapaxes(shots.rotation, 1, 2), np.tile(np.eye(3), (4, 1, 1)), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(shots.rotation), 1.0)
    seen = shots.see(np.stack([points] * 4))
    assert (seen[..., 2] > 0.3).all()
    pixels = shots.project(seen)
    head, feet = pixels[:, :, 0, 1].mean(axis=1), pixels[:, :, 15:17, 1].mean(axis=(1, 2))
    assert (feet > head + 0.1 * shots.size[:, 1]).all()


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_a_view_shows_what_a_turned_camera_would(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, _ = bodies.body_points(swinging())
    shots = camera.random_cameras(rng, np.stack([swinging().root] * 2))
    seen = shots.see(np.stack([points] * 2))
    pixels = shots.project(seen)
    view = camera.find_view(pixels, np.ones(pixels.shape[:-1]), shots.size, shots.focal)
    there = view.from_camera(seen)
    angle = view.angle[..., None, None]
    np.testing.assert_allclose(view.normalise(pixels), there[..., :2] / there[..., 2:] / angle, atol=1e-6)
    np.testing.assert_allclose(view.to_camera(there), seen, atol=1e-9)
    place = there[:, :, 0]
    np.testing.assert_allclose(examples.decode_place(view, examples.encode_place(view, place)), place, atol=1e-9)
    # One camera is the same alone.
    alone = camera.find_view(pixels[1], np.ones(pixels.shape[1:-1]), shots.size[1], shots.focal[1])
    np.testing.assert_allclose(alone.normalise(pixels[1]), view.normalise(pixels)[1])
    assert np.abs(view.normalise(pixels)).max() < 3.0


def test_nobody_seen_still_has_a_view() -> None:
    view = camera.find_view(np.zeros((4, 25, 2)), np.zeros((4, 25)), np.array([640.0, 480.0]), np.array(640.0))
    assert np.isfinite(view.normalise(np.zeros((4, 25, 2)))).all()


@pytest.mark.parametrize("detector", [noise.MEDIAPIPE_LIKE, noise.COCO_LIKE])
def test_detectors_err_as_stated(detector: noise.Detector) -> None:
    rng = np.random.default_rng(3)
    position = np.array([0.0, -4.0, 1.2])
    rotation = camera.look(position, np.array([0.0, 0.0, 0.9]))
    shot = camera.Camera(rotation, position, np.array(900.0), np.array([1920.0, 1080.0]))
    points = shot.see(bodies.body_points(swinging(3000))[0] * [1, 0, 1])
    pixels = shot.project(points)
    found, confidence = (part[0] for part in noise.detect(rng, detector, points[None], pixels[None], shot.size[None]))
    given_ = confidence > 0.0
    assert not given_[:, detector.points :].any()
    assert 0.9 < given_[:, : detector.points].mean() < 1.0
    off = np.linalg.norm(found - pixels, axis=-1)[given_] / np.median(np.ptp(pixels, axis=1).max(axis=1))
    assert 0.005 < np.median(off) < 0.05
    assert 0.0 < (off > 0.06).mean() < 0.2
    assert ((confidence >= 0.0) & (confidence <= 1.0)).all()


def test_examples_are_the_same_for_the_same_seed_and_mark_what_is_not_there() -> None:
    library = Library.of([recording(40)])
    one, two = (examples.make_examples(np.random.default_rng(5), library, 6, 100) for _ in range(2))
    np.testing.assert_array_equal(one.inputs, two.inputs)
    assert one.inputs.shape == (6, 100, INPUTS)
    for inputs, valid in zip(one.inputs, one.valid > 0.0, strict=True):
        (there,) = np.nonzero(valid)
        assert (inputs[: there[0]] == inputs[there[0]]).all()
        assert (inputs[there[-1] :] == inputs[there[-1]]).all()
    assert all(np.isfinite(part).all() for part in (one.inputs, one.shape, one.place, one.up))
    np.testing.assert_allclose(np.linalg.norm(one.up, axis=-1), 1.0, atol=1e-5)


@pytest.mark.parametrize("speed", [1.0, 0.4, -1.7])
def test_windows_are_played_as_fast_as_asked_and_say_where_the_recording_ends(speed: float) -> None:
    """Turning evenly, and walking: at another speed both are faster, or backwards."""
    frames = np.arange(120.0)
    root = np.stack([frames, np.zeros(120), np.ones(120)], axis=1)
    angles = np.zeros((120, 24, 3))
    angles[:, 0, 2] = 0.02 * frames
    library = Library.of([Recording("turning", bodies.turns(rot.from_axis_angle(angles)), root)])
    turns, root, valid = library.draw(np.random.default_rng(2), np.full(50, speed), 31)
    both = (valid[:, 1:] * valid[:, :-1]).astype(bool)
    np.testing.assert_allclose(np.diff(root[..., 0], axis=1)[both], speed, atol=1e-6)
    heading = np.arctan2(turns[0, ..., 1, 0], turns[0, ..., 0, 0])
    np.testing.assert_allclose(heading, 0.02 * root[..., 0], atol=1e-4)
    assert (valid[:, 15] == 1.0).all()
    assert (valid.min(axis=1) == 0.0).any()
    assert np.isin(root[..., 0][valid == 0.0], [0.0, 119.0]).all()


def test_invented_movement_is_of_human_joints_on_the_floor() -> None:
    invented = list(invent(np.random.default_rng(3), 1000.0))
    assert 1000 <= sum(map(len, invented)) < 2000
    for one in invented:
        for name, angles in joint_angles(rot.from_matrix(np.swapaxes(one.turns, 0, 1))).items():
            out = np.maximum(RANGES[name][0] - angles, angles - RANGES[name][1]) > MARGIN
            # Hips and shoulders, which turn every way, may leave their ranges between two poses.
            assert out.mean() < (0.1 if name.startswith(("hip", "shoulder")) else 0.001), name
        joints = bodies.pose(bodies.STANDARD, one.turns, one.root)[1]
        assert joints[..., 2].min() > 0.0
        assert np.median(joints[..., 2].min(axis=1)) < 0.1
        assert np.linalg.norm(np.diff(joints, axis=0), axis=-1).max() * FPS < 20.0  # m/s
    assert np.abs(invented[0].turns - invented[1].turns).max(axis=(0, 2, 3)).min() > 0.1


def test_invented_feet_stand_where_they_are_put_down() -> None:
    made = [bodies.pose(bodies.STANDARD, one.turns, one.root)[1] for one in invent(np.random.default_rng(4), 6000.0)]
    still = np.concatenate([np.linalg.norm(np.diff(joints, axis=0), axis=-1) * FPS for joints in made]) < 0.1
    pelvis, balls = still[:, 0].mean(), still[:, [10, 11]].mean(axis=0)
    assert (balls > 2.5 * pelvis).all()
    heights = np.concatenate(made)[:, [10, 11], 2]
    assert ((heights < 0.1).mean(axis=0) > 0.5).all()


def test_mirroring_turns_is_mirroring_the_motion() -> None:
    motion = swinging()
    turns, root = examples.mirrored(bodies.turns(motion.rotations), np.array(motion.root))
    points, joints = bodies.pose(bodies.STANDARD, turns, root)
    np.testing.assert_allclose(joints, motion.mirror().positions(), atol=1e-9)
    np.testing.assert_allclose(points, bodies.body_points(motion)[0][:, list(MIRROR)] * [-1, 1, 1], atol=1e-9)


@pytest.mark.parametrize(("widths", "field"), [((3, 3), 9), ((3, 3, 3, 3, 3), 243)])
def test_the_field_is_the_product_of_the_widths(widths: tuple[int, ...], field: int) -> None:
    network = random_network(widths)
    assert network.field == field
    assert network(torch.zeros(1, field + 4, INPUTS)).shape == (1, 5, OUTPUTS)


@pytest.mark.parametrize("causal", [False, True])
def test_a_frame_is_made_of_its_field_alone(causal: bool) -> None:
    network = random_network((3, 3, 3), causal)
    x = torch.randn(1, 100, INPUTS)
    changed = x.clone()
    changed[:, 50] += 1.0
    moved = (network(x) != network(changed)).any(dim=-1)[0].nonzero()[:, 0]
    # Output i is frame i + before.
    frames = moved + network.before
    assert frames.min() == (50 if causal else 50 - 13)
    assert frames.max() == (50 + 26 if causal else 50 + 13)


def test_folding_changes_no_number() -> None:
    network = random_network()
    x = torch.randn(2, 40, INPUTS)
    torch.testing.assert_close(fold(network)(x), network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_widening_changes_no_number(causal: bool) -> None:
    network = random_network((3, 3, 1, 1), causal)
    wider = widen(network, (3, 3, 3, 3)).eval()
    x = torch.randn(1, 100, INPUTS)
    before = wider.before - network.before
    made = wider(x)
    assert wider.field == 81
    torch.testing.assert_close(made, network(x)[:, before : before + made.shape[1]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_one_frame_by_strides_is_the_same_as_by_dilations(causal: bool) -> None:
    network = random_network((3, 3, 1, 3), causal)
    x = torch.randn(2, network.field + 1, INPUTS)
    torch.testing.assert_close(network(x[:, :-1]), network(x)[:, :1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(x[:, 1:]), network(x)[:, 1:], rtol=1e-4, atol=1e-5)


def test_weights_are_read_as_written(tmp_path: Path) -> None:
    network = random_network()
    save_network(tmp_path / "lifter.safetensors", network, {"licence": "none"})
    x = torch.randn(1, 30, INPUTS)
    torch.testing.assert_close(load_network(tmp_path / "lifter.safetensors")(x), network(x), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x10" + b"\x00" * 7 + b'{"a": 1}' + b" " * 20])
def test_damaged_weights_are_told_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(LifterError, match=r"^[^.]*bad\.safetensors[^.]*\.$"):
        Lifter.load(path)


@pytest.mark.parametrize(
    "config",
    [
        '{"widths": [99999999, 3], "causal": false}',
        '{"widths": [], "causal": false}',
        '{"widths": [3], "causal": false}',
        '{"widths": "3"}',
        "7",
    ],
)
def test_weights_whose_header_claims_another_network_are_refused(tmp_path: Path, config: str) -> None:
    path = tmp_path / "odd.safetensors"
    state = {name: value for name, value in random_network().state_dict().items() if value.is_floating_point()}
    save_file(state, path, metadata={"format": FORMAT, "config": config})
    with pytest.raises(LifterError, match=r"odd\.safetensors are damaged"):
        load_network(path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    network = random_network()
    network.shrink.weight.data[0, 0] = torch.nan
    save_network(tmp_path / "lost.safetensors", network, {})
    with pytest.raises(LifterError, match=r"lost\.safetensors are damaged"):
        load_network(tmp_path / "lost.safetensors")


def test_filmed_motions_are_kept_for_measuring(tmp_path: Path) -> None:
    for folder in ("mocap", "filmed"):
        (tmp_path / folder).mkdir()
        for k in range(2):
            save_motion(tmp_path / folder / f"{folder}{k}.npz", swinging(120))
    (tmp_path / "filmed" / "filmed0.cameras.json").write_text("[]")
    names = [recording.name for recording in load_recordings(tmp_path)]
    assert names
    assert all("mocap" in name for name in names)


def test_what_holds_no_motion_to_learn_from_is_refused(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").touch()
    for place in ("nowhere", "song.mp3"):
        with pytest.raises(DataError, match=f"{place} is no folder or zip"):
            load_recordings(tmp_path / place)
    with pytest.raises(DataError, match="holds no motion"):
        load_recordings(tmp_path)


def test_a_zip_of_motions_is_learnt_from(tmp_path: Path) -> None:
    name = next(f"{take:02d}" for take in range(30) if not held_out(f"salsa-{take:02d}"))
    save_motion(tmp_path / "one.npz", swinging(120))
    with zipfile.ZipFile(tmp_path / "salsa.zip", "w") as archive:
        archive.write(tmp_path / "one.npz", f"{name}.npz")
    assert [recording.name for recording in load_recordings(tmp_path / "salsa.zip")] == [f"salsa-{name}"]


def test_lifting_a_mirrored_picture_gives_the_mirrored_body() -> None:
    lifter = Lifter(random_network())
    times, size = np.arange(60) / 30.0, (800, 600)
    rng = np.random.default_rng(2)
    points = rng.uniform(100, 500, (60, 25, 2))
    confidence = rng.uniform(0.1, 1.0, (60, 25))
    there = lifter.lift(times, points, confidence, size)
    mirror = list(MIRROR)
    flipped = points[:, mirror] * [-1.0, 1.0] + [800.0, 0.0]
    other = lifter.lift(times, flipped, confidence[:, mirror], size)
    np.testing.assert_allclose(other.points[:, mirror] * [-1, 1, 1], there.points, atol=1e-4)
    np.testing.assert_allclose(other.up * [-1, 1, 1], there.up, atol=1e-4)


@pytest.mark.parametrize("count", [COCO, len(POINTS)])
def test_uneven_times_and_gaps_give_even_frames(count: int) -> None:
    lifter = Lifter(random_network())
    rng = np.random.default_rng(4)
    times = 3.0 + np.cumsum(rng.uniform(0.02, 0.06, 80))
    points = rng.uniform(100, 500, (80, count, 2))
    confidence = np.ones((80, count))
    confidence[20:25] = 0.0
    points[20:25] = np.inf  # what is not seen is not looked at
    lifted = lifter.lift(times, points, confidence, (640, 480), fps=25.0, field_of_view=60.0)
    assert len(lifted) == int((times[-1] - times[0]) * 25.0) + 1
    assert lifted.points.shape[1:] == (25, 3)
    assert lifted.joints.shape[1:] == (24, 3)
    assert np.isfinite(lifted.points).all()
    assert np.isfinite(lifted.joints).all()
    assert np.linalg.norm(lifted.up) == pytest.approx(1.0)


def test_every_frame_of_a_fast_video_counts() -> None:
    """What trembles from one to the next of 60 frames a second is not there at 30."""
    lifter = Lifter(random_network())
    times = np.arange(121) / 60.0
    points = np.random.default_rng(1).uniform(100, 500, (1, 25, 2)) + 40.0 * times[:, None, None]
    trembling = points + 5.0 * (-1.0) ** np.arange(121)[:, None, None]
    still, found = (lifter.lift(times, seen, np.ones((121, 25)), (640, 480)) for seen in (points, trembling))
    # At the ends there is nothing beyond to average with.
    np.testing.assert_allclose(found.points[6:-6], still.points[6:-6], atol=0.02)
    assert np.abs(found.points[0] - still.points[0]).max() > 1e-4


def test_long_stretches_are_lifted_in_pieces_without_seams() -> None:
    lifter = Lifter(random_network())
    rng = np.random.default_rng(6)
    points = np.cumsum(rng.normal(0, 1, (2500, 25, 2)), axis=0) + 300.0
    view = camera.find_view(points, np.ones((2500, 25)), np.array([640.0, 480.0]), np.array(600.0))
    inputs = examples.encode(view, points, np.ones((2500, 25)))
    whole, part = lifter._run(inputs), lifter._run(inputs[2000:2100])
    np.testing.assert_allclose(whole[0][2010:2090], part[0][10:90], atol=1e-4)


def test_a_single_frame_is_lifted() -> None:
    lifted = Lifter(random_network()).lift(np.zeros(1), np.full((1, 17, 2), 50.0), np.ones((1, 17)), (100, 100))
    assert len(lifted) == 1


def test_a_resumed_training_is_as_one_without_interruption(tmp_path: Path) -> None:
    config = TrainConfig(stages=(Stage((3, 3, 1), 3, 4, 1), Stage((3, 3, 3), 2, 2, 8)), channels=8)
    whole, first = Trainer([recording()], config, tmp_path / "a"), Trainer([recording()], config, tmp_path / "b")
    for trainer in (whole, first):
        trainer.out.mkdir()
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        _interrupt_after(first, 4)
    (tmp_path / "b" / ".checkpoint.pt.0123abcd.part").touch()  # as a kill leaves it
    second = Trainer([recording()], config, tmp_path / "b")
    assert second.resume()
    second.run()
    assert second.network.field == 27
    assert not list((tmp_path / "b").glob("*.part"))
    for name, value in whole.average.items():
        torch.testing.assert_close(second.average[name], value, msg=name)


def test_a_training_resumed_with_shorter_stages_is_in_the_right_one(tmp_path: Path) -> None:
    long = TrainConfig(stages=(Stage((3, 1), 4, 4, 1), Stage((3, 3), 1, 2, 8)), channels=8)
    short = TrainConfig(stages=(Stage((3, 1), 2, 4, 1), Stage((3, 3), 4, 2, 8)), channels=8)
    first = Trainer([recording()], long, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        _interrupt_after(first, 3)
    second = Trainer([recording()], short, tmp_path)
    assert second.resume()
    second.run()
    assert second.network.widths == (3, 3)
    assert second.step == 6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"causal": True}, "give the same --seed and --causal"),
        ({"seed": 1}, "give the same --seed and --causal"),
        ({"channels": 16}, "was trained otherwise"),
        ({"stages": (Stage((3, 1), 2, 4, 1), Stage((3, 1), 2, 2, 8))}, "was trained otherwise"),
        ({"stages": (Stage((3, 1), 20, 4, 1), Stage((3, 3), 2, 2, 8))}, "give --steps 4 as before"),
    ],
)
def test_a_training_is_not_gone_on_with_as_another(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    config = TrainConfig(stages=(Stage((3, 1), 2, 4, 1), Stage((3, 3), 2, 2, 8)), channels=8)
    Trainer([recording()], config, tmp_path).run()
    with pytest.raises(StepsmithError, match=rf"^[^\n]*checkpoint\.pt [^\n]*{words}[^\n]*\.$"):
        Trainer([recording()], replace(config, **change), tmp_path).resume()
    lower = replace(config, stages=tuple(replace(stage, rate=1e-5) for stage in config.stages))
    assert Trainer([recording()], lower, tmp_path).resume()


def test_a_log_ends_where_the_checkpoint_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_LOG_STEPS", 1)
    config = TrainConfig(stages=(Stage((3, 1), 6, 4, 1),), channels=8)
    first = Trainer([recording()], config, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        _interrupt_after(first, 4)
    first.log.add(5, shape=1.0)
    second = Trainer([recording()], config, tmp_path)
    assert second.resume()
    second.run()
    np.testing.assert_array_equal(second.log.read()["shape"][0], [1, 2, 3, 4, 5, 6])


def test_the_first_row_after_a_resume_is_the_mean_of_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_LOG_STEPS", 4)
    config = TrainConfig(stages=(Stage((3, 1), 8, 4, 1),), channels=8)
    first = Trainer([recording()], config, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        _interrupt_after(first, 6)
    second = Trainer([recording()], config, tmp_path)
    assert second.resume()
    monkeypatch.setattr(second, "_train_step", lambda _: {"shape": 1.0, "speed": 2.0})
    second.run()
    row = {name: values[-1] for name, (_, values) in second.log.read().items()}
    assert (row["shape"], row["speed"]) == (1.0, 2.0)


def test_a_full_disk_is_one_sentence_and_the_checkpoint_stays(
    tmp_path: Path, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    trainer = Trainer([recording()], TrainConfig(stages=(Stage((3, 1), 1, 4, 1),), channels=8), tmp_path)
    trainer.run()
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with full_disk(), pytest.raises(StepsmithError, match=r"^The checkpoint can't be written to .*free some space"):
        trainer.save()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept


@pytest.mark.parametrize("saved", [True, False])
def test_a_loss_that_is_no_number_stops_training_and_leaves_the_checkpoint(
    saved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", 0.0 if saved else 1e6)
    trainer = Trainer([recording()], TrainConfig(stages=(Stage((3, 1), 9, 4, 1),), channels=8), tmp_path)
    step = trainer._train_step

    def stepping(given: examples.Examples) -> dict[str, float]:
        if trainer.step == 5:
            trainer.network.shrink.weight.data.fill_(torch.nan)
        return step(given)

    trainer._train_step = stepping  # type: ignore[method-assign]
    with pytest.raises(StepsmithError, match="resume" if saved else "start again"):
        trainer.run()
    assert (tmp_path / "checkpoint.pt").exists() == saved
    if saved:
        again = Trainer([recording()], trainer.config, tmp_path)
        assert again.resume()
        assert again.step == 5
        assert all(torch.isfinite(value).all() for value in again.network.state_dict().values())


def _interrupt_after(trainer: Trainer, steps: int) -> None:
    """Train so many steps, save, and stop as Ctrl-C does."""
    step = trainer._train_step

    def stepping(given: examples.Examples) -> dict[str, float]:
        if trainer.step == steps:
            trainer.save()
            raise KeyboardInterrupt
        return step(given)

    trainer._train_step = stepping  # type: ignore[method-assign]
    trainer.run()


def test_a_tenth_is_held_out_and_no_other_is_read(tmp_path: Path) -> None:
    names = [f"salsa-{subject:02d}_{take:02d}" for subject in range(30) for take in range(30)]
    assert 0.05 < np.mean([held_out(name) for name in names]) < 0.15
    kept, learnt = (next(n for n in names if held_out(n) == which) for which in (True, False))
    (tmp_path / "salsa").mkdir()
    for name in (kept, learnt):
        save_motion(tmp_path / "salsa" / f"{name.removeprefix('salsa-')}.npz", swinging(120))
    assert [r.name for r in load_recordings(tmp_path, held=True)] == [kept]
    assert [r.name for r in load_recordings(tmp_path)] == [learnt]


def test_varied_bodies_keep_their_lengths_and_differ() -> None:
    rng = np.random.default_rng(8)
    turns = windows(recording().turns[:, :20], 12)
    varied = vary(rng, turns)
    np.testing.assert_allclose(
        varied @ np.swapaxes(varied, -1, -2), np.broadcast_to(np.eye(3), varied.shape), atol=1e-4
    )
    assert (np.abs(varied - turns).max(axis=(0, 2, 3, 4)) > 0.1).all()
    knees = np.linalg.norm(np.diff(varied, axis=2), axis=(-1, -2)).max()
    assert knees < 1.0  # still moves as smoothly


def test_training_resumes_and_gives_weights_that_lift(tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / "mocap").mkdir(exist_ok=True)
        save_motion(tmp_path / "mocap" / f"swing{k}.npz", swinging(120))
    (tmp_path / "mocap" / "broken.bvh").write_text("HIERARCHY nonsense")
    small = TrainConfig(stages=(Stage((3, 1), 2, 4, 1), Stage((3, 3), 2, 2, 8)), channels=8)
    said: list[str] = []
    weights = train(tmp_path / "mocap", tmp_path / "out", small, skip=said.append)
    assert len(Lifter.load(weights).lift(np.arange(9) / 30, np.ones((9, 17, 2)), np.ones((9, 17)), (100, 100))) == 9
    assert any("broken.bvh" in sentence for sentence in said)
    with pytest.raises(StepsmithError, match="--resume"):
        train(tmp_path / "mocap", tmp_path / "out", small)
    assert train(tmp_path / "mocap", tmp_path / "out", small, resume=True) == weights
    for damage in (b"nonsense", b""):
        (tmp_path / "out" / "checkpoint.pt").write_bytes(damage)
        with pytest.raises(StepsmithError, match=r"checkpoint\.pt is damaged"):
            train(tmp_path / "mocap", tmp_path / "out", small, resume=True)
    with pytest.raises(StepsmithError, match="no checkpoint to resume from"):
        train(tmp_path / "mocap", tmp_path / "new", small, resume=True)


def test_a_training_keeps_its_proportions_in_other_numbers_of_steps() -> None:
    config = TrainConfig().scaled(625)
    assert [stage.steps for stage in config.stages] == [200, 100, 260, 65]
    assert [stage.rate for stage in TrainConfig().scaled(625, 0.5).stages] == [0.5 * s.rate for s in config.stages]


def test_settled_norms_learn_no_statistics(tmp_path: Path) -> None:
    def means(settled: bool) -> torch.Tensor:
        config = TrainConfig(stages=(Stage((3, 1), 3, 4, 1, settled=settled),), channels=8)
        trainer = Trainer([recording()], config, tmp_path)
        trainer.run()
        return trainer.network.expand_bn.running_mean

    assert means(settled=False).abs().max() > 0.0
    assert means(settled=True).abs().max() == 0.0


def test_most_varied_knees_are_straighter_and_none_bends_forwards() -> None:
    turns = np.zeros((10, 24, 3))
    turns[:, 4:6] = [0.6, 0.0, 0.1]
    crouched = bodies.turns(rot.from_axis_angle(turns)).astype(np.float32)
    local = vary(np.random.default_rng(1), windows(crouched, 300))[4]
    flexion = np.arctan2(local[..., 2, 1] - local[..., 1, 2], local[..., 1, 1] + local[..., 2, 2])
    assert 0.5 < (flexion < 0.59).mean() < 0.7
    assert (flexion < 0.07).mean() > 0.25
    assert (np.linalg.norm(rot.to_axis_angle(rot.from_matrix(local)), axis=-1) < 0.07).mean() > 0.25
    assert flexion.min() > -0.01


def test_the_view_follows_whoever_crosses_the_picture() -> None:
    points, _ = bodies.body_points(swinging(300))
    position = np.array([4.0, -1.5, 1.2])
    shot = camera.Camera(
        camera.look(position, np.array([0.0, -1.5, 0.9])), position, np.array(900.0), np.array([1920.0, 1080.0])
    )
    pixels = shot.project(shot.see(points))
    assert np.ptp(pixels[:, :, 0].mean(axis=1)) > 600.0
    sure = np.ones(pixels.shape[:-1])
    shown = camera.find_view(pixels, sure, shot.size, shot.focal).normalise(pixels)
    middle = (shown.max(axis=1) + shown.min(axis=1)) / 2
    assert np.abs(middle[10:-10]).max() < 0.1
    # Nor does it leave when nobody is seen for a while.
    sure[100:110] = 0.0
    gap = camera.find_view(pixels, sure, shot.size, shot.focal).normalise(pixels)
    assert np.abs(gap - shown).max() < 0.1


def test_short_clips_see_as_many_errors_as_long_ones() -> None:
    rng = np.random.default_rng(2)
    shares = [noise._runs(rng, (clips, frames, 25), 0.5, (5, 45)).mean() for clips, frames in ((20000, 1), (10, 2000))]
    assert shares[0] == pytest.approx(shares[1], rel=0.1)
    assert shares[0] == pytest.approx(0.5 / 30.0 * 24.5, rel=0.2)


def test_a_causal_view_is_of_what_was_seen_before_alone() -> None:
    points, _ = bodies.body_points(swinging(60))
    shot = camera.random_cameras(np.random.default_rng(1), swinging(60).root[None])
    pixels = shot.project(shot.see(points[None]))
    sure = np.ones(pixels.shape[:-1])
    whole = camera.find_view(pixels, sure, shot.size, shot.focal, causal=True)
    part = camera.find_view(pixels[:, :30], sure[:, :30], shot.size, shot.focal, causal=True)
    np.testing.assert_allclose(whole.rotation[:, :30], part.rotation)
    np.testing.assert_allclose(whole.angle[:, :30], part.angle)
    assert np.abs(whole.normalise(pixels)).max() < 3.0


def test_a_varied_body_has_its_parts_of_others_whole() -> None:
    """What another's arm looks like is that arm's: the elbow as bent as it was there."""
    rng = np.random.default_rng(4)
    turns = np.zeros((200, 3, 24, 3))
    turns[:, :, 18, 2] = np.linspace(0.0, 2.0, 200)[:, None]  # each bends the left elbow by an angle of its own
    recorded = np.stack([bodies.turns(rot.from_axis_angle(one)) for one in turns], axis=1)
    still = dict.fromkeys(vary_module._BENT, 0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vary_module, "_BENT", still)
        varied = vary(rng, recorded)
    elbow = rot.to_axis_angle(rot.from_matrix(varied[18, :, 0]))
    angles = elbow[:, 2]
    np.testing.assert_allclose(elbow[:, :2], 0.0, atol=1e-6)
    moved = ~np.isclose(angles, turns[:, 0, 18, 2], atol=1e-6)
    assert 0.3 < moved.mean() < 0.6  # by its upper body or that arm, of another
    assert np.isclose(angles[:, None], turns[None, :, 0, 18, 2], atol=1e-6).any(axis=1).all()


def test_detectors_that_doubt_err_the_more_the_less_sure_they_are() -> None:
    rng = np.random.default_rng(5)
    points = np.stack([bodies.body_points(swinging(60))[0]] * 60)
    shots = camera.random_cameras(rng, np.stack([swinging(60).root] * 60))
    seen = shots.see(points)
    pixels = shots.project(seen)
    found, confidence = noise.detect(rng, noise.COCO_LIKE, seen, pixels, shots.size)
    stature = np.median((pixels.max(axis=2) - pixels.min(axis=2)).max(axis=2), axis=1)[:, None, None]
    off = np.linalg.norm(found - pixels, axis=-1) / stature
    doubted = [np.median(off[(confidence >= low) & (confidence < low + 0.2)]) for low in (0.02, 0.2, 0.4, 0.6, 0.79)]
    assert (np.diff(doubted) < 0.0).all()
    assert doubted[0] > 3.0 * doubted[-1]
    # The back of a head shows no face.
    away = seen[:, :, 0, 2] - seen[:, :, 3:5, 2].mean(axis=-1)
    nose = confidence[:, :, 0]
    given_ = nose > 0.0
    assert np.median(nose[given_ & (away > 0.05)]) < 0.6 * np.median(nose[given_ & (away < -0.05)])


def test_varied_legs_are_raised_forwards_and_trunks_bow_over_them() -> None:
    standing = bodies.turns(rot.from_axis_angle(np.zeros((2, 24, 3)))).astype(np.float32)
    varied = vary(np.random.default_rng(2), windows(standing, 1000))[:, :, 0]
    thighs = (varied[[1, 2]] @ [0.0, 0.0, -1.0])[..., 1]  # how far behind the hips
    assert (thighs < -0.7).mean() > 3.0 * (thighs > 0.7).mean()
    assert (thighs < -0.7).mean() > 0.05
    trunk = (varied[0] @ varied[3] @ varied[6] @ varied[9] @ [0.0, 0.0, 1.0])[:, 1]
    legs = (varied[0] @ varied[[1, 2]] @ varied[[4, 5]] @ [0.0, 0.0, -1.0])[..., 2].max(axis=0)
    standing_up = legs < -0.8
    assert (standing_up & (trunk < -0.6)).mean() > max(0.02, 2.0 * (standing_up & (trunk > 0.6)).mean())


def test_lightly_varied_bodies_differ_in_knees_and_head_alone() -> None:
    turns = windows(recording().turns[:, :5], 50)
    varied = vary_module.vary_lightly(np.random.default_rng(3), turns)
    changed = np.abs(varied - turns).max(axis=(2, 3, 4)) > 1e-4
    assert changed[[1, 2, 4, 5, 7, 8, 12, 15]].mean() > 0.5
    assert not changed[[0, 3, 6, 9, 10, 11, 13, 14, 16, 17, 18, 19, 20, 21]].any()


def test_the_causal_lifter_that_ships_looks_at_no_later_frame() -> None:
    lifter = load_lifter(CAUSAL_WEIGHTS)
    seen = np.random.default_rng(6).uniform(200, 400, (1, 25, 2)) + np.arange(90.0)[:, None, None]
    confidence = np.ones((90, 25))
    confidence[:5, 3] = confidence[55:70, 7] = confidence[58:, 9] = 0.0
    points = [lifter.lift(np.arange(n) / 30.0, seen[:n], confidence[:n], (640, 480)).points for n in (60, 90)]
    np.testing.assert_allclose(points[1][:60], points[0], atol=1e-5)


def swinging_in_a_picture(frames: int) -> np.ndarray:
    """(T, 25, 2) points of ``swinging`` 4 m before a camera of 700 pixels' focal length, seen from its left."""
    points = bodies.body_points(swinging(frames))[0] - [0.0, 0.0, 1.0]
    points -= points.mean(axis=1, keepdims=True) * [1.0, 1.0, 0.0]
    return np.stack([points[..., 1], -points[..., 2]], axis=-1) / (4.0 - points[..., :1]) * 700.0 + [320.0, 240.0]


@pytest.mark.parametrize("weights", [None, CAUSAL_WEIGHTS])
def test_who_stands_still_stays_still_to_the_ends(weights: Path | None) -> None:
    points = np.repeat(swinging_in_a_picture(1), 150, axis=0)
    lifted = load_lifter(weights).lift(np.arange(150) / 30.0, points, np.ones((150, 25)), (640, 480))
    shape = lifted.joints - lifted.joints[:, :1]
    ends = shape if weights is None else shape[75:]  # without a look ahead it begins unsure
    assert np.linalg.norm(ends - shape[75], axis=-1).max() < 0.02


@pytest.mark.parametrize("lost", [[7, 9, 21, 23], list(range(25))])
def test_points_lost_for_a_moment_go_on_straight(lost: list[int]) -> None:
    points, confidence = swinging_in_a_picture(90), np.ones((90, 25))
    times, lifter = np.arange(90) / 30.0, load_lifter()
    whole = lifter.lift(times, points, confidence, (640, 480)).points
    confidence[40:46, lost] = 0.0
    found = lifter.lift(times, points, confidence, (640, 480)).points
    off = np.linalg.norm((found - found[:, 11:12]) - (whole - whole[:, 11:12]), axis=-1)
    assert off.max() < 0.15
    assert off[40:46, [7, 9]].mean() < 0.08


@given(SEEDS, st.booleans())
@example(757, True)  # first seen near the end, and in the last frame
@settings(max_examples=30, deadline=None)
def test_bridging_is_straight_between_and_leaves_what_was_seen(seed: int, causal: bool) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 500, (2, 80, 3, 2))
    confidence = np.where(rng.random((2, 80, 3)) < rng.random(), rng.uniform(0.1, 1.0, (2, 80, 3)), 0.0)
    confidence[0, 20:70, 0] = 0.0
    found, sure = examples.bridge(points, confidence, 30.0, causal)
    seen = confidence > 0.0
    np.testing.assert_array_equal(found[seen], points[seen])
    np.testing.assert_array_equal(sure[seen], confidence[seen])
    for one, point in np.ndindex(2, 3):
        (at,) = np.nonzero(seen[one, :, point])
        lost = np.setdiff1d(np.arange(80), at)
        for frame in lost:
            before, after = at[at < frame], at[at > frame]
            if causal or not (len(before) and len(after)):
                near = before[-1:] if len(before) else after[: 0 if causal else 1]
                if not len(near) or abs(frame - near[0]) > 18:
                    assert sure[one, frame, point] == 0.0
                    continue
                wanted, trust = points[one, near[0], point], confidence[one, near[0], point]
            elif after[0] - before[-1] > 36:
                assert sure[one, frame, point] == 0.0
                continue
            else:
                share = (frame - before[-1]) / (after[0] - before[-1])
                wanted = (1 - share) * points[one, before[-1], point] + share * points[one, after[0], point]
                trust = min(confidence[one, before[-1], point], confidence[one, after[0], point])
            np.testing.assert_allclose(found[one, frame, point], wanted)
            assert sure[one, frame, point] == trust
