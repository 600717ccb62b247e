"""Where over the floor a dance goes: steered back before it drifts off."""

from __future__ import annotations

import numpy as np

from ...retarget.rotations import Array
from . import representation as rep

_RADIUS = 1.5  # metres from the start within which the dance goes where it likes
_FULL = 3.0  # metres from the start at which it is steered with full strength
_FASTEST = 0.35  # rad/s added to the heading at most: a pivot of a dancer, not a spin
_MEMORY = 1.0  # seconds over which the direction of travel is judged


def stay_near(features: Array, fps: float) -> Array:
    """Features (T, 152) of the same dance, its heading bent so that its path curves back to the start.

    A dance integrated from velocities walks off in the course of a song. Turning it slowly about the
    vertical keeps every step as it is; pulling its root back would make the feet slide. Beyond 1.5 m from
    the start, a dance that travels outwards is turned inwards, by at most 0.35 rad/s.
    """
    bent = np.array(features)
    place, travel, yaw = 0j, 0j, 0.0
    keep = np.exp(-1.0 / (_MEMORY * fps))
    own = features[:, rep.VELOCITY] @ np.array([1, 1j])
    for frame, (velocity, rate) in enumerate(zip(own, features[:, rep.YAW_RATE], strict=True)):
        away = (abs(place) - _RADIUS) / (_FULL - _RADIUS)
        extra = 0.0
        if away > 0 and travel != 0:
            # angle from the way it goes to the way home
            extra = float(_FASTEST * min(away, 1.0) * np.angle(-place / travel) / np.pi)
            bent[frame, rep.YAW_RATE] += extra
        yaw += (rate + extra) / fps
        # the memory turns along, since everything that follows does
        travel = (keep * travel + (1 - keep) * velocity * np.exp(1j * yaw)) * np.exp(1j * extra / fps)
        place += velocity * np.exp(1j * yaw) / fps
    return bent
