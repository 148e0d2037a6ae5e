"""Bench: a grid of cells -> models by digest -> reports -> tables and plots."""
