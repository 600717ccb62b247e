"""Which bone of a rig plays which joint of SMPL: ``find_map`` goes by names, else by structure."""

from .bone_map import BoneMap, Switch
from .check import REQUIRED, SPINE, check_map
from .convention import Convention
from .conventions import CONVENTIONS
from .find import find_map, map_by_names
from .mirror import mirrored
from .preset import load_map, map_from_json, map_to_json, save_map

__all__ = [
    "CONVENTIONS",
    "REQUIRED",
    "SPINE",
    "BoneMap",
    "Convention",
    "Switch",
    "check_map",
    "find_map",
    "load_map",
    "map_by_names",
    "map_from_json",
    "map_to_json",
    "mirrored",
    "save_map",
]
