"""How good a captured clip is to learn from, and why one is not good enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from ...retarget.motion import Motion
from ...retarget.rotations import Array
from ...retarget.skeleton import ANKLE_HEIGHT, FOOT_HEIGHT
from ..measures import anatomy, metrics

_STILL = 0.06  # m/s of all joints' mean over a second, under which nobody dances: real dances have 0.8
_INSIDE = 0.02  # m by which a hand must be in the body to count
_FEET = [[7, 10], [8, 11]]  # ankle and ball, left and right
_NEAR_FLOOR = 0.04  # m over the floor, up to which a foot stands
_FLOOR = 5.0  # percentile of the lower sole's height that is the floor


@dataclass(frozen=True)
class Scores:
    """Figures of one clip; None where there is nothing to measure.

    ``confidence``: the detector's mean, in [0, 1]. ``sliding``: cm a second over the floor of feet that stand.
    ``standing``: share of frames in which a foot does. ``joint_range``: share of frames with a joint beyond the human
    range; ``in_body``: with a hand inside of the body. ``acceleration``: the joints' mean, m/s²; ``jitter``: their
    mean jerk, m/s³; ``fastest``: the highest speed of a joint, m/s. ``still``: share of seconds in which nobody dances.
    ``bridged``: share of the time in which the dancer was not seen well. ``alignment``: share of the music's beats
    that the dance hits (BAS); ``speed``: the joints' mean, m/s.
    """

    confidence: float | None
    sliding: float | None
    standing: float
    joint_range: float
    in_body: float
    acceleration: float
    jitter: float
    fastest: float
    still: float
    bridged: float
    alignment: float | None
    speed: float


@dataclass(frozen=True)
class Limit:
    """What is asked of a figure: at most ``most``, or at least ``least``; ``sentence`` says it of a clip that fails.

    In the sentence, {value} and {limit} are the figures, times ``scale``.
    """

    sentence: str
    most: float | None = None
    least: float | None = None
    scale: float = 1.0

    @property
    def bound(self) -> float:
        bound = self.least if self.most is None else self.most
        assert bound is not None
        return bound

    @property
    def shown(self) -> str:
        """The limit as it stands in the sentence."""
        return f"{self.bound * self.scale:.3g}"

    def failed(self, value: float) -> str | None:
        """Why a clip with this figure is left out; None where it is not."""
        if value <= self.bound if self.least is None else value >= self.bound:
            return None
        return self.sentence.format(value=f"{value * self.scale:.3g}", limit=self.shown)

    def room(self, value: float) -> float:
        """How far within the limit, 0 at the limit to 1 at best."""
        room = 1.0 - value / self.bound if self.least is None else (value - self.bound) / (1.0 - self.bound)
        return float(np.clip(room, 0.0, 1.0))


# Real dances in clips of 5 s (tang2018, AIST++; 297 of them) slide by 36 cm a second at the median and 86 at the 99th
# percentile, stand in 59 % of the time or more (1st), leave the human range in 24 % of it or less (99th), tremble by
# 115 and 302 m/s³, and reach 13 m/s (99th).
LIMITS: Mapping[str, Limit] = {
    "confidence": Limit("the detector is sure of {value} % of the body only (at least {limit})", least=0.5, scale=100),
    "sliding": Limit("standing feet slide {value} cm a second (at most {limit})", 100.0),
    "standing": Limit("a foot stands in {value} % of the time only (at least {limit})", least=0.4, scale=100),
    "joint_range": Limit("joints bend beyond human range in {value} % of the time (at most {limit})", 0.5, scale=100),
    "in_body": Limit("a hand is inside the body in {value} % of the time (at most {limit})", 0.25, scale=100),
    "jitter": Limit("the joints tremble by {value} m/s³ (at most {limit})", 500.0),
    "fastest": Limit("a joint jumps at {value} m/s (at most {limit})", 16.0),
    "still": Limit("nobody dances in {value} % of the time (at most {limit})", 0.5, scale=100),
    "bridged": Limit("the dancer was not seen well in {value} % of the time (at most {limit})", 0.3, scale=100),
}


def measure(motion: Motion, beats: Array, confidence: float | None, bridged: float) -> Scores:
    """The figures of a clip. ``beats``: the music's, seconds of the clip; ``confidence`` and ``bridged`` as they go
    into the Scores."""
    positions, fps = motion.positions(), motion.fps
    standing, sliding = _feet(positions, fps)
    speeds = np.linalg.norm(np.diff(positions, axis=0), axis=-1) * fps
    seconds = metrics.window_speeds(positions, fps)
    # Beats of the motion are defined at 60 frames a second.
    alignment = metrics.beat_alignment(beats, metrics.motion_beats(motion.resample(60.0).positions(), 60.0))
    return Scores(
        confidence=confidence,
        sliding=_known(sliding),
        standing=standing,
        joint_range=float((anatomy.beyond_range(motion.rotations) > anatomy.MARGIN).mean()),
        in_body=float((anatomy.hand_depth(positions).max(axis=1) > _INSIDE).mean()),
        acceleration=metrics.mean_acceleration(positions, fps),
        jitter=metrics.mean_jerk(positions, fps),
        fastest=float(speeds.max()),
        still=float((seconds < _STILL).mean()) if len(seconds) else 1.0,
        bridged=bridged,
        alignment=_known(alignment),
        speed=float(speeds.mean()),
    )


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _feet(positions: Array, fps: float) -> tuple[float, float]:
    """Share of frames in which a foot stands, and how fast standing feet slide, cm a second; NaN if none stands.

    A foot stands where its sole is near the floor, wherever its heel: on the floor of the clip, since a capture's may
    lie a little beside z = 0. Its step is the lesser of ankle's and ball's, so that turning on one is no sliding.
    """
    feet = positions[:, _FEET]
    soles = (feet[..., 2] - [ANKLE_HEIGHT, FOOT_HEIGHT]).min(axis=2)
    standing = soles <= np.percentile(soles.min(axis=1), _FLOOR) + _NEAR_FLOOR
    steps = np.linalg.norm(np.diff(feet[..., :2], axis=0), axis=-1).min(axis=2)
    stays = standing[1:] & standing[:-1]
    return float(standing.any(axis=1).mean()), float(100.0 * fps * steps[stays].mean()) if stays.any() else np.nan


def reasons(scores: Scores, least_alignment: float = 0.0) -> list[str]:
    """Why a clip is not good enough; none where it is. ``least_alignment``: asked of its alignment with the beat."""
    values = asdict(scores)
    found = [limit.failed(values[name]) for name, limit in LIMITS.items() if values[name] is not None]
    if least_alignment > 0.0:
        beat = Limit("the dance hits {value} % of the beats (at least {limit})", least=least_alignment, scale=100)
        found.append(beat.failed(scores.alignment or 0.0))
    return [reason for reason in found if reason]


def quality(scores: Scores) -> float:
    """How far within all limits, 0 to 1: the mean over them."""
    values = asdict(scores)
    return float(np.mean([limit.room(values[n]) for n, limit in LIMITS.items() if values[n] is not None]))
