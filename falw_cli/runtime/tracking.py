"""Live curves of a run: Lightning Fabric's loggers, and subclasses for wandb and mlflow.

Only values of the whole run and settings are written, no sample IDs or images. Nothing is sent over
the network unless the environment enables it (WANDB_MODE, MLFLOW_TRACKING_URI).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from lightning_fabric.utilities.rank_zero import rank_zero_only

from falw_cli.config.settings import Config
from falw_cli.runtime.extras import need

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Remote(Logger):
    """A logger of a service; its run is created at the first write."""

    def __init__(self, folder: Path) -> None:
        """Args: folder, the folder of the run, which is named after it."""
        self.folder = folder
        self.begun = False

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.folder.stem

    @property
    def version(self) -> str:
        """Empty: services number their runs themselves."""
        return ""


class Wandb(Remote):
    """Weights & Biases, offline unless WANDB_MODE is set; `wandb sync` uploads the run."""

    @cached_property
    def _run(self) -> Any:
        wandb = need("wandb", "track", "--track wandb")
        os.environ.setdefault("WANDB_MODE", "offline")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.begun = True
        # Record no terminal output, no code and no machine details.
        quiet = {"silent": True, "console": "off", "disable_git": True, "save_code": False,
                 "x_disable_meta": True, "x_disable_stats": True}  # fmt: skip
        return wandb.init(
            project="falw", dir=self.folder, name=self.name, settings=wandb.Settings(**quiet)
        )

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """See `Logger`."""
        self._run.log(metrics, step=step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any], *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """See `Logger`."""
        self._run.config.update(params)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """See `Logger`."""
        if self.begun:
            self._run.finish(exit_code=0 if status == "success" else 1)


class Mlflow(Remote):
    """MLflow, with a database in the folder unless MLFLOW_TRACKING_URI is set."""

    @cached_property
    def _run(self) -> tuple[Any, str]:
        tracking = need("mlflow.tracking", "track", "--track mlflow")
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        place = os.environ.get("MLFLOW_TRACKING_URI")
        if place is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            place = f"sqlite:///{self.folder.resolve() / 'mlflow.db'}"
        client = tracking.MlflowClient(tracking_uri=place)
        found = client.get_experiment_by_name("falw")
        number = found.experiment_id if found else client.create_experiment("falw")
        self.begun = True
        return client, client.create_run(number, run_name=self.name).info.run_id

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """See `Logger`."""
        client, run = self._run
        for name, value in metrics.items():
            client.log_metric(run, name, value, step=step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any], *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """See `Logger`."""
        client, run = self._run
        for name, value in params.items():
            client.log_param(run, name, value)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """See `Logger`."""
        if self.begun:
            client, run = self._run
            client.set_terminated(run, "FINISHED" if status == "success" else "FAILED")


class Table(CSVLogger):
    """A CSV of the curves; the settings are in the report and the checkpoint."""

    def log_hyperparams(self, params: Any = None) -> None:
        """Do nothing: Fabric's CSV has no columns for settings."""


TRACKERS: dict[str, Callable[[Path], Logger]] = {
    "csv": lambda folder: Table(folder.parent, folder.name, flush_logs_every_n_steps=1),
    "tensorboard": lambda folder: TensorBoardLogger(
        folder.parent, folder.name, default_hp_metric=False
    ),
    "wandb": Wandb,
    "mlflow": Mlflow,
}


def loggers(config: Config, out: Path) -> list[Logger]:
    """Return the logger that `track` names; it writes nothing yet.

    Args:
        config: `track` names it.
        out: checkpoint that the run writes; the curves go to `NAME.track` beside it.

    Raises:
        RequestError: its library is not installed.
    """
    if config.track is None:
        return []
    if config.track != "csv":
        need(config.track, "track", f"--track {config.track}")
    return [TRACKERS[config.track](out.with_name(f"{out.stem}.track"))]


@contextmanager
def tracked(fabric: Fabric, settings: dict[str, Any]) -> Iterator[None]:
    """Write the settings, and close the loggers at the end, even if the run fails."""
    status = "failed"
    try:
        for logger in fabric.loggers:
            logger.log_hyperparams(settings)
        yield
        status = "success"
    finally:
        for logger in fabric.loggers:
            logger.finalize(status)
