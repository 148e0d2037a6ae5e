"""The defining property of each base method."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from falw_cli.config.extensions import METHODS, WEIGHTINGS
from falw_cli.config.settings import Preprocessing
from falw_cli.data.batches import Batch
from falw_cli.data.device import Resident
from falw_cli.errors import RequestError
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.network import Network
from falw_cli.unlearning.divergence import divergence
from falw_cli.unlearning.expectation import expect
from falw_cli.unlearning.gradients import diagonal_fisher, mean_gradient
from falw_cli.unlearning.interfaces import (
    Method,
    MethodInputs,
    Settings,
    StepSamples,
    load_method,
    load_weighting,
)
from falw_cli.unlearning.methods.amun import adversarial_neighbours
from falw_cli.unlearning.methods.boundary_expand import BoundaryExpand
from falw_cli.unlearning.methods.boundary_shrink import nearest_wrong_class
from falw_cli.unlearning.methods.influence import inverse_fisher
from falw_cli.unlearning.methods.match import SURE, log_odds
from falw_cli.unlearning.methods.random_label import RandomLabel
from falw_cli.unlearning.methods.regun import class_means
from falw_cli.unlearning.methods.salun import saliency_mask
from falw_cli.unlearning.objective import Unlearning
from falw_cli.unlearning.weighting.none import NoWeighting
from tests.engine import cpu

CLASSES = 3
LABEL = torch.tensor([0, 1, 2, 2])


def pixels(count: int, seed: int) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 8, 8, 1), dtype=torch.uint8, generator=draws)


FORGET = Resident(pixels(4, 1), LABEL)
RETAIN = Resident(pixels(9, 2), torch.arange(9) % 3)
GUIDE = Resident(pixels(30, 3), torch.arange(30) % 3)


def make_network(module: nn.Module | None = None, arch: str = "tiny-cnn") -> Network:
    torch.manual_seed(0)
    shown = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.25,))
    module = module or tiny_cnn(CLASSES, 1)
    return Network(module, arch, ("a", "b", "c"), shown, cpu())


def inputs(network: Network, seed: int = 0, **more: Resident) -> MethodInputs:
    parts = {"forget": FORGET, "retain": RETAIN, "guide": GUIDE, **more}
    kept = torch.bincount(parts["retain"].labels, minlength=CLASSES)
    draws = torch.Generator().manual_seed(seed)
    known = None
    if isinstance(network.module, nn.Sequential):  # other networks in this file make no predictions
        known = expect(network, parts["forget"], parts["retain"], parts["guide"], kept)
    return MethodInputs(network, **parts, kept=kept, generator=draws, lr=0.1, expectation=known)


def make(name: str, network: Network, **settings: float) -> Method:
    kind = load_method(name)
    return kind(inputs(network), kind.settings_type(**settings))


def seen(network: Network, data: Resident = FORGET) -> StepSamples:
    images = network.inputs(data.pixels)
    return StepSamples(network.module(images), torch.arange(len(data)), data.labels, images)


def backward(method: Method, network: Network) -> Tensor:
    """Run the objective on one batch of all forget and retain samples, and return its loss."""
    whole = Resident(
        torch.cat([FORGET.pixels, RETAIN.pixels]), torch.cat([FORGET.labels, RETAIN.labels])
    )
    weighting = NoWeighting(torch.bincount(LABEL), CLASSES, Settings())
    objective = Unlearning(method, weighting, GUIDE, 1)
    batch = Batch(torch.arange(13), whole.pixels, whole.labels, 4, 4, torch.arange(13), 13, 4)
    return objective.backward(network, batch, network.inputs(whole.pixels), 0, 0.0)


def test_every_registered_name_loads() -> None:
    assert all(issubclass(load_method(name), Method) for name in METHODS)
    assert all(load_weighting(name).settings_type() is not None for name in WEIGHTINGS)


def test_hyperparameters_of_methods_and_weightings_never_share_a_name() -> None:
    """Both are set by name in the same config section."""
    of_methods = {f for name in METHODS for f in load_method(name).settings_type.model_fields}
    of_weightings = {
        f for name in WEIGHTINGS for f in load_weighting(name).settings_type.model_fields
    }
    assert not of_methods & of_weightings


@pytest.mark.parametrize("name", [n for n in METHODS if n != "influence"])
def test_losses_are_finite_and_have_gradients(name: str) -> None:
    network = make_network()
    method = make(name, network)
    network.module.train()
    assert backward(method, network).isfinite()
    gradients = [p.grad for p in network.module.parameters() if p.grad is not None]
    assert any(g.abs().sum() > 0 for g in gradients)
    assert all(g.isfinite().all() for g in gradients)


# random-label


@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_random_labels_are_never_true_and_drawn_once(number: int, seed: int) -> None:
    label = torch.arange(200) % number
    network = Network(nn.Identity(), "x", tuple(map(str, range(number))), Preprocessing(), None)  # type: ignore[arg-type]
    some = Resident(label, label)

    def drawn() -> Tensor:
        return RandomLabel(inputs(network, seed, forget=some), Settings()).drawn

    assert (drawn() != label).all()
    assert ((drawn() >= 0) & (drawn() < number)).all()
    assert torch.equal(drawn(), drawn())


def test_random_labels_spread_over_all_other_classes() -> None:
    label = torch.zeros(9000, dtype=torch.long)
    network = Network(nn.Identity(), "x", tuple("abcdefghij"), Preprocessing(), None)  # type: ignore[arg-type]
    drawn = RandomLabel(inputs(network, forget=Resident(label, label)), Settings()).drawn
    counts = torch.bincount(drawn, minlength=10)
    assert counts[0] == 0
    assert (counts[1:] > 850).all()


def test_random_label_loss_is_cross_entropy_against_the_drawn() -> None:
    network = make_network()
    method = make("random-label", network)
    assert isinstance(method, RandomLabel)
    shown = seen(network)
    position = torch.tensor([3, 0, 1, 2])
    some = StepSamples(shown.logits, position, shown.label, shown.images)
    expected = F.cross_entropy(shown.logits, method.drawn[position], reduction="none")
    assert torch.equal(method.forget_loss(some), expected)


# gradient-ascent, neggrad-plus: the sign of the gradient


def test_gradient_ascent_climbs() -> None:
    network = make_network()
    shown = seen(network)
    plain = F.cross_entropy(shown.logits, shown.label, reduction="none")
    method = make("gradient-ascent", network)
    assert torch.equal(method.forget_loss(shown), -plain)
    assert not method.uses_retain


def test_neggrad_plus_climbs_by_its_share() -> None:
    network = make_network()
    shown = seen(network)
    plain = F.cross_entropy(shown.logits, shown.label, reduction="none")
    method = make("neggrad-plus", network, beta=0.8)
    torch.testing.assert_close(method.forget_loss(shown), -0.25 * plain)
    torch.testing.assert_close(method.retain_loss(shown), plain)


# finetune, l1-sparse


@pytest.mark.parametrize("name", ["finetune", "l1-sparse", "influence", "boundary-expand"])
def test_methods_without_a_forget_loss_take_no_weighting(name: str) -> None:
    assert not load_method(name).weightable


def test_l1_penalty_is_the_norm_and_decays_to_zero() -> None:
    network = make_network()
    method = make("l1-sparse", network, l1=0.5)
    norm = sum(p.abs().sum().item() for p in network.module.parameters())
    found = [method.penalty(progress) for progress in (0.0, 0.5, 1.0)]
    assert [value.item() for value in found if value is not None] == pytest.approx(
        [0.5 * norm, 0.25 * norm, 0.0], rel=1e-5
    )


# salun: mask sparsity


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_the_saliency_mask_takes_the_largest_share(share: float) -> None:
    magnitude = {"a": torch.rand(40, 5), "b": torch.zeros(100)}
    mask = saliency_mask(magnitude, share)
    flat = torch.cat([mask["a"].flatten(), mask["b"]])
    values = torch.cat([magnitude["a"].flatten(), magnitude["b"]])
    assert int(flat.sum()) == max(1, round(share * 300))  # ties (zeros here) are cut, too
    if share < 1:
        assert values[flat].min() >= values[~flat].max()


def test_salun_does_not_change_unmasked_weights() -> None:
    network = make_network()
    before = deepcopy(network.module.state_dict())
    method = make("salun", network, salient=0.1)
    objective = Unlearning(
        method, NoWeighting(torch.bincount(LABEL), CLASSES, Settings()), GUIDE, 1
    )
    optimizer = torch.optim.SGD(network.module.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        backward(method, network)
        optimizer.step()
        objective.after_step(network, 1, 3)
        optimizer.zero_grad()
    assert method.mask is not None
    for name, value in network.module.named_parameters():
        still = ~method.mask[value]
        assert torch.equal(value[still], before[name][still])
    assert any((value != before[name]).any() for name, value in network.module.named_parameters())


# sfron: Fisher information on a toy model with a known result


class Pixel(nn.Module):
    """A model with logits (w * x, 0, 0) for a one-pixel image x, easy to compute by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.0))

    def forward(self, images: Tensor) -> Tensor:
        x = images.mean((1, 2, 3))
        return torch.stack([self.w * x, 0 * x, 0 * x], dim=1)


def test_diagonal_fisher_on_a_toy() -> None:
    """At w = 0 all p are 1/3: d CE / d w = x * (1/3 - [y = 0]); pixels 0 and 255 give x = -2, 2."""
    network = make_network(Pixel(), "x")
    images = torch.tensor([0, 255]).byte()[:, None, None, None].expand(2, 8, 8, 1)
    data = Resident(images, torch.tensor([0, 1]))
    expected = ((-2 * -2 / 3) ** 2 + (2 / 3) ** 2) / 2
    assert diagonal_fisher(network, data, 10)["w"].item() == pytest.approx(expected, rel=1e-5)
    mean = (-2 * -2 / 3 + 2 / 3) / 2
    assert mean_gradient(network, data)["w"].item() == pytest.approx(mean, rel=1e-5)


def test_sfron_forgets_only_with_masked_weights() -> None:
    """The forget samples change the gradient only inside the mask."""
    network = make_network()
    method = make("sfron", network)
    assert method.forget_mask is not None
    mask = method.forget_mask
    assert any(part.any() for part in mask.values())
    assert any((~part).any() for part in mask.values())
    gradients = []
    for strength in (0.0, 1.0):
        method.settings = method.settings.model_copy(update={"strength": strength})  # type: ignore[attr-defined]
        network.module.zero_grad()
        backward(method, network)
        gradients.append({p: p.grad.clone() for p in network.module.parameters()})  # type: ignore[union-attr]
    for weights, part in mask.items():
        added = gradients[1][weights] - gradients[0][weights]
        assert (added[~part].abs() < 1e-6).all()


# scrub, bad-teacher: unchanged teachers


@pytest.mark.parametrize("name", ["scrub", "bad-teacher"])
def test_teachers_are_unchanged(name: str) -> None:
    network = make_network()
    method = make(name, network)
    teachers = [v for v in vars(method).values() if isinstance(v, nn.Module)]
    before = [deepcopy(teacher.state_dict()) for teacher in teachers]
    network.module.train()
    optimizer = torch.optim.SGD(network.module.parameters(), lr=0.1)
    for _ in range(2):
        backward(method, network)
        optimizer.step()
    for teacher, state in zip(teachers, before, strict=True):
        assert not teacher.training
        assert all(torch.equal(state[k], v) for k, v in teacher.state_dict().items())


def test_scrub_starts_at_the_teacher() -> None:
    network = make_network()
    network.module.eval()
    method = make("scrub", network, gamma=0)
    shown = seen(network)
    assert method.forget_loss(shown).abs().max() < 1e-5
    assert method.retain_loss(shown).abs().max() < 1e-5


def test_the_incompetent_teacher_is_drawn_from_the_seed() -> None:
    one, other = (make("bad-teacher", make_network()) for _ in range(2))
    pairs = zip(
        one.incompetent.parameters(),  # type: ignore[attr-defined]
        other.incompetent.parameters(),  # type: ignore[attr-defined]
        strict=True,
    )
    assert all(torch.equal(a, b) for a, b in pairs)


def test_divergence_by_hand() -> None:
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.75, 0.25]]).log()
    expected = 0.75 * torch.tensor(1.5).log() + 0.25 * torch.tensor(0.5).log()
    torch.testing.assert_close(divergence(student, teacher), expected[None])
    assert divergence(teacher, teacher).item() == 0


# boundary-shrink, boundary-expand


class Brightness(nn.Module):
    """Three classes from dark to light, whose adversarial neighbours are known."""

    def forward(self, images: Tensor) -> Tensor:
        x = images.mean((1, 2, 3))
        return -torch.stack([(x + 2).square(), x.square(), (x - 2).square()], dim=1)


def test_the_nearest_wrong_class_lies_over_the_boundary() -> None:
    """The neighbour of a dark image is grey, never light; that of a grey one is the nearer side."""
    network = make_network(Brightness(), "x")
    values = torch.tensor([30, 110, 150, 230]).byte()
    images = values[:, None, None, None].expand(4, 8, 8, 1)
    found = nearest_wrong_class(network, Resident(images, torch.tensor([0, 1, 1, 2])), 0.1)
    assert found.tolist() == [1, 0, 2, 1]


def test_boundary_expand_adds_a_class_and_removes_it() -> None:
    network = make_network()
    before = deepcopy(network.module)
    method = make("boundary-expand", network)
    images = network.inputs(FORGET.pixels)
    torch.testing.assert_close(network.module.eval()(images), before.eval()(images))
    assert network.module.train()(images).shape == (4, CLASSES + 1)
    assert network.module.eval()(images).shape == (4, CLASSES)
    shown = seen(make_network(network.module.train()))
    expected = F.cross_entropy(shown.logits, torch.full((4,), CLASSES), reduction="none")
    assert torch.equal(method.forget_loss(shown), expected)
    method.finish()
    assert network.module.state_dict().keys() == before.state_dict().keys()


def test_boundary_expand_refuses_a_net_without_a_last_linear_layer() -> None:
    with pytest.raises(RequestError, match="cannot widen"):
        BoundaryExpand(inputs(make_network(Pixel(), "x")), Settings())


# influence


def test_inverse_fisher_is_the_inverse() -> None:
    """Compare with the explicitly inverted matrix."""
    gradients = torch.randn(6, 4, dtype=torch.float64)
    vector = torch.randn(4, dtype=torch.float64)
    matrix = 0.1 * torch.eye(4, dtype=torch.float64) + gradients.T @ gradients / 6
    expected = torch.linalg.solve(matrix, vector)
    torch.testing.assert_close(inverse_fisher(vector, gradients, 0.1), expected)


def test_influence_raises_the_forget_loss_more_than_the_retain_loss() -> None:
    network = make_network()
    network.module.eval()

    def losses() -> tuple[float, float]:
        return tuple(  # type: ignore[return-value]
            F.cross_entropy(network.logits(part.pixels), part.labels).item()
            for part in (FORGET, RETAIN)
        )

    before = losses()
    kind = load_method("influence")
    step = replace(inputs(network), lr=0.01)
    kind(step, kind.settings_type()).apply()
    after = losses()
    assert after[0] > before[0]
    assert after[0] - before[0] > after[1] - before[1]


# match


def test_a_completely_forgotten_class_gets_no_probability() -> None:
    network = make_network()
    retain = Resident(RETAIN.pixels[:6], torch.arange(6) % 2)
    kind = load_method("match")
    method = kind(inputs(network, retain=retain), kind.settings_type())
    gone = method.target[LABEL == 2]  # type: ignore[attr-defined]
    assert (gone[:, 2] < 1e-3).all()
    torch.testing.assert_close(gone.sum(1), torch.ones(2))


def test_match_pulls_from_both_sides() -> None:
    """The gradient of the true-class logit has the sign of p - q, with q the expectation."""
    network = make_network()
    method = make("match", network)
    for confidence in (0.999, 0.001):
        rest = (1 - confidence) / 2
        prob = torch.full((4, 3), rest).scatter(1, LABEL[:, None], confidence)
        logits = prob.log().requires_grad_()
        loss = method.forget_loss(StepSamples(logits, torch.arange(4), LABEL, FORGET.pixels))
        loss.sum().backward()
        wanted = method.target.gather(1, LABEL[:, None])  # type: ignore[attr-defined]
        assert logits.grad is not None
        slope = logits.grad.gather(1, LABEL[:, None])
        assert torch.equal(slope.sign(), (confidence - wanted).sign())


def test_match_adds_no_huber_loss_to_confident_retain_samples() -> None:
    """The Huber loss is zero above the original's log-odds and positive below them."""
    network = make_network()
    method = make("match", network, log_odds=1.0)
    plain = make("match", network, log_odds=0.0)
    position = torch.arange(4)
    original = method.original[position].log()  # type: ignore[attr-defined]
    own = RETAIN.labels[:4, None]
    for step, more in ((1.0, False), (-1.0, True)):
        moved = original.scatter_add(1, own, torch.full((4, 1), step))
        shown = StepSamples(moved, position, RETAIN.labels[:4], RETAIN.pixels[:4])
        extra = method.retain_loss(shown) - plain.retain_loss(shown)
        assert bool((extra > 1e-4).all()) is more
        assert bool((extra.abs() < 1e-6).all()) is not more


def test_log_odds_by_hand() -> None:
    logits = torch.tensor([[0.9, 0.1], [0.5, 0.5]]).log()
    found = log_odds(logits, torch.tensor([0, 1]))
    torch.testing.assert_close(found, torch.tensor([9.0, 1.0]).log())
    assert log_odds(torch.tensor([[99.0, 0.0]]), torch.tensor([0])).item() == SURE + 2


# regun, lotus, amun


def test_regun_distils_towards_the_mean_of_the_class() -> None:
    prob = torch.tensor([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    found = class_means(prob, torch.tensor([0, 0, 1]), 2)
    torch.testing.assert_close(found, torch.tensor([[0.7, 0.3], [0.1, 0.9]]))
    borrowed = class_means(prob, torch.tensor([0, 0, 0]), 2)
    torch.testing.assert_close(borrowed[1], prob.mean(0))
    network = make_network()
    method = make("regun", network)
    there = method.reference[LABEL].log()  # type: ignore[attr-defined]
    loss = method.forget_loss(StepSamples(there, torch.arange(4), LABEL, FORGET.pixels))
    torch.testing.assert_close(loss, torch.zeros(4))


def test_lotus_smooths_forget_samples_while_they_are_known() -> None:
    """The more confident the model is on the list, the flatter its targets."""
    network = make_network()
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


def test_amun_moves_forget_samples_into_a_wrong_class_and_no_further() -> None:
    network = make_network()
    moved, wrong = adversarial_neighbours(network, FORGET, 0.1)
    assert (wrong != LABEL).all()
    network.module.eval()
    images = network.inputs(FORGET.pixels)
    predicted = network.module(images + moved).argmax(1)
    reached = moved.flatten(1).norm(dim=1) > 0
    assert torch.equal(predicted[reached], wrong[reached])
    small, _ = adversarial_neighbours(network, FORGET, 0.01)
    assert (small.flatten(1).norm(dim=1) <= moved.flatten(1).norm(dim=1) + 1e-4).all()
