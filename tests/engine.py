"""The engine that unit tests run on."""

from __future__ import annotations

from lightning_fabric import Fabric

from falw_cli.config.settings import Config
from falw_cli.runtime.engine import make_fabric


def cpu() -> Fabric:
    """One CPU process in float32."""
    return make_fabric(Config(device="cpu", precision="fp32"))
