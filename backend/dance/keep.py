"""Frames and limbs that a dance must keep as they are given: known before it is sampled, exact after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...retarget import rotations as rot
from ...retarget.errors import StepsmithError
from ...retarget.motion import Motion, concatenate
from ...retarget.rotations import Array
from ...retarget.skeleton import SMPL, forward_kinematics
from . import representation as rep
from .controls import Keep, Part
from .path import Anchors

Mask = NDArray[np.bool_]

_LEGS = (1, 2, 4, 5, 7, 8, 10, 11)
JOINTS: dict[Part, tuple[int, ...]] = {
    "all": tuple(range(24)),
    "lower": (0, *_LEGS),
    "upper": tuple(joint for joint in range(1, 24) if joint not in _LEGS),
}
# Seconds over which what differs between a kept frame and its free neighbour fades: shorter, hands jump at one seam in
# five; over which its slope does: longer, a fast foot goes on too far; and over which the cleaning of what is beside
# kept frames sets in.
_EASE, _EASE_SLOPE, _TO_CLEAN = 0.7, 0.35, 0.3
# m/s that a dancer may be asked to travel between two kept motions, and that joints may go where two touch.
_FASTEST, _FASTEST_JOINT = 3.0, 10.0


@dataclass(frozen=True)
class Kept:
    """What is known of a dance of T frames.

    ``features`` (T, 152) where ``mask`` (T, 152) says so; ``rotations`` (T, 24, 4) where ``joints`` (T, 24) says so,
    ``root`` (T, 3) and ``contacts`` (T, 4) where the pelvis is among them; ``yaw``: (T,) the pelvis' headings there.
    ``loop``: whether frame 0 follows frame T - 1. ``starts``: the first frames of what is kept.
    """

    fps: float
    features: Array
    mask: Mask
    rotations: Array
    root: Array
    contacts: Array
    yaw: Array
    joints: Mask
    loop: bool
    starts: list[int] = field(default_factory=list)

    @staticmethod
    def of(keeps: Sequence[Keep], frames: int, fps: float, *, loop: bool = False) -> Kept:
        """``keeps`` at ``fps`` in a dance of ``frames`` frames.

        Raises StepsmithError for what does not fit into it, overlaps, or is too far apart to be danced.
        """
        kept = Kept(
            fps,
            np.zeros((frames, rep.WIDTH), np.float32),
            np.zeros((frames, rep.WIDTH), bool),
            np.tile(rot.IDENTITY, (frames, 24, 1)),
            np.zeros((frames, 3)),
            np.zeros((frames, 4)),
            np.zeros(frames),
            np.zeros((frames, 24), bool),
            loop,
        )
        for keep in keeps:
            kept._put(keep)
        kept._check_way()
        return kept

    @property
    def placed(self) -> Mask:
        """(T,) frames whose place and heading in the world are known."""
        return self.joints[:, 0]

    @property
    def anchors(self) -> Anchors:
        return Anchors(self.placed, self.root[:, :2] @ np.array([1, 1j]), self.yaw)

    def constrain(self, clean: Array) -> Array:
        """Features (T, 152) of a dance with what is known put in, and the frames beside it led there."""
        if not self.mask.any():
            return clean
        out = np.where(self.mask, self.features, clean)
        frames = len(clean)
        for index, edge, inner, columns in self._seams:
            off = (self.features[edge] - clean[edge]) * columns
            slope = off - (self.features[inner] - clean[inner]) * columns
            away, all_of_it = np.arange(len(index)) + 1.0, len(index) + 1.0
            share, reach = away / all_of_it, min(all_of_it, _EASE_SLOPE * self.fps)
            # Hermite's cubics: value and slope of what is off at the edge, nothing of either at the end
            fading = (1 + 2 * share) * (1 - share) ** 2
            leaving = away * np.maximum(1 - away / reach, 0.0) ** 2
            out[index % frames] += fading[:, None] * off + leaving[:, None] * slope
        return out

    def restore(self, motion: Motion, plain: Motion) -> Motion:
        """A cleaned motion with what is kept as it was given, and in the frames beside it ever less of ``plain``, which
        it was before cleaning: that goes on from there as it must."""
        if not self.joints.any():
            return motion
        share = np.zeros(self.joints.shape)
        for nearest, beside in self._beside_placed:
            share = np.maximum(share, beside[:, None] * self.joints[nearest])
        rotations = rot.slerp(motion.rotations, plain.rotations, share)
        root = motion.root + share[:, :1] * (plain.root - motion.root)
        placed = self.placed[:, None]
        return replace(
            motion,
            rotations=rot.continuous(np.where(self.joints[..., None], self.rotations, rotations)),
            root=np.where(placed, self.root, root),
            contacts=np.where(placed, self.contacts, motion.contacts),
        )

    def _put(self, keep: Keep) -> None:
        motion = keep.motion.resample(self.fps)
        start, count = round(keep.at * self.fps), len(motion)
        span = slice(start, start + count)
        frames = len(self.mask)
        if start + count > frames:
            raise StepsmithError(
                f"The motion kept from {keep.at:g} s on ends at {keep.at + motion.duration:.2f} s, after the dance,"
                f" which ends at {frames / self.fps:.2f} s: keep less of it, or dance for longer."
            )
        joints = list(JOINTS[keep.part])
        if self.joints[span][:, joints].any():
            raise StepsmithError(
                f"The motion kept from {keep.at:g} s on overlaps another one: leave a gap, or keep other limbs."
            )
        columns = _columns(keep.part)
        # the velocity of a pose is nobody's choice
        known = motion if count > 1 else concatenate([motion, motion])
        self.features[span, columns] = rep.encode(known)[:count, columns]
        self.mask[span, columns] = True
        if count == 1:
            self.mask[span, rep.VELOCITY] = self.mask[span, rep.YAW_RATE] = False
        self.rotations[span, joints] = motion.rotations[:, joints]
        self.joints[span, joints] = True
        self.starts.append(start)
        if keep.part != "upper":
            self.root[span], self.contacts[span] = motion.root, motion.contacts
            self.yaw[span] = rep.headings(motion)

    def _check_way(self) -> None:
        placed = np.flatnonzero(self.placed)
        pairs = list(pairwise(placed.tolist()))
        if self.loop and len(placed):
            pairs.append((int(placed[-1]), int(placed[0]) + len(self.placed)))
        for a, b in pairs:
            away = float(np.linalg.norm(self.root[b % len(self.root), :2] - self.root[a, :2]))
            if b > a + 1 and away > _FASTEST * (b - a) / self.fps:
                raise self._too_far(a, b, away)
        for b in self.starts:
            away = self._jump(b - 1, b) if b > 0 or self.loop else 0.0
            if away > _FASTEST_JOINT / self.fps:
                raise self._too_far(b - 1, b, away)

    def _jump(self, a: int, b: int) -> float:
        """Metres that a joint goes from one frame to another, of what is kept in both."""
        frames = [a, b]
        both = self.joints[a] & self.joints[b]
        rotations = np.where(both[:, None], self.rotations[frames], rot.IDENTITY)
        joints, _ = forward_kinematics(SMPL, rotations, self.root[frames] * both[0])
        return float(np.linalg.norm(joints[1] - joints[0], axis=-1).max())

    def _too_far(self, a: int, b: int, away: float) -> StepsmithError:
        begins = a % len(self.root) / self.fps
        return StepsmithError(
            f"From the motion kept at {begins:.2f} s to the next are {away:.1f} m, too far for"
            f" {(b - a) / self.fps:.2f} s: move one nearer, or leave more time between them."
        )

    @cached_property
    def _seams(self) -> list[tuple[NDArray[np.intp], int, int, Array]]:
        """For each end of a kept stretch: the free frames beside it in order of distance, the stretch's outermost frame
        and the one before that, and (152,) 1 for the columns that change there from known to free.

        Velocities are left out: the way decides them.
        """
        mask = self.mask.copy()
        mask[:, rep.VELOCITY] = mask[:, rep.YAW_RATE] = False
        frames, longest = len(mask), round(_EASE * self.fps)
        seams = []
        for step in (1, -1):
            beside = np.roll(mask, -step, axis=0)
            if not self.loop:
                beside[-1 if step == 1 else 0] = True
            for edge in np.flatnonzero((mask & ~beside).any(axis=1)):
                columns = mask[edge] & ~beside[edge]
                free = ~mask[:, columns].any(axis=1)
                ahead = edge + step * np.arange(1, longest + 1)
                inside = np.ones(longest, bool) if self.loop else (ahead >= 0) & (ahead < frames)
                open_ = np.logical_and.accumulate(inside & free[ahead % frames])
                inner = (edge - step) % frames
                if not mask[inner, columns].all():
                    inner = edge
                if open_.any():
                    seams.append((ahead[open_], int(edge), int(inner), columns.astype(np.float32)))
        return seams

    @cached_property
    def _beside_placed(self) -> list[tuple[NDArray[np.intp], Array]]:
        """For placed frames before and after: (T,) the nearest, and (T,) how much a frame is beside it.

        1 right beside it, 0 farther off and at placed frames themselves.
        """
        frames, placed = len(self.placed), np.flatnonzero(self.placed)
        if not len(placed):
            return []
        if self.loop:
            placed = np.concatenate([placed - frames, placed, placed + frames])
        every = np.arange(frames)
        after = np.searchsorted(placed, every)
        sides = []
        for place in (after - 1, after):
            nearest = placed[np.clip(place, 0, len(placed) - 1)]
            away = np.clip(np.abs(nearest - every) / (_TO_CLEAN * self.fps), 0.0, 1.0)
            share = np.where(
                self.placed | (place < 0) | (place >= len(placed)), 0.0, 1.0 - away * away * (3 - 2 * away)
            )
            sides.append((nearest % frames, share))
        return sides


def _columns(part: Part) -> NDArray[np.intp]:
    """The features that a part of the body fixes."""
    joints = [np.arange(6) + rep.ROTATIONS.start + 6 * joint for joint in JOINTS[part]]
    body = [] if part == "upper" else [np.arange(rep.ROTATIONS.start)]
    return np.concatenate([*body, *joints])
