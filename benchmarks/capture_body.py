"""How well a body's performance is found from noisy joints in space, and which smoothing keeps the hits.

    python benchmarks/capture_body.py --data FOLDER [--seconds 20] [--clips 12] [--noise 0.025] [--lasting]

FOLDER holds ``tang2018`` and, for dances that travel and turn faster, ``cmu/salsa.zip``. Recorded dances are put on
bodies of random proportions before random cameras, and their joints are made as noisy as a lifter's: white noise,
noise that lasts (0.15 s) and a bias that drifts (2 s), each with as much variance, three times as large along the
camera's view as across it, larger towards the ends of the limbs, and larger still where points are lost now and
then. The camera's up is some degrees wrong. Against the dance as it was, in the same world, on the standard
skeleton:

error: joints around the pelvis, mm. turn: bones' orientations, degrees, toes and hands left out.
acceleration: its error, m/s^2. jitter: mean jerk over the true one. hits: speed of wrists and ankles at its peaks
over the true one, %. skate: cm a contact second. tilt: of the body on the whole, degrees. path: over the floor, cm.
height: of the pelvis, cm. knees: degrees by which those that were bent by less than 20 are bent too far. contacts: F1
of the frames. seconds: for 1,800 frames.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks, lfilter, savgol_filter
from stepsmith.backend.dance.sources import load_dances, load_unpaired
from stepsmith.backend.measures.anatomy import joint_angles
from stepsmith.backend.measures.metrics import foot_skating
from stepsmith.backend.pose.body import smooth as smoothing
from stepsmith.backend.pose.body import solve
from stepsmith.backend.pose.body.level import to_world
from stepsmith.backend.pose.detections import Lifted
from stepsmith.backend.pose.lifter.bodies import CARRIERS, STANDARD, Body, body_points
from stepsmith.backend.pose.lifter.camera import look
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL, SMPL_MIRROR, SMPL_NAMES, forward_kinematics

Array = np.ndarray
FPS = 30.0
ENDS = [SMPL_NAMES.index(f"{side}_{part}") for part in ("wrist", "ankle") for side in ("left", "right")]
# How noisy each joint is, as a share of the ends of limbs.
_STEADIER = {0.3: ("pelvis",), 0.5: ("hip", "spine", "neck", "collar"), 0.7: ("shoulder", "knee", "head")}
SHARES = np.array(
    [next((s for s, parts in _STEADIER.items() if any(p in name for p in parts)), 1.0) for name in SMPL_NAMES]
)


@dataclass(frozen=True)
class Clip:
    name: str
    lifted: Lifted
    confidence: Array
    truth: Motion


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of recorded dances")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each clip")
    parser.add_argument("--clips", type=int, default=12, help="how many clips")
    parser.add_argument("--noise", type=float, default=0.025, help="metres, at the ends of limbs, across the view")
    parser.add_argument("--lasting", action="store_true", help="leave white noise out")
    parser.add_argument("--only", nargs="+", help="smoothers to compare, all by default")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    if not (options.data / "tang2018").is_dir():
        parser.error(f"{options.data} has no folder tang2018: give the one above the recorded dances.")
    clips = list(make_clips(options.data, options.seconds, options.clips, options.noise, options.lasting))
    figures = {}
    chosen = solve.smooth
    for name, smoother in SMOOTHERS.items():
        if options.only and name not in options.only:
            continue
        solve.smooth = smoother or chosen
        figures[name] = measure(clips)
        print(line(name, figures[name]), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


# -- clips --------------------------------------------------------------------------------------------


def make_clips(data: Path, seconds: float, count: int, noise: float, lasting: bool = False) -> Iterator[Clip]:
    motions = [d.motion.with_meta(name=d.name) for d in load_dances(data / "tang2018", "val", FPS)]
    salsa = data / "cmu" / "salsa.zip"
    if salsa.is_file():
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "salsa.zip").symlink_to(salsa.resolve())
            motions += [d.motion for d in load_unpaired(Path(folder), FPS)][:: max(1, 28 // count)]
    frames = round(seconds * FPS)
    rng = np.random.default_rng(0)
    starts = {id(m): 0 for m in motions}
    for k in range(count):
        # Ballroom and salsa in turn.
        motion = motions[k // 2 % 3] if k % 2 == 0 or len(motions) == 3 else motions[3 + k // 2 % (len(motions) - 3)]
        start = starts[id(motion)]
        starts[id(motion)] = start + frames if start + 2 * frames <= len(motion) else 0
        yield film(motion.slice(start, start + frames), rng, noise, lasting)


def film(motion: Motion, rng: np.random.Generator, noise: float, lasting: bool) -> Clip:
    """The dance on some body before some camera, lifted as well as it can be."""
    body = random_body(rng)
    size = float(np.linalg.norm(body.offsets[4]) + np.linalg.norm(body.offsets[7])) / SMPL.leg_length
    points, joints = body_points(Motion(motion.fps, motion.root * size, motion.rotations, motion.contacts), body)
    rotation, position = random_view(rng, joints[:, 0])
    points, joints = (points - position) @ rotation.T, (joints - position) @ rotation.T
    error, confidence = errors(rng, joints, noise, lasting)
    path = np.array([0.5, 0.5, 3.0]) * drifting(rng, (len(motion), 1, 3), noise, lasting)
    up = rotation @ [0.0, 0.0, 1.0] + rng.normal(0.0, np.radians(3.0), 3)
    own = drifting(rng, points.shape, 0.3 * noise, lasting) * [1.0, 1.0, 3.0]
    lifted = Lifted(
        motion.fps, points + path + error[:, CARRIERS] + own, joints + path + error, up / np.linalg.norm(up)
    )
    # The truth, seen from where the camera stands, begun over the origin.
    turn = rot.from_matrix(to_world(rotation @ [0.0, 0.0, 1.0]) @ rotation)
    rotations = np.array(motion.rotations)
    rotations[:, 0] = rot.multiply(turn, rotations[:, 0])
    root = rot.rotate(turn, motion.root)
    root = root - [*root[0, :2], 0.0]
    truth = Motion(motion.fps, root, rotations, motion.contacts)
    return Clip(str(motion.meta.get("name", "")), lifted, confidence[:, CARRIERS], truth)


def random_body(rng: np.random.Generator) -> Body:
    """Of other stature and proportions, the same on both sides."""
    lengths = np.exp(rng.normal(0.0, 0.05, (len(SMPL_NAMES), 1)))
    first = np.minimum(np.arange(len(SMPL_NAMES)), SMPL_MIRROR)
    return Body(SMPL.offsets * np.exp(rng.normal(0.0, 0.05)) * lengths[first], STANDARD.places)


def random_view(rng: np.random.Generator, path: Array) -> tuple[Array, Array]:
    """Rotation (3, 3) from the world into the frame of a camera that sees all of a path, and its place (3,)."""
    middle = path.mean(axis=0)
    side, distance = rng.uniform(0.0, 2.0 * np.pi), 2.5 + rng.uniform(0.5, 2.5)
    distance += np.linalg.norm(path - middle, axis=-1).max()
    place = np.array([*(middle[:2] + distance * np.array([np.cos(side), np.sin(side)])), rng.uniform(0.4, 2.2)])
    return look(place, middle, rng.normal(0.0, np.radians(3.0))), place


def errors(rng: np.random.Generator, joints: Array, noise: float, lasting: bool) -> tuple[Array, Array]:
    """(T, 24, 3) errors of joints in the camera's frame, and (T, 24) confidence."""
    lost = np.zeros(joints.shape[:2], dtype=bool)
    for joint in ENDS:
        for start in np.flatnonzero(rng.random(len(joints)) < 0.1 / FPS):
            lost[start : start + rng.integers(3, 20), joint] = True
    error = drifting(rng, joints.shape, noise, lasting) * SHARES[:, None] * [1.0, 1.0, 3.0]
    return error * np.where(lost, 3.0, 1.0)[..., None], np.where(lost, 0.0, 0.9)


def drifting(rng: np.random.Generator, shape: tuple[int, ...], noise: float, lasting: bool) -> Array:
    """White noise, lasting noise and drift, of ``noise`` standard deviation together."""
    parts = [np.zeros(shape) if lasting else rng.normal(size=shape)]
    for seconds in (0.15, 2.0):
        memory = np.exp(-1.0 / (seconds * FPS))
        steps = rng.normal(size=shape) * np.sqrt(1.0 - memory**2)
        parts.append(lfilter([1.0], [1.0, -memory], steps, axis=0, zi=memory * rng.normal(size=(1, *shape[1:])))[0])
    return noise / np.sqrt(2.0 if lasting else 3.0) * sum(parts)


# -- smoothers ----------------------------------------------------------------------------------------

Smoothed = tuple[Array, Array]


def usual_noise(places: Array) -> Array:
    return np.full(places.shape[:2], 0.01)


def none(places: Array, *_: object) -> Smoothed:
    return places, usual_noise(places)


def gaussian(places: Array, doubt: Array, noise: Array, *_: object, sigma: float) -> Smoothed:
    """Weighted, so that what was not seen does not count here either."""
    weight = 1.0 / (np.mean(noise**2) + doubt**2)
    total = gaussian_filter1d(weight, sigma, axis=0, mode="nearest")
    mean = gaussian_filter1d(places * weight[..., None], sigma, axis=0, mode="nearest") / total[..., None]
    return mean, usual_noise(places)


def savitzky_golay(places: Array, *_: object, window: int) -> Smoothed:
    return savgol_filter(places, window, 3, axis=0, mode="nearest"), usual_noise(places)


def one_euro(
    places: Array, doubt: Array, noise: Array, jerks: Array, fps: float, *, cutoff: float, beta: float
) -> Smoothed:
    """Casiez, Roussel and Vogel, "1 Euro Filter", CHI 2012; causal."""

    def share(frequency: Array | float) -> Array | float:
        return 1.0 / (1.0 + fps / (2.0 * np.pi * frequency))

    made = np.array(places)
    speed = np.zeros(places.shape[1:])
    for t in range(1, len(places)):
        speed = speed + share(1.0) * ((places[t] - places[t - 1]) * fps - speed)
        pace = np.linalg.norm(speed, axis=-1, keepdims=True)
        made[t] = made[t - 1] + share(cutoff + beta * pace) * (places[t] - made[t - 1])
    return made, usual_noise(places)


def kalman(places: Array, doubt: Array, noise: Array, jerks: Array, fps: float, *, usual: float) -> Smoothed:
    """Ours without its heavy tails: Rauch, Tung and Striebel's, of constant acceleration."""
    freedom, smoothing._FREEDOM = smoothing._FREEDOM, 1e9
    try:
        return smoothing.smooth(places, doubt, noise, np.full(len(jerks), usual), fps)
    finally:
        smoothing._FREEDOM = freedom


SMOOTHERS: dict[str, Callable[..., Smoothed] | None] = {
    "none": none,
    "Gaussian, 1 frame": partial(gaussian, sigma=1.0),
    "Gaussian, 2 frames": partial(gaussian, sigma=2.0),
    "Savitzky-Golay, 7 frames": partial(savitzky_golay, window=7),
    "Savitzky-Golay, 13 frames": partial(savitzky_golay, window=13),
    "one euro, 1 Hz + 1.5 a m/s": partial(one_euro, cutoff=1.0, beta=1.5),
    "one euro, 2 Hz + 3 a m/s": partial(one_euro, cutoff=2.0, beta=3.0),
    "Kalman, RTS, 60 m/s^3": partial(kalman, usual=60.0),
    "Kalman, RTS, 150 m/s^3": partial(kalman, usual=150.0),
    "chosen": None,
}


# -- figures ------------------------------------------------------------------------------------------


def measure(clips: list[Clip]) -> dict[str, float]:
    rows = [compare(clip) for clip in clips]
    return {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}


def compare(clip: Clip) -> dict[str, float]:
    begun = time.perf_counter()
    found = solve.solve_body(clip.lifted, confidence=clip.confidence)
    seconds = time.perf_counter() - begun
    truth, fps = clip.truth, clip.truth.fps
    a, b = found.positions(), truth.positions()
    rel_a, rel_b = a - a[:, :1], b - b[:, :1]
    turn_a, turn_b = (forward_kinematics(SMPL, m.rotations, m.root)[1] for m in (found, truth))
    turned = np.degrees(rot.angle(rot.multiply(rot.conjugate(turn_b), turn_a)))[:, [*range(10), *range(12, 22)]]
    u, _, vt = np.linalg.svd(np.einsum("tji,tjk->ik", rel_b, rel_a))
    whole = (u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt).T
    path = (a[:, 0] - a[:, 0].mean(axis=0)) - (b[:, 0] - b[:, 0].mean(axis=0))
    bent, stretched = (joint_angles(m.rotations)["knee flexion"] for m in (found, truth))
    straight = stretched < 20.0
    hit = (found.contacts > 0.5), (truth.contacts > 0.5)
    return {
        "error": 1e3 * np.linalg.norm(rel_a - rel_b, axis=-1).mean(),
        "turn": turned.mean(),
        "acceleration": np.linalg.norm(np.diff(a - b, 2, axis=0), axis=-1).mean() * fps**2,
        "jitter": np.linalg.norm(np.diff(a, 3, axis=0), axis=-1).mean()
        / np.linalg.norm(np.diff(b, 3, axis=0), axis=-1).mean(),
        "hits": peaks_kept(rel_a, rel_b, fps),
        "skate": foot_skating(a, fps).slide,
        "tilt": np.degrees(np.arccos(np.clip(whole[2, 2], -1.0, 1.0))),
        "path": 100.0 * np.linalg.norm(path[:, :2], axis=-1).mean(),
        "height": 100.0 * np.abs(a[:, 0, 2] - b[:, 0, 2]).mean(),
        "knees": (bent - stretched)[straight].mean() if straight.any() else float("nan"),
        "contacts": 100.0 * 2.0 * (hit[0] & hit[1]).sum() / max(1, hit[0].sum() + hit[1].sum()),
        "seconds": seconds * 1800.0 / len(truth),
    }


def peaks_kept(found: Array, truth: Array, fps: float) -> float:
    """% of the speed of wrists and ankles at their fast peaks (over 1 m/s) that is left within two frames of them."""
    kept = []
    for joint in ENDS:
        speeds = [np.linalg.norm(np.diff(p[:, joint], axis=0), axis=-1) * fps for p in (found, truth)]
        for at in find_peaks(speeds[1], height=1.0, distance=round(0.2 * fps))[0]:
            kept.append(speeds[0][max(0, at - 2) : at + 3].max() / speeds[1][at])
    return 100.0 * float(np.mean(kept)) if kept else float("nan")


def line(name: str, figures: dict[str, float]) -> str:
    return f"{name:28s} " + "  ".join(f"{key} {value:.2f}" for key, value in figures.items())


if __name__ == "__main__":
    main()
