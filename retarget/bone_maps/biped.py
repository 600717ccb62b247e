"""3ds Max's Biped, ``Bip01 L Thigh``, ``Bip001_L_Thigh``, and Source's ``ValveBiped.Bip01_L_Thigh``."""

from __future__ import annotations

from .convention import Convention

BIPED_CONVENTION = Convention(
    name="Biped",
    prefixes=("", "bip1", "valvebipedbip1", "bip"),
    parts={
        "pelvis": ("pelvis",),
        "spine": ("spine", "spine0", "spine1", "spine2", "spine3", "spine4"),
        "neck": ("neck", "neck1", "neck2"),
        "head": ("head", "head1"),
        "hip": ("thigh", "hip"),
        "knee": ("calf", "knee"),
        "ankle": ("foot",),
        "foot": ("toe0", "toe"),
        "collar": ("clavicle", "collar"),
        "shoulder": ("upperarm",),
        "elbow": ("forearm", "lowerarm"),
        "wrist": ("hand",),
    },
    marks=("bip1pelvis", "bippelvis", "valvebipedbip1pelvis"),
)
