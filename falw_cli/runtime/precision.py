"""Numbers in float64, which not every device has."""

from __future__ import annotations

from torch import Tensor


def wide(values: Tensor) -> Tensor:
    """Return values in float64: on their device, or on the CPU if it is Apple's mps."""
    return (values.cpu() if values.device.type == "mps" else values).double()
