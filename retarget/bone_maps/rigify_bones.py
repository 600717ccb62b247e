"""Rigify's metarig, ``thigh.L``, ``spine.001``, and the deforming bones that it generates, ``DEF-thigh.L``."""

from __future__ import annotations

from .convention import Convention

_PARTS = {
    "pelvis": ("spine", "hips"),
    # Some rigs have five bones in the trunk: what bears the arms is no neck.
    "spine": ("spine1", "spine2", "spine3", "spine4", "chest"),
    "neck": ("spine4", "spine5", "neck"),
    "head": ("spine6", "head"),
    "hip": ("thigh",),
    "knee": ("shin",),
    "ankle": ("foot",),
    "foot": ("toe",),
    "collar": ("shoulder",),
    "shoulder": ("upperarm",),
    "elbow": ("forearm",),
    "wrist": ("hand",),
}

METARIG_CONVENTION = Convention(name="Rigify metarig", parts=_PARTS)
DEFORM_CONVENTION = Convention(name="Rigify deform", parts=_PARTS, prefixes=("def",), marks=("def",))
