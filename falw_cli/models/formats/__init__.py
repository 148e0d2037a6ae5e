"""Checkpoint formats, one module each; `falw_cli.models.interfaces` says what a module provides."""
