"""Base methods, one file each; `falw_cli.unlearning.registry` loads them by name."""
