"""``stepsmith baselines``: train the systems that the dance model is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..bar import left_out, progress_bar

baselines_app = typer.Typer(help="Train the systems that the dance model is compared with.", add_completion=False)


@baselines_app.command(
    epilog="""[bold]Examples[/bold]

stepsmith baselines --data dances/ -o baselines/

stepsmith baselines --data dances/ -o baselines/ --only edge --minutes 1200 --resume

stepsmith evaluate dance --data dances/ --baselines baselines/"""
)
def baselines(
    data: Annotated[Path, typer.Option(help="Folder of songs and motions, as for “stepsmith train”.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for weights and checkpoints.")],
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="cnn-lstm, rnn-frame, rnn-section, rnn-song, gan-spectrogram, gan-mfcc or edge; may be given again.",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01, help="Minutes of one core for each; without it 12, and 600 for edge.", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, windows and noise.")] = 0,
    rate: Annotated[
        float, typer.Option(min=1e-3, max=10.0, help="Learning rates, times the usual; below 1 where losses explode.")
    ] = 1.0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoints in the folder.")] = False,
) -> None:
    """Train the baselines one after the other, each within its budget; checkpoints every two minutes.

    Files that can't be used, and baselines that learn from longer dances than there are, are named and left out.
    """
    from .train import train_baselines

    with left_out("file") as skip, left_out("baseline") as leave_out, progress_bar() as progress:
        trained = train_baselines(
            data,
            out,
            only or (),
            minutes,
            resume=resume,
            seed=seed,
            rate=rate,
            progress=progress,
            skip=skip,
            leave_out=leave_out,
        )
    for baseline in trained:
        parameters = sum(p.numel() for p in baseline.dancer.parameters())
        print(f"{baseline.name}: {parameters / 1e6:.1f} M parameters, {baseline.budget}")
