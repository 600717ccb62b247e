"""Weights on disk: safetensors in half precision, with a header that says what they are."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError

from ..checkpoints import load_tensors, save_tensors
from ..model_header import FORMAT, ModelError, read_header
from .model import DanceModel, ModelConfig


def save_model(path: Path, model: DanceModel, facts: dict[str, str]) -> None:
    """Write half-precision weights with ``facts`` (data, licence, commit, ...) in the header."""
    state = {name: value.to(torch.float16).contiguous() for name, value in model.state_dict().items()}
    header = {**facts, "format": FORMAT, "config": json.dumps(model.config.to_dict())}
    save_tensors(path, state, header)


def load_model(path: Path | str | None = None) -> DanceModel:
    """The model of a weights file, ready to sample; the one that comes with Stepsmith by default.

    Raises ModelError where the file is missing, damaged, or not a dance model of ours.
    """
    header = read_header(Path(path) if path is not None else None)
    try:
        config = ModelConfig.from_dict(json.loads(header.config))
        state = load_tensors(header.file)
        with torch.device("meta"):  # nothing is set aside before the sizes are known to agree
            model = DanceModel(config)
        model.load_state_dict(state, assign=True)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"The weights {header.file} are damaged: copy or install them again.") from error
    return model.eval().requires_grad_(False)
