"""An original model that does not know its own training data is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from falw_cli.config.settings import Preprocessing
from falw_cli.data.device import Resident
from falw_cli.errors import RequestError
from falw_cli.evaluation.plausibility import check_logits, check_plausible, check_unseen
from falw_cli.evaluation.predictions import EvaluationSamples, Predictions
from falw_cli.evaluation.scores import SamplePredictions
from falw_cli.models.network import Network
from falw_cli.runtime.progress import Silent
from tests.engine import cpu


def seen(labels: list[int], predicted: list[int]) -> SamplePredictions:
    flat = np.zeros(len(labels))
    return SamplePredictions(np.array(labels), np.array(predicted), *[flat] * 6)


def predictions(retain: SamplePredictions, test: SamplePredictions, number: int = 4) -> Predictions:
    classes = tuple(map(str, range(number)))
    return Predictions(classes, seen([], []), retain, test, 0)


TRUE = [row % 4 for row in range(400)]
NONE = seen([], [])


def test_a_model_that_knows_its_data_passes() -> None:
    check_plausible(predictions(seen(TRUE, TRUE), seen(TRUE, TRUE)))
    check_plausible(predictions(NONE, NONE))


def test_another_class_order_is_reported() -> None:
    shifted = [(label + 1) % 4 for label in TRUE]
    with pytest.raises(RequestError, match=r"100\.0 % with its classes in another order") as found:
        check_plausible(predictions(seen(TRUE, shifted), NONE))
    assert "--classes" in found.value.hint


def test_chance_level_is_reported() -> None:
    random = np.random.default_rng(0).integers(0, 4, 400).tolist()
    with pytest.raises(RequestError, match=r"near chance \(25\.0 %\)"):
        check_plausible(predictions(seen(TRUE, random), NONE))


def test_unseen_samples_must_not_be_easier() -> None:
    half = [label if row % 2 else (label + 1 + row // 2 % 3) % 4 for row, label in enumerate(TRUE)]
    with pytest.raises(RequestError, match="not trained on this data"):
        check_plausible(predictions(seen(TRUE, half), seen(TRUE, TRUE)))


@pytest.mark.parametrize(("test", "warned"), [(TRUE, False), ([(n + 1) % 4 for n in TRUE], True)])
def test_labels_of_unseen_samples_near_chance_are_reported(test: list[int], warned: bool) -> None:
    progress = Silent()
    check_unseen(predictions(seen(TRUE, TRUE), seen(test, TRUE)), progress)
    assert [("0.0 % on samples of --test" in one) for one in progress.warnings] == [True] * warned


@pytest.mark.parametrize(
    ("last", "kind"),
    [(nn.Softmax(1), "softmax"), (nn.Sigmoid(), "sigmoid"), (nn.LogSoftmax(1), None),
     (nn.Identity(), None)],
)  # fmt: skip
def test_networks_that_return_probabilities_are_refused(last: nn.Module, kind: str | None) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), last)
    shown = Preprocessing(image_size=8, mean=(0.5,) * 3, std=(0.5,) * 3)
    network = Network(module, "mine", tuple("abcd"), shown, cpu())
    pixels = torch.randint(0, 256, (30, 8, 8, 3), dtype=torch.uint8)
    some = Resident(pixels, torch.zeros(30, dtype=torch.int64))
    judged = EvaluationSamples(some.of(slice(0)), some, some)
    if kind is None:
        check_logits(network, judged)
        return
    with pytest.raises(RequestError, match=f"mine returns probabilities.*a {kind}"):
        check_logits(network, judged)
