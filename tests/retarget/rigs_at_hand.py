"""Rigs to try retargeting on: MakeHuman's and KayKit's read without Blender, and bodies of any make and shape.

Every rig comes with its truth: {SMPL joint: the bone, or the bones, that may follow it}.
"""

# ruff: noqa: RUF005 (+ adds arrays)

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


# --- bodies of any make -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Make:
    """How a body is built; lengths in metres, angles in degrees, before ``scale``.

    ``arms``: degrees below the T pose. ``elbows``, ``knees``: their bend. ``twists``: pieces added to
    upper arms, forearms, thighs and shins, in their line. ``helpers``: twist bones beside them instead.
    ``hair``, ``skirt``, ``tail``: bones of each chain. ``split_hips``: legs hang from a bone
    beside the spine. ``instep``: a bone between foot and toes. ``sleeves``: bones of a chain that hangs from each
    forearm. ``staff``: a weapon longer than an arm. ``uneven``: metres by which joints stray.
    """

    spine: int = 3
    neck: int = 1
    head: bool = True
    head_end: bool = False
    clavicles: bool = True
    toes: bool = True
    toe_end: bool = False
    heels: bool = False
    fingers: int = 5
    twists: int = 0
    helpers: bool = False
    controls: bool = False
    face: bool = False
    hair: int = 0
    skirt: int = 0
    tail: int = 0
    wings: bool = False
    weapon: bool = False
    staff: bool = False
    sleeves: int = 0
    hip_helpers: bool = False
    split_hips: bool = False
    instep: bool = False
    floor_root: bool = False
    arms: float = 0.0
    elbows: float = 5.0
    knees: float = 5.0
    leg_length: float = 0.82
    arm_length: float = 0.52
    torso_length: float = 0.5
    head_length: float = 0.2
    scale: float = 1.0
    uneven: float = 0.0
    seed: int = 0


class _Maker:
    """Bones, one by one."""

    def __init__(self, make: Make) -> None:
        self.make = make
        self.rng = np.random.default_rng(make.seed)
        self.names: list[str] = []
        self.parents: list[int] = []
        self.heads: list[Array] = []
        self.tails: list[Array] = []
        self.plain: list[bool] = []

    def add(self, name: str, parent: int, head: Array, tail: Array, deforms: bool = True) -> int:
        self.names.append(name)
        self.parents.append(parent)
        self.heads.append(np.asarray(head, dtype=float) + self.make.uneven * self.rng.uniform(-1.0, 1.0, 3))
        self.tails.append(np.asarray(tail, dtype=float))
        self.plain.append(deforms)
        return len(self.names) - 1

    def chain(self, name: str, parent: int, points: Array) -> list[int]:
        bones: list[int] = []
        for k in range(len(points) - 1):
            bones.append(self.add(f"{name}{k}", bones[-1] if bones else parent, points[k], points[k + 1]))
        return bones

    def limb(self, name: str, parent: int, head: Array, tail: Array) -> tuple[int, int]:
        """(first, last) piece of a long bone."""
        points = np.linspace(head, tail, self.make.twists + 2)
        bones = self.chain(name, parent, points)
        if self.make.helpers:
            for k, share in enumerate((0.1, 0.5)):
                at = head + share * (tail - head)
                self.add(f"{name}twist{k}", bones[0], at, at + 0.3 * (tail - head))
        return bones[0], bones[-1]

    def rig(self, **more: Any) -> Rig:
        scale = self.make.scale
        heads, tails = np.array(self.heads) * scale, np.array(self.tails) * scale
        short = np.linalg.norm(tails - heads, axis=-1) < 1e-3 * scale
        tails[short] = heads[short] + [0.0, 0.0, 0.02 * scale]
        rolls = self.rng.uniform(-3.0, 3.0, len(heads))
        return build(self.names, self.parents, heads, tails, rolls, deforms=tuple(self.plain), **more)


def humanoid(make: Make | None = None, world: Array | None = None) -> tuple[Rig, Truth]:
    """A body that faces -y, its left towards +x, and its truth."""
    make = make or Make()
    body = _Maker(make)
    truth: dict[str, str | tuple[str, ...]] = {}
    knee_bend, elbow_bend = np.radians(make.knees), np.radians(make.elbows)
    thigh = shin = make.leg_length / 2.0
    hip = 0.08 + thigh * np.cos(knee_bend / 2.0) + shin * np.cos(knee_bend / 2.0)
    shoulders = hip + make.torso_length
    waist = np.array([0.0, 0.0, hip + 0.05])
    chest_top = np.array([0.0, 0.0, shoulders + 0.03])

    root = body.add("ground", -1, np.zeros(3), [0.0, 0.2, 0.0]) if make.floor_root else -1
    knots = np.linspace(waist + [0.0, 0.0, 0.08], chest_top, make.spine + 1)
    pelvis = body.add("pelvis", root, waist, knots[0])
    truth["pelvis"] = "pelvis"
    hips = body.add("hips", pelvis, waist, waist - [0.0, 0.0, 0.05]) if make.split_hips else pelvis
    spine = body.chain("spine", pelvis, knots)
    for k in range(3 if spine else 0):
        wanted = {f"spine{j}" for j in range(len(spine)) if -(-(j + 1) * 3 // len(spine)) == k + 1}
        if wanted:
            truth[f"spine{k + 1}"] = tuple(wanted)
    chest = spine[-1] if spine else pelvis
    crown = chest_top + [0.0, -0.01, 0.11]
    if make.head:
        neck = body.chain("neck", chest, np.linspace(chest_top + [0.0, 0.0, 0.01], crown, make.neck + 1))
        head = body.add("head", neck[-1] if neck else chest, crown, crown + [0.0, 0.0, make.head_length])
        truth["head"] = "head"
        if neck:
            truth["neck"] = tuple(f"neck{k}" for k in range(make.neck))
        _add_to_head(body, head, crown)

    for side, sign in (("l", 1.0), ("r", -1.0)):
        mirror = np.array([sign, 1.0, 1.0])
        joint = np.array([0.09, 0.0, hip])
        bend = np.array([0.0, -np.sin(knee_bend / 2.0), -np.cos(knee_bend / 2.0)])
        knee = joint + thigh * bend
        ankle = knee + shin * bend * [1.0, -1.0, 1.0]
        ball, tip = ankle + [0.01, -0.13, -0.06], ankle + [0.01, -0.2, -0.07]
        above = hips
        if make.hip_helpers:
            above = body.add(f"hip_{side}", hips, (waist - [0.0, 0.0, 0.02]) * mirror, joint * mirror)
        first, last = body.limb(f"thigh_{side}_", above, joint * mirror, knee * mirror)
        second, end = body.limb(f"shin_{side}_", last, knee * mirror, ankle * mirror)
        foot = ankle_bone = body.add(f"foot_{side}", end, ankle * mirror, ball * mirror)
        spoken = "left" if side == "l" else "right"
        truth |= {
            f"{spoken}_hip": body.names[first], f"{spoken}_knee": body.names[second], f"{spoken}_ankle": f"foot_{side}"
        }  # fmt: skip
        if make.instep:
            middle = ankle + 0.35 * (ball - ankle)
            foot = body.add(f"instep_{side}", foot, middle * mirror, ball * mirror)
        if make.toes:
            toe = body.add(f"toe_{side}", foot, ball * mirror, tip * mirror)
            truth[f"{spoken}_foot"] = f"toe_{side}"
            if make.toe_end:
                body.add(f"toe_end_{side}", toe, tip * mirror, (tip + [0.0, -0.02, 0.0]) * mirror)
        if make.heels:
            body.add(
                f"heel_{side}",
                ankle_bone,
                (ankle + [-0.03, 0.04, -0.07]) * mirror,
                (ankle + [0.03, 0.04, -0.07]) * mirror,
            )

        joint = np.array([0.175, 0.01, shoulders])
        down, inward = np.radians(make.arms), elbow_bend
        half = make.arm_length / 2.0
        elbow = joint + half * np.array([np.cos(down), 0.0, -np.sin(down)])
        lower = np.array([np.cos(down) * np.cos(inward), -np.sin(inward), -np.sin(down) * np.cos(inward)])
        wrist = elbow + half * lower
        above = chest
        if make.clavicles:
            above = body.add(f"clavicle_{side}", chest, np.array([0.025, 0.01, shoulders]) * mirror, joint * mirror)
            truth[f"{spoken}_collar"] = f"clavicle_{side}"
        first, last = body.limb(f"upper_{side}_", above, joint * mirror, elbow * mirror)
        second, end = body.limb(f"fore_{side}_", last, elbow * mirror, wrist * mirror)
        hand = body.add(f"hand_{side}", end, wrist * mirror, (wrist + 0.09 * lower) * mirror)
        truth |= {
            f"{spoken}_shoulder": body.names[first], f"{spoken}_elbow": body.names[second],
            f"{spoken}_wrist": f"hand_{side}",
        }  # fmt: skip
        for k in range(make.fingers):
            aside = np.array([0.0, 0.02 * (k - make.fingers / 2.0), 0.0])
            start = wrist + (0.03 if k == 0 else 0.09) * lower + aside * (2.0 if k == 0 else 1.0)
            lengths = np.array([0.0, 0.03, 0.055, 0.075 - 0.003 * k])[:, None]
            body.chain(f"finger{k}_{side}_", hand, (start + lengths * lower + aside * lengths * 5.0) * mirror)
        if make.weapon and side == "r":
            body.chain("sword", hand, (wrist + np.array([[0.02], [0.2], [0.9]]) * [0.2, -1.0, 0.3]) * mirror)
        if make.staff and side == "r":
            body.chain("staff", hand, (wrist + np.array([[-0.9], [0.0], [0.9]]) * [0.0, 0.0, 1.0]) * mirror)
        if make.sleeves:
            steps = np.arange(make.sleeves + 1)[:, None]
            body.chain(f"sleeve_{side}_", end, (wrist + steps * [0.0, 0.0, -0.1] - [0.0, 0.0, 0.02]) * mirror)
        if make.wings:
            reach = np.array([[0.05, 0.1, 0.0], [0.4, 0.2, 0.25], [0.9, 0.3, 0.1], [1.3, 0.35, -0.2]])
            body.chain(f"wing_{side}_", chest, (reach + [0.0, 0.0, shoulders - 0.1]) * mirror)
        if make.controls:
            for name, at in (("foot", ankle), ("knee", knee + [0.0, -0.5, 0.0]), ("elbow", elbow + [0.0, 0.5, 0.0])):
                body.add(f"ik_{name}_{side}", root, at * mirror, at * mirror + [0.0, 0.15, 0.0], deforms=False)
            body.add(f"ik_hand_{side}", root, wrist * mirror, wrist * mirror + [0.0, 0.15, 0.0], deforms=False)
    _add_below(body, pelvis, hip)
    return body.rig(world=np.eye(4) if world is None else world), truth


def _add_to_head(body: _Maker, head: int, at: Array) -> None:
    make = body.make
    long = make.head_length
    if make.head_end:
        body.add("head_end", head, at + [0.0, 0.0, long], at + [0.0, 0.0, long + 0.05])
    if make.face:
        jaw = body.add("jaw", head, at + [0.0, -0.02, 0.02], at + [0.0, -0.09, -0.02])
        body.chain("tongue", jaw, at + np.array([[0.0, -0.03, 0.01], [0.0, -0.05, 0.01], [0.0, -0.07, 0.01]]))
        for side in (1.0, -1.0):
            eye = at + [0.03 * side, -0.07, 0.5 * long]
            body.add(f"eye{side}", head, eye, eye + [0.0, -0.03, 0.0])
            brow = np.array([[0.01, 0.0, 0.03], [0.03, 0.01, 0.035], [0.05, 0.02, 0.03]]) * [side, 1.0, 1.0]
            body.chain(f"brow{side}", head, at + [0.0, -0.09, 0.5 * long] + brow)
    for k in range(5 if make.hair else 0):
        angle = np.pi * (0.1 + 0.2 * k)
        out = np.array([np.cos(angle), np.sin(angle), 0.0])
        steps = np.arange(make.hair + 1)[:, None]
        body.chain(f"hair{k}_", head, at + 0.1 * out + steps * (0.02 * out - [0.0, 0.0, 0.07]) + [0.0, 0.0, long])


def _add_below(body: _Maker, pelvis: int, hip: float) -> None:
    make = body.make
    for k in range(8 if make.skirt else 0):
        angle = 2 * np.pi * (k + 0.5) / 8
        out = np.array([np.cos(angle), np.sin(angle), 0.0])
        steps = np.arange(make.skirt + 1)[:, None]
        body.chain(f"skirt{k}_", pelvis, [0.0, 0.0, hip + 0.05] + 0.14 * out + steps * (0.04 * out - [0.0, 0.0, 0.12]))
    if make.tail:
        steps = np.arange(make.tail + 1)[:, None]
        body.chain("tail", pelvis, np.array([0.0, 0.1, hip]) + steps * np.array([0.0, 0.1, -0.05]))


# --- and what has no human shape --------------------------------------------------------------------------


def creature(kind: str) -> Rig:
    """A rig that can't dance: one of ``CREATURES``."""
    body = _Maker(Make())
    return _CREATURES[kind](body)


def _quadruped(body: _Maker, height: float = 0.6, length: float = 0.7) -> Rig:
    spine = body.chain("spine", -1, np.linspace([0.0, length / 2, height], [0.0, -length / 2, height], 5))
    neck = body.chain(
        "neck", spine[-1], np.linspace([0.0, -length / 2, height], [0.0, -length / 2 - 0.3, 1.5 * height], 3)
    )
    head = body.add("head", neck[-1], body.tails[-1], body.tails[-1] + [0.0, -0.2, -0.05])
    body.add("jaw", head, body.heads[head] + [0.0, -0.03, -0.03], body.tails[head] - [0.0, 0.0, 0.05])
    for sign in (1.0, -1.0):
        body.add(
            f"ear{sign}", head, body.heads[head] + [0.04 * sign, 0, 0.05], body.heads[head] + [0.06 * sign, 0, 0.12]
        )
        for name, parent, y, bend in (("hind", spine[0], length / 2, 0.08), ("fore", spine[-1], -length / 2, -0.05)):
            x = 0.1 * sign
            body.chain(
                name + str(sign),
                parent,
                np.array([
                    [x, y, 0.95 * height], [x, y - bend, 0.55 * height], [x, y + bend, 0.25 * height],
                    [x, y, 0.04], [x, y - 0.06, 0.01],
                ]),
            )  # fmt: skip
    body.chain("tail", spine[0], np.linspace([0.0, length / 2, height], [0.0, length, 0.7 * height], 6))
    return body.rig()


def _spider(body: _Maker) -> Rig:
    middle = body.add("body", -1, [0.0, 0.0, 0.3], [0.0, -0.2, 0.3])
    body.add("rear", middle, [0.0, 0.1, 0.3], [0.0, 0.5, 0.35])
    for sign in (1.0, -1.0):
        for k, angle in enumerate(np.radians([-50.0, -15.0, 20.0, 55.0])):
            out = np.array([sign * np.cos(angle), np.sin(angle), 0.0])
            points = [0.1 * out, 0.4 * out + [0, 0, 0.3], 0.8 * out + [0, 0, 0.1], 1.0 * out - [0, 0, 0.3]]
            body.chain(f"leg{k}{sign}", middle, np.array(points) + [0.0, 0.0, 0.3])
    return body.rig()


def _bird(body: _Maker) -> Rig:
    spine = body.chain("spine", -1, np.linspace([0.0, 0.15, 0.3], [0.0, -0.15, 0.36], 4))
    neck = body.chain("neck", spine[-1], np.linspace([0.0, -0.15, 0.36], [0.0, -0.25, 0.55], 4))
    head = body.add("head", neck[-1], [0.0, -0.25, 0.55], [0.0, -0.35, 0.55])
    body.add("beak", head, [0.0, -0.3, 0.55], [0.0, -0.42, 0.54])
    body.chain("tail", spine[0], np.linspace([0.0, 0.2, 0.3], [0.0, 0.4, 0.28], 3))
    for sign in (1.0, -1.0):
        mirror = np.array([sign, 1.0, 1.0])
        leg = [[0.06, 0.02, 0.28], [0.07, -0.05, 0.2], [0.07, 0.03, 0.1], [0.07, 0.0, 0.02], [0.07, -0.06, 0.0]]
        body.chain(f"leg{sign}", spine[0], np.array(leg) * mirror)
        wing = [[0.06, -0.12, 0.36], [0.3, -0.05, 0.4], [0.6, -0.15, 0.4], [0.9, 0.0, 0.38], [1.2, 0.15, 0.37]]
        body.chain(f"wing{sign}", spine[-1], np.array(wing) * mirror)
    return body.rig()


def _tentacle(body: _Maker) -> Rig:
    body.chain("tentacle", -1, np.linspace([0.0, 0.0, 0.0], [0.0, 0.3, 2.0], 13))
    return body.rig()


def _snake(body: _Maker) -> Rig:
    along = np.linspace(0.0, 3.0, 31)
    body.chain("snake", -1, np.stack([0.2 * np.sin(3.0 * along), along, np.full(31, 0.05)], axis=1))
    tip = body.tails[-1]
    head = body.add("head", 29, tip, tip + [0.0, 0.1, 0.0])
    body.add("jaw", head, tip, tip + [0.0, 0.1, -0.03])
    return body.rig()


def _tree(body: _Maker) -> Rig:
    rng = np.random.default_rng(5)
    trunk = body.chain("trunk", -1, np.linspace([0.0, 0.0, 0.0], [0.0, 0.0, 3.0], 7))
    for k, bone in enumerate(trunk[2:] * 3):
        out = rng.normal(0.0, 0.4, 3) + [0.0, 0.0, 0.4]
        body.chain(f"branch{k}_", bone, body.tails[bone] + np.arange(4)[:, None] * out * rng.uniform(0.4, 1.0))
    return body.rig()


def _single(body: _Maker) -> Rig:
    body.add("bone", -1, [0.0, 0.0, 0.0], [0.0, 0.0, 1.0])
    return body.rig()


def _prop(body: _Maker) -> Rig:
    root = body.add("car", -1, [0.0, 0.0, 0.3], [0.0, -1.0, 0.3])
    for x in (0.7, -0.7):
        for y in (1.2, -1.2):
            axle = body.add(f"axle{x}{y}", root, [x * 0.8, y, 0.3], [x, y, 0.3])
            body.add(f"wheel{x}{y}", axle, [x, y, 0.3], [x * 1.2, y, 0.3])
    return body.rig()


def _couple(body: _Maker) -> Rig:
    rig, _ = humanoid()
    for k, step in enumerate(([0.0, 0.0, 0.0], [1.5, 0.0, 0.0])):
        offset = len(body.names)
        for bone, name in enumerate(rig.names):
            above = rig.parents[bone]
            body.add(
                f"{name}_{k}", above + offset if above >= 0 else -1, rig.heads[bone] + step, rig.tails[bone] + step
            )
    return body.rig()


_CREATURES: dict[str, Callable[[_Maker], Rig]] = {
    "dog": _quadruped,
    "horse": partial(_quadruped, height=1.4, length=1.5),
    "spider": _spider,
    "bird": _bird,
    "tentacle": _tentacle,
    "snake": _snake,
    "tree": _tree,
    "single bone": _single,
    "prop": _prop,
    "two bodies": _couple,
}
CREATURES = tuple(_CREATURES)
