"""Untrusted text, made safe to print."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return one line without control characters or bidirectional overrides."""
    return "".join(c if c.isprintable() else " " for c in text)


def markdown_text(text: object) -> str:
    """Return text from files with Markdown's special characters escaped."""
    plain = printable(str(text))
    for sign in "\\`*_[]<>|#":
        plain = plain.replace(sign, f"\\{sign}")
    return plain
