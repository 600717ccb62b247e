"""Where the camera finds a dance whose meshes show nothing. What it sees of others is in test_scene."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import bpy
import numpy as np
import pytest
from stepsmith.addon.stage import dance_points, stage


def without_vertices(_mesh: Any) -> None:
    pass


def of_instances_alone(mesh: Any) -> None:
    mesh.data.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    nodes = bpy.data.node_groups.new("Instance", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        nodes.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    kinds = ("NodeGroupInput", "GeometryNodeGeometryToInstance", "NodeGroupOutput")
    for before, after in pairwise([nodes.nodes.new(kind) for kind in kinds]):
        nodes.links.new(before.outputs[0], after.inputs[0])
    mesh.modifiers.new("Instance", "NODES").node_group = nodes


@pytest.mark.parametrize("change", [without_vertices, of_instances_alone])
def test_a_character_without_vertices_is_where_its_bones_are(
    new_armature: Callable[[str], Any], change: Callable[[Any], None]
) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    armature = new_armature("Rig")
    bones = dance_points(bpy.context, armature)
    mesh = bpy.data.objects.new("Mesh", bpy.data.meshes.new("Mesh"))
    bpy.context.scene.collection.objects.link(mesh)
    mesh.parent = armature
    change(mesh)
    assert np.array_equal(dance_points(bpy.context, armature), bones)
    stage(bpy.context, armature)
    assert bpy.context.scene.camera is not None
