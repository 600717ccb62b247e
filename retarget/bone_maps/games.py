"""Game characters and worlds: KayKit, Quaternius, Synty, Second Life, Roblox."""

from __future__ import annotations

from .convention import Convention

KAYKIT_CONVENTION = Convention(
    name="KayKit",
    parts={
        "pelvis": ("hips",),
        "spine": ("spine", "chest"),
        "neck": ("neck",),
        "head": ("head",),
        "hip": ("upperleg",),
        "knee": ("lowerleg",),
        "ankle": ("foot",),
        "foot": ("toes",),
        "shoulder": ("upperarm",),
        "elbow": ("lowerarm",),
        "wrist": ("wrist",),
        "hand": ("hand",),
    },
    marks=("handslot",),
)
QUATERNIUS_CONVENTION = Convention(
    name="Quaternius",
    parts={
        "pelvis": ("hips", "body"),
        "spine": ("abdomen", "torso", "chest"),
        "neck": ("neck",),
        "head": ("head",),
        "hip": ("upperleg",),
        "knee": ("lowerleg",),
        "ankle": ("foot",),
        "foot": ("toes", "toe"),
        "collar": ("shoulder",),
        "shoulder": ("upperarm",),
        "elbow": ("lowerarm",),
        "wrist": ("palm", "fist", "wrist", "hand"),
    },
    marks=("abdomen",),
)
SYNTY_CONVENTION = Convention(
    name="Synty",
    parts={
        "pelvis": ("hips",),
        "spine": ("spine1", "spine2", "spine3"),
        "neck": ("neck",),
        "head": ("head",),
        "hip": ("upperleg",),
        "knee": ("lowerleg",),
        "ankle": ("ankle",),
        "foot": ("ball",),
        "collar": ("clavicle",),
        "shoulder": ("shoulder",),
        "elbow": ("elbow",),
        "wrist": ("hand",),
    },
)
SECOND_LIFE_CONVENTION = Convention(
    name="Second Life",
    prefixes=("m", ""),
    parts={
        "pelvis": ("pelvis",),
        "spine": ("torso", "chest"),
        "neck": ("neck",),
        "head": ("head",),
        "hip": ("hip",),
        "knee": ("knee",),
        "ankle": ("ankle",),
        "foot": ("foot",),
        "collar": ("collar",),
        "shoulder": ("shoulder",),
        "elbow": ("elbow",),
        "wrist": ("wrist",),
    },
    marks=("mpelvis", "mtorso"),
)
ROBLOX_CONVENTION = Convention(
    name="Roblox R15",
    marks=("lowertorso", "uppertorso"),
    parts={
        "pelvis": ("lowertorso",),
        "spine": ("uppertorso",),
        "head": ("head",),
        "hip": ("upperleg",),
        "knee": ("lowerleg",),
        "ankle": ("foot",),
        "shoulder": ("upperarm",),
        "elbow": ("lowerarm",),
        "wrist": ("hand",),
    },
)
ADVANCED_SKELETON_CONVENTION = Convention(
    name="Advanced Skeleton",
    parts={
        "pelvis": ("root",),
        "spine": ("spine", "spine1", "spine2", "spine3", "chest"),
        "neck": ("neck", "neck1"),
        "head": ("head",),
        "hip": ("hip",),
        "knee": ("knee",),
        "ankle": ("ankle",),
        "foot": ("toes",),
        "collar": ("scapula",),
        "shoulder": ("shoulder",),
        "elbow": ("elbow",),
        "wrist": ("wrist",),
    },
)
