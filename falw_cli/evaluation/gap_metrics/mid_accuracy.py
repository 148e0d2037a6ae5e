"""Forget accuracy in the middle third of the classes by forget count."""

from falw_cli.evaluation.gap_metric import group_accuracy

metric = group_accuracy(__name__, "FA mid", "mid: forget accuracy", group="mid")
