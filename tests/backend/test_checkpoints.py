"""What is said of trainings that somebody stops."""

from __future__ import annotations

from pathlib import Path

import pytest
from stepsmith.backend.cli import app
from stepsmith.backend.dance import train as dance_training
from stepsmith.backend.folders import sweep
from stepsmith.backend.pose.lifter import train as lifter_training
from typer.testing import CliRunner


@pytest.mark.parametrize(("command", "training"), [("train", dance_training), ("train-lifter", lifter_training)])
@pytest.mark.parametrize("kept", [True, False])
def test_who_stops_a_training_is_told_how_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, training: object, kept: bool
) -> None:
    def stopped(*_: object, **__: object) -> None:
        if kept:
            (tmp_path / "checkpoint.pt").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", stopped)
    result = CliRunner().invoke(app, [command, "--data", str(tmp_path), "--out", str(tmp_path)])
    assert result.exit_code == 130
    assert ("--resume goes on from the last checkpoint" in result.stderr) == kept
    assert "no half-written file was left" in result.stderr


def test_what_a_killed_training_leaves_is_swept_away(tmp_path: Path) -> None:
    for name in (".checkpoint.pt.0123abcd.part", ".dance.npz.0123abcd.part", "checkpoint.pt"):
        (tmp_path / name).touch()
    sweep(tmp_path, ["checkpoint.pt", "log.csv"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".dance.npz.0123abcd.part", "checkpoint.pt"]
