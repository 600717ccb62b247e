"""Published VideoPose3D checkpoints: loaded without running anything, lifting as the reference network does."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from stepsmith.backend.pose.body import solve_body
from stepsmith.backend.pose.landmarks import HUMAN36M, POINTS, to_human36m
from stepsmith.backend.pose.lifter.bodies import body_points
from stepsmith.backend.pose.lifter.human36m import fill_body
from stepsmith.backend.pose.lifter.published import PublishedLifter, load_lifter
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL, SMPL_NAMES
from torch import nn

SIZE = (1000, 600)
LEFT_POINTS, RIGHT_POINTS = [1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]
LEFT_JOINTS, RIGHT_JOINTS = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]


class Reference(nn.Module):
    """VideoPose3D's temporal model as its paper and keys define it, written for this test alone."""

    def __init__(self, joints: int, widths: Sequence[int], causal: bool, channels: int) -> None:
        super().__init__()
        self.widths, self.causal = widths, causal
        self.expand_conv = nn.Conv1d(34, channels, widths[0], bias=False)
        self.expand_bn = nn.BatchNorm1d(channels)
        dilations = np.cumprod(widths)[:-1].tolist()
        pairs = [
            (
                nn.Conv1d(channels, channels, w, dilation=int(d), bias=False),
                nn.Conv1d(channels, channels, 1, bias=False),
            )
            for w, d in zip(widths[1:], dilations, strict=True)
        ]
        self.layers_conv = nn.ModuleList(conv for pair in pairs for conv in pair)
        self.layers_bn = nn.ModuleList(nn.BatchNorm1d(channels) for _ in self.layers_conv)
        self.shrink = nn.Conv1d(channels, 3 * joints, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.expand_bn(self.expand_conv(x.flatten(2).transpose(1, 2))))
        dilation = 1
        for block, width in enumerate(self.widths[1:]):
            dilation *= self.widths[block]
            pad, shift = (width - 1) * dilation // 2, (width // 2) * dilation if self.causal else 0
            kept = x[:, :, pad + shift : x.shape[2] - pad + shift]
            x = torch.relu(self.layers_bn[2 * block](self.layers_conv[2 * block](x)))
            x = kept + torch.relu(self.layers_bn[2 * block + 1](self.layers_conv[2 * block + 1](x)))
        return self.shrink(x).transpose(1, 2).unflatten(2, (-1, 3))

    def lift(self, points: np.ndarray, flip: bool) -> np.ndarray:
        """The whole way as published: normalise, pad with the edges, average with the mirror image."""
        field = int(np.prod(self.widths))
        pad = (field - 1) // 2
        shift = pad if self.causal else 0
        normal = points / SIZE[0] * 2 - [1, SIZE[1] / SIZE[0]]
        normal = np.pad(normal, ((pad + shift, pad - shift), (0, 0), (0, 0)), "edge")
        batch = np.stack([normal, normal])
        batch[1, :, :, 0] *= -1
        batch[1, :, LEFT_POINTS + RIGHT_POINTS] = batch[1, :, RIGHT_POINTS + LEFT_POINTS]
        with torch.no_grad():
            out = self.eval()(torch.from_numpy(batch.astype(np.float32))).numpy()
        if not flip:
            return out[0]
        out[1, :, :, 0] *= -1
        if out.shape[2] == 17:
            out[1, :, LEFT_JOINTS + RIGHT_JOINTS] = out[1, :, RIGHT_JOINTS + LEFT_JOINTS]
        return out.mean(axis=0)


def reference(seed: int, joints: int = 17, widths: Sequence[int] = (3, 3, 3), causal: bool = False) -> Reference:
    """A network with the statistics of one that was trained: nothing zero, nothing one."""
    torch.manual_seed(seed)
    network = Reference(joints, widths, causal, 48)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.2)
            nn.init.normal_(module.running_mean, 0.0, 0.2)
            nn.init.uniform_(module.running_var, 0.3, 2.0)
    return network


class OldRandomState:
    """Pickled as numpy did when the published checkpoints were written."""

    def __reduce__(self) -> tuple:
        return getattr(np.random, "__RandomState_ctor"), (), np.random.RandomState(0).get_state()


def checkpoint(path: Path, position: Reference, trajectory: Reference | None = None, *, legacy: bool = False) -> Path:
    """A file with all that the published ones hold, in today's format or in that of their day."""
    optimiser = torch.optim.Adam(position.parameters(), lr=1e-3, amsgrad=True)
    content = {
        "epoch": 80,
        "lr": np.float64(1e-3 * 0.95**80),
        "random_state": OldRandomState() if legacy else np.random.RandomState(1234),
        "optimizer": optimiser.state_dict(),
        "model_pos": position.state_dict(),
    }
    if trajectory is not None:
        content |= {"model_traj": trajectory.state_dict(), "random_state_semi": np.random.RandomState(4321)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def walk(frames: int = 60, seed: int = 0) -> np.ndarray:
    """(F, 17, 2) pixels that wander."""
    rng = np.random.default_rng(seed)
    return rng.uniform(100, 500, (1, 17, 2)) + np.cumsum(rng.normal(0, 4, (frames, 17, 2)), axis=0)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("widths", "causal"), [((3, 3, 3), False), ((3, 3, 3), True), ((3, 1), False), ((5, 3), True)])
def test_outputs_equal_the_reference_networks(
    tmp_path: Path, widths: Sequence[int], causal: bool, flip: bool, legacy: bool
) -> None:
    position, trajectory = reference(1, widths=widths, causal=causal), reference(2, 1, widths, causal)
    lifter = PublishedLifter.load(checkpoint(tmp_path / "a.bin", position, trajectory, legacy=legacy), causal=causal)
    points = walk()
    expected = position.lift(points, flip)
    assert np.abs(expected).max() > 0.1
    assert np.abs(lifter.joints(points, SIZE, flip=flip) - expected).max() < 1e-5
    path = lifter.path(points, SIZE, flip=flip)
    assert path is not None
    assert np.abs(path - trajectory.lift(points, flip)[:, 0]).max() < 1e-5


def test_the_published_size_at_243_frames(tmp_path: Path) -> None:
    network = reference(3, widths=(3, 3, 3, 3, 3))
    lifter = PublishedLifter.load(checkpoint(tmp_path / "a.bin", network))
    assert (lifter.position.field, lifter.position.before) == (243, 121)
    points = walk(300)
    assert np.abs(lifter.joints(points, SIZE) - network.lift(points, True)).max() < 1e-5


@pytest.mark.parametrize("causal", [False, True])
def test_a_single_picture_is_lifted(tmp_path: Path, causal: bool) -> None:
    network = reference(11, causal=causal)
    lifter = PublishedLifter.load(checkpoint(tmp_path / "a.bin", network), causal=causal)
    assert np.abs(lifter.joints(walk(1), SIZE) - network.lift(walk(1), True)).max() < 1e-5
    assert len(lifter.lift(np.array([3.0]), walk(1), np.ones((1, 17)), SIZE)) == 1


def test_a_long_video_is_lifted_in_pieces_that_do_not_show(tmp_path: Path) -> None:
    network = reference(4)
    lifter = PublishedLifter.load(checkpoint(tmp_path / "a.bin", network))
    points = walk(5000)
    assert np.abs(lifter.joints(points, SIZE, flip=False) - network.lift(points, False)).max() < 1e-5


def test_a_checkpoint_is_a_lifter_like_stepsmiths_own(tmp_path: Path) -> None:
    position, trajectory = reference(5), reference(6, 1)
    lifter = load_lifter(checkpoint(tmp_path / "a.bin", position, trajectory))
    points = walk()
    times = np.arange(60) / 30 + 7.0
    lifted = lifter.lift(times, points, np.ones((60, 17)), SIZE)
    assert (lifted.points.shape, lifted.joints.shape, lifted.fps) == ((60, 25, 3), (60, 24, 3), 30.0)
    path = trajectory.lift(points, True)
    wrists = [POINTS.index("left_wrist"), POINTS.index("right_wrist")]
    expected = (position.lift(points, True) + path)[:, [13, 16]]
    assert np.abs(lifted.points[:, wrists] - expected).max() < 1e-4
    twice = lifter.lift(times, np.pad(points, ((0, 0), (0, 8), (0, 0))), np.ones((60, 25)), SIZE, fps=60.0)
    assert len(twice) == 119


def test_points_not_seen_are_put_between_those_that_are(tmp_path: Path) -> None:
    lifter = PublishedLifter.load(checkpoint(tmp_path / "a.bin", reference(7)))
    times, confidence = np.arange(40) / 30, np.ones((40, 17))
    steady = np.repeat(walk(1), 40, axis=0) + np.arange(40)[:, None, None]
    hidden, wrong = confidence.copy(), steady.copy()
    hidden[10:20, 9], wrong[10:20, 9] = 0.0, np.nan
    seen = lifter.lift(times, steady, confidence, SIZE)
    assert np.allclose(lifter.lift(times, wrong, hidden, SIZE).points, seen.points, atol=1e-5)
    never = lifter.lift(times, wrong, np.where(np.arange(17) == 9, 0.0, confidence), SIZE)
    assert np.isfinite(never.points).all()
    assert np.isfinite(lifter.lift(times, wrong, np.zeros((40, 17)), SIZE).joints).all()


# -- the body around the joints -----------------------------------------------------------------------


def dancer(frames: int = 90) -> Motion:
    swing = np.sin(np.arange(frames) / 9)[:, None]
    angles = np.zeros((frames, 24, 3))
    for name, axis in (("left_shoulder", (0, 0.9, 0.3)), ("left_knee", (0.7, 0, 0))):
        angles[:, SMPL_NAMES.index(name)] = swing * axis
    angles[:, SMPL_NAMES.index("right_elbow"), 2] = 0.8 + 0.6 * np.sin(np.arange(frames) / 7)
    for name in ("left_shoulder", "right_shoulder"):
        angles[:, SMPL_NAMES.index(name), 1] += 1.0 if "left" in name else -1.0
    angles[:, 0] = [0.0, 0.0, 0.6]
    root = np.tile([0.0, 0.0, SMPL.rest_root_height], (frames, 1))
    return Motion(30.0, root, rot.from_axis_angle(angles), np.zeros((frames, 4)))


def in_camera(places: np.ndarray) -> np.ndarray:
    """The world as a level camera at a height of one metre sees it, which looks along +y."""
    return np.stack([places[..., 0], 1.0 - places[..., 2], places[..., 1]], axis=-1)


def human36m_joints(points: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """What a perfect network would give, by Human3.6M's joints: the head's is the crown."""
    made = to_human36m(points)
    for name in HUMAN36M:
        smpl = name.replace("foot", "ankle")
        if smpl in SMPL_NAMES and name != "head":
            made[:, HUMAN36M.index(name)] = joints[:, SMPL_NAMES.index(smpl)]
    made[:, 0] = joints[:, [1, 2]].mean(axis=1)
    made[:, HUMAN36M.index("thorax")] = joints[:, SMPL_NAMES.index("neck")]
    eyes, ears = (points[:, [POINTS.index(f"{side}_{part}") for side in ("left", "right")]] for part in ("eye", "ear"))
    middle, forward, left = ears.mean(axis=1), (eyes - ears).mean(axis=1), ears[:, 0] - ears[:, 1]
    up = np.cross(left, forward)
    made[:, HUMAN36M.index("head")] = middle - 0.13 * up / np.linalg.norm(up, axis=-1, keepdims=True)
    return made


def test_what_human36m_lacks_of_the_body_is_added_where_it_belongs() -> None:
    points, joints = (in_camera(places) for places in body_points(dancer()))
    filled_points, filled_joints = fill_body(human36m_joints(points, joints))
    apart = np.linalg.norm(filled_joints - joints, axis=-1).mean(axis=0)
    assert apart.max() < 0.05, dict(zip(SMPL_NAMES, apart.round(3), strict=True))
    apart = np.linalg.norm(filled_points - points, axis=-1).mean(axis=0)
    assert apart.max() < 0.05, dict(zip(POINTS, apart.round(3), strict=True))


class Perfect(nn.Module):
    """Gives the same joints whatever it sees."""

    field, before = 1, 0

    def __init__(self, joints: np.ndarray) -> None:
        super().__init__()
        self.joints = torch.from_numpy(joints.reshape(1, len(joints), -1).astype(np.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.joints


def test_the_body_is_placed_where_it_covers_the_points_and_a_performance_comes_of_it() -> None:
    away = np.array([0.3, 0.1, 4.0])
    motion = dancer()
    points, joints = (in_camera(places) for places in body_points(motion))
    made = human36m_joints(points, joints)
    lifter = PublishedLifter(Perfect(made - made[:, :1]))
    focal = 1000.0
    seen = (points + away)[:, :17]
    pixels = seen[..., :2] / seen[..., 2:] * focal + np.divide(SIZE, 2)
    view = float(np.degrees(2 * np.arctan(500 / focal)))
    lifted = lifter.lift(np.arange(90) / 30, pixels, np.ones((90, 17)), SIZE, field_of_view=view, flip=False)
    off = lifted.joints - (joints + away)
    assert np.linalg.norm(off[..., :2], axis=-1).mean() < 0.05
    assert np.abs(off[..., 2].mean()) < 0.15
    solved = solve_body(lifted, confidence=np.ones((90, 17)))
    elbow = SMPL_NAMES.index("right_elbow")
    bend = [rot.angle(m.rotations[:, elbow]) for m in (motion, solved)]
    assert np.corrcoef(*bend)[0, 1] > 0.9


# -- files from strangers -----------------------------------------------------------------------------


class Attack:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple:
        return Path.touch, (self.place,)


def refused(path: Path) -> str:
    with pytest.raises(StepsmithError) as error:
        load_lifter(path)
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text
    return text


@pytest.mark.parametrize("legacy", [False, True])
def test_nothing_in_a_checkpoint_is_run(tmp_path: Path, legacy: bool) -> None:
    content = {"model_pos": reference(8).state_dict(), "random_state": Attack(tmp_path / "ran")}
    torch.save(content, tmp_path / "a.bin", _use_new_zipfile_serialization=not legacy)
    assert "more than weights" in refused(tmp_path / "a.bin")
    (tmp_path / "b.bin").write_bytes(pickle.dumps(content["random_state"]))
    refused(tmp_path / "b.bin")
    assert not (tmp_path / "ran").exists()


def test_other_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    assert "missing" in refused(tmp_path / "missing.bin")
    good = checkpoint(tmp_path / "good.bin", reference(9)).read_bytes()
    for name, data in {
        "empty": b"",
        "text": b"no weights at all",
        "cut": good[: len(good) // 2],
        "zip": b"PK\3\4",
    }.items():
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name)
    torch.save([1, 2], tmp_path / "list")
    assert "model_pos" in refused(tmp_path / "list")
    torch.save({"model_pos": 3}, tmp_path / "number")
    refused(tmp_path / "number")


def test_other_networks_are_refused_in_a_sentence(tmp_path: Path) -> None:
    state = reference(10).state_dict()
    changes = {
        "fewer joints": {"shrink.weight": torch.zeros(45, 48, 1), "shrink.bias": torch.zeros(45)},
        "other points": {"expand_conv.weight": torch.zeros(48, 30, 3)},
        "even filters": {"expand_conv.weight": torch.zeros(48, 34, 4)},
        "other channels": {"layers_bn.1.weight": torch.zeros(47)},
        "no tensor": {"shrink.bias": "zero"},
        "not numbers": {"shrink.bias": torch.full((51,), float("nan"))},
        "a layer more": {"extra.weight": torch.zeros(3)},
        "flat": {"expand_conv.weight": torch.zeros(3)},
        "counts for weights": {"shrink.bias": torch.zeros(51, dtype=torch.int64)},
        "more than the file holds": {"expand_conv.weight": torch.zeros(1).expand(10**9, 34, 3)},
        "wide": {"expand_conv.weight": torch.zeros(200_000, 34, 1)},
    }
    for name, change in changes.items():
        torch.save({"model_pos": {**state, **change}}, tmp_path / name)
        assert "another network" in refused(tmp_path / name), name
    for missing in state:
        if "num_batches_tracked" not in missing:
            torch.save({"model_pos": {k: v for k, v in state.items() if k != missing}}, tmp_path / "m")
            assert "another network" in refused(tmp_path / "m"), missing
    torch.save({"model_pos": reference(10, widths=(3,) * 12).state_dict()}, tmp_path / "long")
    assert "another network" in refused(tmp_path / "long")
    torch.save({"model_pos": state, "model_traj": state}, tmp_path / "t")
    assert "another network" in refused(tmp_path / "t")
