"""Evaluation: accuracy, membership inference, deviation, gap."""
