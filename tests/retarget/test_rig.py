from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from stepsmith.retarget.errors import RigError
from stepsmith.retarget.rig import Rig


def chain(**change: object) -> dict:
    rest = np.tile(np.eye(4), (3, 1, 1))
    rest[:, 1, 3] = [0.0, 1.0, 2.0]
    return {"names": ("a", "b", "c"), "parents": (-1, 0, 1), "rest": rest, "lengths": np.ones(3), **change}


def test_world_directions_follow_the_object(make_rig: Callable[..., Rig]) -> None:
    rig = Rig(**chain(world=[[0, -2, 0, 5], [2, 0, 0, 5], [0, 0, 2, 5], [0, 0, 0, 1]]))
    assert np.allclose(rig.world_directions, [[-1.0, 0.0, 0.0]] * 3)
    assert np.allclose(rig.tails[:2], rig.heads[1:])
    assert rig.ancestors(2) == [1, 0]
    assert rig.children == ((1,), (2,), ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ()}, "no bones"),
        ({"parents": (-1, 2, 1)}, "“b” comes before its parent"),
        ({"parents": (-1, 0, 2)}, "“c” comes before its parent"),
        ({"parents": (-1, 0)}, "shape"),
        ({"names": ("a", "b", "a")}, "two bones named “a”"),
        ({"lengths": np.array([1.0, 0.0, 1.0])}, "“b” has no length"),
        ({"rest": np.full((3, 4, 4), np.nan)}, "not finite"),
        ({"rest": np.stack([np.eye(4), np.diag([1.0, 0.0, 1.0, 1.0]), np.eye(4)])}, "“b” is flat"),
        ({"world": np.diag([0.0, 0.0, 0.0, 1.0])}, "scaled to nothing"),
        ({"world": np.diag([1.0, -1.0, 1.0, 1.0])}, "negative scale"),
    ],
)
def test_impossible_rigs_say_what_to_do(change: dict, message: str) -> None:
    with pytest.raises(RigError, match=message):
        Rig(**chain(**change))
