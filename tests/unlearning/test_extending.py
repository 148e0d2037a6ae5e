"""Worked examples: a base method and a weighting are one file each. CONTRIBUTING.md shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from falw_cli import unlearn
from falw_cli.config.extensions import METHODS, WEIGHTINGS
from falw_cli.unlearning import methods, weighting
from falw_cli.unlearning.interfaces import Settings, load_weighting
from falw_cli.unlearning.target import Target
from tests.extending import added

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"
UNIFORM = '''\
"""Uniform targets: each forget sample is moved to equal probabilities of all classes."""

from __future__ import annotations

from torch import Tensor

from falw_cli.unlearning.interfaces import Method, StepSamples


class Uniform(Method):
    """Cross-entropy against the uniform distribution."""

    defaults = {"lr": 0.01, "epochs": 2}

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Return the mean of the negative log-probabilities, [n]."""
        return -samples.logits.log_softmax(1).mean(1)


method = Uniform
'''
EXCESS = '''\
"""Excess: the weight of a forget sample is its probability above the target's mean."""

from __future__ import annotations

import torch
from torch import Tensor

from falw_cli.unlearning.interfaces import Settings
from falw_cli.unlearning.target import Target


class Excess:
    """The weighting `excess`."""

    needs = "target"
    settings_type = Settings

    def __init__(self, counts: Tensor, num_classes: int, settings: Settings) -> None:
        """Args: counts, forget samples per class [C]; num_classes, C."""

    @torch.no_grad()
    def weight(self, prob: Tensor, label: Tensor, target: Target) -> Tensor:
        """Return the weights, [n] in [0, 1]."""
        return (prob - target.mu[label]).clamp(min=0)


weighting = Excess
'''


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> Iterator[None]:
    """Add `uniform.py` and `excess.py` to the modules of their packages."""
    with (
        added(methods, "uniform", UNIFORM, tmp_path),
        added(weighting, "excess", EXCESS, tmp_path),
    ):
        yield


def test_a_file_adds_a_base_method(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "uniform" in METHODS
    monkeypatch.chdir(project)
    report = unlearn(
        "model.safetensors", forget="ids.txt", method="uniform", weighting="none", stop="epochs",
        forgotten_gate=False,
    )  # fmt: skip
    assert report.config["unlearn"]["lr"] == 0.01
    assert report.metrics.after
    assert report.metrics.after.forgotten_share
    assert report.metrics.after.forgotten_share.value > 50


def test_a_file_adds_a_weighting() -> None:
    assert "excess" in WEIGHTINGS
    made = load_weighting("excess")(torch.tensor([1, 2]), 2, Settings())
    unseen, label = torch.tensor([0.5, 0.8]), torch.tensor([0, 1])
    target = Target(unseen, label, unseen, torch.zeros(2), torch.ones(2))
    weights = made.weight(torch.tensor([0.7, 0.7]), torch.tensor([0, 1]), target)
    torch.testing.assert_close(weights, torch.tensor([0.2, 0.0]))


def test_contributing_shows_the_examples() -> None:
    text = CONTRIBUTING.read_text()
    assert UNIFORM in text
    assert EXCESS in text
