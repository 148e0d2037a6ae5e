"""match: the target and the Huber loss on log-odds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from falw_cli.config.settings import Config, TrainRecipe, UnlearnRecipe
from falw_cli.data.device import Resident
from falw_cli.models.network import Network
from falw_cli.unlearning.interfaces import Method, StepSamples, load_method
from falw_cli.unlearning.methods.match import SURE, log_odds
from falw_cli.unlearning.resolution import with_method_defaults
from tests.unlearning.methods.conftest import FORGET, LABEL, RETAIN, inputs, make


def test_a_completely_forgotten_class_gets_no_probability(network: Network) -> None:
    retain = Resident(RETAIN.pixels[:6], torch.arange(6) % 2)
    kind = load_method("match")
    method = kind(inputs(network, retain=retain), kind.settings_type())
    gone = method.target[LABEL == 2]  # type: ignore[attr-defined]
    assert (gone[:, 2] < 1e-3).all()
    torch.testing.assert_close(gone.sum(1), torch.ones(2))


def test_match_pulls_from_both_sides(network: Network) -> None:
    """The gradient of the true-class logit has the sign of p - q, with q the expectation."""
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


def test_match_adds_no_huber_loss_to_confident_retain_samples(network: Network) -> None:
    """The Huber loss is zero above the original's log-odds and positive below them."""
    method = make("match", network, log_odds=1.0)
    plain = make("match", network, log_odds=0.0)
    position = torch.arange(4)
    original = method.original[position]  # type: ignore[attr-defined]
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


def test_the_training_augmentation_is_not_inherited() -> None:
    """The trained prediction is the measured one; other methods train as the model was trained."""
    trained = TrainRecipe(crop=4, flip=True)
    for name, crop in (("match", 0), ("finetune", 4)):
        config = Config(unlearn=UnlearnRecipe(method=name))
        recipe = with_method_defaults(config, trained).unlearn
        assert (recipe.crop, recipe.flip) == (crop, crop > 0)
    asked = Config(unlearn=UnlearnRecipe(crop=2))
    assert with_method_defaults(asked, trained).unlearn.crop == 2


def short(network: Network, **more: object) -> Method:
    """Return the method on 4 of 304 samples."""
    kind = load_method("match")
    known = replace(inputs(network), kept=torch.full((3,), 100), **more)
    return kind(known, kind.settings_type())


def test_a_short_list_holds_the_predictions_for_unseen_samples(network: Network) -> None:
    """The penalty is smallest at the original, in both directions of the log-odds."""
    method = short(network)
    network.module.eval()
    at_original = method.penalty(0.5)
    assert at_original is not None
    with torch.no_grad():
        *_, head = [m for m in network.module.modules() if isinstance(m, torch.nn.Linear)]
        for step in (2.0, -4.0):
            head.bias[0] += step
            moved = method.penalty(0.5)
            assert moved is not None
            assert moved > at_original + 0.1


def test_the_retain_loss_of_a_short_list_counts_changes_in_both_directions(
    network: Network,
) -> None:
    """A common shift of all logits is no change."""
    method = short(network)
    original = method.original[:4]  # type: ignore[attr-defined]
    label, images = RETAIN.labels[:4], RETAIN.pixels[:4]
    own = F.one_hot(label, 3) * 2.0
    unchanged, shifted, up, down = (
        method.retain_loss(StepSamples(logits, torch.arange(4), label, images))
        for logits in (original, original + 1, original + own, original - own)
    )
    torch.testing.assert_close(shifted, unchanged)
    assert bool((torch.minimum(up, down) > unchanged + 0.2).all())


def test_a_resumed_run_repeats_the_draw_of_unseen_samples(network: Network) -> None:
    method = short(network, batch_size=8)
    network.module.eval()
    drawn = [method.penalty(progress) for progress in (0.25, 0.25, 0.75)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("name", ["match", "l1-sparse"])
def test_the_penalty_of_a_step_is_the_sum_of_its_parts(network: Network, name: str) -> None:
    """A batch that does not fit into memory is split, and its penalty with it."""
    method = short(network, batch_size=8) if name == "match" else make(name, network)
    network.module.eval()
    whole = method.penalty(0.25)
    parts = [method.penalty(0.25, (index, 3)) for index in range(3)]
    assert whole is not None
    torch.testing.assert_close(sum(one for one in parts if one is not None), whole)


def test_a_long_list_or_a_large_part_of_the_data_has_no_penalty(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make("match", network).penalty(0.5) is None  # 4 of 13 samples
    monkeypatch.setattr(load_method("match"), "fixed_statistics_up_to", 3)
    assert short(network).penalty(0.5) is None
