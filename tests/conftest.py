"""Small SMPL model files of our own making, for tests of all three rooms."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pytest
from stepsmith.retarget.skeleton import SMPL, SMPL_PARENTS

Array = np.ndarray
BodyArrays = dict[str, Array]

_FINGER_ROOTS = {"index": (0.085, -0.025), "middle": (0.09, 0.0), "pinky": (0.075, 0.04), "ring": (0.085, 0.02)}
_RING = 6  # vertices round a limb


def _skeleton(kind: str) -> tuple[Array, list[int]]:
    """(J, 3) joints with z up, metres, and their parents: our skeleton's, with a face and fingers where due."""
    joints, parents = SMPL.rest_positions, list(SMPL_PARENTS)
    if kind == "SMPL":
        return joints, parents
    points, parents = [*joints[:22]], parents[:22]
    if kind == "SMPL-X":
        points += [joints[15] + [x, -0.05, z] for x, z in ((0.0, 0.0), (0.03, 0.06), (-0.03, 0.06))]
        parents += [15, 15, 15]
    for wrist, sign in ((20, 1.0), (21, -1.0)):
        for root in (*_FINGER_ROOTS.values(), (0.03, -0.03)):
            for k in range(3):
                parents.append(wrist if k == 0 else len(points) - 1)
                points.append(joints[wrist] + [sign * (root[0] + 0.03 * k), root[1], -0.002 * k])
    return np.array(points), parents


def body_arrays(kind: str = "SMPL", betas: int = 10, seed: int = 0) -> BodyArrays:
    """The arrays of a model file, y up and away from the pelvis as in real ones: tubes around a skeleton.

    The first shape direction makes the body larger, the second its legs longer; the others, and the pose
    blend shapes, are random and small.
    """
    rng = np.random.default_rng(seed)
    joints, parents = _skeleton(kind)
    count = len(joints)
    vertices: list[Array] = []
    faces: list[list[int]] = []
    weights: list[Array] = []
    regressor = np.zeros((count, 0))
    for joint in range(count):
        children = [c for c, p in enumerate(parents) if p == joint]
        end = joints[children[0]] if children else joints[joint] + 0.5 * (joints[joint] - joints[parents[joint]])
        radius = 0.01 if joint >= 22 and count > 24 else 0.02 if joint in (10, 11) else 0.06
        along = (end - joints[joint]) / np.linalg.norm(end - joints[joint])
        across = np.cross(along, [0.3, 0.5, 0.8] / np.linalg.norm([0.3, 0.5, 0.8]))
        across /= np.linalg.norm(across)
        first = len(vertices)
        for share in (0.0, 0.5, 1.0):
            for k in range(_RING):
                angle = 2 * np.pi * k / _RING
                side = np.cos(angle) * across + np.sin(angle) * np.cross(along, across)
                vertices.append(joints[joint] + share * (end - joints[joint]) + radius * side)
                mixed = np.zeros(count)
                mixed[joint] = 0.6 + 0.4 * share
                mixed[max(parents[joint], 0)] += 1.0 - mixed.sum()
                weights.append(mixed)
        for ring in range(2):
            for k in range(_RING):
                a, b = first + ring * _RING + k, first + ring * _RING + (k + 1) % _RING
                faces += [[a, b, b + _RING], [a, b + _RING, a + _RING]]
        regressor = np.hstack([regressor, np.zeros((count, 3 * _RING))])
        regressor[joint, first : first + _RING] = 1.0 / _RING  # the middle of its first ring is the joint
    template = np.array(vertices)
    shapes = 0.002 * rng.normal(size=(len(template), 3, betas))
    if betas:
        shapes[..., 0] = 0.05 * template
    if betas > 1:
        shapes[..., 1] = np.minimum(template[:, 2:] + 0.1, 0.0) * [0.0, 0.0, 0.1]
    poses = 0.001 * rng.normal(size=(len(template), 3, 9 * (count - 1)))
    table = np.array([parents, range(count)], dtype=np.int64)
    table[0, 0] = 2**32 - 1
    return {
        "v_template": np.add(_y_up(template, 1), [0.0, 0.22, -0.03]),
        "f": np.array(faces, dtype=np.uint32),
        "weights": np.array(weights),
        "J_regressor": regressor,
        "kintree_table": table,
        "shapedirs": _y_up(shapes, 1),
        "posedirs": _y_up(poses, 1),
    }


def _y_up(vectors: Array, axis: int) -> Array:
    x, y, z = np.moveaxis(vectors, axis, 0)
    return np.stack([x, z, -y], axis)


def write_npz(path: Path, arrays: BodyArrays, **others: Any) -> Path:
    """A ``.npz`` like SMPL-X's, with members that only pickle can read beside the arrays."""
    np.savez(path, **arrays, joint2num=np.array({"Pelvis": 0}, dtype=object), **others)
    return path


def write_pkl(path: Path, arrays: BodyArrays, protocol: int = 2, **others: Any) -> Path:
    """A ``.pkl`` like SMPL's: arrays, a sparse matrix of scipy, and objects of chumpy, which is not installed."""
    modules = {name: ModuleType(name) for name in ("chumpy", "chumpy.ch", "chumpy.reordering")}
    modules |= {name: ModuleType(name) for name in ("scipy", "scipy.sparse", "scipy.sparse.csc")}
    ch = _stub(modules["chumpy.ch"], "Ch")
    select = _stub(modules["chumpy.reordering"], "Select")
    csc = _stub(modules["scipy.sparse.csc"], "csc_matrix")
    regressor, shapes = arrays["J_regressor"], arrays["shapedirs"]
    column, row = np.nonzero(regressor.T)
    wide = np.concatenate([shapes, shapes], axis=2)
    chosen = np.arange(wide.size).reshape(wide.shape)[..., : shapes.shape[2]]
    content = {
        **arrays,
        "v_template": ch(x=arrays["v_template"], _dirty_vars=set(), _itr=None),
        "shapedirs": select(a=ch(x=wide), idxs=chosen.ravel(), preferred_shape=shapes.shape),
        "J_regressor": csc(
            _shape=regressor.shape,
            data=regressor[row, column],
            indices=row.astype(np.int32),
            indptr=np.searchsorted(column, np.arange(regressor.shape[1] + 1)).astype(np.int32),
            format="csc",
        ),
        "bs_style": "lbs",
        "vert_sym_idxs": np.arange(len(arrays["v_template"])),
        **others,
    }
    with mock.patch.dict(sys.modules, modules):
        path.write_bytes(pickle.dumps(content, protocol))
    return path


def _stub(module: ModuleType, name: str) -> type:
    def keep(self: Any, **state: Any) -> None:
        self.__dict__.update(state)

    made = type(name, (), {"__init__": keep, "__module__": module.__name__})
    setattr(module, name, made)
    return made


@pytest.fixture(scope="session")
def make_body_arrays() -> Callable[..., BodyArrays]:
    return body_arrays


@pytest.fixture(scope="session")
def write_body_npz() -> Callable[..., Path]:
    return write_npz


@pytest.fixture(scope="session")
def write_body_pkl() -> Callable[..., Path]:
    return write_pkl
