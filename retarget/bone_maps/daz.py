"""Poser and Daz names: ``lThigh`` and ``abdomen`` up to Genesis 2, ``lThighBend`` in 3 and 8, ``l_thigh`` in 9.

The bones that end in "Twist" hang between, and follow.
"""

from __future__ import annotations

from .convention import Convention

_LIMBS = {
    "knee": ("shin",),
    "ankle": ("foot",),
    "foot": ("toe", "toes"),
    "collar": ("collar",),
    "wrist": ("hand",),
    "head": ("head",),
    "pelvis": ("hip", "pelvis"),
}

POSER_CONVENTION = Convention(
    name="Poser",
    parts={
        **_LIMBS,
        "spine": ("abdomen", "abdomen2", "chest"),
        "neck": ("neck", "neck2"),
        "hip": ("thigh",),
        "shoulder": ("shldr",),
        "elbow": ("forearm",),
    },
)
GENESIS_8_CONVENTION = Convention(
    name="Daz Genesis 3 to 8",
    parts={
        **_LIMBS,
        "spine": ("abdomenlower", "abdomenupper", "chestlower", "chestupper"),
        "neck": ("necklower", "neckupper"),
        "hip": ("thighbend",),
        "shoulder": ("shldrbend",),
        "elbow": ("forearmbend",),
    },
)
GENESIS_9_CONVENTION = Convention(
    name="Daz Genesis 9",
    parts={
        **_LIMBS,
        "spine": ("spine1", "spine2", "spine3", "spine4"),
        "neck": ("neck1", "neck2"),
        "hip": ("thigh",),
        "collar": ("shoulder",),
        "shoulder": ("upperarm",),
        "elbow": ("forearm",),
    },
)
