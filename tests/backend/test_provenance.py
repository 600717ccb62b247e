"""Weights say where they come from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import stepsmith
from safetensors import safe_open
from stepsmith.backend import model_header, provenance
from stepsmith.backend.evaluate.lifter import CAUSAL_WEIGHTS
from stepsmith.backend.pose.lifter import WEIGHTS


@pytest.mark.parametrize("weights", [model_header.DEFAULT, WEIGHTS, CAUSAL_WEIGHTS])
def test_weights_that_ship_name_data_licence_and_commit(weights: Path) -> None:
    with safe_open(weights, framework="np") as opened:
        header = opened.metadata()
    assert "tang2018" in header["data"]
    assert "carry no licence" in header["licence"]
    assert header["stepsmith"] == "0.1.0"
    assert len(bytes.fromhex(header["commit"] + "0" * (len(header["commit"]) % 2))) >= 4


def test_trained_weights_name_their_folders_and_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    facts = provenance.provenance(tmp_path / "dances", tmp_path / "mocap")
    assert facts["data"] == "dances, mocap"
    assert facts["stepsmith"] == stepsmith.__version__
    assert facts["licence"]
    assert "commit" not in facts, "an installed package is no checkout"

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *who, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "code.py").write_text("1")
    git("add", ".")
    git("commit", "-qm", "one")
    commit = git("rev-parse", "HEAD")[:12]
    assert provenance.provenance(tmp_path)["commit"] == commit
    (tmp_path / "code.py").write_text("2")
    assert provenance.provenance(tmp_path)["commit"] == f"{commit}-dirty"
