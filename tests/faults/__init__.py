"""Faults: kills, failing writes, hostile input."""
