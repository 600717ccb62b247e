"""From a person lifted into space to a performance, stage after stage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....retarget import rotations as rot
from ....retarget.errors import StepsmithError
from ....retarget.feet import lock_feet
from ....retarget.motion import Motion
from ....retarget.rotations import Array
from ....retarget.skeleton import CONTACT_JOINTS, SMPL, SMPL_NAMES
from ...limits import in_range, out_of_body, unsnapped
from ..detections import Lifted
from ..landmarks import POINTS
from .ground import Noise, find_contacts, find_floor, find_path, level_beside_losses
from .kinematics import solve_rotations
from .level import find_up, to_world
from .proportions import bone_lengths, scale_to_standard
from .smooth import PATH_JERK, find_noise, smooth, usual_jerks
from .soles import bend_toes, level_feet, raise_heels, rest_soles

# Metres by which a point is off that was not seen, and only guessed.
_GUESSED = 0.1
# Metres from end to end that a body measures, whatever the unit of the weights that lifted it.
_SIZES = 1e-2, 1e4
# How often contacts and path are found in turn.
_ROUNDS = 3
_HIPS = [1, 2]
_HIP_MIDDLE = SMPL.offsets[_HIPS].mean(axis=0)


def solve_body(lifted: Lifted, *, confidence: Array | None = None) -> Motion:
    """A performance of the standard skeleton: upright on the floor z = 0, with contacts, feet not sliding, hands out of
    the body.

    ``confidence``: (T, 25), or (T, 17) of COCO's points, in [0, 1], how surely each of the lifted points was
    seen; without it all count alike. The camera looks along y: somebody who faces it faces -y. It begins over the
    origin. ``meta["scale"]``: by how much the person was scaled for legs of the standard skeleton's length.

    Raises StepsmithError where there is no frame, a value is not finite, or nobody is of such a size.
    """
    if not len(lifted) or not all(np.isfinite(a).all() for a in (lifted.points, lifted.joints)):
        raise StepsmithError("The lifted body has no frames or values that are not finite: lift the video anew.")
    extent = float(np.median(np.ptp(lifted.joints, axis=1).max(axis=1)))
    if not _SIZES[0] < extent < _SIZES[1]:
        raise StepsmithError(
            f"The lifted body measures {extent:.3g} m, which nobody does: choose other weights with --lifter."
        )
    doubt = _doubts(lifted, confidence)
    joint_doubt = np.stack([doubt[:, at].mean(axis=1) for at in _SEEN_BY], axis=1)

    path = lifted.joints[:, _HIPS].mean(axis=1, keepdims=True)
    joints, points = lifted.joints - path, lifted.points - path
    noise, path_noise = find_noise(joints), find_noise(path)
    joints, joint_noise = smooth(joints, joint_doubt, noise, usual_jerks(SMPL_NAMES), lifted.fps)
    points, point_noise = smooth(points, doubt, noise, usual_jerks(POINTS), lifted.fps)
    rough, _ = smooth(path, joint_doubt[:, :1], path_noise, np.array([PATH_JERK]), lifted.fps)
    weight = 1.0 / (1.0 + joint_doubt[:, 0] ** 2 / np.mean(path_noise**2))

    scale = scale_to_standard(bone_lengths(joints, joint_noise))
    joints, points, rough, path = (scale * places for places in (joints, points, rough, path[:, 0]))
    world = to_world(find_up(lifted.up, joints + rough, lifted.fps))
    rotations = solve_rotations(
        joints @ world.T, points @ world.T, scale * joint_noise, scale * point_noise, lifted.fps
    )
    spread = Noise(world.T, scale * path_noise, scale * noise)
    motion = _stand(rotations, path @ world.T, weight, spread, lifted.fps)
    possible = unsnapped(in_range(raise_heels(motion)))
    return bend_toes(out_of_body(raise_heels(lock_feet(possible.with_meta(scale=scale), captured=True))))


def _stand(rotations: Array, path: Array, weight: Array, noise: Noise, fps: float) -> Motion:
    """The performance on the floor z = 0, begun over the origin, with contacts.

    ``path``: (T, 3) the middle of the hips as lifted, the camera at the origin. Where feet rest follows from the
    path, and the path from where they rest: both are found in turn.
    """
    hip = rot.rotate(rotations[:, 0], _HIP_MIDDLE)
    contacts = np.zeros((len(path), 4))
    for _ in range(_ROUNDS):
        rotations = level_feet(rotations, contacts)
        stood = rest_soles(Motion(fps, -hip, rotations, contacts))
        body = stood.positions()
        feet = body[:, list(CONTACT_JOINTS)]
        found = find_path(path, weight, feet, contacts, noise, fps)
        found[:, 2] -= find_floor(body[..., 2] + found[:, 2:], contacts, fps)
        found[:, 2] += level_beside_losses(body[..., 2] + found[:, 2:], weight, fps)
        contacts = find_contacts(feet + found[:, None], noise, fps)
    root = found - hip
    return rest_soles(replace(stood, root=root - [*root[0, :2], 0.0], contacts=contacts))


def _doubts(lifted: Lifted, confidence: Array | None) -> Array:
    """(T, 25) metres by which points may be off beside their noise."""
    if confidence is None:
        return np.zeros(lifted.points.shape[:2])
    known = np.zeros(lifted.points.shape[:2])
    known[:, : confidence.shape[1]] = np.clip(np.nan_to_num(confidence), 0.0, 1.0)
    return _GUESSED * (1.0 - known) ** 2


def _seen_by() -> list[list[int]]:
    """The points that tell where each SMPL joint is."""
    trunk = ["left_hip", "right_hip", "left_shoulder", "right_shoulder"]
    groups: dict[str, list[str]] = {
        "pelvis": trunk[:2], "spine1": trunk, "spine2": trunk, "spine3": trunk, "neck": trunk[2:],
        "head": ["nose", "left_ear", "right_ear"],
    }  # fmt: skip
    for side in ("left", "right"):
        groups |= {f"{side}_{part}": [f"{side}_{part}"] for part in ("hip", "knee", "ankle", "elbow", "wrist")}
        groups |= {f"{side}_{part}": [f"{side}_shoulder"] for part in ("collar", "shoulder")}
        groups |= {f"{side}_foot": [f"{side}_toe", f"{side}_ankle"], f"{side}_hand": [f"{side}_wrist"]}
    return [[POINTS.index(name) for name in groups[joint]] for joint in SMPL_NAMES]


_SEEN_BY = _seen_by()
