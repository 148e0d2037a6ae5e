"""Expectation per forget sample: what a model that was not trained on the list would predict.

This method is falw's own. It trains nothing and takes four steps on the original model:

1. Difficulty. Two scores rate how typical a sample is of its class, without the original's memory
   of it, see `difficulty.py`.
2. Rank. A forget sample is ranked among the retain samples of its class. Both are training
   samples, so that the memorisation that remains in a score cancels.
3. Look-up. The rank is looked up among the held-out samples of the class: a sample that is harder
   than nine tenths of its class gets the 10 % quantile of their true-class probabilities. Before
   that, the held-out logits are shifted to the class prior of the retrained model
   (Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021).
4. Wrong labels. The label of a listed sample may be wrong. Then no held-out sample of the class is
   like it, and the probability is that of a wrong class among held-out samples. The first score
   decides how likely this is.

Without retain samples (`--no-retain`), held-out samples take their place in steps 1 and 2. Then
memorisation does not cancel. It puts the list ahead in the margins over views, by a mean that is
subtracted from the list's ranks.

`docs/expectation.md` compares this with the alternatives that were tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from sklearn.isotonic import IsotonicRegression
from torch import Tensor

from falw_cli.data.device import Samples
from falw_cli.data.no_retain import UNKNOWN
from falw_cli.models.network import Network, true_class_probability
from falw_cli.unlearning.difficulty import (
    margin,
    regression_scores,
    view_margins,
    wrong_margins,
)
from falw_cli.unlearning.gradients import spread_rows
from falw_cli.unlearning.target import share_below

FITTED = 10_000
"""Maximum number of retain samples on which the regression is fitted."""
MEMBERS = 2000
"""Number of fitted samples among which forget samples are ranked, unless PER_CLASS needs more."""
PER_CLASS = 20
"""Minimum mean number per class of the samples among which forget samples are ranked."""
UNSEEN = 2000
"""Maximum number of held-out samples used."""
BORROWED = 2.0
"""Weight of the pool of all classes, in samples, for classes with few samples."""
MISLABELLED = 0.033
"""Prior probability of a wrong label: the mean over ten data sets of Northcutt et al., "Pervasive
Label Errors in Test Sets Destabilize Machine Learning Benchmarks" (NeurIPS 2021)."""
PRIOR_SHIFT = 1.5
"""Factor on the calibrated prior shift of a class that loses samples."""
NOTHING_LEFT = 1e-6
"""Share used for a class with no kept samples: its probability becomes 0."""
TEMPERATURES = torch.linspace(0.5, 5, 46)
"""Candidate temperatures for calibration."""


@dataclass(frozen=True)
class Expectation:
    """Expected prediction per forget sample of a model that was not trained on the list."""

    prediction: Tensor
    """Expected prediction, [N_f, C]; rows sum to 1."""
    label: Tensor
    """True class of the forget samples, int64 [N_f]."""
    level: Tensor
    """For M held-out samples: their expected true-class probability by rank, [M]."""
    error: Tensor
    """True-class probability of these M samples under the original, minus `level`, [M]."""
    original: Tensor
    """True-class probability of the forget samples under the original, [N_f]."""

    @property
    def prob(self) -> Tensor:
        """Expected true-class probability of each forget sample, [N_f]."""
        return self.prediction.gather(1, self.label[:, None]).squeeze(1)

    @property
    def correct(self) -> Tensor:
        """Whether the expected prediction is the true class, bool [N_f]."""
        return self.prediction.argmax(1) == self.label

    def of(self, rows: Tensor) -> Expectation:
        """Return the expectation of the forget samples at `rows`."""
        return replace(
            self, prediction=self.prediction[rows], label=self.label[rows],
            original=self.original[rows],
        )  # fmt: skip


def expect(
    network: Network, forget: Samples, retain: Samples, guide: Samples, kept: Tensor
) -> Expectation:
    """Return the expectation of each forget sample.

    Args:
        network: the original model.
        forget: the forget samples, in any order.
        retain: retain samples; at most FITTED of them are used.
        guide: held-out samples, at least one.
        kept: all retain samples of each class, int64 [C]; UNKNOWN if `retain` are held-out samples.
    """
    number = len(network.classes)
    fitted = retain.of(spread_rows(len(retain), FITTED))
    chosen = spread_rows(len(fitted), max(MEMBERS, PER_CLASS * number))
    members, guide = fitted.of(chosen), guide.of(spread_rows(len(guide), UNSEEN))
    label, member_label, unseen_label = forget.labels, members.labels, guide.labels
    scores = regression_scores(network, (forget, fitted, guide))
    scores[1] = scores[1][chosen.to(label.device)]
    parts = forget, members, guide
    regressed = [margin(one, part.labels) for one, part in zip(scores, parts, strict=True)]
    viewed = [view_margins(network, part) for part in (forget, members)]
    by_fit, by_view = (
        [rank_among(score[row], one, score[1], member_label)
         for row, one in enumerate((label, member_label))]
        for score in (regressed, viewed)
    )  # fmt: skip
    # With held-out members, memorisation puts the list ahead in its views.
    ahead = (by_view[0] - by_fit[0]).mean().clamp(min=0) * bool((kept >= UNKNOWN).all())
    own, theirs = by_fit[0] + by_view[0] - ahead, by_fit[1] + by_view[1]
    rank = rank_among(own, label, theirs, member_label)
    logits, unseen = network.predict(forget), network.predict(guide)
    shift = prior_shift(unseen, unseen_label, kept, torch.bincount(label, minlength=number))
    shifted = true_class_probability(unseen + shift, unseen_label)
    prob = look_up(rank, label, shifted, unseen_label)
    as_wrong = ((1 - shifted).mean() / (number - 1)).minimum(prob)
    right = right_label_probability(regressed[0], regressed[1], wrong_margins(scores[1], members))
    prob = (as_wrong + right * (prob - as_wrong)) * (kept[label] > 0)
    prediction = with_probability(logits + shift, label, prob)
    actual = true_class_probability(unseen, unseen_label)
    unseen_rank = rank_among(regressed[2], unseen_label, regressed[1], member_label)
    level = look_up(unseen_rank, unseen_label, actual, unseen_label)
    original = true_class_probability(logits, label)
    return Expectation(prediction, label, level, actual - level, original)


def rank_among(score: Tensor, label: Tensor, among: Tensor, among_label: Tensor) -> Tensor:
    """Return the rank of each score among the scores of its class, as a share; ties count half.

    Ranks in a class with few scores are mixed with ranks among all classes, see BORROWED.

    Args:
        score, label: of n samples, [n].
        among, among_label: of the samples to rank among, [m], at least one.

    Returns:
        [n] in [0, 1].
    """
    return _per_class(share_below, score, label, among, among_label)


def look_up(rank: Tensor, label: Tensor, prob: Tensor, prob_label: Tensor) -> Tensor:
    """Return the true-class probability at each rank among the held-out samples of its class.

    Args:
        rank, label: of n samples, [n]; ranks in [0, 1].
        prob, prob_label: true-class probability and class of held-out samples, [m], at least one.

    Returns:
        [n] in [0, 1].
    """
    return _per_class(_quantile, rank, label, prob, prob_label)


def right_label_probability(score: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    """Return the probability that a sample's label is right, given its score.

    By Bayes' theorem with the prior of MISLABELLED. The densities are estimated by isotonic
    regression. One more right label with the lowest score makes a conclusion from few scores weak.

    Args:
        score: margins of n samples for their labels, [n].
        right: margins of samples with right labels, [r].
        wrong: margins of samples for wrong labels, [w]; without any, the result is 1.

    Returns:
        [n] in [0, 1].
    """
    if not len(wrong):
        return torch.ones_like(score)
    margins = torch.cat([right, torch.cat([right, wrong]).amin(keepdim=True), wrong])
    is_right = torch.arange(len(margins)) <= len(right)
    weight = torch.where(
        is_right, (1 - MISLABELLED) / (len(right) + 1), MISLABELLED / len(wrong)
    )  # fmt: skip
    fit = IsotonicRegression(out_of_bounds="clip")
    fit.fit(margins.numpy(force=True), is_right.numpy(), weight.numpy())
    return torch.from_numpy(fit.predict(score.numpy(force=True))).to(score)


def with_probability(logits: Tensor, label: Tensor, prob: Tensor) -> Tensor:
    """Return predictions with the given true-class probability, [n, C]; rows sum to 1.

    The other classes share the remainder in the proportions of `logits` [n, C].
    """
    own = label[:, None]
    others = logits.scatter(1, own, -torch.inf).softmax(1) * (1 - prob)[:, None]
    found: Tensor = others.scatter(1, own, prob[:, None])
    return found


def prior_shift(unseen: Tensor, label: Tensor, kept: Tensor, gone: Tensor) -> Tensor:
    """Shift of the logits to the class prior without the forget samples, [C].

    Args:
        unseen, label: logits [m, C] and classes [m] of held-out samples.
        kept, gone: number of retain and of forget samples per class, [C].
    """
    share = (kept / (kept + gone).clamp(min=1)).clamp(min=NOTHING_LEFT)
    return PRIOR_SHIFT * temperature(unseen, label) * share.log()


def temperature(logits: Tensor, label: Tensor) -> float:
    """Return the temperature that calibrates predictions [N, C] best, by log-likelihood.

    Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017), over TEMPERATURES.
    """
    losses = [F.cross_entropy(logits / float(t), label) for t in TEMPERATURES]
    return float(TEMPERATURES[int(torch.stack(losses).argmin())])


def _per_class(
    of: Callable[[Tensor, Tensor], Tensor],
    value: Tensor,
    label: Tensor,
    among: Tensor,
    among_label: Tensor,
) -> Tensor:
    """Apply `of` within each class, and mix the result with that on the pool of all classes.

    `of` maps values [k] and sorted numbers [m] to [k].
    """
    pool = of(value, among.sort().values)
    found = torch.empty_like(pool)
    for c in torch.unique(label).tolist():
        rows, theirs = label == c, among[among_label == c]
        if not len(theirs):
            found[rows] = pool[rows]
            continue
        own = of(value[rows], theirs.sort().values)
        found[rows] = (len(theirs) * own + BORROWED * pool[rows]) / (len(theirs) + BORROWED)
    return found


def _quantile(rank: Tensor, ordered: Tensor) -> Tensor:
    place = (rank * len(ordered) - 0.5).clamp(0, len(ordered) - 1)
    lower = place.floor().long()
    upper = (lower + 1).clamp(max=len(ordered) - 1)
    return ordered[lower].lerp(ordered[upper], place - lower)
