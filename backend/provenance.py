"""Where weights come from: what their headers say of data, licence, version and commit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .. import __version__

_ROOT = Path(__file__).resolve().parents[1]


def provenance(data: Path, *more: Path) -> dict[str, str]:
    """Facts for the header of weights trained on folders: ``data``, ``licence``, ``stepsmith``, and ``commit`` where
    the code runs from a checkout of its own."""
    facts = {
        "data": ", ".join(folder.resolve().name for folder in (data, *more)),
        "licence": "that of the data it was trained on",
        "stepsmith": __version__,
    }
    commit = _commit()
    return facts | {"commit": commit} if commit else facts


def _commit() -> str:
    """The commit of the checkout, marked where files differ from it; nothing where there is none."""
    if not (_ROOT / ".git").exists() or shutil.which("git") is None:
        return ""
    said = subprocess.run(
        ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip()
