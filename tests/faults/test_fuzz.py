"""Some hostile inputs of each kind in CI; ten thousand with `python -m tests.faults.fuzz`."""

from __future__ import annotations

import pytest

from tests.faults.fuzz import KINDS, run


@pytest.mark.parametrize(
    "name", [n if n != "report" else pytest.param(n, marks=pytest.mark.slow) for n in KINDS]
)
def test_untrusted_input_is_accepted_or_refused(name: str) -> None:
    """Feed the earlier findings first, then some new inputs."""
    if library := KINDS[name].needs:
        pytest.importorskip(library)
    tally = run(name, 20 if name == "report" else 60, seed=1)
    assert tally.findings == {}
    assert tally.refused > 0
