"""The built-in character's body as numpy arrays: an implicit surface, its mesh, its skin weights.

The body is a smooth union of lofts: superellipse cross-sections along one axis, given by tables of half
widths. A surface net over a grid finds its surface. All in metres, in the rest pose of the SMPL-24
skeleton (T pose, facing -y, soles on z = 0), symmetric about x = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..retarget.rotations import Array
from ..retarget.skeleton import SMPL

Field = Callable[[Array], Array]

REST_JOINTS = SMPL.rest_positions + np.array([0.0, 0.0, SMPL.rest_root_height])
_JOINT = dict(zip(SMPL.names, REST_JOINTS, strict=True))

MATERIALS = ("Skin", "Top", "Leggings", "Shoes", "Hair")
_SKIN, _TOP, _LEGGINGS, _SHOES, _HAIR = range(len(MATERIALS))


@dataclass(frozen=True, eq=False)
class BodyMesh:
    """``vertices`` (V, 3) metres; ``faces``: triangles and quads; ``materials`` (F,) indices into MATERIALS;
    ``weights`` (V, 24): each vertex's share of the SMPL-24 bones, at most four not zero, sum 1."""

    vertices: Array
    faces: list[tuple[int, ...]]
    materials: Array
    weights: Array


@cache
def build_body() -> BodyMesh:
    """The character's mesh, always the same, so it is made once. numpy alone: a thread may make it."""
    vertices, quads = _surface_net(_body, _grid())
    vertices = _relax(vertices, quads, _body)
    vertices, faces, materials = _paint(vertices, quads)
    return BodyMesh(vertices, faces, materials, skin_weights(vertices))


# --- the shape -------------------------------------------------------------------------------------------


# Metres around a loft in which its distance is worked out; more than any blend reaches.
_NEAR = 0.09


@dataclass(frozen=True, eq=False)
class _Loft:
    """A tube along one axis. ``sections``: rows (position along ``axis``, centre and half width of the
    other two axes in x, y, z order: c1, c2, a1, a2). ``power``: 2 is an ellipse, more is squarer.
    ``caps``: how far the rounded ends reach."""

    axis: int
    sections: Sequence[tuple[float, float, float, float, float]]
    power: float = 2.0
    caps: tuple[float, float] = (0.02, 0.02)

    def __call__(self, points: Array) -> Array:
        """About the signed distance (N,) of points (N, 3), negative inside; 1 for all that are not near."""
        table = np.array(sorted(self.sections))
        low, high = self._box(table)
        near = np.all((points > low) & (points < high), axis=1)
        distance = np.ones(len(points))
        distance[near] = self._distance(points[near], table)
        return distance

    def _box(self, table: Array) -> tuple[Array, Array]:
        """Corners of a box that holds the loft and all that a blend can reach."""
        others = [axis for axis in range(3) if axis != self.axis]
        low, high = np.empty(3), np.empty(3)
        low[self.axis], high[self.axis] = table[0, 0] - self.caps[0], table[-1, 0] + self.caps[1]
        low[others] = (table[:, 1:3] - table[:, 3:]).min(axis=0)
        high[others] = (table[:, 1:3] + table[:, 3:]).max(axis=0)
        return low - _NEAR, high + _NEAR

    def _distance(self, points: Array, table: Array) -> Array:
        along = points[:, self.axis]
        clamped = np.clip(along, table[0, 0], table[-1, 0])
        beyond = along - clamped
        c1, c2, a1, a2 = _hermite(clamped, table[:, 0], table[:, 1:]).T
        one, two = (points[:, axis] for axis in range(3) if axis != self.axis)
        terms = np.stack([(one - c1) / a1, (two - c2) / a2, beyond / np.where(beyond < 0.0, *self.caps)])
        norm = (np.abs(terms) ** self.power).sum(axis=0) ** (1.0 / self.power)
        return (norm - 1.0) * np.minimum(a1, a2)


def _hermite(x: Array, knots: Array, values: Array) -> Array:
    """(N, k) values at ``x`` of the smooth curve through ``values`` (K, k) at ``knots`` (K,)."""
    slopes = np.gradient(values, knots, axis=0)
    cell = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    width = knots[cell + 1] - knots[cell]
    t = ((x - knots[cell]) / width)[:, None]
    width = width[:, None]
    return (
        values[cell] * (1 + 2 * t) * (1 - t) ** 2
        + slopes[cell] * width * t * (1 - t) ** 2
        + values[cell + 1] * t**2 * (3 - 2 * t)
        + slopes[cell + 1] * width * t**2 * (t - 1)
    )


def _capsule(a: Sequence[float], b: Sequence[float], radius_a: float, radius_b: float) -> Field:
    """A rod from ``a`` to ``b`` with round ends and a radius that changes evenly."""
    start, along = np.array(a), np.subtract(b, a)

    def distance(points: Array) -> Array:
        share = np.clip((points - start) @ along / (along @ along), 0.0, 1.0)
        return np.linalg.norm(points - start - share[:, None] * along, axis=1) - (
            radius_a + share * (radius_b - radius_a)
        )

    return distance


def _blend(a: Array, b: Array, reach: float) -> Array:
    """Smooth minimum: the union of two surfaces with a fillet of about ``reach`` metres."""
    mix = np.clip(0.5 + 0.5 * (b - a) / reach, 0.0, 1.0)
    return b + mix * (a - b) - reach * mix * (1.0 - mix)


# Rows: z, centre x, centre y, half width x, half width y.
_TORSO = _Loft(
    2,
    [
        (0.855, 0.0, 0.014, 0.060, 0.060),
        (0.885, 0.0, 0.022, 0.120, 0.088),
        (0.920, 0.0, 0.023, 0.155, 0.099),
        (0.970, 0.0, 0.022, 0.158, 0.101),
        (1.030, 0.0, 0.016, 0.142, 0.094),
        (1.095, 0.0, 0.014, 0.122, 0.084),
        (1.160, 0.0, 0.014, 0.125, 0.086),
        (1.240, 0.0, 0.012, 0.141, 0.098),
        (1.310, 0.0, 0.010, 0.153, 0.103),
        (1.370, 0.0, 0.018, 0.158, 0.094),
        (1.415, 0.0, 0.030, 0.150, 0.078),
        (1.450, 0.0, 0.038, 0.112, 0.062),
        (1.480, 0.0, 0.042, 0.062, 0.052),
    ],
    power=2.3,
)
_SHOULDER = _capsule((0.030, 0.046, 1.472), (0.165, 0.046, 1.444), 0.040, 0.036)
_NECK = _Loft(
    2,
    [
        (1.440, 0.0, 0.044, 0.060, 0.058),
        (1.490, 0.0, 0.038, 0.050, 0.052),
        (1.540, 0.0, 0.026, 0.046, 0.050),
        (1.600, 0.0, 0.018, 0.046, 0.050),
    ],
)
_HEAD = _Loft(
    2,
    [
        (1.538, 0.0, -0.048, 0.034, 0.036),
        (1.560, 0.0, -0.034, 0.052, 0.058),
        (1.595, 0.0, -0.014, 0.066, 0.082),
        (1.640, 0.0, 0.000, 0.074, 0.096),
        (1.672, 0.0, 0.005, 0.0755, 0.0985),
        (1.692, 0.0, 0.006, 0.0750, 0.0980),
    ],
    power=2.1,
    caps=(0.020, 0.058),
)
_NOSE = _capsule((0.0, -0.086, 1.662), (0.0, -0.099, 1.620), 0.006, 0.010)
_BUN = _capsule((0.0, 0.104, 1.712), (0.0, 0.112, 1.708), 0.040, 0.038)
# Rows: x, centre y, centre z, half width y, half width z; the left arm, palm down.
_ARM = _Loft(
    0,
    [
        (0.140, 0.042, 1.418, 0.050, 0.050),
        (0.185, 0.046, 1.426, 0.050, 0.050),
        (0.240, 0.050, 1.428, 0.045, 0.046),
        (0.320, 0.056, 1.428, 0.041, 0.043),
        (0.400, 0.062, 1.428, 0.036, 0.037),
        (0.440, 0.064, 1.429, 0.035, 0.034),
        (0.500, 0.064, 1.430, 0.037, 0.036),
        (0.570, 0.064, 1.431, 0.033, 0.032),
        (0.640, 0.064, 1.432, 0.027, 0.025),
        (0.690, 0.064, 1.433, 0.026, 0.020),
    ],
)
_HAND = _Loft(
    0,
    [
        (0.690, 0.064, 1.433, 0.026, 0.019),
        (0.720, 0.067, 1.432, 0.033, 0.018),
        (0.755, 0.070, 1.429, 0.039, 0.017),
        (0.790, 0.071, 1.425, 0.039, 0.0155),
        (0.825, 0.072, 1.419, 0.036, 0.0135),
        (0.855, 0.073, 1.412, 0.030, 0.0115),
        (0.872, 0.073, 1.407, 0.021, 0.0095),
    ],
    power=2.4,
    caps=(0.020, 0.008),
)
_THUMB = _capsule((0.712, 0.050, 1.428), (0.775, 0.008, 1.414), 0.015, 0.011)
# Rows: z, centre x, centre y, half width x, half width y; the left leg.
_LEG = _Loft(
    2,
    [
        (0.070, 0.097, 0.042, 0.030, 0.036),
        (0.120, 0.097, 0.040, 0.029, 0.034),
        (0.200, 0.099, 0.034, 0.035, 0.039),
        (0.300, 0.103, 0.026, 0.045, 0.050),
        (0.370, 0.105, 0.020, 0.049, 0.054),
        (0.430, 0.105, 0.010, 0.047, 0.051),
        (0.482, 0.105, 0.006, 0.048, 0.051),
        (0.540, 0.104, 0.006, 0.052, 0.055),
        (0.660, 0.101, 0.008, 0.065, 0.070),
        (0.770, 0.095, 0.010, 0.076, 0.083),
        (0.850, 0.090, 0.012, 0.081, 0.090),
        (0.920, 0.086, 0.014, 0.076, 0.086),
    ],
    power=2.1,
)
# Rows: y, centre x, centre z, half width x, half width z; the left shoe. Its sole is cut off at z = 0.
_SHOE = _Loft(
    1,
    [
        (0.078, 0.097, 0.032, 0.026, 0.040),
        (0.045, 0.097, 0.034, 0.035, 0.056),
        (0.000, 0.101, 0.028, 0.037, 0.052),
        (-0.050, 0.109, 0.020, 0.042, 0.040),
        (-0.090, 0.116, 0.016, 0.045, 0.032),
        (-0.130, 0.121, 0.013, 0.041, 0.026),
        (-0.155, 0.123, 0.011, 0.030, 0.020),
    ],
    power=2.4,
    caps=(0.018, 0.018),
)


def _body(points: Array) -> Array:
    """About the signed distance (N,) of points (N, 3) to the whole body."""
    half = points.copy()
    half[:, 0] = np.abs(half[:, 0])
    limb = _blend(_ARM(half), _HAND(half), 0.012)
    limb = _blend(limb, _THUMB(half), 0.018)
    trunk = _blend(_TORSO(points), limb, 0.045)
    trunk = _blend(trunk, _SHOULDER(half), 0.030)
    trunk = _blend(trunk, _NECK(points), 0.035)
    head = _blend(_HEAD(points), _NOSE(points), 0.024)
    head = _blend(head, _BUN(points), 0.012)
    trunk = _blend(trunk, head, 0.016)
    shoe = np.maximum(_SHOE(half), -half[:, 2])
    leg = _blend(_LEG(half), shoe, 0.014)
    return _blend(trunk, leg, 0.030)


# --- the mesh --------------------------------------------------------------------------------------------


def _grid() -> tuple[Array, Array, Array]:
    """Coordinates of the grid's planes, closer together where the body is thin."""
    half = np.concatenate([np.arange(0.0085, 0.665, 0.017), np.arange(0.670, 0.90, 0.010)])
    z = np.concatenate(
        [
            np.arange(-0.015, 0.10, 0.010),
            np.arange(0.105, 1.385, 0.0175),
            np.arange(1.392, 1.46, 0.0095),
            np.arange(1.464, 1.78, 0.0125),
        ]
    )
    return np.concatenate([-half[::-1], half]), np.arange(-0.200, 0.180, 0.0125), z


def _surface_net(field: Field, grid: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    """Vertices (V, 3) and quads (F, 4), outward, of the zero surface of ``field`` on a grid symmetric in x.

    One vertex a cell that the surface crosses, at the mean of the crossings of its edges; one quad an
    edge that it crosses (Gibson, "Constrained Elastic SurfaceNets", 1998).
    """
    shape = tuple(len(axis) for axis in grid)
    nodes = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1)
    half = shape[0] // 2  # the body is symmetric about x = 0, as is the grid
    value = field(nodes[half:].reshape(-1, 3)).reshape(-1, *shape[1:])
    value = np.concatenate([value[::-1], value])
    inside = value < 0.0
    cells = tuple(n - 1 for n in shape)
    total, count = np.zeros((*cells, 3)), np.zeros(cells)
    crossings = []
    for axis in range(3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        crossed = inside[low] != inside[high]
        at = np.argwhere(crossed)
        v0, v1 = value[low][crossed], value[high][crossed]
        share = (v0 / (v0 - v1))[:, None]
        point = nodes[low][crossed] * (1.0 - share) + nodes[high][crossed] * share
        one, two = (axis + 1) % 3, (axis + 2) % 3
        around = []
        for d1, d2 in ((0, 0), (1, 0), (1, 1), (0, 1)):
            cell = at.copy()
            cell[:, one] -= 1 - d1
            cell[:, two] -= 1 - d2
            np.add.at(total, tuple(cell.T), point)
            np.add.at(count, tuple(cell.T), 1.0)
            around.append(np.ravel_multi_index(tuple(cell.T), cells))
        quads = np.stack(around, axis=1)
        # The quad turns about +axis, which points outward where the edge leaves the body.
        crossings.append(np.where(inside[low][crossed][:, None], quads, quads[:, ::-1]))
    used = np.flatnonzero(count)
    index = np.full(count.size, -1)
    index[used] = np.arange(len(used))
    vertices = (total.reshape(-1, 3)[used].T / count.ravel()[used]).T
    return vertices, index[np.concatenate(crossings)]


def _relax(vertices: Array, quads: Array, field: Field, rounds: int = 8) -> Array:
    """Vertices spread evenly over the surface: each moves to the middle of its neighbours, then back on it."""
    edges = np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)])
    degree = np.bincount(edges[:, 0], minlength=len(vertices)).astype(float)
    for _ in range(rounds):
        middle = np.stack(
            [np.bincount(edges[:, 0], vertices[edges[:, 1], axis], len(vertices)) for axis in range(3)], axis=1
        )
        moved = vertices + 0.5 * (middle / degree[:, None] - vertices)
        vertices = _project(moved, field)
    return vertices


def _project(points: Array, field: Field) -> Array:
    """Points moved onto the zero surface of ``field`` by a Newton step, of one centimetre at most."""
    nudge, value = 1e-5, field(points)
    slope = np.stack([(field(points + d) - value) / nudge for d in np.eye(3) * nudge], axis=1)
    step = value[:, None] * slope / np.maximum((slope**2).sum(axis=1), 1e-3)[:, None]
    length = np.linalg.norm(step, axis=1, keepdims=True)
    return points - step * np.minimum(1.0, 0.01 / np.maximum(length, 1e-12))


# --- the clothes -----------------------------------------------------------------------------------------


def _hems(points: Array) -> list[tuple[int, Array]]:
    """(material, (N,) metres to its hem, positive inside) in the order in which they are put on."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    neckline = np.linalg.norm((points - [0.0, -0.02, 1.500]) / [1.0, 1.0, 0.9], axis=1) - 0.118
    top = np.minimum(np.minimum(neckline, 0.285 - x), np.minimum(z - 1.055, 1.50 - z))
    leggings = np.minimum(1.055 - z, z - 0.150)
    shoes = 0.086 - 0.12 * y - z
    hairline = (z - 1.668 + 0.55 * y) / 1.14
    return [
        (_TOP, np.where(z > 0.9, top, -1.0)),
        (_LEGGINGS, np.where(x < 0.4, leggings, -1.0)),
        (_SHOES, shoes),
        (_HAIR, np.where(z > 1.5, hairline, -1.0)),
    ]


def _paint(vertices: Array, quads: Array) -> tuple[Array, list[tuple[int, ...]], Array]:
    """Vertices moved onto the hems, quads split along them, and each face's material."""
    polygons: list[tuple[int, ...]] = [tuple(quad) for quad in quads.tolist()]
    for layer in range(len(MATERIALS) - 1):
        polygons = _cut(vertices, polygons, layer)
    centres = np.array([vertices[list(polygon)].mean(axis=0) for polygon in polygons])
    materials = np.full(len(polygons), _SKIN)
    for material, inside in _hems(centres):
        materials[inside > 0.0] = material
    return vertices, polygons, materials


def _cut(vertices: Array, polygons: list[tuple[int, ...]], layer: int) -> list[tuple[int, ...]]:
    """Move (in place) the nearer end of every edge that crosses a hem onto it, and split the quads that
    still have both sides. ``layer``: which of ``_hems``."""
    edges = np.unique(np.sort(np.array([(p[i - 1], p[i]) for p in polygons for i in range(len(p))]), axis=1), axis=0)
    value = _hems(vertices)[layer][1]
    a, b = edges.T
    crossing = (value[a] * value[b] < 0.0) & (np.abs(value[a]) < 0.05) & (np.abs(value[b]) < 0.05)
    a, b = a[crossing], b[crossing]
    near = np.where(np.abs(value[a]) < np.abs(value[b]), a, b)
    far = np.where(np.abs(value[a]) < np.abs(value[b]), b, a)
    near, first = np.unique(near, return_index=True)
    far = far[first]
    share = value[near] / (value[near] - value[far])
    vertices[near] += share[:, None] * (vertices[far] - vertices[near])
    side = np.sign(value)
    side[near] = 0.0
    result: list[tuple[int, ...]] = []
    for polygon in polygons:
        sides = side[list(polygon)]
        if len(polygon) == 4 and sides.min() < 0.0 < sides.max():
            turn = 0 if sides[0] == 0.0 and sides[2] == 0.0 else 1
            p = polygon[turn:] + polygon[:turn]
            result += [(p[0], p[1], p[2]), (p[0], p[2], p[3])]
        else:
            result.append(polygon)
    return result


# --- the skin --------------------------------------------------------------------------------------------


def _ramp(distance: Array, reach: float) -> Array:
    """0 to 1, smoothly, from ``-reach`` to ``reach`` metres."""
    t = np.clip(0.5 + 0.5 * distance / reach, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def skin_weights(vertices: Array) -> Array:
    """(V, 24) weights of the SMPL-24 bones: smooth steps across a plane through every joint."""
    x, y, z = np.abs(vertices[:, 0]), vertices[:, 1], vertices[:, 2]
    left = _ramp(vertices[:, 0], 0.012)
    weights = np.zeros((len(vertices), len(SMPL.names)))

    def chain(share: Array, links: Sequence[tuple[str, Array]]) -> None:
        """Spread ``share`` along bones; each row's steps say how far a vertex lies beyond that bone's head."""
        beyond = share
        for (name, step), (_, following) in zip(links, [*links[1:], ("", np.zeros(len(vertices)))], strict=True):
            beyond = beyond * step
            part = beyond * (1.0 - following)
            if name in SMPL.names:
                weights[:, SMPL.names.index(name)] += part
            else:
                weights[:, SMPL.names.index(f"left_{name}")] += part * left
                weights[:, SMPL.names.index(f"right_{name}")] += part * (1.0 - left)

    shoulder, elbow, wrist, hand = (_JOINT[f"left_{n}"] for n in ("shoulder", "elbow", "wrist", "hand"))
    hip, knee, ankle, foot = (_JOINT[f"left_{n}"] for n in ("hip", "knee", "ankle", "foot"))
    one = np.ones(len(vertices))
    # The arm's plane leans in towards the neck at the top, as the deltoid does; the leg's is the groin's crease.
    arm = _ramp((x - shoulder[0] - 0.012) + 0.25 * (z - shoulder[2]), 0.050)
    crease = np.array([0.42, 0.0, -0.91])
    leg = _ramp((np.stack([x, y, z], axis=1) - hip) @ crease - 0.005, 0.065)
    leg = np.where(z < 1.15, leg, 0.0)
    arm = np.where(z > 1.15, arm, 0.0)
    chain(
        arm,
        [
            ("shoulder", one),
            ("elbow", _ramp(x - elbow[0], 0.045)),
            ("wrist", _ramp(x - wrist[0] + 0.02, 0.055)),
            ("hand", _ramp(x - hand[0], 0.025)),
        ],
    )
    chain(
        leg,
        [
            ("hip", one),
            ("knee", _ramp(knee[2] - z, 0.060)),
            ("ankle", _ramp(ankle[2] + 0.022 - z - 0.25 * (y - ankle[1]), 0.035)),
            ("foot", _ramp(foot[1] + 0.010 - y, 0.028)),
        ],
    )
    trunk = 1.0 - arm - leg
    collar = _ramp(x - 0.095 + 0.35 * (z - 1.42), 0.055) * _ramp(z - 1.33, 0.07)
    neck = _ramp(z - 1.490 + 0.3 * (y - 0.04), 0.035)
    # What lies on the head's own shape turns with it, the chin as well; the neck ends below it.
    head = np.where(z > 1.5, _ramp(_NECK(vertices) - _HEAD(vertices) + 0.012, 0.032), 0.0)
    chain(trunk * collar * (1.0 - neck), [("collar", one)])
    chain(
        trunk * (1.0 - collar * (1.0 - neck)),
        [
            ("pelvis", one),
            ("spine1", _ramp(z - 1.075, 0.060)),
            ("spine2", _ramp(z - 1.200, 0.060)),
            ("spine3", _ramp(z - 1.290, 0.050)),
            ("neck", neck),
            ("head", head),
        ],
    )
    return _at_most(weights, 4)


def _at_most(weights: Array, count: int) -> Array:
    """The ``count`` largest weights of every row, scaled to the sum 1."""
    threshold = -np.sort(-weights, axis=1)[:, count - 1 : count]
    kept = np.where((weights >= threshold) & (weights > 1e-3), weights, 0.0)
    return kept / kept.sum(axis=1, keepdims=True)
