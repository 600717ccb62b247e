"""Rigs and motions made in numpy, for tests of retargeting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.rig import Rig
from stepsmith.retarget.skeleton import SMPL, SMPL_MIRROR, SMPL_NAMES, SMPL_PARENTS

Array = np.ndarray


def random_motion(frames: int = 40, seed: int = 0, bend: float = 0.5, fps: float = 30.0) -> Motion:
    """A smooth random dance; ``bend``: standard deviation of the joints' rotation vectors in radians."""
    rng = np.random.default_rng(seed)
    keys = rng.normal(0.0, bend, (2, 24, 3))
    phase = np.linspace(0, 2 * np.pi, frames)[:, None, None]
    vectors = keys[0] * np.sin(phase) + keys[1] * np.cos(phase)
    vectors[:, [0, 22, 23]] *= [[[1.0]], [[0.0]], [[0.0]]][1]
    root = np.column_stack([np.sin(phase[:, 0, 0]), np.cos(phase[:, 0, 0]), np.full(frames, 0.9)])
    return Motion(fps, root, rot.from_axis_angle(vectors), np.zeros((frames, 4)))


def smpl_rig(
    *,
    arms: float = 0.0,
    rolls: int | None = None,
    scale: float = 1.0,
    world: Array | None = None,
    turn: Array | None = None,
    rename: Callable[[str], str] = str,
    skip: tuple[str, ...] = (),
    at_floor: bool = True,
) -> Rig:
    """A rig of SMPL's proportions. ``arms``: degrees below the T pose. ``rolls``: seed of random bone rolls.

    ``turn``: (4,) quaternion by which the whole armature data is turned. ``skip``: joints without a bone.
    """
    local = np.tile(rot.IDENTITY, (1, 24, 1))
    for joint, sign in ((16, 1.0), (17, -1.0)):
        local[0, joint] = rot.from_axis_angle([0.0, np.radians(arms) * sign, 0.0])
    root = [[0.0, 0.0, SMPL.rest_root_height if at_floor else 0.0]]
    positions = Motion(30, root, local, np.zeros((1, 4))).positions()[0] * scale
    if turn is not None:
        positions = rot.rotate(turn, positions)
    kept = [j for j in range(24) if SMPL_NAMES[j] not in skip]
    names, parents, rest, lengths = [], [], [], []
    rng = np.random.default_rng(rolls)
    for joint in kept:
        children = [c for c in range(24) if SMPL_PARENTS[c] == joint]
        if joint in (0, 9):
            end = positions[3 if joint == 0 else 12]
        elif children:
            end = positions[children[0]]
        else:
            end = 2 * positions[joint] - positions[SMPL_PARENTS[joint]]
        along = end - positions[joint]
        roll = rng.uniform(-np.pi, np.pi) if rolls is not None else 0.0
        axis = along / np.linalg.norm(along)
        q = rot.multiply(rot.from_axis_angle(axis * roll), rot.between([0.0, 1.0, 0.0], along))
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = rot.to_matrix(q), positions[joint]
        parent = SMPL_PARENTS[joint]
        while parent >= 0 and parent not in kept:
            parent = SMPL_PARENTS[parent]
        names.append(rename(SMPL_NAMES[joint]))
        parents.append(kept.index(parent) if parent >= 0 else -1)
        rest.append(matrix)
        lengths.append(np.linalg.norm(along))
    return Rig(tuple(names), tuple(parents), np.stack(rest), np.array(lengths), np.eye(4) if world is None else world)


def pose_rig(rig: Rig, bones: tuple[str, ...], rotations: Array, root_bone: str, locations: Array) -> Array:
    """(T, J, 4, 4) armature-space matrices of all bones, as Blender computes them from the basis."""
    frames = len(rotations)
    basis = np.tile(np.eye(4), (frames, len(rig), 1, 1))
    for k, name in enumerate(bones):
        basis[:, rig.indices[name], :3, :3] = rot.to_matrix(rotations[:, k])
    basis[:, rig.indices[root_bone], :3, 3] = locations
    posed = np.empty_like(basis)
    for bone, parent in enumerate(rig.parents):
        if parent < 0:
            posed[:, bone] = rig.rest[bone] @ basis[:, bone]
        else:
            posed[:, bone] = posed[:, parent] @ np.linalg.inv(rig.rest[parent]) @ rig.rest[bone] @ basis[:, bone]
    return posed


MIRROR = SMPL_MIRROR


@pytest.fixture
def make_motion() -> Callable[..., Motion]:
    return random_motion


@pytest.fixture
def make_rig() -> Callable[..., Rig]:
    return smpl_rig


@pytest.fixture
def pose() -> Callable[..., Array]:
    return pose_rig
