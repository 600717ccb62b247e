"""The evaluation as users run it: on a folder of dances, real ones and a model's."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from stepsmith.backend.audio import decode
from stepsmith.backend.audio.synth import synthesise, write_wav
from stepsmith.backend.dance.model import DanceModel, ModelConfig
from stepsmith.backend.dance.sources import load_dances
from stepsmith.backend.dance.weights import load_model, save_model
from stepsmith.backend.evaluate import protocol, tables
from stepsmith.backend.evaluate.cli import KEYS, evaluate_app, markdown
from stepsmith.backend.evaluate.dances import evaluate
from stepsmith.backend.evaluate.protocol import Song
from stepsmith.backend.evaluate.systems import Memory, StepsmithModel
from stepsmith.backend.measures import metrics
from stepsmith.backend.measures.metrics import Estimate
from stepsmith.backend.progress import silent
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL
from typer.testing import CliRunner

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "tang2018"

# Recorded joint -> ours, for those that the reader of recordings looks at.
MARKERS = {7: 2, 8: 5, 9: 8, 16: 1, 17: 4, 18: 7, 11: 11, 20: 10}
TEMPI = {"a1": 120.0, "a2": 100.0, "b1": 110.0, "b2": 115.0, "b3": 90.0, "b4": 105.0}
SPLITS = {name: "test" if name.startswith("a") else "train" for name in TEMPI}
SECONDS = 24.0


def pulsing(beats: np.ndarray, seconds: float, *, seed: int = 0) -> Motion:
    """A body that swings its arms and travels, and slows down on each of ``beats``."""
    times = np.arange(round(seconds * 30)) / 30
    count = np.interp(times, beats, np.arange(len(beats)))
    path = np.cumsum(0.02 * (1.2 - np.cos(2 * np.pi * count)))
    random = np.random.default_rng(seed)
    angles = np.zeros((len(times), 24, 3))
    for joint in (16, 17, 18, 19, 1, 2, 4, 5):
        angles[:, joint] = random.normal(0, 0.4, 3) * np.sin(path * random.uniform(1, 3))[:, None]
    root = np.stack([np.sin(path), np.cos(path), np.full(len(path), SMPL.rest_root_height)], axis=1)
    return Motion(30.0, root, rot.from_axis_angle(angles), np.zeros((len(times), 4)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six dances with their songs, stored as the recordings are."""
    folder = tmp_path_factory.mktemp("dances")
    turn = rot.from_axis_angle([-np.pi / 2, 0.0, 0.0])  # z up to y up
    rows = []
    for number, (name, tempo) in enumerate(TEMPI.items()):
        beats = grid(tempo, SECONDS)
        if SPLITS[name] == "test":
            song = synthesise(tempo, 4, style="funk", duration=SECONDS, seed=number)
            write_wav(folder / f"{name}.ogg", song)  # the decoder looks at what is inside
            beats = song.beats
        else:  # nobody listens to it
            shutil.copy(folder / "a1.ogg", folder / f"{name}.ogg")
        motion = pulsing(beats, SECONDS, seed=number).resample(25.0)
        positions = rot.rotate(turn, motion.positions())
        joints = np.tile(positions[:, :1], (1, 21, 1))
        for marker, joint in MARKERS.items():
            joints[:, marker] = positions[:, joint]
        local = rot.multiply(rot.multiply(turn, motion.rotations), rot.conjugate(turn))
        poses = rot.to_axis_angle(local).reshape(len(motion), 72)
        np.savez(folder / f"{name}.npz", fps=25.0, smpl_poses=poses, joints=joints, betas=np.zeros(10))
        rows.append([name, "cha-cha", len(motion), SECONDS, SECONDS, SPLITS[name], ""])
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["name", "genre", "frames", "motion_s", "audio_s", "split", "note"], *rows])
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned nothing, but dances."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    config = ModelConfig(genres=("cha-cha", "waltz"), window=30, width=32, depth=1, heads=2)
    model = DanceModel(config)
    with torch.no_grad():
        for parameter in model.parameters():  # a fresh model's last layer is zero: it would ignore its noise
            parameter.normal_(0.0, 0.1)
    save_model(path, model, {"data": "none"})
    return path


def test_the_table_and_the_file_show_real_data_beside_the_model(folder: Path, weights: Path, tmp_path: Path):
    out, plots = tmp_path / "figures.json", tmp_path / "plots"
    arguments = ["dance", "--data", str(folder), "--split", "test", "--model", str(weights), "--json", str(out)]
    result = CliRunner().invoke(evaluate_app, [*arguments, "--plots", str(plots)])
    assert result.exit_code == 0, result.output
    table = [line for line in result.stdout.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in table[0].split("|")[2:-1]] == ["floor", "floor by clips", "real", "Stepsmith"]
    assert len({len(line) for line in table}) == 1, "the columns are aligned"
    assert "2 clips of 20 s" in result.stdout

    systems = json.loads(out.read_text())["systems"]
    for figures in systems.values():
        assert set(KEYS) <= figures.keys(), "nobody has to ask which figures there are"
        assert set(KEYS) <= figures["intervals"].keys()
    real, model = systems["real"], systems["Stepsmith"]
    assert real.keys() == model.keys()
    assert f"{real['bas']:.3f}" in next(line for line in table if "BAS, own song" in line)
    low, high = real["intervals"]["bas"]
    assert low <= real["bas"] <= high
    assert 1.15 < real["tempo_ratio"] < 1.3, "that of the same dances played faster"
    assert model["tempo_ratio"] > 0
    assert systems["floor"]["fid_k"] > 0
    assert systems["floor"]["bas"] is None
    assert not list(tmp_path.rglob("*.part"))
    assert sorted(path.name for path in plots.iterdir()) == ["dances.png", "scores.png", "speed.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in plots.iterdir())


class Marcher:
    """A dancer who keeps to the beats of any song, and counts how often it is asked."""

    def __init__(self, name: str) -> None:
        self.name, self.asked, self.heard = name, 0, []

    def dance(self, song: Path, *, seed: int, progress=silent) -> Motion:
        self.asked += 1
        sound = decode(song)
        self.heard.append((sound.duration, seed))
        return pulsing(np.arange(0.0, 60.0, 0.5), sound.duration, seed=seed)


def test_every_baseline_in_the_folder_is_measured(folder, weights, tmp_path, monkeypatch):
    one, two = Marcher("one"), Marcher("two")
    one.budget = "3 of 4 min"
    monkeypatch.setattr("stepsmith.backend.baselines.systems.load_baselines", lambda folder: [one, two])
    report = evaluate(folder, "test", weights=weights, baselines=tmp_path, only=["real", "one", "two"])
    assert list(report.systems) == ["real", "one", "two"]
    assert report.systems["one"]["bas"].value == report.systems["two"]["bas"].value
    assert "one was trained for 3 of 4 min." in markdown(report)
    with pytest.raises(StepsmithError, match="choose from real, Stepsmith, one, two"):
        evaluate(folder, "test", weights=weights, baselines=tmp_path, only=["three"])


def test_a_baseline_that_is_trained_on_is_danced_again_alone(folder, weights, tmp_path, monkeypatch):
    one, two = Marcher("one"), Marcher("two")
    monkeypatch.setattr("stepsmith.backend.baselines.systems.load_baselines", lambda folder: [one, two])
    asked = []
    (tmp_path / "kept").mkdir()
    for taught in (b"", b"", b"more"):
        for name in ("one", "two"):
            (tmp_path / f"{name}.safetensors").write_bytes(taught if name == "two" else b"")
        evaluate(folder, "test", weights=weights, baselines=tmp_path, only=["one", "two"], keep=tmp_path / "kept")
        asked.append((one.asked, two.asked))
    assert asked == [(4, 4), (4, 4), (4, 8)]


def test_all_hear_as_much_of_the_song_as_was_danced_and_then_the_same_faster(folder: Path):
    dances = load_dances(folder, "test")
    marcher = Marcher("marcher")
    performances = protocol.perform(marcher, protocol.pieces_of(dances), {}, seed=5)
    lengths = [dance.motion.duration for dance in dances]
    assert [duration for duration, _ in marcher.heard] == pytest.approx(
        [lengths[0], lengths[0] / 1.25, lengths[1], lengths[1] / 1.25], abs=0.05
    )
    assert [seed for _, seed in marcher.heard] == [5, 5, 6, 6]
    assert [performance.song for performance in performances] == ["a1", "a2"]
    assert performances[0].faster.duration == pytest.approx(lengths[0] / 1.25, abs=0.1)


def test_any_songs_can_be_danced_to(folder, weights, tmp_path, monkeypatch):
    monkeypatch.setattr("stepsmith.backend.baselines.systems.load_baselines", lambda folder: [Marcher("one")])
    songs = tmp_path / "songs"
    songs.mkdir()
    with wave.open(str(folder / "a1.ogg")) as once, wave.open(str(songs / "long.wav"), "wb") as twice:
        twice.setparams(once.getparams())
        twice.writeframes(once.readframes(once.getnframes()))
        once.rewind()
        twice.writeframes(once.readframes(round((41.0 - SECONDS) * once.getframerate())))
    (songs / "long.txt").write_text("a licence")
    report = evaluate(folder, weights=weights, baselines=tmp_path, songs=songs, only=["one"])
    assert report.facts["clips"] == {"one": 2}
    assert report.systems["one"]["endurance"].value == pytest.approx(1.0, abs=0.2)
    with pytest.raises(StepsmithError, match="choose from Stepsmith, one"):
        evaluate(folder, weights=weights, baselines=tmp_path, songs=songs, only=["real"])
    (songs / "long.wav").unlink()
    with pytest.raises(StepsmithError, match="no songs"):
        evaluate(folder, weights=weights, songs=songs)


def test_dances_are_remembered_by_dancer_weights_song_and_seed(folder: Path, tmp_path: Path):
    pieces = protocol.pieces_of(load_dances(folder, "test", names=["a1"]))
    marcher = Marcher("a/b")  # names may hold what file names can't

    def perform(seed: int, weights: str) -> Motion:
        return protocol.perform(marcher, pieces, {}, seed=seed, memory=Memory(tmp_path, weights))[0].motion

    first, again = perform(0, "x"), perform(0, "x")
    assert marcher.asked == 2, "the song and the faster song, once each"
    np.testing.assert_array_equal(first.rotations, again.rotations)
    perform(1, "x")
    perform(0, "y")
    assert marcher.asked == 6


def test_the_model_dances_as_long_as_it_is_asked_to_and_repeats_itself(folder: Path, weights: Path):
    dances = load_dances(folder, "test", names=["a1"])
    (whole,) = protocol.pieces_of(dances).values()
    pieces = {"a1": dataclasses.replace(whole, duration=8.0)}
    songs = protocol.listen(pieces)
    model = StepsmithModel(load_model(weights))
    first, again, other = (protocol.perform(model, pieces, songs, seed=seed)[0].motion for seed in (3, 3, 4))
    assert first.duration == pytest.approx(8.0, abs=0.1)
    np.testing.assert_array_equal(first.rotations, again.rotations)
    assert not np.array_equal(first.rotations, other.rotations)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--systems", "robot"], "choose from real, Stepsmith"),
        (["--systems", ""], "choose from real, Stepsmith"),
        (["--systems", "real", "--split", "holiday"], "train, val, test"),
        (["--json", "/nowhere/at/all.json"], "does not exist"),
        (["--json", "/usr"], "is a folder"),
        (["--model", "/nowhere/weights.safetensors"], "missing"),
        (["--baselines", "/nowhere/baselines"], "no folder"),
        (["--songs", "/nowhere/songs"], "no songs"),
        (["--systems", "real", "--plots", "/dev/null/plots"], "can't be made"),
        (["--systems", "real", "--keep", "/dev/null/keep"], "can't be made"),
    ],
)
def test_what_can_not_be_measured_is_said_in_a_sentence(folder: Path, arguments: list[str], words: str):
    result = CliRunner().invoke(evaluate_app, ["dance", "--data", str(folder), *arguments])
    assert isinstance(result.exception, StepsmithError)
    assert words in str(result.exception)


@pytest.mark.parametrize("arguments", [["--systems", "real", "--split", "holiday"], ["--songs", "/nowhere/songs"]])
def test_what_can_not_be_danced_to_is_said_before_anything_is_read(
    folder: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("stepsmith.backend.evaluate.dances.load_dances", lambda *_, **__: pytest.fail("read"))
    result = CliRunner().invoke(evaluate_app, ["dance", "--data", str(folder), *arguments])
    assert isinstance(result.exception, StepsmithError)


def test_motions_that_can_not_be_read_are_left_out(folder: Path, tmp_path: Path):
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    lost = next(name for name, split in SPLITS.items() if split == "train")
    (tmp_path / f"{lost}.npz").unlink()
    (tmp_path / f"{lost}.npz").write_bytes((folder / f"{lost}.npz").read_bytes()[:2000])
    result = CliRunner().invoke(evaluate_app, ["dance", "--data", str(tmp_path), "--systems", "real"])
    shown = " ".join(result.stderr.split())
    assert f"Left out: {lost}.npz" in shown, (result.exception, shown)


def test_songs_that_can_not_be_heard_are_left_out(folder: Path, weights: Path, tmp_path: Path):
    for name in ("one", "two"):
        write_wav(tmp_path / f"{name}.wav", synthesise(120, duration=21.0))
    (tmp_path / "empty.mp3").touch()
    arguments = ["dance", "--data", str(folder), "--songs", str(tmp_path), "--model", str(weights)]
    result = CliRunner().invoke(evaluate_app, arguments)
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stderr.split())
    assert "Left out: " in shown
    assert "empty.mp3" in shown
    assert shown.endswith("1 file was left out.")
    for name in ("one", "two"):
        (tmp_path / f"{name}.wav").write_text("no sound")
    result = CliRunner().invoke(evaluate_app, arguments)
    assert "None of the songs" in str(result.exception)


def test_an_empty_folder_is_no_set_of_dances(tmp_path: Path):
    result = CliRunner().invoke(evaluate_app, ["dance", "--data", str(tmp_path)])
    assert isinstance(result.exception, StepsmithError)


def grid(tempo: float, seconds: float = 44.0) -> np.ndarray:
    return np.arange(0.0, seconds, 60.0 / tempo)


def measured(performances: list[protocol.Performance], songs: dict[str, Song]) -> dict[str, metrics.Estimate]:
    reference = protocol.Reference([clip for p in performances for clip in protocol.cut(p.song, p.motion)])
    return protocol.measure(performances, reference, songs)


def test_a_dancer_who_listens_is_told_from_one_who_does_not():
    songs = {"slow": Song(grid(90)), "middle": Song(grid(107)), "fast": Song(grid(127))}
    listening = [
        protocol.Performance(name, pulsing(song.beats, 42), pulsing(song.beats / 1.25, 42 / 1.25))
        for name, song in songs.items()
    ]
    deaf = [
        protocol.Performance(song, pulsing(grid(101), 42), pulsing(grid(101), 42 / 1.25))
        for song in songs
    ]  # fmt: skip
    heard, ignored = measured(listening, songs), measured(deaf, songs)
    assert heard["bas"].value > 0.8
    assert heard["listening"].low > 0.4
    assert heard["tempo_ratio"].value == pytest.approx(1.25, abs=0.05)
    assert abs(ignored["listening"].value) < 0.1
    assert ignored["tempo_ratio"].value == pytest.approx(1.0, abs=0.05)


def test_another_dance_to_the_same_song_is_no_other_song():
    songs = {
        "first": Song(grid(90), recording="slow"),
        "second": Song(grid(90), recording="slow"),
        "third": Song(grid(127), recording="fast"),
    }
    listening = [protocol.Performance(name, pulsing(song.beats, 42)) for name, song in songs.items()]
    assert measured(listening, songs)["listening"].low > 0.4
    del songs["third"]
    assert np.isnan(measured(listening[:2], songs)["listening"].value)


def test_dances_to_copies_of_a_song_are_known_to_be_to_one(folder: Path, tmp_path: Path):
    shutil.copy(folder / "a1.ogg", tmp_path / "copy.ogg")
    pieces = protocol.pieces_in(tmp_path) | {name: protocol.Piece(folder / f"{name}.ogg") for name in ("a1", "a2")}
    songs = protocol.listen(pieces)
    assert not songs["copy"].is_other(songs["a1"])
    assert songs["copy"].is_other(songs["a2"])


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
def test_dances_of_just_a_clip_are_measured_whole(fps: float):
    motion = pulsing(grid(110), 41).resample(fps).slice(0, round(20 * fps))
    assert motion.duration == pytest.approx(20.0)
    (clip,) = protocol.cut("short", motion)
    assert len(clip.positions) >= 600 - np.ceil(30 / fps)
    assert protocol.clip_count(motion) == 1
    assert not protocol.cut("shorter", motion.slice(0, len(motion) - 1))


def stiffened(performance: protocol.Performance, *, stand: bool) -> protocol.Performance:
    """The same path in one unchanging pose, or that pose on one spot."""
    motion = performance.motion
    count = len(motion)
    root = np.repeat(motion.root[:1], count, axis=0) if stand else motion.root
    pose = np.repeat(motion.rotations[:1], count, axis=0)
    return protocol.Performance(performance.song, Motion(30.0, root, pose, motion.contacts))


def test_a_set_has_no_distance_to_itself_and_one_to_others():
    real = [protocol.Performance(str(n), pulsing(grid(100 + 5 * n), 42, seed=n)) for n in range(5)]
    reference = protocol.Reference([clip for p in real for clip in protocol.cut(p.song, p.motion)])
    songs = {performance.song: Song(grid(100)) for performance in real}
    same = protocol.measure(real, reference, songs)
    stiff = protocol.measure([stiffened(p, stand=False) for p in real], reference, songs)
    for distance in ("fid_k", "fid_g_varying"):
        assert same[distance].value == pytest.approx(0.0, abs=1e-6)
        assert stiff[distance].value > 10.0
        assert stiff[distance].low < stiff[distance].value < stiff[distance].high
    assert stiff["joint_speed"].value < same["joint_speed"].value


def test_a_frozen_dancer_is_found_out():
    moving = [protocol.Performance(str(n), pulsing(grid(110), 42, seed=n)) for n in range(2)]
    reference = protocol.Reference([clip for p in moving for clip in protocol.cut(p.song, p.motion)])
    frozen = [stiffened(performance, stand=True) for performance in moving]
    figures = protocol.measure(frozen, reference, {"0": Song(grid(110)), "1": Song(grid(90))})
    assert (figures["freezing"].value, figures["motion_beat_rate"].value, figures["bas"].value) == (1.0, 0.0, 0.0)


def waltzing(beats: np.ndarray, beats_a_bar: int, seconds: float) -> Motion:
    """A body that swings its arms once a bar, hardest on the first beat."""
    times = np.arange(round(seconds * 30)) / 30
    bar = np.interp(times, beats, np.arange(len(beats))) / beats_a_bar
    angles = np.zeros((len(times), 24, 3))
    angles[:, 16:20, 1] = 0.5 * np.sin(2 * np.pi * bar + np.sin(2 * np.pi * bar))[:, None]
    root = np.tile([0.0, 0.0, SMPL.rest_root_height], (len(times), 1))
    return Motion(30.0, root, rot.from_axis_angle(angles), np.zeros((len(times), 4)))


def test_waltzes_are_told_from_dances_in_four():
    beats = grid(90)
    songs = {"1": Song(beats, 3), "2": Song(beats, 3), "tango": Song(beats, 4)}
    in_three = measured([protocol.Performance(name, waltzing(beats, 3, 42)) for name in songs], songs)
    in_four = measured([protocol.Performance(name, waltzing(beats, 4, 42)) for name in songs], songs)
    assert in_three["waltz_in_three"].value > 0.5
    assert in_four["waltz_in_three"].value < -0.5
    assert in_three["bar_share"].value > 0.5, "two of three dances are waltzes"


def test_distances_need_enough_real_dances():
    few = protocol.Reference(protocol.cut("one", pulsing(grid(110), 63)))
    with pytest.raises(StepsmithError, match=r"four dances .* give more or longer ones"):
        few.floors()


def test_too_little_to_measure_is_said():
    short = protocol.Performance("short", pulsing(grid(110), 21))
    reference = protocol.Reference(protocol.cut("short", short.motion))
    with pytest.raises(StepsmithError, match="20 s"):
        protocol.measure([short], reference, {"short": Song(grid(110))})


def test_a_song_played_faster_is_shorter_and_higher(tmp_path: Path):
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(20 * 32000) / 32000) * 32767).astype("<i2")
    with wave.open(str(tmp_path / "song.wav"), "wb") as file:
        file.setparams((1, 2, 32000, 0, "NONE", ""))
        file.writeframes(tone.tobytes())
    protocol.record(decode(tmp_path / "song.wav", duration=10.0), tmp_path / "faster.wav", speed=1.25)
    sound = decode(tmp_path / "faster.wav")
    assert sound.duration == pytest.approx(8.0, abs=0.05)
    loudest = np.abs(np.fft.rfft(sound.samples)).argmax() / sound.duration
    assert loudest == pytest.approx(550.0, abs=1.0)


def test_cells_tell_what_is_known():
    nothing = float("nan")
    assert tables.cell(Estimate(0.1234, 0.1, 0.2), 1, 100.0) == "12.3 [10.0, 20.0]"
    assert tables.cell(Estimate(3.0), 2) == "3.00"
    assert tables.cell(Estimate(123456.0, -1.0, 2e6), 0) == "1.2e+05 [-1, 2.0e+06]"
    assert tables.cell(Estimate(nothing), 1) == tables.cell(None, 1) == "–"
    assert tables.table([["", "ab"], ["abc", "–"]]) == ["|     | ab |", "| --- | -- |", "| abc | –  |"]
    known = {"bas": Estimate(0.5, 0.4, 0.6), "pfc": Estimate(1.0)}
    assert tables.figures_by_key(known, ["fid_k", "bas"]) == {
        "fid_k": None,
        "bas": 0.5,
        "pfc": 1.0,
        "intervals": {"fid_k": [None, None], "bas": [0.4, 0.6], "pfc": [None, None]},
    }


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the recorded dances are not beside the checkout")
def test_real_dances_measure_as_known():
    dances = {split: load_dances(REAL, split) for split in ("train", "test")}
    train, test = ([clip for d in found for clip in protocol.cut(d.name, d.motion)] for found in dances.values())
    reference = protocol.Reference(train)
    scale, _, scaled = reference.distances["fid_k"]
    assert metrics.diversity(scaled) == pytest.approx(11.2, abs=0.3)
    assert metrics.frechet_distance(scaled[::2], scaled[1::2]) == pytest.approx(3.3, abs=0.3)
    assert metrics.frechet_distance(scale(np.array([c.kinetic for c in test])), scaled) == pytest.approx(15, abs=4)
    for split, expected in (("train", 0.54), ("test", 0.63)):
        scores = [metrics.pfc(dance.motion.positions()) for dance in dances[split]]
        assert np.mean(scores) == pytest.approx(expected, abs=0.08)
