"""A dancer filmed by a camera that moves, against the same filmed by one at rest.

    python benchmarks/moving_camera.py VIDEO [VIDEO ...] [--seconds 12]

The videos are of a camera that stands still, with things to be seen behind the dancer. A part of each picture, moved
about as a camera would be, is what is captured; the same part at rest is what it is compared with. Prints a table in
Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from stepsmith.backend.pose.capture import capture
from stepsmith.backend.pose.video import Video
from stepsmith.retarget.motion import Motion

Array = NDArray[np.float64]

SHOWN = 0.8  # of the picture's sides

_TREMBLING = gaussian_filter1d(np.random.default_rng(0).normal(size=(100_000, 2)), 2.0, axis=0)
# Of second and frame: where the middle of the part is, in shares of the picture from its middle, and its zoom.
CAMERAS: dict[str, Callable[[float, int], tuple[float, float, float]]] = {
    "at rest": lambda _, __: (0.0, 0.0, 1.0),
    "trembling": lambda _, k: (0.02 * _TREMBLING[k, 0], 0.02 * _TREMBLING[k, 1], 1.0),
    "panned": lambda t, _: (0.09 * np.sin(0.8 * t), 0.0, 1.0),
    "zoomed": lambda t, _: (0.0, 0.0, 1.0 + 0.12 * (1.0 - np.cos(t))),
}


def film(source: Path, made: Path, seconds: float, camera: Callable[[float, int], tuple[float, float, float]]) -> None:
    """What the camera sees of the source's beginning, as a video."""
    video = Video(source)
    rate = Fraction(video.info.fps).limit_denominator(1000)
    with av.open(str(made), "w") as out:
        stream = None
        for k, frame in enumerate(islice(video.frames(), round(seconds * rate))):
            height, width = frame.image.shape[:2]
            size = (2 * round(SHOWN * width / 2), 2 * round(SHOWN * height / 2))
            if stream is None:
                stream = out.add_stream("libx264", rate=rate, options={"crf": "16"})
                stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            x, y, zoom = camera(k / float(rate), k)
            lens = np.array([[zoom, 0.0, 0.0], [0.0, zoom, 0.0]])
            lens[:, 2] = np.array(size) / 2.0 - zoom * np.array([(0.5 + x) * width, (0.5 + y) * height])
            seen = cv2.warpAffine(frame.image, lens, size, borderMode=cv2.BORDER_REPLICATE)
            for packet in stream.encode(av.VideoFrame.from_ndarray(seen, format="rgb24")):
                out.mux(packet)
        if stream is not None:
            for packet in stream.encode():
                out.mux(packet)
    video.close()


def compared(motion: Motion, still: Motion) -> dict[str, float]:
    """What differs from what was captured by the camera at rest; both are of the same seconds."""
    frames = min(len(motion), len(still))
    path, known = (one.root[:frames] - one.root[0] for one in (motion, still))
    joints, truth = (one.positions()[:frames] for one in (motion, still))
    joints, truth = joints - joints[:, :1], truth - truth[:, :1]
    lowest = motion.positions()[..., 2].min(axis=1)
    steps = np.linalg.norm(np.diff(motion.root[:, :2], axis=0), axis=1)
    return {
        "path error, cm": 100.0 * float(np.linalg.norm((path - known)[:, :2], axis=1).mean()),
        "way of the hips, m": float(steps.sum()),
        "joints, mm": 1000.0 * float(np.linalg.norm(joints - truth, axis=-1).mean()),
        "feet in contact, %": 100.0 * float((motion.contacts > 0.5).mean()),
        "highest lowest joint, cm": 100.0 * float(lowest.max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+", metavar="VIDEO", help="of a camera that stands still")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each video's beginning")
    options = parser.parse_args()
    for path in options.videos:
        if not path.is_file():
            parser.error(f"There is no video {path}.")
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in CAMERAS}
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.mp4"
        for path in options.videos:
            captured = {}
            for name, camera in CAMERAS.items():
                film(path, made, options.seconds, camera)
                captured[name] = capture(made).joined()
            for name, motion in captured.items():
                rows[name].append(compared(motion, captured["at rest"]))
    columns = list(rows["at rest"][0])
    print("| camera | " + " | ".join(columns) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for name, found in rows.items():
        means = [float(np.mean([row[column] for row in found])) for column in columns]
        print(f"| {name} | " + " | ".join(f"{mean:.1f}" for mean in means) + " |")


if __name__ == "__main__":
    main()
