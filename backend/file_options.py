"""The command line's options on files: which are written, and whose character dances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..retarget.errors import StepsmithError
from ..retarget.rig_path import BODY_RIGS, SCENE_RIGS

MOTION_ENDINGS = (".npz", ".pkl", ".bvh")
SCENE_ENDINGS = (".blend", ".glb", ".fbx", ".usd", ".usda", ".usdc", ".usdz", ".mp4")
ENDINGS = MOTION_ENDINGS + SCENE_ENDINGS

CHARACTERS = f"{', '.join(SCENE_RIGS)}, or a SMPL model: {', '.join(BODY_RIGS)}"

Out = Annotated[
    list[Path],
    typer.Option(
        "-o",
        "--out",
        metavar="OUT",
        help=f"A file to write, by its ending: {', '.join(SCENE_ENDINGS)}, or a motion: {', '.join(MOTION_ENDINGS)}. "
        "May be given several times; Blender 4.5 and newer open the .blend.",
    ),
]
# A list, since of a plain option given twice only the last would be heard of.
Rig = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE[:OBJECT]", help=f"Your own character: {CHARACTERS}; without it, the built-in one."),
]


def one_rig(rigs: Sequence[str] | None) -> str | None:
    """The rig asked for, None for the built-in character. Raises StepsmithError where there are several."""
    if rigs and len(rigs) > 1:
        raise StepsmithError(
            "One character dances in these files, so give --rig once; several of a .blend dance together by"
            " “blender -b FILE.blend --command stepsmith” with a --rig OBJECT for each."
        )
    return rigs[0] if rigs else None
