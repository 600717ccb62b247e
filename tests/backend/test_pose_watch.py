"""One person is followed through a video: through crossings and cuts, in whatever part of the picture they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from scipy import ndimage
from stepsmith.backend.pose import watch as module
from stepsmith.backend.pose.damage import Damage
from stepsmith.backend.pose.detections import Detections
from stepsmith.backend.pose.facing import breadth
from stepsmith.backend.pose.light import Light, brightened
from stepsmith.backend.pose.mediapipe_graphs import Figure, Pose, Square
from stepsmith.backend.pose.people import Spotter, Track, choose, distinct
from stepsmith.backend.pose.shots import mark_cuts
from stepsmith.backend.pose.stretches import find_stretches
from stepsmith.backend.pose.video import Frame, VideoInfo
from stepsmith.backend.pose.watch import watch
from stepsmith.backend.progress import Cancelled, Progress, silent
from stepsmith.retarget.errors import StepsmithError

Image = np.ndarray
DATA = Path(__file__).parents[3] / "shared" / "data" / "video"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real videos are not beside the checkout")
BLACK, GREEN, RED = (20, 20, 20), (20, 140, 30), (170, 40, 40)
SKIN = (255, 0, 255)  # of heads: no other thing has this colour


# Where landmarks are, in heads from the hips: shoulders, arms, legs, feet; left is to the right of the picture.
SPREAD = np.zeros((33, 2))
SPREAD[:11] = [0.0, -3.0]
SPREAD[11:23:2], SPREAD[12:23:2] = [1.0, -1.0], [-1.0, -1.0]
SPREAD[11:13, 1] = -2.1
SPREAD[23:33:2], SPREAD[24:33:2] = [0.5, 3.5], [-0.5, 3.5]
SPREAD[23:25, 1] = 0.0


class Stage:
    """Pictures with drawn people, and a detector that knows them by the colour of their heads."""

    def __init__(self, width: int = 320, height: int = 180) -> None:
        self.width, self.height = width, height

    def picture(self, *people: tuple[float, float, float, tuple[int, int, int]]) -> Image:
        """People as (x of the hips, y of the hips, height, colour), the last in front."""
        y, x = np.mgrid[: self.height, : self.width]
        image = np.stack([150 + 40 * np.sin(x / 40), 150 + 0.2 * y, 140 + 30 * np.cos(y / 30)], -1).astype(np.uint8)
        for across, down, size, colour in people:
            self._box(image, across, down - 0.05 * size, 0.25 * size, 0.6 * size, colour)
            self._box(image, across, down + 0.3 * size, 0.2 * size, 0.4 * size, colour)
            self._box(image, across, down - 0.42 * size, 0.2 * size, 0.2 * size, colour)  # hair
            self._box(image, across, down - 0.42 * size, 0.14 * size, 0.14 * size, SKIN)
        return image

    def _box(self, image: Image, x: float, y: float, width: float, height: float, colour: Sequence[int]) -> None:
        top, bottom = (int(np.clip(y + s * height / 2, 0, self.height)) for s in (-1, 1))
        left, right = (int(np.clip(x + s * width / 2, 0, self.width)) for s in (-1, 1))
        image[top:bottom, left:right] = colour


def heads(image: Image) -> list[tuple[float, float, float]]:
    """Where in the picture whole heads are, and how large: x, y, side."""
    labels, _ = ndimage.label((image[..., 1] == 0) & (image[..., 0] == 255))
    found = []
    for rows, columns in ndimage.find_objects(labels):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if 0.75 < height / width < 1.33 and height >= 3:
            found.append(((columns.start + columns.stop) / 2, (rows.start + rows.stop) / 2, max(height, width)))
    return found


class FakePeople:
    """Sees those who fill a fifth of what it is shown, as a real detector does."""

    def __init__(self) -> None:
        self.shown = 0

    def find(self, image: Image, time: float) -> list[Figure]:
        self.shown += 1
        return [
            Figure(_square(x, y, side), np.array([x, y + 0.9 * side]), 0.9)
            for x, y, side in heads(image)
            if side / 0.14 > 0.3 * max(image.shape[:2])
        ]

    def close(self) -> None:
        pass


class FakeLandmarks:
    """Sees whoever is nearest to the middle of the square, even one who is partly hidden."""

    def find(self, image: Image, time: float, square: Square) -> Pose | None:
        near = [(np.hypot(*np.subtract(_square(*h).centre, square.centre)), h) for h in heads(image)]
        if not near or min(near)[0] > 0.4 * square.side:
            return None
        x, y, side = min(near)[1]
        points = [x, y + 3.0 * side] + side * SPREAD
        return Pose(points, np.full(33, 0.9), np.zeros((33, 3)), _square(x, y, side))

    def close(self) -> None:
        pass


def _square(x: float, y: float, side: float) -> Square:
    return Square((x, y + 3.0 * side), 1.25 * side / 0.14, 0.0)


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Detections]:
    """``watch`` of pictures that are drawn, 25 a second."""

    def run(pictures: Sequence[Image], person: int | None = None, progress: Progress = silent) -> Detections:
        class FakeVideo:
            def __init__(self, path: Path, start: float, duration: float | None) -> None:
                height, width = pictures[0].shape[:2]
                seconds = len(pictures) / 25.0
                self.info = VideoInfo((2 * width, 2 * height), 25.0, seconds, None, 0.0, seconds)

            def frames(self) -> Iterator[Frame]:
                return (Frame(i / 25.0, image) for i, image in enumerate(pictures))

            def damage(self) -> list[Damage]:
                return []

            def close(self) -> None:
                pass

        for name, fake in (("Video", FakeVideo), ("People", FakePeople), ("Landmarks", FakeLandmarks)):
            monkeypatch.setattr(module, name, fake)
        return watch(Path("drawn.mp4"), person=person, progress=progress)

    return run


def track_of(seen: Detections) -> np.ndarray:
    """(F,) x of the hips in the pictures that were drawn, NaN where nobody was followed."""
    hips = seen.points[:, 23:25, 0].mean(axis=1) / 2.0
    return np.where(seen.confidence.max(axis=1) > 0.0, hips, np.nan)


def test_one_person_is_followed_in_every_frame(follow: Callable[..., Detections]) -> None:
    stage, xs = Stage(), np.linspace(60, 260, 100)
    seen = follow([stage.picture((x, 100, 130, BLACK)) for x in xs])
    assert np.abs(track_of(seen) - xs).max() < 2.0
    assert seen.people.tolist() == [1] * 100
    assert seen.size == (640, 360)
    assert find_stretches(seen)[1] == []


def test_the_most_central_person_is_followed_unless_another_is_asked_for(follow: Callable[..., Detections]) -> None:
    stage = Stage()
    pictures = [stage.picture((50, 100, 110, RED), (150, 100, 120, BLACK), (270, 100, 110, GREEN)) for _ in range(60)]
    for person, x in ((None, 150), (1, 50), (2, 150), (3, 270)):
        seen = follow(pictures, person)
        assert track_of(seen) == pytest.approx(x, abs=2.0)
        assert np.median(seen.people) == 3
    seen = follow(pictures, 4)
    assert np.isnan(track_of(seen)).all()


def test_the_subject_of_the_whole_shot_is_followed_not_who_was_there_first(follow: Callable[..., Detections]) -> None:
    stage = Stage()
    pictures = [
        stage.picture((100, 100, 90, GREEN), *([(200, 100, 150, BLACK)] if i >= 25 else [])) for i in range(150)
    ]
    found = track_of(follow(pictures))
    assert np.isnan(found[:24]).all()
    assert found[30:] == pytest.approx(200.0, abs=2.0)


def test_watching_again_is_half_of_the_work(follow: Callable[..., Detections], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was to be followed is known at the end; the time left is told rightly from then on."""
    monkeypatch.setattr(module, "_TELL", 0.0)
    stage, told = Stage(), []
    late = [(80, 100, 110, BLACK)]
    pictures = [stage.picture((240, 100, 110, GREEN), *(late if i >= 25 else [])) for i in range(100)]
    follow(pictures, person=1, progress=lambda share, text: told.append((share, text)))
    assert [text for _, text in told[100:]] == [
        f"Watching again, for another person, frame {i + 1} of 100" for i in range(100)
    ]
    assert [share for share, _ in told[:100]] == pytest.approx(np.arange(100) / 100)
    assert [share for share, _ in told[100:]] == pytest.approx(0.5 + np.arange(100) / 200)


@pytest.mark.parametrize("colours", [(BLACK, GREEN), (BLACK, BLACK)], ids=["other clothes", "same clothes"])
@pytest.mark.parametrize("person", [1, 2])
def test_two_who_cross_are_not_confused(
    follow: Callable[..., Detections], person: int, colours: tuple[tuple[int, int, int], tuple[int, int, int]]
) -> None:
    """The second passes in front of the first; who is hidden is lost meanwhile, and found again."""
    stage, share = Stage(), np.linspace(0, 1, 150)
    paths = 60 + 200 * share, 260 - 200 * share
    pictures = [stage.picture((a, 95, 110, colours[0]), (b, 100, 130, colours[1])) for a, b in zip(*paths, strict=True)]
    found = track_of(follow(pictures, person))
    known = ~np.isnan(found)
    assert np.abs(found - paths[person - 1])[known].max() < 12.0
    assert known[:45].all()
    assert known[-40:].all()


def test_somebody_small_in_a_wide_picture_is_found(follow: Callable[..., Detections]) -> None:
    stage = Stage(640, 180)
    seen = follow([stage.picture((400, 120, 60, BLACK)) for _ in range(30)])
    assert track_of(seen) == pytest.approx(400.0, abs=2.0)


def test_everywhere_is_looked_and_nobody_found_twice() -> None:
    stage, finder = Stage(640, 180), FakePeople()
    image = stage.picture(*[(x, 100, 110, BLACK) for x in (50, 200, 330, 450, 590)])
    found = Spotter(finder, 640, 180).everybody(image)
    assert sorted(round(one.square.centre[0]) for one in found) == pytest.approx([50, 200, 330, 450, 590], abs=2)
    assert len(distinct([*found, *found])) == 5


def test_looking_for_others_costs_little(follow: Callable[..., Detections], monkeypatch: pytest.MonkeyPatch) -> None:
    """A look takes about half as long as the landmarks of a frame: only one in twelve frames has one."""
    shown: list[int] = []
    find = FakePeople.find

    def counted(self: FakePeople, image: Image, time: float) -> list[Figure]:
        shown.append(1)
        return find(self, image, time)

    monkeypatch.setattr(FakePeople, "find", counted)
    stage = Stage()
    follow([stage.picture((160, 100, 130, BLACK)) for _ in range(250)])
    assert len(shown) <= 250 / 12 + 6


@pytest.mark.parametrize(("every", "sure", "many"), [(40, 0.9, 1), (1, 0.55, 1), (1, 0.9, 2)])
def test_what_looks_like_somebody_now_and_then_or_hardly_is_nobody(
    follow: Callable[..., Detections], monkeypatch: pytest.MonkeyPatch, every: int, sure: float, many: int
) -> None:
    """The detector takes something to the right for a person, now and then or always, and is more or less sure."""
    find = FakePeople.find

    def mistaken(self: FakePeople, image: Image, time: float) -> list[Figure]:
        found = find(self, image, time)
        coat = np.argwhere((image == GREEN).all(-1))
        if len(coat) and self.shown % every == 0:
            y, x = coat.mean(axis=0)
            found.append(Figure(_square(x, y, 15.0), np.array([x, y + 14.0]), sure))
        return found

    monkeypatch.setattr(FakePeople, "find", mistaken)
    stage, pictures = Stage(), []
    for _ in range(150):
        pictures.append(stage.picture((120, 100, 130, BLACK)))
        pictures[-1][60:64, 270:274] = GREEN
    seen = follow(pictures)
    assert track_of(seen) == pytest.approx(120, abs=2)
    assert int(np.median(seen.people)) == many
    assert [one.kind for one in find_stretches(seen)[1]] == ["people"] * (many - 1)
    for person in (1, 2):
        there = np.isfinite(track_of(follow(pictures, person)))
        assert there.all() if person == 1 else not there.any()  # nobody's landmarks are found on a coat


def test_who_is_found_elsewhere_while_lost_is_still_one(follow: Callable[..., Detections]) -> None:
    """The detector finds the dancer at the wrong places while they bend, and nobody else is ever beside them."""
    stage = Stage()
    places = [(160, BLACK)] * 60 + [(250, GREEN)] * 25 + [(160, BLACK)] * 60
    seen = follow([stage.picture((x, 100, 130, colour)) for x, colour in places])
    assert seen.people.max() == 1
    assert "people" not in {one.kind for one in find_stretches(seen)[1]}


def test_onlookers_are_counted_after_the_dancers(follow: Callable[..., Detections]) -> None:
    """Somebody small, to the left, is no dancer; who is asked for in vain is nobody else."""
    stage = Stage(480, 180)
    pictures = [stage.picture((60, 60, 60, RED), (250, 100, 150, BLACK), (400, 100, 140, GREEN)) for _ in range(100)]
    for person, x in ((1, 250), (2, 400), (3, 60)):
        assert track_of(follow(pictures, person)) == pytest.approx(x, abs=2)
    seen = follow(pictures, 4)
    assert np.isnan(track_of(seen)).all()
    assert np.median(seen.people) >= 2
    assert {one.kind for one in find_stretches(seen)[1]} == {"people", "nobody"}


def test_those_who_are_all_much_smaller_are_called_onlookers(follow: Callable[..., Detections]) -> None:
    stage = Stage(480, 180)
    pictures = [stage.picture((60, 60, 60, RED), (300, 100, 150, BLACK)) for _ in range(100)]
    for person, kind in ((None, "onlookers"), (1, "onlookers"), (2, "people")):
        (found,) = [one for one in find_stretches(follow(pictures, person))[1] if one.kind in ("people", "onlookers")]
        assert found.kind == kind
        assert found.sentence.startswith("There are 2 people from")


def test_nobody_is_followed_where_nobody_is(follow: Callable[..., Detections]) -> None:
    stage = Stage()
    seen = follow([stage.picture() for _ in range(40)])
    assert seen.confidence.max() == 0.0
    assert seen.people.tolist() == [0] * 40


def test_who_comes_back_is_followed_again(follow: Callable[..., Detections]) -> None:
    stage = Stage()
    pictures = [stage.picture(*([(160, 100, 130, BLACK)] if not 40 <= i < 50 else [])) for i in range(100)]
    known = ~np.isnan(track_of(follow(pictures)))
    assert known[:40].all()
    assert not known[40:50].any()
    assert known[55:].all()


def test_who_is_there_for_a_moment_only_is_nobody_to_wait_for(follow: Callable[..., Detections]) -> None:
    """As where two shots dissolve: who was in the first is still to be seen when the second begins."""
    stage = Stage()
    pictures = [stage.picture((80, 100, 130, RED) if i < 2 else (230, 100, 130, BLACK)) for i in range(60)]
    seen = follow(pictures)
    assert track_of(seen)[4:] == pytest.approx(230, abs=2)
    assert seen.cuts.tolist() == []
    assert find_stretches(seen)[1] == []


def test_who_jumps_within_one_room_is_followed_on(follow: Callable[..., Detections]) -> None:
    """As where a piece of a take was cut out, and the room looks as before."""
    stage = Stage(480, 180)
    places = [60] * 60 + [400] * 60
    seen = follow([stage.picture((x, 100, 130, BLACK)) for x in places])
    known = ~np.isnan(track_of(seen))
    assert known[:60].all()
    assert known[64:].all()
    assert track_of(seen)[64:] == pytest.approx(400, abs=2)
    assert {one.kind for one in find_stretches(seen)[1]} == {"cut"}
    # Somebody dressed alike who was there all the time is not taken for who has gone.
    both = [(60, 400)] * 60 + [(400,)] * 30 + [(60, 400)] * 30
    seen = follow([stage.picture(*((x, 100, 130, BLACK) for x in xs)) for xs in both], 1)
    assert not (track_of(seen) > 100).any()


def test_what_has_no_landmarks_is_nobody_and_no_cut(
    follow: Callable[..., Detections], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the detector, unsure of somebody who bends, sees a smaller body in them for two pictures."""

    class LargeAlone(FakeLandmarks):
        def find(self, image: Image, time: float, square: Square) -> Pose | None:
            return super().find(image, time, square) if max(size for *_, size in heads(image)) > 16 else None

    monkeypatch.setitem(globals(), "FakeLandmarks", LargeAlone)
    stage = Stage()
    person, nobody = (60, 100, 130, BLACK), (200, 100, 100, BLACK)
    seen = follow([stage.picture(nobody if i in (40, 41) else person) for i in range(80)])
    assert np.flatnonzero(np.isnan(track_of(seen))).tolist() == [40, 41]
    assert seen.cuts.tolist() == []


@pytest.mark.parametrize("speed", [6, 10])
def test_who_passes_by_unnoticed_is_not_followed_away(follow: Callable[..., Detections], speed: int) -> None:
    """They hide the dancer before they were found anywhere else, and wear something else."""
    stage, dancer = Stage(640, 180), (200, 95, 120, BLACK)
    passing = [(200 + speed * i, 105, 140, GREEN) for i in range(80)]
    seen = follow([stage.picture(*people) for people in [(dancer,)] * 50 + [(dancer, other) for other in passing]])
    assert np.nanmax(np.abs(track_of(seen) - 200)) < 5
    assert track_of(seen)[90:] == pytest.approx(200, abs=2)
    assert seen.cuts.tolist() == []


def test_people_are_counted_to_the_end(follow: Callable[..., Detections]) -> None:
    stage = Stage()
    seen = follow([stage.picture((90, 100, 130, RED), (230, 100, 130, BLACK)) for _ in range(103)])
    assert seen.people[-20:].tolist() == [2] * 20


def test_a_cut_begins_anew_with_whoever_is_central_then(follow: Callable[..., Detections]) -> None:
    stage = Stage()
    first = [stage.picture((80, 100, 130, BLACK)) for _ in range(50)]
    second = [255 - stage.picture((240, 100, 130, GREEN)) for _ in range(50)]
    second = [np.where((image == 255 - np.array(SKIN)).all(-1, keepdims=True), SKIN, image) for image in second]
    seen = follow([*first, *[image.astype(np.uint8) for image in second]])
    assert seen.cuts.tolist() == [50]
    assert track_of(seen)[:50] == pytest.approx(80, abs=2)
    assert track_of(seen)[50:] == pytest.approx(240, abs=2)


def _cuts(pictures: Sequence[Image]) -> list[int]:
    frames = [Frame(i / 25.0, image) for i, image in enumerate(pictures)]
    marked = list(mark_cuts(frames))
    assert [frame for frame, _ in marked] == frames
    return [i for i, (_, cut) in enumerate(marked) if cut]


def _scene(seed: int, shift: int = 0, light: float = 1.0) -> Image:
    """A room of coloured things, seen a bit further to the right."""
    rng = np.random.default_rng(seed)
    image = np.full((90, 400, 3), rng.integers(0, 255, 3), np.uint8)
    for _ in range(40):
        x, y, w, h = rng.integers(0, 380), rng.integers(0, 80), rng.integers(5, 60), rng.integers(5, 40)
        image[y : y + h, x : x + w] = rng.integers(0, 255, 3)
    return (image[:, shift : shift + 160] * light).clip(0, 255).astype(np.uint8)


def test_cuts_are_found_at_their_frame() -> None:
    assert _cuts([_scene(i // 20) for i in range(100)]) == [20, 40, 60, 80]


@pytest.mark.parametrize("gap", [0.2, 0.6, 1.3, 5.0])
def test_pictures_that_are_missing_are_no_cut(gap: float) -> None:
    """As behind a damaged place of the file."""
    frames = [Frame(i / 25.0 + (gap if i >= 60 else 0.0), _scene(0, i // 4)) for i in range(120)]
    assert [i for i, (_, cut) in enumerate(mark_cuts(frames)) if cut] == []


def _mixed(before: Sequence[Image], after: Sequence[Image]) -> list[Image]:
    """One scene's pictures dissolving into another's."""
    shares = np.arange(1, len(before) + 1) / (len(before) + 1)
    return [((1 - s) * a + s * b).astype(np.uint8) for s, a, b in zip(shares, before, after, strict=True)]


@pytest.mark.parametrize("length", [10, 15, 25, 30])
@pytest.mark.parametrize("pan", [0, 1])
def test_dissolves_are_cuts_in_their_middle(length: int, pan: int) -> None:
    one = [_scene(3, shift=pan * i) for i in range(60)]
    other = [_scene(4, shift=pan * i) for i in range(60)]
    pictures = [*one[:-length], *_mixed(one[-length:], other[:length]), *other[length:]]
    (cut,) = _cuts(pictures)
    assert cut == pytest.approx(60 - length / 2, abs=2 + length / 10)


@pytest.mark.parametrize("shade", [0, 255], ids=["black", "white"])
@pytest.mark.parametrize("hold", [0, 1, 30])
def test_a_fade_out_and_another_scene_in_is_a_cut_and_the_same_scene_is_none(shade: int, hold: int) -> None:
    plain = np.full((90, 160, 3), shade, np.uint8)

    def faded(after: int) -> list[Image]:
        out, back = (_mixed([a] * 12, [b] * 12) for a, b in ((_scene(5), plain), (plain, _scene(after))))
        return [*[_scene(5)] * 30, *out, *[plain] * hold, *back, *[_scene(after)] * 30]

    assert _cuts(faded(5)) == []
    (cut,) = _cuts(faded(6))
    assert cut == pytest.approx(42 + hold + 3, abs=5)


def test_coloured_and_pulsing_light_makes_no_cuts() -> None:
    def lit(light: Callable[[int], Sequence[float] | float]) -> list[Image]:
        return [(_scene(7, shift=i // 4) * np.asarray(light(i))).clip(0, 255).astype(np.uint8) for i in range(100)]

    assert _cuts(lit(lambda i: [0.6 + 0.4 * np.sin(i / s) for s in (7, 11, 17)])) == []
    assert _cuts(lit(lambda i: 0.2 if i % 5 < 2 else 1.0)) == []
    assert _cuts(lit(lambda i: 1.0 + 1.5 * np.exp(-(i % 40) / 8.0))) == []


def test_who_passes_before_the_camera_is_no_cut() -> None:
    pictures = [_scene(8) for _ in range(60)]
    for i, image in enumerate(pictures):
        image[:, max(4 * i - 60, 0) : max(4 * i, 0)] = (30, 25, 35)
    assert _cuts(pictures) == []


def test_few_pictures_are_held_back_however_many_come_a_second() -> None:
    taken = 0

    def frames() -> Iterator[Frame]:
        nonlocal taken
        for i in range(400):
            taken += 1
            yield Frame(i / 240.0, _scene(i // 200))

    cuts = []
    for given, (_, cut) in enumerate(mark_cuts(frames())):
        assert taken - given <= 80
        cuts += [given] if cut else []
    assert cuts == [200]


def test_flashes_and_fast_cameras_and_fades_are_no_cuts() -> None:
    flashes = [_scene(0, light=3.0 if i in (20, 21, 50) else 1.0) for i in range(80)]
    panned = [_scene(0, shift=int(100 + 100 * np.sin(i / 8))) for i in range(80)]
    slowly = [_scene(seed, shift=i) for seed in (1, 2) for i in (range(60) if seed == 1 else range(60, 0, -1))]
    faded = [_scene(0, light=i / 40) for i in range(41)]
    assert _cuts(flashes) == []
    assert _cuts(panned) == []
    assert _cuts(slowly) == [60]
    assert _cuts(faded) == []


def test_the_one_who_is_there_for_longest_is_the_subject() -> None:
    size = (640, 360)

    def track(x: float, side: float, first: float, last: float) -> Track:
        times = np.arange(first, last, 0.25).tolist()
        return Track(times, [Square((x, 200.0), side, 0.0)] * len(times), np.ones((2, 64)) / 64)

    middle, edge, passing = track(320, 200, 0, 10), track(60, 200, 0, 10), track(320, 300, 4, 5)
    assert choose([edge, passing, middle], size) is middle
    assert choose([edge, passing, middle], size, 1) is edge
    assert choose([edge, middle], size, 3) is None
    assert choose([], size) is None


def test_people_are_counted_from_one() -> None:
    with pytest.raises(StepsmithError, match="beginning with 1"):
        watch(Path("any.mp4"), person=0)


# Real footage: a dancer before a blue wall, who can be cut out and put anywhere.


def _dancer(start: float, frames: int) -> list[tuple[Image, Image]]:
    """Pictures (248, 260, 3) of the dancer, and which pixels are theirs."""
    found = []
    with av.open(str(DATA / "dancer.avi")) as container:
        for frame in container.decode(video=0):
            if frame.time >= start:
                image = frame.reformat(260, 248, "rgb24").to_ndarray().astype(int)
                found.append((image, image[..., 2] - image[..., :2].max(axis=-1) < 70))
            if len(found) == frames:
                break
    return found


def _put(room: Image, dancer: tuple[Image, Image], x: int, scale: float = 1.0, tint: Sequence[int] = (0, 0, 0)) -> None:
    image, mask = dancer
    height, width = int(248 * scale), int(260 * scale)
    rows, columns = (np.arange(n) * 1.0 / scale for n in (height, width))
    image, mask = (array[rows.astype(int)[:, None], columns.astype(int)] for array in (image, mask))
    left, top = x - width // 2, room.shape[0] - height
    first, last = max(left, 0), min(left + width, room.shape[1])
    mask, image = mask[:, first - left : last - left], image[:, first - left : last - left]
    room[top:, first:last][mask] = (0.8 * image + tint).clip(0, 255).astype(np.uint8)[mask]


def _room() -> Image:
    y, x = np.mgrid[:270, :480]
    return np.stack([150 + 40 * np.sin(x / 60), 140 + 0.1 * y, 130 + 30 * np.cos(y / 40)], -1).astype(np.uint8)


def _write(path: Path, pictures: Sequence[Image]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "18"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.data
@needs_data
def test_a_real_dancer_is_seen_as_by_mediapipe_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In every frame, near where MediaPipe's own Pose sees her, and nothing is written to the terminal."""
    pictures = [image.astype(np.uint8) for image, _ in _dancer(10.0, 40)]
    path, told = _write(tmp_path / "dancer.mp4", pictures), []
    capfd.readouterr()
    seen = watch(path, progress=lambda share, text: told.append((share, text)))
    assert capfd.readouterr().err == ""
    assert (seen.confidence.max(axis=1) > 0.5).all()
    assert find_stretches(seen)[1] == []

    from mediapipe.python.solutions.pose import Pose as Ready

    ready = Ready(model_complexity=1)
    differences = []
    for image, points in zip(pictures, seen.points, strict=True):
        marks = ready.process(image).pose_landmarks.landmark
        differences.append(np.abs(np.array([[m.x * 260, m.y * 248] for m in marks]) - points).mean())
    ready.close()
    assert np.mean(differences) < 2.0
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert re.fullmatch(r"Watching the dancer, frame \d+ of 40(, \d+ s left)?", told[-1][1])


@pytest.mark.data
@needs_data
def test_two_real_dancers_who_cross_are_not_confused(tmp_path: Path) -> None:
    front, back = _dancer(3.0, 75), _dancer(30.0, 75)
    pictures, share = [], np.linspace(0, 1, 75)
    for i in range(75):
        pictures.append(_room())
        _put(pictures[-1], back[i], int(380 - 280 * share[i]), 0.9, (0, 90, 20))
        _put(pictures[-1], front[i], int(100 + 280 * share[i]))
    path = _write(tmp_path / "two.mp4", pictures)
    for person, xs in ((1, 100 + 280 * share), (2, 380 - 280 * share)):
        seen = watch(path, person=person)
        known = seen.confidence.max(axis=1) > 0.0
        hips = seen.points[:, 23:25, 0].mean(axis=1)
        assert known.mean() > 0.5
        assert known[-10:].all()
        assert np.abs(hips - xs)[known].max() < 45.0
        assert "people" in {one.kind for one in find_stretches(seen)[1]}


@pytest.mark.data
@needs_data
def test_a_real_dancer_upside_down_without_feet_and_gone_is_reported(tmp_path: Path) -> None:
    room, pictures = np.full((270, 480, 3), (60, 90, 60), np.uint8), []
    dancer = _dancer(3.0, 90)
    for i, one in enumerate(dancer):
        image = room.copy()
        if i < 60:
            _put(image, one, 240)
        if i < 30:
            image = image[::-1, ::-1]
        pictures.append(image if i < 60 else room)
    close = [np.pad(image, ((0, 0), (110, 110), (0, 0)), "edge")[:170] for image, _ in dancer[:30]]
    seen = watch(_write(tmp_path / "hard.mp4", pictures))
    problems = {one.kind: one for one in find_stretches(seen)[1]}
    assert {"upside down", "nobody"} <= set(problems)
    assert problems["upside down"].end == pytest.approx(1.2, abs=0.2)
    assert problems["nobody"].start == pytest.approx(2.4, abs=0.3)
    seen = watch(_write(tmp_path / "close.mp4", [image.astype(np.uint8) for image in close]))
    assert "feet" in {one.kind for one in find_stretches(seen)[1]}


@pytest.mark.data
@needs_data
def test_a_real_dancer_turned_upside_down_and_back_at_once_is_seen_on(tmp_path: Path) -> None:
    room, pictures = np.full((270, 480, 3), (60, 90, 60), np.uint8), []
    for i, one in enumerate(_dancer(3.0, 150)):
        pictures.append(room.copy())
        _put(pictures[-1], one, 240)
        if 50 <= i < 100:
            pictures[-1] = pictures[-1][::-1, ::-1]
    seen = watch(_write(tmp_path / "turned.mp4", pictures))
    stretches, problems = find_stretches(seen)
    assert sum(one.stop - one.start for one in stretches) >= 146
    assert {one.kind for one in problems} == {"cut", "upside down"}
    (upside,) = [one for one in problems if one.kind == "upside down"]
    assert upside.end == pytest.approx(4.0, abs=0.1)


@pytest.mark.data
@needs_data
def test_a_real_dancer_in_the_dark_is_seen_nearly_as_in_light_and_the_dark_is_said(tmp_path: Path) -> None:
    rng, light = np.random.default_rng(0), [image for image, _ in _dancer(7.0, 50)]
    dark = [(0.1 * image + rng.normal(0.0, 1.5, image.shape)).round() for image in light]
    bright, dim = (
        watch(_write(tmp_path / f"{i}.mp4", [np.clip(image, 0, 255).astype(np.uint8) for image in images]))
        for i, images in enumerate((light, dark))
    )
    assert find_stretches(bright)[1] == []
    assert [one.kind for one in find_stretches(dim)[1]] == ["dark"]
    assert (dim.confidence.max(axis=1) > 0.0).mean() > 0.9
    body = [11, 12, 23, 24, 25, 26, 27, 28]
    trunk = np.linalg.norm(bright.points[:, 11:13].mean(axis=1) - bright.points[:, 23:25].mean(axis=1), axis=-1)
    off = np.linalg.norm(dim.points - bright.points, axis=-1)[:, body] / trunk[:, None]
    assert np.median(off) < 0.1


def test_pictures_are_brightened_without_flicker_and_only_where_they_are_dark() -> None:
    rng = np.random.default_rng(1)
    bright = rng.integers(0, 256, (90, 160, 3)).astype(np.uint8)
    light = Light()
    first = light.brighten(Frame(0.0, bright))
    assert first.image is bright
    assert not first.dark
    light, levels = Light(), []
    for i in range(50):
        flicker = 0.1 * (1.0 + 0.3 * np.sin(2.0 * i))
        frame = light.brighten(Frame(i / 25.0, (bright * flicker).astype(np.uint8)))
        levels.append(float(frame.image.mean()))
        assert frame.dark
    assert min(levels) > 0.5 * bright.mean()
    was = 0.1 * (1.0 + 0.3 * np.sin(2.0 * np.arange(50)))
    assert np.std(levels[10:]) / np.mean(levels[10:]) < 1.2 * np.std(was) / np.mean(was)  # no more than it had
    # A black picture is dark at once, and the one after it no longer.
    light = Light()
    pictures = [bright] * 25 + [np.zeros_like(bright)] * 5 + [bright] * 5
    dark = [light.brighten(Frame(i / 25.0, image)).dark for i, image in enumerate(pictures)]
    assert dark == [False] * 25 + [True] * 5 + [False] * 5
    # The light goes on: nothing is blinding.
    assert light.brighten(Frame(2.0, bright)).image is bright


def test_another_shot_is_in_other_light() -> None:
    rng = np.random.default_rng(1)
    bright = rng.integers(0, 256, (90, 160, 3)).astype(np.uint8)
    dim = (0.1 * bright).astype(np.uint8)
    for cut in (False, True):
        (_, second) = brightened([(Frame(0.0, bright), False), (Frame(0.04, dim), cut)])
        assert second[1] == cut
        assert second[0].dark
        assert (second[0].image is dim) == (not cut)  # the light of one shot fades, and is not lost at once


@pytest.mark.data
@needs_data
@pytest.mark.parametrize("start", [8.0, 39.0, 53.0])
def test_a_real_dancer_who_faces_the_camera_is_seen_facing_it(start: float) -> None:
    """There the landmark network takes her front for her back, while her arms cross or hang down."""
    seen = watch(DATA / "dancer.avi", start=start, duration=1.0)
    facing = np.array([breadth(points) for points in seen.points])
    assert (facing > -0.1).mean() > 0.9
    assert np.median(facing) > 0.2


@pytest.mark.data
@needs_data
def test_watching_can_be_ended_at_any_moment() -> None:
    def stop(share: float, text: str) -> None:
        if share > 0.0:
            raise Cancelled

    with pytest.raises(Cancelled):
        watch(DATA / "dancer.avi", progress=stop)
