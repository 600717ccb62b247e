"""The bone map of an armature as the user sees and edits it: a table, presets, a check of the rest pose.

``map_of`` is the map that was edited on an armature, ``keep_map`` puts one there. Nothing else of the
armature is touched.
"""

from __future__ import annotations

from .storage import clear_map, keep_map, map_of

__all__ = ["clear_map", "keep_map", "map_of"]
