"""The truth out of several calibrated cameras that film one person: what their detections agree upon.

Detectors err, and now and then take left for right; so the places are found that explain most detections, smooth in
time, with the sides put right, and the cameras are moved a little where all detections say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.optimize import least_squares
from scipy.sparse import coo_matrix
from scipy.spatial.transform import Rotation

from ...retarget.errors import StepsmithError
from ...retarget.rotations import Array
from ..pose.landmarks import MIRROR, POINTS

# What can be taken for its partner together: the face, the arms, the legs, shoulders, hips.
_PARTS = [
    [i for i, name in enumerate(POINTS) if any(part in name for part in parts)]
    for parts in (
        ("nose", "eye", "ear"), ("shoulder",), ("elbow", "wrist", "index", "pinky"), ("hip",),
        ("knee", "ankle", "heel", "toe"),
    )
]  # fmt: skip
# Rays a metre before the camera: what counts as agreement, and, at first, as possible.
_AGREE, _POSSIBLE = 0.004, 0.02
_SIDES = 0.01  # how far off points must be for their sides to be doubted
_ACCELERATION = 14.0  # m/s², the usual size, by which paths are smoothed
_ROUNDS = 25
_BANDS = 6  # beside the diagonal: a path's numbers are bound to those two frames away
_SETTLED = 5  # rounds before sides are doubted
# How far cameras may be off: radians and metres, standard deviations.
_TURN, _MOVE = 0.02, 0.05
_REFINED_FRAMES = 25
_MOST_BYTES = 1 << 20  # of a calibration file


@dataclass(frozen=True, eq=False)
class FilmCamera:
    """A calibrated camera with lens distortion: ``rotation`` (3, 3) from the world into its frame (x right, y down,
    z away), ``position`` (3,) metres, ``focal`` and ``centre`` (2,) pixels, ``distortion`` k1, k2, p1, p2 of Brown's
    model as OpenCV has it."""

    name: str
    rotation: Array
    position: Array
    focal: Array
    centre: Array
    distortion: Array

    def see(self, world: Array) -> Array:
        """(..., 3) places of the world in the camera's frame."""
        return (world - self.position) @ self.rotation.T

    def rays(self, pixels: Array) -> Array:
        """(..., 2) x / z and y / z of pixels, the lens' distortion undone by fixed-point iteration."""
        bent = (pixels - self.centre) / self.focal
        k1, k2, p1, p2 = self.distortion
        straight = bent
        for _ in range(10):
            x, y = straight[..., 0], straight[..., 1]
            r2 = x * x + y * y
            shift = np.stack([2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], axis=-1)
            straight = (bent - shift) / (1 + k1 * r2 + k2 * r2 * r2)[..., None]
        return straight


def read_qualisys(path: Path) -> list[FilmCamera]:
    """The cameras of a calibration file (``.qca.txt``) of Qualisys, in its order.

    Lengths are mm there, pixels in 64ths, and the camera's frame has x right, y up, z back. Raises StepsmithError
    where it is no such file.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("too large")
        text = path.read_text(encoding="ascii", errors="strict")
        if "<!" in text:  # no calibration defines entities
            raise ValueError("no plain XML")
        cameras = [_camera(element) for element in ElementTree.fromstring(text).iter("camera")]
        if len(cameras) < 2 or not all(np.isfinite([*c.position, *c.rotation.flat]).all() for c in cameras):
            raise ValueError("fewer than two cameras")
    except (OSError, ValueError, KeyError, ElementTree.ParseError) as error:
        raise StepsmithError(f"{path} is no calibration of Qualisys cameras: export it again.") from error
    return cameras


def _camera(element: ElementTree.Element) -> FilmCamera:
    parts = {child.tag: child.attrib for child in element}
    place, lens = ({key: _number(v) for key, v in parts[tag].items()} for tag in ("transform", "intrinsic"))
    turn = np.array([[place[f"r{row}{column}"] for column in (1, 2, 3)] for row in (1, 2, 3)])
    return FilmCamera(
        element.attrib["serial"],
        np.diag([1.0, -1.0, -1.0]) @ turn,
        np.array([place["x"], place["y"], place["z"]]) / 1000.0,
        np.array([lens["focalLengthU"], lens["focalLengthV"]]) / 64.0,
        np.array([lens["centerPointU"], lens["centerPointV"]]) / 64.0,
        np.array([lens[f"{kind}Distortion{k}"] for kind in ("radial", "tangental") for k in (1, 2)]),
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


# -- triangulation ------------------------------------------------------------------------------------


def reconstruct(cameras: Sequence[FilmCamera], pixels: Array, fps: float) -> tuple[Array, list[FilmCamera]]:
    """(F, 25, 3) metres, what moved before the cameras, and the cameras put where the detections say they stood.

    ``pixels``: (C, F, 25, 2) what each camera's detector made of the frames, NaN where it saw nobody.
    """
    rays = np.stack([camera.rays(one) for camera, one in zip(cameras, pixels, strict=True)])
    moved = list(cameras)
    swapped = np.zeros((*rays.shape[:2], len(_PARTS)), dtype=bool)
    for _ in range(2):  # sides that were put right move the cameras better
        moved = _refine(moved, _put_right(rays, swapped))
        places, swapped = _fit(moved, rays, fps)
    return places, moved


def _put_right(rays: Array, swapped: NDArray[np.bool_]) -> Array:
    """The rays with left and right exchanged in the parts that are ``swapped``, (C, F, parts)."""
    right = rays.copy()
    for part, points in enumerate(_PARTS):
        partners = [MIRROR[i] for i in points]
        right[:, :, points] = np.where(swapped[..., part, None, None], rays[:, :, partners], rays[:, :, points])
    return right


def _fit(cameras: Sequence[FilmCamera], rays: Array, fps: float) -> tuple[Array, NDArray[np.bool_]]:
    """(F, 25, 3) places that most cameras agree upon, smooth in time, and which parts were seen (C, F, parts) swapped.

    Least squares, reweighted as Cauchy's distribution asks, ever more strictly; sides are chosen in each round.
    """
    matrices = _matrices(cameras)
    frames, count = rays.shape[1:3]
    places = _closest(matrices, rays, np.full(rays.shape[:3], 1.0))
    still = _stillness(frames) / (_ACCELERATION / fps**2) ** 2
    swapped = np.zeros((*rays.shape[:2], len(_PARTS)), dtype=bool)
    for number in range(_ROUNDS):
        if number >= _SETTLED:
            swapped = _sides(matrices, places, rays)
        sorted_rays = _put_right(rays, swapped)
        scale = max(_AGREE, _POSSIBLE * 0.8**number)
        seen, depth = _project(matrices, places)
        weights = _weights(seen - sorted_rays, scale) / depth / scale
        for point in range(count):
            places[:, point] = _smooth_path(matrices, sorted_rays[:, :, point], weights[:, :, point], still)
    return places, swapped


def _stillness(frames: int) -> Array:
    """(_BANDS + 1, 3 F) the sum of squared second differences of a path (F, 3), as a matrix's upper bands."""
    ones, bands = np.ones(max(frames - 2, 0)), np.zeros((_BANDS + 1, frames, 3))
    for k, factor in enumerate((1.0, -2.0, 1.0)):
        for later, other in enumerate((1.0, -2.0, 1.0)[k:]):
            bands[_BANDS - 3 * later, k + later : k + later + len(ones)] += factor * other * ones[:, None]
    return bands.reshape(_BANDS + 1, 3 * frames)


def _smooth_path(matrices: Array, rays: Array, weights: Array, still: Array) -> Array:
    """(F, 3) the path of one point: the least squares of its equations and of its accelerations."""
    rows, wanted = _equations(matrices, rays, weights)
    frames = rays.shape[1]
    blocks = np.einsum("cfik,cfil->fkl", rows, rows) + 1e-9 * np.eye(3)
    bands = still.copy().reshape(_BANDS + 1, frames, 3)
    for k in range(3):
        for column in range(k, 3):
            bands[_BANDS - (column - k), :, column] += blocks[:, k, column]
    right = np.einsum("cfik,cfi->fk", rows, wanted)
    return solveh_banded(bands.reshape(_BANDS + 1, -1), right.ravel()).reshape(frames, 3)


def _sides(matrices: Array, places: Array, rays: Array) -> NDArray[np.bool_]:
    """(C, F, parts) whether a part's points lie better on their partners' places."""
    seen, _ = _project(matrices, places)
    off = [
        np.log1p((np.linalg.norm(seen[:, :, points] - rays[:, :, others], axis=-1) / _SIDES) ** 2).mean(axis=-1)
        for points in _PARTS
        for others in (points, [MIRROR[i] for i in points])
    ]
    return np.stack([swapped < own - 0.3 for own, swapped in zip(off[::2], off[1::2], strict=True)], axis=-1)


def _closest(matrices: Array, rays: Array, weights: Array) -> Array:
    """(F, P, 3) each place by itself, from rays (C, F, P, 2), reweighted a few times."""
    places = np.zeros((*rays.shape[1:3], 3))
    depth = np.ones(rays.shape[:3])
    for _ in range(8):
        rows, wanted = _equations(matrices, rays, weights / depth)
        normal = np.einsum("c...ik,c...il->...kl", rows, rows) + 1e-9 * np.eye(3)
        places = np.linalg.solve(normal, np.einsum("c...ik,c...i->...k", rows, wanted)[..., None])[..., 0]
        seen, depth = _project(matrices, places)
        weights = _weights(seen - rays, _POSSIBLE)
    return places


def _matrices(cameras: Sequence[FilmCamera]) -> Array:
    """(C, 3, 4) projections from the world to rays."""
    return np.stack([np.column_stack([c.rotation, -c.rotation @ c.position]) for c in cameras])


def _project(matrices: Array, places: Array) -> tuple[Array, Array]:
    """(C, ..., 2) rays and (C, ...) depths of places (..., 3)."""
    ahead = (1,) * (places.ndim - 1)
    seen = np.einsum("cij,...j->c...i", matrices[..., :3], places) + matrices[..., 3].reshape(len(matrices), *ahead, 3)
    depth = np.maximum(seen[..., 2], 0.1)
    return seen[..., :2] / depth[..., None], depth


def _equations(matrices: Array, rays: Array, weights: Array) -> tuple[Array, Array]:
    """``rows`` (C, ..., 2, 3) and ``wanted`` (C, ..., 2) of the linear equations of places on rays (C, ..., 2)."""
    ahead = (slice(None), *[None] * (rays.ndim - 2))
    known = np.isfinite(rays).all(axis=-1)
    rays, weights = np.nan_to_num(rays), np.where(known, weights, 0.0)[..., None]
    lines = rays[..., None] * matrices[ahead][..., None, 2, :] - matrices[ahead][..., :2, :]
    return lines[..., :3] * weights[..., None], -lines[..., 3] * weights


def _weights(off: Array, scale: float) -> Array:
    """(...) weights of errors (..., 2): small where they are far beyond ``scale``, 0 where nothing was seen."""
    return np.nan_to_num(1.0 / (1.0 + (np.linalg.norm(off, axis=-1) / scale) ** 2))


def _refine(cameras: Sequence[FilmCamera], rays: Array) -> list[FilmCamera]:
    """The cameras turned and moved a little for rays (C, F, P, 2) to meet, with the places, by bundle adjustment."""
    some = np.unique(np.linspace(0, rays.shape[1] - 1, _REFINED_FRAMES).round().astype(int))
    seen = rays[:, some].reshape(len(cameras), -1, 2)
    first = _closest(_matrices(cameras), seen[:, None], np.ones((len(cameras), 1, seen.shape[1])))[0]
    known, sizes = np.isfinite(seen), np.array([_TURN] * 3 + [_MOVE] * 3)
    numbers = 6 * len(cameras)

    def put(values: Array) -> list[FilmCamera]:
        return [
            replace(c, rotation=Rotation.from_rotvec(v[:3]).as_matrix() @ c.rotation, position=c.position + v[3:])
            for c, v in zip(cameras, values[:numbers].reshape(-1, 6), strict=True)
        ]

    def errors(values: Array) -> Array:
        off = _project(_matrices(put(values)), values[numbers:].reshape(-1, 3))[0] - seen
        kept = np.where(known, off, 0.0).ravel() / (0.75 * _AGREE)
        return np.concatenate([kept, (values[:numbers].reshape(-1, 6) / sizes).ravel()])

    row, column = _sparsity(len(cameras), seen.shape[1])
    shape = (seen.size + numbers, numbers + first.size)
    found = least_squares(
        errors,
        np.concatenate([np.zeros(numbers), first.ravel()]),
        jac_sparsity=coo_matrix((np.ones(len(row)), (row, column)), shape=shape).tocsr(),
        loss="soft_l1",
        x_scale="jac",
        max_nfev=60,
    )
    return put(found.x)


def _sparsity(cameras: int, places: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the numbers that each error of the bundle adjustment depends on."""
    error = np.arange(2 * cameras * places)
    camera, place = error // (2 * places), (error // 2) % places
    own = np.arange(6 * cameras)
    rows = [np.repeat(error, 6), np.repeat(error, 3), error.size + own]
    columns = [
        (6 * camera[:, None] + np.arange(6)).ravel(),
        (6 * cameras + 3 * place[:, None] + np.arange(3)).ravel(),
        own,
    ]
    return np.concatenate(rows), np.concatenate(columns)
