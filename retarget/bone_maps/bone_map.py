"""The bone map: which bone of a rig follows which joint of SMPL, and all else that is known of the rig's ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Quaternion = tuple[float, float, float, float]


@dataclass(frozen=True)
class Switch:
    """A custom property of a control rig that must have this value while it dances, as "IK_FK" of Rigify."""

    bone: str
    name: str
    value: float


@dataclass(frozen=True)
class BoneMap:
    """Which target bone follows which SMPL joint.

    ``bones``: target bone name to SMPL joint name, parents before children; several spine or neck
    bones may follow one joint. ``confidence``: 0 to 1, of the whole. ``missing``: SMPL joints without a
    bone. ``scores``: 0 to 1, how sure each bone of ``bones`` is; a bone without a score is sure.
    ``pose``: basis rotations (w, x, y, z) of bones in the pose that the user matched to SMPL's T pose;
    where it is not empty, that pose and not the rest pose tells how bones align. ``parents``: bones that
    the rig's own constraints make follow another bone than the one they are parented to.
    ``switches``: what must be set on a control rig.
    """

    convention: str
    bones: Mapping[str, str]
    confidence: float
    missing: tuple[str, ...]
    scores: Mapping[str, float] = field(default_factory=dict)
    pose: Mapping[str, Quaternion] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    switches: tuple[Switch, ...] = ()

    def __post_init__(self) -> None:
        for name in ("bones", "scores", "pose", "parents"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def bone(self, joint: str) -> str | None:
        """The first bone that follows ``joint``, or None."""
        return next((bone for bone, j in self.bones.items() if j == joint), None)
