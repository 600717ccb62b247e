"""The solve on rigs of any rest pose, roll, transform and hierarchy, judged by bones posed by Blender's rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.bone_maps import BoneMap
from stepsmith.retarget.capture import capture
from stepsmith.retarget.errors import RigError
from stepsmith.retarget.fit import Fit
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.rig import Rig
from stepsmith.retarget.skeleton import FOOT_HEIGHT, SMPL, SMPL_NAMES, SMPL_PARENTS
from stepsmith.retarget.solve import Pose, solve

Array = np.ndarray
MakeMotion = Callable[..., Motion]

LIMBS = [
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand"))
]
FEET = [(f"{side}_ankle", f"{side}_foot") for side in ("left", "right")]
EVERYTHING = BoneMap("by hand", {name: name for name in SMPL_NAMES}, 1.0, ())


def rest_rig(bent: dict[str, tuple[float, float, float]], rolls: int = 0, **change: object) -> Rig:
    """SMPL's joints as a rig whose rest pose turns joints by ``bent`` (rotation vectors, degrees)."""
    turns = np.tile(rot.IDENTITY, (1, 24, 1))
    for joint, vector in bent.items():
        turns[0, SMPL_NAMES.index(joint)] = rot.from_axis_angle(np.radians(vector))
    heads = Motion(30, np.zeros((1, 3)), turns, np.zeros((1, 4))).positions()[0]
    heads[:, 2] += FOOT_HEIGHT - heads[[10, 11], 2].min()
    rng = np.random.default_rng(rolls)
    rest, lengths = np.tile(np.eye(4), (24, 1, 1)), np.empty(24)
    for bone in range(24):
        below = [c for c in range(24) if SMPL_PARENTS[c] == bone]
        end = {0: 3, 9: 12}.get(bone, below[0] if below else bone)
        along = heads[end] - heads[bone] if end != bone else heads[bone] - heads[SMPL_PARENTS[bone]]
        lengths[bone] = np.linalg.norm(along)
        roll = rot.from_axis_angle(along / lengths[bone] * rng.uniform(-np.pi, np.pi))
        rest[bone, :3, :3] = rot.to_matrix(rot.multiply(roll, rot.between([0.0, 1.0, 0.0], along)))
        rest[bone, :3, 3] = heads[bone]
    return replace(Rig(SMPL_NAMES, SMPL_PARENTS, rest, lengths), **change)  # type: ignore[arg-type]


def matrices(rig: Rig, pose: Pose, parents: dict[str, str] | None = None) -> Array:
    """(T, J, 4, 4) armature space, by Blender's rules: fixed heads ignore locations, some bones keep their rotation."""
    basis = np.tile(np.eye(4), (len(pose), len(rig), 1, 1))
    basis[:, [rig.indices[name] for name in pose.bones], :3, :3] = rot.to_matrix(pose.rotations)
    root = rig.indices[pose.root_bone]
    if not (rig.connected[root] and rig.parents[root] >= 0):
        basis[:, root, :3, 3] = pose.locations
    for name, locations in pose.loose.items():
        basis[:, rig.indices[name], :3, 3] = locations
    posed: dict[int, Array] = {}
    waiting = list(range(len(rig)))
    while waiting:
        bone = waiting.pop(0)
        parent = rig.parents[bone]
        if parents and rig.names[bone] in parents:
            parent = rig.indices[parents[rig.names[bone]]]
        if parent >= 0 and parent not in posed:
            waiting.append(bone)
        elif parent < 0:
            posed[bone] = rig.rest[bone] @ basis[:, bone]
        else:
            carried = posed[parent] @ np.linalg.inv(rig.rest[parent]) @ rig.rest[bone]
            if not rig.inherits_rotation[bone]:
                carried[:, :3, :3] = rig.rest[bone, :3, :3]
            posed[bone] = carried @ basis[:, bone]
    return np.stack([posed[bone] for bone in range(len(rig))], axis=1)


def world_heads(rig: Rig, pose: Pose, parents: dict[str, str] | None = None) -> dict[str, Array]:
    seen = np.einsum("ij,tbj->tbi", rig.world, matrices(rig, pose, parents)[..., 3])[..., :3]
    return {joint: seen[:, rig.indices[bone]] for bone, joint in pose.bone_map.bones.items()}


def errors(motion: Motion, shown: dict[str, Array], limbs: list = LIMBS, turn: Array = rot.IDENTITY) -> Array:
    """(limbs, T) degrees between the dancer's limbs, turned by ``turn``, and the rig's in the world."""
    source = rot.rotate(turn, motion.positions())
    at = SMPL_NAMES.index
    return np.array(
        [
            np.degrees(rot.angle(rot.between(source[:, at(b)] - source[:, at(a)], shown[b] - shown[a])))
            for a, b in limbs
            if a in shown and b in shown
        ]
    )


def transform(yaw: float = 0.0, scale: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Array:
    matrix = np.eye(4)
    matrix[:3, :3] = rot.to_matrix(rot.from_axis_angle([0.0, 0.0, yaw])) @ np.diag(scale)
    return matrix


angles = st.floats(-70.0, 70.0)
small = st.floats(-15.0, 15.0)
kept = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@kept
@given(
    arms=st.lists(angles, min_size=12, max_size=12),
    legs=st.lists(small, min_size=12, max_size=12),
    rolls=st.integers(0, 99),
)
def test_limbs_of_any_rest_pose_point_right(
    make_motion: MakeMotion, arms: list[float], legs: list[float], rolls: int
) -> None:
    parts = [f"{s}_{p}" for s in ("left", "right") for p in ("shoulder", "elbow")]
    bent = {joint: (arms[3 * k], arms[3 * k + 1], arms[3 * k + 2]) for k, joint in enumerate(parts)}
    parts = [f"{s}_{p}" for s in ("left", "right") for p in ("hip", "knee")]
    bent |= {joint: (legs[3 * k], legs[3 * k + 1], legs[3 * k + 2]) for k, joint in enumerate(parts)}
    motion, rig = make_motion(12), rest_rig(bent, rolls)
    assert errors(motion, world_heads(rig, solve(motion, rig, EVERYTHING))).max() < 1e-4


@kept
@given(
    scale=st.tuples(*[st.floats(0.4, 2.5)] * 3),
    yaw=st.floats(-3.0, 3.0),
    arms=st.floats(0.0, 80.0),
    rolls=st.integers(0, 99),
)
def test_uneven_scale_leaves_directions_right(
    make_motion: MakeMotion, scale: tuple[float, float, float], yaw: float, arms: float, rolls: int
) -> None:
    motion = make_motion(12)
    rig = rest_rig({"left_shoulder": (0, arms, 0), "right_shoulder": (0, -arms, 0)}, rolls, world=transform(yaw, scale))
    shown = world_heads(rig, solve(motion, rig, EVERYTHING))
    turn = rot.from_axis_angle([0.0, 0.0, yaw])
    assert errors(motion, shown, turn=turn).max() < 1e-4
    hips = (shown["left_hip"] + shown["right_hip"])[:, :2] / 2.0
    positions = rot.rotate(turn, motion.positions())
    leg = Fit(rig, EVERYTHING).scale * np.cbrt(np.prod(scale))
    wanted = leg * (positions[:, 1] + positions[:, 2])[:, :2] / 2.0
    assert np.abs(np.diff(hips, axis=0) - np.diff(wanted, axis=0)).max() < 1e-6


def test_uneven_scale_of_a_parent_shears(make_motion: MakeMotion, make_walk: MakeMotion) -> None:
    world = transform(0.0, (1.0, 1.6, 0.8)) @ transform(0.7, (1.0, 1.0, 1.2))
    rig = rest_rig({"left_shoulder": (0, 50, 0), "right_shoulder": (0, -50, 0)}, 3, world=world)
    motion = make_motion(12)
    turn = Fit(rig, EVERYTHING).to_world
    assert errors(motion, world_heads(rig, solve(motion, rig, EVERYTHING)), turn=turn).max() < 1e-4
    # Planted feet stay where they are, in the world.
    walk = make_walk(slide=0.1)
    toes = world_heads(rig, solve(walk, rig, EVERYTHING))["left_foot"]
    held = walk.contacts[:, 2] > 0.5
    steps = np.linalg.norm(np.diff(toes, axis=0), axis=-1)[held[1:] & held[:-1]]
    assert 100.0 * steps.mean() * walk.fps < 0.5


def with_root(rig: Rig, **change: object) -> Rig:
    """``rig`` below a bone that lies on the floor."""
    rest = np.concatenate([np.eye(4)[None], rig.rest])
    return replace(
        rig,
        names=("base", *rig.names),
        parents=(-1, *(p + 1 for p in rig.parents)),
        rest=rest,
        lengths=np.concatenate([[0.3], rig.lengths]),
        rotation_modes=(),
        inherits_rotation=(),
        deforms=(),
        **{"connected": (), **change},  # type: ignore[arg-type]
    )


def test_a_pelvis_tied_to_its_parent_is_carried_by_it(make_motion: MakeMotion) -> None:
    motion, rig = make_motion(), rest_rig({}, 5)
    tied = with_root(rig, connected=(False, True) + (False,) * 23)
    found = solve(motion, tied, EVERYTHING)
    assert found.root_bone == "base"
    assert found.root_bone in found.bones
    shown, wanted = world_heads(tied, found), motion.positions()
    assert errors(motion, shown).max() < 1e-4
    for joint, where in shown.items():
        assert np.abs(where - wanted[:, SMPL_NAMES.index(joint)]).max() < 1e-6


def test_an_upper_body_that_does_not_hang_from_the_pelvis_travels_along(make_motion: MakeMotion) -> None:
    rig = with_root(rest_rig({}, 6))
    parents = list(rig.parents)
    parents[rig.indices["spine1"]] = 0
    rig = replace(rig, parents=tuple(parents))
    motion = make_motion()
    found = solve(motion, rig, EVERYTHING)
    shown = world_heads(rig, found)
    assert found.root_bone == "base"
    assert errors(motion, shown).max() < 1e-4
    assert np.abs(shown["pelvis"] - motion.root).max() < 1e-6
    assert np.abs(shown["spine1"] - shown["pelvis"]).max() < 0.15


def test_legs_that_hang_from_nothing_go_along(make_motion: MakeMotion) -> None:
    rig = rest_rig({"left_hip": (10, 0, 5)}, 8)
    parents = list(rig.parents)
    for joint in ("left_hip", "right_hip", "head"):
        parents[rig.indices[joint]] = -1
    apart = replace(rig, parents=tuple(parents))
    motion = make_motion()
    found = solve(motion, apart, EVERYTHING, feet="never")
    assert set(found.loose) == {"left_hip", "right_hip", "head"}
    shown, whole = world_heads(apart, found), world_heads(rig, solve(motion, rig, EVERYTHING, feet="never"))
    for joint, where in shown.items():
        assert np.abs(where - whole[joint]).max() < 1e-9


@pytest.mark.parametrize("turned_below", ["base", "spine3"])
def test_feet_and_hands_that_hang_from_elsewhere_stay_on_their_limbs(
    make_motion: MakeMotion, turned_below: str
) -> None:
    whole = with_root(rest_rig({"left_hip": (10, 0, 5), "right_shoulder": (0, 40, 0)}, 8))
    parents = list(whole.parents)
    for joint in ("left_ankle", "right_ankle", "right_wrist"):
        parents[whole.indices[joint]] = whole.indices[turned_below]
    apart = reordered(whole, parents)
    motion = make_motion()
    found = solve(motion, apart, EVERYTHING, feet="never")
    assert set(found.loose) == {"left_ankle", "right_ankle", "right_wrist"}
    shown, wanted = world_heads(apart, found), world_heads(whole, solve(motion, whole, EVERYTHING, feet="never"))
    for joint, where in shown.items():
        assert np.abs(where - wanted[joint]).max() < 1e-9


def reordered(rig: Rig, parents: list[int]) -> Rig:
    """The rig with these parents, listed parents first."""
    order: list[int] = []
    while len(order) < len(parents):
        order += [b for b, p in enumerate(parents) if b not in order and (p < 0 or p in order)]
    return Rig(
        tuple(rig.names[b] for b in order),
        tuple(-1 if parents[b] < 0 else order.index(parents[b]) for b in order),
        rig.rest[order],
        rig.lengths[order],
    )


def test_bones_that_keep_their_own_rotation(make_motion: MakeMotion) -> None:
    loose = ("head", "left_shoulder", "right_wrist", "left_ankle", "spine2", "right_hip")
    flags = tuple(name not in loose for name in SMPL_NAMES)
    motion, rig = make_motion(), rest_rig({"left_elbow": (0, 0, 40)}, 7, inherits_rotation=flags)
    shown = world_heads(rig, solve(motion, rig, EVERYTHING))
    assert errors(motion, shown).max() < 1e-4


def test_an_unmapped_bone_that_keeps_its_rotation_shields_those_below(
    make_motion: MakeMotion, make_walk: MakeMotion
) -> None:
    rig = rest_rig({}, 8, inherits_rotation=tuple(name not in ("left_collar", "left_knee") for name in SMPL_NAMES))
    bone_map = BoneMap("by hand", {n: n for n in SMPL_NAMES if n != "left_collar"}, 1.0, ())
    motion = make_motion()
    shown = world_heads(rig, solve(motion, rig, bone_map))
    assert errors(motion, shown).max() < 1e-4


def test_bones_may_follow_others_than_their_parents(make_motion: MakeMotion) -> None:
    """As controls of a generated rig do, which hang from helpers that constraints make follow the last limb."""
    rig = rest_rig({"left_shoulder": (0, 40, 0)}, 9)
    parents = tuple(
        -1 if name in ("left_shoulder", "right_knee", "neck") else p
        for name, p in zip(SMPL_NAMES, SMPL_PARENTS, strict=True)
    )
    followed = {"left_shoulder": "left_collar", "right_knee": "right_hip", "neck": "spine3"}
    loose = replace(rig, parents=parents)
    motion = make_motion()
    found = solve(motion, loose, replace(EVERYTHING, parents=followed))
    assert errors(motion, world_heads(loose, found, followed)).max() < 1e-4
    assert np.allclose(found.rotations, solve(motion, rig, EVERYTHING).rotations)
    with pytest.raises(RigError, match="follows itself"):
        solve(motion, rig, replace(EVERYTHING, parents={"left_shoulder": "left_wrist"}))
    with pytest.raises(RigError, match="no bone “nobody”"):
        solve(motion, rig, replace(EVERYTHING, parents={"left_shoulder": "nobody"}))


def test_a_matched_pose_tells_how_bones_align(make_motion: MakeMotion) -> None:
    """Whatever the rest pose looks like, what the user posed is SMPL's T pose."""
    bent = {
        "left_shoulder": (10, 60, 5),
        "right_shoulder": (0, -70, 0),
        "left_elbow": (0, 30, -60),
        "left_hip": (-40, 0, 20),
    }
    bent |= {"left_knee": (50, 0, 0), "spine2": (35, 0, 0), "right_wrist": (80, 0, 0)}
    rig = rest_rig(bent, 10)
    pose = {}
    for joint, vector in bent.items():
        rest = rig.rotations[rig.indices[joint]]
        # Undo the turn; the rest pose turned it in the parent's frame, which is turned itself.
        above = rot.IDENTITY
        for parent in reversed(rig.ancestors(rig.indices[joint])):
            above = rot.multiply(above, rot.from_axis_angle(np.radians(bent.get(SMPL_NAMES[parent], (0, 0, 0)))))
        undo = rot.conjugate(rot.from_axis_angle(np.radians(vector)))
        turned = rot.multiply(rot.multiply(above, undo), rot.conjugate(above))
        # Seen from the bone's own rest orientation, which is turned along.
        basis = rot.multiply(rot.multiply(rot.conjugate(rest), turned), rest)
        pose[joint] = tuple(basis)
    motion = make_motion()
    found = solve(motion, rig, replace(EVERYTHING, pose=pose))
    shown, wanted = world_heads(rig, found), motion.positions()
    assert errors(motion, shown, LIMBS + FEET).max() < 1e-4
    offsets = {j: shown[j] - shown["pelvis"] - (wanted[:, SMPL_NAMES.index(j)] - wanted[:, 0]) for j in shown}
    assert max(np.abs(off).max() for off in offsets.values()) < 1e-6
    rest_pose = Motion(30, [[0, 0, SMPL.rest_root_height]], np.tile(rot.IDENTITY, (1, 24, 1)), np.zeros((1, 4)))
    still = solve(rest_pose, rig, replace(EVERYTHING, pose=pose))
    for name, turn in zip(still.bones, still.rotations[0], strict=True):
        error = rot.angle(rot.multiply(rot.conjugate(np.array(pose.get(name, rot.IDENTITY))), turn))
        assert np.degrees(error) < 1e-4


def test_a_torso_bent_at_rest_dances_upright(make_motion: MakeMotion) -> None:
    motion, rig = make_motion(), rest_rig({"spine1": (40, 0, 0), "left_shoulder": (0, 60, 0)}, 11)
    shown, wanted = world_heads(rig, solve(motion, rig, EVERYTHING)), motion.positions()
    assert errors(motion, shown).max() < 1e-4
    assert errors(motion, shown, [("pelvis", "neck")]).max() < 12.0
    assert np.abs((shown["head"] - shown["neck"]) - (wanted[:, 15] - wanted[:, 12])).max() < 0.05


def test_mirrored_objects_are_refused() -> None:
    with pytest.raises(RigError, match="negative scale"):
        rest_rig({}, world=transform(0.3, (1.0, -1.0, 1.0)))
    turned = rest_rig({}, world=transform(0.3, (-1.0, -1.0, 1.0)))
    assert len(turned) == 24


def test_toes_lie_flat_while_the_heel_rises(make_walk: MakeMotion) -> None:
    rig, walk = rest_rig({"left_shoulder": (0, 45, 0)}, 12), make_walk()
    rotations = np.array(walk.rotations)
    raised = 0.6 * np.sin(np.linspace(0, 4 * np.pi, len(walk)))[:, None] ** 2
    rotations[:, 7] = rot.multiply(rotations[:, 7], rot.from_axis_angle(raised * [1.0, 0.0, 0.0]))
    motion = replace(walk, rotations=rotations, contacts=walk.contacts * [0, 1, 1, 1])
    tail = np.array([0.0, rig.lengths[10], 0.0, 1.0])
    lowest = {}
    for feet in ("never", "auto"):
        posed = matrices(rig, solve(motion, rig, EVERYTHING, feet=feet))  # type: ignore[arg-type]
        lowest[feet] = (posed[:, 10] @ tail)[:, 2].min() - (rig.rest[10] @ tail)[2]
    assert lowest["never"] < -0.04
    assert lowest["auto"] > -0.0025
    turned = posed[:, 10, :3, :3]
    steps = rot.angle(rot.from_matrix(np.swapaxes(turned[1:], 1, 2) @ turned[:-1]))
    assert np.abs(np.diff(steps)).max() < 0.15


def every_basis(rig: Rig, pose: Pose) -> Array:
    """(T, J, 4) basis rotations of all the rig's bones."""
    full = np.tile(rot.IDENTITY, (len(pose), len(rig), 1))
    full[:, [rig.indices[name] for name in pose.bones]] = pose.rotations
    return full


@kept
@given(
    scale=st.tuples(*[st.floats(0.5, 2.0)] * 3),
    arms=st.floats(-30.0, 85.0),
    elbow=st.floats(-90.0, 20.0),
    rolls=st.integers(0, 99),
    loose=st.sets(st.sampled_from(SMPL_NAMES[1:]), max_size=5),
    tied=st.booleans(),
)
def test_the_dance_can_be_read_back_from_any_rig(
    make_motion: MakeMotion,
    scale: tuple[float, float, float],
    arms: float,
    elbow: float,
    rolls: int,
    loose: set[str],
    tied: bool,
) -> None:
    rig = rest_rig({"left_shoulder": (0, arms, 0), "left_elbow": (0, 0, elbow), "right_knee": (20, 0, 0)}, rolls)
    rig = with_root(replace(rig, world=transform(0.3, scale)), connected=(False, tied) + (False,) * 23)
    rig = replace(rig, inherits_rotation=tuple(name not in loose for name in rig.names))
    motion = make_motion(8)
    found = solve(motion, rig, EVERYTHING)
    back = capture(rig, EVERYTHING, every_basis(rig, found), found.locations, motion.fps)
    assert np.degrees(rot.angle(rot.multiply(rot.conjugate(back.rotations), motion.rotations))).max() < 1e-4
    assert np.abs(back.root - motion.root).max() < 1e-6


def test_large_feet_stand_while_they_roll(make_walk: MakeMotion) -> None:
    """A toy's ankles are high above its balls: rolling on the ball must not count as a step."""
    rig = rest_rig({"left_shoulder": (0, 45, 0), "right_shoulder": (0, -45, 0)}, 13)
    rest = np.array(rig.rest)
    for side in ("left", "right"):
        foot, toe = rig.indices[f"{side}_ankle"], rig.indices[f"{side}_foot"]
        rest[foot, :3, 3] += [0.0, 0.0, 0.2]
        rest[toe, :3, 3] += [0.0, -0.1, 0.0]
    rig, walk = replace(rig, rest=rest), make_walk(noise=0.01)
    rotations = np.array(walk.rotations)
    roll = 0.5 * np.sin(np.linspace(0, 6 * np.pi, len(walk)))[:, None] ** 2
    for joint, share in ((7, 1.0), (8, 0.6)):
        rotations[:, joint] = rot.multiply(rotations[:, joint], rot.from_axis_angle(roll * [share, 0.0, 0.0]))
    # The dancer rolls on the balls of the feet, whose toes stay where they are.
    before = walk.positions()[:, [10, 11]].mean(axis=1)
    motion = replace(walk, rotations=rotations, contacts=walk.contacts * [0, 0, 1, 1])
    motion = replace(motion, root=motion.root + before - motion.positions()[:, [10, 11]].mean(axis=1))
    slides = {}
    for feet in ("never", "auto"):
        shown = world_heads(rig, solve(motion, rig, EVERYTHING, feet=feet))  # type: ignore[arg-type]
        toes = np.stack([shown["left_foot"], shown["right_foot"]], axis=1)[..., :2]
        held = (motion.contacts[1:, 2:] > 0.5) & (motion.contacts[:-1, 2:] > 0.5)
        slides[feet] = 100.0 * np.linalg.norm(np.diff(toes, axis=0), axis=-1)[held].mean() * motion.fps
    assert slides["never"] > 5.0
    assert slides["auto"] < 0.5


@pytest.mark.parametrize("frames", [1, 2, 30])
@pytest.mark.parametrize(
    "missing",
    [
        ("spine1", "spine2", "spine3"),
        ("neck", "head"),
        ("left_collar", "right_collar", "left_hand", "right_hand", "left_wrist", "right_wrist"),
        ("left_foot", "right_foot"),
        ("left_foot", "right_foot", "left_ankle", "right_ankle"),
        ("spine1", "spine2", "spine3", "neck", "head", "left_collar", "right_collar", "left_hand", "right_hand"),
    ],
)
def test_bodies_that_lack_parts_dance(make_walk: MakeMotion, missing: tuple[str, ...], frames: int) -> None:
    walk = make_walk(seconds=1.0, noise=0.01).slice(0, frames)
    rig = rest_rig({"left_shoulder": (0, 45, 0), "right_shoulder": (0, -45, 0)}, 14)
    bones = {name: name for name in SMPL_NAMES if name not in missing}
    found = solve(walk, rig, BoneMap("by hand", bones, 1.0, missing), heading=0.3, start=(1.0, 1.0), reach=True)
    assert found.rotations.shape == (frames, len(bones), 4)
    assert np.isfinite(found.rotations).all()
    turn = rot.from_axis_angle([0.0, 0.0, 0.3])
    shown = world_heads(rig, found)
    arms = [(a, b) for a, b in LIMBS if "shoulder" in a]
    assert errors(walk, shown, arms, turn).max() < 8.0
    held = walk.contacts[1:, :2] * walk.contacts[:-1, :2] > 0.5
    if frames == 30 and "left_ankle" in shown:
        ankles = np.stack([shown["left_ankle"], shown["right_ankle"]], axis=1)[..., :2]
        assert 100.0 * np.linalg.norm(np.diff(ankles, axis=0), axis=-1)[held].mean() * walk.fps < 0.5


def test_one_bone_more_for_a_joint_changes_nothing(make_motion: MakeMotion, make_walk: MakeMotion) -> None:
    """Two bones that follow one joint, as an upper arm and its twist bone do."""
    rig = rest_rig({"left_shoulder": (0, 45, 0)}, 15)
    twice = replace(
        EVERYTHING, bones=dict(EVERYTHING.bones) | {"left_collar": "left_shoulder", "right_ankle": "right_knee"}
    )
    motion = make_motion(10)
    shown = world_heads(rig, solve(motion, rig, twice))
    assert np.isfinite(shown["left_elbow"]).all()
    walk = make_walk(slide=0.1)
    found = solve(walk, rig, twice, reach=True)
    assert np.isfinite(found.rotations).all()
