"""Optional libraries, installed with `pip install 'falw[NAME]'`."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

from falw_cli.errors import RequestError


def need(library: str, extra: str, what: str) -> ModuleType:
    """Import an optional library, with downloads from hubs disabled.

    Raises:
        RequestError: it is not installed; the hint is the command that installs it.
    """
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"):
        os.environ[name] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise RequestError(
            f"{what} needs {library}, which is not installed", f"pip install 'falw[{extra}]'"
        ) from error
