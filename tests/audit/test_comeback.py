"""Rounding and relearning on networks with known results."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from falw_cli.audit.comeback import comeback, round_weights
from falw_cli.config.settings import Preprocessing, Recipe
from falw_cli.data.device import Resident
from falw_cli.evaluation.predictions import EvaluationSamples, Predictions
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.network import Network, to_device
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Silent
from falw_cli.training.loop import Work, fit
from falw_cli.training.run import CrossEntropy
from tests.engine import cpu


def test_int8_rounds_to_127_steps_of_each_channels_largest() -> None:
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.5], [-2.54, 0.011]]))
        layer.bias.copy_(torch.tensor([0.1234567, 3.0]))
    round_weights(layer, "int8")
    expected = torch.tensor([[1.0, 64 / 127], [-2.54, 0.02]])  # 0.011 rounds to one step of 0.02
    torch.testing.assert_close(layer.weight.data, expected)
    assert layer.bias[0].item() == pytest.approx(0.1234567)
    round_weights(layer, "fp16")
    assert layer.bias[0].item() == torch.tensor(0.1234567).half().item()


def samples(seed: int, count: int) -> Resident:
    """Noisy images in which quarter c is bright for class c."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(count) % 4
    pixels = torch.randint(0, 120, (count, 8, 8, 1), generator=generator)
    for row, c in enumerate(label.tolist()):
        pixels[row, 4 * (c // 2) : 4 * (c // 2) + 4, 4 * (c % 2) : 4 * (c % 2) + 4] += 100
    return Resident(pixels.to(torch.uint8), label)


@pytest.fixture(scope="module")
def parts() -> EvaluationSamples:
    return EvaluationSamples(samples(1, 40), samples(2, 80), samples(3, 40))


def network(seed: int) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = to_device(tiny_cnn(4, 1), cpu())
    shown = Preprocessing(image_size=8, resize=8, mean=(0.3,), std=(0.2,))
    return Network(module, "tiny-cnn", ("a", "b", "c", "d"), shown, cpu())


@pytest.fixture(scope="module")
def learned(parts: EvaluationSamples) -> Network:
    made = network(0)
    recipe = Recipe(lr=0.05, epochs=6, batch_size=20)
    work = Work(parts.retain, 0, recipe, 0, "")
    fit(made, work, CrossEntropy(0.0), Silent(), Interrupt(), None)
    made.module.eval()
    return made


def test_learned_samples_return_at_once(parts: EvaluationSamples, learned: Network) -> None:
    before = {name: value.clone() for name, value in learned.module.state_dict().items()}
    found = comeback(learned, parts, Predictions.of(learned, parts, 0), [network(5)], learned)
    assert found is not None
    assert found.relearned is not None
    assert found.relearned.samples == 4
    assert found.relearned.returned_after == 0
    assert found.relearned.reference_returned_after != [0]  # a network without training
    assert [step for step, _, _ in found.relearned.curve][:4] == [0, 1, 2, 3]
    for name, value in learned.module.state_dict().items():
        assert torch.equal(value, before[name])


def test_rounding_a_robust_net_changes_nothing(parts: EvaluationSamples, learned: Network) -> None:
    found = comeback(learned, parts, Predictions.of(learned, parts, 0), [], None)
    assert found is not None
    for rounded in (found.fp16, found.int8):
        assert rounded.forget_change is not None
        assert abs(rounded.forget_change.value) <= 5
        assert rounded.forget_change.lower < 0 < rounded.forget_change.upper


def test_without_a_list_nothing_is_relearned(parts: EvaluationSamples, learned: Network) -> None:
    empty = EvaluationSamples(parts.forget.of(torch.arange(0)), parts.retain, parts.test)
    seen = Predictions.of(learned, empty, 0)
    assert comeback(learned, empty, seen, [], None) is None
