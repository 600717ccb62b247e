"""Training of the baselines within a stated budget: one after the other, resumable."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...retarget.errors import StepsmithError
from ..checkpoints import diverged, kept_in, load_checkpoint, save_checkpoint
from ..dance.sources import Skip, ignore
from ..folders import make_folder, sweep
from ..progress import Progress, part, silent
from .recordings import Recording, load_recordings
from .systems import KINDS, Baseline, Budget, Dancer, load_baseline, save_baseline

_SAVE_EVERY = 120.0  # seconds
_TELL_EVERY = 20  # steps
_COOLDOWN = 0.3  # share of the budget at the end in which the learning rate falls to 5 %


class Trainer:
    """The training of one baseline, in ``folder``: NAME.safetensors, and NAME.checkpoint.pt to go on from.

    ``rate``: its learning rate, times the usual.
    """

    def __init__(
        self,
        name: str,
        recordings: Sequence[Recording],
        folder: Path,
        sizes: Mapping[str, int],
        seed: int = 0,
        rate: float = 1.0,
    ) -> None:
        self.name, self.folder, self.seed = name, folder, seed
        self.rate = rate * KINDS[name].rate
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(seed)
        dancer = Dancer(name, sizes)
        window, kind = dancer.network.window, dancer.network.kind
        recordings = [recording for recording in recordings if len(recording.motion) >= window]
        if not recordings:
            raise _too_short(name, window)
        dancer.learn_scales(recordings)
        sound_mean, sound_std = dancer.sound_mean.numpy(), dancer.sound_std.numpy()
        pose_mean, pose_std = dancer.pose_mean.numpy(), dancer.pose_std.numpy()
        self.tracks = [
            ((recording.sound[kind] - sound_mean) / sound_std, (dancer.encode(motion) - pose_mean) / pose_std)
            for recording in recordings
            for motion in (recording.motion, recording.motion.mirror())
        ]
        lengths = np.array([len(sound) - window + 1 for sound, _ in self.tracks], dtype=float)
        self.share = lengths / lengths.sum()
        self.dancer = dancer.to(self.device)
        self.average = {key: value.detach().clone() for key, value in dancer.state_dict().items()}
        self.parts = dancer.network.parts
        betas = (0.5, 0.99) if len(self.parts) > 1 else (0.9, 0.99)
        self.optimizers = [torch.optim.AdamW(part, self.rate, betas, weight_decay=0.02) for part in self.parts]
        self.steps, self.used = 0, 0.0

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}.checkpoint.pt"

    @property
    def weights(self) -> Path:
        return self.folder / f"{self.name}.safetensors"

    def resume(self) -> None:
        """Go on from the checkpoint. Raises StepsmithError where it is damaged or of other sizes."""
        state = load_checkpoint(
            self.checkpoint, {"model": dict, "average": dict, "optimizers": list, "steps": int, "used": float}
        )
        try:
            self.dancer.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.average = {key: value.to(self.device) for key, value in state["average"].items()}
            self.steps, self.used = state["steps"], state["used"]
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StepsmithError(
                f"{self.checkpoint} is of another training: move it away to train {self.name} afresh."
            ) from error
        self.dancer.tell_scales()

    def run(self, minutes: float, progress: Progress = silent) -> Path:
        """Train until ``minutes`` of one core are used, those before a resumption included; the weights' path.

        Where they were used up before, weights that are there stay as they are, with the budget that they state.
        Processor time counts, not the clock's: what else the machine does changes nothing. Raises StepsmithError,
        and leaves the last checkpoint, when the loss is no longer a number.
        """
        if self.used >= minutes and self.weights.is_file():
            return self.weights
        torch.manual_seed(self.seed + 7919 * self.steps)
        random = np.random.default_rng(self.seed + 7919 * self.steps)
        saved, began, before = time.monotonic(), time.process_time(), self.used
        self.dancer.train()
        while self.used < minutes:
            left = (1.0 - self.used / minutes) / _COOLDOWN
            for optimizer in self.optimizers:
                optimizer.param_groups[0]["lr"] = self.rate * min(1.0, max(0.05, left), (self.steps + 1) / 100)
            losses = self._step(random)
            self.steps += 1
            self._follow(min(0.999, (1 + self.steps) / (10 + self.steps)))
            self.used = before + (time.process_time() - began) / 60.0
            if self.steps % _TELL_EVERY == 0:
                words = ", ".join(f"{loss:.4f}" for loss in losses)
                progress(min(1.0, self.used / minutes), f"{self.name}: step {self.steps}, loss {words}")
            if time.monotonic() - saved > _SAVE_EVERY:
                self._save(minutes)
                saved = time.monotonic()
        return self._save(minutes)

    def _step(self, random: np.random.Generator) -> list[float]:
        sound, motion = self._batch(random)
        losses = []
        for number, (parameters, optimizer) in enumerate(zip(self.parts, self.optimizers, strict=True)):
            loss = self.dancer.network.loss(number, sound, motion)
            optimizer.zero_grad()
            loss.backward(inputs=parameters)
            norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            if not (torch.isfinite(loss) and torch.isfinite(norm)):
                raise StepsmithError(f"{self.name}: {diverged(self.steps, self.checkpoint)}")
            optimizer.step()
            losses.append(float(loss.detach()))
        return losses

    def _batch(self, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Standardised sound (B, T, S) and motion (B, T, D) of windows drawn evenly over time."""
        window, rows = self.dancer.network.window, []
        for _ in range(KINDS[self.name].batch):
            sound, motion = self.tracks[random.choice(len(self.tracks), p=self.share)]
            first = random.integers(len(sound) - window + 1)
            rows.append((sound[first : first + window], motion[first : first + window]))
        sounds, motions = (np.stack(each).astype(np.float32) for each in zip(*rows, strict=True))
        return torch.from_numpy(sounds).to(self.device), torch.from_numpy(motions).to(self.device)

    def _follow(self, decay: float) -> None:
        with torch.no_grad():
            for key, value in self.dancer.state_dict().items():
                self.average[key].lerp_(value, 1.0 - decay)

    def _save(self, minutes: float) -> Path:
        """Write checkpoint and weights; the weights' path. Raises StepsmithError where they can't be written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.dancer.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "steps": self.steps,
            "used": self.used,
        }
        budget = Budget(minutes, self.used, self.steps, self.seed, self.device.type)
        with kept_in(self.folder):
            save_checkpoint(self.checkpoint, state)
            save_baseline(self.weights, self.name, self.dancer.sizes, self.average, budget)
            sweep(self.folder, [self.checkpoint.name, self.weights.name])
        return self.weights


def train_baselines(
    data: Path,
    folder: Path,
    only: Sequence[str] = (),
    minutes: float | None = None,
    *,
    resume: bool = False,
    seed: int = 0,
    rate: float = 1.0,
    sizes: Mapping[str, int] | None = None,
    progress: Progress = silent,
    skip: Skip = ignore,
    leave_out: Skip = ignore,
) -> list[Baseline]:
    """Train baselines on the train split of ``data`` into ``folder``, one after the other; those trained.

    ``only``: names of KINDS, all by default; ``minutes``: of one core for each, each one's own by default. ``resume``:
    go on from checkpoints; those whose budget is used up stay as they are. ``rate``: learning rates, times the usual.
    ``skip`` hears of files that can't be used, ``leave_out`` of baselines that learn from longer dances than there
    are. Raises StepsmithError for names nobody knows, for checkpoints to be lost, where dances are too short for all,
    or for one of ``only``, and when a loss is no longer a number.
    """
    names = [name for name in KINDS if not only or name in only]
    unknown = sorted(set(only) - set(KINDS))
    if unknown:
        raise StepsmithError(f"There is no baseline “{unknown[0]}”: choose among {', '.join(KINDS)}.")
    kept = [name for name in names if (folder / f"{name}.checkpoint.pt").is_file()]
    if kept and not resume:
        raise StepsmithError(
            f"{folder} holds the training of {kept[0]}: go on with --resume, or choose another folder."
        )
    make_folder(folder)
    networks = {name: Dancer(name, sizes or {}).network for name in names}
    kinds = {network.kind for network in networks.values()}
    recordings = load_recordings(data, kinds, part(progress, 0.0, 0.02), skip)
    longest = max((len(recording.motion) for recording in recordings), default=0)
    short = {name: network.window for name, network in networks.items() if network.window > longest}
    if short and (only or len(short) == len(names)):
        raise _too_short(*next(iter(short.items())))
    for name, window in short.items():
        leave_out(str(_too_short(name, window)))
    names = [name for name in names if name not in short]
    budgets = {name: minutes or KINDS[name].minutes for name in names}
    found, done, total = [], 0.0, sum(budgets.values())
    for name in names:
        trainer = Trainer(name, recordings, folder, sizes or {}, seed, rate)
        if name in kept:
            trainer.resume()
        share = part(progress, 0.02 + 0.98 * done / total, 0.02 + 0.98 * (done + budgets[name]) / total)
        found.append(load_baseline(trainer.run(budgets[name], share)))
        done += budgets[name]
    return found


def _too_short(name: str, window: int) -> StepsmithError:
    return StepsmithError(f"No dance is as long as {name} learns from at once ({window / 30:.0f} s).")
