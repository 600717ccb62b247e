"""The names of Unity's humanoid, ``LeftUpperLeg``, which VRM 0 and 1 share, and VRoid Studio's ``J_Bip_L_UpperLeg``."""

from __future__ import annotations

from .convention import Convention

_PARTS = {
    "pelvis": ("hips",),
    "spine": ("spine", "chest", "upperchest"),
    "neck": ("neck",),
    "head": ("head",),
    "hip": ("upperleg",),
    "knee": ("lowerleg",),
    "ankle": ("foot",),
    "foot": ("toes", "toebase", "toe"),
    "collar": ("shoulder",),
    "shoulder": ("upperarm",),
    "elbow": ("lowerarm",),
    "wrist": ("hand",),
}

UNITY_CONVENTION = Convention(name="Unity and VRM", parts=_PARTS)
VROID_CONVENTION = Convention(name="VRoid", parts=_PARTS, prefixes=("jbip",), marks=("jbip",))
