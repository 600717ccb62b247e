"""Palms face as the dancer's do, however the rest pose turns them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.rig import Rig
from stepsmith.retarget.skeleton import SMPL
from stepsmith.retarget.solve import solve

Array = np.ndarray
# Across the hand to the front, metres, and how far along it a finger ends, for thumb to little finger.
FINGERS = {
    "thumb": (0.04, 0.05),
    "index": (0.025, 0.17),
    "middle": (0.005, 0.18),
    "ring": (-0.015, 0.17),
    "pinky": (-0.03, 0.14),
}


def with_fingers(rig: Rig, turned: float, shared_root: bool = False) -> Rig:
    """``rig``, in a T pose or arms down, with fingers; the hands are rolled by ``turned`` degrees, thumbs up.

    ``shared_root``: thumb and index hang from one bone of the palm.
    """
    names, parents = list(rig.names), list(rig.parents)
    rest, lengths = list(rig.rest), list(rig.lengths)

    def add(name: str, parent: str, head: Array, tail: Array) -> None:
        names.append(name)
        parents.append(names.index(parent))
        matrix = np.eye(4)
        matrix[:3, :3] = rot.to_matrix(rot.between([0.0, 1.0, 0.0], tail - head))
        matrix[:3, 3] = head
        rest.append(matrix)
        lengths.append(float(np.linalg.norm(tail - head)))

    for side, sign in (("left", 1.0), ("right", -1.0)):
        wrist, elbow = (rig.heads[rig.indices[f"{side}_{part}"]] for part in ("wrist", "elbow"))
        along = (wrist - elbow) / np.linalg.norm(wrist - elbow)
        front = np.array([0.0, -1.0, 0.0])
        front = rot.rotate(rot.from_axis_angle(along * np.radians(turned) * sign), front - along * (front @ along))
        if shared_root:
            add(f"{side} palm", f"{side}_wrist", wrist, wrist + 0.05 * along)
        for finger, (across, far) in FINGERS.items():
            root = 0.03 if finger == "thumb" else 0.09
            knots = [wrist + across * front + (root + k * (far - root) / 3.0) * along for k in range(4)]
            parent = f"{side} palm" if shared_root and finger in ("thumb", "index") else f"{side}_wrist"
            for k in range(3):
                add(f"{side} {finger} {k}", parent, knots[k], knots[k + 1])
                parent = f"{side} {finger} {k}"
    return Rig(tuple(names), tuple(parents), np.array(rest), np.array(lengths))


@pytest.mark.parametrize("shared_root", [False, True])
@pytest.mark.parametrize("arms", [0.0, 45.0, 80.0])
@pytest.mark.parametrize("turned", [-90.0, -50.0, 0.0, 50.0, 90.0, 130.0])
def test_palms_face_the_floor_in_a_t_pose(
    make_rig: Callable[..., Rig], pose: Callable[..., Array], turned: float, arms: float, shared_root: bool
) -> None:
    rig = with_fingers(make_rig(arms=arms, rolls=1, skip=("left_hand", "right_hand")), turned, shared_root)
    rest = Motion(30, [[0, 0, SMPL.rest_root_height]], np.tile(rot.IDENTITY, (1, 24, 1)), np.zeros((1, 4)))
    found = solve(rest, rig)
    heads = pose(rig, found.bones, found.rotations, found.root_bone, found.locations)[0, :, :3, 3]
    for side in ("left", "right"):
        across = heads[rig.indices[f"{side} index 0"]] - heads[rig.indices[f"{side} pinky 0"]]
        assert across[1] < -0.95 * np.linalg.norm(across)
    # No joint of the arm takes more than half of it.
    turns = dict(zip(found.bones, np.degrees(rot.angle(found.rotations[0])), strict=True))
    assert max(turns["left_elbow"], turns["left_wrist"]) < abs(turned) / 2.0 + 9.0


def test_hands_without_a_thumb_keep_their_roll(make_rig: Callable[..., Rig]) -> None:
    plain = make_rig(arms=30.0, skip=("left_hand", "right_hand"))
    rest = Motion(30, [[0, 0, SMPL.rest_root_height]], np.tile(rot.IDENTITY, (1, 24, 1)), np.zeros((1, 4)))
    turns = solve(rest, plain).rotations[0]
    for part in ("elbow", "wrist"):
        assert np.degrees(rot.angle(turns[plain.indices[f"left_{part}"]])) < 6.0
