"""From noise to features, and where over the floor they lead."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stepsmith.backend.audio import MEL_BANDS, Music
from stepsmith.backend.dance import representation
from stepsmith.backend.dance.condition import condition
from stepsmith.backend.dance.model import DanceModel, ModelConfig
from stepsmith.backend.dance.path import Anchors, lead
from stepsmith.backend.dance.sampler import _starts, sample
from stepsmith.backend.progress import Cancelled

TINY = ModelConfig(genres=("rumba", "waltz"), window=20, patch=2, width=32, depth=2, heads=2)


def music(seconds: float = 8.0, seed: int = 0) -> Music:
    random = np.random.default_rng(seed)
    frames = int(np.ceil(seconds * 30))
    beats = np.arange(0, seconds, 0.5)
    mel = random.normal(size=(frames, MEL_BANDS)).astype(np.float32)
    return Music(seconds, 120.0, 4, beats, beats[::4], mel, random.random(frames).astype(np.float32))


def tiny_model() -> DanceModel:
    torch.manual_seed(0)
    model = DanceModel(TINY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def cues(frames: int, seed: int = 0, energy: float | None = None) -> np.ndarray:
    given = None if energy is None else np.full(frames, energy)
    return condition(music(seed=seed), np.arange(frames) / 30, energy=given)


def only(genre: int, frames: int) -> np.ndarray:
    return np.tile(np.eye(2)[genre], (frames, 1))


@pytest.mark.parametrize("frames", [20, 21, 37, 150, 1000])
@pytest.mark.parametrize("loop", [False, True])
def test_windows_cover_every_frame(frames: int, loop: bool) -> None:
    padded = frames if loop else max(20, frames + frames % 2)
    covered = np.zeros(padded, int)
    for start in _starts(padded, 20, 2, loop):
        np.add.at(covered, np.arange(start, start + 20) % padded, 1)
    assert covered.min() >= 1
    assert covered.max() <= 4


@pytest.mark.parametrize("frames", [5, 20, 33, 171])
@pytest.mark.parametrize("loop", [False, True])
def test_same_seed_same_dance_bit_for_bit(frames: int, loop: bool) -> None:
    def dance(seed: int) -> np.ndarray:
        (made,) = sample(tiny_model(), [cues(frames)], only(0, frames), seeds=[seed], steps=4, loop=loop)
        return made

    first = dance(3)
    assert first.shape == (frames, 152)
    assert np.isfinite(first).all()
    assert np.array_equal(first, dance(3))
    assert not np.array_equal(first, dance(4))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_makes_the_dance_that_the_processor_makes() -> None:
    here, there = (
        sample(tiny_model().to(device), [cues(171)], only(0, 171), seeds=[3], steps=4) for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(here[0], there[0], atol=0.05)  # bfloat16 multiplies in another order


def test_dances_made_together_are_those_made_alone() -> None:
    model, songs = tiny_model(), [cues(171), cues(171, seed=9)]
    both = sample(model, songs, only(0, 171), seeds=[3, 4], steps=4)
    for made, song, seed in zip(both, songs, [3, 4], strict=True):
        (alone,) = sample(model, [song], only(0, 171), seeds=[seed], steps=4)
        np.testing.assert_allclose(made, alone, atol=1e-4)


def test_sampler_hears_the_sound_the_genre_and_the_energy() -> None:
    def dance(song: np.ndarray, genre: int = 0) -> np.ndarray:
        return sample(tiny_model(), [song], only(genre, 60), seeds=[1], steps=3)[0]

    one = dance(cues(60))
    assert not np.allclose(one, dance(cues(60, seed=9)))
    assert not np.allclose(one, dance(cues(60), genre=1))
    assert not np.allclose(one, dance(cues(60, energy=1.0)))


def test_a_change_of_genre_changes_what_follows_and_hardly_what_was_before() -> None:
    shares = np.where(np.arange(240)[:, None] < 120, only(0, 240), only(1, 240))
    first, second, changed = (
        sample(tiny_model(), [cues(240)], genres, seeds=[1], steps=6)[0]
        for genres in (only(0, 240), only(1, 240), shares)
    )
    for part, own, other in ((slice(0, 80), first, second), (slice(160, 240), second, first)):
        assert np.abs(changed[part] - own[part]).mean() < 0.05 * np.abs(changed[part] - other[part]).mean()


def test_what_must_be_is_held_up_to_the_last_step() -> None:
    seen: list[float] = []

    def hold(clean: np.ndarray) -> np.ndarray:
        seen.append(float(np.abs(clean[:30, 6] - 0.5).mean()))
        clean[:30, 6] = 0.5
        return clean

    (made,) = sample(tiny_model(), [cues(60)], only(0, 60), seeds=[1], steps=5, constrain=hold)
    assert len(seen) == 4
    (free,) = sample(tiny_model(), [cues(60)], only(0, 60), seeds=[1], steps=5)
    assert np.abs(made - free)[30:].mean() > 1e-3, "the rest takes it into account"


def test_sampling_can_be_cancelled() -> None:
    def stop(fraction: float, text: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        sample(tiny_model(), [cues(60)], only(0, 60), seeds=[0], progress=stop)


# --- the way ---------------------------------------------------------------------------------------------


def walk(seconds: float, speed: float = 0.5, height: float = 0.95) -> np.ndarray:
    """Features of a stiff body that glides straight ahead."""
    features = np.zeros((round(seconds * 30), 152), np.float32)
    features[:, representation.ROTATIONS] = np.tile([1.0, 0, 0, 0, 1, 0], 24)
    features[:, 5], features[:, representation.HEIGHT] = -speed, height
    return features


def anchors(frames: int, places: dict[int, tuple[complex, float]]) -> Anchors:
    made = Anchors.none(frames)
    for frame, (place, yaw) in places.items():
        made.known[frame], made.place[frame], made.yaw[frame] = True, place, yaw
    return made


def test_a_dance_that_walks_off_is_led_back() -> None:
    straight = walk(180)
    assert np.abs(representation.decode(straight, 30.0).root[:, :2]).max() > 80
    path = lead(straight, 30.0, Anchors.none(len(straight)))
    assert np.abs(path.place).max() < 7.0
    # the features lead along the path; only the heading was touched, and gently
    root = representation.decode(path.features, 30.0).root
    np.testing.assert_allclose(root[:, 0] + 1j * root[:, 1], path.place, atol=1e-3)
    others = np.delete(np.arange(152), representation.YAW_RATE)
    assert np.array_equal(path.features[:, others], straight[:, others])
    assert np.abs(path.features[:, representation.YAW_RATE]).max() <= 0.36


def test_a_dance_near_its_start_goes_where_it_likes() -> None:
    features = walk(2.5)
    assert np.array_equal(lead(features, 30.0, Anchors.none(len(features))).features, features)


@pytest.mark.parametrize("loop", [False, True])
def test_the_way_leads_through_what_is_given_without_a_jump(loop: bool) -> None:
    given = {60: (1 + 1j, 0.5), 61: (1 + 0.98j, 0.5), 240: (-2 + 0j, 3.0)}
    path = lead(walk(12), 30.0, anchors(360, given), loop=loop)
    for frame, (place, yaw) in given.items():
        assert path.place[frame] == place
        assert path.yaw[frame] == yaw
    place = np.append(path.place, path.place[:2]) if loop else path.place
    assert np.abs(np.diff(place)).max() * 30 < 2.0
    turns = np.angle(np.exp(1j * np.diff(np.append(path.yaw, path.yaw[0]) if loop else path.yaw)))
    assert np.abs(turns).max() * 30 < 3.0


def test_a_loop_ends_where_it_begins() -> None:
    features = walk(10)
    features[:, representation.YAW_RATE] = 0.2
    path = lead(features, 30.0, Anchors.none(300), loop=True)
    steps = np.abs(np.diff(np.append(path.place, path.place[0])))
    assert steps[-1] < 1.2 * max(steps[0], steps[-2])
    assert abs(np.angle(np.exp(1j * (path.yaw[0] - path.yaw[-1])))) < 0.1


@pytest.mark.parametrize("radius", [0.3, 1.0, 2.5])
def test_the_circle_is_never_left(radius: float) -> None:
    path = lead(walk(60), 30.0, Anchors.none(1800), radius=radius)
    assert np.abs(path.place).max() < radius
    assert np.abs(np.diff(path.place)).max() * 30 <= 0.51


def test_guidance_makes_more_of_what_is_told() -> None:
    plain, guided, more = (
        sample(tiny_model(), [cues(40, energy=0.5)], only(1, 40), seeds=[0], steps=1, guidance=guidance)[0]
        for guidance in (1.0, 1.5, 2.0)
    )
    assert not np.allclose(plain, guided)
    np.testing.assert_allclose(more - plain, 2.0 * (guided - plain), atol=0.05)
