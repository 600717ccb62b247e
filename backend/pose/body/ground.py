"""The floor under the feet, and when they rest on it."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

from ....retarget.motion import Motion, detect_contacts
from ....retarget.rotations import Array
from ....retarget.skeleton import ANKLE_HEIGHT, CONTACT_JOINTS, FOOT_HEIGHT

_HEIGHTS = np.array([ANKLE_HEIGHT, ANKLE_HEIGHT, FOOT_HEIGHT, FOOT_HEIGHT])


def floor_height(positions: Array) -> float:
    """Metres, where the lower foot's sole mostly is; ``positions``: (T, 24, 3)."""
    soles = positions[:, list(CONTACT_JOINTS), 2] - _HEIGHTS
    return float(np.percentile(soles.min(axis=1), 25))


def find_contacts(motion: Motion) -> Array:
    """(T, 4) contacts of the feet of a motion that stands on its floor, without those of single frames."""
    found = detect_contacts(motion.positions(), motion.fps)
    return np.asarray(median_filter(found, size=(max(3, int(motion.fps / 10) | 1), 1), mode="nearest"))
