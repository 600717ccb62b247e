"""Camera, light and floor for a dance, in a scene that has none."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Vector

from ..retarget.rotations import Array

_BACKDROP = (0.62, 0.64, 0.68)
_FRAMES_LOOKED_AT = 150
# Of each mesh, so many points at most are looked at on a frame.
_POINTS_LOOKED_AT = 400
# From the dance to the camera, in which a dance looks well: from the front, a little to the side, at breast height and
# looking down a little.
_ASIDE = Vector((0.32, -1.0, 0.16)).normalized()
# As a camera sees it that looks along y, which is where a captured dancer was filmed from.
_STRAIGHT = Vector((0.0, -1.0, 0.08)).normalized()


def stage(
    context: bpy.types.Context, armature: bpy.types.Object, *, backdrop: bool = True, straight: bool = False
) -> None:
    """Give the scene what it lacks to show ``armature``'s dance: a camera that has the whole body in view
    on every frame of the scene's range, three lights, a world; with ``backdrop`` also a floor and wall.

    ``straight``: the camera looks along y, not a little from the side."""
    scene = context.scene
    to_camera = _STRAIGHT if straight else _ASIDE
    points = dance_points(context, armature)
    if scene.camera is None:
        scene.camera = _add_camera(scene, points, to_camera)
    if not any(ob.type == "LIGHT" for ob in scene.objects):
        _add_lights(scene, points)
    if scene.world is None:
        scene.world = _make_world()
    if backdrop:
        _add_backdrop(scene, points, to_camera)


def dance_points(context: bpy.types.Context, armature: bpy.types.Object) -> Array:
    """(N, 3) metres in the world, over the scene's frames: what the armature's meshes reach, and where they have no
    vertex all bones' ends with flesh around them."""
    scene = context.scene
    frame = scene.frame_current
    count = scene.frame_end - scene.frame_start + 1
    meshes = [ob for ob in scene.objects if is_moved_by(ob, armature) and not ob.hide_render]
    reached: list[Array] = []
    for f in np.unique(np.linspace(scene.frame_start, scene.frame_end, min(count, _FRAMES_LOOKED_AT)).astype(int)):
        scene.frame_set(int(f))
        depsgraph = context.evaluated_depsgraph_get()
        flesh = [_vertices(ob.evaluated_get(depsgraph)) for ob in meshes]
        bare = not any(map(len, flesh))
        reached.append(_bone_ends(armature.evaluated_get(depsgraph)) if bare else np.concatenate(flesh))
    scene.frame_set(frame)
    ends = np.concatenate(reached)
    margin = (0.07 if bare else 0.02) * np.ptp(reached[0][:, 2])
    return np.concatenate([ends + margin * d for d in (*np.eye(3), *-np.eye(3))])


def is_moved_by(ob: bpy.types.Object, armature: bpy.types.Object) -> bool:
    """Whether the object is a mesh that the armature moves."""
    return ob.type == "MESH" and hangs_from(ob, armature)


def hangs_from(ob: bpy.types.Object, armature: bpy.types.Object) -> bool:
    """Whether the armature deforms the object or carries it, be it by others in between: a hat in a socket."""
    if ob.find_armature() is armature or ob.parent is armature:
        return True
    return ob.parent is not None and hangs_from(ob.parent, armature)


def _bone_ends(posed: bpy.types.Object) -> Array:
    """(2 B, 3) metres in the world, heads and tails of an evaluated armature's bones."""
    ends = np.array([end for bone in posed.pose.bones for end in (bone.head, bone.tail)])
    world = np.array(posed.matrix_world)
    return ends @ world[:3, :3].T + world[:3, 3]


def _vertices(mesh: bpy.types.Object) -> Array:
    """(n, 3) metres in the world, some vertices of an evaluated mesh."""
    places = np.empty(3 * len(mesh.data.vertices), np.float32)
    mesh.data.vertices.foreach_get("co", places)
    some = places.reshape(-1, 3)[:: max(1, len(places) // (3 * _POINTS_LOOKED_AT))]
    world = np.array(mesh.matrix_world)
    return some @ world[:3, :3].T + world[:3, 3]


def _add_camera(scene: bpy.types.Scene, points: Array, to_camera: Vector) -> bpy.types.Object:
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.lens = 50.0
    scene.collection.objects.link(camera)
    camera.rotation_euler = to_camera.to_track_quat("Z", "Y").to_euler()
    axes = np.array(camera.rotation_euler.to_matrix())  # columns: right, up, backward
    frame = np.array([corner[:] for corner in camera.data.view_frame(scene=scene)])
    half = np.abs(frame[:, :2] / frame[:, 2:]).max(axis=0)
    camera.location = axes @ _viewpoint(points @ axes, half * 0.94)
    return camera


def _viewpoint(points: Array, half: Array) -> Array:
    """(3,) where a camera that looks along -z sees all ``points`` (N, 3), as near as can be.

    ``half``: (2,) tangents of half its angles of view. On each axis the two planes that bound the view
    touch the points; the camera stands where the farther back of the two pairs meet.
    """
    high = (points[:, :2] + half * points[:, 2:]).max(axis=0)
    low = (points[:, :2] - half * points[:, 2:]).min(axis=0)
    return np.array([*(high + low) / 2.0, ((high - low) / (2.0 * half)).max()])


def _add_lights(scene: bpy.types.Scene, points: Array) -> None:
    """Key, fill and rim, as large and as far away as the dance is wide."""
    low, high = points.min(axis=0), points.max(axis=0)
    centre = Vector((low + high) / 2.0)
    reach = max(2.5, float(np.linalg.norm(high - low)))
    for name, direction, energy, size, colour in (
        ("Key", (-0.8, -1.0, 1.1), 13.0, 0.8, (1.0, 0.95, 0.88)),
        ("Fill", (1.2, -0.7, 0.5), 4.0, 1.2, (0.86, 0.92, 1.0)),
        ("Rim", (0.5, 1.0, 1.1), 12.0, 0.6, (1.0, 1.0, 1.0)),
    ):
        light = bpy.data.lights.new(name, "AREA")
        light.energy = energy * reach**2
        light.size = size * reach
        light.color = colour
        ob = bpy.data.objects.new(name, light)
        scene.collection.objects.link(ob)
        toward = Vector(direction).normalized()
        ob.location = centre + toward * reach * 1.2
        ob.rotation_euler = toward.to_track_quat("Z", "Y").to_euler()


def _make_world() -> bpy.types.World:
    world = bpy.data.worlds.new("Studio")
    world.color = _BACKDROP
    if bpy.app.version < (5, 0):  # later ones always use them
        world.use_nodes = True
    background = next(node for node in world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value = (*_BACKDROP, 1.0)
    background.inputs["Strength"].default_value = 0.45
    return world


def _add_backdrop(scene: bpy.types.Scene, points: Array, to_camera: Vector) -> None:
    """A floor at z = 0 that bends up into a wall behind the dance, square to the camera."""
    away = -np.array(to_camera.to_2d().normalized())
    right = np.array([-away[1], away[0]]) * -1.0
    depth, side = points[:, :2] @ away, points[:, :2] @ right
    reach = max(3.0, float(np.linalg.norm(np.ptp(points, axis=0))))
    back, radius = depth.max() + 0.8 * reach, 0.5 * reach
    bend = [(back + radius * np.sin(a), radius * (1.0 - np.cos(a))) for a in np.radians(np.linspace(0, 90, 25))]
    profile = [(depth.min() - 4.0 * reach, 0.0), *bend, (back + radius, 4.0 * reach)]
    ends = np.median(side) + np.array([-6.0, 6.0]) * reach
    vertices = [(*(d * away + s * right), z) for d, z in profile for s in ends]
    faces = [(2 * i, 2 * i + 1, 2 * i + 3, 2 * i + 2) for i in range(len(profile) - 1)]
    mesh = bpy.data.meshes.new("Backdrop")
    mesh.from_pydata(vertices, [], faces)
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), dtype=bool))
    material = bpy.data.materials.new("Backdrop")
    if bpy.app.version < (5, 0):  # later ones always use them
        material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = (*_BACKDROP, 1.0)
    shader.inputs["Roughness"].default_value = 0.9
    material.diffuse_color = (*_BACKDROP, 1.0)
    material.roughness = 0.9
    mesh.materials.append(material)
    scene.collection.objects.link(bpy.data.objects.new("Backdrop", mesh))
