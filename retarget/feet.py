"""Feet that stay where they stand: contact-aware clean-up with two-bone inverse kinematics.

``lock_feet`` does it for a Motion; ``steady``, ``plant``, ``settle`` and ``bend`` are its four steps, which
``solve`` uses again for legs of other proportions, with ``uncurl`` for toes that are more than a point.
Arrays hold both feet: (T, 2, ...), left first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from . import rotations as rot
from .motion import Motion
from .rotations import Array
from .skeleton import ANKLE_HEIGHT, FOOT_HEIGHT, SMPL, forward_kinematics

Mask = NDArray[np.bool_]

# Joints of the legs, (left, right).
HIPS, KNEES, ANKLES, TOES = [1, 2], [4, 5], [7, 8], [10, 11]

# A contact begins where it is this sure and lasts while it is at least that sure.
_ENTER, _STAY = 0.6, 0.4
# Seconds: shorter gaps between contacts are closed, shorter contacts are none.
_SHORTEST_GAP, _SHORTEST_CONTACT = 0.1, 0.05
# A foot that strays farther than this (m) from its place is meant to move: its contact is divided. One that is never
# faster than this (m/s) only drifts, and may stray farther.
_STRAY, _DRIFT, _STEP = 0.15, 0.25, 0.8
# A contact during which the foot travels faster than this on the whole (m/s) is a glide: let it go.
_GLIDE = 0.22
# Seconds a foot takes to or from its place, at least and per metre of correction.
_EASE, _EASE_PER_METRE = 0.2, 4.0
# A joint higher than this (m) over where it would stand is in the air, whatever its contact says.
_LIFTED = 0.12
# A foot flat on the floor that turns farther than this (radians) from its heading pivots: let it turn.
_PIVOT = 0.5
# A foot that stands flatter than the first (radians) lies flat; one that slopes by the second or more keeps its slope.
_FLAT = (0.1, 0.2)
# Width (m) of the soft corner with which a foot comes down on the floor.
_CORNER = 0.002
# Radians that toes bend back at most, and the width of the soft corner with which they begin to.
_MAX_CURL, _CURL_CORNER = 1.2, 0.02
# Share of a leg's full length it may reach, unless it was straighter before.
_REACH = 0.995
# Metres the pelvis may sink for the feet's sake, and the seconds it takes, in a captured motion too.
_MAX_DROP, _DROP_TIME, _SEEN_DROP_TIME = 0.06, 0.2, 0.1


@dataclass(frozen=True)
class Heights:
    """Metres above the floor of ankles and toe joints when the sole is flat, for left and right."""

    ankles: tuple[float, float] = (ANKLE_HEIGHT, ANKLE_HEIGHT)
    toes: tuple[float, float] = (FOOT_HEIGHT, FOOT_HEIGHT)


def lock_feet(motion: Motion, danced: Motion | None = None, *, captured: bool = False) -> Motion:
    """The motion with its feet kept in place while ``motion.contacts`` say that they stand.

    During a contact the ankle or toe joint keeps one place on the floor; before and after, the
    correction eases in and out. No foot joint goes below the floor. Feet keep their orientation, but for
    the heading while heel and toe both stand; knees keep their plane; the pelvis sinks a little where a
    leg could not reach. Glides and pivots, contacts during which the foot really travels, are let go.
    ``danced``: the same motion before it was led along another path, where it was; in it the feet tell glides.
    ``captured``: its feet are off by centimetres, which would bend stretched legs all the time: the pelvis sinks only
    for feet that stand, and no longer than it must.
    """
    positions, turned = forward_kinematics(SMPL, motion.rotations, motion.root)
    hips, knees, ankles, toes = (positions[:, joints] for joints in (HIPS, KNEES, ANKLES, TOES))
    contacts = possible_contacts(ankles, toes, motion.contacts)
    heading = steady(ankles, toes, contacts, motion.fps)
    toes = ankles + rot.rotate(heading, toes - ankles)
    dancer = None
    if danced is not None:
        feet = danced.positions()
        dancer = feet[:, ANKLES], feet[:, TOES]
    targets = ankles + plant(ankles, toes, contacts, motion.fps, dancer=dancer)
    if captured:
        stands = np.maximum(contacts[:, :2], contacts[:, 2:])[..., None] > _ENTER
        drop = settle(hips, knees, ankles, np.where(stands, targets, ankles), motion.fps, _SEEN_DROP_TIME)
    else:
        drop = settle(hips, knees, ankles, targets, motion.fps)
    down = np.zeros((len(motion), 1, 3))
    down[..., 2] = -drop[:, None]
    forward = rot.rotate(turned[:, HIPS], [0.0, -1.0, 0.0])
    thigh, shin = bend(hips + down, knees + down, ankles + down, targets, forward)

    thighs, shins = rot.multiply(thigh, turned[:, HIPS]), rot.multiply(shin, turned[:, KNEES])
    rotations = np.array(motion.rotations)
    rotations[:, HIPS] = rot.multiply(rot.conjugate(turned[:, :1]), thighs)
    rotations[:, KNEES] = rot.multiply(rot.conjugate(thighs), shins)
    rotations[:, ANKLES] = rot.multiply(rot.conjugate(shins), rot.multiply(heading, turned[:, ANKLES]))
    return replace(motion, root=motion.root + down[:, 0], rotations=rotations)


def possible_contacts(ankles: Array, toes: Array, contacts: Array, heights: Heights | None = None) -> Array:
    """``contacts`` (T, 4) without those of feet that are in the air; ``ankles``, ``toes``: (T, 2, 3) metres."""
    heights = heights or Heights()
    above = np.concatenate([ankles[..., 2] - heights.ankles, toes[..., 2] - heights.toes], axis=1)
    return np.where(above > _LIFTED, 0.0, contacts)


def steady(ankles: Array, toes: Array, contacts: Array, fps: float, heights: Heights | None = None) -> Array:
    """Turns of the feet, (T, 2, 4), that keep them from turning and rocking while ankle and toe both stand.

    ``ankles``, ``toes``: (T, 2, 3) metres. ``contacts``: (T, 4) as in Motion. A sole that is nearly flat comes
    to lie flat; a foot on its ball keeps its slope; a foot that pivots keeps its slope alone.
    """
    heights = heights or Heights()
    turns = np.zeros((len(ankles), 2, 3))
    for side in (0, 1):
        span = toes[:, side] - ankles[:, side]
        level = np.linalg.norm(span[:, :2], axis=-1)
        length = np.linalg.norm(span, axis=-1)
        heading = np.unwrap(np.arctan2(span[:, 1], span[:, 0]))
        slope = np.arctan2(span[:, 2], level)
        wanted = np.array(span)
        held = np.zeros(len(span), dtype=bool)
        for start, stop in _stretches(contacts[:, [side, side + 2]].min(axis=1), fps):
            part = slice(start, stop)
            own = _median(heading[part])
            ahead = np.where(np.abs(heading[part] - own).max() <= _PIVOT, own, heading[part])
            flat = float(np.arcsin(np.clip((heights.toes[side] - heights.ankles[side]) / length[start], -1.0, 1.0)))
            off = float(_median(slope[part])) - flat
            down = flat + off * np.interp(abs(off), _FLAT, (0.0, 1.0))
            wanted[part] = np.column_stack(
                [np.cos(down) * np.cos(ahead), np.cos(down) * np.sin(ahead), np.full(stop - start, np.sin(down))]
            )
            held[part] = True
        if held.any():
            turns[held, side] = rot.to_axis_angle(rot.between(span[held], wanted[held]))
            turns[:, side] = _eased(turns[:, side], held, fps)
    return rot.from_axis_angle(turns)


def plant(
    ankles: Array,
    toes: Array,
    contacts: Array,
    fps: float,
    heights: Heights | None = None,
    dancer: tuple[Array, Array] | None = None,
) -> Array:
    """How far each foot must be moved, (T, 2, 3) metres, to stand still during its contacts.

    ``ankles``, ``toes``: (T, 2, 3) metres above the floor z = 0. ``contacts``: (T, 4) as in Motion.
    ``dancer``: the ankles and toes whose contacts they are, where those are another body's. They tell
    whether a foot stands, steps or glides, since feet of other proportions stray while they turn.
    """
    heights = heights or Heights()
    shift = np.zeros(ankles.shape)
    for side in (0, 1):
        floors = (heights.ankles[side], heights.toes[side])
        joints = np.stack([ankles[:, side], toes[:, side]])
        judged = joints if dancer is None else np.stack([feet[:, side] for feet in dancer])
        shift[:, side] = _plant_one(joints, judged, contacts[:, [side, side + 2]].T, fps, floors)
        shift[:, side, 2] += _lift(joints[..., 2] + shift[:, side, 2], floors)
    return shift


def settle(hips: Array, knees: Array, ankles: Array, targets: Array, fps: float, seconds: float = _DROP_TIME) -> Array:
    """How far the pelvis must sink, (T,) metres, for both ankles to reach their ``targets``; smooth in time.

    All (T, 2, 3) metres, z up. ``seconds`` that it takes to sink and to rise again.
    """
    reach = _reach(hips, knees, ankles)
    to_target = hips - targets
    flat = np.sum(to_target[..., :2] ** 2, axis=-1)
    need = to_target[..., 2] - np.sqrt(np.maximum(reach**2 - flat, 0.0))
    need = np.clip(need, 0.0, _MAX_DROP).max(axis=1)
    if not need.any():
        return need
    return smoothly(need, seconds, fps)


def smoothly(least: Array, seconds: float, fps: float) -> Array:
    """(T,) values, ``least`` (T,) or more, that come within so many ``seconds`` and go as smoothly."""
    half = max(1, round(seconds * fps))
    highest = sliding_window_view(np.pad(least, 2 * half, mode="edge"), 2 * half + 1).max(axis=-1)
    kernel = np.hanning(2 * half + 3)[1:-1]
    return np.convolve(highest, kernel / kernel.sum(), mode="valid")


def bend(hips: Array, knees: Array, ankles: Array, targets: Array, forward: Array) -> tuple[Array, Array]:
    """Turns of thighs and shins, (T, 2, 4) world quaternions, that bring the ankles to their ``targets``.

    ``hips``, ``knees``, ``ankles``, ``targets``: (T, 2, 3). ``forward``: (T, 2, 3), where a stretched
    knee would bend. The knee keeps its side of the leg; a leg that can't reach points to its target.
    """
    upper, lower = np.linalg.norm(knees - hips, axis=-1), np.linalg.norm(ankles - knees, axis=-1)
    old_axis, old_side, old_bulge = _knee(hips, knees, ankles)
    axis = targets - hips
    distance = np.linalg.norm(axis, axis=-1)
    axis = axis / np.maximum(distance, 1e-9)[..., None]
    distance = np.clip(distance, np.abs(upper - lower) * 1.001 + 1e-9, _reach(hips, knees, ankles, 0.9999))
    # Law of cosines: the knee's place along the hip-ankle line and beside it.
    along = (upper**2 - lower**2 + distance**2) / (2.0 * distance)
    bulge = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    # Carried over with the leg, the old side; what bends more bends forward, so a stretched leg has a side too.
    carried = rot.rotate(rot.between(old_axis, axis), old_side * old_bulge[..., None])
    ahead = _across(forward, axis)
    side = carried + np.maximum(bulge - old_bulge, 0.0)[..., None] * ahead
    size = np.linalg.norm(side, axis=-1, keepdims=True)
    side = np.where(size > 1e-9, side / np.maximum(size, 1e-9), ahead)
    side = _across(side, axis)
    new_knees = hips + along[..., None] * axis + bulge[..., None] * side
    new_ankles = hips + distance[..., None] * axis
    return rot.between(knees - hips, new_knees - hips), rot.between(ankles - knees, new_ankles - new_knees)


def uncurl(toes: Array, tips: Array, floors: tuple[float, float]) -> Array:
    """Turns, (T, 2, 4), that take the tips of toes out of the floor, so that they lie flat while the heel rises.

    ``toes``, ``tips``: (T, 2, 3), the toes' two ends. ``floors``: heights of the tips when the foot is flat.
    """
    span = tips - toes
    length = np.maximum(np.linalg.norm(span, axis=-1), 1e-9)
    needed = np.arcsin(np.clip((np.array(floors) - toes[..., 2]) / length, -1.0, 1.0))
    missing = np.clip(needed - np.arcsin(np.clip(span[..., 2] / length, -1.0, 1.0)), -1.0, _MAX_CURL)
    angle = 0.5 * (missing + np.sqrt(missing**2 + _CURL_CORNER**2) - _CURL_CORNER)
    axis = np.stack([span[..., 1], -span[..., 0], np.zeros(length.shape)], axis=-1)
    axis = axis / np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-9)
    return rot.from_axis_angle(axis * np.maximum(angle, 0.0)[..., None])


def _reach(hips: Array, knees: Array, ankles: Array, share: float = _REACH) -> Array:
    """(T, 2) metres, how far from the hip an ankle may be."""
    length = np.linalg.norm(knees - hips, axis=-1) + np.linalg.norm(ankles - knees, axis=-1)
    return np.maximum(share * length, np.linalg.norm(ankles - hips, axis=-1))


def _knee(hips: Array, knees: Array, ankles: Array) -> tuple[Array, Array, Array]:
    """Direction hip to ankle (T, 2, 3), the knee's direction off that line (T, 2, 3), its distance (T, 2)."""
    axis = ankles - hips
    axis = axis / np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-9)
    off = knees - hips
    off = off - np.sum(off * axis, axis=-1, keepdims=True) * axis
    bulge = np.linalg.norm(off, axis=-1)
    return axis, off / np.maximum(bulge, 1e-9)[..., None], bulge


def _across(vector: Array, axis: Array) -> Array:
    """The unit part of ``vector`` at right angles to the unit ``axis``, both (..., 3)."""
    vector = vector - np.sum(vector * axis, axis=-1, keepdims=True) * axis
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def _lift(height: Array, floors: tuple[float, float]) -> Array:
    """(T,) metres that take ankle and toe at ``height`` (2, T) out of the floor, with a soft corner.

    The corner is a parabola between -w and w, so that a foot coming down stops within a few frames.
    """
    below = np.array(floors)[:, None] - height
    w = _CORNER
    soft = np.where(below > w, below, np.where(below > -w, (below + w) ** 2 / (4.0 * w), 0.0))
    return soft.max(axis=0)


def _plant_one(joints: Array, judged: Array, contacts: Array, fps: float, floors: tuple[float, float]) -> Array:
    """The shift (T, 3) of one foot.

    ``joints``: (2, T, 3) ankle and toe; ``judged``: (2, T, 3) those of the dancer; ``contacts``: (2, T).
    The longest contacts choose their places first. A later one of the other joint, which overlaps, takes
    the place where the foot then stands, so that rolling from heel to toe does not drag the foot along.
    While both stand the toe counts: a foot pivots and rises on its ball.
    """
    shifts, shares = np.zeros(joints.shape), np.zeros(joints.shape[:2])
    ramp = max(1.0, 0.1 * fps)
    held = [
        (which, slice(start + a, start + b), place)
        for which in (0, 1)
        for start, stop in _stretches(contacts[which], fps)
        for a, b, place in _places(joints[which, start:stop, :2], judged[which, start:stop, :2], fps)
    ]
    for which, part, place in sorted(held, key=lambda h: h[1].start - h[1].stop):
        path, other = joints[which, part], 1 - which
        shared = shares[other, part] > 0
        if shared.any():
            chosen = _median((path[:, :2] + shifts[other, part, :2])[shared])
            if _farthest(np.atleast_2d(place - chosen)) <= 1.5 * _STRAY:
                place = chosen
        shifts[which, part] = np.column_stack([place - path[:, :2], floors[which] + _CORNER - path[:, 2]])
        count = len(path)
        inside = np.minimum(np.arange(1, count + 1), np.arange(count, 0, -1))
        shares[which, part] = np.minimum(inside / ramp, 1.0)
    weights = np.stack([shares[0] * (1.0 - shares[1]), shares[1]])
    total = weights.sum(axis=0)
    mean = np.einsum("jt,jti->ti", weights, shifts) / np.maximum(total, 1e-9)[:, None]
    return _eased(mean, total > 0, fps)


def _stretches(sure: Array, fps: float) -> Iterator[tuple[int, int]]:
    """(start, stop) of the contacts: runs of at least _STAY that reach _ENTER, short gaps closed.

    Short ones are dropped, but not at the motion's ends, where they are cut off.
    """
    merged: list[list[int]] = []
    for start, stop in runs(sure >= _STAY):
        if sure[start:stop].max() < _ENTER:
            continue
        if merged and start - merged[-1][1] <= _SHORTEST_GAP * fps:
            merged[-1][1] = stop
        else:
            merged.append([start, stop])
    long_enough = max(2.0, _SHORTEST_CONTACT * fps)
    return ((a, b) for a, b in merged if b - a >= long_enough or a == 0 or b == len(sure))


def _median(rows: Array) -> Array:
    """The middle row of each sorted column; NumPy's own takes ten times as long on the few rows of a contact."""
    return np.sort(rows, axis=0)[len(rows) // 2]


def _farthest(off: Array) -> float:
    """The length of the longest of a few vectors (n, 2), n > 0."""
    return math.sqrt(float((off[:, 0] ** 2 + off[:, 1] ** 2).max()))


def runs(mask: Mask) -> list[tuple[int, int]]:
    """(start, stop) of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _places(path: Array, judged: Array, fps: float) -> Iterator[tuple[int, int, Array]]:
    """(start, stop, place) for a contact's path (n, 2) over the floor, and that of the dancer's foot (n, 2).

    ``place`` is (2,), where the foot stands, or the way (m, 2) that it glides. A contact that
    strays too far for one place is divided where it moves fastest, with room to move between.
    """
    room = max(1, round(_EASE * fps / 2))
    waiting = [(0, len(path))]
    while waiting:
        start, stop = waiting.pop()
        part, count = judged[start:stop], stop - start
        glides = math.dist(part[-1], part[0]) * fps > _GLIDE * count
        strayed = _farthest(part - _median(part))
        if strayed <= _STRAY or (strayed <= _DRIFT and not glides and _farthest(part[1:] - part[:-1]) * fps < _STEP):
            yield start, stop, _median(path[start:stop])
        elif count < 4 * room or glides:
            yield start, stop, part + _median(path[start:stop] - part)
        else:
            # Not so near the ends that nothing would be left beside the cut.
            inner = slice(2 * room - 1, count - 2 * room)
            speed = np.linalg.norm(np.diff(part, axis=0)[inner], axis=-1)
            cut = start + 2 * room + (int(np.argmax(speed)) if len(speed) else 0)
            waiting += [(start, cut - room), (cut + room, stop)]


def _eased(shift: Array, held: Mask, fps: float) -> Array:
    """``shift`` (T, 3), given where ``held``, carried on smoothly through the frames between."""
    shift = np.array(shift)
    for start, stop in runs(~held):
        value0, slope0 = _edge(shift, held, start - 1, -1)
        value1, slope1 = _edge(shift, held, stop, 1)
        gap = stop - start + 1
        ease0, ease1 = (_ease_frames(value, fps) for value in (value0, value1))
        t = np.arange(1, gap)[:, None]
        if start == 0 and stop == len(shift):
            continue
        if start > 0 and stop < len(shift) and ease0 + ease1 > gap:
            shift[start:stop] = _hermite(t / gap, value0, slope0 * gap, value1, slope1 * gap)
            continue
        out = _fade(np.minimum(t / ease0, 1.0), value0, slope0 * ease0)
        into = _fade(np.minimum((gap - t) / ease1, 1.0), value1, -slope1 * ease1)
        shift[start:stop] = out + into
    return shift


def _edge(shift: Array, held: Mask, frame: int, step: int) -> tuple[Array, Array]:
    """The shift at a held ``frame`` and its change per frame towards later times; zeros off the ends.

    ``step``: the direction in which the held frames go on.
    """
    if not 0 <= frame < len(shift):
        return np.zeros(3), np.zeros(3)
    beside = frame + step
    if not 0 <= beside < len(shift) or not held[beside]:
        return shift[frame], np.zeros(3)
    return shift[frame], (shift[beside] - shift[frame]) * step


def _ease_frames(value: Array, fps: float) -> float:
    return fps * (_EASE + _EASE_PER_METRE * math.hypot(*value))


def _fade(t: Array, p0: Array, m0: Array) -> Array:
    """Cubic from ``p0`` with slope ``m0`` at t = 0 to rest at zero at t = 1."""
    rest = (1.0 - t) ** 2
    return rest * (1.0 + 2.0 * t) * p0 + rest * t * m0


def _hermite(t: Array, p0: Array, m0: Array, p1: Array, m1: Array) -> Array:
    """Cubic from ``p0`` with slope ``m0`` at t = 0 to ``p1`` with ``m1`` at t = 1."""
    t2, t3 = t * t, t * t * t
    return (2 * t3 - 3 * t2 + 1) * p0 + (t3 - 2 * t2 + t) * m0 + (3 * t2 - 2 * t3) * p1 + (t3 - t2) * m1
