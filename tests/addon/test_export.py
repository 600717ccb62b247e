"""The exporter, as the command line runs it: in a process of its own."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from stepsmith.addon import export as exporter
from stepsmith.addon.rig_files import enable, open_rig
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import RigError, StepsmithError
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL

SONG_START = 1.5172
FRAMES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a motion of 0.4 s, a song of noise, and a .blend with an armature beside another."""
    folder = tmp_path_factory.mktemp("export")
    swing = np.sin(np.linspace(0, 3, FRAMES))[:, None, None] * np.random.default_rng(3).normal(scale=0.3, size=(24, 3))
    root = np.tile([0.0, 0.0, SMPL.rest_root_height], (FRAMES, 1))
    beats = np.arange(0.0, 0.4, 0.1)
    save_motion(
        folder / "motion.npz",
        Motion(30.0, root, rot.from_axis_angle(swing), np.ones((FRAMES, 4)), beats=beats, downbeats=beats[:1]),
    )
    with wave.open(str(folder / "song.wav"), "wb") as file:
        file.setparams((1, 2, 44100, 0, "NONE", "not compressed"))
        samples = np.random.default_rng(0).normal(scale=0.1, size=44100 * 4)
        file.writeframes((samples * 30000).astype("<i2").tobytes())
    return folder


@pytest.fixture(scope="module")
def rig_file(folder: Path, new_armature: Callable[[str], Any]) -> Path:
    """A user's .blend: an armature "Body", one of a lamp, a cube, a camera, 24 frames a second."""
    bpy.ops.wm.read_homefile(use_empty=True)
    new_armature("Body")
    lamp = new_armature("Lamp arm")
    bpy.ops.object.mode_set(mode="EDIT")
    for bone in [b for b in lamp.data.edit_bones if b.name not in ("pelvis", "spine1")]:
        lamp.data.edit_bones.remove(bone)
    bpy.ops.object.mode_set(mode="OBJECT")
    scene = bpy.context.scene
    for name, data in (("Cube", bpy.data.meshes.new("Cube")), ("Camera", bpy.data.cameras.new("Camera"))):
        scene.collection.objects.link(bpy.data.objects.new(name, data))
    cube = scene.objects["Cube"]
    cube.keyframe_insert("location", frame=1)
    scene.render.fps, scene.render.resolution_x = 24, 1234
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "rig.blend"), check_existing=False)
    return folder / "rig.blend"


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "stepsmith.addon.export", *map(str, arguments)]


def lines(text: str) -> list[dict[str, Any]]:
    """What the exporter said. Blender itself may say a line while it starts, before anybody can stop it."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300)


def glb_json(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    magic, _, length, size, kind = struct.unpack("<4sIII4s", data[:20])
    assert (magic, length, kind) == (b"glTF", len(data), b"JSON")
    return json.loads(data[20 : 20 + size])


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.fixture(scope="module")
def exported(folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    """The character as .blend, .glb and .fbx, and what the exporter said."""
    outs = [folder / f"dance{ending}" for ending in (".blend", ".glb", ".fbx")]
    arguments = [argument for out in outs for argument in ("--out", out)]
    song = ("--song", folder / "song.wav", "--song-start", SONG_START)
    done = run("--motion", folder / "motion.npz", *song, *arguments)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder, lines(done.stdout)


def test_progress_is_json_and_goes_up_to_one(exported: tuple[Path, list[dict[str, Any]]]) -> None:
    _, (*said, last) = exported
    assert [*last] == ["warnings"]
    assert len(last["warnings"]) == (0 if bpy.app.build_options.audaspace else 1)  # of the song's missing strip
    fractions = [line["fraction"] for line in said]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert all(line["text"] for line in said)
    assert not hidden(exported[0])


def test_a_blend_holds_the_whole_scene(exported: tuple[Path, Any]) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(exported[0] / "dance.blend"))
    scene = bpy.context.scene
    dancer = next(ob for ob in scene.objects if ob.type == "ARMATURE")
    assert dancer.animation_data.action.name.startswith("Dancer")
    assert dancer.children[0].type == "MESH"
    assert scene.camera is not None
    assert {ob.type for ob in scene.objects} == {"ARMATURE", "MESH", "CAMERA", "LIGHT"}
    assert (scene.frame_start, scene.frame_end, scene.render.fps) == (1, FRAMES, 30)
    assert [marker.name for marker in scene.timeline_markers] == ["bar 1", "beat", "beat", "beat"]
    if bpy.app.build_options.audaspace:
        assert [sound.packed_file is not None for sound in bpy.data.sounds] == [True]


def test_a_glb_holds_the_character_and_its_dance(exported: tuple[Path, Any]) -> None:
    data = glb_json(exported[0] / "dance.glb")
    names = [node["name"] for node in data["nodes"]]
    assert set(SMPL.names) <= set(names)
    assert "Backdrop" not in names
    assert not data.get("cameras")
    assert len(data["skins"]) == 1
    assert len(data["animations"]) == 1
    times = [data["accessors"][s["input"]]["max"][0] for s in data["animations"][0]["samplers"]]
    assert max(times) == pytest.approx(FRAMES / 30, abs=0.05)


def test_an_fbx_can_be_read_back(exported: tuple[Path, Any]) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    enable("io_scene_fbx")
    bpy.ops.import_scene.fbx(filepath=str(exported[0] / "dance.fbx"))
    armatures = [ob for ob in bpy.context.scene.objects if ob.type == "ARMATURE"]
    assert len(armatures) == 1
    assert set(SMPL.names) <= {bone.name for bone in armatures[0].data.bones}
    assert armatures[0].animation_data.action is not None
    assert not [ob for ob in bpy.context.scene.objects if ob.type in {"CAMERA", "LIGHT"}]


def test_a_users_rig_dances_in_its_own_file(folder: Path, rig_file: Path) -> None:
    before = rig_file.read_bytes()
    done = run("--motion", folder / "motion.npz", "--rig", f"{rig_file}:Body", "--out", folder / "danced.blend")
    assert done.returncode == 0, done.stderr
    assert rig_file.read_bytes() == before
    bpy.ops.wm.open_mainfile(filepath=str(folder / "danced.blend"))
    scene = bpy.context.scene
    assert {ob.name for ob in scene.objects} == {"Body", "Lamp arm", "Cube", "Camera"}
    assert scene.objects["Body"].animation_data.action is not None
    assert scene.objects["Lamp arm"].animation_data is None
    assert scene.objects["Cube"].animation_data.action is not None
    assert (scene.render.fps, scene.render.resolution_x) == (24, 1234)


def test_the_only_armature_that_can_dance_is_found(rig_file: Path) -> None:
    assert open_rig(rig_file, None).name == "Body"


@pytest.mark.parametrize("name", ["Body", None])
def test_the_armature_may_be_in_another_scene_than_the_open_one(
    rig_file: Path, tmp_path: Path, name: str | None
) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(rig_file))
    bpy.context.window.scene = bpy.data.scenes.new("Credits")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shots.blend"))
    assert open_rig(tmp_path / "shots.blend", name).name == "Body"
    assert bpy.context.scene.name == "Scene"
    with pytest.raises(RigError, match="its armatures are Body, Lamp arm"):
        open_rig(tmp_path / "shots.blend", "Nobody")


@pytest.mark.parametrize("name", ["Body", None])
def test_an_armature_in_a_linked_collection_says_what_to_do(rig_file: Path, tmp_path: Path, name: str | None) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(rig_file), link=True) as (there, wanted):
        wanted.objects = [ob for ob in there.objects if ob == "Body"]
    collection = bpy.data.collections.new("Cast")  # shown by an instance alone, as linked collections are
    collection.objects.link(wanted.objects[0])
    cast = bpy.data.objects.new("Cast", None)
    cast.instance_type, cast.instance_collection = "COLLECTION", collection
    bpy.context.scene.collection.objects.link(cast)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    with pytest.raises(RigError, match=r"Body.* linked from another file; make a library override"):
        open_rig(tmp_path / "shot.blend", name)


def test_a_rig_alone_is_only_looked_at(rig_file: Path) -> None:
    good = run("--rig", rig_file)
    assert (good.returncode, lines(good.stdout)) == (0, [])
    bad = run("--rig", f"{rig_file}:Cube")
    assert bad.returncode == 1
    assert "armature" in lines(bad.stdout)[-1]["error"]


@pytest.mark.parametrize(
    ("name", "words"), [("Nobody", "Body, Lamp arm"), ("Cube", "no armature"), ("Lamp arm", "Lamp arm|bone|body|limb")]
)
def test_a_rig_that_can_not_dance_is_an_error(rig_file: Path, name: str, words: str) -> None:
    with pytest.raises(RigError, match=words):
        open_rig(rig_file, name)


def test_a_file_that_is_no_blend_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.blend").write_text("no blend")
    with pytest.raises(StepsmithError, match=r"\.blend"):
        open_rig(tmp_path / "text.blend", None)
    with pytest.raises(StepsmithError, match="check the path"):
        open_rig(tmp_path / "missing.blend", None)


@pytest.mark.parametrize(
    ("given", "file", "name"),
    [
        ("a.blend", "a.blend", None),
        ("a.blend:Body", "a.blend", "Body"),
        ("a.blend:Body:left", "a.blend", "Body:left"),
        ("c:d/e.blend", "c:d/e.blend", None),
        ("a.blend:b.blend:Body", "a.blend:b.blend", "Body"),
    ],
)
def test_rigs_are_named_by_file_and_object(given: str, file: str, name: str | None) -> None:
    assert exporter._rig(given) == (Path(file).absolute(), name)


@pytest.mark.parametrize("out", ["dance.avi", "no/such/folder/dance.blend"])
def test_outputs_that_can_not_be_written_are_said_first(tmp_path: Path, out: str) -> None:
    with pytest.raises(StepsmithError):
        exporter.check_outs([tmp_path / out])


def test_a_failure_is_one_line_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "motion.npz").write_bytes(b"PK")
    done = run("--motion", tmp_path / "motion.npz", "--out", tmp_path / "dance.blend")
    assert done.returncode == 1
    assert set(lines(done.stdout)[-1]) == {"error"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["motion.npz"]


def test_an_earlier_file_survives_a_failure(tmp_path: Path) -> None:
    (tmp_path / "dance.glb").write_text("earlier")

    def fail() -> None:
        with exporter.unfinished(tmp_path / "dance.glb") as path:
            path.write_text("half")
            raise RuntimeError("Error: disk full")

    with pytest.raises(StepsmithError, match="disk full"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["dance.glb"]
    assert (tmp_path / "dance.glb").read_text() == "earlier"


def test_settings_are_put_back() -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    scene.render.image_settings.file_format = "JPEG"
    owners = (scene.render, scene.render.image_settings, scene.display, scene.display.shading, scene.view_settings)
    before = [described(owner) for owner in owners]
    for use in (exporter._use_workbench, exporter._use_cycles):
        with exporter._settings() as put:
            use(scene, put)
            exporter._use_mp4(scene, put)
            assert scene.render.image_settings.file_format == "FFMPEG"
        assert [described(owner) for owner in owners] == before


def described(owner: Any) -> dict[str, str]:
    simple = [p for p in owner.bl_rna.properties if p.type in {"BOOLEAN", "INT", "FLOAT", "STRING", "ENUM"}]
    return {p.identifier: str(np.array(getattr(owner, p.identifier))) for p in simple}


# --- video -----------------------------------------------------------------------------------------------


def check_video(path: Path, size: tuple[int, int]) -> None:
    """The picture's size and length, and that the sound is the song's excerpt, in sync."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.width, video.height) == ("h264", *size)
        assert float(video.average_rate) == pytest.approx(30.0)
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video)]
    assert len(pictures) == FRAMES
    assert pictures[0].std() > 5  # something is in the picture ...
    assert np.abs(pictures[0].astype(int) - pictures[-1]).max() > 60  # ... and moves
    if not bpy.app.build_options.audaspace:
        return
    with av.open(str(path)) as container:
        sound = container.streams.audio[0]
        assert sound.codec_context.name == "aac"
        resampler = av.AudioResampler("flt", "mono", 44100)
        decoded = list(container.decode(sound))
        first = float(decoded[0].pts * decoded[0].time_base)
        heard = np.concatenate([f.to_ndarray()[0] for frame in decoded for f in resampler.resample(frame)])
    assert len(heard) / 44100 == pytest.approx(FRAMES / 30, abs=0.08)
    with wave.open(str(path.parent / "song.wav")) as file:
        song = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 30000
    size_ = 1 << 19
    likeness = np.fft.irfft(np.fft.rfft(song, size_) * np.conj(np.fft.rfft(heard[: 44100 // 4], size_)))
    assert likeness.argmax() / 44100 - first == pytest.approx(SONG_START, abs=0.03)


@pytest.mark.slow
def test_an_mp4_shows_the_dance_with_its_sound(folder: Path) -> None:
    out = folder / "dance.mp4"
    song = ("--song", folder / "song.wav", "--song-start", SONG_START)
    done = run("--motion", folder / "motion.npz", *song, "--out", out)
    assert done.returncode == 0, done.stderr
    assert any("Rendering frame" in line["text"] for line in lines(done.stdout))
    check_video(out, exporter._VIDEO_SIZE if exporter.workbench_draws() else exporter._CYCLES_SIZE)


@pytest.mark.slow
def test_without_egl_cycles_draws(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "workbench_draws", lambda: False)
    said: list[str] = []
    wish = exporter.Wish(folder / "motion.npz", (folder / "cycles.mp4",), folder / "song.wav", SONG_START)
    exporter.export(wish, lambda fraction, text: said.append(text))
    assert any("Cycles" in text for text in said)
    assert not [light for light in bpy.data.lights if light.type == "SUN"]
    check_video(folder / "cycles.mp4", exporter._CYCLES_SIZE)


@pytest.mark.slow
def test_an_interrupted_render_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "dance.mp4"
    process = subprocess.Popen(
        command("--motion", folder / "motion.npz", "--out", out),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    next(line for line in process.stdout if "Rendering" in line)
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert time.monotonic() - started < 30
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_before_rendering_is_an_error_line(folder: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("--motion", folder / "motion.npz", "--out", tmp_path / "dance.blend"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    next(line for line in process.stdout if "Setting the scene" in line)
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(60) == 130
    assert "Cancelled" in lines(rest)[-1]["error"]
    assert list(tmp_path.iterdir()) == []


def test_wishes_that_make_no_sense_are_usage_errors(folder: Path) -> None:
    wrong: Sequence[Sequence[object]] = (
        (),
        ("--motion", folder / "motion.npz"),
        ("--out", folder / "dance.blend"),
    )
    for arguments in wrong:
        with pytest.raises(SystemExit):
            exporter._parse([str(argument) for argument in arguments])
