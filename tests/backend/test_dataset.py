"""Folders of videos made into training data: what is kept and dropped, stopped and gone on with, and trained on.

Captures are pretended (see work/dance_videos.py); the videos, their sound and the processes are real.
"""

from __future__ import annotations

import csv
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from stepsmith.backend.cli import app
from stepsmith.backend.dance.sources import load_dances
from stepsmith.backend.dataset import build as room
from stepsmith.backend.dataset import workers
from stepsmith.backend.dataset.build import Dataset, Options, build
from stepsmith.backend.progress import Progress
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.files import load_motion
from typer.testing import CliRunner

WORK = Path(__file__).parent / "work"
sys.path.insert(0, str(WORK))

from dance_videos import BROKEN, CROWD, JUMPING, KILLED, MIRRORED, NOBODY, NOISY, SHAKING, SLOW, TWO_PARTS, film  # noqa: E402

PRETENDED = Options(workers=1, capture="dance_videos:capture")
SECONDS = 7.0


@pytest.fixture(scope="module", autouse=True)
def found_by_workers() -> Iterator[None]:
    """Lets processes find the pretended capture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(WORK), os.environ.get("PYTHONPATH", "")]))
        yield


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Does the work of a build here, which is quicker."""

    def work(tasks: Iterator[workers.Task], count: int, log: Path) -> Iterator[workers.Report]:
        for task in tasks:
            yield workers.do(task, lambda report: None)

    monkeypatch.setattr(room, "work", work)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six dances to five songs, some of them twice, and what else lies in such folders."""
    folder = tmp_path_factory.mktemp("videos")
    for dance in range(4):
        film(folder / ("tango" if dance % 2 else "Cha-Cha") / f"dance {dance}.mp4", dance, song=dance, seconds=SECONDS)
    film(folder / "tango" / "again.mkv", 1, NOISY, song=1, seconds=SECONDS, mp3=True)
    film(folder / "tango" / "<b>mirrored & ünï.mp4", 2, MIRRORED, song=2, seconds=SECONDS)
    film(folder / "shaking.mp4", 6, SHAKING, song=5, seconds=SECONDS)
    film(folder / "nobody.mp4", 6, NOBODY, song=5, seconds=SECONDS)
    film(folder / "killed.mp4", 6, KILLED, song=5, seconds=SECONDS)
    film(folder / "broken.mp4", 6, BROKEN, song=5, seconds=SECONDS)
    film(folder / "crowd.mp4", 7, CROWD, song=4, seconds=15.0)
    film(folder / "other take.mp4", 8, TWO_PARTS, song=4, seconds=15.0, late=0.7)
    film(folder / "silent.mp4", 6, seconds=SECONDS)
    shutil.copy(folder / "tango" / "dance 1.mp4", folder / "tango" / "dance 1 copy.mp4")
    (folder / "empty.mp4").touch()
    (folder / "junk.mp4").write_bytes(b"no video at all " * 99)
    (folder / "gone.mp4").symlink_to(folder / "nowhere.mp4")
    (folder / "tango" / "round").symlink_to(folder, target_is_directory=True)
    (folder / "notes.txt").write_text("read me")
    (folder / ".hidden.mp4").write_bytes(b"x")
    return folder


@pytest.fixture(scope="module")
def built(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    out = tmp_path_factory.mktemp("made") / "dances"
    return out, build(videos, out, replace(PRETENDED, workers=2))


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def kept(data: Dataset) -> dict[str, room.Clip]:
    return {Path(clip.video.name).name: clip for clip in data.kept}


# --- what is kept, and what not -----------------------------------------------------------------------------


def test_what_is_good_is_kept(built: tuple[Path, Dataset]) -> None:
    names = set(kept(built[1]))
    assert {"dance 0.mp4", "dance 3.mp4", "crowd.mp4", "other take.mp4"} <= names
    assert len(names) == len(built[1].kept) == 6


def test_bad_videos_are_named_with_why(built: tuple[Path, Dataset]) -> None:
    why = dict(built[1].bad)
    expected = {
        "nobody.mp4": "Nobody can be seen",
        "killed.mp4": "killed",
        "broken.mp4": "three by nothing",
        "silent.mp4": "no sound",
        "empty.mp4": "empty",
        "junk.mp4": "can't be read as a video",
        "gone.mp4": "link to nowhere",
        "tango/dance 1.mp4": "same file as tango/dance 1 copy.mp4",
    }
    assert set(why) == set(expected)
    for name, words in expected.items():
        assert words in why[name]
    assert built[1].others == ["notes.txt"]


def test_near_duplicates_leave_one_of_each(built: tuple[Path, Dataset]) -> None:
    names = set(kept(built[1]))
    assert len(names & {"again.mkv", "dance 1 copy.mp4"}) == 1
    assert len(names & {"<b>mirrored & ünï.mp4", "dance 2.mp4"}) == 1
    why = {Path(clip.video.name).name: clip.dropped for clip in built[1].dropped}
    assert any("same dance as mirrored" in reason for reasons in why.values() for reason in reasons)


def test_a_poor_clip_says_what_is_poor(built: tuple[Path, Dataset]) -> None:
    (clip,) = [clip for clip in built[1].dropped if clip.video.name == "shaking.mp4"]
    assert any(re.search(r"tremble by \S+ m/s³ \(at most 500\)", reason) for reason in clip.dropped)
    assert clip.quality < min(other.quality for other in built[1].kept)


def test_only_one_dancer_is_taken(built: tuple[Path, Dataset]) -> None:
    clip = kept(built[1])["crowd.mp4"]
    assert clip.start == pytest.approx(7.0, abs=0.1)
    left = {one.reason for one in built[1].left_out if one.video.name == "crowd.mp4"}
    assert "several people are seen" in left
    assert any("too short" in reason for reason in left)


def test_a_song_is_on_one_side_whatever_its_files_are_called(built: tuple[Path, Dataset]) -> None:
    clips = kept(built[1])
    assert clips["crowd.mp4"].song == clips["other take.mp4"].song
    sides: dict[str, set[str]] = {}
    for clip in built[1].kept:
        sides.setdefault(clip.song, set()).add(clip.split)
    assert len(sides) == 5
    assert all(len(splits) == 1 for splits in sides.values())
    assert {clip.split for clip in built[1].kept} == {"train", "val", "test"}


@pytest.mark.usefixtures("one_process")
def test_one_bad_frame_costs_no_dance(tmp_path: Path) -> None:
    film(tmp_path / "videos" / "jumping.mp4", 0, JUMPING, song=0, seconds=SECONDS)
    (clip,) = build(tmp_path / "videos", tmp_path / "out", PRETENDED).kept
    assert clip.seconds == SECONDS
    assert clip.scores.fastest < 12.0


@pytest.mark.usefixtures("one_process")
def test_of_a_dance_and_a_part_of_it_the_whole_stays(tmp_path: Path) -> None:
    film(tmp_path / "videos" / "whole.mp4", 0, NOISY, song=0, seconds=14.0)
    film(tmp_path / "videos" / "part.mp4", 0, song=0, seconds=SECONDS)
    data = build(tmp_path / "videos", tmp_path / "out", PRETENDED)
    assert set(kept(data)) == {"whole.mp4"}
    (part,) = data.dropped
    assert part.quality > data.kept[0].quality
    assert re.fullmatch(
        r"it is the same dance as whole-\S+ \(\S+ cm apart, over 100 % of the shorter one\)", *part.dropped
    )


# --- what lies in the folder --------------------------------------------------------------------------------


def test_motion_and_sound_are_equally_long_to_the_sample(built: tuple[Path, Dataset]) -> None:
    out, data = built
    for row in rows(out / "manifest.csv"):
        (motion_file,) = out.rglob(f"{row['name']}.npz")
        motion = load_motion(motion_file)
        with wave.open(str(motion_file.with_suffix(".wav"))) as sound:
            assert sound.getnframes() * motion.fps == len(motion) * sound.getframerate()
        features = load_file(motion_file.with_suffix(".safetensors"))
        assert features["motion"].shape == (len(motion), 152)
        assert features["sound"].shape == (len(motion), 41)
        assert float(row["motion_s"]) == pytest.approx(motion.duration, abs=1e-3)
    assert len(data.kept) == len(rows(out / "manifest.csv"))


def test_training_reads_the_folder(built: tuple[Path, Dataset]) -> None:
    out, data = built
    said: list[str] = []
    names = [d.name for split in ("train", "val", "test") for d in load_dances(out, split, 60.0, skip=said.append)]
    assert sorted(names) == sorted(clip.name for clip in data.kept)
    assert said == []
    genres = {d.genre for split in ("train", "val", "test") for d in load_dances(out, split, 60.0)}
    assert genres == {"tango", "cha-cha", "dance"}
    assert all(d.in_time and d.song for d in load_dances(out, "train", 60.0))


def test_the_table_has_every_clip(built: tuple[Path, Dataset]) -> None:
    out, data = built
    states = [row["state"] for row in rows(out / "clips.csv")]
    assert states.count("kept") == len(data.kept)
    assert states.count("dropped") == len(data.dropped)
    assert states.count("unusable") == len(data.bad)
    assert all(row["why"] for row in rows(out / "clips.csv") if row["state"] != "kept")


class Page(HTMLParser):
    """The tags of a page, and what they refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_stands_alone_and_escapes_names(built: tuple[Path, Dataset]) -> None:
    out, data = built
    page = Page((out / "report.html").read_text(encoding="utf-8"))
    assert page.links == []
    assert not {"b"} & set(page.tags[page.tags.index("h2") :])
    assert "<b>mirrored & ünï.mp4" in page.text
    assert page.tags.count("svg") == len(data.clips)
    for name, why in data.bad:
        assert name in page.text
        assert why in page.text


def test_nothing_half_written_is_left(built: tuple[Path, Dataset]) -> None:
    assert [path for path in built[0].rglob("*") if ".part" in path.name] == []


# --- again, and gone on with --------------------------------------------------------------------------------


def traced(folder: Path, out: Path, options: Options, trace: Path, patch: pytest.MonkeyPatch) -> list[str]:
    """The videos that a build captures."""
    trace.unlink(missing_ok=True)
    patch.setenv("STEPSMITH_TEST_TRACE", str(trace))
    build(folder, out, options)
    return sorted(trace.read_text().splitlines()) if trace.exists() else []


@pytest.fixture
def small(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    film(folder / "a.mp4", 0, song=0, seconds=SECONDS)
    film(folder / "b.mp4", 1, song=1, seconds=SECONDS)
    return folder


@pytest.mark.usefixtures("one_process")
def test_what_is_done_is_not_done_again(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, trace = tmp_path / "out", tmp_path / "trace"
    assert traced(small, out, PRETENDED, trace, monkeypatch) == ["a.mp4", "b.mp4"]
    manifest = (out / "manifest.csv").read_bytes()
    assert traced(small, out, PRETENDED, trace, monkeypatch) == []
    assert (out / "manifest.csv").read_bytes() == manifest
    (small / "a.mp4").rename(small / "renamed.mp4")
    os.utime(small / "b.mp4")
    assert traced(small, out, PRETENDED, trace, monkeypatch) == []
    assert {row["video"] for row in rows(out / "manifest.csv")} == {"renamed.mp4", "b.mp4"}
    # Another length needs no other capture; clips of the other length are gone.
    assert traced(small, out, replace(PRETENDED, length=5.0), trace, monkeypatch) == []
    assert {row["motion_s"] for row in rows(out / "manifest.csv")} == {"5.0000"}
    assert len(list((out / "dances").rglob("*.npz"))) == len(rows(out / "manifest.csv")) == 2
    film(small / "b.mp4", 2, song=1, seconds=SECONDS)
    assert traced(small, out, PRETENDED, trace, monkeypatch) == ["b.mp4"]


def test_a_stopped_build_goes_on(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, trace, gate = tmp_path / "out", tmp_path / "trace", tmp_path / "gate"
    film(small / "z.mp4", 3, SLOW, song=3, seconds=SECONDS)
    monkeypatch.setenv("STEPSMITH_TEST_TRACE", str(trace))
    monkeypatch.setenv("STEPSMITH_TEST_GATE", str(gate))
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path\n"
        "from stepsmith.backend.dataset.build import Options, build\n"
        "build(Path(sys.argv[1]), Path(sys.argv[2]), Options(capture='dance_videos:capture'))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, small, out], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while "z.mp4" not in (trace.read_text() if trace.exists() else "") and time.monotonic() < end:
        time.sleep(0.1)
    with pytest.raises(StepsmithError, match="Another build is at work"):
        build(small, out, PRETENDED)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    assert [path for path in out.rglob("*") if ".part" in path.name] == []
    assert not (out / "manifest.csv").exists()
    gate.touch()
    # As one that was killed while it laid the folder out leaves it.
    (out / "dances" / "small").mkdir(parents=True)
    for name in ("manifest.csv", "dances/small/a-0123abcd-000.npz", "dances/small/notes.txt"):
        place = out / name
        place.with_name(f".{place.name}.0123abcd.part").touch()
    assert traced(small, out, PRETENDED, trace, monkeypatch) == ["z.mp4"]
    assert {row["video"] for row in rows(out / "manifest.csv")} == {"a.mp4", "b.mp4", "z.mp4"}
    left = [path.name for path in out.rglob("*") if ".part" in path.name]
    assert left == [".notes.txt.0123abcd.part"], "what is not ours"


@pytest.mark.usefixtures("one_process")
def test_songs_stay_in_their_splits_when_more_videos_come(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    film(small / "c.mp4", 2, song=2, seconds=SECONDS)
    build(small, out, PRETENDED)
    # Other splits than their hashes give.
    text = (out / "manifest.csv").read_text()
    turned = {"train": "val", "val": "test", "test": "train"}
    (out / "manifest.csv").write_text(re.sub(r",(train|val|test),", lambda found: f",{turned[found[1]]},", text))
    before = {row["video"]: row["split"] for row in rows(out / "manifest.csv")}
    assert set(before.values()) == set(turned)
    for song, name in enumerate("abc"):
        film(small / f"{name} again.mp4", 3 + song, song=song, seconds=SECONDS)
    build(small, out, PRETENDED)
    after = {row["video"]: row["split"] for row in rows(out / "manifest.csv")}
    assert after == before | {f"{name} again.mp4": before[f"{name}.mp4"] for name in "abc"}


def test_a_manifest_that_can_not_be_read_is_said_before_the_work(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / ".stepsmith").mkdir(parents=True)
    (out / "manifest.csv").write_text("name,split\na-01234567-000,training\n")
    with pytest.raises(StepsmithError, match="line 2, has the split “training”"):
        build(small, out, PRETENDED)
    assert not list((out / ".stepsmith" / "captured").iterdir())


@pytest.mark.usefixtures("one_process")
def test_videos_that_failed_are_tried_again_on_request(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    film(small / "n.mp4", 3, NOBODY, song=3, seconds=SECONDS)
    assert "Nobody" in dict(build(small, out, PRETENDED).bad)["n.mp4"]
    facts = [path for path in (out / ".stepsmith" / "clips").rglob("facts.json") if "error" in path.read_text()]
    facts[0].write_text('{"error": "It was too dark."}')
    assert dict(build(small, out, PRETENDED).bad)["n.mp4"] == "It was too dark."
    assert "Nobody" in dict(build(small, out, replace(PRETENDED, retry=True)).bad)["n.mp4"]


# --- what stops a build before it begins --------------------------------------------------------------------


def test_others_files_are_left_alone(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "manifest.csv").write_text("name\nmy own\n")
    with pytest.raises(StepsmithError, match="other files"):
        build(small, out, PRETENDED)
    with pytest.raises(StepsmithError, match="choose another"):
        build(small, small, PRETENDED)
    assert (out / "manifest.csv").read_text() == "name\nmy own\n"


def test_a_folder_that_takes_no_files_any_more_is_said(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(StepsmithError, match=r"can't be written to \(Read-only file system\): choose another"):
        build(small, tmp_path / "out", PRETENDED)


def test_folders_without_videos(tmp_path: Path) -> None:
    with pytest.raises(StepsmithError, match="no folder"):
        build(tmp_path / "none", tmp_path / "out", PRETENDED)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StepsmithError, match="no video"):
        build(tmp_path / "empty", tmp_path / "out", PRETENDED)


def test_a_full_disk_stops_before_work_is_lost(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda place: usage)
    with pytest.raises(StepsmithError, match="Only 1 MB are free"):
        build(small, tmp_path / "out", PRETENDED)


@pytest.mark.usefixtures("one_process")
def test_nothing_good_is_said(tmp_path: Path) -> None:
    film(tmp_path / "videos" / "shaking.mp4", 6, SHAKING, song=5, seconds=SECONDS)
    with pytest.raises(StepsmithError, match=r"None of the videos.*report\.html"):
        build(tmp_path / "videos", tmp_path / "out", PRETENDED)
    assert "tremble" in (tmp_path / "out" / "report.html").read_text()


# --- the command line ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("one_process")
def test_the_command_line(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pretend(folder: Path, out: Path, options: Options, progress: Progress) -> Dataset:
        return build(folder, out, replace(options, capture=PRETENDED.capture), progress)

    monkeypatch.setattr(room, "build", pretend)
    (small / "junk.mp4").write_bytes(b"junk")
    (tmp_path / "genres.csv").write_text("name,genre\na.mp4,Salsa\n")
    out = tmp_path / "out"
    words = ["dataset", "build", small, "-o", out, "--length", "5", "--genre-from", tmp_path / "genres.csv"]
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="stepsmith")
    assert result.exit_code == 0, result.output
    assert "2 clips" in result.stdout
    assert "1 of 3 videos gave nothing" in result.stdout
    assert "junk.mp4" in result.stderr
    assert {row["genre"] for row in rows(out / "manifest.csv")} == {"salsa", "dance"}
    assert all(float(row["motion_s"]) == 5.0 for row in rows(out / "manifest.csv"))
    assert "train on" not in result.stdout

    text = (out / "manifest.csv").read_text()
    (out / "manifest.csv").write_text(text.replace(",train,", ",val,"))
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="stepsmith")
    assert "Nothing is left to train on" in result.stdout
    assert str(out / "manifest.csv") in result.stdout


def test_a_wrong_length_is_wrong_usage(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["dataset", "build", str(tmp_path), "-o", str(tmp_path / "o"), "--length", "7"])
    assert result.exit_code == 2
