"""A whole body out of Human3.6M's 17 joints: what they lack is added as it is in the rest pose."""

from __future__ import annotations

import numpy as np

from ....retarget import rotations as rot
from ....retarget.rotations import Array
from ....retarget.skeleton import SMPL, SMPL_NAMES
from ..landmarks import HUMAN36M, POINTS
from .bodies import CARRIERS, STANDARD

_REST = SMPL.rest_positions
_HIPS_BELOW = _REST[[1, 2]].mean(axis=0)  # from the pelvis
_TO_CROWN = np.array([[0.0, -0.06, 0.25]])  # at rest, from the neck to where Human3.6M has the head
# Where along the way from the hips over the spine to the thorax (0, 0.5, 1) the spine's joints lie.
_SPINE = {"spine1": 0.26, "spine2": 0.55, "spine3": 0.64, "neck": 1.0}


def fill_body(joints: Array) -> tuple[Array, Array]:
    """Points (T, 25, 3) and SMPL joints (T, 24, 3) of Human3.6M's joints (T, 17, 3), metres in the camera's frame.

    Where both know a joint it is taken over. The rest hangs on frames of pelvis, chest, head, shins and forearms,
    scaled by the length of the legs: feet at right angles to the shins, hands along the forearms.
    """
    at = {_named(name): joints[:, i] for i, name in enumerate(HUMAN36M)}
    pelvis = _upright(at["spine"] - at["hip"], at["left_hip"] - at["right_hip"])
    chest = _upright(at["thorax"] - at["spine"], at["left_shoulder"] - at["right_shoulder"])
    neck_to_head = at["head"] - at["thorax"]
    forward = at["nose"] - (at["head"] + at["thorax"]) / 2
    tilt = _upright(_TO_CROWN, np.array([[1.0, 0.0, 0.0]]))
    head = _upright(neck_to_head, np.cross(neck_to_head, forward)) @ np.swapaxes(tilt, 1, 2)
    scale = _leg_length(at) / SMPL.leg_length

    def hung(frame: Array, start: Array, offset: Array) -> Array:
        """(T, 3) an offset at rest from a place, turned as a frame is."""
        place: Array = start + scale * frame @ offset
        return place

    found = {name: at[name] for name in SMPL_NAMES if name in at}  # but Human3.6M's head is the top, replaced below
    found["pelvis"] = hung(pelvis, at["hip"], -_HIPS_BELOW)
    for name, share in _SPINE.items():
        lower = found["pelvis"] + min(2.0 * share, 1.0) * (at["spine"] - found["pelvis"])
        found[name] = lower + max(2.0 * share - 1.0, 0.0) * (at["thorax"] - at["spine"])
    found["head"] = hung(head, at["thorax"], _between("neck", "head"))
    frames = {"pelvis": pelvis, "head": head}
    for side, outwards in (("left", 1.0), ("right", -1.0)):
        ankle, wrist = f"{side}_ankle", f"{side}_wrist"
        shin = _upright(at[f"{side}_knee"] - at[ankle], pelvis[..., 0])
        across = outwards * chest[..., 0]
        swing = rot.to_matrix(rot.between(across, at[wrist] - at[f"{side}_elbow"]))
        frames |= {ankle: shin, f"{side}_foot": shin, wrist: swing @ chest}
        frames |= {f"{side}_{part}": chest for part in ("shoulder", "elbow", "hip", "knee")}
        found[f"{side}_collar"] = hung(chest, at["thorax"], _between("neck", f"{side}_collar"))
        found[f"{side}_foot"] = hung(shin, at[ankle], _between(ankle, f"{side}_foot"))
        found[f"{side}_hand"] = hung(frames[wrist], at[wrist], _between(wrist, f"{side}_hand"))
    points = []
    for name, carrier, place in zip(POINTS, CARRIERS, STANDARD.places, strict=True):
        joint = SMPL_NAMES[carrier]
        points.append(at[name] if name in at else hung(frames[joint], found[joint], place))
    return np.stack(points, axis=1), np.stack([found[name] for name in SMPL_NAMES], axis=1)


def _named(name: str) -> str:
    """Human3.6M's name of a joint as the others have it."""
    return name.replace("foot", "ankle")


def _between(first: str, second: str) -> Array:
    """(3,) metres from one joint to another at rest."""
    offset: Array = _REST[SMPL_NAMES.index(second)] - _REST[SMPL_NAMES.index(first)]
    return offset


def _upright(up: Array, left: Array) -> Array:
    """(T, 3, 3) turns from the rest pose (x left, y back, z up) to where ``up`` is up and ``left`` about left."""
    z = up / np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-9)
    y = np.cross(z, left)
    y /= np.maximum(np.linalg.norm(y, axis=-1, keepdims=True), 1e-9)
    return np.stack([np.cross(y, z), y, z], axis=-1)


def _leg_length(at: dict[str, Array]) -> float:
    """Metres from hip over knee to ankle, median of both legs over time."""
    legs = [
        np.linalg.norm(at[f"{side}_hip"] - at[f"{side}_knee"], axis=-1)
        + np.linalg.norm(at[f"{side}_knee"] - at[f"{side}_ankle"], axis=-1)
        for side in ("left", "right")
    ]
    return float(np.median(legs))
