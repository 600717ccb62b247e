"""The sizes of what goes into the lifter's network and what comes out."""

from __future__ import annotations

from ....retarget.skeleton import SMPL_NAMES
from ..landmarks import POINTS

INPUTS = 3 * len(POINTS) + 1  # pixels and confidence of every point, the person's size
SHAPE = 3 * (len(POINTS) + len(SMPL_NAMES) - 1)  # points, and joints but the pelvis, relative to it
OUTPUTS = SHAPE + 3 + 3  # and the pelvis' place, and up
