"""Unlearning inside one's own program: any module, any map-style dataset, one's own loop."""

from falw_cli.unlearning.embedded.loop import Batches, Unlearned, Unlearner, unlearn_module

__all__ = ["Batches", "Unlearned", "Unlearner", "unlearn_module"]
