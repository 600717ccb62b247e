"""Training of the dance model: resumable, logged, on whatever device there is."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ... import __version__
from ...retarget.errors import StepsmithError
from ...retarget.rotations import Array
from ..audio import Music, analyse
from ..progress import Progress, silent
from . import representation
from .condition import ENERGY, MEL, MIRRORED, SOUND, condition
from .data import Dance, load_dances
from .energy import measure_energy
from .losses import dance_losses, feature_scale
from .model import DanceModel, ModelConfig
from .timing import FIGURES, dancers_music, keep_time
from .weights import save_model

# Motion is stored at twice the model's rate, so that playing it at another speed loses little.
_STORE_FPS = 60.0
_LOG_EVERY = 20
_SAVE_EVERY = 240.0  # seconds


@dataclass(frozen=True)
class TrainConfig:
    """How to train. ``steps`` counts from the very beginning, resumed or not."""

    steps: int = 8000
    batch: int = 32
    rate: float = 5e-4
    warmup: int = 200
    cooldown: float = 0.35  # share of the steps at the end in which the learning rate falls to 2 %
    seed: int = 0


@dataclass(frozen=True)
class Track:
    """A dance ready for training: features (T, 152) at 60 fps, plain and mirrored, their energy (T,), and the
    music in its time."""

    features: tuple[Array, Array]
    energy: Array
    music: Music
    genre: int

    @property
    def seconds(self) -> float:
        return (len(self.features[0]) - 1) / _STORE_FPS


def prepare(dances: Sequence[Dance], genres: Sequence[str], progress: Progress = silent) -> list[Track]:
    """Features of dances, which must be at 60 fps, and their songs played in the dancer's time."""
    tracks = []
    for label, genre in enumerate(genres):
        group = [dance for dance in dances if dance.genre == genre]
        figure = FIGURES[genre]
        clocks = keep_time([dance.motion for dance in group], figure) if group else []
        for dance, (beats, downbeats) in zip(group, clocks, strict=True):
            features = representation.encode(dance.motion)
            song = analyse(dance.song, meter=figure.meter) if dance.song else None
            music = dancers_music(song, dance.motion, beats, downbeats, figure.meter)
            energy = measure_energy(dance.motion.positions(), _STORE_FPS)
            tracks.append(Track((features, representation.mirror(features)), energy, music, label))
            progress(len(tracks) / len(dances), f"Preparing {dance.name}")
    return tracks


class Windows:
    """Random windows of tracks, drawn evenly over time: mirrored, faster and slower, sound disturbed."""

    def __init__(self, tracks: Sequence[Track], config: ModelConfig, seed: int) -> None:
        self.tracks, self.config = tracks, config
        self.random = np.random.default_rng(seed)
        lengths = np.array([track.seconds for track in tracks])
        self.share = lengths / lengths.sum()

    def batch(self, size: int, augment: bool = True) -> dict[str, torch.Tensor]:
        """features (B, T, 152) in real units, cues (B, T, 44), genre (B,), heard (B,)."""
        rows = [self._one(augment) for _ in range(size)]
        return {
            "features": torch.from_numpy(np.stack([r[0] for r in rows])),
            "cues": torch.from_numpy(np.stack([r[1] for r in rows])),
            "genre": torch.tensor([r[2] for r in rows]),
            "heard": torch.tensor([r[3] for r in rows]),
        }

    def _one(self, augment: bool) -> tuple[Array, Array, int, bool]:
        pick, config = self.random, self.config
        track = self.tracks[pick.choice(len(self.tracks), p=self.share)]
        speed = float(np.exp(pick.uniform(-0.33, 0.26))) if augment and pick.random() < 0.5 else 1.0
        span = (config.window - 1) / config.fps * speed
        times = pick.uniform(0.0, track.seconds - span) + np.arange(config.window) / config.fps * speed
        mirrored = augment and pick.random() < 0.5
        features = _at(track.features[int(mirrored)], times * _STORE_FPS)
        features[:, representation.VELOCITY] *= speed
        features[:, representation.YAW_RATE] *= speed
        energy = np.interp(times * _STORE_FPS, np.arange(len(track.energy)), track.energy) + np.log2(speed)
        cues = condition(track.music, times, speed, energy)
        # Dances are not symmetric: a model that is told learns from both hands and dances as the dancers do
        # (Karras et al., "Elucidating the Design Space of Diffusion Models", 2022, on augmentation).
        cues[:, MIRRORED] = mirrored
        if augment:
            cues = self._disturb(cues)
            if pick.random() < 0.2:
                cues[:, ENERGY] = 0.0
        heard = not (augment and pick.random() < 0.1)
        genre = len(config.genres) if augment and pick.random() < 0.15 else track.genre
        return features, cues, genre, heard

    def _disturb(self, cues: Array) -> Array:
        """The sound as another recording might have it, or without its spectrum: no song is learnt by heart."""
        pick = self.random
        if pick.random() < 0.5:
            cues[:, : MEL.stop + 1] = 0.0  # onsets too
        else:
            tilt = pick.normal(0.0, 0.4, (1, cues[:, MEL].shape[1]))
            cues[:, MEL] += (tilt + pick.normal(0.0, 0.3, cues[:, MEL].shape)).astype(np.float32)
        return cues


def _at(rows: Array, at: Array) -> Array:
    """Rows (T, D) at fractional indices, linear."""
    low = np.minimum(np.floor(at).astype(int), len(rows) - 2)
    share = (at - low)[:, None].astype(rows.dtype)
    return rows[low] * (1 - share) + rows[low + 1] * share


class Trainer:
    """One training run in a folder: ``checkpoint.pt`` to resume from, ``log.csv``, ``model.safetensors``."""

    def __init__(self, tracks: Sequence[Track], held_out: Sequence[Track], model: ModelConfig, folder: Path) -> None:
        self.folder, self.tracks, self.held_out = folder, tracks, held_out
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(0)
        self.model = DanceModel(model).to(self.device)
        mean, std = feature_scale(np.concatenate([f for track in tracks for f in track.features]))
        self.model.mean.copy_(torch.from_numpy(mean))
        self.model.std.copy_(torch.from_numpy(std))
        if model.told:
            self.model.usual.copy_(_usual_energy(tracks, len(model.genres)))
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        matrices = [p for p in self.model.parameters() if p.ndim >= 2]
        others = [p for p in self.model.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}],
            betas=(0.9, 0.99),
            fused=True,
        )
        self.step = 0

    def resume(self) -> bool:
        """Go on from the folder's checkpoint; False where there is none."""
        file = self.folder / "checkpoint.pt"
        if not file.is_file():
            return False
        state = torch.load(file, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        return True

    def run(self, config: TrainConfig, progress: Progress = silent) -> None:
        """Train up to ``config.steps``. Raises StepsmithError when the loss is no longer a number."""
        windows = Windows(self.tracks, self.model.config, config.seed + 7919 * self.step)
        saved = started = time.monotonic()
        first = self.step
        sums: dict[str, float] = {}
        self.model.train()
        while self.step < config.steps:
            for group in self.optimizer.param_groups:
                group["lr"] = config.rate * _schedule(self.step, config)
            losses = self._losses(windows.batch(config.batch))
            total = torch.stack(list(losses.values())).sum()
            if not torch.isfinite(total):
                raise StepsmithError(
                    f"The loss is no longer a number at step {self.step}: resume from the last checkpoint in "
                    f"{self.folder} with a lower learning rate."
                )
            self.optimizer.zero_grad()
            total.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.step += 1
            self._follow(min(0.999, (1 + self.step) / (10 + self.step)))
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / _LOG_EVERY
            if self.step % _LOG_EVERY == 0:
                pace = (time.monotonic() - started) / (self.step - first)
                self._log({"step": self.step, "seconds_a_step": pace, **sums})
                progress(self.step / config.steps, f"Step {self.step}, loss {sum(sums.values()):.3f}")
                sums = {}
            if time.monotonic() - saved > _SAVE_EVERY:
                self.save()
                saved = time.monotonic()
        self.save()

    def validate(self, batches: int = 4) -> dict[str, float]:
        """Losses of the averaged weights on the held-out dances, with their own sound and with another's."""
        kept = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        self.model.eval()
        result = {"val_own": 0.0, "val_other": 0.0}
        windows = Windows(self.held_out, self.model.config, 1)
        generator = torch.Generator().manual_seed(1)
        with torch.inference_mode():
            for _ in range(batches):
                batch = windows.batch(32, augment=False)
                noise = torch.randn(batch["features"].shape, generator=generator)
                t = torch.rand(32, generator=generator) * 0.6
                for name, shift in (("val_own", 0), ("val_other", 1)):
                    cues = batch["cues"].clone()
                    cues[..., SOUND] = cues[..., SOUND].roll(shift, 0)
                    result[name] += float(self._losses({**batch, "cues": cues}, noise, t)["features"]) / batches
        self.model.load_state_dict(kept)
        self.model.train()
        return result

    def save(self) -> None:
        """Checkpoint and half-precision averaged weights, each written beside and renamed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / "checkpoint.pt.part"
        torch.save(
            {
                "model": self.model.state_dict(),
                "average": self.average,
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
            },
            beside,
        )
        os.replace(beside, self.folder / "checkpoint.pt")
        averaged = DanceModel(self.model.config)
        averaged.load_state_dict({name: value.cpu() for name, value in self.average.items()})
        facts = {"stepsmith": __version__, "steps": str(self.step), "dances": str(len(self.tracks))}
        save_model(self.folder / "model.safetensors", averaged, facts)
        if self.held_out:
            self._log({"step": self.step, **self.validate()})

    def _losses(
        self, batch: dict[str, torch.Tensor], noise: torch.Tensor | None = None, t: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        batch = {name: value.to(self.device) for name, value in batch.items()}
        model = self.model
        clean = (batch["features"] - model.mean) / model.std
        noise = torch.randn_like(clean) if noise is None else noise.to(self.device)
        t = torch.rand(len(clean), device=self.device) if t is None else t.to(self.device)
        mixed = (1 - t)[:, None, None] * noise + t[:, None, None] * clean
        with torch.autocast(self.device.type, torch.bfloat16):
            guess = model(mixed, t, batch["cues"], batch["genre"], batch["heard"])
        # Nearly clean inputs decide the fine detail and give small errors: they count for more.
        weight = 1.0 / (1.2 - t)
        return dance_losses(guess.float(), clean, model.std, model.mean, model.config.fps, weight)

    def _follow(self, decay: float) -> None:
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1.0 - decay)

    def _log(self, row: dict[str, float]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({key: round(value, 5) for key, value in row.items()}) + "\n")


def _usual_energy(tracks: Sequence[Track], genres: int) -> torch.Tensor:
    """(genres + 1, 2) mean and deviation of each genre's energy, and in the last row of all."""
    groups = [[track.energy for track in tracks if track.genre == genre] for genre in range(genres)]
    everything = [track.energy for track in tracks]
    joined = [np.concatenate(group or everything) for group in [*groups, everything]]
    return torch.tensor([[energy.mean(), energy.std()] for energy in joined], dtype=torch.float32)


def _schedule(step: int, config: TrainConfig) -> float:
    """Learning rate's share: rises over the warm-up, stays, falls linearly over the cool-down."""
    left = (config.steps - step) / (config.cooldown * config.steps)
    return min(1.0, (step + 1) / config.warmup, max(0.02, left))


def train(data: Path, folder: Path, config: TrainConfig, resume: bool = False, progress: Progress = silent) -> Path:
    """Train on the train split of a folder of dances; returns the weights' path.

    ``folder``: where checkpoints, log and weights go. ``resume``: go on from its checkpoint.
    """
    dances = load_dances(data, "train", _STORE_FPS)
    genres = sorted({dance.genre for dance in dances})
    tracks = prepare(dances, genres, progress)
    held_out = prepare(load_dances(data, "val", _STORE_FPS), genres, progress)
    trainer = Trainer(tracks, held_out, ModelConfig(genres=tuple(genres), told=True), folder)
    if resume and not trainer.resume():
        raise StepsmithError(f"{folder} holds no checkpoint to resume from: start without --resume.")
    trainer.run(config, progress)
    return folder / "model.safetensors"
