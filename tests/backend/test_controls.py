"""What users ask of a dance: genres along it, energy, what it keeps, loops, circles, mirroring, the best of several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stepsmith.backend.audio import FEATURE_FPS, MEL_BANDS, Music
from stepsmith.backend.dance import generate as generating
from stepsmith.backend.dance import representation
from stepsmith.backend.dance.condition import ENERGY
from stepsmith.backend.dance.controls import Controls, Keep
from stepsmith.backend.dance.generate import generate
from stepsmith.backend.dance.keep import JOINTS, Kept
from stepsmith.backend.dance.model import DanceModel, ModelConfig
from stepsmith.backend.dance.path import lead
from stepsmith.backend.dance.plan import plan_dance
from stepsmith.backend.dance.rank import listening, score
from stepsmith.backend.dance.weights import load_model
from stepsmith.backend.steering import read_controls, split_genres
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion, concatenate

SECONDS = 8.0


def music(tempo: float = 120.0, meter: int = 4, seconds: float = SECONDS) -> Music:
    frames = int(np.ceil(seconds * FEATURE_FPS))
    beats = np.arange(0.1, seconds, 60.0 / tempo)
    random = np.random.default_rng(0)
    mel = random.normal(size=(frames, MEL_BANDS)).astype(np.float32)
    return Music(seconds, tempo, meter, beats, beats[::meter], mel, np.ones(frames, np.float32))


@pytest.fixture(scope="module")
def model() -> DanceModel:
    """Untrained: it dances badly, and quickly."""
    torch.manual_seed(0)
    made = DanceModel(ModelConfig(genres=("rumba", "waltz"), window=60, width=32, depth=1, heads=2))
    made.mean[8:] = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(24)
    made.mean[6], made.std[:] = 0.97, 0.1
    made.usual[:] = torch.tensor([[-1.0, 0.5], [-0.5, 0.25], [-0.7, 0.4]])
    torch.nn.init.normal_(made.write.weight, std=0.1)
    return made.eval()


@pytest.fixture(scope="module")
def trained() -> DanceModel:
    return load_model()


def swaying(frames: int = 45, fps: float = 30.0, seed: int = 0) -> Motion:
    """A body that sways and turns as it walks, smoothly."""
    random = np.random.default_rng(seed)
    times = np.arange(frames) / fps
    angles = random.normal(0, 0.25, (24, 3)) * np.sin(2.0 * times[:, None, None] + random.normal(0, 2, (24, 3)))
    rotations = rot.from_axis_angle(angles)
    yaw = rot.from_axis_angle((0.8 + 0.5 * times)[:, None] * [0.0, 0.0, 1.0])
    rotations[:, 0] = rot.multiply(yaw, rotations[:, 0])
    root = np.column_stack([0.3 * times, -0.2 * times, 0.95 + 0.01 * np.sin(times)])
    return Motion(fps, root, rotations, np.zeros((frames, 4)))


def going_on(turn: tuple[float, float, float], joint: int) -> Motion:
    """What ``swaying`` ends with, held, one joint turned by degrees."""
    last = swaying().slice(44, 45)
    rotations = np.repeat(last.rotations, 20, axis=0)
    rotations[:, joint] = rot.multiply(rotations[:, joint], rot.from_axis_angle(np.radians(turn)))
    return Motion(30.0, np.repeat(last.root, 20, axis=0), rotations, np.zeros((20, 4)))


def accelerations(motion: Motion) -> np.ndarray:
    """(T - 2, 24) m/s²."""
    return np.linalg.norm(np.diff(motion.positions(), n=2, axis=0), axis=-1) * motion.fps**2


# --- what is kept ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_kept_frames_are_exact(model: DanceModel, fps: float) -> None:
    first, second = swaying(fps=fps), swaying(40, fps, seed=1).shift([1.0, 0.5, 0.0])
    controls = Controls(keep=(Keep(second, 5.0), Keep(first, 1.0)))
    dance = generate(music(), model=model, controls=controls)
    assert len(dance) == 240
    for motion, start in ((first, 30), (second, 150)):
        wanted = motion.resample(30.0)
        kept = dance.slice(start, start + len(wanted))
        assert np.abs(kept.positions() - wanted.positions()).max() < 1e-3
        assert np.array_equal(kept.contacts, wanted.contacts)


def test_a_dance_starts_from_a_motion_or_a_pose(model: DanceModel) -> None:
    for start in (swaying(), swaying(1).shift([3.0, 4.0, 0.0])):
        dance = generate(music(), model=model, controls=Controls(keep=(Keep(start),)))
        assert np.abs(dance.positions()[: len(start)] - start.positions()).max() < 1e-3
        # it goes on from there
        away = np.linalg.norm(dance.root[len(start)] - start.root[-1])
        assert away < 0.1


@pytest.mark.parametrize("part", ["upper", "lower"])
def test_half_the_body_is_kept_and_the_other_dances(model: DanceModel, part: Any) -> None:
    given = swaying(240)
    dance = generate(music(), model=model, controls=Controls(keep=(Keep(given, 0.0, part),)))
    joints = list(JOINTS[part])
    assert rot.angle(rot.multiply(rot.conjugate(given.rotations), dance.rotations))[:, joints].max() < 1e-6
    others = [joint for joint in range(24) if joint not in joints]
    assert rot.angle(rot.multiply(rot.conjugate(given.rotations), dance.rotations))[:, others].mean() > 0.1
    if part == "lower":
        assert np.abs(dance.positions()[:, joints] - given.positions()[:, joints]).max() < 1e-3


def test_halves_of_two_bodies_make_one(model: DanceModel) -> None:
    legs, arms = swaying(60), swaying(90, seed=3)
    dance = generate(music(), model=model, controls=Controls(keep=(Keep(legs, 2.0, "lower"), Keep(arms, 1.0, "upper"))))
    lower, upper = list(JOINTS["lower"]), list(JOINTS["upper"])
    assert np.abs(dance.positions()[60:120, lower] - legs.positions()[:, lower]).max() < 1e-3
    assert rot.angle(rot.multiply(rot.conjugate(arms.rotations), dance.rotations[30:120]))[:, upper].max() < 1e-6


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, 20), st.sampled_from(["all", "upper", "lower"])), max_size=5),
    st.booleans(),
    st.sampled_from([None, 4.0]),
)
def test_wherever_motions_are_kept_the_features_lead_from_one_to_the_next(
    stretches: list[tuple[int, int, Any]], loop: bool, radius: float | None
) -> None:
    keeps, frames = [], 0
    for gap, count, part in stretches:
        if keeps and set(JOINTS[part]) & set(JOINTS[keeps[-1].part]):
            gap = max(gap, 1)  # bodies that touch would have to be where each other was
        moved = swaying(count, seed=frames).shift(np.array([0.3, -0.2, 0.0]) * (frames + gap) / 30)
        keeps.append(Keep(moved, (frames + gap) / 30, part))
        frames += gap + count
    frames += 14 + frames // 4
    kept = Kept.of(keeps, frames, 30.0, loop=loop)
    random = np.random.default_rng(frames)
    clean = representation.encode(swaying(frames, seed=99)) + random.normal(0, 0.01, (frames, 152)).astype(np.float32)
    known = kept.constrain(clean)
    assert np.array_equal(known[kept.mask], kept.features[kept.mask])
    path = lead(known, 30.0, kept.anchors, loop=loop, radius=radius)
    assert np.isfinite(path.features).all()
    assert np.array_equal(path.place[kept.placed], kept.anchors.place[kept.placed])
    speed = np.abs(np.diff(np.append(path.place, path.place[:1]) if loop else path.place)) * 30
    free = ~(kept.placed & np.roll(kept.placed, -1))[: len(speed)]
    assert speed[free].max(initial=0.0) < 12.0


@pytest.mark.parametrize("genre", ["tango", "salsa"])
def test_seams_are_as_smooth_as_the_models_own_dances(genre: str, trained: DanceModel) -> None:
    song = music(seconds=10.0)
    found, usual = [], []
    for seed in (0, 10, 20):
        own, donor = (generate(song, genre=genre, seed=seed + k, model=trained) for k in (1, 2))
        keeps = (Keep(donor.slice(60, 90).turn(1.0), 2.5), Keep(donor.slice(210, 240).shift([0.5, 0.5, 0.0]), 7.0))
        dance = generate(song, genre=genre, seed=seed + 3, model=trained, controls=Controls(keep=keeps))
        usual += [accelerations(own), accelerations(donor)]
        found += [accelerations(dance)[edge - 3 : edge + 2] for edge in (75, 105, 210, 240)]
    seams, everywhere = np.concatenate(found), np.concatenate(usual)
    assert np.mean(seams > np.percentile(everywhere, 99)) <= 0.03
    assert seams.max() <= everywhere.max()


def test_a_fast_limb_is_not_thrown_beyond_a_kept_end() -> None:
    """It slows down in a third of a second, however long the free frames are."""
    turning = np.tile(rot.IDENTITY, (10, 24, 1))
    turning[:, 1] = rot.from_axis_angle(np.outer(0.3 * np.arange(-9, 1), [1.0, 0.0, 0.0]))
    kicked = Motion(30.0, np.tile([0.0, 0.0, 0.95], (10, 1)), turning, np.zeros((10, 4)))
    still = Motion(30.0, np.tile([0.0, 0.0, 0.95], (90, 1)), np.tile(rot.IDENTITY, (90, 24, 1)), np.zeros((90, 4)))
    known = Kept.of([Keep(kicked, 1.0)], 90, 30.0).constrain(representation.encode(still))
    after = np.abs((known - representation.encode(still))[40:, representation.ROTATIONS])
    assert 0.2 < after.max() < 0.55, "a turn of nine degrees a frame, 0.3, for a frame or two"
    assert after[12:].max() < 1e-6


def test_beside_what_is_kept_a_dance_is_between_as_it_was_and_as_it_was_cleaned() -> None:
    plain, cleaned = swaying(90), swaying(90, seed=7)
    kept = Kept.of([Keep(plain.slice(30, 60), 1.0, "lower")], 90, 30.0)
    restored = kept.restore(cleaned, plain)

    def apart(other: Motion) -> Any:
        return rot.angle(rot.multiply(rot.conjugate(restored.rotations), other.rotations))

    whole = rot.angle(rot.multiply(rot.conjugate(cleaned.rotations), plain.rotations))
    legs, others = list(JOINTS["lower"]), sorted(set(range(24)) - set(JOINTS["lower"]))
    np.testing.assert_allclose((apart(plain) + apart(cleaned))[:, legs], whole[:, legs], atol=1e-6)
    np.testing.assert_allclose(apart(plain)[30:60, legs], 0.0, atol=1e-6)
    assert (apart(plain)[[29, 60]][:, legs] < 0.1 * whole[[29, 60]][:, legs]).all()
    assert apart(cleaned)[[15, 75]].max() < 1e-6, "farther than 0.3 s away"
    assert apart(cleaned)[:, others].max() < 1e-6


# --- loops and circles -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("tempo", "meter"), [(120.0, 4), (87.0, 3)])
def test_a_loop_lasts_whole_bars(model: DanceModel, tempo: float, meter: int) -> None:
    dance = generate(music(tempo, meter), model=model, controls=Controls(loop=True))
    bars = len(dance) / 30.0 / (60.0 / tempo * meter)
    assert bars == pytest.approx(round(bars), abs=0.02)
    assert SECONDS - len(dance) / 30.0 < 60.0 / tempo * meter
    assert dance.beats is not None
    assert dance.beats.max() < len(dance) / 30.0


@pytest.mark.parametrize(("seconds", "beats"), [(8.0, 12), (5.0, 8)])
def test_a_loop_lasts_whole_bars_of_the_song_and_of_the_dance(trained: DanceModel, seconds: float, beats: int) -> None:
    """Bars of four in the song and of three in a waltz: a multiple of twelve beats, where there are as many."""
    plan = plan_dance(music(seconds=seconds), "waltz", Controls(loop=True), trained)
    assert len(plan.shares) == beats * 15


def test_a_song_of_less_than_a_bar_loops_as_it_is(model: DanceModel) -> None:
    assert len(generate(music(seconds=1.5), model=model, controls=Controls(loop=True))) == 45


def test_the_last_frame_flows_into_the_first(trained: DanceModel) -> None:
    seams, inside = [], []
    for seed in range(4):
        dance = generate(music(), genre="waltz", seed=seed, model=trained, controls=Controls(loop=True))
        moving, count = accelerations(concatenate([dance, dance])), len(dance)
        seams.append(moving[count - 4 : count + 2])
        inside.append(moving[10 : count - 10])
        assert np.linalg.norm(dance.root[-1] - dance.root[0]) < 0.1
    assert np.mean(np.array(seams) > np.percentile(np.concatenate(inside), 99)) <= 0.03


def test_loops_keep_motions_too(model: DanceModel) -> None:
    given = swaying()
    dance = generate(music(), model=model, controls=Controls(loop=True, keep=(Keep(given, 3.0),)))
    assert np.abs(dance.positions()[90:135] - given.positions()).max() < 1e-3
    assert np.linalg.norm(dance.root[-1] - dance.root[0]) < 0.1


@pytest.mark.parametrize("radius", [0.4, 1.0])
def test_the_pelvis_stays_in_the_circle(trained: DanceModel, radius: float) -> None:
    free = generate(music(), genre="waltz", seed=4, model=trained)
    dance = generate(music(), genre="waltz", seed=4, model=trained, controls=Controls(radius=radius))
    assert np.linalg.norm(dance.root[:, :2], axis=1).max() < radius
    if radius == 0.4:
        assert np.linalg.norm(free.root[:, :2], axis=1).max() > radius


def test_the_circle_is_about_the_start(model: DanceModel) -> None:
    start = swaying().shift([10.0, 0.0, 0.0])
    dance = generate(music(), model=model, controls=Controls(radius=0.8, keep=(Keep(start),)))
    assert np.linalg.norm(dance.root[:, :2] - start.root[0, :2], axis=1).max() < 0.8
    assert np.abs(dance.positions()[:45] - start.positions()).max() < 1e-3


# --- genres, energy, mirroring, candidates ---------------------------------------------------------------


def test_genres_change_along_the_song(model: DanceModel) -> None:
    changed = generate(music(), genre="rumba", model=model, controls=Controls(changes=((4.0, "waltz"),)))
    plain = generate(music(), genre="rumba", model=model)
    assert changed.meta["genre"] == "rumba"
    assert changed.meta["genre_changes"] == [[4.0, "waltz"]]
    apart = rot.angle(rot.multiply(rot.conjugate(plain.rotations), changed.rotations)).mean(axis=1)
    assert apart[150:].mean() > 3 * apart[:60].mean()


def test_the_more_energy_the_more_a_dancer_moves(trained: DanceModel) -> None:
    def speed(energy: float) -> float:
        dance = generate(music(), genre="rumba", model=trained, controls=Controls(energy=energy))
        return float(np.linalg.norm(np.diff(dance.positions(), axis=0), axis=-1).mean() * dance.fps)

    little, usual, much = (speed(energy) for energy in (-2.0, 0.0, 2.0))
    assert little < 0.9 * usual < 0.8 * much


def test_energy_is_told_about_the_genres_usual_along_the_song(model: DanceModel) -> None:
    def told(energy: Any, **controls: Any) -> np.ndarray:
        plan = plan_dance(music(), "rumba", Controls(energy=energy, **controls), model)
        cues = plan.cues(0)[:, ENERGY]
        assert (cues[:, 1] == 1.0).all()
        return cues[:, 0] * 0.5 - 0.5

    usual, more = told(None), told(1.5)
    assert np.mean(more - usual) == pytest.approx(0.75, abs=0.2)
    rising = told(((2.0, -1.0), (6.0, 1.0))) - usual
    assert rising[:60].mean() == pytest.approx(-0.5, abs=0.15)
    assert rising[180:].mean() == pytest.approx(0.5, abs=0.15)
    other = told(None, changes=((4.0, "waltz"),))
    assert other[150:].mean() - usual[150:].mean() > 0.3
    np.testing.assert_allclose(other[:90], usual[:90])


def test_a_mirrored_dance_is_the_dance_mirrored_but_for_what_is_kept(model: DanceModel) -> None:
    plain, mirrored = (generate(music(), model=model, controls=Controls(mirror=m)) for m in (False, True))
    np.testing.assert_allclose(mirrored.positions(), plain.mirror().positions(), atol=1e-9)
    given = swaying()
    dance = generate(music(), model=model, controls=Controls(mirror=True, keep=(Keep(given, 2.0),)))
    assert np.abs(dance.positions()[60:105] - given.positions()).max() < 1e-3


def test_the_best_of_several_is_taken(model: DanceModel) -> None:
    song = music()
    dances = [generate(song, seed=seed, model=model) for seed in (5, 6, 7)]
    pace = plan_dance(song, "rumba", Controls(), model).pace
    points = [score(dance, song, pace) for dance in dances]
    best = generate(song, seed=5, model=model, controls=Controls(candidates=3))
    assert best.meta["seed"] == 5 + int(np.argmax(points))
    assert best.meta["ranked"] == [5 + int(at) for at in np.argsort(points)[::-1]]
    assert "ranked" not in dances[0].meta
    np.testing.assert_allclose(best.positions(), dances[int(np.argmax(points))].positions(), atol=1e-3)


def test_long_candidates_are_made_one_after_the_other(model: DanceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    together = generate(music(), seed=5, model=model, controls=Controls(candidates=3))
    monkeypatch.setattr(generating, "_FRAMES", 100)
    seen: list[float] = []
    wishes = Controls(candidates=3)
    apart = generate(music(), seed=5, model=model, controls=wishes, progress=lambda share, _: seen.append(share))
    assert apart.meta == together.meta
    np.testing.assert_allclose(apart.positions(), together.positions(), atol=1e-3)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def stepping(pauses: np.ndarray, seconds: float = SECONDS, fps: float = 30.0) -> Motion:
    """Arms that swing from each of ``pauses`` (seconds) to the next."""
    times = np.arange(round(seconds * fps)) / fps
    angles = np.zeros((len(times), 24, 3))
    angles[:, [16, 17], 0] = np.cos(np.pi * np.interp(times, pauses, np.arange(len(pauses))))[:, None]
    root = np.tile([0.0, 0.0, 0.98], (len(times), 1))
    return Motion(fps, root, rot.from_axis_angle(angles), np.zeros((len(times), 4)))


def test_who_pauses_on_the_beat_listens_and_who_shakes_does_not() -> None:
    song = music()
    marks = np.append(song.beats, SECONDS)
    on, off = stepping(marks), stepping(marks + 0.125)
    shaking = stepping(np.arange(0.0, SECONDS + 0.2, 0.17))
    heard = [listening(motion.positions(), 30.0, song) for motion in (on, shaking, off)]
    assert heard[0] > 0.5
    assert abs(heard[1]) < 0.2
    assert heard[2] < -0.2
    assert score(on, song) > score(off, song)
    still = stepping(np.array([0.0, 100.0]))
    assert score(on, song) > score(still, song)


# --- what can't be met -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "word"),
    [
        ({"radius": 0.0}, "radius above 0"),
        ({"radius": -1.0}, "radius above 0"),
        ({"radius": float("nan")}, "radius above 0"),
        ({"candidates": 0}, "from 1 to"),
        ({"candidates": 1000}, "from 1 to"),
        ({"energy": 9.0}, "-2.5 to 2.5"),
        ({"energy": float("nan")}, "-2.5 to 2.5"),
        ({"energy": ((5.0, 0.0), (1.0, 0.0))}, "out of order"),
        ({"energy": ((-5.0, 0.0),)}, "from 0 on"),
        ({"energy": ()}, "one at least"),
        ({"changes": ((0.0, "waltz"),)}, "after second 0"),
        ({"changes": ((4.0, "waltz"), (3.0, "rumba"))}, "out of order"),
        ({"changes": ((4.0, "polka"),)}, "polka"),
        ({"changes": ((8.0, "waltz"),)}, "ends at 8.00 s"),
        ({"keep": (Keep(swaying(), 7.0),)}, "after the dance"),
        ({"keep": (Keep(swaying(), 1.0), Keep(swaying(), 2.0))}, "overlaps"),
        ({"keep": (Keep(swaying(), 1.0, "lower"), Keep(swaying(), 2.0))}, "overlaps"),
        ({"keep": (Keep(swaying(), 1.0), Keep(swaying().shift([9.0, 0, 0]), 3.0))}, "too far"),
        ({"radius": 1.0, "keep": (Keep(swaying()), Keep(swaying().shift([2, 0, 0]), 4.0))}, "circle"),
        ({"keep": (Keep(swaying()), Keep(going_on((0.0, 0.0, 0.0), 0).shift([1.0, 0, 0]), 1.5))}, "too far"),
        ({"keep": (Keep(swaying()), Keep(going_on((0.0, 0.0, 120.0), 0), 1.5))}, "too far"),
        ({"keep": (Keep(swaying(), 0.0, "upper"), Keep(going_on((0.0, 90.0, 0.0), 16), 1.5, "upper"))}, "too far"),
    ],
)
def test_wishes_that_cannot_be_met_are_one_sentence(model: DanceModel, wishes: dict[str, Any], word: str) -> None:
    with pytest.raises(StepsmithError, match=r"^[^\n]+$") as error:
        generate(music(), genre="rumba", model=model, controls=Controls(**wishes))
    assert word in str(error.value)


def test_motions_that_touch_and_go_on_are_kept(model: DanceModel) -> None:
    after = going_on((0.0, 0.0, 0.0), 0)
    controls = Controls(keep=(Keep(swaying()), Keep(after, 1.5)))
    dance = generate(music(), genre="rumba", model=model, controls=controls)
    np.testing.assert_allclose(dance.positions()[45:65], after.positions(), atol=1e-3)


def test_a_loop_whose_kept_ends_are_apart_is_refused(model: DanceModel) -> None:
    whole = generate(music(), genre="rumba", model=model, controls=Controls(loop=True))
    count = len(whole)
    start, end = swaying(), going_on((0.0, 0.0, 0.0), 0)
    keep = (Keep(start), Keep(end, (count - 20) / 30.0))
    with pytest.raises(StepsmithError, match="too far"):
        generate(music(), genre="rumba", model=model, controls=Controls(loop=True, keep=keep))


def test_a_keep_knows_its_parts_and_times() -> None:
    for wrong in ({"part": "left"}, {"at": -1.0}, {"at": float("inf")}):
        with pytest.raises(StepsmithError):
            Keep(swaying(), **wrong)  # type: ignore[arg-type]


# --- the command line ------------------------------------------------------------------------------------


def test_genres_of_the_command_line() -> None:
    assert split_genres([]) == (None, ())
    assert split_genres(["40:rumba", "waltz", "20.5:cha-cha"]) == ("waltz", ((20.5, "cha-cha"), (40.0, "rumba")))
    with pytest.raises(StepsmithError, match="20:rumba"):
        split_genres(["waltz", "rumba"])


def test_motions_of_the_command_line(tmp_path: Path) -> None:
    file, odd = tmp_path / "old.npz", tmp_path / "odd:1-2@3.npz"
    save_motion(file, swaying(90))
    save_motion(odd, swaying(20))
    read = read_controls(
        energy="0:-1,20:1.5",
        candidates=2,
        start_from=f"{file}:0-0.5",
        keep=[f"{file}@12.5", f"{file}:1-2@4", str(odd)],
        keep_upper=[f"{file}:0.5-1"],
        keep_lower=[f"{file}@30"],
        loop=True,
        radius=2.0,
    )
    said = [(len(keep.motion), keep.at, keep.part) for keep in read.keep]
    assert said[:4] == [(16, 0.0, "all"), (90, 12.5, "all"), (31, 4.0, "all"), (20, 0.0, "all")]
    assert said[4:] == [(16, 0.0, "upper"), (90, 30.0, "lower")]
    assert len(read_controls(keep=[f"{file}:0-3@1"]).keep[0].motion) == 90, "all of its 3 s"
    at = tmp_path / "me@home"
    at.mkdir()
    save_motion(at / "old.npz", swaying(90))
    save_motion(at / "pose@2.npz", swaying(20))
    for name, frames in (("old.npz:0-1", 31), ("pose@2.npz", 20)):
        assert len(read_controls(start_from=str(at / name)).keep[0].motion) == frames
    assert (read.energy, read.candidates, read.loop, read.radius) == (((0.0, -1.0), (20.0, 1.5)), 2, True, 2.0)
    assert read_controls() == Controls()


def test_a_file_name_may_hold_a_line_break(tmp_path: Path) -> None:
    file = tmp_path / "two\nlines.npz"
    save_motion(file, swaying(90))
    assert len(read_controls(keep=[f"{file}:0-1@2"]).keep[0].motion) == 31
    for nothing in ("", ":1-2", "@3"):
        with pytest.raises(StepsmithError, match="no motion file"):
            read_controls(keep=[nothing])


@pytest.mark.parametrize(
    ("wishes", "word"),
    [
        ({"energy": "lots"}, "--energy"),
        ({"energy": "0:1,5"}, "--energy"),
        ({"start_from": "walk.npz@3"}, "@SECOND"),
        ({"keep": ["nothing.npz@3"]}, "nothing.npz"),
        ({"keep": ["song.mp3"]}, "no motion file"),
        ({"keep": ["{file}:1-9"]}, "has no seconds"),
        ({"keep": ["{file}:2-1"]}, "has no seconds"),
    ],
)
def test_options_that_make_no_sense_are_one_sentence(tmp_path: Path, wishes: dict[str, Any], word: str) -> None:
    save_motion(tmp_path / "old.npz", swaying(90))
    named = {
        name: [text.format(file=tmp_path / "old.npz") for text in value] if isinstance(value, list) else value
        for name, value in wishes.items()
    }
    with pytest.raises(StepsmithError, match=r"^[^\n]+$") as error:
        read_controls(**named)
    assert word in str(error.value)
