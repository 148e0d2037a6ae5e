"""Per-sample predictions of a network, and the scores that membership attacks use."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from falw_cli.data.device import Samples
from falw_cli.errors import RunError
from falw_cli.models.network import Network
from falw_cli.runtime.precision import wide

Vector = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

ATTACK_SCORES = ("confidence", "entropy", "modified_entropy", "loss", "margin")
"""Names of scores that are larger for likely training samples; see `SamplePredictions.score`."""
HEADLINE = "loss"
"""The score of the main figures: it ranks samples as confidence does, but still distinguishes
samples whose probability rounds to 1."""
TINY = 1e-30


def columns(logits: Tensor, label: Tensor) -> Tensor:
    """Return `SamplePredictions` from `predicted` on. logits [n, C], label [n] -> float64 [n, 7]

    Entropy and modified entropy: Song and Mittal, USENIX Security 2021, equation 8. Margin: the
    logit of the true class minus the largest other one.
    """
    logits = wide(logits)
    label = label.to(logits.device)
    log_prob = logits.log_softmax(dim=1)
    prob = log_prob.exp()
    own = label[:, None]
    loss = -log_prob.gather(1, own).squeeze(1)
    others = logits.scatter(1, own, -torch.inf)
    margin = logits.gather(1, own).squeeze(1) - others.max(dim=1).values
    entropy = -(prob * log_prob).sum(dim=1)
    # 1 - p without loss of precision for p near 1.
    rest = (-torch.expm1(log_prob)).clamp(min=TINY)
    per_class = prob * rest.log()
    true, log_true = prob.gather(1, own).squeeze(1), log_prob.gather(1, own).squeeze(1)
    wrong = per_class.sum(dim=1) - per_class.gather(1, own).squeeze(1)
    modified = -rest.gather(1, own).squeeze(1) * log_true - wrong
    top, predicted = prob.max(dim=1)
    return torch.stack([wide(predicted), true, top, loss, margin, entropy, modified], dim=1)


@dataclass(frozen=True)
class SamplePredictions:
    """A network's predictions for N samples, in eval mode and without augmentation."""

    labels: Counts
    """The true class, [N]."""
    predicted: Counts
    """The most likely class, [N]."""
    prob: Vector
    """True-class probability, [N] in [0, 1]."""
    top: Vector
    """Probability of the most likely class, [N] in [0, 1]."""
    loss: Vector
    """Cross-entropy against the true class, [N], nats."""
    margin: Vector
    """Logit of the true class minus the largest other one, [N]."""
    entropy: Vector
    """Entropy of the prediction, [N], nats."""
    modified_entropy: Vector
    """Modified entropy of the prediction, [N], nats."""

    @classmethod
    def of(cls, network: Network, samples: Samples) -> SamplePredictions:
        """Run the network on samples; the ranks share the work.

        Raises:
            RunError: the outputs for some samples are NaN.
        """
        found = network.map_logits(samples, columns).cpu().numpy()
        if bad := int(np.isnan(found).any(1).sum()):
            raise RunError(
                f"the outputs of {network.arch} are NaN for {bad} of {len(samples)} samples",
                "give another checkpoint; if only the unlearned model is so, choose a smaller --lr",
            )
        predicted, *rest = found.T
        return cls(samples.labels.cpu().numpy(), predicted.astype(np.int64), *rest)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def correct(self) -> Vector:
        """1 where the most likely class is the true one, else 0; [N]."""
        right: Vector = (self.predicted == self.labels).astype(np.float64)
        return right

    def score(self, name: str) -> Vector:
        """Return one of ATTACK_SCORES, larger for likely training samples, [N]."""
        signed: dict[str, Vector] = {
            "confidence": self.prob,
            "entropy": -self.entropy,
            "modified_entropy": -self.modified_entropy,
            "loss": -self.loss,
            "margin": self.margin,
        }
        return signed[name]

    def of_rows(self, rows: Counts) -> SamplePredictions:
        """Return the samples at `rows`."""
        return SamplePredictions(*(getattr(self, field.name)[rows] for field in fields(self)))
