"""Mixamo names, ``mixamorig:LeftUpLeg``, which Ready Player Me, HumanIK, Maya and many BVH files share."""

from __future__ import annotations

from .convention import Convention

_PARTS = {
    "pelvis": ("hips",),
    "spine": ("spine", *(f"spine{k}" for k in range(1, 10))),
    "neck": ("neck", "neck1", "neck2"),
    "head": ("head",),
    "hip": ("upleg",),
    "knee": ("leg",),
    "ankle": ("foot",),
    "foot": ("toebase",),
    "collar": ("shoulder",),
    "shoulder": ("arm",),
    "elbow": ("forearm",),
    "wrist": ("hand",),
}

MIXAMO_CONVENTION = Convention(
    name="Mixamo",
    parts=_PARTS,
    marks=("mixamorig", "headtopend"),
)
HUMAN_IK_CONVENTION = Convention(
    name="HumanIK",
    parts=_PARTS,
    marks=("reference", "character", "armroll", "uplegroll"),
)
