"""SMPL, SMPL-H and SMPL-X names: ``left_hip``, ``L_Hip``, ``m_avg_L_Hip``, ``f_avg_Pelvis``."""

from __future__ import annotations

from .convention import Convention, both_sides

_PARTS = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist", "hand")
_LONG = both_sides({"{side}_" + part: ("{side}" + part,) for part in _PARTS}, "left", "right")
_SHORT = both_sides({"{side}_" + part: ("{side}" + part,) for part in _PARTS}, "l", "r")

SMPL_CONVENTION = Convention(
    name="SMPL",
    prefix=r"[mfn]_avg_|smplx?[-_:]",
    joints={
        "pelvis": ("pelvis",),
        "head": ("head",),
        **{joint: (*_LONG[joint], *_SHORT[joint]) for joint in _LONG},
    },
    spine=("spine", "spine1", "spine2", "spine3", "spine4", "spine5"),
    neck=("neck", "neck1", "neck2"),
)
