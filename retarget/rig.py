"""The plain description of an armature, as it stands in the user's file."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from . import rotations as rot
from .errors import RigError
from .rotations import Array


@dataclass(frozen=True, eq=False)
class Rig:
    """An armature without Blender: bones, rest pose and where the object stands.

    ``names``: J bone names. ``parents``: J parent indices, -1 for a root; parents stand before their
    children. ``rest``: (J, 4, 4) rest matrices in armature space (head in the last column, the bone
    along its own +y), Blender's ``bone.matrix_local``. ``lengths``: (J,) bone lengths in armature
    units. ``world``: (4, 4), armature space to the world, Blender's ``object.matrix_world``.
    ``rotation_modes``: J names ("QUATERNION", "XYZ", ...), quaternions where empty. ``connected``: J flags,
    bones whose head is fixed to the parent's tail, so that their location is ignored (none where empty).
    ``inherits_rotation``: J flags, bones that turn with their parent (all where empty). ``deforms``: J
    flags, bones that move the mesh (all where empty).

    Raises RigError where a shape is wrong, a bone comes before its parent (or is its own ancestor), a
    name is there twice, a bone has no length, a number is not finite, or the object's scale mirrors.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    rest: Array
    lengths: Array
    world: Array = field(default_factory=lambda: np.eye(4))
    rotation_modes: tuple[str, ...] = ()
    connected: tuple[bool, ...] = ()
    inherits_rotation: tuple[bool, ...] = ()
    deforms: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        names, parents = tuple(self.names), tuple(int(p) for p in self.parents)
        count = len(names)
        if not count:
            raise RigError("The armature has no bones: choose one with a body.")
        rest = np.array(self.rest, dtype=np.float64)
        lengths = np.array(self.lengths, dtype=np.float64)
        world = np.array(self.world, dtype=np.float64)
        modes = tuple(self.rotation_modes) or ("QUATERNION",) * count
        connected = tuple(self.connected) or (False,) * count
        inherits = tuple(self.inherits_rotation) or (True,) * count
        deforms = tuple(self.deforms) or (True,) * count
        for what, got, wanted in (
            ("parents", (len(parents),), (count,)),
            ("rest matrices", rest.shape, (count, 4, 4)),
            ("lengths", lengths.shape, (count,)),
            ("world matrix", world.shape, (4, 4)),
            ("rotation modes", (len(modes),), (count,)),
            ("connections", (len(connected),), (count,)),
            ("inherited rotations", (len(inherits),), (count,)),
            ("deforming bones", (len(deforms),), (count,)),
        ):
            if got != wanted:
                raise RigError(f"The armature's {what} have shape {got}, expected {wanted}.")
        if len(set(names)) < count:
            twice = next(name for name in names if names.count(name) > 1)
            raise RigError(f"The armature has two bones named “{twice}”: rename one of them.")
        for bone, parent in enumerate(parents):
            if not -1 <= parent < bone:
                raise RigError(f"The bone “{names[bone]}” comes before its parent: list parents before children.")
        for what, array in (("rest pose", rest), ("bone lengths", lengths), ("object transform", world)):
            if not np.isfinite(array).all():
                raise RigError(f"The armature's {what} holds numbers that are not finite: check its bones.")
        if (lengths <= 0).any():
            raise RigError(f"The bone “{names[int(np.argmin(lengths))]}” has no length: delete it or give it one.")
        columns = rest[:, :3, :3] / np.maximum(np.linalg.norm(rest[:, :3, :3], axis=1, keepdims=True), 1e-30)
        if (np.linalg.det(columns) < 1e-6).any():
            flat = names[int(np.argmin(np.linalg.det(columns)))]
            raise RigError(f"The bone “{flat}” is flat or mirrored at rest: check the armature's rest pose.")
        size = np.linalg.det(world[:3, :3])
        if abs(size) < 1e-18:
            raise RigError("The armature's object is scaled to nothing: give it a scale other than 0.")
        if size < 0.0:
            raise RigError(
                "The armature is mirrored by a negative scale, its object's or a parent's: apply that, then try again."
            )
        for name, value in (("rest", rest), ("lengths", lengths), ("world", world)):
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "parents", parents)
        object.__setattr__(self, "rotation_modes", modes)
        object.__setattr__(self, "connected", connected)
        object.__setattr__(self, "inherits_rotation", inherits)
        object.__setattr__(self, "deforms", deforms)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def heads(self) -> Array:
        """(J, 3) armature space, where the bones begin at rest."""
        return self.rest[:, :3, 3]

    @cached_property
    def tails(self) -> Array:
        """(J, 3) armature space, where the bones end at rest."""
        axes = self.rest[:, :3, 1]
        return self.heads + self.lengths[:, None] * axes / np.linalg.norm(axes, axis=-1, keepdims=True)

    @cached_property
    def rotations(self) -> Array:
        """(J, 4) armature space, the bones' rest orientation as quaternions."""
        axes = self.rest[:, :3, :3]
        return rot.from_matrix(axes / np.linalg.norm(axes, axis=1, keepdims=True))

    @cached_property
    def world_directions(self) -> Array:
        """(J, 3) unit vectors in the world, head to tail at rest."""
        turned = (self.tails - self.heads) @ self.world[:3, :3].T
        return turned / np.linalg.norm(turned, axis=-1, keepdims=True)

    @cached_property
    def indices(self) -> dict[str, int]:
        """Bone name to index."""
        return {name: bone for bone, name in enumerate(self.names)}

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """J tuples of indices."""
        below: list[list[int]] = [[] for _ in self.names]
        for bone, parent in enumerate(self.parents):
            if parent >= 0:
                below[parent].append(bone)
        return tuple(tuple(b) for b in below)

    def ancestors(self, bone: int) -> list[int]:
        """Indices from the bone's parent up to the root."""
        chain = []
        while (bone := self.parents[bone]) >= 0:
            chain.append(bone)
        return chain
