"""Work that the ranks of a run share: who takes which samples, and how results come together.

A run on one device has one rank, and all of this does nothing. Every rank calls these functions in
the same order.
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
    """This rank's part of `count` rows, int64: each rank takes every `world_size`-th."""
    return torch.arange(count)[fabric.global_rank :: fabric.world_size]


def gather(values: Tensor, count: int, fabric: Fabric) -> Tensor:
    """What each rank found for `mine` rows, in the order of the rows: [n, ...] -> [count, ...]."""
    if fabric.world_size == 1:
        return values
    most = -(-count // fabric.world_size)
    padded = values.new_zeros(most, *values.shape[1:])
    padded[: len(values)] = values
    return torch.stack(_of_all(padded, fabric), 1).flatten(0, 1)[:count]


def gather_uneven(values: Tensor, fabric: Fabric) -> Tensor:
    """The values of all ranks, one rank after the other: [n] of any n -> [sum of n]."""
    if fabric.world_size == 1:
        return values
    sizes = numbers(len(values), fabric)
    padded = values.new_zeros(max(sizes))
    padded[: len(values)] = values
    found = _of_all(padded, fabric)
    return torch.cat([row[:size] for row, size in zip(found, sizes, strict=True)])


def numbers(value: int, fabric: Fabric) -> list[int]:
    """A number of each rank's, by rank."""
    if fabric.world_size == 1:
        return [value]
    return [int(one) for one in _of_all(torch.tensor(value, device=fabric.device), fabric)]


def _of_all(value: Tensor, fabric: Fabric) -> list[Tensor]:
    # Fabric's own all_gather goes by a function that torch has deprecated.
    found = [torch.empty_like(value) for _ in range(fabric.world_size)]
    torch.distributed.all_gather(found, value)
    return found


def total(value: Tensor, fabric: Fabric) -> Tensor:
    """Sum over the ranks, the same to the bit on each."""
    if fabric.world_size == 1:
        return value
    found: Tensor = fabric.all_reduce(value, reduce_op="sum")  # type: ignore[assignment]
    return found


def mean(values: Tensor, fabric: Fabric) -> Tensor:
    """Mean of the values of all ranks: [n] of any n -> a scalar."""
    if fabric.world_size == 1:
        return values.mean()
    both = total(torch.stack([values.sum(), values.new_tensor(float(len(values)))]), fabric)
    return both[0] / both[1]


@contextmanager
def agreed(fabric: Fabric) -> Iterator[None]:
    """Inside, a rank may fail alone: at the end all ranks do, with its exit code.

    Raises:
        FalwError: the first failing rank's own, or, on the others, that it cannot go on.
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
        failure.own = True
        raise failure
    other = FalwError(f"rank {first} cannot go on", "its own message says why")
    other.exit_code = codes[first]
    raise other


@contextmanager
def in_turn(fabric: Fabric) -> Iterator[None]:
    """One rank of each machine goes first: what it decodes, the others find in the cache."""
    if fabric.world_size > 1 and fabric.local_rank:
        fabric.barrier()
    try:
        yield
    finally:
        if fabric.world_size > 1 and not fabric.local_rank:
            fabric.barrier()
