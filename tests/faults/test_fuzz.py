"""Some hostile inputs of each kind in CI; ten thousand by `python -m tests.faults.fuzz`."""

from __future__ import annotations

import pytest

from tests.faults.fuzz import KINDS, run


@pytest.mark.parametrize("name", KINDS)
def test_what_anyone_made_is_taken_or_refused(name: str) -> None:
    """First what was found before, then some that are new."""
    tally = run(name, 8 if name == "report" else 60, seed=1)
    assert tally.findings == {}
    assert tally.refused > 0
