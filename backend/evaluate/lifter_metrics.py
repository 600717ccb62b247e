"""How near lifted joints are to true ones, and how quietly they move.

Joints are (T, 17, 3) metres in Human3.6M's order, the first the hip, evenly spaced frames; the frame of reference is
the camera's, or any other that is the same for both. Figures are in mm unless the name says otherwise.
"""

from __future__ import annotations

import numpy as np

from ...retarget.rotations import Array
from ..pose.landmarks import HUMAN36M

# The bones of Human3.6M's skeleton: each joint but the hip, and the one it hangs on.
_PARENTS = {
    "right_hip": "hip", "right_knee": "right_hip", "right_foot": "right_knee", "left_hip": "hip",
    "left_knee": "left_hip", "left_foot": "left_knee", "spine": "hip", "thorax": "spine", "nose": "thorax",
    "head": "nose", "left_shoulder": "thorax", "left_elbow": "left_shoulder", "left_wrist": "left_elbow",
    "right_shoulder": "thorax", "right_elbow": "right_shoulder", "right_wrist": "right_elbow",
}  # fmt: skip
BONES = tuple((HUMAN36M.index(parent), HUMAN36M.index(joint)) for joint, parent in _PARENTS.items())
_MM = 1000.0


def from_hip(joints: Array) -> Array:
    """(T, J, 3) joints from the first of them."""
    around: Array = joints - joints[:, :1]
    return around


def mpjpe(found: Array, true: Array) -> float:
    """Mean distance of joints (T, J, 3) from the true ones, both from the hip ("protocol 1")."""
    return _MM * float(np.linalg.norm(from_hip(found) - from_hip(true), axis=-1).mean())


def p_mpjpe(found: Array, true: Array) -> float:
    """Mean distance once each frame is moved, turned and scaled to fit best ("protocol 2")."""
    return _MM * float(np.linalg.norm(procrustes(found, true) - true, axis=-1).mean())


def procrustes(found: Array, true: Array) -> Array:
    """(T, J, 3) ``found`` moved, turned and scaled, each frame by itself, to least squares from ``true``.

    Turned, never mirrored (Kabsch's algorithm; the scale is Umeyama's, IEEE PAMI 13, 1991).
    """
    middle = true.mean(axis=1, keepdims=True)
    around = found - found.mean(axis=1, keepdims=True)
    fitted: Array = around @ _similarity(around, true - middle) + middle
    return fitted


def _similarity(found: Array, true: Array) -> Array:
    """(N, 3, 3) turns times scales that take places (N, P, 3), as rows, nearest to the true ones."""
    u, sizes, vt = np.linalg.svd(np.swapaxes(found, 1, 2) @ true)
    sign = np.sign(np.linalg.det(u @ vt))
    u[..., 2] *= sign[:, None]
    sizes[:, 2] *= sign
    scale = sizes.sum(axis=1) / np.maximum((found**2).sum(axis=(1, 2)), 1e-12)
    turned: Array = scale[:, None, None] * (u @ vt)
    return turned


def turned_alike(joints: Array, like: Array) -> Array:
    """(T, J, 3) joints turned and scaled as one for the poses to be nearest to others', whatever the places."""
    turn = _similarity(from_hip(joints).reshape(1, -1, 3), from_hip(like).reshape(1, -1, 3))[0]
    turned: Array = joints @ turn
    return turned


def path_error(found: Array, true: Array) -> float:
    """Mean distance of the hip from the true one, the bodies made equally large and the paths' middles put together.

    A body twice as large and twice as far away looks the same: its path is measured in true bodies.
    """
    sizes = [np.linalg.norm(from_hip(joints), axis=-1).mean() for joints in (found, true)]
    paths = [joints[:, 0] / size * sizes[1] for joints, size in zip((found, true), sizes, strict=True)]
    off = (paths[0] - paths[0].mean(axis=0)) - (paths[1] - paths[1].mean(axis=0))
    return _MM * float(np.linalg.norm(off, axis=-1).mean())


def mpjve(found: Array, true: Array) -> float:
    """Mean error of the joints' steps from frame to frame, both from the hip: mm a frame."""
    steps = np.diff(from_hip(found), axis=0) - np.diff(from_hip(true), axis=0)
    return _MM * float(np.linalg.norm(steps, axis=-1).mean())


def acceleration_error(found: Array, true: Array, fps: float) -> float:
    """Mean error of the joints' accelerations (second differences), both from the hip: m/s²."""
    difference = np.diff(from_hip(found) - from_hip(true), n=2, axis=0) * fps**2
    return float(np.linalg.norm(difference, axis=-1).mean())


def jerk(joints: Array, fps: float) -> float:
    """Mean jerk of the joints but the hip, from the hip (third differences): m/s³. What trembles has a lot of it."""
    return float(np.linalg.norm(np.diff(from_hip(joints), n=3, axis=0), axis=-1)[:, 1:].mean() * fps**3)


def bone_spread(joints: Array) -> float:
    """Standard deviation over time of a bone's length, mean over the 16 bones; 0 for a rigid skeleton."""
    ends = np.array(BONES)
    lengths = np.linalg.norm(joints[:, ends[:, 1]] - joints[:, ends[:, 0]], axis=-1)
    return _MM * float(lengths.std(axis=0).mean())
