"""The dance model's parts: representation, losses, weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.backend.audio import MEL_BANDS, Music
from stepsmith.backend.dance import losses, representation
from stepsmith.backend.dance.condition import ENERGY, SOUND, condition
from stepsmith.backend.dance.energy import draw_energy, measure_energy
from stepsmith.backend.dance.model import DanceModel, ModelConfig
from stepsmith.backend.dance.weights import ModelError, load_model, save_model
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL

TINY = ModelConfig(genres=("rumba", "waltz"), window=20, patch=2, width=32, depth=2, heads=2)


def wandering_motion(seed: int, frames: int = 90, fps: float = 30.0) -> Motion:
    """A smooth random motion that turns and travels."""
    random = np.random.default_rng(seed)
    knots = np.linspace(0, frames - 1, 8)
    frame = np.arange(frames)

    def smooth(*shape: int, size: float) -> np.ndarray:
        values = random.normal(0, size, (8, int(np.prod(shape))))
        return np.stack([np.interp(frame, knots, v) for v in values.T], 1).reshape(frames, *shape)

    angles = smooth(24, 3, size=0.4)
    kernel = np.ones(9) / 9
    angles = np.apply_along_axis(lambda v: np.convolve(np.pad(v, 4, mode="edge"), kernel, "valid"), 0, angles)
    rotations = rot.from_axis_angle(angles)
    yaw = rot.from_axis_angle(np.linspace(0, 4.0, frames)[:, None] * [0.0, 0.0, 1.0])
    rotations[:, 0] = rot.multiply(yaw, rotations[:, 0])
    root = np.stack([np.sin(frame / 20), 0.02 * frame, 0.95 + 0.02 * np.sin(frame / 7)], 1)
    return Motion(fps, root, rotations, random.random((frames, 4)))


def music(seconds: float = 4.0, tempo: float = 120.0, seed: int = 0) -> Music:
    random = np.random.default_rng(seed)
    frames = int(np.ceil(seconds * 30))
    beats = np.arange(0, seconds, 60 / tempo)
    mel = random.normal(size=(frames, MEL_BANDS)).astype(np.float32)
    onset = random.random(frames).astype(np.float32)
    return Music(
        duration=seconds, tempo=tempo, meter=4, beats=beats, downbeats=beats[::4], mel=mel, onset=onset
    )  # fmt: skip


def tiny_model(seed: int = 0) -> DanceModel:
    torch.manual_seed(seed)
    model = DanceModel(TINY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_decoding_what_was_encoded_gives_the_same_dance(seed: int) -> None:
    motion = wandering_motion(seed, fps=60.0)
    again = representation.decode(representation.encode(motion), motion.fps)
    # The place and heading of the first frame are not kept: turn and move the original there.
    first = rot.twist(motion.rotations[0, 0], np.array([0.0, 0.0, 1.0]))
    local = rot.rotate(rot.conjugate(first), motion.positions() - motion.root[0] * [1, 1, 0])
    assert np.abs(local - again.positions()).max() < 0.02
    np.testing.assert_allclose(again.contacts, motion.contacts, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_mirrored_features_are_the_mirrored_motions_features(seed: int) -> None:
    motion = wandering_motion(seed)
    mirrored = representation.mirror(representation.encode(motion))
    np.testing.assert_allclose(mirrored, representation.encode(motion.mirror()), atol=2e-5)


def test_losses_see_the_same_joints_as_forward_kinematics() -> None:
    motion = wandering_motion(3)
    features = torch.from_numpy(representation.encode(motion))
    joints = losses.joints_in_heading(features).numpy()
    heading = rot.twist(motion.rotations[:, 0], np.array([0.0, 0.0, 1.0]))
    expected = rot.rotate(rot.conjugate(heading)[:, None], motion.positions() - motion.root[:, None] * [1, 1, 0])
    np.testing.assert_allclose(joints, expected, atol=1e-5)


def test_losses_see_the_true_speed_of_joints_over_the_floor() -> None:
    motion = wandering_motion(4, frames=240, fps=120.0)
    features = torch.from_numpy(representation.encode(motion))
    v = losses.joint_velocities(features, losses.joints_in_heading(features), motion.fps).numpy()
    true = np.diff(motion.positions(), axis=0) * motion.fps
    np.testing.assert_allclose(np.linalg.norm(v, axis=-1), np.linalg.norm(true, axis=-1), rtol=0.02, atol=0.02)


def test_losses_vanish_on_the_dance_itself_and_only_there() -> None:
    features = torch.from_numpy(representation.encode(wandering_motion(5)))[None]
    one, zero, weight = torch.ones(152), torch.zeros(152), torch.ones(1)
    same = losses.dance_losses(features, features, one, zero, 30.0, weight)
    other = losses.dance_losses(features + 0.1 * torch.randn(features.shape), features, one, zero, 30.0, weight)
    for name in ("features", "joints", "velocity", "acceleration"):
        assert float(same[name]) < 1e-9
        assert float(other[name]) > 1e-4


def test_features_of_hours_are_scaled_as_exactly_as_those_of_minutes() -> None:
    random = np.random.default_rng(0)
    minutes = random.normal([0.92, 0.5], [0.06, 0.2], (60 * 3600, 2)).astype(np.float32)
    known = minutes.mean(axis=0, dtype=np.float64), minutes.std(axis=0, dtype=np.float64)

    def scale(*dances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the height and of the heading's turning, which are scaled as they are."""
        wide = [np.zeros((len(dance), representation.WIDTH), np.float32) for dance in dances]
        for rows, dance in zip(wide, dances, strict=True):
            rows[:, [representation.HEIGHT, representation.YAW_RATE]] = dance
        return tuple(found[[representation.HEIGHT, representation.YAW_RATE]] for found in losses.feature_scale(*wide))  # type: ignore[return-value]

    for found in (scale(minutes), scale(*np.array_split(minutes, 7))):
        np.testing.assert_allclose(found, known, rtol=1e-6)
    assert found[0].dtype == np.float32


def test_condition_follows_the_beat() -> None:
    song = music(tempo=120.0)
    at_beats = condition(song, song.beats[:6])
    between = condition(song, song.beats[:6] + 0.25)
    np.testing.assert_allclose(at_beats[:, MEL_BANDS + 2], 1.0, atol=1e-5)
    np.testing.assert_allclose(between[:, MEL_BANDS + 2], -1.0, atol=1e-5)
    assert condition(song, song.beats[:2], speed=2.0)[0, SOUND.stop - 2] == pytest.approx(1.0)


def test_condition_tells_energy_from_none() -> None:
    song, times = music(), np.arange(30) / 30
    told = condition(song, times, energy=np.full(30, -0.5))
    assert np.array_equal(told[:, ENERGY], np.tile([0.0, 1.0], (30, 1)))
    untold = condition(song, times)
    assert not untold[:, ENERGY].any()
    assert np.array_equal(told[:, SOUND], untold[:, SOUND])


def test_energy_is_the_octave_of_the_joints_speed() -> None:
    for speed in (0.25, 1.0, 2.0):
        positions = np.zeros((300, 24, 3)) + speed * np.arange(300)[:, None, None] / 60 * [0.6, 0.8, 0.0]
        np.testing.assert_allclose(measure_energy(positions, 60.0), np.log2(speed + 0.02), atol=1e-6)


def test_drawn_energies_lie_about_the_genres_and_follow_the_song() -> None:
    random = np.random.default_rng(0)
    quiet_then_loud = np.repeat([-0.5, 0.5], 9000)
    drawn = draw_energy((-0.6, 0.4), quiet_then_loud, 30.0, random)
    assert drawn.mean() == pytest.approx(-0.6, abs=0.05)
    assert drawn[9000:].mean() - drawn[:9000].mean() == pytest.approx(0.4, abs=0.2)
    even = draw_energy((-0.6, 0.4), np.zeros(30_000), 30.0, random)
    assert even.std() == pytest.approx(0.4, rel=0.1)
    twenty_seconds = even.reshape(-1, 600).mean(axis=1)
    assert 0.2 < twenty_seconds.std() / even.std() < 0.45, "what is slow evens out, as it does in recorded dances"
    round_about = draw_energy((-0.6, 0.4), np.zeros(600), 30.0, random, loop=True)
    assert abs(round_about[-1] - round_about[0]) < 1.5 * np.abs(np.diff(round_about)).max()
    more = draw_energy((-0.6, 0.4), np.zeros(30_000), 30.0, random, level=1.0)
    assert more.mean() - even.mean() == pytest.approx(0.4, abs=0.05)


def test_weights_survive_the_disk(tmp_path: Path) -> None:
    model = tiny_model()
    save_model(tmp_path / "m.safetensors", model, {"licence": "ours"})
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.config == model.config
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, atol=2e-3, rtol=2e-3)
    assert list(tmp_path.iterdir()) == [tmp_path / "m.safetensors"]


@pytest.mark.parametrize("harm", ["missing", "truncated", "text", "foreign", "empty"])
def test_bad_weights_are_one_clear_sentence(tmp_path: Path, harm: str) -> None:
    file = tmp_path / "m.safetensors"
    save_model(file, tiny_model(), {})
    if harm == "missing":
        file.unlink()
    elif harm == "truncated":
        file.write_bytes(file.read_bytes()[:-100])
    elif harm == "text":
        file.write_text("not weights")
    elif harm == "foreign":
        from safetensors.torch import save_file

        save_file({"w": torch.zeros(3)}, file)
    else:
        file.write_bytes(b"")
    with pytest.raises(ModelError, match=r"^[^\n]+$") as error:
        load_model(file)
    assert "m.safetensors" in str(error.value)


@pytest.mark.parametrize("meters", [(3,), (3, -4), (3, 99), (3.5, 4), ("3", "4"), None])
def test_metres_that_are_none_are_damage(tmp_path: Path, meters: object) -> None:
    broken = DanceModel(TINY)
    broken.config = replace(TINY, meters=meters)  # type: ignore[arg-type]
    save_model(tmp_path / "m.safetensors", broken, {})
    with pytest.raises(ModelError, match="damaged"):
        load_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    "shape",
    [{"fps": 0.0}, {"window": 0}, {"width": 10_000_000}, {"depth": -1}, {"heads": 0}, {"patch": 1.5}, {"width": 64},
     {"fps": float("nan")}, {"heads": 7}, {"heads": 32}, {"window": 21}],
    ids=str,
)  # fmt: skip
def test_headers_that_make_no_sense_are_damage(tmp_path: Path, shape: dict[str, float]) -> None:
    broken = DanceModel(TINY)
    broken.config = replace(TINY, **shape)  # type: ignore[arg-type]
    save_model(tmp_path / "m.safetensors", broken, {})
    with pytest.raises(ModelError, match="damaged"):
        load_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize("shape", [{"features": 10}, {"sound": 7}], ids=str)
def test_weights_of_other_features_or_other_sound_are_refused(tmp_path: Path, shape: dict[str, int]) -> None:
    save_model(tmp_path / "m.safetensors", DanceModel(replace(TINY, **shape)), {})  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="damaged"):
        load_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize("where", ["std", "write.weight"])
def test_weights_that_are_no_numbers_are_damage(tmp_path: Path, where: str) -> None:
    broken = tiny_model()
    broken.state_dict()[where].view(-1)[0] = float("nan")
    save_model(tmp_path / "m.safetensors", broken, {})
    with pytest.raises(ModelError, match=r"m\.safetensors are damaged"):
        load_model(tmp_path / "m.safetensors")


def test_a_checkpoint_is_no_damaged_weights(tmp_path: Path) -> None:
    torch.save(tiny_model().state_dict(), tmp_path / "checkpoint.pt")
    with pytest.raises(ModelError, match=r"checkpoint\.pt is no \.safetensors file"):
        load_model(tmp_path / "checkpoint.pt")


def test_weights_that_know_no_metres_load() -> None:
    values = replace(TINY, meters=(4, 3)).to_dict()
    assert ModelConfig.from_dict(values).meters == (4, 3)
    del values["meters"]
    assert ModelConfig.from_dict(values) == TINY


def test_skeleton_offsets_are_shared_with_the_losses() -> None:
    features = torch.zeros(1, 152)
    features[:, representation.ROTATIONS] = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(24)
    np.testing.assert_allclose(losses.joints_in_heading(features)[0].numpy(), SMPL.rest_positions, atol=1e-6)
