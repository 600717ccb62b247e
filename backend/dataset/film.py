"""One video made into clips: captured, cut, heard, measured, and kept in the store."""

from __future__ import annotations

import importlib
import io
import itertools
import wave
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import __version__
from ...retarget.errors import MotionError
from ...retarget.motion import Motion
from ...retarget.rotations import Array
from ..audio import AudioError, Music, analyse
from ..dance import representation
from ..dance.condition import SOUND, condition
from ..dance.sources.clean import without_glitches
from ..pose.lifter import WEIGHTS
from ..pose.sound import VideoSound, read_sound
from ..progress import Progress, part
from . import clips as cutting
from . import dances, quality, songs, store
from .clips import FPS, Clip, LeftOut
from .videos import content_hash, readable

CAPTURE = "stepsmith.backend.pose.capture:capture"
FEATURES = "stepsmith-clip-1"
_CAPTURED, _CLIPS = 2, 2  # forms of what is stored; another one makes it anew
# Others seen for longer than this (s) end a stretch. Those who pass by don't, nor what is taken for somebody for a
# moment: it is one dancer who is followed all the while.
_PASSING = 1.5
# In spite of these a dancer is seen: in brightened pictures of the dark, joints are a centimetre off those of light.
_SEEN = frozenset(["people", "onlookers", "upside down", "away", "dark", "camera"])
_CAPTURING = 0.85  # of the work on a video


@dataclass(frozen=True)
class Plan:
    """How videos are made into clips. ``length``: seconds of each, None for whole stretches; ``capture``: what
    captures, as module:function."""

    length: float | None
    capture: str = CAPTURE


@dataclass(frozen=True)
class Shown:
    """What a video shows: seconds at which stretches of one dancer begin and their motions, and what was wrong, as
    kind, first and last second, and sentence."""

    parts: Sequence[tuple[float, Motion]]
    problems: Sequence[tuple[str, float, float, str]]


def keys(content: str, plan: Plan) -> tuple[str, str]:
    """The names of the folders that hold a video's capture and its clips."""
    how = {"version": __version__, "capture": plan.capture, "lifter": _lifter()}
    return store.key(content, form=_CAPTURED, **how), store.key(content, form=_CLIPS, **how, length=plan.length)


@cache
def _lifter() -> str:
    """What captures is as much its weights as its version."""
    return content_hash(WEIGHTS)


def make_clips(video: Path, content: str, plan: Plan, places: tuple[Path, Path], progress: Progress) -> None:
    """Fill the folders ``places`` of a video's capture and of its clips, the first only where it isn't there.

    A video that can't be used has its reason in the facts. Lets through what says nothing of the video: StepsmithError
    of what is not installed, MemoryError, OSError of a full disk, and what ``progress`` raises.
    """
    captured, clips = (place / name for place, name in zip(places, keys(content, plan), strict=True))
    from ..pose.capture import CaptureError
    from ..pose.video import Video, VideoError

    try:
        progress(0.0, "Listening")
        Video(video).close()  # says best what is wrong with a file
        sound = read_sound(video, part(progress, 0.0, 0.03))
        shown = _show(video, plan, captured, part(progress, 0.03, _CAPTURING))
        progress(_CAPTURING, "Finding the beats")
        music = analyse(video, progress=part(progress, _CAPTURING, 0.95))
    except (VideoError, CaptureError, AudioError) as error:
        if not video.is_file():  # its disk is gone: that says nothing of it
            raise
        with store.filled(clips, {"error": str(error)}):
            return
    parts, crowded = alone(shown)
    parts, jumping = steady(parts)
    found, left = cutting.cut(parts, sound, plan.length)
    facts: dict[str, Any] = {
        "problems": [list(problem) for problem in shown.problems],
        "left_out": [asdict(one) for one in sorted([*crowded, *jumping, *left], key=lambda one: one.start)],
        "clips": [],
        "tempo": music.tempo,
    }
    with store.filled(clips, facts) as folder:
        marks = songs.landmarks(sound.sound)
        store.write_arrays(folder / "song.landmarks", {"keys": marks.keys, "frames": marks.frames})
        for number, clip in enumerate(found):
            progress(0.95 + 0.05 * number / len(found), f"Writing clip {number + 1} of {len(found)}")
            facts["clips"].append(_write(folder, number, clip, video, shown, sound, music))


def _show(video: Path, plan: Plan, place: Path, progress: Progress) -> Shown:
    """What the video shows, from the store where it is there and whole, else captured and stored."""
    kept = _read_shown(place)
    if kept is not None:
        return kept
    module, _, name = plan.capture.partition(":")
    capture: Callable[..., Any] = getattr(importlib.import_module(module), name)
    result = capture(video, progress=progress)
    problems = [(p.kind, float(p.start), float(p.end), p.sentence) for p in result.problems]
    facts = {"begins": [float(begins) for begins, _ in result.parts], "problems": problems}
    with store.filled(place, facts) as folder:
        for number, (_, motion) in enumerate(result.parts):
            store.write_motion(folder / f"{number}.motion", motion)
    return Shown([(float(begins), motion) for begins, motion in result.parts], problems)


def _read_shown(place: Path) -> Shown | None:
    facts = store.read_facts(place)
    if facts is None:
        return None
    try:
        parts = [(float(b), store.read_motion(place / f"{n}.motion")) for n, b in enumerate(facts["begins"])]
        return Shown(parts, [(str(k), float(a), float(b), str(s)) for k, a, b, s in facts["problems"]])
    except (MotionError, OSError, KeyError, TypeError, ValueError):
        return None


def alone(shown: Shown) -> tuple[list[tuple[float, Motion]], list[LeftOut]]:
    """The parts without the times at which several people are seen, and those times."""
    crowds = [(a, b) for kind, a, b, _ in shown.problems if kind == "people" and b - a > _PASSING]
    parts: list[tuple[float, Motion]] = []
    left: list[LeftOut] = []
    for begins, motion in shown.parts:
        times = begins + motion.times
        crowded = np.zeros(len(motion), dtype=bool)
        for a, b in crowds:
            crowded |= (times >= a) & (times <= b)
        edges = [0, *(np.flatnonzero(np.diff(crowded)) + 1).tolist(), len(motion)]
        for first, stop in itertools.pairwise(edges):
            if crowded[first]:
                left.append(LeftOut(float(times[first]), begins + stop / motion.fps, "several people are seen"))
            else:
                parts.append((float(times[first]), motion.slice(first, stop)))
    return parts, left


def steady(parts: Sequence[tuple[float, Motion]]) -> tuple[list[tuple[float, Motion]], list[LeftOut]]:
    """The parts without the times at which the body jumps, and those times; single bad frames are bridged."""
    found: list[tuple[float, Motion]] = []
    left: list[LeftOut] = []
    for begins, motion in parts:
        # What jumps all the time is measured as it is.
        stretches = without_glitches(motion) or [(0, motion)]
        found += [(begins + first / motion.fps, part) for first, part in stretches]
        ends = [0, *(first + len(part) for first, part in stretches)]
        starts = [*(first for first, _ in stretches), len(motion)]
        left += [
            LeftOut(begins + end / motion.fps, begins + start / motion.fps, "the body jumps")
            for end, start in zip(ends, starts, strict=True)
            if end < start
        ]
    return found, left


def _write(
    folder: Path, number: int, clip: Clip, video: Path, shown: Shown, sound: VideoSound, music: Music
) -> dict[str, Any]:
    """Write a clip's motion, sound, features and fingerprint; its facts."""
    start = sound.heard(clip.start)
    beats, downbeats = (_within(marks - start, clip.motion.duration) for marks in (music.beats, music.downbeats))
    motion = replace(clip.motion, beats=beats, downbeats=downbeats)
    motion = motion.with_meta(clip={"video": readable(video.name), "start": clip.start})
    scores = quality.measure(motion, beats, _confidence(motion), badly_seen(clip, shown))
    store.write_motion(folder / f"{number}.motion", motion)
    (folder / f"{number}.sound").write_bytes(wav(clip.samples, clip.rate))
    heard = condition(music, start + motion.times)[:, SOUND]
    arrays = {"motion": representation.encode(motion), "sound": heard, "beats": beats, "downbeats": downbeats}
    store.write_arrays(folder / f"{number}.features", arrays, {"format": FEATURES, "fps": f"{FPS:g}"})
    store.write_arrays(folder / f"{number}.poses", {"poses": dances.fingerprint(motion)})
    size = sum((folder / f"{number}.{kind}").stat().st_size for kind in ("motion", "sound", "features"))
    return {"start": clip.start, "heard": start, "frames": len(motion), "bytes": size, "scores": asdict(scores)}


def _within(marks: Array, length: float) -> Array:
    return marks[(marks >= 0.0) & (marks < length)]


def _confidence(motion: Motion) -> float | None:
    """The detector's, where the capture states it."""
    value = motion.meta.get("confidence")
    return float(value) if isinstance(value, (int, float)) else None


def badly_seen(clip: Clip, shown: Shown) -> float:
    """Share of a clip's time in which the dancer was lost, or seen badly, by what the capture says of it."""
    times = clip.start + clip.motion.times
    wrong = np.zeros(len(times), dtype=bool)
    for kind, a, b, _ in shown.problems:
        if kind not in _SEEN:
            wrong |= (times >= a) & (times < b)
    return float(wrong.mean())


def wav(samples: NDArray[np.float32], rate: int) -> bytes:
    """One channel of samples as a 16-bit WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.clip(np.round(samples * 32767.0), -32768, 32767).astype("<i2").tobytes())
    return buffer.getvalue()
