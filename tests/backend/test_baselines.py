"""The baselines: each is trained a little, kept, loaded and dances; budgets, checkpoints and what can go wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from stepsmith.backend.audio import Music, analyse
from stepsmith.backend.audio.synth import synthesise, write_wav
from stepsmith.backend.baselines import edge, systems
from stepsmith.backend.baselines import train as training
from stepsmith.backend.baselines.command import baselines_app
from stepsmith.backend.baselines.recordings import Recording, load_recordings
from stepsmith.backend.baselines.sound import WIDTHS, listen
from stepsmith.backend.baselines.systems import load_baselines
from stepsmith.backend.baselines.train import Trainer, train_baselines
from stepsmith.backend.evaluate.systems import System
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL
from typer.testing import CliRunner

SMALL = {"width": 32, "window": 20}
SIZES = dict.fromkeys(systems.KINDS, SMALL) | {"edge": {**SMALL, "depth": 2, "heads": 2, "feed": 32}}


def wandering(seed: int = 0, seconds: float = 4.0, fps: float = 30.0) -> Motion:
    """A smooth random motion that travels at 1 m/s."""
    random = np.random.default_rng(seed)
    times = np.arange(round(fps * seconds)) / fps
    phases = random.uniform(0, 2 * np.pi, (24, 3))
    angles = 0.3 * np.sin(2 * np.pi * times[:, None, None] * random.uniform(0.4, 0.9, (24, 3)) + phases)
    root = np.stack([np.zeros(len(times)), -times, np.full(len(times), SMPL.rest_root_height)], 1)
    return Motion(fps, root, rot.from_axis_angle(angles), random.random((len(times), 4)))


def heard(seed: int, frames: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {kind: random.normal(3.0, 5.0, (frames, width)).astype(np.float32) for kind, width in WIDTHS.items()}


@pytest.fixture(scope="module")
def dances() -> list[Recording]:
    """Two dances with sound that tells how they move."""
    random, made = np.random.default_rng(0), []
    mixing = {kind: random.normal(size=(151, width)) for kind, width in WIDTHS.items()}
    for k in range(2):
        motion = wandering(k)
        sound = {kind: (edge.encode(motion) @ mixed).astype(np.float32) for kind, mixed in mixing.items()}
        made.append(Recording(motion, sound))
    return made


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("songs") / "song.wav"
    write_wav(path, synthesise(tempo=120.0, duration=5.0))
    return path


@pytest.fixture(scope="module")
def trained(dances: list[Recording], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baselines")
    for name, sizes in SIZES.items():
        Trainer(name, dances, folder, sizes).run(0.003)
    return folder


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """EDGE samples in fewer steps than published, where the number of them is not what is tested."""
    monkeypatch.setattr(edge, "_SAMPLED", 8)


@pytest.mark.usefixtures("few_steps")
def test_every_baseline_dances_the_songs_length_and_the_same_with_the_same_seed(trained: Path, song: Path) -> None:
    found: list[System] = list(load_baselines(trained))
    assert [system.name for system in found] == list(systems.KINDS)
    for system in found:
        dance = system.dance(song, seed=3)
        assert (len(dance), dance.fps) == (150, 30.0), system.name
        again, other = system.dance(song, seed=3), system.dance(song, seed=4)
        assert np.array_equal(dance.rotations, again.rotations)
        assert np.array_equal(dance.root, again.root)
        # A regression has one answer for a song; all others have another for another seed.
        assert np.array_equal(dance.rotations, other.rotations) == (system.name == "cnn-lstm")


def test_weights_say_what_their_training_was_given_and_used(trained: Path) -> None:
    for baseline in load_baselines(trained):
        assert baseline.budget.minutes == 0.003
        assert baseline.budget.steps >= 1
        assert baseline.budget.used >= 0.003
        assert f"{baseline.budget.steps} steps" in str(baseline.budget)


@pytest.mark.parametrize("name", list(systems.KINDS))
def test_training_lowers_the_loss(name: str, dances: list[Recording], tmp_path: Path) -> None:
    trainer = Trainer(name, dances, tmp_path, SIZES[name])
    trainer.dancer.eval()
    for optimizer in trainer.optimizers:
        optimizer.param_groups[0]["lr"] = 3e-3
    random = np.random.default_rng(0)
    losses = [trainer._step(random)[0] for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.95 * np.mean(losses[:5])


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("name", list(systems.KINDS))
def test_the_dance_depends_on_the_sound(name: str, dances: list[Recording]) -> None:
    torch.manual_seed(0)
    dancer = systems.Dancer(name, SIZES[name]).eval()
    one, two = (heard(seed, 50)[dancer.network.kind] / 5.0 for seed in (5, 6))
    assert not np.allclose(dancer.dance(one, 0).rotations, dancer.dance(two, 0).rotations, atol=1e-4)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("frames", [7, 20, 21, 45, 61])
@pytest.mark.parametrize("name", ["rnn-section", "edge"])
def test_windows_cover_songs_of_any_length(name: str, frames: int) -> None:
    dancer = systems.Dancer(name, SIZES[name]).eval()
    assert len(dancer.dance(heard(1, frames)[dancer.network.kind], 0)) == frames


def test_edge_has_the_size_and_the_form_of_the_published_one() -> None:
    motion = wandering()
    rows = edge.encode(motion)
    assert rows.shape == (120, 151)
    back = edge.decode(rows)
    assert np.abs(back.positions() - motion.positions()).max() < 1e-5
    network = systems.Dancer("edge", {}).network
    assert (network.width, network.window, len(network.layers)) == (512, 150, 8)
    assert np.isclose(float(network.kept[0]), 1.0, atol=1e-3)
    assert float(network.kept[-1]) < 1e-3


def test_edge_measures_joints_in_metres(dances: list[Recording]) -> None:
    dancer = systems.Dancer("edge", SIZES["edge"])
    dancer.learn_scales(dances)
    motion = dances[0].motion
    poses = (torch.from_numpy(edge.encode(motion)) - dancer.pose_mean) / dancer.pose_std
    assert float(poses.abs().max()) <= 1.0 + 1e-5
    joints = dancer.network._joints(poses[None])[0]
    assert np.abs(joints.numpy() - motion.positions()).max() < 1e-4


def test_long_dances_of_edge_agree_where_windows_overlap(dances: list[Recording], monkeypatch) -> None:
    """A network that is sure of its windows' sound: halves of neighbours are forced together before the last step."""
    dancer = systems.Dancer("edge", SIZES["edge"]).eval()
    network, seen = dancer.network, []
    monkeypatch.setattr(network, "_guided", lambda x, *others: seen.append(x.clone()) or torch.tanh(x))
    network._sample(torch.zeros(3, 20, 35), 10, torch.Generator().manual_seed(0))
    assert len(seen) == 50
    for x in seen[1:]:
        assert torch.equal(x[1:, :10], x[:-1, 10:])


def test_recurrent_sections_begin_from_the_pose_before(dances: list[Recording]) -> None:
    torch.manual_seed(0)
    network = systems.Dancer("rnn-section", SMALL).eval().network
    sound, start = torch.randn(40, WIDTHS["mfcc"]), torch.randn(152)
    with torch.inference_mode():
        whole = network.dance(sound, start, torch.Generator())
        first = network.dance(sound[:20], start, torch.Generator())
        second = network.dance(sound[20:], first[-1], torch.Generator())
    assert torch.allclose(whole, torch.cat([first, second]), atol=1e-6)


def test_frame_by_frame_knows_no_future_and_the_whole_song_does() -> None:
    torch.manual_seed(0)
    sound, start = torch.randn(30, WIDTHS["mfcc"]), torch.zeros(152)
    changed = sound.clone()
    changed[20:] += 1.0
    for name, blind in (("rnn-frame", True), ("rnn-song", False)):
        network = systems.Dancer(name, SMALL).eval().network
        with torch.inference_mode():
            a, b = (network.dance(s, start, torch.Generator()) for s in (sound, changed))
        assert torch.equal(a[:20], b[:20]) == blind


def test_training_goes_on_where_it_stopped(dances: list[Recording], tmp_path: Path) -> None:
    first = Trainer("gan-mfcc", dances, tmp_path, SMALL)
    first.run(0.003)
    second = Trainer("gan-mfcc", dances, tmp_path, SMALL)
    second.resume()
    assert (second.steps, second.used) == (first.steps, first.used)
    second.run(0.003)
    assert second.steps == first.steps  # the budget is used up
    second.run(first.used + 0.003)
    assert second.steps > first.steps


def test_what_used_its_budget_up_stays_as_it_is(dances: list[Recording], tmp_path: Path) -> None:
    first = Trainer("rnn-frame", dances, tmp_path, SMALL)
    weights = first.run(0.003)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = Trainer("rnn-frame", dances, tmp_path, SMALL)
    again.resume()
    assert again.run(0.001) == weights
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert systems.load_baseline(weights).budget.minutes == 0.003
    weights.unlink()
    again.run(0.003)
    assert systems.load_baseline(weights).budget.steps == first.steps


def test_what_a_killed_training_left_half_written_goes(dances: list[Recording], tmp_path: Path) -> None:
    for name in ("rnn-frame.checkpoint.pt", "rnn-frame.safetensors", "rnn-song.checkpoint.pt"):
        (tmp_path / f".{name}.0123abcd.part").touch()
    Trainer("rnn-frame", dances, tmp_path, SMALL).run(0.001)
    left = {"rnn-frame.checkpoint.pt", "rnn-frame.safetensors", ".rnn-song.checkpoint.pt.0123abcd.part"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_a_damaged_checkpoint_or_one_of_other_sizes_is_named(dances: list[Recording], tmp_path: Path) -> None:
    Trainer("rnn-frame", dances, tmp_path, SMALL).run(0.001)
    with pytest.raises(StepsmithError, match=r"rnn-frame\.checkpoint\.pt"):
        Trainer("rnn-frame", dances, tmp_path, {"width": 16, "window": 20}).resume()
    (tmp_path / "rnn-frame.checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(StepsmithError, match="damaged"):
        Trainer("rnn-frame", dances, tmp_path, SMALL).resume()


def test_losses_that_are_no_numbers_stop_the_training(dances: list[Recording], tmp_path: Path) -> None:
    trainer = Trainer("cnn-lstm", dances, tmp_path, SMALL)
    with torch.no_grad():
        trainer.dancer.network.out.bias.fill_(float("nan"))
    with pytest.raises(StepsmithError, match="no longer a number"):
        trainer.run(1.0)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_no_number_says_what_to_do(dances: list[Recording], tmp_path: Path) -> None:
    for said in ("start again", f"resume from the last checkpoint in {tmp_path}"):
        trainer = Trainer("cnn-lstm", dances, tmp_path, SMALL, rate=0.5)
        with torch.no_grad():
            trainer.dancer.network.out.bias.fill_(float("nan"))
        with pytest.raises(StepsmithError, match=r"cnn-lstm: .* at step 0: ") as told:
            trainer.run(1.0)
        assert f"{said} with a lower learning rate" in str(told.value)
        (tmp_path / "cnn-lstm.checkpoint.pt").touch()


def test_the_rate_is_times_the_usual(dances: list[Recording], tmp_path: Path) -> None:
    rates = []
    for rate in (1.0, 0.25):
        trainer = Trainer("cnn-lstm", dances, tmp_path / str(rate), SMALL, rate=rate)
        trainer.steps = 1000  # warmed up
        trainer.run(1e-6)
        rates.append(trainer.optimizers[0].param_groups[0]["lr"])
    assert rates == [1e-3, 0.25e-3]


def test_too_short_dances_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StepsmithError, match="as long as"):
        Trainer("cnn-lstm", [Recording(wandering(seconds=0.5), heard(0, 15))], tmp_path, SMALL)


def test_damaged_foreign_and_missing_weights(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(StepsmithError, match="no baselines"):
        load_baselines(tmp_path)
    path = tmp_path / "edge.safetensors"
    path.write_bytes((trained / "edge.safetensors").read_bytes()[:-50])
    with pytest.raises(StepsmithError, match="damaged"):
        load_baselines(tmp_path)
    path.write_bytes(
        (trained / "cnn-lstm.safetensors").read_bytes().replace(b"stepsmith-baseline-1", b"stepsmith-something1")
    )
    with pytest.raises(StepsmithError, match="no baseline"):
        load_baselines(tmp_path)


@pytest.mark.parametrize(
    ("minutes", "words"), [(12.0, "12 of 12 min"), (600.0, "600 of 600 min"), (0.25, "0.26 of 0.25 min")]
)
def test_budgets_of_any_size_are_told(minutes: float, words: str) -> None:
    assert str(systems.Budget(minutes, minutes + 0.01, 7, 0, "cpu")) == f"{words} of one core (cpu), 7 steps"


@pytest.mark.parametrize("sizes", [{"width": 1 << 40}, {"depth": 1 << 40}, {"heads": 0}, {"window": -1}, {"wings": 2}])
def test_weights_that_claim_other_sizes_are_refused_before_room_is_made(sizes: dict[str, int], tmp_path: Path) -> None:
    dancer = systems.Dancer("edge", SIZES["edge"])
    budget = systems.Budget(1.0, 1.0, 1, 0, "cpu")
    path = tmp_path / "edge.safetensors"
    systems.save_baseline(path, "edge", {**SIZES["edge"], **sizes}, dancer.state_dict(), budget)
    with pytest.raises(StepsmithError, match="damaged"):
        load_baselines(tmp_path)


def test_sound_is_heard_at_the_frames_of_motion(song: Path) -> None:
    found = listen(song, {"spectrogram", "mfcc", "light"})
    assert {kind: rows.shape for kind, rows in found.items()} == {kind: (150, width) for kind, width in WIDTHS.items()}
    light = found["light"]
    assert np.array_equal(light[:, 1:21], found["mfcc"])
    beats = np.flatnonzero(light[:, 34]) / 30
    assert len(beats) >= 6
    assert np.allclose(np.diff(beats), 0.5, atol=0.07)  # 120 beats a minute
    assert set(np.unique(light[:, 33:])) == {0.0, 1.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "jive"
    folder.mkdir()
    for k in range(2):
        save_motion(folder / f"jive{k}.npz", wandering(k, 8.0 + 2 * k, 60.0))
        write_wav(folder / f"jive{k}.wav", synthesise(tempo=120.0 + 10 * k, duration=8.0))
    save_motion(folder / "deaf.npz", wandering(9, 8.0, 60.0))
    (folder / "deaf.wav").write_text("no sound")
    return folder.parent


def test_recordings_hear_their_songs_and_end_with_them(data: Path) -> None:
    skipped: list[str] = []
    found = load_recordings(data, {"mfcc"}, skip=skipped.append)
    assert len(found) == 2
    assert any("deaf.wav" in sentence for sentence in skipped)
    for number, recording in enumerate(found):
        rows = recording.sound["mfcc"]
        assert len(rows) == len(recording.motion)
        assert 6.0 < recording.motion.duration < 8.1
        # The song's own rows, in order.
        known = listen(data / "jive" / f"jive{number}.wav", {"mfcc"})["mfcc"]
        at = [int(np.abs(known - row).sum(axis=1).argmin()) for row in rows]
        assert np.array_equal(known[at], rows)
        assert (np.diff(at) >= 0).all()


def test_many_dances_to_one_song_hear_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ["name,genre,split"]
    for song in ("mBR0", "mBR1"):
        for dance in range(3):
            save_motion(tmp_path / f"gBR_sBM_cAll_d0{dance}_{song}_ch01.npz", wandering(dance, 8.0, 60.0))
            rows.append(f"gBR_sBM_cAll_d0{dance}_{song}_ch01,break,train")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    write_wav(tmp_path / "mBR0.wav", synthesise(tempo=120.0, duration=8.0))
    (tmp_path / "mBR1.wav").touch()
    analysed: list[str] = []

    def counted(song: Path, **wishes: int | None) -> Music:
        analysed.append(song.name)
        return analyse(song, **wishes)

    monkeypatch.setattr("stepsmith.backend.baselines.recordings.analyse", counted)
    skipped: list[str] = []
    assert len(load_recordings(tmp_path, {"mfcc"}, skip=skipped.append)) == 3
    assert sorted(analysed) == ["mBR0.wav", "mBR1.wav"]
    assert skipped == ["“mBR1.wav” is empty: choose a file with sound."]


def test_the_command_trains_and_refuses_to_lose_a_training(data: Path, tmp_path: Path) -> None:
    options = ["--data", str(data), "-o", str(tmp_path), "--only", "rnn-frame", "--minutes", "0.01"]
    result = CliRunner().invoke(baselines_app, options, catch_exceptions=False)
    assert "rnn-frame: " in result.output
    assert "deaf.wav" in result.output
    assert [baseline.name for baseline in load_baselines(tmp_path)] == ["rnn-frame"]
    with pytest.raises(StepsmithError, match="--resume"):
        CliRunner().invoke(baselines_app, options, catch_exceptions=False)
    assert CliRunner().invoke(baselines_app, [*options, "--resume"], catch_exceptions=False).exit_code == 0
    with pytest.raises(StepsmithError, match="no baseline “polka”"):
        train_baselines(data, tmp_path, ["polka"])


def test_what_learns_from_longer_dances_is_left_out_before_any_training(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "KINDS", {name: systems.KINDS[name] for name in ("rnn-frame", "rnn-song")})
    monkeypatch.setattr(training, "KINDS", systems.KINDS)
    arguments = ["--data", str(data), "-o", str(tmp_path / "all"), "--minutes", "0.01"]
    result = CliRunner().invoke(baselines_app, arguments, catch_exceptions=False)
    assert "Left out: No dance is as long as rnn-song learns from at once (20 s)." in result.output
    assert "1 baseline was left out." in result.output
    assert [path.name for path in (tmp_path / "all").glob("*.safetensors")] == ["rnn-frame.safetensors"]
    with pytest.raises(StepsmithError, match="as long as rnn-song"):
        train_baselines(data, tmp_path / "asked", ["rnn-frame", "rnn-song"], 0.01)
    assert not list((tmp_path / "asked").iterdir())
