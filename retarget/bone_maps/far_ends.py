"""Feet and hands that hang from the rig's root, as old inverse-kinematics rigs leave them in game characters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..rig import Rig
from ..skeleton import SMPL_NAMES
from .bone_map import BoneMap

# The limb's two joints before its end, the end, and what lies beyond it.
_LIMBS = (("hip", "knee", "ankle", "foot"), ("shoulder", "elbow", "wrist", "hand"))


def lies_at_end(rig: Rig, upper: str, lower: str, end: str) -> bool:
    """Whether the bone ``end`` begins where a limb of the bones ``upper`` and ``lower`` would end.

    That is: on from the lower one's head about as the limb comes, about as far as the upper one is long.
    """
    heads = rig.heads[[rig.indices[name] for name in (upper, lower, end)]]
    first, second = heads[1] - heads[0], heads[2] - heads[1]
    lengths = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    if min(lengths) < 1e-9:
        return False
    return 0.5 < lengths[1] / lengths[0] < 1.8 and float(first @ second) > 0.5 * lengths[0] * lengths[1]


def is_far_end(rig: Rig, bones: Mapping[str, str], joint: str) -> bool:
    """Whether the bone that follows ``joint`` (the first in ``bones``) is such a foot or hand."""
    first: dict[str, str] = {}
    for bone, at in bones.items():
        first.setdefault(at, bone)
    side, _, part = joint.partition("_")
    for upper, lower, end, _ in _LIMBS:
        names = [first.get(f"{side}_{p}") for p in (upper, lower, end)]
        if part == end and None not in names:
            return lies_at_end(rig, *(str(name) for name in names))
    return False


def with_far_ends(rig: Rig, found: BoneMap, words: Mapping[str, Mapping[int, float]]) -> BoneMap:
    """``found`` with feet and hands that hang elsewhere, where ``words`` propose them and the limb has none of its own.

    A limb's own end that bears nothing and moves nothing, as exporters add, counts for none.
    """
    bones, scores = dict(found.bones), dict(found.scores)
    for side in ("left", "right"):
        for upper, lower, end, beyond in _LIMBS:
            above, below = found.bone(f"{side}_{upper}"), found.bone(f"{side}_{lower}")
            own = found.bone(f"{side}_{end}")
            if above is None or below is None or (own is not None and _is_real(rig, own, words, f"{side}_{end}")):
                continue
            limb = rig.indices[below]
            for bone, likely in sorted(words.get(f"{side}_{end}", {}).items(), key=lambda item: -item[1]):
                name = rig.names[bone]
                if name in bones or limb in rig.ancestors(bone) or not rig.deforms[bone] or rig.connected[bone]:
                    continue
                if lies_at_end(rig, above, below, name):
                    if own is not None:
                        del bones[own]
                    bones[name], scores[name] = f"{side}_{end}", likely
                    toes = [c for c in rig.children[bone] if c in words.get(f"{side}_{beyond}", {})]
                    if toes and f"{side}_{beyond}" in found.missing:
                        bones[rig.names[toes[0]]], scores[rig.names[toes[0]]] = f"{side}_{beyond}", likely
                    break
    ordered = {name: bones[name] for name in rig.names if name in bones}
    return BoneMap(
        found.convention,
        ordered,
        found.confidence,
        tuple(joint for joint in SMPL_NAMES if joint not in ordered.values()),
        {name: score for name, score in scores.items() if name in ordered},
    )


def _is_real(rig: Rig, bone: str, words: Mapping[str, Mapping[int, float]], joint: str) -> bool:
    index = rig.indices[bone]
    return bool(rig.children[index]) or index in words.get(joint, {})
