"""What the user chooses in the panel, kept with each scene."""

from __future__ import annotations

import zlib

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from . import session

AUTOMATIC = "AUTOMATIC"
FEET = [
    ("auto", "Automatic", "Lock the feet where the rig's proportions or its legs make them slide"),
    ("always", "Always", "Solve the legs so that planted feet stay where they are"),
    ("never", "Never", "Copy the rotations alone; feet may slide on a rig of other proportions"),
]

# Blender keeps no reference to the strings of a dynamic enum, so somebody else must.
_genre_items: list[tuple[str, str, str, str, int]] = []


def _genres(_self: object, _context: object) -> list[tuple[str, str, str, str, int]]:
    items = [(AUTOMATIC, "Automatic", "Choose the genre that suits the song's beat", "NONE", 0)]
    for name in session.current.backend.genres:
        # The number is what a file keeps: it must not depend on the order or on which others there are.
        number = zlib.crc32(name.encode()) & 0x7FFFFFFF
        items.append((name, name.replace("-", " ").title(), f"Dance {name}", "NONE", number))
    if items != _genre_items:
        _genre_items[:] = items
    return _genre_items


def _may_dance(self: StepsmithSettings, ob: bpy.types.Object) -> bool:
    return ob.type == "ARMATURE" and ob.name in self.id_data.objects


class StepsmithSettings(bpy.types.PropertyGroup):
    song: StringProperty(
        name="Song",
        description="The song to dance to: any sound file, or a video for its sound",
    )
    target: PointerProperty(
        name="Dancer",
        description="The armature that dances. Empty: a new character, who stays chosen for the next dance",
        type=bpy.types.Object,
        poll=_may_dance,
    )
    genre: EnumProperty(name="Genre", description="What is danced", items=_genres)
    seed: IntProperty(
        name="Seed",
        description="Another number makes another dance to the same song; the same number makes the same one again",
        min=0,
        max=2**31 - 1,
    )
    start: FloatProperty(
        name="Start",
        description="Where in the song the dance begins",
        min=0.0,
        soft_max=600.0,
        unit="TIME_ABSOLUTE",
    )
    duration: FloatProperty(
        name="Duration",
        description="How long the dance is. 0: to the end of the song",
        min=0.0,
        soft_max=600.0,
        unit="TIME_ABSOLUTE",
    )
    bpm: FloatProperty(
        name="Tempo",
        description="The song's beats a minute, where those found by itself are wrong. 0: found by itself",
        precision=1,
        min=0.0,
        max=300.0,
    )
    feet: EnumProperty(name="Feet", description="How planted feet are kept from sliding", items=FEET)


def register() -> None:
    # Up to Blender 4.5 it shares its namespace with the scene's custom properties, where "stepsmith" is taken.
    bpy.types.Scene.stepsmith_settings = PointerProperty(type=StepsmithSettings)


def unregister() -> None:
    del bpy.types.Scene.stepsmith_settings
