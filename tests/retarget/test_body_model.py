"""SMPL model files: read safely, shaped and posed as the papers say."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.arrays import ArrayFileError, as_array, unpickle
from stepsmith.retarget.body_model import BodyModel, dance, load_body, rest_rig, skin
from stepsmith.retarget.bone_maps import find_map
from stepsmith.retarget.errors import RigError
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL, SMPL_NAMES, Skeleton, forward_kinematics

Array = np.ndarray
MakeArrays = Callable[..., dict[str, Array]]
Write = Callable[..., Path]

KINDS = {"SMPL": 24, "SMPL-H": 52, "SMPL-X": 55}
BETAS = [1.5, -1.0, 0.5]


@pytest.fixture(params=list(KINDS))
def body(request: pytest.FixtureRequest, make_body_arrays: MakeArrays, write_body_npz: Write, tmp_path: Path) -> Any:
    return load_body(write_body_npz(tmp_path / "body.npz", make_body_arrays(request.param)))


@pytest.fixture
def smpl(make_body_arrays: MakeArrays, write_body_npz: Write, tmp_path: Path) -> BodyModel:
    return load_body(write_body_npz(tmp_path / "body.npz", make_body_arrays()))


def random_pose(body: BodyModel, frames: int = 3, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    rotations = rot.from_axis_angle(rng.normal(0.0, 0.5, (frames, len(body.names), 3)))
    return rotations, rng.normal(0.0, 1.0, (frames, 3))


# --- reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_npz_and_a_pickle_of_the_same_model_are_the_same_body(
    kind: str, make_body_arrays: MakeArrays, write_body_npz: Write, write_body_pkl: Write, tmp_path: Path
) -> None:
    arrays = make_body_arrays(kind)
    from_npz = load_body(write_body_npz(tmp_path / "body.npz", arrays))
    assert from_npz.kind == kind
    assert len(from_npz.names) == KINDS[kind]
    for protocol in (0, 2, 4):
        from_pkl = load_body(write_body_pkl(tmp_path / "body.pkl", arrays, protocol))
        for name in ("template", "faces", "weights", "regressor", "shape_dirs", "pose_dirs"):
            np.testing.assert_array_equal(getattr(from_pkl, name), getattr(from_npz, name))
        assert (from_pkl.names, from_pkl.parents) == (from_npz.names, from_npz.parents)


def test_the_body_stands_upright_facing_the_front(body: BodyModel) -> None:
    at = dict(zip(body.names, body.joints(), strict=True))
    assert at["head"][2] > at["pelvis"][2] > at["left_ankle"][2]
    assert at["left_wrist"][0] > at["right_wrist"][0]
    assert at["left_foot"][1] < at["left_ankle"][1]
    for joint in range(22):
        offset = at[SMPL_NAMES[joint]] - at["pelvis"]
        np.testing.assert_allclose(offset, SMPL.rest_positions[joint], atol=1e-9)


def test_the_correctives_are_left_where_they_are_not_wanted(
    make_body_arrays: MakeArrays, write_body_npz: Write, tmp_path: Path
) -> None:
    arrays = make_body_arrays()
    del arrays["posedirs"]
    file = write_body_npz(tmp_path / "body.npz", arrays)
    assert load_body(file, correctives=False).pose_dirs is None
    with pytest.raises(RigError, match="posedirs"):
        load_body(file)


@pytest.mark.parametrize(("stored", "betas"), [(10, 10), (20, 10), (16, 16), (400, 300)])
def test_the_expressions_of_smplx_are_no_betas(
    stored: int, betas: int, make_body_arrays: MakeArrays, write_body_npz: Write, tmp_path: Path
) -> None:
    file = write_body_npz(tmp_path / "body.npz", make_body_arrays("SMPL-X", stored))
    assert len(load_body(file, correctives=False).shape_dirs) == betas


class _Hostile:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("place", ["v_template", "bs_style"])
def test_a_pickle_that_would_run_something_is_refused(
    protocol: int, place: str, make_body_arrays: MakeArrays, write_body_pkl: Write, tmp_path: Path
) -> None:
    trace = tmp_path / "ran"
    for hostile in (_Hostile(os.system, f"touch {trace}"), _Hostile(eval, f"open({str(trace)!r}, 'w')")):
        file = write_body_pkl(tmp_path / "body.pkl", make_body_arrays(), protocol, **{place: hostile})
        with pytest.raises(RigError, match=r"which is no array"):
            load_body(file)
        assert not trace.exists()


def test_a_pickle_that_claims_memory_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "body.pkl"
    for data in (
        b"\x80\x02]r\xff\xff\xff\x7f.",  # a memo of 2^31 places
        b"\x80\x04\x96" + (1 << 40).to_bytes(8, "little") + b".",  # a bytearray of a terabyte
    ):
        file.write_bytes(data)
        with pytest.raises(RigError):
            load_body(file)


@pytest.mark.parametrize("write", ["write_body_npz", "write_body_pkl"])
def test_a_truncated_file_is_refused(
    write: str, request: pytest.FixtureRequest, make_body_arrays: MakeArrays, tmp_path: Path
) -> None:
    file = request.getfixturevalue(write)(tmp_path / f"body.{write[-3:]}", make_body_arrays())
    data = file.read_bytes()
    for share in (0.0, 0.3, 0.999):
        file.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(RigError, match="no body model"):
            load_body(file)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("v_template", lambda a: a[:-1], "v_template"),
        ("v_template", lambda a: a[:, :2], "v_template"),
        ("v_template", lambda a: a * np.nan, "undefined or impossibly large"),
        ("v_template", lambda a: a.astype(str), "v_template"),
        ("weights", lambda a: a[:, :16], "16 joints"),
        ("weights", lambda a: a * 0.5, "weights"),
        ("weights", lambda a: a[0], "weights"),
        ("J_regressor", lambda a: a.T, "J_regressor"),
        ("shapedirs", lambda a: a[..., 0], "shapedirs"),
        ("shapedirs", lambda a: a[..., :0], "shapedirs"),
        ("posedirs", lambda a: a[..., :-1], "posedirs"),
        ("f", lambda a: a + len(a), "vertices"),
        ("f", lambda a: a.astype(np.int64) - 1, "vertices"),
        ("kintree_table", lambda a: a[:, ::-1], "kintree_table"),
        ("kintree_table", lambda a: a[:, :5], "kintree_table"),
        ("kintree_table", lambda a: a * np.nan, "kintree_table"),
    ],
)
def test_arrays_that_disagree_are_refused(
    name: str,
    change: Callable[[Array], Array],
    said: str,
    make_body_arrays: MakeArrays,
    write_body_npz: Write,
    tmp_path: Path,
) -> None:
    arrays = make_body_arrays()
    arrays[name] = change(arrays[name])
    with pytest.raises(RigError, match=said) as error:
        load_body(write_body_npz(tmp_path / "body.npz", arrays))
    assert "\n" not in str(error.value)


def test_a_file_of_another_kind_is_refused(write_body_npz: Write, tmp_path: Path) -> None:
    for name, said in (("body.obj", "no body model"), ("gone.npz", "can't be read")):
        with pytest.raises(RigError, match=said):
            load_body(tmp_path / name)
    with pytest.raises(RigError, match="v_template"):
        load_body(write_body_npz(tmp_path / "motion.npz", {"poses": np.zeros((3, 72))}))
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(RigError, match="no table"):
        load_body(tmp_path / "list.pkl")


def test_a_pickled_member_of_a_npz_is_not_read(
    make_body_arrays: MakeArrays, write_body_npz: Write, tmp_path: Path
) -> None:
    arrays = make_body_arrays()
    arrays["v_template"] = np.array(_Hostile(os.system, f"touch {tmp_path / 'ran'}"), dtype=object)
    with pytest.raises(RigError, match="no plain array"):
        load_body(write_body_npz(tmp_path / "body.npz", arrays))
    assert not (tmp_path / "ran").exists()


def test_a_npz_that_unpacks_beyond_reason_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 29, 3)})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("v_template.npy", header.getvalue())  # says 12 GB, has none
    with pytest.raises(RigError, match="v_template"):
        load_body(tmp_path / "bomb.npz")


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_pickle_never_does_more_than_raise(data: st.DataObject) -> None:
    whole = pickle.dumps({"a": np.arange(6.0).reshape(2, 3), "b": np.float32(2.0), "c": "text"}, 2)
    bytes_ = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        bytes_[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        content = unpickle(bytes(bytes_))
        for value in content.values() if isinstance(content, dict) else ():
            as_array(value)
    except ArrayFileError:
        pass


@pytest.mark.parametrize("form", ["csc", "csr", "coo"])
@pytest.mark.parametrize("array", [False, True])
def test_sparse_matrices_of_scipy_are_read(form: str, array: bool) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.random.default_rng(0).normal(size=(5, 9)) * (np.arange(45).reshape(5, 9) % 3 == 0)
    matrix = getattr(sparse, f"{form}_{'array' if array else 'matrix'}")(dense)
    np.testing.assert_array_equal(as_array(unpickle(pickle.dumps(matrix, 2))), dense)


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i4", ">u2", "u1", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_arrays_of_numpy_are_read(dtype: str, order: Any, protocol: int) -> None:
    array = np.asarray(np.arange(24).reshape(2, 3, 4) % 7, dtype=dtype, order=order)
    np.testing.assert_array_equal(as_array(unpickle(pickle.dumps(array, protocol))), array)
    np.testing.assert_array_equal(as_array(unpickle(pickle.dumps(array[1, 1, 1], protocol))), array[1, 1, 1])


# --- shape and skin --------------------------------------------------------------------------------------


def test_joints_follow_the_shape(body: BodyModel) -> None:
    np.testing.assert_allclose(body.joints(BETAS), body.regressor @ body.shaped(BETAS), atol=1e-12)
    moved = body.joints() + np.tensordot(BETAS, body.joint_dirs[:3], axes=1)
    np.testing.assert_allclose(body.joints(BETAS), moved, atol=1e-6)


def test_betas_that_the_body_has_not_are_refused(smpl: BodyModel) -> None:
    with pytest.raises(RigError, match="10 betas"):
        smpl.shaped(np.zeros(11))
    with pytest.raises(RigError, match="not finite"):
        smpl.shaped([np.nan])


def test_the_rest_pose_is_the_shaped_body(body: BodyModel) -> None:
    rest = np.tile(rot.IDENTITY, (1, len(body.names), 1))
    vertices = skin(body, rest, body.joints(BETAS)[:1], BETAS)
    np.testing.assert_allclose(vertices[0], body.shaped(BETAS), atol=1e-6)


def test_skinning_is_the_formula_of_the_paper(body: BodyModel) -> None:
    """Against a slow reading of it in matrices, vertex by vertex, in the file's own axes."""
    assert body.pose_dirs is not None
    rotations, root = random_pose(body, frames=2)
    vertices = skin(body, rotations, root, BETAS)
    shaped, joints = body.shaped(BETAS), body.joints(BETAS)
    for frame in range(2):
        local = rot.to_matrix(rotations[frame])
        feature = (local[1:] - np.eye(3)).reshape(-1)
        posed = shaped + np.tensordot(feature, body.pose_dirs, axes=1)
        world = []
        for joint, parent in enumerate(body.parents):
            step = np.eye(4)
            step[:3, :3] = local[joint]
            step[:3, 3] = root[frame] if parent < 0 else joints[joint] - joints[parent]
            world.append(step if parent < 0 else world[parent] @ step)
        for vertex in range(0, len(shaped), 17):
            expected = sum(
                weight * (world[j] @ np.append(posed[vertex] - joints[j], 1.0))[:3]
                for j, weight in enumerate(body.weights[vertex])
            )
            np.testing.assert_allclose(vertices[frame, vertex], expected, atol=1e-5)


def test_correctives_in_the_files_own_axes_are_the_same(smpl: BodyModel, make_body_arrays: MakeArrays) -> None:
    """The pose blend shapes by y-up rotation matrices and the file's arrays, turned afterwards."""
    arrays = make_body_arrays()
    rotations, _ = random_pose(smpl, frames=1)
    up = rot.from_axis_angle([np.pi / 2, 0.0, 0.0])
    y_up = rot.multiply(rot.multiply(rot.conjugate(up), rotations[0, 1:]), up)
    offsets = arrays["posedirs"] @ (rot.to_matrix(y_up) - np.eye(3)).reshape(-1)
    assert smpl.pose_dirs is not None
    ours = np.tensordot((rot.to_matrix(rotations[0, 1:]) - np.eye(3)).reshape(-1), smpl.pose_dirs, axes=1)
    np.testing.assert_allclose(ours, rot.rotate(up, offsets), atol=1e-6)


def test_many_frames_are_the_same_as_one_by_one(smpl: BodyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rotations, root = random_pose(smpl, frames=9)
    whole = skin(smpl, rotations, root)
    monkeypatch.setattr("stepsmith.retarget.body_model._CHUNK", 4 * len(smpl.template) * 96)
    np.testing.assert_allclose(skin(smpl, rotations, root), whole, atol=1e-6)


# --- as a rig --------------------------------------------------------------------------------------------


def test_the_rig_stands_on_the_floor_and_is_known_by_its_names(body: BodyModel) -> None:
    rig = rest_rig(body, BETAS)
    np.testing.assert_allclose(rig.heads[0, 2], body.joints(BETAS)[0, 2] - body.shaped(BETAS)[:, 2].min())
    found = find_map(rig)
    hands = {"left_hand", "right_hand"}
    assert {bone for bone, joint in found.bones.items()} == set(SMPL_NAMES) - (hands if body.kind != "SMPL" else set())
    assert all(bone == joint for bone, joint in found.bones.items())


def test_bones_point_along_their_limbs_and_bend_about_x(body: BodyModel) -> None:
    rig = rest_rig(body)
    for side in ("left", "right"):
        for joint, end in (("knee", "ankle"), ("elbow", "wrist"), ("hip", "knee")):
            bone = rig.indices[f"{side}_{joint}"]
            np.testing.assert_allclose(rig.tails[bone], rig.heads[rig.indices[f"{side}_{end}"]], atol=1e-9)
        # A bent elbow moves the wrist forward and up to nothing, a bent knee the ankle back.
        for joint, out in (("elbow", [0.0, 0.0, 1.0]), ("knee", [1.0, 0.0, 0.0])):
            assert abs(np.dot(rig.rest[rig.indices[f"{side}_{joint}"], :3, 0], out)) > 0.95


def test_the_shape_changes_no_bones_orientation(body: BodyModel) -> None:
    np.testing.assert_allclose(rest_rig(body, BETAS).rotations, rest_rig(body).rotations, atol=1e-12)


@pytest.mark.parametrize("betas", [[], [4.0], [-4.0, 3.0]])
def test_the_body_dances_on_the_floor(smpl: BodyModel, betas: list[float], make_walk: Callable[..., Motion]) -> None:
    motion = make_walk(2.0)
    rotations, root = dance(smpl, motion, betas)
    vertices = skin(smpl, rotations, root, betas, correctives=False)
    assert np.abs(vertices[..., 2].min(axis=1)).max() < 0.012
    skeleton = Skeleton(smpl.names, smpl.parents, _offsets(smpl, betas))
    feet = forward_kinematics(skeleton, rotations, root)[0][:, [7, 8]]
    planted = motion.contacts[:, :2] > 0.5
    slide = np.linalg.norm(np.diff(feet[..., :2], axis=0), axis=-1)[planted[1:] & planted[:-1]]
    assert slide.sum() / (len(slide) / motion.fps) < 0.005


def test_the_path_is_scaled_by_leg_length(smpl: BodyModel, make_motion: Callable[..., Motion]) -> None:
    motion = make_motion()
    small, large = (dance(smpl, motion, [beta], feet="never")[1] for beta in (0.0, 4.0))
    span = np.ptp(small[:, :2], axis=0)
    np.testing.assert_allclose(np.ptp(large[:, :2], axis=0), 1.2 * span, rtol=0.02)


def _offsets(body: BodyModel, betas: list[float]) -> Array:
    joints = body.joints(betas)
    return np.array([joints[j] - (joints[p] if p >= 0 else 0.0) for j, p in enumerate(body.parents)])
