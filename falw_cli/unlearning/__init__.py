"""Unlearning: target, weightings, base methods, and the run that combines them."""
