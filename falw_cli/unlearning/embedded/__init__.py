"""Unlearning inside your own program: any module, any map-style dataset, your own loop."""

from falw_cli.unlearning.embedded.loop import Batches, Unlearned, Unlearner, unlearn_module

__all__ = ["Batches", "Unlearned", "Unlearner", "unlearn_module"]
