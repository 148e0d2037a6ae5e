"""Early stopping: the utility guard, the best evaluation, patience."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from falw_cli.config.settings import Preprocessing
from falw_cli.data.device import Resident
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.network import Network
from falw_cli.unlearning import early_stopping
from falw_cli.unlearning.early_stopping import (
    MAX_EVALUATIONS,
    MIN_EVALUATIONS,
    PATIENCE,
    EarlyStopping,
    affordable_evaluations,
    decide,
)
from falw_cli.unlearning.expectation import Expectation
from falw_cli.unlearning.stop_estimate import Evaluation, StoppingSamples
from tests.engine import cpu


def pixels(count: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, 8, 8, 1), generator=torch.Generator().manual_seed(1)
    ).byte()


@pytest.fixture
def network() -> Network:
    shown = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.25,))
    return Network(
        tiny_cnn(3, 1),
        "x",
        ("a", "b", "c"),
        shown,
        cpu(),
    )


def samples() -> StoppingSamples:
    part = Resident(pixels(6), torch.arange(6) % 3)
    known = Expectation(torch.full((6, 3), 1 / 3), part.labels, *torch.zeros(3, 6))
    return StoppingSamples.of(part, part, part, torch.tensor([2, 2, 2]), known)


BEFORE = Evaluation(0, 0.3, 15.0, 99.0, 70.0)


def fed(
    network: Network,
    monkeypatch: pytest.MonkeyPatch,
    moments: list[Evaluation],
    max_loss: float = 3.0,
) -> tuple[EarlyStopping, int | None]:
    """Feed `moments` to early stopping, one per step; return it and the step at which it ended."""
    coming = iter(moments)
    monkeypatch.setattr(early_stopping, "evaluate_step", lambda *_: next(coming))
    stopping = EarlyStopping(samples(), BEFORE, max_loss, evaluations=len(moments))
    for done in range(1, len(moments) + 1):
        with torch.no_grad():
            next(network.module.parameters()).fill_(done)
        if stopping.after_step(network, done, len(moments)):
            return stopping, done
    return stopping, None


def curve(*gaps: float, **more: float) -> list[Evaluation]:
    return [replace(BEFORE, step=n, estimated_gap=g, **more) for n, g in enumerate(gaps, 1)]


def test_a_loss_counts_fully_for_a_list_that_was_not_memorised() -> None:
    closer = replace(BEFORE, step=1, estimated_gap=2.0, heldout_accuracy=67.0)
    harmless = replace(BEFORE, step=2, estimated_gap=3.0)
    closest, _ = decide([closer, harmless], BEFORE, 7.0, 2)
    safest, _ = decide([closer, harmless], BEFORE, 7.0, 2, loss_weight=1.0)
    assert (closest, safest) == (closer, harmless)


def test_evaluations_cost_no_more_than_the_steps() -> None:
    """18 samples per evaluation; a step of 6 costs 18 forward passes."""
    assert affordable_evaluations(len(samples()), steps=10, batch_size=6) == 10
    assert affordable_evaluations(len(samples()), steps=2, batch_size=6) == MIN_EVALUATIONS
    assert affordable_evaluations(len(samples()), steps=100, batch_size=6) == MAX_EVALUATIONS


def test_the_weights_of_the_best_evaluation_are_restored(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping, ended = fed(network, monkeypatch, curve(9, 3, 4, 6))
    assert ended is None
    assert stopping.restore_best(network)
    assert next(network.module.parameters()).unique().item() == 2
    assert "step 2" in stopping.reason()


def test_of_similar_evaluations_the_later_is_kept(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3 and 3.4 count as equal; 3.8 is close to 3.4, but not to the best value."""
    stopping, _ = fed(network, monkeypatch, curve(9, 3, 3.4, 3.8))
    assert stopping.restore_best(network)
    assert next(network.module.parameters()).unique().item() == 3


def test_patience_ends_the_run_in_its_last_quarter(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Best at step 1 of 16: patience is over at step 6, the last quarter begins at 12."""
    _, ended = fed(network, monkeypatch, curve(3, *[6] * 15))
    assert ended == 12
    _, ended = fed(network, monkeypatch, curve(*[6] * 8, 3, *[6] * 7))
    assert ended == 9 + PATIENCE


@pytest.mark.parametrize("harm", [{"retain_accuracy": 95.9}, {"heldout_accuracy": 66.9}])
def test_the_guard_rejects_evaluations_that_harm_utility(
    network: Network, monkeypatch: pytest.MonkeyPatch, harm: dict[str, float]
) -> None:
    """An evaluation that lost more than three points of either accuracy is never kept."""
    closer = replace(BEFORE, step=2, estimated_gap=0.1, **harm)
    stopping, _ = fed(network, monkeypatch, [*curve(6), closer])
    assert stopping.best is not None
    assert stopping.best.step == 1
    stopping, _ = fed(network, monkeypatch, [closer])
    assert not stopping.restore_best(network)


def test_state_is_restored_completely(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    stopping, _ = fed(network, monkeypatch, curve(6, 3, 4))
    again = EarlyStopping(samples(), BEFORE, 3.0)
    again.restore(stopping.state())
    assert again.curve == stopping.curve
    assert again.best == stopping.best
    assert again.restore_best(network)
    assert next(network.module.parameters()).unique().item() == 2
