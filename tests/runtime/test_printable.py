"""Numbers as they are printed."""

from __future__ import annotations

import pytest

from falw_cli.runtime.printable import counted, decimal, significant


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


@pytest.mark.parametrize(
    ("value", "shown"),
    [(150.37, "150.4"), (150.0, "150"), (149.996, "149.996"), (49.7, "49.7"), (80.4, "80")],
)
def test_a_number_is_not_rounded_onto_or_across_a_bound(value: float, shown: str) -> None:
    assert decimal(value, 0, bounds=(50, 150)) == shown


@pytest.mark.parametrize(
    ("value", "bound", "shown"),
    [(79.9999, 80, "79.9999"), (80.0, 80, "80"), (12.3456, 80, "12.35"), (0.0503, 0.05, "0.0503")],
)
def test_a_number_of_significant_digits_is_beside_its_bound(
    value: float, bound: float, shown: str
) -> None:
    assert significant(value, 4, [bound]) == shown
