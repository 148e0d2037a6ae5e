"""Predictions of a network."""

from __future__ import annotations

import torch

from falw_cli.config.settings import Preprocessing
from falw_cli.data.device import Resident
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.network import INFERENCE_BATCH, Network, true_class_probability
from tests.engine import cpu

SHOWN = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.25,))


def test_confidence_follows_from_the_logits() -> None:
    """Check more than one batch, and an empty set."""
    network = Network(tiny_cnn(3, 1), "tiny-cnn", ("a", "b", "c"), SHOWN, cpu())
    count = INFERENCE_BATCH + 7
    pixels = torch.randint(0, 255, (count, 8, 8, 1), generator=torch.Generator().manual_seed(0))
    samples = Resident(pixels.byte(), torch.arange(count) % 3)
    logits = network.predict(samples)
    prob, right = network.confidence(samples)
    assert torch.equal(prob, true_class_probability(logits, samples.labels))
    assert torch.equal(right, logits.argmax(1) == samples.labels)
    assert 0 < right.sum() < count
    nothing = samples.of(slice(0))
    assert network.predict(nothing).shape == (0, 3)
    assert [len(part) for part in network.confidence(nothing)] == [0, 0]
