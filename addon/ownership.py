"""What in a file was made here, and for which dancer."""

from __future__ import annotations

import bpy

# Custom property that marks what Stepsmith made: on actions and strips the armature's name, on the scene
# the beat markers as JSON {armature's name: [[name, frame], ...], ...}. Earlier versions wrote one list for all.
TAG = "stepsmith"


def names_of_others(scene: bpy.types.Scene, armature: bpy.types.Object) -> set[str]:
    """What is made for these names is not for this armature."""
    others = [ob for ob in scene.objects if ob != armature]
    return {ob.name for ob in others}.union(*map(danced_as, others)) - {armature.name}


def danced_as(ob: bpy.types.Object) -> set[str]:
    """For what names the dances were made that the object plays: its earlier one where it was renamed since."""
    data = ob.animation_data
    if ob.type != "ARMATURE" or data is None:
        return set()
    strips = [strip for track in data.nla_tracks for strip in track.strips]
    return {owner.action[TAG] for owner in (data, *strips) if owner.action is not None and TAG in owner.action}
