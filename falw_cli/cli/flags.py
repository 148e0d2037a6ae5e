"""What was asked of a command."""

from __future__ import annotations

from typing import Any

import typer

COMMON = {"config_file", "json", "quiet", "verbose"}


def flags_of(context: typer.Context) -> dict[str, Any]:
    """What was given on the command line or in the environment, by flag name."""
    given = {k: v for k, v in context.params.items() if k not in COMMON}
    return {k: v for k, v in given.items() if v is not None and v not in ([], ())}
