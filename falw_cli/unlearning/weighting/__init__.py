"""Weightings: the weight of each forget sample's loss in each step."""

from falw_cli.unlearning.weighting.falw import balance_factor, forgetting_aware_weight

__all__ = ["balance_factor", "forgetting_aware_weight"]
