"""A video file in, a motion with its sound's beats out: the way that the command line and the server's worker share."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..retarget.motion import Motion
from ..retarget.rotations import Array
from .progress import Progress, part, silent

if TYPE_CHECKING:
    from .pose.capture import Capture

_SHORTEST_SOUND = 1.0  # seconds in which beats can be looked for


@dataclass(frozen=True)
class Take:
    """What to capture: a ``video``, and in it the ``person`` of that number (None: the most central one).

    ``lifter``: weights, None for those of Stepsmith; ``causal``: they are a checkpoint of a causal model;
    ``field_of_view``: the camera's, degrees, where it is known. ``start``, ``duration``: the part of the video,
    seconds (None: to the end).
    """

    video: Path
    person: int | None = None
    lifter: Path | None = None
    field_of_view: float | None = None
    start: float = 0.0
    duration: float | None = None
    causal: bool = False


@dataclass(frozen=True, eq=False)
class Performance:
    """What a video shows as one motion, from where its first captured part begins.

    ``song``: the video where it has sound, whose second ``song_start`` belongs to the motion's beginning; negative
    where the sound begins later than that. The motion's ``meta`` says this too, and what ``capture`` reports.
    """

    motion: Motion
    capture: Capture
    song: Path | None
    song_start: float


def perform(take: Take, progress: Progress = silent) -> Performance:
    """Capture the dancer and listen to the sound.

    Raises StepsmithError as ``pose.capture`` does; a sound that can't be listened to only leaves the beats out.
    """
    from .pose.capture import capture

    captured = capture(
        take.video,
        start=take.start,
        duration=take.duration,
        lifter=take.lifter,
        causal=take.causal,
        person=take.person,
        field_of_view=take.field_of_view,
        progress=part(progress, 0.0, 0.95),
    )
    motion = captured.joined()
    sounds_from = _sound_start(take.video)
    song_start = 0.0 if sounds_from is None else captured.begins - sounds_from
    if sounds_from is not None:
        beats, downbeats = _beats(take.video, song_start, motion.duration, part(progress, 0.95, 1.0))
        motion = replace(motion, beats=beats, downbeats=downbeats)
    facts = {"video": take.video.name, **captured.report()}
    if sounds_from is not None:
        facts |= {"song": take.video.name, "song_start": song_start}
    progress(1.0, "Captured")
    return Performance(motion.with_meta(**facts), captured, None if sounds_from is None else take.video, song_start)


def _sound_start(video: Path) -> float | None:
    """The second of a video at which its sound begins; None where it has none."""
    from .pose.sound import SoundError, sound_start
    from .pose.video import Video

    with closing(Video(video)) as opened:
        stated = opened.info.sound
    if stated is None:
        return None
    try:
        return sound_start(video)
    except SoundError:
        return stated


def _beats(song: Path, start: float, duration: float, progress: Progress) -> tuple[Array | None, Array | None]:
    """Beats and downbeats, seconds from ``start`` on; None where none are heard."""
    from .audio import CONTEXT, AudioError, analyse

    heard_from = max(start, 0.0)
    heard_for = max(duration - (heard_from - start), _SHORTEST_SOUND)
    try:
        music = analyse(song, start=heard_from, duration=heard_for, context=CONTEXT, progress=progress)
    except AudioError:
        return None, None
    late = heard_from - start
    beats, downbeats = (marks[marks < duration - late] + late for marks in (music.beats, music.downbeats))
    return beats, downbeats
