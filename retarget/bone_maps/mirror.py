"""One side of a bone map from the other."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..rig import Rig
from ..rotations import Array
from ..skeleton import SMPL_MIRROR, SMPL_NAMES
from .bone_map import BoneMap
from .names import flipped

# A partner lies where the mirror shows it within this share of the rig's size.
_NEAR = 0.05


def mirrored(rig: Rig, bone_map: BoneMap, source: Literal["left", "right"] = "left") -> BoneMap:
    """``bone_map`` with the partners of the ``source`` side's bones on the other side.

    A partner is the bone of the same name with the other side in it, else the one that stands where a
    mirror through the rig's middle shows it. The other side's bones are replaced where a partner is found;
    all else stays.
    """
    own = {bone: joint for bone, joint in bone_map.bones.items() if joint.startswith(source)}
    partners = {joint: _partner(rig, bone) for bone, joint in own.items() if bone in rig.indices}
    found = {
        partner: SMPL_NAMES[SMPL_MIRROR[SMPL_NAMES.index(joint)]]
        for joint, partner in partners.items()
        if partner is not None and partner not in own
    }
    kept = {bone: joint for bone, joint in bone_map.bones.items() if joint not in found.values() and bone not in found}
    bones = {bone: joint for bone, joint in (kept | found).items() if bone not in rig.indices}
    bones |= {bone: joint for bone in rig.names for joint in [(kept | found).get(bone)] if joint is not None}
    sure = {joint: bone_map.scores.get(bone, 1.0) for bone, joint in own.items()}
    scores = {bone: score for bone, score in bone_map.scores.items() if bone in kept}
    for bone, joint in found.items():
        scores[bone] = sure[SMPL_NAMES[SMPL_MIRROR[SMPL_NAMES.index(joint)]]]
    return BoneMap(
        convention=bone_map.convention,
        bones=bones,
        confidence=bone_map.confidence,
        missing=tuple(joint for joint in SMPL_NAMES if joint not in bones.values()),
        scores=scores,
        pose=bone_map.pose,
        parents=bone_map.parents,
        switches=bone_map.switches,
    )


def _partner(rig: Rig, bone: str) -> str | None:
    named = next((name for name in flipped(bone) if name in rig.indices), None)
    return named or _partner_by_place(rig, rig.indices[bone])


def _partner_by_place(rig: Rig, bone: int) -> str | None:
    """The bone that stands where the rig's mirror shows ``bone``; None where none does."""
    axis, middle = _mirror(rig.heads)
    ends = np.stack([rig.heads, rig.tails], axis=1)
    image = np.array(ends[bone])
    image[:, axis] = 2.0 * middle - image[:, axis]
    distances = np.linalg.norm(ends - image, axis=-1) @ [1.0, 0.3]
    distances[bone] = np.inf
    nearest = int(np.argmin(distances))
    size = float(np.ptp(rig.heads, axis=0).max())
    return rig.names[nearest] if distances[nearest] < _NEAR * size else None


def _mirror(heads: Array) -> tuple[int, float]:
    """(axis, coordinate) of the plane across an axis of the armature in which the bones are most alike."""
    best = (np.inf, 0, 0.0)
    for axis in range(3):
        middle = float(heads[:, axis].min() + heads[:, axis].max()) / 2.0
        for at in (middle, float(np.median(heads[:, axis]))):
            image = np.array(heads)
            image[:, axis] = 2.0 * at - image[:, axis]
            apart = np.linalg.norm(heads[:, None] - image[None], axis=-1).min(axis=1).mean()
            # A flat rig is its own image across its flat axis.
            best = min(best, (float(apart) - 1e-3 * float(np.ptp(heads[:, axis])), axis, at))
    return best[1], best[2]
