"""A dance in a Blender scene: keys on the armature, the song in sync, beat markers, frame range."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from ..retarget.bone_maps import BoneMap, check_map, find_map
from ..retarget.errors import StepsmithError
from ..retarget.motion import Motion, concatenate
from ..retarget.reduce import Reduction, Track, reduce_keys
from ..retarget.rig import Rig
from ..retarget.rotations import Array
from ..retarget.solve import FeetMode, Pose, RootMode, solve
from .controls import must_begin
from .fcurves import playing_curves
from .keys import Into, Reduce, check_place, check_readable, write_action
from .mapping import map_of
from .rig_check import lying, notices, strip_notices

# Custom property that marks what Stepsmith made: on actions and strips the armature's name, on the scene
# the beat markers as JSON {armature's name: [[name, frame], ...], ...}. Earlier versions wrote one list for all.
TAG = "stepsmith"

# Custom properties of the scene: the frame rate, and the first and last frame, that a dance gave it.
_OUR_RATE, _OUR_RANGE = "stepsmith_rate", "stepsmith_range"
# Blender's own, which nobody has chosen.
_FACTORY_RATE, _FACTORY_RANGE = 24.0, (1, 250)

# Custom property of a sound strip: what it was made to play, and where.
_PLACE = "stepsmith_place"

# Custom property of an action that is a dance: four flags a frame, the motion's contacts.
_CONTACTS = "stepsmith_contacts"

_HIPS = ("left_hip", "right_hip")

# Songs up to this long are decoded into memory whole: 20 minutes of stereo take 0.4 GB.
_CACHED_SECONDS = 1200.0

_SILENT_END = 1.0  # seconds of a dance without its song that are worth a word
# A sound strip's first frame and the one after its last, up to Blender 5.1.
_FINAL_ENDS = ("frame_final_start", "frame_final_end")

Beat = tuple[str, int]  # a marker's name and frame


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


def read_rig(armature: bpy.types.Object) -> Rig:
    """The armature as numpy, at rest and where it stands. Raises RigError where it can't be read."""
    check_readable(armature)
    bones = list(_parents_first(armature.data.bones))
    index = {bone.name: i for i, bone in enumerate(bones)}
    return Rig(
        names=tuple(index),
        parents=tuple(-1 if bone.parent is None else index[bone.parent.name] for bone in bones),
        rest=np.array([bone.matrix_local for bone in bones], dtype=np.float64).reshape(-1, 4, 4),
        lengths=np.array([bone.length for bone in bones], dtype=np.float64),
        world=np.array(_world(armature, bpy.context.evaluated_depsgraph_get()), dtype=np.float64),
        rotation_modes=tuple(armature.pose.bones[bone.name].rotation_mode for bone in bones),
        connected=tuple(bone.use_connect for bone in bones),
        inherits_rotation=tuple(bone.use_inherit_rotation for bone in bones),
        deforms=tuple(bone.use_deform for bone in bones),
    )


def _world(ob: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> Matrix:
    """Where the object stands; Blender itself knows it only of what is enabled in the view layer."""
    if ob.evaluated_get(depsgraph).is_evaluated:
        return ob.matrix_world
    if ob.parent is None:
        return ob.matrix_basis
    above = _world(ob.parent, depsgraph)
    if ob.parent_type == "BONE" and ob.parent_bone in ob.parent.pose.bones:
        bone = ob.parent.pose.bones[ob.parent_bone]
        above = above @ bone.matrix @ Matrix.Translation((0.0, bone.length, 0.0))
    return above @ ob.matrix_parent_inverse @ ob.matrix_basis


def chosen_map(armature: bpy.types.Object, rig: Rig) -> BoneMap:
    """The bone map that the user edited, or else the one found. Raises RigError where it can't be danced."""
    edited = map_of(armature)
    if edited is None:
        return find_map(rig)
    check_map(rig, edited)
    return edited


def _parents_first(bones: Iterable[bpy.types.Bone]) -> Iterator[bpy.types.Bone]:
    waiting = [bone for bone in reversed(list(bones)) if bone.parent is None]
    while waiting:
        bone = waiting.pop()
        yield bone
        waiting.extend(reversed(bone.children))


def scene_fps(scene: bpy.types.Scene) -> float:
    """Frames a second that the scene plays at."""
    return float(scene.render.fps / scene.render.fps_base)


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
    song = None if song is None else _check_song(song)
    if not np.isfinite(song_start):
        raise StepsmithError(f"The dance can't start {song_start:g} s into the song: give a number of seconds.")
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
            notes += _fit_scene(undo, scene, armature, options.into, fps, first, last)
            # Of a dance that others stay beside, only what is in its frames is replaced.
            replaced = (first, last) if options.into in ("nla", "blend") else None
            earlier = [strip for strip in _replaceable_strips(scene, armature) if _sounds_in(strip, replaced)]
            if song is not None:
                strip = _add_song(undo, scene, armature, song, song_start, first, len(moved), warnings)
                scene.sync_mode = "AUDIO_SYNC"
            markers = _mark_beats(undo, scene, armature, motion, first, fps, replaced)
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
        written.action[TAG] = armature.name
        if options.feet != "never" and (moved.contacts > 0.5).any():
            written.action[_CONTACTS] = (moved.contacts > 0.5).ravel().astype(int).tolist()
        if loops:
            _mark_cyclic(written.action, first, last + 1)
    if loops and options.repeat and options.into != "nla":
        for curve in playing_curves(armature):
            curve.modifiers.new("CYCLES")
    for old in earlier:
        if old != strip:
            _remove_strip(scene, old)
    # Blended in, the dance begins where they have brought the dancer.
    if written.put_back and options.into != "blend":
        warnings.append(_put_back(written.put_back))
    if written.reset and options.into != "blend":
        warnings.append(_reset(written.reset))
    if scene.render.frame_map_old != scene.render.frame_map_new:
        warnings.append(
            f"The scene stretches {scene.render.frame_map_old} frames to {scene.render.frame_map_new}, so the dance is"
            " out of time with the song: set both to the same in Output > Frame Range > Time Stretching."
        )
    warnings += (
        lying(armature, rig, bone_map)
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
    world = np.array(_world(armature, bpy.context.evaluated_depsgraph_get()))
    left, right = (np.array([*armature.pose.bones[bone].head, 1.0]) for bone in map(bone_map.bone, _HIPS) if bone)
    across, middle = world @ (left - right), world @ (left + right) / 2.0
    scene.frame_set(now, subframe=part)
    return (float(middle[0]), float(middle[1])), float(np.arctan2(across[1], across[0]))


def _check_song(song: str | os.PathLike[str]) -> Path:
    path = Path(bpy.path.abspath(os.fspath(song)))
    if not os.path.isfile(path):
        raise StepsmithError(f"There is no song {song}: check the path.")
    return path.absolute()


def _keep(undo: ExitStack, owner: Any, *properties: str) -> None:
    """Have ``undo`` put these properties back."""
    for name in properties:
        undo.callback(setattr, owner, name, getattr(owner, name))


def _keep_entry(undo: ExitStack, scene: bpy.types.Scene, name: str) -> None:
    """Have ``undo`` put this custom property back, a number, text or array."""
    if name in scene:
        value = scene[name]
        # An array is a view that would follow the new value.
        undo.callback(scene.__setitem__, name, value.to_list() if hasattr(value, "to_list") else value)
    else:
        undo.callback(scene.__delitem__, name)


def _fit_scene(
    undo: ExitStack, scene: bpy.types.Scene, armature: bpy.types.Object, into: Into, fps: float, first: int, last: int
) -> list[str]:
    """Have the scene play at the dance's rate, and over its frames or at least over them too; what is to be told.

    ``undo`` puts that back, and how the scene keeps in time with sound.
    """
    ranged = _range_is_free(scene) and _is_alone(scene, armature, into)
    told: list[str] = []
    _keep(undo, scene.render, "fps", "fps_base")
    _keep(undo, scene, "frame_start", "frame_end", "sync_mode")
    if fps != scene_fps(scene):
        told.append(f"The scene now plays at {fps:.5g} frames a second, was {scene_fps(scene):.5g}.")
        scene.render.fps = max(1, round(fps))
        scene.render.fps_base = scene.render.fps / fps
        _keep_entry(undo, scene, _OUR_RATE)
        scene[_OUR_RATE] = scene_fps(scene)
    if ranged:
        _set_range(scene, first, last)
        _keep_entry(undo, scene, _OUR_RANGE)
        scene[_OUR_RANGE] = [first, last]
    else:
        _set_range(scene, min(scene.frame_start, first), max(scene.frame_end, last))
    return told


def _set_range(scene: bpy.types.Scene, first: int, last: int) -> None:
    # Blender moves one end when the other passes it, so the order matters.
    scene.frame_end = max(last, scene.frame_end)
    scene.frame_start = first
    scene.frame_end = last


def rate_of_dance(scene: bpy.types.Scene, armature: bpy.types.Object, motion: Motion, into: Into) -> float:
    """Frames a second at which a dance of the armature is keyed: the motion's where the scene takes them, else its own.

    It takes them where nothing else is timed and nobody has chosen a frame rate or range.
    """
    now = scene_fps(scene)
    chosen = not np.isclose(now, [_FACTORY_RATE, scene.get(_OUR_RATE, _FACTORY_RATE)], rtol=1e-5).any()
    free = not chosen and _range_is_free(scene) and _is_alone(scene, armature, into)
    return motion.fps if free and not np.isclose(now, motion.fps, rtol=1e-6) else now


def _range_is_free(scene: bpy.types.Scene) -> bool:
    """Whether the scene's range is Blender's, or that of an earlier dance."""
    now = (scene.frame_start, scene.frame_end)
    return now in (_FACTORY_RANGE, tuple(scene.get(_OUR_RANGE, _FACTORY_RANGE)))


def _is_alone(scene: bpy.types.Scene, armature: bpy.types.Object, into: Into) -> bool:
    """Whether nothing in the scene is timed, but a dance made here for this armature that is replaced."""
    replaced = into == "action"
    if len(_replaceable_strips(scene, armature)) < len(_all_strips(scene)):
        return False
    if scene.animation_data is not None and _is_animated(scene.animation_data):
        return False
    for ob in scene.objects:
        keys = getattr(ob.data, "shape_keys", None)
        for owner in (ob, ob.data, keys):
            data = getattr(owner, "animation_data", None)
            if data is None:
                continue
            own = replaced and owner is armature and data.action is not None and TAG in data.action
            if _is_animated(data, ignore_action=own):
                return False
    return True


def _replaceable_strips(scene: bpy.types.Scene, armature: bpy.types.Object) -> list[Any]:
    """The sound strips that a new dance of the armature's replaces.

    Those of its own, and of dancers who are not in the scene any more; but where others dance, to these perhaps.
    """
    theirs, own = _names_of_others(scene, armature), _danced_as(armature) | {armature.name}
    alone = not any(_danced_as(ob) for ob in scene.objects if ob != armature)
    made = [strip for strip in _all_strips(scene) if TAG in strip]
    return [strip for strip in made if strip[TAG] not in theirs and (alone or strip[TAG] in own)]


def _names_of_others(scene: bpy.types.Scene, armature: bpy.types.Object) -> set[str]:
    """What is made for these names is not for this armature."""
    others = [ob for ob in scene.objects if ob != armature]
    return {ob.name for ob in others}.union(*map(_danced_as, others)) - {armature.name}


def _danced_as(ob: bpy.types.Object) -> set[str]:
    """For what names the dances were made that the object plays: its earlier one where it was renamed since."""
    data = ob.animation_data
    if ob.type != "ARMATURE" or data is None:
        return set()
    strips = [strip for track in data.nla_tracks for strip in track.strips]
    return {owner.action[TAG] for owner in (data, *strips) if owner.action is not None and TAG in owner.action}


def _is_animated(data: bpy.types.AnimData, *, ignore_action: bool = False) -> bool:
    return (data.action is not None and not ignore_action) or len(data.nla_tracks) > 0


# --- sound -----------------------------------------------------------------------------------------------


def _strips(scene: bpy.types.Scene) -> Any:
    """The sequencer's top strips; named ``sequences`` before Blender 4.4."""
    editor = scene.sequence_editor or scene.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def _all_strips(scene: bpy.types.Scene) -> list[Any]:
    return [] if scene.sequence_editor is None else list(_strips(scene))


def _add_song(
    undo: ExitStack,
    scene: bpy.types.Scene,
    armature: bpy.types.Object,
    song: Path,
    song_start: float,
    first: int,
    length: int,
    warnings: list[str],
) -> Any | None:
    """The strip that plays ``song`` from ``song_start`` seconds on at frame ``first``, ``length`` frames long.

    A strip that is there and plays just the same is shared: one made here earlier for as long a dance, or the user's
    own, which may be longer or shorter.
    """
    place = json.dumps([str(song), round(song_start, 4), first, length])
    for strip in _all_strips(scene):
        # One made here may have been moved or muted since.
        if (TAG not in strip or strip.get(_PLACE) == place) and _plays(strip, song, song_start, first, scene):
            return strip
    strips = _strips(scene)
    channel = 1 + max((strip.channel for strip in strips), default=0)
    try:
        strip = strips.new_sound(song.stem, str(song), min(channel, 128), first)
    except RuntimeError as error:
        warnings.append(f"The song is not in the sequencer ({str(error).removeprefix('Error: ').strip()}).")
        return None
    if strip.sound.channels == "INVALID":
        _remove_strip(scene, strip)
        warnings.append(f"The song is not in the sequencer (Blender can't read {song.name}).")
        return None
    undo.callback(_remove_strip, scene, strip)
    # Streamed, Blender plays Vorbis up to 32 ms and MP3 up to 25 ms early, depending on where it starts.
    length_of_song = strip.content_duration if hasattr(strip, "content_duration") else strip.frame_duration
    strip.sound.use_memory_cache = length_of_song <= _CACHED_SECONDS * scene_fps(scene)
    _place_strip(strip, first, length, song_start * scene_fps(scene), scene_fps(scene))
    # It may be shorter than the file: Blender goes by the length that is stated, or guesses it.
    silent = (first + length - getattr(strip, _ends(strip)[1])) / scene_fps(scene)
    if silent > _SILENT_END:
        warnings.append(f"The sound ends {silent:.1f} s before the dance: Blender finds no more in {song.name}.")
    strip[TAG] = armature.name
    strip[_PLACE] = place
    return strip


def _plays(strip: Any, song: Path, second: float, frame: int, scene: bpy.types.Scene) -> bool:
    """Whether the strip plays that second of the song at the frame, as exactly as strips can be placed.

    A negative second is a time before the song: then it counts whether the song begins so much later.
    """
    fps = scene_fps(scene)
    wait = max(-_whole_frames(second * fps), 0)
    frame, second = frame + wait, second + wait / fps
    if strip.type != "SOUND" or strip.sound is None or strip.mute or not _sounds_in(strip, (frame, frame)):
        return False
    start = strip.content_start if hasattr(strip, "left_handle_offset") else strip.frame_start
    played = (frame - start) / fps - getattr(strip, "sound_offset", 0.0)
    # Where sound can't be moved inside its strip, it plays up to a frame off.
    if abs(played - second) * fps > (0.5 if hasattr(strip, "sound_offset") else 1.0):
        return False
    return Path(bpy.path.abspath(strip.sound.filepath)).absolute() == song


def _whole_frames(offset: float) -> int:
    """The whole frames of the sound before its frame ``offset``; negative where the sound begins later."""
    return int(np.floor(offset + 1e-6))


def _place_strip(strip: Any, first: int, length: int, offset: float, fps: float) -> None:
    """Let the sound's frame ``offset`` (may have a fraction) play at frame ``first``, for ``length`` frames."""
    whole = _whole_frames(offset)
    cut = max(whole, 0)  # where the sound begins later, nothing of it is cut off
    start, left, duration = (
        ("content_start", "left_handle_offset", "duration")
        if hasattr(strip, "left_handle_offset")  # 5.2 on
        else ("frame_start", "frame_offset_start", "frame_final_duration")
    )
    available = int(getattr(strip, duration)) - cut
    setattr(strip, start, first - whole)
    setattr(strip, left, cut)
    setattr(strip, duration, max(1, min(length + min(whole, 0), available)))
    # Strips begin on whole frames; the rest of the offset moves the sound inside the strip, in seconds.
    if hasattr(strip, "sound_offset"):
        strip.sound_offset = (whole - offset) / fps


def _sounds_in(strip: Any, frames: tuple[int, int] | None) -> bool:
    """Whether the strip has some of these frames; always where they are None."""
    start, end = _ends(strip)
    return frames is None or (getattr(strip, start) <= frames[1] and getattr(strip, end) > frames[0])


def _ends(strip: Any) -> tuple[str, str]:
    """What a strip calls the frame it begins on and the one after its last."""
    return ("left_handle", "right_handle") if hasattr(strip, "right_handle") else _FINAL_ENDS


def _remove_strip(scene: bpy.types.Scene, strip: Any) -> None:
    sound = strip.sound
    _strips(scene).remove(strip)
    if sound is not None and sound.users == 0:
        bpy.data.sounds.remove(sound)


# --- markers ---------------------------------------------------------------------------------------------


def _mark_beats(
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
    others = _names_of_others(scene, armature)
    after = {dancer: beats if dancer in others else _outside(beats, replaced) for dancer, beats in before.items()}
    # A marker of the user's own that stands there is enough, and stays the user's.
    after[armature.name] = after.get(armature.name, set()) | (made - (standing - of_ours))
    leaving, coming = standing & (of_ours - _union(after)), made - standing
    undo.callback(_exchange_markers, scene, coming, leaving)
    _keep_entry(undo, scene, TAG)
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
