"""Some hostile inputs of each kind in CI; ten thousand by `python -m tests.faults.fuzz`."""

from __future__ import annotations

import pytest

from tests.faults.fuzz import KINDS, run


@pytest.mark.parametrize(
    "name", [n if n != "report" else pytest.param(n, marks=pytest.mark.slow) for n in KINDS]
)
def test_what_anyone_made_is_taken_or_refused(name: str) -> None:
    """First what was found before, then some that are new."""
    tally = run(name, 20 if name == "report" else 60, seed=1)
    assert tally.findings == {}
    assert tally.refused > 0
