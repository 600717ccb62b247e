"""The command line: what it says, what it writes, what it leaves behind when it is stopped."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import stepsmith
from stepsmith.backend import cli, export, model_header
from stepsmith.backend.audio.synth import synthesise, write_wav
from stepsmith.backend.cli import app
from stepsmith.backend.file_options import MOTION_ENDINGS
from stepsmith.retarget.files import load_motion
from typer.testing import CliRunner, Result

# Ctrl-C is heard even where the tests themselves run in the background.
COMMAND = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from stepsmith.backend.cli import main; main()",
]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="stepsmith")


def complaint(result: Result, *words: str) -> None:
    """The command failed with one sentence that holds ``words``."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("stepsmith: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


# --- help ---------------------------------------------------------------------------------------------------


def test_help_names_every_command_with_an_example() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for command in ("dance", "demo", "serve", "evaluate"):
        assert command in result.stdout
    assert "stepsmith dance song.mp3" in run("dance", "--help").stdout
    assert "STEPSMITH_TOKEN" in run("serve", "--help").stdout
    assert run("--version").stdout.strip() == f"stepsmith {stepsmith.__version__}"


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "stepsmith", "--version"], capture_output=True, text=True)
    assert done.stdout.strip() == f"stepsmith {stepsmith.__version__}", done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("dance", "x" * 300, "-o", "dance.npz"), ("capture", "x" * 300, "-o", "dance.npz"), ("retarget", "x" * 300)],
)
def test_a_name_longer_than_a_file_can_have_is_said(arguments: tuple[str, ...], tmp_path: Path) -> None:
    out = () if "-o" in arguments else ("-o", tmp_path / "dance.bvh")
    complaint(run(*arguments, *out), "xxx...” is too long")


def test_an_output_whose_name_is_too_long_is_said(song: Path, tmp_path: Path) -> None:
    complaint(run("dance", song, "-o", tmp_path / ("x" * 300 + ".npz")), "too long", "choose a shorter one")


def loaded_by_help(*commands: str) -> list[str]:
    """The libraries that are loaded once ``commands`` have explained themselves, one after the other."""
    code = (
        "import sys, stepsmith.backend.cli as cli, typer.testing as t;"
        "done = [t.CliRunner().invoke(cli.app, [*name.split(), '--help']) for name in sys.argv[1:]];"
        "assert all('Usage' in one.stdout for one in done), done;"
        "print(*[n for n in ('torch', 'numpy', 'scipy', 'librosa', 'av', 'fastapi', 'bpy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *commands], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_help_of_every_command_loads_nothing_heavy() -> None:
    evaluations = ("evaluate", "evaluate dance", "evaluate lifter")
    trainings = ("train", "train-lifter", "baselines", "dataset", "dataset build")
    assert loaded_by_help("demo", "serve", *evaluations, *trainings) == []
    # These know what a motion is.
    assert set(loaded_by_help("capture", "retarget", "rig", "mesh")) <= {"numpy"}


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, stepsmith.backend.cli as cli, typer.testing as t; t.CliRunner().invoke(cli.app, ['dance', '-h']);"
        "print([n for n in ('torch', 'numpy', 'scipy', 'librosa', 'av', 'fastapi', 'bpy') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_evaluate_answers_for_itself() -> None:
    assert "--split" in run("evaluate", "dance", "--help").stdout


@pytest.mark.parametrize("arguments", [["dance"], ["dance", "song.mp3"], ["knit"], ["dance", "a", "-o", "b", "--x"]])
def test_wrong_usage_is_code_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


# --- dances -------------------------------------------------------------------------------------------------


def test_one_dance_in_every_motion_format(tmp_path: Path, song: Path, small_model: Path) -> None:
    outs = [tmp_path / f"dance{ending}" for ending in MOTION_ENDINGS]
    wishes = [word for out in outs for word in ("-o", out)]
    result = run("dance", song, *wishes, "--model", small_model, "--genre", "waltz", "--start", 1, "--duration", 3)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == [str(out) for out in outs]
    assert sorted(tmp_path.iterdir()) == sorted(outs)
    motions = [load_motion(out) for out in outs]
    assert [len(motion) for motion in motions] == [90, 90, 90]
    assert motions[0].meta["genre"] == "waltz"
    for other in motions[1:]:
        np.testing.assert_allclose(other.positions(), motions[0].positions(), atol=2e-3)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, song: Path, small_model: Path) -> None:
    for name, seed in (("a", 7), ("c", 8), ("b", 7)):
        result = run("dance", song, "-o", tmp_path / f"{name}.npz", "--model", small_model, "--seed", seed)
        assert result.exit_code == 0, result.stderr
        time.sleep(0.7)  # whatever kept the time of day would differ for a and b
    a, b, c = ((tmp_path / f"{name}.npz").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_mirroring_leaves_what_is_kept(tmp_path: Path, song: Path, small_model: Path) -> None:
    base, plain, mirrored = (tmp_path / f"{name}.npz" for name in ("base", "plain", "mirrored"))
    dance = ["dance", song, "--model", small_model]
    assert run(*dance, "-o", base).exit_code == 0
    for out, more in ((plain, []), (mirrored, ["--mirror"])):
        assert run(*dance, "-o", out, "--seed", 4, "--keep", f"{base}:0-1@2", *more).exit_code == 0
    kept, one, other = (load_motion(path).positions() for path in (base, plain, mirrored))
    for positions in (one, other):
        np.testing.assert_allclose(positions[60:91], kept[:31], atol=1e-3)
    assert (
        run(*dance, "-o", plain, "--seed", 4).exit_code
        == run(*dance, "-o", mirrored, "--seed", 4, "--mirror").exit_code
    )
    np.testing.assert_allclose(load_motion(mirrored).positions(), load_motion(plain).mirror().positions(), atol=1e-6)


@pytest.mark.parametrize("option", ["--keep", "--keep-upper", "--keep-lower", "--start-from"])
def test_what_is_kept_is_not_overwritten(tmp_path: Path, song: Path, small_model: Path, option: str) -> None:
    old = tmp_path / "old.npz"
    assert run("dance", song, "--model", small_model, "-o", old).exit_code == 0
    before = old.read_bytes()
    result = run("dance", song, "--model", small_model, "-o", old, option, f"{old}:0-1")
    complaint(result, "old.npz", "choose another name")
    assert old.read_bytes() == before


def test_what_is_heard_and_danced_is_told(tmp_path: Path, small_model: Path) -> None:
    songs = [synthesise(tempo, meter, duration=28, seed=meter) for tempo, meter in ((124, 4), (100, 3))]
    mix = tmp_path / "mix.wav"
    write_wav(mix, replace(songs[0], samples=np.concatenate([song.samples for song in songs])))
    asked = ["dance", mix, "-o", tmp_path / "dance.npz", "--model", small_model]
    heard, danced = run(*asked, "--start", 5).stderr.splitlines()
    second = f"{load_motion(tmp_path / 'dance.npz').meta['songs'][1][0]:.1f}"
    assert heard == f"stepsmith: Heard 124 beats a minute in bars of 4, from {second} s on 100 in bars of 3."
    assert 22.0 < float(second) < 24.0
    assert danced == f"stepsmith: Danced tango, from {second} s on waltz."
    asked += ["--genre", "waltz", "--genre", "2:tango", "--bpm", 124, "--meter", 4, "--duration", 3]
    told = ["Heard 124 beats a minute in bars of 4.", "Danced waltz, from 2.0 s on tango."]
    assert run(*asked).stderr.splitlines() == [f"stepsmith: {sentence}" for sentence in told]


def test_the_ranking_of_candidates_is_told(tmp_path: Path, song: Path, small_model: Path) -> None:
    asked = ["dance", song, "-o", tmp_path / "dance.npz", "--model", small_model, "--seed", 5]
    result = run(*asked, "--candidates", 3)
    best, second, third = load_motion(tmp_path / "dance.npz").meta["ranked"]
    told = f"stepsmith: Seed {best} is the best of 3, then {second}, {third}: --seed {second} makes the next."
    assert result.stderr.splitlines()[2:] == [told]
    assert sorted((best, second, third)) == [5, 6, 7]
    assert len(run(*asked).stderr.splitlines()) == 2


def test_the_model_that_comes_with_stepsmith_dances(tmp_path: Path, song: Path) -> None:
    result = run("dance", song, "-o", tmp_path / "dance.npz")
    assert result.exit_code == 0, result.stderr
    motion = load_motion(tmp_path / "dance.npz")
    assert motion.meta["genre"] in model_header.read_header().genres
    speed = np.abs(np.diff(motion.positions(), axis=0)).mean() * motion.fps
    assert 0.05 < speed < 2.0, "a dancer moves, and does not shake"


# --- errors -------------------------------------------------------------------------------------------------


def test_a_song_that_is_none(tmp_path: Path, song: Path, small_model: Path) -> None:
    text = tmp_path / "notes.mp3"
    text.write_text("no sound at all " * 100)
    empty = tmp_path / "empty.wav"
    empty.touch()
    out = ["-o", tmp_path / "dance.npz", "--model", small_model]
    complaint(run("dance", tmp_path / "nowhere.mp3", *out), "nowhere.mp3")
    complaint(run("dance", tmp_path, *out), "sound file")
    complaint(run("dance", text, *out), "notes.mp3")
    complaint(run("dance", empty, *out), "empty")
    complaint(run("dance", song, *out, "--start", 600), "song.wav")
    complaint(run("dance", song, *out, "--duration", 0.2), "0.2")
    complaint(run("dance", song, *out, "--start", -3), "-3")
    complaint(run("dance", song, *out, "--bpm", 7), "7")
    complaint(run("dance", song, *out, "--meter", 1), "beats, not 1")
    assert not (tmp_path / "dance.npz").exists()


def test_outputs_that_cannot_be_are_said_before_the_work(tmp_path: Path, song: Path, header_only: Path) -> None:
    model = ["--model", header_only]  # enough for what comes before the work
    complaint(run("dance", song, "-o", tmp_path / "no" / "a.npz", *model), "folder", "doesn't exist")
    complaint(run("dance", song, "-o", tmp_path / "a.avi", *model), ".mp4")
    complaint(
        run("dance", song, "-o", tmp_path / "a.npz", "--in-place", *model), "--in-place", "motion files", ".blend"
    )
    complaint(run("dance", song, "-o", tmp_path / "a.bvh", "--place", "1,2", *model), "--place", "motion files")
    complaint(run("dance", song, "-o", tmp_path / "a", *model), ".npz")
    complaint(run("dance", song, "-o", "/proc/a.npz", *model), "can't be written")
    complaint(run("dance", song, "-o", tmp_path / "a.npz", "-o", tmp_path / ".." / tmp_path.name / "a.npz", *model))
    (tmp_path / "folder.bvh").mkdir()
    complaint(run("dance", song, "-o", tmp_path / "folder.bvh", *model), "folder")
    video = tmp_path / "song.mp4"
    video.write_bytes(song.read_bytes())
    complaint(run("dance", video, "-o", video, *model), "another name")
    complaint(run("dance", song, "-o", tmp_path / "a.npz", "--genre", "polka", *model), "polka", "tango, waltz")
    assert video.read_bytes() == song.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.bvh", "song.mp4"]


def test_a_full_disk_is_said_before_the_work(
    tmp_path: Path, song: Path, header_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1 << 20})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    complaint(run("dance", song, "-o", tmp_path / "a.npz", "--model", header_only), "1 MB left")


def test_rigs_that_cannot_dance_are_said_before_the_work(tmp_path: Path, song: Path, header_only: Path) -> None:
    wishes = [song, "-o", tmp_path / "a.blend", "--model", header_only, "--rig"]
    complaint(run("dance", *wishes, tmp_path / "none.blend"), "none.blend")
    text = tmp_path / "text.blend"
    text.write_text("no blend file")
    complaint(run("dance", *wishes, f"{text}:Rig"), "text.blend")
    complaint(run("dance", song, "-o", tmp_path / "a.npz", "--model", header_only, "--rig", text), ".blend")


def test_without_blenders_module_it_says_how_to_get_it(
    tmp_path: Path, song: Path, header_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    complaint(run("dance", song, "-o", tmp_path / "a.glb", "--model", header_only), "pip install", "bpy")


def test_weights_missing_or_damaged(tmp_path: Path, song: Path, header_only: Path) -> None:
    out = ["-o", tmp_path / "a.npz", "--model"]
    complaint(run("dance", song, *out, tmp_path / "none.safetensors"), "missing")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(header_only.read_bytes()[:-1])
    complaint(run("dance", song, *out, cut), "damaged")
    complaint(run("dance", song, *out, header_only), "damaged")


def test_verbose_shows_the_trace(tmp_path: Path) -> None:
    wishes = ["dance", tmp_path / "nowhere.mp3", "-o", tmp_path / "a.npz"]
    for result in (run("--verbose", *wishes), run(*wishes, "--verbose")):
        assert result.exit_code == 1
        assert "Traceback" in result.stderr
        assert result.stderr.splitlines()[-1].startswith("stepsmith: ")


def test_a_fault_of_ours_is_one_sentence_too(
    tmp_path: Path, song: Path, header_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "check", lambda *_, **__: {}["nothing"])
    complaint(run("dance", song, "-o", tmp_path / "a.npz", "--model", header_only), "KeyError", "--verbose")


_TALKING = """
import sys
from stepsmith.backend import cli

@cli.app.command()
def talk():
    while True:
        {line}

sys.argv = ["stepsmith", "talk"]
cli.main()
"""


def test_who_stops_reading_hears_no_complaint() -> None:
    """As in ``stepsmith ... | head``."""
    command = [sys.executable, "-c", _TALKING.format(line="print('a line', flush=True)")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as talking:
        assert talking.stdout is not None
        assert talking.stderr is not None
        assert talking.stdout.readline() == "a line\n"
        talking.stdout.close()
        assert talking.stderr.read() == ""
    assert talking.returncode == 1


def test_another_pipe_that_breaks_is_a_fault() -> None:
    command = [sys.executable, "-c", _TALKING.format(line="raise BrokenPipeError('a worker is gone')")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "a worker is gone" in done.stderr


# --- stopped --------------------------------------------------------------------------------------------------


def start(*arguments: object) -> subprocess.Popen[str]:
    """The command in a process group of its own, as a shell would start it."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the tests themselves run under nohup, the command would rightly not hear of it.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


def group_gone(group: int) -> bool:
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=lambda value: str(value),
)
def test_stopped_while_it_listens(
    tmp_path: Path, song: Path, small_model: Path, number: signal.Signals, code: int
) -> None:
    process = start("dance", song, "-o", tmp_path / "a.npz", "--model", small_model)
    while "libavformat" not in Path(f"/proc/{process.pid}/maps").read_text():  # it begins to read the song
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    for _ in range(3):  # who is impatient shall not find half files
        process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == code, errors
    assert output == ""
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("library", ["libtorch_cpu", "libtorch_python"])
def test_stopped_while_libraries_are_loaded(tmp_path: Path, song: Path, small_model: Path, library: str) -> None:
    process = start("dance", song, "-o", tmp_path / "a.npz", "--model", small_model)
    while library not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert output == ""
    assert errors.strip().endswith("stepsmith: stopped; no half-written file was left.")
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def test_a_stop_while_a_fragile_library_is_loaded_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy_to_load.py").write_text(
        "import signal, time\nsignal.raise_signal(signal.SIGTERM)\ntime.sleep(0.3)\nloaded = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cli, "_FRAGILE", ("heavy_to_load",))
    seen = []

    def work() -> None:
        with cli._terminable():
            seen.append(importlib.import_module("heavy_to_load").loaded)
            for _ in range(500):  # asked again from another thread, which does not end a sleep
                time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt) as stopped:
        work()
    assert seen == [True]
    assert stopped.value.args == (signal.SIGTERM,)


@pytest.mark.parametrize("whole_group", [True, False], ids=["from the terminal", "from a script"])
def test_stopped_while_blender_works(tmp_path: Path, song: Path, small_model: Path, whole_group: bool) -> None:
    before = tmp_path / "a.npz"
    before.write_text("an older dance")
    process = start("dance", song, "-o", before, "-o", tmp_path / "a.mp4", "--model", small_model)
    end = time.monotonic() + 90
    while not list(tmp_path.glob(".stepsmith-*/.*")):  # what Blender writes
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(1.0)
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT) if whole_group else process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert output == ""
    assert "Traceback" not in errors
    assert group_gone(process.pid), "something went on without its command"
    assert list(tmp_path.iterdir()) == [before]
    assert before.read_text() == "an older dance"
