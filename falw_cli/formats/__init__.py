"""Checkpoints of others: one small file each; `falw_cli.formats.registry` names them."""
