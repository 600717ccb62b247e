"""Recorded dances of every source: files, folders, zips, splits, clean-up, and the beats they are danced to."""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.backend.audio import MEL_BANDS, Music
from stepsmith.backend.dance import timing
from stepsmith.backend.dance.sources import Dance, DataError, load_dances, load_unpaired
from stepsmith.backend.dance.sources.clean import clean, soles
from stepsmith.backend.dance.sources.manifest import split_of
from stepsmith.backend.dance.sources.motion_file import read_motion
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import MotionError
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL

# Splits of the songs “song 0” and so on.
PINNED = {0: "train", 1: "train", 9: "val", 13: "val", 24: "test", 36: "test"}
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def swaying(seconds: float = 8.0, tempo: float = 100.0, fps: float = 60.0, lag: float = 0.0) -> Motion:
    """Arms and torso that swing to and fro and arrive on every beat, over feet that stand."""
    times = np.arange(round(seconds * fps)) / fps
    swing = np.cos(np.pi * (times - lag) * tempo / 60.0)
    angles = np.zeros((len(times), 24, 3))
    angles[:, 16, 1], angles[:, 17, 1] = 0.9 + 0.6 * swing, -0.9 + 0.6 * swing
    angles[:, [18, 19], 2] = 0.5 * swing[:, None]
    angles[:, [3, 6], 2] = 0.3 * swing[:, None]
    root = np.zeros((len(times), 3))
    root[:, 2] = SMPL.rest_root_height
    return Motion(fps, root, rot.from_axis_angle(angles), np.zeros((len(times), 4)))


def with_frames(motion: Motion, frames: slice, root: tuple[float, float, float]) -> Motion:
    """The motion, elsewhere for some frames."""
    moved = np.array(motion.root)
    moved[frames] += root
    return Motion(motion.fps, moved, motion.rotations, motion.contacts)


def music(tempo: float, seconds: float) -> Music:
    beats = np.arange(0.0, seconds, 60.0 / tempo)
    frames = round(seconds * 30)
    mel = np.arange(frames * MEL_BANDS, dtype=np.float32).reshape(frames, MEL_BANDS)
    return Music(seconds, tempo, 4, beats, beats[::4], mel, np.ones(frames, np.float32))


def write_aist(path: Path, motion: Motion) -> None:
    """The motion as AIST++ has it: y up, centimetres with a scaling, its path that of SMPL's origin over the pelvis."""
    back = rot.from_axis_angle([-np.pi / 2, 0.0, 0.0])
    local = rot.multiply(rot.multiply(back, motion.rotations), rot.conjugate(back))
    np.savez(
        path,
        smpl_poses=rot.to_axis_angle(local).reshape(-1, 72).astype(np.float32),
        smpl_trans=(rot.rotate(back, motion.root) - [-0.002, -0.223, 0.028]) * 95.0,
        smpl_scaling=np.array([95.0]),
        fps=np.array(motion.fps),
    )


ASF = """# a body
:version 1.10
:units
  mass 1.0
  length 0.45
  angle deg
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
"""
# name, direction, length, axis, degrees of freedom
BONES = [
    *(
        bone
        for s, x in (("l", 1.0), ("r", -1.0))
        for bone in (
            (f"{s}hipjoint", (x * 0.6, -0.75, 0.3), 2.2, (0, 0, 0), ""),
            (f"{s}femur", (x * 0.342, -0.94, 0), 7.2, (0, 0, x * 20), "rx ry rz"),
            (f"{s}tibia", (x * 0.342, -0.94, 0), 6.9, (0, 0, x * 20), "rx"),
            (f"{s}foot", (x * 0.066, -0.18, 0.98), 2.2, (-90, 0, x * 20), "rx rz"),
            (f"{s}toes", (0, 0, 1), 1.1, (-90, 0, x * 20), "rx"),
            (f"{s}clavicle", (x * 0.8, 0.6, 0), 3.8, (0, 0, 0), "ry rz"),
            (f"{s}humerus", (x, 0, 0), 5.0, (180, x * 30, x * 90), "rx ry rz"),
            (f"{s}radius", (x, 0, 0), 3.2, (180, x * 30, x * 90), "rx"),
            (f"{s}wrist", (x, 0, 0), 1.6, (180, x * 30, x * 90), "ry"),
            (f"{s}hand", (x, 0, 0), 0.7, (180, x * 30, x * 90), "rx rz"),
        )
    ),
    ("lowerback", (0, 1, 0), 2.0, (0, 0, 0), "rx ry rz"),
    ("upperback", (0, 1, 0), 2.0, (0, 0, 0), "rx ry rz"),
    ("thorax", (0, 1, 0), 2.0, (0, 0, 0), "rx ry rz"),
    ("lowerneck", (0, 1, 0), 1.7, (0, 0, 0), "rx ry rz"),
    ("upperneck", (0, 1, 0), 1.7, (0, 0, 0), "rx ry rz"),
    ("head", (0, 1, 0), 1.7, (0, 0, 0), "rx ry rz"),
]
TREE = """    root lhipjoint rhipjoint lowerback
    lowerback upperback
    upperback thorax
    thorax lowerneck lclavicle rclavicle
    lowerneck upperneck
    upperneck head
""" + "".join(
    f"    {s}{a} {s}{b}\n"
    for s in "lr"
    for a, b in (
        ("hipjoint", "femur"), ("femur", "tibia"), ("tibia", "foot"), ("foot", "toes"),
        ("clavicle", "humerus"), ("humerus", "radius"), ("radius", "wrist"), ("wrist", "hand"),
    )
)  # fmt: skip


def write_acclaim(folder: Path, name: str, seconds: float = 8.0) -> Path:
    """A walk on the spot: knees that bend in turn, arms that swing; returns the ``.amc``."""
    text = ASF
    for number, (bone, direction, length, axis, dof) in enumerate(BONES, 1):
        text += f"  begin\n     id {number}\n     name {bone}\n     direction {' '.join(map(str, direction))}\n"
        text += f"     length {length}\n     axis {' '.join(map(str, axis))}  XYZ\n"
        text += (f"    dof {dof}\n    limits (-180 180)\n" if dof else "") + "  end\n"
    (folder / f"{name.partition('_')[0]}.asf").write_text(text + ":hierarchy\n  begin\n" + TREE + "  end\n")
    frames = ["#!motion", ":FULLY-SPECIFIED", ":DEGREES"]
    for k in range(round(seconds * 120)):
        swing = np.sin(2 * np.pi * k / 120)
        frames += [str(k + 1), f"root 1 17 2 0 {0.05 * k} 0"]
        for bone, *_, dof in BONES:
            angles = {
                "lfemur": (-40 * max(swing, 0), 0, 0), "ltibia": (60 * max(swing, 0),),
                "rfemur": (-40 * max(-swing, 0), 0, 0), "rtibia": (60 * max(-swing, 0),),
                "lhumerus": (0, 0, 60 + 20 * swing), "rhumerus": (0, 0, -60 + 20 * swing),
            }.get(bone, (0,) * len(dof.split()))  # fmt: skip
            if dof:
                frames.append(f"{bone} {' '.join(f'{a:.4f}' for a in angles)}")
    path = folder / f"{name}.amc"
    path.write_text("\n".join(frames) + "\n")
    return path


# --- files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npz", ".pkl", ".bvh"])
def test_our_own_forms_are_read(tmp_path: Path, suffix: str) -> None:
    motion = swaying()
    save_motion(tmp_path / f"a{suffix}", motion)
    again = read_motion(tmp_path / f"a{suffix}").resample(30.0)
    np.testing.assert_allclose(again.positions(), motion.resample(30.0).positions()[: len(again)], atol=0.01)


def test_aist_motions_stand_upright_and_in_metres(tmp_path: Path) -> None:
    motion = swaying()
    write_aist(tmp_path / "a.npz", motion)
    again = read_motion(tmp_path / "a.npz")
    assert again.fps == motion.fps
    np.testing.assert_allclose(again.positions(), motion.positions(), atol=1e-4)


def test_edges_arrays_stand_upright_at_their_own_speed_in_any_file(tmp_path: Path) -> None:
    motion = swaying(fps=30.0)
    save_motion(tmp_path / "a.pkl", motion)
    with (tmp_path / "a.pkl").open("rb") as file:
        content = pickle.load(file)
    np.savez(tmp_path / "a.npz", **{name: content[name] for name in ("smpl_poses", "smpl_trans", "full_pose")})
    again = read_motion(tmp_path / "a.npz")
    assert again.fps == 30.0
    np.testing.assert_allclose(again.positions(), motion.positions(), atol=1e-4)


def test_acclaim_motions_are_read(tmp_path: Path) -> None:
    motion = read_motion(write_acclaim(tmp_path, "07_01"))
    assert motion.fps == 120.0
    assert len(motion) == 960
    positions = motion.positions()
    local = rot.rotate(rot.conjugate(rot.twist(motion.rotations[:, 0], np.array([0.0, 0.0, 1.0])))[:, None], positions)
    # The left knee is up a quarter of a second in, the right one three quarters in; in front, of course.
    for frame, high, low in ((30, 4, 5), (90, 5, 4)):
        assert positions[frame, high, 2] > positions[frame, low, 2] + 0.05
        assert local[frame, high, 1] < local[frame, low, 1] - 0.1
    assert (positions[:, 15, 2] > positions[:, 0, 2] + 0.4).all()
    # The root turns left, about the axis that points up, by 6 degrees a second.
    yaw = np.unwrap(2 * np.arctan2(motion.rotations[:, 0, 3], motion.rotations[:, 0, 0]))
    assert np.degrees(yaw[-1] - yaw[0]) == pytest.approx(0.05 * 959, abs=0.5)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda f: (f / "07.asf").unlink(), "skeleton is not there"),
        (lambda f: (f / "07_01.amc").write_text("hello"), "0 frames"),
        (lambda f: (f / "07_01.amc").write_text("1\nnose 1 2 3\n"), "line 2 .*lacks"),
        (lambda f: (f / "07_01.amc").write_text("1\nroot 1 2 3\n"), "line 2 .*3 numbers where 6"),
        (lambda f: (f / "07_01.amc").write_text("1\nroot 1 2 3 nan 0 0\n"), "line 2 .*undefined or impossibly large"),
        (lambda f: (f / "07_01.amc").write_text("1\n" * 200_000), "too many at once"),
        (lambda f: (f / "07_01.amc").write_text(" " * (65 << 20)), "larger than 64 MB"),
        (lambda f: (f / "07.asf").write_text(":bonedata\n"), "no .asf skeleton"),
        (lambda f: (f / "07.asf").write_text(":hierarchy\nroot root\n"), "line 2 .*no tree"),
        (lambda f: (f / "07.asf").write_bytes(bytes(range(256))), "no .asf skeleton"),
    ],
)
def test_bad_acclaim_files_are_one_sentence(tmp_path: Path, harm, words: str) -> None:
    path = write_acclaim(tmp_path, "07_01", seconds=0.1)
    harm(tmp_path)
    with pytest.raises(MotionError, match=words) as error:
        read_motion(path)
    assert str(error.value).startswith("07_01.amc: ")
    assert "\n" not in str(error.value)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([".npz", ".pkl", ".bvh", ".amc", ".asf"]))
def test_any_bytes_are_a_motion_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: str) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    path = write_acclaim(folder, "07_01", seconds=0.05) if kind == ".asf" else folder / f"a{kind}"
    (folder / "07.asf" if kind == ".asf" else path).write_bytes(data)
    with pytest.raises(MotionError):
        read_motion(path)


# --- clean-up ---------------------------------------------------------------------------------------


def test_a_single_bad_frame_is_bridged() -> None:
    motion = swaying()
    ((start, mended),) = clean(with_frames(motion, slice(240, 243), (0.0, 0.0, 2.0)), 60.0)
    assert start < 0.5
    assert np.abs(soles(mended).min(axis=1)).max() < 0.01


def test_a_jump_cuts_the_recording_and_the_parts_know_where_they_begin() -> None:
    motion = with_frames(swaying(20.0), slice(540, None), (3.0, 0.0, 0.5))
    (first, one), (second, two) = clean(motion, 30.0)
    assert first < 0.5
    assert second == pytest.approx(9.0, abs=0.3)
    assert one.fps == two.fps == 30.0
    for part in (one, two):
        assert np.abs(soles(part).min(axis=1)).max() < 0.01
        np.testing.assert_allclose(part.root[0, :2], 0.0, atol=1e-6)
        assert part.contacts.mean() > 0.9


def test_long_recordings_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepsmith.backend.dance.sources.clean._LONGEST", 10.0)
    parts = clean(swaying(25.0), 30.0)
    assert [start for start, _ in parts] == pytest.approx([0.0, 10.0], abs=0.3)
    assert all(part.duration == pytest.approx(10.0, abs=0.5) for _, part in parts)


@pytest.mark.parametrize("fps", [0.001, 1e6])
def test_frame_rates_that_can_not_be_right_are_refused(fps: float) -> None:
    motion = swaying(2.0)
    with pytest.raises(MotionError, match="frames a second"):
        clean(Motion(fps, motion.root, motion.rotations, motion.contacts), 30.0)


def test_standing_still_at_either_end_is_no_dance() -> None:
    motion = swaying(8.0)
    still = [np.repeat(motion.rotations[[k]], 240, axis=0) for k in (0, -1)]
    rotations = np.concatenate([still[0], motion.rotations, still[1]])
    root = np.repeat(motion.root[:1], len(rotations), axis=0)
    ((start, part),) = clean(Motion(60.0, root, rotations, np.zeros((len(root), 4))), 60.0)
    assert start == pytest.approx(4.0, abs=0.7)
    assert part.duration == pytest.approx(8.0, abs=1.2)
    assert clean(Motion(60.0, root[:200], rotations[:200], np.zeros((200, 4))), 60.0) == []


# --- dances without music ---------------------------------------------------------------------------


def test_folders_and_zips_are_genres(tmp_path: Path) -> None:
    (tmp_path / "polka").mkdir()
    save_motion(tmp_path / "polka" / "one.npz", swaying())
    (tmp_path / "polka" / "two.npz").write_text("no motion")
    save_motion(tmp_path / "polka" / "three.bvh", swaying(3.0))
    write_aist(tmp_path / "gBR_sBM_cAll_d04_mBR2_ch08.npz", swaying())
    raw = tmp_path / "raw"
    raw.mkdir()
    with zipfile.ZipFile(tmp_path / "salsa.zip", "w") as archive:
        amc = write_acclaim(raw, "07_01")
        archive.write(amc, "deep/inside/07_01.amc")
        archive.write(raw / "07.asf", "deep/inside/07.asf")
    (raw / "07.asf").unlink()
    amc.unlink()
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    said: list[str] = []
    dances = load_unpaired(tmp_path, 30.0, said.append)
    assert {(dance.name, dance.genre) for dance in dances} == {
        ("polka-one", "polka"), ("salsa-07_01", "salsa"),
        (f"{tmp_path.name}-gBR_sBM_cAll_d04_mBR2_ch08", "street"),
    }  # fmt: skip
    assert all(dance.song is None and dance.motion.fps == 30.0 for dance in dances)
    assert len(said) == 3
    for name in ("two.npz", "three.bvh", "broken.zip"):
        assert sum(name in sentence for sentence in said) == 1


def test_a_zip_by_itself_is_a_genre(tmp_path: Path) -> None:
    save_motion(tmp_path / "one.npz", swaying())
    with zipfile.ZipFile(tmp_path / "Polka.ZIP", "w") as archive:
        archive.write(tmp_path / "one.npz", "deep/inside/one.npz")
    (dance,) = load_unpaired(tmp_path / "Polka.ZIP", 30.0)
    assert (dance.name, dance.genre) == ("Polka-one", "Polka")


def test_what_a_manifest_keeps_back_is_not_learnt_as_a_dance_without_music(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    (folder / "dances" / "jazz").mkdir(parents=True)
    for name in ("a", "b", "c"):
        save_motion(folder / "dances" / "jazz" / f"{name}.npz", swaying())
    save_motion(folder / "dances" / "jazz" / "c.bvh", swaying())
    (folder / "dances" / "jazz" / "c.wav").touch()
    (folder / "manifest.csv").write_text("name,split\na,train\ndances/jazz/b.npz,val\nc,test\n")
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(folder))
    said: list[str] = []
    assert [dance.name for dance in load_unpaired(tmp_path / "made", 30.0, said.append)] == ["jazz-a"]
    assert [sentence.split()[0] for sentence in said] == ["b.npz", "c.bvh", "c.npz"]
    assert "made-c" not in [dance.name for dance in load_unpaired(tmp_path / "made.zip", 30.0)]


def test_zips_unpack_nothing_elsewhere_and_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save_motion(tmp_path / "a.npz", swaying())
    with zipfile.ZipFile(tmp_path / "in" / "polka.zip", "w") as archive:
        for name in ("a.npz", "one/a.npz", "two/a.npz", "../../a.npz", "/tmp/a.npz", "..\\\\b.npz", "notes.txt"):
            archive.write(tmp_path / "a.npz", name)
    before = sorted(tmp_path.rglob("*"))
    dances = load_unpaired(tmp_path / "in", 30.0)
    assert len(dances) == 6
    assert len({dance.name for dance in dances}) == 6
    assert {dance.genre for dance in dances} == {"polka"}
    assert sorted(tmp_path.rglob("*")) == before


def test_more_than_fits_in_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepsmith.backend.dance.sources.dance.MOST_HOURS", 12 / 3600)
    paired(tmp_path, "a", "b")
    write_manifest(tmp_path, "name,split", "a,train", "b,train")
    with pytest.raises(DataError, match="train on a part of it"):
        load_dances(tmp_path, "train")
    with pytest.raises(DataError, match="train on a part of it"):
        load_unpaired(tmp_path, 30.0)


def test_a_folder_without_motions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "motion.txt").touch()
    for folder in (tmp_path, tmp_path / "nowhere", tmp_path / "nowhere.zip", tmp_path / "motion.txt"):
        with pytest.raises(DataError, match=folder.name):
            load_unpaired(folder, 30.0)


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the recorded dances are not at hand")
@pytest.mark.parametrize("archive", ["indian", "modern05", "mjackson"])
def test_cmu_dances_stand_upright_on_the_floor(tmp_path: Path, archive: str) -> None:
    with (
        zipfile.ZipFile(DATA / "cmu" / f"{archive}.zip") as packed,
        zipfile.ZipFile(tmp_path / f"{archive}.zip", "w") as few,
    ):
        wanted = {"indian": ["06.bvh"], "modern05": ["005_02.bvh", "005_13.bvh"]}
        for name in wanted.get(archive, ["mjackson.asf", "131_02.amc", "131_11.amc"]):
            few.writestr(name, packed.read(name))
    dances = load_unpaired(tmp_path, 30.0)
    assert len(dances) >= 1
    for dance in dances:
        assert dance.genre == {"indian": "indian", "modern05": "modern", "mjackson": "street"}[archive]
        positions, lowest = dance.motion.positions(), soles(dance.motion).min(axis=1)
        assert np.median(positions[:, 15, 2]) > 1.3
        assert np.abs(np.percentile(lowest, [5, 50])).max() < 0.03
        assert dance.motion.contacts.any(axis=1).mean() > 0.5
        # knees bend backwards, so ahead of the line from hip to ankle
        ahead = rot.rotate(dance.motion.rotations[:, 0], [0.0, -1.0, 0.0])
        for hip, knee, ankle in ((1, 4, 7), (2, 5, 8)):
            out = positions[:, knee] - (positions[:, hip] + positions[:, ankle]) / 2
            assert np.mean(np.sum(out * ahead, axis=1)) > 0.0


# --- songs with motions -----------------------------------------------------------------------------


def paired(folder: Path, *names: str) -> Path:
    """A folder in which every motion has a song (of no sound: nobody listens while reading)."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        save_motion((folder / name).with_suffix(".npz"), swaying())
        (folder / name).with_suffix(".mp3").touch()
    return folder


def every(folder: Path, said: list[str] | None = None) -> dict[str, list[Dance]]:
    found = {}
    for split in ("train", "val", "test"):
        try:
            found[split] = load_dances(folder, split, 30.0, skip=(said if said is not None else []).append)
        except DataError:
            found[split] = []
    return found


def test_motions_find_their_songs_genres_and_splits_by_name(tmp_path: Path) -> None:
    names = [f"{genre}/{genre}{k}" for genre in ("polka", "jive") for k in range(12)]
    splits = every(paired(tmp_path, *names))
    dances = [dance for split in splits.values() for dance in split]
    assert sorted(dance.name for dance in dances) == sorted(Path(name).name for name in names)
    for dance in dances:
        assert dance.song is not None
        assert dance.song.stem == dance.name
        assert dance.genre == dance.name.rstrip("0123456789")
        assert dance.in_time is None
    for split, found in splits.items():
        assert {dance.name for dance in found} == {Path(n).name for n in names if split_of(Path(n).name) == split}


def test_songs_and_motions_may_lie_apart_and_few_are_all_for_training(tmp_path: Path) -> None:
    paired(tmp_path, *(f"salsa/motions/s{k}" for k in range(3)), *(f"motions/{k}" for k in range(6)))
    for song in tmp_path.rglob("*.mp3"):
        place = song.parent.parent / "songs"
        place.mkdir(exist_ok=True)
        song.rename(place / song.name)
    splits = every(tmp_path)
    assert {dance.name: dance.genre for dance in splits["train"]} == {
        **{f"s{k}": "salsa" for k in range(3)},
        **{str(k): "dance" for k in range(6)},
    }
    assert not splits["val"] + splits["test"]


def test_songs_are_split_eighty_ten_ten_and_always_alike() -> None:
    splits = [split_of(f"song {k}") for k in range(2000)]
    assert [splits.count(split) / 2000 for split in ("train", "val", "test")] == pytest.approx(
        [0.8, 0.1, 0.1], abs=0.02
    )
    # Whoever has trained must find the same songs in the test split for ever.
    assert [split_of(f"song {k}") for k in PINNED] == list(PINNED.values())


def test_aist_motions_share_songs_and_their_splits(tmp_path: Path) -> None:
    for music_id in ("mBR0", "mJS3"):
        (tmp_path / f"{music_id}.wav").touch()
    for name in ("gBR_sBM_cAll_d04_mBR0_ch01", "gBR_sFM_cAll_d05_mBR0_ch02", "gJS_sBM_cAll_d03_mJS3_ch07"):
        write_aist(tmp_path / f"{name}.npz", swaying())
    splits = every(tmp_path)
    where = {dance.name: (split, dance) for split, found in splits.items() for dance in found}
    assert len(where) == 3
    one, two, other = (where[name] for name in sorted(where))
    assert one[0] == two[0]
    assert one[1].song == two[1].song == tmp_path / "mBR0.wav"
    assert (one[1].genre, other[1].genre) == ("break", "street jazz")


def test_a_manifest_says_more(tmp_path: Path) -> None:
    paired(tmp_path, "a", "b", "c", "d", "e")
    write_manifest(
        tmp_path,
        "name,genre,split,in_time,motion_s,audio_s",
        "a,polka,train,yes,8,8", "b,jive,train,no,8,30", "c,jive,val,,,", "d,jive,,,,", "gone,jive,train,,,",
    )  # fmt: skip
    said: list[str] = []
    splits = every(tmp_path, said)
    assert {split: [dance.name for dance in found] for split, found in splits.items()} == {
        "train": ["a", "b"], "val": ["c"], "test": [],
    }  # fmt: skip
    a, b = splits["train"]
    assert (a.genre, a.in_time, a.song) == ("polka", True, tmp_path / "a.mp3")
    assert (b.genre, b.in_time, b.song) == ("jive", False, None)
    assert len(said) == 1
    assert "gone" in said[0]


def test_motions_of_every_form_dance_upright_on_the_floor(tmp_path: Path) -> None:
    motion = swaying().shift([1.0, 2.0, 0.7]).turn(1.0)
    save_motion(tmp_path / "ours.npz", motion)
    save_motion(tmp_path / "edge.pkl", motion)
    save_motion(tmp_path / "plain.bvh", motion)
    write_acclaim(tmp_path, "07_01")
    write_aist(tmp_path / "aist.npz", motion)
    with np.load(tmp_path / "aist.npz") as arrays:
        plain = {name: arrays[name] for name in ("smpl_poses", "smpl_trans", "smpl_scaling")}
    (tmp_path / "aist_form.pkl").write_bytes(pickle.dumps(plain))
    with np.load(tmp_path / "ours.npz") as arrays:
        wide = np.zeros((len(motion), 156))
        wide[:, :66] = arrays["poses"][:, :66]
        np.savez(
            tmp_path / "amass.npz",
            poses=wide,
            trans=arrays["trans"],
            mocap_framerate=np.array(60.0),
            betas=np.zeros(16),
        )
    names = ("ours", "edge", "plain", "07_01", "aist", "aist_form", "amass")
    for name in names:
        (tmp_path / f"{name}.flac").touch()
    dances = load_dances(tmp_path, "train", 30.0)
    assert sorted(dance.name for dance in dances) == sorted(names)
    for dance in dances:
        positions = dance.motion.positions()
        assert (positions[:, 15, 2] > positions[:, 0, 2] + 0.4).all(), dance.name
        assert np.abs(np.median(soles(dance.motion).min(axis=1))) < 0.02, dance.name
        assert dance.motion.contacts.any(axis=1).mean() > 0.6, dance.name
        np.testing.assert_allclose(positions[0, 0, :2], 0.0, atol=1e-6)


def test_a_manifest_may_be_written_by_hand(tmp_path: Path) -> None:
    paired(tmp_path, "a", "b", "polka/c", "jive/c", "d e")
    write_manifest(
        tmp_path, "name, genre , split", "a, waltz, test", "b.npz , tango,test", "jive/c.npz,jive,val",
        "polka/c,polka,val", 'd e, "slow, slow", train',
    )  # fmt: skip
    said: list[str] = []
    found = every(tmp_path, said)
    assert {split: {(d.name, d.genre) for d in dances} for split, dances in found.items()} == {
        "train": {("d e", "slow, slow")},
        "val": {("jive/c", "jive"), ("polka/c", "polka")},
        "test": {("a", "waltz"), ("b", "tango")},
    }
    assert not said


def write_manifest(folder: Path, *lines: str) -> None:
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["genre,split", "polka,train"], "no column “name”"),
        (["name,split", "a,holiday"], "line 2, has the split “holiday”"),
        (["name,in_time", "a,perhaps"], "line 2, has “perhaps” for in_time"),
        (["name,motion_s,audio_s", "a,long,3"], "line 2, has a length"),
        (["name,split", "a,test"], "no dance of the split “train”"),
    ],
)
def test_a_bad_manifest_is_one_sentence(tmp_path: Path, lines: list[str], words: str) -> None:
    write_manifest(paired(tmp_path, "a"), *lines)
    with pytest.raises(DataError, match=words):
        load_dances(tmp_path, "train")


def test_numbered_files_of_several_folders_keep_apart(tmp_path: Path) -> None:
    paired(tmp_path, "polka/01", "polka/02", "jive/01", "shared/03")
    (tmp_path / "shared" / "03.mp3").rename(tmp_path / "03.mp3")
    write_manifest(tmp_path, "name,split", *(f"{n},train" for n in ("polka/01", "02", "jive/01", "03")))
    dances = load_dances(tmp_path, "train")
    assert {(d.name, d.genre, str(d.song.relative_to(tmp_path))) for d in dances if d.song} == {
        ("polka/01", "polka", "polka/01.mp3"), ("02", "polka", "polka/02.mp3"),
        ("jive/01", "jive", "jive/01.mp3"), ("03", "dance", "03.mp3"),
    }  # fmt: skip


def test_what_can_not_be_read_is_named_and_left_out(tmp_path: Path) -> None:
    paired(tmp_path, "good")
    for name in ("silent", "foreign", "torn", "short"):
        if name != "silent":
            (tmp_path / f"{name}.mp3").touch()
    save_motion(tmp_path / "silent.npz", swaying())
    (tmp_path / "foreign.bvh").write_bytes(b"\x89PNG and so on")
    (tmp_path / "torn.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:5000])
    save_motion(tmp_path / "short.npz", swaying(2.0))
    with np.load(tmp_path / "good.npz") as arrays:
        np.savez(tmp_path / "slow.npz", poses=arrays["poses"], trans=arrays["trans"], mocap_framerate=np.array(1e-3))
    (tmp_path / "slow.mp3").touch()
    names = ("good", "silent", "foreign", "torn", "short", "slow")
    write_manifest(tmp_path, "name,split", *(f"{name},train" for name in names))
    said: list[str] = []
    assert [dance.name for dance in load_dances(tmp_path, "train", skip=said.append)] == ["good"]
    assert [sentence.split()[0].rstrip(":") for sentence in said] == [
        "silent.npz", "foreign.bvh", "torn.npz", "short.npz", "slow.npz",
    ]  # fmt: skip


@pytest.mark.parametrize("listed", [False, True])
def test_dances_in_other_forms_are_named_once(tmp_path: Path, listed: bool) -> None:
    paired(tmp_path, "good", "both")
    for name in ("wrong.fbx", "wrong.mp3", "both.fbx", "rig.glb", "good.txt"):
        (tmp_path / name).touch()
    if listed:
        write_manifest(tmp_path, "name,split", *(f"{name},train" for name in ("good", "both", "wrong")))
    said: list[str] = []
    assert {dance.name for dance in load_dances(tmp_path, "train", skip=said.append)} == {"good", "both"}
    assert said == ["wrong.fbx is no motion file that can be read: export it as BVH."]


def test_dances_that_the_manifest_does_not_list_are_named(tmp_path: Path) -> None:
    paired(tmp_path, "good", "other", "forgotten")
    save_motion(tmp_path / "calibration.npz", swaying())
    write_manifest(tmp_path, "name,genre", "good,polka", "other,polka")
    said: list[str] = []
    assert {dance.name for dance in load_dances(tmp_path, "train", skip=said.append)} == {"good", "other"}
    assert said == ["forgotten.npz is not in the manifest.csv: add a line for it."]
    said.clear()
    load_dances(tmp_path, "train", names=["good"], skip=said.append)
    assert not said


def as_tang(motion: Motion) -> dict[str, np.ndarray]:
    """The motion as the ballroom dances are stored, with some joints for markers."""
    back = rot.from_axis_angle([-np.pi / 2, 0.0, 0.0])
    local = rot.multiply(rot.multiply(back, motion.rotations), rot.conjugate(back))
    joints = np.zeros((len(motion), 21, 3))
    joints[:, [7, 8, 9, 16, 17, 18]] = rot.rotate(back, motion.positions()[:, [2, 5, 8, 1, 4, 7]])
    return {"fps": np.array(motion.fps), "smpl_poses": rot.to_axis_angle(local).reshape(-1, 72), "joints": joints}


def as_aist(motion: Motion) -> dict[str, np.ndarray]:
    poses = rot.to_axis_angle(motion.rotations).reshape(-1, 72)
    return {"smpl_poses": poses, "smpl_trans": motion.root, "smpl_scaling": np.ones(1), "fps": np.array(60.0)}


def cut_off(content: dict[str, np.ndarray], frames: int) -> dict[str, np.ndarray]:
    poses = np.array(content["smpl_poses"])
    poses[frames:] = np.nan
    return {**content, "smpl_poses": poses}


ODD = {
    "empty": {**as_aist(swaying()), "smpl_poses": np.zeros((0, 72)), "smpl_trans": np.zeros((0, 3))},
    "no scale": {**as_aist(swaying()), "smpl_scaling": np.zeros(0)},
    "no rate": {**as_aist(swaying()), "fps": np.zeros(0)},
    "words for a scale": {**as_aist(swaying()), "smpl_scaling": np.array("large")},
    "words for a rate": {**as_aist(swaying()), "fps": np.array("fast")},
    "words": {**as_aist(swaying()), "smpl_poses": np.array(["a"] * 10)},
    "one frame": as_tang(swaying(1 / 60)),
    "short": as_tang(swaying(2.4)),
    "soon lost": cut_off(as_tang(swaying()), 1),
    "lost": cut_off(as_tang(swaying()), 30),
    "nowhere": {**as_tang(swaying()), "joints": np.zeros((480, 21, 3))},
    "one joint": {**as_tang(swaying()), "joints": np.array(1.0)},
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_file_is_named_and_the_others_are_read(tmp_path: Path, odd: str) -> None:
    paired(tmp_path, "good", "odd")
    np.savez(tmp_path / "odd.npz", **ODD[odd])
    said: list[str] = []
    assert [dance.name for dance in load_dances(tmp_path, "train", skip=said.append)] == ["good"]
    (sentence,) = said
    assert sentence.startswith("odd.npz")
    assert "\n" not in sentence


@pytest.mark.parametrize(("seconds", "fps", "kept"), [(5.0, 30.0, True), (2.4, 30.0, False), (5.0, 1e-3, False)])
def test_clips_of_data_sets_are_a_window_long_at_least(tmp_path: Path, seconds: float, fps: float, kept: bool) -> None:
    paired(tmp_path, "good", "clip")
    save_motion(tmp_path / "clip.npz", replace(swaying(seconds, fps=30.0), fps=fps).with_meta(clip={"start": 1.0}))
    said: list[str] = []
    assert ("clip" in {dance.name for dance in load_dances(tmp_path, "train", skip=said.append)}) == kept
    assert [sentence.split()[0].rstrip(":") for sentence in said] == ([] if kept else ["clip.npz"])
    # Without its song, too.
    alone = [dance.name for dance in load_unpaired(tmp_path, 30.0)]
    assert (f"{tmp_path.name}-clip" in alone) == kept


def test_ballroom_dances_stand_as_they_were_recorded(tmp_path: Path) -> None:
    np.savez(paired(tmp_path, "c1") / "c1.npz", **as_tang(swaying(fps=30.0)))
    (dance,) = load_dances(tmp_path, "train", 30.0)
    np.testing.assert_allclose(dance.motion.positions(), swaying(fps=30.0).positions(), atol=0.02)


def test_a_manifest_reaches_nothing_outside_of_the_folder(tmp_path: Path) -> None:
    paired(tmp_path / "outside", "secret")
    paired(tmp_path / "inside", "a")
    write_manifest(tmp_path / "inside", "name,split", "../outside/secret,train", "a,train")
    assert [dance.name for dance in load_dances(tmp_path / "inside", "train")] == ["a"]


# --- the beats that count ---------------------------------------------------------------------------


@pytest.mark.parametrize("tempo", [84.0, 100.0, 121.0, 150.0])
def test_a_dance_without_music_is_heard_by_its_own_beats(tempo: float) -> None:
    motion = swaying(20.0, tempo, lag=0.2)
    heard = timing.unpaired_music(motion)
    assert heard.tempo == pytest.approx(tempo, rel=0.02)
    assert heard.duration == motion.duration
    assert not heard.mel.any()
    assert set(heard.downbeats) <= set(heard.beats)
    phase = (heard.beats - 0.2) * tempo / 60.0
    assert np.abs(phase - np.round(phase)).max() < 0.15


def test_beats_that_a_motion_knows_are_taken() -> None:
    motion = swaying(8.0)
    known = Motion(60.0, motion.root, motion.rotations, motion.contacts, beats=np.arange(0.1, 8.0, 0.5))
    np.testing.assert_array_equal(timing.unpaired_music(known).beats, np.arange(0.1, 8.0, 0.5))


def test_dancers_in_time_keep_their_song_as_it_is(tmp_path: Path) -> None:
    song = music(100.0, 60.0)
    dance = Dance("a", "polka", tmp_path / "a.mp3", swaying(10.0), start=12.0, in_time=True)
    (heard,) = timing.set_to_music([dance], [song])
    np.testing.assert_allclose(heard.beat_phase(np.linspace(0, 9, 50)), song.beat_phase(np.linspace(12, 21, 50)))
    np.testing.assert_array_equal(heard.mel, song.mel[360:660])
    (late,) = timing.set_to_music([Dance("a", "polka", None, swaying(10.0), start=55.0, in_time=True)], [song])
    np.testing.assert_array_equal(late.mel[:150], song.mel[-150:])
    assert not late.mel[150:].any()


def test_whether_dancers_keep_time_is_measured() -> None:
    lags, tempos = np.linspace(0.0, 0.1, 8), np.linspace(90.0, 120.0, 8)
    motions = [swaying(40.0, tempo, fps=30.0, lag=lag) for tempo, lag in zip(tempos, lags, strict=True)]
    assert timing.keeps_time(motions, [music(tempo, 41.0) for tempo in tempos])
    assert not timing.keeps_time(motions, [music(1.07 * tempo, 41.0) for tempo in tempos])
    # too little to tell
    assert timing.keeps_time(motions[:2], [music(1.07 * tempo, 41.0) for tempo in tempos[:2]])


def test_songs_of_dancers_out_of_time_follow_the_dancers() -> None:
    motion, song = swaying(20.0, 110.0), music(90.0, 60.0)
    (heard,) = timing.set_to_music([Dance("a", "polka", Path("a.mp3"), motion, in_time=False)], [song])
    assert heard.tempo == pytest.approx(110.0, rel=0.03)
    assert heard.mel.any()


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the recorded dances are not at hand")
def test_partners_who_dance_together_have_the_same_beats(tmp_path: Path) -> None:
    # CMU's salsa couples: 03 and 18 were recorded in one take, as were 07 and 22.
    with zipfile.ZipFile(DATA / "cmu" / "salsa.zip") as archive:
        archive.extractall(tmp_path, ["03.bvh", "18.bvh", "07.bvh", "22.bvh"])
    for his, hers in (("03", "18"), ("07", "22")):
        (start, man), (other, woman) = (clean(read_motion(tmp_path / f"{name}.bvh"), 60.0)[0] for name in (his, hers))
        tempos = [timing.own_tempo(dancer) for dancer in (man, woman)]
        assert tempos[0] == pytest.approx(tempos[1], rel=0.04)
        beats = timing.unpaired_music(man).beats + start
        grid = timing.unpaired_music(woman).beats + other
        phases = np.interp(beats[(beats >= grid[0]) & (beats <= grid[-1])], grid, np.arange(len(grid)))
        together = np.exp(2j * np.pi * phases).mean()
        assert np.abs(together) > 0.6, "by chance 0.25"
        assert np.abs(np.angle(together)) < 0.3 * np.pi


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the recorded dances are not at hand")
def test_real_dancers_keep_their_own_time_and_no_other() -> None:
    dances = load_dances(DATA / "tang2018", "train", 30.0, names=["c2", "c7", "r4", "w1", "w10", "w11", "w22", "w25"])
    beats = [timing.keep_time([dance.motion], timing.FIGURES[dance.genre])[0][0] for dance in dances]
    for stretch, locked in ((1.0, True), (1.06, False)):
        songs = [
            replace(music(120.0, dance.motion.duration), beats=own * stretch)
            for dance, own in zip(dances, beats, strict=True)
        ]
        assert timing.keeps_time([dance.motion for dance in dances], songs) == locked
