"""MediaPipe's pose networks, run through its own graphs: where people are, and the landmarks of one of them.

MediaPipe's ready-made Pose follows whom it saw first. Here its two halves run apart, so that several people are
seen, and somebody else decides whom the second half looks at. The models lie within MediaPipe's package.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...retarget.errors import StepsmithError
from ...retarget.rotations import Array

Image = NDArray[np.uint8]

_MARGIN = 1.25  # how much larger than the body's circle the square is that the landmark network sees

# Everybody in the picture, as four points: middle of the hips, a point on the circle round the whole body; middle of
# the shoulders, a point on the circle round the upper body.
_PEOPLE = """
input_stream: "image"
output_stream: "people"
node {
  calculator: "PoseDetectionCpu"
  input_stream: "IMAGE:image"
  output_stream: "DETECTIONS:people"
}
"""

# The landmarks of whoever is within a given square, those of the ready-made Pose before and after its smoothing,
# and the square in which to look in the next picture.
_LANDMARKS = """
input_stream: "image"
input_stream: "square"
output_stream: "landmarks"
output_stream: "smooth_world"
output_stream: "next_square"
node {
  calculator: "ImagePropertiesCalculator"
  input_stream: "IMAGE_CPU:image"
  output_stream: "SIZE:size"
}
node {
  calculator: "PoseLandmarkByRoiCpu"
  input_side_packet: "MODEL_COMPLEXITY:complexity"
  input_stream: "IMAGE:image"
  input_stream: "ROI:square"
  output_stream: "LANDMARKS:landmarks"
  output_stream: "AUXILIARY_LANDMARKS:circle"
  output_stream: "WORLD_LANDMARKS:world"
}
node {
  calculator: "PoseLandmarkFiltering"
  input_side_packet: "ENABLE:smooth"
  input_stream: "IMAGE_SIZE:size"
  input_stream: "NORM_LANDMARKS:landmarks"
  input_stream: "AUX_NORM_LANDMARKS:circle"
  input_stream: "WORLD_LANDMARKS:world"
  output_stream: "FILTERED_NORM_LANDMARKS:smooth_landmarks"
  output_stream: "FILTERED_AUX_NORM_LANDMARKS:smooth_circle"
  output_stream: "FILTERED_WORLD_LANDMARKS:smooth_world"
}
node {
  calculator: "PoseLandmarksToRoi"
  input_stream: "LANDMARKS:smooth_circle"
  input_stream: "IMAGE_SIZE:size"
  output_stream: "ROI:next_square"
}
"""


@dataclass(frozen=True)
class Square:
    """The square round a body: ``centre`` (x, y) of the hips and ``side`` in pixels, ``turn`` in radians clockwise."""

    centre: tuple[float, float]
    side: float
    turn: float


@dataclass(frozen=True, eq=False)
class Pose:
    """What the network saw in a square: ``points`` (33, 2) pixels, ``visibility`` (33,) in [0, 1], ``world``
    (33, 3) metres around the hips, smoothed as MediaPipe does; ``square`` where to look in the next picture."""

    points: Array
    visibility: Array
    world: Array
    square: Square


@dataclass(frozen=True, eq=False)
class Figure:
    """A person in a picture: the ``square`` round the body, ``shoulders`` (2,) pixels, the middle between them, and
    how sure the detector is, ``score`` in [0, 1]."""

    square: Square
    shoulders: Array
    score: float


class People:
    """Finds everybody in a picture."""

    def __init__(self) -> None:
        self._graph = _Graph(_PEOPLE, ["people"], {})

    def find(self, image: Image, time: float) -> list[Figure]:
        """Everybody in the picture (height, width, 3) RGB; ``time`` in seconds must grow from call to call."""
        from mediapipe.python import packet_getter

        height, width = image.shape[:2]
        scale = np.array([width, height])
        (found,) = self._graph.run({"image": _image_packet(image)}, time)
        if found is None:
            return []
        figures = []
        for detection in packet_getter.get_proto_list(found):
            places = detection.location_data.relative_keypoints
            centre, rim, shoulders, _ = (np.array([place.x, place.y]) * scale for place in places)
            figures.append(Figure(square_round(centre, rim), shoulders, detection.score[0]))
        return figures

    def close(self) -> None:
        self._graph.close()


class Landmarks:
    """Finds the landmarks of the person within a square."""

    def __init__(self) -> None:
        from mediapipe.python import packet_creator

        # 1: the model that MediaPipe's package contains; 0 and 2 would be fetched from the net.
        settings = {"complexity": packet_creator.create_int(1), "smooth": packet_creator.create_bool(True)}
        self._graph = _Graph(_LANDMARKS, ["landmarks", "smooth_world", "next_square"], settings)

    def find(self, image: Image, time: float, square: Square) -> Pose | None:
        """The pose within the square, None where nobody is; ``time`` in seconds must grow from call to call."""
        from mediapipe.framework.formats import rect_pb2
        from mediapipe.python import packet_creator, packet_getter

        height, width = image.shape[:2]
        (x, y), side = square.centre, square.side
        asked = rect_pb2.NormalizedRect(
            x_center=x / width, y_center=y / height, width=side / width, height=side / height, rotation=square.turn
        )
        packets = {"image": _image_packet(image), "square": packet_creator.create_proto(asked)}
        landmarks, world, following = self._graph.run(packets, time)
        if landmarks is None or world is None or following is None:
            return None
        seen = packet_getter.get_proto(landmarks).landmark
        points = np.array([[one.x * width, one.y * height, one.visibility] for one in seen])
        metres = np.array([[one.x, one.y, one.z] for one in packet_getter.get_proto(world).landmark])
        roi = packet_getter.get_proto(following)
        coming = Square((roi.x_center * width, roi.y_center * height), roi.width * width, roi.rotation)
        if not (np.isfinite(points).all() and np.isfinite(metres).all() and coming.side >= 1.0):
            return None
        return Pose(points[:, :2], np.clip(points[:, 2], 0.0, 1.0), metres, coming)

    def close(self) -> None:
        self._graph.close()


def square_round(centre: Array, rim: Array) -> Square:
    """The square round a body whose hips are at ``centre`` and whose circle has its topmost point at ``rim``."""
    x, y = rim - centre
    return Square((float(centre[0]), float(centre[1])), 2.0 * _MARGIN * float(np.hypot(x, y)), float(np.arctan2(x, -y)))


def _image_packet(image: Image) -> Any:
    from mediapipe.python import packet_creator
    from mediapipe.python._framework_bindings import image_frame

    return packet_creator.create_image_frame(image_format=image_frame.ImageFormat.SRGB, data=image)


class _Graph:
    """A running graph that is asked about one picture after the other."""

    def __init__(self, config: str, outputs: list[str], settings: dict[str, Any]) -> None:
        bindings = _bindings()
        self._outputs = outputs
        self._packets: dict[str, Any] = {}
        self._stamp = -1
        self._warm = False
        with quiet():
            self._graph = bindings.calculator_graph.CalculatorGraph(graph_config=config)
            for name in outputs:
                self._graph.observe_output_stream(name, self._packets.__setitem__, True)
            self._graph.start_run(settings)
            self._graph.wait_until_idle()  # its calculators open in threads, and tell of it

    def run(self, inputs: dict[str, Any], time: float) -> list[Any | None]:
        """The outputs' packets for the inputs' at that time, None where there is none."""
        self._packets.clear()
        self._stamp = max(self._stamp + 1, round(time * 1e6))  # microseconds
        with contextlib.nullcontext() if self._warm else quiet():
            for name, packet in inputs.items():
                self._graph.add_packet_to_input_stream(name, packet.at(self._stamp))
            self._graph.wait_until_idle()
        found = [self._packets.get(name) for name in self._outputs]
        found = [None if packet is None or packet.is_empty() else packet for packet in found]
        # Its calculators tell their stories when they work for the first time.
        self._warm = self._warm or all(packet is not None for packet in found)
        return found

    def close(self) -> None:
        self._graph.close()


def _bindings() -> Any:
    """MediaPipe's core, told where its models are."""
    try:
        with quiet():
            import mediapipe
            from mediapipe.python import _framework_bindings
    except ImportError as error:
        raise StepsmithError('Videos need MediaPipe: install it with pip install "stepsmith[video]".') from error
    _framework_bindings.resource_util.set_resource_dir(str(Path(mediapipe.__file__).parents[1]))
    return _framework_bindings


_hushing = threading.Lock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps C++ libraries from writing to the terminal, which no setting of theirs prevents."""
    with _hushing:
        if sys.stderr is not None:
            sys.stderr.flush()
        try:
            kept = os.dup(2)
        except OSError:  # there is no error stream at all
            yield
            return
        try:
            with open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
