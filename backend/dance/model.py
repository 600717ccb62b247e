"""The dance model: a transformer over a window of frames that predicts the clean dance from a noisy one.

Flow matching with the clean sample as the target: ``x_t = (1 - t) * noise + t * x``, t from 0 (noise)
to 1 (dance); the network sees x_t, t, the sound and the genre, and gives x.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from . import condition, representation

# Sizes beyond which no file means what it says.
_MOST = {"window": 3000, "patch": 100, "width": 16384, "depth": 200, "heads": 256, "expansion": 64,
         "features": 4096, "sound": 4096}  # fmt: skip


@dataclass(frozen=True)
class ModelConfig:
    """The network's shape; stored in the header of its weights.

    ``meters``: beats a bar in which each genre was learnt, 0 where it was in several; empty where nobody noted it.
    """

    genres: tuple[str, ...]
    meters: tuple[int, ...] = ()
    window: int = 150  # frames
    fps: float = 30.0
    patch: int = 3  # frames a token
    width: int = 384
    depth: int = 6
    heads: int = 6
    expansion: int = 3  # hidden width of the feed-forward part, in widths
    features: int = representation.WIDTH
    sound: int = condition.SOUND.stop

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> ModelConfig:
        """Raises ValueError and the like where ``values`` are no such shape."""
        config = ModelConfig(**{**values, "genres": tuple(values["genres"]), "meters": tuple(values.get("meters", ()))})
        counts = all(isinstance(meter, int) and 0 <= meter <= 12 for meter in config.meters)
        if len(config.meters) not in (0, len(config.genres)) or not counts:
            raise ValueError(f"no meters of {len(config.genres)} genres: {config.meters}")
        for name, most in _MOST.items():
            value = getattr(config, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ValueError(f"{name} of {value}")
        if config.width % (2 * config.heads):  # positions turn pairs of a head's numbers
            raise ValueError(f"{config.heads} heads of a width of {config.width}")
        if config.window % config.patch:
            raise ValueError(f"a window of {config.window} frames in patches of {config.patch}")
        if (config.features, config.sound) != (representation.WIDTH, condition.SOUND.stop):
            raise ValueError(f"{config.features} features and {config.sound} of sound")
        if not config.genres or not 1.0 <= config.fps <= 240.0:
            raise ValueError(f"{len(config.genres)} genres at {config.fps} frames a second")
        return config


class DanceModel(nn.Module):
    """See the module's docstring. ``mean`` and ``std`` (152,) standardise the features.

    ``usual``: (len(genres) + 1, 2) mean and deviation of each genre's energy, the last row of all.
    ``shortfall``: (len(genres) + 1,) octaves by which dances fall short of the energy that the model is told.
    """

    mean: Tensor
    std: Tensor
    usual: Tensor
    shortfall: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.register_buffer("mean", torch.zeros(config.features))
        self.register_buffer("std", torch.ones(config.features))
        self.register_buffer("usual", torch.zeros(len(config.genres) + 1, 2))
        self.register_buffer("shortfall", torch.zeros(len(config.genres) + 1))
        self.effort = nn.Linear(3 * config.patch, width, bias=False)  # energy and handedness
        self.read = nn.Linear(config.features * config.patch, width)
        self.listen = nn.Sequential(
            nn.Conv1d(config.sound, width, 5, padding=2),
            nn.GELU(),
            nn.Conv1d(width, width, config.patch, stride=config.patch),
            nn.GELU(),
            nn.Conv1d(width, width, 3, padding=1),
        )
        self.silence = nn.Parameter(torch.zeros(width))  # stands for the sound where none is given
        self.genre = nn.Embedding(len(config.genres) + 1, width)  # the last one: no genre given
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.modulate = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.last_shift = nn.Linear(width, 2 * width)
        self.write = nn.Linear(width, config.features * config.patch)
        nn.init.zeros_(self.effort.weight)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.last_shift.weight)
        nn.init.zeros_(self.write.weight)

    def forward(self, x: Tensor, t: Tensor, cues: Tensor, genre: Tensor, heard: Tensor) -> Tensor:
        """The clean features (B, T, 152), standardised.

        ``x``: (B, T, 152) noisy, standardised; ``t``: (B,) in [0, 1]; ``cues``: (B, T, 44), see
        ``condition``;
        ``genre``: (B,) indices, len(genres) for none; ``heard``: (B,) bool, False drops the sound, nothing else.
        T is a multiple of ``config.patch``.
        """
        return self.denoise(x, t, self.tell(cues, heard), genre)

    def tell(self, cues: Tensor, heard: Tensor) -> Tensor:
        """(B, T / patch, width) what the cues tell each token: the same however noisy the dance."""
        batch, frames, _ = cues.shape
        patch = self.config.patch
        ear = self.listen(cues[..., condition.SOUND].transpose(1, 2)).transpose(1, 2)
        ear = torch.where(heard[:, None, None], ear, self.silence.to(ear.dtype))
        told: Tensor = ear + self.effort(cues[..., condition.SOUND.stop :].reshape(batch, frames // patch, 3 * patch))
        return told

    def denoise(self, x: Tensor, t: Tensor, told: Tensor, genre: Tensor) -> Tensor:
        """The clean features, as ``forward`` gives them, of windows that were ``told`` their cues."""
        batch, frames, features = x.shape
        patch = self.config.patch
        tokens = self.read(x.reshape(batch, frames // patch, features * patch))
        label = self.time(sinusoid(t, self.config.width)) + self.genre(genre)
        cue = F.silu(told + label[:, None])
        modulation = self.modulate(cue)
        angles = rotary_angles(tokens.shape[1], self.config.width // self.config.heads, tokens.device)
        for block in self.blocks:
            tokens = block(tokens, modulation, angles)
        shift, scale = self.last_shift(cue).chunk(2, dim=-1)
        tokens = F.layer_norm(tokens, tokens.shape[-1:]) * (1 + scale) + shift
        clean: Tensor = self.write(tokens).reshape(batch, frames, features)
        return clean


class Block(nn.Module):
    """Self-attention and a feed-forward part, each shifted, scaled and gated by the sound, time and genre.

    One modulation is computed for all blocks; each adds its own small table to it (the "adaLN-single" of
    Chen et al., PixArt-alpha, 2023), so that a cue for every frame costs little.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.table = nn.Parameter(torch.zeros(6 * width))
        self.qkv = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.up = nn.Linear(width, config.expansion * width)
        self.down = nn.Linear(config.expansion * width, width)
        with torch.no_grad():
            self.table.view(6, width)[[2, 5]] = 0.5  # the gates; open from the start

    def forward(self, x: Tensor, modulation: Tensor, angles: Tensor) -> Tensor:
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = (modulation + self.table).chunk(6, dim=-1)
        batch, count, width = x.shape
        h = F.layer_norm(x, (width,)) * (1 + scale_a) + shift_a
        q, k, v = self.qkv(h).view(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k = rotary(q, angles), rotary(k, angles)
        h = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, dim=-1).to(v.dtype) @ v
        x = x + gate_a * self.merge(h.transpose(1, 2).reshape(batch, count, width))
        h = F.layer_norm(x, (width,)) * (1 + scale_f) + shift_f
        return x + gate_f * self.down(F.gelu(self.up(h), approximate="tanh"))


def rotary_angles(count: int, width: int, device: torch.device) -> Tensor:
    """(count, width / 2) radians of the rotary position embedding (Su et al., RoFormer, 2021)."""
    rate = 1000.0 ** (-torch.arange(0, width, 2, device=device) / width)
    return torch.arange(count, device=device)[:, None] * rate


def rotary(x: Tensor, angles: Tensor) -> Tensor:
    """Queries or keys (..., count, width) turned by their positions' angles."""
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def sinusoid(t: Tensor, width: int) -> Tensor:
    """(B, width) embedding of t (B,) in [0, 1]."""
    rate = torch.exp(-torch.arange(width // 2, device=t.device) * (8.0 / (width // 2)))
    angles = 1000.0 * t[:, None] * rate
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
