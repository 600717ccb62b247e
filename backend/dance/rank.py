"""Which of several dances to the same song is best."""

from __future__ import annotations

import numpy as np

from ...retarget.motion import Motion
from ...retarget.rotations import Array
from ...retarget.skeleton import CONTACT_JOINTS
from ..audio import Music
from ..measures import metrics

# What counts as one point: about the deviation of the figure over eight dances of the model to one song.
_LISTENING = 0.06
_SLIDING = 2.0  # cm/s
_PFC = 0.25
_OCTAVES = 0.15
_FROZEN = 0.02
# m/s, the median second of real dances, by which freezing is told.
_USUAL_SPEED = 0.6


def score(motion: Motion, music: Music, pace: float | None = None) -> float:
    """Points for a dance to ``music``: more is better, only differences mean something.

    The sum of how much more its pauses fall on the beats than a quarter of a beat beside them, less the sliding of
    standing feet, physical foot contact (PFC), frozen seconds, and the octaves by which its mean speed misses ``pace``
    (m/s; None: any will do), each in units of what dances of one model differ by. Figures as in ``measures.metrics``.
    """
    positions, fps = motion.positions(), motion.fps
    points = listening(positions, fps, music) / _LISTENING
    points -= 100.0 * sliding(motion, positions) / _SLIDING
    points -= metrics.pfc(positions, fps) / _PFC
    freezing = metrics.freezing(positions, fps, _USUAL_SPEED)
    points -= (freezing if np.isfinite(freezing) else 0.0) / _FROZEN
    if pace is not None:
        points -= abs(np.log2(max(metrics.mean_speed(positions, fps), 1e-3) / pace)) / _OCTAVES
    return float(points)


def sliding(motion: Motion, positions: Array) -> float:
    """m/s over the floor of feet that stand by the motion's contacts, the lesser of ankle's and toe's; 0 if none does.

    Not by the feet's height, as in ``measures.metrics``: of a dance on the toes that would leave a frame or two.
    """
    steps = np.linalg.norm(np.diff(positions[:, list(CONTACT_JOINTS), :2], axis=0), axis=-1)
    stands = np.minimum(motion.contacts[1:], motion.contacts[:-1]) >= 0.5
    feet = np.minimum(steps[:, :2], steps[:, 2:])[stands[:, :2] | stands[:, 2:]]
    return float(feet.mean() * motion.fps) if feet.size else 0.0


def listening(positions: Array, fps: float, music: Music) -> float:
    """Beat alignment with the song's beats less that with times a quarter of a beat before and after them.

    A body that shakes has pauses everywhere and gets nothing for them. 0 without beats.
    """
    beats = music.beats[music.beats < len(positions) / fps]
    if not len(beats):
        return 0.0
    pauses = metrics.motion_beats(positions, fps)
    beside = 0.25 * 60.0 / music.tempo
    off = [metrics.beat_alignment(beats + shift, pauses) for shift in (-beside, beside)]
    return float(metrics.beat_alignment(beats, pauses) - np.mean(off))
