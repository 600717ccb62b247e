"""MikuMikuDance: Japanese names, ``左足`` or ``足.L``, and the English ones that importers make of them.

Bones ending in D copy the leg's own, and IK bones pull it; neither is a limb.
"""

from __future__ import annotations

from .convention import Convention

MMD_CONVENTION = Convention(
    name="MMD",
    parts={
        "pelvis": ("腰", "グルーブ", "センター", "下半身"),
        "spine": ("上半身", "上半身2", "上半身3"),
        "neck": ("首", "首1"),
        "head": ("頭",),
        "hip": ("足",),
        "knee": ("ひざ", "膝"),
        "ankle": ("足首",),
        "foot": ("つま先", "足先ex", "爪先"),
        "collar": ("肩",),
        "shoulder": ("腕",),
        "elbow": ("ひじ", "肘"),
        "wrist": ("手首",),
    },
)
MMD_ENGLISH_CONVENTION = Convention(
    name="MMD, in English",
    parts={
        "pelvis": ("waist", "groove", "center", "lowerbody", "hips"),
        "spine": ("upperbody", "upperbody2", "upperbody3", "spine", "chest"),
        "neck": ("neck",),
        "head": ("head",),
        "hip": ("leg",),
        "knee": ("knee",),
        "ankle": ("ankle",),
        "foot": ("toe", "toetip", "legtipex"),
        "collar": ("shoulder",),
        "shoulder": ("arm",),
        "elbow": ("elbow",),
        "wrist": ("wrist",),
    },
)
