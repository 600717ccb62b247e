from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.bone_maps import BoneMap, find_map
from stepsmith.retarget.capture import capture
from stepsmith.retarget.errors import RigError
from stepsmith.retarget.fit import Fit
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.rig import Rig
from stepsmith.retarget.skeleton import FOOT_HEIGHT, SMPL, SMPL_NAMES
from stepsmith.retarget.solve import Pose, solve

MakeRig = Callable[..., Rig]
MakeMotion = Callable[..., Motion]
PoseRig = Callable[..., np.ndarray]

MIXAMO_FILE = Path(__file__).parents[3] / "shared/data/rigs/mpfb/rig.mixamo.json"
LIMBS = [
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (
        ("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"),
        ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand"),
    )
]  # fmt: skip
TO_Y_UP = rot.from_axis_angle([-np.pi / 2, 0.0, 0.0])


def world(turn: np.ndarray, scale: float = 1.0, place: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rot.to_matrix(turn) * scale, place
    return matrix


def heads(rig: Rig, found: Pose, pose: PoseRig) -> dict[str, np.ndarray]:
    """World positions (T, 3) of the posed rig's bones, by SMPL joint."""
    posed = pose(rig, found.bones, found.rotations, found.root_bone, found.locations)
    seen = np.einsum("ij,tbjk->tbik", rig.world, posed)[..., :3, 3]
    joints = set(found.bone_map.bones.values())
    return {joint: seen[:, rig.indices[str(found.bone_map.bone(joint))]] for joint in joints}


def direction_errors(motion: Motion, shown: dict[str, np.ndarray], turn: np.ndarray = rot.IDENTITY) -> np.ndarray:
    """Degrees between the limbs of the dancer, turned by ``turn``, and those of the rig."""
    source = rot.rotate(turn, motion.positions())
    errors = []
    for a, b in LIMBS:
        if a in shown and b in shown:
            wanted = source[:, SMPL_NAMES.index(b)] - source[:, SMPL_NAMES.index(a)]
            errors.append(np.degrees(rot.angle(rot.between(wanted, shown[b] - shown[a]))))
    return np.array(errors)


def every_basis(rig: Rig, found: Pose) -> np.ndarray:
    """(T, J, 4) basis rotations of all the rig's bones."""
    full = np.tile(rot.IDENTITY, (len(found), len(rig), 1))
    full[:, [rig.indices[name] for name in found.bones]] = found.rotations
    return full


RIGS = {
    "t pose": {},
    "a pose": {"arms": 45.0},
    "arms down": {"arms": 85.0},
    "random rolls": {"rolls": 1},
    "a pose, random rolls": {"arms": 45.0, "rolls": 2},
    "origin in the pelvis": {"at_floor": False, "rolls": 3},
    "helper bones": {"helpers": True, "arms": 30.0, "rolls": 4},
    "no collars, no toes": {"skip": ("left_collar", "right_collar", "left_foot", "right_foot"), "rolls": 5},
    "centimetres, y up": {"turn": TO_Y_UP, "scale": 100.0, "world": world(rot.conjugate(TO_Y_UP), 0.01), "rolls": 6},
    "far away": {"world": world(rot.IDENTITY, 1.0, (30.0, -4.0, 2.0)), "arms": 40.0},
}


@pytest.mark.parametrize("kind", RIGS)
def test_limbs_point_where_the_dancers_do(make_rig: MakeRig, make_motion: MakeMotion, pose: PoseRig, kind: str) -> None:
    motion, rig = make_motion(), make_rig(**RIGS[kind])
    errors = direction_errors(motion, heads(rig, solve(motion, rig), pose))
    assert len(errors) >= 10
    assert errors.max() < 1e-5


@pytest.mark.parametrize("kind", RIGS)
def test_the_dance_can_be_read_back_from_the_rig(make_rig: MakeRig, make_motion: MakeMotion, kind: str) -> None:
    motion, rig = make_motion(), make_rig(**RIGS[kind])
    found = solve(motion, rig)
    back = capture(rig, found.bone_map, every_basis(rig, found), found.locations, motion.fps)
    mapped = [SMPL_NAMES.index(joint) for joint in SMPL_NAMES if joint not in found.bone_map.missing]
    error = np.degrees(rot.angle(rot.multiply(rot.conjugate(back.rotations), motion.rotations)))
    if len(mapped) == 24:
        assert error.max() < 1e-5
    assert np.abs(back.root - motion.root).max() < 1e-8
    assert error[:, [0, 1, 2, 4, 5]].max() < 1e-5


def test_same_body_dances_in_the_same_place(make_rig: MakeRig, make_motion: MakeMotion, pose: PoseRig) -> None:
    motion = make_motion()
    for kind in ("t pose", "a pose, random rolls", "centimetres, y up"):
        rig = make_rig(**RIGS[kind])
        shown = heads(rig, solve(motion, rig), pose)
        for joint, where in shown.items():
            assert np.abs(where - motion.positions()[:, SMPL_NAMES.index(joint)]).max() < 1e-6


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    yaw=st.floats(-3.1, 3.1), scale=st.floats(0.01, 100.0), arms=st.floats(0.0, 80.0), rolls=st.integers(0, 1000),
    y_up=st.booleans(),
)  # fmt: skip
def test_the_dance_stands_and_faces_as_the_character_does(
    make_rig: MakeRig,
    make_motion: MakeMotion,
    pose: PoseRig,
    yaw: float,
    scale: float,
    arms: float,
    rolls: int,
    y_up: bool,
) -> None:
    """Object transforms are left alone: the character turned by ``yaw`` dances turned by ``yaw``."""
    motion = make_motion(5)
    turn = rot.from_axis_angle([0.0, 0.0, yaw])
    upright = rot.conjugate(TO_Y_UP) if y_up else rot.IDENTITY
    rig = make_rig(
        arms=arms,
        rolls=rolls,
        turn=TO_Y_UP if y_up else None,
        world=world(rot.multiply(turn, upright), scale, (3.0, 2.0, 1.0)),
    )
    shown = heads(rig, solve(motion, rig), pose)
    assert direction_errors(motion, shown, turn).max() < 1e-4
    wanted = rot.rotate(turn, motion.root) * scale + [3.0, 2.0, 1.0]
    assert np.allclose(shown["pelvis"], wanted, atol=1e-6 * scale)


@pytest.mark.parametrize("bones", [1, 2, 4, 5])
def test_spines_of_any_length_share_the_bend(
    make_rig: MakeRig, make_motion: MakeMotion, pose: PoseRig, bones: int
) -> None:
    motion, rig = make_motion(), make_rig(spine=bones, rolls=1)
    found = solve(motion, rig)
    assert sum(joint.startswith("spine") for joint in found.bone_map.bones.values()) == bones
    shown = heads(rig, found, pose)
    assert direction_errors(motion, shown).max() < 1e-5
    # No bone of the chain bends farther than the whole.
    back = capture(rig, found.bone_map, every_basis(rig, found), found.locations, motion.fps)
    chest = [
        rot.multiply(rot.multiply(m.rotations[:, 3], m.rotations[:, 6]), m.rotations[:, 9]) for m in (motion, back)
    ]
    assert np.degrees(rot.angle(rot.multiply(rot.conjugate(chest[0]), chest[1]))).max() < 1e-5


def test_helper_bones_and_the_rest_pose_are_left_alone(make_rig: MakeRig, make_motion: MakeMotion) -> None:
    rig = make_rig(helpers=True, rolls=3)
    found = solve(make_motion(), rig)
    assert not [name for name in found.bones if name.startswith(("twist", "world"))]
    rest = Motion(30, [[0, 0, SMPL.rest_root_height]], np.tile(rot.IDENTITY, (1, 24, 1)), np.zeros((1, 4)))
    still = solve(rest, rig)
    assert np.degrees(rot.angle(still.rotations)).max() < 1e-5
    assert np.abs(still.locations).max() < 1e-9


def test_the_rig_stands_on_its_own_floor(make_rig: MakeRig, pose: PoseRig, make_walk: MakeMotion) -> None:
    """A child's or a giant's legs: the soles touch the plane on which the rest pose stands."""
    motion = make_walk()
    for scale, shins, at_floor in ((0.6, 0.8, True), (1.7, 1.3, True), (1.0, 0.7, False)):
        rig = make_rig(scale=scale, shins=shins, at_floor=at_floor, rolls=1, arms=45)
        shown = heads(rig, solve(motion, rig), pose)
        floor = rig.heads[rig.indices["left_foot"], 2] - FOOT_HEIGHT * scale
        toes = np.stack([shown["left_foot"], shown["right_foot"]], axis=1)[..., 2] - floor
        size = scale * (1 + shins) / 2
        assert toes.min() > FOOT_HEIGHT * scale - 1e-6
        assert np.median(toes.min(axis=1)) < (FOOT_HEIGHT + 0.006) * max(size, scale)


def test_feet_stay_where_they_stand_on_other_legs(make_rig: MakeRig, pose: PoseRig, make_walk: MakeMotion) -> None:
    motion = make_walk(noise=0.01, slide=0.05)
    standing = motion.contacts[1:, :2].astype(bool) & motion.contacts[:-1, :2].astype(bool)
    rig = make_rig(shins=0.85, rolls=2, arms=45)
    slides = {}
    for mode in ("never", "auto", "always"):
        shown = heads(rig, solve(motion, rig, feet=mode), pose)
        ankles = np.stack([shown["left_ankle"], shown["right_ankle"]], axis=1)[..., :2]
        steps = np.linalg.norm(np.diff(ankles, axis=0), axis=-1)[standing]
        slides[mode] = 100 * steps.mean() * motion.fps
    assert slides["never"] > 3.0
    assert slides["auto"] < 0.5
    assert slides["always"] < 0.5


def test_always_finds_contacts_where_the_motion_has_none(make_rig: MakeRig, make_walk: MakeMotion) -> None:
    motion = make_walk(noise=0.01)
    blank = replace(motion, contacts=np.zeros((len(motion), 4)))
    rig = make_rig(shins=0.9)
    never, auto, always = (solve(blank, rig, feet=mode).rotations for mode in ("never", "auto", "always"))
    assert np.array_equal(never, auto)
    assert not np.allclose(never, always)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_short_motions_work(make_rig: MakeRig, make_walk: MakeMotion, frames: int) -> None:
    assert solve(make_walk().slice(0, frames), make_rig(shins=0.9)).rotations.shape == (frames, 24, 4)


def test_keys_do_not_jump(make_rig: MakeRig, make_motion: MakeMotion) -> None:
    found = solve(make_motion(200), make_rig(rolls=1, arms=45))
    assert (np.sum(found.rotations[1:] * found.rotations[:-1], axis=-1) > 0.8).all()
    assert np.allclose(np.linalg.norm(found.rotations, axis=-1), 1.0)


def test_a_hand_made_map_is_followed(make_rig: MakeRig, make_motion: MakeMotion) -> None:
    rig = make_rig(rename=lambda name: f"b{SMPL_NAMES.index(name)}")
    bones = {f"b{k}": name for k, name in enumerate(SMPL_NAMES)}
    found = solve(make_motion(), rig, BoneMap("by hand", bones, 1.0, ()))
    known = solve(make_motion(), make_rig())
    assert np.allclose(found.rotations, known.rotations)
    with pytest.raises(RigError, match="no bone “nowhere”"):
        solve(make_motion(), rig, BoneMap("by hand", {**bones, "nowhere": "head"}, 1.0, ()))
    with pytest.raises(RigError, match="names no left knee"):
        solve(make_motion(), rig, BoneMap("by hand", {"b0": "pelvis", "b1": "left_hip", "b2": "right_hip"}, 1.0, ()))
    with pytest.raises(ValueError, match="feet"):
        solve(make_motion(), rig, feet="sometimes")  # type: ignore[arg-type]


def test_a_flat_rest_pose_is_refused(make_rig: MakeRig, make_motion: MakeMotion) -> None:
    rig = make_rig()
    heap = np.array(rig.rest)
    heap[:, :3, 3] = 0.0
    with pytest.raises(RigError, match="rest pose"):
        solve(make_motion(), Rig(rig.names, rig.parents, heap, rig.lengths), find_map(rig))


def mixamo_rig(path: Path) -> Rig:
    """The Mixamo skeleton of a MakeHuman body, rolls as Blender gives them."""
    bones = json.loads(path.read_text())["bones"]
    order: list[str] = []
    waiting = [name for name, bone in bones.items() if not bone["parent"]]
    while waiting:
        order.append(waiting.pop(0))
        waiting += [name for name, bone in bones.items() if bone["parent"] == order[-1]]
    rest, lengths = [], []
    for name in order:
        head, tail = (np.array(bones[name][end]["default_position"]) for end in ("head", "tail"))
        along = tail - head
        axis = along / np.linalg.norm(along)
        turn = rot.multiply(rot.from_axis_angle(axis * bones[name]["roll"]), rot.between([0.0, 1.0, 0.0], along))
        rest.append(world(turn, 1.0, tuple(head)))
        lengths.append(np.linalg.norm(along))
    parents = tuple(order.index(bones[n]["parent"]) if bones[n]["parent"] else -1 for n in order)
    return Rig(tuple(order), parents, np.array(rest), np.array(lengths))


@pytest.mark.data
@pytest.mark.skipif(not MIXAMO_FILE.is_file(), reason="the rigs beside the checkout are missing")
def test_a_mixamo_character_dances(make_motion: MakeMotion, make_walk: MakeMotion, pose: PoseRig) -> None:
    rig = mixamo_rig(MIXAMO_FILE)
    found_map = find_map(rig)
    assert (found_map.convention, found_map.confidence) == ("Mixamo", 1.0)
    motion = make_motion()
    errors = direction_errors(motion, heads(rig, solve(motion, rig), pose))
    feet = [k for k, (a, _) in enumerate(pair for pair in LIMBS if "hand" not in pair[1]) if a.endswith("ankle")]
    assert np.delete(errors, feet, axis=0).max() < 1e-5
    # Soles stay flat, so feet differ by the slope of their bones alone.
    assert np.ptp(errors[feet]) < 0.1
    assert errors[feet].max() < 5.0
    # Palms face the floor in SMPL's rest pose: the fingers point outwards, the thumb to the front.
    rest = Motion(30, [[0, 0, SMPL.rest_root_height]], np.tile(rot.IDENTITY, (1, 24, 1)), np.zeros((1, 4)))
    still = solve(rest, rig)
    posed = pose(rig, still.bones, still.rotations, still.root_bone, still.locations)[0, :, :3, 3]
    hand, finger, thumb = (posed[rig.indices["mixamorig:LeftHand" + n]] for n in ("", "Middle1", "Thumb3"))
    assert (finger - hand)[0] > 0.95 * np.linalg.norm(finger - hand)
    assert thumb[1] < hand[1] - 0.03
    walk = make_walk(noise=0.01)
    shown = heads(rig, solve(walk, rig), pose)
    assert abs(np.median(shown["left_foot"][:, 2]) - Fit(rig, found_map).foot_heights.toes[0]) < 0.005


def test_toes_that_begin_at_the_ankle_are_no_trouble(make_rig: MakeRig, make_walk: MakeMotion) -> None:
    rig, walk = make_rig(), make_walk()
    rest = np.array(rig.rest)
    for side in ("left", "right"):
        rest[rig.indices[f"{side}_foot"], :3, 3] = rest[rig.indices[f"{side}_ankle"], :3, 3]
    odd = replace(rig, rest=rest)
    # Of itself the map leaves such toes out; a preset may name them.
    bone_map = find_map(rig)
    plain, pose = solve(walk, rig, bone_map=bone_map), solve(walk, odd, bone_map=bone_map)
    assert np.isfinite(pose.rotations).all()
    assert np.isfinite(pose.locations).all()
    knee = pose.bones.index("left_knee")
    assert rot.angle(rot.multiply(rot.conjugate(plain.rotations[:, knee]), pose.rotations[:, knee])).max() < 0.2
