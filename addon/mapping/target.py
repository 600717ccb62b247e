"""Whose map the panel shows, and what is to be said of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

import bpy
import numpy as np

from ...retarget.bone_maps import check_map
from ...retarget.errors import RigError
from ..armature import read_rig
from .storage import FACTS_KEY, map_of, slots_of
from .tpose import Stance, stance, t_pose


@dataclass(frozen=True, eq=False)
class Check:
    """What is known of an armature's map. ``problem``: what is wrong with it, one sentence, or empty.

    ``stance``: how it stands, without its T pose where there is a problem; None where not even that can be told.
    """

    problem: str
    stance: Stance | None


def armature_of(context: bpy.types.Context) -> bpy.types.Object | None:
    """The armature the user works on: the active one, else the dancer chosen in the panel.

    None where there is none, or the chosen one is not in this view layer any more.
    """
    objects = context.view_layer.objects
    active = objects.active
    if active is not None and active.type == "ARMATURE":
        return active
    target = context.scene.stepsmith_settings.target
    return target if target is not None and objects.get(target.name) == target else None


# Panel and viewport ask at every redraw; the answers to the last few questions are kept.
_answers: OrderedDict[Hashable, Check] = OrderedDict()
_KEPT = 4


def check(armature: bpy.types.Object) -> Check:
    """Check the map that is kept on ``armature`` against its bones. Raises nothing."""
    question = _fingerprint(armature)
    if question not in _answers:
        _answers[question] = _check(armature)
        while len(_answers) > _KEPT:
            _answers.popitem(last=False)
    return _answers[question]


def forget_checks() -> None:
    """Drop what is kept of earlier checks."""
    _answers.clear()


def _check(armature: bpy.types.Object) -> Check:
    try:
        rig, bone_map = read_rig(armature), map_of(armature)
    except RigError as error:
        return Check(str(error), None)
    if bone_map is None:
        return Check("", None)
    try:
        check_map(rig, bone_map)
        return Check("", stance(rig, bone_map, t_pose(rig, bone_map)))
    except RigError as error:
        return Check(str(error), stance(rig, bone_map))


def _fingerprint(armature: bpy.types.Object) -> Hashable:
    """All that an answer depends on."""
    bones = armature.data.bones
    rest = np.empty(16 * len(bones), np.float32)
    bones.foreach_get("matrix_local", rest)
    lengths = np.empty(len(bones), np.float32)
    bones.foreach_get("length", lengths)
    return (
        armature.session_uid,
        getattr(armature, FACTS_KEY),
        tuple(slot.bone for slot in slots_of(armature)),
        tuple((bone.name, bone.parent.name if bone.parent else "", bone.use_inherit_rotation) for bone in bones),
        rest.tobytes(),
        lengths.tobytes(),
        np.array(armature.matrix_world, np.float32).tobytes(),
    )
