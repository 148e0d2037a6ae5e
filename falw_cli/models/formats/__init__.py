"""Checkpoint formats, one module each; see `falw_cli.models.interfaces`."""
