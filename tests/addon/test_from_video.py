"""A dancer of a video onto the user's armature: from the panel and without a window, against a backend of its own."""

from __future__ import annotations

import importlib
import json
import math
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from stepsmith.addon.capture_task import Problem, begins, problems_of
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion

FAKE = Path(__file__).with_name("fake_backend.py")
TOKEN = "a token of the tests"
BEGINS = 0.5  # of the video's seconds, where the motion begins


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory, still: Callable[..., Motion], write_song: Callable[[Path], None]
) -> Path:
    """A folder with a video (of which Blender hears the sound alone) and what is captured of it."""
    folder = tmp_path_factory.mktemp("files")
    write_song(folder / "dancer.wav")
    problems = [
        {"kind": "nobody", "start": 1.0, "end": 2.5, "text": "Nobody is seen from 1.0 s to 2.5 s."},
        {"kind": "people", "start": 3.0, "end": 3.5, "text": "There are 2 people from 3.0 s to 3.5 s."},
    ]
    facts = {"video": "dancer.wav", "parts": [[BEGINS, 2.5]], "problems": problems}
    motion = still(frames=60).with_meta(**facts, song="dancer.wav", song_start=BEGINS)
    save_motion(folder / "captured.npz", motion)
    save_motion(folder / "silent.npz", replace(motion, meta=facts))
    return folder


@pytest.fixture
def session(installed: str, files: Path, tmp_path: Path, new_armature: Callable[[str], Any]) -> Iterator[Any]:
    """The add-on's session in an empty scene with a video and an armature chosen."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    module = importlib.import_module(f"{installed}.addon.session")
    module.register()
    bpy.context.preferences.addons[installed].preferences.folder = str(tmp_path)
    use_backend(installed, files)
    chosen().video = str(files / "dancer.wav")
    bpy.context.scene.stepsmith_settings.target = new_armature("Target")
    yield module
    module.unregister()
    module.register()


def chosen() -> Any:
    return bpy.context.scene.stepsmith_video


def command(files: Path, *options: str, motion: str = "captured.npz") -> str:
    words = [sys.executable, str(FAKE), "--motion", str(files / motion), *(options or ("--seconds", "0.2"))]
    return shlex.join(words)


def use_backend(installed: str, files: Path, *options: str, motion: str = "captured.npz") -> None:
    preferences = bpy.context.preferences.addons[installed].preferences
    preferences.place, preferences.command = "HERE", command(files, *options, motion=motion)


def tick_until(session: ModuleType, reached: Callable[[], Any], seconds: float = 20.0) -> None:
    """Do what Blender's timers do in a window, which don't run here, until something is so."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, (session.current.status, session.current.error, session.current.note)
        session.current.tick()
        time.sleep(0.02)


def capture(session: ModuleType) -> None:
    assert bpy.ops.stepsmith.capture_video() == {"FINISHED"}
    tick_until(session, lambda: session.current.task is None)


def asked(memory: Path) -> list[dict[str, Any]]:
    return [job["wishes"] for job in json.loads(memory.read_text())["jobs"].values()]


def strips() -> list[Any]:
    editor = bpy.context.scene.sequence_editor
    return [] if editor is None else list(editor.strips if hasattr(editor, "strips") else editor.sequences)


# --- the panel -------------------------------------------------------------------------------------------


def test_the_videos_dancer_is_put_on_the_chosen_armature(session: ModuleType, files: Path) -> None:
    target = bpy.context.scene.stepsmith_settings.target
    capture(session)
    assert session.current.error == ""
    assert target.animation_data.action is not None
    scene = bpy.context.scene
    assert (scene.frame_start, scene.frame_end) == (1, 60)
    assert len(scene.timeline_markers) == 4
    if bpy.app.version >= (4, 4):  # the module of 4.2 has no sound
        (strip,) = strips()
        assert Path(strip.sound.filepath) == files / "dancer.wav"
        # What is heard on the first frame is where the motion begins.
        offset = strip.left_handle_offset if hasattr(strip, "left_handle_offset") else strip.frame_offset_start
        assert offset == pytest.approx(BEGINS * 30)


def test_a_local_backend_reads_the_video_where_it_is(
    session: ModuleType, installed: str, files: Path, tmp_path: Path
) -> None:
    memory = tmp_path / "memory.json"
    use_backend(installed, files, "--seconds", "0", "--memory", str(memory))
    chosen().person = 3
    capture(session)
    assert asked(memory) == [{"kind": "capture", "file": str(files / "dancer.wav"), "person": 3}]
    assert json.loads(memory.read_text())["songs"] == []


def test_a_part_of_the_video_is_asked_for(session: ModuleType, installed: str, files: Path, tmp_path: Path) -> None:
    memory = tmp_path / "memory.json"
    use_backend(installed, files, "--seconds", "0", "--memory", str(memory))
    chosen().start, chosen().duration = 75.5, 30.0
    capture(session)
    (wishes,) = asked(memory)
    assert (wishes["start"], wishes["duration"]) == (75.5, 30.0)


def test_a_part_that_is_too_short_is_refused_before_the_work(session: ModuleType) -> None:
    chosen().duration = 0.25
    with pytest.raises(RuntimeError, match=r"must last 1 s or longer, not 0\.25 s"):
        bpy.ops.stepsmith.capture_video()
    assert session.current.task is None


def test_a_backend_elsewhere_is_sent_the_video(
    session: ModuleType, installed: str, files: Path, tmp_path: Path
) -> None:
    memory = tmp_path / "memory.json"
    words = shlex.split(command(files, "--seconds", "0", "--memory", str(memory)))
    environment = {"PATH": "/usr/bin:/bin", "STEPSMITH_TOKEN": TOKEN}
    with subprocess.Popen([*words, "serve"], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        preferences = bpy.context.preferences.addons[installed].preferences
        preferences.place, preferences.url, preferences.token = "URL", f"http://127.0.0.1:{port}", TOKEN
        capture(session)
        preferences.place = "HERE"
        process.kill()
    assert session.current.error == ""
    (wishes,) = asked(memory)
    assert wishes == {"kind": "capture", "video": json.loads(memory.read_text())["songs"][0], "person": None}


def test_a_silent_film_comes_without_a_strip(session: ModuleType, installed: str, files: Path) -> None:
    use_backend(installed, files, motion="silent.npz")
    capture(session)
    assert session.current.error == ""
    assert session.current.note == "The scene now plays at 30 frames a second, was 24."
    assert bpy.context.scene.stepsmith_settings.target.animation_data.action is not None
    assert strips() == []


def test_a_new_character_dances_where_none_is_chosen(session: ModuleType) -> None:
    bpy.data.objects.remove(bpy.context.scene.stepsmith_settings.target)
    capture(session)
    (dancer,) = [ob for ob in bpy.context.scene.objects if ob.type == "ARMATURE"]
    assert dancer.animation_data.action is not None


def test_a_capture_is_cancelled(session: ModuleType, installed: str, files: Path) -> None:
    use_backend(installed, files, "--seconds", "60")
    assert bpy.ops.stepsmith.capture_video() == {"FINISHED"}
    tick_until(session, lambda: session.current.status.text == "Dancing")
    assert session.current.captures
    assert not bpy.ops.stepsmith.generate.poll()
    bpy.ops.stepsmith.cancel()
    tick_until(session, lambda: session.current.task is None)
    assert session.current.error == ""
    assert bpy.context.scene.stepsmith_settings.target.animation_data is None


def test_a_capture_is_kept_and_applied_again(session: ModuleType, files: Path) -> None:
    capture(session)
    session.current.last = None  # as in another run of Blender
    assert bpy.ops.stepsmith.apply_dance() == {"FINISHED"}
    last = session.current.last
    assert (last.song, last.start) == (files / "dancer.wav", BEGINS)
    assert len(problems_of(last.motion)) == 2


@pytest.mark.parametrize("wrong", ["missing", "deleted", "failed"])
def test_what_goes_wrong_leaves_the_scene_untouched(
    session: ModuleType, installed: str, files: Path, tmp_path: Path, wrong: str
) -> None:
    words = {"missing": "is not there", "deleted": "choose another armature", "failed": "Nobody can be seen."}
    target = bpy.context.scene.stepsmith_settings.target
    if wrong == "missing":
        chosen().video = str(tmp_path / "none.mp4")
    elif wrong == "deleted":
        bpy.context.scene.collection.objects.unlink(target)
    else:
        use_backend(installed, files, "--seconds", "0", "--fail", "Nobody can be seen.")
    if wrong == "failed":
        capture(session)
    else:
        with pytest.raises(RuntimeError, match=words[wrong]):
            bpy.ops.stepsmith.capture_video()
    assert words[wrong] in session.current.error
    assert session.current.task is None
    assert (target.animation_data, strips(), list(bpy.context.scene.timeline_markers)) == (None, [], [])
    assert bpy.context.scene.frame_end == 250


def test_without_a_video_the_button_says_what_to_do(session: ModuleType) -> None:
    chosen().video = ""
    assert not bpy.ops.stepsmith.capture_video.poll()


class Layout:
    """A layout that notes what is drawn in it and all its parts."""

    def __init__(self, drawn: list[str], buttons: list[Any]) -> None:
        self.drawn, self.buttons = drawn, buttons

    def row(self, **_: Any) -> Layout:
        return Layout(self.drawn, self.buttons)

    box = column = row

    def label(self, *, text: str, **_: Any) -> None:
        self.drawn.append(text)

    def prop(self, owner: Any, name: str, **_: Any) -> None:
        assert owner.bl_rna.properties[name].description
        self.drawn.append(name)

    def operator(self, name: str, **_: Any) -> Any:
        assert getattr(bpy.ops, name.split(".")[0]).__getattr__(name.split(".")[1]).get_rna_type().description
        self.drawn.append(name)
        self.buttons.append(SimpleNamespace(name=name))
        return self.buttons[-1]

    def progress(self, *, factor: float, text: str) -> None:
        self.drawn.append("progress")


def drawn(
    installed: str, name: str = "video_panel", panel: str = "STEPSMITH_PT_video", buttons: list[Any] | None = None
) -> list[str]:
    found: list[str] = []
    # Without a window Blender's own interface has no scale.
    scale = SimpleNamespace(system=SimpleNamespace(ui_scale=1.0), ui_styles=bpy.context.preferences.ui_styles)
    context = SimpleNamespace(scene=bpy.context.scene, region=SimpleNamespace(width=400), preferences=scale)
    drawing = getattr(importlib.import_module(f"{installed}.addon.{name}"), panel)
    drawing.draw(SimpleNamespace(layout=Layout(found, [] if buttons is None else buttons)), context)
    return found


def test_the_panel_shows_progress_and_then_what_was_wrong(session: ModuleType, installed: str, files: Path) -> None:
    plain = ["video", "stepsmith.choose_video", "person", "start", "duration", "stepsmith.capture_video"]
    assert drawn(installed) == plain
    use_backend(installed, files, "--seconds", "2")
    assert bpy.ops.stepsmith.capture_video() == {"FINISHED"}
    tick_until(session, lambda: session.current.status.text == "Dancing")
    assert drawn(installed) == [*plain[:5], "progress", "stepsmith.cancel", "Dancing"]
    # One bar is enough: where songs are danced to, the button stays.
    assert "progress" not in drawn(installed, "panel", "STEPSMITH_PT_dance")
    tick_until(session, lambda: session.current.task is None)
    session.current.tick()
    said = drawn(installed)
    assert said[:6] == plain
    assert "Nobody is seen from 1.0 s to 2.5 s." in " ".join(said[6:])
    assert "There are 2 people from 3.0 s to 3.5 s." in " ".join(said[6:])


def problem_buttons(installed: str) -> list[Any]:
    """What the buttons beside the problems in the panel would do."""
    buttons: list[Any] = []
    drawn(installed, buttons=buttons)
    return [button for button in buttons if button.name == "stepsmith.go_to_problem"]


@pytest.mark.parametrize(("rate", "first"), [(30, 1), (24, 100)])
def test_each_problem_has_a_button_that_goes_to_its_frame(
    session: ModuleType, installed: str, new_armature: Callable[[str], Any], rate: int, first: int
) -> None:
    scene = bpy.context.scene
    if rate != 30:  # what else moves keeps the scene's frame rate
        new_armature("Other").keyframe_insert("location", frame=1)
        scene.render.fps, scene.frame_start = rate, first
    capture(session)
    session.current.tick()
    nobody, people = problem_buttons(installed)
    # Half a second after the motion's beginning, which is the video's second 0.5; and behind its end.
    assert nobody.frame == first + rate / 2
    assert people.frame == first + 2 * rate - 1
    assert bpy.ops.stepsmith.go_to_problem(frame=nobody.frame) == {"FINISHED"}
    assert scene.frame_current == nobody.frame
    operator = importlib.import_module(f"{installed}.addon.video_panel").STEPSMITH_OT_go_to_problem
    assert operator.description(bpy.context, nobody) == (
        f"Go to frame {nobody.frame}, where this problem of the video begins"
    )


def test_problems_of_a_dance_that_was_not_applied_have_no_button(session: ModuleType, installed: str) -> None:
    assert bpy.ops.stepsmith.capture_video() == {"FINISHED"}
    bpy.context.scene.collection.objects.unlink(bpy.context.scene.stepsmith_settings.target)
    tick_until(session, lambda: session.current.task is None)
    session.current.tick()
    assert "Nobody is seen" in " ".join(drawn(installed))
    assert problem_buttons(installed) == []


def test_problems_are_those_of_the_scene_in_which_the_dance_is(session: ModuleType, installed: str) -> None:
    capture(session)
    session.current.tick()
    assert "Nobody is seen" in " ".join(drawn(installed))
    bpy.ops.wm.read_homefile(use_empty=True)
    assert "Nobody is seen" not in " ".join(drawn(installed))


@pytest.mark.parametrize(
    "problems",
    [
        None, 7, "wrong", {}, [1, "two", None], [{"text": "no times"}], [{"start": 0.0, "end": "x", "text": "t"}],
        [{"start": math.nan, "end": 1.0, "text": "t"}], [{"start": 0.0, "end": 1.0, "text": 5}],
    ],
)  # fmt: skip
def test_a_motion_may_say_anything(still: Callable[..., Motion], problems: Any) -> None:
    assert problems_of(still(frames=2).with_meta(problems=problems)) == []


@pytest.mark.parametrize("parts", [None, 7, [], [[]], [7], [["x", 2.0]], [[math.inf, 2.0]]])
def test_where_a_motion_begins_may_be_unknown(still: Callable[..., Motion], parts: Any) -> None:
    assert begins(still(frames=2).with_meta(parts=parts)) == 0.0


def test_where_a_motion_begins_is_read(still: Callable[..., Motion]) -> None:
    assert begins(still(frames=2).with_meta(parts=[[2.5, 3.5], [4.0, 5.0]])) == 2.5


def test_a_motions_problems_are_read(still: Callable[..., Motion]) -> None:
    said = [{"kind": "cut", "start": 1, "end": 2.5, "text": "A cut."}, {"start": None}]
    assert problems_of(still(frames=2).with_meta(problems=said)) == [Problem(1.0, 2.5, "A cut.")]


# --- without a window ------------------------------------------------------------------------------------


@pytest.fixture
def run(installed: str, files: Path, new_armature: Callable[[str], Any]) -> Callable[..., int]:
    bpy.ops.wm.read_homefile(use_empty=True)
    for name in ("Rig", "Other"):
        new_armature(name)
    headless = importlib.import_module(f"{installed}.addon.commands").run

    def capture(*words: object, options: tuple[str, ...] = ("--seconds", "0.2")) -> int:
        code: int = headless(["capture", *map(str, words), "--backend", command(files, *options)])
        return code

    return capture


def test_a_file_with_the_capture_is_saved(
    run: Callable[..., int], files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.blend"
    assert run(files / "dancer.wav", "--rig", "Rig", "-o", out, "--person", 2, "--in-place") == 0
    printed = capfd.readouterr()
    assert str(out) in printed.out
    assert " s left" in printed.out
    assert "stepsmith: Nobody is seen from 1.0 s to 2.5 s." in printed.err
    bpy.ops.wm.open_mainfile(filepath=str(out))
    assert bpy.data.objects["Rig"].animation_data.action is not None
    assert bpy.data.objects["Other"].animation_data is None
    assert len(bpy.context.scene.timeline_markers) == 4


def test_several_rigs_do_what_one_dancer_does(run: Callable[..., int], files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.blend"
    rigs = ("--rig", "Rig", "--rig", "Other", "--formation", "line")
    assert run(files / "dancer.wav", *rigs, "-o", out) == 0
    bpy.ops.wm.open_mainfile(filepath=str(out))
    places = []
    for name in ("Rig", "Other"):
        rig = bpy.data.objects[name]
        assert rig.animation_data.action is not None
        places.append(np.array(rig.matrix_world @ rig.pose.bones["pelvis"].head))
    assert np.linalg.norm(places[0] - places[1]) == pytest.approx(1.5, abs=0.01)


def test_a_part_of_a_video_is_asked_for_without_a_window(run: Callable[..., int], files: Path, tmp_path: Path) -> None:
    memory, out = tmp_path / "memory.json", tmp_path / "out.blend"
    part = ("--start", 75.5, "--duration", 30)
    options = ("--seconds", "0", "--memory", str(memory))
    assert run(files / "dancer.wav", "--rig", "Rig", "-o", out, *part, options=options) == 0
    (wishes,) = asked(memory)
    assert (wishes["start"], wishes["duration"]) == (75.5, 30.0)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["{files}/dancer.wav", "--rig", "Rig", "-o", "{folder}/out.blend", "--duration", "0.5"],
            "must last 1 s or longer, not 0.5 s",
        ),
        (["{files}/none.mp4", "--rig", "Rig", "-o", "{folder}/out.blend"], "There is no video"),
        (["{files}/dancer.wav", "--rig", "Nobody", "-o", "{folder}/out.blend"], "Nobody is not in the scene"),
        (["{files}/dancer.wav", "--rig", "Rig", "-o", "{folder}/out.fbx"], "end the name after -o in .blend"),
        (["{files}/dancer.wav", "--rig", "Rig", "-o", "{folder}/out.blend", "--person", "0"], "counted from 1"),
    ],
)
def test_wrong_wishes_leave_nothing(
    run: Callable[..., int],
    files: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    reason: str,
) -> None:
    assert run(*(word.format(files=files, folder=tmp_path) for word in words)) != 0
    assert reason in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_failure_of_the_backend_leaves_nothing(
    run: Callable[..., int], files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    failing = ("--seconds", "0", "--fail", "Nobody can be seen.")
    assert run(files / "dancer.wav", "--rig", "Rig", "-o", tmp_path / "out.blend", options=failing) == 1
    assert "stepsmith: Nobody can be seen." in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert bpy.data.objects["Rig"].animation_data is None
