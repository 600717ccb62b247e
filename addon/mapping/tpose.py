"""How an armature stands at rest and how it stands in the dancer's T pose, in armature space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...retarget import rotations as rot
from ...retarget.bone_maps import BoneMap
from ...retarget.motion import Motion
from ...retarget.rig import Rig
from ...retarget.rotations import Array
from ...retarget.skeleton import SMPL, SMPL_NAMES, SMPL_PARENTS
from ...retarget.solve import Pose, solve


@dataclass(frozen=True, eq=False)
class Stance:
    """The mapped body as lines from joint to joint.

    ``bones``: N bone names, ``joints``: the N joints they follow. ``lines``: (L, 2) pairs of points; point i below
    N is where bone i begins, the others are the tips of the bones that nothing mapped hangs on. ``rest``,
    ``tpose``: (P, 3) the points in armature space, at rest and in the T pose (None where that is not known).
    """

    bones: tuple[str, ...]
    joints: tuple[str, ...]
    lines: tuple[tuple[int, int], ...]
    rest: Array
    tpose: Array | None

    @property
    def owners(self) -> tuple[int, ...]:
        """P places in ``bones``: whose beginning or tip each point is."""
        tips = [start for start, end in self.lines if end >= len(self.bones)]
        return (*range(len(self.bones)), *tips)

    def turned(self, start: str, end: str) -> float | None:
        """Degrees between rest and T pose of the line from joint to joint; None where that is not known."""
        if self.tpose is None or start not in self.joints or end not in self.joints:
            return None
        ends = [self.joints.index(start), self.joints.index(end)]
        (a, b), (c, d) = self.rest[ends], self.tpose[ends]
        return float(np.degrees(rot.angle(rot.between(b - a, d - c))))


def stance(rig: Rig, bone_map: BoneMap, pose: Pose | None = None) -> Stance:
    """How the mapped bones stand at rest, those of them that ``rig`` has, and in the T pose where ``pose`` is that."""
    known = [(bone, joint) for bone, joint in bone_map.bones.items() if bone in rig.indices]
    names = [(bone, joint) for name in SMPL_NAMES for bone, joint in known if joint == name]
    last: dict[str, int] = {}
    lines = []
    for place, (_, joint) in enumerate(names):
        above = joint
        while above and above not in last:
            parent = SMPL_PARENTS[SMPL_NAMES.index(above)]
            above = SMPL_NAMES[parent] if parent >= 0 else ""
        if above:
            lines.append((last[above], place))
        last[joint] = place
    ends = [place for place in range(len(names)) if place not in {start for start, _ in lines}]
    lines += [(place, len(names) + tip) for tip, place in enumerate(ends)]

    bones = [rig.indices[bone] for bone, _ in names]
    tips = [bones[place] for place in ends]
    along = np.zeros((len(tips), 4, 1))
    along[:, 1, 0], along[:, 3, 0] = rig.lengths[tips], 1.0

    def points(matrices: Array) -> Array:
        return np.concatenate([matrices[bones, :3, 3], (matrices[tips] @ along)[:, :3, 0]])

    joints = tuple(joint for _, joint in names)
    tpose = None if pose is None else points(posed(rig, pose))
    return Stance(tuple(bone for bone, _ in names), joints, tuple(lines), points(rig.rest), tpose)


def t_pose(rig: Rig, bone_map: BoneMap) -> Pose:
    """One frame: ``rig`` in SMPL's T pose, as the solve sees it. Raises RigError where the map can't be solved."""
    rotations = np.zeros((1, len(SMPL_NAMES), 4))
    rotations[..., 0] = 1.0
    still = Motion(30.0, np.array([[0.0, 0.0, SMPL.rest_root_height]]), rotations, np.zeros((1, 4)))
    return solve(still, rig, bone_map, feet="never")


def posed(rig: Rig, pose: Pose) -> Array:
    """(J, 4, 4) the bones' matrices, armature space, in the first frame of ``pose``; other bones stay at rest."""
    basis = np.tile(np.eye(4), (len(rig), 1, 1))
    places = [rig.indices[name] for name in pose.bones]
    basis[places, :3, :3] = rot.to_matrix(pose.rotations[0])
    for name, locations in {pose.root_bone: pose.locations, **pose.loose}.items():
        basis[rig.indices[name], :3, 3] = locations[0]
    matrices: dict[int, Array] = {}
    for bone in range(len(rig)):
        _pose_bone(rig, pose.bone_map, basis, bone, matrices)
    return np.stack([matrices[bone] for bone in range(len(rig))])


def _pose_bone(rig: Rig, bone_map: BoneMap, basis: Array, bone: int, matrices: dict[int, Array]) -> None:
    """Add the bone's matrix to ``matrices``, and those of the bones it follows."""
    chain = []
    at = bone
    while at >= 0 and at not in matrices and at not in chain:
        chain.append(at)
        follows = bone_map.parents.get(rig.names[at])
        at = rig.parents[at] if follows is None else rig.indices.get(follows, -1)
    for link in reversed(chain):
        above = np.eye(4) if at < 0 else matrices[at] @ np.linalg.inv(rig.rest[at])
        if at >= 0 and not rig.inherits_rotation[link]:
            above[:3, 3] += above[:3, :3] @ rig.heads[link] - rig.heads[link]
            above[:3, :3] = np.eye(3)
        matrices[link] = above @ rig.rest[link] @ basis[link]
        at = link
