"""Where a rig dances: its path, one spot, a chosen start and heading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.rig import Rig
from stepsmith.retarget.solve import solve

Array = np.ndarray
MakeRig = Callable[..., Rig]
MakeMotion = Callable[..., Any]
PoseRig = Callable[..., Array]


def hips(rig: Rig, pose: PoseRig, **options: Any) -> tuple[Array, Array]:
    """World: (T, 3) the middle of the hips, and (T, 3) from the right hip to the left."""
    motion = options.pop("motion")
    found = solve(motion, rig, **options)
    posed = pose(rig, found.bones, found.rotations, found.root_bone, found.locations)
    seen = np.einsum("ij,tbj->tbi", rig.world, posed[..., 3])[..., :3]
    left, right = (seen[:, rig.indices[f"{side}_hip"]] for side in ("left", "right"))
    return (left + right) / 2.0, left - right


def turned_world(yaw: float, scale: float, tilt: float = 0.0) -> Array:
    matrix = np.eye(4)
    turn = rot.multiply(rot.from_axis_angle([0.0, 0.0, yaw]), rot.from_axis_angle([tilt, 0.0, 0.0]))
    matrix[:3, :3], matrix[:3, 3] = rot.to_matrix(turn) * scale, [4.0, -3.0, 0.5]
    return matrix


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    x=st.floats(-9, 9), y=st.floats(-9, 9), heading=st.floats(-3.1, 3.1), yaw=st.floats(-3.1, 3.1),
    scale=st.floats(0.01, 20.0), seed=st.integers(0, 50),
)  # fmt: skip
def test_the_dance_begins_where_and_how_it_is_wanted(
    make_rig: MakeRig, make_motion: MakeMotion, pose: PoseRig, x: float, y: float, heading: float, yaw: float,
    scale: float, seed: int,
) -> None:  # fmt: skip
    motion = make_motion(8, seed=seed, bend=0.2)
    rig = make_rig(rolls=seed, arms=40.0, world=turned_world(yaw, scale))
    before, _ = hips(rig, pose, motion=motion)
    after, across = hips(rig, pose, motion=motion, start=(x, y), heading=heading)
    assert np.abs(after[0, :2] - [x, y]).max() < 1e-5
    # Facing -y with the left at +x is heading 0; the pelvis tilts a little in the dance.
    faced = np.arctan2(across[0, 1], across[0, 0])
    assert abs(np.angle(np.exp(1j * (faced - heading)))) < 0.15
    # The path is the same one, turned as a whole.
    steps = [np.linalg.norm(np.diff(p, axis=0), axis=-1) for p in (before, after)]
    assert np.allclose(*steps, atol=1e-6 * scale)
    assert np.allclose(before[:, 2], after[:, 2], atol=1e-6 * scale)


def test_heading_alone_turns_about_the_first_place(make_rig: MakeRig, make_motion: MakeMotion, pose: PoseRig) -> None:
    motion, rig = make_motion(), make_rig()
    before, _ = hips(rig, pose, motion=motion)
    after, _ = hips(rig, pose, motion=motion, heading=1.0)
    assert np.allclose(before[0], after[0], atol=1e-9)
    assert np.abs(before[20] - after[20]).max() > 0.1


def test_in_place_the_hips_stay_above_one_spot(make_rig: MakeRig, make_walk: MakeMotion, pose: PoseRig) -> None:
    motion = make_walk(slide=0.3, noise=0.02)
    rig = make_rig(shins=0.9, arms=45.0, rolls=1, world=turned_world(0.4, 2.0))
    path, _ = hips(rig, pose, motion=motion)
    here, _ = hips(rig, pose, motion=motion, root="in_place")
    assert np.ptp(path[:, :2], axis=0).max() > 1.0
    assert np.abs(here[:, :2] - [4.0, -3.0]).max() < 0.06
    assert np.ptp(here[:, :2], axis=0).max() < 1e-9
    assert np.allclose(here[:, 2], path[:, 2])
    there, _ = hips(rig, pose, motion=motion, root="in_place", start=(1.0, 2.0))
    assert np.allclose(there[:, :2], [1.0, 2.0])


@pytest.mark.parametrize(
    "options", [{"root": "elsewhere"}, {"start": (np.nan, 0.0)}, {"heading": np.inf}, {"feet": "sometimes"}]
)
def test_wrong_choices_are_refused(make_rig: MakeRig, make_motion: MakeMotion, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"root|start|feet"):
        solve(make_motion(5), make_rig(), **options)
