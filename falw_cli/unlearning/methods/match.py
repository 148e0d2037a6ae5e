"""Match: move each forget sample to its own expectation, from both sides. Ours.

`expectation` says what a model that never saw the list would predict for each forget sample. The
loss moves the prediction there, and holds each retain sample at the original's:

- cross-entropy against the expected prediction, or the original's;
- the Huber loss between the log-odds of the true class and those expected. Cross-entropy alone
  hardly distinguishes 0.97 from 0.999, which is where membership shows. A retain sample is only
  pulled up: one that is surer than it was is left alone.

A sample that is under-forgotten is pushed on, an over-forgotten one is pulled back, so that there
is nothing to overshoot. The closest published relative is ReGUn (arXiv 2603.11210), which distils
forget samples towards held-out predictions of their class; see `regun`. Dropout and its like are
off in the steps, so that the prediction that is moved is the one that is measured.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat
from torch import Tensor

from falw_cli.unlearning.interfaces import Method, Seen, Settings, Start

SURE = 6.0
"""Log-odds beyond which predictions count as equally sure: a probability of 0.9975."""
MOST_BOOST = 8.0
"""A short list's loss counts at most so many times."""


class MatchSettings(Settings):
    """Hyperparameters of `match`."""

    log_odds: NonNegativeFloat = 0.5
    """Of the loss on log-odds, beside cross-entropy."""


class Match(Method):
    """Cross-entropy and log-odds against the expectation, or against the original's prediction."""

    needs_guide = True
    dropout = False
    search_from = 5e-4
    tries = (1.0, 0.3, 3.0)
    defaults = {
        "weighting": "none", "optimizer": "adamw", "weight_decay": 0.0, "lr": "auto", "epochs": 7,
        "forget_share": 0.25, "schedule": "one-cycle", "least_steps": 56,
    }  # fmt: skip
    settings_type = MatchSettings

    def __init__(self, start: Start, settings: MatchSettings) -> None:
        """See `Method`. `target` holds the expected prediction of each forget sample, [N_f, C]."""
        assert start.expectation is not None  # there are held-out samples: `needs_guide`
        self.settings = settings
        self.target = start.expectation.prediction
        self.original = start.network.predict(start.retain).softmax(1)
        wanted = self.defaults["forget_share"] * start.batch_size
        self.boost = min(MOST_BOOST, max(1.0, wanted / len(self.target)))

    def forget_loss(self, seen: Seen) -> Tensor:
        """Cross-entropy and the Huber loss of the log-odds against the expectation, [n]."""
        target = self.target[seen.position]
        off = log_odds(seen.logits, seen.label) - odds_of(target, seen.label)
        loss: Tensor = self.boost * self._loss(seen, target, off)
        return loss

    def retain_loss(self, seen: Seen) -> Tensor:
        """The same against the original's prediction, where the log-odds fell; [n]."""
        target = self.original[seen.position]
        off = log_odds(seen.logits, seen.label) - odds_of(target, seen.label)
        return self._loss(seen, target, off.clamp(max=0))

    def _loss(self, seen: Seen, target: Tensor, off: Tensor) -> Tensor:
        plain = F.cross_entropy(seen.logits, target, reduction="none")
        apart = F.huber_loss(off, torch.zeros_like(off), reduction="none")
        return plain + self.settings.log_odds * apart


def log_odds(logits: Tensor, label: Tensor) -> Tensor:
    """Log-odds of the true class: logits [n, C], label int64 [n] -> [n]; flat just beyond SURE."""
    own = label[:, None]
    others = logits.scatter(1, own, -torch.inf).logsumexp(1)
    return (logits.gather(1, own).squeeze(1) - others).clamp(-SURE - 2, SURE + 2)


def odds_of(prediction: Tensor, label: Tensor) -> Tensor:
    """Log-odds of the true class of predictions [n, C], within SURE: [n]."""
    prob = prediction.gather(1, label[:, None]).squeeze(1)
    return torch.logit(prob, eps=1e-7).clamp(-SURE, SURE)


method = Match
