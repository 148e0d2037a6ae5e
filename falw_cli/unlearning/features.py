"""Features of samples from the middle layers of a network, which memorisation affects least.

The last layers of a network that has memorised its training data separate the training labels,
right and wrong ones alike; the middle layers still describe the image (Baldock, Maennel and
Neyshabur, "Deep Learning Through the Lens of Example Difficulty", NeurIPS 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from falw_cli.data.device import Samples
from falw_cli.models.network import Network

MIDDLE = (0.25, 0.75)
"""Range of the normalisation layers whose features are used, as shares of their number."""
PER_LAYER = 200
"""Maximum number of features per layer; more are reduced by random projection."""
MOST = 600
"""Maximum number of features of all layers; more are reduced by random projection."""
POOLED = 512
"""Maximum number of channels of a feature map that is pooled to 2x2, not to a single value."""
NORMALISATION = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)


def middle_features(network: Network, parts: Sequence[Samples]) -> list[Tensor]:
    """Return the features of each part, [N, D] each, D at most MOST, centred and scaled.

    Args:
        network: used in eval mode, without augmentation.
        parts: samples; the second part defines the centre and the scale of each feature.
    """
    layers = _middle(network.module)
    found: dict[int, Tensor] = {}

    def keep(layer: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor):
            found[id(layer)] = pooled(layer, output.detach().float())

    def of(pixels: Tensor) -> Tensor:
        found.clear()
        logits = network.logits(pixels)
        random = torch.Generator().manual_seed(0)
        wide = [_projected(found[id(one)], PER_LAYER, random) for one in layers if id(one) in found]
        return _projected(torch.cat(wide, 1), MOST, random) if wide else logits

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        raw = [network.map_pixels(part, of) for part in parts]
    finally:
        for handle in handles:
            handle.remove()
    centre, scale = raw[1].mean(0), raw[1].std(0, unbiased=False).clamp(min=1e-6)
    return [(one - centre) / scale for one in raw]


def pooled(layer: nn.Module, output: Tensor) -> Tensor:
    """Return a layer's output for n samples as [n, K]: rectified and averaged over space."""
    if output.dim() == 4:
        if isinstance(layer, nn.LayerNorm) and output.shape[1] != layer.normalized_shape[-1]:
            output = output.permute(0, 3, 1, 2)  # channels last
        side = 2 if output.shape[1] <= POOLED else 1
        return F.adaptive_avg_pool2d(F.relu(output), side).flatten(1)
    if output.dim() == 3:
        return F.relu(output).mean(1)
    return F.relu(output.flatten(1))


def _middle(module: nn.Module) -> list[nn.Module]:
    """Return the layers whose features are used: normalisation, else convolutional or linear."""
    every = list(module.modules())
    layers: list[nn.Module] = [one for one in every if isinstance(one, NORMALISATION)]
    layers = layers or [one for one in every if isinstance(one, (nn.Conv2d, nn.Linear))]
    if not layers:
        return [module]
    first, last = (int(share * len(layers)) for share in MIDDLE)
    return layers[first : max(last, first + 1)]


def _projected(features: Tensor, most: int, random: torch.Generator) -> Tensor:
    """Project features [n, K] to at most `most` columns, with directions from the generator."""
    width = features.shape[1]
    if width <= most:
        return features
    directions = torch.randn(width, most, generator=random) / most**0.5
    found: Tensor = features @ directions.to(features.device)
    return found
