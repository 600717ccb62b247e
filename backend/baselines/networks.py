"""The recurrent and the adversarial baselines: networks from standardised sound to standardised motion.

Every network of this room has ``kind`` (of sound), ``pose`` (the ``Form`` of a frame), ``window`` (frames it learns
from at once), ``parts`` (parameters trained by one optimiser each), ``loss(part, sound, motion)`` with sound
(B, T, S) and motion (B, T, D), and ``dance(sound, start, generator)`` with sound (T, S) and start (D,), the first
pose that it may take for the one before, which gives (T, D).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ..dance.representation import WIDTH
from .sound import WIDTHS


class Ear(nn.Module):
    """Convolutions over sound (B, T, S), giving (B, T, width).

    Over a spectrogram they run along time and pitch, and halve the pitches three times; over MFCC, whose neighbours
    are no neighbours in pitch, along time alone.
    """

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.planes = kind == "spectrogram"
        self.layers: nn.Module
        if self.planes:
            channels = (1, 8, 16, 32)
            self.layers = nn.Sequential(
                *(
                    nn.Sequential(nn.Conv2d(a, b, (5, 5), stride=(1, 2), padding=2), nn.ELU())
                    for a, b in pairwise(channels)
                )
            )
            self.out = nn.Linear(32 * WIDTHS[kind] // 8, width)
        else:
            self.layers = nn.Sequential(nn.Conv1d(WIDTHS[kind], width, 5, padding=2), nn.ELU())
            self.out = nn.Linear(width, width)

    def forward(self, sound: Tensor) -> Tensor:
        if self.planes:
            return self.out(self.layers(sound[:, None]).transpose(1, 2).flatten(2))
        return self.out(self.layers(sound.mT).mT)


class CnnLstm(nn.Module):
    """Regression: convolutions over a log-mel spectrogram, two LSTM layers, the pose of every frame.

    After Tang et al. ("Dance with Melody", 2018) and Yalta et al. ("Weakly-Supervised Deep Recurrent Neural Networks
    for Basic Dance Step Generation", 2019), whose convolutions feed an LSTM too. Squared error. The seed
    changes nothing: a regression has one answer.
    """

    kind = "spectrogram"

    def __init__(self, width: int = 256, window: int = 150) -> None:
        super().__init__()
        self.window = window
        self.ear = Ear(self.kind, width)
        self.lstm = nn.LSTM(width, width, 2, batch_first=True)
        self.out = nn.Linear(width, WIDTH)

    @property
    def parts(self) -> Sequence[list[nn.Parameter]]:
        return [list(self.parameters())]

    def loss(self, part: int, sound: Tensor, motion: Tensor) -> Tensor:
        return F.mse_loss(self(sound), motion)

    def forward(self, sound: Tensor) -> Tensor:
        return self.out(self.lstm(self.ear(sound))[0])

    def dance(self, sound: Tensor, start: Tensor, generator: torch.Generator) -> Tensor:
        return self(sound[None])[0]


class Rnn(nn.Module):
    """Autoregressive: the pose before and the sound, by two LSTM layers, give the next pose.

    ``mode`` says what of the sound a frame knows:

    - "frame": the MFCC of the frame itself, as in ChorRNN (Crnkovic-Friis, 2016) and GrooveNet (Alemi et al., 2017),
      with a regression in place of their densities.
    - "section": the song is cut in sections as long as the window. A bidirectional LSTM reads a section into one
      code, which every frame of it is told beside its place in the section (an encoder and a predictor as in the
      LSTM autoencoder of Tang et al., 2018). Sections are danced one after the other: the next begins
      from the last pose, with a fresh state.
    - "song": sequence to sequence. A bidirectional LSTM reads the whole song before the dance begins; its code is
      the decoder's first state, and every frame is told what was read there.

    It learns with the true poses before, disturbed, and in a second pass with some of its own in their place, which
    keeps it from drifting off later (scheduled sampling in two passes: Mihaylova and Martins, 2019). The seed
    chooses the pose before the first.
    """

    kind = "mfcc"

    def __init__(self, mode: str, width: int = 256, window: int = 150) -> None:
        super().__init__()
        self.mode, self.window = mode, window
        heard = WIDTHS[self.kind]
        if mode != "frame":
            self.encoder = nn.LSTM(heard, width // 2, batch_first=True, bidirectional=True)
            heard = width + 2 * (mode == "section")
        self.decoder = nn.LSTM(heard + WIDTH, width, 2, batch_first=True)
        self.out = nn.Linear(width, WIDTH)

    @property
    def parts(self) -> Sequence[list[nn.Parameter]]:
        return [list(self.parameters())]

    def loss(self, part: int, sound: Tensor, motion: Tensor) -> Tensor:
        cues, state = self._read(sound)
        true = motion[:, :-1] + 0.1 * torch.randn_like(motion[:, :-1])
        with torch.no_grad():
            own = self._decode(true, cues[:, 1:], state)[0]
        # The poses before are the network's own from one frame in two on, shifted by one: it made them a frame later.
        own = torch.cat([true[:, :1], own[:, :-1]], dim=1)
        chosen = torch.rand(*true.shape[:2], 1, device=true.device) < 0.5
        guess = self._decode(torch.where(chosen, own, true), cues[:, 1:], state)[0]
        return F.mse_loss(guess, motion[:, 1:])

    def dance(self, sound: Tensor, start: Tensor, generator: torch.Generator) -> Tensor:
        length = self.window if self.mode == "section" else len(sound)
        pose, poses = start[None, None], []
        for section in sound.split(length):
            cues, state = self._read(section[None])
            for cue in cues.split(1, dim=1):
                pose, state = self._decode(pose, cue, state)
                poses.append(pose)
        return torch.cat(poses, dim=1)[0]

    def _read(self, sound: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """What each frame is told (B, T, C), and the decoder's first state (None: zeros)."""
        if self.mode == "frame":
            return sound, None
        read, (code, _) = self.encoder(sound)
        code = torch.cat([code[0], code[1]], dim=-1)
        if self.mode == "song":
            first = code.expand(2, -1, -1).contiguous()
            return read, (first, torch.zeros_like(first))
        place = torch.arange(sound.shape[1], device=sound.device) / self.window * 2 * torch.pi
        circle = torch.stack([place.sin(), place.cos()], dim=-1).expand(len(sound), -1, -1)
        return torch.cat([code[:, None].expand(-1, sound.shape[1], -1), circle], dim=-1), None

    def _decode(
        self, before: Tensor, cues: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hidden, state = self.decoder(torch.cat([before, cues], dim=-1), state)
        return self.out(hidden), state


class Gan(nn.Module):
    """Adversarial: a generator of sound and noise against a discriminator that sees sound and motion.

    The generator: convolutions over the sound, noise that changes every half second, a bidirectional LSTM. The
    discriminator: convolutions along time over motion, its differences and the sound, a verdict for every stretch. The
    generator is held near the recorded dance by the mean absolute error, as in Ginosar et al. ("Learning Individual
    Styles of Conversational Gesture", 2019); least-squares losses (Mao et al., 2017).
    """

    def __init__(self, kind: str, width: int = 256, window: int = 150) -> None:
        super().__init__()
        self.kind, self.window, self.noise = kind, window, 16
        self.ear = Ear(kind, width)
        self.lstm = nn.LSTM(width + self.noise, width // 2, 2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(width, WIDTH)
        layers: list[nn.Module] = []
        inputs = 2 * WIDTH + WIDTHS[kind]
        for _ in range(3):
            layers += [nn.Conv1d(inputs, width, 5, stride=2, padding=2), nn.LeakyReLU(0.2)]
            inputs = width
        self.critic = nn.Sequential(*layers, nn.Conv1d(width, 1, 3, padding=1))

    @property
    def parts(self) -> Sequence[list[nn.Parameter]]:
        critic = list(self.critic.parameters())
        return [[*self.ear.parameters(), *self.lstm.parameters(), *self.out.parameters()], critic]

    def loss(self, part: int, sound: Tensor, motion: Tensor) -> Tensor:
        if part == 0:
            made = self._generate(sound, self._noise(sound, None))
            return F.l1_loss(made, motion) + 0.1 * (self._verdict(sound, made) - 1).square().mean()
        with torch.no_grad():
            made = self._generate(sound, self._noise(sound, None))
        return (self._verdict(sound, motion) - 1).square().mean() + self._verdict(sound, made).square().mean()

    def dance(self, sound: Tensor, start: Tensor, generator: torch.Generator) -> Tensor:
        return self._generate(sound[None], self._noise(sound[None], generator))[0]

    def _noise(self, sound: Tensor, generator: torch.Generator | None) -> Tensor:
        """(B, T, noise), linear between independent values every 15 frames."""
        shape = (len(sound), self.noise, -(-sound.shape[1] // 15) + 1)
        drawn = torch.randn(shape, generator=generator).to(sound.device)
        return F.interpolate(drawn, size=sound.shape[1], mode="linear").mT

    def _generate(self, sound: Tensor, noise: Tensor) -> Tensor:
        return self.out(self.lstm(torch.cat([self.ear(sound), noise], dim=-1))[0])

    def _verdict(self, sound: Tensor, motion: Tensor) -> Tensor:
        change = F.pad(motion[:, 1:] - motion[:, :-1], (0, 0, 1, 0)) * 4.0
        return self.critic(torch.cat([motion, change, sound], dim=-1).mT)
