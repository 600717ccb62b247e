"""Bone maps as JSON files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import RigError
from ..placing import write_whole
from ..rig import Rig
from ..skeleton import SMPL_NAMES
from .bone_map import BoneMap, Quaternion, Switch
from .check import check_map

VERSION = 1
_FORMAT = "stepsmith bone map"
# No map of a real rig comes near these.
_LARGEST = 4 * 1024 * 1024
_MOST = 10_000
_LONGEST = 1024


def save_map(path: str | os.PathLike[str], bone_map: BoneMap) -> None:
    """Write ``bone_map`` as a JSON preset, whole or not at all. Raises RigError where it can't be written."""
    path = Path(path)
    text = json.dumps(map_to_json(bone_map), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        write_whole(path, text)
    except (OSError, UnicodeEncodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RigError(f"{path.name} can't be written ({reason}): choose another place for it.") from error


def load_map(path: str | os.PathLike[str], rig: Rig | None = None) -> BoneMap:
    """The bone map of a JSON preset, checked against ``rig`` where one is given.

    Raises RigError where the file can't be read, is no preset, or does not suit the rig.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise RigError(f"{path.name} can't be read ({error.strerror or error}): choose another file.") from error
    if len(data) > _LARGEST:
        raise RigError(f"{path.name} is too large for a bone map: choose a preset saved by Stepsmith.")
    try:
        found = map_from_json(json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once))
    except (ValueError, RecursionError) as error:
        raise RigError(f"{path.name} is no JSON file: choose a preset saved by Stepsmith.") from error
    except RigError as error:
        raise RigError(f"{path.name}: {error}") from error
    if rig is not None:
        check_map(rig, found)
    return found


def map_to_json(bone_map: BoneMap) -> dict[str, Any]:
    """``bone_map`` in types that JSON knows."""
    return {
        "format": _FORMAT,
        "version": VERSION,
        "convention": bone_map.convention,
        "confidence": bone_map.confidence,
        "bones": dict(bone_map.bones),
        "scores": dict(bone_map.scores),
        "pose": {bone: list(turn) for bone, turn in bone_map.pose.items()},
        "parents": dict(bone_map.parents),
        "switches": [{"bone": s.bone, "name": s.name, "value": s.value} for s in bone_map.switches],
    }


def map_from_json(data: Any) -> BoneMap:
    """The inverse of ``map_to_json``, of data that may come from anywhere.

    Raises RigError where it is no bone map, or one of a later Stepsmith.
    """
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise RigError("This is no bone map: choose a preset saved by Stepsmith.")
    version = data.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise RigError("This bone map says no version: save it anew.")
    if version > VERSION:
        raise RigError(f"This bone map is of version {version}, which a later Stepsmith wrote: update Stepsmith.")
    bones = _table(data, "bones", _text)
    if not bones:
        raise RigError("This bone map names no bones: save it anew.")
    unknown = next((joint for joint in bones.values() if joint not in SMPL_NAMES), None)
    if unknown is not None:
        raise RigError(f"This bone map names “{unknown}”, which is no part of the body: choose one that is.")
    switches = data.get("switches", [])
    if not isinstance(switches, list) or len(switches) > _MOST or not all(isinstance(s, dict) for s in switches):
        raise _malformed("switches")
    return BoneMap(
        convention=_text(data.get("convention", ""), "convention"),
        bones=bones,
        confidence=_share(data.get("confidence", 1.0), "confidence"),
        missing=tuple(joint for joint in SMPL_NAMES if joint not in bones.values()),
        scores={bone: score for bone, score in _table(data, "scores", _share).items() if bone in bones},
        pose=_table(data, "pose", _turn),
        parents=_table(data, "parents", _text),
        switches=tuple(
            Switch(
                _text(s.get("bone"), "switches"), _text(s.get("name"), "switches"), _number(s.get("value"), "switches")
            )
            for s in switches
        ),
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys are there once each."""
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RigError(f"This bone map names “{twice[:_LONGEST]}” twice: remove one of them.")
    return table


def _table(data: dict[str, Any], key: str, value: Callable[[Any, str], Any]) -> dict[str, Any]:
    table = data.get(key, {})
    if not isinstance(table, dict) or len(table) > _MOST:
        raise _malformed(key)
    return {_text(bone, key): value(held, key) for bone, held in table.items()}


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST or "\0" in value:
        raise _malformed(key)
    return value


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise _malformed(key)
    return float(value)


def _share(value: Any, key: str) -> float:
    number = _number(value, key)
    if not 0.0 <= number <= 1.0:
        raise _malformed(key)
    return number


def _turn(value: Any, key: str) -> Quaternion:
    if not isinstance(value, list) or len(value) != 4:
        raise _malformed(key)
    w, x, y, z = (_number(part, key) for part in value)
    size = math.hypot(w, x, y, z)
    if not 0.5 < size < 2.0:
        raise _malformed(key)
    return (w / size, x / size, y / size, z / size)


def _malformed(key: str) -> RigError:
    return RigError(f"This bone map's {key} can't be understood: choose a preset saved by Stepsmith.")
