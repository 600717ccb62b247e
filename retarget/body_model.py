"""SMPL bodies: a user's own model file as arrays, its shape and its skin, in numpy alone.

The formulas are those of Loper et al., "SMPL: A Skinned Multi-Person Linear Model" (SIGGRAPH Asia 2015);
SMPL-H (Romero et al. 2017) and SMPL-X (Pavlakos et al. 2019) are the same with more joints. With the
template T, betas b and the joints' local rotations R_j:

    shaped    S(b) = T + sum_k b_k shape_dirs_k
    joints    J(b) = regressor S(b)
    posed     P    = S(b) + sum_n (R_1 - I, R_2 - I, ...)_n pose_dirs_n
    vertices  v_i  = sum_j weights_ij (G_j (P_i - J_j) + g_j)

where G_j, g_j are the global rotation and the position of joint j by forward kinematics on J(b).

The files have y up and face +z. Everything here has the frame of a Motion: metres, z up, facing -y, left
towards +x. The models are licensed: nobody may pass them on, so users bring their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import rotations as rot
from .arrays import ArrayFileError, as_array, read_npz, unpickle
from .errors import RigError
from .motion import Motion
from .rig import Rig
from .rotations import Array
from .skeleton import SMPL_NAMES, SMPL_PARENTS, Skeleton, forward_kinematics
from .solve import FeetMode, solve

Kind = Literal["SMPL", "SMPL-H", "SMPL-X"]

# A file may be, and unpack to, this much; official ones are 30 to 400 MB.
MAX_BYTES = 1 << 30
# Official bodies have 6890 and 10475 vertices.
MAX_VERTICES = 200_000
# Of SMPL-X's shape directions the first are shape and the rest expression: 300 of 400, in older files 10 of 20.
_EXPRESSIONS_AFTER = {400: 300, 20: 10}

_FINGERS = tuple(
    f"{side}_{finger}{k}"
    for side in ("left", "right")
    for finger in ("index", "middle", "pinky", "ring", "thumb")
    for k in (1, 2, 3)
)
_BODY = SMPL_NAMES[:22]  # without SMPL's two hand joints
_NAMES: dict[int, tuple[Kind, tuple[str, ...]]] = {
    24: ("SMPL", SMPL_NAMES),
    52: ("SMPL-H", (*_BODY, *_FINGERS)),
    55: ("SMPL-X", (*_BODY, "jaw", "left_eye_smplhf", "right_eye_smplhf", *_FINGERS)),
}
_KEYS = ("v_template", "f", "weights", "J_regressor", "kintree_table", "shapedirs")
_POSE_KEY = "posedirs"

# Our axes (x, y, z) by the file's: x, -z, y.
_ORDER, _SIGNS = [0, 2, 1], np.array([1.0, -1.0, 1.0])

_UP, _FRONT = np.array([0.0, 0.0, 1.0]), np.array([0.0, -1.0, 0.0])
# No length of a body is as large, in metres.
_LARGEST = 1e3
# How far a vertex's weights may be from shares of 1, by rounding.
_UNEVEN = 1e-2
# Metres, of bones whose limb is too short to show.
_SHORTEST = 1e-3
# Bytes of working memory that posing takes at once.
_CHUNK = 64 << 20


@dataclass(frozen=True, eq=False)
class BodyModel:
    """A skinned body with a linear shape space.

    ``kind``: which model. ``names``, ``parents``: J joints, parents before children, -1 for the root.
    ``template``: (V, 3) metres. ``faces``: (F, 3) triangles. ``weights``: (V, J) skin weights, rows of sum
    1. ``regressor``: (J, V) joints from vertices. ``shape_dirs``: (B, V, 3) metres per unit of beta.
    ``pose_dirs``: (9 (J - 1), V, 3) metres per unit of the joints' rotation matrices less the identity
    (row by row, joint by joint, without the root); None where they were not asked for.
    """

    kind: Kind
    names: tuple[str, ...]
    parents: tuple[int, ...]
    template: Array
    faces: Array
    weights: Array
    regressor: Array
    shape_dirs: Array
    pose_dirs: Array | None

    def shaped(self, betas: ArrayLike = ()) -> Array:
        """(V, 3) the body at rest with these betas; those not given are 0. Raises RigError for too many."""
        betas = np.asarray(betas, dtype=np.float64).reshape(-1)
        if len(betas) > len(self.shape_dirs):
            raise RigError(f"This body has {len(self.shape_dirs)} betas, not {len(betas)}: give fewer.")
        if not np.isfinite(betas).all():
            raise RigError("The betas hold a number that is not finite: correct it.")
        return self.template + np.tensordot(betas, self.shape_dirs[: len(betas)], axes=1)

    def joints(self, betas: ArrayLike = ()) -> Array:
        """(J, 3) the joints of ``shaped``."""
        return self.regressor @ self.shaped(betas)

    @cached_property
    def joint_dirs(self) -> Array:
        """(B, J, 3) how far each joint moves per unit of beta."""
        return np.einsum("jv,bvc->bjc", self.regressor, self.shape_dirs, optimize=True)

    @cached_property
    def towards(self) -> tuple[int, ...]:
        """J indices: the joint that each joint's bone points to, -1 for the tips of limbs."""
        return tuple(self._next(joint) for joint in range(len(self.names)))

    def _next(self, joint: int) -> int:
        children = [child for child, parent in enumerate(self.parents) if parent == joint]
        name = self.names[joint]
        if name == "head":  # jaw and eyes hang in front of it
            return -1
        wanted = f"{name.split('_')[0]}_middle1" if name.endswith("wrist") else _TRUNK.get(name)
        named = [child for child in children if self.names[child] == wanted]
        return (named or children or [-1])[0]


# Where the trunk's bones point that have several children.
_TRUNK = {"pelvis": "spine1", "spine3": "neck"}


def load_body(path: Path | str, *, correctives: bool = True) -> BodyModel:
    """The body in a model file of SMPL, SMPL-H or SMPL-X, ``.npz`` or ``.pkl``.

    Nothing that the file holds is run, and of it only what a body needs is read. ``correctives``: whether
    the pose blend shapes are, by far the largest part. Raises RigError where the file is missing,
    damaged, too large, or no such model.
    """
    path = Path(path)
    if path.suffix.lower() not in (".npz", ".pkl"):
        raise RigError(f"“{path.name}” is no body model: choose the .npz or .pkl of SMPL, SMPL-H or SMPL-X.")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RigError(f"“{path.name}” is larger than {MAX_BYTES >> 20} MB: choose a body model.")
        arrays = _read(path, (*_KEYS, *([_POSE_KEY] if correctives else [])))
        return _body(arrays, correctives)
    except OSError as error:
        raise RigError(f"“{path}” can't be read ({error.strerror}): check the path.") from error
    except ArrayFileError as error:
        raise RigError(
            f"“{path.name}” is no body model that can be used, {error}: download it anew from the model's makers."
        ) from error


def _read(path: Path, names: tuple[str, ...]) -> dict[str, Array]:
    if path.suffix.lower() == ".npz":
        with path.open("rb") as file:
            arrays = read_npz(file, names, MAX_BYTES)
    else:
        content = unpickle(path.read_bytes())
        if not isinstance(content, dict):
            raise ArrayFileError("it holds no table of arrays")
        arrays = {name: as_array(content[name]) for name in names if name in content}
    lost = [name for name in names if name not in arrays]
    if lost:
        raise ArrayFileError(f"it has no {lost[0]}")
    return arrays


def _body(arrays: Mapping[str, Array], correctives: bool) -> BodyModel:
    """The body of a file's arrays, its axes turned to ours, all shapes held against each other."""
    count, joints = _shape(arrays, "weights", 2)
    if not 1 <= count <= MAX_VERTICES:
        raise ArrayFileError(f"it has {count} vertices")
    if joints not in _NAMES:
        raise ArrayFileError(f"it has {joints} joints, not 24, 52 or 55")
    kind, names = _NAMES[joints]
    shapes = _shape(arrays, "shapedirs", 3)[2]
    if not shapes:
        raise ArrayFileError("its shapedirs hold no shape")
    template = _numbers(arrays, "v_template", (count, 3))
    weights = _numbers(arrays, "weights", (count, joints))
    if weights.min() < -_UNEVEN or np.abs(weights.sum(axis=1) - 1.0).max() > _UNEVEN:
        raise ArrayFileError("its weights are no shares of 1")
    pose_dirs = None
    if correctives:
        turned = _numbers(arrays, _POSE_KEY, (count, 3, 9 * (joints - 1)), np.float32)
        # What the rotation matrices are made of turns with the axes as well.
        turned = turned.reshape(count, 3, joints - 1, 3, 3)[..., _ORDER, :][..., _ORDER]
        turned = _upright(turned * (_SIGNS[:, None] * _SIGNS).astype(np.float32), axis=1)
        pose_dirs = _frozen(np.moveaxis(turned.reshape(count, 3, -1), 2, 0))
    shape_dirs = _numbers(arrays, "shapedirs", (count, 3, shapes), np.float32)
    if kind == "SMPL-X":
        shape_dirs = shape_dirs[..., : _EXPRESSIONS_AFTER.get(shapes, shapes)]
    return BodyModel(
        kind,
        names,
        _parents(arrays["kintree_table"], joints),
        _frozen(_upright(template, axis=1)),
        _frozen(_faces(arrays, count)),
        _frozen(weights),
        _frozen(_numbers(arrays, "J_regressor", (joints, count))),
        _frozen(np.moveaxis(_upright(shape_dirs, axis=1), 2, 0)),
        pose_dirs,
    )


def _shape(arrays: Mapping[str, Array], name: str, dimensions: int) -> tuple[int, ...]:
    shape = arrays[name].shape
    if len(shape) != dimensions:
        raise ArrayFileError(f"its {name} has shape {shape}")
    return shape


def _numbers(
    arrays: Mapping[str, Array], name: str, shape: tuple[int, ...], dtype: type[np.floating] = np.float64
) -> Array:
    array = arrays[name]
    if array.shape != shape or array.dtype.kind not in "iuf":
        raise ArrayFileError(f"its {name} has shape {array.shape}, not {shape}")
    array = array.astype(dtype)
    if not (np.abs(array) < _LARGEST).all():
        raise ArrayFileError(f"its {name} holds numbers that are infinite, undefined or impossibly large")
    return array


def _faces(arrays: Mapping[str, Array], count: int) -> NDArray[np.int32]:
    faces = arrays["f"]
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iuf":
        raise ArrayFileError(f"its f has shape {faces.shape}, not (faces, 3)")
    if not ((faces >= 0) & (faces < count)).all():
        raise ArrayFileError("its f names vertices that it has not")
    return faces.astype(np.int32)


def _parents(table: Array, joints: int) -> tuple[int, ...]:
    """The first row of a kintree table; its root's parent is written as -1 or as 2^32 - 1."""
    if table.ndim != 2 or table.shape[1] != joints or table.dtype.kind not in "iu":
        raise ArrayFileError(f"its kintree_table has shape {table.shape}, not (2, {joints})")
    parents = (-1, *(int(p) for p in table[0, 1:]))
    body = len(_BODY)
    if parents[:body] != SMPL_PARENTS[:body] or any(not 0 <= p < j for j, p in enumerate(parents) if j):
        raise ArrayFileError("its kintree_table is not that of a SMPL body")
    return parents


def _upright(array: Array, axis: int) -> Array:
    """Vectors along ``axis`` turned from y up to z up."""
    signs = _SIGNS.astype(array.dtype).reshape([3 if a == axis else 1 for a in range(array.ndim)])
    return np.take(array, _ORDER, axis) * signs


def _frozen(array: Any) -> Any:
    array = np.ascontiguousarray(array)
    array.setflags(write=False)
    return array


def skin(
    body: BodyModel, rotations: Array, root: Array, betas: ArrayLike = (), *, correctives: bool = True
) -> NDArray[np.float32]:
    """(T, V, 3) metres, the posed body.

    ``rotations``: (T, J, 4) local unit quaternions of its joints; ``root``: (T, 3) metres, where the
    pelvis is. ``correctives``: with the pose blend shapes, which the body must have been loaded with.
    """
    shaped = body.shaped(betas)
    joints = body.regressor @ shaped
    positions, turned = forward_kinematics(_skeleton(body, joints), rotations, root)
    matrices = rot.to_matrix(turned)
    carried = positions - np.einsum("tjab,jb->tja", matrices, joints)
    transforms = np.concatenate([matrices, carried[..., None]], axis=-1).reshape(len(root), -1, 12)
    features = None
    if correctives:
        if body.pose_dirs is None:
            raise ValueError("the body was loaded without its pose blend shapes")
        features = (rot.to_matrix(rotations[:, 1:]) - np.eye(3)).reshape(len(root), -1).astype(np.float32)
    vertices = np.empty((len(root), len(shaped), 3), np.float32)
    step = max(1, _CHUNK // (len(shaped) * 12 * 8))
    for first in range(0, len(root), step):
        now = slice(first, first + step)
        posed = shaped[None]
        if features is not None and body.pose_dirs is not None:
            offsets = features[now] @ body.pose_dirs.reshape(len(body.pose_dirs), -1)
            posed = posed + offsets.reshape(-1, *shaped.shape)
        blended = (body.weights @ transforms[now]).reshape(-1, len(shaped), 3, 4)
        vertices[now] = np.einsum("tvab,tvb->tva", blended[..., :3], posed) + blended[..., 3]
    return vertices


def _skeleton(body: BodyModel, joints: Array) -> Skeleton:
    above = np.maximum(body.parents, 0)
    return Skeleton(
        body.names, body.parents, np.where(np.array(body.parents)[:, None] < 0, 0.0, joints - joints[above])
    )


def rest_rig(body: BodyModel, betas: ArrayLike = ()) -> Rig:
    """The body's skeleton at rest as a rig that stands on z = 0, one bone a joint.

    Bones point to the next joint of their limb, and turn about their x axis when elbows, knees and fingers
    bend. How they are turned does not depend on the betas, so that an animation stays right when the body
    changes its shape; only where they are and how long they are does.
    """
    shaped = body.shaped(betas)
    heads = body.regressor @ shaped
    plain = body.regressor @ body.template
    rest, lengths = np.tile(np.eye(4), (len(heads), 1, 1)), np.empty(len(heads))
    for joint, name in enumerate(body.names):
        along = _along(body, plain, joint)
        rest[joint, :3, :3] = _axes(along, name)
        end = body.towards[joint]
        lengths[joint] = (
            _reach(body, shaped, heads[joint], joint, along) if end < 0 else np.linalg.norm(heads[end] - heads[joint])
        )
    rest[:, :3, 3] = heads - [0.0, 0.0, shaped[:, 2].min()]
    return Rig(body.names, body.parents, rest, np.maximum(lengths, _SHORTEST))


def _along(body: BodyModel, heads: Array, joint: int) -> Array:
    """(3,) unit vector along a joint's bone."""
    end, name = body.towards[joint], body.names[joint]
    if end >= 0:
        span = heads[end] - heads[joint]
    elif name == "head":
        span = _UP
    elif name in _BODY or name == "jaw" or "eye" in name:  # of the body only feet are left
        span = _FRONT
    else:
        span = heads[joint] - heads[body.parents[joint]]
    length = float(np.linalg.norm(span))
    return span / length if length > _SHORTEST / 100 else _UP


def _axes(along: Array, name: str) -> Array:
    """(3, 3) the bone's axes as columns: y along it, z to the front, of feet, face and fingers down."""
    upright = name in _BODY and not name.endswith("foot")
    wanted = (_FRONT, -_UP) if upright else (-_UP, _FRONT)
    x = next(x for z in wanted for x in [np.cross(along, z)] if np.linalg.norm(x) > 0.05)
    x /= np.linalg.norm(x)
    return np.column_stack([x, along, np.cross(x, along)])


def _reach(body: BodyModel, shaped: Array, head: Array, joint: int, along: Array) -> float:
    """Metres from a joint to the end of the skin that is most of all its own."""
    own = shaped[body.weights.argmax(axis=1) == joint]
    return float(((own - head) @ along).max()) if len(own) else 0.0


def dance(body: BodyModel, motion: Motion, betas: ArrayLike = (), *, feet: FeetMode = "auto") -> tuple[Array, Array]:
    """What ``skin`` needs to show the body dancing: rotations (T, J, 4), and root (T, 3) above the floor z = 0.

    As on any other rig: limbs point where the dancer's do, the path is scaled by leg length, and planted
    feet stand still. Fingers, jaw and eyes stay at rest.
    """
    rig = rest_rig(body, betas)
    pose = solve(motion, rig, feet=feet)
    rotations = np.tile(rot.IDENTITY, (len(pose), len(rig), 1))
    for k, name in enumerate(pose.bones):
        rest = rig.rotations[rig.indices[name]]
        rotations[:, rig.indices[name]] = rot.multiply(rot.multiply(rest, pose.rotations[:, k]), rot.conjugate(rest))
    pelvis = rig.indices[pose.root_bone]
    return rotations, rig.heads[pelvis] + rot.rotate(rig.rotations[pelvis], pose.locations)
