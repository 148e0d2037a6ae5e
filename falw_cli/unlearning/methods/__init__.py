"""Base methods, one small file each; `falw_cli.unlearning.registry` names them."""
