"""The unlearning loss of a batch: base method times weighting, FaLW equation 4."""

from __future__ import annotations

import torch
from torch import Tensor

from falw_cli import architectures
from falw_cli.data.batches import Batch, Resident
from falw_cli.network import Network
from falw_cli.unlearning.interfaces import Masks, Method, Seen, Weighting
from falw_cli.unlearning.stopping import Watch
from falw_cli.unlearning.target import Target, measure, true_class_probability


class Unlearning:
    """Mean over the merged batch of w_i * L_forget for forget and L_retain for retain samples.

    w follows from the true-class probabilities of the forget samples, taken as mu and sigma are: in
    eval mode, without augmentation, before the step.
    """

    def __init__(
        self,
        method: Method,
        weighting: Weighting,
        guide: Resident,
        target_every: int,
        watch: Watch | None = None,
    ) -> None:
        """Args: guide, held-out samples; target_every, steps between two estimates on them."""
        self.method = method
        self.weighting = weighting
        self.guide = guide
        self.target_every = target_every
        self.watch = watch
        self.epochs: list[Tensor] = []
        """Per finished epoch: min, mean and max of the weights, [3]."""
        self._seen: list[Tensor] = []
        self._target: Target | None = None
        self._estimated = 0

    def backward(
        self, network: Network, batch: Batch, images: Tensor, step: int, progress: float
    ) -> Tensor:
        """See `Objective`."""
        weight = self._weigh(network, batch, step) if batch.forget else None
        if self.method.forget_mask is not None and 0 < batch.forget < len(batch.labels):
            return self._backward_apart(network, batch, images, weight)
        logits = architectures.logits(network.module(images)).float()
        loss = torch.cat(self._losses(batch, images, logits, weight)).mean()
        if (penalty := self.method.penalty(progress)) is not None:
            loss = loss + penalty
        network.fabric.backward(loss)
        if self.method.mask is not None:
            _silence(self.method.mask)
        return loss.detach()

    def _losses(
        self, batch: Batch, images: Tensor, logits: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Losses of the forget and of the retain samples of a batch whose logits are [n, C]."""
        cut = batch.forget
        parts = []
        for rows in (slice(None, cut), slice(cut, None)):
            position = batch.sample[rows] - (batch.offset if rows.start else 0)
            parts.append(Seen(logits[rows], position, batch.labels[rows], images[rows]))
        forget = self.method.forget_loss(parts[0])
        if weight is not None:
            forget = weight * forget
        return forget, self.method.retain_loss(parts[1])

    def _backward_apart(
        self, network: Network, batch: Batch, images: Tensor, weight: Tensor | None
    ) -> Tensor:
        """The same, with the gradient of the forget losses masked before the retain losses join."""
        assert self.method.forget_mask is not None
        logits = architectures.logits(network.module(images)).float()
        forget, retain = self._losses(batch, images, logits, weight)
        count = len(batch.labels)
        network.fabric.backward(forget.sum() / count, retain_graph=True)
        _silence(self.method.forget_mask)
        network.fabric.backward(retain.sum() / count)
        return (forget.detach().sum() + retain.detach().sum()) / count

    def _weigh(self, network: Network, batch: Batch, step: int) -> Tensor | None:
        """Weights [n] of the batch's forget samples, or None where all count the same."""
        needs = self.weighting.needs
        if needs == "nothing":
            return None
        label = batch.labels[: batch.forget]
        prob = torch.ones(label.shape, device=label.device)
        if needs != "class":
            pixels = batch.pixels[: batch.forget]
            due = self._target is None or step - self._estimated >= self.target_every
            if needs == "target" and due:
                # Held-out and forget samples in one pass.
                logits = network.logits(torch.cat([self.guide.pixels, pixels]))
                self._target = measure(logits[: len(self.guide)], self.guide.labels)
                self._estimated = step
                logits = logits[len(self.guide) :]
            else:
                logits = network.logits(pixels)
            prob = true_class_probability(logits, label)
        target = self._target or Target.of(prob[:0], label[:0], len(network.classes))
        weight = self.weighting.weight(prob, label, target)
        self._seen.append(weight)
        return weight

    def after_step(self, network: Network, done: int, total: int) -> str | None:
        """See `Objective`: hold the masked weights, and look whether it is time to stop."""
        if self.method.mask is not None:
            with torch.no_grad():
                for weights, free in self.method.mask.items():
                    weights.copy_(torch.where(free, weights, self.method.held[weights]))
        return self.watch.look(network, done, total) if self.watch else None

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
            t = self._target
            kept |= {"prob": t.prob, "mu": t.mu, "sigma": t.sigma, "count": t.count}
        if self.watch:
            kept |= {f"watch/{name}": value for name, value in self.watch.state().items()}
        return kept

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `Objective`."""
        device = self.guide.labels.device
        self._estimated = int(state["estimated"])
        self.epochs = list(state["epochs"]) if "epochs" in state else []
        self._seen = [state["seen"].to(device)] if "seen" in state else []
        if "prob" in state:
            prob, *rest = (state[key].to(device) for key in ("prob", "mu", "sigma", "count"))
            self._target = Target(prob, self.guide.labels, *rest)
        if self.watch:
            cut = len("watch/")
            self.watch.restore({k[cut:]: v for k, v in state.items() if k.startswith("watch/")})


def _silence(mask: Masks) -> None:
    """Zero the gradient of the weights outside of the mask."""
    for weights, free in mask.items():
        if weights.grad is not None:
            weights.grad *= free
