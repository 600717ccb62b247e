"""Scene files as other programs get them: written, read again, and compared with the dance frame by frame."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from stepsmith.addon.armature import read_rig
from stepsmith.addon.character import make_character
from stepsmith.addon.export import Wish, export
from stepsmith.addon.rig_files import open_rig
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.bone_maps import BoneMap, find_map
from stepsmith.retarget.errors import RigError, StepsmithError
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.fit import HIP_OFFSET, Fit
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL, SMPL_NAMES, forward_kinematics

FRAMES = 20
LIMBS = [("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")]
KINDS = [".glb", ".fbx", ".usdc", ".usdz"]
KAYKIT = Path(__file__).resolve().parents[3] / "shared" / "data" / "rigs" / "kaykit" / "Knight.glb"


@pytest.fixture(scope="module")
def dance(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Motion]:
    """A body that wanders, every joint turning far; its file and itself."""
    rng = np.random.default_rng(0)
    times = np.arange(FRAMES) / 30.0
    waves = np.sin(2 * np.pi * rng.uniform(0.5, 1.5, (24, 3)) * times[:, None, None] + rng.uniform(0, 6, (24, 3)))
    root = [0.0, 0.0, SMPL.rest_root_height] + times[:, None] * [0.7, -0.4, 0.1]
    motion = Motion(30.0, root, rot.from_axis_angle(0.6 * waves), np.zeros((FRAMES, 4)))
    file = tmp_path_factory.mktemp("dance") / "dance.npz"
    save_motion(file, motion)
    return file, motion


def silent(_fraction: float, _text: str) -> None:
    pass


def skip_without(ending: str) -> None:
    if ending.startswith(".usd") and not bpy.app.build_options.usd:
        pytest.skip("this Blender has no USD")


def shown(armature: Any, bone_map: BoneMap) -> tuple[dict[str, np.ndarray], float]:
    """Joint to world places (T, 3) while the armature's action plays, and seconds a frame."""
    scene = bpy.context.scene
    action = armature.animation_data.action
    first = round(action.frame_range[0])
    bones = {joint: bone_map.bone(joint) for joint in SMPL_NAMES if bone_map.bone(joint)}
    places = {joint: np.empty((FRAMES, 3)) for joint in bones}
    for k in range(FRAMES):
        scene.frame_set(first + k)
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        for joint, bone in bones.items():
            places[joint][k] = posed.matrix_world @ posed.pose.bones[bone].head
    assert action.frame_range[1] - action.frame_range[0] == pytest.approx(FRAMES - 1, abs=0.01)
    return places, scene.render.fps_base / scene.render.fps


def compare(armature: Any, motion: Motion) -> None:
    """The armature, read from a file, dances the motion."""
    rig = read_rig(armature)
    bone_map = find_map(rig)
    fit = Fit(rig, bone_map)
    places, seconds = shown(armature, bone_map)
    assert seconds == pytest.approx(1 / 30)
    positions, turned = forward_kinematics(SMPL, motion.rotations, motion.root)
    errors = []
    for side in ("left", "right"):
        for a, b in LIMBS:
            wanted = positions[:, SMPL_NAMES.index(f"{side}_{b}")] - positions[:, SMPL_NAMES.index(f"{side}_{a}")]
            is_so = places[f"{side}_{b}"] - places[f"{side}_{a}"]
            errors.append(np.degrees(rot.angle(rot.between(rot.rotate(fit.to_world, wanted), is_so))))
    assert np.mean(errors) < 0.1
    assert np.max(errors) < 0.5
    size = fit.scale * np.cbrt(np.linalg.det(rig.world[:3, :3]))
    hips = (places["left_hip"] + places["right_hip"]) / 2.0
    path = size * rot.rotate(fit.to_world, motion.root + rot.rotate(turned[:, 0], HIP_OFFSET))
    assert np.abs((hips - hips[0]) - (path - path[0])).max() < 0.005


def check_skin(armature: Any) -> None:
    """A mesh follows the armature."""
    meshes = [ob for ob in bpy.context.scene.objects if ob.type == "MESH" and ob.find_armature() is armature]
    assert meshes
    scene = bpy.context.scene
    middles = []
    for frame in armature.animation_data.action.frame_range:
        scene.frame_set(round(frame))
        mesh = max(meshes, key=lambda ob: len(ob.data.vertices))
        mesh = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
        places = np.empty(3 * len(mesh.data.vertices), np.float32)
        mesh.data.vertices.foreach_get("co", places)
        world = np.array(mesh.matrix_world)
        middles.append(world[:3, :3] @ places.reshape(-1, 3).mean(axis=0) + world[:3, 3])
    assert np.linalg.norm(middles[1] - middles[0]) > 0.1


@pytest.mark.parametrize("ending", KINDS)
def test_the_characters_dance_comes_back(dance: tuple[Path, Motion], tmp_path: Path, ending: str) -> None:
    skip_without(ending)
    out = tmp_path / f"dánce of one{ending}"
    assert export(Wish(dance[0], (out,)), silent) == ()
    armature = open_rig(out)
    compare(armature, dance[1])
    check_skin(armature)


@pytest.mark.data
@pytest.mark.skipif(not KAYKIT.is_file(), reason="the rigs are not beside the checkout")
@pytest.mark.parametrize("ending", KINDS)
def test_another_makers_character_comes_back(dance: tuple[Path, Motion], tmp_path: Path, ending: str) -> None:
    skip_without(ending)
    out = tmp_path / f"knight{ending}"
    export(Wish(dance[0], (out,), rig=(KAYKIT, None)), silent)
    compare(open_rig(out), dance[1])


@pytest.fixture
def painted(new_armature: Callable[[str], Any], tmp_path: Path) -> Callable[..., Path]:
    """Makes a character of one colour: a cube in a .blend, its picture, Skin, packed there; or of more."""

    def make(*reds: float) -> Path:
        bpy.ops.wm.read_homefile(use_empty=True)
        armature = new_armature("Rig")
        for k, red in enumerate(reds):
            add_cube(armature, red, None if len(reds) == 1 else tmp_path / f"{k}" / "Skin.png")
        file = tmp_path / f"painted {reds}.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(file), check_existing=False)
        return file

    def add_cube(armature: Any, red: float, place: Path | None) -> None:
        bpy.ops.mesh.primitive_cube_add()
        cube = bpy.context.object
        cube.modifiers.new("Armature", "ARMATURE").object = armature
        cube.vertex_groups.new(name="pelvis").add(range(8), 1.0, "REPLACE")
        skin = bpy.data.images.new("Skin", 4, 4)
        skin.pixels[:] = [red, 0.5, 0.25, 1.0] * 16
        if place is None:
            skin.pack()
        else:
            skin.filepath_raw, skin.file_format = str(place), "PNG"
            skin.save()
            if red > 0.5:
                skin.pack()
        material = bpy.data.materials.new("Skin")
        material.use_nodes = True
        nodes = material.node_tree.nodes
        picture = nodes.new("ShaderNodeTexImage")
        picture.image = skin
        shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
        material.node_tree.links.new(picture.outputs["Color"], shader.inputs["Base Color"])
        cube.data.materials.append(material)

    return make


def pictures() -> dict[str, list[float]]:
    """The open file's pictures and their first pixel."""
    return {image.name: list(image.pixels[:4]) for image in bpy.data.images if image.size[0]}


@pytest.mark.parametrize("ending", [".usd", ".usda", ".usdc", ".usdz"])
def test_usd_keeps_its_textures(
    dance: tuple[Path, Motion], painted: Callable[..., Path], tmp_path: Path, ending: str
) -> None:
    skip_without(ending)
    rig = painted(0.75)
    folder = tmp_path / "out"
    (folder / "textures").mkdir(parents=True)
    (folder / "textures" / "mine.png").write_text("of the user")
    out = folder / f"red{ending}"
    for _ in range(2):  # the second time over the first's files
        export(Wish(dance[0], (out,), rig=(rig, None)), silent)
    added = set() if ending == ".usdz" else {folder / "textures" / "Skin.png"}
    assert set(folder.rglob("*")) == {out, folder / "textures", folder / "textures" / "mine.png", *added}
    moved = shutil.move(folder, tmp_path / "moved")
    armature = open_rig(moved / out.name, "Rig")
    check_skin(armature)
    (pixel,) = pictures().values()
    assert pixel == pytest.approx([0.75, 0.5, 0.25, 1.0], abs=0.01)


def test_an_fbx_holds_its_textures(dance: tuple[Path, Motion], painted: Callable[..., Path], tmp_path: Path) -> None:
    rig = painted(0.75)
    folder = tmp_path / "out"
    folder.mkdir()
    export(Wish(dance[0], (folder / "red.fbx",), rig=(rig, None)), silent)
    assert [path.name for path in folder.rglob("*")] == ["red.fbx"]
    armature = open_rig(Path(shutil.move(folder, tmp_path / "moved")) / "red.fbx")
    check_skin(armature)
    (pixel,) = pictures().values()
    assert pixel == pytest.approx([0.75, 0.5, 0.25, 1.0], abs=0.01)
    (image,) = (image for image in bpy.data.images if image.size[0])
    assert Path(image.filepath).name == "Skin.png", "game engines tell pictures by their endings"


@pytest.mark.parametrize("ending", [".usdc", ".usdz", ".fbx"])
def test_textures_of_the_same_file_name_are_told_apart(
    dance: tuple[Path, Motion], painted: Callable[..., Path], tmp_path: Path, ending: str
) -> None:
    skip_without(ending)
    reds = [0.25, 0.4, 0.6, 0.75]
    rig = painted(*reds)
    outs = tmp_path / f"all{ending}", tmp_path / "all.blend"
    export(Wish(dance[0], outs, rig=(rig, None)), silent)
    open_rig(outs[0])
    assert sorted(pixel[0] for pixel in pictures().values()) == pytest.approx(reds, abs=0.01)
    open_rig(outs[1])  # made afterwards, and as the character was
    assert {Path(image.filepath).name for image in bpy.data.images} == {"Skin.png"}
    assert sorted(pixel[0] for pixel in pictures().values()) == pytest.approx(reds, abs=0.01)


def test_a_blend_finds_its_library_from_another_folder(
    dance: tuple[Path, Motion], new_armature: Callable[[str], Any], tmp_path: Path
) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.data.libraries.write(str(tmp_path / "library.blend"), {bpy.data.objects.new("Prop", None)})
    new_armature("Rig")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "rig.blend"), check_existing=False)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True, relative=True) as (_, wanted):
        wanted.objects = ["Prop"]
    bpy.context.scene.collection.objects.link(wanted.objects[0])
    bpy.ops.wm.save_mainfile()
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "dance.blend"
    export(Wish(dance[0], (out,), rig=(tmp_path / "rig.blend", None)), silent)
    open_rig(out)
    assert not bpy.data.objects["Prop"].is_missing


@pytest.fixture
def cast(tmp_path: Path) -> Callable[..., Path]:
    """Saves a scene with the built-in character, Anna, in a collection Cast, after something was done to it."""

    def save(change: Callable[[Any, Any], object]) -> Path:
        bpy.ops.wm.read_homefile(use_empty=True)
        scene = bpy.context.scene
        collection = bpy.data.collections.new("Cast")
        scene.collection.children.link(collection)
        change(make_character(bpy.context, "Anna", collection), collection)
        file = tmp_path / "cast.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(file), check_existing=False)
        return file

    return save


def exclude(collection: Any) -> None:
    bpy.context.view_layer.layer_collection.children[collection.name].exclude = True


def hide_collection(anna: Any, collection: Any) -> None:
    bpy.context.scene.collection.objects.link(anna.children[0])  # a hidden mesh would be left out
    bpy.context.view_layer.layer_collection.children[collection.name].hide_viewport = True


def disable_collection(anna: Any, collection: Any) -> None:
    bpy.context.scene.collection.objects.link(anna.children[0])
    collection.hide_viewport = True


def lock_collection(_anna: Any, collection: Any) -> None:
    collection.hide_select = True


def lock_each(anna: Any, _collection: Any) -> None:
    anna.hide_select = anna.children[0].hide_select = True


def flags(anna: Any) -> list[object]:
    """What is hidden, locked, selected and active."""
    layer = bpy.context.view_layer
    inside = layer.layer_collection.children["Cast"]
    objects = [(ob.name, ob.hide_get(), ob.hide_viewport, ob.hide_select, ob.select_get()) for ob in layer.objects]
    collections = [(c.name, c.hide_viewport, c.hide_select) for c in bpy.data.collections]
    return [*objects, *collections, inside.hide_viewport, layer.objects.active.name, anna.visible_get()]


@pytest.mark.parametrize("ending", [".glb", ".fbx", ".usdc"])
def test_a_mesh_out_of_the_view_layer_is_left_out(
    dance: tuple[Path, Motion], cast: Callable[..., Path], tmp_path: Path, ending: str
) -> None:
    skip_without(ending)

    def add_proxy(anna: Any, _collection: Any) -> None:
        proxies = bpy.data.collections.new("Proxies")
        bpy.context.scene.collection.children.link(proxies)
        proxy = bpy.data.objects.new("Proxy", bpy.data.meshes.new("Proxy"))
        proxies.objects.link(proxy)
        proxy.parent = anna
        exclude(proxies)

    out = tmp_path / f"dance{ending}"
    export(Wish(dance[0], (out,), rig=(cast(add_proxy), None)), silent)
    armature = open_rig(out)
    compare(armature, dance[1])
    check_skin(armature)
    assert not [ob for ob in bpy.data.objects if ob.name.startswith("Proxy")]


@pytest.mark.parametrize("ending", [".glb", ".fbx", ".usdc"])
def test_what_the_character_wears_comes_along(
    dance: tuple[Path, Motion], cast: Callable[..., Path], tmp_path: Path, ending: str
) -> None:
    skip_without(ending)

    def add_hat(anna: Any, collection: Any) -> None:
        socket = bpy.data.objects.new("Socket", None)
        bpy.ops.mesh.primitive_cone_add()
        hat = bpy.context.object
        hat.data.name = hat.name = "Hat"  # which a USD is read with
        collection.objects.link(socket)
        socket.parent, socket.parent_type, socket.parent_bone = anna, "BONE", "head"
        hat.parent = socket
        socket.hide_set(True)

    out = tmp_path / f"dance{ending}"
    export(Wish(dance[0], (out,), rig=(cast(add_hat), None)), silent)
    assert bpy.data.objects["Socket"].hide_get()
    armature = open_rig(out)
    first, last = armature.animation_data.action.frame_range
    heads, hats = [], []
    for frame in np.linspace(first, last, 5):
        bpy.context.scene.frame_set(round(frame))
        heads.append(armature.matrix_world @ armature.pose.bones["head"].head)
        hats.append(bpy.context.scene.objects["Hat"].matrix_world.translation.copy())
    apart = np.linalg.norm(np.subtract(hats, heads), axis=1)
    assert np.ptp(apart) < 0.001
    assert np.linalg.norm(hats[-1] - hats[0]) > 0.1


@pytest.mark.parametrize("ending", [".glb", ".fbx", ".usdc"])
@pytest.mark.parametrize(
    "change",
    [
        lambda anna, _: anna.hide_set(True),
        lambda anna, _: setattr(anna, "hide_viewport", True),
        hide_collection,
        disable_collection,
        lock_each,
        lock_collection,
    ],
    ids=[
        "hidden",
        "disabled",
        "in a hidden collection",
        "in a disabled collection",
        "locked",
        "in a locked collection",
    ],
)
def test_a_hidden_or_locked_character_is_written_whole(
    dance: tuple[Path, Motion],
    cast: Callable[..., Path],
    tmp_path: Path,
    ending: str,
    change: Callable[[Any, Any], object],
) -> None:
    skip_without(ending)
    rig = cast(change)
    open_rig(rig)
    before = flags(bpy.data.objects["Anna"])
    out = tmp_path / f"dance{ending}"
    export(Wish(dance[0], (out,), rig=(rig, None)), silent)
    assert flags(bpy.data.objects["Anna"]) == before
    armature = open_rig(out)
    compare(armature, dance[1])
    check_skin(armature)


def test_an_armature_out_of_the_view_layer_is_refused_before_the_work(
    dance: tuple[Path, Motion], cast: Callable[..., Path], tmp_path: Path
) -> None:
    rig = cast(lambda _, collection: exclude(collection))
    said: list[str] = []
    outs = tmp_path / "dance.blend", tmp_path / "dance.glb"
    with pytest.raises(RigError, match="Anna is not in the view layer: include its collection"):
        export(Wish(dance[0], outs, rig=(rig, None)), lambda _, text: said.append(text))
    assert said == ["Setting the scene"]
    export(Wish(dance[0], (tmp_path / "dance.blend",), rig=(rig, None)), silent)  # which takes the scene as it is


def test_a_blend_is_written_without_a_sound_that_is_gone(
    dance: tuple[Path, Motion], cast: Callable[..., Path], song: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "gone.wav"
    shutil.copyfile(song, gone)

    def load_sounds(*_: Any) -> None:
        for file in (song, gone):
            bpy.data.sounds.load(str(file)).use_fake_user = True

    rig = cast(load_sounds)
    gone.unlink()
    export(Wish(dance[0], (tmp_path / "dance.blend",), rig=(rig, None)), silent)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "dance.blend"))
    packed = {Path(sound.filepath).name: sound.packed_file is not None for sound in bpy.data.sounds}
    assert packed == {song.name: True, "gone.wav": False}


def test_another_texture_of_the_same_name_stays(
    dance: tuple[Path, Motion], painted: Callable[..., Path], tmp_path: Path
) -> None:
    skip_without(".usd")
    red, blue = painted(0.75), painted(0.1)
    folder = tmp_path / "out"
    folder.mkdir()
    export(Wish(dance[0], (folder / "one.usdc",), rig=(red, None)), silent)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(StepsmithError, match=r"Skin\.png .* write two\.usdz"):
        export(Wish(dance[0], (folder / "two.usdc",), rig=(blue, None)), silent)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.data
@pytest.mark.skipif(not KAYKIT.is_file(), reason="the rigs are not beside the checkout")
def test_another_makers_textures_come_back(dance: tuple[Path, Motion], tmp_path: Path) -> None:
    skip_without(".usd")
    export(Wish(dance[0], (tmp_path / "knight.usdc",), rig=(KAYKIT, "Rig")), silent)
    armature = open_rig(tmp_path / "knight.usdc", "Rig")
    compare(armature, dance[1])
    assert len(set(pictures()[next(iter(pictures()))])) > 1
    assert (tmp_path / "textures").is_dir()


def test_an_importers_number_may_be_left_out(dance: tuple[Path, Motion], tmp_path: Path) -> None:
    skip_without(".usd")
    export(Wish(dance[0], (tmp_path / "one.usdc",)), silent)
    name = open_rig(tmp_path / "one.usdc").name
    plain = name.partition(".")[0]
    assert open_rig(tmp_path / "one.usdc", name).name == open_rig(tmp_path / "one.usdc", plain).name == name
    with pytest.raises(StepsmithError, match="Nobody"):
        open_rig(tmp_path / "one.usdc", "Nobody")


def test_the_object_may_be_named_as_before_it_was_a_usd(painted: Callable[..., Path], tmp_path: Path) -> None:
    skip_without(".usd")
    painted(0.5)
    hero = bpy.data.objects["Rig"]
    hero.name, bpy.data.objects["Cube"].parent = "Hero", hero
    bpy.ops.wm.usd_export(filepath=str(tmp_path / "hero.usdc"))
    # The armature has its data's name now, in an empty that has the object's.
    assert open_rig(tmp_path / "hero.usdc", "Hero").type == "ARMATURE"


def test_a_vrm_is_read_as_the_gltf_it_is(dance: tuple[Path, Motion], tmp_path: Path) -> None:
    export(Wish(dance[0], (tmp_path / "one.glb",)), silent)
    shutil.copyfile(tmp_path / "one.glb", tmp_path / "one.vrm")
    assert find_map(read_rig(open_rig(tmp_path / "one.vrm"))).confidence == 1.0


def test_a_smpl_model_dances(
    dance: tuple[Path, Motion],
    tmp_path: Path,
    make_body_arrays: Callable[..., Any],
    write_body_npz: Callable[..., Path],
) -> None:
    write_body_npz(tmp_path / "body.npz", make_body_arrays())
    export(Wish(dance[0], (tmp_path / "body.blend",), rig=(tmp_path / "body.npz", None)), silent)
    compare(open_rig(tmp_path / "body.blend"), dance[1])


@pytest.mark.parametrize("ending", [".blend", ".glb", ".gltf", ".vrm", ".fbx", ".usdc", ".npz", ".pkl"])
@pytest.mark.parametrize("content", [b"", b"no character at all" * 20])
def test_files_that_are_none_are_refused(tmp_path: Path, ending: str, content: bytes) -> None:
    skip_without(ending)
    file = tmp_path / f"wrong{ending}"
    file.write_bytes(content)
    with pytest.raises(StepsmithError, match="wrong") as caught:
        open_rig(file)
    assert "\n" not in str(caught.value)


def test_a_file_without_a_body_is_refused(tmp_path: Path) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "empty.blend"))
    with pytest.raises(StepsmithError, match="no armatures"):
        open_rig(tmp_path / "empty.blend")
    with pytest.raises(StepsmithError, match="is no character"):
        open_rig(tmp_path / "song.mp3")
