"""Residual knowledge: forget samples that a model recognises again when a little noise is added.

Hsu et al., "The Unseen Threat: Residual Knowledge in Machine Unlearning under Perturbed Samples",
NeurIPS 2025, arXiv 2601.22359. Their ratio is Pr[m(x') = y] / Pr[a(x') = y] of the model m and a
Retrain model a, estimated from 100 copies x' of x with Gaussian noise, and averaged over the forget
samples. The shares here need no Retrain model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from falw_cli.audit.report import AgainstRetrain, Robustness
from falw_cli.data.device import Samples
from falw_cli.data.splits import class_aware_order
from falw_cli.evaluation import intervals
from falw_cli.evaluation.changes import paired_change
from falw_cli.evaluation.metrics import Figure
from falw_cli.evaluation.predictions import EvaluationSamples
from falw_cli.evaluation.roc import matching
from falw_cli.evaluation.scores import Counts, Vector
from falw_cli.models.network import Network

NOISE = 0.03
"""Standard deviation of the Gaussian noise on pixels in [0, 1], in the range of the paper."""
COPIES = 100
"""Noisy copies per sample, as in the paper."""
MOST = 1000
"""Maximum number of forget samples, and of unseen ones: each costs COPIES + 1 forward passes."""


def robustness(
    network: Network, parts: EvaluationSamples, references: Sequence[Network], seed: int
) -> Robustness | None:
    """Measure how many samples a network recognises again with noise; the network is not changed.

    Args:
        network: the audited model; evaluated in eval mode.
        parts: forget and test samples.
        references: Retrain models, evaluated on the same noisy copies of the forget samples.
        seed: random seed of the noise, and of the choice of samples from large sets.

    Returns:
        None without forget samples.
    """
    if not len(parts.forget):
        return None
    forget = _some(parts.forget, np.unique(parts.forget.labels.cpu().numpy()), seed)
    unseen = _some(parts.test, np.unique(forget.labels.cpu().numpy()), seed)
    own = _Recognised.of(network, forget, seed)
    other = _Recognised.of(network, unseen, seed) if len(unseen) else None
    share, difference = (None, None) if other is None else _unseen(own, other)
    return Robustness(
        noise=NOISE,
        copies=COPIES,
        samples=len(forget),
        forget=_share(float(own.again.mean()), len(own.again)),
        unseen=share,
        difference=difference,
        references=[
            _against(own, _Recognised.of(reference, forget, seed)) for reference in references
        ],
    )


@dataclass(frozen=True)
class _Recognised:
    """Which of N samples a network predicts as their true class."""

    labels: Counts
    again: Vector
    """1 if the network recognises a noisy copy, but not the sample itself, else 0; [N]."""
    copies: Counts
    """Number of noisy copies that it recognises, [N]."""

    @classmethod
    def of(cls, network: Network, samples: Samples, seed: int) -> _Recognised:
        seeds = np.random.default_rng([seed, 17]).integers(2**62, size=COPIES).tolist()

        def predicted(pixels: Tensor) -> Tensor:
            """Return the classes predicted for the samples and their copies, [n, 1 + COPIES]."""
            copies = (_noisy(pixels, one) for one in seeds)
            return torch.stack([network.logits(one).argmax(1) for one in (pixels, *copies)], dim=1)

        found = network.map_pixels(samples, predicted) == samples.labels[:, None]
        right = found.cpu().numpy()
        copies = right[:, 1:].sum(1)
        again = (~right[:, 0] & (copies > 0)).astype(np.float64)
        return cls(samples.labels.cpu().numpy(), again, copies)


def _noisy(pixels: Tensor, seed: int) -> Tensor:
    """Add noise to pixels in [0, 255]: [n, S, S, channels] -> float of the same shape.

    The noise depends on the seed alone. It is the same for all samples, models, batch sizes and
    devices.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(pixels.shape[1:], generator=generator).to(pixels.device)
    return (pixels.float() + 255 * NOISE * noise).clamp(0, 255)


def _some(samples: Samples, classes: Counts, seed: int) -> Samples:
    """Return the samples of some classes, at most MOST, with each class in its share."""
    labels = samples.labels.cpu().numpy()
    rows = np.flatnonzero(np.isin(labels, classes))
    if len(rows) > MOST:
        order = class_aware_order(labels[rows], np.random.default_rng([seed, 16]))
        rows = np.sort(rows[order[:MOST]])
    return samples.of(torch.from_numpy(rows))


def _share(share: float, count: float) -> Figure:
    return Figure.of(share, intervals.wilson(share, count), 100)


def _unseen(own: _Recognised, other: _Recognised) -> tuple[Figure | None, Figure | None]:
    """Return the share of unseen samples of the same class mix, and forget minus unseen.

    Classes without an unseen sample are left out of the difference.
    """
    shares = []
    for one, weights in zip((own, other), matching(own.labels, other.labels), strict=True):
        if not weights.any():
            return None, None
        share = min(1.0, float(one.again @ weights))  # the weights sum to 1, but for rounding
        shares.append((share, float(1 / (weights**2).sum())))
    (a, of_a), (b, of_b) = ((share, intervals.wilson(share, count)) for share, count in shares)
    difference = Figure.of(a - b, intervals.apart(a, of_a, b, of_b), 100)
    return Figure.of(b, of_b, 100), difference


def _against(own: _Recognised, reference: _Recognised) -> AgainstRetrain:
    known = reference.copies > 0
    ratio: npt.NDArray[np.float64] = own.copies[known] / reference.copies[known]
    return AgainstRetrain(
        forget=_share(float(reference.again.mean()), len(reference.again)),
        difference=paired_change(own.again - reference.again),
        ratio=float(ratio.mean()) if known.any() else None,
        ratio_samples=int(known.sum()),
    )
