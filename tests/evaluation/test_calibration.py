"""Expected calibration error, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from falw_cli.evaluation.calibration import calibration_error


def test_by_hand() -> None:
    """Three samples at 0.9, of which two are correct, and one correct at 0.5: two bins."""
    top, correct = np.array([0.9, 0.9, 0.9, 0.5]), np.array([1.0, 1, 0, 1])
    expected = 0.75 * abs(2 / 3 - 0.9) + 0.25 * 0.5
    assert calibration_error(top, correct) == pytest.approx([expected])


def test_resampled_and_at_the_edges() -> None:
    counts = np.array([[2, 0], [1, 1]], dtype=np.uint8)
    top = np.array([1.0, 0.0])
    assert calibration_error(top, np.array([1.0, 1.0]), counts) == pytest.approx([0, 0.5])
    assert np.isnan(calibration_error(top[:0], top[:0])).all()
