from __future__ import annotations

import json
import time
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Matrix, Vector
from stepsmith.addon import scene as scene_module
from stepsmith.addon import song_strip
from stepsmith.addon.armature import read_rig
from stepsmith.addon.character import make_character
from stepsmith.addon.scene import Options, apply_motion
from stepsmith.addon.stage import dance_points, stage
from stepsmith.addon.timeline import scene_fps
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import RigError, StepsmithError
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL

needs_sound = pytest.mark.skipif(
    not bpy.app.build_options.audaspace, reason="this bpy is built without Audaspace, so it has no sound strips"
)
MakeArmature = Callable[[str], Any]


@pytest.fixture
def scene() -> Any:
    bpy.ops.wm.read_homefile(use_empty=True)
    return bpy.context.scene


@pytest.fixture
def dance() -> Motion:
    """4 s of turning and swaying all over, and of walking along +x, with beats every half second."""
    frames = 120
    rng = np.random.default_rng(3)
    swing = np.sin(np.linspace(0, 9, frames))[:, None, None] * rng.normal(scale=0.4, size=(24, 3))
    root = np.array([0.0, 0.0, SMPL.rest_root_height]) + np.linspace(0, 1, frames)[:, None] * [1.5, 0.4, 0.0]
    beats = np.arange(0.0, 4.0, 0.5)
    return Motion(30.0, root, rot.from_axis_angle(swing), np.zeros((frames, 4)), beats=beats, downbeats=beats[1::4])


@pytest.fixture
def noise(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A song of 20 s of noise, which sounds like itself at one place only: its file and samples, 44,100 a second."""
    samples = np.random.default_rng(0).normal(scale=0.1, size=44100 * 20)
    with wave.open(str(tmp_path / "noise.wav"), "wb") as file:
        file.setparams((1, 2, 44100, 0, "NONE", "not compressed"))
        file.writeframes((samples * 30000).astype("<i2").tobytes())
    return tmp_path / "noise.wav", samples


def markers(scene: Any) -> list[tuple[str, int]]:
    return sorted(((m.name, m.frame) for m in scene.timeline_markers), key=lambda m: m[1])


def strips(scene: Any) -> list[Any]:
    return song_strip.all_strips(scene)


def animate(ob: Any, first: int = 10, last: int = 400) -> Any:
    for frame in (first, last):
        ob.location.x = frame
        ob.keyframe_insert("location", frame=frame)
    return ob.animation_data.action


def state(scene: Any, armature: Any) -> tuple[Any, ...]:
    data = armature.animation_data
    return (
        scene.render.fps,
        scene.render.fps_base,
        scene.frame_start,
        scene.frame_end,
        scene.sync_mode,
        markers(scene),
        [(strip.name, strip.channel) for strip in strips(scene)],
        None if data is None else data.action,
        len(bpy.data.actions),
        len(bpy.data.sounds),
    )


# --- the rig ---------------------------------------------------------------------------------------------


def test_a_rig_is_read_as_it_stands(scene: Any, new_armature: MakeArmature) -> None:
    armature = new_armature("Rig")
    armature.matrix_world = Matrix.Translation((1, 2, 3)) @ Matrix.Rotation(0.5, 4, "Z") @ Matrix.Scale(2, 4)
    armature.pose.bones["head"].rotation_mode = "YXZ"
    armature.pose.bones["head"].rotation_euler = (0.5, 0.5, 0.5)  # the pose says nothing about rest
    bpy.context.view_layer.update()
    rig = read_rig(armature)
    head = rig.names.index("head")
    assert rig.names[rig.parents[head]] == "neck"
    assert rig.rest[head] == pytest.approx(np.array(armature.data.bones["head"].matrix_local))
    assert rig.lengths[head] == pytest.approx(armature.data.bones["head"].length)
    assert rig.world == pytest.approx(np.array(armature.matrix_world))
    assert rig.rotation_modes[head] == "YXZ"


def test_bones_made_in_any_order_come_after_their_parents(scene: Any) -> None:
    armature = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    bones = [armature.data.edit_bones.new(name) for name in ("tip", "middle", "base", "other")]
    for z, bone in enumerate(bones):
        bone.head, bone.tail = (0, 0, 2 - z), (0, 0, 2.9 - z)
    bones[0].parent, bones[1].parent = bones[1], bones[2]
    bpy.ops.object.mode_set(mode="OBJECT")
    rig = read_rig(armature)
    assert all(parent < bone for bone, parent in enumerate(rig.parents))
    assert sorted(rig.names) == ["base", "middle", "other", "tip"]


# --- the dance -------------------------------------------------------------------------------------------


def test_the_character_moves_as_the_motion_says(scene: Any, dance: Motion) -> None:
    dancer = make_character(bpy.context)
    result = apply_motion(bpy.context, dancer, dance, options=Options(feet="never"))
    positions = dance.positions()
    assert result.frames == (1, 120)
    for frame in (0, 33, 119):
        scene.frame_set(1 + frame)
        heads = np.array([dancer.pose.bones[name].head for name in SMPL.names])
        assert heads == pytest.approx(positions[frame], abs=2e-3)


def test_a_scene_of_its_own_takes_the_motions_rate_and_range(scene: Any, dance: Motion) -> None:
    scene.render.fps = 24
    result = apply_motion(bpy.context, make_character(bpy.context), dance)
    assert (scene.render.fps, scene.render.fps_base) == (30, 1.0)
    assert (scene.frame_start, scene.frame_end, scene.frame_current) == (1, 120, 1)
    assert result.fps == 30.0


@pytest.mark.parametrize(
    ("rate", "base", "frames", "ends"),
    [
        (25, 1.0, (1, 250), (1, 100)),
        (24, 1.001, (1, 250), (1, 96)),
        (60, 1.0, (1, 600), (1, 600)),
        (24, 1.0, (1, 600), (1, 600)),
        (24, 1.0, (101, 120), (101, 196)),
    ],
)
def test_a_rate_or_range_that_somebody_chose_stays(
    scene: Any,
    dance: Motion,
    new_armature: MakeArmature,
    rate: int,
    base: float,
    frames: tuple[int, int],
    ends: tuple[int, int],
) -> None:
    scene.render.fps, scene.render.fps_base = rate, base
    scene.frame_start, scene.frame_end = frames
    armature = new_armature("Rig")
    for _ in range(2):  # again, over the first dance
        result = apply_motion(bpy.context, armature, dance)
        assert (scene.render.fps, scene.render.fps_base) == (rate, pytest.approx(base))
        assert (scene.frame_start, scene.frame_end) == ends
        assert result.notes == ()
    # Timing stays in seconds.
    scene.frame_set(ends[0] + round(2.0 * rate / base))
    pelvis = armature.matrix_world @ armature.pose.bones["pelvis"].head
    assert np.array(pelvis)[:2] == pytest.approx(dance.root[60, :2], abs=0.02)


def test_a_rate_that_changes_is_told(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    armature = new_armature("Rig")
    first = apply_motion(bpy.context, armature, dance)
    assert first.notes == ("The scene now plays at 30 frames a second, was 24.",)
    assert first.told == first.notes
    assert apply_motion(bpy.context, armature, dance).notes == ()
    again = apply_motion(bpy.context, armature, replace(dance.slice(0, 60), fps=25.0))
    assert again.notes == ("The scene now plays at 25 frames a second, was 30.",)
    assert (scene.frame_start, scene.frame_end) == (1, 60)
    scene.frame_end = 500
    assert apply_motion(bpy.context, armature, dance).fps == 25.0, "somebody chose the range meanwhile"
    assert (scene.frame_start, scene.frame_end) == (1, 500)


def test_broken_rates_are_kept_exactly(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    apply_motion(bpy.context, new_armature("Rig"), replace(dance, fps=29.97))
    assert scene.render.fps / scene.render.fps_base == pytest.approx(29.97, rel=1e-6)


def test_existing_animation_keeps_its_rate_and_range(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    scene.render.fps = 24
    scene.frame_start, scene.frame_end = 5, 60
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    action = animate(camera)
    armature = new_armature("Rig")
    result = apply_motion(bpy.context, armature, dance)
    assert (scene.render.fps, scene.render.fps_base) == (24, 1.0)
    assert result.frames == (5, 5 + 95)  # 119/30 s at 24 frames a second
    assert (scene.frame_start, scene.frame_end) == (5, 100)
    assert camera.animation_data.action == action
    scene.frame_set(400)
    assert camera.location.x == pytest.approx(400)
    # Timing stays in seconds: 3 s are frame 90 of the motion and frame 72 of the scene.
    scene.frame_set(5 + 72)
    pelvis = armature.matrix_world @ armature.pose.bones["pelvis"].head
    assert np.array(pelvis)[:2] == pytest.approx(dance.root[90, :2], abs=5e-3)


def test_a_longer_range_is_never_shrunk(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    scene.frame_start, scene.frame_end = 1, 500
    ob = bpy.data.objects.new("Ball", None)
    scene.collection.objects.link(ob)
    animate(ob)
    apply_motion(bpy.context, new_armature("Rig"), dance, start_frame=200)
    assert (scene.frame_start, scene.frame_end) == (1, 500)


@pytest.mark.parametrize("start", [-40, 700])
def test_a_start_frame_may_lie_anywhere(scene: Any, dance: Motion, new_armature: MakeArmature, start: int) -> None:
    result = apply_motion(bpy.context, new_armature("Rig"), dance, start_frame=start)
    assert result.frames == (start, start + 119)
    assert min(frame for _, frame in markers(scene)) == start


def test_dancing_again_replaces_the_dance(
    scene: Any, dance: Motion, new_armature: MakeArmature, noise: tuple[Path, Any]
) -> None:
    armature = new_armature("Rig")
    scene.timeline_markers.new("beat", frame=3)
    scene.timeline_markers.new("chorus", frame=60)
    first = apply_motion(bpy.context, armature, dance, song=noise[0])
    second = apply_motion(bpy.context, armature, dance.slice(0, 60), song=noise[0], song_start=1.0)
    assert scene.frame_end == 60
    assert armature.animation_data.action == second.action
    assert first.action.use_fake_user
    assert len(strips(scene)) <= 1
    assert len(bpy.data.sounds) <= 1
    assert markers(scene) == sorted(
        [("beat", 1), ("beat", 3), ("bar 1", 16), ("beat", 31), ("beat", 46), ("chorus", 60)], key=lambda m: m[1]
    )


def test_an_armature_at_rest_is_a_warning(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    armature = new_armature("Rig")
    armature.data.pose_position = "REST"
    assert "Pose Position" in apply_motion(bpy.context, armature, dance).warnings[0]


def test_a_scene_that_stretches_time_is_a_warning(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    scene.render.frame_map_old = scene.render.frame_map_new = 200
    assert apply_motion(bpy.context, new_armature("Rig"), dance).warnings == ()
    scene.render.frame_map_old = 100
    (sentence,) = apply_motion(bpy.context, new_armature("Rig"), dance).warnings
    assert "stretches 100 frames to 200" in sentence


def test_a_bone_above_the_dancers_that_is_put_back_is_told(
    scene: Any, dance: Motion, new_armature: MakeArmature
) -> None:
    armature = new_armature("Rig")
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    bones.new("root").tail = (0.0, 0.3, 0.0)
    bones["pelvis"].parent = bones["root"]
    bpy.ops.object.mode_set(mode="OBJECT")
    assert apply_motion(bpy.context, armature, dance).warnings == ()
    place = armature.pose.bones["pelvis"].head.copy()
    armature.pose.bones["root"].location = (2.0, 0.0, 0.0)
    armature.pose.bones["head"].scale = (1.5, 1.5, 1.5)
    told, also = apply_motion(bpy.context, armature, dance).warnings
    assert told.startswith("The bone root was posed")
    assert also.startswith("The bone head was moved or scaled")
    assert armature.pose.bones["pelvis"].head == place


def test_markers_say_beats_and_bars(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    result = apply_motion(bpy.context, new_armature("Rig"), dance)
    names = [name for name, _ in markers(scene)]
    assert names == ["beat", "bar 1", "beat", "beat", "beat", "bar 2", "beat", "beat"]
    assert [frame for _, frame in markers(scene)] == [1, 16, 31, 46, 61, 76, 91, 106]
    assert result.markers == 8


def test_a_motion_without_beats_makes_no_markers(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    assert apply_motion(bpy.context, new_armature("Rig"), replace(dance, beats=None, downbeats=None)).markers == 0
    assert not scene.timeline_markers


def without_beats(dance: Motion) -> Motion:
    return replace(dance, beats=None, downbeats=None)


@pytest.mark.parametrize("into", ["action", "nla"])
def test_each_dancer_replaces_its_own_markers(scene: Any, dance: Motion, new_armature: MakeArmature, into: Any) -> None:
    anna, ben, options = new_armature("Anna"), new_armature("Ben"), Options(into=into)
    apply_motion(bpy.context, anna, dance, options=options)
    beats = markers(scene)
    apply_motion(bpy.context, ben, without_beats(dance), options=options)
    assert markers(scene) == beats
    assert apply_motion(bpy.context, ben, dance.slice(0, 60), start_frame=301, options=options).markers == 4
    assert markers(scene) == [*beats, ("beat", 301), ("bar 1", 316), ("beat", 331), ("beat", 346)]
    apply_motion(bpy.context, anna, without_beats(dance), options=options)
    assert [frame for _, frame in markers(scene)] == [301, 316, 331, 346]


def test_dancers_share_the_markers_of_one_song(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    anna, ben = new_armature("Anna"), new_armature("Ben")
    apply_motion(bpy.context, anna, dance)
    beats = markers(scene)
    assert apply_motion(bpy.context, ben, dance).markers == 8
    assert markers(scene) == beats
    apply_motion(bpy.context, anna, without_beats(dance))
    assert markers(scene) == beats, "Ben still dances to them"
    apply_motion(bpy.context, ben, without_beats(dance))
    assert not scene.timeline_markers


def test_markers_of_nobody_in_the_scene_go(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    gone = new_armature("Gone")
    apply_motion(bpy.context, gone, dance)
    bpy.data.objects.remove(gone)
    apply_motion(bpy.context, new_armature("Rig"), dance.slice(0, 60), start_frame=301)
    assert [frame for _, frame in markers(scene)] == [301, 316, 331, 346]


def test_a_renamed_dancer_replaces_its_dance(
    scene: Any, dance: Motion, new_armature: MakeArmature, noise: tuple[Path, Any]
) -> None:
    armature = new_armature("Rig")
    apply_motion(bpy.context, armature, dance, song=noise[0])
    armature.name = "Hero"
    apply_motion(bpy.context, armature, dance.slice(0, 60), song=noise[0], song_start=1.0)
    assert (scene.frame_start, scene.frame_end) == (1, 60)
    assert len(strips(scene)) <= 1
    assert [frame for _, frame in markers(scene)] == [1, 16, 31, 46]


def test_the_song_of_a_deleted_dancer_goes_where_nobody_dances_to_it(
    scene: Any, dance: Motion, new_armature: MakeArmature, noise: tuple[Path, Any]
) -> None:
    gone, stays, new = new_armature("Gone"), new_armature("Stays"), new_armature("New")
    for armature in (gone, stays):  # one strip for both
        apply_motion(bpy.context, armature, dance, song=noise[0])
    before = len(strips(scene))
    bpy.data.objects.remove(gone)
    apply_motion(bpy.context, new, dance, song=noise[0], song_start=1.0)
    assert len(strips(scene)) == 2 * before
    bpy.data.objects.remove(stays)
    apply_motion(bpy.context, new, dance, song=noise[0], song_start=0.5)
    assert len(strips(scene)) == before


def test_markers_of_an_earlier_version_are_replaced(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    for label, frame in [("beat", 5), ("bar 1", 20), ("chorus", 20)]:
        scene.timeline_markers.new(label, frame=frame)
    scene["stepsmith"] = json.dumps([["beat", 5], ["bar 1", 20]])
    apply_motion(bpy.context, new_armature("Rig"), dance.slice(0, 60), start_frame=301)
    assert markers(scene) == [("chorus", 20), ("beat", 301), ("bar 1", 316), ("beat", 331), ("beat", 346)]


def test_a_marker_of_the_users_own_on_a_beat_stays(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    armature = new_armature("Rig")
    scene.timeline_markers.new("beat", frame=31)
    apply_motion(bpy.context, armature, dance)
    assert markers(scene).count(("beat", 31)) == 1
    apply_motion(bpy.context, armature, without_beats(dance))
    assert markers(scene) == [("beat", 31)]


def test_thousands_of_markers_are_replaced_at_once(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    armature = new_armature("Rig")
    apply_motion(bpy.context, armature, replace(dance, beats=np.arange(8000) / 3.0, downbeats=None))
    assert len(scene.timeline_markers) == 8000
    started = time.perf_counter()
    apply_motion(bpy.context, armature, without_beats(dance))
    assert time.perf_counter() - started < 2.0
    assert not scene.timeline_markers


# --- sound -----------------------------------------------------------------------------------------------


def heard_from(samples: np.ndarray, mix: Path) -> float:
    """Seconds into ``samples`` (44,100 a second) at which the 2 s that the scene plays begin; written to ``mix``.

    Negative where something else is played before.
    """
    bpy.ops.sound.mixdown(filepath=str(mix), container="WAV", codec="PCM", format="S16")
    with wave.open(str(mix)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, channels)[:, 0]
    assert len(heard) / rate == pytest.approx(2.0, abs=0.05)
    at = np.arange(44100) / 44100
    heard = np.interp(at, np.arange(len(heard)) / rate, heard)
    size = 1 << 21
    likeness = np.fft.irfft(np.fft.rfft(samples, size) * np.conj(np.fft.rfft(heard, size)))
    found = int(likeness.argmax())
    return (found if found < size // 2 else found - size) / 44100


@needs_sound
@pytest.mark.parametrize("start", [0.0, 2.0, 2.5172, 17.3391, -0.5, -0.3117, -0.0102])
def test_the_song_sounds_in_sync(
    scene: Any, dance: Motion, new_armature: MakeArmature, noise: tuple[Path, Any], tmp_path: Path, start: float
) -> None:
    song, samples = noise
    result = apply_motion(
        bpy.context, new_armature("Rig"), dance.slice(0, 60), song=song, song_start=start, start_frame=7
    )
    assert result.warnings == ()
    assert heard_from(samples, tmp_path / "mix.wav") == pytest.approx(start, abs=0.001)
    assert scene.sync_mode == "AUDIO_SYNC"
    assert scene.render.fps == 30


@needs_sound
@pytest.mark.parametrize("start", [0.0, 2.5172])
def test_a_compressed_song_sounds_in_sync(
    scene: Any, dance: Motion, new_armature: MakeArmature, noise: tuple[Path, Any], tmp_path: Path, start: float
) -> None:
    av = pytest.importorskip("av", reason="needs PyAV to make and read an MP3")
    song = tmp_path / "noise.mp3"
    with av.open(str(noise[0])) as source, av.open(str(song), "w") as target:
        stream = target.add_stream("mp3", rate=44100)
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    with av.open(str(song)) as file:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    apply_motion(bpy.context, new_armature("Rig"), dance.slice(0, 60), song=song, song_start=start, start_frame=7)
    assert heard_from(samples, tmp_path / "mix.wav") == pytest.approx(start, abs=0.001)


@needs_sound
def test_a_song_that_ends_early_ends_early(
    scene: Any, dance: Motion, new_armature: MakeArmature, noise: tuple[Path, Any]
) -> None:
    result = apply_motion(bpy.context, new_armature("Rig"), dance, song=noise[0], song_start=19.0)
    strip = strips(scene)[0]
    assert result.strip == strip.name
    end = strip.right_handle if hasattr(strip, "right_handle") else strip.frame_final_end
    assert 30 <= end - 1 <= 31
    assert result.warnings == ("The sound ends 3.0 s before the dance: Blender finds no more in noise.wav.",)
    assert scene.frame_end == 120


@needs_sound
def test_the_users_strips_stay_and_two_dancers_share_a_song(
    scene: Any, dance: Motion, new_armature: MakeArmature, noise: tuple[Path, Any]
) -> None:
    song_strip.strips_of(scene).new_sound("own", str(noise[0]), 1, 40)
    one, two = new_armature("One"), new_armature("Two")
    apply_motion(bpy.context, one, dance, song=noise[0])
    apply_motion(bpy.context, two, dance, song=noise[0])
    assert len(strips(scene)) == 2
    assert strips(scene)[0].name == "own" or strips(scene)[1].name == "own"
    assert len({strip.channel for strip in strips(scene)}) == 2


@needs_sound
def test_a_song_that_is_in_the_sequencer_already_sounds_once(
    scene: Any, dance: Motion, new_armature: MakeArmature, noise: tuple[Path, Any]
) -> None:
    own = song_strip.strips_of(scene).new_sound("own", str(noise[0]), 1, 1)
    armature = new_armature("Rig")
    assert apply_motion(bpy.context, armature, dance, song=noise[0], start_frame=25, song_start=1.0).strip == "own"
    assert apply_motion(bpy.context, armature, dance, song=noise[0]).strip == "own"
    assert [strip.name for strip in strips(scene)] == ["own"]
    other = apply_motion(bpy.context, armature, dance, song=noise[0], song_start=1.0)
    assert len(strips(scene)) == 2, "another place of the song"
    own.mute = True
    assert apply_motion(bpy.context, armature, dance, song=noise[0]).strip not in ("own", other.strip)
    assert sorted(strip.name for strip in strips(scene))[-1] == "own", "the user's stays"


def move(strip: Any, frames: int) -> None:
    start = "content_start" if hasattr(strip, "content_start") else "frame_start"
    setattr(strip, start, getattr(strip, start) + frames)


def mute(strip: Any) -> None:
    strip.mute = True


@needs_sound
@pytest.mark.parametrize("start", [0.0, 2.5172, -0.5, -0.3117])
@pytest.mark.parametrize("change", [lambda strip: move(strip, 20), mute])
def test_a_strip_that_plays_the_song_no_more_is_replaced(
    scene: Any,
    dance: Motion,
    new_armature: MakeArmature,
    noise: tuple[Path, Any],
    tmp_path: Path,
    start: float,
    change: Callable[[Any], None],
) -> None:
    song, samples = noise
    armature, part = new_armature("Rig"), dance.slice(0, 60)
    apply_motion(bpy.context, armature, part, song=song, song_start=start)
    change(strips(scene)[0])
    result = apply_motion(bpy.context, armature, part, song=song, song_start=start)
    assert [(strip.name, strip.mute) for strip in strips(scene)] == [(result.strip, False)]
    assert heard_from(samples, tmp_path / "mix.wav") == pytest.approx(start, abs=0.001)


@needs_sound
@pytest.mark.parametrize("start", [2.5172, -0.5, -0.3117, -3.0])
def test_dancers_share_a_strip_wherever_the_song_begins(
    scene: Any, dance: Motion, new_armature: MakeArmature, noise: tuple[Path, Any], start: float
) -> None:
    shown = {
        apply_motion(bpy.context, new_armature(name), dance.slice(0, 60), song=noise[0], song_start=start).strip
        for name in ("One", "Two")
    }
    assert shown == {strip.name for strip in strips(scene)}
    assert len(shown) == 1


@needs_sound
def test_a_file_that_is_no_sound_is_a_warning(
    scene: Any, dance: Motion, new_armature: MakeArmature, tmp_path: Path
) -> None:
    (tmp_path / "text.mp3").write_text("no music")
    result = apply_motion(bpy.context, new_armature("Rig"), dance, song=tmp_path / "text.mp3")
    assert result.strip is None
    assert not strips(scene)
    assert len(result.warnings) == 1


@pytest.mark.skipif(bpy.app.build_options.audaspace, reason="this bpy has sound strips")
def test_without_audaspace_the_song_is_a_warning(
    scene: Any, dance: Motion, new_armature: MakeArmature, noise: tuple[Path, Any]
) -> None:
    result = apply_motion(bpy.context, new_armature("Rig"), dance, song=noise[0])
    assert result.strip is None
    assert "Audaspace" in result.warnings[0]
    assert result.action is not None


# --- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"song": "/no/such/song.ogg"}, "no song"), ({"song_start": np.inf}, "song"), ({"song_start": np.nan}, "song")],
)
def test_wrong_wishes_change_nothing(
    scene: Any, dance: Motion, new_armature: MakeArmature, wrong: dict[str, Any], words: str
) -> None:
    armature = new_armature("Rig")
    before = state(scene, armature)
    with pytest.raises(StepsmithError, match=words):
        apply_motion(bpy.context, armature, dance, **wrong)
    assert state(scene, armature) == before


def test_an_armature_without_limbs_changes_nothing(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    armature = new_armature("Rig")
    bpy.ops.object.mode_set(mode="EDIT")
    for bone in [b for b in armature.data.edit_bones if b.name != "pelvis"]:
        armature.data.edit_bones.remove(bone)
    bpy.ops.object.mode_set(mode="OBJECT")
    before = state(scene, armature)
    with pytest.raises(RigError):
        apply_motion(bpy.context, armature, dance)
    assert state(scene, armature) == before


def test_a_failure_on_the_way_puts_everything_back(
    scene: Any, dance: Motion, new_armature: MakeArmature, noise: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    armature = new_armature("Rig")
    scene.render.fps = 24
    apply_motion(bpy.context, armature, dance.slice(0, 60), song=noise[0])
    before = state(scene, armature)

    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(scene_module, "write_action", fail)
    with pytest.raises(MemoryError):
        apply_motion(bpy.context, armature, replace(dance, fps=25.0), song=noise[0], song_start=3.0)
    assert state(scene, armature) == before
    monkeypatch.undo()
    # What the scene remembers of the dance is put back as well: its range still counts as that of a dance.
    apply_motion(bpy.context, armature, dance.slice(0, 30))
    assert (scene.frame_start, scene.frame_end) == (1, 30)


# --- the stage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("straight", "aside"), [(False, (0.2, 0.4)), (True, (-0.001, 0.001))])
def test_the_camera_sees_the_whole_dance(scene: Any, dance: Motion, straight: bool, aside: tuple[float, float]) -> None:
    dancer = make_character(bpy.context)
    apply_motion(bpy.context, dancer, dance)
    stage(bpy.context, dancer, straight=straight)
    bpy.context.view_layer.update()
    assert aside[0] < scene.camera.matrix_world.col[2][0] < aside[1]
    body = dancer.children[0]
    seen = []
    for frame in range(1, 121, 17):
        scene.frame_set(frame)
        mesh = body.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
        seen += [world_to_camera_view(scene, scene.camera, Vector(v.co))[:] for v in list(mesh.vertices)[::10]]
    across, up, depth = np.array(seen).T
    assert depth.min() > 0.0
    assert across.min() > 0.0
    assert across.max() < 1.0
    assert up.min() > 0.0
    assert up.max() < 1.0
    # ... and no farther away than it must: the dance fills most of the picture one way or the other.
    assert max(np.ptp(across), np.ptp(up)) > 0.75


def test_the_stage_adds_only_what_is_missing(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    armature = new_armature("Rig")
    camera = bpy.data.objects.new("Mine", bpy.data.cameras.new("Mine"))
    light = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    for ob in (camera, light):
        scene.collection.objects.link(ob)
    scene.camera = camera
    apply_motion(bpy.context, armature, dance)
    scene.frame_set(40)
    stage(bpy.context, armature, backdrop=False)
    assert {ob.name for ob in scene.objects} == {"Rig", "Mine", "Lamp"}
    assert scene.camera == camera
    assert scene.frame_current == 40


def test_the_points_of_a_dance_follow_its_path(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    armature = new_armature("Rig")
    apply_motion(bpy.context, armature, dance)
    points = dance_points(bpy.context, armature)
    assert np.ptp(points[:, 0]) > 1.5 + 0.5


# --- armatures of all kinds ------------------------------------------------------------------------------


def place_of(armature: Any, bone: str) -> np.ndarray:
    """World matrix of a bone at the current frame, as Blender shows it."""
    shown = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return np.array(shown.matrix_world @ shown.pose.bones[bone].matrix)


def test_nothing_else_of_the_scene_changes(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    armature, other, ball = new_armature("Rig"), new_armature("Other"), bpy.data.objects.new("Ball", None)
    scene.collection.objects.link(ball)
    own = animate(other)
    spare = bpy.data.actions.new("Spare")
    bpy.ops.object.select_all(action="DESELECT")
    ball.select_set(True)
    bpy.context.view_layer.objects.active = other
    bpy.ops.object.mode_set(mode="POSE")
    scene.frame_set(37, subframe=0.5)
    rest = [np.array(bone.matrix_local) for bone in armature.data.bones]
    world = np.array(armature.matrix_world)
    apply_motion(bpy.context, armature, dance)
    assert (scene.frame_current, scene.frame_subframe) == (37, 0.5)
    assert bpy.context.mode == "POSE"
    assert bpy.context.view_layer.objects.active == other
    assert [ob.name for ob in bpy.context.view_layer.objects if ob.select_get()] == ["Ball"]
    assert other.animation_data.action == own
    assert spare.name == "Spare"
    assert not spare.use_fake_user
    assert all((np.array(b.matrix_local) == r).all() for b, r in zip(armature.data.bones, rest, strict=True))
    assert (np.array(armature.matrix_world) == world).all()
    assert np.array(armature.pose.bones["head"].rotation_quaternion) != pytest.approx([1, 0, 0, 0], abs=1e-3)


def test_an_armature_in_edit_mode_says_what_to_do(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    armature = new_armature("Rig")
    twin = bpy.data.objects.new("Twin", armature.data)
    scene.collection.objects.link(twin)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for ob in (armature, twin):
        before = state(scene, ob)
        with pytest.raises(RigError, match="Edit Mode"):
            apply_motion(bpy.context, ob, dance)
        assert state(scene, ob) == before
    bpy.ops.object.mode_set(mode="OBJECT")


def test_two_armatures_of_one_skeleton_dance_apart(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    armature = new_armature("Rig")
    twin = bpy.data.objects.new("Twin", armature.data)
    scene.collection.objects.link(twin)
    twin.location = (3.0, 0.0, 0.0)
    apply_motion(bpy.context, armature, dance)
    still = place_of(twin, "head")
    scene.frame_set(50)
    assert place_of(twin, "head") == pytest.approx(still)
    apply_motion(bpy.context, twin, dance.mirror())
    assert armature.animation_data.action != twin.animation_data.action
    assert np.abs(place_of(twin, "head") - place_of(armature, "head")).max() > 0.1


@pytest.mark.parametrize("hide", ["hidden", "disabled", "excluded"])
def test_an_armature_out_of_sight_dances_all_the_same(
    scene: Any, dance: Motion, new_armature: MakeArmature, hide: str
) -> None:
    """... on the floor where it stands, which Blender does not keep up to date."""
    there = {}
    for name in ("Seen", "Unseen"):
        parent = bpy.data.objects.new(f"{name} Parent", None)
        parent.location, parent.rotation_euler = (5.0, 0.0, 1.0), (0.3, 0.0, 0.5)
        armature = new_armature(name)
        armature.parent, armature.location, armature.scale = parent, (0.0, 2.0, 0.5), (2.0, 2.0, 2.0)
        collection = bpy.data.collections.new(name)
        scene.collection.children.link(collection)
        for ob in (parent, armature):
            collection.objects.link(ob)
        scene.collection.objects.unlink(armature)
        if name == "Unseen" and hide == "hidden":
            armature.hide_set(True)
        elif name == "Unseen" and hide == "disabled":
            armature.hide_viewport = True
        elif name == "Unseen":
            bpy.context.view_layer.layer_collection.children[name].exclude = True
        apply_motion(bpy.context, armature, dance, options=Options(start=(1.0, -2.0), heading=0.7))
        armature.hide_set(False) if hide == "hidden" else None
        armature.hide_viewport = False
        bpy.context.view_layer.layer_collection.children[name].exclude = False
        scene.frame_set(30)
        there[name] = place_of(armature, "left_hand")
    assert there["Unseen"] == pytest.approx(there["Seen"], abs=1e-5)


def test_a_dancer_rides_on_an_animated_parent(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    armature, cart = new_armature("Rig"), bpy.data.objects.new("Cart", None)
    scene.collection.objects.link(cart)
    armature.parent = cart
    action = animate(cart, 1, 101)  # a metre a frame, from x = 1 on, slow at both ends
    scene.frame_set(1)
    apply_motion(bpy.context, armature, dance, options=Options(feet="never"))
    assert cart.animation_data.action == action
    for frame in (1, 50, 90):
        scene.frame_set(frame)
        ridden = place_of(armature, "pelvis")[:3, 3] - np.array(cart.matrix_world.translation)
        assert ridden == pytest.approx(dance.resample(scene_fps(scene)).root[frame - 1], abs=5e-3)


def test_several_armatures_dance_each_in_their_own_way(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    crowd = [new_armature(f"Rig {k}") for k in range(3)]
    modes = ("XYZ", "AXIS_ANGLE", "QUATERNION")
    for armature, mode in zip(crowd, modes, strict=True):
        for bone in armature.pose.bones:
            bone.rotation_mode = mode
    for k, armature in enumerate(crowd):
        apply_motion(bpy.context, armature, dance, start_frame=1 + 10 * k)
    for frame in (40, 80):
        seen = []
        for k, armature in enumerate(crowd):
            scene.frame_set(frame + 10 * k)
            seen.append(place_of(armature, "right_elbow"))
        assert seen[1] == pytest.approx(seen[0], abs=1e-5)
        assert seen[2] == pytest.approx(seen[0], abs=1e-5)
    assert [armature.pose.bones["head"].rotation_mode for armature in crowd] == list(modes)
    assert scene.frame_end == 140


@pytest.mark.parametrize("fully", [True, False])
def test_an_overridden_character_dances_also_after_the_file_is_opened_again(
    scene: Any, dance: Motion, tmp_path: Path, fully: bool
) -> None:
    hero = make_character(bpy.context)
    library = bpy.data.collections.new("Hero")
    for ob in (hero, *hero.children_recursive):
        library.objects.link(ob)
    bpy.data.libraries.write(str(tmp_path / "hero.blend"), {library})
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "hero.blend"), link=True) as (_, wanted):
        wanted.collections = ["Hero"]
    context = bpy.context
    linked = wanted.collections[0]
    made = linked.override_hierarchy_create(context.scene, context.view_layer, do_fully_editable=fully)
    armature = next(ob for ob in made.all_objects if ob.type == "ARMATURE")
    apply_motion(context, armature, dance, options=Options(into="nla"))
    assert apply_motion(context, armature, dance).warnings == ()
    context.scene.frame_set(60)
    danced = place_of(armature, "left_hand")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    armature = next(ob for ob in bpy.context.scene.objects if ob.type == "ARMATURE")
    bpy.context.scene.frame_set(60)
    assert place_of(armature, "left_hand") == pytest.approx(danced, abs=1e-6)
    assert len(armature.animation_data.nla_tracks) == 1
    bpy.ops.wm.read_homefile(use_empty=True)


# --- where keys go ---------------------------------------------------------------------------------------


def test_reduced_keys_stay_within_their_error_in_blender(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    armature = new_armature("Rig")
    armature.scale, armature.rotation_euler = (1.5, 1.5, 1.5), (0.0, 0.0, 1.0)
    for k, bone in enumerate(armature.pose.bones):
        bone.rotation_mode = ("QUATERNION", "XYZ", "AXIS_ANGLE", "YZX")[k % 4]
    whole = apply_motion(bpy.context, armature, dance)
    every = every_frame(scene, armature, whole.frames)
    result = apply_motion(bpy.context, armature, dance, options=Options(key_error=(0.5, 5.0)))
    few = every_frame(scene, armature, result.frames)
    moved = np.linalg.norm(few[..., 3] - every[..., 3], axis=-1).max()
    tails = (few[..., :3, 1] - every[..., :3, 1]) * 0.05 + few[..., 3] - every[..., 3]
    turned = np.linalg.norm((few - every)[..., :3, :3] / 1.5, axis=(-2, -1)) / np.sqrt(8.0)
    measured = (np.degrees(2 * np.arcsin(turned.max())), 1000 * max(moved, np.linalg.norm(tails, axis=-1).max()))
    assert result.key_error == pytest.approx(measured, rel=0.01)
    assert measured[0] <= 0.5
    assert measured[1] <= 5.0
    assert result.keys < whole.keys / 8


def every_frame(scene: Any, armature: Any, frames: tuple[int, int]) -> np.ndarray:
    """(T, J, 3, 4) the bones' world matrices."""
    seen = []
    for frame in range(frames[0], frames[1] + 1):
        scene.frame_set(frame)
        seen.append([np.array(armature.matrix_world @ bone.matrix)[:3] for bone in armature.pose.bones])
    return np.array(seen)


@pytest.mark.parametrize("error", [(0.0, 5.0), (1.0, float("nan"))])
def test_no_error_at_all_is_no_reduction(
    scene: Any, dance: Motion, new_armature: MakeArmature, error: tuple[float, float]
) -> None:
    armature = new_armature("Rig")
    before = state(scene, armature)
    with pytest.raises(StepsmithError, match="above 0"):
        apply_motion(bpy.context, armature, dance, options=Options(key_error=error))
    assert state(scene, armature) == before


@needs_sound
def test_a_strip_beside_an_earlier_one_leaves_its_song(
    scene: Any, dance: Motion, new_armature: MakeArmature, noise: tuple[Path, Any]
) -> None:
    armature = new_armature("Rig")
    nla = Options(into="nla")
    apply_motion(bpy.context, armature, dance.slice(0, 60), song=noise[0], options=nla)
    apply_motion(bpy.context, armature, dance.slice(0, 60), song=noise[0], start_frame=101, options=nla)
    assert len(strips(scene)) == 2
    assert [frame for _, frame in markers(scene)] == [1, 16, 31, 46, 101, 116, 131, 146]
    assert len(armature.animation_data.nla_tracks) == 2
    # ... but one over the other takes its place.
    apply_motion(bpy.context, armature, dance.slice(0, 60), song=noise[0], start_frame=31, options=nla)
    assert [frame for _, frame in markers(scene)] == [1, 16, 31, 46, 61, 76, 101, 116, 131, 146]
    assert len(strips(scene)) == 2


def test_a_dance_blended_in_begins_where_the_dancer_stands(
    scene: Any, dance: Motion, new_armature: MakeArmature
) -> None:
    armature = new_armature("Rig")
    apply_motion(bpy.context, armature, dance, options=Options(start=(4.0, -1.0), heading=2.0, feet="never"))
    scene.frame_set(40)
    before = place_of(armature, "pelvis")
    result = apply_motion(bpy.context, armature, dance, start_frame=40, options=Options(into="blend", feet="never"))
    assert result.frames == (40, 159)
    scene.frame_set(40)
    assert place_of(armature, "pelvis")[:2, 3] == pytest.approx(before[:2, 3], abs=0.02)
    steps = []
    for frame in range(36, 56):
        scene.frame_set(frame)
        steps.append(place_of(armature, "pelvis")[:2, 3])
    assert np.linalg.norm(np.diff(steps, axis=0), axis=-1).max() < 0.03
    elsewhere = Options(into="blend", start=(9.0, 9.0), feet="never")
    apply_motion(bpy.context, armature, dance, start_frame=40, options=elsewhere)
    scene.frame_set(60)
    assert np.linalg.norm(place_of(armature, "pelvis")[:2, 3] - [9.0, 9.0]) < 1.5


def test_a_dance_with_fewer_keys_is_blended_in_as_well(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    armature = new_armature("Rig")
    original = apply_motion(bpy.context, armature, dance, options=Options(start=(1.0, 0.0), heading=-1.0)).action
    frames, seen = (1, 130), []
    for key_error in (None, (0.5, 5.0)):
        armature.animation_data.action = original
        if hasattr(original, "slots"):
            armature.animation_data.action_slot = original.slots[0]
        options = Options(into="blend", key_error=key_error, blend_frames=15)
        result = apply_motion(bpy.context, armature, dance.slice(0, 60).mirror(), start_frame=31, options=options)
        seen.append(every_frame(scene, armature, frames))
    every, few = seen
    outside = np.r_[0:30, 90:130]
    assert few[outside] == pytest.approx(every[outside], abs=1e-6)
    assert 1000 * np.linalg.norm(few[..., 3] - every[..., 3], axis=-1).max() <= 5.0
    assert result.key_error is not None
    assert result.key_error[1] <= 5.0
    assert result.keys < 60 * 99 / 3


def test_a_slot_of_a_first_action_is_a_dance_like_any(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    """... so that the next dance may take over the scene's rate and range."""
    if bpy.app.version < (4, 4):
        pytest.skip("actions have slots from 4.4 on")
    armature = new_armature("Rig")
    apply_motion(bpy.context, armature, dance, options=Options(into="slot"))
    apply_motion(bpy.context, armature, replace(dance.slice(0, 30), fps=25.0))
    assert (scene.render.fps, scene.frame_end) == (25, 30)


def test_keys_go_nowhere_else(scene: Any, dance: Motion, new_armature: MakeArmature) -> None:
    with pytest.raises(ValueError, match="sky"):
        apply_motion(bpy.context, new_armature("Rig"), dance, options=Options(into="sky"))  # type: ignore[arg-type]


@pytest.mark.parametrize("into", ["action", "slot", "nla", "blend"])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_shortest_motions_go_everywhere(
    scene: Any, dance: Motion, new_armature: MakeArmature, into: Any, frames: int
) -> None:
    if into == "slot" and bpy.app.version < (4, 4):
        pytest.skip("actions have slots from 4.4 on")
    armature = new_armature("Rig")
    apply_motion(bpy.context, armature, dance)
    for key_error in (None, (0.5, 5.0)):
        options = Options(into=into, key_error=key_error, feet="never", start=(2.0, 1.0), heading=0.0)
        result = apply_motion(bpy.context, armature, dance.slice(5, 5 + frames), start_frame=20, options=options)
        assert result.frames == (20, 19 + frames)
        if into == "nla":
            armature.animation_data.action = None
        scene.frame_set(20 + frames // 2)  # blended in altogether
        assert place_of(armature, "pelvis")[:2, 3] == pytest.approx([2.0, 1.0], abs=0.1)
