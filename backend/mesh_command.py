"""``stepsmith mesh``: a dance as meshes of a user's own SMPL body."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..retarget.errors import StepsmithError
from ..retarget.solve import FeetMode
from .bar import progress_bar

mesh_app = typer.Typer(help="Write a dance as meshes of your own SMPL body.", add_completion=False)


@mesh_app.command(
    epilog="""[bold]Examples[/bold]

stepsmith mesh dance.npz --body SMPLX_NEUTRAL.npz -o meshes/dance.obj

stepsmith mesh dance.npz --body SMPL_FEMALE.pkl --betas 1.5,-0.4 --frame 120 -o pose.glb"""
)
def mesh(
    motion: Annotated[Path, typer.Argument(metavar="MOTION", help="A motion file: .npz, .pkl or .bvh.")],
    body: Annotated[
        Path, typer.Option(metavar="MODEL", help="Your own SMPL, SMPL-H or SMPL-X model file: .npz or .pkl.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT",
            help="What to write, by its ending: .obj, .ply or .glb. Every frame becomes a file, numbered from 0001.",
        ),
    ],
    betas: Annotated[str, typer.Option(metavar="B,B,...", help="The body's shape; without it, the model's mean.")] = "",
    frame: Annotated[int | None, typer.Option(metavar="N", help="Write this frame alone; the first is 1.")] = None,
    feet: Annotated[FeetMode, typer.Option(help="Keep planted feet from sliding.")] = "auto",
) -> None:
    """Write a dance as meshes of your own SMPL body, which needs the packages smplx and trimesh."""
    from ..retarget.files import load_motion
    from .body import write_meshes

    shape = _numbers(betas)
    dance = load_motion(motion)
    with progress_bar() as progress:
        files = write_meshes(
            dance,
            body,
            out,
            betas=shape,
            frame=frame,
            feet=feet,
            progress=progress,
        )
    print(files[0] if len(files) == 1 else f"{files[0]} to {files[-1].name}")


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")] if text.strip() else []
    except ValueError as error:
        raise StepsmithError(
            f"“{text}” is no list of betas: write numbers with commas between, as 1.5,-0.4."
        ) from error
