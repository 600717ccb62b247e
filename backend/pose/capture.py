"""A video in, a dancer's motion out: ``capture`` is the way through the room's stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...retarget import rotations as rot
from ...retarget.errors import StepsmithError
from ...retarget.motion import Motion, concatenate
from ...retarget.rotations import Array
from ..progress import Progress, part, silent
from .landmarks import FROM_MEDIAPIPE

if TYPE_CHECKING:
    from .detections import Detections
    from .lifter.published import Lifts
    from .stretches import Problem, Stretch

FPS = 30.0
_WATCHING = 0.95  # of the whole work: finding the person in every picture
_RETURN = 0.5  # seconds in which the body goes, after a gap, from where it was lost to where it is seen again


class CaptureError(StepsmithError):
    """A video that nobody can be captured from."""


@dataclass(frozen=True, eq=False)
class Capture:
    """What a video shows of one person.

    ``parts``: the second of the video at which each begins, and its motion at 30 frames a second; at least one,
    in order, none over another. ``problems``: what was wrong and when, in order of time. ``size``: width and height
    of the upright picture in pixels. ``duration``: seconds that were watched, from second ``start`` of the video on;
    ``fps``: its pictures a second, on average.
    """

    parts: Sequence[tuple[float, Motion]]
    problems: Sequence[Problem]
    size: tuple[int, int]
    duration: float
    fps: float
    start: float = 0.0

    @property
    def begins(self) -> float:
        """Second of the video at which the first part begins."""
        return self.parts[0][0]

    def report(self) -> dict[str, Any]:
        """What was captured and what was wrong as plain values; times are seconds of the video."""
        return {
            "start": round(self.start, 3),
            "duration": round(self.duration, 3),
            "fps": round(self.fps, 3),
            "size": list(self.size),
            "parts": [[round(begins, 3), round(begins + motion.duration, 3)] for begins, motion in self.parts],
            "problems": [
                {
                    "kind": problem.kind,
                    "start": round(problem.start, 3),
                    "end": round(problem.end, 3),
                    "text": problem.sentence,
                }
                for problem in self.problems
            ],
        }

    def joined(self) -> Motion:
        """One motion from where the first part begins to where the last one ends.

        Where nobody could be captured the body keeps still as it was seen last, and comes into the pose in which it
        is seen next in the last half second, on the spot: how far it went meanwhile nobody knows.
        """
        _, motion = self.parts[0]
        for begins, part_after in self.parts[1:]:
            following = part_after.shift([*(motion.root[-1] - part_after.root[0])[:2], 0.0])
            gap = round((begins - self.begins) * motion.fps) - len(motion)
            between = [_bridge(motion, following, gap)] if gap > 0 else []
            motion = concatenate([motion, *between, following])
        return motion


def capture(
    video: Path,
    *,
    start: float = 0.0,
    duration: float | None = None,
    lifter: Path | None = None,
    causal: bool = False,
    person: int | None = None,
    field_of_view: float | None = None,
    progress: Progress = silent,
) -> Capture:
    """The motion of one person in a video, or in the part of it that begins at second ``start``.

    ``duration``: seconds of that part, None for all that follows.
    ``lifter``: weights of Stepsmith's kind or a checkpoint of VideoPose3D, None for those that come with Stepsmith.
    ``causal``: the checkpoint is one of a causal model, which it doesn't say itself.
    ``person``: which one to follow where there are several, counted from the left, None for the most central.
    ``field_of_view``: of the camera across the longer side of its picture, degrees; None where it is not known.
    Raises StepsmithError where the video can't be read or shows nobody; lets what ``progress`` raises through.
    """
    if not video.is_file():
        raise CaptureError(f"There is no video “{video}”: check the name.")
    progress(0.0, "Opening the video")
    from .stretches import BRIDGED, find_stretches, missing
    from .watch import watch

    network = _load(lifter, causal)  # first: what is wrong with a file of weights need not wait for the pictures
    seen = watch(video, person=person, start=start, duration=duration, progress=part(progress, 0.0, _WATCHING))
    stretches, problems = find_stretches(seen)
    first, last = float(seen.times[0]), float(seen.times[-1])
    fps = (len(seen) - 1) / (last - first) if last > first else FPS
    end = last + 1.0 / fps
    if not stretches:
        raise _nobody(video, person, end - first, problems, whole=start == 0.0 and duration is None)
    solving = part(progress, _WATCHING, 1.0)
    parts = []
    for number, stretch in enumerate(stretches):
        solving(number / len(stretches), f"Standing the body up, part {number + 1} of {len(stretches)}")
        parts.append((float(seen.times[stretch.start]), _solve(network, seen, stretch, field_of_view)))
    solving(1.0, "Captured")
    if first - start > BRIDGED:
        problems = [missing(start, first), *problems]
    return Capture(parts, problems, seen.size, end - start, fps, start)


def _load(lifter: Path | None, causal: bool) -> Lifts:
    from .lifter.published import PublishedLifter, load_lifter

    network = load_lifter(lifter, causal=causal)
    if causal and not isinstance(network, PublishedLifter):
        raise CaptureError(
            "Stepsmith's weights say themselves whether they are causal: leave --causal out, or give a causal"
            " checkpoint of VideoPose3D with --lifter."
        )
    return network


def _solve(network: Lifts, seen: Detections, stretch: Stretch, field_of_view: float | None) -> Motion:
    """The motion of one stretch of what was seen."""
    from .body import solve_body

    frames, marks = slice(stretch.start, stretch.stop), list(FROM_MEDIAPIPE)
    times, confidence = seen.times[frames], seen.confidence[frames][:, marks]
    lifted = network.lift(
        times, seen.steadied(frames)[:, marks], confidence, seen.size, fps=FPS, field_of_view=field_of_view
    )
    at = times[0] + np.arange(len(lifted)) / FPS
    motion = solve_body(lifted, confidence=np.stack([np.interp(at, times, one) for one in confidence.T], axis=1))
    return motion.with_meta(confidence=float(confidence.mean()))


def _nobody(video: Path, person: int | None, seconds: float, problems: Sequence[Problem], whole: bool) -> CaptureError:
    """Why nothing can be captured of ``seconds`` of pictures."""
    from .stretches import SHORTEST

    where = f"“{video.name}”" if whole else f"that part of “{video.name}”"
    if seconds < SHORTEST - 1e-6:
        return CaptureError(
            f"Only {seconds:.2g} s of pictures are in {where}: a dancer must be seen for {SHORTEST:g} s or longer."
        )
    # A problem's sentence says what is wrong before its colon, and behind it what became of it.
    reasons = [problem.sentence.partition(":")[0] for problem in problems if problem.kind == "short"]
    why = f" ({reasons[0]})" if reasons else ""
    if person is not None:
        return CaptureError(
            f"Person {person} of {where} can't be seen well enough to be captured{why}: count people from the"
            " left, or leave the number out for the most central one."
        )
    if reasons and any(problem.kind == "cut" for problem in problems):
        return CaptureError(
            f"No shot of {where} shows a dancer for {SHORTEST:g} s: choose a video that is cut less, or not at all."
        )
    return CaptureError(
        f"Nobody in {where} can be seen well enough to be captured{why}: film one person whole, from head to"
        " feet, in good light."
    )


def _bridge(before: Motion, after: Motion, frames: int) -> Motion:
    """``frames`` from the last pose of one motion to the first of another: still, then over within half a second."""
    returning = min(frames, round(_RETURN * before.fps))
    share: Array = np.zeros(frames)
    share[frames - returning :] = np.arange(1, returning + 1) / (returning + 1)
    share = share**2 * (3.0 - 2.0 * share)
    return replace(
        before,
        root=before.root[-1] + share[:, None] * (after.root[0] - before.root[-1]),
        rotations=rot.slerp(before.rotations[-1], after.rotations[0], share[:, None]),
        contacts=np.where(share[:, None] > 0.0, 0.0, before.contacts[-1]),
        beats=None,
        downbeats=None,
    )
