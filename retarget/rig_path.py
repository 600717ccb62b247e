"""Where a rig is: a file, and perhaps the name of one armature in it, written ``FILE:OBJECT``."""

from __future__ import annotations

import re
from pathlib import Path

# Scenes and models with armatures, and SMPL body models.
SCENE_RIGS = (".blend", ".glb", ".gltf", ".vrm", ".fbx", ".usd", ".usda", ".usdc", ".usdz")
BODY_RIGS = (".npz", ".pkl")
RIG_ENDINGS = SCENE_RIGS + BODY_RIGS

# As much as possible belongs to the file: its own name may hold colons, as drives do.
_FORM = re.compile(rf"(.*(?:{'|'.join(map(re.escape, RIG_ENDINGS))})):(.+)", re.IGNORECASE | re.DOTALL)


def split_rig(text: str) -> tuple[Path, str | None]:
    """The file and the object's name, None where only a file is named.

    >>> split_rig("hero.glb:Armature")[1]
    'Armature'
    """
    found = _FORM.fullmatch(text)
    return (Path(found[1]), found[2]) if found else (Path(text), None)
