"""Match: move the prediction for each forget sample to its expectation. falw's own method.

`expectation` estimates what a model that was not trained on the list would predict for each forget
sample. The loss is taken against this target, and for retain samples against the original's
prediction. It has two terms:

- the cross-entropy against the target;
- the Huber loss between the log-odds of the true class and those of the target. Cross-entropy alone
  hardly distinguishes 0.97 from 0.999, where membership is visible. For retain samples, only
  log-odds below the target count.

Over-forgotten samples are pulled back, so that the loss does not overshoot. The closest published
method is ReGUn (arXiv 2603.11210), which distils forget samples towards held-out predictions of
their class. Dropout and augmentation are off in the steps, so that the trained prediction is the
measured one. For short lists BatchNorm keeps the statistics of training: else they would follow the
few batches, which costs accuracy. Long lists come closer with statistics that follow; where their
momentum is small, as in EfficientNet (0.01), they are made to follow within the few steps of a run.

The samples of a short list are of few classes. Without more, the model learns to predict these
classes less, or more, for all unseen samples: the retain samples are memorised, so that their loss
hardly shows it. Each step of a short list therefore also holds the original's predictions for
held-out samples, unless the list is so large a part of the data that a retrained model would
predict other samples differently.

For a short list, the loss of retain and held-out samples counts every change of their logits. One
that counts only fallen confidence lets that of other samples rise, and draws the samples of earlier
lists back to their labels.

Each run still lowers the confidence in some retain samples a little, and the next run takes that
for the original's. This effect is smaller with smaller steps: for a short list on a model that was
unlearned before, a run takes four times as many, at a lower learning rate.

With `--no-retain`, `retain` holds held-out samples. The retain loss then distils the original on
data that it was not trained on, as SCAR does (Bonato et al., arXiv 2404.12922).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat
from torch import Tensor

from falw_cli.data.batches import generator
from falw_cli.models import module_output
from falw_cli.unlearning.interfaces import Method, MethodInputs, Settings, StepSamples

SURE = 6.0
"""Log-odds beyond which predictions count as equally confident: a probability of 0.9975."""
SMALL = 0.05
"""Share of the training data up to which a list is not expected to change other predictions."""
MOST_BOOST = 3.0
"""Maximum factor on the loss of a short list."""
GUIDE_WEIGHT = 3.0
"""Weight of the mean loss of held-out samples, for a list that fits into one batch; less if not."""


class MatchSettings(Settings):
    """Hyperparameters of `match`."""

    log_odds: NonNegativeFloat = 0.5
    """Weight of the loss on log-odds relative to the cross-entropy."""
    logits: NonNegativeFloat = 0.3
    """For short lists: weight of the squared change of the logits of other samples."""


class Match(Method):
    """Cross-entropy and log-odds against the expectation, or against the original's prediction."""

    needs_guide = True
    retain_free = True
    dropout = False
    fixed_statistics_up_to = 100
    again_rates = 0.3, 0.14
    again_steps = 4
    least_momentum = 0.1
    overshoots = False
    search_from = 5e-4
    tries = (1.0, 0.3, 3.0)
    defaults = {
        "weighting": "none", "optimizer": "adamw", "weight_decay": 0.0, "lr": "auto", "epochs": 7,
        "forget_share": 0.25, "schedule": "one-cycle", "least_steps": 56, "crop": 0, "flip": False,
    }  # fmt: skip
    settings_type = MatchSettings

    def __init__(self, inputs: MethodInputs, settings: MatchSettings) -> None:
        """See `Method`. `target` holds the expected prediction of each forget sample, [N_f, C]."""
        assert inputs.expectation is not None  # `needs_guide` ensures held-out samples
        self.settings = settings
        self.target = inputs.expectation.prediction
        self.original = inputs.network.predict(inputs.retain)
        """The original's logits for the retain samples [N_r, C]."""
        self.inputs = inputs
        self.unseen: Tensor | None = None
        """The original's logits for the held-out samples [G, C], for a short list."""
        count = len(self.target)
        most = min(self.fixed_statistics_up_to, SMALL * (count + int(inputs.kept.sum())))
        if count <= most:
            self.unseen = inputs.network.predict(inputs.guide)
        self.seed = int(torch.randint(2**31, (1,), generator=inputs.generator))
        wanted = self.defaults["forget_share"] * inputs.batch_size
        self.boost = min(MOST_BOOST, max(1.0, wanted / len(self.target)))
        self.guide_weight = GUIDE_WEIGHT * min(1.0, wanted / len(self.target))

    def forget_loss(self, samples: StepSamples) -> Tensor:
        """Return cross-entropy and Huber loss of the log-odds against the expectation, [n]."""
        target = self.target[samples.position]
        off = log_odds(samples.logits, samples.label) - odds_of(target, samples.label)
        loss: Tensor = self.boost * self._loss(samples.logits, target, off)
        return loss

    def retain_loss(self, samples: StepSamples) -> Tensor:
        """Return the loss against the original's prediction, [n].

        For a short list it counts every change, for a long one only fallen log-odds.
        """
        original = self.original[samples.position]
        if self.unseen is not None:
            return self._change(samples.logits, original)
        target = original.softmax(1)
        off = log_odds(samples.logits, samples.label) - odds_of(target, samples.label)
        return self._loss(samples.logits, target, off.clamp(max=0))

    def penalty(self, progress: float, part: tuple[int, int] = (0, 1)) -> Tensor | None:
        """Return the loss of a draw of held-out samples against the original, for a short list."""
        if self.unseen is None:
            return None
        guide, network = self.inputs.guide, self.inputs.network
        # The draw depends only on the progress, so that a resumed run repeats it.
        random = generator(self.seed, round(progress * 1e9))
        drawn = torch.randperm(len(guide), generator=random)[: self.inputs.batch_size // 2 or 1]
        rows = drawn.tensor_split(part[1])[part[0]]
        if not len(rows):
            return None
        images = network.inputs(next(iter(guide.read([rows]))))
        logits = module_output.logits(network.module(images)).float()
        original = self.unseen[rows.to(self.unseen.device)]
        loss: Tensor = self.guide_weight * self._change(logits, original).sum() / len(drawn)
        return loss

    def _change(self, logits: Tensor, original: Tensor) -> Tensor:
        """Return the cross-entropy with the original, plus the squared change of logits, [n]."""
        plain = F.cross_entropy(logits, original.softmax(1), reduction="none")
        change = (logits - original).var(1, correction=0)  # a common shift is no change
        return plain + self.settings.logits * change

    def _loss(self, logits: Tensor, target: Tensor, off: Tensor) -> Tensor:
        plain = F.cross_entropy(logits, target, reduction="none")
        apart = F.huber_loss(off, torch.zeros_like(off), reduction="none")
        return plain + self.settings.log_odds * apart


def log_odds(logits: Tensor, label: Tensor) -> Tensor:
    """Log-odds of the true class, [n], from logits [n, C], label int64 [n]; clamped past SURE."""
    own = label[:, None]
    others = logits.scatter(1, own, -torch.inf).logsumexp(1)
    return (logits.gather(1, own).squeeze(1) - others).clamp(-SURE - 2, SURE + 2)


def odds_of(prediction: Tensor, label: Tensor) -> Tensor:
    """Log-odds of the true class, [n], from predictions [n, C]; clamped at SURE."""
    prob = prediction.gather(1, label[:, None]).squeeze(1)
    return torch.logit(prob, eps=1e-7).clamp(-SURE, SURE)


method = Match
