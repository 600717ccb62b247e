"""How true one armature does what another does, as Blender itself evaluates both.

    python benchmarks/rig_to_rig.py [--data DIR] [--json FILE] [--frames N]

An armature of SMPL's 24 joints, bound in T pose or with its arms 45 degrees down, plays a dance; a character of 67
bones with Mixamo's names and other proportions takes it over by ``retarget_action``, with no bone named by hand.
"moved": both objects stand, turn and scale as their users left them, and the rest poses are off the origin.
DIR: the tang2018 dances; without it a made dance.

Directions are those of thighs, shins, upper arms and forearms, against the source's. Slide and height are of the
feet that the dance says stand: slide in metres of the dancer (scaled by leg length), height above where the
character's own feet are at rest.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp(prefix="stepsmith-benchmark-"))

import bpy
import numpy as np
from rigs import FRAMES, SEGMENTS, shown
from stepsmith.addon.armature import read_rig
from stepsmith.addon.rig_to_rig import retarget_action
from stepsmith.addon.scene import Options, apply_motion
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.bone_maps import find_map
from stepsmith.retarget.feet import lock_feet
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.rotations import Array
from stepsmith.retarget.skeleton import FOOT_HEIGHT, SMPL, SMPL_NAMES, SMPL_PARENTS

from retarget import FEET, made_dance, print_table, slide

_LIMB = {
    "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase",
    "collar": "Shoulder", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
}  # fmt: skip
_MIDDLE = {"pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck", "head": "Head"}
MIXAMO = {joint: f"mixamorig:{bone}" for joint, bone in _MIDDLE.items()} | {
    f"{side}_{joint}": f"mixamorig:{side.title()}{bone}" for side in ("left", "right") for joint, bone in _LIMB.items()
}
FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")


def joints(arms: float = 0.0, shins: float = 1.0) -> Array:
    """(24, 3) metres, SMPL's joints at rest, arms so many degrees below the T pose, shins so much longer."""
    turns = np.tile(rot.IDENTITY, (1, 24, 1))
    for joint, sign in ((16, 1.0), (17, -1.0)):
        turns[0, joint] = rot.from_axis_angle([0.0, np.radians(arms) * sign, 0.0])
    places = Motion(30.0, np.zeros((1, 3)), turns, np.zeros((1, 4))).positions()[0]
    for knee, ankle, foot in ((4, 7, 10), (5, 8, 11)):
        places[[ankle, foot]] += (shins - 1.0) * (places[ankle] - places[knee])
    places[:, 2] += FOOT_HEIGHT - places[10, 2]
    return places


def build(name: str, places: Array, names: dict[str, str]) -> bpy.types.Object:
    """An armature of the bones ``names`` {joint: bone} at ``places`` (24, 3); every bone has another roll."""
    armature = bpy.data.objects.new(name, bpy.data.armatures.new(name))
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    for joint, (label, parent) in enumerate(zip(SMPL_NAMES, SMPL_PARENTS, strict=True)):
        if label in names:
            child = {0: 3, 9: 12}.get(joint, SMPL_PARENTS.index(joint) if joint in SMPL_PARENTS else None)
            bone = bones.new(names[label])
            bone.head = places[joint]
            bone.tail = places[child] if child else places[joint] + 0.7 * (places[joint] - places[parent])
            bone.roll = 0.7 * joint
            bone.parent = bones[names[SMPL_NAMES[parent]]] if parent >= 0 else None
    bpy.ops.object.mode_set(mode="OBJECT")
    return armature


def add_ends(armature: bpy.types.Object) -> None:
    """Mixamo's bones that no joint drives: four for each finger, eyes, and the ends of head and toes."""
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    for side in ("Left", "Right"):
        hand = bones[f"mixamorig:{side}Hand"]
        along = (hand.tail - hand.head).normalized()
        for k, finger in enumerate(FINGERS):
            parent, at = hand, hand.tail + 0.02 * (k - 2) * hand.x_axis
            for part in range(1, 5):
                bone = bones.new(f"mixamorig:{side}Hand{finger}{part}")
                bone.head, bone.tail, bone.parent = at, at + 0.03 * along, parent
                parent, at = bone, bone.tail.copy()
    for end, on in (
        ("HeadTop_End", "Head"), ("LeftEye", "Head"), ("RightEye", "Head"),
        ("LeftToe_End", "LeftToeBase"), ("RightToe_End", "RightToeBase"),
    ):  # fmt: skip
        bone, parent = bones.new(f"mixamorig:{end}"), bones[f"mixamorig:{on}"]
        bone.head, bone.parent = parent.tail, parent
        bone.tail = parent.tail + parent.y_axis * 0.03
    bpy.ops.object.mode_set(mode="OBJECT")


def pair(arms: float, moved: bool) -> tuple[bpy.types.Object, bpy.types.Object]:
    """Source and target in an empty scene."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    source = build("Source", joints(arms) + (np.array([1.0, 2.0, 0.5]) if moved else 0.0), {n: n for n in SMPL_NAMES})
    target = build("Target", joints(0.0, 0.9) + (np.array([-1.0, 0.0, 0.3]) if moved else 0.0), MIXAMO)
    add_ends(target)
    if moved:
        source.location, source.rotation_euler, source.scale = (3.0, 1.0, 0.0), (0.0, 0.0, 1.1), (0.01,) * 3
        target.location, target.rotation_euler, target.scale = (-2.0, 1.0, 0.4), (0.0, 0.0, -2.0), (2.0,) * 3
    bpy.context.view_layer.update()
    return source, target


def directions(places: dict[str, Array], armature: bpy.types.Object) -> Array:
    """(S, T, 3) unit, the segments as the object's own axes show them."""
    turn = np.array(armature.matrix_world.to_quaternion().conjugated())
    found = np.stack([rot.rotate(turn, places[b] - places[a]) for a, b in SEGMENTS])
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def row(motion: Motion, arms: float, moved: bool, feet: str) -> dict[str, float]:
    """All figures of one pair."""
    source, target = pair(arms, moved)
    found = find_map(read_rig(target))
    rest = {joint: np.array(target.matrix_world @ target.pose.bones[MIXAMO[joint]].head) for joint in FEET}
    apply_motion(bpy.context, source, motion, options=Options(feet="never"))
    start = time.perf_counter()
    retarget_action(bpy.context, source, target, options=Options(feet=feet))
    seconds = time.perf_counter() - start
    there = shown(target, MIXAMO, len(motion))
    dots = np.sum(
        directions(shown(source, {n: n for n in SMPL_NAMES}, len(motion)), source) * directions(there, target), axis=-1
    )
    error = np.degrees(np.arccos(np.clip(dots, -1.0, 1.0)))
    bones = {joint: target.data.bones[bone].head_local for joint, bone in MIXAMO.items()}
    leg = (bones["left_hip"] - bones["left_knee"]).length + (bones["left_knee"] - bones["left_ankle"]).length
    scale = leg * target.scale.x / SMPL.leg_length
    standing = motion.contacts > 0.5
    height = np.stack([there[joint][:, 2] - rest[joint][2] for joint in FEET], axis=1)[standing]
    return {
        "bones": float(len(target.data.bones)),
        "seconds": seconds,
        "right of 22": float(sum(found.bone(joint) == bone for joint, bone in MIXAMO.items())),
        "direction, mean deg": float(error.mean()),
        "direction, 99 % deg": float(np.quantile(error, 0.99)),
        "slide, cm/s": slide(np.stack([there[joint] for joint in FEET], axis=1) / scale, motion.contacts, motion.fps),
        "feet above own floor, cm": 100.0 * float(np.median(height)) / scale,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the tang2018 dances")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"how much of the dance ({FRAMES})")
    options = parser.parse_args()
    motion = made_dance(options.frames / 30.0)
    if options.data:
        from stepsmith.backend.dance.sources import load_dances

        motion = load_dances(options.data, "test")[0].motion
    motion = lock_feet(motion.slice(0, options.frames))
    table = {
        f"{'T pose' if not arms else 'A pose'}{', moved' if moved else ''}, feet {feet}": row(motion, arms, moved, feet)
        for moved in (False, True)
        for arms in (0.0, 45.0)
        for feet in ("never", "auto")
    }
    print_table(f"rig to rig, {len(motion)} frames", table)
    if options.json:
        options.json.write_text(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # Blender's module may crash while the interpreter ends
