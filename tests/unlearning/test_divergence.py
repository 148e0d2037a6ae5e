"""The divergence from a teacher."""

from __future__ import annotations

import torch

from falw_cli.unlearning.divergence import divergence


def test_divergence_by_hand() -> None:
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.75, 0.25]]).log()
    expected = 0.75 * torch.tensor(1.5).log() + 0.25 * torch.tensor(0.5).log()
    torch.testing.assert_close(divergence(student, teacher), expected[None])
    assert divergence(teacher, teacher).item() == 0
