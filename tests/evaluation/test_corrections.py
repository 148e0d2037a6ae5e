"""Accuracy on right labels, against a case worked by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from falw_cli.evaluation.corrections import corrections
from falw_cli.evaluation.predictions import Predictions


def predicting(*classes: int) -> Predictions:
    return cast(Predictions, SimpleNamespace(forget=SimpleNamespace(predicted=np.array(classes))))


def test_accuracy_is_on_the_right_labels() -> None:
    right = np.array([0, 1, 1, 2])
    found = corrections(
        "truth", right, predicting(1, 0, 0, 0), predicting(0, 1, 0, 2), [predicting(0, 1, 1, 2)]
    )
    assert found.before is not None
    assert (found.before.value, found.after.value) == (0, 75)
    assert found.references[0].value == 100
    assert found.after.lower == pytest.approx(30.06, abs=0.01)  # Wilson, 3 of 4
    assert found.in_words() == (
        "on the right labels of the list (truth): accuracy 0.0 % before, 75.0 % after "
        "(30.1 to 95.4 %), retrained 100.0 %"
    )
