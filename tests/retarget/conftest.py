"""Rigs and motions made in numpy, for tests of retargeting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.rig import Rig
from stepsmith.retarget.skeleton import FOOT_HEIGHT, SMPL, SMPL_NAMES, SMPL_PARENTS

Array = np.ndarray


def random_motion(frames: int = 40, seed: int = 0, bend: float = 0.5, fps: float = 30.0) -> Motion:
    """A smooth random dance; ``bend``: standard deviation of the joints' rotation vectors in radians."""
    rng = np.random.default_rng(seed)
    keys = rng.normal(0.0, bend, (2, 24, 3))
    phase = np.linspace(0, 2 * np.pi, frames)[:, None, None]
    vectors = keys[0] * np.sin(phase) + keys[1] * np.cos(phase)
    vectors[:, [22, 23]] = 0.0  # few rigs have a bone for SMPL's hands
    rotations = rot.from_axis_angle(vectors)
    yaw = rot.from_axis_angle(phase[:, 0] * [0.0, 0.0, 1.0])
    rotations[:, 0] = rot.multiply(yaw, rotations[:, 0])
    root = np.column_stack([np.sin(phase[:, 0, 0]), np.cos(phase[:, 0, 0]), np.full(frames, 0.9)])
    return Motion(fps, root, rotations, np.zeros((frames, 4)))


def build_rig(
    names: list[str],
    parents: list[int],
    heads: Array,
    ends: Array,
    rolls: int | None = None,
    world: Array | None = None,
) -> Rig:
    """A rig of bones from ``heads`` to ``ends``; ``rolls``: seed of random rolls about their length."""
    rng = np.random.default_rng(rolls)
    rest, lengths = np.tile(np.eye(4), (len(names), 1, 1)), np.linalg.norm(ends - heads, axis=-1)
    for bone, along in enumerate(ends - heads):
        roll = rng.uniform(-np.pi, np.pi) if rolls is not None else 0.0
        turn = rot.from_axis_angle(along / lengths[bone] * roll)
        rest[bone, :3, :3] = rot.to_matrix(rot.multiply(turn, rot.between([0.0, 1.0, 0.0], along)))
        rest[bone, :3, 3] = heads[bone]
    return Rig(tuple(names), tuple(parents), rest, lengths, np.eye(4) if world is None else world)


def smpl_rig(
    *,
    arms: float = 0.0,
    rolls: int | None = None,
    scale: float = 1.0,
    world: Array | None = None,
    turn: Array | None = None,
    rename: Callable[[str], str] = str,
    skip: tuple[str, ...] = (),
    spine: int = 3,
    helpers: bool = False,
    at_floor: bool = True,
    shins: float = 1.0,
) -> Rig:
    """A rig of SMPL's proportions.

    ``arms``: degrees below the T pose. ``rolls``: seed of random bone rolls. ``turn``: (4,) quaternion
    by which the armature's data is turned. ``skip``: joints without a bone. ``spine``: bones between
    pelvis and neck. ``helpers``: a bone that follows nothing below the root and inside every limb.
    ``at_floor``: whether the armature's origin is on the floor or in the pelvis. ``shins``: their length
    as a share of SMPL's.
    """
    local = np.tile(rot.IDENTITY, (1, 24, 1))
    for joint, sign in ((16, 1.0), (17, -1.0)):
        local[0, joint] = rot.from_axis_angle([0.0, np.radians(arms) * sign, 0.0])
    joints = Motion(30, np.zeros((1, 3)), local, np.zeros((1, 4))).positions()[0]
    for ankle, foot, knee in ((7, 10, 4), (8, 11, 5)):
        longer = (shins - 1.0) * (joints[ankle] - joints[knee])
        joints[[ankle, foot]] += longer
    if at_floor:
        joints[:, 2] += FOOT_HEIGHT - joints[10, 2]

    names: list[str] = []
    parents: list[int] = []
    heads: list[Array] = []
    ends: list[Array] = []

    def add(name: str, parent: int, head: Array, end: Array) -> int:
        names.append(name)
        parents.append(parent)
        heads.append(head)
        ends.append(end)
        return len(names) - 1

    bone_of: dict[int, int] = {-1: -1}
    if helpers:
        bone_of[-1] = add("world", -1, np.zeros(3), np.array([0.0, 0.3, 0.1]))
    for joint, name in enumerate(SMPL_NAMES):
        parent = SMPL_PARENTS[joint]
        while parent >= 0 and (SMPL_NAMES[parent] in skip or (spine != 3 and parent in (3, 6, 9))):
            parent = SMPL_PARENTS[parent]
        above = bone_of[parent]
        if spine != 3 and joint in (3, 6, 9):
            if joint == 3:
                knots = np.linspace(joints[3], joints[12], spine + 1)
                for k in range(spine):
                    above = add(f"spine{k + 1}", above, knots[k], knots[k + 1])
                bone_of[9] = above
            continue
        if spine != 3 and joint in (12, 13, 14):
            above = bone_of[9]
        if name in skip:
            continue
        children = [c for c in range(24) if SMPL_PARENTS[c] == joint]
        end = joints[12] if joint == 9 else joints[3] if joint == 0 else None
        if end is None:
            end = joints[children[0]] if children else 2 * joints[joint] - joints[SMPL_PARENTS[joint]]
        if helpers and joint in (4, 5, 18, 19):
            half = (joints[joint] + joints[SMPL_PARENTS[joint]]) / 2
            above = add(f"twist_{name}", above, half, joints[joint] + [0.0, 0.01, 0.01])
        bone_of[joint] = add(name, above, joints[joint], end)
    at, to = np.array(heads) * scale, np.array(ends) * scale
    if turn is not None:
        at, to = rot.rotate(turn, at), rot.rotate(turn, to)
    return build_rig([rename(name) for name in names], parents, at, to, rolls, world)


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


def walk(seconds: float = 4.0, fps: float = 30.0, slide: float = 0.0, noise: float = 0.0, seed: int = 0) -> Motion:
    """Steps on the spot, one foot up while the other stands, with contacts that say so.

    ``slide``: m/s by which the whole body drifts sideways, so that the feet skate. ``noise``: metres of
    slow random wandering of the body on top.
    """
    rng = np.random.default_rng(seed)
    frames = int(seconds * fps)
    time = np.arange(frames) / fps
    rotations = np.tile(rot.IDENTITY, (frames, 24, 1))
    contacts = np.ones((frames, 4))
    for side, phase in ((0, 0.0), (1, np.pi)):
        lifted = np.maximum(np.sin(2 * np.pi * time + phase), 0.0) ** 2
        for joint, angle in ((1 + side, -0.6), (4 + side, 1.1), (7 + side, -0.5)):
            rotations[:, joint] = rot.from_axis_angle(lifted[:, None] * [angle, 0.0, 0.0])
        contacts[:, side] = contacts[:, side + 2] = lifted < 0.02
    wander = sum(
        rng.normal(0, noise, (1, 3)) * np.sin(rng.uniform(1, 6) * time + rng.uniform(0, 6))[:, None] for _ in range(4)
    )
    root = np.tile([0.0, 0.0, SMPL.rest_root_height], (frames, 1)) + wander * [1.0, 1.0, 0.3]
    root[:, 0] += slide * time
    return Motion(fps, root, rotations, contacts)


@pytest.fixture
def make_walk() -> Callable[..., Motion]:
    return walk


@pytest.fixture
def make_motion() -> Callable[..., Motion]:
    return random_motion


@pytest.fixture
def make_rig() -> Callable[..., Rig]:
    return smpl_rig


@pytest.fixture
def pose() -> Callable[..., Array]:
    return pose_rig
