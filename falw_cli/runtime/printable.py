"""Untrusted text, made safe to print."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return one line without control characters or bidirectional overrides."""
    return "".join(c if c.isprintable() else " " for c in text)
