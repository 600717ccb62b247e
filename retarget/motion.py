"""The Motion contract: the one currency between the model, files, retargeting and Blender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import rotations as rot
from .errors import MotionError
from .rotations import Array
from .skeleton import CONTACT_JOINTS, SMPL, SMPL_MIRROR, Skeleton, forward_kinematics

JOINTS = 24
MAX_FRAMES = 1_000_000  # of a motion out of a file: over two hours at 120 frames a second
_UNIT_TOLERANCE = 1e-3
_ROUNDING = 1e-14


@dataclass(frozen=True, eq=False)
class Motion:
    """A body's movement. Immutable: operations return a new one, the arrays are read-only.

    ``fps``: frames a second. ``root``: (T, 3) metres, the pelvis. ``rotations``: (T, 24, 4) local unit
    quaternions (w, x, y, z) in SMPL-24 order. ``contacts``: (T, 4) in [0, 1], how surely left ankle,
    right ankle, left toe and right toe rest on the floor. ``beats``, ``downbeats``: seconds from the
    first frame, or None. ``meta``: free-form facts (seed, model, song), JSON-serialisable.

    z up, metres, right-handed, facing -y at rest, the floor at z = 0.

    Raises MotionError where shapes disagree, a value is not finite, or a quaternion is not unit.
    """

    fps: float
    root: Array
    rotations: Array
    contacts: Array
    beats: Array | None = None
    downbeats: Array | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fps = float(self.fps)
        if not np.isfinite(fps) or fps <= 0:
            raise MotionError(f"A motion needs a positive frame rate, not {self.fps!r}.")
        root = np.array(self.root, dtype=np.float64)
        rotations = np.array(self.rotations, dtype=np.float64)
        contacts = np.array(self.contacts, dtype=np.float64)
        frames = len(root)
        if frames < 1:
            raise MotionError("A motion needs at least one frame.")
        for name, array, shape in (
            ("root", root, (frames, 3)),
            ("rotations", rotations, (frames, JOINTS, 4)),
            ("contacts", contacts, (frames, 4)),
        ):
            if array.shape != shape:
                raise MotionError(f"The motion's {name} have shape {array.shape}, expected {shape}.")
            bad = ~np.isfinite(array).reshape(frames, -1).all(axis=1)
            if bad.any():
                raise MotionError(
                    f"The motion's {name} are not finite in {bad.sum()} frames, first in frame {bad.argmax()}."
                )
        norms = np.linalg.norm(rotations, axis=-1)
        if np.abs(norms - 1.0).max() > _UNIT_TOLERANCE:
            frame = int(np.abs(norms - 1.0).max(axis=1).argmax())
            raise MotionError(f"The motion's rotations are not unit quaternions, worst in frame {frame}.")
        object.__setattr__(self, "fps", fps)
        object.__setattr__(self, "root", _frozen(root))
        # What is unit to rounding stays as it is, so that a motion stored and read again is bit for bit the same.
        norms = np.where(np.abs(norms - 1.0) < _ROUNDING, 1.0, norms)
        object.__setattr__(self, "rotations", _frozen(rotations / norms[..., None]))
        object.__setattr__(self, "contacts", _frozen(np.clip(contacts, 0.0, 1.0)))
        for name in ("beats", "downbeats"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _frozen(np.array(value, dtype=np.float64).reshape(-1)))
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))

    def __len__(self) -> int:
        return len(self.root)

    @property
    def duration(self) -> float:
        """Seconds, T / fps."""
        return len(self) / self.fps

    @property
    def times(self) -> Array:
        """(T,) seconds of the frames."""
        return np.arange(len(self)) / self.fps

    def positions(self, skeleton: Skeleton = SMPL) -> Array:
        """(T, 24, 3) metres, the joints by forward kinematics."""
        return forward_kinematics(skeleton, self.rotations, self.root)[0]

    def with_meta(self, **facts: Any) -> Motion:
        """The same motion with these facts added to ``meta``."""
        return replace(self, meta={**self.meta, **facts})

    def resample(self, fps: float) -> Motion:
        """The motion at another frame rate: slerp for rotations, linear for the rest.

        Keeps frame 0 and never reaches past the last frame. Raises MotionError where that makes more than a million
        frames, as of a file that states a wrong rate.
        """
        if fps <= 0:
            raise MotionError(f"A motion needs a positive frame rate, not {fps!r}.")
        if fps == self.fps:
            return self
        last = np.floor((len(self) - 1) * (fps / self.fps) + 1e-9)
        if last >= MAX_FRAMES:
            raise MotionError(
                f"At {fps:g} frames a second this motion of {len(self)} at {self.fps:.3g} would have more than"
                f" {MAX_FRAMES}: correct its frame rate, or cut it into parts."
            )
        count = int(last) + 1
        at = np.minimum(np.arange(count) * self.fps / fps, len(self) - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, len(self) - 1)
        share = at - low
        return replace(
            self,
            fps=fps,
            root=self.root[low] + share[:, None] * (self.root[high] - self.root[low]),
            rotations=rot.slerp(self.rotations[low], self.rotations[high], share[:, None]),
            contacts=self.contacts[low] + share[:, None] * (self.contacts[high] - self.contacts[low]),
        )

    def slice(self, start: int, stop: int | None = None) -> Motion:
        """Frames ``start`` to ``stop`` (not included); beats move with them, those outside are dropped."""
        frames = range(*slice(start, stop).indices(len(self)))
        if not len(frames):
            raise MotionError(f"Frames {start} to {stop} hold nothing of a motion of {len(self)} frames.")
        seconds, length = frames[0] / self.fps, len(frames) / self.fps
        part = slice(frames[0], frames[-1] + 1)
        return replace(
            self,
            root=self.root[part],
            rotations=self.rotations[part],
            contacts=self.contacts[part],
            beats=_cut(self.beats, seconds, length),
            downbeats=_cut(self.downbeats, seconds, length),
        )

    def mirror(self) -> Motion:
        """Left and right exchanged (reflected in the plane x = 0)."""
        order = list(SMPL_MIRROR)
        return replace(
            self,
            root=self.root * [-1.0, 1.0, 1.0],
            rotations=self.rotations[:, order] * [1.0, 1.0, -1.0, -1.0],
            contacts=self.contacts[:, [1, 0, 3, 2]],
        )

    def shift(self, translation: ArrayLike) -> Motion:
        """Moved by ``translation`` (3,) metres."""
        return replace(self, root=self.root + np.asarray(translation, dtype=float))

    def turn(self, yaw: float) -> Motion:
        """Turned about the world's z axis through the origin by ``yaw`` radians."""
        q = rot.from_axis_angle([0.0, 0.0, float(yaw)])
        rotations = np.array(self.rotations)
        rotations[:, 0] = rot.multiply(q, rotations[:, 0])
        return replace(self, root=rot.rotate(q, self.root), rotations=rotations)


def concatenate(motions: Sequence[Motion]) -> Motion:
    """One motion after the other, as they are; all must share a frame rate. ``meta`` is the first one's."""
    if not motions:
        raise MotionError("There is nothing to concatenate.")
    first = motions[0]
    if any(m.fps != first.fps for m in motions):
        raise MotionError("Motions of different frame rates can't be concatenated; resample them first.")
    starts = np.cumsum([0.0] + [m.duration for m in motions[:-1]])

    def joined(name: str) -> Array | None:
        parts = [getattr(m, name) + s for m, s in zip(motions, starts, strict=True) if getattr(m, name) is not None]
        return np.concatenate(parts) if parts else None

    return replace(
        first,
        root=np.concatenate([m.root for m in motions]),
        rotations=np.concatenate([m.rotations for m in motions]),
        contacts=np.concatenate([m.contacts for m in motions]),
        beats=joined("beats"),
        downbeats=joined("downbeats"),
    )


def detect_contacts(positions: Array, fps: float, max_speed: float = 0.35) -> Array:
    """(T, 4) contacts 0 or 1 from joint positions (T, 24, 3) metres above the floor z = 0.

    A foot joint is in contact while it is low (ankle at most 0.11 m, toe at most 0.06 m) and slow
    (``max_speed`` in m/s over the floor).
    """
    feet = positions[:, list(CONTACT_JOINTS)]
    if len(feet) < 2:
        speed = np.zeros(feet.shape[:2])
    else:
        speed = np.linalg.norm(np.gradient(feet[..., :2], axis=0), axis=-1) * fps
    low = feet[..., 2] <= np.array([0.11, 0.11, 0.06, 0.06])
    return (low & (speed <= max_speed)).astype(float)


def _frozen(array: Array) -> Array:
    array.setflags(write=False)
    return array


def _cut(seconds: Array | None, start: float, length: float) -> Array | None:
    if seconds is None:
        return None
    moved = seconds - start
    return moved[(moved >= 0) & (moved < length)]
