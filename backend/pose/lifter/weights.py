"""The lifter's weights on disk: safetensors in half precision, with a header that says what they are."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ....retarget.errors import StepsmithError
from ...checkpoints import load_tensors, save_tensors
from . import WEIGHTS
from .network import TemporalNetwork
from .shapes import INPUTS, OUTPUTS

FORMAT = "stepsmith-lifter-1"


class LifterError(StepsmithError):
    """Weights of a lifter that are missing, damaged, or not ours."""


def save_network(path: Path, network: TemporalNetwork, facts: dict[str, str]) -> None:
    """Write half-precision weights with ``facts`` (data, licence, ...) in the header."""
    state = {name: value.contiguous() for name, value in network.state_dict().items() if value.is_floating_point()}
    # A norm's variances may be too small for half precision; they are few.
    state = {name: value if "running" in name else value.to(torch.float16) for name, value in state.items()}
    config = {"widths": list(network.widths), "causal": network.causal}
    header = {**facts, "format": FORMAT, "config": json.dumps(config)}
    save_tensors(path, state, header)


def load_network(path: Path | None = None) -> TemporalNetwork:
    """The network of a weights file, ready for use; the one that comes with Stepsmith by default.

    Raises LifterError where the file is missing, damaged, or not a lifter of ours.
    """
    file = WEIGHTS if path is None else path
    if not file.is_file():
        advice = "install Stepsmith again" if path is None else "give another file with --lifter"
        raise LifterError(f"The lifter's weights {file} are missing: {advice}.")
    try:
        with safe_open(file, framework="np") as opened:
            header = opened.metadata() or {}
        if header.get("format") != FORMAT:
            raise LifterError(f"{file} holds no lifter of Stepsmith ({FORMAT}): give another file with --lifter.")
        config = json.loads(header["config"])
        state = load_tensors(file)
        # The tensors that are there bound what the header may ask for.
        channels, widths = len(state["expand_conv.weight"]), [int(width) for width in config["widths"][: len(state)]]
        with torch.device("meta"):
            network = TemporalNetwork(INPUTS, OUTPUTS, channels, widths, bool(config["causal"]))
        counters = {name: torch.tensor(0) for name in network.state_dict() if name.endswith("num_batches_tracked")}
        network.load_state_dict(counters | state, assign=True)
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise LifterError(f"The weights {file} are damaged: copy or install them again.") from error
    return network.eval().requires_grad_(False)
