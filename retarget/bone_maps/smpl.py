"""SMPL, SMPL-H and SMPL-X names: ``left_hip``, ``L_Hip``, ``m_avg_L_Hip``, ``f_avg_Pelvis``."""

from __future__ import annotations

from .convention import Convention

SMPL_CONVENTION = Convention(
    name="SMPL",
    prefixes=("", "mavg", "favg", "navg"),
    parts={
        "pelvis": ("pelvis",),
        "spine": ("spine", "spine1", "spine2", "spine3", "spine4", "spine5"),
        "neck": ("neck", "neck1", "neck2"),
        "head": ("head",),
        **{part: (part,) for part in ("hip", "knee", "ankle", "foot")},
        **{part: (part,) for part in ("collar", "shoulder", "elbow", "wrist", "hand")},
    },
)
