"""`falw doctor`: checks of the installation, the machine and the config."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

import platformdirs
import psutil

from falw_cli.config.resolution import FILE_NAME, find_file, resolve
from falw_cli.config.settings import Config
from falw_cli.errors import FalwError
from falw_cli.runtime.printable import counted

LEAST_MEMORY = 2 << 30
LEAST_DISK = 5 << 30
"""Minimum in bytes; with less, runs on real data are likely to fail."""
EXTRAS = {
    "timm": ("timm",), "transformers": ("transformers",), "data": ("pyarrow", "datasets"),
    "report": ("matplotlib",), "track": ("tensorboard", "wandb", "mlflow"),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    state: Literal["ok", "note", "problem"]
    found: str
    hint: str = ""


def examine(file: Path | None) -> list[Finding]:
    """Run all checks.

    Args:
        file: a config given by the user; default: falw.yaml in the working folder.
    """
    found: list[Finding] = []
    for check in (_python, _libraries, _gpu, _machine, _folders, _extras):
        found += check()
    return found + list(_config(file))


def _python() -> Iterator[Finding]:
    where = Path(__file__).parents[1]
    yield Finding("falw", "ok", f"{version('falw')}, Python {platform.python_version()}, {where}")


def _libraries() -> Iterator[Finding]:
    """Check that required libraries are installed, and that torch and torchvision load."""
    for line in requires("falw") or []:
        name, _, extra = line.partition(";")
        if "extra" in extra:
            continue
        library = name.partition(">")[0].strip()
        try:
            installed = version(library)
        except PackageNotFoundError:
            yield Finding(library, "problem", "not installed", f"pip install '{name.strip()}'")
            continue
        if library in ("torch", "torchvision"):
            yield _loaded(library, installed)


def _loaded(library: str, installed: str) -> Finding:
    try:
        importlib.import_module(library)
    except (ImportError, RuntimeError, OSError) as error:
        description = str(error).partition("\n")[0]
        return Finding(
            library, "problem", f"{installed} does not load: {description}",
            "install torch and torchvision together from one index, in a new environment",
        )  # fmt: skip
    return Finding(library, "ok", installed)


def _gpu() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            kind = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
            description = f"{torch.cuda.get_device_name(index)}, {kind}"
            yield Finding(
                f"cuda:{index}", "ok", f"{description}, {_size(free)} of {_size(total)} free"
            )
    elif shutil.which("nvidia-smi"):
        built = torch.version.cuda
        yield Finding(
            "GPU", "problem", "there is a driver, but torch finds no GPU",
            f"this torch needs a driver for CUDA {built}: check it with `nvidia-smi`" if built
            else "this torch is built for CPUs only: install a build for CUDA",
        )  # fmt: skip
    else:
        yield Finding("GPU", "note", "none: runs use the CPU")


def _machine() -> Iterator[Finding]:
    import torch

    there, free = os.cpu_count() or 1, psutil.virtual_memory().available
    yield Finding("CPU", "ok", f"{there} cores, threads of torch: {torch.get_num_threads()}")
    short = free < LEAST_MEMORY
    yield Finding(
        "memory", "problem" if short else "ok", f"{_size(free)} free",
        "close other programs" if short else "",
    )  # fmt: skip


def _folders() -> Iterator[Finding]:
    place = platformdirs.user_cache_path("falw")
    yield _writable(
        "cache", place, "every run decodes all images again; set XDG_CACHE_HOME or give --no-cache"
    )
    yield _writable("this folder", Path.cwd(), "set --out and --report to another folder")


def _writable(name: str, place: Path, hint: str) -> Finding:
    """Check that files can be written to a folder, or to its nearest existing parent."""
    # os.path: a folder that may not be entered is none; pathlib raises an error.
    there = next(one for one in (place, *place.parents) if os.path.isdir(one))  # noqa: PTH112
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding(name, "problem", f"{place} cannot be written: {error.strerror}", hint)
    if free < LEAST_DISK:
        return Finding(name, "problem", f"{place}: {_size(free)} free on disk", "free disk space")
    return Finding(name, "ok", f"{place}, {_size(free)} free on disk")


def _extras() -> Iterator[Finding]:
    for extra, libraries in EXTRAS.items():
        there = {one: version(one) for one in libraries if importlib.util.find_spec(one)}
        found = ", ".join(f"{one} {there.get(one, 'is not installed')}" for one in libraries)
        whole = len(there) == len(libraries)
        hint = "" if whole else f"pip install 'falw[{extra}]'"
        yield Finding(f"extra {extra}", "ok" if whole else "note", found, hint)
    if importlib.util.find_spec("torchmetrics"):
        yield Finding("torchmetrics", "note", "Fabric imports it: each start takes 2 s longer")


def _config(file: Path | None) -> Iterator[Finding]:
    """Check the config, and the files that it names."""
    place = file or find_file(None)
    if place is None:
        yield Finding(FILE_NAME, "note", "none here", "create one with falw init")
        return
    try:
        config = resolve("doctor", {}, place)
    except FalwError as error:
        yield Finding(str(place), "problem", str(error), error.hint)
        return
    yield Finding(str(place), "ok", "every line is understood")
    from falw_cli.data import loading
    from falw_cli.models.checkpoint_files import read

    for name in loading.DEFAULT_PART:
        if getattr(config, name) is not None:
            yield _checked(f"{name}:", lambda flag=name: _listed(config, flag))  # type: ignore[misc]
    for path in filter(None, [config.model, *config.reference]):
        yield _checked(path, lambda place=path: counted(len(read(place).tensors), "tensor"))  # type: ignore[misc]
    if config.forget not in (None, "-"):
        yield _checked(str(config.forget), lambda: _ids(config))


def _ids(config: Config) -> str:
    from falw_cli.data import forget_list, loading

    known = loading.open_source(config, "data").ids if config.data else ()
    return counted(len(forget_list.read(str(config.forget), known).ids), "ID")


def _listed(config: Config, flag: str) -> str:
    from falw_cli.data import loading

    listing = loading.open_source(config, flag)
    classes = counted(len(listing.classes), "class", "classes")
    return f"{counted(len(listing.ids), 'sample')} of {classes} in {listing.spec}"


def _checked(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "ok", check())
    except FalwError as error:
        return Finding(name, "problem", str(error), error.hint)


def _size(count: float) -> str:
    return f"{count / (1 << 30):.1f} GiB"
