"""A body that is carried by the foot it stands on: less of the glide that recorded dances are full of."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ...retarget import rotations as rot
from ...retarget.feet import ANKLES, TOES
from ...retarget.rotations import Array
from ...retarget.skeleton import ANKLE_HEIGHT, FOOT_HEIGHT
from . import representation as rep

_SLOW = 0.3  # m/s of sliding that hardly shows; what is faster is taken from the body
# Metres above where it stands up to which a heel or ball carries wholly, and from which on not at all.
_CARRIES = (0.02, 0.06)
_SLOWER = 0.2  # m/s by which a foot carries e times as much as a faster one
_SMOOTHING = 0.05  # s, standard deviation


def supported(features: Array, fps: float) -> Array:
    """Features (T, 152) in whose velocities the body travels less where the foot that carries it slides.

    In a quarter of the frames of recorded dances both feet travel close to the floor, and a model learns that; but
    nothing can accelerate a body then. Steps, poses and feet that stand stay as they are.
    """
    motion = rep.decode(features, fps)
    feet = motion.positions()[:, ANKLES + TOES]
    velocity = np.gradient(feet[..., :2], axis=0) * fps
    above = feet[..., 2] - np.repeat([ANKLE_HEIGHT, FOOT_HEIGHT], 2)
    low, high = _CARRIES
    near = np.clip((high - above) / (high - low), 0.0, 1.0)
    carries = near * np.exp(-np.linalg.norm(velocity, axis=-1) / _SLOWER)
    slide = (carries[..., None] * velocity).sum(axis=1) / np.maximum(carries.sum(axis=1), 1e-9)[:, None]
    slide *= near.max(axis=1)[:, None]
    speed = np.linalg.norm(slide, axis=-1, keepdims=True)
    slide *= np.maximum(speed - _SLOW, 0.0) / np.maximum(speed, 1e-9)
    slide = gaussian_filter1d(slide, _SMOOTHING * fps, axis=0)
    heading = rep.facing(rep.headings(motion))
    own = rot.rotate(rot.conjugate(heading), np.column_stack([slide, np.zeros(len(slide))]))
    out = np.array(features)
    out[:, rep.VELOCITY] -= own[:, :2].astype(features.dtype)
    return out
