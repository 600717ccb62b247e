from __future__ import annotations

import bpy
import numpy as np
import pytest
from stepsmith.addon.armature import read_rig
from stepsmith.addon.body import MATERIALS, build_body
from stepsmith.addon.character import make_character
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.bone_maps import find_map
from stepsmith.retarget.skeleton import SMPL, SMPL_MIRROR, forward_kinematics

BODY = build_body()
REST = SMPL.rest_positions + np.array([0.0, 0.0, SMPL.rest_root_height])


@pytest.fixture
def dancer() -> bpy.types.Object:
    bpy.ops.wm.read_homefile(use_empty=True)
    return make_character(bpy.context, "Ada")


def posed(**turns: tuple[float, float, float]) -> np.ndarray:
    """(V, 3) the body's vertices with these joints turned (rotation vectors, degrees, rest frame)."""
    rotations = np.tile(rot.IDENTITY, (1, 24, 1))
    for name, turn in turns.items():
        rotations[0, SMPL.names.index(name)] = rot.from_axis_angle(np.radians(turn))
    heads, turned = forward_kinematics(SMPL, rotations, REST[:1])
    moved = rot.rotate(turned[0], BODY.vertices[:, None] - REST) + heads[0]
    return (BODY.weights[..., None] * moved).sum(axis=1)


def triangles() -> np.ndarray:
    return np.array([(f[0], f[i], f[i + 1]) for f in BODY.faces for i in range(1, len(f) - 1)])


def volume(vertices: np.ndarray) -> float:
    a, b, c = np.moveaxis(vertices[triangles()], 1, 0)
    return float(np.sum(a * np.cross(b, c)) / 6.0)


def test_the_armature_is_the_smpl_skeleton_at_rest(dancer: bpy.types.Object) -> None:
    rig = read_rig(dancer)
    assert set(rig.names) == set(SMPL.names)
    for joint, name in enumerate(SMPL.names):
        bone = dancer.data.bones[name]
        parent = bone.parent.name if bone.parent else None
        assert parent == (SMPL.names[SMPL.parents[joint]] if SMPL.parents[joint] >= 0 else None)
        assert np.array(bone.head_local) == pytest.approx(REST[joint], abs=1e-6)
        assert bone.length > 0.02


def test_every_joint_finds_its_bone(dancer: bpy.types.Object) -> None:
    found = find_map(read_rig(dancer))
    assert all(found.bone(name) == name for name in SMPL.names)


def test_left_and_right_bones_mirror_each_other(dancer: bpy.types.Object) -> None:
    for joint, other in enumerate(SMPL_MIRROR):
        here, there = (dancer.data.bones[SMPL.names[j]] for j in (joint, other))
        assert np.array(here.tail_local) == pytest.approx(np.array(there.tail_local) * [-1, 1, 1], abs=1e-6)


def test_the_mesh_follows_the_armature(dancer: bpy.types.Object) -> None:
    body = dancer.children[0]
    turn = rot.from_axis_angle(np.radians([110.0, 0.0, 0.0]))
    bone = dancer.pose.bones["left_knee"]
    rest = rot.from_matrix(np.array(bone.bone.matrix_local)[:3, :3])
    bone.rotation_mode = "QUATERNION"
    bone.rotation_quaternion = rot.multiply(rot.conjugate(rest), rot.multiply(turn, rest))
    bpy.context.view_layer.update()
    mesh = body.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    vertices = np.array([vertex.co for vertex in mesh.vertices])
    assert vertices == pytest.approx(posed(left_knee=(110.0, 0.0, 0.0)), abs=1e-4)


def test_nothing_else_in_the_scene_is_touched() -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    first = make_character(bpy.context, "Ada")
    second = make_character(bpy.context, "Ada")
    assert first.name == "Ada"
    assert second.name != first.name
    assert second.children[0].modifiers[0].object == second
    assert len(bpy.context.scene.objects) == 4


def test_the_mesh_is_closed_and_faces_outward() -> None:
    edges = np.sort(np.concatenate([np.array([(f[i - 1], f[i]) for i in range(len(f))]) for f in BODY.faces]), axis=1)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    assert (uses == 2).all()
    assert 0.04 < volume(BODY.vertices) < 0.08  # a slender adult of 1.75 m, in cubic metres


def test_the_mesh_is_light_and_stands_on_the_floor() -> None:
    assert len(BODY.vertices) < 15_000
    low, high = BODY.vertices.min(axis=0), BODY.vertices.max(axis=0)
    assert low[2] == pytest.approx(0.0, abs=0.003)
    assert 1.70 < high[2] < 1.80
    assert low[0] == pytest.approx(-high[0], abs=1e-5)


def test_every_material_is_used() -> None:
    assert set(BODY.materials) == set(range(len(MATERIALS)))


def test_weights_are_normalised_and_at_most_four() -> None:
    assert BODY.weights.sum(axis=1) == pytest.approx(np.ones(len(BODY.weights)))
    assert (BODY.weights >= 0).all()
    assert (np.count_nonzero(BODY.weights, axis=1) <= 4).all()
    assert (BODY.weights.max(axis=0) > 0.5).all()  # every bone moves something


def test_weights_change_gently_over_the_surface() -> None:
    edges = np.concatenate([np.array([(f[i - 1], f[i]) for i in range(len(f))]) for f in BODY.faces])
    jump = np.abs(BODY.weights[edges[:, 0]] - BODY.weights[edges[:, 1]]).max(axis=1)
    length = np.linalg.norm(BODY.vertices[edges[:, 0]] - BODY.vertices[edges[:, 1]], axis=1)
    assert (jump < 0.06 + 45.0 * length).all()
    assert jump.max() < 0.75


@pytest.mark.parametrize(
    "turns",
    [
        {"left_knee": (120.0, 0.0, 0.0), "left_hip": (-90.0, 0.0, 0.0)},
        {"left_elbow": (0.0, 0.0, -130.0)},
        {"left_shoulder": (0.0, 75.0, 0.0), "right_shoulder": (0.0, 80.0, 0.0)},
        {"left_wrist": (80.0, 0.0, 0.0)},
        {"spine1": (0.0, 0.0, 25.0), "spine2": (0.0, 0.0, 25.0), "spine3": (0.0, 0.0, 25.0), "head": (0.0, 0.0, 60.0)},
    ],
)
def test_bent_and_twisted_limbs_keep_their_volume(turns: dict[str, tuple[float, float, float]]) -> None:
    assert volume(posed(**turns)) == pytest.approx(volume(BODY.vertices), rel=0.04)


def test_a_twisted_forearm_stays_round() -> None:
    """No cross-section of the arm shrinks to less than 60 % of its width where the wrist turns 80 degrees."""
    turned = posed(left_wrist=(80.0, 0.0, 0.0))
    for x in np.arange(0.50, 0.70, 0.02):
        ring = np.abs(BODY.vertices[:, 0] - x) < 0.012
        before, after = (v[ring][:, 1:] - v[ring][:, 1:].mean(axis=0) for v in (BODY.vertices, turned))
        assert np.linalg.norm(after, axis=1).min() > 0.6 * np.linalg.norm(before, axis=1).min()


def test_it_is_as_tall_in_centimetres() -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.unit_settings.scale_length = 0.01
    small = make_character(bpy.context)
    body = small.children[0]
    assert np.array([vertex.co for vertex in body.data.vertices]) == pytest.approx(100.0 * BODY.vertices, abs=1e-3)
    assert np.array(small.data.bones["head"].head_local) == pytest.approx(
        100.0 * REST[SMPL.names.index("head")], abs=1e-3
    )
    assert small.scale == body.scale
    assert tuple(small.scale) == (1.0, 1.0, 1.0)
