"""The unlearning loss of a batch: base method times weighting, FaLW equation 4."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from falw_cli import architectures
from falw_cli.data.batches import Batch, Resident
from falw_cli.network import Network
from falw_cli.unlearning.interfaces import Method, Weighting
from falw_cli.unlearning.target import Target, measure, true_class_probability


class Unlearning:
    """Mean over the merged batch of w_i * L_forget for forget and cross-entropy for retain samples.

    w follows from the true-class probabilities of the forget samples, taken as mu and sigma are: in
    eval mode, without augmentation, before the step.
    """

    def __init__(
        self, method: Method, weighting: Weighting, guide: Resident, target_every: int
    ) -> None:
        """Args: guide, held-out samples; target_every, steps between two estimates on them."""
        self.method = method
        self.weighting = weighting
        self.guide = guide
        self.target_every = target_every
        self.epochs: list[Tensor] = []
        """Per finished epoch: min, mean and max of the weights, [3]."""
        self._seen: list[Tensor] = []
        self._target: Target | None = None
        self._estimated = 0

    def loss(self, network: Network, batch: Batch, images: Tensor, step: int) -> Tensor:
        """See `Objective`."""
        count = batch.forget
        weight = self._weigh(network, batch, step) if count else None
        logits = architectures.logits(network.module(images)).float()
        forget = self.method.forget_loss(logits[:count], batch.sample[:count])
        if weight is not None:
            forget = weight * forget
        retain = F.cross_entropy(logits[count:], batch.labels[count:], reduction="none")
        return torch.cat([forget, retain]).mean()

    def _weigh(self, network: Network, batch: Batch, step: int) -> Tensor | None:
        """Weights [n] of the batch's forget samples, or None where all count the same."""
        if not self.weighting.needs_target:
            return None
        count = batch.forget
        label = batch.labels[:count]
        pixels = batch.pixels[:count]
        if self._target is None or step - self._estimated >= self.target_every:
            # Held-out and forget samples in one pass.
            logits = network.logits(torch.cat([self.guide.pixels, pixels]))
            self._target = measure(logits[: len(self.guide)], self.guide.labels)
            self._estimated = step
            logits = logits[len(self.guide) :]
        else:
            logits = network.logits(pixels)
        prob = true_class_probability(logits, label)
        weight = self.weighting.weight(prob, label, self._target)
        self._seen.append(weight)
        return weight

    def end_epoch(self) -> None:
        """Sum up the epoch's weights for the report; ones where nothing was weighted."""
        seen = torch.cat(self._seen) if self._seen else torch.ones(1)
        self.epochs.append(torch.stack([seen.min(), seen.mean(), seen.max()]).cpu())
        self._seen = []

    def state(self) -> dict[str, Tensor]:
        """See `Objective`."""
        kept = {"estimated": torch.tensor(self._estimated)}
        if self.epochs:
            kept["epochs"] = torch.stack(self.epochs)
        if self._seen:
            kept["seen"] = torch.cat(self._seen)
        if self._target is not None:
            kept |= {
                "mu": self._target.mu, "sigma": self._target.sigma, "count": self._target.count
            }  # fmt: skip
        return kept

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `Objective`."""
        device = self.guide.labels.device
        self._estimated = int(state["estimated"])
        self.epochs = list(state["epochs"]) if "epochs" in state else []
        self._seen = [state["seen"].to(device)] if "seen" in state else []
        if "mu" in state:
            parts = (state[key].to(device) for key in ("mu", "sigma", "count"))
            self._target = Target(*parts)
