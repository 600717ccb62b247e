"""A dance in a Blender scene: keys on the armature, the song in sync, beat markers, frame range."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import bpy
import numpy as np

from ..retarget.bone_maps import BoneMap
from ..retarget.errors import StepsmithError
from ..retarget.motion import Motion, concatenate
from ..retarget.reduce import Reduction, Track, reduce_keys
from ..retarget.rig import Rig
from ..retarget.rotations import Array
from ..retarget.solve import FeetMode, Pose, RootMode, solve
from .armature import chosen_map, read_rig, world_of
from .beat_markers import mark_beats
from .controls import must_begin
from .fcurves import playing_curves
from .keys import Into, Reduce, Written, check_place, write_action
from .ownership import TAG
from .rig_check import lying, notices, strip_notices
from .song_strip import Cue, add_song, check_song, remove_strip, replaceable_strips, sounds_in
from .timeline import fit_scene, rate_of_dance, scene_fps

# Custom property of an action that is a dance: four flags a frame, the motion's contacts.
_CONTACTS = "stepsmith_contacts"

_HIPS = ("left_hip", "right_hip")


@dataclass(frozen=True)
class Options:
    """How a motion becomes keys.

    ``feet``, ``root``, ``start`` (x, y), ``heading`` (radians) and ``reach`` are those of ``solve``.
    ``mirror``: left and right exchanged.
    ``bone_map``: None for the one the user edited, or else the one found. ``key_error``: (degrees,
    millimetres) that reduced keys may differ by from a key on every frame; None keeps every frame.
    ``into``: where the keys go: a new action, a new slot of the armature's action, an NLA strip, or a copy
    of the armature's action in which the dance takes over for its frames, blending in and out over
    ``blend_frames`` each; it begins where and as that action has the dancer then, unless told.
    ``repeat``: a motion that loops goes on for ever, before its frames and after, by Cycles modifiers.
    """

    feet: FeetMode = "auto"
    root: RootMode = "path"
    start: tuple[float, float] | None = None
    heading: float | None = None
    reach: bool = False
    mirror: bool = False
    bone_map: BoneMap | None = None
    key_error: tuple[float, float] | None = None
    into: Into = "action"
    blend_frames: int = 10
    repeat: bool = False


@dataclass(frozen=True)
class DanceResult:
    """What ``apply_motion`` made. ``frames``: first and last key. ``strip``: the sound strip's name, None
    without one. ``markers``: number of beats that markers show. ``warnings``: sentences on what may be wrong. ``keys``:
    how many there are in all. ``key_error``: (degrees, millimetres) that reduced keys are off by, at most.
    ``notes``: sentences on what else of the scene changed."""

    action: bpy.types.Action
    frames: tuple[int, int]
    fps: float
    strip: str | None
    markers: int
    warnings: tuple[str, ...]
    keys: int
    key_error: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def told(self) -> tuple[str, ...]:
        """All sentences that the user should see."""
        return self.notes + self.warnings


def apply_motion(
    context: bpy.types.Context,
    armature: bpy.types.Object,
    motion: Motion,
    *,
    song: str | os.PathLike[str] | None = None,
    song_start: float = 0.0,
    start_frame: int | None = None,
    name: str | None = None,
    options: Options = Options(),
    for_later: bool = False,
) -> DanceResult:
    """Make ``armature`` dance ``motion`` from ``start_frame`` on (the scene's first frame unless given).

    ``song``: a sound file put into the sequencer so that its second ``song_start`` sounds on the first
    frame; where that is negative, the sound begins so much later. A scene without other animation
    takes the motion's range where its own is Blender's, and then its frame rate where that is Blender's, too;
    an earlier dance's count as such. Otherwise the rate stays, the motion is resampled to it, and the range is
    only ever extended. A dance made earlier on the same armature is replaced, its sound strip and
    markers go, but where the options put the dance beside it: then they go only from the dance's frames. So go
    those of dancers who are not in the scene any more. Markers that show another dancer's beats as well stay.
    ``for_later``: the caller puts back what the armature played. Then the scene's rate and range and an earlier
    dance's strips and markers stay, and neither song nor markers are added.
    No action is lost. The rest pose, selection, mode and current frame stay as they are.
    A motion that loops (``meta["loop"]``), unless blended in, lasts whole frames, and one more key, on the frame
    after its last, is the first one again; the action's own range says so and that it is cyclic.
    Raises StepsmithError, with the scene as it was, where something is wrong.
    """
    scene = context.scene
    context.view_layer.update()  # matrix_world of an object made just now
    rig = read_rig(armature)
    check_place(armature, options.into)
    sound = check_song(song, song_start)
    fps = scene_fps(scene) if for_later else rate_of_dance(scene, armature, motion, options.into)
    first = scene.frame_start if start_frame is None else int(start_frame)
    motion = motion.mirror() if options.mirror else motion
    loops = bool(motion.meta.get("loop")) and options.into != "blend"
    moved = _resample_loop(motion, fps) if loops else motion.resample(fps)
    bone_map = options.bone_map or chosen_map(armature, rig)
    pose = _solve(scene, armature, moved, rig, bone_map, first, options)
    pose = _closed(pose) if loops else pose
    last = first + len(moved) - 1
    had_action = armature.animation_data is not None and armature.animation_data.action is not None
    notes: list[str] = []
    warnings: list[str] = []
    earlier: list[Any] = []
    strip: Any | None = None
    markers = 0

    with ExitStack() as undo:
        if not for_later:
            notes += fit_scene(undo, scene, armature, options.into, fps, first, last)
            # Of a dance that others stay beside, only what is in its frames is replaced.
            replaced = (first, last) if options.into in ("nla", "blend") else None
            earlier = [strip for strip in replaceable_strips(scene, armature) if sounds_in(strip, replaced)]
            if sound is not None:
                cue = Cue(sound, song_start, first, len(moved), scene_fps(scene))
                strip = add_song(undo, scene, armature, cue, warnings)
                scene.sync_mode = "AUDIO_SYNC"
            markers = mark_beats(undo, scene, armature, motion, first, fps, replaced)
        written = write_action(
            armature,
            pose,
            name=name or f"{armature.name} Dance",
            start_frame=first,
            into=options.into,
            blend_frames=options.blend_frames,
            reduce=_reduce(scene, rig, bone_map, options.key_error),
        )
        undo.pop_all()
    if options.into in ("action", "nla") or not had_action:
        _mark_action(written.action, armature, moved if options.feet != "never" else None)
        if loops:
            _mark_cyclic(written.action, first, last + 1)
    if loops and options.repeat and options.into != "nla":
        for curve in playing_curves(armature):
            curve.modifiers.new("CYCLES")
    for old in earlier:
        if old != strip:
            remove_strip(scene, old)
    if options.into != "blend":  # there the dance begins where they have brought the dancer
        warnings += _put_at_rest(written)
    warnings += (
        _stretched(scene)
        + lying(armature, rig, bone_map)
        + notices(armature, bone_map, (first, last))
        + (strip_notices(armature) if options.into == "nla" else ())
    )
    scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)
    return DanceResult(
        written.action,
        (first, last),
        fps,
        None if strip is None else strip.name,
        markers,
        tuple(warnings),
        written.keys,
        None if written.reduction is None else (written.reduction.degrees, written.reduction.millimetres),
        tuple(notes),
    )


def _mark_action(action: bpy.types.Action, armature: bpy.types.Object, standing: Motion | None) -> None:
    """Note in the action whose dance it is, and the contacts of the motion, None where no feet are locked."""
    action[TAG] = armature.name
    if standing is not None and (standing.contacts > 0.5).any():
        action[_CONTACTS] = (standing.contacts > 0.5).ravel().astype(int).tolist()


def _stretched(scene: bpy.types.Scene) -> tuple[str, ...]:
    """What to say of a scene that plays its frames faster or slower than it plays sound."""
    old, new = scene.render.frame_map_old, scene.render.frame_map_new
    if old == new:
        return ()
    return (
        f"The scene stretches {old} frames to {new}, so the dance is out of time with the song: "
        "set both to the same in Output > Frame Range > Time Stretching.",
    )


def _put_at_rest(written: Written) -> Iterator[str]:
    """What to say of bones that were away from rest."""
    if written.put_back:
        yield _put_back(written.put_back)
    if written.reset:
        yield _reset(written.reset)


def _put_back(bones: Sequence[str]) -> str:
    """What to say of bones above the dancing ones that were away from rest."""
    one = f"The bone {bones[0]} was posed and is"
    many = f"{len(bones)} bones above the dancing ones, e.g. {bones[0]}, were posed and are"
    return f"{one if len(bones) == 1 else many} at rest in the dance: choose a place to have that elsewhere."


def _reset(bones: Sequence[str]) -> str:
    """What to say of dancing bones that somebody had moved or scaled."""
    one = f"The bone {bones[0]} was moved or scaled and is"
    many = f"{len(bones)} bones, e.g. {bones[0]}, were moved or scaled and are"
    its = "its key" if len(bones) == 1 else "their keys"
    return f"{one if len(bones) == 1 else many} at rest in the dance: delete {its} of location and scale to undo that."


def _solve(
    scene: bpy.types.Scene,
    armature: bpy.types.Object,
    motion: Motion,
    rig: Rig,
    bone_map: BoneMap,
    first: int,
    options: Options,
) -> Pose:
    """The pose, where and as the options say; blended in, else where the armature is at the frame ``first``.

    What holds some of the armature's own motion stands where that does.
    """
    start, heading = options.start, options.heading
    if options.into == "blend" and must_begin(motion) is None and (start is None or heading is None):
        stands, faces = _standing(scene, armature, bone_map, first)
        start, heading = start or stands, faces if heading is None else heading
    return solve(
        motion,
        rig,
        bone_map,
        feet=options.feet,
        root=options.root,
        start=start,
        heading=heading,
        reach=options.reach,
    )


def _resample_loop(motion: Motion, fps: float) -> Motion:
    """A loop at another frame rate: the nearest whole number of frames, the first of which follows on the last."""
    count = max(round(len(motion) * fps / motion.fps), 1)
    closed = concatenate([motion, motion.slice(0, 1)])
    return replace(closed, fps=fps * len(motion) / count).resample(fps).slice(0, count)


def contacts_of(action: bpy.types.Action, frames: Array) -> Array | None:
    """(T, 4) the contacts on these frames (T,) of the dance that the action is, 1 beyond its ends.

    None where the action is no dance, or is longer or shorter than when it was made.
    """
    known = np.array(action.get(_CONTACTS, ()), dtype=np.float64).reshape(-1, 4)
    first, last = action.curve_frame_range
    # A loop has its first frame once more at its end.
    if not len(known) or not 0 <= round(last - first) + 1 - len(known) <= 1:
        return None
    rows = np.round(frames - first).astype(int)
    within = (rows >= 0) & (rows < len(known))
    return np.where(within[:, None], known[np.clip(rows, 0, len(known) - 1)], 1.0)


def _closed(pose: Pose) -> Pose:
    """The pose with its first frame once more at its end."""

    def again(values: Array) -> Array:
        return np.concatenate([values, values[:1]])

    # Each quaternion in the hemisphere of the one before.
    sign = np.where((pose.rotations[0] * pose.rotations[-1]).sum(axis=-1, keepdims=True) < 0.0, -1.0, 1.0)
    rotations = np.concatenate([pose.rotations, sign * pose.rotations[:1]])
    loose = {bone: again(values) for bone, values in pose.loose.items()}
    return replace(pose, rotations=rotations, locations=again(pose.locations), loose=loose)


def _mark_cyclic(action: bpy.types.Action, first: int, last: int) -> None:
    """Say in Blender's own terms that the action's key on frame ``last`` is that of ``first`` again."""
    action.use_frame_range = True
    action.frame_start, action.frame_end = first, last
    action.use_cyclic = True


def _reduce(
    scene: bpy.types.Scene, rig: Rig, bone_map: BoneMap, key_error: tuple[float, float] | None
) -> Reduce | None:
    """What leaves keys out, None to keep all."""
    if key_error is None:
        return None
    degrees, millimetres = key_error
    if not (degrees > 0.0 and millimetres > 0.0):
        raise StepsmithError("Reduced keys need an error to stay within: give degrees and millimetres above 0.")
    # Up to here a unit of the scene was a metre.
    units = millimetres / scene.unit_settings.scale_length

    def reduce(tracks: Sequence[Track]) -> Reduction:
        reduction = reduce_keys(rig, tracks, degrees, units, bone_map.parents)
        return replace(reduction, millimetres=reduction.millimetres * scene.unit_settings.scale_length)

    return reduce


def _standing(
    scene: bpy.types.Scene, armature: bpy.types.Object, bone_map: BoneMap, frame: int
) -> tuple[tuple[float, float], float]:
    """Where in the world the hips of the armature are at ``frame`` (x, y), and which way they face, 0 towards -y."""
    now, part = scene.frame_current, scene.frame_subframe
    scene.frame_set(frame)
    world = np.array(world_of(armature, bpy.context.evaluated_depsgraph_get()))
    left, right = (np.array([*armature.pose.bones[bone].head, 1.0]) for bone in map(bone_map.bone, _HIPS) if bone)
    across, middle = world @ (left - right), world @ (left + right) / 2.0
    scene.frame_set(now, subframe=part)
    return (float(middle[0]), float(middle[1])), float(np.arctan2(across[1], across[0]))
