"""Bodies of many proportions, and the points of them that a detector sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....retarget import rotations as rot
from ....retarget.motion import Motion
from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL, SMPL_MIRROR, SMPL_NAMES, SMPL_PARENTS
from ..landmarks import MIRROR, POINTS

# Where each of POINTS is: the joint that carries it, and the offset from there at rest in metres (a T pose facing
# -y, left towards +x), of an adult of 1.75 m. Left and middle; the right side mirrors them. The face by the usual
# shares of stature; hips and shoulders by what detectors' points, triangulated, are apart: hips outside the joints.
_CARRIED = {
    "nose": ("head", (0.0, -0.135, 0.025)),
    "left_eye": ("head", (0.032, -0.105, 0.058)),
    "left_ear": ("head", (0.075, -0.008, 0.035)),
    "left_shoulder": ("left_shoulder", (0.0, 0.0, 0.0)),
    "left_elbow": ("left_elbow", (0.0, 0.0, 0.0)),
    "left_wrist": ("left_wrist", (0.0, 0.0, 0.0)),
    "left_hip": ("left_hip", (0.018, 0.0, 0.005)),
    "left_knee": ("left_knee", (0.0, 0.0, 0.0)),
    "left_ankle": ("left_ankle", (0.0, 0.0, 0.0)),
    "left_heel": ("left_ankle", (0.0, 0.052, -0.050)),
    "left_toe": ("left_foot", (-0.010, -0.062, -0.004)),
    "left_index": ("left_wrist", (0.090, -0.020, -0.008)),
    "left_pinky": ("left_wrist", (0.078, 0.036, -0.008)),
}  # fmt: skip

# How bodies differ, standard deviations: of stature and of each part's length beside it (shares), of how far forward
# the head is held, and of where detectors put a point (m).
_STATURE, _PART, _FORWARD, _PLACE = 0.05, 0.07, 0.025, 0.012


def _carriers() -> tuple[Array, Array]:
    joints, offsets = np.zeros(len(POINTS), dtype=int), np.zeros((len(POINTS), 3))
    for i, name in enumerate(POINTS):
        joint, offset = _CARRIED.get(name) or _CARRIED[name.replace("right", "left")]
        mirrored = name not in _CARRIED
        joints[i] = SMPL_NAMES.index(joint.replace("left", "right") if mirrored else joint)
        offsets[i] = np.multiply(offset, (-1.0 if mirrored else 1.0, 1.0, 1.0))
    return joints, offsets


CARRIERS, _PLACES = _carriers()
# The joint that carries each joint, and each point.
_CARRIED_BY = np.concatenate([SMPL_PARENTS, CARRIERS])


@dataclass(frozen=True, eq=False)
class Body:
    """A body's measures: ``offsets`` (..., 24, 3) of the joints from their parents, ``places`` (..., 25, 3) of the
    points from the joints that carry them, both at rest, in metres. More bodies than one are along the first axes."""

    offsets: Array
    places: Array


STANDARD = Body(SMPL.offsets, _PLACES)


def random_bodies(rng: np.random.Generator, count: int) -> Body:
    """Bodies of other proportions, each the same on both sides."""
    stature = np.exp(rng.normal(0.0, _STATURE, (count, 1, 1)))
    joints = np.exp(rng.normal(0.0, _PART, (count, len(SMPL_NAMES), 1)))
    # The sideways measures of hips, collars and shoulders vary on their own, and those are what width is.
    width = np.exp(rng.normal(0.0, _PART, (count, len(SMPL_NAMES), 1))) * [1.0, 0.0, 0.0] + [0.0, 1.0, 1.0]
    first = np.minimum(np.arange(len(SMPL_NAMES)), SMPL_MIRROR)
    offsets = SMPL.offsets * (joints * width)[:, first]
    offsets[:, SMPL_NAMES.index("head"), 1] += rng.normal(0.0, _FORWARD, count)
    places = _PLACES + _symmetric(rng.normal(0.0, _PLACE, (count, *_PLACES.shape)))
    return Body(offsets * stature, places * stature)


def _symmetric(shift: Array) -> Array:
    """(..., 25, 3) shifts of the right side's points made those of the left side's, mirrored."""
    partner = np.array(MIRROR)
    right = partner < np.arange(len(partner))
    return np.where(right[:, None], shift[..., partner, :] * [-1.0, 1.0, 1.0], shift)


def turns(rotations: Array) -> Array:
    """(24, T, 3, 3) matrices of (T, 24, 4) local rotations."""
    return np.ascontiguousarray(np.moveaxis(rot.to_matrix(np.asarray(rotations)), 1, 0))


def pose(body: Body, turns: Array, root: Array) -> tuple[Array, Array]:
    """Points (..., T, 25, 3) and joints (..., T, 24, 3) of bodies, in the world.

    ``turns``: (24, ..., T, 3, 3) local rotations of the joints, ``root``: (..., T, 3).
    """
    rest = np.concatenate([body.offsets, body.places], axis=-2).astype(turns.dtype)[..., None, :, :]
    world, at = turns.copy(), np.empty((*root.shape[:-1], rest.shape[-2], 3), dtype=turns.dtype)
    at[..., 0, :] = root
    for joint, parent in enumerate(SMPL_PARENTS):
        if parent >= 0:
            np.matmul(world[parent], turns[joint], out=world[joint])
        carried = np.flatnonzero(joint == _CARRIED_BY)
        if carried.size:
            steps = world[joint] @ np.ascontiguousarray(np.swapaxes(rest[..., carried, :], -1, -2))
            at[..., carried, :] = at[..., joint, None, :] + np.swapaxes(steps, -1, -2)
    return at[..., len(turns) :, :], at[..., : len(turns), :]


def body_points(motion: Motion, body: Body = STANDARD) -> tuple[Array, Array]:
    """Points (T, 25, 3), in the order of POINTS, and SMPL joints (T, 24, 3) of a motion, in its world, metres."""
    return pose(body, turns(motion.rotations), np.asarray(motion.root))
