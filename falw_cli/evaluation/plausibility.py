"""A check, before unlearning, that an original fits its training data.

If its accuracy on that data is near chance, the class order, the preprocessing or the architecture
is probably wrong. An unlearning run would then train the model instead of unlearning samples.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from falw_cli.data.device import Samples
from falw_cli.errors import RequestError
from falw_cli.evaluation.predictions import EvaluationSamples, Predictions
from falw_cli.evaluation.scores import Counts, SamplePredictions
from falw_cli.models.network import INFERENCE_BATCH, Network
from falw_cli.runtime.progress import Progress

ABOVE_CHANCE = 0.15
"""An accuracy below chance + this share * (1 - chance) counts as near chance."""
REORDERED = 0.25
"""A larger gain in accuracy by reordering the classes means that their order is wrong."""
BELOW_UNSEEN = 0.1
"""Largest plausible deficit of the accuracy on training samples against unseen ones."""
FOR_CHECK = 1000
"""Approximate number of held-out samples that are predicted for the check alone."""
ROUNDING = 1e-3
"""Largest deviation from 1 of the sum of a sample's probabilities."""
IN_MEMORY = "check that data has the classes and the transforms that the module was trained with"
"""The hint for a module, which has no flags."""
FEW = 20
"""Minimum number of retain samples, and of test samples, for a conclusion."""


def check_original(
    original: Predictions, network: Network, judged: EvaluationSamples, guide: Samples,
    progress: Progress,
) -> None:  # fmt: skip
    """Refuse an original that does not fit its training data, or returns no logits; see below.

    Args:
        original: the original's predictions for `judged`.
        network: the original.
        judged: evaluated samples.
        guide: held-out samples that guide.
        progress: receives a warning if the labels of unseen samples do not fit.

    Raises:
        RequestError: see `check_plausible` and `check_logits`.
    """
    try:
        check_plausible(original)
    except RequestError as error:
        if network.spec is not None:
            raise
        raise RequestError(str(error), IN_MEMORY) from error
    check_logits(network, judged)
    check_unseen(original, progress, network, guide)


def check_logits(network: Network, judged: EvaluationSamples) -> None:
    """Refuse a network whose outputs for the first samples are probabilities.

    Every loss and score applies a softmax to the outputs; a second one would make all weak.

    Raises:
        RequestError: the outputs are those of a softmax, or of a sigmoid.
    """
    samples = judged.retain if len(judged.retain) else judged.forget
    outputs = network.predict(samples.of(slice(INFERENCE_BATCH)))
    if not len(outputs) or outputs.min() < 0 or outputs.max() > 1:
        return
    summed = bool(((outputs.sum(dim=1) - 1).abs() < ROUNDING).all())
    if summed or len(outputs) >= FEW:
        kind = "add up to 1, as after a softmax" if summed else "have other sums, as of a sigmoid"
        raise RequestError(
            f"{network.arch} returns probabilities, not logits: its outputs per sample are between "
            f"0 and 1 and {kind}",
            "return the logits: leave out the last softmax or sigmoid in the model's forward",
        )


def check_plausible(original: Predictions) -> None:
    """Refuse an original that does not fit its retain samples, or else its forget samples.

    Args:
        original: the original's predictions for retain and test samples.

    Raises:
        RequestError: the retain accuracy is near chance, far below the test accuracy, or much
            higher with the classes in another order.
    """
    trained, number = original.retain or original.forget, len(original.classes)
    if len(trained) < FEW:
        return
    accuracy, chance = float(trained.correct.mean()), 1 / number
    part = "retain" if original.retain else "forget"
    known = f"accuracy on {part} samples is {100 * accuracy:.1f} %"
    reordered = _reordered_accuracy(trained.labels, trained.predicted, number)
    if reordered > accuracy + REORDERED:
        raise RequestError(
            f"the model's {known}, but {100 * reordered:.1f} % with its classes in another order",
            "give --classes FILE: one class name per line, in the order of the model's outputs",
        )
    if accuracy < chance + ABOVE_CHANCE * (1 - chance):
        raise RequestError(
            f"the model's {known}, near chance ({100 * chance:.1f} %): it does not fit this data",
            "check --arch, --data, the class order (--classes FILE) and `preprocessing:` in "
            "falw.yaml, which `falw init` writes",
        )
    unseen = float(original.test.correct.mean()) if len(original.test) >= FEW else 0.0
    if accuracy < unseen - BELOW_UNSEEN:
        raise RequestError(
            f"the model's {known}, below the {100 * unseen:.1f} % on unseen samples: it was not "
            "trained on this data",
            "check --data, the labels in it, and the preprocessing",
        )


def check_unseen(
    original: Predictions, progress: Progress, network: Network | None = None,
    guide: Samples | None = None,
) -> None:  # fmt: skip
    """Warn if an original that knows its retain samples is near chance on unseen samples.

    Their labels may then mean other classes than those of the training data.

    Args:
        original: the original's predictions for retain and test samples.
        progress: receives the warning.
        network: the original.
        guide: held-out samples that guide, of which about FOR_CHECK are predicted; None: none are
            checked.
    """
    chance = 1 / len(original.classes)
    if len(original.retain) < FEW or original.retain.correct.mean() < (1 + chance) / 2:
        return
    parts = {"--test or --heldout": original.test}
    if network is not None and guide is not None and len(guide):
        chosen = guide.of(slice(None, None, max(1, len(guide) // FOR_CHECK)))
        parts["--heldout"] = SamplePredictions.of(network, chosen)
    known = {flag: one.correct.mean() for flag, one in parts.items() if len(one) >= FEW}
    low = [flag for flag, one in known.items() if one < chance + ABOVE_CHANCE * (1 - chance)]
    if low:
        progress.warn(
            f"the original's accuracy is {100 * original.retain.correct.mean():.1f} % on retain "
            f"samples, but {100 * known[low[0]]:.1f} % on samples of {low[0]}, near chance "
            f"({100 * chance:.1f} %): check that these labels mean the same classes"
        )


def _reordered_accuracy(label: Counts, predicted: Counts, number: int) -> float:
    """Return the accuracy with the outputs assigned to the classes in the best order."""
    confusion = np.zeros((number, number), dtype=np.int64)
    np.add.at(confusion, (label, predicted), 1)
    rows, columns = linear_sum_assignment(confusion, maximize=True)
    return float(confusion[rows, columns].sum() / len(label))
