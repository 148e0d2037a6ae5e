"""lotus: smoothing by the excess of forget accuracy."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F

from falw_cli.models.network import Network
from falw_cli.unlearning.interfaces import StepSamples
from tests.unlearning.methods.conftest import CLASSES, FORGET, LABEL, make


def test_lotus_smooths_forget_samples_while_they_are_known(network: Network) -> None:
    """The more confident the model is on the list, the flatter its targets."""
    method = make("lotus", network)
    flat = []
    for right in (True, False):
        logits = F.one_hot(LABEL if right else (LABEL + 1) % CLASSES, CLASSES) * 20.0
        losses = []
        for draw in range(50):
            torch.manual_seed(draw)
            even = torch.zeros_like(logits)
            shown = StepSamples(logits, torch.arange(4), LABEL, FORGET.pixels)
            taught = method.forget_loss(replace(shown, logits=even + logits * 1e-6))
            losses.append(taught)
        accuracy = (logits.argmax(1) == LABEL).float().mean()
        flat.append(float(torch.exp(2.0 * (accuracy - method.unseen_accuracy))))  # type: ignore[attr-defined]
        # For a uniform prediction, the loss is log C for any target.
        torch.testing.assert_close(torch.stack(losses).mean(), torch.tensor(float(CLASSES)).log())
    assert flat[0] > flat[1]
