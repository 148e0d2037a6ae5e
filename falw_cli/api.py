"""The commands as functions: `from falw_cli import unlearn, evaluate`."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import Any, overload

from torch import nn

from falw_cli.audit.build import Invocation
from falw_cli.audit.report import Report
from falw_cli.config.resolution import resolve
from falw_cli.config.settings import Config
from falw_cli.errors import RequestError
from falw_cli.runs.evaluate import evaluate as run_evaluate
from falw_cli.runs.unlearn import unlearn as run_unlearn
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Progress, Silent
from falw_cli.unlearning.embedded import Unlearned, unlearn_module


@overload
def unlearn(
    model: str | PathLike[str] | Config,
    *,
    config: str | PathLike[str] | None = None,
    progress: Progress | None = None,
    interrupt: Interrupt | None = None,
    **options: Any,
) -> Report: ...


@overload
def unlearn(
    model: nn.Module, *, config: None = None, progress: Progress | None = None, **options: Any
) -> Unlearned: ...


def unlearn(
    model: str | PathLike[str] | Config | nn.Module,
    *,
    config: str | PathLike[str] | None = None,
    progress: Progress | None = None,
    interrupt: Interrupt | None = None,
    **options: Any,
) -> Report | Unlearned:
    """Run `falw unlearn`: write the checkpoint and the audit report.

    Args:
        model: path of the checkpoint; or a module, which is unlearned in place, see
            `embedded.unlearn_module`; or a `Config`, the complete request of a command.
        config: path of a falw.yaml; default: beside the model, else in the working folder.
        progress: receives progress and warnings; default: warnings are only in the report.
        interrupt: requests the end of the run; default: the run is not interrupted.
        options: the command's flags by name with underscores: `forget="ids.txt"`,
            `data="imagefolder:train"`, `reference=["retrain.safetensors"]`, `batch_size=64` …

    Returns:
        The report; `report.passed` is whether all gates passed.

    Raises:
        FalwError: the error of the command: `str(error)` and `error.hint` are its two lines.
    """
    if isinstance(model, nn.Module):
        return unlearn_module(model, progress=progress, **options)
    request = _request("unlearn", model, config, options)
    return run_unlearn(request, progress or Silent(), interrupt or Interrupt(), Invocation.now())


def evaluate(
    model: str | PathLike[str] | Config | None = None,
    *,
    config: str | PathLike[str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """Run `falw evaluate`: measure a checkpoint.

    Args, Returns, Raises: as for `unlearn`; the model's metrics are `report.metrics.after`.
    """
    request = _request("evaluate", model, config, options)
    return run_evaluate(_with_model(request), progress or Silent(), Invocation.now())


def _with_model(config: Config) -> Config:
    """Return the config with the implicit checkpoint: the one in the working folder."""
    if config.model is not None:
        return config
    here = sorted(str(path) for path in Path().glob("*.safetensors"))
    if "model.safetensors" in here or len(here) == 1:
        return config.over({"model": "model.safetensors" if len(here) > 1 else here[0]})
    return config


def _request(
    command: str,
    model: str | PathLike[str] | Config | None,
    file: str | PathLike[str] | None,
    options: dict[str, Any],
) -> Config:
    """Return the request that a call describes."""
    if isinstance(model, Config):
        return model
    for key, path in (("model", model), ("config", file)):
        if not isinstance(path, str | PathLike | None):
            raise RequestError(f"{key} is of type {type(path).__name__}", "give the path of a file")
    plain = {key: _as_text(value) for key, value in {"model": model, **options}.items()}
    for key in ("reference", "gate", "forgotten"):
        if isinstance(value := plain.get(key), str):
            plain[key] = [value]
    return resolve(command, plain, Path(fspath(file)) if file is not None else None)


def _as_text(value: Any) -> Any:
    """Return a path, or the paths of a list, as text; anything else unchanged."""
    if isinstance(value, list | tuple):
        return [_as_text(one) for one in value]
    return fspath(value) if isinstance(value, PathLike) else value
