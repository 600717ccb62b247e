"""Auto-Rig Pro: controls, ``c_thigh_fk.l``, and deforming bones, ``thigh_stretch.l``, as games get them."""

from __future__ import annotations

from .convention import Convention

AUTO_RIG_PRO_CONVENTION = Convention(
    name="Auto-Rig Pro",
    parts={
        "pelvis": ("root",),
        "spine": tuple(f"spine{k}" for k in range(1, 8)),
        "neck": ("neck", "subneck1"),
        "head": ("head",),
        "hip": ("thighstretch", "thigh"),
        "knee": ("legstretch", "leg"),
        "ankle": ("foot",),
        "foot": ("toes1", "toes"),
        "collar": ("shoulder",),
        "shoulder": ("armstretch", "arm"),
        "elbow": ("forearmstretch", "forearm"),
        "wrist": ("hand",),
    },
    marks=("thighstretch", "legstretch", "armstretch", "forearmstretch"),
)
AUTO_RIG_PRO_CONTROLS_CONVENTION = Convention(
    name="Auto-Rig Pro controls",
    prefixes=("c",),
    parts={
        "pelvis": ("rootmaster", "root"),
        "spine": tuple(f"spine{k}" for k in range(1, 8)),
        "neck": ("neck",),
        "head": ("head",),
        "hip": ("thighfk",),
        "knee": ("legfk",),
        "ankle": ("footfk",),
        "foot": ("toesfk",),
        "collar": ("shoulder",),
        "shoulder": ("armfk",),
        "elbow": ("forearmfk",),
        "wrist": ("handfk",),
    },
    marks=("cthighfk", "carmfk"),
)
