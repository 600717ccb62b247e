"""A camera that moves is known by what stands still behind the person, and its movement is taken out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import ndimage
from stepsmith.backend.pose.camera_motion import CameraMotion, stands
from stepsmith.backend.pose.detections import Detections, Views
from stepsmith.backend.pose.stretches import find_stretches

cv2 = pytest.importorskip("cv2")

WIDTH, HEIGHT = 320, 180
MIDDLE = np.array([350.0, 250.0])  # of the room, where the dancer stands
Shot = tuple[float, float, float, float]  # x and y of the room in the picture's middle, zoom, degrees of roll
AT_REST: Shot = (350.0, 250.0, 1.0, 0.0)


@pytest.fixture(scope="module")
def room() -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(500, 700))
    return np.clip(128 + 200 * ndimage.gaussian_filter(noise, 2.5), 0, 255).astype(np.uint8)


def lens(shot: Shot, scale: float = 1.0) -> np.ndarray:
    """(2, 3) from the room to the picture."""
    x, y, zoom, roll = shot
    matrix = cv2.getRotationMatrix2D((x, y), roll, zoom * scale)
    matrix[:, 2] += [scale * WIDTH / 2 - x, scale * HEIGHT / 2 - y]
    return matrix


def seen(place: np.ndarray, shot: Shot, scale: float = 1.0) -> complex:
    return complex(*(lens(shot, scale) @ [*place, 1.0]))


def filmed(
    room: np.ndarray,
    shots: Sequence[Shot],
    scale: float = 1.0,
    edit: Callable[[np.ndarray], None] = lambda picture: None,
) -> CameraMotion:
    """What is made of pictures of a room in which somebody dances; ``edit`` draws on them afterwards."""
    camera, random = CameraMotion(), np.random.default_rng(1)
    for k, shot in enumerate(shots):
        size = round(scale * WIDTH), round(scale * HEIGHT)
        picture = cv2.warpAffine(room, lens(shot, scale), size)
        picture = np.clip(picture + random.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)
        spot = seen(MIDDLE, shot, scale)
        side = 0.5 * scale * HEIGHT * shot[2]
        left, top = round(spot.real - side / 2), round(spot.imag - side / 2)
        body = np.roll(room, 9 * k, axis=1)[: round(side), : round(side)]
        shown = picture[max(top, 0) :, max(left, 0) :][: round(side), : round(side)]
        shown[:] = body[: shown.shape[0], : shown.shape[1]]
        edit(picture)
        landmarks = np.array([spot.real, spot.imag]) + 0.42 * side * np.array([[-1.0, -1.0], [1.0, 1.0]])
        camera.see(np.repeat(picture[..., None], 3, axis=-1), landmarks)
    return camera


PAN = [(350.0 + 2.5 * k, 250.0, 1.0, 0.0) for k in range(60)]
SHOTS: dict[str, list[Shot]] = {
    "pan": PAN,
    "zoom": [(350.0, 250.0, 1.0 + 0.5 * np.sin(k / 12) ** 2, 0.0) for k in range(60)],
    "shake": [
        (350.0 + x, 250.0 + y, 1.0, roll)
        for x, y, roll in ndimage.gaussian_filter1d(np.random.default_rng(2).normal(size=(60, 3)) * [25, 20, 4], 1.5, 0)
    ],
    "still, then led away": [AT_REST] * 45 + [(350.0 + 0.08 * k**2, 250.0, 1.0, 0.0) for k in range(40)],
}


@pytest.mark.parametrize("name", SHOTS)
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_what_stands_in_the_room_stands_in_the_steadied_pictures(room: np.ndarray, name: str, scale: float) -> None:
    shots = SHOTS[name]
    views = filmed(room, shots, scale).views()
    places = [MIDDLE + np.array(beside) for beside in ((0.0, 0.0), (0.0, 60.0), (-60.0, -40.0))]
    points = np.array([[seen(place, shot, scale) for place in places] for shot in shots])
    steadied = views[:, :1] * points + views[:, 1:]
    assert np.abs(steadied - points[0]).max() < 0.01 * WIDTH * scale
    assert np.abs(points - points[0]).max() > 0.06 * WIDTH * scale


@pytest.mark.parametrize("room_of", [lambda room: room, lambda room: np.full_like(room, 180)], ids=["room", "wall"])
def test_a_camera_that_stands_still_is_left_alone(room: np.ndarray, room_of: Callable[..., np.ndarray]) -> None:
    views = filmed(room_of(room), [AT_REST] * 80).views()
    np.testing.assert_array_equal(views, np.tile([1.0, 0.0], (80, 1)))


def test_words_over_the_picture_do_not_hide_that_the_camera_moves() -> None:
    wall = np.full((500, 700), 128, dtype=np.uint8)
    pictures = np.random.default_rng(0).integers([0, 0, 10, 10, 100], [660, 460, 50, 50, 156], (160, 5))
    for x, y, width, height, grey in pictures:
        wall[y : y + height, x : x + width] = grey

    def write(picture: np.ndarray) -> None:
        for line in (30, 60):
            for grey, thickness in ((0, 6), (255, 2)):
                words = "my new dance, do you like it?"
                cv2.putText(picture, words, (10, line), cv2.FONT_HERSHEY_SIMPLEX, 0.8, grey, thickness)

    shots, scale = PAN[:30], 2.5
    views = filmed(wall, shots, scale, write).views()
    points = np.array([seen(MIDDLE, shot, scale) for shot in shots])
    assert np.abs(views[:, 0] * points + views[:, 1] - points[0]).max() < 0.01 * WIDTH * scale
    still = filmed(wall, [AT_REST] * 20, scale, write).views()
    np.testing.assert_array_equal(still, np.tile([1.0, 0.0], (20, 1)))


def test_what_moves_on_a_screen_is_no_camera(room: np.ndarray) -> None:
    views = filmed(room, PAN).views()
    ground = np.array([[seen(MIDDLE + np.array([side, 80.0]), shot) for side in (-9.0, 9.0)] for shot in PAN])
    stepping = ground + [[0.0, 5.0 * (k // 10 % 2)] for k in range(len(PAN))]
    in_the_room = np.stack([stepping.real, stepping.imag], axis=-1)
    in_the_room[3:6] = np.nan  # not seen
    assert stands(views, in_the_room, 0.04)
    before_a_screen = np.tile(in_the_room[:1], (len(PAN), 1, 1))
    assert not stands(views, before_a_screen, 0.04)
    assert not stands(views, np.full((len(PAN), 2, 2), np.nan), 0.04)
    assert not stands(views[:3], in_the_room[:3], 0.04)


def detections(views: Views | None) -> Detections:
    count = 90
    points = np.random.default_rng(3).uniform(0.0, 100.0, (count, 33, 2))
    facts = np.ones((count, 33)), np.zeros((count, 33, 3)), np.ones(count, int), np.array([], int)
    return Detections(np.arange(count) / 30.0, (320, 180), points, *facts, views=views)


def test_points_are_seen_from_where_the_camera_mostly_was() -> None:
    views = np.tile(np.array([1.0 + 0.0j, 0.0j]), (90, 1))
    views[60:] = [2.0j, 10.0]  # for a third of the time turned, and farther away
    moved = detections(views)
    steadied = moved.steadied(slice(30, 90))
    np.testing.assert_allclose(steadied[:30], moved.points[30:60])
    np.testing.assert_allclose(steadied[30:, :, 0], 10.0 - 2.0 * moved.points[60:, :, 1])
    np.testing.assert_allclose(steadied[30:, :, 1], 2.0 * moved.points[60:, :, 0])
    still = detections(None)
    assert still.steadied(slice(5, 9)) is not still.points
    np.testing.assert_array_equal(still.steadied(slice(5, 9)), still.points[5:9])


def test_a_camera_that_is_led_is_told_of_and_a_trembling_one_is_not() -> None:
    led = np.tile(np.array([1.0 + 0.0j, 0.0j]), (90, 1))
    led[30:60, 1] = np.linspace(0.0, 60.0, 30)
    led[60:, 1] = 60.0
    (told,) = (problem for problem in find_stretches(detections(led))[1] if problem.kind == "camera")
    assert 0.4 <= told.start <= 1.0
    assert 2.0 <= told.end <= 2.6
    assert "The camera moves from" in told.sentence
    trembling = np.tile(np.array([1.0 + 0.0j, 0.0j]), (90, 1))
    trembling[:, 1] = np.random.default_rng(4).normal(size=90)
    assert all(problem.kind != "camera" for problem in find_stretches(detections(trembling))[1])
