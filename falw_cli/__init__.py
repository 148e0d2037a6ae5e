"""falw: make a trained image classifier forget a list of samples, and audit what it forgot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from falw_cli.version import __version__

__all__ = ["Unlearner", "__version__", "evaluate", "unlearn"]

if TYPE_CHECKING:
    from falw_cli.api import evaluate, unlearn
    from falw_cli.unlearning.embedded import Unlearner


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: `falw --help` must not wait for it.
    if name in ("evaluate", "unlearn"):
        from falw_cli import api

        return getattr(api, name)
    if name == "Unlearner":
        from falw_cli.unlearning.embedded import Unlearner

        return Unlearner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
