"""Training the lifter: examples without end, losses in metres, a checkpoint every few minutes."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ....retarget.errors import StepsmithError
from ...progress import Progress, silent
from .data import Recording
from .examples import Example, make_example
from .network import TemporalNetwork, grow
from .shapes import INPUTS, OUTPUTS, SHAPE

_CHECKPOINT_SECONDS = 240.0
_LOG_STEPS = 50


@dataclass(frozen=True)
class TrainConfig:
    """``stages``: for each receptive field in turn, the steps trained with it, and the frames made of a window.

    Each field is a filter more than the one before (27, 81, 243 frames ...), the first as ``widths`` has it.
    """

    widths: tuple[int, ...] = (3, 3, 3, 3)
    stages: tuple[tuple[int, int], ...] = ((9000, 80), (3000, 160))
    channels: int = 512
    batch: int = 32
    rate: float = 1e-3
    last_rate: float = 2e-5
    dropout: float = 0.05
    causal: bool = False
    average: float = 0.998
    seed: int = 0

    @property
    def steps(self) -> int:
        return sum(steps for steps, _ in self.stages)


class Trainer:
    """A network in training. ``average`` is the running mean of its weights, which is what is used afterwards."""

    def __init__(self, recordings: Sequence[Recording], config: TrainConfig, out: Path) -> None:
        self.recordings, self.config, self.out = recordings, config, out
        # Longer recordings are drawn more often; the root keeps one long source from drowning the others.
        lengths = np.array([len(r) for r in recordings], dtype=float) ** 0.75
        self.chances = lengths / lengths.sum()
        self.step, self.stage = 0, 0
        torch.manual_seed(config.seed)
        self.network = TemporalNetwork(
            INPUTS, OUTPUTS, config.channels, config.widths, config.causal, dropout=config.dropout
        )
        self._begin()

    def _begin(self) -> None:
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=self.config.rate, weight_decay=1e-4)
        self.average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    def _grow(self) -> None:
        self.network.load_state_dict(self.average)
        self.network = grow(self.network)
        self.stage += 1
        self._begin()

    def run(self, progress: Progress = silent) -> None:
        """Train from where it stands to the end. Raises StepsmithError where the loss is no longer finite."""
        saved = time.monotonic()
        sums: dict[str, float] = {}
        while self.step < self.config.steps:
            if self.step == sum(steps for steps, _ in self.config.stages[: self.stage + 1]):
                self._grow()
            for name, value in self._train_step().items():
                sums[name] = sums.get(name, 0.0) + value / _LOG_STEPS
            self.step += 1
            if self.step % _LOG_STEPS == 0:
                if not np.isfinite(list(sums.values())).all():
                    raise StepsmithError("The loss is no longer finite: resume from the last checkpoint, more slowly.")
                self._log(sums)
                progress(self.step / self.config.steps, f"Step {self.step}, {1000.0 * sums['shape']:.1f} mm")
                sums = {}
            if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                self.save()
                saved = time.monotonic()
        self.save()

    def _train_step(self) -> dict[str, float]:
        config = self.config
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        # Generators seeded anew at every step, so that a resumed run draws what an uninterrupted one would have drawn.
        torch.manual_seed((config.seed << 32) + self.step)
        rng = np.random.default_rng((config.seed, self.step))
        _, made = config.stages[self.stage]
        frames = made + self.network.field - 1
        batch = [make_example(rng, self.recordings, self.chances, frames) for _ in range(config.batch)]
        self.network.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = self.network(_stack(batch, "inputs"))
        losses = _losses(out.float(), batch, slice(self.network.before, self.network.before + made))
        total = sum(losses.values(), torch.zeros(()))
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        keep = min(config.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                mean = self.average[name]
                mean.lerp_(value, 1.0 - keep) if mean.is_floating_point() else mean.copy_(value)
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _rate(self) -> float:
        """A short warm-up, then a cosine from the first rate to the last over all stages; half at the start of each
        later one."""
        config = self.config
        warm = min(1.0, (self.step + 1) / 200)
        share = 0.5 * (1.0 + np.cos(np.pi * self.step / config.steps))
        return float(warm * (config.last_rate + (config.rate - config.last_rate) * share))

    def _log(self, losses: dict[str, float]) -> None:
        path = self.out / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", *losses])
            writer.writerow([self.step, *(f"{value:.5f}" for value in losses.values())])

    def save(self) -> None:
        """Write ``checkpoint.pt`` beside, then in its place."""
        path = self.out / "checkpoint.pt"
        beside = path.with_suffix(".part")
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "stage": self.stage,
        }
        torch.save(state, beside)
        os.replace(beside, path)

    def resume(self) -> bool:
        """Go on from the folder's checkpoint, if it has one."""
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        while self.stage < state["stage"]:
            self._grow()
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average, self.step = state["average"], state["step"]
        return True


def _stack(batch: Sequence[Example], name: str) -> Tensor:
    return torch.from_numpy(np.stack([getattr(example, name) for example in batch]))


def _losses(out: Tensor, batch: Sequence[Example], made: slice) -> dict[str, Tensor]:
    """Mean losses over the frames that the recordings have; ``out`` (B, T, OUTPUTS) are the window's ``made`` frames.

    ``shape``: mean distance in metres; ``speed``: of differences from frame to frame; ``place``: of the pelvis, in
    the person's size; ``drift``: of its differences; ``up``: one minus the cosine.
    """
    shape, place, up = torch.split(out, [SHAPE, 3, 3], dim=-1)
    shape = shape.unflatten(-1, (-1, 3))
    wanted, where = _stack(batch, "shape")[:, made], _stack(batch, "place")[:, made]
    valid = _stack(batch, "valid")[:, made]
    both = valid[:, 1:] * valid[:, :-1]
    off, away = shape - wanted, place - where
    against = torch.nn.functional.cosine_similarity(up, _stack(batch, "up")[:, None], dim=-1)
    return {
        "shape": _mean(off.norm(dim=-1).mean(-1), valid),
        "speed": 2.0 * _mean(off.diff(dim=1).norm(dim=-1).mean(-1), both),
        "place": 0.3 * _mean(away.abs().sum(-1), valid),
        "drift": 1.0 * _mean(away.diff(dim=1).abs().sum(-1), both),
        "up": 0.2 * _mean(1.0 - against, valid),
    }


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1.0)
