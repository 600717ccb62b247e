from __future__ import annotations

import importlib
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from stepsmith.addon.crowd import Variation, dance_together, variations
from stepsmith.addon.dance_task import Dance
from stepsmith.addon.rig_to_rig import read_motion
from stepsmith.addon.scene import Options
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion

MakeArmature = Callable[[str], Any]
FAKE = Path(__file__).with_name("fake_backend.py")


@pytest.fixture(autouse=True)
def scene() -> Any:
    bpy.ops.wm.read_homefile(use_empty=True)
    return bpy.context.scene


@pytest.fixture
def dance(still: Callable[..., Motion]) -> Motion:
    """2 s in which the left arm goes up, with beats."""
    calm = still(60)
    turns = np.zeros((60, 24, 3))
    turns[:, 16, 1] = np.linspace(0.0, -1.2, 60)
    return Motion(30.0, calm.root, rot.from_axis_angle(turns), calm.contacts, beats=calm.beats)


def test_every_second_is_mirrored_and_each_begins_later() -> None:
    varied = variations([(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)], mirror=True, delay=0.5)
    assert [v.mirror for v in varied] == [False, True, False]
    assert [v.delay for v in varied] == [0.0, 0.5, 1.0]
    assert [v.start for v in varied] == [None] * 3


@pytest.mark.parametrize("formation", ["line", "circle"])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_formations_keep_their_middle_and_spacing(formation: Any, count: int) -> None:
    places = np.random.default_rng(count).normal(size=(count, 2))
    starts = np.array([v.start for v in variations(places.tolist(), formation=formation, spacing=2.0)])
    assert starts.mean(axis=0) == pytest.approx(places.mean(axis=0))
    assert np.linalg.norm(np.diff(starts, axis=0), axis=-1) == pytest.approx(np.full(count - 1, 2.0))


@pytest.mark.parametrize("wrong", [{"delay": -1.0}, {"delay": float("nan")}, {"spacing": 0.0}])
def test_senseless_variations_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(StepsmithError):
        variations([(0.0, 0.0)], **wrong)


def test_mirrored_and_delayed(new_armature: MakeArmature, dance: Motion, scene: Any) -> None:
    pair = [new_armature("A"), new_armature("B")]
    pair[1].location = (2.0, 0.0, 0.0)
    varied = [Variation(), Variation(mirror=True, delay=0.5)]
    crowd = dance_together(bpy.context, pair, dance, varied, options=Options(feet="never"))
    assert not crowd.errors
    assert crowd.results["A"].frames == (1, 60)
    assert crowd.results["B"].frames == (16, 75)
    assert (scene.frame_start, scene.frame_end) == (1, 75)
    assert sorted(m.frame for m in scene.timeline_markers) == [1, 16, 31, 46]
    seen = read_motion(bpy.context, pair[1])
    turned = rot.angle(rot.multiply(rot.conjugate(seen.rotations), dance.mirror().rotations))
    assert np.degrees(turned).mean() < 0.5
    assert tuple(pair[1].location) == (2.0, 0.0, 0.0)


def test_one_that_cant_dance_does_not_stop_the_others(new_armature: MakeArmature, dance: Motion, scene: Any) -> None:
    bad = bpy.data.objects.new("Bad", bpy.data.armatures.new("Bad"))
    scene.collection.objects.link(bad)
    dancers = [bad, new_armature("A"), new_armature("B")]
    crowd = dance_together(bpy.context, dancers, dance, [Variation()] * 3)
    assert list(crowd.results) == ["A", "B"]
    assert "no bones" in crowd.errors["Bad"]


def test_beats_between_frames_are_marked_once(new_armature: MakeArmature, dance: Motion, scene: Any) -> None:
    scene.render.fps = 25  # half a second is twelve frames and a half
    dancers = [new_armature("A"), new_armature("B")]
    crowd = dance_together(bpy.context, dancers, dance, [Variation(), Variation(delay=0.52)])
    assert [result.frames[0] for result in crowd.results.values()] == [1, 14]
    assert len(scene.timeline_markers) == 4


def test_each_warning_is_told_once_with_whom_it_is_about(new_armature: MakeArmature, dance: Motion) -> None:
    dancers = [new_armature("A"), new_armature("B"), new_armature("C")]
    for dancer in dancers[1:]:
        dancer.pose.bones["head"].lock_rotation = (True, True, True)
    note, warning = dance_together(bpy.context, dancers, dance, [Variation()] * 3).told
    assert note == "The scene now plays at 30 frames a second, was 24."
    assert warning.startswith("B, C: The bone head has locked channels")


@pytest.mark.skipif(not bpy.app.build_options.audaspace, reason="this bpy is built without Audaspace")
def test_the_song_is_there_once(new_armature: MakeArmature, dance: Motion, scene: Any, song: Path) -> None:
    dancers = [new_armature("A"), new_armature("B")]
    dance_together(bpy.context, dancers, dance, variations([(0.0, 0.0)] * 2, delay=0.2), song=song)
    editor = scene.sequence_editor
    assert len(editor.strips if hasattr(editor, "strips") else editor.sequences) == 1


def test_the_buttons(installed: str, new_armature: MakeArmature, dance: Motion, monkeypatch: Any) -> None:
    running = importlib.import_module(f"{installed}.addon.session")
    monkeypatch.setattr(running.current, "last", Dance(dance, None, 0.0))
    dancers = [new_armature("A"), new_armature("B")]
    for dancer in dancers:
        dancer.select_set(True)
    settings = bpy.context.scene.stepsmith_rig_to_rig
    settings.formation, settings.spacing = "line", 2.0
    assert bpy.ops.stepsmith.dance_together() == {"FINISHED"}
    assert all(dancer.animation_data.action for dancer in dancers)
    between = [dancer.pose.bones["pelvis"].head.x for dancer in dancers]
    assert between[1] - between[0] == pytest.approx(2.0, abs=0.01)

    target = new_armature("C")
    settings.source, bpy.context.scene.stepsmith_settings.target = dancers[0], target
    assert bpy.ops.stepsmith.retarget_action() == {"FINISHED"}
    assert target.animation_data.action.name == "C A Dance"
    settings.every_action = True
    assert bpy.ops.stepsmith.retarget_action() == {"FINISHED"}
    assert target.animation_data.action.name == "C A Dance"


def test_the_buttons_tell_what_may_be_wrong(
    installed: str, new_armature: MakeArmature, dance: Motion, monkeypatch: Any
) -> None:
    running = importlib.import_module(f"{installed}.addon.session")
    panel = importlib.import_module(f"{installed}.addon.rig_to_rig_panel")
    monkeypatch.setattr(running.current, "last", Dance(dance, None, 0.0))
    told: list[str] = []
    done = panel._done

    def note_down(operator: Any, notes: list[str], errors: dict[str, str]) -> set[str]:
        told[:] = notes
        return done(operator, notes, errors)

    monkeypatch.setattr(panel, "_done", note_down)
    dancer, target = new_armature("A"), new_armature("Target")
    for armature in (dancer, target):
        armature.pose.bones["head"].lock_rotation = (True, True, True)
    dancer.select_set(True)
    target.select_set(False)
    for _ in range(2):  # two actions
        assert bpy.ops.stepsmith.dance_together() == {"FINISHED"}
    assert told[0] == "1 dance"
    assert [text for text in told if "locked" in text] == [told[1]]
    assert told[1].startswith("A: The bone head has locked channels")

    settings = bpy.context.scene.stepsmith_rig_to_rig
    settings.source, bpy.context.scene.stepsmith_settings.target = dancer, target
    settings.every_action = True
    assert bpy.ops.stepsmith.retarget_action() == {"FINISHED"}
    assert told[0] == "2 actions retargeted"
    assert len(told) == 2
    assert told[1].startswith("The bone head has locked channels")


class Each:
    """The button Generate Another Dance Each, with a backend of its own process and the timers done by hand."""

    def __init__(self, installed: str, song: Path, folder: Path) -> None:
        self.module = importlib.import_module(f"{installed}.addon.session")
        self.module.register()
        self.preferences = bpy.context.preferences.addons[installed].preferences
        self.song, self.folder = song, folder

    @property
    def session(self) -> Any:
        return self.module.current

    def begin(self, *options: str) -> None:
        words = [sys.executable, str(FAKE), "--motion", str(self.folder / "dance.npz"), *options]
        self.preferences.place, self.preferences.command = "HERE", shlex.join(words)
        self.preferences.folder = str(self.folder)
        bpy.context.scene.stepsmith_settings.song = str(self.song)
        assert bpy.ops.stepsmith.generate_each() == {"FINISHED"}

    def finish(self) -> None:
        deadline = time.monotonic() + 30.0
        while self.session.task is not None:
            assert time.monotonic() < deadline, (self.session.status, self.session.error)
            self.session.tick()
            time.sleep(0.02)


@pytest.fixture
def each(installed: str, song: Path, dance: Motion, tmp_path: Path) -> Iterator[Each]:
    save_motion(tmp_path / "dance.npz", dance)
    button = Each(installed, song, tmp_path)
    yield button
    button.module.unregister()
    button.module.register()


@pytest.fixture
def pair(scene: Any, new_armature: MakeArmature) -> list[Any]:
    """Two armatures, selected."""
    dancers = [new_armature("A"), new_armature("B")]
    for dancer in dancers:
        dancer.select_set(True)
    return dancers


def test_another_dance_each(each: Each, pair: list[Any], tmp_path: Path) -> None:
    bpy.context.scene.stepsmith_settings.seed = 7
    each.begin("--seconds", "0", "--memory", str(tmp_path / "memory.json"))
    each.finish()
    assert each.session.error == ""
    assert all(dancer.animation_data.action for dancer in pair)
    jobs = json.loads((tmp_path / "memory.json").read_text())["jobs"].values()
    assert [job["wishes"]["seed"] for job in jobs] == [7, 8]
    assert each.session.has_last_dance()


def test_the_selection_may_change_meanwhile(each: Each, pair: list[Any]) -> None:
    each.begin("--seconds", "0.1")
    pair[1].select_set(False)
    pair[0].name = "Renamed"
    each.finish()
    assert all(dancer.animation_data.action for dancer in pair)


def test_who_is_deleted_meanwhile_stops_no_other(each: Each, pair: list[Any]) -> None:
    each.begin("--seconds", "0.1")
    bpy.data.objects.remove(pair[0])
    each.finish()
    assert pair[1].animation_data.action
    assert each.session.error == "A: It was deleted while its dance was made."


def test_cancel_changes_nothing(each: Each, pair: list[Any]) -> None:
    each.begin("--seconds", "60")
    assert bpy.ops.stepsmith.cancel() == {"FINISHED"}
    each.finish()
    assert each.session.error == ""
    assert all(dancer.animation_data is None for dancer in pair)


def test_a_backend_that_fails_is_reported(each: Each, pair: list[Any]) -> None:
    each.begin("--seconds", "0", "--fail", "The song is silent.")
    each.finish()
    assert "The song is silent." in each.session.error
    assert all(dancer.animation_data is None for dancer in pair)


def test_each_dances_its_own_motion(new_armature: MakeArmature, dance: Motion, scene: Any) -> None:
    pair = [new_armature("A"), new_armature("B")]
    crowd = dance_together(bpy.context, pair, [dance, dance.slice(0, 30)], [Variation()] * 2)
    assert [result.frames for result in crowd.results.values()] == [(1, 60), (1, 30)]
