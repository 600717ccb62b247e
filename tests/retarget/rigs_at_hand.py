"""Rigs to try retargeting on: MakeHuman's and KayKit's read without Blender, and bodies of any make and shape.

Every rig comes with its truth: {SMPL joint: the bone, or the bones, that may follow it}.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.rig import Rig

Array = np.ndarray
Truth = Mapping[str, str | tuple[str, ...]]

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "rigs"

SIDED = ("collar", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "foot")


def both(bones: Mapping[str, str | tuple[str, ...]], left: str, right: str) -> dict[str, str | tuple[str, ...]]:
    """A truth of both sides; ``*`` in ``bones`` stands for what the rig calls a side."""

    def named(bone: str | tuple[str, ...], side: str) -> str | tuple[str, ...]:
        return bone.replace("*", side) if isinstance(bone, str) else tuple(b.replace("*", side) for b in bone)

    return {
        f"{spoken}_{part}": named(bone, side)
        for spoken, side in (("left", left), ("right", right))
        for part, bone in bones.items()
    }


def build(names: list[str], parents: list[int], heads: Array, tails: Array, rolls: Array, **more: Any) -> Rig:
    """A rig of bones from ``heads`` to ``tails`` (J, 3), rolled about their length as Blender rolls bones."""
    along = tails - heads
    lengths = np.linalg.norm(along, axis=-1)
    along = along / lengths[:, None]
    rest = np.tile(np.eye(4), (len(names), 1, 1))
    for bone, axis in enumerate(along):
        turn = rot.multiply(rot.from_axis_angle(axis * rolls[bone]), rot.between([0.0, 1.0, 0.0], axis))
        rest[bone, :3, :3] = rot.to_matrix(turn)
    rest[:, :3, 3] = heads
    return Rig(tuple(names), tuple(parents), rest, lengths, **more)


def scrambled(rig: Rig, truth: Truth, seed: int = 0) -> tuple[Rig, dict[str, tuple[str, ...]]]:
    """The rig with names that say nothing and siblings in another order, and its truth."""
    rng = np.random.default_rng(seed)
    order: list[int] = []
    waiting = [bone for bone, parent in enumerate(rig.parents) if parent < 0]
    while waiting:
        bone = waiting.pop(int(rng.integers(len(waiting))))
        order.append(bone)
        waiting += rig.children[bone]
    codes = rng.permutation(len(rig))
    new = {rig.names[bone]: f"b{codes[bone]:04d}" for bone in range(len(rig))}
    place = {bone: at for at, bone in enumerate(order)}
    mixed = Rig(
        tuple(new[rig.names[bone]] for bone in order),
        tuple(-1 if rig.parents[bone] < 0 else place[rig.parents[bone]] for bone in order),
        rig.rest[order],
        rig.lengths[order],
        rig.world,
        tuple(rig.rotation_modes[bone] for bone in order),
        tuple(rig.connected[bone] for bone in order),
        tuple(rig.inherits_rotation[bone] for bone in order),
        tuple(rig.deforms[bone] for bone in order),
    )
    return mixed, {
        joint: tuple(new[b] for b in ((bone,) if isinstance(bone, str) else bone)) for joint, bone in truth.items()
    }


# --- MakeHuman's rigs, as MPFB defines them ---------------------------------------------------------------

MPFB = (
    "cmu_mb", "default", "default_no_toes", "game_engine", "game_engine_with_breast",
    "human", "human_toes", "mixamo", "mixamo_unity", "openpose",
)  # fmt: skip


@lru_cache(maxsize=16)
def mpfb_rig(name: str) -> Rig:
    """The rig of MPFB's definition ``name`` on the default body; skips the test where it is not at hand."""
    path = DATA / "mpfb" / f"rig.{name}.json"
    if not path.exists():
        pytest.skip("needs the rigs beside the checkout")
    data = json.loads(path.read_text(encoding="utf-8"))
    bones = data.get("bones", data)
    spot = {bone: [np.array(held[end]["default_position"]) for end in ("head", "tail")] for bone, held in bones.items()}
    # Blender deletes bones without length, and gives their children to their parent.
    kept = {bone for bone, (head, tail) in spot.items() if np.linalg.norm(tail - head) > 1e-6}

    def parent_of(bone: str) -> str:
        parent = str(bones[bone].get("parent") or "")
        return parent if not parent or parent in kept else parent_of(parent)

    order: list[str] = []

    def visit(bone: str) -> None:
        order.append(bone)
        for child in bones:
            if child in kept and parent_of(child) == bone:
                visit(child)

    for bone in bones:
        if bone in kept and not parent_of(bone):
            visit(bone)
    return build(
        order,
        [order.index(parent_of(bone)) if parent_of(bone) else -1 for bone in order],
        np.array([spot[bone][0] for bone in order]),
        np.array([spot[bone][1] for bone in order]),
        np.array([float(bones[bone].get("roll", 0.0)) for bone in order]),
        connected=tuple(bool(bones[bone].get("use_connect", False)) for bone in order),
        inherits_rotation=tuple(bool(bones[bone].get("use_inherit_rotation", True)) for bone in order),
    )


_UNREAL = {
    "pelvis": "pelvis", "spine1": "spine_01", "spine2": "spine_02", "spine3": "spine_03",
    "neck": "neck_01", "head": "head",
    **both(
        {
            "collar": "clavicle_*", "shoulder": "upperarm_*", "elbow": "lowerarm_*", "wrist": "hand_*",
            "hip": "thigh_*", "knee": "calf_*", "ankle": "foot_*", "foot": "ball_*",
        },
        "l", "r",
    ),
}  # fmt: skip
_MIXAMO = {
    "pelvis": "mixamorig:Hips", "spine1": "mixamorig:Spine", "spine2": "mixamorig:Spine1",
    "spine3": "mixamorig:Spine2", "neck": "mixamorig:Neck", "head": "mixamorig:Head",
    **both(
        {
            "collar": "mixamorig:*Shoulder", "shoulder": "mixamorig:*Arm", "elbow": "mixamorig:*ForeArm",
            "wrist": "mixamorig:*Hand", "hip": "mixamorig:*UpLeg", "knee": "mixamorig:*Leg",
            "ankle": "mixamorig:*Foot", "foot": "mixamorig:*ToeBase",
        },
        "Left", "Right",
    ),
}  # fmt: skip
_MAKEHUMAN = {
    "pelvis": "root", "spine1": ("spine05", "spine04"), "spine2": ("spine03", "spine04"),
    "spine3": ("spine02", "spine01"), "neck": ("neck01", "neck02", "neck03"), "head": "head",
    **both(
        {
            "collar": ("clavicle.*", "shoulder01.*"), "shoulder": "upperarm01.*", "elbow": "lowerarm01.*",
            "wrist": "wrist.*", "hip": "upperleg01.*", "knee": "lowerleg01.*", "ankle": "foot.*",
            "foot": tuple(f"toe{k}-1.*" for k in range(1, 6)),
        },
        "L", "R",
    ),
}  # fmt: skip
_RIGIFY = {
    "pelvis": "spine", "spine1": ("spine.001", "spine.002"), "spine2": ("spine.002", "spine.003"),
    "spine3": ("spine.003", "spine.004"), "neck": "spine.005", "head": "spine.006",
    **both(
        {
            "collar": "shoulder.*", "shoulder": "upper_arm.*", "elbow": "forearm.*", "wrist": "hand.*",
            "hip": "thigh.*", "knee": "shin.*", "ankle": "foot.*", "foot": "toe.*",
        },
        "L", "R",
    ),
}  # fmt: skip
_CMU = {
    "pelvis": "Hips", "spine1": "LowerBack", "spine2": "Spine", "spine3": "Spine1",
    "neck": ("Neck", "Neck1"), "head": "Head",
    **both(
        {
            "collar": "*Shoulder", "shoulder": "*Arm", "elbow": "*ForeArm", "wrist": "*Hand",
            "hip": "*UpLeg", "knee": "*Leg", "ankle": "*Foot", "foot": "*ToeBase",
        },
        "Left", "Right",
    ),
}  # fmt: skip
# A stick figure whose bones carry the names of the joints at their tails, and whose legs hang from nothing.
_OPENPOSE = {
    "pelvis": "MidHip",
    **both(
        {
            "collar": "*Shoulder", "shoulder": "*Elbow", "elbow": "*Wrist",
            "hip": "*Knee", "knee": "*Ankle", "ankle": ("*BigToe", "*Heel"),
        },
        "L", "R",
    ),
}  # fmt: skip
_KAYKIT = {
    "pelvis": "hips", "spine2": "spine", "spine3": "chest", "head": "head",
    **both(
        {
            "shoulder": "upperarm.*", "elbow": "lowerarm.*", "wrist": ("wrist.*", "hand.*"),
            "hip": "upperleg.*", "knee": "lowerleg.*", "ankle": "foot.*", "foot": "toes.*",
        },
        "l", "r",
    ),
}  # fmt: skip


# --- KayKit's characters, as Blender's glTF importer shows them -------------------------------------------


@lru_cache(maxsize=4)
def kaykit_rig(name: str) -> Rig:
    """The rig of KayKit's ``Knight`` or ``Rogue``; skips the test where it is not at hand."""
    path = DATA / "kaykit" / f"{name}.glb"
    if not path.exists():
        pytest.skip("needs the rigs beside the checkout")
    data = path.read_bytes()
    (size,) = struct.unpack_from("<I", data, 12)
    document = json.loads(data[20 : 20 + size])
    nodes = document["nodes"]
    joints = set(document["skins"][0]["joints"])
    above = {child: at for at, node in enumerate(nodes) for child in node.get("children", ())}
    order: list[int] = []
    rest: list[Array] = []

    def visit(at: int, outer: Array) -> None:
        matrix = outer @ _node_matrix(nodes[at])
        if at in joints:
            order.append(at)
            rest.append(matrix)
        for child in nodes[at].get("children", ()):
            visit(child, matrix)

    # glTF is y up, Blender z up.
    upright = np.array([[1.0, 0, 0, 0], [0, 0, -1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])
    for at in document["scenes"][0]["nodes"]:
        visit(at, upright)
    parents = [order.index(above[at]) if above.get(at) in joints else -1 for at in order]
    # A bone reaches as far as its nearest child; a leaf is as long as its parent.
    lengths = np.ones(len(order))
    for bone, parent in enumerate(parents):
        steps = [float(np.linalg.norm(rest[c][:3, 3] - rest[bone][:3, 3])) for c, p in enumerate(parents) if p == bone]
        steps = [step for step in steps if step > 1e-4]
        lengths[bone] = min(steps) if steps else lengths[parent] if parent >= 0 else 1.0
    return Rig(tuple(nodes[at]["name"] for at in order), tuple(parents), np.array(rest), lengths)


def _node_matrix(node: Mapping[str, Any]) -> Array:
    matrix = np.eye(4)
    x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
    matrix[:3, :3] = rot.to_matrix(rot.normalise([w, x, y, z]))
    matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return matrix


RIGS: dict[str, Callable[[], Rig]] = {
    **{f"mpfb {name}": partial(mpfb_rig, name) for name in MPFB},
    "kaykit Knight": partial(kaykit_rig, "Knight"),
    "kaykit Rogue": partial(kaykit_rig, "Rogue"),
}
TRUTH: dict[str, Truth] = {
    "mpfb cmu_mb": _CMU,
    "mpfb default": _MAKEHUMAN,
    "mpfb default_no_toes": {**_MAKEHUMAN, "left_foot": "toe1-1.L", "right_foot": "toe1-1.R"},
    "mpfb game_engine": _UNREAL,
    "mpfb game_engine_with_breast": _UNREAL,
    "mpfb human": _RIGIFY,
    "mpfb human_toes": _RIGIFY,
    "mpfb mixamo": _MIXAMO,
    "mpfb mixamo_unity": _MIXAMO,
    "mpfb openpose": _OPENPOSE,
    "kaykit Knight": _KAYKIT,
    "kaykit Rogue": _KAYKIT,
}
