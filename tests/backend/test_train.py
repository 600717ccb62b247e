"""Training: what the model learns from, checkpoints, logs and pictures, several processes, bad input."""

from __future__ import annotations

import csv
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from stepsmith.backend.audio import MEL_BANDS, Music
from stepsmith.backend.audio.synth import synthesise, write_wav
from stepsmith.backend.dance import calibrate as calibrating
from stepsmith.backend.dance import representation, train_log
from stepsmith.backend.dance import train as training
from stepsmith.backend.dance.condition import ENERGY, MEL, SOUND
from stepsmith.backend.dance.controls import Controls
from stepsmith.backend.dance.energy import measure_energy
from stepsmith.backend.dance.model import DanceModel, ModelConfig
from stepsmith.backend.dance.plan import plan_dance
from stepsmith.backend.dance.sources import Dance
from stepsmith.backend.dance.tracks import Track, Windows, prepare
from stepsmith.backend.dance.train import TrainConfig, Trainer
from stepsmith.backend.dance.train_command import train_app
from stepsmith.backend.dance.weights import load_model
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL
from typer.testing import CliRunner

FullDisk = Callable[[], AbstractContextManager[None]]

TINY = ModelConfig(genres=("rumba", "waltz"), window=20, patch=2, width=32, depth=2, heads=2)


def wandering(seed: int = 0, seconds: float = 7.0, speed: float = 1.2) -> Motion:
    """A smooth random motion at 60 fps that travels at ``speed`` m/s."""
    random = np.random.default_rng(seed)
    times = np.arange(round(60 * seconds)) / 60
    phases = random.uniform(0, 2 * np.pi, (24, 3))
    angles = 0.3 * np.sin(2 * np.pi * times[:, None, None] * random.uniform(0.4, 0.9, (24, 3)) + phases)
    angles[:, 0, :2] = 0.0
    root = np.stack([np.zeros(len(times)), -speed * times, np.full(len(times), SMPL.rest_root_height)], 1)
    return Motion(60.0, root, rot.from_axis_angle(angles), random.random((len(times), 4)))


def music(seconds: float = 7.0, tempo: float = 120.0, seed: int = 0) -> Music:
    random = np.random.default_rng(seed)
    frames, beats = round(seconds * 30), np.arange(0, seconds, 60 / tempo)
    mel = random.normal(size=(frames, MEL_BANDS)).astype(np.float32)
    return Music(seconds, tempo, 4, beats, beats[::4], mel, random.random(frames).astype(np.float32))


def tracks(count: int = 2) -> list[Track]:
    made = []
    for seed in range(count):
        motion = wandering(seed)
        features = representation.encode(motion)
        energy = measure_energy(motion.positions(), motion.fps)
        made.append(Track((features, representation.mirror(features)), energy, music(seed=seed), seed % 2))
    return made


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three short dances in two genres with songs, and what nobody can use."""
    folder = tmp_path / "data"
    for k, (genre, tempo) in enumerate([("polka", 110.0), ("jive", 130.0), ("jive", 140.0)]):
        (folder / genre).mkdir(parents=True, exist_ok=True)
        save_motion(folder / genre / f"{genre}{k}.npz", wandering(k, 8.0))
        write_wav(folder / genre / f"{genre}{k}.wav", synthesise(tempo=tempo, duration=8.0))
    (folder / "jive" / "holiday.bvh").write_text("a picture, really")
    (folder / "jive" / "holiday.wav").write_text("no sound")
    save_motion(folder / "jive" / "deaf.npz", wandering(9, 8.0))
    (folder / "jive" / "deaf.wav").write_text("no sound")
    names = ("polka0", "jive1", "jive2", "holiday", "deaf")
    lines = [f"{name},{'val' if name == 'jive2' else 'train'}" for name in names]
    (folder / "manifest.csv").write_text("\n".join(["name,split", *lines]) + "\n")
    return folder


# --- what the model learns from ---------------------------------------------------------------------


def test_windows_played_faster_move_faster() -> None:
    windows = Windows(tracks(1), TINY, seed=0)
    batch = windows.batch(64)
    assert batch["features"].shape == (64, 20, 152)
    tempo = batch["cues"][:, 0, SOUND.stop - 2]
    heard = batch["heard"]
    assert tempo[heard].max() > 0.2
    assert tempo[heard].min() < -0.2
    # 1.2 m/s at the recording's speed, and the tempo in octaves from 120
    speed = batch["features"][:, :, 4:6].norm(dim=-1).mean(1)
    torch.testing.assert_close(speed, 1.2 * torch.exp2(tempo), rtol=1e-3, atol=1e-3)
    # so does the energy told
    told = batch["cues"][:, 10, ENERGY]
    given = told[:, 1] == 1
    assert 0.6 < given.float().mean() < 0.95
    assert torch.corrcoef(torch.stack([told[given][:, 0], tempo[given]]))[0, 1] > 0.9


def test_a_track_as_short_as_a_window_is_never_left() -> None:
    motion = wandering(seconds=0.75)
    features = representation.encode(motion)
    features[:, representation.HEIGHT] = np.linspace(1.0, 2.0, len(features))
    track = Track((features, features), measure_energy(motion.positions(), 60.0), music(0.75), 0)
    height = Windows([track], TINY, seed=1).batch(200)["features"][:, :, representation.HEIGHT]
    assert (height.diff(dim=1) > 0).all()


def test_silence_stays_silence() -> None:
    quiet = [replace(t, music=replace(t.music, mel=0 * t.music.mel)) for t in tracks(1)]
    assert not Windows(quiet, TINY, seed=0).batch(64)["cues"][..., MEL].any()


def test_songs_that_can_not_be_heard_are_named_once(data: Path) -> None:
    deaf = data / "jive" / "deaf.wav"
    dances = [
        Dance("a", "waltz", deaf, wandering()),
        Dance("b", "waltz", deaf, wandering(1)),
        Dance("c", "rumba", None, wandering(2)),
    ]
    said: list[str] = []
    kept = prepare(dances, TINY.genres, skip=said.append)
    assert [track.genre for track in kept] == [0]
    assert not kept[0].music.mel.any()
    assert len(said) == 1
    assert "deaf.wav" in said[0]


# --- a run ------------------------------------------------------------------------------------------


def test_training_learns_logs_draws_and_resumes(tmp_path: Path) -> None:
    trainer = Trainer(tracks(), tracks(1), TINY, tmp_path)
    trainer.run(TrainConfig(steps=100, batch=8, warmup=5, seed=3))
    logged = rows(tmp_path)
    trained = [row for row in logged if row["features"]]
    assert [int(row["step"]) for row in trained] == [20, 40, 60, 80, 100]
    assert {row["seed"] for row in trained} == {"3"}
    assert float(trained[-1]["features"]) < float(trained[0]["features"])
    assert float(logged[-1]["val_own"]) > 0
    assert load_model(tmp_path / "model.safetensors").config == TINY
    for picture in ("losses.png", "samples.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")

    (tmp_path / ".checkpoint.pt.0123abcd.part").touch()  # as a kill leaves it
    again = Trainer(tracks(), tracks(1), TINY, tmp_path)
    assert again.resume()
    assert again.step == 100
    again.run(TrainConfig(steps=120, batch=8, warmup=5, seed=4))
    assert again.step == 120
    assert [row["seed"] for row in rows(tmp_path) if row["seed"]][-1] == "4"
    assert not list(tmp_path.glob("*.part"))


def test_the_first_row_after_a_resume_is_as_high_as_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(tracks(), [], TINY, tmp_path)
    weights = trainer.model.write.weight
    monkeypatch.setattr(trainer, "_losses", lambda *_: {"features": 0.0 * weights.sum() + 1.0})
    monkeypatch.setattr(trainer, "_calibrate", lambda _: None)
    trainer.step = 13
    trainer.run(TrainConfig(steps=40, batch=1))
    assert [(row["step"], float(row["features"])) for row in rows(tmp_path)] == [("20", 1.0), ("40", 1.0)]


def test_dances_that_fall_short_are_told_more_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    def sluggish(model: DanceModel, cues: list[np.ndarray], genres: np.ndarray, **_: Any) -> list[np.ndarray]:
        """Bodies that fly with 0.8 octaves for each they are told, less 0.6."""
        energy = 0.8 * (0.5 * cues[0][:, ENERGY.start] - 0.5) - 0.6
        features = np.zeros((len(genres), representation.WIDTH))
        features[:, representation.HEIGHT] = 2.0
        features[:, representation.ROTATIONS] = np.tile([1.0, 0, 0, 0, 1, 0], 24)
        features[:, representation.VELOCITY.start] = np.exp2(energy) - 0.02
        return [features]

    monkeypatch.setattr(calibrating, "sample", sluggish)
    model = DanceModel(replace(TINY, genres=("rumba", "waltz", "jive"))).requires_grad_(False)
    model.usual[:, 0] = torch.tensor([-0.5, -1.0, 0.0, -0.5])
    calibrating.calibrate(model, tracks(2))
    # 0.8 (wanted + shortfall) - 0.6 = wanted; nobody has danced a jive
    wanted = torch.tensor([0.625, 0.5, 0.0, 0.375])
    torch.testing.assert_close(model.shortfall, wanted, atol=0.01, rtol=0)
    cues = plan_dance(music(), "waltz", Controls(), model).cues(0)
    np.testing.assert_allclose(0.5 * cues[:, ENERGY.start] - 0.5, -0.5, atol=0.01)


def test_the_same_seed_trains_the_same_model(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Trainer(tracks(), [], TINY, tmp_path / name).run(TrainConfig(steps=5, batch=4))
    one, two = (load_model(tmp_path / name / "model.safetensors").state_dict() for name in ("one", "two"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_tensorboard_gets_the_numbers_too(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = train_log.Log(tmp_path, tensorboard=True)
    log.add(20, features=0.5)
    log.add(40, features=0.25)
    events = accumulator.EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("features")] == [(20, 0.5), (40, 0.25)]


def test_tensorboard_forgets_what_comes_again(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for again in (False, True):
        log = train_log.Log(tmp_path, tensorboard=True)
        log.forget_after(20 if again else 0)
        for step in (40,) if again else (20, 40, 60):
            log.add(step, features=0.25 if again else 0.5)
    events = accumulator.EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("features")] == [(20, 0.5), (40, 0.25)]


def test_a_log_cut_off_in_mid_line_goes_on(tmp_path: Path) -> None:
    log = train_log.Log(tmp_path)
    for step in (20, 40):
        log.add(step, features=1.0 / step)
    log.path.write_bytes(log.path.read_bytes()[:-4])
    log.add(60, features=0.5)
    log.add(60, val_own=0.25)
    steps, values = log.read()["features"]
    np.testing.assert_array_equal(steps, [20, 40, 60])
    np.testing.assert_array_equal(values[[0, 2]], [0.05, 0.5])
    np.testing.assert_array_equal(log.read()["val_own"], [[60], [0.25]])
    train_log.plot_losses(log, tmp_path / "losses.png")
    assert (tmp_path / "losses.png").stat().st_size > 1000


def test_no_number_is_lost_whichever_comes_first(tmp_path: Path) -> None:
    """Where steps take long, the first checkpoint's row stands before the first of the losses."""
    log = train_log.Log(tmp_path)
    log.add(7, val_own=0.75)
    log.add(20, features=0.5, rate=1e-3)
    log.add(25, val_own=0.25)
    found = {name: (steps.tolist(), values.tolist()) for name, (steps, values) in log.read().items()}
    assert found == {"val_own": ([7, 25], [0.75, 0.25]), "features": ([20], [0.5]), "rate": ([20], [0.001])}


def test_rows_that_come_again_are_not_logged_twice(tmp_path: Path) -> None:
    """A run stopped after its checkpoint is resumed from it; one stopped before its first begins anew."""
    log = train_log.Log(tmp_path)
    for step in (20, 40, 60):
        log.add(step, features=1.0 / step)
    log.forget_after(40)
    log.add(60, features=0.5)
    np.testing.assert_array_equal(log.read()["features"], [[20, 40, 60], [0.05, 0.025, 0.5]])
    log.forget_after(0)
    assert not log.path.exists()
    log.forget_after(20)  # nor is there anything to forget
    trainer = Trainer(tracks(), [], TINY, tmp_path)
    log.add(20, features=1.0)
    trainer.run(TrainConfig(steps=20, batch=2))
    assert log.read()["features"][0].tolist() == [20]


def test_what_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_log, "find_spec", lambda name: None)
    with pytest.raises(StepsmithError, match=r"^TensorBoard is not installed: pip install .*$"):
        train_log.Log(tmp_path, tensorboard=True)
    trainer = Trainer(tracks(), [], TINY, tmp_path)
    trainer.run(TrainConfig(steps=1, batch=2))
    assert not list(tmp_path.glob("*.png"))


# --- bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["weights", "gradients"])
def test_a_loss_that_is_no_number_stops_training_and_keeps_the_checkpoint(tmp_path: Path, where: str) -> None:
    trainer = Trainer(tracks(), [], TINY, tmp_path)
    trainer.run(TrainConfig(steps=2, batch=4))
    kept = {name: (tmp_path / name).read_bytes() for name in ("checkpoint.pt", "model.safetensors")}
    if where == "weights":
        with torch.no_grad():
            trainer.model.write.weight.fill_(float("nan"))
    else:
        trainer.model.write.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(StepsmithError, match="no longer a number at step 2: resume from the last checkpoint in"):
        trainer.run(TrainConfig(steps=4, batch=4))
    assert {name: (tmp_path / name).read_bytes() for name in kept} == kept
    (tmp_path / "checkpoint.pt").unlink()
    with pytest.raises(StepsmithError, match="no longer a number at step 2: start again with a lower learning rate"):
        trainer.run(TrainConfig(steps=4, batch=4))


@pytest.mark.parametrize(
    "harm", ["truncated", "text", "empty", "other keys", "pickle", "other kinds", "other genres", "more genres"]
)
def test_bad_checkpoints_are_one_sentence(tmp_path: Path, harm: str) -> None:
    trainer = Trainer(tracks(), [], TINY, tmp_path)
    trainer.run(TrainConfig(steps=1, batch=2))
    file, model = tmp_path / "checkpoint.pt", TINY
    if harm == "truncated":
        file.write_bytes(file.read_bytes()[:-2000])
    elif harm == "text":
        file.write_text("no checkpoint")
    elif harm == "empty":
        file.write_bytes(b"")
    elif harm == "other keys":
        torch.save({"weights": torch.zeros(3)}, file)
    elif harm == "pickle":
        torch.save({"model": os.getcwd}, file)
    elif harm == "other kinds":
        torch.save({**torch.load(file, weights_only=True), "step": "abc"}, file)
    else:
        model = replace(TINY, genres=("polka", "waltz", "rumba") if harm == "more genres" else ("polka", "waltz"))
    with pytest.raises(StepsmithError, match=r"^[^\n]*checkpoint.pt is [^\n]*$"):
        Trainer(tracks(1), [], model, tmp_path).resume()


def test_what_is_wrong_with_a_machine_is_not_called_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(tracks(), [], TINY, tmp_path)
    trainer.run(TrainConfig(steps=1, batch=2))

    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", full)
        with pytest.raises(MemoryError):
            trainer.resume()

    def closed(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", closed)
    with pytest.raises(StepsmithError, match=r"checkpoint\.pt can't be read \(Permission denied\)"):
        trainer.resume()


def test_a_full_disk_is_one_sentence_and_the_checkpoint_stays(tmp_path: Path, full_disk: FullDisk) -> None:
    trainer = Trainer(tracks(), [], TINY, tmp_path)
    trainer.run(TrainConfig(steps=1, batch=2))
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with (
        full_disk(),
        pytest.raises(StepsmithError, match=r"^The checkpoint can't be written to [^\n]*: free some space"),
    ):
        trainer.save()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_weights_can_be_read_by_whom_other_files_can(tmp_path: Path) -> None:
    Trainer(tracks(), [], TINY, tmp_path).run(TrainConfig(steps=1, batch=2))
    (tmp_path / "other").touch()
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_training_goes_on_when_dances_in_another_metre_come(tmp_path: Path) -> None:
    Trainer(tracks(), [], replace(TINY, meters=(4, 3)), tmp_path).run(TrainConfig(steps=1, batch=2))
    again = Trainer(tracks(), [], replace(TINY, meters=(4, 0)), tmp_path)
    assert again.resume()
    again.run(TrainConfig(steps=2, batch=2))
    assert load_model(tmp_path / "model.safetensors").config.meters == (4, 0)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """``train`` with a model of no size."""
    monkeypatch.setattr(training, "ModelConfig", lambda **shape: ModelConfig(**{**TINY.to_dict(), **shape}))


@pytest.mark.usefixtures("tiny")
def test_a_folder_of_songs_and_motions_becomes_weights(data: Path, tmp_path: Path) -> None:
    extra, out = tmp_path / "extra", tmp_path / "out"
    (extra / "salsa").mkdir(parents=True)
    save_motion(extra / "salsa" / "one.bvh", wandering(5, 8.0))
    said: list[str] = []
    weights = training.train(data, out, TrainConfig(steps=2, batch=4), extra=[extra], skip=said.append)
    assert load_model(weights).config.genres == ("jive", "polka", "salsa")
    assert load_model(weights).config.meters[-1] == 4, "as dances without music are counted"
    assert sorted(sentence.split(":")[0] for sentence in said) == ["deaf.wav", "holiday.bvh"]
    assert any(row["val_own"] for row in rows(out))
    card = (out / "model.md").read_text()
    assert "| salsa | 1 | 0.1 | 0.0 |" in card
    assert "| polka | 1 | 0.1 | 0.1 |" in card
    assert "On dances kept back (1)" in card

    with pytest.raises(StepsmithError, match="--resume"):
        training.train(data, out, TrainConfig(steps=4, batch=4))
    training.train(data, out, TrainConfig(steps=4, batch=4), resume=True, extra=[extra])
    with pytest.raises(StepsmithError, match="other genres"):
        training.train(data, out, TrainConfig(steps=6, batch=4), resume=True)
    with pytest.raises(StepsmithError, match="no checkpoint to resume from"):
        training.train(data, tmp_path / "nowhere", TrainConfig(steps=1), resume=True)
    (tmp_path / "file").write_text("no folder")
    said.clear()
    with pytest.raises(StepsmithError, match="file can't be made"):
        training.train(data, tmp_path / "file", TrainConfig(steps=1), skip=said.append)
    with pytest.raises(StepsmithError, match="is no folder or zip"):
        training.train(data, tmp_path / "new", TrainConfig(steps=1), extra=[tmp_path / "nowhere.zip"], skip=said.append)
    assert not said, "before anything is read"
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("seconds", [28, 36])
def test_all_folders_together_must_fit_in_memory(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """16 s in --data, 8 s in either --extra, and 8 s kept back, which alone are too much for the second limit."""
    (data / "jive" / "deaf.npz").unlink()
    extra = [tmp_path / name / "salsa" for name in ("one", "two")]
    for number, folder in enumerate(extra):
        folder.mkdir(parents=True)
        save_motion(folder / "a.npz", wandering(number, 8.0))
    monkeypatch.setattr("stepsmith.backend.dance.sources.dance.MOST_HOURS", seconds / 3600)
    with pytest.raises(StepsmithError, match="and the folders before it hold more than"):
        training.train(data, tmp_path / "out", TrainConfig(steps=1), extra=[folder.parent for folder in extra])


@pytest.mark.usefixtures("tiny")
def test_no_motion_is_held_while_the_model_learns(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[int] = []

    def count(*_: Any) -> None:
        gc.collect()
        alive.append(sum(type(thing) is Dance for thing in gc.get_objects()))

    before = sum(type(thing) is Dance for thing in gc.get_objects())
    monkeypatch.setattr(Trainer, "run", count)
    training.train(data, tmp_path / "out", TrainConfig(steps=1))
    assert alive == [before]


@pytest.mark.usefixtures("tiny")
def test_a_genre_without_a_song_that_can_be_read_is_not_learnt(data: Path, tmp_path: Path) -> None:
    (data / "manifest.csv").unlink()
    (data / "broken").mkdir()
    save_motion(data / "broken" / "quiet.npz", wandering(4, 8.0))
    (data / "broken" / "quiet.wav").write_text("no sound")
    weights = training.train(data, tmp_path / "out", TrainConfig(steps=1, batch=2))
    assert load_model(weights).config.genres == ("jive", "polka")
    assert "broken" not in (tmp_path / "out" / "model.md").read_text()


@pytest.mark.usefixtures("tiny")
def test_genres_that_are_only_kept_back_are_said(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = data / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("polka0,train", "polka0,test"))
    monkeypatch.setattr(Trainer, "run", lambda *_: None)
    result = CliRunner().invoke(train_app, ["--data", str(data), "--out", str(tmp_path / "out")])
    assert "All dances of polka are in val or test" in result.stderr
    assert "jive are in" not in result.stderr
    (tmp_path / "polka").mkdir()
    save_motion(tmp_path / "polka" / "one.npz", wandering(5, 8.0))
    said: list[str] = []
    training.train(data, tmp_path / "wide", TrainConfig(), extra=[tmp_path / "polka"], say=said.append)
    assert not said


@pytest.mark.usefixtures("tiny")
def test_the_command_names_and_counts_what_it_leaves_out(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--data", str(data), "--steps", "1", "--batch", "2", "--rate", "0.001"]
    result = CliRunner().invoke(train_app, arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(Path("training") / "model.safetensors")
    with safe_open(tmp_path / "training" / "model.safetensors", framework="np") as opened:
        assert {"data", "licence", "stepsmith", "steps"} <= opened.metadata().keys()
    assert (tmp_path / "training" / "checkpoint.pt").is_file()
    shown = " ".join(result.stderr.split())
    assert shown.count("Left out: holiday.bvh: line 1") == 1
    assert shown.count("Left out: deaf.wav") == 1
    assert shown.endswith("2 files were left out.")


_TOGETHER = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import torch
from test_train import TINY, tracks
from stepsmith.backend.dance.train import TrainConfig, Trainer
for out in map(Path, {folders!r}):
    trainer = Trainer(tracks(), tracks(1), TINY, out)
    assert trainer.processes.count == 2
    trainer.resume()
    trainer.run(TrainConfig(steps=20, batch=4, warmup=2))
    sums = torch.stack([value.double().sum() for value in trainer.model.state_dict().values()]).sum()
    Path(out, f"sum{{trainer.processes.rank}}").write_text(repr(sums.item()))
"""


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of two trainings in two processes to step 20: from nothing, and from one process's checkpoint."""
    fresh, begun = tmp_path_factory.mktemp("fresh"), tmp_path_factory.mktemp("begun")
    Trainer(tracks(), tracks(1), TINY, begun).run(TrainConfig(steps=10, batch=4, warmup=2))
    script = fresh / "together.py"
    script.write_text(_TOGETHER.format(here=str(Path(__file__).parent), folders=[str(fresh), str(begun)]))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(launcher, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return fresh, begun


@pytest.mark.slow
def test_two_processes_train_one_model(together: tuple[Path, Path]) -> None:
    fresh, _ = together
    assert (fresh / "sum0").read_text() == (fresh / "sum1").read_text(), "both hold the same weights"
    assert [row["step"] for row in rows(fresh)] == ["20", "20"], "one of them writes"
    assert load_model(fresh / "model.safetensors").config == TINY


@pytest.mark.slow
def test_two_processes_go_on_from_one_checkpoint(together: tuple[Path, Path]) -> None:
    _, begun = together
    assert (begun / "sum0").read_text() == (begun / "sum1").read_text()
    assert torch.load(begun / "checkpoint.pt", weights_only=True)["step"] == 20
