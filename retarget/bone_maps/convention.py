"""What a naming convention is: one frozen table a file, all of this shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ..rig import Rig
from .bone_map import Switch

# Parts of the body that a convention names; those after the fourth are there once a side.
MIDDLE_PARTS = ("pelvis", "spine", "neck", "head")
LEG_PARTS = ("hip", "knee", "ankle", "foot")
ARM_PARTS = ("collar", "shoulder", "elbow", "wrist", "hand")
PARTS = (*MIDDLE_PARTS, *LEG_PARTS, *ARM_PARTS)


@dataclass(frozen=True)
class Convention:
    """How a family of rigs names its bones.

    ``parts``: part of the body to the names it goes by, best first, as ``Reading.plain`` writes them:
    without side, separators, case and leading zeros. ``spine`` and ``neck`` name a chain, from the bottom
    up, of which a rig may have any. ``prefixes``: what such names begin with besides the prefix that a
    whole rig shares; "" where they may do without. ``marks``: further names that tell this family from
    others with the same words.

    For control rigs: ``recognise`` tells whether a rig is one, and then ``parts`` are taken as they stand
    and no others are looked for; ``parents`` and ``switches`` go into its bone map as far as their bones
    are there.
    """

    name: str
    parts: Mapping[str, tuple[str, ...]]
    prefixes: tuple[str, ...] = ("",)
    marks: tuple[str, ...] = ()
    recognise: Callable[[Rig], bool] | None = None
    parents: Mapping[str, str] = field(default_factory=dict)
    switches: tuple[Switch, ...] = ()

    def __post_init__(self) -> None:
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown:
            raise ValueError(f"{self.name} names {unknown[0]}, which is none of {', '.join(PARTS)}")
        for name in ("parts", "parents"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
