"""Text from anyone, made fit to be shown."""

from __future__ import annotations


def printable(text: str) -> str:
    """One line without control characters, nor such as turn the direction of writing."""
    return "".join(c if c.isprintable() else " " for c in text)
