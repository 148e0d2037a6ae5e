"""Where memory is too small for a batch, it goes through the network in parts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from falw_cli.errors import RunError
from falw_cli.runtime.progress import Progress


class Parts:
    """In how many parts each batch is taken; doubled when memory runs out.

    The gradients of the parts add up to the batch's; nothing but BatchNorm's statistics, which are
    of each part, depends on their number.
    """

    def __init__(self, module: nn.Module, progress: Progress, ranks: int, number: int = 1) -> None:
        """Args: number, of parts to begin with: an interrupted run's."""
        self.number = number
        self._module, self._progress, self._ranks = module, progress, ranks
        self._buffers = [buffer for buffer in module.buffers() if buffer.numel()]
        self._before = [buffer.clone() for buffer in self._buffers]

    def take(self, attempt: Callable[[int], Tensor], samples: int, step: int) -> Tensor:
        """The loss of a step, whose gradients are in the module then.

        Args:
            attempt: takes the step in so many parts.
            samples: how many the batch has.
            step: its number, for the error.

        Raises:
            RunError: no number of parts fits into memory.
        """
        if self._buffers:
            torch._foreach_copy_(self._before, self._buffers)
        while True:
            try:
                return attempt(min(self.number, max(1, samples // 2)))
            except torch.OutOfMemoryError as error:
                cause = error.with_traceback(None)  # its frames hold what is to be freed
            if self._ranks > 1 or 4 * self.number > samples:
                raise self._failure(step) from cause
            self._halve(samples)

    def _failure(self, step: int) -> RunError:
        advice = "or more --devices" if self._ranks > 1 else "or another --device"
        failure = RunError(
            f"the GPU ran out of memory at step {step}", f"take a smaller --batch-size, {advice}"
        )
        failure.own = True
        return failure

    def _halve(self, samples: int) -> None:
        """Take back what the attempt changed, and let the next one take smaller parts."""
        self.number *= 2
        for parameter in self._module.parameters():
            parameter.grad = None
        with torch.no_grad():
            for buffer, before in zip(self._buffers, self._before, strict=True):
                buffer.copy_(before)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._progress.warn(
            f"memory ran out: batches of {samples} are taken in {self.number} parts, whose "
            "gradients add up; statistics of BatchNorm are of each part"
        )
