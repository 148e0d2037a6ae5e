"""Some kills in CI; many with `python -m tests.faults.kill` (docs/reliability.md)."""

from __future__ import annotations

import pytest

from tests.faults.kill import run


@pytest.mark.slow
def test_killed_runs_leave_complete_outputs_and_end_the_same() -> None:
    tally, chains = run(kills=2, seed=100, jobs=2, a_chain=3)
    assert tally.partial == []
    assert tally.lost == []
    assert tally.other == []
    assert tally.ends == chains
