from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stepsmith.retarget import files
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.arrays import as_array
from stepsmith.retarget.errors import MotionError
from stepsmith.retarget.files import load_motion, motion_from_bytes, motion_to_bytes, save_motion
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import CONTACT_JOINTS, FOOT_HEIGHT, SMPL

MakeMotion = Callable[..., Motion]

AIST = sorted((Path(__file__).parents[3] / "shared/data/aistpp").glob("*.npz"))
UPRIGHT = rot.from_axis_angle([np.pi / 2, 0.0, 0.0])


def far(a: Motion, b: Motion) -> float:
    """Degrees, the largest angle between two motions' rotations."""
    return float(np.degrees(rot.angle(rot.multiply(rot.conjugate(a.rotations), b.rotations)).max()))


def npz(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def dump(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    seed=st.integers(0, 1000),
    frames=st.integers(1, 50),
    fps=st.sampled_from([24.0, 25.0, 29.97, 30.0, 60.0, 119.88]),
    beats=st.none() | st.lists(st.floats(0.0, 10.0), max_size=5).map(sorted),
    meta=st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5), max_size=3),
)
def test_our_npz_loses_nothing(
    make_motion: MakeMotion, seed: int, frames: int, fps: float, beats: list[float] | None, meta: dict
) -> None:
    contacts = np.random.default_rng(seed).random((frames, 4))
    motion = replace(make_motion(frames, seed, bend=1.5, fps=fps), contacts=contacts, beats=beats, meta=meta)
    back = motion_from_bytes(motion_to_bytes(motion))
    assert back.fps == motion.fps
    for name in ("root", "rotations", "contacts"):
        assert np.array_equal(getattr(back, name), getattr(motion, name))
    assert (back.beats is None) == (beats is None)
    assert beats is None or np.array_equal(back.beats, beats)
    assert back.downbeats is None
    assert dict(back.meta) == meta


@pytest.mark.parametrize("ending", [".npz", ".pkl", ".bvh", ".NPZ"])
def test_files_come_back(make_walk: MakeMotion, tmp_path: Path, ending: str) -> None:
    motion = make_walk(noise=0.01)
    motion = replace(motion, rotations=rot.multiply(rot.from_axis_angle([0.1, 0.2, 2.5]), motion.rotations))
    path = tmp_path / f"dance{ending}"
    save_motion(path, motion)
    back = load_motion(path)
    assert back.fps == motion.fps
    assert np.abs(back.root - motion.root).max() < 1e-7
    assert far(back, motion) < 1e-5
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_contacts_are_found_where_a_file_has_none(make_walk: MakeMotion, tmp_path: Path) -> None:
    motion = make_walk()
    save_motion(tmp_path / "walk.bvh", motion)
    found = load_motion(tmp_path / "walk.bvh").contacts
    assert found[motion.contacts > 0.5].mean() > 0.95
    lifted = motion.positions()[:, [7, 8], 2] > 0.15
    assert lifted.any()
    assert not found[:, :2][lifted].any()


def test_npz_has_the_keys_of_amass(make_motion: MakeMotion, tmp_path: Path) -> None:
    save_motion(tmp_path / "m.npz", make_motion(7))
    with np.load(tmp_path / "m.npz", allow_pickle=False) as file:
        assert file["poses"].shape == (7, 72)
        assert file["trans"].shape == (7, 3)
        assert file["betas"].shape == (10,)
        assert str(file["gender"]) == "neutral"
        assert float(file["mocap_framerate"]) == 30.0


def test_amass_axes_are_understood(tmp_path: Path) -> None:
    """A body upright in a z-up world, whose root rotation therefore holds a quarter turn about x."""
    poses = np.zeros((20, 156))
    poses[:, 0] = np.pi / 2
    poses[:, 18 * 3 + 1] = -np.pi / 2  # the left elbow turns about the body's own vertical axis
    path = npz(tmp_path / "amass.npz", poses=poses, trans=np.ones((20, 3)), mocap_frame_rate=120, betas=np.zeros(16))
    motion = load_motion(path)
    assert motion.fps == 120.0
    positions = motion.positions()[0]
    assert positions[15, 2] > 1.4
    assert np.isclose(positions[10, 2], FOOT_HEIGHT, atol=1e-6)
    assert positions[10, 1] < positions[7, 1]
    assert positions[20, 1] < positions[18, 1] - 0.2
    assert motion.contacts.all()


@pytest.mark.parametrize(("kind", "turn"), [("npz", 0.0), ("npz", np.pi), ("pkl", 0.0), ("pkl", np.pi)])
def test_worlds_with_y_up_or_down_are_set_upright(tmp_path: Path, kind: str, turn: float) -> None:
    """As fits to videos have them: y is up, or, as cameras have it, down."""
    rng = np.random.default_rng(1)
    poses = 0.2 * rng.normal(size=(40, 24, 3))
    lean = rot.from_axis_angle(np.column_stack([turn + 0.2 * rng.normal(size=40), np.zeros((40, 2))]))
    poses[:, 0] = rot.to_axis_angle(lean)
    root = np.column_stack([np.zeros(40), np.cos(turn) * 0.9 * np.ones(40), np.linspace(2.0, 4.0, 40)])
    path = tmp_path / f"m.{kind}"
    if kind == "npz":
        npz(path, poses=poses.reshape(40, 72), trans=root, mocap_framerate=30)
    else:
        path.write_bytes(pickle.dumps({"smpl_poses": poses.reshape(40, 72), "smpl_trans": root}))
    positions = load_motion(path).positions()
    assert positions[:, 15, 2].min() > 1.2
    assert np.abs(np.median(positions[:, [10, 11], 2]) - FOOT_HEIGHT) < 0.2
    assert abs(positions[-1, 0, 1] - positions[0, 0, 1]) > 1.5, "it goes along the floor"


@pytest.mark.parametrize("width", [66, 72, 156, 165])
def test_hands_of_wider_bodies_rest(tmp_path: Path, width: int) -> None:
    poses = np.random.default_rng(0).normal(size=(5, width)) * 0.3
    motion = load_motion(npz(tmp_path / "m.npz", poses=poses, trans=np.zeros((5, 3)), mocap_framerate=30))
    resting = rot.angle(motion.rotations[:, 22:]).max() < 1e-9
    assert resting == (width != 72)


def test_edge_form_has_its_keys(make_motion: MakeMotion, tmp_path: Path) -> None:
    motion = make_motion(60, fps=60.0)
    save_motion(tmp_path / "m.pkl", motion)
    content = pickle.loads((tmp_path / "m.pkl").read_bytes())
    assert content["smpl_poses"].shape == (30, 72)
    assert content["smpl_trans"].shape == (30, 3)
    assert content["full_pose"].shape == (30, 24, 3)
    assert np.allclose(content["full_pose"], motion.resample(30.0).positions())
    # Our body seen through EDGE's axes: y-up offsets, turned by these rotations, are where full_pose says.
    root = rot.from_axis_angle(content["smpl_poses"][:, :3])
    hip = rot.rotate(root, rot.rotate(rot.conjugate(UPRIGHT), SMPL.offsets[1])) + content["smpl_trans"]
    assert np.allclose(hip, content["full_pose"][:, 1])


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_edge_files_are_read_whatever_the_pickle_protocol(make_walk: MakeMotion, tmp_path: Path, protocol: int) -> None:
    motion = make_walk()
    save_motion(tmp_path / "ours.pkl", motion)
    ours = pickle.loads((tmp_path / "ours.pkl").read_bytes())
    edge = {key: ours[key] for key in ("smpl_poses", "smpl_trans", "full_pose")}
    edge["smpl_trans"] = edge["smpl_trans"] + np.array([0.0, 0.0, 0.3])
    back = load_motion(dump(tmp_path / "edge.pkl", edge, protocol))
    assert far(back, motion) < 1e-5
    assert np.abs(back.root - motion.root).max() < 0.01


@pytest.mark.parametrize("kind", ["<f4", ">f8", ">f4"])
def test_numbers_of_any_width_and_byte_order_are_read(make_walk: MakeMotion, tmp_path: Path, kind: str) -> None:
    motion = make_walk()
    save_motion(tmp_path / "m.pkl", motion)
    content = pickle.loads((tmp_path / "m.pkl").read_bytes())
    content = {key: value.astype(kind) if isinstance(value, np.ndarray) else value for key, value in content.items()}
    back = load_motion(dump(tmp_path / "other.pkl", content))
    assert np.abs(back.root - motion.root).max() < 1e-6
    assert far(back, motion) < 1e-3
    poses = content["smpl_poses"]
    npz(tmp_path / "other.npz", poses=poses, trans=content["smpl_trans"], root_convention="pelvis", mocap_framerate=30)
    assert far(load_motion(tmp_path / "other.npz"), motion) < 1e-3


def test_pickles_of_both_numpys_are_read(make_walk: MakeMotion, tmp_path: Path) -> None:
    save_motion(tmp_path / "m.pkl", make_walk())
    data = (tmp_path / "m.pkl").read_bytes()
    old, new = b"\x8c\x15numpy.core.multiarray", b"\x8c\x16numpy._core.multiarray"
    assert (old in data) != (new in data)
    other = data.replace(old, new) if old in data else data.replace(new, old)
    # A frame announces its length in bytes, which the exchange changed.
    size = struct.unpack("<Q", data[3:11])[0] + len(other) - len(data)
    (tmp_path / "other.pkl").write_bytes(other[:3] + struct.pack("<Q", size) + other[11:])
    assert far(load_motion(tmp_path / "other.pkl"), load_motion(tmp_path / "m.pkl")) == 0.0


def test_aist_is_y_up_and_in_centimetres(tmp_path: Path) -> None:
    frames = 10
    poses, trans = np.zeros((frames, 72)), np.tile([180.0, 200.0, 90.0], (frames, 1))
    content = {"smpl_poses": poses, "smpl_trans": trans, "smpl_scaling": np.array([90.0]), "smpl_loss": np.float32(1.0)}
    motion = load_motion(dump(tmp_path / "gBR.pkl", content))
    assert motion.fps == 60.0
    assert np.allclose(motion.rotations, rot.IDENTITY)
    assert np.allclose(motion.root[0, :2], [2.0, -1.0], atol=0.05)
    assert np.isclose(motion.root[0, 2], SMPL.rest_root_height)


def test_the_same_arrays_are_the_same_motion_in_either_kind_of_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    arrays = {"smpl_poses": rng.normal(0.0, 0.3, (5, 72)), "smpl_trans": rng.normal(0.0, 50.0, (5, 3))}
    for more in ({"smpl_scaling": np.array([90.0])}, {}):
        np.savez(tmp_path / "dance.npz", **arrays, **more)
        packed, pickled = load_motion(tmp_path / "dance.npz"), load_motion(dump(tmp_path / "dance.pkl", arrays | more))
        assert packed.fps == pickled.fps
        np.testing.assert_array_equal(packed.root, pickled.root)
        np.testing.assert_array_equal(packed.rotations, pickled.rotations)
    np.savez(tmp_path / "slow.npz", **arrays, smpl_scaling=90.0, fps=24)
    assert load_motion(tmp_path / "slow.npz").fps == 24.0


@pytest.mark.data
@pytest.mark.skipif(not AIST, reason="the dances beside the checkout are missing")
def test_a_real_aist_dance_is_where_its_keypoints_are(tmp_path: Path) -> None:
    with np.load(AIST[-1], allow_pickle=False) as file:
        content = {key: file[key] for key in ("smpl_poses", "smpl_trans", "smpl_scaling")}
        points = file["keypoints3d"] / 100.0
    motion = load_motion(dump(tmp_path / "m.pkl", content))
    points = rot.rotate(UPRIGHT, points)
    # COCO's hips, knees, shoulders, elbows and wrists; the floors differ.
    off = motion.positions()[:, [1, 2, 4, 5, 16, 17, 18, 20, 21]] - points[:, [11, 12, 13, 14, 5, 6, 7, 9, 10]]
    assert np.abs(off[..., :2]).mean() < 0.03
    assert off[..., 2].std() < 0.06
    feet = motion.positions()[:, list(CONTACT_JOINTS[2:]), 2]
    assert -0.05 < np.percentile(feet.min(axis=1), 10) < 0.05


class _Bomb:
    def __reduce__(self) -> tuple:
        return os.system, ("echo harm",)


class _Huge:
    def __reduce__(self) -> tuple:
        return np.ndarray, ((1 << 40,),)


class _Text:
    def __reduce__(self) -> tuple:
        return np.dtype, ("O",)


@pytest.mark.parametrize("harm", [_Bomb(), _Huge(), _Text(), np.array([{}], dtype=object)])
def test_pickles_that_hold_more_than_arrays_are_refused(tmp_path: Path, harm: object) -> None:
    content = {"smpl_poses": harm, "smpl_trans": np.zeros((1, 3))}
    with pytest.raises(MotionError):
        load_motion(dump(tmp_path / "bomb.pkl", content))


@pytest.mark.parametrize("protocol", [0, 4])
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_files_raise_nothing_else(
    make_motion: MakeMotion, tmp_path: Path, protocol: int, at: int, byte: int, cut: bool
) -> None:
    motion = make_motion(2)
    for ending in (".npz", ".pkl", ".bvh"):
        path = tmp_path / f"m{ending}"
        save_motion(path, motion)
        if ending == ".pkl":
            dump(path, pickle.loads(path.read_bytes()), protocol)
        data = bytearray(path.read_bytes())
        data[at % len(data)] = byte
        path.write_bytes(data[: at % len(data)] if cut else data)
        with suppress(MotionError):
            load_motion(path)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04}r" + struct.pack("<I", (1 << 32) - 1) + b".",  # a memo of four milliards of places
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".",  # a terabyte announced
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".",
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"}.",
        b"",
    ],
)
def test_pickles_claim_no_memory(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.pkl").write_bytes(data)
    with pytest.raises(MotionError):
        load_motion(tmp_path / "m.pkl")


def _npy(header: dict, body: bytes = b"") -> bytes:
    text = repr(header).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


@pytest.mark.parametrize(
    "poses",
    [
        _npy({"descr": "<f8", "fortran_order": False, "shape": (1 << 40, 72)}),
        _npy({"descr": "<f8", "fortran_order": False, "shape": (-1, 72)}),
        _npy({"descr": "|O", "fortran_order": False, "shape": (1,)}, pickle.dumps(_Bomb())),
        _npy({"descr": "|V0", "fortran_order": False, "shape": (1 << 40,)}),
        b"no array at all",
    ],
)
def test_headers_are_not_believed(tmp_path: Path, poses: bytes) -> None:
    trans = io.BytesIO()
    np.save(trans, np.zeros((1, 3)))
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("poses.npy", poses)
        archive.writestr("trans.npy", trans.getvalue())
    with pytest.raises(MotionError, match="poses"):
        load_motion(tmp_path / "m.npz")


def test_a_zip_bomb_is_refused_before_it_unpacks(
    make_motion: MakeMotion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 1 << 20)
    save_motion(tmp_path / "small.npz", make_motion())
    assert len(load_motion(tmp_path / "small.npz")) == 40
    np.savez_compressed(tmp_path / "m.npz", poses=np.zeros((20_000, 72)), trans=np.zeros((20_000, 3)))
    assert (tmp_path / "m.npz").stat().st_size < files.MAX_BYTES
    with pytest.raises(MotionError, match="unpacks to more than 1 MB"):
        load_motion(tmp_path / "m.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(3)}, "no poses and trans"),
        ({"poses": np.zeros((4, 70)), "trans": np.zeros((4, 3))}, "shape"),
        ({"poses": np.zeros((0, 72)), "trans": np.zeros((0, 3))}, "0 frames"),
        ({"poses": np.zeros((4, 72)), "trans": np.zeros((5, 3))}, "trans have shape"),
        (
            {"poses": np.full((4, 72), np.nan), "trans": np.zeros((4, 3))},
            "undefined or impossibly large, first in frame 0",
        ),
        ({"poses": np.zeros((4, 72)), "trans": np.full((4, 3), 1e300)}, "trans are infinite"),
        ({"poses": np.full((4, 72), "x"), "trans": np.zeros((4, 3))}, "no array of numbers"),
        ({"poses": np.zeros((4, 72)), "trans": np.zeros((4, 3)), "mocap_framerate": 0}, "frame rate"),
        ({"poses": np.zeros((4, 72)), "trans": np.zeros((4, 3)), "mocap_framerate": "fast"}, "frame rate"),
        (
            {"poses": np.zeros((4, 72)), "trans": np.zeros((4, 3)), "root_convention": "pelvis", "meta": "{"},
            "meta is no JSON",
        ),
    ],
)
def test_wrong_contents_are_named(tmp_path: Path, arrays: dict, message: str) -> None:
    with pytest.raises(MotionError, match=message) as caught:
        load_motion(npz(tmp_path / "m.npz", **arrays))
    assert str(caught.value).startswith("m.npz: ")


@pytest.mark.parametrize("change", [{"fps": [[1.0], [2.0, 3.0]]}, {"fps": "fast"}, {"fps": -1.0}])
def test_a_wrong_rate_in_a_pickle_is_named(tmp_path: Path, change: dict) -> None:
    content = {"smpl_poses": np.zeros((4, 72)), "smpl_trans": np.zeros((4, 3)), **change}
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(MotionError, match="fps is no positive number"):
        load_motion(tmp_path / "m.pkl")


@pytest.mark.parametrize("convention", [["pelvis", "pelvis"], "head", 7])
def test_a_root_of_another_convention_is_the_one_of_smpl(tmp_path: Path, convention: object) -> None:
    content = {"smpl_poses": np.zeros((4, 72)), "smpl_trans": np.zeros((4, 3))}
    plain = load_motion(npz(tmp_path / "plain.npz", **content))
    odd = {**content, "root_convention": convention}
    (tmp_path / "odd.pkl").write_bytes(pickle.dumps(odd))
    for path in (tmp_path / "odd.pkl", npz(tmp_path / "odd.npz", **odd)):
        np.testing.assert_array_equal(load_motion(path).root, plain.root)


def test_what_a_pickle_holds_beside_the_motion_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"smpl_poses": np.zeros((4, 72)), "smpl_trans": np.zeros((4, 3)), **{f"x{k}": np.ones(9) for k in "abc"}}
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(content))
    made: list[object] = []
    monkeypatch.setattr(files, "as_array", lambda value: made.append(value) or as_array(value))
    load_motion(tmp_path / "m.pkl")
    assert len(made) == 2


def test_other_files_and_places_are_refused(make_motion: MakeMotion, tmp_path: Path) -> None:
    (tmp_path / "m.fbx").write_bytes(b"x")
    with pytest.raises(MotionError, match=r"choose a \.npz, \.pkl or \.bvh"):
        load_motion(tmp_path / "m.fbx")
    with pytest.raises(MotionError, match="can't be read"):
        load_motion(tmp_path / "missing.npz")
    with pytest.raises(MotionError, match="can't be written as"):
        save_motion(tmp_path / "m.fbx", make_motion())
    with pytest.raises(MotionError, match="choose another folder"):
        save_motion(tmp_path / "nowhere" / "m.npz", make_motion())


def test_a_failed_write_keeps_the_old_file(make_motion: MakeMotion, tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    save_motion(path, make_motion())
    before = path.read_bytes()
    with pytest.raises(MotionError, match="JSON"):
        save_motion(path, make_motion().with_meta(bad=object()))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.npz"]


def test_meta_is_plain_json(make_motion: MakeMotion, tmp_path: Path) -> None:
    save_motion(tmp_path / "m.npz", make_motion().with_meta(seed=3, song="a.ogg"))
    with np.load(tmp_path / "m.npz", allow_pickle=False) as file:
        assert json.loads(str(file["meta"])) == {"seed": 3, "song": "a.ogg"}
