"""The mannequins of Unreal 4 and 5: ``thigh_l``, ``calf_l``, ``spine_01`` to ``spine_05``; game engine rigs of MPFB."""

from __future__ import annotations

from .convention import Convention

UNREAL_CONVENTION = Convention(
    name="Unreal",
    parts={
        "pelvis": ("pelvis",),
        "spine": tuple(f"spine{k}" for k in range(1, 8)),
        "neck": ("neck1", "neck2", "neck"),
        "head": ("head",),
        "hip": ("thigh",),
        "knee": ("calf",),
        "ankle": ("foot",),
        "foot": ("ball",),
        "collar": ("clavicle",),
        "shoulder": ("upperarm",),
        "elbow": ("lowerarm",),
        "wrist": ("hand",),
    },
)
