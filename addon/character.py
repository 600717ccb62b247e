"""The built-in character: a mannequin on an SMPL-24 armature, made in code, free to use."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Vector

from ..retarget.skeleton import SMPL
from .body import MATERIALS, REST_JOINTS, BodyMesh, build_body

# Linear colour and roughness of each material, in the order of body.MATERIALS.
_LOOKS = {
    "Skin": ((0.80, 0.50, 0.34), 0.55),
    "Top": ((0.83, 0.20, 0.13), 0.60),
    "Leggings": ((0.045, 0.055, 0.085), 0.65),
    "Shoes": ((0.83, 0.20, 0.13), 0.40),
    "Hair": ((0.060, 0.035, 0.028), 0.50),
}
# How far the bones without a child reach from their heads, metres.
_TIPS = {"head": (0.0, 0.0, 0.165), "foot": (0.004, -0.070, -0.004), "hand": (0.095, 0.0, -0.012)}


def make_character(
    context: bpy.types.Context, name: str = "Dancer", collection: bpy.types.Collection | None = None
) -> bpy.types.Object:
    """Make the character in the scene and return its armature, the mesh a child of it.

    SMPL-24 bone names, T pose facing -y, the soles on z = 0, as many metres tall in every unit of length that
    a scene may have. ``collection``: the scene's own unless given.
    """
    collection = collection or context.scene.collection
    armature = _make_armature(context, name, collection)
    mesh_data = build_body()
    body = bpy.data.objects.new(f"{name} Body", _make_mesh(f"{name} Body", mesh_data, _metre(context)))
    collection.objects.link(body)
    body.parent = armature
    _weight(body, mesh_data.weights)
    modifier = body.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature
    return armature


def _metre(context: bpy.types.Context) -> float:
    """Units of the scene."""
    return 1.0 / float(context.scene.unit_settings.scale_length)


def _make_armature(context: bpy.types.Context, name: str, collection: bpy.types.Collection) -> bpy.types.Object:
    armature = bpy.data.objects.new(name, bpy.data.armatures.new(name))
    collection.objects.link(armature)
    armature.show_in_front = True
    armature.data.display_type = "STICK"
    objects = context.view_layer.objects
    if objects.active is not None and objects.active.mode != "OBJECT":
        set_mode(context, objects.active, "OBJECT")
    for selected in list(objects.selected):
        selected.select_set(False)
    objects.active = armature
    armature.select_set(True)
    set_mode(context, armature, "EDIT")
    bones, metre = armature.data.edit_bones, _metre(context)
    for joint, bone_name in enumerate(SMPL.names):
        bone = bones.new(bone_name)
        bone.head = metre * REST_JOINTS[joint]
        bone.tail = metre * (REST_JOINTS[joint] + _reach(joint))
        # The bend of knees and elbows is then about the bone's own x axis.
        bone.align_roll(Vector((0.0, 0.0, -1.0) if "foot" in bone_name else (0.0, -1.0, 0.0)))
        if SMPL.parents[joint] >= 0:
            bone.parent = bones[SMPL.names[SMPL.parents[joint]]]
    set_mode(context, armature, "OBJECT")
    return armature


def set_mode(context: bpy.types.Context, ob: bpy.types.Object, mode: str) -> None:
    """Put the active object into a mode.

    Blender itself knows it only in a window, and a file opened without one has none.
    """
    with context.temp_override(active_object=ob, object=ob):
        bpy.ops.object.mode_set(mode=mode)


def _reach(joint: int) -> np.ndarray:
    """From a bone's head to its tail: to the joint that carries on the chain, or to the tip of the limb."""
    name = SMPL.names[joint]
    side, _, part = name.rpartition("_")
    if part in _TIPS:
        return np.multiply(_TIPS[part], [-1.0 if side == "right" else 1.0, 1.0, 1.0])
    children = [child for child, parent in enumerate(SMPL.parents) if parent == joint]
    middle = [child for child in children if not SMPL.names[child].startswith(("left_", "right_"))]
    return SMPL.offsets[(middle or children)[0]]


def _make_mesh(name: str, body: BodyMesh, metre: float) -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata((metre * body.vertices).tolist(), [], body.faces)
    mesh.polygons.foreach_set("use_smooth", np.ones(len(body.faces), dtype=bool))
    for material in MATERIALS:
        mesh.materials.append(_make_material(material))
    mesh.polygons.foreach_set("material_index", body.materials.astype(np.int32))
    mesh.update()
    return mesh


def _weight(body: bpy.types.Object, weights: np.ndarray) -> None:
    """One vertex group a bone, from weights (V, 24)."""
    for bone_name, column in zip(SMPL.names, weights.T, strict=True):
        group = body.vertex_groups.new(name=bone_name)
        for vertex in np.flatnonzero(column).tolist():
            group.add([vertex], float(column[vertex]), "REPLACE")


def _make_material(name: str) -> bpy.types.Material:
    colour, roughness = _LOOKS[name]
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0):  # later ones always use them
        material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = (*colour, 1.0)
    shader.inputs["Roughness"].default_value = roughness
    # Workbench and the solid view use these.
    material.diffuse_color = (*colour, 1.0)
    material.roughness = roughness
    return material
