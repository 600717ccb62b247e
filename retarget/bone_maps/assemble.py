"""A body from proposals: names propose which bone is what, the hierarchy decides.

Limbs are chains: of all ways to put a limb's parts on bones below one another the best proposed wins.
The pelvis is where legs and trunk meet, the spine what lies between the pelvis and the arms, the neck
what lies between them and the head.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..rig import Rig
from ..skeleton import SMPL_NAMES
from .bone_map import BoneMap
from .check import SPINE
from .convention import ARM_PARTS, LEG_PARTS
from .names import LEFT, RIGHT

SIDES = (LEFT, RIGHT)
# Joint to bones (indices) and how likely each is it, 0 to 1.
Proposals = Mapping[str, Mapping[int, float]]

# Joints that count towards the confidence; few rigs have bones for SMPL's hands.
_SCORED = tuple(joint for joint in SMPL_NAMES if not joint.endswith("hand"))
# A limb without its first or middle joint is none.
_NEEDED, _NEEDED_WORTH = ("hip", "knee", "shoulder", "elbow"), 1.0
# How sure a bone is that no name but its place alone tells.
_BY_PLACE = 0.7
# Bones nearer than this share of the rig's size stand in one place.
_TOGETHER = 0.003
# A limb's longer half is at most this many times the shorter.
_HALVES = 4.0
# Bones that go on in one line do so within this cosine.
_STRAIGHT = 0.98


@dataclass(frozen=True)
class _Chain:
    """The best chain that ends in a bone: its worth, and its bones by part, from the top."""

    worth: float
    bones: tuple[tuple[str, int], ...]


def assemble(rig: Rig, proposals: Proposals, convention: str, aids: Iterable[int] = ()) -> BoneMap:
    """The body that the proposals make of ``rig``; it may lack any joint.

    ``aids``: bones that the names tell to be no part of a body.
    """
    body = _Body(rig, proposals, frozenset(aids))
    body.find_limbs()
    body.find_pelvis()
    body.find_spine()
    body.find_head()
    body.find_collars()
    return body.as_map(convention)


def confidence_of(bones: Mapping[str, str], scores: Mapping[str, float], sound: float) -> float:
    """0 to 1: how sure the bones are, how much of the body they are, and how ``sound`` the whole is."""
    found = set(bones.values())
    share = sum(joint in found for joint in _SCORED) / len(_SCORED)
    sure = sum(scores.get(bone, 1.0) for bone in bones) / max(len(bones), 1)
    return float(sure * sound * (0.5 + 0.5 * share))


class _Body:
    def __init__(self, rig: Rig, proposals: Proposals, aids: frozenset[int]) -> None:
        self.rig = rig
        self.proposals = proposals
        self.aids = aids
        self.bones: dict[int, str] = {}
        self.scores: dict[int, float] = {}
        self.together = _TOGETHER * float(np.ptp(np.vstack([rig.heads, rig.tails]), axis=0).max())

    def at(self, joint: str) -> int | None:
        return next((bone for bone, j in self.bones.items() if j == joint), None)

    def put(self, bone: int, joint: str, score: float) -> None:
        self.bones[bone] = joint
        self.scores[bone] = max(0.0, min(1.0, score))

    def find_limbs(self) -> None:
        for side in SIDES:
            for parts in (LEG_PARTS, ARM_PARTS):
                chain = self._best_chain(side, parts)
                taken, below = {bone for _, bone in chain}, None
                for part, bone in reversed(chain):
                    joint = f"{side}_{part}"
                    below = bone if below is None else self._topmost(joint, bone, below, taken)
                    self.put(below, joint, self.proposals[joint][bone])

    def find_pelvis(self) -> None:
        """Where legs and arms meet, or a bone above that is called so and stands as high."""
        limbs = [bone for bone, joint in self.bones.items() if joint.endswith(("_hip", "_shoulder"))]
        hips = [bone for bone, joint in self.bones.items() if joint.endswith("_hip")]
        common = self._common(limbs)
        named = self.proposals.get("pelvis", {})
        if not common:
            best = max((bone for bone in named if bone not in self.bones), key=lambda bone: named[bone], default=None)
            if best is not None:
                self.put(best, "pelvis", named[best])
            return
        chosen = common[0]
        if named.get(chosen, 0.0) < 0.8 and hips:
            high = [
                bone
                for bone in common
                if named.get(bone, 0.0) >= 0.8 and self._apart(bone, chosen) < 0.5 * self._leg(hips)
            ]
            chosen = high[0] if high else chosen
        self.put(chosen, "pelvis", max(named.get(chosen, 0.0), _BY_PLACE))

    def find_spine(self) -> None:
        """The bones between the pelvis and where the arms meet, but for those that are called neck."""
        pelvis, arms = self.at("pelvis"), self._arms()
        if pelvis is None or not arms:
            return
        top = self._common(arms)
        path = self._between(pelvis, top[0]) if top else []
        necks, named = self.proposals.get("neck", {}), self.proposals.get("spine", {})
        # Biped's clavicles hang below the neck.
        while len(path) > 1 and path[-1] in necks and path[-1] not in named:
            path.pop()
        chain = self._unfolded(pelvis, [bone for bone in path if self._is_link(bone, named)], named)
        for bone, joint in shared(chain, SPINE).items():
            self.put(bone, joint, max(named.get(bone, 0.0), _BY_PLACE))

    def find_head(self) -> None:
        """The head by its name, the neck on the way to it; the last bone of a neck is the head of a rig without."""
        trunk = [bone for bone, joint in self.bones.items() if joint in SPINE or joint == "pelvis"]
        if not trunk:
            return
        heads, necks = self.proposals.get("head", {}), self.proposals.get("neck", {})
        free = [bone for bone in {**heads, **necks} if bone not in self.bones and self._above(bone, trunk) is not None]
        head = max(
            (bone for bone in free if bone in heads),
            key=lambda bone: (heads[bone], self.rig.deforms[bone], -len(self.rig.ancestors(bone))),
            default=None,
        )
        if head is not None:
            base = self._above(head, trunk)
            path = [] if base is None else self._between(base, head)[:-1]
            named = set(necks) & set(path)
            # Beside a named neck, an unnamed bone on the way is one of its links.
            links = [bone for bone in path if self._is_link(bone, necks)] if named or len(path) == 1 else []
            self.put(head, "head", heads[head])
        else:
            links = sorted((bone for bone in free if bone in necks), key=lambda bone: len(self.rig.ancestors(bone)))
            links = [bone for bone in links if bone == links[0] or links[0] in self.rig.ancestors(bone)]
            if len(links) > 1 and self._ends_chain(links):
                last = links.pop()
                self.put(last, "head", _BY_PLACE * necks[last])
        for bone in links:
            self.put(bone, "neck", max(necks.get(bone, 0.0), _BY_PLACE))

    def find_collars(self) -> None:
        """A clavicle is what lies between the spine and the upper arm, where its name does not tell."""
        trunk = [bone for bone, joint in self.bones.items() if joint in SPINE or joint in ("pelvis", "neck")]
        for side in SIDES:
            shoulder = self.at(f"{side}_shoulder")
            if shoulder is None or self.at(f"{side}_collar") is not None:
                continue
            base = self._above(shoulder, trunk)
            path = [] if base is None else self._between(base, shoulder)[:-1]
            path = [bone for bone in path if bone not in self.aids and self._apart(bone, shoulder) > self.together]
            if len(path) == 1:
                self.put(path[0], f"{side}_collar", _BY_PLACE)

    def as_map(self, convention: str) -> BoneMap:
        names = self.rig.names
        bones = {names[bone]: self.bones[bone] for bone in sorted(self.bones)}
        scores = {names[bone]: self.scores[bone] for bone in sorted(self.bones)}
        missing = tuple(joint for joint in SMPL_NAMES if joint not in bones.values())
        return BoneMap(convention, bones, confidence_of(bones, scores, 1.0), missing, scores)

    def _best_chain(self, side: str, parts: Sequence[str]) -> tuple[tuple[str, int], ...]:
        candidates = [(part, self.proposals.get(f"{side}_{part}", {})) for part in parts]
        ends: dict[int, list[tuple[int, _Chain]]] = {}
        best = _Chain(0.0, ())
        for rank, (part, bones) in enumerate(candidates):
            for bone, likely in bones.items():
                worth = likely * (1.0 if self.rig.deforms[bone] else 0.9)
                worth += _NEEDED_WORTH if part in _NEEDED else 0.0
                above = [
                    (before, chain)
                    # Of a bone in several pieces the topmost.
                    for ancestor in reversed(self.rig.ancestors(bone))
                    for before, chain in ends.get(ancestor, ())
                    if before < rank and self._fits(chain, part, bone)
                ]
                top = max((chain for _, chain in above), key=lambda chain: chain.worth, default=_Chain(0.0, ()))
                chain = _Chain(top.worth + worth, (*top.bones, (part, bone)))
                ends.setdefault(bone, []).append((rank, chain))
                if chain.worth > best.worth + 1e-9:
                    best = chain
        return best.bones

    def _fits(self, chain: _Chain, part: str, bone: int) -> bool:
        """Whether ``bone`` may go on with the chain: apart from its end, and of a possible length."""
        last_part, last = chain.bones[-1]
        step = self._apart(last, bone)
        if step <= self.together and last_part != "collar":
            return False
        if part in ("ankle", "wrist") and len(chain.bones) > 1 and last_part in ("knee", "elbow"):
            before = self._apart(chain.bones[-2][1], last)
            return before < _HALVES * step and step < _HALVES * before
        return True

    def _unfolded(self, pelvis: int, chain: Sequence[int], named: Mapping[int, float]) -> list[int]:
        """A chain without bones that lead there and back again, as Second Life's: those less surely named go."""
        kept: list[int] = []
        for bone in sorted(chain, key=lambda bone: (-named.get(bone, 0.0), len(self.rig.ancestors(bone)))):
            if named.get(bone, 0.0) == 1.0 or all(
                self._apart(bone, other) > self.together for other in (pelvis, *kept)
            ):
                kept.append(bone)
        return [bone for bone in chain if bone in kept]

    def _topmost(self, joint: str, bone: int, below: int, taken: Container[int]) -> int:
        """Where a limb's part really begins: at the bone, or at pieces or twist bones above it in the same line."""
        likely = self.proposals[joint]
        first = joint.endswith(("_hip", "_shoulder"))
        while (above := self.rig.parents[bone]) >= 0:
            if not (first and above in self.aids) and likely.get(above, 0.0) < 0.8 * likely.get(bone, 0.0):
                break
            upper = self.rig.heads[bone] - self.rig.heads[above]
            lower = self.rig.heads[below] - self.rig.heads[bone]
            lengths = float(np.linalg.norm(upper)), float(np.linalg.norm(lower))
            straight = float(upper @ lower) > _STRAIGHT * lengths[0] * lengths[1]
            if above in taken or not straight or lengths[0] < 0.2 * lengths[1]:
                break
            bone = above
        return bone

    def _ends_chain(self, links: Sequence[int]) -> bool:
        """Whether the last of these bones hangs below all others, and nothing below it may be one of them."""
        above = self.rig.ancestors(links[-1])
        return all(bone in above for bone in links[:-1]) and not any(
            self._is_link(child, {}) for child in self.rig.children[links[-1]]
        )

    def _is_link(self, bone: int, named: Mapping[int, float]) -> bool:
        """Whether a bone on a chain's way is one of its links, not a helper in between."""
        if bone in named:
            return True
        parent = self.rig.parents[bone]
        return bone not in self.aids and (parent < 0 or self._apart(parent, bone) > self.together)

    def _arms(self) -> list[int]:
        """The topmost bone of each arm."""
        tops = []
        for side in SIDES:
            top = next(
                (b for part in ("collar", "shoulder") for b in [self.at(f"{side}_{part}")] if b is not None), None
            )
            if top is not None:
                tops.append(top)
        return tops

    def _common(self, bones: Sequence[int]) -> list[int]:
        """The bones that all ``bones`` hang below, nearest first."""
        if not bones:
            return []
        below = [set(self.rig.ancestors(bone)) for bone in bones[1:]]
        return [bone for bone in self.rig.ancestors(bones[0]) if all(bone in chain for chain in below)]

    def _between(self, top: int, bone: int) -> list[int]:
        """The bones below ``top`` down to ``bone``, itself included; none where ``bone`` is not below ``top``."""
        chain = [bone, *self.rig.ancestors(bone)]
        return chain[: chain.index(top)][::-1] if top in chain else []

    def _above(self, bone: int, of: Iterable[int]) -> int | None:
        """The nearest bone above ``bone`` that is one ``of``."""
        wanted = set(of)
        return next((ancestor for ancestor in self.rig.ancestors(bone) if ancestor in wanted), None)

    def _apart(self, a: int, b: int) -> float:
        return float(np.linalg.norm(self.rig.heads[a] - self.rig.heads[b]))

    def _leg(self, hips: Sequence[int]) -> float:
        """How far the knees are below the hips, twice."""
        knees = [self.at(self.bones[hip].replace("hip", "knee")) for hip in hips]
        return 2.0 * max((self._apart(h, k) for h, k in zip(hips, knees, strict=True) if k is not None), default=0.0)


def shared(bones: Sequence[int], joints: Sequence[str]) -> dict[int, str]:
    """A chain of n bones on a chain of m joints: bone k of n follows joint ceil(k m / n)."""
    count = len(bones)
    return {bone: joints[-(-(k + 1) * len(joints) // count) - 1] for k, bone in enumerate(bones)}
