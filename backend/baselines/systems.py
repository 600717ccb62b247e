"""The baselines by name, their weights on disk, and how they dance to a song."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from ...retarget.errors import StepsmithError
from ...retarget.motion import Motion
from ...retarget.rotations import Array
from ..checkpoints import save_tensors
from ..dance import representation
from ..dance.losses import feature_scale
from ..progress import Progress, part, silent
from . import edge
from .networks import CnnLstm, Gan, Rnn
from .recordings import Recording
from .sound import FPS, WIDTHS, listen

FORMAT = "stepsmith-baseline-1"
STARTS = 64  # poses kept for dances to begin with

_DEEPEST = 64  # layers
# What reading a damaged file raises, and torch of sizes that can't be.
_DAMAGED = (
    SafetensorError,
    OSError,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    AttributeError,
)


@dataclass(frozen=True)
class Kind:
    """A baseline as it is trained by default: ``make(**sizes)`` gives its network; ``minutes`` of one core."""

    make: Callable[..., Any]
    minutes: float = 12.0
    batch: int = 32
    rate: float = 1e-3


# In the order in which they are trained.
KINDS: Mapping[str, Kind] = {
    "cnn-lstm": Kind(CnnLstm),
    "rnn-frame": Kind(lambda **sizes: Rnn("frame", **sizes)),
    "rnn-section": Kind(lambda **sizes: Rnn("section", **sizes)),
    "rnn-song": Kind(lambda **sizes: Rnn("song", **{"window": 600, **sizes}), batch=12),
    "gan-spectrogram": Kind(lambda **sizes: Gan("spectrogram", **sizes), rate=3e-4),
    "gan-mfcc": Kind(lambda **sizes: Gan("mfcc", **sizes), rate=3e-4),
    "edge": Kind(edge.Edge, minutes=600.0, batch=16, rate=4e-4),
}


@dataclass(frozen=True)
class Budget:
    """What a baseline was given and what it has used of it: ``minutes`` of processor time (of one core), ``steps``."""

    minutes: float
    used: float
    steps: int
    seed: int
    device: str

    def __str__(self) -> str:
        digits = 0 if self.minutes >= 10.0 else 2
        given = f"{self.used:.{digits}f} of {self.minutes:.{digits}f} min"
        return f"{given} of one core ({self.device}), {self.steps} steps"


class Dancer(nn.Module):
    """A network with the scales of its sound and of its poses, and poses to begin with."""

    def __init__(self, name: str, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.name, self.sizes = name, dict(sizes)
        self.network = KINDS[name].make(**sizes)
        self.absolute = name == "edge"
        width, heard = edge.POSE_WIDTH if self.absolute else representation.WIDTH, WIDTHS[self.network.kind]
        for key, size in (("sound_mean", heard), ("sound_std", heard), ("pose_mean", width), ("pose_std", width)):
            self.register_buffer(key, torch.zeros(size) if key.endswith("mean") else torch.ones(size))
        self.register_buffer("starts", torch.zeros(STARTS, width))
        self.sound_mean: Tensor
        self.sound_std: Tensor
        self.pose_mean: Tensor
        self.pose_std: Tensor
        self.starts: Tensor

    def encode(self, motion: Motion) -> Array:
        """Rows (T, D) of a motion, in real units."""
        return edge.encode(motion) if self.absolute else representation.encode(motion)

    def decode(self, poses: Array) -> Motion:
        """The motion of rows (T, D) in real units, as it comes: no foot is held, nothing is smoothed."""
        return edge.decode(poses) if self.absolute else representation.decode(poses, FPS)

    def learn_scales(self, recordings: Sequence[Recording]) -> None:
        """Take the scales from the recordings: EDGE's poses to [-1, 1], the others' to mean 0 and deviation 1."""
        poses = np.concatenate([self.encode(m) for r in recordings for m in (r.motion, r.motion.mirror())])
        sound = np.concatenate([recording.sound[self.network.kind] for recording in recordings])
        if self.absolute:
            low, high = poses.min(axis=0), poses.max(axis=0)
            mean, std = (high + low) / 2, np.maximum((high - low) / 2, 1e-3)
        else:
            mean, std = feature_scale(poses)
        picks = np.linspace(0, len(poses) - 1, STARTS).astype(int)
        found = {
            "sound_mean": sound.mean(axis=0),
            "sound_std": np.maximum(sound.std(axis=0), 1e-3),
            "pose_mean": mean,
            "pose_std": std,
            "starts": (poses[picks] - mean) / std,
        }
        for key, value in found.items():
            getattr(self, key).copy_(torch.from_numpy(value))
        self.tell_scales()

    def tell_scales(self) -> None:
        """Hand the poses' scale to a network that measures in metres."""
        if isinstance(self.network, edge.Edge):
            self.network.scale_poses(self.pose_mean, self.pose_std)

    @torch.inference_mode()
    def dance(self, sound: Array, seed: int) -> Motion:
        """The dance to sound (T, S), T frames; the same seed, the same dance."""
        generator = torch.Generator().manual_seed(seed)
        device = self.starts.device
        heard = (torch.from_numpy(sound).to(device) - self.sound_mean) / self.sound_std
        start = self.starts[int(torch.randint(STARTS, (1,), generator=generator))]
        poses = self.network.dance(heard, start, generator) * self.pose_std + self.pose_mean
        return self.decode(poses.float().cpu().numpy())


@dataclass(frozen=True)
class Baseline:
    """A trained baseline: a ``System`` of the evaluation. ``budget``: what its training was given and has used."""

    name: str
    dancer: Dancer
    budget: Budget

    def dance(self, song: Path, *, seed: int, progress: Progress = silent) -> Motion:
        """A dance of the song's length, 30 frames a second, z up, metres, judged as it comes from the network.

        Raises AudioError for a file that is no song.
        """
        kind = self.dancer.network.kind
        part(progress, 0.0, 0.3)(0.0, "Listening")
        sound = listen(song, {kind})[kind]
        part(progress, 0.3, 1.0)(0.0, "Dancing")
        return self.dancer.dance(sound, seed).with_meta(model=self.name, seed=seed, song=song.name)


def save_baseline(path: Path, name: str, sizes: Mapping[str, int], state: Mapping[str, Tensor], budget: Budget) -> None:
    """Write half-precision weights, with name, sizes and budget in the header."""
    header = {"format": FORMAT, "name": name, "sizes": json.dumps(dict(sizes)), "budget": json.dumps(asdict(budget))}
    # Scales keep their precision: loudness in dB would lose it.
    halved = {
        key: value.to("cpu", torch.float16 if key.startswith("network.") else torch.float32).contiguous()
        for key, value in state.items()
    }
    save_tensors(path, halved, header)


def load_baseline(path: Path) -> Baseline:
    """The baseline of a weights file. Raises StepsmithError where it is damaged or no baseline."""
    try:
        with safe_open(path, framework="np") as opened:
            header = opened.metadata() or {}
            shapes = {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118 (no dict)
        if header.get("format") != FORMAT or header.get("name") not in KINDS:
            raise StepsmithError(f"{path} holds no baseline ({FORMAT}): move it out of the folder of baselines.")
        name, budget = header["name"], Budget(**json.loads(header["budget"]))
        sizes = {str(key): int(value) for key, value in json.loads(header["sizes"]).items()}
        # Sizes that the file does not hold must not be made room for.
        with torch.device("meta"):
            if not 0 < sizes.get("depth", 1) <= _DEEPEST or shapes != {
                key: tuple(value.shape) for key, value in Dancer(name, sizes).state_dict().items()
            }:
                raise ValueError("sizes and weights disagree")
        dancer = Dancer(name, sizes)
        dancer.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    except _DAMAGED as error:
        raise StepsmithError(f"The baseline {path} is damaged: train it again.") from error
    dancer.tell_scales()
    return Baseline(name, dancer.eval().requires_grad_(False), budget)


def load_baselines(folder: Path) -> list[Baseline]:
    """Every trained baseline in a folder, in the order of ``KINDS``.

    Raises StepsmithError where there is none, or one is damaged.
    """
    paths = [folder / f"{name}.safetensors" for name in KINDS]
    found = [load_baseline(path) for path in paths if path.is_file()]
    if not found:
        raise StepsmithError(f"{folder} holds no baselines: train them with “stepsmith baselines -o {folder}”.")
    return found
