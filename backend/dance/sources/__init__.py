"""Recorded dances of every source as Motions: on our skeleton, on the floor, at one frame rate.

``load_dances`` reads dances with their songs, ``load_unpaired`` dances without music.
"""

from .dance import Dance, DataError
from .tang2018 import SPLITS, from_markers, load_dances
from .unpaired import load_unpaired

__all__ = ["SPLITS", "Dance", "DataError", "from_markers", "load_dances", "load_unpaired"]
