"""Training of the dance model: resumable, logged, on whatever devices there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...retarget.errors import StepsmithError
from ...retarget.placing import write_whole
from ..checkpoints import CHECKPOINT, diverged, kept_in, load_checkpoint, save_checkpoint
from ..folders import make_folder, sweep
from ..progress import Progress, part, silent
from ..provenance import provenance
from .calibrate import calibrate
from .card import model_card
from .condition import SOUND
from .generate import generate
from .losses import dance_losses, feature_scale
from .model import DanceModel, ModelConfig
from .processes import Processes
from .sources import SPLITS, Dance, NoDancesError, Skip, check_unpaired, genres_of, ignore, load_dances, load_unpaired
from .sources.dance import seconds_of
from .timing import song_of
from .tracks import STORE_FPS, Track, Windows, prepare
from .train_log import Log, can_plot, contact_sheet, plot_losses
from .weights import save_model

_WEIGHTS, _CARD, _LOSSES, _SHEET = "model.safetensors", "model.md", "losses.png", "samples.png"
_LOG_EVERY = 20
_SAVE_EVERY = 240.0  # seconds
_VALIDATION = ("val_own", "val_other")
_SETTINGS = ("seed", "rate", "seconds_a_step")  # logged beside the losses
_SAMPLES, _SAMPLE_SECONDS = 8, 6.0  # dances of a contact sheet, at most, and how long they are


@dataclass(frozen=True)
class TrainConfig:
    """How to train. ``steps`` counts from the very beginning, resumed or not; ``batch``: windows a step in all."""

    steps: int = 8000
    batch: int = 32
    rate: float = 5e-4
    warmup: int = 200
    cooldown: float = 0.35  # share of the steps at the end in which the learning rate falls to 2 %
    seed: int = 0


class Trainer:
    """One training run in a folder.

    It holds ``checkpoint.pt`` to resume from, ``model.safetensors``, ``log.csv`` (losses every 20 steps; at every
    checkpoint those of held-out dances, with their own and with other sound), ``losses.png``, ``samples.png`` and
    ``model.md``, the weights' card. ``facts`` of where they come from stand in the weights' header.
    """

    def __init__(
        self,
        tracks: Sequence[Track],
        held_out: Sequence[Track],
        model: ModelConfig,
        folder: Path,
        tensorboard: bool = False,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        self._facts = dict(facts or {})
        self.folder, self.tracks, self.held_out = folder, tracks, held_out
        self.processes = Processes()
        self.device = self.processes.device
        self.log = Log(folder, tensorboard and self.processes.first)
        torch.manual_seed(0)
        self.model = DanceModel(model).to(self.device)
        mean, std = feature_scale(*(features for track in tracks for features in track.features))
        self.model.mean.copy_(torch.from_numpy(mean))
        self.model.std.copy_(torch.from_numpy(std))
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
        self.config = TrainConfig()

    def resume(self) -> bool:
        """Go on from the folder's checkpoint; False where there is none.

        Raises StepsmithError where it is damaged, or of another model.
        """
        file = self.folder / CHECKPOINT
        if not file.is_file():
            return False
        state = load_checkpoint(file, {"step": int, "average": dict, "model": dict, "optimizer": dict})
        network = self.model.config.to_dict()
        try:
            # Metres are the data's, to which dances may have come.
            if {**state.get("config", network), "meters": ()} != {**network, "meters": ()}:
                raise ValueError("another network")
            self.model.load_state_dict(state["average"])  # only to see that it fits
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StepsmithError(
                f"{file} is of another model or of other genres: give the data it was trained on, or another folder."
            ) from error
        self.average = {name: value.to(self.device) for name, value in state["average"].items()}
        self.step = state["step"]
        return True

    def run(self, config: TrainConfig, progress: Progress = silent) -> None:
        """Train up to ``config.steps``.

        Raises StepsmithError, and leaves the last checkpoint as it is, when losses or gradients are no longer numbers.
        """
        # Other windows and other noise in every process, and after every resumption.
        self.config = config
        seed = config.seed + 7919 * self.step + 104729 * self.processes.rank
        windows = Windows(self.tracks, self.model.config, seed)
        torch.manual_seed(seed)
        size = -(-config.batch // self.processes.count)
        network = self.processes.share(self.model)
        saved = started = time.monotonic()
        first = self.step
        sums: dict[str, float] = {}
        self.model.train()
        if self.processes.first:
            with kept_in(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                sweep(self.folder, [CHECKPOINT, _WEIGHTS, _CARD, _LOSSES, _SHEET, self.log.path.name])
                self.log.forget_after(self.step)
        while self.step < config.steps:
            rate = config.rate * _schedule(self.step, config)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            losses = self._losses(network, windows.batch(size))
            self.optimizer.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            means = self.processes.mean(torch.stack([value.detach() for value in losses.values()]))
            if not (torch.isfinite(means).all() and torch.isfinite(norm)):
                raise diverged(self.step, self.folder / CHECKPOINT)
            self.optimizer.step()
            self.step += 1
            self._follow(min(0.999, (1 + self.step) / (10 + self.step)))
            for name, value in zip(losses, means.tolist(), strict=True):
                sums[name] = sums.get(name, 0.0) + value
            if self.step % _LOG_EVERY == 0 and self.processes.first:
                # A run that began between two rows has fewer steps for its first one.
                summed = min(_LOG_EVERY, self.step - first)
                logged = {name: value / summed for name, value in sums.items()}
                pace = (time.monotonic() - started) / (self.step - first)
                with kept_in(self.folder):
                    self.log.add(self.step, seed=config.seed, rate=rate, seconds_a_step=pace, **logged)
                progress(self.step / config.steps, f"Step {self.step}, loss {sum(logged.values()):.3f}")
            if self.step % _LOG_EVERY == 0:
                sums = {}
            if time.monotonic() - saved > _SAVE_EVERY and self.processes.first:
                self.save()
                saved = time.monotonic()
        if self.processes.first:
            self._calibrate(progress)
            self.save()
        self.processes.wait()

    def validate(self, batches: int = 4) -> dict[str, float]:
        """Losses of the averaged weights on the held-out dances, with their own sound and with another's."""
        kept = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        self.model.eval()
        result = dict.fromkeys(_VALIDATION, 0.0)
        windows = Windows(self.held_out, self.model.config, 1)
        generator = torch.Generator().manual_seed(1)
        with torch.inference_mode():
            for _ in range(batches):
                batch = windows.batch(32, augment=False)
                noise = torch.randn(batch["features"].shape, generator=generator)
                t = torch.rand(32, generator=generator) * 0.6
                for name, shift in zip(_VALIDATION, (0, 1), strict=True):
                    cues = batch["cues"].clone()
                    cues[..., SOUND] = cues[..., SOUND].roll(shift, 0)
                    losses = self._losses(self.model, {**batch, "cues": cues}, noise, t)
                    result[name] += float(losses["features"]) / batches
        self.model.load_state_dict(kept)
        self.model.train()
        return result

    def save(self) -> None:
        """Checkpoint, half-precision averaged weights, their card and pictures, each written beside and renamed.

        Raises StepsmithError where they can't be written.
        """
        with kept_in(self.folder):
            self._save()

    def _save(self) -> None:
        state = {"model": self.model.state_dict(), "average": self.average, "optimizer": self.optimizer.state_dict()}
        save_checkpoint(self.folder / CHECKPOINT, {**state, "step": self.step, "config": self.model.config.to_dict()})
        averaged = self._averaged()
        facts = {**self._facts, "steps": str(self.step), "dances": str(len(self.tracks))}
        save_model(self.folder / _WEIGHTS, averaged, facts)
        losses = self.validate() if self.held_out else {}
        if losses:
            self.log.add(self.step, **losses)
        self._write_card(losses)
        if can_plot():
            self._plot(averaged)

    def _averaged(self) -> DanceModel:
        """The averaged weights, ready to dance on the processor."""
        averaged = DanceModel(self.model.config)
        averaged.load_state_dict({name: value.cpu() for name, value in self.average.items()})
        return averaged.eval().requires_grad_(False)

    def _calibrate(self, progress: Progress) -> None:
        averaged = self._averaged()
        calibrate(averaged, self.tracks, part(progress, 1.0, 1.0))
        self.average["shortfall"].copy_(averaged.shortfall)

    def _write_card(self, losses: dict[str, float]) -> None:
        held_out = "No dances were kept back to measure it by."
        if losses:
            own, other = (losses[name] for name in _VALIDATION)
            held_out = (
                f"On dances kept back ({len(self.held_out)}) the squared error of standardised features is {own:.4f} "
                f"with their own music and {other:.4f} with that of others; the more they differ, the more it listens."
            )
        training = {
            "steps": self.step,
            "windows a step": self.config.batch,
            "learning rate": self.config.rate,
            "seed": self.config.seed,
        }
        parameters = sum(p.numel() for p in self.model.parameters())
        card = model_card(self.model.config.genres, self.tracks, parameters, training, held_out)
        write_whole(self.folder / _CARD, card)

    def _plot(self, model: DanceModel) -> None:
        """The losses so far, and dances of each genre to music that the model has not learned, where there is some."""
        if self.log.path.is_file():
            plot_losses(self.log, self.folder / _LOSSES, without=_SETTINGS)
        genres = model.config.genres
        tracks = {genres[track.genre]: track for track in [*self.tracks, *self.held_out]}
        dances = {
            f"{genre}, step {self.step}": generate(
                song_of(track.music, 0.0, min(_SAMPLE_SECONDS, track.music.duration)), genre=genre, model=model
            ).positions()
            for genre, track in list(tracks.items())[:_SAMPLES]
        }
        contact_sheet(dances, self.folder / _SHEET)

    def _losses(
        self, network: nn.Module, batch: dict[str, Tensor], noise: Tensor | None = None, t: Tensor | None = None
    ) -> dict[str, Tensor]:
        batch = {name: value.to(self.device) for name, value in batch.items()}
        model = self.model
        clean = (batch["features"] - model.mean) / model.std
        noise = torch.randn_like(clean) if noise is None else noise.to(self.device)
        t = torch.rand(len(clean), device=self.device) if t is None else t.to(self.device)
        mixed = (1 - t)[:, None, None] * noise + t[:, None, None] * clean
        with torch.autocast(self.device.type, torch.bfloat16):
            guess = network(mixed, t, batch["cues"], batch["genre"], batch["heard"])
        # Nearly clean inputs decide the fine detail and give small errors: they count for more.
        weight = 1.0 / (1.2 - t)
        return dance_losses(guess.float(), clean, model.std, model.mean, model.config.fps, weight)

    def _follow(self, decay: float) -> None:
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1.0 - decay)


def _usual_energy(tracks: Sequence[Track], genres: int) -> torch.Tensor:
    """(genres + 1, 2) mean and deviation of each genre's energy, and in the last row of all."""
    groups = [[track.energy for track in tracks if track.genre == genre] for genre in range(genres)]
    everything = [track.energy for track in tracks]
    joined = [np.concatenate(group or everything) for group in [*groups, everything]]
    return torch.tensor([[energy.mean(), energy.std()] for energy in joined], dtype=torch.float32)


def _meters(tracks: Sequence[Track], genres: int) -> tuple[int, ...]:
    """Beats a bar of each genre's dances, 0 where they are not all of one metre."""
    found = [{track.music.meter for track in tracks if track.genre == genre} for genre in range(genres)]
    return tuple(meters.pop() if len(meters) == 1 else 0 for meters in found)


def _schedule(step: int, config: TrainConfig) -> float:
    """Learning rate's share: rises over the warm-up, stays, falls linearly over the cool-down."""
    left = (config.steps - step) / (config.cooldown * config.steps)
    return min(1.0, (step + 1) / config.warmup, max(0.02, left))


def train(
    data: Path,
    folder: Path,
    config: TrainConfig,
    resume: bool = False,
    progress: Progress = silent,
    *,
    extra: Sequence[Path] = (),
    tensorboard: bool = False,
    skip: Skip = ignore,
    say: Callable[[str], None] = ignore,
) -> Path:
    """Train on the train split of a folder of dances; returns the weights' path.

    ``folder``: where checkpoints, log and weights go. ``resume``: go on from its checkpoint. ``extra``:
    folders and zips of dances without music. ``skip`` hears of files that can't be used, ``say`` of genres of which all
    dances are kept back: the model will not know them.
    Raises StepsmithError where there is nothing to train on or to resume from, or a checkpoint to be lost.
    """
    if (folder / CHECKPOINT).is_file() != resume:
        raise StepsmithError(
            f"{folder} holds no checkpoint to resume from: start without --resume."
            if resume
            else f"{folder} holds the checkpoint of a training: go on with --resume, or choose another folder."
        )
    for place in extra:  # before the dances are read, which may take an hour
        check_unpaired(place)
    make_folder(folder)
    dances = load_dances(data, "train", STORE_FPS, skip=skip)
    for place in extra:
        dances += load_unpaired(place, STORE_FPS, skip, beside=seconds_of(dances))
    named = sorted({dance.genre for dance in dances})
    # What is danced to is told, but moves no bar: training takes nearly all of the time.
    listening = part(progress, 0.0, 0.0)
    tracks = prepare(dances, named, listening, skip)
    del dances  # the tracks hold all that is learnt from, and no memory is left to waste
    if not tracks:
        raise StepsmithError(f"None of the songs of {data} can be read: check the sound files.")
    # Where no song of a genre can be read, nothing of it is learnt.
    learnt = sorted({track.genre for track in tracks})
    genres = [named[genre] for genre in learnt]
    tracks = [replace(track, genre=learnt.index(track.genre)) for track in tracks]
    for genre in sorted(set().union(*(genres_of(data, split) for split in SPLITS[1:])) - set(named)):
        say(f"All dances of {genre} are in val or test: the model will not know it, unless some are put in train.")
    held_out = prepare(_held_out(data, genres, sum(track.seconds for track in tracks), skip), genres, listening, skip)
    model = ModelConfig(genres=tuple(genres), meters=_meters(tracks, len(genres)))
    trainer = Trainer(tracks, held_out, model, folder, tensorboard, provenance(data, *extra))
    if resume:
        trainer.resume()
    trainer.run(config, progress)
    return folder / _WEIGHTS


def _held_out(data: Path, genres: Sequence[str], beside: float, skip: Skip) -> list[Dance]:
    """The dances of the val split in ``genres``, none where there is no such split; ``beside``: see ``load_dances``."""
    try:
        found = load_dances(data, "val", STORE_FPS, skip=skip, beside=beside)
    except NoDancesError:
        return []
    return [dance for dance in found if dance.genre in genres]
