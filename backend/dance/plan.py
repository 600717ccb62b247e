"""What a dance is to be in each of its frames, before it is sampled, and a motion of what was sampled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ... import __version__
from ...retarget.errors import StepsmithError
from ...retarget.feet import lock_feet
from ...retarget.motion import Motion, concatenate
from ...retarget.rotations import Array
from ..audio import FEATURE_FPS, Music
from ..limits import in_range, out_of_body, unsnapped
from . import representation
from .accent import accented
from .condition import WIDTH, condition
from .controls import Controls, Keep
from .energy import draw_energy
from .keep import Kept
from .model import DanceModel, ModelConfig
from .path import Path, lead
from .support import supported

_CHANGE = 1.0  # s that a change of genre takes
_CONTEXT = 5.0  # s of a loop's other end that its ends are finished with


@dataclass(frozen=True)
class Plan:
    """A dance as it is wanted, frame by frame.

    ``shares``: (T, G) of the model's genres; ``phase``: (T,) how far into its beat each frame is, in [0, 1);
    ``kept``: what is known; ``middle``: the place it stays near.
    """

    music: Music
    genre: str
    controls: Controls
    model: DanceModel
    shares: Array
    phase: Array
    kept: Kept
    middle: complex = 0j

    @property
    def fps(self) -> float:
        return self.model.config.fps

    @property
    def times(self) -> Array:
        """(T,) seconds."""
        return np.arange(len(self.shares)) / self.fps

    @property
    def constrained(self) -> bool:
        return bool(self.kept.mask.any()) or self.controls.loop or self.controls.radius is not None

    @property
    def pace(self) -> float:
        """m/s of the joints that is wanted."""
        return float(np.exp2(np.mean(self._usual[:, 0] + self._usual[:, 1] * self._level)))

    def facts(self, seed: int) -> dict[str, Any]:
        """What is worth knowing of the dance made with ``seed``."""
        facts: dict[str, Any] = {"stepsmith": __version__, "genre": self.genre, "seed": seed}
        if self.controls.changes:
            facts["genre_changes"] = [list(change) for change in self.controls.changes]
        if self.controls.loop:
            facts["loop"] = True
        facts |= {"tempo": round(self.music.tempo, 2), "meter": self.music.meter}
        if self.music.songs:
            facts["songs"] = [[song.start, round(song.tempo, 2), song.meter] for song in self.music.songs]
        return facts

    def energy(self, seed: int) -> Array:
        """(T,) octaves that are wanted, drawn for ``seed``."""
        at = np.arange(len(self.music.mel)) / FEATURE_FPS
        loudness = np.interp(self.times, at, self.music.mel.mean(axis=1))
        random, loop = np.random.default_rng(seed), self.controls.loop
        drawn = draw_energy((0.0, 1.0), loudness, self.fps, random, self._level, loop)
        return self._usual[:, 0] + self._usual[:, 1] * drawn

    def cues(self, seed: int) -> Array:
        """(T, 44) what the model is told: more energy than is wanted, by as much as its dances fall short, and bars of
        the metre in which a genre was learnt: told of a waltz, it would dance one whatever the genre."""
        shortfall = self.shares @ self.model.shortfall.numpy(force=True)[: self.shares.shape[1]]
        energy = self.energy(seed) + shortfall
        meters = np.array([_meters(song.meter, self.model.config) for song in self.music.each_song])
        danced = meters[self.music.song_at(self.times), self.shares.argmax(axis=1)]
        cues = np.empty((len(self.shares), WIDTH), dtype=np.float32)
        for meter in np.unique(danced).tolist():
            rows = danced == meter
            cues[rows] = condition(self.music.in_bars_of(meter), self.times[rows], energy=energy[rows])
        return cues

    def constrain(self, clean: Array) -> Array:
        """Clean features (T, 152) as they must be."""
        return self._lead(self.kept.constrain(clean)).features

    def finish(self, features: Array) -> Motion:
        """The motion of sampled features (T, 152), with clean feet, joints in their range and what is kept exact."""
        known = self.kept.constrain(self._carried(features))
        path = self._lead(known)
        place = np.column_stack([path.place.real, path.place.imag])
        plain = representation.place_in_world(path.features, self.fps, place, path.yaw)
        motion = self.kept.restore(self._clean(plain, representation.decode(known, self.fps)), plain)
        return motion.mirror() if self.controls.mirror else motion

    def _carried(self, features: Array) -> Array:
        """Features (T, 152) with accents on the beats, the body carried by the feet."""
        around = min(len(features), round(_CONTEXT * self.fps)) if self.controls.loop else 0
        rows, phase = np.pad(features, ((around, around), (0, 0)), "wrap"), np.pad(self.phase, around, "wrap")
        carried: Array = supported(accented(rows, phase, self.fps), self.fps)[around : around + len(features)]
        return carried

    def _lead(self, features: Array) -> Path:
        wishes = self.controls
        return lead(features, self.fps, self.kept.anchors, loop=wishes.loop, radius=wishes.radius, middle=self.middle)

    def _clean(self, motion: Motion, danced: Motion) -> Motion:
        """Feet locked where they stand and joints as a body has them; ``danced``: as its own velocities lead it."""
        if not self.controls.loop:
            return _possible(motion, danced)
        count = min(len(motion), round(_CONTEXT * self.fps))
        around = concatenate([motion.slice(-count), motion, motion.slice(0, count)])
        return _possible(around).slice(count, count + len(motion))

    @property
    def _usual(self) -> Array:
        """(T, 2) mean and deviation of the energy that is usual in the genre of each frame."""
        return self.shares @ self.model.usual.numpy(force=True)[: self.shares.shape[1]]

    @property
    def _level(self) -> Array:
        """(T,) deviations from the usual energy that are asked for."""
        energy = self.controls.energy
        if isinstance(energy, tuple):
            seconds, levels = zip(*energy, strict=True)
            return np.interp(self.times, seconds, levels)
        return np.full(len(self.shares), energy or 0.0)


def plan_dance(music: Music, genre: str, controls: Controls, model: DanceModel) -> Plan:
    """What is to be danced in each frame. Raises StepsmithError for wishes that can't be met."""
    config, changes = model.config, [(0.0, genre), *controls.changes]
    for _, name in changes:
        if name not in config.genres:
            raise StepsmithError(f"The model knows no genre “{name}”: choose one of {', '.join(config.genres)}.")
    meters = [_meters(music.meter, config)[config.genres.index(name)] for _, name in changes]
    frames = max(2, round((_whole_bars(music, meters) if controls.loop else music.duration) * config.fps))
    keeps = [replace(keep, motion=keep.motion.mirror()) if controls.mirror else keep for keep in controls.keep]
    kept = Kept.of(keeps, frames, config.fps, loop=controls.loop)
    _check_circle(keeps, controls.radius)
    for second, _ in changes:
        if second >= frames / config.fps:
            raise StepsmithError(
                f"The genre can't change at {second:g} s: the dance ends at {frames / config.fps:.2f} s."
            )
    times = np.arange(frames) / config.fps
    shares = _shares(changes, config.genres, times)
    placed = np.flatnonzero(kept.placed)
    middle = complex(kept.anchors.place[placed[0]]) if len(placed) else 0j
    return Plan(music, genre, controls, model, shares, music.beat_phase(times), kept, middle)


def _meters(heard: int, config: ModelConfig) -> list[int]:
    """Beats a bar in which each genre is danced: those in which it was learnt, or else those ``heard``."""
    return [meter or heard for meter in config.meters or [0] * len(config.genres)]


def _possible(motion: Motion, danced: Motion | None = None) -> Motion:
    # An ankle that goes back into its range takes the toes along, into the floor too: they are locked once more.
    for _ in range(2):
        motion = unsnapped(in_range(out_of_body(lock_feet(motion, danced))))
    return motion


def _shares(changes: Sequence[tuple[float, str]], genres: Sequence[str], times: Array) -> Array:
    """(T, G) how much of each genre is danced at ``times``; each change is spread over a second."""
    shares = np.zeros((len(times), len(genres)))
    for second, name in changes:
        begun = np.clip((times - second) / _CHANGE + 0.5, 0.0, 1.0) if second > 0 else np.ones(len(times))
        shares *= 1.0 - begun[:, None]
        shares[:, genres.index(name)] += begun
    return shares


def _whole_bars(music: Music, meters: Sequence[int]) -> float:
    """Seconds of as many whole bars from second 0 on as the song has; all of it where that is less than one.

    ``meters``: beats a bar of what is danced, whose bars are whole as well where the song is long enough.
    """
    marks = music.downbeats
    if len(marks) < 2:
        return music.duration
    first, last = marks[1] - marks[0], marks[-1] - marks[-2]
    count = np.arange(len(marks), dtype=float)
    # bars go on before the first downbeat and after the last as they are beside them
    before, after = np.ceil(marks[0] / first), np.ceil((music.duration - marks[-1]) / last)
    count = np.concatenate([[-before], count, [count[-1] + after]])
    marks = np.concatenate([[marks[0] - before * first], marks, [marks[-1] + after * last]])
    begin, end = np.interp([0.0, music.duration], marks, count)
    bars = np.floor(end - begin + 1e-6)
    together = math.lcm(music.meter, *meters) // music.meter
    bars -= bars % together if bars >= together else 0
    return float(np.interp(begin + bars, count, marks)) if bars >= 1 else music.duration


def _check_circle(keeps: Sequence[Keep], radius: float | None) -> None:
    """Raise StepsmithError where a motion is kept outside of the circle about where the first one starts."""
    placed = sorted((keep for keep in keeps if keep.part != "upper"), key=lambda keep: keep.at)
    if radius is None or not placed:
        return
    middle = placed[0].motion.root[0, :2]
    for keep in placed:
        away = float(np.linalg.norm(keep.motion.root[:, :2] - middle, axis=1).max())
        if away > radius:
            raise StepsmithError(
                f"The motion kept from {keep.at:g} s on goes {away:.2f} m from the middle, out of the circle of"
                f" {radius:g} m: keep another one, or give a larger radius."
            )
