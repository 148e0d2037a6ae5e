"""Run a function in several ranks on one machine, as torchrun does."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch.multiprocessing.spawn import spawn

from falw_cli.runtime import ranks
from tests.engine import cpu


def in_ranks(work: Callable[[Fabric, Path], None], count: int, folder: Path) -> None:
    """Call `work` in `count` connected processes, and raise any failure here.

    A single rank runs in the current process.
    """
    if count == 1:
        work(cpu(), folder)
        return
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    spawn(_rank, (work, count, port, folder), count)


def _rank(
    rank: int, work: Callable[[Fabric, Path], None], count: int, port: int, folder: Path
) -> None:
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test", "RANK": str(rank), "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "GROUP_WORLD_SIZE": "1",
        "GROUP_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    work(cpu(), folder)
    ranks.leave()
