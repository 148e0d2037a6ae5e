"""The processes of a run on several devices or machines: found, started, and heard out.

`falw … --devices N` starts N ranks on this machine, as `torchrun` does and by the same agent; under
`torchrun` or SLURM the ranks are there already. torch is imported only where there are several.
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
"""What the agent calls a run that `launch` started."""
SHELLS = ("bash", "interactive")
"""SLURM's names of jobs that are a person's shell: what is run there is not started by srun."""


@dataclass(frozen=True)
class Place:
    """Where this process stands among the ranks."""

    rank: int
    ranks: int
    nodes: int

    @property
    def devices(self) -> int:
        """Ranks on each machine."""
        return self.ranks // self.nodes


def found() -> Place | None:
    """The place that torchrun or SLURM gave this process; None where it works alone."""
    env = os.environ
    place = None
    if "TORCHELASTIC_RUN_ID" in env:
        place = Place(int(env["RANK"]), int(env["WORLD_SIZE"]), int(env["GROUP_WORLD_SIZE"]))
    elif "SLURM_PROCID" in env and env.get("SLURM_JOB_NAME") not in SHELLS:
        ranks = int(env.get("SLURM_NTASKS", "1"))
        place = Place(int(env["SLURM_PROCID"]), ranks, int(env.get("SLURM_NNODES", "1")))
    return place if place and place.ranks > 1 else None


def forget() -> None:
    """Work alone from here on, whatever started this process."""
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_PROCID", "SLURM_NTASKS"):
        os.environ.pop(name, None)


def launched() -> bool:
    """Did `launch` start this process? Then it is the launcher that tells of ranks that died."""
    return os.environ.get("TORCHELASTIC_RUN_ID") == RUN


def follow_launcher() -> None:
    """End this rank when the command that started it is gone, killed without a word."""
    if not launched():
        return
    launcher = os.getppid()

    def follow() -> None:
        while os.getppid() == launcher:
            time.sleep(1)
        os._exit(3)

    threading.Thread(target=follow, daemon=True).start()


def joined() -> bool:
    """Do the ranks know of each other yet? Until then each speaks for itself."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.distributed.is_initialized()


def leave() -> None:
    """Take leave of the other ranks: a process that just ends may be taken for one that crashed."""
    if joined():
        sys.modules["torch"].distributed.destroy_process_group()


def follows() -> bool:
    """Does the first rank speak for this one too?"""
    place = found()
    return place is not None and place.rank > 0 and (joined() or launched())


def check(config: Config, place: Place) -> None:
    """Refuse what ranks cannot do.

    Raises:
        RequestError: another number of devices than was started, one device, or a list on stdin.
    """
    if config.devices not in (None, place.devices):
        raise RequestError(
            f"--devices {config.devices}, but {place.devices} ranks were started on each machine",
            "leave out --devices where torchrun or SLURM starts the ranks",
        )
    if ":" in config.device:
        raise RequestError(
            f"--device {config.device} names one device, {place.ranks} ranks want one each",
            "take --device cuda; CUDA_VISIBLE_DEVICES says which",
        )
    if "-" in (config.forget, config.without):
        raise RequestError(
            "a list on stdin can be read by one process alone", "put it into a file for several"
        )


def launch(config: Config) -> int | None:
    """Run this very command once for each device, and return its exit code.

    Returns:
        The first failing rank's exit code, 0 if none failed, or None where there is nothing to
        start: one device is wanted, or this process is a rank already.

    Raises:
        RequestError: several machines, and nothing says where they meet.
        RunError: a rank was killed.
    """
    devices = config.devices or 1
    if found() is not None or devices * config.nodes == 1:
        return None
    check(config, Place(0, devices * config.nodes, config.nodes))
    meeting = _meeting_point(config.nodes)
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable(logging.CRITICAL)  # the agent's own account of what is told below
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
            "did the machine run out of memory? run again",
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
            f"{nodes} machines need a place to meet",
            "set MASTER_ADDR and MASTER_PORT to the first machine's name and a free port on each "
            "of them, or start the command under torchrun or SLURM",
        )
    return f"{name}:{port}"


def lost(error: Exception) -> bool:
    """Does an error of torch's say that another rank has gone?"""
    return joined() and any(backend in str(error) for backend in ("gloo", "NCCL"))
