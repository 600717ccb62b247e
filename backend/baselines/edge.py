"""A diffusion model configured as EDGE (Tseng et al., "EDGE: Editable Dance Generation From Music", 2023).

From the paper and its published settings: 151 numbers a frame (4 contacts, the root's position, 24 rotations in 6D)
scaled to [-1, 1]; windows of 5 s; a transformer decoder of width 512 with 8 layers, attention to the
sound, rotary positions and FiLM by the timestep and the pooled sound; 1000 steps of the cosine schedule, predicting
the clean motion; sampled in 50 DDIM steps with guidance 2. Long dances are half-overlapping windows whose
shared halves are made equal after every step. Its sound here are the light features, not Jukebox's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ...retarget import rotations as rot
from ...retarget.motion import Motion
from ...retarget.rotations import Array
from ...retarget.skeleton import CONTACT_JOINTS
from ..dance.losses import joints_in_heading
from .sound import FPS, WIDTHS

POSE_WIDTH = 151
_STEPS = 1000
_SAMPLED = 50
_GUIDANCE = 2.0
_DROPPED = 0.25  # of the sounds, while learning: guidance needs dances to no sound
_AT_ONCE = 32  # windows through the network, so that memory is bounded
_WEIGHTS = {"clean": 0.636, "velocity": 2.964, "joints": 0.646, "feet": 10.942}


def encode(motion: Motion) -> Array:
    """(T, 151) float32: contacts, root in metres, rotations in 6D, all in the world's frame."""
    turned = rot.to_6d(motion.rotations).reshape(len(motion), -1)
    return np.concatenate([motion.contacts, motion.root, turned], axis=1).astype(np.float32)


def decode(rows: Array) -> Motion:
    """The motion of rows (T, 151), at 30 frames a second."""
    rows = np.asarray(rows, dtype=np.float64)
    turned = rot.from_6d(rows[:, 7:].reshape(len(rows), 24, 6))
    return Motion(FPS, rows[:, 4:7], rot.continuous(turned), np.clip(rows[:, :4], 0.0, 1.0))


class Edge(nn.Module):
    """The network and its diffusion; see ``networks`` for what every baseline has."""

    kind = "light"

    def __init__(self, width: int = 512, depth: int = 8, heads: int = 8, feed: int = 1024, window: int = 150) -> None:
        super().__init__()
        self.window, self.width = window, width
        self.time = nn.Sequential(nn.Linear(width, 4 * width), nn.Mish())
        self.time_film = nn.Linear(4 * width, width)
        self.time_tokens = nn.Linear(4 * width, 2 * width)
        self.pose_in = nn.Linear(POSE_WIDTH, width)
        self.sound_in = nn.Linear(WIDTHS[self.kind], width)
        self.sound_layers = nn.ModuleList([_Layer(width, heads, feed, film=False) for _ in range(2)])
        self.pooled = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.unheard = nn.Parameter(torch.randn(1, window, width))
        self.unheard_pooled = nn.Parameter(torch.randn(1, width))
        self.memory_norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList([_Layer(width, heads, feed, film=True) for _ in range(depth)])
        self.pose_out = nn.Linear(width, POSE_WIDTH)
        # Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models", 2021.
        curve = torch.cos((torch.arange(_STEPS + 1, dtype=torch.float64) / _STEPS + 0.008) / 1.008 * torch.pi / 2) ** 2
        kept = torch.cumprod(1.0 - (1.0 - curve[1:] / curve[:-1]).clamp(0.0, 0.999), dim=0)
        self.register_buffer("kept", kept.float(), persistent=False)
        # The scale of poses, set by ``scale_poses``: losses at the joints are in metres.
        self.register_buffer("centre", torch.zeros(POSE_WIDTH), persistent=False)
        self.register_buffer("reach", torch.ones(POSE_WIDTH), persistent=False)
        self.kept: Tensor
        self.centre: Tensor
        self.reach: Tensor

    def scale_poses(self, centre: Tensor, reach: Tensor) -> None:
        """Tell which poses the standardised ones are: pose * reach + centre."""
        self.centre.copy_(centre)
        self.reach.copy_(reach)

    @property
    def parts(self) -> Sequence[list[nn.Parameter]]:
        return [list(self.parameters())]

    def loss(self, part: int, sound: Tensor, motion: Tensor) -> Tensor:
        step = torch.randint(_STEPS, (len(motion),), device=motion.device)
        kept = self.kept[step][:, None, None]
        noisy = kept.sqrt() * motion + (1 - kept).sqrt() * torch.randn_like(motion)
        heard = torch.rand(len(motion), device=motion.device) >= _DROPPED
        with torch.autocast(motion.device.type, torch.bfloat16):
            guess = self(noisy, sound, step, heard)
        guess = guess.float()
        found, known = self._joints(guess), self._joints(motion)
        feet = found[:, :, list(CONTACT_JOINTS)]
        contacts = (guess * self.reach + self.centre)[..., :4].detach()
        rest = (contacts[:, :-1] > 0.95)[..., None]
        losses = {
            "clean": F.mse_loss(guess, motion),
            "velocity": F.mse_loss(guess[:, 1:, 4:] - guess[:, :-1, 4:], motion[:, 1:, 4:] - motion[:, :-1, 4:]),
            "joints": F.mse_loss(found, known),
            "feet": ((feet[:, 1:] - feet[:, :-1]) * rest).square().mean(),
        }
        return torch.stack([_WEIGHTS[name] * loss for name, loss in losses.items()]).sum()

    def dance(self, sound: Tensor, start: Tensor, generator: torch.Generator) -> Tensor:
        half, frames = self.window // 2, len(sound)
        count = max(1, -(-frames // half) - 1)
        last = sound[-1:].expand((count + 1) * half - frames, -1) if frames < (count + 1) * half else sound[:0]
        windows = torch.cat([sound, last]).unfold(0, self.window, half).mT
        poses = self._sample(windows, half, generator)
        # Halves that two windows share fade from one to the other: rotations in 6D are made whole afterwards.
        share = torch.linspace(0.0, 1.0, half, device=sound.device)[:, None]
        between = poses[:-1, half:] * (1 - share) + poses[1:, :half] * share
        return torch.cat([poses[0, :half], between.flatten(0, 1), poses[-1, half:]])[:frames]

    def _sample(self, sound: Tensor, half: int, generator: torch.Generator) -> Tensor:
        """DDIM (Song et al., 2021) with eta 1, as the published sampler: (windows, T, 151) of sound (windows, T, S)."""
        shape = (len(sound), self.window, POSE_WIDTH)

        def noise() -> Tensor:
            return torch.randn(shape, generator=generator).to(sound.device)

        times = torch.linspace(-1, _STEPS - 1, _SAMPLED + 1).int().tolist()[::-1]
        # Long dances are guided less in the first half of the steps.
        strengths = torch.linspace(0, 2 * _GUIDANCE, _SAMPLED).clamp(max=_GUIDANCE).tolist()
        x = noise()
        for time, after, strength in zip(times, times[1:], strengths, strict=False):
            clean = self._guided(x, sound, time, strength if len(sound) > 1 else _GUIDANCE)
            if after < 0:
                return clean
            kept, then = self.kept[time], self.kept[after]
            wrong = (x - kept.sqrt() * clean) / (1 - kept).sqrt()
            fresh = ((1 - kept / then) * (1 - then) / (1 - kept)).sqrt()
            x = then.sqrt() * clean + (1 - then - fresh**2).clamp(min=0).sqrt() * wrong + fresh * noise()
            x[1:, :half] = x[:-1, half:].clone()
        raise AssertionError("the last step ends at -1")

    def _guided(self, x: Tensor, sound: Tensor, time: int, strength: float) -> Tensor:
        found = []
        for rows, heard in zip(x.split(_AT_ONCE), sound.split(_AT_ONCE), strict=True):
            step = torch.full((len(rows),), time, device=x.device)
            yes = torch.ones(len(rows), dtype=torch.bool, device=x.device)
            without = self(rows, heard, step, ~yes)
            found.append(without + (self(rows, heard, step, yes) - without) * strength)
        return torch.cat(found).clamp(-1.0, 1.0)

    def forward(self, x: Tensor, sound: Tensor, step: Tensor, heard: Tensor) -> Tensor:
        """The clean poses (B, T, 151) behind noisy ones at ``step`` (B,); ``heard`` (B,): whether the sound is."""
        tokens = self.sound_in(sound)
        for layer in self.sound_layers:
            tokens = layer(tokens)
        pooled = torch.where(heard[:, None], self.pooled(tokens.mean(dim=1)), self.unheard_pooled)
        tokens = torch.where(heard[:, None, None], tokens, self.unheard)
        time = self.time(_waves(step, self.width))
        film = self.time_film(time) + pooled
        memory = self.memory_norm(torch.cat([tokens, self.time_tokens(time).unflatten(-1, (2, -1))], dim=1))
        x = self.pose_in(x)
        for layer in self.layers:
            x = layer(x, memory, film)
        return self.pose_out(x)

    def _joints(self, poses: Tensor) -> Tensor:
        """(B, T, 24, 3) metres of standardised poses."""
        real = poses * self.reach + self.centre
        empty = torch.zeros_like(real[..., :2])
        joints = joints_in_heading(torch.cat([real[..., :4], empty, real[..., 6:7], empty[..., :1], real[..., 7:]], -1))
        return joints + F.pad(real[..., None, 4:6], (0, 1))


class _Layer(nn.Module):
    """Attention to itself, to the sound if ``film``, and a network a frame; each modulated by FiLM, if so."""

    def __init__(self, width: int, heads: int, feed: int, film: bool) -> None:
        super().__init__()
        blocks = 3 if film else 2
        self.attend = nn.ModuleList(
            [nn.MultiheadAttention(width, heads, dropout=0.1, batch_first=True) for _ in range(blocks - 1)]
        )
        self.feed = nn.Sequential(nn.Linear(width, feed), nn.GELU(), nn.Dropout(0.1), nn.Linear(feed, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(blocks)])
        self.films = nn.ModuleList(
            [nn.Sequential(nn.Mish(), nn.Linear(width, 2 * width)) for _ in range(blocks * film)]
        )
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, memory: Tensor | None = None, film: Tensor | None = None) -> Tensor:
        for number, norm in enumerate(self.norms):
            change = norm(x)
            if number < len(self.attend):
                other = change if number == 0 or memory is None else memory
                query, key = _rotated(change), _rotated(other)
                change = self.attend[number](query, key, other, need_weights=False)[0]
            else:
                change = self.feed(change)
            change = self.dropout(change)
            if film is not None:
                scale, shift = self.films[number](film)[:, None].chunk(2, dim=-1)
                change = change * (scale + 1) + shift
            x = x + change
        return x


def _rotated(x: Tensor) -> Tensor:
    """Rotary positions (Su et al., "RoFormer", 2021) of (B, T, C): pairs of channels turn with time."""
    half = x.shape[-1] // 2
    rates = 10000.0 ** (-torch.arange(half, device=x.device) / half)
    angles = torch.arange(x.shape[1], device=x.device)[:, None] * rates
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], dim=-1).to(x.dtype)


def _waves(step: Tensor, width: int) -> Tensor:
    """(B, width) sines and cosines of the timestep, periods from 2 pi to 10,000 times that."""
    rates = 10000.0 ** (-torch.arange(width // 2, device=step.device) / (width // 2 - 1))
    angles = step[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
