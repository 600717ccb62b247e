"""Losses in real units: the dance is judged where it is seen, at the joints."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ...retarget.skeleton import CONTACT_JOINTS, SMPL
from . import representation as rep


def _levels() -> list[tuple[list[int], list[int]]]:
    """Joints by depth with their parents, so that each level is one batched product."""
    depth = [0] * len(SMPL.parents)
    for joint, parent in enumerate(SMPL.parents[1:], start=1):
        depth[joint] = depth[parent] + 1
    levels = []
    for level in range(1, max(depth) + 1):
        joints = [j for j, d in enumerate(depth) if d == level]
        levels.append((joints, [SMPL.parents[j] for j in joints]))
    return levels


_LEVELS = _levels()
_OFFSETS = torch.tensor(SMPL.offsets, dtype=torch.float32)
_ROWS = 1 << 14  # of features summed at once


def matrices(d6: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of 6D rotations (..., 6), by Gram-Schmidt as in ``rotations.from_6d``."""
    x = F.normalize(d6[..., :3], dim=-1, eps=1e-6)
    y = d6[..., 3:]
    y = F.normalize(y - (x * y).sum(-1, keepdim=True) * x, dim=-1, eps=1e-6)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def joints_in_heading(features: Tensor) -> Tensor:
    """(..., 24, 3) metres: joints over the root's place on the floor, in the heading frame.

    ``features``: (..., 152) in real units.
    """
    local = matrices(features[..., rep.ROTATIONS].unflatten(-1, (24, 6)))
    offsets = _OFFSETS.to(features.device)
    height = torch.zeros((*features.shape[:-1], 3), device=features.device)
    height[..., 2] = features[..., rep.HEIGHT]
    turned: list[Tensor] = [local[..., 0, :, :]] * 24
    places: list[Tensor] = [height] * 24
    for joints, parents in _LEVELS:
        above = torch.stack([turned[p] for p in parents], dim=-3)
        here = above @ local[..., joints, :, :]
        moved = torch.stack([places[p] for p in parents], dim=-2) + (above @ offsets[joints, :, None]).squeeze(-1)
        for at, joint in enumerate(joints):
            turned[joint], places[joint] = here[..., at, :, :], moved[..., at, :]
    return torch.stack(places, dim=-2)


def joint_velocities(features: Tensor, joints: Tensor, fps: float) -> Tensor:
    """(..., T - 1, 24, 3) m/s between frames, over the floor, seen in the frame half way.

    The body turns and travels under its joints: v = dp/dt + v_root + yaw rate x p.
    """
    middle = 0.5 * (joints[..., 1:, :, :] + joints[..., :-1, :, :])
    mean = 0.5 * (features[..., 1:, :] + features[..., :-1, :])
    rate = mean[..., rep.YAW_RATE, None]
    v = (joints[..., 1:, :, :] - joints[..., :-1, :, :]) * fps
    planar = torch.stack(
        [
            v[..., 0] - rate * middle[..., 1] + mean[..., 4, None],
            v[..., 1] + rate * middle[..., 0] + mean[..., 5, None],
        ],
        dim=-1,
    )
    return torch.cat([planar, v[..., 2:]], dim=-1)


def dance_losses(
    predicted: Tensor, target: Tensor, std: Tensor, mean: Tensor, fps: float, weight: Tensor
) -> dict[str, Tensor]:
    """Named losses of standardised features (B, T, 152), each a mean over the batch.

    ``weight``: (B,), how much each window counts. features: squared error, standardised. joints: m^2 at
    the joints, times 30. velocity: (m/s)^2 at the joints. acceleration: of the joints, (m/s^2)^2 / 400.
    sliding: squared speed over the floor of feet that rest in the data, (m/s)^2.
    """
    a, b = predicted * std + mean, target * std + mean
    p, q = joints_in_heading(a), joints_in_heading(b)
    u, v = joint_velocities(a, p, fps), joint_velocities(b, q, fps)
    rest = torch.minimum(b[..., 1:, rep.CONTACTS], b[..., :-1, rep.CONTACTS])
    feet = u[..., list(CONTACT_JOINTS), :2]
    push = (u[..., 1:, :, :] - u[..., :-1, :, :] - v[..., 1:, :, :] + v[..., :-1, :, :]) * fps

    def mean_of(squares: Tensor) -> Tensor:
        return (squares.flatten(1).mean(1) * weight).mean()

    return {
        "features": mean_of((predicted - target).square()),
        "joints": mean_of(30 * (p - q).square()),
        "velocity": mean_of((u - v).square()),
        "acceleration": mean_of(push.square() / 400),
        "sliding": mean_of(feet.square().sum(-1) * rest),
    }


def feature_scale(*dances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (152,) of features (T, 152) for standardising; hardly moving ones are not blown up.

    Summed in double precision, since single precision is centimetres off after some hours, and a few rows at a time,
    so that no copy of all is made.
    """
    rows = sum(map(len, dances))
    blocks = [dance[first : first + _ROWS] for dance in dances for first in range(0, len(dance), _ROWS)]
    mean = np.sum([block.sum(axis=0, dtype=np.float64) for block in blocks], axis=0) / rows
    std = np.sqrt(np.sum([np.square(block - mean).sum(axis=0) for block in blocks], axis=0) / rows)
    std[rep.ROTATIONS] = np.maximum(std[rep.ROTATIONS], 0.1)
    std[rep.CONTACTS] = 0.5
    return mean.astype(np.float32), np.maximum(std, 0.05).astype(np.float32)
