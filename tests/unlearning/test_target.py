"""mu and sigma of unseen data, FaLW equation 1."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from falw_cli.models.network import true_class_probability
from falw_cli.unlearning.target import class_statistics


def test_true_class_probability_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [2.0, 0.0]]).log_softmax(1)
    assert torch.allclose(
        true_class_probability(logits, torch.tensor([0, 1])),
        torch.tensor([0.5, 1 / (1 + np.exp(2.0))], dtype=torch.float32),
    )


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.integers(0, 3)), min_size=1, max_size=60))
def test_statistics_agree_with_numpy(rows: list[tuple[float, int]]) -> None:
    prob = np.array([p for p, _ in rows], dtype=np.float32)
    label = np.array([c for _, c in rows])
    mu, sigma, count = class_statistics(torch.from_numpy(prob), torch.from_numpy(label), 4)
    for c in range(4):
        mine = prob[label == c].astype(np.float64)
        assert count[c] == len(mine)
        expected = (mine.mean(), mine.std()) if len(mine) else (0, 0)
        np.testing.assert_allclose((mu[c], sigma[c]), expected, atol=1e-6)
