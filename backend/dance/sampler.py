"""From noise to a dance: a few steps of flow matching over windows that know each other."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from ...retarget.rotations import Array
from ..progress import Progress
from . import condition
from .model import DanceModel

# Windows evaluated at once, on a processor and on a GPU: enough to keep it busy, little enough for its caches and to
# bound the memory.
_BATCH, _GPU_BATCH = 12, 512
# Steps grow from the noise to the dance as k to this power: what is decided first, how far the dancer goes,
# decides most.
_GROWTH = 1.5

# Takes the clean features of a dance (T, 152) in real units, gives them as they must be.
Constrain = Callable[[Array], Array]


@dataclass(frozen=True)
class _View:
    """A window of one dance as it is seen with one genre. ``frames``: (window,) its frames; ``weight``: (window, 1)."""

    dance: int
    frames: Tensor
    genre: int
    weight: Tensor


def sample(
    model: DanceModel,
    cues: Sequence[Array],
    genres: Array,
    *,
    seeds: Sequence[int],
    steps: int = 10,
    guidance: float = 1.2,
    loop: bool = False,
    constrain: Constrain | None = None,
    progress: Progress | None = None,
) -> list[Array]:
    """Features (T, 152) in real units of one dance for each of ``seeds``, for its ``cues``, (T, 44) each.

    ``genres``: (T, G) how much of each genre is danced, rows of sum 1. ``guidance``: 1 dances what is told; above it,
    away from what would be danced without sound, genre and energy, in twice the time (Ho and Salimans,
    "Classifier-Free Diffusion Guidance", 2022). ``loop``: the last frame is followed by the first. ``constrain``:
    applied to the clean estimate at every step but the last, so that what is free comes to suit what is not: known
    values are thereby noised as the flow has it (replacement, as in Lugmayr et al., RePaint, 2022).

    A whole dance is one state: one noise, one clean estimate. At every step the state is cut into
    overlapping windows, each window's clean estimate is blended into the dance's by weights that fade
    towards the window's ends, and the next step starts from the blend. So neighbours agree from the
    first step on and no seam is ever stitched (Bar-Tal et al., MultiDiffusion, 2023). A window across a change of
    genre is seen with either, each weighing most where it is danced.

    A step goes towards where the clean estimate will be half way, as its last change suggests (the second order of
    Adams and Bashforth): ten plain steps would dance as if tired. Time grows linearly with T; memory is a batch of
    windows and a few arrays of T rows. Windows are evaluated on the model's device; all else is done on the processor.
    """
    config = model.config
    mean, std = model.mean.cpu(), model.std.cpu()
    frames = len(genres)
    padded = frames if loop else max(config.window, frames + -frames % config.patch)
    rest = ((0, padded - frames), (0, 0))
    heard = [torch.from_numpy(np.pad(rows, rest, mode="edge")) for rows in cues]
    shares = torch.from_numpy(np.pad(genres, rest, mode="edge").astype(np.float32))
    views = [
        _View(dance, *seen)
        for dance in range(len(seeds))
        for seen in _views(shares, _starts(padded, config.window, config.patch, loop), config.window)
    ]
    total = [torch.zeros(padded, 1) for _ in seeds]
    for view in views:
        total[view.dance].index_add_(0, view.frames, view.weight)

    noise = (torch.Generator().manual_seed(seed) for seed in seeds)
    states = [torch.randn(padded, config.features, generator=generator) for generator in noise]
    times = (torch.linspace(0.0, 1.0, steps + 1) ** _GROWTH).tolist()
    before: list[Tensor] = []
    size = _BATCH if model.mean.device.type == "cpu" else _GPU_BATCH
    guide = _Guide(model, guidance)
    batches = [guide.brief(views[i : i + size], heard) for i in range(0, len(views), size)]
    for step, (t, following) in enumerate(pairwise(times)):
        clean = [torch.zeros_like(x) for x in states]
        for index, batch in enumerate(batches):
            x = torch.stack([states[view.dance][view.frames] for view in batch.views])
            for view, part in zip(batch.views, guide.guess(x, t, batch), strict=True):
                clean[view.dance].index_add_(0, view.frames, part * view.weight)
            if progress is not None:
                progress((step * len(batches) + index + 1) / (steps * len(batches)), "Choreographing")
        for dance, x in enumerate(states):
            clean[dance] /= total[dance]
            if constrain is not None and following < 1.0:
                wanted = constrain((clean[dance][:frames] * std + mean).numpy())
                clean[dance][:frames] = (torch.from_numpy(wanted) - mean) / std
            share = (following - t) / (1.0 - t)
            ahead = clean[dance]
            if before and following < 1.0:
                ahead = ahead + 0.5 * (following - t) / (t - times[step - 1]) * (ahead - before[dance])
            states[dance] = x + share * (ahead - x)
        before = clean
    return [(x * std + mean).numpy()[:frames] for x in states]


def _starts(frames: int, window: int, patch: int, loop: bool) -> list[int]:
    """First frames of windows that overlap by half, the last one ending at ``frames``.

    Their patches don't coincide, so that where one window's meet, another's do not: there a dance would jerk.
    """
    hop = window // 2 + (window // 2 % patch == 0)
    return list(range(0, frames, hop)) if loop else [*range(0, frames - window, hop), frames - window]


def _views(shares: Tensor, starts: Sequence[int], window: int) -> list[tuple[Tensor, int, Tensor]]:
    """Frames, genre and weights of the windows at ``starts``, once for each genre danced in them."""
    fade = torch.minimum(torch.arange(1, window + 1), torch.arange(window, 0, -1)).float()[:, None]
    views = []
    for start in starts:
        frames = torch.arange(start, start + window) % len(shares)
        seen = shares[frames]
        for genre in seen.amax(dim=0).nonzero()[:, 0].tolist():
            views.append((frames, genre, fade * seen[:, genre : genre + 1]))
    return views


@dataclass(frozen=True)
class _Batch:
    """Windows evaluated at once, and what is the same of them in every step: ``told``, see ``DanceModel.tell``, and
    ``genres`` (B,), both on the model's device."""

    views: Sequence[_View]
    told: Tensor
    genres: Tensor


class _Guide:
    """A model that is asked for clean windows, guided away from what it would dance without sound, genre and energy."""

    def __init__(self, model: DanceModel, guidance: float) -> None:
        self.device, self.guidance, self.nothing = model.mean.device, guidance, len(model.config.genres)
        self.dtype = torch.bfloat16 if _has_bfloat16(self.device) else torch.float32
        self.model = _cast(model, self.dtype)
        silence = torch.zeros(1, model.config.window, condition.WIDTH, device=self.device)
        self.untold = self._tell(silence, heard=False)

    def brief(self, views: Sequence[_View], cues: Sequence[Tensor]) -> _Batch:
        """``views`` with what they are told of each dance's ``cues`` (T, 44)."""
        seen = torch.stack([cues[view.dance][view.frames] for view in views])
        genres = torch.tensor([view.genre for view in views])
        return _Batch(views, self._tell(seen.to(self.device), heard=True), genres.to(self.device))

    @torch.inference_mode()
    def guess(self, x: Tensor, t: float, batch: _Batch) -> Tensor:
        """The clean windows (B, T, 152) of noisy ones at ``t``."""
        x, told, genres = x.to(self.device), batch.told, batch.genres
        if self.guidance != 1.0:
            x = x.repeat(2, 1, 1)
            told = torch.cat([told, self.untold.expand_as(told)])
            genres = torch.cat([genres, torch.full_like(genres, self.nothing)])
        with self._autocast():
            clean = self.model.denoise(x, torch.full((len(x),), t, device=self.device), told, genres).float()
        if self.guidance != 1.0:
            wanted, without = clean.chunk(2)
            clean = without + self.guidance * (wanted - without)
        return clean.cpu()

    @torch.inference_mode()
    def _tell(self, cues: Tensor, heard: bool) -> Tensor:
        with self._autocast():
            return self.model.tell(cues, torch.full((len(cues),), heard, device=self.device))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


def _cast(model: DanceModel, dtype: torch.dtype) -> DanceModel:
    """A model whose matrices are of ``dtype``, as autocast would make them again in every step."""
    if dtype == torch.float32:
        return model
    cast = copy.deepcopy(model)
    for part in cast.modules():
        if isinstance(part, nn.Linear | nn.Conv1d):
            part.to(dtype)
    return cast


def _has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 itself; emulated, it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
