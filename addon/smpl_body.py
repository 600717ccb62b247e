"""A SMPL body in Blender: an armature, its skinned mesh with a shape key a beta, and joints that follow the shape.

The user's own model file makes the body once; what the joints need to follow the shape is kept with the
armature's data, so that the file need not stay. Blender skins the mesh without the model's pose blend
shapes, which would be some 200 driven keys.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..retarget.body_model import BodyModel, load_body, rest_rig
from ..retarget.errors import RigError
from ..retarget.rotations import Array

# Custom property of an armature's data: how its joints follow the shape, as JSON.
_REST = "stepsmith_rest"
# Shape keys of this many betas are made unless asked for otherwise; each after them changes little.
SHAPES = 10
LARGEST_BETA = 10.0

# Metres, of bones whose limb is too short to show.
_SHORTEST = 1e-3

_LEG = (("left_hip", "left_knee", "left_ankle"), ("right_hip", "right_knee", "right_ankle"))


def make_smpl_body(
    context: bpy.types.Context,
    path: str | os.PathLike[str],
    betas: Sequence[float] | None = None,
    *,
    name: str | None = None,
    shapes: int = SHAPES,
) -> bpy.types.Object:
    """Make the body of a SMPL, SMPL-H or SMPL-X file in the scene; returns its armature, the mesh a child of it.

    SMPL's bone names, at rest as the model is, facing -y, the soles on z = 0. ``betas``: its shape, the
    model's mean unless given. ``shapes``: how many betas get a shape key, "Shape000" and so on; at least
    those given do. Raises RigError, with the scene as it was, where the file is no such model.
    """
    body = load_body(bpy.path.abspath(os.fspath(path)), correctives=False)
    values = np.zeros(0) if betas is None else np.asarray(betas, dtype=np.float64).reshape(-1)
    body.shaped(values)  # checks them
    if np.abs(values).max(initial=0.0) > LARGEST_BETA:
        raise RigError(f"Betas go from {-LARGEST_BETA:g} to {LARGEST_BETA:g}: give smaller ones.")
    count = min(max(shapes, len(values)), len(body.shape_dirs))
    name = name or body.kind
    if context.object is not None and context.object.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    made: list[Any] = []
    try:
        armature = bpy.data.objects.new(name, bpy.data.armatures.new(name))
        made += [armature.data, armature]
        mesh = bpy.data.objects.new(f"{name} Mesh", _make_mesh(f"{name} Mesh", body))
        made += [mesh.data, mesh]
        for ob in (armature, mesh):
            context.scene.collection.objects.link(ob)
        _make_bones(context, armature, body)
        _skin(mesh, armature, body)
        _make_keys(mesh, body, count)
        _remember(armature, body, count)
        set_betas(context, armature, values)
    except BaseException:
        bpy.data.batch_remove(made)
        raise
    for selected in context.selected_objects:
        selected.select_set(False)
    context.view_layer.objects.active = armature
    armature.select_set(True)
    return armature


def is_smpl_body(ob: bpy.types.Object | None) -> bool:
    """Whether this is an armature that ``make_smpl_body`` made, with its mesh."""
    return ob is not None and ob.type == "ARMATURE" and _REST in ob.data and _mesh_of(ob) is not None


def get_betas(armature: bpy.types.Object) -> Array:
    """(B,) the values of the body's shape keys; 0 for those that are muted."""
    return np.array([0.0 if key.mute else key.value for key in _shape_keys(armature)])


def set_betas(context: bpy.types.Context, armature: bpy.types.Object, betas: Sequence[float] | Array) -> None:
    """Give the body this shape, its first betas, and let its joints follow. Raises RigError as ``fit_skeleton``."""
    keys = _shape_keys(armature)[: len(betas)]
    before = [key.value for key in keys]
    try:
        for key, value in zip(keys, betas, strict=False):
            key.value = float(value)
        fit_skeleton(context, armature)
    except RigError:
        for key, value in zip(keys, before, strict=True):
            key.value = value
        raise


def fit_skeleton(context: bpy.types.Context, armature: bpy.types.Object) -> None:
    """Move the rest joints to where the shape keys' values have them, and the soles to the armature's z = 0.

    How bones are turned at rest stays, so rotation keys stay right; the path's keys are scaled by leg
    length, as a dance made for this shape would be. Raises RigError, with all as it was, where the
    armature is no SMPL body or its bones can't be edited.
    """
    rest = _recall(armature)
    keys = _shape_keys(armature)
    betas = get_betas(armature)[: len(rest.dirs)]
    floor = -float(_shaped(keys)[:, 2].min())
    heads = rest.heads + np.tensordot(betas, rest.dirs[: len(betas)], axes=1) + [0.0, 0.0, floor]
    with _edit_bones(context, armature) as bones:
        lost = [name for name in rest.bones if name not in bones]
        if lost:
            raise RigError(f"{armature.name} has no bone “{lost[0]}” any more: add the SMPL body anew.")
        before = {name: np.array(bones[name].head) for name in rest.bones}
        for name, end, head in zip(rest.bones, rest.towards, heads, strict=True):
            bone = bones[name]
            along = bone.tail - bone.head
            if end >= 0:
                along = along.normalized() * max(float(np.linalg.norm(heads[end] - head)), _SHORTEST)
            bone.head = head
            bone.tail = Vector(head) + along
    mesh = _mesh_of(armature)
    assert mesh is not None  # _recall has found it
    mesh.matrix_parent_inverse = Matrix.Translation((0.0, 0.0, floor))
    after = dict(zip(rest.bones, heads, strict=True))
    _scale_path(armature, rest.bones[0], _leg_length(after) / _leg_length(before))
    context.view_layer.update()


# --- making ----------------------------------------------------------------------------------------------


def _make_mesh(name: str, body: BodyModel) -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(body.template.tolist(), [], body.faces.tolist())
    mesh.validate()  # a strange file's faces may use a vertex twice
    mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), dtype=bool))
    mesh.update()
    return mesh


def _make_bones(context: bpy.types.Context, armature: bpy.types.Object, body: BodyModel) -> None:
    armature.show_in_front = True
    armature.data.display_type = "STICK"
    rig = rest_rig(body)
    with _edit_bones(context, armature) as bones:
        for name, parent, rest, length in zip(rig.names, rig.parents, rig.rest, rig.lengths, strict=True):
            bone = bones.new(name)
            bone.head = rest[:3, 3]
            bone.tail = rest[:3, 3] + length * rest[:3, 1]
            bone.align_roll(Vector(rest[:3, 2]))
            if parent >= 0:
                bone.parent = bones[rig.names[parent]]


def _skin(mesh: bpy.types.Object, armature: bpy.types.Object, body: BodyModel) -> None:
    mesh.parent = armature
    for bone, column in zip(body.names, body.weights.T, strict=True):
        group = mesh.vertex_groups.new(name=bone)
        for vertex in np.flatnonzero(column > 0.0).tolist():
            group.add([vertex], float(column[vertex]), "REPLACE")
    modifier = mesh.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature


def _make_keys(mesh: bpy.types.Object, body: BodyModel, count: int) -> None:
    mesh.shape_key_add(name="Basis", from_mix=False)
    for number, offsets in enumerate(body.shape_dirs[:count]):
        key = mesh.shape_key_add(name=_key_name(number), from_mix=False)
        key.value = 0.0  # from Blender 5.0 on a new one is switched on
        key.slider_min, key.slider_max = -LARGEST_BETA, LARGEST_BETA
        key.data.foreach_set("co", (body.template + offsets).astype(np.float32).ravel())


def _key_name(number: int) -> str:
    return f"Shape{number:03d}"


# --- what is kept with the armature ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Rest:
    """How the joints follow the shape. ``heads``: (J, 3) and ``dirs``: (B, J, 3) metres, before the soles are
    put on the floor; ``towards``: J indices of the joints that bones point to, -1 for tips."""

    bones: tuple[str, ...]
    towards: tuple[int, ...]
    heads: Array
    dirs: Array


def _remember(armature: bpy.types.Object, body: BodyModel, count: int) -> None:
    armature.data[_REST] = json.dumps(
        {
            "bones": body.names,
            "towards": body.towards,
            "heads": body.joints().round(7).tolist(),
            "dirs": body.joint_dirs[:count].astype(np.float64).round(7).tolist(),
        }
    )


def _recall(armature: bpy.types.Object) -> _Rest:
    if not is_smpl_body(armature):
        raise RigError(f"{armature.name} is no SMPL body: choose the armature that came with one.")
    kept = json.loads(armature.data[_REST])
    return _Rest(tuple(kept["bones"]), tuple(kept["towards"]), np.array(kept["heads"]), np.array(kept["dirs"]))


def _mesh_of(armature: bpy.types.Object) -> bpy.types.Object | None:
    for child in armature.children:
        keys = child.data.shape_keys if child.type == "MESH" else None
        if keys is not None and _key_name(0) in keys.key_blocks:
            return child
    return None


def _shape_keys(armature: bpy.types.Object) -> list[bpy.types.ShapeKey]:
    mesh = _mesh_of(armature)
    if mesh is None:
        raise RigError(f"{armature.name} has no mesh with the shape key {_key_name(0)}: add the SMPL body anew.")
    blocks = mesh.data.shape_keys.key_blocks
    names = [_key_name(number) for number in range(len(blocks))]
    return [blocks[name] for name in names if name in blocks]


def _shaped(keys: Sequence[bpy.types.ShapeKey]) -> Array:
    """(V, 3) the mesh's vertices as the shape keys' values have them, in its own frame."""
    basis = _points(keys[0].relative_key)
    shaped = basis.copy()
    for key in keys:
        if key.value and not key.mute:
            shaped += key.value * (_points(key) - basis)
    return shaped


def _points(key: bpy.types.ShapeKey) -> Array:
    points = np.empty(3 * len(key.data), np.float32)
    key.data.foreach_get("co", points)
    return points.reshape(-1, 3).astype(np.float64)


# --- changing ----------------------------------------------------------------------------------------------


@contextmanager
def _edit_bones(context: bpy.types.Context, armature: bpy.types.Object) -> Iterator[Any]:
    """The armature's edit bones; mode and active object are afterwards as they were."""
    if armature.mode == "EDIT":
        yield armature.data.edit_bones
        return
    if armature.data.library is not None or armature.data.override_library is not None:
        raise RigError(f"{armature.name}'s bones are linked from another file: make its data local first.")
    layer = context.view_layer
    layer.update()  # objects made just now
    if layer.objects.get(armature.name) != armature:
        raise RigError(f"{armature.name} is not in the view layer: include its collection first.")
    active = layer.objects.active
    mode = "OBJECT" if active is None else active.mode
    hidden = armature.hide_get(), armature.hide_viewport
    if mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    try:
        armature.hide_viewport = False
        armature.hide_set(False)
        if not armature.visible_get():
            raise RigError(f"{armature.name} can't be seen, so its bones can't be moved: show its collection first.")
        layer.objects.active = armature
        bpy.ops.object.mode_set(mode="EDIT")
        try:
            yield armature.data.edit_bones
        finally:
            bpy.ops.object.mode_set(mode="OBJECT")
    finally:
        armature.hide_set(hidden[0])
        armature.hide_viewport = hidden[1]
        layer.objects.active = active
        if mode != "OBJECT":
            bpy.ops.object.mode_set(mode=mode)


def _leg_length(heads: dict[str, Array]) -> float:
    return sum(
        float(np.linalg.norm(heads[knee] - heads[hip]) + np.linalg.norm(heads[ankle] - heads[knee]))
        for hip, knee, ankle in _LEG
    )


def _scale_path(armature: bpy.types.Object, bone: str, factor: float) -> None:
    """Scale the location keys of ``bone`` in the armature's own actions; those that others use too stay as they are."""
    if abs(factor - 1.0) < 1e-7:
        return
    path = armature.pose.bones[bone].path_from_id("location")
    for curve in _own_curves(armature):
        if curve.data_path != path:
            continue
        points = curve.keyframe_points
        values = np.empty(2 * len(points), np.float32)
        for place in ("co", "handle_left", "handle_right"):
            points.foreach_get(place, values)
            values[1::2] *= factor
            points.foreach_set(place, values)
        curve.update()


def _own_curves(armature: bpy.types.Object) -> list[bpy.types.FCurve]:
    """The curves that move this armature and nothing else, by its action or by strips of the NLA."""
    data = armature.animation_data
    if data is None:
        return []
    uses = [data, *(strip for track in data.nla_tracks for strip in track.strips)]
    used = [(use.action, getattr(use, "action_slot", None)) for use in uses if use.action is not None]
    curves: list[bpy.types.FCurve] = []
    for action, slot in dict.fromkeys(used):
        if not hasattr(action, "slots"):  # 4.2, 4.3
            if action.users - action.use_fake_user == sum(other == action for other, _ in used):
                curves += action.fcurves
        elif slot is not None and slot.users() == [armature]:
            bags = [strip.channelbag(slot) for layer in action.layers for strip in layer.strips]
            curves += [curve for bag in bags if bag is not None for curve in bag.fcurves]
    return curves
