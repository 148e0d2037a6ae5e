"""A network's predictions for each evaluated sample, from which all its metrics are computed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from falw_cli.data.device import Samples, place
from falw_cli.data.splits import Splits
from falw_cli.evaluation.deviation import thirds
from falw_cli.evaluation.intervals import resample
from falw_cli.evaluation.mia import attack_noise, predicted_non_members
from falw_cli.evaluation.roc import Draws
from falw_cli.evaluation.scores import Counts, SamplePredictions, Vector
from falw_cli.models.network import Network


@dataclass(frozen=True)
class EvaluationSamples:
    """The samples on which metrics are measured, on the device."""

    forget: Samples
    retain: Samples
    test: Samples
    kept: Counts | None = None
    """Number of retain samples per class, evaluated or not, [C]; None: all are in `retain`."""

    @classmethod
    def of(cls, parts: Splits, device: torch.device) -> EvaluationSamples:
        """Move the evaluated samples of a run to the device."""
        forget, retain, test = (
            place(one, device) for one in (parts.forget, parts.judged, parts.test)
        )
        return cls(forget, retain, test, parts.kept)


@dataclass(frozen=True)
class Predictions:
    """A network's predictions for the evaluated samples, and the usual attack on them."""

    classes: tuple[str, ...]
    forget: SamplePredictions
    retain: SamplePredictions
    test: SamplePredictions
    seed: int
    kept: Counts | None = None
    """See `EvaluationSamples.kept`."""

    @classmethod
    def of(cls, network: Network, parts: EvaluationSamples, seed: int) -> Predictions:
        """Run the network on all evaluated samples.

        Args:
            network: the model; evaluated in eval mode, without augmentation.
            parts: forget, retain and test samples.
            seed: random seed of the subsamples that attacks are trained with.
        """
        forget, retain, test = (
            SamplePredictions.of(network, part) for part in (parts.forget, parts.retain, parts.test)
        )
        return cls(network.classes, forget, retain, test, seed, parts.kept)

    @cached_property
    def forget_count(self) -> Counts:
        """Number of forget samples per class, [C]."""
        return np.bincount(self.forget.labels, minlength=len(self.classes))

    @cached_property
    def retain_count(self) -> Counts:
        """Number of retain samples per class, evaluated or not, [C]."""
        if self.kept is not None:
            return self.kept
        return np.bincount(self.retain.labels, minlength=len(self.classes))

    @cached_property
    def kept_test(self) -> Counts:
        """Rows of the test samples whose classes keep at least one retain sample, [K]."""
        return np.flatnonzero(self.retain_count[self.test.labels] > 0)

    @cached_property
    def thirds(self) -> dict[str, list[int]]:
        """Class indices of head, mid and tail."""
        return dict(zip(("head", "mid", "tail"), thirds(self.forget_count), strict=True))

    @cached_property
    def non_members(self) -> Vector | None:
        """See `mia.predicted_non_members`, [N_f]; None if a part is empty."""
        probs = self.forget.prob, self.retain.prob, self.test.prob
        return predicted_non_members(*probs, self.seed)

    @cached_property
    def once(self) -> Resamples:
        """A single resample that has each sample once, [1, N] per part."""
        parts = (self.forget, self.retain, self.test)
        return Resamples(*(np.ones((1, len(part)), dtype=np.uint8) for part in parts))

    @cached_property
    def attack_noise(self) -> Vector:
        """See `mia.attack_noise`."""
        return attack_noise(self.forget.prob, self.retain.prob, self.test.prob, self.seed)


@dataclass(frozen=True)
class Resamples:
    """Bootstrap counts of the samples, the same for every model, so that differences are paired."""

    forget: Draws
    retain: Draws
    test: Draws

    @classmethod
    def of(cls, predictions: Predictions) -> Resamples:
        """Resample each class with replacement, keeping its size. [B, N] per part"""
        rng = np.random.default_rng([predictions.seed, 9])
        parts = (predictions.forget, predictions.retain, predictions.test)
        return cls(*(resample(part.labels, rng) for part in parts))
