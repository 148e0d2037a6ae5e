"""Collective operations: how ranks share samples and combine results.

With one rank, these functions do nothing. All ranks must call them in the same order.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torch.distributed
from torch import Tensor

from falw_cli.errors import FalwError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightning_fabric import Fabric


def mine(count: int, fabric: Fabric) -> Tensor:
    """Return this rank's share of `count` rows, int64: every `world_size`-th row."""
    return torch.arange(count)[fabric.global_rank :: fabric.world_size]


def gather(values: Tensor, count: int, fabric: Fabric) -> Tensor:
    """Gather each rank's results for its `mine` rows, in row order: [n, ...] -> [count, ...]."""
    if fabric.world_size == 1:
        return values
    most = -(-count // fabric.world_size)
    padded = values.new_zeros(most, *values.shape[1:])
    padded[: len(values)] = values
    return torch.stack(_of_all(padded, fabric), 1).flatten(0, 1)[:count]


def gather_uneven(values: Tensor, fabric: Fabric) -> Tensor:
    """Concatenate the values of all ranks in rank order: [n] of any n -> [sum of n]."""
    if fabric.world_size == 1:
        return values
    sizes = numbers(len(values), fabric)
    padded = values.new_zeros(max(sizes))
    padded[: len(values)] = values
    found = _of_all(padded, fabric)
    return torch.cat([row[:size] for row, size in zip(found, sizes, strict=True)])


def numbers(value: int, fabric: Fabric) -> list[int]:
    """Gather one number from each rank, in rank order."""
    if fabric.world_size == 1:
        return [value]
    return [int(one) for one in _of_all(torch.tensor(value, device=fabric.device), fabric)]


def _of_all(value: Tensor, fabric: Fabric) -> list[Tensor]:
    # Fabric's all_gather calls a function that torch has deprecated.
    found = [torch.empty_like(value) for _ in range(fabric.world_size)]
    torch.distributed.all_gather(found, value)
    return found


def total(value: Tensor, fabric: Fabric) -> Tensor:
    """Return the sum over the ranks, bit-identical on each."""
    if fabric.world_size == 1:
        return value
    found: Tensor = fabric.all_reduce(value, reduce_op="sum")  # type: ignore[assignment]
    return found


def mean(values: Tensor, fabric: Fabric) -> Tensor:
    """Return the mean of the values of all ranks: [n] of any n -> a scalar."""
    if fabric.world_size == 1:
        return values.mean()
    both = total(torch.stack([values.sum(), values.new_tensor(float(len(values)))]), fabric)
    return both[0] / both[1]


@contextmanager
def agreed(fabric: Fabric) -> Iterator[None]:
    """Let all ranks fail with the same exit code if one rank fails inside the block.

    Raises:
        FalwError: on the first failing rank, its error; on the others, that this rank failed.
    """
    if fabric.world_size == 1:
        yield
        return
    failure = None
    try:
        yield
    except FalwError as error:
        failure = error
    codes = numbers(failure.exit_code if failure else 0, fabric)
    first = next((rank for rank, found in enumerate(codes) if found), None)
    if first is None:
        return
    if failure is not None and first == fabric.global_rank:
        failure.single_rank = True
        raise failure
    other = FalwError(f"rank {first} failed", "see its message above")
    other.exit_code = codes[first]
    raise other


@contextmanager
def rank_zero_first(fabric: Fabric) -> Iterator[None]:
    """Let one rank per machine go first; the others find its decoded images in the cache."""
    if fabric.world_size > 1 and fabric.local_rank:
        fabric.barrier()
    try:
        yield
    finally:
        if fabric.world_size > 1 and not fabric.local_rank:
            fabric.barrier()
