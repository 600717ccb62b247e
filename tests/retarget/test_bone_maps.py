from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from stepsmith.retarget.bone_maps import CONVENTIONS, find_map
from stepsmith.retarget.bone_maps.convention import Convention
from stepsmith.retarget.errors import RigError
from stepsmith.retarget.rig import Rig
from stepsmith.retarget.skeleton import SMPL_NAMES

MakeRig = Callable[..., Rig]

MIXAMO = {
    "pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck", "head": "Head",
    **{
        f"{side}_{joint}": side.capitalize() + name
        for side in ("left", "right")
        for joint, name in (
            ("hip", "UpLeg"), ("knee", "Leg"), ("ankle", "Foot"), ("foot", "ToeBase"), ("collar", "Shoulder"),
            ("shoulder", "Arm"), ("elbow", "ForeArm"), ("wrist", "Hand"), ("hand", "HandMiddle1"),
        )
    },
}  # fmt: skip


def short(name: str) -> str:
    side, _, part = name.partition("_")
    return f"{side[0].upper()}_{part.capitalize()}" if part else name.capitalize()


@pytest.mark.parametrize(
    "rename",
    [
        str,
        short,
        lambda name: "m_avg_" + short(name),
        lambda name: "f_avg_" + short(name),
        lambda name: name + ".001",
        str.upper,
    ],
)
def test_every_spelling_of_smpl_is_known(make_rig: MakeRig, rename: Callable[[str], str]) -> None:
    found = find_map(make_rig(rename=rename))
    assert found.convention == "SMPL"
    assert found.confidence == 1.0
    assert not found.missing
    assert dict(found.bones) == {rename(name): name for name in SMPL_NAMES}


@pytest.mark.parametrize("prefix", ["", "mixamorig:", "mixamorig1:", "mixamorig12:", "mixamorig_"])
def test_mixamo_is_known_with_any_prefix(make_rig: MakeRig, prefix: str) -> None:
    found = find_map(make_rig(rename=lambda name: prefix + MIXAMO[name]))
    assert found.convention == "Mixamo"
    assert found.confidence == 1.0
    assert found.missing == ("left_hand", "right_hand")
    assert found.bones[prefix + "LeftUpLeg"] == "left_hip"
    assert found.bones[prefix + "Spine2"] == "spine3"


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda c: c.name)
def test_every_convention_finds_its_own_names(make_rig: MakeRig, convention: Convention) -> None:
    names = {joint: variants[0] for joint, variants in convention.joints.items()}
    names |= dict(zip(("spine1", "spine2", "spine3"), convention.spine, strict=False)) | {"neck": convention.neck[0]}
    skip = tuple(joint for joint in SMPL_NAMES if joint not in names)
    found = find_map(make_rig(rename=names.__getitem__, skip=skip))
    assert found.convention == convention.name
    assert found.missing == skip
    assert {bone: joint for bone, joint in found.bones.items() if "spine" not in joint} == {
        name: joint for joint, name in names.items() if "spine" not in joint
    }


def test_a_short_spine_still_bends_as_far_as_the_long_one(make_rig: MakeRig) -> None:
    one = find_map(make_rig(skip=("spine2", "spine3")))
    assert [joint for joint in one.bones.values() if joint.startswith("spine")] == ["spine3"]
    two = find_map(make_rig(skip=("spine3",)))
    assert [joint for joint in two.bones.values() if joint.startswith("spine")] == ["spine2", "spine3"]


def test_bodies_without_collars_toes_and_hands_are_bodies(make_rig: MakeRig) -> None:
    gone = tuple(f"{side}_{part}" for part in ("foot", "collar", "hand") for side in ("left", "right"))
    found = find_map(make_rig(skip=gone))
    assert set(found.missing) == set(gone)
    assert 0.7 < found.confidence < 1.0


def test_an_armature_without_limbs_says_so(make_rig: MakeRig) -> None:
    with pytest.raises(RigError, match=r"left elbow.*choose a two-legged character"):
        find_map(make_rig(skip=("left_elbow", "left_wrist", "left_hand")))
    rope = make_rig(rename=lambda name: "Bone." + str(SMPL_NAMES.index(name)))
    with pytest.raises(RigError, match="pelvis"):
        find_map(rope)


def test_names_on_the_wrong_bones_are_refused(make_rig: MakeRig) -> None:
    rig = make_rig()
    parents = list(rig.parents)
    parents[rig.indices["left_knee"]] = -1
    with pytest.raises(RigError, match="“left_knee” does not hang below “left_hip”"):
        find_map(Rig(rig.names, tuple(parents), rig.rest, rig.lengths))


def test_conventions_do_not_contradict_themselves() -> None:
    for convention in CONVENTIONS:
        names = [name for variants in convention.joints.values() for name in variants]
        assert len(set(names)) == len(names)
        assert all(convention.plain(name) == name for name in (*names, *convention.spine, *convention.neck))
        assert set(convention.joints) <= set(SMPL_NAMES)
    assert len({c.name for c in CONVENTIONS}) == len(CONVENTIONS)


def test_a_map_is_not_changed_by_the_order_of_siblings(make_rig: MakeRig) -> None:
    rig = make_rig()
    order = [0, *np.random.default_rng(1).permutation(np.arange(1, 24))]
    order.sort(key=lambda bone: len(rig.ancestors(bone)))
    shuffled = Rig(
        tuple(rig.names[b] for b in order),
        tuple(-1 if rig.parents[b] < 0 else order.index(rig.parents[b]) for b in order),
        rig.rest[order],
        rig.lengths[order],
    )
    assert dict(find_map(shuffled).bones) == dict(find_map(rig).bones)
