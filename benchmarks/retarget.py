"""How true and how fast retargeting and the foot clean-up are.

    python benchmarks/retarget.py [--data DIR] [--json FILE]

Without data, a made dance that skates is cleaned up and put on rigs of 65 bones made here: T pose, A pose, any
bone roll, short and long shins. With DIR (the tang2018 dances: manifest.csv, a .npz and an .ogg a dance) the
test split's real dances take its place.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.capture import capture
from stepsmith.retarget.feet import lock_feet
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.rig import Rig
from stepsmith.retarget.rotations import Array
from stepsmith.retarget.skeleton import ANKLE_HEIGHT, CONTACT_JOINTS, FOOT_HEIGHT, SMPL, SMPL_NAMES, SMPL_PARENTS
from stepsmith.retarget.solve import Pose, solve

FINGERS = 41  # with SMPL's 24 joints, the 65 bones of a Mixamo character
SEGMENTS = [
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"), ("shoulder", "elbow"), ("elbow", "wrist"))
]
FEET = [SMPL_NAMES[j] for j in CONTACT_JOINTS]
FLOORS = np.array([ANKLE_HEIGHT, ANKLE_HEIGHT, FOOT_HEIGHT, FOOT_HEIGHT])


def make_rig(arms: float = 0.0, rolls: int = 0, legs: float = 1.0, size: float = 1.0) -> Rig:
    """A rig of 65 bones: SMPL's joints and, in the hands, bones that nothing drives.

    ``arms``: degrees below the T pose. ``rolls``: seed of the bones' rolls. ``legs``: length of the shins as
    a share of SMPL's. ``size``: of the whole.
    """
    rng = np.random.default_rng(rolls)
    turns = np.tile(rot.IDENTITY, (1, 24, 1))
    for joint, sign in ((16, 1.0), (17, -1.0)):
        turns[0, joint] = rot.from_axis_angle([0.0, np.radians(arms) * sign, 0.0])
    joints = Motion(30.0, np.zeros((1, 3)), turns, np.zeros((1, 4))).positions()[0]
    for knee, ankle, foot in ((4, 7, 10), (5, 8, 11)):
        joints[[ankle, foot]] += (legs - 1.0) * (joints[ankle] - joints[knee])
    joints[:, 2] += FOOT_HEIGHT - joints[10, 2]
    names, parents = list(SMPL_NAMES), list(SMPL_PARENTS)
    heads = list(joints * size)
    for k in range(FINGERS):
        names.append(f"finger{k}")
        parents.append(22 + k % 2)
        heads.append(heads[22 + k % 2] + rng.normal(0.0, 0.02, 3))
    rest, lengths = np.tile(np.eye(4), (len(names), 1, 1)), np.empty(len(names))
    for bone, head in enumerate(heads):
        child = {0: 3, 9: 12}.get(bone, next((c for c, p in enumerate(parents) if p == bone), None))
        along = (heads[child] if child is not None else 2 * head - heads[parents[bone]]) - head
        lengths[bone] = np.linalg.norm(along)
        roll = rot.from_axis_angle(along / lengths[bone] * rng.uniform(-np.pi, np.pi))
        rest[bone, :3, :3] = rot.to_matrix(rot.multiply(roll, rot.between([0.0, 1.0, 0.0], along)))
        rest[bone, :3, 3] = head
    return Rig(tuple(names), tuple(parents), rest, lengths)


RIGS: dict[str, dict] = {
    "SMPL, T pose": {},
    "SMPL, A pose": {"arms": 45.0, "rolls": 1},
    "arms down": {"arms": 85.0, "rolls": 2},
    "short shins": {"arms": 45.0, "rolls": 3, "legs": 0.8},
    "long shins, twice as tall": {"arms": 45.0, "rolls": 4, "legs": 1.2, "size": 2.0},
}


def made_dance(seconds: float = 60.0, fps: float = 30.0) -> Motion:
    """Steps on the spot by a body that drifts, sways and waves its arms."""
    rng = np.random.default_rng(0)
    times = np.arange(int(seconds * fps)) / fps
    vectors = np.zeros((len(times), 24, 3))
    for _ in range(3):
        wave = np.sin(2 * np.pi * rng.uniform(0.2, 1.0, (24, 3)) * times[:, None, None])
        vectors[:, 3:] += rng.normal(0.0, 0.15, (21, 3)) * wave[:, 3:]
    vectors[:, [4, 5, 7, 8, 10, 11]] = 0.0
    contacts = np.ones((len(times), 4))
    for side, phase in ((0, 0.0), (1, np.pi)):
        lifted = np.maximum(np.sin(2 * np.pi * times + phase), 0.0) ** 2
        for joint, angle in ((1 + side, -0.7), (4 + side, 1.1), (7 + side, -0.4)):
            vectors[:, joint, 0] = lifted * angle
        contacts[:, side] = contacts[:, side + 2] = lifted < 0.02
    sway = 0.01 * np.sin(times[:, None] * [1.1, 1.7, 2.3])
    root = [0.0, 0.0, SMPL.rest_root_height - 0.01] + sway + times[:, None] * [0.03, 0.0, 0.0]
    return Motion(fps, root, rot.from_axis_angle(vectors), contacts)


def heads(rig: Rig, pose: Pose) -> Array:
    """(T, J, 3) armature space, the bones' heads in the pose, computed as Blender does."""
    posed = np.empty((len(pose), len(rig), 4, 4))
    basis = np.tile(np.eye(4), (len(pose), len(rig), 1, 1))
    driven = [rig.indices[name] for name in pose.bones]
    basis[:, driven, :3, :3] = rot.to_matrix(pose.rotations)
    basis[:, rig.indices[pose.root_bone], :3, 3] = pose.locations
    for bone, parent in enumerate(rig.parents):
        local = rig.rest[bone] if parent < 0 else np.linalg.inv(rig.rest[parent]) @ rig.rest[bone]
        posed[:, bone] = local @ basis[:, bone]
        if parent >= 0:
            posed[:, bone] = posed[:, parent] @ posed[:, bone]
    return posed[..., :3, 3]


def slide(feet: Array, contacts: Array, fps: float) -> float:
    """Centimetres a contact second; ``feet``: (T, 4, 3) metres."""
    steps = np.linalg.norm(np.diff(feet[..., :2], axis=0), axis=-1)
    held = (contacts[1:] > 0.5) & (contacts[:-1] > 0.5)
    return 100.0 * float(steps[held].mean()) * fps


def rig_row(motion: Motion, rig: Rig) -> dict[str, float]:
    """Direction error, path, feet and round trip of one dance on one rig."""
    pose = solve(motion, rig)
    shown, source = heads(rig, pose), motion.positions()
    errors = []
    for a, b in SEGMENTS:
        wanted = source[:, SMPL_NAMES.index(b)] - source[:, SMPL_NAMES.index(a)]
        errors.append(np.degrees(rot.angle(rot.between(wanted, shown[:, rig.indices[b]] - shown[:, rig.indices[a]]))))
    leg = sum(float(np.linalg.norm(rig.heads[rig.indices[a]] - rig.heads[rig.indices[b]])) for a, b in SEGMENTS[:2])
    scale = leg / SMPL.leg_length
    path = shown[:, rig.indices["pelvis"], :2] / scale - motion.root[:, :2]
    free = solve(motion, rig, feet="never")
    full = np.tile(rot.IDENTITY, (len(motion), len(rig), 1))
    full[:, [rig.indices[name] for name in free.bones]] = free.rotations
    back = capture(rig, free.bone_map, full, free.locations, motion.fps)
    turned = rot.angle(rot.multiply(rot.conjugate(back.rotations), motion.rotations))
    feet = [rig.indices[name] for name in FEET]
    return {
        "direction error, mean deg": float(np.mean(errors)),
        "direction error, 99 % deg": float(np.quantile(errors, 0.99)),
        "path error, % of leg": 100.0 * float(np.linalg.norm(path, axis=-1).mean()) / SMPL.leg_length,
        "slide unlocked, cm/s": slide(heads(rig, free)[:, feet] / scale, motion.contacts, motion.fps),
        "slide, cm/s": slide(shown[:, feet] / scale, motion.contacts, motion.fps),
        "round trip, mean deg": float(np.degrees(turned.mean())),
    }


def feet_row(motion: Motion, contacts: Array) -> dict[str, float]:
    """Skating, floor and smoothness of one dance, judged by ``contacts``."""
    positions = motion.positions()
    feet = positions[:, list(CONTACT_JOINTS)]
    acceleration = np.linalg.norm(np.diff(positions, 2, axis=0), axis=-1) * motion.fps**2
    return {
        "slide, cm/s": slide(feet, contacts, motion.fps),
        "deepest below the floor, cm": 100.0 * float(np.maximum(FLOORS - feet[..., 2], 0.0).max()),
        "acceleration, m/s2": float(acceleration.mean()),
        "of the feet": float(acceleration[:, list(CONTACT_JOINTS)].mean()),
        "of the knees": float(acceleration[:, [4, 5]].mean()),
        "of the pelvis": float(acceleration[:, 0].mean()),
    }


def milliseconds(work: Callable[[], object], times: int = 7) -> float:
    """The fastest of ``times``."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return 1000.0 * min(taken)


def mean_rows(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def print_table(title: str, table: dict[str, dict[str, float]]) -> None:
    columns = list(next(iter(table.values())))
    print(f"\n| {title} | " + " | ".join(columns) + " |")
    print("|" + "---|" * (len(columns) + 1))
    for name, row in table.items():
        print(f"| {name} | " + " | ".join(f"{row[c]:.3g}" for c in columns) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the tang2018 dances")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()

    result: dict[str, dict] = {}
    raw = [made_dance()]
    if options.data:
        from stepsmith.backend.dance.sources import load_dances

        raw = [dance.motion for dance in load_dances(options.data, "test")]
    dances = [lock_feet(motion) for motion in raw]
    before = mean_rows([feet_row(m, m.contacts) for m in raw])
    after = mean_rows([feet_row(locked, m.contacts) for locked, m in zip(dances, raw, strict=True)])
    result["feet"] = {"before": before, "after": after}
    print_table("foot clean-up", result["feet"])

    result["rigs"] = {name: mean_rows([rig_row(m, make_rig(**kind)) for m in dances]) for name, kind in RIGS.items()}
    print_table("retargeting", result["rigs"])

    minute, rig = made_dance(60.0), make_rig(45.0, 1)
    result["time"] = {
        "1,800 frames on 65 bones, feet left alone": {"ms": milliseconds(lambda: solve(minute, rig, feet="never"))},
        "1,800 frames on 65 bones, feet locked": {"ms": milliseconds(lambda: solve(minute, rig))},
        "clean-up of 900 frames": {"ms": milliseconds(lambda: lock_feet(minute.slice(0, 900)))},
    }
    print_table("time", result["time"])
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
