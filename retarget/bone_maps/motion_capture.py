"""Motion-capture suits and sets: Rokoko, Xsens, the CMU database, OpenPose."""

from __future__ import annotations

from .convention import Convention

ROKOKO_CONVENTION = Convention(
    name="Rokoko",
    parts={
        "pelvis": ("hips",),
        "spine": ("spine", "spine1", "spine2", "spine3", "spine4", "chest"),
        "neck": ("neck",),
        "head": ("head",),
        "hip": ("thigh",),
        "knee": ("shin",),
        "ankle": ("foot",),
        "foot": ("toe", "toebase"),
        "collar": ("shoulder",),
        "shoulder": ("arm", "upperarm"),
        "elbow": ("forearm", "lowerarm"),
        "wrist": ("hand",),
    },
)
XSENS_CONVENTION = Convention(
    name="Xsens",
    parts={
        "pelvis": ("pelvis",),
        "spine": ("l5", "l3", "t12", "t8"),
        "neck": ("neck",),
        "head": ("head",),
        "hip": ("upperleg",),
        "knee": ("lowerleg",),
        "ankle": ("foot",),
        "foot": ("toe",),
        "collar": ("shoulder",),
        "shoulder": ("upperarm",),
        "elbow": ("forearm",),
        "wrist": ("hand",),
    },
)
XSENS_BVH_CONVENTION = Convention(
    name="Xsens BVH",
    parts={
        "pelvis": ("hips",),
        "spine": ("chest", "chest2", "chest3", "chest4"),
        "neck": ("neck",),
        "head": ("head",),
        "hip": ("hip",),
        "knee": ("knee",),
        "ankle": ("ankle",),
        "foot": ("toe",),
        "collar": ("collar",),
        "shoulder": ("shoulder",),
        "elbow": ("elbow",),
        "wrist": ("wrist",),
    },
)
CMU_CONVENTION = Convention(
    name="CMU",
    parts={
        "pelvis": ("hips",),
        "spine": ("lowerback", "spine", "spine1"),
        "neck": ("neck", "neck1"),
        "head": ("head",),
        "hip": ("upleg",),
        "knee": ("leg",),
        "ankle": ("foot",),
        "foot": ("toebase",),
        "collar": ("shoulder",),
        "shoulder": ("arm",),
        "elbow": ("forearm",),
        "wrist": ("hand",),
    },
    marks=("hipjoint", "lowerback", "fingerbase"),
)
OPENPOSE_CONVENTION = Convention(
    name="OpenPose",
    parts={
        "pelvis": ("midhip",),
        "neck": ("neck",),
        "head": ("nose",),
        "hip": ("hip",),
        "knee": ("knee",),
        "ankle": ("ankle",),
        "foot": ("bigtoe",),
        "shoulder": ("shoulder",),
        "elbow": ("elbow",),
        "wrist": ("wrist",),
    },
    marks=("bigtoe", "smalltoe"),
)
# As MPFB builds it: each bone has the name of the joint that it ends at.
OPENPOSE_ENDS_CONVENTION = Convention(
    name="OpenPose, named by ends",
    parts={
        "pelvis": ("midhip",),
        "neck": ("neck",),
        "hip": ("knee",),
        "knee": ("ankle",),
        "ankle": ("bigtoe",),
        "collar": ("shoulder",),
        "shoulder": ("elbow",),
        "elbow": ("wrist",),
    },
    marks=("bigtoe", "smalltoe"),
)
