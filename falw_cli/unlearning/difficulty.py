"""Difficulty of a sample for its label, without what the original remembers of the sample.

Two scores, for `expectation.py`: the margin of a ridge regression on middle-layer features, fitted
on retain samples (for these, the leave-one-out prediction in closed form), and the margin over
shifted and mirrored views, which memorisation of the exact image does not affect.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from falw_cli.data.device import Samples
from falw_cli.models.network import Network
from falw_cli.runtime.precision import wide
from falw_cli.unlearning.features import middle_features

RIDGE = 0.002
"""Penalty of the regression per fitted sample, for features of a mean squared length of 1."""
VIEWS = 4
"""Number of averaged views; every second one is mirrored."""
SHIFT = 16
"""A view is shifted by at most 1 / SHIFT of the image's side."""


def leave_one_out(
    features: Tensor, label: Tensor, num_classes: int, others: Sequence[Tensor]
) -> list[Tensor]:
    """Predict the class by ridge regression on features, leave-one-out for the fitted samples.

    Args:
        features: of the fitted samples, [N, D].
        label: their class, int64 [N].
        num_classes: C.
        others: features of samples that are not fitted, [n, D] each.

    Returns:
        Predictions for the fitted samples, each from the fit without it (closed form, Cook 1977),
        then those for the others, [n, C] each, float32.
    """

    def scaled(one: Tensor) -> Tensor:
        bias = one.new_ones(len(one), 1)
        found: Tensor = wide(torch.cat([one, bias], 1)) / one.shape[1] ** 0.5
        return found

    fitted = scaled(features)
    target = wide(F.one_hot(label, num_classes))
    gram = fitted.T @ fitted
    gram.diagonal().add_(RIDGE * len(fitted))
    solver = torch.linalg.cholesky(gram)
    weights = torch.cholesky_solve(fitted.T @ target, solver)
    leverage = (fitted * torch.cholesky_solve(fitted.T, solver).T).sum(1, keepdim=True)
    own = (fitted @ weights - leverage * target) / (1 - leverage).clamp(min=1e-3)
    found = [own, *(scaled(one) @ weights for one in others)]
    return [one.float().to(features.device) for one in found]


def regression_scores(network: Network, parts: tuple[Samples, Samples, Samples]) -> list[Tensor]:
    """Return the regression's scores per class, [n, C] each.

    Args:
        network: the original model.
        parts: forget samples, samples to fit (each is scored by the fit without it), and held-out
            samples.
    """
    features = middle_features(network, parts)
    number = len(network.classes)
    own, *others = leave_one_out(features[1], parts[1].labels, number, (features[0], features[2]))
    return [others[0], own, others[1]]


def margin(scores: Tensor, label: Tensor) -> Tensor:
    """Return the score of the class `label` minus the largest other one: [n, C] -> [n]."""
    own = label[:, None]
    found: Tensor = scores.gather(1, own).squeeze(1) - scores.scatter(1, own, -torch.inf).amax(1)
    return found


def wrong_margins(scores: Tensor, samples: Samples) -> Tensor:
    """Return margins for wrong labels, which are those of other samples in a random order.

    Args:
        scores: of the samples per class, [n, C].
        samples: the samples.

    Returns:
        Margins of the samples whose drawn label is not their own, at most n.
    """
    label = samples.labels
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(0))
    drawn = label[order.to(label.device)]
    return margin(scores, drawn)[drawn != label]


def view_margins(network: Network, samples: Samples) -> Tensor:
    """Return the true-class log-odds of the mean prediction over the views, [n]."""

    def of(pixels: Tensor) -> Tensor:
        random = torch.Generator().manual_seed(0)
        total = torch.zeros(len(pixels), len(network.classes), device=pixels.device)
        for number in range(VIEWS):
            place = torch.rand(2, generator=random).tolist()
            moved = partial(_view, place=place, mirrored=number % 2 > 0)
            total += network.logits(pixels, moved).softmax(1)
        return total / VIEWS

    prob = network.map_pixels(samples, of).gather(1, samples.labels[:, None]).squeeze(1)
    own = wide(prob).clamp(1e-12, 1)
    return (own.log() - (1 - own).clamp(min=1e-12).log()).float().to(prob.device)


def _view(inputs: Tensor, place: list[float], mirrored: bool) -> Tensor:
    """Shift images [n, channels, H, W] cyclically, as given by `place` in [0, 1] x [0, 1].

    Inputs from Python that are not images are returned unchanged.
    """
    if inputs.dim() != 4:
        return inputs
    most = [max(1, side // SHIFT) for side in inputs.shape[2:]]
    shift = [round((2 * at - 1) * far) for at, far in zip(place, most, strict=True)]
    moved = inputs.roll(shift, (2, 3))
    return moved.flip(3) if mirrored else moved
