"""Where dances were read before ``sources``."""

from .sources import SPLITS, Dance, DataError, load_dances

__all__ = ["SPLITS", "Dance", "DataError", "load_dances"]
