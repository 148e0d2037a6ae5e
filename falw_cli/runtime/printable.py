"""Numbers, and untrusted text, as they are printed."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return one line without control characters or bidirectional overrides."""
    return "".join(c if c.isprintable() else " " for c in text)


def decimal(value: float, digits: int, sign: str = "") -> str:
    """Return a number with so many decimal places, and 0 without a minus sign.

    Args:
        value: the number.
        digits: number of decimal places.
        sign: "+" shows the sign of positive numbers too.
    """
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}"


def counted(count: int, what: str, more: str = "") -> str:
    """Return a number with its noun: `1 sample`, `1,200 samples`.

    Args:
        count: the number.
        what: the noun in the singular.
        more: its plural, if that is not the singular with an s.
    """
    return f"{count:,} {what if count == 1 else more or what + 's'}"


def markdown_text(text: object) -> str:
    """Return text from files with Markdown's special characters escaped."""
    plain = printable(str(text))
    for sign in "\\`*_[]<>|#":
        plain = plain.replace(sign, f"\\{sign}")
    return plain
