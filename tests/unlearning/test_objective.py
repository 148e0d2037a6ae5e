"""The loss of a batch: plain without a weighting, FaLW equation 4 with one."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from falw_cli.config.settings import Preprocessing
from falw_cli.data.batches import Batch
from falw_cli.data.device import Resident
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.network import Network, true_class_probability
from falw_cli.unlearning.estimate import Exact, Streaming
from falw_cli.unlearning.interfaces import MethodInputs, Settings, StepSamples
from falw_cli.unlearning.methods.gradient_ascent import GradientAscent
from falw_cli.unlearning.methods.random_label import RandomLabel
from falw_cli.unlearning.objective import Unlearning
from falw_cli.unlearning.target import Target
from falw_cli.unlearning.weighting.falw import FalwSettings, FalwWeighting
from falw_cli.unlearning.weighting.none import NoWeighting
from tests.engine import cpu

CLASSES = 3
COUNTS = torch.tensor([4, 2, 1])
LABEL = torch.tensor([0, 0, 0, 0, 1, 1, 2])


def pixels(count: int, seed: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 8, 8, 1), dtype=torch.uint8, generator=draws)


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    shown = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.25,))
    fabric = cpu()
    return Network(tiny_cnn(CLASSES, 1).train(), "x", ("a", "b", "c"), shown, fabric)


def batch() -> Batch:
    """Return a batch of forget samples 5, 0, 6 and five retain samples."""
    sample = torch.tensor([5, 0, 6, 7, 8, 9, 10, 11])
    labels = torch.cat([LABEL[sample[:3]], torch.tensor([0, 1, 2, 0, 1])])
    return Batch(sample, pixels(8, 1), labels, 3, 7, torch.arange(8), 8, 3)


def test_a_part_without_forget_samples_knows_its_retain_samples(network: Network) -> None:
    """Retain positions are relative to the first retain sample, also without forget samples."""

    class Notes(GradientAscent):
        def retain_loss(self, seen: StepSamples) -> torch.Tensor:
            self.position = seen.position
            return super().retain_loss(seen)

    method = Notes(start(network), Settings())
    objective = Unlearning(method, NoWeighting(COUNTS, CLASSES, Settings()), GUIDE, exact())
    alone = Batch(torch.tensor([9, 7]), pixels(2, 1), torch.tensor([2, 0]), 0, 7,
                  torch.arange(2), 2, 0)  # fmt: skip
    objective.loss(network, alone, network.inputs(alone.pixels), 0, 0.0)
    assert method.position.tolist() == [2, 0]


GUIDE = Resident(pixels(30, 2), torch.arange(30) % 3)
METHODS = [RandomLabel, GradientAscent]


def exact(every: int = 1) -> Exact:
    return Exact(GUIDE.labels, CLASSES, every)


def start(network: Network) -> MethodInputs:
    """Return a start with seven forget and five retain samples."""
    retain = Resident(pixels(5, 4), torch.tensor([0, 1, 2, 0, 1]))
    draws = torch.Generator().manual_seed(3)
    kept = torch.bincount(retain.labels, minlength=CLASSES)
    return MethodInputs(network, Resident(pixels(7, 5), LABEL), retain, GUIDE, kept, draws, 0.1)


def seen(given: Batch, images: torch.Tensor, logits: torch.Tensor) -> StepSamples:
    """Return the forget samples of a batch."""
    return StepSamples(logits[:3], given.sample[:3], given.labels[:3], images[:3])


@pytest.mark.parametrize("kind", METHODS)
def test_none_equals_the_plain_method_to_the_bit(
    network: Network, kind: type[RandomLabel | GradientAscent]
) -> None:
    method = kind(start(network), Settings())
    objective = Unlearning(method, NoWeighting(COUNTS, CLASSES, Settings()), GUIDE, exact())
    given = batch()
    images = network.inputs(given.pixels)
    logits = network.module(images)
    forget = method.forget_loss(seen(given, images, logits))
    retain = F.cross_entropy(logits[3:], given.labels[3:], reduction="none")
    assert torch.equal(
        objective.backward(network, given, images, 0, 0.0), torch.cat([forget, retain]).mean()
    )


def test_random_label_x_none_is_cross_entropy_against_mixed_targets(network: Network) -> None:
    """The textbook form: replace the labels of the forget samples, and take the mean."""
    method = RandomLabel(start(network), Settings())
    objective = Unlearning(method, NoWeighting(COUNTS, CLASSES, Settings()), GUIDE, exact())
    given = batch()
    images = network.inputs(given.pixels)
    targets = torch.cat([method.drawn[given.sample[:3]], given.labels[3:]])
    plain = F.cross_entropy(network.module(images), targets)
    torch.testing.assert_close(objective.backward(network, given, images, 0, 0.0), plain)


def test_falw_is_equation_4(network: Network) -> None:
    """Weights by hand, from an eval pass over guide and forget samples before the step."""
    method = RandomLabel(start(network), Settings())
    weighting = FalwWeighting(COUNTS, CLASSES, FalwSettings())
    objective = Unlearning(method, weighting, GUIDE, exact())
    given = batch()
    before = deepcopy(network)  # a training pass changes BatchNorm's running statistics
    target = Target.of(network.confidence(GUIDE)[0], GUIDE.labels, CLASSES)
    prob = true_class_probability(network.logits(given.pixels[:3]), given.labels[:3])
    weight = weighting.weight(prob, given.labels[:3], target)
    assert weight.unique().numel() == 3
    images = network.inputs(given.pixels)
    logits = network.module(images)
    forget = weight * method.forget_loss(seen(given, images, logits))
    retain = F.cross_entropy(logits[3:], given.labels[3:], reduction="none")
    expected = torch.cat([forget, retain]).mean()
    torch.testing.assert_close(objective.backward(before, given, images, 0, 0.0), expected)
    objective.after_step(network, 1, 2)
    objective.end_epoch(network)
    known = target.mu.mean(), target.sigma.mean()
    torch.testing.assert_close(
        objective.epochs[0],
        torch.stack([weight.min(), weight.mean(), weight.max(), expected.detach(), *known]),
    )


@pytest.mark.parametrize(("every", "estimates"), [(1, 6), (2, 3), (4, 2)])
def test_the_target_is_estimated_every_n_steps(
    network: Network, monkeypatch: pytest.MonkeyPatch, every: int, estimates: int
) -> None:
    """mu and sigma are re-estimated at every N-th step, on all guide samples."""
    looked: list[int] = []
    plain = Network.logits

    def count(self: Network, pixels: torch.Tensor) -> torch.Tensor:
        looked.append(len(pixels))
        return plain(self, pixels)

    monkeypatch.setattr(Network, "logits", count)
    method = RandomLabel(start(network), Settings())
    weighting = FalwWeighting(COUNTS, CLASSES, FalwSettings())
    objective = Unlearning(method, weighting, GUIDE, exact(every))
    for step in range(6):
        objective.backward(network, batch(), network.inputs(batch().pixels), step, 0.0)
    assert [number for number in looked if number > 3] == [30 + 3] * estimates
    assert len(looked) == 6


def test_a_streaming_target_takes_p_from_the_training_pass(network: Network) -> None:
    method = RandomLabel(start(network), Settings())
    weighting = FalwWeighting(COUNTS, CLASSES, FalwSettings())
    objective = Unlearning(method, weighting, GUIDE, Streaming(GUIDE.labels, CLASSES, 8, 0))
    given, before = batch(), deepcopy(network)
    target = Target.of(network.confidence(GUIDE)[0], GUIDE.labels, CLASSES)
    images = network.inputs(given.pixels)
    logits = network.module(images)
    prob = true_class_probability(logits[:3].detach(), given.labels[:3])
    weight = weighting.weight(prob, given.labels[:3], target)
    forget = weight * method.forget_loss(seen(given, images, logits))
    retain = F.cross_entropy(logits[3:], given.labels[3:], reduction="none")
    expected = torch.cat([forget, retain]).mean()
    torch.testing.assert_close(objective.backward(before, given, images, 0, 0.0), expected)


def test_a_batch_without_forget_samples_has_the_plain_loss(network: Network) -> None:
    method = RandomLabel(start(network), Settings())
    objective = Unlearning(method, FalwWeighting(COUNTS, CLASSES, FalwSettings()), GUIDE, exact())
    whole = batch()
    five = torch.arange(5)
    given = Batch(whole.sample[3:], whole.pixels[3:], whole.labels[3:], 0, 7, five, 5, 0)
    images = network.inputs(given.pixels)
    plain = F.cross_entropy(network.module(images), given.labels)
    torch.testing.assert_close(objective.backward(network, given, images, 0, 0.0), plain)


def test_the_weight_carries_no_gradient(network: Network) -> None:
    """The gradient treats the weights as constants."""
    method = RandomLabel(start(network), Settings())
    objective = Unlearning(method, FalwWeighting(COUNTS, CLASSES, FalwSettings()), GUIDE, exact())
    given, images = batch(), network.inputs(batch().pixels)
    before = deepcopy(network)  # a training pass changes BatchNorm's running statistics
    prob = objective._measured_before(network, given, 0)
    constants = objective._weights(given, torch.zeros(8, CLASSES), prob)
    assert constants is not None
    assert not constants.requires_grad
    logits = network.module(images)
    forget = constants * method.forget_loss(seen(given, images, logits))
    retain = F.cross_entropy(logits[3:], given.labels[3:], reduction="none")
    torch.cat([forget, retain]).mean().backward()
    expected = [p.grad.clone() for p in network.module.parameters() if p.grad is not None]
    objective.backward(before, given, images, 1, 0.0)
    for mine, theirs in zip(before.module.parameters(), expected, strict=True):
        torch.testing.assert_close(mine.grad, theirs)
