"""Mean and standard deviation of the pixels."""

from __future__ import annotations

import numpy as np
import pytest

from falw_cli.config.settings import Preprocessing
from falw_cli.data.images import Geometry
from falw_cli.data.splits import Part
from falw_cli.errors import RequestError
from falw_cli.models.preprocessing import measured

ROWS = np.arange(4)
DATA = Part(np.full((4, 8, 8, 3), 51, dtype=np.uint8), ROWS, ROWS)


def test_values_that_are_not_given_are_measured() -> None:
    found = measured(Preprocessing(), Geometry(8, 8, 3), DATA)
    assert (found.mean, found.std) == ((0.2,) * 3, (0.001,) * 3)


@pytest.mark.parametrize(
    ("mean", "std", "said"),
    [((0.5,), (0.5,), "1 means and 1 deviations, the model 3 channels"),
     ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "mean is 123.675, but pixels are from")],
)  # fmt: skip
def test_other_values_are_refused(
    mean: tuple[float, ...], std: tuple[float, ...], said: str
) -> None:
    with pytest.raises(RequestError, match=said):
        measured(Preprocessing(mean=mean, std=std), Geometry(8, 8, 3), DATA)
