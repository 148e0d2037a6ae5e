"""Numbers, and untrusted text, as they are printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def printable(text: str) -> str:
    """Return one line without control characters or bidirectional overrides."""
    return "".join(c if c.isprintable() else " " for c in text)


def decimal(value: float, digits: int, sign: str = "", bounds: Sequence[float] = ()) -> str:
    """Return a number with so many decimal places, and 0 without a minus sign.

    Args:
        value: the number.
        digits: number of decimal places.
        sign: "+" shows the sign of positive numbers too.
        bounds: numbers that a rule compares it with. It gets more decimal places if it would
            otherwise be rounded onto or across one of them.
    """
    texts = (f"{round(value, n) + 0.0:{sign}.{n}f}" for n in range(digits, digits + 7))
    return _beside(value, texts, bounds)


def significant(value: float, digits: int, bounds: Sequence[float] = ()) -> str:
    """Return a number with so many significant digits; `bounds` as in `decimal`."""
    return _beside(value, (f"{value:.{n}g}" for n in range(digits, 18)), bounds)


def _beside(value: float, texts: Iterable[str], bounds: Sequence[float]) -> str:
    """Return the first text that is on the same side of all bounds as the value, or the last."""
    text = ""
    for text in texts:
        shown = float(text)
        if all((shown > b, shown < b) == (value > b, value < b) for b in bounds):
            break
    return text


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
