from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.retarget.bone_maps import BoneMap, Switch, load_map, map_from_json, map_to_json, save_map
from stepsmith.retarget.errors import RigError
from stepsmith.retarget.rig import Rig
from stepsmith.retarget.skeleton import SMPL_NAMES

MakeRig = Callable[..., Rig]

BONES = {name: name for name in SMPL_NAMES}
FULL = BoneMap(
    "by hand",
    BONES,
    0.75,
    (),
    {"left_foot": 0.5},
    {"left_shoulder": (0.5, 0.5, 0.5, 0.5), "左腕": (1.0, 0.0, 0.0, 0.0)},
    {"left_hip": "pelvis"},
    (Switch("torso", "IK_FK", 1.0),),
)

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)
shares = st.floats(0.0, 1.0)
turns = st.sampled_from([(1.0, 0.0, 0.0, 0.0), (0.6, 0.0, -0.8, 0.0), (0.5, 0.5, -0.5, 0.5)])


@st.composite
def maps(draw: st.DrawFn) -> BoneMap:
    bones = draw(st.dictionaries(texts, st.sampled_from(SMPL_NAMES), min_size=1, max_size=30))
    return BoneMap(
        draw(texts),
        bones,
        draw(shares),
        tuple(joint for joint in SMPL_NAMES if joint not in bones.values()),
        draw(st.dictionaries(st.sampled_from(sorted(bones)), shares)),
        draw(st.dictionaries(texts, turns, max_size=5)),
        draw(st.dictionaries(texts, texts, max_size=5)),
        tuple(Switch(*s) for s in draw(st.lists(st.tuples(texts, texts, st.floats(-1e6, 1e6)), max_size=3))),
    )


@settings(max_examples=50, deadline=None)
@given(maps())
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, bone_map: BoneMap) -> None:
    path = tmp_path_factory.mktemp("maps") / "preset.json"
    save_map(path, bone_map)
    loaded = load_map(path)
    assert list(loaded.bones.items()) == list(bone_map.bones.items())
    for turn, wanted in ((loaded.pose[bone], turn) for bone, turn in bone_map.pose.items()):
        assert turn == pytest.approx(wanted, abs=1e-12)
    for name in ("convention", "confidence", "missing", "scores", "parents", "switches"):
        assert getattr(loaded, name) == getattr(bone_map, name)


def test_a_preset_is_a_file_people_can_read_and_programs_of_any_kind_too(tmp_path: Path) -> None:
    save_map(tmp_path / "preset.json", FULL)
    data = json.loads((tmp_path / "preset.json").read_text(encoding="utf-8"))
    assert data["version"] == 1
    assert data["bones"]["left_foot"] == "left_foot"
    assert data == json.loads(json.dumps(map_to_json(FULL)))
    assert "左腕" in (tmp_path / "preset.json").read_text(encoding="utf-8")


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_others_may_read_a_preset_as_any_file(tmp_path: Path) -> None:
    save_map(tmp_path / "preset.json", FULL)
    (tmp_path / "any.txt").write_text("")
    assert (tmp_path / "preset.json").stat().st_mode == (tmp_path / "any.txt").stat().st_mode


def test_a_preset_is_checked_against_the_rig(tmp_path: Path, make_rig: MakeRig) -> None:
    save_map(tmp_path / "preset.json", BoneMap("by hand", BONES, 1.0, ()))
    assert dict(load_map(tmp_path / "preset.json", make_rig()).bones) == BONES
    with pytest.raises(RigError, match="no bone “pelvis”"):
        load_map(tmp_path / "preset.json", make_rig(rename=lambda name: "other " + name))


def test_saving_replaces_whole_files_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "preset.json"
    path.write_text("before")
    with pytest.raises(ValueError, match="JSON"):
        save_map(path, BoneMap("by hand", BONES, float("nan"), ()))
    assert path.read_text() == "before"
    save_map(path, FULL)
    assert os.listdir(tmp_path) == ["preset.json"]
    with pytest.raises(RigError, match=r"can't be written .*choose another place"):
        save_map(tmp_path / "nowhere" / "preset.json", FULL)


GOOD = map_to_json(FULL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "cake"}, "no bone map"),
        ({"version": None}, "says no version"),
        ({"version": True}, "says no version"),
        ({"version": 2}, "later Stepsmith"),
        ({"bones": {}}, "names no bones"),
        ({"bones": ["pelvis"]}, "bones can't be understood"),
        ({"bones": {"Hips": 3}}, "bones can't be understood"),
        ({"bones": {"Hips": "tail"}}, "“tail”, which is no part"),
        ({"bones": {"x" * 5000: "pelvis"}}, "bones can't be understood"),
        ({"bones": {f"b{k}": "spine1" for k in range(20_000)}}, "bones can't be understood"),
        ({"scores": {"pelvis": 2.0}}, "scores can't be understood"),
        ({"scores": {"pelvis": float("nan")}}, "scores can't be understood"),
        ({"scores": {"pelvis": True}}, "scores can't be understood"),
        ({"confidence": "high"}, "confidence can't be understood"),
        ({"confidence": 10**400}, "confidence can't be understood"),
        ({"pose": {"pelvis": [1, 0, 0]}}, "pose can't be understood"),
        ({"pose": {"pelvis": [0, 0, 0, 0]}}, "pose can't be understood"),
        ({"pose": {"pelvis": [1, 0, float("inf"), 0]}}, "pose can't be understood"),
        ({"parents": {"pelvis": None}}, "parents can't be understood"),
        ({"switches": {}}, "switches can't be understood"),
        ({"switches": [["torso", "IK_FK", 1.0]]}, "switches can't be understood"),
        ({"switches": [{"bone": "torso", "name": "IK_FK", "value": "on"}]}, "switches can't be understood"),
        ({"convention": "a\0b"}, "convention can't be understood"),
    ],
)
def test_what_is_no_map_is_refused_in_one_sentence(change: dict, message: str) -> None:
    with pytest.raises(RigError, match=message) as caught:
        map_from_json({**GOOD, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no JSON file"),
        (b"\xff\xfe\x00", "no JSON file"),
        (b"[" * 200_000, "no JSON file"),
        (b"[1, 2]", "no bone map"),
        (b'{"format": "stepsmith bone map", "bones": {"Hips": "pelvis", "Hips": "head"}}', "“Hips” twice"),
        (b" " * 5_000_000, "too large"),
    ],
)
def test_files_that_are_no_preset_say_so(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "preset.json"
    path.write_bytes(data)
    with pytest.raises(RigError, match=message) as caught:
        load_map(path)
    assert str(caught.value).startswith("preset.json")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(RigError, match=r"gone\.json can't be read .*choose another file"):
        load_map(tmp_path / "gone.json")
    with pytest.raises(RigError, match="can't be read"):
        load_map(tmp_path)
