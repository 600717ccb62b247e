"""Training the lifter: examples without end, losses in metres, a checkpoint every few minutes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ....retarget.errors import StepsmithError
from ...ahead import ahead
from ...checkpoints import CHECKPOINT, diverged, kept_in, load_checkpoint, save_checkpoint
from ...dance.sources import Skip, ignore
from ...dance.train_log import Log
from ...folders import make_folder, sweep
from ...progress import Progress, silent
from ...provenance import provenance
from .data import Library, Recording, load_recordings
from .examples import Examples, join_examples, make_examples
from .invent import invent
from .network import TemporalNetwork, widen
from .shapes import INPUTS, OUTPUTS, SHAPE
from .weights import save_network

_WEIGHTS = "lifter.safetensors"
_CHECKPOINT_SECONDS = 240.0
_LOG_STEPS = 50
_WARM_UP = 200  # steps
_AT_ONCE = 5000  # frames of examples that are made at once
_INVENTED = 0.5  # frames of invented movement for each of recorded


@dataclass(frozen=True)
class Stage:
    """``steps`` with filters of ``widths``, of ``windows`` of which ``frames`` are made, a share of them ``varied``.

    ``rate``: the highest learning rate; what a filter gains begins at zero and has all to learn. ``settled``: batch
    norms use the statistics that they have and learn none, since few long windows would shake them.
    """

    widths: tuple[int, ...]
    steps: int
    windows: int
    frames: int
    varied: float = 0.5
    rate: float = 8e-4
    settled: bool = False

    @property
    def field(self) -> int:
        """Frames that one output is made of."""
        return math.prod(self.widths)


@dataclass(frozen=True)
class TrainConfig:
    """``stages``: each with filters as wide as the last's, or wider.

    Short fields learn from many windows of few frames, as different as can be, what a pose looks like; longer ones
    what movement tells beside. Of one frame each, no more is computed than that one needs.
    ``average``: how much of the running mean of the weights a step keeps.
    """

    stages: tuple[Stage, ...] = (
        Stage((3, 3, 1, 1, 1), 20000, 512, 1, rate=5e-3),
        Stage((3, 3, 3, 1, 1), 10000, 256, 1, rate=2.5e-3),
        Stage((3, 3, 3, 3, 1), 26000, 256, 1, varied=0.55, rate=2e-3),
        Stage((3, 3, 3, 3, 3), 6500, 96, 1, varied=0.6, rate=3e-4, settled=True),
    )
    channels: int = 512
    last_rate: float = 2e-5
    dropout: float = 0.0
    causal: bool = False
    average: float = 0.998
    seed: int = 0

    def scaled(self, steps: int, rate: float = 1.0) -> TrainConfig:
        """The same training in so many steps, the stages in proportion, ``rate`` times as fast."""
        share = steps / self.steps
        stages = (replace(s, steps=max(1, round(s.steps * share)), rate=rate * s.rate) for s in self.stages)
        return replace(self, stages=tuple(stages), last_rate=rate * self.last_rate)

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> int:
        """The number of the stage that a step is in; beyond the end the last one's."""
        ends = accumulate(stage.steps for stage in self.stages[:-1])
        return sum(step >= end for end in ends)


def train(
    data: Path,
    out: Path,
    config: TrainConfig,
    *,
    resume: bool = False,
    progress: Progress = silent,
    skip: Skip = ignore,
) -> Path:
    """Train a lifter on the motions below ``data``; the weights' file, in ``out`` beside checkpoint and log.

    ``resume``: go on from the folder's checkpoint, with the ``config`` that it was begun with, but for the rates.
    ``skip`` hears of files left out. Raises StepsmithError where ``data`` holds no motion, there is no checkpoint to
    resume from, one to be lost or of another training, the loss is no longer finite, or ``out`` can't be written.
    """
    if (out / CHECKPOINT).is_file() != resume:
        raise StepsmithError(
            f"{out} holds no checkpoint to resume from: start without --resume."
            if resume
            else f"{out} holds a training already: go on with --resume, or choose another folder with --out."
        )
    make_folder(out)
    progress(0.0, "Reading the motions")
    recordings = load_recordings(data, skip=skip)
    invented = invent(np.random.default_rng(config.seed), _INVENTED * sum(map(len, recordings)))
    trainer = Trainer([*recordings, *invented], config, out)
    if resume:
        trainer.resume()
    trainer.run(progress)
    trainer.network.load_state_dict(trainer.average)
    path = out / _WEIGHTS
    with kept_in(out):
        save_network(path, trainer.network, provenance(data) | {"steps": str(trainer.step)})
    return path


class Trainer:
    """A network in training. ``average`` is the running mean of its weights, which is what is used afterwards."""

    def __init__(self, recordings: Sequence[Recording], config: TrainConfig, out: Path) -> None:
        self.library, self.config, self.out = Library.of(recordings), config, out
        self.log = Log(out)
        self.step, self.stage = 0, 0
        torch.manual_seed(config.seed)
        self.network = TemporalNetwork(
            INPUTS, OUTPUTS, config.channels, config.stages[0].widths, config.causal, dropout=config.dropout
        )
        self._begin()

    def _begin(self) -> None:
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=0.0, weight_decay=1e-4, fused=True)
        self.average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    def _next_stage(self) -> None:
        self.stage += 1
        self.network.load_state_dict(self.average)
        self.network = widen(self.network, self.config.stages[self.stage].widths)
        self._begin()

    def run(self, progress: Progress = silent) -> None:
        """Train from where it stands to the end.

        Raises StepsmithError, and leaves the last checkpoint as it is, where the loss is no longer a number.
        """
        saved = time.monotonic()
        since: list[dict[str, float]] = []  # the losses of the steps since the last row of the log
        with kept_in(self.out):
            sweep(self.out, [CHECKPOINT, _WEIGHTS, self.log.path.name])
            self.log.forget_after(self.step)
        with closing(ahead(map(self._examples, range(self.step, self.config.steps)))) as coming:
            for examples in coming:
                while self.stage < self.config.stage_at(self.step):
                    self._next_stage()
                since.append(self._train_step(examples))
                self.step += 1
                if self.step % _LOG_STEPS == 0:
                    means = {name: sum(losses[name] for losses in since) / len(since) for name in since[0]}
                    with kept_in(self.out):
                        self.log.add(self.step, **means)
                    progress(self.step / self.config.steps, f"Step {self.step}, {1000.0 * means['shape']:.1f} mm")
                    since = []
                if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                    self.save()
                    saved = time.monotonic()
        self.save()

    def _examples(self, step: int) -> Examples:
        """What a step learns from: the same whenever it is made, so that a resumed run is as an uninterrupted one."""
        stage = self.config.stages[self.config.stage_at(step)]
        rng = np.random.default_rng((self.config.seed, step))
        frames = stage.frames + stage.field - 1
        # No more at once than the processor's caches hold: a third faster.
        parts = min(stage.windows, max(1, round(stage.windows * frames / _AT_ONCE)))
        counts = [len(part) for part in np.array_split(np.arange(stage.windows), parts)]
        return join_examples(
            [make_examples(rng, self.library, n, frames, stage.varied, self.config.causal) for n in counts]
        )

    def _train_step(self, examples: Examples) -> dict[str, float]:
        config, stage = self.config, self.config.stages[self.stage]
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        torch.manual_seed((config.seed << 32) + self.step)
        self.network.train()
        if stage.settled:
            for norm in (self.network.expand_bn, *self.network.layers_bn):
                norm.eval()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = self.network(torch.from_numpy(examples.inputs))
        losses = _losses(out.float(), examples, slice(self.network.before, self.network.before + stage.frames))
        total = sum(losses.values(), torch.zeros(()))
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if not (torch.isfinite(total) and torch.isfinite(norm)):
            raise diverged(self.step, self.out / CHECKPOINT)
        self.optimiser.step()
        keep = min(config.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                mean = self.average[name]
                mean.lerp_(value, 1.0 - keep) if mean.is_floating_point() else mean.copy_(value)
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _rate(self) -> float:
        """In each stage a short warm-up, and a cosine from its rate to the last."""
        stage = self.config.stages[self.stage]
        done = self.step - sum(earlier.steps for earlier in self.config.stages[: self.stage])
        warm = min(1.0, (done + 1) / _WARM_UP)
        share = 0.5 * (1.0 + np.cos(np.pi * done / stage.steps))
        return float(warm * (self.config.last_rate + (stage.rate - self.config.last_rate) * share))

    def save(self) -> None:
        """Write the checkpoint, whole or not at all. Raises StepsmithError where it can't be written."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "stage": self.stage,
            "training": self._training(),
            "steps": self.config.steps,
        }
        with kept_in(self.out):
            save_checkpoint(self.out / CHECKPOINT, state)

    def _training(self) -> dict[str, Any]:
        """What stays the same as long as it is one training."""
        config = self.config
        widths = [stage.widths for stage in config.stages]
        return {"widths": widths, "channels": config.channels, "causal": config.causal, "seed": config.seed}

    def resume(self) -> bool:
        """Go on from the folder's checkpoint; False where there is none.

        Raises StepsmithError where it is damaged, of another training, or of a later stage than its step is in here.
        """
        path = self.out / CHECKPOINT
        if not path.is_file():
            return False
        kinds = {"network": dict, "average": dict, "optimiser": dict, "step": int, "stage": int, "training": dict}
        state = load_checkpoint(path, {**kinds, "steps": int})
        if state["training"] != self._training():
            raise StepsmithError(
                f"{path} was trained otherwise: give the same --seed and --causal as before, or choose another folder"
                " with --out."
            )
        if state["stage"] > self.config.stage_at(state["step"]):
            raise StepsmithError(
                f"{path} has got further than it would in {self.config.steps} steps: give --steps {state['steps']} as"
                " before, or choose another folder with --out."
            )
        try:
            while self.stage < state["stage"]:
                self._next_stage()
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            raise StepsmithError(
                f"{path} is damaged, or of another training: remove it, or choose another folder with --out."
            ) from error
        self.average, self.step = state["average"], state["step"]
        return True


def _losses(out: Tensor, examples: Examples, made: slice) -> dict[str, Tensor]:
    """Mean losses over the frames that the recordings have; ``out`` (N, T, OUTPUTS) are the windows' ``made`` frames.

    ``shape``: mean distance in metres; ``speed``: of differences from frame to frame; ``place``: of the pelvis, in
    the person's size; ``drift``: of its differences; ``up``: one minus the cosine.
    """
    shape, place, up = torch.split(out, [SHAPE, 3, 3], dim=-1)
    wanted, where, upright, valid = (
        torch.from_numpy(part[:, made]) for part in (examples.shape, examples.place, examples.up, examples.valid)
    )
    both = valid[:, 1:] * valid[:, :-1]
    off, away = shape.unflatten(-1, (-1, 3)) - wanted, place - where
    against = torch.nn.functional.cosine_similarity(up, upright, dim=-1)
    return {
        "shape": _mean(off.norm(dim=-1).mean(-1), valid),
        "speed": 2.0 * _mean(off.diff(dim=1).norm(dim=-1).mean(-1), both),
        "place": 0.3 * _mean(away.abs().sum(-1), valid),
        "drift": 1.0 * _mean(away.diff(dim=1).abs().sum(-1), both),
        "up": 0.2 * _mean(1.0 - against, valid),
    }


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1.0)
