"""What the header of the dance model's weights says, read without torch: quick enough for every start."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..retarget.errors import StepsmithError

FORMAT = "stepsmith-dance-1"
DEFAULT = Path(__file__).parent / "dance" / "weights" / "dances.safetensors"


class ModelError(StepsmithError):
    """Weights that are missing, damaged, or not ours."""


@dataclass(frozen=True)
class ModelHeader:
    """``file``: the weights; ``config``: the network's shape, as JSON; ``genres`` the model can dance;
    ``facts``: data, licence, commit, ... as its maker wrote them."""

    file: Path
    config: str
    genres: tuple[str, ...]
    facts: dict[str, str]

    def check_genre(self, genre: str | None) -> None:
        """Raise StepsmithError where the model can't dance ``genre``; None leaves the choice to it."""
        if genre is not None and genre not in self.genres:
            raise StepsmithError(f"The model knows no genre “{genre}”: choose one of {', '.join(self.genres)}.")


def read_header(path: Path | None = None) -> ModelHeader:
    """The header of a weights file, the one that comes with Stepsmith by default.

    Raises ModelError where the file is missing, damaged, or not a dance model of ours.
    """
    file = DEFAULT if path is None else path
    if not file.is_file():
        advice = "install Stepsmith again" if path is None else "give another file with --model"
        raise ModelError(f"The dance model's weights {file} are missing: {advice}.")
    try:
        with safe_open(file, framework="np") as opened:
            header = opened.metadata() or {}
        if header.get("format") != FORMAT:
            raise ModelError(f"{file} holds no dance model of Stepsmith ({FORMAT}): give another file with --model.")
        genres = tuple(map(str, json.loads(header["config"])["genres"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        if file.suffix.lower() != ".safetensors":  # a training's checkpoint, say, which is not damaged at all
            raise ModelError(
                f"{file} is no .safetensors file: give one with --model, as the model.safetensors of a training."
            ) from error
        raise ModelError(f"The weights {file} are damaged: copy or install them again.") from error
    return ModelHeader(
        file,
        header["config"],
        genres,
        {name: value for name, value in header.items() if name not in ("format", "config")},
    )
