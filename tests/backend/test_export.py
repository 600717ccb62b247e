"""Files from motions: all whole, or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stepsmith.backend import export
from stepsmith.backend.export import ExportError, Stage
from stepsmith.backend.progress import Cancelled
from stepsmith.retarget.files import load_motion
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.rig_path import split_rig

HERE = Path(__file__).parent
KAYKIT = HERE.parents[2] / "shared" / "data" / "rigs" / "kaykit" / "Knight.glb"


@pytest.fixture
def motion() -> Motion:
    rest = np.tile([1.0, 0.0, 0.0, 0.0], (30, 24, 1))
    return Motion(30, np.tile([0.0, 0.0, 0.92], (30, 1)), rest, np.ones((30, 4)))


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else in Blender's place."""
    monkeypatch.setattr(export, "_EXPORTER", "exporters")
    monkeypatch.setenv("PYTHONPATH", str(HERE / "work"))


def test_motion_files_and_scene_files_together(tmp_path: Path, motion: Motion, song: Path) -> None:
    outs = [tmp_path / name for name in ("a.npz", "a.blend", "a.glb")]
    seen: list[float] = []
    export.check(outs)
    export.export(motion, outs, Stage(song), lambda fraction, text: seen.append(fraction))
    assert sorted(tmp_path.iterdir()) == sorted(outs)
    assert (tmp_path / "a.glb").read_bytes()[:4] == b"glTF"
    assert len(load_motion(outs[0])) == 30
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)


@pytest.mark.data
@pytest.mark.skipif(not KAYKIT.is_file(), reason="the rigs are not beside the checkout")
def test_usd_files_share_their_textures(tmp_path: Path, motion: Motion) -> None:
    outs = [tmp_path / name for name in ("a.usdc", "b.usda")]
    export.export(motion, outs, Stage(rig=f"{KAYKIT}:Rig"))
    pictures = sorted((tmp_path / "textures").iterdir())
    assert sorted(tmp_path.iterdir()) == [*outs, tmp_path / "textures"]
    assert pictures
    assert all(f"@./textures/{picture.name}@" in outs[1].read_text() for picture in pictures)


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize(
    ("how", "word"), [("error", "no legs"), ("crash", r"code -6 \(Segmentation fault in the renderer\)")]
)
def test_a_failing_blender_leaves_what_was_there(tmp_path: Path, motion: Motion, how: str, word: str) -> None:
    old = tmp_path / "a.npz"
    old.write_text("old")
    with pytest.raises(ExportError, match=word) as caught:
        export.export(motion, [old, tmp_path / "a.blend"], Stage(Path(how)))
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_text() == "old"
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("failing")
def test_cancelled_from_its_progress(tmp_path: Path, motion: Motion) -> None:
    def stop(fraction: float, text: str) -> None:
        if text == "Half way":
            raise Cancelled

    with pytest.raises(Cancelled):
        export.export(motion, [tmp_path / "a.fbx"], Stage(Path("sleep")), stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rig", "file"),
    [
        ("a.blend", "a.blend"),
        ("a.blend:Rig", "a.blend"),
        ("a.blend:Rig:with.blend:colons", "a.blend:Rig:with.blend"),
        ("C:\\rigs\\a.blend", "C:\\rigs\\a.blend"),
    ],
)
def test_where_a_rig_is(rig: str, file: str) -> None:
    assert str(split_rig(rig)[0]) == file
