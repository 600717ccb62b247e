"""Finished files at their places: all of them, or none."""

from __future__ import annotations

from pathlib import Path

import pytest
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.placing import put_in_place, unfinished_of, write_whole, written_beside


@pytest.fixture
def staged(tmp_path: Path) -> dict[Path, Path]:
    """Two outputs that share a folder, each made in a folder of its own with a common picture and its own one."""
    files = {}
    for name in ("one", "two"):
        made = tmp_path / f".{name}"
        (made / "textures").mkdir(parents=True)
        (made / "textures" / "skin.png").write_text("skin")
        (made / "textures" / f"{name}.png").write_text(name)
        file = made / f"{name}.usdc"
        file.write_text(name)
        files[tmp_path / "out" / file.name] = file
    (tmp_path / "out").mkdir()
    return files


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_textures_join(staged: dict[Path, Path], tmp_path: Path) -> None:
    put_in_place(staged)
    assert content(tmp_path / "out") == {
        "one.usdc": "one",
        "two.usdc": "two",
        "textures/skin.png": "skin",
        "textures/one.png": "one",
        "textures/two.png": "two",
    }


def test_nothing_is_placed_where_a_picture_would_be_lost(staged: dict[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "two.usdc").write_text("earlier")
    (out / "textures").mkdir()
    (out / "textures" / "two.png").write_text("another")
    before = content(out)
    with pytest.raises(StepsmithError, match=r"two\.png is another picture"):
        put_in_place(staged)
    assert content(out) == before


def test_textures_go_again_where_a_file_can_not_be_placed(staged: dict[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "out" / "one.usdc").mkdir()
    with pytest.raises(OSError, match=r"one\.usdc"):
        put_in_place(staged)
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["one.usdc"]


def test_a_file_in_the_folders_place_stays(staged: dict[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "out" / "textures").write_text("notes")
    with pytest.raises((OSError, StepsmithError), match="textures"):
        put_in_place(staged)
    assert content(tmp_path / "out") == {"textures": "notes"}


def test_a_file_appears_when_all_of_it_is_written(tmp_path: Path) -> None:
    place = tmp_path / "dance.npz"
    place.write_text("old")
    with written_beside(place) as unfinished:
        unfinished.write_text("new")
        assert unfinished.parent == tmp_path, "on another disk it could not be renamed"
        assert place.read_text() == "old"
    assert content(tmp_path) == {"dance.npz": "new"}


def test_a_file_that_fails_leaves_the_old_one_alone(tmp_path: Path) -> None:
    place = tmp_path / "dance.npz"
    place.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(place, "half\ud800")
    assert content(tmp_path) == {"dance.npz": "old"}


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    place = tmp_path / "dance.npz"
    with written_beside(place) as first, written_beside(place) as second:
        first.write_text("first")
        second.write_text("second")
    assert content(tmp_path) == {"dance.npz": "first"}


@pytest.mark.parametrize("name", ["dance.npz", ".hidden", "a.part", "tänze 1.mp4"])
def test_what_a_killed_writer_leaves_is_known(tmp_path: Path, name: str) -> None:
    with written_beside(tmp_path / name) as unfinished:
        assert unfinished_of(unfinished) == name
        unfinished.touch()
    assert unfinished_of(tmp_path / name) == ""
