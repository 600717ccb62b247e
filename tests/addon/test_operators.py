"""What the panel's buttons do, in Blender itself, against a backend of its own process."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import pytest
from stepsmith.retarget.files import load_motion, save_motion
from stepsmith.retarget.motion import Motion

NewArmature = Callable[[str], bpy.types.Object]
FAKE = Path(__file__).with_name("fake_backend.py")


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory, still: Callable[..., Motion], write_song: Callable[[Path], None]
) -> Path:
    """A folder with a song and a motion of 3 s."""
    folder = tmp_path_factory.mktemp("files")
    write_song(folder / "song.wav")
    motion = still(frames=90)
    for name in ("motion.npz", "motion.bvh", "motion.pkl"):
        save_motion(folder / name, motion)
    return folder


@pytest.fixture
def session(installed: str, files: Path, tmp_path: Path, new_armature: NewArmature) -> Iterator[Any]:
    """The add-on's session in an empty scene with a song chosen, its files in a fresh folder."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    module = importlib.import_module(f"{installed}.addon.session")
    module.register()
    preferences(installed).folder = str(tmp_path)
    use_backend(installed, files)
    settings().song = str(files / "song.wav")
    settings().target = new_armature("Target")
    yield module
    module.unregister()
    module.register()


def preferences(name: str) -> Any:
    return bpy.context.preferences.addons[name].preferences


def settings() -> Any:
    return bpy.context.scene.stepsmith_settings


def use_backend(installed: str, files: Path, *options: str) -> None:
    words = [sys.executable, str(FAKE), "--motion", str(files / "motion.npz"), *(options or ("--seconds", "0.2"))]
    chosen = preferences(installed)
    chosen.place, chosen.command = "HERE", shlex.join(words)


def tick_until(session: ModuleType, reached: Callable[[], Any], seconds: float = 20.0) -> None:
    """Do what Blender's timers do in a window, which don't run here, until something is so."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, (session.current.status, session.current.error, session.current.note)
        session.current.tick()
        time.sleep(0.02)


def generate(session: ModuleType) -> None:
    assert bpy.ops.stepsmith.generate() == {"FINISHED"}
    tick_until(session, lambda: session.current.task is None)


def armatures() -> list[bpy.types.Object]:
    return [ob for ob in bpy.context.scene.objects if ob.type == "ARMATURE"]


def test_generate_makes_a_dancing_character(session: ModuleType) -> None:
    bpy.data.objects.remove(settings().target)
    generate(session)
    assert session.current.error == ""
    (dancer,) = armatures()
    assert dancer.animation_data.action is not None
    assert settings().target == dancer
    assert len(bpy.context.scene.timeline_markers) == 6
    assert bpy.context.scene.frame_end - bpy.context.scene.frame_start == 89
    generate(session)
    assert len(armatures()) == 1, "the character stays chosen"


def test_nothing_is_applied_while_the_body_is_made(session: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    bpy.data.objects.remove(settings().target)
    held = threading.Event()
    monkeypatch.setattr(session, "build_body", lambda: held.wait(20.0))
    assert bpy.ops.stepsmith.generate() == {"FINISHED"}
    tick_until(session, lambda: session.current.status.over)
    for _ in range(5):
        session.current.tick()
    assert not armatures()
    held.set()
    tick_until(session, lambda: session.current.task is None)
    assert len(armatures()) == 1


def test_the_ranking_of_several_dances_is_told(session: ModuleType, installed: str, files: Path) -> None:
    ranked = load_motion(files / "motion.npz").with_meta(seed=4, ranked=[4, 3, 5])
    save_motion(files / "ranked.npz", ranked)
    use_backend(installed, files, "--motion", str(files / "ranked.npz"), "--seconds", "0.2")
    generate(session)
    assert "Seed 4 is the best of 3, then 3, 5." in session.current.note


def test_what_is_heard_and_danced_is_told(session: ModuleType, installed: str, files: Path) -> None:
    songs, changes = [[0.0, 124.2, 4], [23.04, 87.0, 3]], [[23.04, "waltz"]]
    facts = {"tempo": 124.2, "meter": 4, "songs": songs, "genre": "tango", "genre_changes": changes}
    save_motion(files / "mix.npz", load_motion(files / "motion.npz").with_meta(**facts))
    use_backend(installed, files, "--motion", str(files / "mix.npz"), "--seconds", "0.2")
    generate(session)
    assert "Heard 124 beats a minute in bars of 4, from 23.0 s on 87 in bars of 3." in session.current.note
    assert "Danced tango, from 23.0 s on waltz." in session.current.note


@pytest.mark.parametrize(("field", "value"), [("duration", 0.5), ("bpm", 5.0), ("meter", 1)])
def test_what_no_dance_can_be_starts_no_backend(session: ModuleType, field: str, value: float) -> None:
    setattr(settings(), field, value)
    with pytest.raises(RuntimeError, match="between"):
        bpy.ops.stepsmith.generate()
    assert "between" in session.current.error
    assert session.current.task is None


def test_generate_uses_the_chosen_armature(session: ModuleType, new_armature: NewArmature) -> None:
    chosen, other = settings().target, new_armature("Target")
    generate(session)
    assert chosen.animation_data.action is not None
    assert other.animation_data is None


def test_all_wishes_reach_the_backend(session: ModuleType, installed: str, files: Path, tmp_path: Path) -> None:
    memory = tmp_path / "memory.json"
    use_backend(installed, files, "--seconds", "0", "--memory", str(memory))
    settings().genre, settings().seed, settings().start = "waltz", 7, 1.5
    settings().duration, settings().bpm, settings().meter = 2.5, 90.0, 3
    generate(session)
    wishes = json.loads(memory.read_text())["jobs"]["job0"]["wishes"]
    del wishes["song"]
    chosen = {"genre": "waltz", "seed": 7, "start": 1.5, "duration": 2.5, "bpm": 90.0, "meter": 3}
    assert wishes == {"kind": "dance", **chosen}


def test_a_target_deleted_meanwhile_loses_nothing(session: ModuleType, new_armature: NewArmature) -> None:
    assert bpy.ops.stepsmith.generate() == {"FINISHED"}
    bpy.data.objects.remove(settings().target)
    tick_until(session, lambda: session.current.task is None)
    assert re.search("Target was deleted.*Apply Last Dance", session.current.error)
    settings().target = new_armature("Target")
    assert bpy.ops.stepsmith.apply_dance() == {"FINISHED"}
    assert armatures()[0].animation_data.action is not None
    assert session.current.error == ""


def test_a_target_out_of_the_scene_is_refused_before_the_work(session: ModuleType) -> None:
    bpy.context.scene.collection.objects.unlink(settings().target)
    with pytest.raises(RuntimeError, match="not in this scene any more"):
        bpy.ops.stepsmith.generate()
    assert session.current.task is None


def test_an_armature_without_limbs_is_refused_before_the_work(session: ModuleType) -> None:
    target = bpy.data.objects.new("Stick", bpy.data.armatures.new("Stick"))
    bpy.context.scene.collection.objects.link(target)
    settings().target = target
    with pytest.raises(RuntimeError):
        bpy.ops.stepsmith.generate()
    assert session.current.error
    assert session.current.task is None


def test_another_file_opened_meanwhile_loses_nothing(session: ModuleType, new_armature: NewArmature) -> None:
    assert bpy.ops.stepsmith.generate() == {"FINISHED"}
    bpy.ops.wm.read_homefile(use_empty=True)
    tick_until(session, lambda: session.current.task is None)
    assert "Apply Last Dance" in session.current.error
    settings().target = new_armature("Target")
    assert bpy.ops.stepsmith.apply_dance() == {"FINISHED"}
    assert settings().target.animation_data.action is not None


def test_a_dance_waits_for_its_scene(session: ModuleType) -> None:
    window = bpy.context.window_manager.windows[0]
    own = window.scene
    assert bpy.ops.stepsmith.generate() == {"FINISHED"}
    window.scene = bpy.data.scenes.new("Other")
    tick_until(session, lambda: session.current.note)
    assert f"show its scene {own.name} again" in session.current.note
    window.scene = own
    tick_until(session, lambda: session.current.task is None)
    assert own.objects["Target"].animation_data.action is not None
    assert len(bpy.data.scenes["Other"].timeline_markers) == 0


def test_a_full_disk_does_not_lose_the_dance(session: ModuleType, installed: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    preferences(installed).folder = str(tmp_path / "file" / "no folder")
    generate(session)
    assert settings().target.animation_data.action is not None


def test_the_last_dance_outlives_blender(session: ModuleType, files: Path, new_armature: NewArmature) -> None:
    generate(session)
    session.unregister()
    session.register()
    bpy.ops.wm.read_homefile(use_empty=True)
    settings().target = new_armature("Target")
    assert bpy.ops.stepsmith.apply_dance() == {"FINISHED"}
    assert session.current.last.song == files / "song.wav"
    assert armatures()[0].animation_data.action is not None


def test_a_dance_waits_for_object_mode(session: ModuleType) -> None:
    mesh = bpy.data.objects.new("Mesh", bpy.data.meshes.new("Mesh"))
    bpy.context.scene.collection.objects.link(mesh)
    bpy.context.view_layer.objects.active = mesh
    bpy.ops.object.mode_set(mode="EDIT")
    assert bpy.ops.stepsmith.generate() == {"FINISHED"}
    tick_until(session, lambda: session.current.note)
    assert "Object Mode" in session.current.note
    assert settings().target.animation_data is None
    assert not bpy.ops.stepsmith.apply_dance.poll()
    bpy.ops.object.mode_set(mode="OBJECT")
    tick_until(session, lambda: session.current.task is None)
    assert settings().target.animation_data.action is not None
    assert "Object Mode" not in session.current.note


def test_cancel_leaves_the_scene_alone(session: ModuleType, installed: str, files: Path) -> None:
    use_backend(installed, files, "--seconds", "60")
    assert bpy.ops.stepsmith.generate() == {"FINISHED"}
    tick_until(session, lambda: session.current.status.text == "Dancing")
    assert not bpy.ops.stepsmith.generate.poll()
    assert bpy.ops.stepsmith.cancel() == {"FINISHED"}
    tick_until(session, lambda: session.current.task is None)
    assert session.current.error == ""
    assert settings().target.animation_data is None


def test_a_failed_job_is_shown_in_its_own_words(session: ModuleType, installed: str, files: Path) -> None:
    use_backend(installed, files, "--seconds", "0", "--fail", "The song is silent: choose another one.")
    generate(session)
    assert session.current.error == "The song is silent: choose another one."
    assert bpy.ops.stepsmith.dismiss() == {"FINISHED"}
    assert session.current.error == ""


def test_a_missing_backend_says_what_to_install(session: ModuleType, installed: str) -> None:
    preferences(installed).command = "no-such-stepsmith"
    generate(session)
    assert "pip install" in session.current.error


def test_a_missing_song_is_said_at_once(session: ModuleType) -> None:
    settings().song = ""
    assert not bpy.ops.stepsmith.generate.poll()
    settings().song = "//gone.wav"
    with pytest.raises(RuntimeError, match=r"gone\.wav is not there"):
        bpy.ops.stepsmith.generate()


def test_a_song_gone_before_the_end_costs_the_sound_alone(session: ModuleType, files: Path, tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes((files / "song.wav").read_bytes())
    settings().song = str(song)
    assert bpy.ops.stepsmith.generate() == {"FINISHED"}
    tick_until(session, lambda: session.current.status.text == "Dancing")
    song.unlink()
    tick_until(session, lambda: session.current.task is None)
    assert armatures()[0].animation_data.action is not None
    assert "no sound strip" in session.current.note


def test_no_connection_off_this_computer_without_permission(session: ModuleType, installed: str) -> None:
    assert not bpy.app.online_access
    chosen = preferences(installed)
    chosen.place, chosen.url = "URL", "http://192.0.2.1:7000"
    with pytest.raises(RuntimeError, match="Allow Online Access"):
        bpy.ops.stepsmith.generate()
    chosen.url = "http://127.0.0.1:1"
    generate(session)
    assert "doesn't answer" in session.current.error


def test_a_backend_elsewhere_is_opened_by_its_token(session: ModuleType, installed: str, files: Path) -> None:
    command = [sys.executable, str(FAKE), "--motion", str(files / "motion.npz"), "--seconds", "0", "serve"]
    environment = {**os.environ, "STEPSMITH_TOKEN": "a secret"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            chosen = preferences(installed)
            chosen.place, chosen.url = "URL", f"http://localhost:{json.loads(server.stdout.readline())['port']}"
            chosen.token = "another"
            generate(session)
            assert "token" in session.current.error
            chosen.token = "a secret"
            generate(session)
            assert session.current.error == ""
            assert settings().target.animation_data.action is not None
            assert "localhost" in session.current.backend.state
            session.unregister()
            assert server.poll() is None, "what was not started here is not ended here"
        finally:
            server.kill()


@pytest.mark.parametrize("name", ["motion.npz", "motion.pkl", "motion.bvh"])
def test_a_motion_file_needs_no_backend(session: ModuleType, installed: str, files: Path, name: str) -> None:
    preferences(installed).command = "no-such-stepsmith"
    assert bpy.ops.stepsmith.load_motion(filepath=str(files / name)) == {"FINISHED"}
    assert armatures()[0].animation_data.action is not None
    assert session.current.backend.pid is None


def test_a_broken_motion_file_changes_nothing(session: ModuleType, tmp_path: Path) -> None:
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 nothing of the kind")
    with pytest.raises(RuntimeError):
        bpy.ops.stepsmith.load_motion(filepath=str(broken))
    assert session.current.error
    assert settings().target.animation_data is None


@pytest.mark.parametrize(
    "meta",
    [
        {"first_frame": "x"},
        {"first_frame": [1]},
        {"first_frame": True},
        {"first_frame": 10**12},
        {"first_frame": 7.5},
        {"song": "/" + "a" * 300},
        {"song": "\0"},
        {"song": 5, "song_start": "x"},
        {"song_start": 10**400},
        {"song": "{folder}/song.wav", "song_start": 1e300},
    ],
)
def test_what_a_motion_file_says_counts_where_it_makes_sense(
    session: ModuleType, files: Path, tmp_path: Path, meta: dict[str, Any]
) -> None:
    said = {name: value.format(folder=files) if isinstance(value, str) else value for name, value in meta.items()}
    save_motion(tmp_path / "odd.npz", load_motion(files / "motion.npz").with_meta(**said))
    bpy.context.scene.frame_start = 5
    assert bpy.ops.stepsmith.load_motion(filepath=str(tmp_path / "odd.npz")) == {"FINISHED"}
    assert settings().target.animation_data.action.frame_range[0] == 5


def test_a_motion_file_may_name_the_frame_it_begins_on(session: ModuleType, files: Path, tmp_path: Path) -> None:
    save_motion(tmp_path / "late.npz", load_motion(files / "motion.npz").with_meta(first_frame=40))
    assert bpy.ops.stepsmith.load_motion(filepath=str(tmp_path / "late.npz")) == {"FINISHED"}
    assert settings().target.animation_data.action.frame_range[0] == 40


def test_a_song_that_cant_be_reached_is_missing(
    session: ModuleType, installed: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a folder that may not be read, which root, who runs tests, may."""
    tasks = importlib.import_module(f"{installed}.addon.dance_task")
    dance = tasks.Dance(load_motion(files / "motion.npz"), files / "song.wav", 0.0)
    assert dance.song_at_hand == files / "song.wav"

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "stat", refuse)
    assert dance.song_at_hand is None


def test_a_song_with_an_endless_name_is_said_to_be_missing(session: ModuleType) -> None:
    settings().song = "/" + "a" * 300
    with pytest.raises(RuntimeError, match="is not there"):
        bpy.ops.stepsmith.generate()


def test_a_dance_that_fails_leaves_nothing_of_its_new_character(
    session: ModuleType, installed: str, files: Path
) -> None:
    operators = importlib.import_module(f"{installed}.addon.operators")
    dance = importlib.import_module(f"{installed}.addon.dance_task").Dance(
        load_motion(files / "motion.npz"), files / "song.wav", float("nan")
    )
    target = settings().target
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    bpy.context.scene.collection.objects.link(lamp)
    target.select_set(True)
    lamp.select_set(True)
    bpy.context.view_layer.objects.active = target
    bpy.ops.object.mode_set(mode="POSE")
    before = everything()
    with pytest.raises(Exception, match="can't start nan s into the song"):
        operators.apply_dance(bpy.context, dance, None)
    assert everything() == before


def everything() -> dict[str, Any]:
    """What the file holds, and what is selected, active and in which mode."""
    data = {
        kind: sorted(part.name for part in getattr(bpy.data, kind))
        for kind in ("objects", "armatures", "meshes", "materials", "actions", "collections", "sounds", "images")
    }
    chosen = sorted(ob.name for ob in bpy.context.view_layer.objects.selected)
    active = bpy.context.view_layer.objects.active
    return {**data, "selected": chosen, "active": active.name, "mode": active.mode}


def test_the_genres_are_the_backends_own(session: ModuleType) -> None:
    items = bpy.context.scene.stepsmith_settings.bl_rna.properties["genre"]
    assert items.type == "ENUM"
    with pytest.raises(TypeError):
        settings().genre = "polka"
    settings().genre = "rumba"
    generate(session)
    settings().genre = "polka"
    assert settings().genre == "polka"


def test_rolling_the_seed_changes_it(session: ModuleType) -> None:
    seeds = set()
    for _ in range(5):
        assert bpy.ops.stepsmith.roll_seed() == {"FINISHED"}
        seeds.add(settings().seed)
    assert len(seeds) > 1


def test_switching_the_extension_off_ends_the_backend(session: ModuleType) -> None:
    generate(session)
    pid = session.current.backend.pid
    session.unregister()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_everything_has_a_tooltip(installed: str) -> None:
    registration = importlib.import_module(f"{installed}.addon.registration")
    for cls in registration._CLASSES:
        if issubclass(cls, bpy.types.Panel):
            continue
        rna = cls.bl_rna
        if issubclass(cls, bpy.types.Operator):
            rna = getattr(bpy.ops.stepsmith, cls.bl_idname.split(".")[1]).get_rna_type()
            assert rna.description, cls
        for name in cls.__annotations__:
            if not name.startswith("filter_") and name != "filepath":
                assert rna.properties[name].description, (cls, name)


# --- how motions become keys -----------------------------------------------------------------------------


def load(files: Path) -> Any:
    """The dancer, after the motion file was put on it."""
    assert bpy.ops.stepsmith.load_motion(filepath=str(files / "motion.npz")) == {"FINISHED"}
    return settings().target


def pelvis_of(armature: Any, frame: int) -> Any:
    bpy.context.scene.frame_set(frame)
    return armature.matrix_world @ armature.pose.bones["pelvis"].matrix


def test_the_dance_starts_at_the_cursor_with_the_chosen_heading(session: ModuleType, files: Path) -> None:
    bpy.context.scene.cursor.location = (3.0, -2.0, 1.0)
    plain = pelvis_of(load(files), 1)
    settings().at_cursor, settings().turned, settings().heading = True, True, 1.0
    placed = pelvis_of(load(files), 1)
    turned = placed.to_quaternion().rotation_difference(plain.to_quaternion())
    assert turned.angle == pytest.approx(1.0, abs=0.02)
    assert (placed.translation.x, placed.translation.y) == pytest.approx((3.0, -2.0), abs=0.1)
    assert placed.translation.z == pytest.approx(plain.translation.z, abs=0.01)  # on its own floor


def test_fewer_keys_are_kept_where_the_panel_says_so(session: ModuleType, files: Path) -> None:
    armature = load(files)
    assert len(first_curve(armature).keyframe_points) == 90
    settings().reduced = True
    assert len(first_curve(load(files)).keyframe_points) < 10


def first_curve(armature: Any) -> Any:
    action = armature.animation_data.action
    return (action if hasattr(action, "fcurves") else action.layers[0].strips[0].channelbags[0]).fcurves[0]


def test_beside_other_animation_the_dance_begins_at_the_current_frame(session: ModuleType, files: Path) -> None:
    armature = load(files)
    action = armature.animation_data.action
    bpy.context.scene.frame_set(41)
    settings().into = "nla"
    load(files)
    assert armature.animation_data.nla_tracks[0].strips[0].frame_start == 41
    assert "plays over" in session.current.note
    settings().into = "blend"
    load(files)
    assert armature.animation_data.action != action
    assert max(key.co.x for key in first_curve(armature).keyframe_points) == pytest.approx(131)  # and one to go on from


def test_a_new_character_dances_wherever_the_keys_should_go(session: ModuleType, files: Path) -> None:
    settings().into, settings().target = "blend", None
    assert load(files).animation_data.action is not None


def test_what_cant_be_blended_is_said_before_the_dance_is_made(session: ModuleType, files: Path) -> None:
    settings().into = "blend"
    with pytest.raises(RuntimeError, match="no action"):
        bpy.ops.stepsmith.generate()
    assert session.current.task is None
