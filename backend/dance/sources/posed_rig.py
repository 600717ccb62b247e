"""The motion of a skeleton that a file moves."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ....retarget import rotations as rot
from ....retarget.bone_maps import find_map
from ....retarget.capture import capture
from ....retarget.errors import MotionError, RigError
from ....retarget.motion import Motion
from ....retarget.rig import Rig
from ....retarget.rotations import Array


def motion_of(rig: Rig, basis: Array, place: Array, fps: float) -> Motion:
    """The motion that a rig shows, without contacts, its height over the floor unknown.

    ``basis``: (T, J, 4) turns of the bones from rest, in their own frames; ``place``: (T, 3) where the head of the
    first bone, the root, is. Raises MotionError where the rig is no known body.
    """
    try:
        bone_map = find_map(rig)
        hips = rig.indices[str(bone_map.bone("pelvis"))]
        turned = np.broadcast_to(rot.IDENTITY, basis[:, 0].shape)
        for above, bone in pairwise([*reversed(rig.ancestors(hips)), hips]):
            rest = rig.rotations[above]
            turned = rot.multiply(turned, rot.multiply(rot.multiply(rest, basis[:, above]), rot.conjugate(rest)))
            place = place + rot.rotate(turned, rig.heads[bone] - rig.heads[above])
        location = rot.rotate(rot.conjugate(rig.rotations[hips]), place - rig.heads[hips])
        return capture(rig, bone_map, basis, location, fps)
    except RigError as error:
        raise MotionError(f"its skeleton is not known to Stepsmith ({error})") from error
