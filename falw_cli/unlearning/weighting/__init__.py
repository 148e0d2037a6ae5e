"""Weightings: how much each forget sample's loss counts, step by step."""

from falw_cli.unlearning.weighting.falw import balance_factor, forgetting_aware_weight

__all__ = ["balance_factor", "forgetting_aware_weight"]
