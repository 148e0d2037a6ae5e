"""Some calls in CI; all of them with `python -m tests.faults.points` (docs/reliability.md)."""

from __future__ import annotations

import pytest

from tests.faults import full, points


@pytest.mark.slow
def test_a_command_broken_while_writing_leaves_existing_files() -> None:
    tally = points.run(every=18, jobs=2)
    assert tally.wrong == []
    assert tally.points > 25
    assert tally.tried["kill"] == tally.tried["ENOSPC"] > 2


@pytest.mark.slow
def test_a_full_disk_leaves_existing_files() -> None:
    if not full.possible():
        pytest.skip("no tmpfs can be mounted here")
    tally = full.run((0, 16384))
    assert tally.wrong == []
    assert (tally.refused, tally.done) == (1, 1)
