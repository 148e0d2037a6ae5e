"""Forget accuracy in the third of the classes with the most forget samples."""

from falw_cli.evaluation.gap_metric import group_accuracy

metric = group_accuracy(__name__, "FA head", "head: forget accuracy", group="head")
