"""Poser and DAZ names, which many motion-captured BVH files carry: ``lThigh``, ``rShldr``, ``abdomen``."""

from __future__ import annotations

from .convention import Convention, both_sides

POSER_CONVENTION = Convention(
    name="Poser",
    joints={
        "pelvis": ("hip",),
        "head": ("head",),
        **both_sides(
            {
                "{side}_hip": ("{side}thigh", "{side}thighbend"),
                "{side}_knee": ("{side}shin",),
                "{side}_ankle": ("{side}foot",),
                "{side}_foot": ("{side}toe",),
                "{side}_collar": ("{side}collar",),
                "{side}_shoulder": ("{side}shldr", "{side}shldrbend"),
                "{side}_elbow": ("{side}forearm", "{side}forearmbend"),
                "{side}_wrist": ("{side}hand",),
            },
            "l",
            "r",
        ),
    },
    spine=("abdomen", "abdomenlower", "abdomen2", "abdomenupper", "chest", "chestlower", "chestupper"),
    neck=("neck", "necklower", "neckupper"),
)
