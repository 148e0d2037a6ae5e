"""Match: draw each forget sample to where unseen data of its class rests, from both sides. Ours.

A forgotten sample should look like an unseen one. What an unseen sample of class c looks like is
known: held-out samples of c under the original. Three things make of that a target for each forget
sample, fixed before the first step:

1. Rank. The forget samples of a class, ordered by the original's margin, take the true-class
   probabilities of the class's held-out samples in their order: the hardest gets the lowest.
2. Prior. Retrain will have seen fewer samples of c: logits are shifted by s * T * log(kept share of
   c), as a shift of the class prior moves them (Menon et al., "Long-Tail Learning via Logit
   Adjustment", ICLR 2021); T is the temperature that calibrates the original on the held-out data.
   A class that goes as a whole gets probability 0.
3. Own confusions. What is not given to the true class goes to the others in the proportions of the
   original's prediction for that very image, which harms test accuracy less than a stranger's.

The loss is the cross-entropy against the target: it pulls an over-forgotten sample back as it
pushes an under-forgotten one on, so there is nothing to overshoot.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat
from torch import Tensor

from falw_cli.unlearning.interfaces import Method, Seen, Settings, Start

TEMPERATURES = torch.linspace(0.5, 5, 46)
"""Tried for calibration."""
NOTHING_LEFT = 1e-6
"""Kept share of a class of which nothing is kept: its logit then falls out of sight."""


class MatchSettings(Settings):
    """Hyperparameters of `match`."""

    prior_shift: NonNegativeFloat = 1.5
    """s: how far a thinned class moves, in shifts of a calibrated prior."""


class Match(Method):
    """Cross-entropy against the matched targets, beside cross-entropy on retain samples."""

    needs_guide = True
    defaults = {
        "weighting": "falw", "lr": 0.05, "epochs": 16, "forget_share": 0.4, "schedule": "one-cycle"
    }  # fmt: skip
    settings_type = MatchSettings

    def __init__(self, start: Start, settings: MatchSettings) -> None:
        """See `Method`. `target` holds the prediction to match of each forget sample, [N_f, C]."""
        number, network = start.num_classes, start.network
        unseen, forget = network.predict(start.guide), network.predict(start.forget)
        gone = torch.bincount(start.forget.labels, minlength=number)
        share = (start.kept / (start.kept + gone).clamp(min=1)).clamp(min=NOTHING_LEFT)
        warmth = temperature(unseen, start.guide.labels)
        shift = settings.prior_shift * warmth * share.log()
        self.target = matched(
            forget, start.forget.labels, unseen + shift, start.guide.labels, shift
        )

    def forget_loss(self, seen: Seen) -> Tensor:
        """Cross-entropy against the matched predictions, [n]."""
        return F.cross_entropy(seen.logits, self.target[seen.position], reduction="none")


def temperature(logits: Tensor, label: Tensor) -> float:
    """The temperature under which predictions [N, C] are best calibrated, by log-likelihood.

    Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017), over TEMPERATURES.
    """
    losses = [F.cross_entropy(logits / float(t), label) for t in TEMPERATURES]
    return float(TEMPERATURES[int(torch.stack(losses).argmin())])


def matched(
    forget: Tensor, label: Tensor, unseen: Tensor, unseen_label: Tensor, shift: Tensor
) -> Tensor:
    """The prediction that each forget sample is drawn to, [N_f, C]; rows sum to 1.

    Args:
        forget: the original's logits on the forget samples, [N_f, C].
        label: their class, [N_f].
        unseen: logits on held-out samples, shifted to the new prior, [N, C].
        unseen_label: their class, [N]. A class without any borrows from all held-out samples.
        shift: of the prior, [C].
    """
    others = forget.scatter(1, label[:, None], -torch.inf)
    margin = forget.gather(1, label[:, None]).squeeze(1) - others.logsumexp(1)
    known = unseen.softmax(1).gather(1, unseen_label[:, None]).squeeze(1)
    prob = torch.zeros_like(margin)
    for c in torch.unique(label).tolist():
        rows = (label == c).nonzero().squeeze(1)
        theirs = known[unseen_label == c]
        pool = (theirs if len(theirs) else known).sort().values
        rank = margin[rows].argsort(stable=True).argsort(stable=True)
        prob[rows] = pool[((rank + 0.5) / len(rows) * len(pool)).long()]
    rest = (others + shift).softmax(1) * (1 - prob)[:, None]
    return rest.scatter(1, label[:, None], prob[:, None])


method = Match
