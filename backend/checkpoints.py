"""What trainings leave on disk: checkpoints to go on from, and the tensors of weights."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from ..retarget.errors import StepsmithError
from ..retarget.placing import written_beside

CHECKPOINT = "checkpoint.pt"  # what a training goes on from, in its folder


@contextmanager
def resumable(folder: Path, *, quiet: bool = False) -> Iterator[None]:
    """A training in ``folder``: who stops it is told how it goes on, if it does; nothing if ``quiet``."""
    try:
        yield
    except KeyboardInterrupt:
        if not quiet and (folder / CHECKPOINT).is_file():
            print("\nThe same command with --resume goes on from the last checkpoint.", file=sys.stderr)
        raise


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Where a training writes what it keeps in ``folder``. Raises StepsmithError where the disk does not take it."""
    try:
        yield
    except OSError as error:
        raise StepsmithError(
            f"The checkpoint can't be written to {folder} ({error.strerror or error}): free some space and go on with"
            " --resume."
        ) from error


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all. Raises OSError where it can't be written."""
    with written_beside(path) as unfinished:
        try:
            torch.save(dict(state), unfinished)
        except RuntimeError as error:  # all that torch says of a full disk is where it was in its own code
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def load_checkpoint(path: Path, kinds: Mapping[str, type]) -> dict[str, Any]:
    """What a checkpoint holds, its tensors on the processor. ``kinds``: what is in it at least, by name.

    Raises StepsmithError where it can't be read or is damaged, and MemoryError.
    """
    try:
        with path.open("rb") as file:
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        if not all(isinstance(state[name], kind) for name, kind in kinds.items()):
            raise TypeError("other contents")
        return state
    except MemoryError:
        raise
    except OSError as error:
        raise StepsmithError(f"{path} can't be read ({error.strerror or error}): check its permissions.") from error
    except Exception as error:  # A damaged file raises nearly anything.
        if "allocate memory" in str(error):
            raise MemoryError from error
        raise StepsmithError(
            f"{path} is damaged or no checkpoint of a training: move it away and start without --resume."
        ) from error


def diverged(step: int, checkpoint: Path) -> StepsmithError:
    """What to say, and to do, of a loss that is no number at ``step``, the last ``checkpoint`` as it was."""
    again = f"resume from the last checkpoint in {checkpoint.parent}" if checkpoint.is_file() else "start again"
    return StepsmithError(f"The loss is no longer a number at step {step}: {again} with a lower learning rate.")


def save_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    """Write weights as safetensors, whole or not at all. Raises OSError where they can't be written."""
    with written_beside(path) as unfinished:
        unfinished.write_bytes(save(tensors, header))  # save_file would keep it from the group and others


def load_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file's tensors in single precision.

    Raises SafetensorError or OSError where it can't be read, ValueError where some of it is no number.
    """
    tensors = {name: value.float() for name, value in load_file(path).items()}
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise ValueError("no numbers")
    return tensors
