"""Fewer keys: curves through some of the frames that stay within a stated error on all of them.

Each property of a bone keeps frames of its own. Between two kept frames runs a cubic whose two inner
control points, at a third and two thirds of the way, fit the frames between by least squares; with its
handles there Blender's Bézier curve is that cubic, since time then runs evenly along it.

How long a piece may be is decided in two steps. Each track alone is cut into the longest pieces within a
share of what it may err; then the whole body is posed, and where bones add up to more than is allowed the
piece that does most of it is cut where it errs most, until nothing is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from . import rotations as rot
from .channels import to_rotations
from .errors import RigError
from .rig import Rig
from .rotations import Array

Mask = NDArray[np.bool_]

LOCATION = "LOCATION"

# Share of the whole error that a single track may make in the first step: what its neighbours in the chain
# add is mostly not of the same sign.
_SHARE = 0.5
# Of the stated error, kept back for Blender's single precision.
_MARGIN = 0.999
# Frames of the pieces that are tried. Longer ones are tried on every second, third, ... frame.
_LENGTHS = (*range(4, 17), 18, 20, 22, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048)
_TRIED_FRAMES = 32
# Windows fitted at once, and frames reduced at once, for a bounded memory.
_BATCH = 8192
_STRETCH = 4096
# Keeps the fit of a piece with fewer inner frames than control points determined: the smallest ones.
_RIDGE = 1e-9


@dataclass(frozen=True, eq=False)
class Track:
    """One property of one bone on every frame.

    ``bone``: its name. ``mode``: the rotation mode whose numbers ``values`` (T, n) are, or ``LOCATION``.
    """

    bone: str
    mode: str
    values: Array


@dataclass(frozen=True, eq=False)
class Curve:
    """What is kept of a track. ``frames``: (K,) indices of frames, first and last among them.

    ``values``: (K, n) there. ``inner``: (K - 1, 2, n) values of the handles between key k and the next, at
    a third and at two thirds of the way.
    """

    frames: NDArray[np.intp]
    values: Array
    inner: Array


@dataclass(frozen=True)
class Reduction:
    """``curves``: one for each track. ``degrees``, ``millimetres``: the largest errors there are, measured on
    every frame and bone."""

    curves: tuple[Curve, ...]
    degrees: float
    millimetres: float


def reduce_keys(
    rig: Rig,
    tracks: Sequence[Track],
    degrees: float,
    millimetres: float,
    parents: Mapping[str, str] = MappingProxyType({}),
) -> Reduction:
    """The tracks with as few keys as it takes.

    On no frame is any bone turned by more than ``degrees`` from where a key on every frame turns it,
    together with all above it, or its head or tail moved by more than ``millimetres``; a unit of the
    world is a metre. ``parents``: bones that follow another bone than the one they are parented to, or "".
    """
    if not (degrees > 0.0 and millimetres > 0.0):
        raise ValueError(f"errors are larger than 0, not {degrees} degrees and {millimetres} mm")
    frames = len(tracks[0].values)
    # The frame between two stretches belongs to both.
    borders = [*range(0, frames - 1, _STRETCH), frames - 1] if frames > 1 else [0, 0]
    stretches = [
        _reduce(rig, [_cut(track, first, last) for track in tracks], degrees, millimetres, parents)
        for first, last in pairwise(borders)
    ]
    curves = (_joined([part.curves[k] for part in stretches], borders) for k in range(len(tracks)))
    worst = max(part.degrees for part in stretches), max(part.millimetres for part in stretches)
    return Reduction(tuple(curves), *worst)


def _cut(track: Track, first: int, last: int) -> Track:
    return replace(track, values=track.values[first : last + 1])


def _joined(curves: Sequence[Curve], borders: Sequence[int]) -> Curve:
    """Curves that each begin on the frame on which the one before ends, as one."""
    keys = [slice(0 if part == 0 else 1, None) for part in range(len(curves))]
    return Curve(
        np.concatenate([curve.frames[key] + first for curve, key, first in zip(curves, keys, borders, strict=False)]),
        np.concatenate([curve.values[key] for curve, key in zip(curves, keys, strict=True)]),
        np.concatenate([curve.inner for curve in curves]),
    )


def _reduce(
    rig: Rig, tracks: Sequence[Track], degrees: float, millimetres: float, parents: Mapping[str, str]
) -> Reduction:
    radians, metres = _MARGIN * np.radians(degrees), _MARGIN * millimetres / 1000.0
    values = _stacked(tracks)
    body = _Body(rig, tracks, values, parents)
    kept = _longest_pieces(values * body.weights(_SHARE * radians, _SHARE * metres)[:, None])
    while True:
        pieces = _Pieces(values, kept)
        errors = body.errors(pieces.values)
        cuts = pieces.cuts(errors.own, body.blamed(errors, radians, metres))
        if not cuts.any():
            break
        kept |= cuts
    curves = tuple(pieces.curve(k, track.values.shape[1]) for k, track in enumerate(tracks))
    return Reduction(curves, float(np.degrees(errors.turns.max())), 1000.0 * float(errors.moves.max()))


def _stacked(tracks: Sequence[Track]) -> Array:
    """(N, T, 4) all the tracks' values, zeros where a track has fewer than four."""
    values = np.zeros((len(tracks), len(tracks[0].values), 4))
    for row, track in zip(values, tracks, strict=True):
        row[:, : track.values.shape[1]] = track.values
    return values


# --- pieces of curves ------------------------------------------------------------------------------------


class _Pieces:
    """The curves through the ``kept`` (N, T) frames of ``values`` (N, T, 4).

    Piece for piece, with s the share of the way from y0 to y1, a curve is
    (1 - s) y0 + s y1 + s (1 - s)^2 a + s^2 (1 - s) b; a and b fit the frames between. ``values``: (N, T, 4)
    of the curves.
    """

    def __init__(self, values: Array, kept: Mask) -> None:
        self._kept = kept
        self._given = values
        tracks, frames, _ = values.shape
        flat = values.reshape(-1, 4)
        # Every kept frame starts a piece; a track's last one is a piece of that frame alone.
        self._starts = np.flatnonzero(kept)
        self._piece = np.cumsum(kept) - 1
        last = np.flatnonzero(self._starts % frames == frames - 1)
        ends = np.append(self._starts[1:], 0)
        ends[last] = self._starts[last]
        share = (np.arange(tracks * frames) - self._starts[self._piece]) / np.maximum(ends - self._starts, 1)[
            self._piece
        ]
        straight = flat[self._starts][self._piece]
        straight = straight + share[:, None] * (flat[ends] - flat[self._starts])[self._piece]
        u, v = share * (1.0 - share) ** 2, share**2 * (1.0 - share)
        uu, uv, vv = (np.add.reduceat(x, self._starts) for x in (u * u, u * v, v * v))
        off = flat - straight
        ur, vr = (np.add.reduceat(x[:, None] * off, self._starts) for x in (u, v))
        uu, vv = uu + _RIDGE, vv + _RIDGE
        determinant = (uu * vv - uv * uv)[:, None]
        a = (vv[:, None] * ur - uv[:, None] * vr) / determinant
        b = (uu[:, None] * vr - uv[:, None] * ur) / determinant
        curves = straight + u[:, None] * a[self._piece] + v[:, None] * b[self._piece]
        self.values = curves.reshape(values.shape)
        rise = (flat[ends] - flat[self._starts]) / 3.0
        self._inner = np.stack([flat[self._starts] + rise + a / 3.0, flat[ends] - rise + b / 3.0], axis=1)

    def cuts(self, own: Array, blamed: Mask) -> Mask:
        """(N, T) the frame of the largest ``own`` (N, T) error in each piece that holds a ``blamed`` (N, T) frame."""
        errors = np.where(self._kept, -1.0, own).ravel()
        worst = np.maximum.reduceat(errors, self._starts)
        hit = np.logical_or.reduceat(blamed.ravel(), self._starts)
        at = np.flatnonzero((errors == worst[self._piece]) & hit[self._piece])
        cuts = np.zeros(blamed.size, dtype=bool)
        cuts[at[np.unique(self._piece[at], return_index=True)[1]]] = True
        return cuts.reshape(blamed.shape) & ~self._kept

    def curve(self, track: int, channels: int) -> Curve:
        """What is kept of one track, with so many channels."""
        frames = np.flatnonzero(self._kept[track])
        first = int(self._kept[:track].sum())
        inner = self._inner[first : first + len(frames) - 1, :, :channels]
        return Curve(frames, self._given[track, frames, :channels], inner)


def _longest_pieces(scaled: Array) -> Mask:
    """(N, T) frames to keep, so that no piece is off by more than 1; ``scaled``: (N, T, 4).

    From the first frame on, always the longest piece that fits. Up to three frames long, it fits exactly.
    """
    tracks, frames, _ = scaled.shape
    scaled = scaled.astype(np.float32)
    longest = np.minimum(3, frames - 1 - np.arange(frames)) * np.ones((tracks, 1), dtype=int)
    fits = np.ones((tracks, frames), dtype=bool)
    for length in _lengths(frames):
        fits[:, frames - length :] = False
        track, start = np.nonzero(fits)
        if not len(track):
            break
        step = -(-length // _TRIED_FRAMES)
        windows = sliding_window_view(scaled, length + 1, axis=1)[..., ::step]
        residual = _residual(length // step)
        for batch in range(0, len(track), _BATCH):
            part = track[batch : batch + _BATCH], start[batch : batch + _BATCH]
            off = windows[part] @ residual.T
            fits[part] = np.einsum("pcf,pcf->pf", off, off).max(axis=-1) <= 1.0
        longest[fits] = length

    kept = np.zeros((tracks, frames), dtype=bool)
    row, at = np.arange(tracks), np.zeros(tracks, dtype=int)
    while (at < frames - 1).any():
        kept[row, at] = True
        at = at + longest[row, at]
    kept[:, -1] = True
    return kept


def _lengths(frames: int) -> list[int]:
    """The lengths to try, in frames, up to as long as so many frames allow; all of them even steps."""
    longest = frames - 1
    step = max(-(-longest // _TRIED_FRAMES), 1)
    return [*(length for length in _LENGTHS if length < longest), *([longest // step * step] if longest > 3 else [])]


@cache
def _residual(length: int) -> Array:
    """(length - 1, length + 1): from a piece's frames to how far its inner ones are off the fitted cubic."""
    share = np.arange(1, length) / length
    design = np.column_stack([share * (1.0 - share) ** 2, share**2 * (1.0 - share)])
    off = np.column_stack([share - 1.0, np.eye(length - 1), -share])
    return ((np.eye(length - 1) - design @ np.linalg.pinv(design)) @ off).astype(np.float32)


# --- the body --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Node:
    """A bone that turns by itself. ``above``: the position of the next such bone up the chain, -1 for none.

    ``rotation``, ``location``: positions of its tracks, -1 for none. ``points``: (P, 3) all that moves with it
    rigidly, from its head at rest, armature space. ``lever``: metres in the world to the farthest point
    at rest that it moves, also by the bones below.
    """

    bone: int
    above: int
    rotation: int
    location: int
    points: Array
    lever: float


@dataclass(frozen=True, eq=False)
class _Errors:
    """``own``: (N, T) of each track alone, radians or metres. ``turns``: (K, T) radians and ``moves``: (K, T) metres
    of the nodes, with all that is above them."""

    own: Array
    turns: Array
    moves: Array


class _Body:
    """Poses the rig by the tracks' values, and tells two such poses apart."""

    def __init__(self, rig: Rig, tracks: Sequence[Track], values: Array, parents: Mapping[str, str]) -> None:
        self._rig = rig
        self._tracks = tracks
        self._nodes = _nodes(rig, tracks, parents)
        self._world = rig.world[:3, :3]
        self._given = values
        self._rotations = self._basis(values)
        self._turns, self._heads = self._posed(values, self._rotations)

    def weights(self, radians: float, metres: float) -> Array:
        """(N, 4) factors for the tracks' channels: they make the largest error allowed, one track alone, 1."""
        weights = np.zeros((len(self._tracks), 4))
        for node in self._nodes:
            if node.rotation >= 0:
                track = self._tracks[node.rotation]
                weights[node.rotation] = 1.0 / min(radians, metres / max(node.lever, 1e-9))
                if track.mode == "QUATERNION":
                    weights[node.rotation] *= 2.0  # the angle between unit quaternions is twice their distance
                elif track.mode == "AXIS_ANGLE":
                    weights[node.rotation, 1:] *= 2.0 * np.abs(np.sin(track.values[:, 0] / 2.0)).max()
            if node.location >= 0:
                axes = self._world @ rot.to_matrix(self._rig.rotations[node.bone])
                weights[node.location, :3] = np.linalg.norm(axes, axis=0) / metres
        return weights

    def errors(self, values: Array) -> _Errors:
        """How far the pose of ``values`` (N, T, 4) is from the given one."""
        rotations = self._basis(values)
        turns, heads = self._posed(values, rotations)
        own = rot.angle(rot.multiply(rot.conjugate(self._rotations), rotations))
        moves = np.empty(turns.shape[:2])
        off = turns - self._turns
        # A rotation's difference as a matrix has the norm sqrt(8) sin(angle / 2).
        size = np.sqrt(np.einsum("ktij,ktij->kt", off, off) / 8.0)
        for k, node in enumerate(self._nodes):
            moved = self._world @ (off[k] @ node.points.T + (heads[k] - self._heads[k])[:, :, None])
            moves[k] = np.sqrt(np.einsum("tip,tip->tp", moved, moved).max(axis=-1))
            if node.location >= 0:
                axes = self._world @ rot.to_matrix(self._rig.rotations[node.bone])
                moved = (values - self._given)[node.location, :, :3] @ axes.T
                own[node.location] = np.linalg.norm(moved, axis=-1)
        return _Errors(own, 2.0 * np.arcsin(np.minimum(size, 1.0)), moves)

    def blamed(self, errors: _Errors, radians: float, metres: float) -> Mask:
        """(N, T) where the track does most, of all above a bone, to make that bone err by more than is allowed."""
        shape = errors.turns.shape
        most_turn, most_move = np.zeros(shape), np.zeros(shape)
        turner, mover = np.zeros(shape, dtype=int), np.zeros(shape, dtype=int)
        for k, node in enumerate(self._nodes):
            if node.above >= 0:
                for array in (most_turn, most_move, turner, mover):
                    array[k] = array[node.above]
            if node.rotation >= 0:
                own = errors.own[node.rotation]
                _take_larger(most_turn[k], turner[k], own, node.rotation)
                _take_larger(most_move[k], mover[k], own * node.lever, node.rotation)
            if node.location >= 0:
                _take_larger(most_move[k], mover[k], errors.own[node.location], node.location)
        blamed = np.zeros(errors.own.shape, dtype=bool)
        for track, wrong in ((turner, errors.turns > radians), (mover, errors.moves > metres)):
            blamed[track[wrong], np.nonzero(wrong)[1]] = True
        return blamed

    def _basis(self, values: Array) -> Array:
        """(N, T, 4) pose-bone basis quaternions; none for locations."""
        rotations = np.tile(rot.IDENTITY, (*values.shape[:2], 1))
        for row, track, numbers in zip(rotations, self._tracks, values, strict=True):
            if track.mode != LOCATION:
                row[:] = to_rotations(numbers[:, : track.values.shape[1]], track.mode)
        return rotations

    def _posed(self, values: Array, rotations: Array) -> tuple[Array, Array]:
        """(K, T, 3, 3) how the nodes are turned from rest, and (K, T, 3) where their heads are, armature space."""
        frames = values.shape[1]
        turns, heads = np.empty((len(self._nodes), frames, 3, 3)), np.empty((len(self._nodes), frames, 3))
        still = np.broadcast_to(np.eye(3), (frames, 3, 3))
        for k, node in enumerate(self._nodes):
            rest = rot.to_matrix(self._rig.rotations[node.bone])
            above = still if node.above < 0 else turns[node.above]
            heads[k] = self._rig.heads[node.bone]
            if node.above >= 0:
                offset = self._rig.heads[node.bone] - self._rig.heads[self._nodes[node.above].bone]
                heads[k] = heads[node.above] + above @ offset
            if node.location >= 0:
                heads[k] += np.einsum("tij,tj->ti", above, values[node.location, :, :3] @ rest.T)
            turns[k] = above if self._rig.inherits_rotation[node.bone] else still
            if node.rotation >= 0:
                turns[k] = turns[k] @ (rest @ rot.to_matrix(rotations[node.rotation]) @ rest.T)
        return turns, heads


def _take_larger(most: Array, who: NDArray[np.intp], own: Array, track: int) -> None:
    larger = own > most
    most[larger] = own[larger]
    who[larger] = track


def _nodes(rig: Rig, tracks: Sequence[Track], parents: Mapping[str, str]) -> list[_Node]:
    """The bones that turn by themselves, above before below."""
    above_of = list(rig.parents)
    for name, parent in parents.items():
        above_of[rig.indices[name]] = rig.indices.get(parent, -1)
    order = _top_down(rig, above_of)
    tracked = {rig.indices[track.bone] for track in tracks}
    node_of: dict[int, int] = {-1: -1}  # bone: position of the node that it is or moves with
    bones: list[int] = []
    above: list[int] = []
    points: list[list[Array]] = []
    for bone in order:
        carrier = node_of[above_of[bone]]
        if carrier >= 0:
            points[carrier].append(rig.heads[bone] - rig.heads[bones[carrier]])
        if bone in tracked or not rig.inherits_rotation[bone]:
            above.append(carrier)
            bones.append(bone)
            points.append([np.zeros(3)])
            carrier = len(bones) - 1
        node_of[bone] = carrier
        if carrier >= 0:
            points[carrier].append(rig.tails[bone] - rig.heads[bones[carrier]])
    which = {(track.bone, track.mode == LOCATION): k for k, track in enumerate(tracks)}
    moved = [np.array(own) + rig.heads[bone] for own, bone in zip(points, bones, strict=True)]
    nodes = []
    for k in reversed(range(len(bones))):
        far = (moved[k] - rig.heads[bones[k]]) @ rig.world[:3, :3].T
        lever = float(np.linalg.norm(far, axis=-1).max())
        name = rig.names[bones[k]]
        rotation, location = (which.get((name, is_location), -1) for is_location in (False, True))
        nodes.append(_Node(bones[k], above[k], rotation, location, np.array(points[k]), lever))
        if above[k] >= 0 and rig.inherits_rotation[bones[k]]:
            moved[above[k]] = np.concatenate([moved[above[k]], moved[k]])
    return nodes[::-1]


def _top_down(rig: Rig, above_of: Sequence[int]) -> list[int]:
    """The bones, each after the one that it follows. Raises RigError where some follow each other round."""
    order: list[int] = []
    placed = {-1}
    waiting = list(range(len(rig)))
    while waiting:
        ready = [bone for bone in waiting if above_of[bone] in placed]
        if not ready:
            raise RigError(f"The bone “{rig.names[waiting[0]]}” follows itself: map its bones anew.")
        order += ready
        placed.update(ready)
        waiting = [bone for bone in waiting if bone not in placed]
    return order
