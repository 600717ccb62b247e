"""Which way a palm faces at rest, told by the fingers' bones; many a rig does not model hands as SMPL does."""

from __future__ import annotations

import numpy as np

from .rig import Rig
from .rotations import Array

# A rest pose's roll of less than the first (degrees) is left as the rig's own shape; from the second on it is undone.
_OWN_SHAPE = (15.0, 30.0)
# The thumb ends nearer to the wrist than the other fingers, by this share of the hand's length.
_SHORTER = 0.1


def thumb_side(rig: Rig, hand: int) -> Array | None:
    """(3,) unit vector across the hand from the little finger to the index, armature space; None where not known.

    ``hand``: index of the hand's bone. Needs a thumb, the finger that ends next to the wrist, and two more.
    """
    fingers = _fingers(rig, hand)
    if len(fingers) < 3:
        return None
    middles, tips = (np.stack(points) for points in zip(*fingers, strict=True))
    along = np.mean(tips, axis=0) - rig.heads[hand]
    length = float(np.linalg.norm(along))
    if length < 1e-9:
        return None
    along = along / length
    ends = (middles + tips - 2.0 * rig.heads[hand]) @ along / (2.0 * length)
    order = np.argsort(ends)
    if ends[order[1]] - ends[order[0]] < _SHORTER:
        return None
    others = middles[order[1:]]
    towards_thumb = middles[order[0]] - others.mean(axis=0)
    towards_thumb = towards_thumb - along * (towards_thumb @ along)
    spread = others @ towards_thumb
    across = others[np.argmax(spread)] - others[np.argmin(spread)]
    across = across - along * (across @ along)
    size = float(np.linalg.norm(across))
    return across / size if size > 0.05 * length else None


def palm_roll(thumb: Array, along: Array) -> float:
    """Radians about ``along`` (3,) that turn the thumb's side (3,) to the front, -y, so that the palm faces down.

    Both in the dance frame, of a hand in SMPL's T pose. A small roll is the rig's own shape and gives 0.
    """
    axis = along / np.linalg.norm(along)
    front = np.array([0.0, -1.0, 0.0])
    front, side = (v - axis * (v @ axis) for v in (front, thumb))
    roll = float(np.arctan2(np.cross(side, front) @ axis, side @ front))
    return roll * float(np.interp(abs(np.degrees(roll)), _OWN_SHAPE, (0.0, 1.0)))


def _fingers(rig: Rig, hand: int) -> list[tuple[Array, Array]]:
    """(middle, tip), (3,) armature space, of each finger: the last two or three bones of an unbranched chain."""
    below = [hand]
    for bone in below:
        below.extend(rig.children[bone])
    fingers = []
    for tip in (bone for bone in below[1:] if not rig.children[bone]):
        chain = [tip]
        while len(chain) < 3 and rig.parents[chain[-1]] != hand and len(rig.children[rig.parents[chain[-1]]]) == 1:
            chain.append(rig.parents[chain[-1]])
        if len(chain) > 1:
            fingers.append((np.vstack([rig.heads[chain], rig.tails[tip, None]]).mean(axis=0), rig.tails[tip]))
    return fingers
