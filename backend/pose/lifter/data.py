"""Recorded motion to learn lifting from: every source the dance model knows, walks and fights too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....retarget.motion import Motion
from ....retarget.rotations import Array
from ...dance.sources import DataError, NoDancesError, Skip, check_unpaired, ignore, load_dances, load_unpaired
from .bodies import turns

FPS = 30.0
_SHORTEST = 1.5  # s of a recording
_HELD_OUT = 10  # one of so many recordings without a split of their own is held out


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording as the lifter learns from it: ``turns`` (24, T, 3, 3) local rotations of the joints, z up, and the
    pelvis' path ``root`` (T, 3) in metres, the floor at z = 0, at FPS."""

    name: str
    turns: Array
    root: Array

    def __len__(self) -> int:
        return len(self.root)


@dataclass(frozen=True, eq=False)
class Library:
    """Recordings one after the other, to draw windows from: ``turns`` and ``root`` as a recording has them, the
    ``first`` frame and the ``length`` of each, and the ``chance`` with which it is drawn."""

    turns: Array
    root: Array
    first: NDArray[np.int64]
    length: NDArray[np.int64]
    chance: Array

    @classmethod
    def of(cls, recordings: Sequence[Recording]) -> Library:
        length = np.array([len(r) for r in recordings])
        # Longer recordings are drawn more often; the root keeps one long source from drowning the others.
        chance = length**0.5
        return cls(
            np.concatenate([r.turns for r in recordings], axis=1),
            np.concatenate([r.root for r in recordings]),
            np.cumsum(length) - length,
            length,
            chance / chance.sum(),
        )

    def draw(self, rng: np.random.Generator, speed: Array, frames: int) -> tuple[Array, Array, Array]:
        """A window of ``frames`` for each of N speeds: (24, N, T, 3, 3) local rotations, (N, T, 3) roots, and (N, T)
        1 where a frame is the recording's, else 0.

        ``speed``: (N,) how fast each is played; 1 as recorded, below 0 backwards. Every window's middle is within its
        recording; beyond its ends the first or last frame is repeated.
        """
        picks = rng.choice(len(self.length), len(speed), p=self.chance)
        length = self.length[picks]
        at = rng.integers(length)[:, None] + speed[:, None] * (np.arange(frames) - frames // 2)
        there = np.clip(at, 0, length[:, None] - 1)
        before = there.astype(int)
        where = self.first[picks, None] + before
        turns, root = self.turns[:, where], self.root[where]
        between = np.nonzero((there > before).any(axis=1))[0]
        if between.size:
            # Straight from one frame's matrix to the next's: a few degrees apart, it stays a rotation near enough.
            share = (there - before)[between].astype(turns.dtype)
            after = np.minimum(before + 1, length[:, None] - 1)[between] + self.first[picks[between], None]
            turns[:, between] += share[..., None, None] * (self.turns[:, after] - turns[:, between])
            root[between] += share[..., None] * (self.root[after] - root[between])
        return turns, root, (there == at).astype(np.float32)


def held_out(recording: str) -> bool:
    """Whether a recording is kept for measuring alone: a tenth of all, by its name."""
    return int(hashlib.sha256(recording.encode()).hexdigest(), 16) % _HELD_OUT == 0


def load_recordings(folder: Path, *, held: bool = False, skip: Skip = ignore) -> list[Recording]:
    """What there is to learn from in a folder or zip; with ``held``, what is kept for measuring instead.

    Folders of dances with a split (``manifest.csv``) give their ``train`` split, or ``test``; others all but a tenth
    of their motions, or that tenth. Subfolders of either kind are searched. Motions filmed by calibrated cameras
    (``*.cameras.json``) are for measuring alone. Raises DataError where there is none.
    """
    check_unpaired(folder)
    recordings = [_recording(name, motion) for name, motion in load_motions(folder, held=held, skip=skip)]
    if not recordings:
        raise DataError(f"{folder} holds no motion to learn lifting from: give a folder of motion files.")
    return recordings


def load_motions(folder: Path, *, held: bool = False, skip: Skip = ignore) -> Iterator[tuple[str, Motion]]:
    """The motions of ``load_recordings`` by name, at FPS."""
    if (folder / "manifest.csv").exists():
        yield from ((d.name, d.motion) for d in load_dances(folder, "test" if held else "train", FPS, skip=skip))
        return
    if not held and any(folder.glob("*.cameras.json")):
        return
    parts = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if any((path / "manifest.csv").exists() or any(path.glob("*.cameras.json")) for path in parts):
        for path in parts:
            yield from load_motions(path, held=held, skip=skip)
        return
    try:
        found = load_unpaired(
            folder,
            FPS,
            skip,
            dances_only=False,
            shortest=_SHORTEST,
            chosen=lambda recording: held_out(recording) == held,
        )
    except NoDancesError:  # a folder of something else, or one whose files were named one by one
        return
    except DataError as error:
        skip(str(error))
        return
    yield from ((d.name, d.motion) for d in found)


def _recording(name: str, motion: Motion) -> Recording:
    return Recording(name, turns(motion.rotations).astype(np.float32), np.asarray(motion.root, dtype=np.float32))
