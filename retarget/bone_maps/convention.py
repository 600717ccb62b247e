"""What a naming convention is: one frozen table a file, all of this shape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_SEPARATORS = re.compile(r"[\s_\-.:]+")
_COPY = re.compile(r"\.\d{3}$")


@dataclass(frozen=True)
class Convention:
    """How a family of rigs names its bones.

    ``joints``: SMPL joint to the names it goes by, best first, written as ``plain`` writes them.
    ``spine``: the names that bones between pelvis and neck may have, from the bottom up; a rig may
    have any of them, and they share the three spine joints. ``neck``: likewise. ``prefix``: a regular
    expression that is cut off the beginning of every name.
    """

    name: str
    joints: Mapping[str, tuple[str, ...]]
    spine: tuple[str, ...]
    neck: tuple[str, ...]
    prefix: str = field(default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "joints", MappingProxyType(dict(self.joints)))

    def plain(self, bone: str) -> str:
        """A bone's name without prefix, Blender's copy number (``.001``), separators and case."""
        bone = _COPY.sub("", bone)
        bone = re.sub(f"^(?:{self.prefix})", "", bone, flags=re.IGNORECASE) if self.prefix else bone
        return _SEPARATORS.sub("", bone).lower()


def both_sides(names: Mapping[str, tuple[str, ...]], left: str, right: str) -> dict[str, tuple[str, ...]]:
    """A table for both sides from one with ``{side}`` in joints and names.

    ``left`` and ``right`` stand for ``{side}`` in the convention's names.
    """
    return {
        joint.format(side=side): tuple(name.format(side=written) for name in variants)
        for joint, variants in names.items()
        for side, written in (("left", left), ("right", right))
    }
