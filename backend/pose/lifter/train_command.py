"""``stepsmith train-lifter``: train what finds a dancer of a video in space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

train_lifter_app = typer.Typer(help="Train the lifter on recorded motion.", add_completion=False)


@train_lifter_app.command(
    epilog="""[bold]Examples[/bold]

stepsmith train-lifter --data mocap/

stepsmith train-lifter --data mocap/ --resume

stepsmith capture video.mp4 -o dance.blend --lifter lifter/lifter.safetensors"""
)
def train_lifter(
    data: Annotated[
        Path,
        typer.Option(help="Folder of motions (.npz, .pkl, .bvh, .amc), in subfolders or zips; no videos are needed."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for checkpoint.pt, lifter.safetensors and log.csv.")] = Path(
        "lifter"
    ),
    steps: Annotated[int, typer.Option(min=4, help="Steps in all, those before a resume included.")] = 62500,
    causal: Annotated[
        bool, typer.Option("--causal", help="Look at no later frame, for live use; somewhat less exact.")
    ] = False,
    rate: Annotated[
        float, typer.Option(min=1e-3, max=10.0, help="Learning rates, times the usual; below 1 where losses explode.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of bodies, cameras and errors drawn.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in the folder.")] = False,
) -> None:
    """Train a lifter on recorded motion, seen by random cameras and by detectors that err.

    Checkpoints every four minutes, so that a stop costs little; with --resume give the same --steps, --seed and
    --causal. Files that can't be used are named, left out and counted.
    """
    from ...bar import left_out, progress_bar
    from ...checkpoints import resumable
    from .train import TrainConfig, train

    config = TrainConfig(causal=causal, seed=seed).scaled(steps, rate)
    with resumable(out), left_out("file") as skip, progress_bar() as progress:
        weights = train(data, out, config, resume=resume, progress=progress, skip=skip)
    print(weights)
