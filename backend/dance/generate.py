"""A song's analysis in, a dance out."""

from __future__ import annotations

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
from ..progress import Progress
from . import representation
from .condition import condition
from .controls import Controls, Keep
from .energy import draw_energy
from .keep import Kept
from .model import DanceModel
from .path import lead
from .rank import score
from .sampler import sample
from .weights import load_model

_CHANGE = 1.0  # s that a change of genre takes
_CONTEXT = 5.0  # s of a loop's other end that its feet are cleaned with


def generate(
    music: Music,
    *,
    genre: str | None = None,
    seed: int = 0,
    controls: Controls | None = None,
    model: DanceModel | None = None,
    progress: Progress | None = None,
) -> Motion:
    """A dance of the music's length at the model's frame rate, feet on the floor, starting over the origin.

    ``genre``: one of the model's; None takes the one whose metre and tempo are nearest. ``seed``: the
    same seed gives the same dance. ``controls``: further wishes; a loop lasts whole bars, and a dance that keeps
    motions is where they are. ``meta`` holds the seed that gives this dance alone.
    Raises StepsmithError for a genre the model does not know, and for controls that can't be met.
    """
    model = model or load_model()
    plan = plan_dance(music, genre or choose_genre(music, model.config.genres), controls or Controls(), model)
    seeds = [seed + number for number in range(plan.controls.candidates)]
    found = sample(
        model,
        [plan.cues(number) for number in seeds],
        plan.shares,
        seeds=seeds,
        loop=plan.controls.loop,
        constrain=plan.constrain if plan.constrained else None,
        progress=progress,
    )
    motions = [plan.finish(features) for features in found]
    points = [score(motion, music, plan.pace) for motion in motions] if len(motions) > 1 else [0.0]
    best = int(np.argmax(points))
    facts: dict[str, Any] = {"stepsmith": __version__, "genre": plan.genre, "seed": seeds[best]}
    if plan.controls.changes:
        facts["genre_changes"] = [list(change) for change in plan.controls.changes]
    if plan.controls.loop:
        facts["loop"] = True
    length = len(motions[best]) / motions[best].fps
    return replace(
        motions[best],
        beats=music.beats[music.beats < length],
        downbeats=music.downbeats[music.downbeats < length],
        meta={**facts, "tempo": round(music.tempo, 2)},
    )


@dataclass(frozen=True)
class Plan:
    """A dance as it is wanted, frame by frame. ``shares``: (T, G) of the model's genres; ``kept``: what is known."""

    music: Music
    genre: str
    controls: Controls
    model: DanceModel
    shares: Array
    kept: Kept

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
    def pace(self) -> float | None:
        """m/s of the joints that is wanted; None where the model has not learnt what is usual."""
        if not self.model.config.told:
            return None
        return float(np.exp2(np.mean(self._usual[:, 0] + self._usual[:, 1] * self._level)))

    def cues(self, seed: int) -> Array:
        """(T, 44) what the model is told, with an energy drawn for ``seed``."""
        if not self.model.config.told:
            return condition(self.music, self.times)
        at = np.arange(len(self.music.mel)) / FEATURE_FPS
        loudness = np.interp(self.times, at, self.music.mel.mean(axis=1))
        drawn = draw_energy((0.0, 1.0), loudness, self.fps, np.random.default_rng(seed), self._level)
        return condition(self.music, self.times, energy=self._usual[:, 0] + self._usual[:, 1] * drawn)

    def constrain(self, clean: Array) -> Array:
        """Clean features (T, 152) as they must be."""
        known = self.kept.constrain(clean)
        return lead(known, self.fps, self.kept.anchors, loop=self.controls.loop, radius=self.controls.radius).features

    def finish(self, features: Array) -> Motion:
        """The motion of sampled features (T, 152), with clean feet and what is kept exact."""
        path = lead(features, self.fps, self.kept.anchors, loop=self.controls.loop, radius=self.controls.radius)
        place = np.column_stack([path.place.real, path.place.imag])
        plain = representation.place_in_world(path.features, self.fps, place, path.yaw)
        motion = self.kept.restore(self._clean_feet(plain), plain)
        return motion.mirror() if self.controls.mirror else motion

    def _clean_feet(self, motion: Motion) -> Motion:
        if not self.controls.loop:
            return lock_feet(motion)
        count = min(len(motion), round(_CONTEXT * self.fps))
        around = concatenate([motion.slice(-count), motion, motion.slice(0, count)])
        return lock_feet(around).slice(count, count + len(motion))

    @property
    def _usual(self) -> Array:
        """(T, 2) mean and deviation of the energy that is usual in the genre of each frame."""
        return self.shares @ self.model.usual.numpy()[: self.shares.shape[1]]

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
    config = model.config
    frames = max(2, round((_whole_bars(music) if controls.loop else music.duration) * config.fps))
    if controls.energy is not None and not config.told:
        raise StepsmithError("This model can't be told how much to move: leave the energy out, or use newer weights.")
    keeps = [replace(keep, motion=keep.motion.mirror()) if controls.mirror else keep for keep in controls.keep]
    kept = Kept.of(keeps, frames, config.fps, loop=controls.loop)
    _check_circle(keeps, controls.radius)
    changes = [(0.0, genre), *controls.changes]
    for second, name in changes:
        if name not in config.genres:
            raise StepsmithError(f"The model knows no genre “{name}”: choose one of {', '.join(config.genres)}.")
        if second >= frames / config.fps:
            raise StepsmithError(
                f"The genre can't change at {second:g} s: the dance ends at {frames / config.fps:.2f} s."
            )
    return Plan(music, genre, controls, model, _shares(changes, config.genres, np.arange(frames) / config.fps), kept)


def _shares(changes: Sequence[tuple[float, str]], genres: Sequence[str], times: Array) -> Array:
    """(T, G) how much of each genre is danced at ``times``; each change is spread over a second."""
    shares = np.zeros((len(times), len(genres)))
    for second, name in changes:
        begun = np.clip((times - second) / _CHANGE + 0.5, 0.0, 1.0) if second > 0 else np.ones(len(times))
        shares *= 1.0 - begun[:, None]
        shares[:, genres.index(name)] += begun
    return shares


def _whole_bars(music: Music) -> float:
    """Seconds of as many whole bars from second 0 on as the song has; all of it where that is less than one."""
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


# Beats a minute and beats a bar of the ballroom standards.
_STANDARD = {"waltz": (87, 3), "rumba": (104, 4), "cha-cha": (122, 4), "tango": (128, 4)}


def choose_genre(music: Music, genres: tuple[str, ...]) -> str:
    """The genre whose standard tempo is nearest, in octaves, among those of the same metre."""

    def distance(genre: str) -> float:
        tempo, meter = _STANDARD[genre]
        return abs(np.log2(music.tempo / tempo)) + 10.0 * (meter != (3 if music.meter == 3 else 4))

    known = [g for g in genres if g in _STANDARD]
    return min(known, key=distance) if known else genres[0]
