"""Pruned networks: weights that are exactly zero stay zero, and pruning masks are kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from torch import Tensor, nn

from falw_cli.models.checkpoint import Checkpoint, Tensors

SHARE = 0.005
"""Share of exact zeros in weight matrices above which a network is reported as pruned."""
Zeros = list[tuple[nn.Parameter, Tensor]]
"""Parameters with zeros, and where these are: bool, in the parameter's shape."""


def sparse(tensors: Tensors) -> list[str]:
    """Return a sentence on the exact zeros of a pruned network; nothing for other networks.

    A weight under a pruning mask counts as zero, and the mask is no weight.
    """
    masks = _masks(tensors)
    weights = {**tensors, **{f"{name}_orig": one for name, one in _masked(tensors, masks).items()}}
    zeros = {
        name: (int((tensor == 0).sum()), tensor.numel())
        for name, tensor in weights.items()
        if name.removesuffix("_mask") not in masks
        and tensor.ndim > 1
        and tensor.is_floating_point()
    }
    share = sum(n for n, _ in zeros.values()) / max(1, sum(size for _, size in zeros.values()))
    if share < SHARE:
        return []
    most = max(zeros, key=lambda name: zeros[name][0] / max(1, zeros[name][1]))
    return [
        f"{share:.1%} of the weights are exactly zero, as after pruning (most in {most}: "
        f"{zeros[most][0] / zeros[most][1]:.1%}); unlearning keeps them at zero"
    ]


def zeros_of(module: nn.Module) -> Zeros:
    """Return the zeros that unlearning keeps.

    A vector of zeros, such as a bias that starts at zero, is not pruned.
    """
    found = [(one, one.detach() == 0) for one in module.parameters() if one.is_floating_point()]
    return [(one, zero) for one, zero in found if zero.any() and (one.ndim > 1 or not zero.all())]


def merged(source: Checkpoint, expected: Iterable[str] = ()) -> Checkpoint:
    """Return a checkpoint with its pruning masks apart and applied to the weights.

    `torch.nn.utils.prune` stores NAME as NAME_orig and NAME_mask.

    Args:
        source: with the file's names.
        expected: names of the module; if it is pruned in the same way, nothing is changed.
    """
    tensors = source.tensors
    masks = _masks(tensors)
    if not masks or any(name.endswith("_mask") for name in expected):
        return source
    known = {f"{name}{end}" for name in masks for end in ("_orig", "_mask")}
    rest = {name: tensor for name, tensor in tensors.items() if name not in known}
    weights = _masked(tensors, masks)
    note = f"pruning masks are kept, those of {len(masks)} tensors such as {next(iter(masks))}"
    return replace(source, tensors={**rest, **weights}, masks=masks, notes=(*source.notes, note))


def _masks(tensors: Tensors) -> dict[str, Tensor]:
    """Return the pruning masks by the names of the masked tensors."""
    names = [name.removesuffix("_mask") for name in tensors if name.endswith("_mask")]
    return {
        name: tensors[f"{name}_mask"]
        for name in names
        if name not in tensors
        and f"{name}_orig" in tensors
        and _is_mask(tensors[f"{name}_mask"], tensors[f"{name}_orig"])
    }


def _masked(tensors: Tensors, masks: Tensors) -> dict[str, Tensor]:
    """Return the masked weights, in their own dtypes."""
    origs = {name: tensors[f"{name}_orig"] for name in masks}
    return {name: (origs[name] * mask).to(origs[name].dtype) for name, mask in masks.items()}


def _is_mask(mask: Tensor, weights: Tensor) -> bool:
    """Return whether a tensor has zeros and ones only, and at least one of these, per weight."""
    return mask.shape == weights.shape and bool(((mask == 0) | (mask == 1)).all() and mask.any())
