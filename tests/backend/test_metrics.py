"""The metrics against values worked out by hand, and against slow transcriptions of their formulae."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg
from stepsmith.backend.measures import metrics
from stepsmith.retarget.skeleton import SMPL, SMPL_NAMES

NAMES = list(SMPL_NAMES)
STANDING = SMPL.rest_positions + np.array([0.0, 0.0, SMPL.rest_root_height])


def dance(seconds: float, fps: float, seed: int = 0) -> np.ndarray:
    """A lively body: the rest pose with every joint on its own slow wave, wandering over the floor. (T, 24, 3)."""
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * fps))[:, None, None] / fps
    waves = sum(
        random.normal(0, 0.25 / k, (24, 3)) * np.sin(2 * np.pi * k * 0.6 * t + random.uniform(0, 6.3, (24, 3)))
        for k in (1, 2, 3)
    )
    path = np.concatenate([0.4 * np.sin(0.5 * t), 0.3 * t, 0 * t], axis=-1)
    return STANDING + waves + path


def still(frames: int) -> np.ndarray:
    """The rest pose standing on the floor. (T, 24, 3)."""
    return np.tile(STANDING, (frames, 1, 1))


# -- features -----------------------------------------------------------------------------------------


def slow_kinetic(positions: np.ndarray) -> np.ndarray:
    """Joint by joint and frame by frame, straight from the published formulae."""
    dt, count = 1 / 60, len(positions)
    origin = positions[0, 0]
    p = [[np.array([q[0], q[2], -q[1]]) for q in frame - origin] for frame in positions]
    out = []
    for joint in range(24):
        horizontal, vertical, effort = [], [], []
        for i in range(1, count):
            near = range(i - 2, i + 3)
            v = np.mean([(p[k][joint] - p[k - 1][joint]) / dt for k in near if 1 <= k <= count - 1], axis=0)
            a = np.mean(
                [
                    ((p[k + 1][joint] - p[k][joint]) / dt - (p[k][joint] - p[k - 1][joint] / dt)) / dt
                    for k in near
                    if 1 <= k <= count - 2
                ],
                axis=0,
            )
            horizontal.append(v[0] ** 2 + v[2] ** 2)
            vertical.append(v[1] ** 2)
            effort.append(np.sqrt(a @ a))
        out += [np.mean(horizontal), np.mean(vertical), np.mean(effort)]
    return np.array(out)


def test_kinetic_features_agree_with_the_slow_form():
    positions = dance(0.7, 60)
    np.testing.assert_allclose(metrics.kinetic_features(positions), slow_kinetic(positions), rtol=1e-6)


def test_kinetic_features_of_a_steady_walk():
    # everything goes 1.5 m/s along y (horizontal) and climbs 0.5 m/s
    t = np.arange(120)[:, None, None] / 60
    features = metrics.kinetic_features(still(120) + np.concatenate([0 * t, 1.5 * t, 0.5 * t], axis=-1)).reshape(24, 3)
    np.testing.assert_allclose(features[:, 0], 1.5**2, rtol=1e-6)
    np.testing.assert_allclose(features[:, 1], 0.5**2, rtol=1e-6)


def test_kinetic_features_forget_where_the_dance_began():
    positions = dance(2, 60)
    moved = metrics.kinetic_features(positions + np.array([3.0, -2.0, 0.7]))
    np.testing.assert_allclose(moved, metrics.kinetic_features(positions), rtol=1e-6)


def slow_geometric(positions: np.ndarray) -> np.ndarray:
    """Frame by frame with scalar code, after the table of relations in the published evaluation."""
    y_up = np.stack([positions[..., 0], positions[..., 2], -positions[..., 1]], axis=-1)
    left_shoulder = np.array([1.99113488e-01, 2.36807942e-01, -1.80702247e-02])
    hl = np.linalg.norm(left_shoulder - [4.54445392e-01, 2.21158922e-01, -4.10167128e-02])
    sw = np.linalg.norm(left_shoulder - [-1.91692337e-01, 2.36928746e-01, -1.23055102e-02])
    hw = np.linalg.norm(
        np.array([5.64076714e-02, -3.23069185e-01, 1.09197125e-02]) - [-6.24834076e-02, -3.31302464e-01, 1.50412619e-02]
    )
    rows = []
    for i in range(1, len(y_up)):
        now = dict(zip(NAMES, y_up[i], strict=True))
        before = dict(zip(NAMES, y_up[i - 1], strict=True))
        now |= {"zero": np.zeros(3), "up": np.array([0.0, 1, 0]), "down": np.array([0.0, -1, 0])}
        now["lowest"] = np.array([0.0, min(y_up[i, :, 1]), 0])

        def seen(a, b, now=now, before=before):
            return ((now[b] - now[a]) - (before[b] - before[a])) * 120

        def unit(v):
            return v / np.sqrt(v @ v)

        def normal(a, b, c, now=now):
            return unit(np.cross(now[c] - now[a], now[b] - now[a]))

        def nmove(a, b, c, d, t, seen=seen, normal=normal):
            return seen(a, d) @ normal(a, b, c) > t

        def move(a, b, c, t, now=now, seen=seen):
            return seen(a, c) @ unit(now[b] - now[a]) > t

        def plane(a, b, c, d, t, now=now, normal=normal):
            return (now[d] - now[a]) @ normal(a, b, c) > t

        def nplane(a, b, c, d, t, now=now):
            return (now[d] - now[c]) @ unit(now[b] - now[a]) > t

        def angle(a, b, c, d, low, high, now=now):
            cosine = unit(now[b] - now[a]) @ unit(now[d] - now[c])
            return low < np.degrees(np.arccos(cosine)) < high

        def fast(a, t, now=now, before=before):
            return np.sqrt(((now[a] - before[a]) ** 2).sum()) * 120 > t

        rows.append(
            [
                nmove("neck", "right_hip", "left_hip", "right_wrist", 1.8 * hl),
                nmove("neck", "left_hip", "right_hip", "left_wrist", 1.8 * hl),
                nplane("spine3", "neck", "neck", "right_wrist", 0.2 * hl),
                nplane("spine3", "neck", "neck", "left_wrist", 0.2 * hl),
                move("spine1", "spine3", "spine3", 1.8 * hl),
                move("spine1", "spine3", "spine3", 1.8 * hl),
                angle("right_elbow", "right_shoulder", "right_elbow", "right_wrist", 0, 110),
                angle("left_elbow", "left_shoulder", "left_elbow", "left_wrist", 0, 110),
                nplane("left_shoulder", "right_shoulder", "left_wrist", "right_wrist", 2.5 * sw),
                move("left_wrist", "right_wrist", "right_wrist", 1.4 * hl),
                move("right_wrist", "pelvis", "left_wrist", 1.4 * hl),
                move("left_wrist", "pelvis", "right_wrist", 1.4 * hl),
                fast("right_wrist", 2.5 * hl),
                fast("left_wrist", 2.5 * hl),
                plane("pelvis", "left_hip", "left_foot", "right_ankle", 0.38 * hl),
                plane("pelvis", "right_hip", "right_foot", "left_ankle", 0.38 * hl),
                nplane("zero", "up", "lowest", "right_ankle", 1.2 * hl),
                nplane("zero", "up", "lowest", "left_ankle", 1.2 * hl),
                nplane("left_hip", "right_hip", "left_ankle", "right_ankle", 2.1 * hw),
                angle("right_knee", "right_hip", "right_knee", "right_ankle", 0, 110),
                angle("left_knee", "left_hip", "left_knee", "left_ankle", 0, 110),
                fast("right_ankle", 2.5 * hl),
                fast("left_ankle", 2.5 * hl),
                angle("neck", "pelvis", "right_shoulder", "right_elbow", 25, 180),
                angle("neck", "pelvis", "left_shoulder", "left_elbow", 25, 180),
                angle("neck", "pelvis", "right_hip", "right_knee", 50, 180),
                angle("neck", "pelvis", "left_hip", "left_knee", 50, 180),
                plane("right_ankle", "neck", "left_ankle", "pelvis", 0.5 * hl),
                angle("neck", "pelvis", "zero", "up", 70, 110),
                nplane("zero", "down", "lowest", "right_wrist", -1.2 * hl),
                nplane("zero", "down", "lowest", "left_wrist", -1.2 * hl),
                fast("pelvis", 2.3 * hl),
            ]
        )
    return np.array(rows, dtype=float).mean(axis=0)


@pytest.mark.parametrize("seed", range(4))
def test_geometric_features_agree_with_the_slow_form(seed):
    # Twice as wild as a dancer, so that nearly every relation holds now and then and fails now and then.
    positions = still(240) + 2.0 * (dance(4, 60, seed) - still(240))
    features = metrics.geometric_features(positions)
    np.testing.assert_allclose(features, slow_geometric(positions), atol=1e-6)
    assert ((features > 0) & (features < 1)).sum() > 20


def test_geometric_features_of_single_poses():
    names = {name: index for index, name in enumerate(NAMES)}
    right_knee_bent, left_foot_raised, right_hand_low = 19, 17, 29
    standing = metrics.geometric_features(still(3))
    assert standing[[right_knee_bent, left_foot_raised, right_hand_low]].tolist() == [0, 0, 0]

    posed = still(3)
    posed[:, names["right_ankle"]] = posed[:, names["right_knee"]] + [0, 0.4, 0.05]
    posed[:, names["left_ankle"], 2] += 0.5
    posed[:, names["right_wrist"], 2] = 0.2
    assert metrics.geometric_features(posed)[[right_knee_bent, left_foot_raised, right_hand_low]].tolist() == [1, 1, 1]


# -- distances ----------------------------------------------------------------------------------------


def test_frechet_distance_of_one_number_by_hand():
    # means 1 and 5, deviations sqrt(2) and 2 sqrt(2): 16 + 2 + 8 - 2 sqrt(16)
    assert metrics.frechet_distance(np.array([[0.0], [2.0]]), np.array([[3.0], [7.0]])) == pytest.approx(18.0)


@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(2, 30))
@settings(max_examples=40, deadline=None)
def test_frechet_distance_agrees_with_the_matrix_root(seed, few, many):
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(few, 5)), random.normal(0.3, 1.5, size=(many, 5))
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The eigenvalues of S1 S2 are real and not negative: their roots sum to the trace of the matrix root.
    root = np.sqrt(np.maximum(linalg.eigvals(s1 @ s2).real, 0)).sum()
    gap = a.mean(axis=0) - b.mean(axis=0)
    expected = gap @ gap + np.trace(s1) + np.trace(s2) - 2 * root
    # Rounding that leaves 1e-16 of a zero eigenvalue leaves 1e-8 of its root.
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, abs=1e-6)


def test_frechet_distance_agrees_with_scipy_where_that_is_exact():
    random = np.random.default_rng(3)
    a, b = random.normal(size=(400, 12)), random.normal(0.5, 2, size=(300, 12))
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    gap = a.mean(axis=0) - b.mean(axis=0)
    expected = gap @ gap + np.trace(s1 + s2 - 2 * linalg.sqrtm(s1 @ s2).real)
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_with_fewer_clips_than_features_is_still_zero_to_itself():
    a = np.random.default_rng(1).normal(size=(10, 72))
    assert metrics.frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)


def test_diversity_is_the_mean_distance_of_pairs():
    assert metrics.diversity(np.array([[0.0, 0], [3, 4], [0, 8]])) == pytest.approx((5 + 8 + 5) / 3)


def test_normaliser_finds_the_features_that_never_vary():
    reference = np.array([[0.0, 1.0, 0.500], [0.0, 3.0, 0.505]])
    scale = metrics.Normaliser.of(reference)
    assert scale.varying.tolist() == [False, True, False]
    np.testing.assert_allclose(scale(np.array([[0.0, 4.0, 0.5025]])), [[0, 2, 0]], atol=1e-6)


# -- beats --------------------------------------------------------------------------------------------


def pulsing(seconds: float, fps: float, period: float) -> np.ndarray:
    """A body whose speed falls to a minimum 2 ms before every multiple of ``period`` seconds. (T, 24, 3).

    (On the multiple itself the steps to both sides of it would tie, and a tie is no strict minimum.)
    """
    t = np.arange(round(seconds * fps)) / fps + 0.002
    path = t - 0.8 * period / (2 * np.pi) * np.sin(2 * np.pi * t / period)  # speed 1 - 0.8 cos(2 pi t / period)
    return still(len(t)) + path[:, None, None] * np.array([1.0, 0, 0])


@pytest.mark.parametrize("fps", [30, 60, 120])
def test_motion_beats_fall_where_the_body_slows_down(fps):
    beats = metrics.motion_beats(pulsing(10, fps, 0.5), fps)
    expected = np.arange(1, 20) * 0.5
    assert len(beats) == len(expected)
    # A step between frames counts as the earlier frame's: never later, at most a frame early.
    assert np.all(np.abs(beats - expected) <= 1.01 / fps)


def test_a_body_at_rest_has_no_beats():
    assert metrics.motion_beats(still(300), 60).size == 0


def test_beat_alignment_by_hand():
    assert metrics.beat_alignment([1.0, 2.0], [1.0, 2.0, 3.0]) == pytest.approx(1.0)
    # one beat hit, one missed by 50 ms, that is by one sigma
    assert metrics.beat_alignment([1.0, 2.0], [1.0, 2.05]) == pytest.approx((1 + np.exp(-0.5)) / 2)
    # averaged over motion beats instead, a superfluous one costs
    assert metrics.beat_alignment([1.0, 2.0, 3.0], [1.0, 2.0]) == pytest.approx(2 / 3, abs=1e-6)
    assert metrics.beat_alignment([1.0], []) == 0.0
    assert np.isnan(metrics.beat_alignment([], [1.0]))


def test_beat_alignment_agrees_with_the_slow_form():
    random = np.random.default_rng(5)
    music, motion = np.sort(random.uniform(0, 20, 40)), np.sort(random.uniform(0, 20, 30))
    total = 0.0
    for beat in music:
        # in frames of 60 a second with sigma 3, as published
        total += np.exp(-min((60 * (beat - other)) ** 2 for other in motion) / 2 / 9)
    assert metrics.beat_alignment(music, motion) == pytest.approx(total / 40, abs=1e-6)


def test_random_beats_every_half_second_score_a_quarter():
    random = np.random.default_rng(0)
    scores = [metrics.beat_alignment(np.arange(0, 100, 0.6), np.sort(random.uniform(0, 100, 200))) for _ in range(50)]
    assert np.mean(scores) == pytest.approx(0.25, abs=0.15)


def test_the_f_measure_by_hand():
    known = [1.0, 2.0, 3.0, 4.0]
    assert metrics.f_measure(known, known) == 1.0
    # two of five found are known (one near enough), two of four known are found
    assert metrics.f_measure([0.5, 1.06, 2.08, 3.0, 3.05], known) == pytest.approx(2 * 2 / (5 + 4))
    assert metrics.f_measure([1.04], known, tolerance=0.03) == 0.0
    assert metrics.f_measure([], known) == metrics.f_measure(known, []) == 0.0
    assert metrics.f_measure([], []) == 1.0, "nothing was missed, and nothing made up"
    assert "f_measure" in metrics.__all__


# -- bars ---------------------------------------------------------------------------------------------


def swaying(beats: np.ndarray, beats_a_bar: int, seconds: float) -> np.ndarray:
    """A body whose speed rises and falls once a bar. (T, 24, 3), 30 frames a second."""
    t = np.arange(round(seconds * 30)) / 30
    bar = np.interp(t, beats, np.arange(len(beats))) / beats_a_bar
    path = np.cumsum(1.2 + np.cos(2 * np.pi * bar)) / 30
    return still(len(t)) + path[:, None, None] * np.array([1.0, 0, 0])


@pytest.mark.parametrize("beats_a_bar", [3, 4])
def test_a_dance_repeats_with_its_bar_and_with_no_other(beats_a_bar):
    beats = np.cumsum(np.random.default_rng(0).uniform(0.55, 0.65, 60))  # no two as long
    positions = swaying(beats, beats_a_bar, 30)
    heard = beats[beats < 30]
    assert metrics.share_of_bar(positions, 30, heard, beats_a_bar) > 0.95
    assert metrics.share_of_bar(positions, 30, heard, 7 - beats_a_bar) < 0.2
    later = heard[1:]  # wherever the bars are taken to begin
    assert metrics.share_of_bar(positions, 30, later, beats_a_bar) > 0.95


def test_noise_repeats_with_no_bar_of_any_length():
    random = np.random.default_rng(1)
    for beats_a_bar in (2, 3, 4, 6):
        shares = [
            metrics.share_of_bar(np.cumsum(random.normal(0, 0.05, (600, 24, 3)), axis=0), 30, np.arange(0.1, 20, 0.6),
                                 beats_a_bar)
            for _ in range(20)
        ]  # fmt: skip
        assert np.mean(shares) == pytest.approx(0.0, abs=0.06), "adjusted for the places in a bar"


def test_a_bar_can_not_be_found_in_one():
    assert np.isnan(metrics.share_of_bar(dance(5, 30), 30, np.arange(5) * 0.5, 4))
    assert np.isnan(metrics.share_of_bar(dance(5, 30), 30, np.empty(0), 4))


# -- physics ------------------------------------------------------------------------------------------


def slow_pfc(positions: np.ndarray) -> float:
    dt, scores = 1 / 30, []
    for k in range(len(positions) - 2):
        a, b, c = positions[k : k + 3, 0]
        acceleration = ((c - b) / dt - (b - a) / dt) / dt
        acceleration[2] = max(acceleration[2], 0.0)
        steps = [np.hypot(*(positions[k + 2, j, :2] - positions[k + 1, j, :2])) for j in (7, 10, 8, 11)]
        scores.append((np.linalg.norm(acceleration), min(steps[:2]) * min(steps[2:])))
    peak = max(score[0] for score in scores)
    return 1e4 * float(np.mean([effort / peak * step for effort, step in scores]))


def test_pfc_agrees_with_the_slow_form():
    positions = dance(5, 30)
    assert metrics.pfc(positions) == pytest.approx(slow_pfc(positions), rel=1e-6)


def test_pfc_is_zero_while_a_foot_stands_and_high_while_both_slide():
    t = np.arange(90) / 30
    sway = 0.2 * np.sin(2 * np.pi * t)[:, None, None] * np.array([1.0, 0, 0])
    standing = still(90) + sway
    standing[:, [7, 10]] = still(90)[:, [7, 10]]
    assert metrics.pfc(standing) == 0.0
    assert metrics.pfc(still(90) + sway) > 1.0
    assert metrics.pfc(still(90)) == 0.0


def test_a_jump_divides_pfc_but_not_what_is_undivided():
    t = np.arange(300) / 30
    sway = 0.2 * np.sin(2 * np.pi * t)[:, None, None] * np.array([1.0, 0, 0])
    smooth = still(300) + sway
    jump = smooth + 0.05 * (np.arange(300) == 150)[:, None, None] * np.array([0, 0, 1.0])
    assert metrics.pfc(jump) < 0.5 * metrics.pfc(smooth)
    assert metrics.pfc_undivided(jump) >= metrics.pfc_undivided(smooth)
    root = np.diff(smooth[:, 0], n=2, axis=0) * 900
    peak = np.linalg.norm(root * [1, 1, 0], axis=1).max()
    assert metrics.pfc_undivided(smooth) == pytest.approx(metrics.pfc(smooth) * peak)


def test_foot_skating_by_hand():
    # 2 s on the floor; in the second second the left foot slides 0.6 m/s along x
    positions = still(61)
    slide = np.maximum(0, np.arange(61) - 30) * 0.6 / 30
    positions[:, [7, 10], 0] += slide[:, None]
    skating = metrics.foot_skating(positions, 30)
    assert skating.share == pytest.approx(0.25)
    assert skating.slide == pytest.approx(60 / 4)


def test_feet_in_the_air_and_feet_that_turn_do_not_skate():
    t = np.arange(60) / 30
    flying = still(60) + [0, 0, 0.5] + t[:, None, None] * np.array([2.0, 0, 0])
    assert np.isnan(metrics.foot_skating(flying, 30).share)

    turning = still(60)
    turning[:, [7, 8], 0] += 0.05 * np.sin(8 * t)[:, None]  # the heels turn about the toes
    skating = metrics.foot_skating(turning, 30)
    assert (skating.share, skating.slide) == (0.0, 0.0)


def test_slow_creeping_slides_without_skating():
    positions = still(61)
    positions[..., 0] += (np.arange(61) * 0.2 / 30)[:, None]
    skating = metrics.foot_skating(positions, 30)
    assert skating.share == 0.0
    assert skating.slide == pytest.approx(20.0)


# -- liveliness ---------------------------------------------------------------------------------------


def test_speed_and_acceleration_of_a_circle():
    t = np.arange(0, 10, 1 / 30)
    angle = np.pi * t  # radius 0.5 m, half a turn a second
    circle = np.stack([0.5 * np.cos(angle), 0.5 * np.sin(angle), 0 * t], axis=-1)
    positions = still(len(t)) + circle[:, None]
    assert metrics.mean_speed(positions, 30) == pytest.approx(0.5 * np.pi, rel=1e-2)
    assert metrics.mean_acceleration(positions, 30) == pytest.approx(0.5 * np.pi**2, rel=1e-2)


def test_jerk_of_a_cubic_and_of_a_throw():
    t = np.arange(90)[:, None, None] / 30
    assert metrics.mean_jerk(still(90) + t**3 * np.array([2.0, 0, 0]), 30) == pytest.approx(12.0)
    assert metrics.mean_jerk(still(90) + t**2 * np.array([0, 0, -4.9]), 30) == pytest.approx(0.0, abs=1e-6)


def test_freezing_counts_the_seconds_that_stand_still():
    # 4 s moving at 1 m/s, then 6 s standing
    t = np.minimum(np.arange(301) / 30, 4.0)
    positions = still(301) + t[:, None, None] * np.array([1.0, 0, 0])
    assert metrics.freezing(positions, 30, usual_speed=1.0) == pytest.approx(0.6)
    assert metrics.freezing(positions[:121], 30, usual_speed=1.0) == 0.0


# -- certainty ----------------------------------------------------------------------------------------


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(100):
        figure = metrics.mean_estimate(random.normal(2.0, 1.0, 40))
        hits += figure.low <= 2.0 <= figure.high
    assert 86 <= hits <= 100


def test_the_interval_of_a_share_is_a_share():
    figure = metrics.mean_estimate([0.0, 0.0, 1.0, 1.0, 1.0])
    assert 0.0 <= figure.low < figure.value < figure.high <= 1.0


def test_a_mean_leaves_out_what_is_not_known():
    figure = metrics.mean_estimate([1.0, float("nan"), 3.0])
    assert figure.value == 2.0
    assert np.isnan(metrics.mean_estimate([float("nan")]).value)
