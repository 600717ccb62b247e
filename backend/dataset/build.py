"""A folder of dance videos made into training data: ``build`` is the way in."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from ...retarget.errors import StepsmithError
from ...retarget.placing import unfinished_of, write_whole, written_beside
from ..dance.sources.manifest import read_manifest
from ..folders import check_writable, sweep
from ..progress import Progress, part, silent
from . import dances, film, quality, songs, store
from .film import Plan
from .quality import Scores
from .split import earlier_splits, groups, split_songs
from .store import HIDDEN, Store
from .videos import Found, Video, find_videos
from .workers import FullDiskError, Task, work

DANCES = "dances"
MANIFEST, CLIPS, REPORT = "manifest.csv", "clips.csv", "report.html"
KINDS = {"motion": ".npz", "sound": ".wav", "features": ".safetensors"}
_ROOM = 256 << 20  # bytes that are to be free, whatever comes
_MOST_ROOM = 2 << 30  # bytes that one video may need; up to there, no more than the video has
_WORKING = 0.95  # of the whole work: the videos, one by one
_NAME = re.compile(r".+-([0-9a-f]{8})-\d{3,}")  # of a clip, with the beginning of its video's hash
_OURS = re.compile(_NAME.pattern + r"\.(npz|wav|safetensors)")


@dataclass(frozen=True)
class Options:
    """How a data set is made. ``length``: seconds of each clip, None for whole stretches; ``workers``: processes;
    ``genres``: by the videos' names, None for the folders'; ``least_alignment``: share of beats that a clip has to hit;
    ``retry``: whether videos that could not be used are tried again; ``capture``: what captures, module:function."""

    length: float | None = None
    workers: int = 1
    genres: Mapping[str, str] | None = None
    least_alignment: float = 0.0
    retry: bool = False
    capture: str = film.CAPTURE


@dataclass
class Clip:
    """One clip, kept or dropped. ``place``: the files that the store has of it, without ending; ``dropped``: why."""

    name: str
    video: Video
    content: str
    number: int
    start: float
    heard: float
    seconds: float
    bytes: int
    scores: Scores
    place: Path
    song: str = ""
    split: str = ""
    dropped: list[str] = field(default_factory=list)

    @property
    def quality(self) -> float:
        return quality.quality(self.scores)


@dataclass(frozen=True)
class LeftOut:
    """A piece of a video that is no clip, and why."""

    video: Video
    start: float
    end: float
    reason: str


@dataclass
class Dataset:
    """What a build has found. ``bad``: names of videos that could not be used, with why; ``problems``: what the
    captures say of each video; ``others``: names of files that are no videos."""

    clips: list[Clip] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)
    problems: dict[str, list[tuple[str, float, float, str]]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    videos: int = 0

    @property
    def kept(self) -> list[Clip]:
        return [clip for clip in self.clips if not clip.dropped]

    @property
    def dropped(self) -> list[Clip]:
        return [clip for clip in self.clips if clip.dropped]


def build(folder: Path, out: Path, options: Options, progress: Progress = silent) -> Dataset:
    """Make training data out of the videos below ``folder``: the folder ``out``, as ``stepsmith train`` takes it.

    Work that an earlier build in ``out`` has done is not done again, and its manifest tells in which splits songs are
    that have more videos now: there they stay as long as one of those it knew is among them. Raises StepsmithError
    where there is no video, none can be used, ``out`` belongs to something else, another build is at work in it, its
    manifest can't be read, or its disk is full.
    """
    if options.capture == film.CAPTURE:
        _check_installed()
    if out.resolve() == folder.resolve():
        raise StepsmithError(f"The videos lie in {out}: choose another folder for the data set.")
    found = find_videos(folder, out, options.genres)
    kept = _claim(out)
    lock = FileLock(out / HIDDEN / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StepsmithError(f"Another build is at work in {out}: wait for it, or choose another folder.") from error
    with lock:
        kept.sweep()
        before = _splits_in(out)
        try:
            made = _work_through(found, out, kept, options, part(progress, 0.0, _WORKING))
        finally:
            kept.sweep()
        return _assemble(made, found, out, options, before, part(progress, _WORKING, 1.0))


def _check_installed() -> None:
    """Raises StepsmithError where no video at all can be captured here."""
    from ..pose.lifter.published import load_lifter

    if find_spec("mediapipe") is None:
        raise StepsmithError(
            'Dancers are found in videos by mediapipe: install it with pip install "stepsmith[video]".'
        )
    load_lifter(None)


def _claim(out: Path) -> Store:
    """The store in ``out``, made where there is none. Raises StepsmithError where others' files are."""
    try:
        if out.exists() and not (out / HIDDEN).is_dir() and any(out.iterdir()):
            raise StepsmithError(f"{out} holds other files: choose a new folder for the data set.")
        kept = Store(out)
    except OSError as error:
        raise StepsmithError(f"The folder {out} can't be written ({error.strerror}): choose another.") from error
    check_writable(kept.folder)
    return kept


def _splits_in(out: Path) -> dict[str, str]:
    """The splits of an earlier build by the beginnings of its videos' hashes. Raises StepsmithError."""
    found: dict[str, str] = {}
    for name, row in (read_manifest(out) or {}).items():
        known = _NAME.fullmatch(name)
        if known and row.split:
            found[known[1]] = row.split
    return found


@dataclass
class _Made:
    """What became of the videos: contents by number, errors by number, numbers of the first of equal files."""

    contents: dict[int, str] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    copies: dict[int, int] = field(default_factory=dict)


def _work_through(found: Found, out: Path, kept: Store, options: Options, progress: Progress) -> _Made:
    """Make the clips of all videos that have none."""
    plan, made = Plan(options.length, options.capture), _Made()
    places = (kept.captured, kept.clips)
    sizes = [video.size for video in found.videos]
    # Of what is left to do: what was done before is no part of it, or the time left would be told wrongly.
    total, done = sum(sizes), 0
    under_way: dict[int, float] = {}

    def tell(text: str) -> None:
        progress((done + sum(sizes[n] * share for n, share in under_way.items())) / max(total, 1), text)

    def tasks() -> Iterator[Task]:
        nonlocal total
        first: dict[str, int] = {}
        for number, video in enumerate(found.videos):
            tell(f"Reading {video.name}")
            try:
                content = kept.content(video)
            except OSError as error:
                made.errors[number] = f"It can't be read ({error.strerror})."
                total -= sizes[number]
                continue
            made.contents[number] = content
            if content in first:
                made.copies[number] = first[content]
            first.setdefault(content, number)
            facts = store.read_facts(kept.clips / film.keys(content, plan)[1])
            if number in made.copies or (facts is not None and not (options.retry and "error" in facts)):
                total -= sizes[number]
                continue
            _check_room(out, video)
            yield Task(number, video.path, content, plan, places)

    for report in work(tasks(), options.workers, kept.folder / "log.txt"):
        under_way[report.number] = report.fraction
        if report.done:
            done += sizes[report.number]
            del under_way[report.number]
            if report.error is not None:
                made.errors[report.number] = report.error
        name = found.videos[report.number].name
        tell(f"{name}: {report.text}" if report.text else name)
    return made


def _check_room(out: Path, video: Video) -> None:
    needed = _ROOM + min(video.size, _MOST_ROOM)
    free = shutil.disk_usage(out).free
    if free < needed:
        raise FullDiskError(
            f"Only {free >> 20} MB are free at {out} where {needed >> 20} MB may be needed for {video.name}: make room,"
            " and run this again; what is done is kept."
        )


def _assemble(
    made: _Made, found: Found, out: Path, options: Options, before: Mapping[str, str], progress: Progress
) -> Dataset:
    """Choose among all clips, and lay the folder out anew; ``before``: splits by the beginnings of videos' hashes."""
    plan = Plan(options.length, options.capture)
    progress(0.0, "Choosing among the clips")
    data = Dataset(others=found.others, videos=len(found.videos) + len(found.unreadable))
    data.bad += [(name, reason) for name, reason in found.unreadable]
    marks: dict[str, songs.Landmarks] = {}
    for number, video in enumerate(found.videos):
        if number in made.copies:
            data.bad.append((video.name, f"It is the same file as {found.videos[made.copies[number]].name}."))
        elif number in made.errors:
            data.bad.append((video.name, made.errors[number]))
        else:
            content = made.contents[number]
            place = out / HIDDEN / "clips" / film.keys(content, plan)[1]
            try:
                _read(data, marks, video, content, place, options)
            except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
                raise StepsmithError(f"{place} is damaged ({error}): remove it, and run this again.") from error
    _relate(data, marks, before, progress)
    _lay_out(data, out, part(progress, 0.5, 0.9))
    if not data.kept:
        raise StepsmithError(f"None of the videos gave a clip that is good enough: see {out / REPORT} for why.")
    progress(1.0, "Done")
    return data


def _read(
    data: Dataset, marks: dict[str, songs.Landmarks], video: Video, content: str, place: Path, options: Options
) -> None:
    """Add what the store has of one video."""
    facts = store.read_facts(place)
    if facts is None:
        raise ValueError("it has no facts")
    if "error" in facts:
        data.bad.append((video.name, str(facts["error"])))
        return
    arrays = store.read_arrays(place / "song.landmarks")
    marks[content] = songs.Landmarks(arrays["keys"], arrays["frames"])
    data.problems[video.name] = [(str(k), float(a), float(b), str(s)) for k, a, b, s in facts["problems"]]
    data.left_out += [LeftOut(video, one["start"], one["end"], one["reason"]) for one in facts["left_out"]]
    for number, one in enumerate(facts["clips"]):
        scores = Scores(**{known.name: one["scores"][known.name] for known in fields(Scores)})
        name = f"{slug(Path(video.name).stem)}-{content[:8]}-{number:03d}"
        seconds = one["frames"] / film.FPS
        data.clips.append(
            Clip(
                name, video, content, number, one["start"], one["heard"], seconds, one["bytes"], scores,
                place / str(number), dropped=quality.reasons(scores, options.least_alignment),
            )
        )  # fmt: skip
    if not facts["clips"]:
        data.bad.append((video.name, _nothing(facts)))


def _nothing(facts: Mapping[str, Any]) -> str:
    """Why a video has no clip at all."""
    reasons = sorted({str(one["reason"]) for one in facts["left_out"]})
    return f"No part of it can be used: {'; '.join(reasons[:3]) or 'nobody dances'}."


def slug(text: str) -> str:
    """Letters and digits of any script, the rest as underscores: fit for a file's name anywhere."""
    tidy = re.sub(r"_+", "_", re.sub(r"[^\w-]", "_", text)).strip("_-")[:40]
    while len(tidy.encode()) > 120:
        tidy = tidy[:-1]
    return tidy or "video"


def _relate(data: Dataset, marks: Mapping[str, songs.Landmarks], before: Mapping[str, str], progress: Progress) -> None:
    """Find clips of one song and near duplicates; drop these, and split the others by song, as they were ``before``."""
    contents = sorted(marks)
    shifts: dict[tuple[str, str], float] = {}
    for same in songs.same_songs([marks[content] for content in contents]):
        one, other = contents[same.first], contents[same.second]
        shifts[one, other], shifts[other, one] = same.lag, -same.lag
    progress(0.2, "Looking for dances that are there twice")
    # The longest first, and of clips as long the best, so that of several alike it is the one that stays.
    good = sorted(data.kept, key=lambda clip: (-round(clip.seconds), -clip.quality, clip.name))
    prints = [store.read_arrays(clip.place.with_name(f"{clip.number}.poses"))["poses"] for clip in good]

    pairs = sorted(dances.same_dances(prints, _in_step(good, shifts)), key=lambda pair: (pair.second, pair.first))
    for pair in pairs:
        first, second = good[pair.first], good[pair.second]
        if not first.dropped and not second.dropped:
            how = "mirrored " if pair.mirrored else ""
            second.dropped.append(
                f"it is the same dance as {how}{first.name} ({100 * pair.apart:.1f} cm apart, over"
                f" {100 * pair.share:.0f} % of the shorter one)"
            )
    alike = [*shifts, *((good[pair.first].content, good[pair.second].content) for pair in pairs)]
    song_of = groups(contents, alike)
    had = {content: before[content[:8]] for content in contents if content[:8] in before}
    seconds: dict[str, float] = defaultdict(float)
    for clip in data.kept:
        seconds[song_of[clip.content]] += clip.seconds
    splits = split_songs(seconds, earlier_splits(song_of, had))
    for clip in data.clips:
        clip.song = song_of[clip.content][:8]
        clip.split = "" if clip.dropped else splits[song_of[clip.content]]


def _in_step(clips: Sequence[Clip], shifts: Mapping[tuple[str, str], float]) -> Iterator[tuple[int, int, float]]:
    """Pairs of clips during which the same part of a song is heard, as ``dances.same_dances`` takes them.

    ``shifts``: seconds from a moment in one video's sound to the same of the song in another's, by their contents.
    """
    of_video: dict[str, list[int]] = {}
    for number, clip in enumerate(clips):
        of_video.setdefault(clip.content, []).append(number)
    for (one, other), shift in shifts.items():
        for first in of_video.get(one, ()):
            for second in of_video.get(other, ()):
                lag = clips[first].heard - clips[second].heard + shift
                if first < second and -clips[first].seconds < lag < clips[second].seconds:
                    yield first, second, lag


def _lay_out(data: Dataset, out: Path, progress: Progress) -> None:
    """Write the folder: what is no longer in the data set goes, and what a build that was killed left half written;
    the tables and the report come last."""
    from .report import html_report

    placed: set[Path] = set()
    kept = data.kept
    try:
        for number, clip in enumerate(kept):
            progress(number / len(kept), f"Laying out {clip.name}")
            folder = out / DANCES / slug(clip.video.genre)
            folder.mkdir(parents=True, exist_ok=True)
            for kind, ending in KINDS.items():
                target = folder / f"{clip.name}{ending}"
                _place(clip.place.with_name(f"{clip.number}.{kind}"), target)
                placed.add(target)
        write_whole(out / MANIFEST, _manifest(data))
        for path in (out / DANCES).rglob("*"):
            if path not in placed and _OURS.fullmatch(unfinished_of(path) or path.name):
                path.unlink()
        write_whole(out / CLIPS, _table(data))
        write_whole(out / REPORT, html_report(data))
        sweep(out, (MANIFEST, CLIPS, REPORT))
    except OSError as error:
        raise StepsmithError(f"{out} can't be written ({error.strerror}): make room, and run this again.") from error


def _place(source: Path, target: Path) -> None:
    """Have the file at ``target`` too: as another name of it where the disk can, else as a copy."""
    if target.exists() and target.samefile(source):
        return
    with written_beside(target) as unfinished:
        try:
            os.link(source, unfinished)
        except OSError:
            shutil.copyfile(source, unfinished)


def _manifest(data: Dataset) -> str:
    """``manifest.csv`` as ``stepsmith train`` reads it: the sound of a video is what its dancer hears."""
    rows = [
        {
            "name": clip.name,
            "genre": clip.video.genre,
            "split": clip.split,
            "in_time": "yes",
            "motion_s": f"{clip.seconds:.4f}",
            "audio_s": f"{clip.seconds:.4f}",
            "song": clip.song,
            "quality": f"{clip.quality:.3f}",
            "video": clip.video.name,
            "start_s": f"{clip.start:.4f}",
        }
        for clip in data.kept
    ]
    columns = ["name", "genre", "split", "in_time", "motion_s", "audio_s", "song", "quality", "video", "start_s"]
    return _csv(rows, columns)


def _table(data: Dataset) -> str:
    """Every clip, kept or dropped, and every piece of a video that is none, with why and all figures."""
    figures = [known.name for known in fields(Scores)]
    rows: list[dict[str, Any]] = []
    for clip in data.clips:
        row = {"video": clip.video.name, "start_s": f"{clip.start:.3f}", "end_s": f"{clip.start + clip.seconds:.3f}"}
        values = {name: getattr(clip.scores, name) for name in figures}
        row |= {name: "" if value is None else f"{value:.4g}" for name, value in values.items()}
        state = "dropped" if clip.dropped else "kept"
        rows.append({**row, "name": clip.name, "state": state, "why": "; ".join(clip.dropped), "split": clip.split,
                     "song": clip.song, "genre": clip.video.genre, "quality": f"{clip.quality:.3f}"})  # fmt: skip
    for one in data.left_out:
        span = {"start_s": f"{one.start:.3f}", "end_s": f"{one.end:.3f}"}
        rows.append({"video": one.video.name, "state": "left out", "why": one.reason, **span})
    rows += [{"video": name, "state": "unusable", "why": reason} for name, reason in data.bad]
    columns = ["video", "start_s", "end_s", "state", "why", "name", "genre", "split", "song", "quality", *figures]
    return _csv(sorted(rows, key=lambda row: (row["video"], float(row.get("start_s", 0.0)))), columns)


def _csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()
