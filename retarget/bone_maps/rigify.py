"""The control rig that Rigify generates, danced by its FK controls.

Hips and chest stay as they are on the torso; above its pivot the spine's FK controls bend it. Limbs obey
their FK controls with "IK_FK" at 1 and follow what they hang from with "FK_limb_follow" at 0, as neck and head
do with their "follow" at 1. A clavicle is not the armature's parent of the arm: a constraint makes it so.
"""

from __future__ import annotations

from ..rig import Rig
from .bone_map import Switch
from .convention import Convention

_SIDES = ("L", "R")
_TELLING = ("torso", "upper_arm_fk.L", "upper_arm_parent.L", "thigh_fk.L", "thigh_parent.L")


def _is_generated(rig: Rig) -> bool:
    return all(name in rig.indices for name in _TELLING)


GENERATED_CONVENTION = Convention(
    name="Rigify",
    parts={
        "pelvis": ("torso",),
        "spine": ("spinefk2", "spinefk3", "spinefk4", "spinefk5"),
        "neck": ("neck",),
        "head": ("head",),
        "hip": ("thighfk",),
        "knee": ("shinfk",),
        "ankle": ("footfk",),
        "foot": ("toefk", "toe"),
        "collar": ("shoulder",),
        "shoulder": ("upperarmfk",),
        "elbow": ("forearmfk",),
        "wrist": ("handfk",),
    },
    recognise=_is_generated,
    parents={f"upper_arm_fk.{side}": f"shoulder.{side}" for side in _SIDES},
    switches=(
        Switch("torso", "neck_follow", 1.0),
        Switch("torso", "head_follow", 1.0),
        *(
            Switch(f"{limb}_parent.{side}", name, value)
            for limb in ("upper_arm", "thigh")
            for side in _SIDES
            for name, value in (("IK_FK", 1.0), ("FK_limb_follow", 0.0))
        ),
    ),
)
