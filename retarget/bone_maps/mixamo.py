"""Mixamo names: ``mixamorig:LeftUpLeg``, with any number in the prefix or none."""

from __future__ import annotations

from .convention import Convention, both_sides

MIXAMO_CONVENTION = Convention(
    name="Mixamo",
    prefix=r"mixamorig\d*[:_]?",
    joints={
        "pelvis": ("hips",),
        "head": ("head",),
        **both_sides(
            {
                "{side}_hip": ("{side}upleg",),
                "{side}_knee": ("{side}leg",),
                "{side}_ankle": ("{side}foot",),
                "{side}_foot": ("{side}toebase",),
                "{side}_collar": ("{side}shoulder",),
                "{side}_shoulder": ("{side}arm",),
                "{side}_elbow": ("{side}forearm",),
                "{side}_wrist": ("{side}hand",),
            },
            "left",
            "right",
        ),
    },
    spine=("spine", "spine1", "spine2", "spine3", "spine4"),
    neck=("neck", "neck1", "neck2"),
)
