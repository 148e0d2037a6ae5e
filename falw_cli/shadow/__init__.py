"""Attacks made for each sample, with models that were trained with and without it."""
