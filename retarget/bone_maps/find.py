"""The bone map of a rig: by the names of a known convention, by words for the body, or by structure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import RigError
from ..rig import Rig
from ..skeleton import SMPL_MIRROR, SMPL_NAMES
from .assemble import SIDES, assemble, confidence_of, shared
from .bone_map import BoneMap
from .check import REQUIRED, SPINE, spoken, strays
from .convention import MIDDLE_PARTS, Convention
from .conventions import CONVENTIONS
from .far_ends import with_far_ends
from .names import LEFT, MIDDLE, RIGHT, read
from .shape import shape_of
from .structure import check_two_legged, map_by_structure
from .words import is_aid, propose

BY_WORDS = "names"
# A bone that words alone propose is at most this sure.
_WORD = 0.85
# Single letters for the sides in other languages: French; Portuguese; Spanish; Italian.
_LETTERS = (("g", "d"), ("e", "d"), ("i", "d"), ("s", "d"))
# Joints that tell a convention from another soonest.
_TELLING = ("hip", "knee", "shoulder", "elbow")
# A prefix is shared by as many bones as limbs have, at least; so many prefixes are tried.
_TELLING_BONES, _PREFIXES = 8, 4
# A convention must know so many joints, and of the telling ones, to be tried, and so many conventions are.
_KNOWN, _TOLD, _TRIED = 10, 6, 3
# A map by names this sure needs no second opinion; names lack few joints where they lack no more.
_SURE, _FEW = 0.9, 2
# Names and build agree from here on; what the build adds to names is at most this sure.
_AGREED, _BUILT = 0.8, 0.8
# What marks count for between conventions that are as sure.
_MARKED = 0.05
# Below this a body's shape speaks against its names.
_SOUND = 0.5


@dataclass(frozen=True)
class _Name:
    side: str
    words: tuple[str, ...]
    plain: str


class RigNames:
    """The names of a rig's bones, read once; where ``trim``, without the end that most of them carry."""

    def __init__(self, rig: Rig, *, trim: bool = True) -> None:
        self.rig = rig
        readings = [read(name) for name in rig.names]
        words = [reading.words for reading in readings]
        words = _without_suffix(words) if trim else words
        sides = _letter_sides(words, [reading.side for reading in readings])
        self.names = [_Name(side, w, "".join(w)) for (side, w) in zip(*sides, strict=True)]
        self.prefixes = ["", *_prefixes([name.words for name in self.names])]
        # (side, plain name) to bones; a copy that Blender numbered goes by the plain name too.
        self.table: dict[tuple[str, str], list[int]] = {}
        for bone, name in enumerate(self.names):
            self.table.setdefault((name.side, name.plain), []).append(bone)
        for bone, (name, reading) in enumerate(zip(self.names, readings, strict=True)):
            if reading.copied and len(name.words) > 1 and name.words[-1].isdecimal():
                key = (name.side, "".join(name.words[:-1]))
                if key not in self.table:
                    self.table[key] = [bone]
        self.plain = {name.plain for name in self.names}
        self.words = {word for name in self.names for word in name.words}

    def look(self, convention: Convention) -> dict[str, dict[int, float]]:
        """Joint to the bones that ``convention`` knows as it, 1 for the first name it has for it."""
        best: dict[str, dict[int, float]] = {}
        for prefix in self.prefixes:
            for own in convention.prefixes:
                if prefix.endswith(own) and own and prefix:
                    continue
                full = prefix + own
                if not any((LEFT, full + n) in self.table for part in _TELLING for n in convention.parts.get(part, ())):
                    continue
                found = {joint: bones for joint, bones in self.named(convention, full) if bones}
                if len(found) > len(best):
                    best = found
        return best

    def named(self, convention: Convention, prefix: str) -> Iterator[tuple[str, dict[int, float]]]:
        """(joint, {bone: how sure}) of names that begin with ``prefix``; "spine" and "neck" for their chains."""
        for part, names in convention.parts.items():
            chain = part in ("spine", "neck")
            for side in (MIDDLE,) if part in MIDDLE_PARTS else SIDES:
                bones: dict[int, float] = {}
                for rank, name in enumerate(names):
                    for bone in self.table.get((side, prefix + name), ()):
                        bones.setdefault(bone, 1.0 if chain else 1.0 - 0.02 * min(rank, 5))
                yield (f"{side}_{part}" if side else part), bones

    def marks(self, convention: Convention) -> int:
        """How many of the convention's marks the rig bears."""
        return sum(mark in self.plain or mark in self.words or mark in self.prefixes for mark in convention.marks)

    def proposals(self) -> dict[str, dict[int, float]]:
        """Joint to the bones that words propose for it."""
        found: dict[str, dict[int, float]] = {}
        for bone, name in enumerate(self.names):
            for part, likely in propose(name.words, bool(name.side)).items():
                joint = f"{name.side}_{part}" if name.side else part
                found.setdefault(joint, {})[bone] = likely * _WORD
        return found

    def aids(self) -> list[int]:
        """Bones that are no part of a body by their words."""
        return [bone for bone, name in enumerate(self.names) if is_aid(name.words)]


def find_map(rig: Rig) -> BoneMap:
    """The bone map of ``rig``: by names, and by structure where names don't make a body.

    Raises RigError where the rig is no body that can dance.
    """
    for convention in CONVENTIONS:
        if convention.recognise is not None and convention.recognise(rig):
            return map_control_rig(rig, convention)
    named = map_by_names(rig)
    if not _is_body(rig, named):
        return _by_structure(rig, named)
    check_two_legged(rig, named)
    return named if named.confidence >= _SURE else _compared(rig, named)


def _by_structure(rig: Rig, named: BoneMap) -> BoneMap:
    """The map by structure, where ``named`` is no body; raises RigError with what lacks to either."""
    try:
        built = map_by_structure(rig)
    except RigError:
        lost = [joint for joint in REQUIRED if joint in named.missing]
        if 0 < len(lost) <= _FEW:
            gone = ", ".join(map(spoken, lost[:3])) + (" and more" if len(lost) > 3 else "")
            raise RigError(
                f"No bone of this armature is known as {gone}: choose a two-legged character, or map its bones by hand."
            ) from None
        loose = [] if lost else strays(rig, named.bones, rig.parents)
        if loose:
            raise RigError(
                f"The bone “{loose[0][0]}” does not hang below “{loose[0][1]}”: parent it there, or choose another "
                "armature."
            ) from None
        raise
    return replace(
        built, confidence=_with(built.confidence, _agreement(named, built)) if named.bones else built.confidence
    )


def _compared(rig: Rig, named: BoneMap) -> BoneMap:
    """``named``, surer where the rig's build says the same, less sure where it says something else."""
    try:
        built = map_by_structure(rig)
    except RigError:
        # A build that says nothing contradicts no names.
        return replace(named, confidence=_with(named.confidence, 0.5))
    agreement = _agreement(named, built)
    whole = _filled(rig, named, built) if agreement > _AGREED else named
    return replace(whole, confidence=_with(whole.confidence, agreement))


def _filled(rig: Rig, named: BoneMap, built: BoneMap) -> BoneMap:
    """``named`` with the bones that only the build shows, as a head without a name."""
    more = {
        bone: joint
        for bone, joint in built.bones.items()
        if joint in named.missing and joint not in SPINE and bone not in named.bones
    }
    scores = {**named.scores, **{bone: _BUILT * built.scores.get(bone, 1.0) for bone in more}}
    places = {**named.bones, **more}
    bones = {bone: places[bone] for bone in rig.names if bone in places}
    if strays(rig, bones, rig.parents):
        return named
    shape = shape_of(rig, bones)
    return replace(
        named,
        bones=bones,
        missing=_missing(bones),
        scores={bone: scores[bone] for bone in bones},
        confidence=confidence_of(bones, scores, shape.sound),
    )


def _agreement(named: BoneMap, built: BoneMap) -> float:
    """0 to 1, on how many of the joints that both know they name the same bone."""
    limbs = [joint for joint in SMPL_NAMES if "_" in joint and joint not in (*named.missing, *built.missing)]
    return sum(named.bone(joint) == built.bone(joint) for joint in limbs) / max(len(limbs), 1)


def _with(confidence: float, agreement: float) -> float:
    """A confidence that has been agreed with to that share."""
    return confidence * (0.75 + 0.25 * agreement) + 0.5 * (1.0 - confidence) * max(0.0, 2.0 * agreement - 1.0)


def map_by_names(rig: Rig) -> BoneMap:
    """The body that the bones' names make, of whatever convention or none; it may lack any joint."""
    names = RigNames(rig)
    words, aids = names.proposals(), names.aids()
    hits = [(names.look(c), names.marks(c), c.name) for c in CONVENTIONS if c.recognise is None]
    ranked = sorted(hits, key=lambda hit: (len(hit[0]), hit[1]), reverse=True)[:_TRIED]
    maps = [
        (
            _judged(rig, with_far_ends(rig, _named_and_by_words(rig, known, words, aids, name), words)),
            _MARKED if marks else 0.0,
        )
        for known, marks, name in ranked
        if len(known) >= _KNOWN and sum(joint.endswith(_TELLING) for joint in known) >= _TOLD
    ]
    maps.append((_judged(rig, with_far_ends(rig, assemble(rig, words, BY_WORDS, aids), words)), 0.0))
    return max(maps, key=lambda found: found[0].confidence + found[1])[0]


def map_control_rig(rig: Rig, convention: Convention) -> BoneMap:
    """The map of a control rig that ``convention`` recognised: the bones it names, as they stand."""
    places: dict[int, str] = {}
    for joint, known in RigNames(rig, trim=False).named(convention, convention.prefixes[0]):
        if joint in ("spine", "neck"):
            places |= shared(list(known), SPINE if joint == "spine" else ("neck",))
        elif known:
            places[next(iter(known))] = joint
    bones = {rig.names[bone]: places[bone] for bone in sorted(places)}
    return BoneMap(
        convention=convention.name,
        bones=bones,
        confidence=confidence_of(bones, {}, 1.0),
        missing=_missing(bones),
        parents={bone: to for bone, to in convention.parents.items() if bone in rig.indices and to in rig.indices},
        switches=tuple(switch for switch in convention.switches if switch.bone in rig.indices),
    )


def _named_and_by_words(
    rig: Rig,
    known: Mapping[str, Mapping[int, float]],
    words: Mapping[str, Mapping[int, float]],
    aids: Sequence[int],
    convention: str,
) -> BoneMap:
    """The body that a convention's names make, where they leave gaps filled by words."""
    taken = {bone for bones in known.values() for bone in bones}
    proposals = {joint: dict(bones) for joint, bones in known.items()}
    for joint, bones in words.items():
        own = proposals.setdefault(joint, {})
        for bone, likely in bones.items():
            if bone not in taken:
                own.setdefault(bone, likely)
    return assemble(rig, proposals, convention, [bone for bone in aids if bone not in taken])


def _judged(rig: Rig, found: BoneMap) -> BoneMap:
    """``found`` with a confidence that the shape of the body has a say in, and with its sides the right way round."""
    if any(joint in found.missing for joint in REQUIRED):
        return replace(found, confidence=0.3 * found.confidence)
    shape = shape_of(rig, found.bones)
    if shape.swapped:
        turned = {bone: SMPL_NAMES[SMPL_MIRROR[SMPL_NAMES.index(joint)]] for bone, joint in found.bones.items()}
        found = replace(found, bones=turned, missing=_missing(turned))
    loose = len(strays(rig, found.bones, rig.parents))
    sound = shape.sound * (1.0 - loose / len(found.bones))
    return replace(found, confidence=confidence_of(found.bones, found.scores, sound))


def _is_body(rig: Rig, found: BoneMap) -> bool:
    return (
        not any(joint in found.missing for joint in REQUIRED)
        and not strays(rig, found.bones, rig.parents)
        and shape_of(rig, found.bones).sound > _SOUND
    )


def _missing(bones: Mapping[str, str]) -> tuple[str, ...]:
    found = set(bones.values())
    return tuple(joint for joint in SMPL_NAMES if joint not in found)


def _without_suffix(words: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The names' words without an end that most of them share, or a running number that all carry."""
    long = [w for w in words if len(w) > 1]
    ends = Counter(w[-1] for w in long)
    numbered = [w[-1] for w in long if w[-1].isdecimal()]
    if len(numbered) > 0.8 * len(words) and len(set(numbered)) > 0.8 * len(numbered):
        return [w[:-1] if len(w) > 1 and w[-1].isdecimal() else w for w in words]
    common, count = ends.most_common(1)[0] if ends else ("", 0)
    if count > 0.5 * len(words) and not common.isdecimal() and not propose((common,), True):
        return [w[:-1] if len(w) > 1 and w[-1] == common else w for w in words]
    return list(words)


def _letter_sides(words: list[tuple[str, ...]], sides: list[str]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Sides, and words without them, with those that only a partner tells: "lthigh" beside "rthigh", "Bras_G"."""
    sides, words = list(sides), list(words)
    free = {w: bone for bone, w in enumerate(words) if not sides[bone]}
    for w, bone in free.items():
        for at, word in enumerate(w):
            glued = [(word[1:], "r" + word[1:])] if word[0] == "l" else []
            glued += [(word[:-1], word[:-1] + "r")] if word[-1] == "l" else []
            for bare, partner in glued:
                other = free.get((*w[:at], partner, *w[at + 1 :]))
                if len(bare) > 1 and other is not None:
                    sides[bone], sides[other] = LEFT, RIGHT
                    words[bone] = words[other] = (*w[:at], bare, *w[at + 1 :])
    if LEFT in sides:
        return sides, words
    for left, right in _LETTERS:
        ends = {w[:-1]: bone for bone, w in enumerate(words) if len(w) > 1 and w[-1] == left}
        pairs = [(ends[w[:-1]], bone) for bone, w in enumerate(words) if w[-1:] == (right,) and w[:-1] in ends]
        if len(pairs) >= len(_TELLING):
            for bone, other in pairs:
                sides[bone], sides[other] = LEFT, RIGHT
                words[bone], words[other] = words[bone][:-1], words[other][:-1]
            break
    return sides, words


def _prefixes(words: Sequence[tuple[str, ...]]) -> list[str]:
    """What many names begin with, as one word each, longest first where as many share it."""
    counts = Counter(w[:k] for w in words for k in range(1, min(len(w), 6)))
    most = max(_TELLING_BONES, len(words) // 8)
    many = [(count, len(start), start) for start, count in counts.items() if count >= most]
    longest = {
        start
        for count, _, start in many
        if not any(other[: len(start)] == start and n == count and k > len(start) for n, k, other in many)
    }
    ranked = sorted((item for item in many if item[2] in longest), reverse=True)[:_PREFIXES]
    return ["".join(start) for _, _, start in ranked]
