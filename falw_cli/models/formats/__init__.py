"""Checkpoints of others: one small file each; `falw_cli.models.formats.registry` names them."""
