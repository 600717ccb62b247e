"""A motion as files with a character in them: ``python -m stepsmith.addon.export`` in the bpy module.

Progress goes to stdout as JSON lines, {"fraction": 0.4, "text": "Rendering frame 240 of 600"}; a failure
as {"error": "one sentence"} with exit code 1; a line that is no JSON is Blender's own. With --rig alone
nothing is written: it only tells whether that rig can dance. Every file is written beside its place and
renamed, so an interrupted export leaves no half file.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import bpy

from ..retarget.errors import RigError, StepsmithError
from ..retarget.files import load_motion
from ..retarget.placing import put_in_place
from ..retarget.rig_path import split_rig
from . import arguments
from .arguments import How
from .armature import read_rig
from .character import make_character
from .rig_check import lying, notices
from .rig_files import enable, open_rig
from .scene import apply_motion
from .stage import hangs_from, is_moved_by, stage

Progress = Callable[[float, str], None]
Put = Callable[..., None]
Say = Callable[[dict[str, Any]], None]

ENDINGS = (".blend", ".glb", ".fbx", ".usd", ".usda", ".usdc", ".usdz", ".mp4")
_OF_SELECTION = tuple(ending for ending in ENDINGS if ending not in (".blend", ".mp4"))
_INTERRUPTED = 130  # what shells give a program ended by Ctrl-C
# Of the kinds of picture whose files don't end in the kind's name.
_PICTURE_ENDINGS = {"JPEG": ".jpg", "TARGA": ".tga", "TIFF": ".tif", "OPEN_EXR": ".exr", "JPEG2000": ".jp2"}
_VIDEO_SIZE = (640, 360)
# Cycles takes far longer a frame than Workbench: a smaller picture, few samples, smoothed.
_CYCLES_SIZE = (320, 180)
_CYCLES_SAMPLES = 3


@dataclass(frozen=True)
class Wish:
    """What to export. ``rig``: a file and the armature's name in it (None: the only one that can dance);
    without it the built-in character dances. ``how``: how the motion becomes keys. ``straight``: a scene without a
    camera gets one that looks along y."""

    motion: Path
    outs: tuple[Path, ...]
    song: Path | None = None
    song_start: float = 0.0
    rig: tuple[Path, str | None] | None = None
    how: How = field(default_factory=How)
    straight: bool = False


def export(wish: Wish, progress: Progress) -> tuple[str, ...]:
    """Write every file of ``wish.outs``, by its ending; returns what the user should know. Raises StepsmithError."""
    check_outs(wish.outs)
    motion = load_motion(wish.motion)
    progress(0.0, "Setting the scene")
    context = bpy.context
    if wish.rig is None:
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        armature = make_character(context)
    else:
        armature = open_rig(*wish.rig, fps=motion.fps, check=wish.how.options_for)
    if any(out.suffix.lower() in _OF_SELECTION for out in wish.outs):
        _check_in_view_layer(armature)
    options = wish.how.options_for(armature)
    result = apply_motion(bpy.context, armature, motion, song=wish.song, song_start=wish.song_start, options=options)
    progress(0.02, "Dancing")
    own_scene = wish.rig is not None and wish.rig[0].suffix.lower() == ".blend"
    if not own_scene:
        stage(bpy.context, armature, straight=wish.straight)
    # Videos last: a user's scene gets a camera and lights, where it has none, for them alone.
    outs = sorted(wish.outs, key=_is_video)
    shares = [20.0 if _is_video(out) else 1.0 for out in outs]
    done = 0.0
    for out, share in zip(outs, shares, strict=True):
        if own_scene and _is_video(out):
            stage(bpy.context, armature, backdrop=False, straight=wish.straight)
        first, last = 0.03 + 0.97 * done / sum(shares), 0.03 + 0.97 * (done + share) / sum(shares)

        def part(fraction: float, text: str, first: float = first, last: float = last) -> None:
            progress(first + (last - first) * fraction, text)

        part(0.0, f"Writing {out.name}")
        with unfinished(out) as path:
            _WRITERS[out.suffix.lower()](armature, path, part)
            part(1.0, f"Wrote {out.name}")  # the last moment to stop before the file is there
        done += share
    progress(1.0, "Done")
    return result.warnings


def describe(path: Path, name: str | None, how: How) -> dict[str, Any]:
    """The armature's bone map for programs: every joint with its bones and how sure they are."""
    armature = open_rig(path, name, check=how.bone_map)
    bone_map = how.bone_map(armature)
    return {
        "object": armature.name,
        "convention": bone_map.convention,
        "confidence": round(bone_map.confidence, 3),
        "bones": [
            {"joint": joint, "bone": bone, "confidence": round(bone_map.scores.get(bone, 1.0), 3)}
            for bone, joint in bone_map.bones.items()
        ],
        "missing": list(bone_map.missing),
        "switches": [
            {"bone": switch.bone, "property": switch.name, "value": switch.value} for switch in bone_map.switches
        ],
        "notices": [*lying(armature, read_rig(armature), bone_map), *notices(armature, bone_map)],
    }


def _is_video(out: Path) -> bool:
    return out.suffix.lower() == ".mp4"


def check_outs(outs: Sequence[Path]) -> None:
    """Raise StepsmithError where a file can't be written by its name or place."""
    for out in outs:
        if out.suffix.lower() not in ENDINGS:
            raise StepsmithError(f"{out.name} ends in none of {', '.join(ENDINGS)}: rename it.")
        if not out.parent.is_dir():
            raise StepsmithError(f"The folder {out.parent} doesn't exist: make it first.")
        if out.is_dir() or not os.access(out.parent, os.W_OK):
            raise StepsmithError(f"{out} can't be written: choose another place.")


@contextlib.contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """A path in a folder beside ``out``; renamed to it at the end, its textures too, or removed."""
    with tempfile.TemporaryDirectory(prefix=f".{out.stem}-", dir=out.parent) as folder:
        path = Path(folder) / out.name
        try:
            yield path
            put_in_place({out: path})
        except (RuntimeError, OSError) as error:
            reason = str(error).removeprefix("Error: ").strip()
            raise StepsmithError(f"{out} can't be written ({reason}): choose another place.") from error


# --- one writer an ending --------------------------------------------------------------------------------


def _write_blend(armature: bpy.types.Object, path: Path, progress: Progress) -> None:
    for sound in bpy.data.sounds:
        place = bpy.path.abspath(sound.filepath, library=sound.library)
        if sound.packed_file is None and os.path.isfile(place):  # one that is gone stays as silent as it was
            sound.pack()
    # Relative ones would count from the folder that the file is made in, and point nowhere once it is moved.
    if bpy.data.filepath:
        bpy.ops.file.make_paths_absolute()
    bpy.ops.wm.save_as_mainfile(
        filepath=str(path), copy=True, check_existing=False, compress=True, relative_remap=False
    )


def _write_glb(armature: bpy.types.Object, path: Path, progress: Progress) -> None:
    enable("io_scene_gltf2")
    with _selected(armature), _settings() as put:
        put(bpy.context.scene, name=armature.animation_data.action.name)  # which becomes the animation's
        _close_loop(armature, put)
        bpy.ops.export_scene.gltf(
            filepath=str(path),
            export_format="GLB",
            use_selection=True,
            export_yup=True,
            # The dance alone; a character may have come with a hundred actions of its own.
            export_animation_mode="SCENE",
            export_anim_scene_split_object=False,
            export_anim_slide_to_zero=True,
        )


def _write_fbx(armature: bpy.types.Object, path: Path, progress: Progress) -> None:
    enable("io_scene_fbx")
    with _selected(armature), _pictures_told_apart(), _settings() as put:
        _close_loop(armature, put)
        bpy.ops.export_scene.fbx(
            filepath=str(path),
            use_selection=True,
            path_mode="COPY",
            embed_textures=True,
            add_leaf_bones=False,
            bake_anim_use_all_actions=False,
            bake_anim_use_nla_strips=False,
            bake_anim_simplify_factor=0.0,
        )


def _close_loop(armature: bpy.types.Object, put: Put) -> None:
    """Have the key that makes a loop's end its beginning written too: who repeats an animation expects it there."""
    action = armature.animation_data.action
    if action.use_cyclic:
        put(bpy.context.scene, frame_end=max(bpy.context.scene.frame_end, round(action.frame_end)))


def _write_usd(armature: bpy.types.Object, path: Path, progress: Progress) -> None:
    if not bpy.app.build_options.usd:
        raise StepsmithError(f"This Blender writes no USD: write {path.stem}.glb or {path.stem}.fbx instead.")
    with _selected(armature), _pictures_told_apart():
        bpy.ops.wm.usd_export(
            filepath=str(path),
            selected_objects_only=True,
            export_animation=True,
            export_armatures=True,
            convert_world_material=False,
        )


@contextlib.contextmanager
def _pictures_told_apart() -> Iterator[None]:
    """Pictures in use whose files, in different folders, have the same name are replaced by copies with names of
    their own: Blender writes the textures of a USD or FBX into one folder, and takes the first of a name for all.
    So are packed ones without a file's name: in an FBX they would have no ending to be known by."""
    places: dict[str, str] = {}
    twins: list[tuple[bpy.types.Image, bpy.types.Image]] = []
    try:
        for image in list(bpy.data.images):
            place = os.path.normpath(bpy.path.abspath(image.filepath, library=image.library))
            readable = image.packed_file is not None or os.path.isfile(place)
            if image.source != "FILE" or not image.users or not readable:
                continue
            if image.filepath and places.setdefault(os.path.basename(place).lower(), place) == place:
                continue
            folder, name = os.path.split(place) if image.filepath else ("", _file_name(image))
            stem, ending = os.path.splitext(name)
            names = itertools.chain((name,), (f"{stem}-{n}{ending}" for n in itertools.count(2)))
            apart = os.path.join(folder, next(free for free in names if free.lower() not in places))
            places[os.path.basename(apart).lower()] = apart
            twin = image.copy()
            twins.append((image, twin))
            if twin.packed_file is None:
                twin.pack()
            twin.filepath_raw = twin.packed_files[0].filepath = apart  # either may give the written file its name
            image.user_remap(twin)
        yield
    finally:
        for image, twin in twins:
            twin.user_remap(image)
            bpy.data.images.remove(twin)


def _file_name(image: bpy.types.Image) -> str:
    """What a file of this picture, which has none, would be called."""
    ending = _PICTURE_ENDINGS.get(image.file_format, f".{image.file_format.lower()}")
    return str(bpy.path.ensure_ext(re.sub(r'[\\/:*?"<>|]', "_", image.name), ending))


@contextlib.contextmanager
def _selected(armature: bpy.types.Object) -> Iterator[None]:
    """Only the character selected: the armature and what carries its meshes, shown meanwhile where they are hidden,
    and the meshes it moves."""
    layer = bpy.context.view_layer
    meshes = [ob for ob in layer.objects if is_moved_by(ob, armature)]
    between = {link for ob in meshes for link in _ancestors(ob) if link not in meshes and hangs_from(link, armature)}
    carriers = [armature, *(ob for ob in layer.objects if ob in between)]
    character = [*carriers, *meshes]
    chosen, active = list(layer.objects.selected), layer.objects.active
    hidden = [ob for ob in carriers if ob.hide_get()]
    with _settings() as put, _selectable([*carriers, *(ob for ob in meshes if ob.visible_get())]):
        for ob in character:
            put(ob, hide_select=False)
        for ob in carriers:
            put(ob, hide_viewport=False)
        try:
            for ob in hidden:
                ob.hide_set(False)
            for ob in layer.objects:
                ob.select_set(ob in character)
            layer.objects.active = armature
            yield
        finally:
            for ob in layer.objects:
                ob.select_set(ob in chosen)
            layer.objects.active = active
            for ob in hidden:
                ob.hide_set(True)


def _ancestors(ob: bpy.types.Object) -> Iterator[bpy.types.Object]:
    """What the object is parented to, and what that is, up to the top."""
    while ob.parent is not None:
        ob = ob.parent
        yield ob


@contextlib.contextmanager
def _selectable(objects: Sequence[bpy.types.Object]) -> Iterator[None]:
    """The objects in a collection more, which neither hides nor locks them as their own ones may."""
    collection = bpy.data.collections.new("Character")
    for ob in objects:
        collection.objects.link(ob)
    bpy.context.scene.collection.children.link(collection)
    try:
        yield
    finally:
        bpy.data.collections.remove(collection)


def _check_in_view_layer(armature: bpy.types.Object) -> None:
    """Raise RigError where the exporters, which write what is selected, can't reach the armature."""
    if armature not in list(bpy.context.view_layer.objects):
        raise RigError(f"{armature.name} is not in the view layer: include its collection in Blender, then export.")


# --- video -----------------------------------------------------------------------------------------------


def _write_mp4(armature: bpy.types.Object, path: Path, progress: Progress) -> None:
    """H.264 and AAC, the frames of the scene's range with its sound."""
    scene = bpy.context.scene
    progress(0.0, "Looking for a way to draw")
    workbench = workbench_draws()
    note = "" if workbench else " (with Cycles: install libegl1 and libegl-mesa0 to draw faster)"
    light = contextlib.nullcontext() if workbench else _sunlight(scene)
    with _settings() as put, light, _watched(scene, path.parent, progress, note):
        (_use_workbench if workbench else _use_cycles)(scene, put)
        _use_mp4(scene, put)
        put(scene.render, filepath=str(path), use_file_extension=False, use_sequencer=True)
        bpy.ops.render.render(animation=True)


@contextlib.contextmanager
def _settings() -> Iterator[Put]:
    """A function that changes settings, which are put back at the end, in the same order."""
    before: list[tuple[Any, str, Any]] = []

    def put(owner: Any, **values: Any) -> None:
        for name in values:  # all of them first, since setting one may change another
            now = getattr(owner, name)  # a vector's reads are views, so it is copied
            before.append((owner, name, now if isinstance(now, bool | int | float | str) else tuple(now)))
        for name, value in values.items():
            setattr(owner, name, value)

    try:
        yield put
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _use_workbench(scene: bpy.types.Scene, put: Put) -> None:
    width, height = _VIDEO_SIZE
    put(scene.render, engine="BLENDER_WORKBENCH", resolution_x=width, resolution_y=height, resolution_percentage=100)
    put(scene.view_settings, view_transform="Standard")  # AgX would dull the plain colours
    put(
        scene.display,
        light_direction=(-0.35, 0.82, 0.45),  # y is up here
        # Samples for anti-aliasing cost a whole drawing each; without a GPU this filter is as good at this size.
        render_aa="FXAA",
    )
    shading = scene.display.shading
    put(shading, light="STUDIO", color_type="TEXTURE", show_shadows=True, shadow_intensity=0.3)
    put(shading, show_cavity=True, cavity_type="SCREEN")
    if any(light.name == "paint.sl" for light in bpy.context.preferences.studio_lights):
        put(shading, studio_light="paint.sl")


def _use_cycles(scene: bpy.types.Scene, put: Put) -> None:
    width, height = _CYCLES_SIZE
    put(scene.render, engine="CYCLES", resolution_x=width, resolution_y=height, resolution_percentage=100)
    put(scene.render, use_persistent_data=True)
    put(scene.view_settings, view_transform="Standard")
    put(scene.cycles, device="CPU", samples=_CYCLES_SAMPLES, max_bounces=0, use_denoising=_can_denoise())
    put(scene.cycles, denoising_input_passes="RGB", denoising_prefilter="NONE", denoising_quality="FAST")


def _can_denoise() -> bool:
    try:
        import _cycles
    except ImportError:
        return False
    return bool(getattr(_cycles, "with_openimagedenoise", False))


@contextlib.contextmanager
def _sunlight(scene: bpy.types.Scene) -> Iterator[None]:
    """A sun in place of the scene's lights: the less light has an extent, the less noise is in the picture."""
    hidden = [ob for ob in scene.objects if ob.type == "LIGHT" and not ob.hide_render]
    light = bpy.data.lights.new("Sun", "SUN")
    light.energy, light.angle = 3.0, 0.0
    sun = bpy.data.objects.new("Sun", light)
    sun.rotation_euler = (0.75, 0.0, -0.55)
    scene.collection.objects.link(sun)
    for ob in hidden:
        ob.hide_render = True
    try:
        yield
    finally:
        for ob in hidden:
            ob.hide_render = False
        bpy.data.lights.remove(light)


def _use_mp4(scene: bpy.types.Scene, put: Put) -> None:
    settings, ffmpeg = scene.render.image_settings, scene.render.ffmpeg
    media = {"media_type": "VIDEO"} if hasattr(settings, "media_type") else {}  # 5.0 on
    put(settings, **media, file_format="FFMPEG")
    put(ffmpeg, format="MPEG4", codec="H264", constant_rate_factor="HIGH", gopsize=30)
    put(ffmpeg, audio_codec="AAC", audio_bitrate=192, audio_channels="STEREO")


@contextlib.contextmanager
def _watched(scene: bpy.types.Scene, folder: Path, progress: Progress, note: str) -> Iterator[None]:
    """Progress while ``scene`` renders into ``folder``, which goes on interruption."""
    count = scene.frame_end - scene.frame_start + 1
    done = 0

    def written(*_: object) -> None:
        nonlocal done
        done += 1
        progress(done / count, f"Rendering frame {done} of {count}{note}")

    def end(signum: int, frame: FrameType | None) -> None:
        # Blender swallows what is raised while it renders, and renders on: only the process's end stops it.
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(_INTERRUPTED)

    bpy.app.handlers.render_write.append(written)
    try:
        with _on_interrupt(end):
            yield
    finally:
        bpy.app.handlers.render_write.remove(written)


_PROBE = """
import bpy, os, sys
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
scene.render.engine = "BLENDER_WORKBENCH"
scene.render.resolution_x = scene.render.resolution_y = 16
bpy.ops.render.render()
os._exit(0)
"""


def workbench_draws() -> bool:
    """Whether Workbench renders on this machine. Without EGL Blender aborts, so another process tries."""
    if bpy.app.binary_path:
        command = [bpy.app.binary_path, "--background", "--factory-startup", "--python-expr", _PROBE]
    else:  # Blender as a Python module
        command = [sys.executable, "-c", _PROBE]
    try:
        return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


_WRITERS: dict[str, Callable[[bpy.types.Object, Path, Progress], None]] = {
    ".blend": _write_blend,
    ".glb": _write_glb,
    ".fbx": _write_fbx,
    ".usd": _write_usd,
    ".usda": _write_usd,
    ".usdc": _write_usd,
    ".usdz": _write_usd,
    ".mp4": _write_mp4,
}


# --- command line ----------------------------------------------------------------------------------------


def main(words: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    work = _parse(words)
    interrupted = False

    def interrupt(signum: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    with _own_stdout() as say:

        def progress(fraction: float, text: str) -> None:
            if interrupted:  # Blender swallows what is raised while one of its own callbacks runs
                raise KeyboardInterrupt
            say({"fraction": round(fraction, 4), "text": text})

        try:
            with _on_interrupt(interrupt):
                work(progress, say)
        except StepsmithError as error:
            say({"error": str(error)})
            return 1
        except KeyboardInterrupt:
            say({"error": "Cancelled; the file in work was not written."})
            return _INTERRUPTED
    return 0


def _parse(words: Sequence[str] | None) -> Callable[[Progress, Say], None]:
    """What the command line asks for, ready to be done."""
    parser = argparse.ArgumentParser(prog="python -m stepsmith.addon.export", description=__doc__)
    parser.add_argument("--motion", type=Path, help="a motion file: .npz, .pkl or .bvh")
    parser.add_argument("--out", type=Path, action="append", help=f"a file to write: {ENDINGS}")
    parser.add_argument("--song", type=Path, help="the song's file")
    parser.add_argument("--song-start", type=float, default=0.0, help="seconds into the song where the dance starts")
    parser.add_argument("--rig", type=_rig, metavar="FILE[:OBJECT]", help="the armature that dances")
    parser.add_argument("--straight", action="store_true", help="look along y, not a little from the side")
    parser.add_argument("--describe", action="store_true", help="say the rig's bone map")
    arguments.add_options(parser)
    given = parser.parse_args(words)
    how = arguments.read(given)
    if given.rig is not None and given.motion is None and given.out is None:
        return lambda progress, say: _look(say, given.rig, how, given.describe)
    if given.motion is None or given.out is None:
        parser.error("--motion and --out are needed, or --rig alone to check a rig")
    outs = tuple(out.absolute() for out in given.out)
    wish = Wish(given.motion, outs, given.song, given.song_start, given.rig, how, given.straight)
    return lambda progress, say: say({"warnings": export(wish, progress)})


def _look(say: Say, rig: tuple[Path, str | None], how: How, aloud: bool) -> None:
    if aloud:
        say({"rig": describe(*rig, how)})
    else:
        open_rig(*rig, check=how.options_for)


def _rig(text: str) -> tuple[Path, str | None]:
    file, name = split_rig(text)
    return file.absolute(), name


@contextlib.contextmanager
def _own_stdout() -> Iterator[Say]:
    """A function that writes JSON lines to the real stdout, while what Blender prints goes to stderr."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(saved), "w", encoding="utf-8") as stream:

            def say(line: dict[str, Any]) -> None:
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
                stream.flush()

            yield say
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


@contextlib.contextmanager
def _on_interrupt(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """``handler`` for Ctrl-C and for SIGTERM alike."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Blender's own end can crash or hang after rendering; everything is written and closed by now.
    os._exit(code)
