"""Splitting of a batch into parts (gradient accumulation) if memory is too small for it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from falw_cli.errors import SingleRankError
from falw_cli.runtime.progress import Progress


class Parts:
    """Number of parts per batch; doubled when memory runs out.

    The gradients of the parts add up to the gradient of the batch. Only the statistics of
    BatchNorm depend on the number of parts, since they are computed per part.
    """

    def __init__(self, module: nn.Module, progress: Progress, ranks: int, number: int = 1) -> None:
        """Args: number, initial number of parts; a resumed run continues with its own."""
        self.number = number
        self._module, self._progress, self._ranks = module, progress, ranks
        self._buffers = [buffer for buffer in module.buffers() if buffer.numel()]
        self._before = [buffer.clone() for buffer in self._buffers]

    def take(self, attempt: Callable[[int], Tensor], samples: int, step: int) -> Tensor:
        """Take a step and return its loss; the gradients are then in the module.

        Args:
            attempt: takes the step in the given number of parts.
            samples: number of samples in the batch.
            step: number of the step, for the error message.

        Raises:
            RunError: no number of parts fits into memory.
        """
        if self._buffers:
            torch._foreach_copy_(self._before, self._buffers)
        while True:
            try:
                return attempt(min(self.number, max(1, samples // 2)))
            except torch.OutOfMemoryError as error:
                cause = error.with_traceback(None)  # its frames keep tensors alive
            if self._ranks > 1 or 4 * self.number > samples:
                advice = "or more --devices" if self._ranks > 1 else "or another --device"
                raise SingleRankError(
                    f"the GPU ran out of memory at step {step}",
                    f"use a smaller --batch-size, {advice}",
                ) from cause
            self._halve(samples)

    def _halve(self, samples: int) -> None:
        """Undo the failed attempt and double the number of parts."""
        self.number *= 2
        for parameter in self._module.parameters():
            parameter.grad = None
        with torch.no_grad():
            for buffer, before in zip(self._buffers, self._before, strict=True):
                buffer.copy_(before)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._progress.warn(
            f"memory ran out: batches of {samples} are split into {self.number} parts with "
            "accumulated gradients; BatchNorm statistics are computed per part"
        )
