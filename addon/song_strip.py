"""The song in the sequencer, in sync with the dance."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..retarget.errors import StepsmithError
from .ownership import TAG, danced_as, names_of_others

# Custom property of a sound strip: what it was made to play, and where.
_PLACE = "stepsmith_place"

# Songs up to this long are decoded into memory whole: 20 minutes of stereo take 0.4 GB.
_CACHED_SECONDS = 1200.0
_SILENT_END = 1.0  # seconds of a dance without its song that are worth a word

# A sound strip's first frame and the one after its last, up to Blender 5.1.
_FINAL_ENDS = ("frame_final_start", "frame_final_end")


@dataclass(frozen=True)
class Cue:
    """Which part of a song sounds when: its second ``second`` on ``frame``, and on for ``length`` frames.

    ``fps``: frames a second. Where ``second`` is negative, the song begins so much after ``frame``.
    """

    song: Path
    second: float
    frame: int
    length: int
    fps: float


def check_song(song: str | os.PathLike[str] | None, second: float) -> Path | None:
    """Where the sound file ``song`` is, if any. Raises StepsmithError where it isn't, or ``second`` is no number."""
    if not np.isfinite(second):
        raise StepsmithError(f"The dance can't start {second:g} s into the song: give a number of seconds.")
    if song is None:
        return None
    path = Path(bpy.path.abspath(os.fspath(song)))
    if not os.path.isfile(path):
        raise StepsmithError(f"There is no song {song}: check the path.")
    return path.absolute()


def all_strips(scene: bpy.types.Scene) -> list[Any]:
    """The sequencer's top strips; none, and none made, where it was never used."""
    return [] if scene.sequence_editor is None else list(strips_of(scene))


def replaceable_strips(scene: bpy.types.Scene, armature: bpy.types.Object) -> list[Any]:
    """The sound strips that a new dance of the armature's replaces.

    Those of its own, and of dancers who are not in the scene any more; but where others dance, to these perhaps.
    """
    theirs, own = names_of_others(scene, armature), danced_as(armature) | {armature.name}
    alone = not any(danced_as(ob) for ob in scene.objects if ob != armature)
    made = [strip for strip in all_strips(scene) if TAG in strip]
    return [strip for strip in made if strip[TAG] not in theirs and (alone or strip[TAG] in own)]


def sounds_in(strip: Any, frames: tuple[int, int] | None) -> bool:
    """Whether the strip has some of these frames; always where they are None."""
    start, end = _ends(strip)
    return frames is None or (getattr(strip, start) <= frames[1] and getattr(strip, end) > frames[0])


def add_song(
    undo: ExitStack,
    scene: bpy.types.Scene,
    armature: bpy.types.Object,
    cue: Cue,
    warnings: list[str],
) -> Any | None:
    """The strip that plays the cue, made for a dance of the armature's; None, and why among ``warnings``, without one.

    A strip that is there and plays just the same is shared: one made here earlier for as long a dance, or the user's
    own, which may be longer or shorter.
    """
    place = json.dumps([str(cue.song), round(cue.second, 4), cue.frame, cue.length])
    for strip in all_strips(scene):
        # One made here may have been moved or muted since.
        if (TAG not in strip or strip.get(_PLACE) == place) and _plays(strip, cue):
            return strip
    strips = strips_of(scene)
    channel = 1 + max((strip.channel for strip in strips), default=0)
    try:
        strip = strips.new_sound(cue.song.stem, str(cue.song), min(channel, 128), cue.frame)
    except RuntimeError as error:
        warnings.append(f"The song is not in the sequencer ({str(error).removeprefix('Error: ').strip()}).")
        return None
    if strip.sound.channels == "INVALID":
        remove_strip(scene, strip)
        warnings.append(f"The song is not in the sequencer (Blender can't read {cue.song.name}).")
        return None
    undo.callback(remove_strip, scene, strip)
    # Streamed, Blender plays Vorbis up to 32 ms and MP3 up to 25 ms early, depending on where it starts.
    length_of_song = strip.content_duration if hasattr(strip, "content_duration") else strip.frame_duration
    strip.sound.use_memory_cache = length_of_song <= _CACHED_SECONDS * cue.fps
    _place_strip(strip, cue)
    # It may be shorter than the file: Blender goes by the length that is stated, or guesses it.
    silent = (cue.frame + cue.length - getattr(strip, _ends(strip)[1])) / cue.fps
    if silent > _SILENT_END:
        warnings.append(f"The sound ends {silent:.1f} s before the dance: Blender finds no more in {cue.song.name}.")
    strip[TAG] = armature.name
    strip[_PLACE] = place
    return strip


def remove_strip(scene: bpy.types.Scene, strip: Any) -> None:
    sound = strip.sound
    strips_of(scene).remove(strip)
    if sound is not None and sound.users == 0:
        bpy.data.sounds.remove(sound)


def strips_of(scene: bpy.types.Scene) -> Any:
    """The sequencer's top strips; named ``sequences`` before Blender 4.4."""
    editor = scene.sequence_editor or scene.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def _plays(strip: Any, cue: Cue) -> bool:
    """Whether the strip plays the cue's second of the song at its frame, as exactly as strips can be placed."""
    wait = max(-_whole_frames(cue.second * cue.fps), 0)
    frame, second = cue.frame + wait, cue.second + wait / cue.fps
    if strip.type != "SOUND" or strip.sound is None or strip.mute or not sounds_in(strip, (frame, frame)):
        return False
    start = strip.content_start if hasattr(strip, "left_handle_offset") else strip.frame_start
    played = (frame - start) / cue.fps - getattr(strip, "sound_offset", 0.0)
    # Where sound can't be moved inside its strip, it plays up to a frame off.
    if abs(played - second) * cue.fps > (0.5 if hasattr(strip, "sound_offset") else 1.0):
        return False
    return Path(bpy.path.abspath(strip.sound.filepath)).absolute() == cue.song


def _whole_frames(offset: float) -> int:
    """The whole frames of the sound before its frame ``offset``; negative where the sound begins later."""
    return int(np.floor(offset + 1e-6))


def _place_strip(strip: Any, cue: Cue) -> None:
    """Have the strip play the cue."""
    offset = cue.second * cue.fps  # the sound's frame that plays on the cue's; may have a fraction
    whole = _whole_frames(offset)
    cut = max(whole, 0)  # where the sound begins later, nothing of it is cut off
    start, left, duration = (
        ("content_start", "left_handle_offset", "duration")
        if hasattr(strip, "left_handle_offset")  # 5.2 on
        else ("frame_start", "frame_offset_start", "frame_final_duration")
    )
    available = int(getattr(strip, duration)) - cut
    setattr(strip, start, cue.frame - whole)
    setattr(strip, left, cut)
    setattr(strip, duration, max(1, min(cue.length + min(whole, 0), available)))
    # Strips begin on whole frames; the rest of the offset moves the sound inside the strip, in seconds.
    if hasattr(strip, "sound_offset"):
        strip.sound_offset = (whole - offset) / cue.fps


def _ends(strip: Any) -> tuple[str, str]:
    """What a strip calls the frame it begins on and the one after its last."""
    return ("left_handle", "right_handle") if hasattr(strip, "right_handle") else _FINAL_ENDS
