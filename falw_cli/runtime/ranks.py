"""The processes of a run on several devices or machines: detection, start and exit.

`falw … --devices N` starts N ranks on this machine with the agent of `torchrun`; under `torchrun`
or SLURM, the ranks are already running. torch is imported only if there are several.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from falw_cli.errors import RequestError, RunError

if TYPE_CHECKING:
    from falw_cli.config.settings import Config

RUN = "falw"
"""Run ID that `launch` gives to the agent."""
SHELLS = ("bash", "interactive")
"""SLURM's names of interactive jobs, whose commands are not started by srun."""


@dataclass(frozen=True)
class RankInfo:
    """The position of this process among the ranks."""

    rank: int
    ranks: int
    nodes: int

    @property
    def devices(self) -> int:
        """Ranks on each machine."""
        return self.ranks // self.nodes


def detect() -> RankInfo | None:
    """Return the place that torchrun or SLURM gave this process; None for a single process."""
    env = os.environ
    place = None
    if "TORCHELASTIC_RUN_ID" in env:
        place = RankInfo(int(env["RANK"]), int(env["WORLD_SIZE"]), int(env["GROUP_WORLD_SIZE"]))
    elif "SLURM_PROCID" in env and env.get("SLURM_JOB_NAME") not in SHELLS:
        ranks = int(env.get("SLURM_NTASKS", "1"))
        place = RankInfo(int(env["SLURM_PROCID"]), ranks, int(env.get("SLURM_NNODES", "1")))
    return place if place and place.ranks > 1 else None


def forget() -> None:
    """Work as a single process from here on, whatever started it."""
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_PROCID", "SLURM_NTASKS"):
        os.environ.pop(name, None)


def launched() -> bool:
    """Return whether `launch` started this process; then the launcher reports dead ranks."""
    return os.environ.get("TORCHELASTIC_RUN_ID") == RUN


def follow_launcher() -> None:
    """End this rank when the command that started it has been killed."""
    if not launched():
        return
    launcher = os.getppid()

    def follow() -> None:
        while os.getppid() == launcher:
            time.sleep(1)
        os._exit(3)

    threading.Thread(target=follow, daemon=True).start()


def joined() -> bool:
    """Return whether the ranks are connected; until then, each reports its own errors."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.distributed.is_initialized()


def leave() -> None:
    """Disconnect from the other ranks, which may take a sudden exit for a crash."""
    if joined():
        sys.modules["torch"].distributed.destroy_process_group()


def follows() -> bool:
    """Return whether the first rank reports for this one too."""
    place = detect()
    return place is not None and place.rank > 0 and (joined() or launched())


def check(config: Config, place: RankInfo) -> None:
    """Refuse settings that do not fit the ranks.

    Raises:
        RequestError: `devices` differs from the ranks, one device is named, or a list is on stdin.
    """
    if config.devices not in (None, place.devices):
        raise RequestError(
            f"--devices {config.devices}, but {place.devices} ranks were started on each machine",
            "leave out --devices if torchrun or SLURM starts the ranks",
        )
    if ":" in config.device or config.device == "mps":
        raise RequestError(
            f"--device {config.device} names one device, {place.ranks} ranks need one each",
            "use --device cuda, and choose devices with CUDA_VISIBLE_DEVICES",
        )
    if "-" in (config.forget, config.without):
        raise RequestError(
            "several processes cannot read a list from stdin", "write the list to a file"
        )


def launch(config: Config) -> int | None:
    """Run this command once per device, and return its exit code.

    Returns:
        The first failing rank's exit code, 0 if none failed, or None if there is nothing to
        start: one device is wanted, or this process is a rank already.

    Raises:
        RequestError: several machines without MASTER_ADDR or MASTER_PORT.
        RunError: a rank was killed.
    """
    devices = config.devices or 1
    if detect() is not None or devices * config.nodes == 1:
        return None
    check(config, RankInfo(0, devices * config.nodes, config.nodes))
    meeting = _meeting_point(config.nodes)
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable(logging.CRITICAL)  # the agent would report the same errors
    how = LaunchConfig(
        min_nodes=config.nodes, max_nodes=config.nodes, nproc_per_node=devices, run_id=RUN,
        rdzv_backend="c10d", rdzv_endpoint=meeting, max_restarts=0,
    )  # fmt: skip
    try:
        elastic_launch(how, sys.executable)("-m", "falw_cli", *sys.argv[1:])
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            return int(failure.exitcode)
        raise RunError(
            f"rank {rank} was ended by {failure.signal_name()}, the others with it; "
            "nothing was written",
            "check the memory of the machine and run again",
        ) from error
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def _meeting_point(nodes: int) -> str:
    if nodes == 1:
        return "localhost:0"
    name, port = (os.environ.get(key) for key in ("MASTER_ADDR", "MASTER_PORT"))
    if not name or not port:
        raise RequestError(
            f"--nodes {nodes}: MASTER_ADDR or MASTER_PORT is not set",
            "on each machine, set MASTER_ADDR to the first machine's name and MASTER_PORT to a "
            "free port, or start the command under torchrun or SLURM",
        )
    return f"{name}:{port}"


def lost(error: Exception) -> bool:
    """Return whether an error of torch means that another rank has ended."""
    return joined() and any(backend in str(error) for backend in ("gloo", "NCCL"))
