"""The points of a body that are seen in a picture: their names, orders, and what other systems call them."""

from __future__ import annotations

import numpy as np

from ...retarget.rotations import Array

# MediaPipe's 33 landmarks, in its order. Left and right are the person's own.
MEDIAPIPE = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_toe", "right_toe",
)  # fmt: skip

# The points that the lifter knows: COCO's 17 in COCO's order, then feet and hands (knuckles of index and little
# finger). A detector that knows COCO alone leaves the last eight out.
POINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
    "left_heel", "right_heel", "left_toe", "right_toe", "left_index", "right_index", "left_pinky", "right_pinky",
)  # fmt: skip
COCO = 17  # the first so many of POINTS

# Where in MediaPipe's order each of POINTS is.
FROM_MEDIAPIPE = tuple(MEDIAPIPE.index(name) for name in POINTS)

# Each of POINTS' partner on the other side, itself on the midline.
MIRROR = tuple(
    POINTS.index(name.replace("left", "right") if "left" in name else name.replace("right", "left")) for name in POINTS
)

# Human3.6M's 17 joints, the order in which lifters are measured.
HUMAN36M = (
    "hip", "right_hip", "right_knee", "right_foot", "left_hip", "left_knee", "left_foot", "spine", "thorax", "nose",
    "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip


def to_human36m(points: Array) -> Array:
    """(..., 17, D) joints in Human3.6M's order out of (..., 17 or 25, D) points in the order of POINTS.

    What COCO lacks is put where its neighbours say: hip and thorax midway between the hips and the shoulders,
    the spine midway between those, the head midway between the ears.
    """
    at = {name: points[..., i, :] for i, name in enumerate(POINTS[: points.shape[-2]])}
    hip = (at["left_hip"] + at["right_hip"]) / 2
    thorax = (at["left_shoulder"] + at["right_shoulder"]) / 2
    at |= {
        "hip": hip, "thorax": thorax, "spine": (hip + thorax) / 2, "head": (at["left_ear"] + at["right_ear"]) / 2,
        "right_foot": at["right_ankle"], "left_foot": at["left_ankle"],
    }  # fmt: skip
    return np.stack([at[name] for name in HUMAN36M], axis=-2)
