"""The engine of a run: device, precision and ranks, through lightning-fabric."""

from __future__ import annotations

import ctypes
import inspect
import logging
import os
import platform
import warnings
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.parallel import DistributedDataParallel

from falw_cli.config.settings import Config
from falw_cli.errors import RequestError
from falw_cli.runtime import ranks

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.loggers.logger import Logger
    from lightning_fabric.strategies.ddp import DDPStrategy

PATIENCE = timedelta(hours=3)
"""Time that ranks wait for one that decodes images; a dead rank is noticed at once."""
AUXILIARY = ("googlenet", "inception_v3")
"""Architectures with outputs that only their own training recipe uses."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""


def make_fabric(config: Config, loggers: Sequence[Logger] = ()) -> Fabric:
    """Return the engine for the device, precision and ranks of a run.

    Args:
        config: `device` auto (cuda or cpu, never mps), cpu, cuda, cuda:N or mps; `precision` auto
            (bf16 where a CUDA GPU has it, else fp32), fp32 or bf16. Ranks are those that torchrun,
            SLURM or `falw_cli.runtime.ranks` started.
        loggers: receive the curves of the run.

    Raises:
        RequestError: the device does not exist or lacks the precision, or a single process asks
            for several.
    """
    from lightning_fabric import Fabric  # takes a second, which `inspect` does not need

    place = ranks.detect()
    if place:
        ranks.check(config, place)
        ranks.follow_launcher()
    elif (config.devices or 1) * config.nodes > 1:
        raise RequestError(
            "several devices need one process each, and this is a single process",
            "run your script under torchrun, or use the command `falw`",
        )
    kind, _, number = config.device.partition(":")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "auto":
        kind = "cuda" if count else "cpu"
    wanted = place.devices if place else int(number or 0) + 1
    if kind == "cuda" and wanted > count:
        raise RequestError(
            f"device {config.device} is missing: torch finds {count} CUDA devices, {wanted} needed",
            "use --device cpu",
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise RequestError(
            "device mps is missing: torch finds no GPU of Apple silicon", "use --device cpu"
        )
    precision = config.precision
    if precision == "auto":
        good = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16" if good else "fp32"
    if kind == "mps" and precision == "bf16":
        raise RequestError("--precision bf16 does not work on mps", "use --precision fp32")
    with warnings.catch_warnings():
        # Hides Fabric's advice to use a GPU and its message on the precision.
        warnings.simplefilter("ignore")
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        fabric = Fabric(
            accelerator=kind,
            devices=place.devices if place else [int(number or 0)] if kind == "cuda" else 1,
            num_nodes=place.nodes if place else 1,
            strategy=_strategy(config) if place else "auto",
            precision="bf16-mixed" if precision == "bf16" else "32-true",
            loggers=list(loggers),
        )
        if kind == "cpu":
            _keep_freed_memory()
        if place:
            fabric.launch()
            if kind == "cpu" and "OMP_NUM_THREADS" not in os.environ:
                torch.set_num_threads(max(1, (os.cpu_count() or 1) // place.devices))
    return fabric


def _strategy(config: Config) -> DDPStrategy:
    """Return data parallelism: each rank holds the network, gradients are averaged."""
    from lightning_fabric.strategies.ddp import DDPStrategy

    # BatchNorm's running statistics are the same on all ranks. torch 2.8 has the second name.
    known = inspect.signature(DistributedDataParallel).parameters
    sync = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    settings: dict[str, Any] = {sync: False}
    return DDPStrategy(
        **settings,
        # In all other architectures, every step uses every weight.
        find_unused_parameters=config.arch in AUXILIARY,
        timeout=PATIENCE,
    )


def _keep_freed_memory() -> None:
    """Keep the memory of freed activations in the process, for those of the next step.

    glibc returns large blocks at once, and the kernel then clears each of their pages again: up
    to a sixth of the time of a step, and half of that of a large forward pass (docs/cpu.md).
    """
    if platform.libc_ver()[0] == "glibc":
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(parameter, 1 << 30)


def return_freed_memory() -> None:
    """Return free memory between used blocks to the system.

    Otherwise rare large blocks, such as a saved state, would fragment the memory more and more.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
