"""Character Creator and ActorCore: ``CC_Base_L_Thigh``; the neck's bones are called twists."""

from __future__ import annotations

from .convention import Convention

CHARACTER_CREATOR_CONVENTION = Convention(
    name="Character Creator",
    prefixes=("", "ccbase"),
    parts={
        "pelvis": ("hip", "pelvis"),
        "spine": ("waist", "spine1", "spine2"),
        "neck": ("necktwist1", "necktwist2"),
        "head": ("head",),
        "hip": ("thigh",),
        "knee": ("calf",),
        "ankle": ("foot",),
        "foot": ("toebase",),
        "collar": ("clavicle",),
        "shoulder": ("upperarm",),
        "elbow": ("forearm",),
        "wrist": ("hand",),
    },
)
