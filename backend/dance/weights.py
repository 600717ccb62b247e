"""Weights on disk: safetensors in half precision, with a header that says what they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ...retarget.errors import StepsmithError
from .model import DanceModel, ModelConfig

FORMAT = "stepsmith-dance-1"
DEFAULT = Path(__file__).parent / "weights" / "ballroom.safetensors"


class ModelError(StepsmithError):
    """Weights that are missing, damaged, or not ours."""


def save_model(path: Path, model: DanceModel, facts: dict[str, str]) -> None:
    """Write half-precision weights with ``facts`` (data, licence, commit, ...) in the header."""
    state = {name: value.to(torch.float16).contiguous() for name, value in model.state_dict().items()}
    header = {**facts, "format": FORMAT, "config": json.dumps(model.config.to_dict())}
    beside = path.with_name(path.name + ".part")
    save_file(state, beside, metadata=header)
    os.replace(beside, path)


def load_model(path: Path | str | None = None) -> DanceModel:
    """The model of a weights file, ready to sample; the one that comes with Stepsmith by default.

    Raises ModelError where the file is missing, damaged, or not a dance model of ours.
    """
    file = DEFAULT if path is None else Path(path)
    if not file.is_file():
        advice = "install Stepsmith again" if path is None else "give another file with --model"
        raise ModelError(f"The dance model's weights {file} are missing: {advice}.")
    try:
        with safe_open(file, framework="pt") as opened:
            header = opened.metadata() or {}
            if header.get("format") != FORMAT:
                raise ModelError(
                    f"{file} holds no dance model of Stepsmith ({FORMAT}): give another file with --model."
                )
            model = DanceModel(ModelConfig.from_dict(json.loads(header["config"])))
            model.load_state_dict({name: opened.get_tensor(name).float() for name in opened.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"The weights {file} are damaged: copy or install them again.") from error
    return model.eval().requires_grad_(False)
