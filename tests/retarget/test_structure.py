"""Bones found by the build of the body alone: real rigs without names, made bodies, and what is no body."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import rigs_at_hand as hand
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.bone_maps.bone_map import BoneMap
from stepsmith.retarget.bone_maps.structure import check_two_legged, map_by_structure
from stepsmith.retarget.errors import RigError
from stepsmith.retarget.rig import Rig
from stepsmith.retarget.skeleton import SMPL_NAMES


def wrong(found: BoneMap, truth: hand.Truth) -> dict[str, list[str]]:
    """The joints whose bones are not the true ones, with the bones found."""
    bad = {}
    for joint, true in truth.items():
        bones = [bone for bone, j in found.bones.items() if j == joint]
        if not bones or not set(bones) <= set((true,) if isinstance(true, str) else true):
            bad[joint] = bones
    return bad


def turned(turn: list[float]) -> np.ndarray:
    """(4, 4) world matrix of an object turned by a rotation vector."""
    world = np.eye(4)
    world[:3, :3] = rot.to_matrix(rot.from_axis_angle(turn))
    return world


@pytest.mark.data
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", hand.RIGS)
def test_names_every_bone_of_real_rigs_whose_names_say_nothing(name: str, seed: int) -> None:
    rig, truth = hand.scrambled(hand.RIGS[name](), hand.TRUTH[name], seed)
    found = map_by_structure(rig)
    assert not wrong(found, truth)
    assert found.convention == "structure"
    assert 0.5 < found.confidence <= 1.0


@pytest.mark.data
@pytest.mark.parametrize("name", hand.RIGS)
def test_never_looks_at_names(name: str) -> None:
    rig = hand.RIGS[name]()
    letters = tuple(f"{place:04d}" for place in range(len(rig)))
    named = map_by_structure(rig).bones
    plain = map_by_structure(replace(rig, names=letters)).bones
    assert [(rig.indices[bone], joint) for bone, joint in named.items()] == [
        (int(bone), joint) for bone, joint in plain.items()
    ]


# Each way of building a body that some maker chose.
MAKES: dict[str, dict[str, Any]] = {
    "plain": {},
    **{f"{count} spine bones": {"spine": count} for count in (0, 1, 2, 4, 5, 6)},
    **{f"{count} neck bones": {"neck": count} for count in (0, 2, 3)},
    "no head": {"head": False},
    "a bone that ends the head": {"head_end": True},
    "no clavicles": {"clavicles": False},
    "no toes": {"toes": False},
    "bones that end toes": {"toe_end": True},
    "heels": {"heels": True},
    "no fingers": {"fingers": 0},
    "mittens": {"fingers": 1},
    "three fingers": {"fingers": 3},
    "twist bones in line": {"twists": 2},
    "twist bones in line, no fingers": {"twists": 2, "fingers": 0},
    "twist bones beside": {"helpers": True},
    "controls at the root": {"controls": True, "floor_root": True},
    "face": {"face": True},
    "face and hair": {"face": True, "hair": 8},
    "skirt": {"skirt": 5},
    "tail": {"tail": 8},
    "wings": {"wings": True},
    "sword": {"weapon": True},
    "sword, no fingers": {"weapon": True, "fingers": 0},
    "staff in a hand without fingers, longer than short arms": {"staff": True, "arm_length": 0.4, "fingers": 0},
    "sleeves longer than hands": {"sleeves": 5},
    "sleeves beside arms that hang": {"sleeves": 5, "arms": 75.0},
    "hip helpers": {"hip_helpers": True},
    "hips beside the spine": {"split_hips": True},
    "instep": {"instep": True},
    "instep and bones that end toes": {"instep": True, "toe_end": True},
    "arms up": {"arms": -75.0},
    "arms down": {"arms": 85.0},
    "A pose": {"arms": 45.0},
    "bent elbows": {"elbows": 70.0},
    "crouching": {"knees": 130.0, "arms": 80.0},
    "straight": {"elbows": 0.0, "knees": 0.0},
    "long limbs": {"leg_length": 1.4, "arm_length": 1.0},
    "short limbs": {"leg_length": 0.4, "arm_length": 0.3},
    "chibi": {"leg_length": 0.3, "arm_length": 0.3, "torso_length": 0.35, "head_length": 0.6, "face": True},
    "tiny": {"scale": 0.01},
    "huge": {"scale": 100.0},
    "not quite symmetric": {"uneven": 0.01},
    "all at once": {
        "floor_root": True, "controls": True, "face": True, "hair": 5, "skirt": 5, "tail": 5, "wings": True,
        "weapon": True, "twists": 1, "hip_helpers": True, "neck": 2, "spine": 5, "helpers": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("how", MAKES)
def test_names_every_bone_of_any_make(how: str) -> None:
    rig, truth = hand.scrambled(*hand.humanoid(hand.Make(**MAKES[how])), seed=3)
    found = map_by_structure(rig)
    assert not wrong(found, truth)
    # Nothing is invented for what the body lacks.
    assert set(found.bones.values()) == set(truth)
    assert set(found.missing) == set(SMPL_NAMES) - set(truth)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    make=st.builds(
        hand.Make,
        spine=st.integers(0, 4),
        neck=st.integers(0, 3),
        head_end=st.booleans(),
        clavicles=st.booleans(),
        toes=st.booleans(),
        toe_end=st.booleans(),
        fingers=st.sampled_from([0, 1, 3, 5]),
        twists=st.integers(0, 2),
        helpers=st.booleans(),
        controls=st.booleans(),
        face=st.booleans(),
        hair=st.sampled_from([0, 6]),
        tail=st.sampled_from([0, 6]),
        hip_helpers=st.booleans(),
        floor_root=st.booleans(),
        arms=st.floats(-20.0, 85.0),
        elbows=st.floats(0.0, 60.0),
        knees=st.floats(0.0, 60.0),
        leg_length=st.floats(0.6, 1.1),
        arm_length=st.floats(0.4, 0.7),
        scale=st.sampled_from([0.01, 1.0, 100.0]),
        uneven=st.floats(0.0, 0.005),
        seed=st.integers(0, 99),
    ),
    turn=st.lists(st.floats(-2.0, 2.0), min_size=3, max_size=3),
)
def test_names_every_bone_of_bodies_however_they_stand(make: hand.Make, turn: list[float]) -> None:
    rig, truth = hand.scrambled(*hand.humanoid(make, turned(turn)), make.seed)
    assert not wrong(map_by_structure(rig), truth)


def test_left_is_the_bodys_own_left_whichever_way_it_faces() -> None:
    for turn in ([0.0, 0.0, np.pi], [0.0, 0.0, 1.0], [-np.pi / 2, 0.0, 0.0], [np.pi, 0.0, 0.0]):
        rig, truth = hand.humanoid(world=turned(turn))
        assert not wrong(map_by_structure(rig), truth)


def test_is_less_sure_of_a_side_that_nothing_tells() -> None:
    # Straight legs and arms on stumps: nothing faces anywhere.
    rig, truth = hand.humanoid(hand.Make(knees=0.0, elbows=0.0, toes=False, fingers=0))
    stumps = np.array(rig.rest)
    lengths = np.array(rig.lengths)
    for name in ("foot_l", "foot_r"):
        bone = rig.indices[name]
        stumps[bone, :3, :3] = rot.to_matrix(rot.between([0.0, 1.0, 0.0], [0.0, 0.0, -1.0]))
        lengths[bone] = 0.08
    unsure = map_by_structure(replace(rig, rest=stumps, lengths=lengths))
    sure = map_by_structure(rig)
    assert not wrong(unsure, truth)  # as Blender's characters face
    assert unsure.scores["thigh_l_0"] < sure.scores["thigh_l_0"]


@pytest.mark.parametrize("kind", hand.CREATURES)
def test_refuses_what_has_no_human_shape_in_one_sentence(kind: str) -> None:
    with pytest.raises(RigError) as refusal:
        map_by_structure(hand.creature(kind))
    text = str(refusal.value)
    assert text.endswith(".")
    assert text.count(". ") == 0
    assert ": " in text


def named_as_human(rig: Rig, legs: str, arms: str) -> BoneMap:
    """A map of a creature's legs as a human's legs and arms."""
    bones = {
        f"{prefix}{sign}{k}": f"{side}_{joint}"
        for prefix, joints in ((legs, ("hip", "knee", "ankle")), (arms, ("shoulder", "elbow", "wrist")))
        for sign, side in (("1.0", "left"), ("-1.0", "right"))
        for k, joint in enumerate(joints)
    }
    assert set(bones) <= set(rig.names)
    return BoneMap("any", bones, 1.0, ())


@pytest.mark.parametrize("kind", ["dog", "horse"])
@pytest.mark.parametrize("turn", [[0.0, 0.0, 0.0], [np.pi / 2, 0.0, 0.0], [0.4, 1.0, 2.0]])
def test_refuses_front_legs_named_as_arms(kind: str, turn: list[float]) -> None:
    rig = replace(hand.creature(kind), world=turned(turn))
    with pytest.raises(RigError, match="four legs"):
        check_two_legged(rig, named_as_human(rig, "hind", "fore"))


@pytest.mark.parametrize("how", ["plain", "arms down", "crouching", "short limbs", "long limbs", "chibi"])
@pytest.mark.parametrize("turn", [[0.0, 0.0, 0.0], [np.pi / 2, 0.0, 0.0], [0.0, np.pi / 2, 0.0]])
def test_a_human_who_crouches_or_lies_stands_on_two_legs(how: str, turn: list[float]) -> None:
    rig, truth = hand.humanoid(hand.Make(**MAKES[how]), turned(turn))
    bones = {bone: joint for joint, true in truth.items() for bone in ((true,) if isinstance(true, str) else true)}
    check_two_legged(rig, BoneMap("any", bones, 1.0, ()))


def test_a_map_without_arms_is_not_judged() -> None:
    check_two_legged(hand.creature("dog"), BoneMap("any", {"spine0": "pelvis"}, 0.1, ()))


def test_is_quick_on_large_rigs_with_controls() -> None:
    make = hand.Make(controls=True, face=True, hair=8, skirt=7, tail=8, wings=True, twists=2, floor_root=True)
    rig, truth = hand.humanoid(make)
    count = len(rig)
    more = 600 - count
    rest = np.concatenate([rig.rest, np.tile(np.eye(4), (more, 1, 1))])
    rest[count:, :3, 3] = np.random.default_rng(0).uniform(-1.0, 1.0, (more, 3))
    large = Rig(
        (*rig.names, *(f"control{k}" for k in range(more))),
        (*rig.parents, *([0] * more)),
        rest,
        np.concatenate([rig.lengths, np.full(more, 0.2)]),
        deforms=(*rig.deforms, *([False] * more)),
    )
    start = time.process_time()
    found = map_by_structure(large)
    assert time.process_time() - start < 0.5
    assert not wrong(found, truth)
