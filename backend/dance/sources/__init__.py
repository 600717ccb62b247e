"""Recorded dances of every source as Motions: on our skeleton, on the floor, at one frame rate.

``load_dances`` reads dances with their songs, ``load_unpaired`` dances without music.
"""

from .dance import Dance, DataError, NoDancesError, Skip, ignore
from .folder import check_split, genres_of, load_dances
from .manifest import SPLITS
from .unpaired import check_unpaired, load_unpaired

__all__ = [
    "SPLITS",
    "Dance",
    "DataError",
    "NoDancesError",
    "Skip",
    "check_split",
    "check_unpaired",
    "genres_of",
    "ignore",
    "load_dances",
    "load_unpaired",
]
