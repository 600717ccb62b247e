"""A SMPL body in Blender: skinned, shaped, fitted, dancing."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from stepsmith.addon.armature import read_rig
from stepsmith.addon.scene import apply_motion
from stepsmith.addon.smpl_body import fit_skeleton, get_betas, is_smpl_body, make_smpl_body, set_betas
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.body_model import BodyModel, dance, load_body, rest_rig, skin
from stepsmith.retarget.errors import RigError
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL, Skeleton, forward_kinematics

Array = np.ndarray

KINDS = ("SMPL", "SMPL-H", "SMPL-X")
BETAS = [1.5, -1.0, 0.5]


@pytest.fixture(autouse=True)
def empty_scene() -> None:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)


@pytest.fixture(scope="session")
def files(
    make_body_arrays: Callable[..., dict[str, Array]],
    write_body_npz: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """A model file of each kind."""
    folder = tmp_path_factory.mktemp("bodies")
    return {kind: write_body_npz(folder / f"{kind}.npz", make_body_arrays(kind, 12)) for kind in KINDS}


@pytest.fixture
def motion() -> Motion:
    """Two seconds of swaying with bent limbs, a foot planted all the while."""
    frames = 60
    rng = np.random.default_rng(3)
    phase = np.linspace(0.0, 2 * np.pi, frames)[:, None, None]
    vectors = rng.normal(0.0, 0.3, (24, 3)) * np.sin(phase)
    vectors[:, [7, 8, 10, 11, 22, 23]] = 0.0
    vectors[:, 4:6] = [0.4, 0.0, 0.0]
    vectors[:, 1:3] = [-0.2, 0.0, 0.0]
    root = np.tile([0.0, 0.0, SMPL.rest_root_height - 0.02], (frames, 1))
    root[:, 0] = 0.3 * np.sin(phase[:, 0, 0])
    contacts = np.zeros((frames, 4))
    contacts[:, [0, 2]] = 1.0
    return Motion(30.0, root, rot.from_axis_angle(vectors), contacts)


def mesh_of(armature: bpy.types.Object) -> bpy.types.Object:
    (mesh,) = armature.children
    return mesh


def vertices_of(armature: bpy.types.Object) -> Array:
    """(V, 3) where Blender shows the vertices, in the world."""
    shown = mesh_of(armature).evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = np.empty(3 * len(shown.data.vertices), np.float32)
    shown.data.vertices.foreach_get("co", points)
    world = np.array(shown.matrix_world)
    return points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]


def joints_of(armature: bpy.types.Object, names: tuple[str, ...]) -> Array:
    """(J, 3) where Blender shows the posed joints, in the world."""
    return np.array([armature.matrix_world @ armature.pose.bones[name].head for name in names])


def forward(body: BodyModel, rotations: Array, root: Array, betas: list[float]) -> Array:
    joints = body.joints(betas)
    offsets = np.array([joints[j] - (joints[p] if p >= 0 else 0.0) for j, p in enumerate(body.parents)])
    return forward_kinematics(Skeleton(body.names, body.parents, offsets), rotations, root)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("betas", [[], BETAS])
def test_the_body_stands_at_rest_as_the_model_does(files: dict[str, Path], kind: str, betas: list[float]) -> None:
    armature = make_smpl_body(bpy.context, files[kind], betas)
    body = load_body(files[kind])
    assert is_smpl_body(armature)
    assert armature.name == kind
    assert bpy.context.object == armature
    assert len(mesh_of(armature).data.polygons) == len(body.faces)
    standing = body.shaped(betas) - [0.0, 0.0, body.shaped(betas)[:, 2].min()]
    np.testing.assert_allclose(vertices_of(armature), standing, atol=1e-5)
    rig, wanted = read_rig(armature), rest_rig(body, betas)
    order = [rig.indices[name] for name in wanted.names]
    np.testing.assert_allclose(rig.rest[order], wanted.rest, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dance_in_blender_is_the_dance_in_numpy(files: dict[str, Path], kind: str, motion: Motion) -> None:
    armature = make_smpl_body(bpy.context, files[kind], BETAS)
    body = load_body(files[kind])
    first, _ = apply_motion(bpy.context, armature, motion).frames
    rotations, root = dance(body, motion, BETAS)
    joints = forward(body, rotations, root, BETAS)
    vertices = skin(body, rotations, root, BETAS, correctives=False)
    for frame in (0, 17, 42, 59):
        bpy.context.scene.frame_set(first + frame)
        np.testing.assert_allclose(joints_of(armature, body.names), joints[frame], atol=1e-4)
        np.testing.assert_allclose(vertices_of(armature), vertices[frame], atol=1e-4)


def test_a_body_is_added_while_something_else_is_edited(files: dict[str, Path]) -> None:
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    bpy.ops.object.mode_set(mode="EDIT")
    armature = make_smpl_body(bpy.context, files["SMPL"])
    assert (cube.mode, armature.mode) == ("OBJECT", "OBJECT")
    assert bpy.context.selected_objects == [armature]


def test_each_beta_has_a_shape_key(files: dict[str, Path]) -> None:
    def keys(**wishes: Any) -> list[str]:
        armature = make_smpl_body(bpy.context, files["SMPL"], **wishes)
        return [key.name for key in mesh_of(armature).data.shape_keys.key_blocks][1:]

    assert keys() == [f"Shape{k:03d}" for k in range(10)]
    assert len(keys(shapes=3)) == 3
    assert len(keys(shapes=300)) == 12
    assert len(keys(betas=[0.1] * 11)) == 11


def test_the_skeleton_follows_the_shape_keys(files: dict[str, Path]) -> None:
    armature = make_smpl_body(bpy.context, files["SMPL"])
    for key, beta in zip(mesh_of(armature).data.shape_keys.key_blocks[1:], BETAS, strict=False):
        key.value = beta
    fit_skeleton(bpy.context, armature)
    body = load_body(files["SMPL"])
    floor = body.shaped(BETAS)[:, 2].min()
    np.testing.assert_allclose(joints_of(armature, body.names), body.joints(BETAS) - [0, 0, floor], atol=1e-5)
    np.testing.assert_allclose(vertices_of(armature)[:, 2].min(), 0.0, atol=1e-6)


def test_shapes_leave_no_trace_when_taken_back(files: dict[str, Path]) -> None:
    armature = make_smpl_body(bpy.context, files["SMPL-X"])
    before = read_rig(armature)
    for betas in ([3.0, 2.0, 1.0], [-3.0] * 10, [0.0] * 10):
        set_betas(bpy.context, armature, betas)
    after = read_rig(armature)
    np.testing.assert_allclose(after.rest, before.rest, atol=1e-5)
    np.testing.assert_allclose(after.lengths, before.lengths, atol=1e-5)


@pytest.mark.parametrize(("betas", "near"), [([3.0], 1e-4), ([-2.0], 1e-4), ([0.0, 1.0], 0.01)])
def test_a_dance_stays_right_when_the_shape_changes(
    files: dict[str, Path], betas: list[float], near: float, motion: Motion
) -> None:
    """Just as one made for this shape where all of the body grows; to a centimetre where the legs alone do, by 10 %."""
    armature = make_smpl_body(bpy.context, files["SMPL"])
    first, _ = apply_motion(bpy.context, armature, motion).frames
    set_betas(bpy.context, armature, betas)
    body = load_body(files["SMPL"])
    joints = forward(body, *dance(body, motion, betas), betas)
    for frame in (0, 17, 42):
        bpy.context.scene.frame_set(first + frame)
        np.testing.assert_allclose(joints_of(armature, body.names), joints[frame], atol=near)


def test_a_dance_in_the_nla_stays_right_too(files: dict[str, Path], motion: Motion) -> None:
    armature = make_smpl_body(bpy.context, files["SMPL"])
    first, _ = apply_motion(bpy.context, armature, motion).frames
    data = armature.animation_data
    slot = getattr(data, "action_slot", None)
    for name in ("one", "two"):
        strip = data.nla_tracks.new().strips.new(name, first, data.action)
        if slot is not None:
            strip.action_slot = slot
    data.action = None
    set_betas(bpy.context, armature, [3.0])
    body = load_body(files["SMPL"])
    joints = forward(body, *dance(body, motion, [3.0]), [3.0])
    bpy.context.scene.frame_set(first + 17)
    np.testing.assert_allclose(joints_of(armature, body.names), joints[17], atol=1e-4)


def test_an_action_that_others_use_is_left_alone(files: dict[str, Path], motion: Motion) -> None:
    armature, other = (make_smpl_body(bpy.context, files["SMPL"]) for _ in range(2))
    action = apply_motion(bpy.context, armature, motion).action
    other.animation_data_create().action = action
    if hasattr(action, "slots"):
        other.animation_data.action_slot = action.slots[0]
    bpy.context.scene.frame_set(30)
    before = np.array(armature.pose.bones["pelvis"].location)
    set_betas(bpy.context, armature, [3.0])
    bpy.context.scene.frame_set(31)
    bpy.context.scene.frame_set(30)
    np.testing.assert_array_equal(np.array(armature.pose.bones["pelvis"].location), before)


def test_shapes_change_while_the_bones_are_edited(files: dict[str, Path], motion: Motion) -> None:
    armature = make_smpl_body(bpy.context, files["SMPL"])
    first, _ = apply_motion(bpy.context, armature, motion).frames
    bpy.context.scene.frame_set(first + 17)
    before = np.array(armature.pose.bones["pelvis"].location)
    bpy.ops.object.mode_set(mode="EDIT")
    for beta in (1.0, 2.0, 4.0):
        set_betas(bpy.context, armature, [beta])
    assert armature.mode == "EDIT"
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.context.scene.frame_set(first + 18)
    bpy.context.scene.frame_set(first + 17)
    np.testing.assert_allclose(np.array(armature.pose.bones["pelvis"].location), 1.2 * before, atol=1e-5)


@pytest.mark.parametrize("mode", ["OBJECT", "POSE", "EDIT"])
def test_mode_selection_and_hiding_are_as_before(files: dict[str, Path], mode: str) -> None:
    armature = make_smpl_body(bpy.context, files["SMPL"])
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    armature.select_set(False)
    if mode == "POSE":
        bpy.context.view_layer.objects.active = armature
        armature.select_set(True)
    bpy.ops.object.mode_set(mode=mode)
    if mode == "OBJECT":
        armature.hide_set(True)
    active, selected = bpy.context.view_layer.objects.active, list(bpy.context.selected_objects)
    set_betas(bpy.context, armature, BETAS)
    assert bpy.context.view_layer.objects.active == active
    assert active.mode == mode
    assert bpy.context.selected_objects == selected
    assert armature.hide_get() == (mode == "OBJECT")
    assert cube.name in bpy.context.view_layer.objects
    bpy.ops.object.mode_set(mode="OBJECT")
    np.testing.assert_allclose(get_betas(armature)[:3], BETAS, atol=1e-6)
    head = load_body(files["SMPL"]).joints(BETAS)[15, 2] - load_body(files["SMPL"]).shaped(BETAS)[:, 2].min()
    np.testing.assert_allclose(armature.data.bones["head"].head_local[2], head, atol=1e-5)


def test_a_body_whose_bones_cant_be_edited_keeps_its_shape(files: dict[str, Path]) -> None:
    armature = make_smpl_body(bpy.context, files["SMPL"], BETAS)
    bpy.context.scene.collection.objects.unlink(armature)
    with pytest.raises(RigError, match="view layer"):
        set_betas(bpy.context, armature, [0.0, 0.0])
    np.testing.assert_allclose(get_betas(armature)[:3], BETAS, atol=1e-6)


def test_what_is_no_smpl_body_is_said(files: dict[str, Path], new_armature: Callable[[str], Any]) -> None:
    with pytest.raises(RigError, match="no SMPL body"):
        fit_skeleton(bpy.context, new_armature("Other"))
    armature = make_smpl_body(bpy.context, files["SMPL"])
    armature.data.bones["left_knee"].name = "Knee"
    with pytest.raises(RigError, match="no bone “left_knee”"):
        fit_skeleton(bpy.context, armature)


@pytest.mark.parametrize(
    ("betas", "said"), [([0.0] * 13, "12 betas"), ([float("nan")], "not finite"), ([50.0], "-10 to 10")]
)
def test_wrong_betas_leave_the_scene_as_it_was(files: dict[str, Path], betas: list[float], said: str) -> None:
    with pytest.raises(RigError, match=said):
        make_smpl_body(bpy.context, files["SMPL"], betas)
    assert not [*bpy.data.objects, *bpy.data.armatures, *bpy.data.meshes]


def test_a_body_survives_saving_and_needs_no_file_afterwards(files: dict[str, Path], tmp_path: Path) -> None:
    make_smpl_body(bpy.context, files["SMPL"], name="Dora")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "dora.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "dora.blend"))
    armature = bpy.data.objects["Dora"]
    set_betas(bpy.context, armature, BETAS)
    body = load_body(files["SMPL"])
    standing = body.joints(BETAS) - [0, 0, body.shaped(BETAS)[:, 2].min()]
    np.testing.assert_allclose(joints_of(armature, body.names), standing, atol=1e-5)


# --- in the sidebar --------------------------------------------------------------------------------------


@pytest.fixture
def panel(installed: str) -> Iterator[Any]:
    yield importlib.import_module(f"{installed}.addon.smpl_panel")
    importlib.import_module(f"{installed}.addon.session").current.error = ""


def test_the_button_adds_the_dancer(panel: Any, files: dict[str, Path]) -> None:
    assert bpy.ops.stepsmith.add_smpl_body(filepath=str(files["SMPL-X"]), shapes=5) == {"FINISHED"}
    armature = bpy.context.scene.stepsmith_settings.target
    assert armature.name == "SMPL-X"
    assert panel.smpl_body(bpy.context) == armature
    bpy.context.view_layer.objects.active = mesh_of(armature)
    assert panel.smpl_body(bpy.context) == armature


def test_the_sliders_shape_body_and_skeleton(panel: Any, files: dict[str, Path]) -> None:
    bpy.ops.stepsmith.add_smpl_body(filepath=str(files["SMPL"]))
    armature = bpy.context.object
    armature.stepsmith_body.betas[1] = 2.0
    assert mesh_of(armature).data.shape_keys.key_blocks["Shape001"].value == 2.0
    body = load_body(files["SMPL"])
    standing = body.joints([0.0, 2.0]) - [0, 0, body.shaped([0.0, 2.0])[:, 2].min()]
    np.testing.assert_allclose(joints_of(armature, body.names), standing, atol=1e-5)
    mesh_of(armature).data.shape_keys.key_blocks["Shape000"].value = 1.0
    np.testing.assert_allclose(list(armature.stepsmith_body.betas)[:3], [1.0, 2.0, 0.0])
    assert bpy.ops.stepsmith.fit_skeleton() == {"FINISHED"}
    moved = body.joints([1.0, 2.0]) - [0, 0, body.shaped([1.0, 2.0])[:, 2].min()]
    np.testing.assert_allclose(joints_of(armature, body.names), moved, atol=1e-5)


def test_a_file_that_is_no_body_is_said(panel: Any, tmp_path: Path) -> None:
    (tmp_path / "body.npz").write_bytes(b"PK")
    with pytest.raises(RuntimeError, match="no body model"):
        bpy.ops.stepsmith.add_smpl_body(filepath=str(tmp_path / "body.npz"))
    assert not bpy.data.objects


def test_other_objects_have_no_shape(panel: Any, new_armature: Callable[[str], Any]) -> None:
    armature = new_armature("Other")
    assert list(armature.stepsmith_body.betas) == [0.0] * 10
    assert panel.smpl_body(bpy.context) is None
    assert not bpy.ops.stepsmith.fit_skeleton.poll()
