"""A timeline marker on every beat, each dancer's own."""

from __future__ import annotations

import json
from contextlib import ExitStack

import bpy
import numpy as np

from ..retarget.motion import Motion
from ..retarget.rotations import Array
from .ownership import TAG, names_of_others
from .timeline import keep_entry

Beat = tuple[str, int]  # a marker's name and frame


def mark_beats(
    undo: ExitStack,
    scene: bpy.types.Scene,
    armature: bpy.types.Object,
    motion: Motion,
    first: int,
    fps: float,
    replaced: tuple[int, int] | None,
) -> int:
    """Timeline markers "beat" and "bar 1", "bar 2", ... in place of the dancer's earlier ones; how many beats.

    A marker that shows several dancers' beat is there once, and stays until it shows nobody's. Those of dancers
    who are not in the scene any more go, too. ``replaced``: the frames in which earlier ones go; None: all.
    """
    made = {(label, first + _nearest_frame(second * fps)) for label, second in _beat_labels(motion)}
    standing = {(marker.name, marker.frame) for marker in scene.timeline_markers}
    before = _marked_beats(scene)
    of_ours = _union(before)
    others = names_of_others(scene, armature)
    after = {dancer: beats if dancer in others else _outside(beats, replaced) for dancer, beats in before.items()}
    # A marker of the user's own that stands there is enough, and stays the user's.
    after[armature.name] = after.get(armature.name, set()) | (made - (standing - of_ours))
    leaving, coming = standing & (of_ours - _union(after)), made - standing
    undo.callback(_exchange_markers, scene, coming, leaving)
    keep_entry(undo, scene, TAG)
    _exchange_markers(scene, leaving, coming)
    scene[TAG] = json.dumps({dancer: sorted(beats) for dancer, beats in after.items() if beats})
    return len(made)


def _nearest_frame(frames: float) -> int:
    """The nearest whole frame; halves go up, before the first frame too, so that whoever begins later agrees."""
    return int(np.floor(frames + 0.5 + 1e-6))


def _marked_beats(scene: bpy.types.Scene) -> dict[str, set[Beat]]:
    """The beats that markers made here show, by the armature's name; what an earlier version made is nobody's."""
    stored = json.loads(scene.get(TAG, "{}"))
    by_dancer = {"": stored} if isinstance(stored, list) else stored
    return {dancer: {(label, frame) for label, frame in beats} for dancer, beats in by_dancer.items()}


def _union(by_dancer: dict[str, set[Beat]]) -> set[Beat]:
    return {beat for beats in by_dancer.values() for beat in beats}


def _outside(beats: set[Beat], frames: tuple[int, int] | None) -> set[Beat]:
    """The beats that are not in these frames; none where they are None, which stands for all."""
    return set() if frames is None else {beat for beat in beats if not frames[0] <= beat[1] <= frames[1]}


def _exchange_markers(scene: bpy.types.Scene, old: set[Beat], new: set[Beat]) -> None:
    """Remove the markers ``old``, and make those of ``new``."""
    for marker in [marker for marker in scene.timeline_markers if (marker.name, marker.frame) in old]:
        scene.timeline_markers.remove(marker)
    for label, frame in sorted(new, key=lambda beat: beat[1]):
        scene.timeline_markers.new(label, frame=frame)


def _beat_labels(motion: Motion) -> list[tuple[str, float]]:
    """(label, seconds) of the motion's beats in order; downbeats count the bars."""
    beats: Array = np.zeros(0) if motion.beats is None else motion.beats
    downbeats: Array = np.zeros(0) if motion.downbeats is None else motion.downbeats
    bars = [(f"bar {bar + 1}", float(second)) for bar, second in enumerate(downbeats)]
    plain = [
        ("beat", float(second)) for second in beats if not len(downbeats) or np.abs(downbeats - second).min() > 0.02
    ]
    return sorted(bars + plain, key=lambda labelled: labelled[1])
