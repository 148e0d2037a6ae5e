"""Changes by unlearning, with a paired test."""

from __future__ import annotations

import numpy as np
import pytest

from falw_cli.evaluation.changes import accuracy_change
from falw_cli.evaluation.scores import SamplePredictions


def seen(correct: list[int]) -> SamplePredictions:
    """Predictions of samples of class 0, right where `correct` is 1."""
    label = np.zeros(len(correct), dtype=np.int64)
    nothing = np.zeros(len(correct))
    return SamplePredictions(label, 1 - np.array(correct), *[nothing] * 6)


def test_mcnemar_by_hand() -> None:
    """Of 10 samples, 6 become wrong and 1 right: p = 2 * (1 + 7) / 2**7."""
    before = seen([1] * 6 + [0] + [1] * 3)
    after = seen([0] * 6 + [1] + [1] * 3)
    found = accuracy_change(before, after)
    assert found is not None
    assert found.value == pytest.approx(-50)
    assert found.lower < -50 < found.upper
    assert found.p_value == pytest.approx(2 * (1 + 7) / 2**7)


def test_no_change() -> None:
    found = accuracy_change(seen([1, 0, 1]), seen([1, 0, 1]))
    assert found is not None
    assert (found.value, found.p_value) == (0, 1)
    assert accuracy_change(seen([]), seen([])) is None
