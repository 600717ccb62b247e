from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bone_lists import LISTS, Listed, build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stepsmith.retarget import bvh, bvh_parse
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import MotionError
from stepsmith.retarget.files import load_motion
from stepsmith.retarget.fit import LIMBS
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import FOOT_HEIGHT, SMPL, SMPL_NAMES

MakeMotion = Callable[..., Motion]

CMU = Path(__file__).parents[3] / "shared/data/cmu"
MIXAMO = {
    "pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck", "head": "Head",
    **{
        f"{side}_{joint}": f"mixamorig:{side.capitalize()}{name}"
        for side in ("left", "right")
        for joint, name in (
            ("hip", "UpLeg"), ("knee", "Leg"), ("ankle", "Foot"), ("foot", "ToeBase"), ("collar", "Shoulder"),
            ("shoulder", "Arm"), ("elbow", "ForeArm"), ("wrist", "Hand"), ("hand", "HandMiddle1"),
        )
    },
}  # fmt: skip


def far(a: Motion, b: Motion) -> float:
    return float(np.degrees(rot.angle(rot.multiply(rot.conjugate(a.rotations), b.rotations)).max()))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 1000), bend=st.floats(0.0, 3.0), fps=st.sampled_from([24.0, 25.0, 29.97, 30.0, 60.0]))
def test_our_bvh_comes_back(make_motion: MakeMotion, seed: int, bend: float, fps: float) -> None:
    motion = make_motion(20, seed, bend, fps)
    back, ours = bvh.read(bvh.write(motion).encode())
    assert ours
    assert np.isclose(back.fps, fps, rtol=1e-6)
    assert np.abs(back.root - motion.root).max() < 1e-7
    assert far(back, motion) < 1e-4


def test_gimbal_lock_is_no_trouble(make_motion: MakeMotion) -> None:
    motion = make_motion(3, bend=0.0)
    rotations = np.array(motion.rotations)
    for frame, angle in enumerate((np.pi / 2, -np.pi / 2, np.pi / 2 - 1e-7)):
        rotations[frame, 5] = rot.multiply(
            rot.from_axis_angle([0.0, -0.5, 0.0]),
            rot.multiply(rot.from_axis_angle([angle, 0.0, 0.0]), rot.from_axis_angle([0.0, 0.0, 0.3])),
        )
    motion = Motion(30, motion.root, rotations, motion.contacts)
    assert far(bvh.read(bvh.write(motion).encode())[0], motion) < 1e-4


def test_angles_do_not_jump(make_motion: MakeMotion) -> None:
    spin = make_motion(100, bend=0.1).rotations
    turns = np.array(spin)
    turns[:, 0] = rot.from_axis_angle(np.linspace(0, 15, 100)[:, None] * [0.0, 0.0, 1.0])
    motion = Motion(30, np.zeros((100, 3)), turns, np.zeros((100, 4)))
    rows = bvh.write(motion).split("Frame Time")[1].splitlines()[1:]
    values = np.array([line.split() for line in rows], dtype=float)
    assert np.abs(np.diff(values[:, 3:], axis=0)).max() < 30.0


def test_it_is_y_up_in_centimetres(make_walk: MakeMotion) -> None:
    text = bvh.write(make_walk())
    first = text.split("Frame Time")[1].splitlines()[1].split()
    assert 85.0 < float(first[1]) < 105.0
    assert "OFFSET 8.500000 -9.000000 -0.000000" in text or "OFFSET 8.500000 -9.000000 0.000000" in text


def test_other_names_units_and_orders_are_understood(make_walk: MakeMotion, tmp_path: Path) -> None:
    """Our dance under Mixamo's names, in inches, with X-Y-Z angles, below a root that only carries."""
    motion = make_walk(noise=0.01)
    text = bvh.write(motion)
    for name in sorted(SMPL_NAMES, key=len, reverse=True):
        text = text.replace(f" {name}\n", f" {MIXAMO[name]}\n")
    head, rows = text.split("MOTION\n")
    lines = []
    for line in head.splitlines():
        if "OFFSET" in line:
            pad, numbers = line.split("OFFSET")
            line = f"{pad}OFFSET " + " ".join(str(float(v) / 2.54) for v in numbers.split())
        lines.append(line.replace("Zrotation Xrotation Yrotation", "Xrotation Yrotation Zrotation"))
    frames = []
    for row in rows.splitlines()[2:]:
        values = np.array(row.split(), dtype=float)
        angles = np.radians(values[3:].reshape(-1, 3))
        q = rot.from_axis_angle(angles[:, :1] * [0.0, 0.0, 1.0])
        q = rot.multiply(q, rot.from_axis_angle(angles[:, 1:2] * [1.0, 0.0, 0.0]))
        q = rot.multiply(q, rot.from_axis_angle(angles[:, 2:] * [0.0, 1.0, 0.0]))
        m = rot.to_matrix(q)
        x, y = np.arctan2(-m[:, 1, 2], m[:, 2, 2]), np.arcsin(np.clip(m[:, 0, 2], -1, 1))
        z = np.arctan2(-m[:, 0, 1], m[:, 0, 0])
        xyz = np.degrees(np.stack([x, y, z], axis=-1)).reshape(-1)
        frames.append(" ".join(f"{v:.7f}" for v in (*values[:3] / 2.54, *xyz)))
    carried = ["HIERARCHY", "ROOT Reference", "{", "OFFSET 0 0 0", "CHANNELS 0"]
    carried += [line.replace("ROOT", "JOINT") for line in lines[1:]] + ["}", "MOTION", *rows.splitlines()[:2], *frames]
    (tmp_path / "other.bvh").write_text("\r\n".join(carried))
    back = load_motion(tmp_path / "other.bvh")
    assert far(back, motion) < 1e-3
    moved = back.root - motion.root
    assert np.abs(moved[:, :2] - moved[0, :2]).max() < 1e-4
    assert np.abs(moved[:, 2]).max() < 0.02


STANDING = Motion(30.0, np.tile([0.0, 0.0, 0.9], (2, 1)), np.tile(rot.IDENTITY, (2, 24, 1)), np.ones((2, 4)))

EDITS = [
    "{", "}", "JOINT a", "End Site", "OFFSET a b c", "CHANNELS 3 Xrotation", "MOTION", "Frames: -1", "ROOT x", "",
    "Frames: 99999999999", "Frame Time: nan", "0,5 1,5", "\ufeff", "\x00", "1e400 " * 75,
]  # fmt: skip

GOOD = """HIERARCHY
ROOT hip
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT chest
  {
    OFFSET 0 20 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 10 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
0 90 0 0 0 0 0 0 0
0 91 0 0 0 0 0 0 0
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("OFFSET 0 20 0", "OFFSET 0 20", "line 8 has 2 values where 3 belong"),
        ("OFFSET 0 20 0", "OFFSET 0 20 x", "line 8 has “x” where a number below"),
        ("OFFSET 0 20 0", "OFFSET 0 20 inf", "line 8 has “inf” where a number"),
        ("OFFSET 0 20 0", "OFFSET 0 -1e400 0", "line 8 has “-1e400” where a number"),
        ("    OFFSET 0 20 0\n", "", "line 13 has the end of joint “chest”, which has no OFFSET"),
        ("OFFSET 0 20 0", "OFFSET 0 20 0\nOFFSET 0 20 0", "line 9 has a second OFFSET of joint “chest”"),
        ("CHANNELS 3", "CHANNELS 4", "line 9 has 3 channels where “4” are announced"),
        ("CHANNELS 3", "CHANNELS", "line 9 has 2 channels where “Zrotation” are announced"),
        ("CHANNELS 3 Zrotation Xrotation Yrotation", "CHANNELS", "line 9 has 0 channels where “” are announced"),
        ("Zrotation Xrotation Yrotation\n    End", "Wrotation Xrotation Yrotation\n    End", "line 9 has “Wrotation”"),
        ("Zrotation Xrotation Yrotation\n    End", "Xrotation yrotation xRotation\n    End", "line 9.*Xrotation twice"),
        ("Xposition Yposition", "Xposition Xposition", "line 5 has the channel Xposition twice"),
        ("OFFSET 0 20 0", "OFFSET 0 20 0\nCHANNELS 1 Xrotation", "line 10 has second CHANNELS of joint “chest”"),
        ("JOINT chest", "JOINT hip", "line 6 has a second joint “hip”"),
        ("JOINT chest", "JOINT", "line 6 has a joint without a name"),
        ("JOINT chest", "ROOT chest", "line 6 has a second ROOT"),
        ("JOINT chest", "BONE chest", "line 6 has “BONE”"),
        ("ROOT hip", "JOINT hip", "line 2 has a JOINT outside of a joint"),
        ("HIERARCHY", "HIERARCHY\nEnd Site", "line 2 has an End Site outside"),
        ("  JOINT chest\n  {", "  JOINT chest", "line 7 has “OFFSET” where “{” belongs"),
        ("OFFSET 0 10 0", "{", "line 12 has “{” where no brace belongs"),
        ("OFFSET 0 10 0", "CHANNELS 1 Xrotation", "line 12 has “CHANNELS”, which is not understood there"),
        ("OFFSET 0 10 0", "JOINT hand", "line 12 has a JOINT outside of a joint"),
        ("}\nMOTION", "MOTION", "line 15 has MOTION before the hierarchy is complete"),
        ("ROOT hip\n", "ROOT hip\nMOTION\n", "line 3 has “MOTION” where|line 3 has MOTION before"),
        ("}\nMOTION", "}\n}\nMOTION", "line 16 has a “}” too many"),
        ("Frames: 2", "Frames: 3", "line 20 has the file's end after 2 frames where 3"),
        ("Frames: 2", "Frames: 1", "line 20 has the file's end after 2 frames where 1"),
        ("Frames: 2", "Frames: 1e12", "line 17 has “1e12” frames; 1 to 1000000"),
        ("Frames: 2", "Frames: nan", "line 17 has “nan” frames"),
        ("Frames: 2", "Frames: inf", "line 17 has “inf” frames"),
        ("Frames: 2", "Frames: 1.5", "line 17 has “1.5” frames"),
        ("Frames: 2", "Frames: none", "line 17 has “none” frames"),
        ("Frames: 2", "Frames:", "line 17 has no “Frames:” and their number"),
        ("Frame Time: 0.0333333", "Frame Time: 0", "line 18 has a frame time of “0” s"),
        ("Frame Time: 0.0333333", "Frame Time: nan", "line 18 has a frame time of “nan” s"),
        ("Frame Time: 0.0333333", "Time: 1", "line 18 has no “Frame Time:” and seconds"),
        ("0 91 0 0", "0 91 0", "line 20 has 8 values where 9 belong"),
        ("0 91 0 0", "0 91 0 0 0 0 0", "line 20 has more than 9 values where 9 belong"),
        ("0 91 0 0", "0 nan 0 0", "line 20 has “nan” where a number"),
        ("0 91 0 0", "0 91,5 0 0", "line 20 has “91,5” where a number"),
        ("MOTION", "", "line 17 has “Frames:”, which is not understood"),
        (GOOD[GOOD.index("MOTION") :], "", "line 15 has the file's end before its MOTION part"),
        (GOOD[GOOD.index("Frames") :], "", "line 16 has no “Frames:”"),
        (GOOD, "", "line 1 has the file's end"),
        ("JOINT chest", "JOINT \xff", "line 6 has bytes that are no text: save the file as UTF-8"),
        ("hip", "waist", "^m.bvh: its skeleton is not known to Stepsmith"),
    ],
)
def test_malformed_files_name_the_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    (tmp_path / "m.bvh").write_bytes(GOOD.replace(old, new, 1).encode("latin1" if "\xff" in new else "utf-8"))
    with pytest.raises(MotionError, match=message) as caught:
        load_motion(tmp_path / "m.bvh")
    assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, 200),
            st.sampled_from(["cut", "insert", "replace"]),
            st.sampled_from(EDITS),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_edited_files_are_read_or_refused_with_a_line(edits: list[tuple[int, str, str]]) -> None:
    lines = bvh.write(STANDING).splitlines()
    for at, what, text in edits:
        place = at % len(lines)
        lines[place : place + (what != "insert")] = [] if what == "cut" else [text]
    said = ""
    try:
        bvh.read("\n".join(lines).encode())
    except MotionError as error:
        said = str(error)
    assert not said or re.search("line [0-9]+ has|skeleton", said)


def test_lines_count_alike_however_they_end() -> None:
    for text in (GOOD, GOOD.replace("\n", "\r"), GOOD.replace("\n", "\r\n")):
        with pytest.raises(MotionError, match="line 20 has “x”"):
            bvh.read(text.replace("91", "x").encode())
        with pytest.raises(MotionError, match="line 20 has “x”"):
            bvh.read(text.replace("91", "x").encode("utf-16"))


def test_deep_and_wide_hierarchies_are_bounded(tmp_path: Path) -> None:
    deep = "HIERARCHY\nROOT a\n{\n" + "".join(f"JOINT j{k}\n{{\nOFFSET 0 1 0\n" for k in range(5000))
    (tmp_path / "m.bvh").write_text(deep)
    with pytest.raises(MotionError, match="more than 1000 joints"):
        load_motion(tmp_path / "m.bvh")


def test_many_joints_over_many_frames_are_bounded() -> None:
    joints = "".join(f"JOINT j{k}\n{{\nOFFSET 0 1 0\nCHANNELS 0\n}}\n" for k in range(998))
    head = f"HIERARCHY\nROOT a\n{{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n{joints}}}\nMOTION\n"
    text = f"{head}Frames: 100000\nFrame Time: 0.01\n" + "0\n" * 100_000
    with pytest.raises(MotionError, match="line 4998 has 100000 frames of 999 joints, too many at once"):
        bvh.read(text.encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda t: ("\ufeff" + t).encode(),
        lambda t: t.replace("\n", "\r\n").encode(),
        lambda t: t.replace("\n", "\r").encode(),
        lambda t: t.replace(" ", "\t").encode(),
        lambda t: t.replace("\n", "\n\n").encode(),
        lambda t: re.sub(r"\n *{", " {", t).encode(),
        lambda t: t.encode("utf-16"),
        lambda t: t.encode("utf-16-le"),
        lambda t: t.encode("utf-16-be"),
        lambda t: t.replace("Frame Time:", "frame time :").replace("rotation", "ROTATION").encode(),
        # Not every program ends its chains.
        lambda t: re.sub(r"End Site\s*{\s*OFFSET.*\s*}", "", t).encode(),
    ],
)
def test_text_of_other_programs(change: Callable[[str], bytes]) -> None:
    motion, ours = bvh.read(change(bvh.write(STANDING)))
    assert ours
    assert np.abs(motion.root - STANDING.root).max() < 1e-6


@pytest.mark.data
@pytest.mark.skipif(not CMU.is_dir(), reason="the motion capture beside the checkout is missing")
def test_real_salsa_dances_on_the_floor(tmp_path: Path) -> None:
    with zipfile.ZipFile(CMU / "salsa.zip") as archive:
        name = sorted(n for n in archive.namelist() if n.endswith(".bvh"))[0]
        (tmp_path / "salsa.bvh").write_bytes(archive.read(name))
    motion = load_motion(tmp_path / "salsa.bvh")
    assert motion.fps == 120.0
    positions = motion.positions()
    assert 1.3 < np.median(positions[:, 15, 2]) < 1.7
    toes = positions[:, [10, 11], 2].min(axis=1)
    assert abs(np.median(toes) - FOOT_HEIGHT) < 0.04
    assert motion.contacts.mean() > 0.2


def worlds(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Where the joints of a BVH are (T, 3) and how they are turned (T, 3, 3), by its own text alone, z up."""
    recording = bvh_parse.parse(data)
    places: dict[str, np.ndarray] = {}
    turns: dict[str, np.ndarray] = {}
    column = iter(recording.values.T)
    frames = len(recording.values)
    for joint in recording.joints:
        place, turn = np.tile(joint.offset, (frames, 1)), np.tile(np.eye(3), (frames, 1, 1))
        for channel in joint.channels:
            axis, values = "XYZ".index(channel[0]), next(column)
            if channel.endswith("position"):
                place[:, axis] = values
            else:
                c, s = np.cos(np.radians(values)), np.sin(np.radians(values))
                i, j = (axis + 1) % 3, (axis + 2) % 3
                step = np.tile(np.eye(3), (frames, 1, 1))
                step[:, i, i], step[:, i, j], step[:, j, i], step[:, j, j] = c, -s, s, c
                turn = turn @ step
        if joint.parent >= 0:
            above = recording.joints[joint.parent].name
            place = places[above] + (turns[above] @ place[..., None])[..., 0]
            turn = turns[above] @ turn
        places[joint.name], turns[joint.name] = place, turn
    return {name: p[:, [0, 2, 1]] * [1.0, -1.0, 1.0] for name, p in places.items()}, turns


def limb_errors(data: bytes, names: dict[str, str]) -> np.ndarray:
    """Degrees (N,) between the limbs that a file shows and those of the motion that is read from it.

    ``names``: joint of the body to the file's joint.
    """
    motion, ours = bvh.read(data)
    assert not ours
    places, positions = worlds(data)[0], motion.positions()
    shown, read = [], []
    for joint, end in LIMBS.items():
        if joint in names and end in names:
            shown.append(places[names[end]] - places[names[joint]])
            read.append(positions[:, SMPL_NAMES.index(end)] - positions[:, SMPL_NAMES.index(joint)])
    assert len(shown) >= 8
    a, b = (np.concatenate(x) / np.linalg.norm(np.concatenate(x), axis=-1, keepdims=True) for x in (shown, read))
    return np.degrees(np.arccos(np.clip((a * b).sum(axis=-1), -1.0, 1.0)))


@pytest.mark.data
@pytest.mark.skipif(not CMU.is_dir(), reason="the motion capture beside the checkout is missing")
@pytest.mark.parametrize("zipped", ["salsa.zip", "indian.zip", "martial.zip", "modern05.zip"])
def test_limbs_of_real_recordings_point_as_their_own_joints_do(zipped: str) -> None:
    with zipfile.ZipFile(CMU / zipped) as archive:
        data = archive.read(min(name for name in archive.namelist() if name.endswith(".bvh")))
    # Feet without toes end where their file says no more than a length.
    parts = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    own_axes = b"CC_Base_Hip" in data
    if own_axes:
        form, names = "CC_Base_{}_{}", ("Thigh", "Calf", "Foot", "Upperarm", "Forearm", "Hand")
    else:
        form, names = "{}{}", ("Thigh", "Shin", "Foot", "Shldr", "ForeArm", "Hand")
    joints = {
        f"{side}_{part}": form.format(side[0].upper() if own_axes else side[0], name)
        for side in ("left", "right")
        for part, name in zip(parts, names, strict=True)
    }
    errors = limb_errors(data, joints)
    assert errors.mean() < 0.5
    assert np.percentile(errors, 99) < 2.0


def as_bvh(listed: Listed, channels: str, every_place: bool, seed: int) -> bytes:
    """The rig of a list as BVH, y up in centimetres, with all its joints turning; the first frame is its rest."""
    rig = listed.rig
    offsets = rig.heads.copy()
    for bone, parent in enumerate(rig.parents):
        offsets[bone] -= rig.heads[parent] if parent >= 0 else 0.0
    offsets = (offsets * 100.0)[:, [0, 2, 1]] * [1.0, 1.0, -1.0]
    lines, order = ["HIERARCHY"], []

    def joint(bone: int) -> None:
        order.append(bone)
        lines.extend([f"{'JOINT' if rig.parents[bone] >= 0 else 'ROOT'} {rig.names[bone]}", "{"])
        lines.append("OFFSET " + " ".join(f"{v:.6f}" for v in offsets[bone]))
        places = "Xposition Yposition Zposition " if every_place or rig.parents[bone] < 0 else ""
        lines.append(f"CHANNELS {6 if places else 3} {places}{channels}")
        for child in rig.children[bone]:
            joint(child)
        if not rig.children[bone]:
            lines.extend(["End Site", "{", "OFFSET 0 0 0", "}"])
        lines.append("}")

    joint(rig.parents.index(-1))
    rng = np.random.default_rng(seed)
    rows = []
    for frame in range(12):
        row: list[float] = []
        for bone in order:
            row += offsets[bone].tolist() if every_place or rig.parents[bone] < 0 else []
            row += (rng.normal(0.0, 15.0, 3) * (frame > 0)).tolist()
        rows.append(" ".join(f"{v:.6f}" for v in row))
    return "\n".join([*lines, "MOTION", "Frames: 12", "Frame Time: 0.0166667", *rows, ""]).encode()


@pytest.mark.parametrize(
    ("maker", "channels", "every_place"),
    [
        ("Rokoko", "Zrotation Xrotation Yrotation", True),
        ("Xsens BVH", "Yrotation Xrotation Zrotation", False),
        ("Xsens", "Yrotation Xrotation Zrotation", True),
        ("Biped", "Zrotation Xrotation Yrotation", True),
        ("Biped, as it is exported", "Zrotation Xrotation Yrotation", True),
        ("CMU", "Zrotation Yrotation Xrotation", False),
        ("Mixamo", "Zrotation Yrotation Xrotation", False),
        ("Character Creator", "Zrotation Yrotation Xrotation", False),
        ("Poser", "Xrotation Zrotation Yrotation", False),
        ("Second Life", "Xrotation Zrotation Yrotation", False),
        ("Roblox R15", "Xrotation Yrotation Zrotation", False),
        ("Advanced Skeleton", "Zrotation Yrotation Xrotation", True),
    ],
)
@pytest.mark.parametrize("seed", range(2))
def test_recordings_under_any_makers_names_move_their_limbs(
    maker: str, channels: str, every_place: bool, seed: int
) -> None:
    listed = build(LISTS[maker])
    errors = limb_errors(as_bvh(listed, channels, every_place, seed), {j: b for b, j in listed.truth.items()})
    assert errors.mean() < 0.5
    assert np.percentile(errors, 99) < 2.0


def with_own_axes(text: str, seed: int) -> str:
    """The same movement with axes of each joint's own, under Mixamo's names: no angles, no body."""
    recording = bvh_parse.parse(text.encode())
    rng = np.random.default_rng(seed)
    axes = rot.from_axis_angle(rng.normal(0.0, 1.5, (len(recording.joints), 3)))
    for name in sorted(SMPL_NAMES, key=len, reverse=True):
        text = text.replace(f" {name}\n", f" {MIXAMO[name]}\n")
    column, rows, offsets = 3, [recording.values[:, :3]], []
    for joint, own in zip(recording.joints, axes, strict=True):
        above = rot.conjugate(axes[joint.parent]) if joint.parent >= 0 else rot.IDENTITY
        turn = np.array(rot.IDENTITY)
        for axis, degrees in zip((2, 0, 1), recording.values[:, column : column + 3].T, strict=True):
            turn = rot.multiply(turn, rot.from_axis_angle(np.radians(degrees)[:, None] * np.eye(3)[axis]))
        m = rot.to_matrix(rot.multiply(rot.multiply(above, turn), own))
        x = np.arcsin(np.clip(m[:, 2, 1], -1.0, 1.0))
        z, y = np.arctan2(-m[:, 0, 1], m[:, 1, 1]), np.arctan2(-m[:, 2, 0], m[:, 2, 2])
        rows.append(np.degrees(np.stack([z, x, y], axis=-1)))
        offsets.append(rot.rotate(above, joint.offset))
        if joint.end:
            offsets.append(rot.rotate(rot.conjugate(own), joint.end))
        column += 3
    head, rest = text.split("MOTION\n")
    lines = iter(offsets)
    head = re.sub(r"OFFSET .*", lambda _: "OFFSET " + " ".join(f"{v:.9f}" for v in next(lines)), head)
    values = np.concatenate(rows, axis=1)
    body = "\n".join(" ".join(f"{v:.9f}" for v in row) for row in values)
    return head + "MOTION\n" + "\n".join(rest.splitlines()[:2]) + "\n" + body + "\n"


# Character Creator's joints: our joint, and its frame (columns x, y, z) in a T pose that faces z, y up, where it is not
# the parent's.
CC = {
    "Hip": ("pelvis", np.eye(3)),
    **{f"{s}_Thigh": (f"{side}_hip", np.diag([-1, -1, 1])) for s, side in (("L", "left"), ("R", "right"))},
    **{f"{s}_Calf": (f"{side}_knee", None) for s, side in (("L", "left"), ("R", "right"))},
    **{
        f"{s}_Foot": (f"{side}_ankle", np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]]))
        for s, side in (("L", "left"), ("R", "right"))
    },
    **{f"{s}_ToeBase": (f"{side}_foot", None) for s, side in (("L", "left"), ("R", "right"))},
    "Waist": ("spine1", None), "Spine01": ("spine2", None), "Spine02": ("spine3", None),
    "NeckTwist01": ("neck", None), "Head": ("head", None),
    "L_Clavicle": ("left_collar", np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])),
    "R_Clavicle": ("right_collar", np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])),
    **{
        f"{s}_{name}": (f"{side}_{joint}", None)
        for s, side in (("L", "left"), ("R", "right"))
        for name, joint in (("Upperarm", "shoulder"), ("Forearm", "elbow"), ("Hand", "wrist"))
    },
}  # fmt: skip


def as_character_creator(motion: Motion) -> bytes:
    """The motion as Character Creator's skeleton in a BVH file, whose joints keep frames of their own."""
    down = rot.from_axis_angle([-np.pi / 2, 0.0, 0.0])  # z up to y up
    turns = np.array(motion.rotations)
    for joint, parent in enumerate(SMPL.parents):
        if parent >= 0:
            turns[:, joint] = rot.multiply(turns[:, parent], turns[:, joint])
    names = {ours: name for name, (ours, _) in CC.items()}
    frames: dict[str, np.ndarray] = {}
    rows = [rot.rotate(down, motion.root) * 100.0]
    lines = ["HIERARCHY"]

    def joint(index: int, depth: int) -> None:
        name, parent = names[SMPL.names[index]], SMPL.parents[index]
        above = frames[names[SMPL.names[parent]]] if parent >= 0 else np.array(rot.IDENTITY)
        own = CC[name][1]
        frames[name] = above if own is None else rot.from_matrix(own.astype(float))

        def seen(offset: np.ndarray, frame: np.ndarray) -> str:
            return " ".join(f"{v:.9f}" for v in rot.rotate(rot.conjugate(frame), rot.rotate(down, offset * 100.0)))

        def shown(turned: np.ndarray, frame: np.ndarray) -> np.ndarray:
            return rot.multiply(rot.multiply(rot.multiply(down, turned), rot.conjugate(down)), frame)

        local = shown(turns[:, index], frames[name])
        if parent >= 0:
            local = rot.multiply(rot.conjugate(shown(turns[:, parent], above)), local)
        m = rot.to_matrix(local)  # z, y, x: R = Rz Ry Rx
        y = np.arcsin(np.clip(-m[:, 2, 0], -1.0, 1.0))
        z, x = np.arctan2(m[:, 1, 0], m[:, 0, 0]), np.arctan2(m[:, 2, 1], m[:, 2, 2])
        rows.append(np.degrees(np.stack([z, y, x], axis=1)))
        positions = "" if depth else "Xposition Yposition Zposition "
        lines.append(f"{'JOINT' if depth else 'ROOT'} CC_Base_{name}")
        lines.append("{")
        lines.append(f"OFFSET {seen(SMPL.offsets[index], above) if depth else '0 0 0'}")
        lines.append(f"CHANNELS {3 if depth else 6} {positions}Zrotation Yrotation Xrotation")
        children = [c for c, p in enumerate(SMPL.parents) if p == index and SMPL.names[c] in names]
        for child in children:
            joint(child, depth + 1)
        if not children:
            end = next((c for c, p in enumerate(SMPL.parents) if p == index), index)
            lines.extend(["End Site", "{", f"OFFSET {seen(SMPL.offsets[end], frames[name])}", "}"])
        lines.append("}")

    joint(0, 0)
    values = np.concatenate(rows, axis=1)
    lines += ["MOTION", f"Frames: {len(motion)}", f"Frame Time: {1.0 / motion.fps:.9f}"]
    lines += [" ".join(f"{v:.9f}" for v in row) for row in values]
    return ("\n".join(lines) + "\n").encode()


@pytest.mark.parametrize("seed", range(3))
def test_the_known_axes_of_character_creator_tell_the_rest_pose(make_motion: MakeMotion, seed: int) -> None:
    """... of a body that never stands at rest, and which way it faces."""
    motion = make_motion(20, seed, 0.4)
    back, ours = bvh.read(as_character_creator(motion))
    assert not ours
    turned = np.degrees(rot.angle(rot.multiply(rot.conjugate(back.rotations), motion.rotations)))[:, :22]
    assert turned.max() < 0.01, dict(zip(SMPL_NAMES, turned.max(axis=0).round(1), strict=False))
    assert np.abs((back.root - motion.root) - (back.root - motion.root)[0]).max() < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_joints_with_axes_of_their_own_are_read_from_a_frame_that_shows_the_body(
    make_walk: MakeMotion, seed: int
) -> None:
    walk = make_walk(noise=0.01)
    turns, root = np.array(walk.rotations), np.array(walk.root)
    turns[0] = rot.IDENTITY
    motion = Motion(walk.fps, root, turns, walk.contacts)
    back, ours = bvh.read(with_own_axes(bvh.write(motion), seed).encode())
    assert not ours
    assert far(back, motion) < 0.5
    assert np.abs((back.root - motion.root) - (back.root - motion.root)[0])[:, :2].max() < 1e-4
