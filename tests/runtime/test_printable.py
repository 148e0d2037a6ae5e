"""Numbers as they are printed."""

from __future__ import annotations

import pytest

from falw_cli.runtime.printable import counted, decimal


@pytest.mark.parametrize(
    ("value", "digits", "sign", "text"),
    [
        (-0.3, 0, "", "0"), (-0.004, 2, "+", "+0.00"), (-0.6, 0, "", "-1"),
        (0.1234, 2, "+", "+0.12"), (99.995, 1, "", "100.0"), (-0.0, 3, "", "0.000"),
    ],
)  # fmt: skip
def test_zero_has_no_minus_sign(value: float, digits: int, sign: str, text: str) -> None:
    assert decimal(value, digits, sign) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 samples are"), (1, "1 sample is"), (1200, "1,200 samples are")]
)
def test_a_count_has_its_noun(count: int, text: str) -> None:
    assert counted(count, "sample is", "samples are") == text
    assert counted(count, "list").endswith(" list" if count == 1 else " lists")
