"""Where dances were read before ``sources``."""

from .sources import SPLITS, Dance, DataError, from_markers, load_dances

__all__ = ["SPLITS", "Dance", "DataError", "from_markers", "load_dances"]
