"""From noise to a dance: a few Euler steps of flow matching over windows that know each other."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...retarget.rotations import Array
from ..progress import Progress
from .model import DanceModel

# Windows evaluated at once: enough to keep the processor busy, little enough to bound the memory.
_BATCH = 32


def sample(
    model: DanceModel,
    sound: Array,
    genre: int,
    *,
    seed: int,
    steps: int = 10,
    guidance: float = 2.5,
    progress: Progress | None = None,
) -> Array:
    """Features (T, 152) in real units for the cues ``sound`` (T, 41).

    The whole dance is one state: one noise, one clean estimate. At every step the state is cut into
    overlapping windows, each window's clean estimate is blended into the dance's by weights that fade
    towards the window's ends, and the next step starts from the blend. So neighbours agree from the
    first step on and no seam is ever stitched (Bar-Tal et al., MultiDiffusion, 2023). Time grows
    linearly with T; memory is a batch of windows and a few arrays of T rows.
    """
    window = model.config.window
    frames = len(sound)
    padded = max(window, frames + frames % model.config.patch)
    cues = torch.from_numpy(np.pad(sound, ((0, padded - frames), (0, 0)), mode="edge"))
    starts = _starts(padded, window, model.config.patch)
    fade = torch.from_numpy(np.minimum(np.arange(1, window + 1), np.arange(window, 0, -1)).astype(np.float32))[:, None]
    total = torch.zeros(padded, 1)
    for start in starts:
        total[start : start + window] += fade

    x = torch.randn(padded, model.config.features, generator=torch.Generator().manual_seed(seed))
    times = torch.linspace(0.0, 1.0, steps + 1)
    batches = [starts[i : i + _BATCH] for i in range(0, len(starts), _BATCH)]
    for step in range(steps):
        t, following = float(times[step]), float(times[step + 1])
        clean = torch.zeros_like(x)
        for index, batch in enumerate(batches):
            guess = _guess(model, _windows(x, batch, window), _windows(cues, batch, window), t, genre, guidance)
            for start, part in zip(batch, guess, strict=True):
                clean[start : start + window] += part * fade
            if progress is not None:
                progress((step * len(batches) + index + 1) / (steps * len(batches)), "Choreographing")
        clean /= total
        x = clean if following >= 1.0 else x + (following - t) / (1.0 - t) * (clean - x)
    return (x * model.std + model.mean).numpy()[:frames]


def _starts(frames: int, window: int, patch: int) -> list[int]:
    """First frames of windows that overlap by half, on whole patches, the last one ending at ``frames``."""
    hop = window // 2 + (window // 2) % patch
    return [*range(0, frames - window, hop), frames - window]


def _windows(rows: Tensor, starts: list[int], window: int) -> Tensor:
    return torch.stack([rows[start : start + window] for start in starts])


@torch.inference_mode()
def _guess(model: DanceModel, x: Tensor, cues: Tensor, t: float, genre: int, guidance: float) -> Tensor:
    """The clean windows (B, T, 152), guided away from what would be danced without sound and genre."""
    count = len(x)
    genres = torch.tensor([genre, len(model.config.genres)]).repeat_interleave(count)
    heard = torch.tensor([True, False]).repeat_interleave(count)
    with torch.autocast("cpu", torch.bfloat16, enabled=_has_bfloat16()):
        both = model(x.repeat(2, 1, 1), torch.full((2 * count,), t), cues.repeat(2, 1, 1), genres, heard).float()
    told, untold = both.chunk(2)
    return untold + guidance * (told - untold)


def _has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; emulated, it is slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported())
