"""Characters from files of every kind that Blender reads: ``open_rig``."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import bpy

from ..retarget.errors import RigError, StepsmithError
from ..retarget.rig_path import BODY_RIGS, RIG_ENDINGS
from .armature import chosen_map, read_rig
from .keys import check_animatable
from .smpl_body import make_smpl_body

Check = Callable[[bpy.types.Object], object]

# A file larger than this is no character; an importer would fill the memory with it.
_LARGEST = 4 << 30


def can_dance(armature: bpy.types.Object) -> None:
    """Raise RigError where the armature is no body that can dance."""
    check_animatable(armature)
    chosen_map(armature, read_rig(armature))


def open_rig(path: Path, name: str | None = None, *, fps: float = 30.0, check: Check = can_dance) -> bpy.types.Object:
    """The armature in a file, which becomes the open file: a .blend as it is, another kind in an empty scene.

    ``name``: the armature's, with or without the number that an importer appended; without a name the only
    one that passes ``check``, which raises RigError. Where the scene that was open last has none, it is looked for in
    the others, and its scene is open then. ``fps``: of the scene that a file other than a .blend is
    read into; its own animation stays in the file, played at this rate. Raises StepsmithError where the file
    can't be read or holds no such armature.
    """
    ending = path.suffix.lower()
    if ending not in RIG_ENDINGS:
        raise StepsmithError(f"{path.name} is no character: give a file that ends in {', '.join(RIG_ENDINGS)}.")
    if not path.is_file():
        raise StepsmithError(f"There is no rig file {path}: check the path.")
    size = path.stat().st_size
    if size == 0:
        raise StepsmithError(f"{path.name} is empty: choose another file.")
    if size > _LARGEST:
        raise StepsmithError(f"{path.name} is larger than {_LARGEST >> 30} GB: choose a file with the character alone.")
    if ending == ".blend":
        _open_blend(path)
        return _choose(path, name, check)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    scene.render.fps = max(1, round(fps))
    scene.render.fps_base = scene.render.fps / fps
    if ending in BODY_RIGS:
        return make_smpl_body(bpy.context, path)
    _import(path, ending)
    # The range is the dance's, not that of the animations which came along.
    scene.frame_start = scene.frame_end = scene.frame_current = 1
    return _choose(path, name, check)


def show_scene_with(name: str | None) -> None:
    """Where the scene shown has no armature called so, show the first that has; where none has, one with armatures."""
    scenes = [bpy.context.scene, *(scene for scene in bpy.data.scenes if scene.library is None)]
    for wanted in (name, None):
        for scene in scenes:
            if any(ob.type == "ARMATURE" and wanted in (None, ob.name) for ob in scene.objects):
                _show(scene)
                return


def _show(scene: bpy.types.Scene) -> None:
    """Make it the open scene, where there is a window to say so."""
    windows = bpy.context.window_manager.windows
    if scene == bpy.context.scene or not windows:
        return
    window = bpy.context.window or windows[0]
    # A command begins in no window, and the scene follows only the context's own. The override ends here: up to 5.0
    # Blender may crash where it is read while other threads are at work.
    with bpy.context.temp_override(window=window):
        window.scene = scene


def refuse_linked(name: str | None) -> None:
    """Raise RigError where an armature called so, or any, is in no scene but in what is linked from another file."""
    for ob in bpy.data.objects:
        if ob.type == "ARMATURE" and ob.library is not None and name in (None, ob.name):
            check_animatable(ob)


def _open_blend(path: Path) -> None:
    try:
        bpy.ops.wm.open_mainfile(filepath=str(path), load_ui=False, use_scripts=False)
    except RuntimeError as error:
        raise StepsmithError(f"{path} can't be opened as a .blend file: check that it is one.") from error


def _import(path: Path, ending: str) -> None:
    try:
        if ending == ".vrm":
            with _named(path, ".glb") as beside:
                _import_gltf(beside)
        elif ending in (".glb", ".gltf"):
            _import_gltf(path)
        elif ending == ".fbx":
            _import_fbx(path)
        else:
            _import_usd(path)
    except StepsmithError:
        raise
    # Importers fail on damaged files with whatever they stumble over.
    except Exception as error:
        words = " ".join(str(error).removeprefix("Error: ").split())[:200]
        raise StepsmithError(
            f"{path.name} can't be read as {ending} ({words}): check that it is a whole one."
        ) from error


@contextlib.contextmanager
def _named(path: Path, ending: str) -> Iterator[Path]:
    """A copy of the file, for a while, whose name ends so."""
    with tempfile.TemporaryDirectory(prefix="stepsmith-") as folder:
        copy = Path(folder) / f"{path.stem}{ending}"
        shutil.copyfile(path, copy)
        yield copy


def _import_gltf(path: Path) -> None:
    enable("io_scene_gltf2")
    wishes = {"disable_bone_shape": True}  # else every bone gets a sphere as its shape
    known = bpy.ops.import_scene.gltf.get_rna_type().properties
    bpy.ops.import_scene.gltf(filepath=str(path), **{k: v for k, v in wishes.items() if k in known})


def _import_fbx(path: Path) -> None:
    if "fbx_import" in dir(bpy.ops.wm):  # 4.5 on
        bpy.ops.wm.fbx_import(filepath=str(path))
    else:
        enable("io_scene_fbx")
        bpy.ops.import_scene.fbx(filepath=str(path))


def _import_usd(path: Path) -> None:
    if not bpy.app.build_options.usd:
        raise StepsmithError(f"This Blender reads no USD: save {path.name} as .glb or .fbx, or use another Blender.")
    bpy.ops.wm.usd_import(filepath=str(path))


def enable(module: str) -> None:
    """Switch on an add-on that comes with Blender, where it is not."""
    import addon_utils

    if not addon_utils.check(module)[1]:
        addon_utils.enable(module)


def _choose(path: Path, name: str | None, check: Check) -> bpy.types.Object:
    show_scene_with(name)
    armatures = [ob for ob in bpy.context.scene.objects if ob.type == "ARMATURE"]
    if not armatures:
        refuse_linked(name)
        raise RigError(f"{path.name} holds no armatures: choose a file with a character that has bones.")
    there = ", ".join(ob.name for ob in armatures)
    if name is not None:
        chosen = _named_so(name, armatures, exactly=path.suffix.lower() == ".blend")
        if chosen is None:
            refuse_linked(name)
            raise RigError(f"{path.name} has no object {name!r} in its scene: its armatures are {there}.")
        check(chosen)
        return chosen
    if len(armatures) == 1:
        check(armatures[0])
        return armatures[0]
    dancing = [ob for ob in armatures if _passes(ob, check)]
    if len(dancing) != 1:
        raise RigError(
            f"{path.name} has {len(dancing) or 'no'} armatures with a body that can dance (armatures: {there}):"
            f" name one as FILE{os.path.splitext(path.name)[1]}:OBJECT."
        )
    return dancing[0]


def _named_so(name: str, armatures: Sequence[bpy.types.Object], *, exactly: bool) -> bpy.types.Object | None:
    """The object of the scene called so. Where that is no armature and not ``exactly`` is wanted, the only armature
    in it, or that is called so but for a number: a USD has armatures in parents that may have the name, and Blender,
    where names are unique, appends numbers."""
    named = bpy.context.scene.objects.get(name)
    if exactly or named in armatures:
        return named
    inside = [] if named is None else [ob for ob in armatures if ob in named.children_recursive]
    if len(inside) == 1:
        return inside[0]
    alike = [ob for ob in armatures if re.sub(r"\.\d{3,}$", "", ob.name) == name]
    return alike[0] if len(alike) == 1 else named


def _passes(armature: bpy.types.Object, check: Check) -> bool:
    try:
        check(armature)
    except RigError:
        return False
    return True
