"""How a rig fits SMPL: where it faces, how tall it is, and how each bone is turned at rest.

The *dance frame* of a rig is the frame of a Motion (z up, facing -y, floor at z = 0) placed below the
rig's hips as it stands at rest, in armature units. All that ``solve`` needs of a rig is here.

An object scaled unevenly shows every vector of the dance frame stretched: ``show`` tells how. What is
*shown* is where the rig really stands and points to in the world, turned to face -y and in armature units;
without uneven scale both are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import rotations as rot
from .bone_maps import SPINE, BoneMap
from .errors import RigError
from .feet import Heights
from .hands import palm_roll, thumb_side
from .rig import Rig
from .rotations import Array
from .skeleton import FOOT_HEIGHT, SMPL, SMPL_NAMES, SMPL_PARENTS
from .stance import cosine, dance_frame, facing, floor_height, followed, leg_length, matched_pose, parents_first, sides

# The joint that a limb's segment leads to; and with the hands' segments, which few rigs end with a bone.
LIMBS = {
    f"{side}_{joint}": f"{side}_{end}"
    for side in ("left", "right")
    for joint, end in (
        ("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"),
        ("shoulder", "elbow"), ("elbow", "wrist"),
    )
}  # fmt: skip
_NEXT = LIMBS | {"left_wrist": "left_hand", "right_wrist": "right_hand"}
# The joint before it in the limb; alignment is carried on from there.
_BEFORE = {end: joint for joint, end in _NEXT.items()} | {
    "left_shoulder": "left_collar",
    "right_shoulder": "right_collar",
}
# The middle of SMPL's hips, from the pelvis; and its height when the rest pose stands on the floor, metres.
HIP_OFFSET = SMPL.offsets[1:3].mean(axis=0)
HIP_HEIGHT = SMPL.rest_root_height + float(HIP_OFFSET[2])

# Degrees: a torso that leans no more than the first at rest keeps its shape, from the second on it is set upright.
_LEAN = (10.0, 20.0)
_APART = 0.01  # m between ankle and ball; toes that begin at the ankle don't tell where the foot points
# Degrees that a foot slopes from ankle to ball: steeper it stands on a high heel or points, plumb it hangs.
_STEEP, _PLUMB, _RISING = -45.0, -65.0, 20.0
_LEVEL = np.array([1.0, 1.0, 0.0])


@dataclass(frozen=True, eq=False)
class Follower:
    """A target bone and what it follows.

    ``bone``: index in the rig. ``joint``: SMPL index. ``low``, ``high``, ``share``: it takes the
    rotation this far between two joints (``low == high`` for a bone with a joint of its own).
    ``above``: position of the follower that turns it, -1 for none. ``align``: (4,) turns the rest pose of
    the target bone into the dance frame's SMPL T pose. ``segment``: (3,) the bone's way to the next at
    rest, dance frame; its direction is what the world sees of the bone.
    """

    bone: int
    joint: int
    low: int
    high: int
    share: float
    above: int
    align: Array
    segment: Array


class Fit:
    """A rig and a bone map, measured once; everything is constant in time.

    Raises RigError where the map does not suit the rig, or the body has no height or no width to tell up
    and left from.
    """

    def __init__(self, rig: Rig, bone_map: BoneMap) -> None:
        self.rig = rig
        self.bone_map = bone_map
        self.parents = followed(rig, bone_map)
        self.names = tuple(name for name in rig.names if name in bone_map.bones)
        self._bone_of = {joint: rig.indices[b] for b in reversed(self.names) for joint in [bone_map.bones[b]]}
        lost = [joint for joint in ("pelvis", *sides("hip", "knee")) if joint not in self._bone_of]
        if lost:
            raise RigError(f"The bone map names no {lost[0].replace('_', ' ')}: map its bones anew.")
        self._place = {rig.indices[name]: k for k, name in enumerate(self.names)}

        # As the user posed it to match a T pose, else at rest; armature space.
        heads, tails, turned = matched_pose(rig, bone_map, self.parents)
        linear = rig.world[:3, :3]
        # (4,) the dance frame to the world.
        self.to_world = facing(rig, self._bone_of, heads @ linear.T)
        self.frame, self._stretch = dance_frame(linear, self.to_world)
        self._unstretch = np.linalg.inv(self._stretch)
        # Whether the object's scale is uneven.
        self.stretched = bool(np.abs(self._stretch - np.eye(3)).max() > 1e-6)

        back = rot.conjugate(self.frame)
        self._matched_turns = rot.multiply(rot.multiply(back, turned), self.frame)
        stance, stance_tails = self.show(rot.rotate(back, heads)), self.show(rot.rotate(back, tails))
        # Armature units per metre of the dancer.
        self.scale = leg_length(self._bone_of, stance, stance_tails) / SMPL.leg_length
        middle = stance[self._bones("hip")].mean(axis=0)
        # (3,) the dance frame's origin as it is shown.
        self._origin = np.array([middle[0], middle[1], floor_height(self._bone_of, stance, stance_tails, self.scale)])
        # (J, 3) heads and tails as shown when the body stands at rest, or in the matched pose.
        self.stance, self.stance_tails = stance - self._origin, stance_tails - self._origin
        # (J, 3) rest heads and tails in the dance frame.
        shift = self._unstretch @ self._origin
        self.heads = rot.rotate(back, rig.heads) - shift
        self.tails = rot.rotate(back, rig.tails) - shift
        # (J, 4) rest orientation of the bones in the dance frame.
        self.rest = rot.multiply(back, rig.rotations)
        self.followers = self._follow()

    def has(self, joint: str) -> bool:
        """Whether a bone follows ``joint``."""
        return joint in self._bone_of

    def index(self, joint: str) -> int:
        """Position in ``followers`` of the (first) bone that follows ``joint``."""
        return self._place[self._bone_of[joint]]

    def all_of(self, joint: str) -> list[int]:
        """Positions in ``followers`` of all bones that follow ``joint``."""
        return [k for k, name in enumerate(self.names) if self.bone_map.bones[name] == joint]

    def bone(self, joint: str) -> int:
        """Index in the rig of the (first) bone that follows ``joint``."""
        return self._bone_of[joint]

    def show(self, vectors: Array) -> Array:
        """Vectors (..., 3) of the dance frame as the object's uneven scale shows them."""
        return vectors @ self._stretch.T

    def unshow(self, vectors: Array) -> Array:
        """The inverse of ``show``."""
        return vectors @ self._unstretch.T

    def unstretch(self, turns: Array) -> Array:
        """Turns (T, B, 4) of the followers that make an unevenly scaled rig point where ``turns`` do."""
        if not self.stretched:
            return turns
        along = rot.rotate(turns, self._segments)
        return rot.multiply(rot.between(along, self.unshow(along)), turns)

    def stretch(self, turns: Array) -> Array:
        """The inverse of ``unstretch``."""
        if not self.stretched:
            return turns
        along = rot.rotate(turns, self._segments)
        return rot.multiply(rot.between(along, self.show(along)), turns)

    def to_dance(self, point: Array) -> Array:
        """A point of the world (3,), scene units, as shown in the dance frame."""
        linear, place = self.rig.world[:3, :3], self.rig.world[:3, 3]
        size = np.cbrt(np.linalg.det(linear))
        return rot.rotate(rot.conjugate(self.to_world), point - place) / size - self._origin

    @cached_property
    def _segments(self) -> Array:
        """(B, 3) the followers' segments."""
        return np.stack([f.segment for f in self.followers])

    @cached_property
    def aligns(self) -> Array:
        """(B, 4) the followers' alignments."""
        return np.stack([f.align for f in self.followers])

    @cached_property
    def foot_heights(self) -> Heights:
        """Ankles and toe joints above the floor as shown, armature units, when the aligned feet stand flat."""
        ankles, toes = [], []
        turns = self.unstretch(self.aligns)
        for side in ("left", "right"):
            ankle, _ = self._foot_stance(side)
            heel, ball = self.foot_points(side)
            foot = f"{side}_ankle" if self.has(f"{side}_ankle") else f"{side}_knee"
            flat = self.show(rot.rotate(turns[self.index(foot)], ball - heel))
            if self.bone_map.pose or self._stands(side):
                ankles.append(float(ankle[2]))
            else:
                ankles.append(FOOT_HEIGHT * self.scale - float(flat[2]))
            toes.append(ankles[-1] + float(flat[2]))
        return Heights((ankles[0], ankles[1]), (toes[0], toes[1]))

    @cached_property
    def toe_tips(self) -> tuple[Array, tuple[float, float]] | None:
        """The toes from ball to tip, (2, 3) at rest in the dance frame, and how high the tips of flat feet are.

        The heights are armature units above the floor, as shown. None where the rig's bones don't tell.
        """
        if not all(self.has(joint) for joint in sides("foot")):
            return None
        spans = np.stack([self.tails[bone] - self.heads[bone] for bone in self._bones("foot")])
        at = [self.index(joint) for joint in sides("foot")]
        ahead = self.show(rot.rotate(self.unstretch(self.aligns)[at], spans))
        # Imported bones may point anywhere.
        if (-ahead[:, 1] < 0.7 * np.linalg.norm(ahead, axis=-1)).any():
            return None
        left, right = self.foot_heights.toes + ahead[:, 2]
        return spans, (float(left), float(right))

    @cached_property
    def hip_height(self) -> float:
        """Armature units from the floor to the middle of the hips when the body stands in SMPL's rest pose."""
        heights = []
        turns = self.unstretch(self.aligns)
        for k, side in enumerate(("left", "right")):
            hip, knee = (self.heads[self._bone_of[f"{side}_{joint}"]] for joint in ("hip", "knee"))
            ankle, _ = self.foot_points(side)
            thigh = self.show(rot.rotate(turns[self.index(f"{side}_hip")], knee - hip))
            shin = self.show(rot.rotate(turns[self.index(f"{side}_knee")], ankle - knee))
            heights.append(self.foot_heights.ankles[k] - float(thigh[2] + shin[2]))
        return float(np.mean(heights))

    @cached_property
    def pelvis_to_hips(self) -> Array:
        """(3,) from the pelvis bone's head to the middle of the hips, at rest in the dance frame."""
        return self.heads[self._bones("hip")].mean(axis=0) - self.heads[self._bone_of["pelvis"]]

    @property
    def root_bone(self) -> int:
        """Index in the rig of the bone that follows the pelvis."""
        return self._bone_of["pelvis"]

    @cached_property
    def travel_bone(self) -> int:
        """Index in the rig of the bone whose location carries the body.

        The pelvis, or, where it is fixed to its parent's tail or the upper body does not hang from it, the
        nearest bone above that can move and takes the most bones along.
        """
        above = [{bone, *self.ancestors(bone)} for bone in self._place]
        pelvis = self.root_bone
        free = [b for b in (pelvis, *self.ancestors(pelvis)) if not self.rig.connected[b] or self.rig.parents[b] < 0]
        return max(free, key=lambda b: (sum(b in chain for chain in above), -free.index(b)))

    @cached_property
    def loose(self) -> dict[int, int]:
        """{index of a bone: position of the follower that its location must carry}, of rigs in several pieces.

        The bones hang from nothing, and the travelling bone does not take them along; or they are feet and
        hands that hang from elsewhere than their limbs.
        """
        carried: dict[int, int] = {}
        for bone, place in self._place.items():
            chain = [bone, *self.ancestors(bone)]
            end = self.bone_map.bones[self.rig.names[bone]].endswith(("_ankle", "_wrist"))
            if end and not self.rig.connected[bone] and self.followers[self._holder(place)].bone not in chain:
                carried[bone] = place
            # What follows nothing but has a parent does so by the rig's own constraints.
            elif not self.travels(bone) and self.rig.parents[chain[-1]] < 0:
                carried.setdefault(chain[-1], place)
        return carried

    def _holder(self, follower: int) -> int:
        """Position of the follower that carries a loose one, as joints carry each other."""
        joint = SMPL_PARENTS[self.followers[follower].joint]
        while not self.has(SMPL_NAMES[joint]):
            joint = SMPL_PARENTS[joint]
        return self.index(SMPL_NAMES[joint])

    def ancestors(self, bone: int) -> list[int]:
        """Indices of the bones that a bone follows, from the nearest up."""
        chain = []
        while (bone := self.parents[bone]) >= 0:
            chain.append(bone)
        return chain

    @cached_property
    def order(self) -> list[int]:
        """Indices of all bones, each after the one that it follows."""
        return parents_first(self.parents)

    @cached_property
    def links(self) -> tuple[tuple[int, tuple[tuple[int, Array], ...]], ...]:
        """For each follower, from where and by what steps its head is reached; see ``hangs``.

        A loose one is where it would be on the follower that carries it.
        """
        links: list[tuple[int, tuple[tuple[int, Array], ...]]] = []
        for bone, place in self._place.items():
            if place in self.loose.values():
                holder = self._holder(place)
                step = self.heads[bone] - self.heads[self.followers[holder].bone]
                links.append((holder, ((holder, step),)))
            else:
                links.append(self.hangs(bone))
        return tuple(links)

    def hangs(self, bone: int) -> tuple[int, tuple[tuple[int, Array], ...]]:
        """From where and by what steps the head of a bone is reached, as it hangs from its parents.

        (carrier, ((turner, step), ...)): the nearest follower up the chain (-1: the travelling bone), and
        (3,) steps at rest in the dance frame, each turned by a follower (-1: by none).
        """
        steps: dict[int, Array] = {}
        at = bone
        while (parent := self.parents[at]) >= 0:
            turner = self.turner(parent)
            steps[turner] = steps.get(turner, np.zeros(3)) + self.heads[at] - self.heads[parent]
            at = parent
            if parent in self._place:
                break
        carrier = self._place.get(at, -1) if at != bone else -1
        if carrier < 0:
            steps = {-1: self.heads[bone] - self.heads[self.root_bone]}
        return carrier, tuple(steps.items())

    def travels(self, bone: int) -> bool:
        """Whether the travelling bone takes the bone along."""
        return self.travel_bone in (bone, *self.ancestors(bone))

    def foot_points(self, side: str) -> tuple[Array, Array]:
        """Ankle and ball of the foot, (3,) each, at rest in the dance frame; estimated where no bone tells."""
        ankle_bone, toe_bone = self._bone_of.get(f"{side}_ankle"), self._bone_of.get(f"{side}_foot")
        knee = self._bone_of[f"{side}_knee"]
        ankle = self.tails[knee] if ankle_bone is None else self.heads[ankle_bone]
        if toe_bone is not None and np.linalg.norm(self.heads[toe_bone] - ankle) > _APART * self.scale:
            return ankle, self.heads[toe_bone]
        foot = SMPL.offsets[SMPL_NAMES.index(f"{side}_foot")] * self.scale
        if ankle_bone is not None:
            # The bone tells where the foot points, unless it goes on down the shin.
            way = self.stance_tails[ankle_bone] - self.stance[ankle_bone]
            ahead = way * [1.0, 1.0, 0.0]
            if np.linalg.norm(ahead) > 0.5 * np.linalg.norm(way) and ahead[1] < 0.0:
                foot = rot.rotate(rot.between(foot * [1.0, 1.0, 0.0], ahead), foot)
        matched = self._matched_turns[knee if ankle_bone is None else ankle_bone]
        return ankle, ankle + rot.rotate(rot.conjugate(matched), self.unshow(foot))

    def turner(self, bone: int) -> int:
        """Position of the follower that turns ``bone``: itself, or the nearest above it; -1 for none."""
        while bone >= 0:
            if bone in self._place:
                return self._place[bone]
            if not self.rig.inherits_rotation[bone]:
                return -1
            bone = self.parents[bone]
        return -1

    def _bones(self, part: str) -> list[int]:
        return [self._bone_of[joint] for joint in sides(part)]

    def _follow(self) -> tuple[Follower, ...]:
        chain_share = self._chain(SPINE, 0) | self._chain(("neck",), SMPL_NAMES.index("spine3"))
        aligns = self._joint_aligns()
        followers = []
        for name in self.names:
            bone, joint = self.rig.indices[name], self.bone_map.bones[name]
            number = SMPL_NAMES.index(joint)
            low, high, share = chain_share.get(bone, (number, number, 0.0))
            above = self.turner(self.parents[bone]) if self.rig.inherits_rotation[bone] else -1
            way = self._segment(joint, bone)
            segment = self.tails[bone] - self.heads[bone] if way is None else way
            align = self._seen(self._matched_turns[bone], segment) if self.bone_map.pose else aligns[joint]
            followers.append(Follower(bone, number, low, high, share, above, align, segment))
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

    def _joint_aligns(self) -> dict[str, Array]:
        """(4,) for each mapped joint: turns its first bone from rest into SMPL's T pose."""
        aligns: dict[str, Array] = {}
        for joint in (name for name in SMPL_NAMES if self.has(name)):
            aligns[joint] = self._align(joint, self._carried(joint, aligns))
        for side in ("left", "right"):
            elbow, wrist, hand = (f"{side}_{part}" for part in ("elbow", "wrist", "hand"))
            thumb = thumb_side(self.rig, self._bone_of[wrist]) if self.has(wrist) else None
            if thumb is None:
                continue
            forearm, fingers = (SMPL.offsets[SMPL_NAMES.index(_NEXT[joint])] for joint in (elbow, wrist))
            turned = rot.rotate(rot.multiply(aligns[wrist], rot.conjugate(self.frame)), thumb)
            roll = palm_roll(turned, fingers)
            # Half of a palm's way to the floor is the forearm's, half the wrist's, so that no joint wrings the skin.
            for joint, axis, share in ((elbow, forearm, 0.5), (wrist, fingers, 1.0), (hand, fingers, 1.0)):
                if joint in aligns:
                    turn = rot.from_axis_angle(axis / np.linalg.norm(axis) * share * roll)
                    aligns[joint] = rot.multiply(turn, aligns[joint])
        return aligns

    def _align(self, joint: str, before: Array) -> Array:
        """(4,) turns the target's rest segment onto SMPL's; see the module ``solve`` for the principle.

        ``before``: (4,) the alignment of the limb before this joint.
        """
        bone = self._bone_of[joint]
        way = self._segment(joint, bone)
        if way is None:
            return rot.multiply(before, self._seen(rot.IDENTITY, self.tails[bone] - self.heads[bone]))
        wanted = SMPL.offsets[SMPL_NAMES.index(_NEXT[joint])]
        side, _, part = joint.partition("_")
        if part == "ankle" and self._stands(side):
            ankle, ball = self._foot_stance(side)
            turn = rot.between((ball - ankle) * _LEVEL, wanted * _LEVEL)
            return rot.multiply(turn, self._seen(rot.IDENTITY, way))
        return rot.multiply(rot.between(rot.rotate(before, way), wanted), before)

    def _carried(self, joint: str, aligns: dict[str, Array]) -> Array:
        """(4,) the alignment that the limb has before this joint."""
        while joint in _BEFORE:
            joint = _BEFORE[joint]
            if joint in aligns:
                return aligns[joint]
        return rot.IDENTITY if joint == "pelvis" or joint.endswith("hip") else self._lean

    def _seen(self, turn: Array, segment: Array) -> Array:
        """(4,) ``turn``, and further so that ``segment`` points where the world sees it after ``turn``."""
        if not self.stretched:
            return turn
        along = rot.rotate(turn, segment)
        return rot.multiply(rot.between(along, self.show(along)), turn)

    @cached_property
    def _lean(self) -> Array:
        """(4,) sets a torso upright that is bent at rest; the identity for one that only stands as bodies do."""
        spine = next((joint for joint in SPINE if self.has(joint)), None)
        if spine is None or not all(self.has(joint) for joint in sides("shoulder")):
            return rot.IDENTITY
        joints = SMPL.rest_positions
        wanted = joints[16:18].mean(axis=0) - joints[SMPL_NAMES.index("spine1")]
        way = self.stance[self._bones("shoulder")].mean(axis=0) - self.stance[self._bone_of[spine]]
        turn = rot.to_axis_angle(rot.between(way, wanted))
        share = np.interp(np.degrees(np.linalg.norm(turn)), _LEAN, (0.0, 1.0))
        return rot.from_axis_angle(turn * share)

    def _segment(self, joint: str, bone: int) -> Array | None:
        """(3,) from a limb's bone to the next joint at rest, dance frame; None for what is no limb or not known."""
        if joint not in _NEXT:
            return None
        side, _, part = joint.partition("_")
        end = self._bone_of.get(_NEXT[joint])
        if part == "ankle":
            ankle, ball = self.foot_points(side)
            return ball - ankle
        if end is not None and np.linalg.norm(self.heads[end] - self.heads[bone]) > 1e-6 * self.scale:
            return self.heads[end] - self.heads[bone]
        before = self._bone_of.get(_BEFORE.get(joint, ""))
        along = None if before is None else self.heads[bone] - self.heads[before]
        spans = [self.heads[c] - self.heads[bone] for c in self.rig.children[bone]]
        longest = max((float(np.linalg.norm(s)) for s in spans), default=0.0)
        # Of a hand's children the fingers, not the thumb, whose root is nearer.
        spans = [s for s in spans if np.linalg.norm(s) > 0.6 * longest and longest > 1e-9]
        for candidate in ([np.mean(spans, axis=0)] if spans else []) + [self.tails[bone] - self.heads[bone]]:
            if along is None or cosine(candidate, along) > 0.5:
                return candidate
        return None

    def _foot_stance(self, side: str) -> tuple[Array, Array]:
        """Ankle and ball of the foot, (3,) each, as the stance shows them."""
        ankle, ball = self.foot_points(side)
        bone = self._bone_of.get(f"{side}_ankle", self._bone_of[f"{side}_knee"])
        here = self.stance[bone] if self.has(f"{side}_ankle") else self.stance_tails[bone]
        return here, here + self.show(rot.rotate(self._matched_turns[bone], ball - ankle))

    def _stands(self, side: str) -> bool:
        """Whether a foot stands on its sole at rest, if need be on a high heel, and does not hang or point."""
        ankle, ball = self._foot_stance(side)
        slope = _slope(ball - ankle)
        toe = self._bone_of.get(f"{side}_foot")
        if slope < _STEEP and toe is not None:
            # On a high heel the toes lie flat; those of a pointed foot go on down.
            return slope > _PLUMB and _slope(self.stance_tails[toe] - self.stance[toe]) > 0.5 * _STEEP
        return _PLUMB < slope < _RISING


def _slope(span: Array) -> float:
    """Degrees that ``span`` (3,) rises."""
    return float(np.degrees(np.arctan2(span[2], np.linalg.norm(span[:2]))))
