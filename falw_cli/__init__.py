"""falw: make a trained image classifier forget a list of samples, and audit what it forgot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Unlearner", "__version__", "evaluate", "unlearn"]

if TYPE_CHECKING:
    from falw_cli.api import evaluate, unlearn
    from falw_cli.embedded import Unlearner


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: `falw --help` must not wait for it.
    if name in ("evaluate", "unlearn"):
        from falw_cli import api

        return getattr(api, name)
    if name == "Unlearner":
        from falw_cli.embedded import Unlearner

        return Unlearner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
