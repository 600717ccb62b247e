"""The processes that train one model together."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from ...retarget.errors import StepsmithError


class Processes:
    """One process on one device, or as many as a launcher such as torchrun started.

    ``count``: how many; ``rank``: which of them this is; ``device``: what it computes on. Raises StepsmithError
    where there are several and the package that joins them is not installed.
    """

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = 0
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if self.count > 1:
            try:
                from accelerate import Accelerator
            except ImportError as error:
                raise StepsmithError(
                    "Training in several processes needs accelerate: pip install 'stepsmith[train]'."
                ) from error
            self._joined = Accelerator(cpu=not torch.cuda.is_available())
            self.rank, self.device = self._joined.process_index, self._joined.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and tells how far it is."""
        return self.rank == 0

    def share(self, model: nn.Module) -> nn.Module:
        """The model whose gradients are the mean over all processes."""
        return model if self.count == 1 else self._joined.prepare_model(model)

    def mean(self, values: Tensor) -> Tensor:
        """The mean of ``values`` over all processes."""
        return values if self.count == 1 else self._joined.reduce(values, "mean")

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.count > 1:
            self._joined.wait_for_everyone()
