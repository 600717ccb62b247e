"""How a rig fits SMPL: where it faces, how tall it is, and how each bone is turned at rest.

The *dance frame* of a rig is the frame of a Motion (z up, facing -y, floor at z = 0) placed below the
rig's hips as it stands at rest, in armature units. All that ``solve`` needs of a rig is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import rotations as rot
from .bone_maps import SPINE, BoneMap
from .errors import RigError
from .feet import Heights
from .rig import Rig
from .rotations import Array
from .skeleton import ANKLE_HEIGHT, FOOT_HEIGHT, SMPL, SMPL_NAMES

# The joint that a limb's segment leads to.
_NEXT = {
    f"{side}_{joint}": f"{side}_{end}"
    for side in ("left", "right")
    for joint, end in (
        ("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"),
        ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand"),
    )
}  # fmt: skip
# The segment before it in the limb; alignment is carried on from there.
_BEFORE = {end: joint for joint, end in _NEXT.items()}
# The middle of SMPL's hips, from the pelvis; and its height when the rest pose stands on the floor, metres.
HIP_OFFSET = SMPL.offsets[1:3].mean(axis=0)
HIP_HEIGHT = SMPL.rest_root_height + float(HIP_OFFSET[2])


@dataclass(frozen=True, eq=False)
class Follower:
    """A target bone and what it follows.

    ``bone``: index in the rig. ``joint``: SMPL index. ``low``, ``high``, ``share``: it takes the
    rotation this far between two joints (``low == high`` for a bone with a joint of its own).
    ``above``: position of the nearest follower up the chain, -1 for none. ``align``: (4,) turns the
    rest pose of the target bone into the dance frame's SMPL T pose.
    """

    bone: int
    joint: int
    low: int
    high: int
    share: float
    above: int
    align: Array


class Fit:
    """A rig and a bone map, measured once; everything is constant in time.

    Raises RigError where the body has no height or no width to tell up and left from.
    """

    def __init__(self, rig: Rig, bone_map: BoneMap) -> None:
        unknown = [bone for bone in bone_map.bones if bone not in rig.indices]
        if unknown:
            raise RigError(f"The armature has no bone “{unknown[0]}”: map its bones anew.")
        self.rig = rig
        self.bone_map = bone_map
        self.names = tuple(name for name in rig.names if name in bone_map.bones)
        self._bone_of = {joint: rig.indices[b] for b in reversed(self.names) for joint in [bone_map.bones[b]]}
        lost = [joint for joint in ("pelvis", *_sides("hip", "knee")) if joint not in self._bone_of]
        if lost:
            raise RigError(f"The bone map names no {lost[0].replace('_', ' ')}: map its bones anew.")
        # (4,) the dance frame to armature space.
        self.frame = _facing(rig, self._bone_of)
        self._floor = 0.0
        self._turned = rot.rotate(rot.conjugate(self.frame), rig.heads)
        self._turned_tails = rot.rotate(rot.conjugate(self.frame), rig.tails)
        # Armature units per metre of the dancer.
        self.scale = self._leg_length() / SMPL.leg_length
        self._floor = self._find_floor()
        middle = self._turned[self._bones("hip")].mean(axis=0)
        # (3,) the dance frame's origin, in the frame's own axes.
        self.origin = np.array([middle[0], middle[1], self._floor])
        # (J, 3) rest heads and tails in the dance frame.
        self.heads = self._turned - self.origin
        self.tails = self._turned_tails - self.origin
        # (J, 4) rest orientation of the bones in the dance frame.
        self.rest = rot.multiply(rot.conjugate(self.frame), rig.rotations)
        self.followers = self._follow()

    def has(self, joint: str) -> bool:
        """Whether a bone follows ``joint``."""
        return joint in self._bone_of

    def index(self, joint: str) -> int:
        """Position in ``followers`` of the (first) bone that follows ``joint``."""
        return self.names.index(self.rig.names[self._bone_of[joint]])

    @cached_property
    def aligns(self) -> Array:
        """(B, 4) the followers' alignments."""
        return np.stack([f.align for f in self.followers])

    @cached_property
    def foot_heights(self) -> Heights:
        """Ankles and toe joints above the floor, armature units, when the aligned feet stand flat."""
        ankles, toes = [], []
        for side in ("left", "right"):
            ankle, toe = self.foot_points(side)
            flat = rot.rotate(self._align_of(f"{side}_ankle"), toe - ankle)
            if self._flat_at_rest(toe - ankle):
                ankles.append(float(ankle[2]))
            else:
                ankles.append(FOOT_HEIGHT * self.scale - float(flat[2]))
            toes.append(ankles[-1] + float(flat[2]))
        return Heights((ankles[0], ankles[1]), (toes[0], toes[1]))

    @cached_property
    def hip_height(self) -> float:
        """Armature units from the floor to the middle of the hips when the body stands in SMPL's rest pose."""
        heights = []
        for k, side in enumerate(("left", "right")):
            hip, knee = (self.heads[self._bone_of[f"{side}_{joint}"]] for joint in ("hip", "knee"))
            ankle, _ = self.foot_points(side)
            thigh = rot.rotate(self._align_of(f"{side}_hip"), knee - hip)
            shin = rot.rotate(self._align_of(f"{side}_knee"), ankle - knee)
            heights.append(self.foot_heights.ankles[k] - float(thigh[2] + shin[2]))
        return float(np.mean(heights))

    @cached_property
    def pelvis_to_hips(self) -> Array:
        """(3,) from the root bone's head to the middle of the hips, at rest in the dance frame."""
        return self.heads[self._bones("hip")].mean(axis=0) - self.heads[self._bone_of["pelvis"]]

    @property
    def root_bone(self) -> int:
        """Index in the rig of the bone that carries the body."""
        return self._bone_of["pelvis"]

    def foot_points(self, side: str) -> tuple[Array, Array]:
        """Ankle and ball of the foot, (3,) each, at rest in the dance frame; estimated where there is no bone."""
        ankle_bone, toe_bone = self._bone_of.get(f"{side}_ankle"), self._bone_of.get(f"{side}_foot")
        ankle = self.tails[self._bone_of[f"{side}_knee"]] if ankle_bone is None else self.heads[ankle_bone]
        if toe_bone is not None:
            return ankle, self.heads[toe_bone]
        return ankle, ankle + SMPL.offsets[SMPL_NAMES.index(f"{side}_foot")] * self.scale

    def _align_of(self, joint: str) -> Array:
        return self.followers[self.index(joint)].align if self.has(joint) else rot.IDENTITY

    def _bones(self, part: str) -> list[int]:
        return [self._bone_of[joint] for joint in _sides(part)]

    def _leg_length(self) -> float:
        length = 0.0
        for side in ("left", "right"):
            hip, knee = (self._turned[self._bone_of[f"{side}_{joint}"]] for joint in ("hip", "knee"))
            ankle_bone = self._bone_of.get(f"{side}_ankle")
            knee_tail = self._turned_tails[self._bone_of[f"{side}_knee"]]
            ankle = knee_tail if ankle_bone is None else self._turned[ankle_bone]
            length += (float(np.linalg.norm(knee - hip)) + float(np.linalg.norm(ankle - knee))) / 2.0
        if length < 1e-9:
            raise RigError("The armature's legs have no length: check its rest pose.")
        return length

    def _find_floor(self) -> float:
        """Height, along the frame's up, of the plane that the rest pose stands on.

        Characters are made with the armature's origin on the floor; where the feet are nowhere near
        it, the floor is as far below the toes as SMPL's.
        """
        lowest = [
            (float(self._turned[self._bone_of[joint], 2]), height * self.scale)
            for part, height in (("foot", FOOT_HEIGHT), ("ankle", ANKLE_HEIGHT))
            for joint in _sides(part)
            if joint in self._bone_of
        ]
        if not lowest:
            tails = self._turned_tails[self._bones("knee"), 2]
            lowest = [(float(tails.min()), ANKLE_HEIGHT * self.scale)]
        height, sole = min(lowest)
        leg = self.scale * SMPL.leg_length
        return 0.0 if -0.02 * leg <= height <= 0.15 * leg else height - sole

    def _follow(self) -> tuple[Follower, ...]:
        chain_share = self._chain(SPINE, 0) | self._chain(("neck",), SMPL_NAMES.index("spine3"))
        place = {self.rig.indices[name]: k for k, name in enumerate(self.names)}
        aligns: dict[str, Array] = {}
        followers = []
        for name in self.names:
            bone, joint = self.rig.indices[name], self.bone_map.bones[name]
            number = SMPL_NAMES.index(joint)
            low, high, share = chain_share.get(bone, (number, number, 0.0))
            above = next((place[b] for b in self.rig.ancestors(bone) if b in place), -1)
            if joint not in aligns:
                aligns[joint] = self._align(joint, bone, aligns)
            followers.append(Follower(bone, number, low, high, share, above, aligns[joint]))
        return tuple(followers)

    def _chain(self, joints: tuple[str, ...], base: int) -> dict[int, tuple[int, int, float]]:
        """For the bones that follow ``joints``: between which joints, and how far, each one's rotation lies.

        n bones on a chain of m joints: bone k (from 1) is at k m / n, counted from the joint ``base``.
        """
        bones = [self.rig.indices[n] for n in self.names if self.bone_map.bones[n] in joints]
        knots = [base, *(SMPL_NAMES.index(j) for j in joints)]
        shares = {}
        for k, bone in enumerate(bones, start=1):
            at = k * len(joints) / len(bones)
            low = min(int(at), len(joints) - 1)
            shares[bone] = (knots[low], knots[low + 1], at - low)
        return shares

    def _align(self, joint: str, bone: int, aligns: dict[str, Array]) -> Array:
        """(4,) turns the target's rest segment onto SMPL's; see the module ``solve`` for the principle."""
        before = aligns.get(_BEFORE.get(joint, ""), rot.IDENTITY)
        if joint not in _NEXT:
            return before
        wanted = SMPL.offsets[SMPL_NAMES.index(_NEXT[joint])]
        if joint.endswith("ankle"):
            ankle, toe = self.foot_points(joint.split("_")[0])
            if self._flat_at_rest(toe - ankle):
                return rot.between((toe - ankle) * [1.0, 1.0, 0.0], wanted * [1.0, 1.0, 0.0])
        segment = self._segment(joint, bone)
        if segment is None:
            return before
        return rot.multiply(rot.between(rot.rotate(before, segment), wanted), before)

    def _segment(self, joint: str, bone: int) -> Array | None:
        """(3,) from the bone's head to the next joint of the limb at rest; None where nothing tells."""
        end = self._bone_of.get(_NEXT[joint])
        if end is not None:
            return self.heads[end] - self.heads[bone]
        before = self._bone_of.get(_BEFORE.get(joint, ""))
        along = None if before is None else self.heads[bone] - self.heads[before]
        spans = [self.heads[c] - self.heads[bone] for c in self.rig.children[bone]]
        longest = max((float(np.linalg.norm(s)) for s in spans), default=0.0)
        # Of a hand's children the fingers, not the thumb, whose root is nearer.
        spans = [s for s in spans if np.linalg.norm(s) > 0.6 * longest and longest > 1e-9]
        for candidate in ([np.mean(spans, axis=0)] if spans else []) + [self.tails[bone] - self.heads[bone]]:
            if along is None or _cosine(candidate, along) > 0.5:
                return candidate
        return None

    @staticmethod
    def _flat_at_rest(span: Array) -> bool:
        """Whether a foot with this ankle-to-toe vector stands on its sole: between 60 degrees down and 20 up."""
        slope = np.arctan2(span[2], np.linalg.norm(span[:2]))
        return bool(np.radians(-65.0) < slope < np.radians(20.0))


def _sides(*parts: str) -> list[str]:
    return [f"{side}_{part}" for part in parts for side in ("left", "right")]


def _cosine(a: Array, b: Array) -> float:
    return float(np.dot(a, b) / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))


def _facing(rig: Rig, bone_of: dict[str, int]) -> Array:
    """(4,) turns the frame of a Motion (z up, facing -y, left +x) into armature space.

    Up is the world's z where the body stands within 45 degrees of it, else the armature's axis nearest
    to the body's. Left is from right to left hip and shoulder, put on an axis of the armature or the
    world that is within 10 degrees, so that a body not quite symmetrical still dances straight.
    """
    heads = rig.heads
    hips = heads[[bone_of["left_hip"], bone_of["right_hip"]]]
    left = hips[0] - hips[1]
    top = next((heads[bone_of[j]] for j in ("head", "neck", "left_shoulder", "spine3") if j in bone_of), None)
    if "left_shoulder" in bone_of and "right_shoulder" in bone_of:
        shoulders = heads[[bone_of["left_shoulder"], bone_of["right_shoulder"]]]
        left = left + (shoulders[0] - shoulders[1])
        top = shoulders.mean(axis=0)
    if top is None:
        top = 2.0 * hips.mean(axis=0) - heads[[bone_of["left_knee"], bone_of["right_knee"]]].mean(axis=0)
    body = top - hips.mean(axis=0)
    if np.linalg.norm(body) < 1e-9 or np.linalg.norm(left) < 1e-9:
        raise RigError("The armature's rest pose has neither height nor width: check its rest pose.")

    axes = np.vstack([np.eye(3), -np.eye(3)])
    to_armature = np.linalg.inv(rig.world[:3, :3])
    world_axes = to_armature.T / np.linalg.norm(to_armature.T, axis=-1, keepdims=True)
    up = world_axes[2]
    if _cosine(up, body) < np.sqrt(0.5):
        up = axes[np.argmax(axes @ body)]
    left = left - up * np.dot(left, up)
    size = np.linalg.norm(left)
    if size < 1e-9:
        raise RigError("The armature's hips lie above one another: check its rest pose.")
    left = left / size
    candidates = np.vstack([axes, world_axes, -world_axes])
    candidates = candidates - (candidates @ up)[:, None] * up
    sizes = np.linalg.norm(candidates, axis=-1)
    candidates = candidates[sizes > 0.99] / sizes[sizes > 0.99, None]
    if len(candidates):
        nearest = candidates[np.argmax(candidates @ left)]
        if np.dot(nearest, left) > np.cos(np.radians(10.0)):
            left = nearest
    return rot.from_matrix(np.column_stack([left, np.cross(up, left), up]))
