"""The control rig that Rigify generates, judged by the bones that move its mesh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from stepsmith.addon.armature import read_rig
from stepsmith.addon.scene import Options, apply_motion
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.bone_maps import find_map
from stepsmith.retarget.fit import HIP_OFFSET, Fit
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL, SMPL_NAMES, forward_kinematics

FRAMES = 24
LIMBS = [("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")]
DEFORMING = {
    "hip": "thigh",
    "knee": "shin",
    "ankle": "foot",
    "foot": "toe",
    "collar": "shoulder",
    "shoulder": "upper_arm",
    "elbow": "forearm",
    "wrist": "hand",
}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the rig that Rigify generates from its basic human."""
    import addon_utils

    addon_utils.enable("rigify", default_set=True)
    bpy.ops.wm.read_homefile(use_empty=True)
    # A new file forgets what the add-on told Blender.
    addon_utils.enable("rigify", default_set=True)
    bpy.ops.object.armature_basic_human_metarig_add()
    metarig = bpy.context.object
    bpy.ops.pose.rigify_generate()
    bpy.data.objects.remove(metarig)
    file = tmp_path_factory.mktemp("rigify") / "rig.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    addon_utils.disable("rigify", default_set=True)
    return file


@pytest.fixture
def rig(generated: Path) -> Any:
    bpy.ops.wm.open_mainfile(filepath=str(generated))
    return next(ob for ob in bpy.context.scene.objects if ob.type == "ARMATURE")


@pytest.fixture(scope="module")
def dance() -> Motion:
    """A body that wanders, every joint turning far."""
    rng = np.random.default_rng(0)
    times = np.arange(FRAMES) / 30.0
    waves = np.sin(2 * np.pi * rng.uniform(0.5, 1.5, (24, 3)) * times[:, None, None] + rng.uniform(0, 6, (24, 3)))
    root = [0.0, 0.0, SMPL.rest_root_height] + times[:, None] * [0.7, -0.4, 0.1]
    return Motion(30.0, root, rot.from_axis_angle(0.6 * waves), np.zeros((FRAMES, 4)))


def shown(rig: Any, bones: list[str]) -> dict[str, np.ndarray]:
    """(T, 4, 4) world matrices of the bones as Blender plays them."""
    scene, places = bpy.context.scene, {bone: np.empty((FRAMES, 4, 4)) for bone in bones}
    for k in range(FRAMES):
        scene.frame_set(scene.frame_start + k)
        posed = rig.evaluated_get(bpy.context.evaluated_depsgraph_get())
        for bone in bones:
            places[bone][k] = posed.matrix_world @ posed.pose.bones[bone].matrix
    return places


def test_its_controls_are_found(rig: Any) -> None:
    found = find_map(read_rig(rig))
    assert found.convention == "Rigify"
    assert found.bone("pelvis") == "torso"
    assert found.bone("left_elbow") == "forearm_fk.L"
    assert found.bone("right_foot") == "toe_fk.R"
    assert set(found.missing) == {"spine1", "left_hand", "right_hand"}
    assert not any(bone.startswith(("DEF-", "ORG-", "MCH-")) for bone in found.bones)


@pytest.mark.parametrize("moved", [False, True])
def test_the_deforming_bones_dance(rig: Any, dance: Motion, moved: bool) -> None:
    if moved:
        rig.location, rig.rotation_euler, rig.scale = (1.0, 2.0, 0.5), (0.0, 0.0, 0.7), (1.4, 1.4, 1.4)
    plain = read_rig(rig)
    rest = {name: np.array(plain.world @ plain.rest[i]) for name, i in plain.indices.items()}
    before = {bone.name: bone.matrix_local.copy() for bone in rig.data.bones}
    result = apply_motion(bpy.context, rig, dance, options=Options(feet="never"))
    assert result.warnings == ()
    assert {bone.name: bone.matrix_local for bone in rig.data.bones} == before

    fit = Fit(plain, find_map(plain))
    positions, turned = forward_kinematics(SMPL, dance.rotations, dance.root)
    bones = {f"{s}_{j}": f"DEF-{b}.{s[0].upper()}" for s in ("left", "right") for j, b in DEFORMING.items()}
    trunk = {"spine3": "DEF-spine.003", "head": "DEF-spine.006", "pelvis": "DEF-spine"}
    seen = shown(rig, [*bones.values(), *trunk.values()])
    for side in ("left", "right"):
        for a, b in LIMBS:
            is_so = seen[bones[f"{side}_{b}"]][:, :3, 3] - seen[bones[f"{side}_{a}"]][:, :3, 3]
            wanted = positions[:, SMPL_NAMES.index(f"{side}_{b}")] - positions[:, SMPL_NAMES.index(f"{side}_{a}")]
            assert np.degrees(rot.angle(rot.between(rot.rotate(fit.to_world, wanted), is_so))).max() < 0.05
    for joint, bone in trunk.items():
        turn = rot.from_matrix(unit(seen[bone]) @ unit(rest[bone]).T)
        wanted = turned[:, SMPL_NAMES.index(joint)]
        wanted = rot.multiply(rot.multiply(fit.to_world, wanted), rot.conjugate(fit.to_world))
        assert np.degrees(rot.angle(rot.multiply(rot.conjugate(wanted), turn))).max() < 0.1
    hips = (seen["DEF-thigh.L"] + seen["DEF-thigh.R"])[:, :3, 3] / 2.0
    path = rot.rotate(fit.to_world, dance.root + rot.rotate(turned[:, 0], HIP_OFFSET))
    size = fit.scale * (1.4 if moved else 1.0)
    assert np.abs((hips - hips[0]) - size * (path - path[0])).max() < 1e-4


def unit(matrices: np.ndarray) -> np.ndarray:
    """The rotations (..., 3, 3) of matrices (..., 4, 4)."""
    axes = matrices[..., :3, :3]
    return axes / np.linalg.norm(axes, axis=-2, keepdims=True)


def test_its_switches_are_keyed_and_nothing_else_is_set(rig: Any, dance: Motion) -> None:
    limb = rig.pose.bones["thigh_parent.L"]
    limb["FK_limb_follow"] = 1.0
    apply_motion(bpy.context, rig, dance)
    bpy.context.scene.frame_set(bpy.context.scene.frame_start + 3)
    assert limb["IK_FK"] == 1.0
    assert limb["FK_limb_follow"] == 0.0
    rig.animation_data.action = None
    assert rig.pose.bones["torso"]["torso_parent"] == 1
