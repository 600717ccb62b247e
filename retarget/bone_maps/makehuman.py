"""MakeHuman's and MPFB's default rig: ``upperleg01.L``, ``lowerarm01.L``, ``spine05`` at the bottom.

Bones ending in 02 are the lower halves of their limbs, and follow.
"""

from __future__ import annotations

from .convention import Convention

MAKEHUMAN_CONVENTION = Convention(
    name="MakeHuman",
    parts={
        "pelvis": ("root",),
        "spine": ("spine5", "spine4", "spine3", "spine2", "spine1"),
        "neck": ("neck1", "neck2", "neck3"),
        "head": ("head",),
        "hip": ("upperleg1",),
        "knee": ("lowerleg1",),
        "ankle": ("foot",),
        "foot": ("toe11",),
        "collar": ("clavicle",),
        "shoulder": ("upperarm1",),
        "elbow": ("lowerarm1",),
        "wrist": ("wrist",),
    },
    marks=("shoulder1", "upperleg2", "lowerarm2"),
)
