"""What the user chooses in the panel, kept with each scene."""

from __future__ import annotations

import math
import zlib

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from . import session

AUTOMATIC = "AUTOMATIC"
FEET = [
    ("auto", "Automatic", "Lock the feet where the rig's proportions or its legs make them slide"),
    ("always", "Always", "Solve the legs so that planted feet stay where they are"),
    ("never", "Never", "Copy the rotations alone; feet may slide on a rig of other proportions"),
]
ROOT = [
    ("path", "Travels", "The dancer moves through the scene as the dance does"),
    ("in_place", "In Place", "The dancer stays over one spot, as games and crowds want it"),
]
INTO = [
    ("action", "New Action", "The dancer gets a new action; the one it had stays in the file"),
    ("slot", "New Slot", "A slot of its own in the dancer's action, beside what is there. From Blender 4.4 on"),
    ("nla", "NLA Strip", "A strip on an NLA track of its own, from the current frame on"),
    (
        "blend",
        "Blended",
        "Over the dancer's action from the current frame on, in a copy of it: where the dance ends, the action goes on",
    ),
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
    meter: IntProperty(
        name="Beats a Bar",
        description="The song's beats a bar, where those found by itself are wrong. 0: found by itself",
        min=0,
        max=12,
    )
    feet: EnumProperty(name="Feet", description="How planted feet are kept from sliding", items=FEET)
    reach: BoolProperty(
        name="Keep Touches",
        description="Bend the arms so that hands that touch hips, head or each other still touch on this rig",
    )
    mirror: BoolProperty(name="Mirror", description="Exchange left and right")
    root: EnumProperty(name="Root", description="Whether the dancer moves from where it stands", items=ROOT)
    at_cursor: BoolProperty(name="Start at 3D Cursor", description="Begin the dance where the 3D cursor is")
    turned: BoolProperty(name="Set Heading", description="Choose where the dancer faces as the dance begins")
    heading: FloatProperty(
        name="Heading",
        description="Where the dancer faces as the dance begins, about the vertical; 0 is towards the front view",
        subtype="ANGLE",
        soft_min=-math.pi,
        soft_max=math.pi,
    )
    into: EnumProperty(name="Keys Into", description="Where the dance's keys go", items=INTO)
    blend_frames: IntProperty(
        name="Blend",
        description="Frames over which the dance comes at its start and goes at its end",
        default=10,
        min=0,
        soft_max=100,
    )
    repeat: BoolProperty(
        name="Repeat Loops",
        description="Play a dance that loops for ever, before its frames and after, by Cycles modifiers on its curves",
    )
    reduced: BoolProperty(
        name="Fewer Keys",
        description="Keep only as many keys as it takes to stay within an error, with curves between; "
        "off: a key on every frame",
    )
    key_degrees: FloatProperty(
        name="Turn Error",
        description="How far fewer keys may turn any bone from where all keys would turn it, at most",
        subtype="ANGLE",
        default=math.radians(0.5),
        min=math.radians(0.01),
        soft_max=math.radians(5.0),
    )
    key_millimetres: FloatProperty(
        name="Shift Error (mm)",
        description="How far fewer keys may move any bone's ends from where all keys would put them, in millimetres",
        default=5.0,
        min=0.01,
        soft_max=50.0,
        precision=1,
    )


def register() -> None:
    # Up to Blender 4.5 it shares its namespace with the scene's custom properties, where "stepsmith" is taken.
    bpy.types.Scene.stepsmith_settings = PointerProperty(type=StepsmithSettings)


def unregister() -> None:
    del bpy.types.Scene.stepsmith_settings
