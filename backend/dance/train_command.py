"""``stepsmith train``: train the dance model on recorded dances."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ..bar import left_out, progress_bar

train_app = typer.Typer(help="Train the dance model on recorded dances.", add_completion=False)


@train_app.command(
    epilog="""[bold]Examples[/bold]

stepsmith train --data dances/

stepsmith train --data dances/ --steps 12000 --resume

stepsmith train --data dances/ --extra mocap/ --out runs/wide --tensorboard

torchrun --nproc_per_node 4 -m stepsmith.backend.cli train --data dances/ --out runs/fast --batch 128

stepsmith dance song.mp3 -o dance.blend --model training/model.safetensors"""
)
def train(
    data: Annotated[
        Path,
        typer.Option(
            help="Folder of songs and motions (.npz, .pkl, .bvh, .amc) of the same names; genres are subfolders, or "
            "stand in a manifest.csv with the columns name, genre and split."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for checkpoint.pt, model.safetensors, its card model.md, log.csv and pictures.")
    ] = Path("training"),
    extra: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder or zip of motions without music, genres as subfolders or zips; all of it is learnt but "
            "what a manifest.csv in it puts in val or test; may be given again."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps in all, those before a resume included.")] = 8000,
    batch: Annotated[int, typer.Option(min=1, help="Windows of five seconds a step.")] = 32,
    rate: Annotated[float, typer.Option(min=1e-7, max=1.0, help="Highest learning rate.")] = 5e-4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the windows drawn and of the noise.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in the folder.")] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Log to TensorBoard as well, in the folder's events/.")
    ] = False,
) -> None:
    """Train the dance model; checkpoints every four minutes, so that a stop costs little.

    Runs on a GPU where there is one, on several or on several machines by torchrun. Files that can't be used are
    named, left out and counted.
    """
    from ..checkpoints import resumable
    from .sources import ignore
    from .train import TrainConfig
    from .train import train as run
    from .train_log import can_plot

    first = os.environ.get("RANK", "0") == "0"
    if first and not can_plot():
        print("Without matplotlib there will be no pictures: pip install 'stepsmith[train]'.", file=sys.stderr)
    quiet = not first
    with resumable(out, quiet=quiet), left_out("file", quiet=quiet) as skip, progress_bar(quiet=quiet) as progress:
        weights = run(
            data,
            out,
            TrainConfig(steps=steps, batch=batch, rate=rate, seed=seed),
            resume=resume,
            progress=progress,
            extra=extra or (),
            tensorboard=tensorboard,
            skip=skip,
            say=ignore if quiet else partial(print, file=sys.stderr, flush=True),
        )
    if first:
        print(weights)
