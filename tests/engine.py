"""The compute engine for unit tests."""

from __future__ import annotations

from lightning_fabric import Fabric

from falw_cli.config.settings import Config
from falw_cli.runtime.engine import make_fabric


def cpu() -> Fabric:
    """Return a Fabric of one CPU process in float32."""
    return make_fabric(Config(device="cpu", precision="fp32"))
