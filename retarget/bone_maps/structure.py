"""Which bone is which by the build of the body alone: hierarchy, symmetry and lengths, no names.

A body is two pairs of limbs that are alike on both sides, a spine between them and perhaps a head beyond.
Every pair of chains that may be limbs is tried as legs and as arms; costs say how far proportions and
angles are from a body's, and the cheapest body wins. All of it is free of scale and of how the armature
is turned; only the side that is left needs to know where the body faces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from ..errors import RigError
from ..rig import Rig
from ..rotations import Array
from ..skeleton import SMPL_NAMES
from .bone_map import BoneMap

_ADVICE = "choose a two-legged character, or name its bones in the bone map"
# Shares of the armature's size, and how alike the sides of a pair are at least.
_SHORTEST_LIMB = 0.1
_NARROWEST = 0.01
_ALIKE = 0.75
# Sides whose whole reach differs more than this are none; a staff in one hand is longer than the arm.
_HELD = 0.12
# How many times as long as a hand a chain beside it must be to be the limb's.
_FINGERS = 5.0
# Bounds of the search: children tried at a fork, limbs tried as legs and as arms, bones of a limb.
_MOST_CHILDREN = 16
_MOST_LIMBS = 12
_LONGEST_CHAIN = 12
# A body dearer than this is none; two bodies are told apart by costs no further than this from each other.
_DEAREST = 9.0
_RIVAL = 3.0
# Where arms stand on the floor beside the legs, and the spine is not upright above them, there is no dance.
_UPRIGHT = -0.5
_DOWNWARD = 0.5
_ON_FLOOR = 0.65


@dataclass(frozen=True, eq=False)
class _Tree:
    """The bones that may be a body's, in the world.

    ``parents``: J indices, -1 for a root and for bones left out. ``kept``: indices of the bones.
    ``reach``: (J,) the longest way from the bone's parent through it to a leaf's end; ``depth``: how
    many bones are on it. ``size``: the diagonal
    of all heads.
    """

    heads: Array
    tails: Array
    kept: list[int]
    parents: list[int]
    children: list[list[int]]
    reach: list[float]
    depth: list[int]
    size: float

    def ancestry(self, bone: int) -> list[int]:
        """The bone and all above it."""
        chain = []
        while bone >= 0:
            chain.append(bone)
            bone = self.parents[bone]
        return chain


@dataclass(frozen=True, eq=False)
class _Limb:
    """A pair of chains that mirror each other.

    ``anchor``: the bone that both hang from, -1 for none. ``bones``: (n, 2) indices. ``points``:
    (n + 1, 2, 3) the heads, and the ends of the last bones. ``forks``: n counts of children that are chains.
    ``crowd``: cost of bones that are not as long on both sides, and of chains beside it that are like
    it, as those of a skirt are.
    """

    anchor: int
    bones: Array
    points: Array
    forks: Array
    crowd: float


@dataclass(frozen=True, eq=False)
class _Bend:
    """Where a limb's three joints are: hip, knee, ankle, or shoulder, elbow, wrist.

    ``at``: their places in the limb's points. ``cost``: how little it looks like one. ``doubt``: the
    cost of the next best choice less this one. ``length``: from the first joint over the second to the third.
    """

    limb: _Limb
    at: tuple[int, int, int]
    cost: float
    doubt: float
    length: float

    def middle(self, joint: int) -> Array:
        """(3,) between both sides' joints."""
        return self.limb.points[self.at[joint]].mean(axis=0)

    @property
    def across(self) -> Array:
        """(3,) unit vector from the second side to the first at the first joint."""
        a, b = self.limb.points[self.at[0]]
        return _unit(a - b)


@dataclass(frozen=True, eq=False)
class _Body:
    legs: _Bend
    arms: _Bend
    cost: float


def map_by_structure(rig: Rig) -> BoneMap:
    """The bone map of a humanoid by its build alone; names are never looked at.

    Raises RigError where there is no body of two legs and two arms, or more than one.
    """
    tree = _grow(rig)
    limbs = _limbs(tree)
    legs = sorted((_bend_leg(limb, tree.size) for limb in limbs), key=lambda leg: leg.cost)[:_MOST_LIMBS]
    bodies = sorted(_bodies(tree, legs, limbs), key=lambda body: body.cost)
    if not bodies or bodies[0].cost > _DEAREST:
        found = {0: "no pair of limbs", 1: "only one pair of limbs"}.get(
            len(limbs), "no legs and arms of a human shape"
        )
        raise RigError(f"This armature's build shows {found}: {_ADVICE}.")
    body = bodies[0]
    rival = next((other for other in bodies[1:] if _apart(tree, body, other)), None)
    if rival is not None and rival.cost < body.cost + _RIVAL:
        raise RigError("This armature holds more than one body: give each its own armature.")
    if _many_legged(tree, body):
        raise RigError(f"This armature has more than two pairs of legs: {_ADVICE}.")
    if _on_all_fours(*(part.limb.points[list(part.at)].mean(axis=1)[[0, 2]] for part in (body.legs, body.arms))):
        raise RigError(f"This armature stands on four legs: {_ADVICE}.")
    return _bone_map(rig, _name(tree, body))


def check_two_legged(rig: Rig, bone_map: BoneMap) -> None:
    """Raises RigError where the mapped arms are front legs: on the floor at rest, below a spine that lies."""
    ends = []
    for parts in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
        both = []
        for side in ("left", "right"):
            first, second, third = (bone_map.bone(f"{side}_{part}") for part in parts)
            if first is None or second is None:
                return
            end = rig.heads[rig.indices[third]] if third is not None else rig.tails[rig.indices[second]]
            both.append((rig.heads[rig.indices[first]], end))
        ends.append(np.mean(both, axis=0) @ rig.world[:3, :3].T)
    if _on_all_fours(ends[0], ends[1]):
        raise RigError(f"This armature stands on four legs: {_ADVICE}.")


def _on_all_fours(legs: Array, arms: Array) -> bool:
    """Whether arms are front legs; ``legs``, ``arms``: (2, 3) where they begin and end, between the sides."""
    spine, down, arm = arms[0] - legs[0], legs[1] - legs[0], arms[1] - arms[0]
    if _cos(spine, down) < _UPRIGHT or _cos(arm, down) < _DOWNWARD:
        return False
    floor = _unit(_unit(down) + _unit(arm))
    return bool((arms[1] - legs[0]) @ floor > _ON_FLOOR * (down @ floor))


# --- the tree and its pairs -------------------------------------------------------------------------------


def _grow(rig: Rig) -> _Tree:
    """The bones that deform, and those they hang from: others are controls."""
    count = len(rig)
    keep = list(rig.deforms) if any(rig.deforms) else [True] * count
    for bone in reversed(range(count)):
        if keep[bone] and rig.parents[bone] >= 0:
            keep[rig.parents[bone]] = True
    kept = [bone for bone in range(count) if keep[bone]]
    heads = rig.heads @ rig.world[:3, :3].T
    tails = rig.tails @ rig.world[:3, :3].T
    parents = [rig.parents[bone] if keep[bone] else -1 for bone in range(count)]
    children: list[list[int]] = [[] for _ in range(count)]
    for bone in kept:
        if parents[bone] >= 0:
            children[parents[bone]].append(bone)
    size = float(np.linalg.norm(np.ptp(np.concatenate([heads[kept], tails[kept]]), axis=0)))
    own = np.linalg.norm(tails - heads, axis=-1)
    above = np.array([max(parent, 0) for parent in parents])
    steps = np.linalg.norm(heads - heads[above], axis=-1)
    below = [0.0] * count
    reach = [0.0] * count
    depth = [0] * count
    for bone in reversed(kept):
        # A leaf's tail is often a guess of the program that wrote the file.
        next_one = max(children[bone], key=lambda child: reach[child], default=None)
        below[bone] = 0.5 * float(own[bone]) if next_one is None else reach[next_one]
        depth[bone] = 1 if next_one is None else depth[next_one] + 1
        reach[bone] = below[bone] + (float(steps[bone]) if parents[bone] >= 0 else 0.0)
    return _Tree(heads, tails, kept, parents, children, reach, depth, size)


def _limbs(tree: _Tree) -> list[_Limb]:
    """All pairs of chains that may be limbs, those that stand alone and are long first."""
    found: list[tuple[float, _Limb]] = []
    roots = [bone for bone in tree.kept if tree.parents[bone] < 0]
    for anchor in [-1, *tree.kept]:
        children = roots if anchor < 0 else tree.children[anchor]
        if len(children) < 2:
            continue
        long = [bone for bone in children if tree.reach[bone] > _SHORTEST_LIMB * tree.size]
        long = sorted(long, key=lambda bone: -tree.reach[bone])[:_MOST_CHILDREN]
        for a, b in combinations(long, 2):
            if min(tree.reach[a], tree.reach[b]) < _HELD * max(tree.reach[a], tree.reach[b]):
                continue
            alike = sum(_like(tree, a, other) for other in long if other not in (a, b))
            limb = _descend(tree, anchor, a, b, min(0.8 * alike, 4.0))
            if limb is not None:
                found.append((float(np.linalg.norm(np.diff(limb.points, axis=0), axis=-1).sum()), limb))
    found.sort(key=lambda pair: (pair[1].crowd, -pair[0]))
    return [limb for _, limb in found[: 3 * _MOST_LIMBS]]


def _descend(tree: _Tree, anchor: int, a: int, b: int, crowd: float) -> _Limb | None:
    """Both chains from ``a`` and ``b`` down as long as they are alike; None where they are no limbs."""
    rows, forks = [(a, b)], []
    while True:
        a, b = rows[-1]
        pairs = _matches(tree, a, b)
        forks.append(min(_fan(tree, a), _fan(tree, b)))
        if not pairs or len(rows) >= _LONGEST_CHAIN:
            break
        rows.append(max(pairs)[1])
    bones = np.array(rows)
    points = np.concatenate([tree.heads[bones], tree.tails[bones[-1:]]])
    if len(rows) < 2:
        return None
    each = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    steps = each.sum(axis=0)
    apart = np.linalg.norm(points[:, 0] - points[:, 1], axis=-1).max()
    if steps.min() < _ALIKE * steps.max() or apart < _NARROWEST * tree.size:
        return None
    uneven = 8.0 * float(np.abs(each[:-1, 0] - each[:-1, 1]).sum() / steps.mean())
    return _Limb(anchor, bones, points, np.array(forks), crowd + uneven)


def _matches(tree: _Tree, a: int, b: int) -> list[tuple[float, tuple[int, int]]]:
    """(how far they lead, (child of a, child of b)) of children that are alike."""
    first, second = (
        sorted(tree.children[bone], key=lambda child: -tree.reach[child])[: _MOST_CHILDREN // 2] for bone in (a, b)
    )
    found = []
    for x, y in product(first, second):
        shortest, longest = sorted((tree.reach[x], tree.reach[y]))
        p = float(np.linalg.norm(tree.heads[x] - tree.heads[a]))
        q = float(np.linalg.norm(tree.heads[y] - tree.heads[b]))
        # A prop in one hand makes that side longer.
        alike = (0.7 + 0.3 * shortest / max(longest, 1e-12)) * (1.0 - abs(p - q) / max(p, q, 1e-6 * tree.size))
        if alike > 0.4:
            # Sleeves and ornaments may be longer than the hand that they hang beside, but have no fingers.
            fingers = min(_widest_fan(tree, x), _widest_fan(tree, y)) >= 3
            found.append((shortest * alike * (_FINGERS if fingers else 1.0), (x, y)))
    return found


def _like(tree: _Tree, a: int, b: int) -> bool:
    """Whether two chains are as long and have as many bones."""
    return tree.depth[a] == tree.depth[b] and abs(tree.reach[a] - tree.reach[b]) < 0.15 * tree.reach[a]


def _fan(tree: _Tree, bone: int) -> int:
    """How many of the bone's children are chains of their own, as fingers are."""
    return sum(1 for child in tree.children[bone] if tree.children[child])


def _widest_fan(tree: _Tree, bone: int) -> int:
    """The most chains that go on from one bone, of ``bone`` and the longest below it."""
    widest = _fan(tree, bone)
    while tree.children[bone]:
        bone = max(tree.children[bone], key=lambda child: tree.reach[child])
        widest = max(widest, _fan(tree, bone))
    return widest


# --- the joints of a limb ---------------------------------------------------------------------------------


def _bend_leg(limb: _Limb, size: float) -> _Bend:
    """The best hip, knee and ankle of a limb."""
    chain = _Chain(limb)
    i, j, k = chain.choices
    thigh, shin = chain.between[i, j], chain.between[j, k]
    whole = np.maximum(thigh + shin, 1e-9 * size)
    # The tail of a leaf beyond the foot is often a guess.
    end = np.where(k < len(limb.bones) - 1, (chain.way[-1] + chain.way[-2]) / 2.0, chain.way[-1])
    foot = np.maximum(end - chain.way[k], 0.0) / whole
    cost = _square((thigh / whole - 0.5) / 0.1) + chain.crooked(i, j) + chain.crooked(j, k)
    cost += 2.0 * chain.way[i] / whole + np.where(i > 0, 1.5 * np.maximum(chain.cos_at(i, j), 0.0), 0.0)
    shape = np.minimum(_square((foot - 0.3) / np.where(foot < 0.3, 0.2, 0.4)), 4.0) + 1.5 * chain.turn(j, k)
    cost += np.where(k == len(limb.bones), 2.5, shape) + limb.crowd
    return chain.bend(cost, whole)


def _bend_arm(limb: _Limb, legs: _Bend) -> _Bend:
    """The best shoulder, elbow and wrist of a limb beside ``legs``."""
    chain = _Chain(limb)
    i, j, k = chain.choices
    upper, fore = chain.between[i, j], chain.between[j, k]
    whole = np.maximum(upper + fore, 1e-9 * legs.length)
    hand = (chain.way[-1] - chain.way[k]) / whole
    torso = max(float(np.linalg.norm(limb.points[0].mean(axis=0) - legs.middle(0))), 1e-6 * legs.length)
    out = np.abs((limb.points[:, 0] - limb.points[:, 1]) @ legs.across) / 2.0
    cost = _square((upper / whole - 0.5) / 0.1) + chain.crooked(i, j) + chain.crooked(j, k)
    cost += np.minimum(_square((out[i] / torso - 0.36) / 0.14), 3.0)
    # A clavicle starts near the middle and is shorter than the upper arm; a twist bone goes on in its line.
    cost += np.where(i > 0, 1.0 * np.maximum(chain.way[i] / whole - 0.35, 0.0) * 4.0 + 0.3, 0.0)
    last = k == len(limb.bones)
    fan = limb.forks[np.minimum(k, len(limb.bones) - 1)]
    cost += np.where(last, 1.0, np.minimum(_square((hand - 0.35) / 0.3), 4.0))
    cost -= np.where(last, 0.0, np.select([fan >= 3, fan == 2], [2.5, 1.0], 0.0))
    early = [int((limb.forks[:n] >= 3).any()) for n in range(len(limb.bones) + 1)]
    cost += 2.5 * np.array(early)[np.minimum(k, len(limb.bones))]
    return chain.bend(cost + limb.crowd, whole)


class _Chain:
    """Lengths along a limb, the mean of both sides, and every choice of three joints on it."""

    def __init__(self, limb: _Limb) -> None:
        self.limb = limb
        points = limb.points
        steps = np.linalg.norm(np.diff(points, axis=0), axis=-1).mean(axis=1)
        self.way = np.concatenate([[0.0], np.cumsum(steps)])
        cosines = _cosines(points[1:-1] - points[:-2], points[2:] - points[1:-1])
        cosines[np.minimum(steps[:-1], steps[1:]) < 0.01 * self.way[-1]] = 1.0
        self.bends = np.cumsum([0.0, *(6.0 * (1.0 - cosines)), 0.0])
        self.between = np.linalg.norm(points[:, None] - points[None], axis=-1).mean(axis=-1)
        picks = np.array(list(combinations(range(len(points)), 3)))
        self.choices = picks[:, 0], picks[:, 1], picks[:, 2]

    def crooked(self, start: Array, end: Array) -> Array:
        """Cost of pieces of one bone, from ``start`` to ``end``, that are not in one line."""
        return self.bends[np.maximum(end - 1, start)] - self.bends[start]

    def turn(self, j: Array, k: Array) -> Array:
        """Cosine of the angle at the joints ``k`` between the way from ``j`` and the next bone's."""
        after = np.minimum(k + 1, len(self.limb.points) - 1)
        return _cosines(self.limb.points[k] - self.limb.points[j], self.limb.points[after] - self.limb.points[k])

    def cos_at(self, i: Array, j: Array) -> Array:
        """Cosine of the angle at ``i`` between the bone before and the way to ``j``."""
        before = np.maximum(i - 1, 0)
        return _cosines(self.limb.points[i] - self.limb.points[before], self.limb.points[j] - self.limb.points[i])

    def bend(self, cost: Array, lengths: Array) -> _Bend:
        """The cheapest choice."""
        order = np.argsort(cost, kind="stable")
        best = int(order[0])
        doubt = float(cost[order[1]] - cost[best]) if len(order) > 1 else 4.0
        at = (int(self.choices[0][best]), int(self.choices[1][best]), int(self.choices[2][best]))
        return _Bend(self.limb, at, float(cost[best]), doubt, float(lengths[best]))


# --- bodies -----------------------------------------------------------------------------------------------


def _bodies(tree: _Tree, legs: list[_Bend], limbs: list[_Limb]) -> Iterator[_Body]:
    """Every pair of limbs as legs with every other as arms."""
    above = {limb: set(tree.ancestry(limb.anchor)) for limb in limbs}
    for leg in legs:
        for limb in limbs:
            own, other = set(leg.limb.bones[0]), set(limb.bones[0])
            if own & (other | above[limb]) or other & above[leg.limb]:
                continue
            arm = _bend_arm(limb, leg)
            yield _Body(leg, arm, leg.cost + arm.cost + _joined(tree, leg, arm))


def _joined(tree: _Tree, legs: _Bend, arms: _Bend) -> float:
    """How little a pair of legs and one of arms make one body."""
    spine, down = arms.middle(0) - legs.middle(0), legs.middle(2) - legs.middle(0)
    torso = float(np.linalg.norm(spine))
    cost = 5.0 * (1.0 - abs(float(legs.across @ arms.across))) + 2.5 * (1.0 + _cos(spine, down))
    cost += 2.0 * abs(_cos(spine, legs.across))
    cost += 0.5 * (np.log(max(arms.length, 1e-9) / max(legs.length, 1e-9) / 0.65) / 0.7) ** 2
    cost += 0.5 * (np.log(max(torso, 1e-9) / max(legs.length, 1e-9) / 0.66) / 0.7) ** 2
    hanging = tree.ancestry(arms.limb.anchor)
    if legs.limb.anchor not in hanging:
        cost += 0.5 if _meeting(tree, legs.limb.anchor, arms.limb.anchor) >= 0 else 1.0
    if legs.limb.anchor != arms.limb.anchor and arms.limb.anchor in tree.ancestry(legs.limb.anchor):
        # Legs below a chest are none, but they may hang from a bone beside the spine.
        away = float(np.linalg.norm(tree.heads[arms.limb.anchor] - legs.middle(0))) if arms.limb.anchor >= 0 else torso
        cost += 3.0 * away / max(torso, 1e-9)
    # Controls and ornaments are smaller than the body.
    cost += 1.5 * np.log(tree.size / max(torso + legs.length + arms.length, 1e-6 * tree.size))
    # A body that lies is one as well, but most stand.
    return float(cost - 0.5 * spine[2] / max(torso, 1e-12))


def _apart(tree: _Tree, one: _Body, other: _Body) -> bool:
    """Whether two bodies share no bone, and neither hangs from the other."""
    sets = [{int(bone) for part in (body.legs, body.arms) for bone in part.limb.bones.ravel()} for body in (one, other)]
    mine, theirs = one.legs.limb.anchor, other.legs.limb.anchor
    # Wings, hair and skirts hang from the body that they belong to.
    return not sets[0] & sets[1] and mine not in tree.ancestry(theirs) and theirs not in tree.ancestry(mine)


def _many_legged(tree: _Tree, body: _Body) -> bool:
    """Whether legs and arms are but two of several pairs of legs round one bone."""
    anchor = body.legs.limb.anchor
    if anchor < 0 or anchor != body.arms.limb.anchor:
        return False
    leg = int(body.legs.limb.bones[0, 0])
    return sum(_like(tree, leg, child) for child in tree.children[anchor]) > 5


def _meeting(tree: _Tree, a: int, b: int) -> int:
    """The lowest bone above or at both, -1 for none."""
    above = set(tree.ancestry(a))
    return next((bone for bone in tree.ancestry(b) if bone in above), -1)


# --- from a body to joints --------------------------------------------------------------------------------


def _name(tree: _Tree, body: _Body) -> dict[int, tuple[str, float]]:
    """{bone: (joint, score)} of a body."""
    found = _name_middle(tree, body)
    legs, arms = body.legs, body.arms
    left, sureness = _left(tree, body, [bone for bone, (joint, _) in found.items() if joint == "head"])
    flip = int(float(legs.across @ arms.across) < 0.0)
    for part, joints, first in (
        (legs, ("hip", "knee", "ankle"), left),
        (arms, ("shoulder", "elbow", "wrist"), left ^ flip),
    ):
        fit = _score(part)
        for side, word in ((first, "left"), (1 - first, "right")):
            column = part.limb.bones[:, side]
            for at, joint in zip(part.at, joints, strict=True):
                if at < len(column):
                    found[int(column[at])] = (f"{word}_{joint}", fit * sureness)
            if part is legs and _has_toes(legs):
                found[int(column[_toes(legs)])] = (f"{word}_foot", 0.9 * fit * sureness)
            if part is arms and part.at[0] > 0:
                ways = np.linalg.norm(np.diff(part.limb.points[: part.at[0] + 1, side], axis=0), axis=-1)
                found[int(column[int(np.argmax(ways))])] = (f"{word}_collar", 0.9 * fit * sureness)
    return found


def _name_middle(tree: _Tree, body: _Body) -> dict[int, tuple[str, float]]:
    """Pelvis, spine, neck and head."""
    legs, arms = body.legs, body.arms
    path = tree.ancestry(arms.limb.anchor)[::-1]
    pelvis = _meeting(tree, legs.limb.anchor, arms.limb.anchor)
    sure = 1.0 if pelvis == legs.limb.anchor else 0.6
    if pelvis < 0:
        if not path:
            return {}
        pelvis, sure = path[0], 0.5
    spine = path[path.index(pelvis) + 1 :]
    up = _unit(arms.middle(0) - legs.middle(0))
    torso = float((arms.middle(0) - legs.middle(0)) @ up)
    head = _head(tree, body, up, torso)
    neck = head[:-1]
    if len(spine) > 1 and not neck and head and float((arms.middle(0) - tree.heads[spine[-1]]) @ up) < 0.02 * torso:
        neck, spine = [spine[-1]], spine[:-1]
    found = {pelvis: ("pelvis", sure)}
    count = len(spine)
    for k, bone in enumerate(spine):
        found[bone] = (f"spine{-(-(k + 1) * 3 // count)}", 0.9)
    for bone in neck:
        found[bone] = ("neck", 0.85)
    if head:
        found[head[-1]] = ("head", 0.85)
    return found


def _head(tree: _Tree, body: _Body, up: Array, torso: float) -> list[int]:
    """Neck bones and the head, from the chest on; empty where there are none."""
    legs, arms = body.legs, body.arms
    shoulders, across = arms.middle(0), legs.across
    limbs = {int(bone) for part in (legs, arms) for bone in part.limb.bones[0]}

    def central(bone: int) -> bool:
        aside = float((tree.heads[bone] - shoulders) @ across)
        beyond = float((tree.tails[below(bone)].mean(axis=0) - shoulders) @ across)
        return bone not in limbs and max(abs(aside), abs(beyond)) < 0.1 * torso

    def below(bone: int) -> list[int]:
        """The bone and all that hang from it."""
        found = [bone]
        for at in found:
            found += tree.children[at]
        return found

    def height(bone: int) -> float:
        return float((tree.heads[bone] - shoulders) @ up) / torso

    def top(bone: int) -> float:
        """Height of the highest head or tail in the subtree."""
        points = np.concatenate([tree.heads[below(bone)], tree.tails[below(bone)]])
        return float(((points - shoulders) @ up).max()) / torso

    chain: list[int] = []
    at = arms.limb.anchor
    if at < 0:
        return []
    while len(chain) < _LONGEST_CHAIN:
        options = [(top(c), c) for c in tree.children[at] if central(c) and height(c) > -0.25 and c not in chain]
        options = [option for option in options if option[0] > 0.1]
        if not options:
            break
        at = max(options, key=lambda option: (len(below(option[1])).bit_length(), option[0]))[1]
        chain.append(at)
    if not chain:
        return []
    heights = [height(bone) for bone in chain]
    # Some heads hold a bone for the face that starts where they do.
    fork = [len(tree.children[bone]) for bone in chain]
    costs = []
    for place, bone in enumerate(chain):
        same = [k for k in range(place, len(chain)) if heights[k] - heights[place] < 0.03]
        children = max(fork[k] for k in same)
        skull = top(bone) - heights[place]
        cost = ((heights[place] - 0.35) / 0.3) ** 2 + min(((skull - 0.3) / 0.25) ** 2, 1.0)
        cost -= 1.5 * float(np.log2(max(children, 1)))
        costs.append(cost + 0.8 * (place == 0) + 0.05 * place)
    return chain[: int(np.argmin(costs)) + 1]


def _left(tree: _Tree, body: _Body, head: list[int]) -> tuple[int, float]:
    """(the legs' side that is left, how sure that is), by where the body faces."""
    legs, arms = body.legs, body.arms
    across = legs.across
    up = arms.middle(0) - legs.middle(0)
    up = _unit(up - (up @ across) * across)
    # Were the first side left, the body would face here.
    facing = np.cross(across, up)
    hip, knee, ankle = (legs.middle(joint) for joint in range(3))
    evidence = 0.0
    if legs.at[2] < len(legs.limb.bones):
        toes = legs.limb.points[legs.at[2] + 1] if _has_toes(legs) else tree.tails[legs.limb.bones[legs.at[2]]]
        evidence += 3.0 * float((toes.mean(axis=0) - ankle) @ facing) / legs.length
    evidence += 2.0 * float((knee - (hip + ankle) / 2.0) @ facing) / legs.length
    shoulder, elbow, wrist = (arms.middle(joint) for joint in range(3))
    evidence -= 1.0 * float((elbow - (shoulder + wrist) / 2.0) @ facing) / arms.length
    for bone in head:
        below = [at for child in tree.children[bone] for at in (child, *tree.children[child])]
        if len(below) > 2:
            evidence += 0.5 * float((tree.heads[below].mean(axis=0) - tree.heads[bone]) @ facing) / legs.length
    if abs(evidence) < 0.01:
        return (0 if facing[1] <= 0.0 else 1), 0.6
    return (0 if evidence > 0.0 else 1), float(min(1.0, 0.7 + 2.0 * abs(evidence)))


def _has_toes(legs: _Bend) -> bool:
    """Whether the bone after the foot is ahead of the ankle; a heel is below it."""
    after = legs.at[2] + 1
    if after >= len(legs.limb.bones):
        return False
    step, down = legs.limb.points[after] - legs.limb.points[legs.at[2]], _unit(legs.middle(2) - legs.middle(0))
    drop = step @ down
    return bool((np.linalg.norm(step - drop[:, None] * down, axis=-1) > 0.8 * np.abs(drop)).all())


def _toes(legs: _Bend) -> int:
    """The place of the toes in the limb; some feet have a bone for the instep before them."""
    ankle, after = legs.at[2], legs.at[2] + 1
    if after + 1 >= len(legs.limb.bones):
        return after
    near, far = np.linalg.norm(legs.limb.points[after : after + 2] - legs.limb.points[ankle], axis=-1).mean(axis=1)
    return after + int(near < 0.5 * far)


def _score(part: _Bend) -> float:
    """0 to 1, how sure a limb's joints are."""
    return float(np.clip(1.0 - 0.06 * max(part.cost, 0.0), 0.3, 1.0) * np.clip(0.7 + 0.15 * part.doubt, 0.7, 1.0))


def _bone_map(rig: Rig, found: dict[int, tuple[str, float]]) -> BoneMap:
    bones = {rig.names[bone]: found[bone][0] for bone in sorted(found)}
    scores = {rig.names[bone]: round(found[bone][1], 3) for bone in sorted(found)}
    missing = tuple(joint for joint in SMPL_NAMES if joint not in bones.values())
    counted = [joint for joint in SMPL_NAMES if joint not in ("left_hand", "right_hand")]
    share = sum(joint not in missing for joint in counted) / len(counted)
    return BoneMap("structure", bones, share * float(np.mean(list(scores.values()))), missing, scores)


# --- vectors ----------------------------------------------------------------------------------------------


def _unit(vector: Array) -> Array:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _cos(a: Array, b: Array) -> float:
    return float(_unit(a) @ _unit(b))


def _cosines(a: Array, b: Array) -> Array:
    """(N,) means over the sides of the cosines between (N, 2, 3) vectors."""
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return ((a * b).sum(axis=-1) / np.maximum(lengths, 1e-12)).mean(axis=-1)


def _square(values: Array) -> Array:
    return values * values
