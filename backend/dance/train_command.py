"""``stepsmith train``: train the dance model on recorded dances."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

train_app = typer.Typer(help="Train the dance model on recorded dances.", add_completion=False)


@train_app.command(
    epilog="""[bold]Examples[/bold]

stepsmith train --data dances/ --out runs/first --steps 8000

stepsmith train --data dances/ --out runs/first --steps 12000 --resume

stepsmith dance song.mp3 -o dance.blend --model runs/first/model.safetensors"""
)
def train(
    data: Annotated[Path, typer.Option(help="Folder of recorded dances: manifest.csv, a .npz and an .ogg a dance.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoint.pt, log.jsonl and model.safetensors.")],
    steps: Annotated[int, typer.Option(min=1, help="Steps in all, those before a resume included.")] = 8000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the windows drawn.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in the folder.")] = False,
) -> None:
    """Train the dance model; checkpoints every four minutes, so that a stop costs little."""
    from .train import TrainConfig
    from .train import train as run

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Reading the dances", total=1.0)
        weights = run(
            data,
            out,
            TrainConfig(steps=steps, seed=seed),
            resume=resume,
            progress=lambda fraction, text: bar.update(task, completed=fraction, description=text),
        )
    print(weights)
