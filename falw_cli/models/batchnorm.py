"""BatchNorm: statistics over all ranks that share a batch, and how fast running ones follow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Summed(torch.autograd.Function):
    """Sum over the ranks; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        value = value.clone()
        torch.distributed.all_reduce(value)
        return value

    @staticmethod
    def backward(context: Any, slope: Tensor) -> Tensor:
        return _Summed.forward(context, slope)


class SharedBatchNorm(_BatchNorm):
    """SyncBatchNorm for the CPU, where torch has none.

    Ioffe and Szegedy, "Batch Normalization" (ICML 2015), algorithm 1, with sums over all ranks.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of dimensions: the layer replaces 1d, 2d and 3d."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise [n, C, ...]; eval mode is that of torch."""
        if not self.training:
            return super().forward(input)
        over = [d for d in range(input.dim()) if d != 1]
        wide = input.double()
        count = wide.new_tensor([float(input.numel() // input.shape[1])])
        sums = torch.cat([wide.sum(over), wide.square().sum(over), count])
        sums = _Summed.apply(sums)
        width, count = input.shape[1], sums[-1]
        mean = sums[:width] / count
        variance = (sums[width:-1] / count - mean.square()).clamp(min=0)
        self._remember(mean.detach(), (variance * count / (count - 1).clamp(min=1)).detach())
        shape = [1, -1] + [1] * (input.dim() - 2)
        scale = (variance + self.eps).rsqrt()
        normal = (wide - mean.view(shape)) * scale.view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        result: Tensor = normal.to(input.dtype)
        return result

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        factor = self.momentum
        if factor is None:
            factor = 1 / float(self.num_batches_tracked)
        for kept, now in ((self.running_mean, mean), (self.running_var, variance)):
            assert kept is not None
            kept.lerp_(now.to(kept.dtype), factor)


def share_batchnorm(module: nn.Module, device: torch.device) -> nn.Module:
    """Return the module with the statistics of every BatchNorm layer taken over all ranks.

    Names and values stay the same; if the module is a BatchNorm layer, a new one is returned.
    """
    if device.type != "cpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-any-return,no-untyped-call]
    if isinstance(module, _BatchNorm):
        return _shared(module)
    for name, child in module.named_children():
        setattr(module, name, share_batchnorm(child, device))
    return module


def _shared(layer: Any) -> SharedBatchNorm:
    made = SharedBatchNorm(
        layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
    )
    made.load_state_dict(layer.state_dict())
    made.train(layer.training)
    for name, weights in layer.named_parameters():
        getattr(made, name).requires_grad_(weights.requires_grad)
    return made


@contextmanager
def statistics_follow(module: nn.Module, least: float) -> Iterator[None]:
    """Raise the momentum of BatchNorm's running statistics to `least` inside the block.

    Layers whose statistics are a mean over all batches (momentum None) stay as they are.
    """
    slow = [
        (layer, layer.momentum) for layer in module.modules()
        if isinstance(layer, _BatchNorm) and layer.momentum is not None and layer.momentum < least
    ]  # fmt: skip
    for layer, _ in slow:
        layer.momentum = least
    try:
        yield
    finally:
        for layer, momentum in slow:
            layer.momentum = momentum
