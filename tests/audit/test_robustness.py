"""Recognition with noise, on networks with known results."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from falw_cli.audit import robustness as module
from falw_cli.audit.robustness import COPIES, NOISE, robustness
from falw_cli.config.settings import Preprocessing
from falw_cli.data.device import Resident
from falw_cli.evaluation.predictions import EvaluationSamples
from falw_cli.models import network as networks
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.network import Network
from tests.engine import cpu

CLASSES = ("a", "b", "c", "d")


def samples(seed: int, count: int, classes: int = 4) -> Resident:
    """Random images; the classes take turns."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 8, 8, 1), generator=generator).to(torch.uint8)
    return Resident(pixels, torch.arange(count) % classes)


def network(made: nn.Module) -> Network:
    shown = Preprocessing(image_size=8, resize=8, mean=(0.0,), std=(1.0,))
    return Network(made, "tiny-cnn", CLASSES, shown, cpu())


class Constant(nn.Module):
    """Predict the first class of everything."""

    def forward(self, inputs: Tensor) -> Tensor:
        return F.one_hot(torch.zeros(len(inputs), dtype=torch.int64), 4).float()


class Nearest(nn.Module):
    """Predict the class of the nearest known sample; another class where `wrong` says so.

    Args:
        wrong: "exact", for the pixels of the first samples; "noisy", for all others; or "nothing".
    """

    def __init__(self, known: list[Resident], wrong: str) -> None:
        super().__init__()
        self.pixels = torch.cat([one.pixels for one in known]).flatten(1).float() / 255
        self.labels = torch.cat([one.labels for one in known])
        self.first, self.wrong = len(known[0]), wrong

    def forward(self, inputs: Tensor) -> Tensor:
        distance, nearest = torch.cdist(inputs.flatten(1), self.pixels).min(dim=1)
        exact = (distance < 0.01) & (nearest < self.first)
        off = {"exact": exact, "noisy": ~exact, "nothing": torch.zeros_like(exact)}[self.wrong]
        return F.one_hot((self.labels[nearest] + off) % 4, 4).float()


@pytest.fixture(scope="module")
def parts() -> EvaluationSamples:
    return EvaluationSamples(samples(1, 20), samples(2, 8), samples(3, 40))


def test_a_constant_network_recognises_nothing_again(parts: EvaluationSamples) -> None:
    found = robustness(network(Constant()), parts, [network(Constant())], 0)
    assert found is not None
    assert (found.noise, found.copies, found.samples) == (NOISE, COPIES, 20)
    assert found.unseen is not None
    assert found.difference is not None
    assert found.forget.value == found.unseen.value == found.difference.value == 0
    assert found.forget.upper == pytest.approx(16.1, abs=0.1)  # Wilson's of 0 of 20
    retrain = found.references[0]
    assert retrain.difference.value == 0
    assert (retrain.ratio, retrain.ratio_samples) == (1, 5)  # only class a is ever recognised


def test_unlearning_of_exact_pixels_alone_is_found(parts: EvaluationSamples) -> None:
    known = [parts.forget, parts.test]
    unlearned, retrain = (network(Nearest(known, wrong)) for wrong in ("exact", "nothing"))
    found = robustness(unlearned, parts, [retrain], 0)
    assert found is not None
    assert found.unseen is not None
    assert found.difference is not None
    assert (found.forget.value, found.unseen.value) == (100, 0)
    assert found.difference.value == pytest.approx(100)
    assert found.difference.lower > 50
    assert found.references[0].forget.value == 0
    assert found.references[0].difference.value == 100
    assert found.references[0].ratio == 1  # both recognise all copies


def test_memory_of_exact_pixels_alone_is_no_recognition_of_copies(parts: EvaluationSamples) -> None:
    known = [parts.forget, parts.test]
    exact, right = (network(Nearest(known, wrong)) for wrong in ("noisy", "nothing"))
    found = robustness(exact, parts, [right], 0)
    assert found is not None
    assert found.forget.value == 0
    assert (found.references[0].ratio, found.references[0].ratio_samples) == (0, 20)
    swapped = robustness(right, parts, [exact], 0)
    assert swapped is not None
    assert (swapped.references[0].ratio, swapped.references[0].ratio_samples) == (None, 0)


def test_the_result_depends_on_the_seed_alone(
    parts: EvaluationSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = network(tiny_cnn(4, 1))
    untrained.module.train()
    before = {name: value.clone() for name, value in untrained.module.state_dict().items()}
    found = robustness(untrained, parts, [untrained], 0)
    state = torch.random.get_rng_state()
    monkeypatch.setattr(networks, "INFERENCE_BATCH", 13)
    assert robustness(untrained, parts, [untrained], 0) == found
    assert torch.equal(torch.random.get_rng_state(), state)
    assert untrained.module.training
    for name, value in untrained.module.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_noise_has_the_stated_size() -> None:
    pixels = torch.full((2, 64, 64, 3), 128, dtype=torch.uint8)
    noise = (module._noisy(pixels, 5) - 128) / 255
    assert float(noise.std()) == pytest.approx(NOISE, rel=0.03)
    assert torch.equal(noise[0], noise[1])
    assert not torch.equal(noise, (module._noisy(pixels, 6) - 128) / 255)
    dark = module._noisy(torch.zeros_like(pixels), 5)
    assert float(dark.min()) == 0


def test_large_sets_are_sampled_by_class(
    parts: EvaluationSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 8)
    found = robustness(network(Constant()), parts, [], 0)
    assert found is not None
    assert found.samples == 8
    few = module._some(parts.test, parts.forget.labels.unique().numpy(), 0)
    assert few.labels.bincount().tolist() == [2, 2, 2, 2]


def test_only_unseen_samples_of_the_lists_classes_count(parts: EvaluationSamples) -> None:
    known = [parts.test, parts.forget]
    hole = network(Nearest(known, "exact"))  # the test samples are the ones that are wrong
    one_class = EvaluationSamples(samples(1, 20, 1), parts.retain, parts.test)
    found = robustness(hole, one_class, [], 0)
    assert found is not None
    assert found.unseen is not None
    assert found.unseen.value == pytest.approx(100)
    assert found.unseen.lower == pytest.approx(72.2, abs=0.1)  # Wilson's of 10 of 10


def test_without_samples_there_are_no_figures(parts: EvaluationSamples) -> None:
    none = parts.test.of(torch.arange(0))
    made = network(Constant())
    assert robustness(made, EvaluationSamples(none, parts.retain, parts.test), [], 0) is None
    found = robustness(made, EvaluationSamples(parts.forget, parts.retain, none), [], 0)
    assert found is not None
    assert found.unseen is None
    assert found.difference is None
