"""The unlearning loss of a batch: base method times weighting, FaLW equation 4."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from falw_cli.config.settings import Config
from falw_cli.data.batches import Batch, generator
from falw_cli.data.device import Samples
from falw_cli.models import module_output
from falw_cli.models.network import Network, true_class_probability
from falw_cli.models.pruning import Zeros, zeros_of
from falw_cli.runtime import collectives
from falw_cli.runtime.precision import wide
from falw_cli.training.state import below
from falw_cli.unlearning.early_stopping import EarlyStopping
from falw_cli.unlearning.estimate import Estimate, Exact, Streaming
from falw_cli.unlearning.expectation import Expectation
from falw_cli.unlearning.interfaces import (
    Masks,
    Method,
    MethodInputs,
    StepSamples,
    Weighting,
    load_method,
    load_weighting,
)
from falw_cli.unlearning.resolution import hyperparameters
from falw_cli.unlearning.run_data import RunData
from falw_cli.unlearning.target import Target, TargetQuality


@dataclass(eq=False)
class Unlearning:
    """Mean over the merged batch of w_i * L_forget for forget and L_retain for retain samples.

    w_i depends on the true-class probability p_i of the forget sample. With an exact estimate, p is
    measured like mu and sigma: in eval mode, without augmentation, before the step. With a
    streaming estimate, p comes from the training pass.
    """

    method: Method
    weighting: Weighting
    guide: Samples
    """Held-out samples of `estimate`."""
    estimate: Estimate
    stopping: EarlyStopping | None = None
    zeros: Zeros = field(default_factory=list)
    """Zeros of a pruned network, which stay zero."""
    epochs: list[Tensor] = field(default_factory=list, init=False)
    """Per finished epoch, [6]: min, mean and max of the weights, mean loss, mu and sigma of the
    target as means over classes (NaN if no target is needed)."""
    _kept_weights: list[Tensor] = field(default_factory=list, init=False)
    _step: list[tuple[Tensor, Tensor | None]] = field(default_factory=list, init=False)
    """Loss and weights of each part of the current step."""

    def __post_init__(self) -> None:
        self._loss = wide(self.guide.labels.new_zeros(2))
        """Sum and number of the epoch's losses so far."""

    def backward(
        self, network: Network, batch: Batch, images: Tensor, step: int, progress: float
    ) -> Tensor:
        """See `Objective`."""
        if batch.part[0] == 0:
            self._step = []  # discard the parts of an attempt that ran out of memory
        forget, retain, weight = self._losses(network, batch, images, step)
        # Fabric averages the ranks' gradients; this factor makes it the mean over the whole batch.
        share = network.fabric.world_size / batch.whole
        if self.method.forget_mask is not None and 0 < batch.whole_forget < batch.whole:
            apart = forget.sum() * share, retain.sum() * share
            loss = _backward_masked(network, *apart, self.method.forget_mask)
        else:
            loss = torch.cat([forget, retain]).sum() * share
            if (penalty := self.method.penalty(progress, batch.part)) is not None:
                loss = loss + penalty
            network.fabric.backward(loss)
            if self.method.mask is not None:
                _mask_gradients(self.method.mask)
        self._step.append((loss.detach(), weight))
        return loss.detach()

    def loss(
        self, network: Network, batch: Batch, images: Tensor, step: int, progress: float
    ) -> Tensor:
        """Return the loss of a whole batch on one device, a scalar with gradient."""
        forget, retain, weight = self._losses(network, batch, images, step)
        whole = torch.cat([forget, retain]).mean()
        if (penalty := self.method.penalty(progress)) is not None:
            whole = whole + penalty
        self._step = [(whole.detach(), weight)]
        return whole

    def _losses(
        self, network: Network, batch: Batch, images: Tensor, step: int
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the losses of a batch's forget and retain samples, and the applied weights."""
        prob = self._measured_before(network, batch, step) if batch.whole_forget else None
        logits = module_output.logits(network.module(images)).float()
        weight = self._weights(batch, logits, prob) if batch.forget else None
        cut, mean = batch.forget, partial(collectives.mean, fabric=network.fabric)
        parts = []
        for rows, first in ((slice(None, cut), 0), (slice(cut, None), batch.offset)):
            position = batch.sample[rows] - first
            parts.append(
                StepSamples(logits[rows], position, batch.labels[rows], images[rows], mean)
            )
        forget = self.method.forget_loss(parts[0])
        if weight is not None:
            forget = weight * forget
        return forget, self.method.retain_loss(parts[1]), weight

    def _measured_before(self, network: Network, batch: Batch, step: int) -> Tensor | None:
        """Update the target if due; return p [n] if it is measured before the step."""
        needs = self.weighting.needs
        rows = self.estimate.due(step) if needs == "target" else None
        own = needs in ("probability", "target") and self.estimate.separate_pass
        measured = batch.pixels[: batch.forget] if own else batch.pixels[:0]
        if rows is None:
            logits = network.logits(measured)
        else:
            # One forward pass for this rank's share of the held-out samples and its forget samples.
            share = rows[network.fabric.global_rank :: network.fabric.world_size]
            guides = next(iter(self.guide.read([share])))
            logits = network.logits(torch.cat([guides, measured]))
            prob = true_class_probability(logits[: len(share)], self.guide.labels[share])
            self.estimate.take(step, rows, collectives.gather(prob, len(rows), network.fabric))
            logits = logits[len(share) :]
        return true_class_probability(logits, batch.labels[: batch.forget]) if own else None

    def _weights(self, batch: Batch, logits: Tensor, prob: Tensor | None) -> Tensor | None:
        """Return the weights [n] of the batch's forget samples, or None if all are equal."""
        if self.weighting.needs == "nothing":
            return None
        label = batch.labels[: batch.forget]
        if prob is None:
            prob = true_class_probability(logits[: batch.forget].detach(), label)
        return self.weighting.weight(prob, label, self.estimate.target)

    def after_step(self, network: Network, done: int, total: int) -> str | None:
        """See `Objective`: restore masked weights and zeros, and check whether to stop."""
        for loss, weight in self._step:
            self._loss[0] += wide(loss)
            if weight is not None:
                self._kept_weights.append(weight)
        self._loss[1] += bool(self._step)
        self._step = []
        with torch.no_grad():
            for weights, free in (self.method.mask or {}).items():
                weights.copy_(torch.where(free, weights, self.method.held[weights]))
            for weights, zero in self.zeros:
                weights.masked_fill_(zero, 0)
        return self.stopping.after_step(network, done, total) if self.stopping else None

    def target_quality(self, network: Network) -> TargetQuality | None:
        """Return how well the target is known, for the report; None if no target is needed."""
        if self.weighting.needs != "target":
            return None
        known = self.estimate.target
        prob, _ = network.confidence(self.guide)
        exact = Target.of(prob, self.guide.labels, len(network.classes))
        return TargetQuality(self.estimate.effective_samples(), (known.mu - exact.mu).abs())

    def end_epoch(self, network: Network) -> None:
        """Summarise the epoch for the report; without a weighting, the weights are 1."""
        seen = self._epoch_weights(network)
        if not len(seen):
            seen = torch.ones(1)
        total, steps = collectives.total(self._loss, network.fabric).cpu()
        row = [
            seen.min(),
            seen.mean(),
            seen.max(),
            total / steps.clamp(min=1),
            *self._target_means(),
        ]
        self.epochs.append(torch.stack([value.detach().cpu().float() for value in row]))
        self._kept_weights = []
        self._loss = torch.zeros_like(self._loss)

    def _target_means(self) -> tuple[Tensor, Tensor]:
        """Return the means of mu and sigma over the classes that have held-out samples."""
        if self.weighting.needs != "target":
            return torch.tensor(torch.nan), torch.tensor(torch.nan)
        known = self.estimate.target
        there = known.count > 0
        return known.mu[there].mean(), known.sigma[there].mean()

    def _epoch_weights(self, network: Network) -> Tensor:
        """Return the epoch's weights so far, from all ranks."""
        none = self.guide.labels.new_zeros(0, dtype=torch.float32)
        return collectives.gather_uneven(torch.cat([none, *self._kept_weights]), network.fabric)

    def figures(self) -> dict[str, Tensor]:
        """See `Objective`: weights of the step's forget samples, and the current target."""
        found: dict[str, Tensor] = {}
        if self._kept_weights and len(last := self._kept_weights[-1]):
            parts = {"min": last.min(), "mean": last.mean(), "max": last.max()}
            found |= {f"weight/{name}": value for name, value in parts.items()}
        if self.weighting.needs == "target":
            mu, sigma = self._target_means()
            found |= {"target/mu": mu, "target/sigma": sigma}
        return found

    def state(self, network: Network) -> dict[str, Tensor]:
        """See `Objective`."""
        kept = {f"estimate/{name}": value for name, value in self.estimate.state().items()}
        kept["loss"] = collectives.total(self._loss, network.fabric)
        if self.epochs:
            kept["epochs"] = torch.stack(self.epochs)
        if len(seen := self._epoch_weights(network)):
            kept["seen"] = seen
        if self.stopping:
            kept |= {f"watch/{name}": value for name, value in self.stopping.state().items()}
        return kept

    def restore(self, network: Network, state: dict[str, Tensor]) -> None:
        """See `Objective`."""
        self.epochs = list(state["epochs"]) if "epochs" in state else []
        # The state holds the weights of all ranks: only the first rank restores them.
        mine = "seen" in state and network.fabric.is_global_zero
        self._kept_weights = [state["seen"].to(self.guide.labels.device)] if mine else []
        first = network.fabric.is_global_zero
        self._loss = state["loss"].to(self._loss.device) * (1.0 if first else 0.0)
        self.estimate.restore(below("estimate/", state))
        if self.stopping:
            self.stopping.restore(below("watch/", state))


def _backward_masked(network: Network, forget: Tensor, retain: Tensor, mask: Masks) -> Tensor:
    """Return the sum of two losses; the forget gradient is masked before it is added."""
    # torch.autograd.grad does not average over the ranks: this is done after masking.
    apart = torch.autograd.grad(forget, list(mask), retain_graph=True, allow_unused=True)
    network.fabric.backward(retain)
    for (weights, free), slope in zip(mask.items(), apart, strict=True):
        if slope is not None and weights.grad is not None:
            weights.grad += (
                collectives.total(slope * free, network.fabric) / network.fabric.world_size
            )
    return forget.detach() + retain.detach()


def _mask_gradients(mask: Masks) -> None:
    """Zero the gradient of the weights outside the mask."""
    for weights, free in mask.items():
        if weights.grad is not None:
            weights.grad *= free


def objective_of(
    config: Config,
    run_data: RunData,
    lr: float,
    stopping: EarlyStopping | None,
    expectation: Expectation | None,
) -> Unlearning:
    """Return the objective of a complete config: method, weighting and target."""
    recipe = config.unlearn
    of_method, of_weighting = hyperparameters(config)
    number = len(run_data.network.classes)
    start = MethodInputs(
        run_data.network, run_data.forget, run_data.retain, run_data.guide, run_data.kept,
        generator(config.seed, 3), lr, recipe.batch_size, expectation,
    )  # fmt: skip
    method: Method = load_method(recipe.method)(start, of_method)
    assert recipe.weighting is not None  # set by with_method_defaults
    counts = torch.bincount(run_data.forget.labels, minlength=number)
    weighting = load_weighting(recipe.weighting)(counts, number, of_weighting)
    guide, zeros = run_data.guide, zeros_of(run_data.network.module)
    estimate: Estimate = Streaming(guide.labels, number, recipe.batch_size, config.seed)
    if recipe.target == "exact":
        estimate = Exact(guide.labels, number, recipe.target_every)
    return Unlearning(method, weighting, guide, estimate, stopping, zeros)
