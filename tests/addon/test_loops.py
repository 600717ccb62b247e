"""Dances that loop, and mirrored ones, as keys in Blender."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from stepsmith.addon.export import Wish, export
from stepsmith.addon.fcurves import playing_curves
from stepsmith.addon.rig_to_rig import read_motion
from stepsmith.addon.scene import Options, apply_motion
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import RigError
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL

NewArmature = Callable[[str], Any]
FRAMES = 61


@pytest.fixture
def loop() -> Motion:
    """A body that turns right round while it sways and swings its arms; after 61 frames it is as at first."""
    phase = np.arange(FRAMES) / FRAMES * 2 * np.pi
    angles = np.zeros((FRAMES, 24, 3))
    angles[:, 16, 1], angles[:, 17, 1], angles[:, 1, 0] = np.sin(phase), 0.5 * np.cos(phase), 0.3 * np.sin(phase)
    rotations = rot.from_axis_angle(angles)
    turns = rot.from_axis_angle(np.stack([0 * phase, 0 * phase, phase], axis=1))
    rotations[:, 0] = rot.multiply(turns, rotations[:, 0])
    root = np.stack([0.5 * np.sin(phase), 0.5 * np.cos(phase), np.full(FRAMES, SMPL.rest_root_height)], axis=1)
    return Motion(30.0, root, rotations, np.zeros((FRAMES, 4)), meta={"loop": True})


@pytest.fixture
def armature(new_armature: NewArmature) -> Any:
    bpy.ops.wm.read_homefile(use_empty=True)
    return new_armature("Rig")


def poses(armature: Any, frames: list[int]) -> np.ndarray:
    found = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        found.append([armature.matrix_world @ bone.matrix for bone in armature.pose.bones])
    return np.array(found)


def test_the_frame_after_the_last_is_the_first_again(armature: Any, loop: Motion) -> None:
    result = apply_motion(bpy.context, armature, loop)
    first, last = result.frames
    assert (last - first + 1, bpy.context.scene.frame_end) == (FRAMES, last), "the scene plays each pose once"
    begin, end = poses(armature, [first, last + 1])
    assert np.abs(begin - end).max() < 1e-5
    assert (result.action.use_cyclic, *result.action.frame_range) == (True, first, last + 1)


def test_the_seam_is_no_faster_than_the_rest(armature: Any, loop: Motion) -> None:
    apply_motion(bpy.context, armature, loop)
    places = poses(armature, list(range(1, FRAMES + 2)))[:, :, :3, 3]
    speeds = np.linalg.norm(np.diff(places, axis=0), axis=-1).max(axis=1)
    assert speeds[-1] < 1.2 * speeds[:-1].max()


@pytest.mark.parametrize("reduced", [None, (0.5, 5.0)])
def test_a_repeated_loop_goes_on_for_ever(armature: Any, loop: Motion, reduced: tuple[float, float] | None) -> None:
    apply_motion(bpy.context, armature, loop, options=Options(repeat=True, key_error=reduced))
    assert np.abs(np.diff(poses(armature, [10, 10 + FRAMES, 10 + 7 * FRAMES, 10 - FRAMES]), axis=0)).max() < 1e-3
    with pytest.raises(RigError, match="modifiers"):
        apply_motion(bpy.context, armature, loop, options=Options(into="blend"))


def test_other_dances_never_repeat(armature: Any, loop: Motion) -> None:
    once = Motion(loop.fps, loop.root, loop.rotations, loop.contacts)
    result = apply_motion(bpy.context, armature, once, options=Options(repeat=True))
    assert not result.action.use_cyclic
    assert max(point.co.x for curve in playing_curves(armature) for point in curve.keyframe_points) == FRAMES
    assert not any(len(curve.modifiers) for curve in playing_curves(armature))


def test_at_another_frame_rate_a_loop_lasts_whole_frames(
    armature: Any, new_armature: NewArmature, loop: Motion
) -> None:
    other = new_armature("Other")
    other.keyframe_insert("location", frame=1)  # so that the scene keeps its rate
    bpy.context.scene.render.fps = 24
    result = apply_motion(bpy.context, armature, loop)
    first, last = result.frames
    assert last - first + 1 == round(FRAMES * 24 / 30)
    begin, end = poses(armature, [first, last + 1])
    assert np.abs(begin - end).max() < 1e-5
    places = poses(armature, list(range(first, last + 2)))[:, :, :3, 3]
    speeds = np.linalg.norm(np.diff(places, axis=0), axis=-1).max(axis=1)
    assert speeds[-1] == pytest.approx(speeds.max(), rel=0.3), "no frame is held at the seam"


def test_a_strip_of_a_loop_can_be_repeated(armature: Any, loop: Motion) -> None:
    first, last = apply_motion(bpy.context, armature, loop, options=Options(into="nla")).frames
    (strip,) = armature.animation_data.nla_tracks[0].strips
    assert (strip.frame_start, strip.frame_end) == (first, last + 1)
    strip.repeat = 3.0
    assert np.abs(np.diff(poses(armature, [first + 9, first + 9 + FRAMES]), axis=0)).max() < 1e-4


def test_a_mirrored_dance_has_left_and_right_exchanged(armature: Any, loop: Motion) -> None:
    apply_motion(bpy.context, armature, loop, options=Options(feet="never", mirror=True))
    seen = read_motion(bpy.context, armature, frame_range=(1, FRAMES))
    turned = rot.angle(rot.multiply(rot.conjugate(seen.rotations), loop.mirror().rotations))
    assert np.degrees(turned).mean() < 0.5


def test_exported_loops_end_as_they_begin(loop: Motion, tmp_path: Path) -> None:
    save_motion(tmp_path / "loop.npz", loop)
    export(Wish(tmp_path / "loop.npz", (tmp_path / "loop.glb",)), lambda _fraction, _text: None)
    data = (tmp_path / "loop.glb").read_bytes()
    (length,) = struct.unpack("<I", data[12:16])
    told = json.loads(data[20 : 20 + length])
    (animation,) = told["animations"]
    (end,) = {told["accessors"][sampler["input"]]["max"][0] for sampler in animation["samplers"]}
    assert end == pytest.approx(FRAMES / 30.0)
    assert bpy.context.scene.frame_end == FRAMES
