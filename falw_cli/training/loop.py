"""The one step loop of train, Retrain and unlearn: device, progress, interrupts, state."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor, nn, optim
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import lr_scheduler

from falw_cli.config.settings import Recipe
from falw_cli.data.batches import Batch, Mix, Share, augment, epoch, generator
from falw_cli.data.device import Samples
from falw_cli.errors import DivergedError, Interrupted, RequestError, RunError
from falw_cli.models.network import Network
from falw_cli.runtime import collectives
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Progress
from falw_cli.training.curves import Curves
from falw_cli.training.parts import Parts
from falw_cli.training.recipe import augmentation, optimizer, schedule
from falw_cli.training.state import Saves, State, StateFile

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SHORTEST = 24
"""Steps for a list of one sample, where its method asks for more than its epochs."""
LOOK_EVERY = 20
"""Steps between two looks at the loss: reading it waits for the device."""


class Objective(Protocol):
    """What the loop minimises."""

    def backward(
        self, network: Network, batch: Batch, images: Tensor, step: int, progress: float
    ) -> Tensor:
        """Fill the gradients and return the batch's loss, a scalar.

        Args: images, the augmented input [n, channels, S, S]; progress, of the run, in [0, 1).
        """

    def after_step(self, network: Network, done: int, total: int) -> str | None:
        """`done` of `total` steps are taken; a text ends the run, and is the reason."""

    def end_epoch(self, network: Network) -> None:
        """An epoch is over."""

    def figures(self) -> dict[str, Tensor]:
        """Scalars about the step taken last, for live curves."""

    def state(self, network: Network) -> dict[str, Tensor]:
        """What must be kept to go on after an interruption; every rank asks."""

    def restore(self, network: Network, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""


@dataclass(frozen=True)
class Work:
    """What the loop runs over: the joined set, of which the first `forget` are forget samples."""

    data: Samples
    forget: int
    recipe: Recipe
    seed: int
    label: str
    forget_share: float | None = None
    """See `Mix`."""
    share_of_run: float = 1.0
    """Below 1 the whole schedule is gone through in so much of the steps: a probe."""
    compiled: bool = False
    """Whether the network is compiled first (`torch.compile`)."""
    dropout: bool = True
    """Whether dropout, drop-path and their like are active; BatchNorm always is."""
    least_steps: int = 1
    """Steps of the run at least, in up to twice its epochs or SHORTEST steps."""

    @property
    def mix(self) -> Mix:
        """How its samples come together in batches."""
        return Mix(self.recipe.batch_size, self.forget_share)

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch."""
        return self.mix.batches(len(self.data), self.forget)

    @property
    def steps(self) -> int:
        """Steps of the run."""
        whole = self.per_epoch * self.recipe.epochs
        least = min(self.least_steps, max(SHORTEST, 2 * whole))
        return max(1, round(max(whole, least) * self.share_of_run))


@dataclass(frozen=True)
class Outcome:
    """How a run went."""

    steps: int
    epochs: int
    seconds: float
    stopped_because: str


def fit(
    network: Network,
    work: Work,
    objective: Objective,
    progress: Progress,
    interrupt: Interrupt,
    states: StateFile | None,
    clock: Callable[[], float] = time.perf_counter,
) -> Outcome:
    """Train the network's module in place for the recipe's epochs.

    Args:
        network: the network; its module changes.
        work: samples, recipe and seed.
        objective: the loss.
        progress: where the bar goes.
        interrupt: tells whether a person wants the run to end.
        states: where the state lies, for an interrupted run to go on from; None keeps none.
        clock: seconds, for the report.

    Raises:
        DivergedError: the loss is not finite.
        RunError: memory ran out.
        Interrupted: a signal came; the state is saved.
    """
    recipe, fabric = work.recipe, network.fabric
    module = network.module
    share = Share(fabric.global_rank, fabric.world_size)
    per_epoch, total = work.per_epoch, work.steps
    _check_batches(work, share.ranks)
    chosen = optimizer(module, recipe)
    plan = schedule(chosen, recipe, total)
    called = cast(nn.Module, torch.compile(module)) if work.compiled else module
    wrapped, fabric_optimizer = fabric.setup(called, chosen, move_to_device=False)
    running = replace(network, module=wrapped)
    started, reason = clock(), None
    done, before, number = _restore(running, module, chosen, plan, objective, states, progress)
    parts = Parts(module, progress, share.ranks, number)
    progress.start(work.label, total)
    progress.advance(done)
    _set_mode(module, work.dropout)
    saves, curves = Saves(states, clock), Curves(fabric, total)
    with torch.random.fork_rng(), interrupt.soft():
        for number in range(done // per_epoch, -(-total // per_epoch)):
            skip = done - number * per_epoch
            for batch in epoch(work.data, work.forget, work.mix, work.seed, number, skip, share):
                loss = _step(running, batch, objective, work, done, parts)
                fabric_optimizer.step()
                fabric_optimizer.zero_grad(set_to_none=True)
                done += 1
                reason = objective.after_step(running, done, total)
                if curves.due(done):
                    curves.add(done, loss, float(plan.get_last_lr()[0]), objective.figures())
                plan.step()
                looks = done % LOOK_EVERY == 0 or done == total
                progress.advance(1, _look(loss, done, fabric) if looks else "")
                if done % per_epoch == 0 or done == total or reason:
                    objective.end_epoch(running)
                if reason or done == total:
                    break
                # Ranks end at the same step: they ask each other where they look at the loss too.
                if looks or share.ranks == 1:
                    came = _asked_to_end(interrupt, fabric)
                    if came or saves.due(fabric):
                        seconds = before + clock() - started
                        kept = State.of(module, chosen, objective.state(running), done, seconds)
                        saves.save(replace(kept, parts=parts.number), fabric)
                    if came:
                        raise _interrupted(done, states, total, came)
            if reason or done == total:
                break
    module.eval()
    epochs = -(-done // per_epoch)
    if epochs > recipe.epochs:
        reason = reason or f"the {total} steps that a short list takes are over"
    reason = reason or f"the configured {recipe.epochs} epochs are over"
    return Outcome(done, epochs, before + clock() - started, reason)


def _set_mode(module: nn.Module, dropout: bool) -> None:
    """Train mode; without dropout only BatchNorm is in it."""
    module.train(dropout)
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            layer.train()


def _restore(
    running: Network,
    module: nn.Module,
    chosen: optim.Optimizer,
    plan: lr_scheduler.LRScheduler,
    objective: Objective,
    states: StateFile | None,
    progress: Progress,
) -> tuple[int, float, int]:
    """An interrupted run's steps, seconds and parts of a batch; its state is put back."""
    saved = states.load(progress) if states is not None else None
    if saved is None:
        return 0, 0.0, 1
    saved.restore(module, chosen, partial(objective.restore, running))
    with warnings.catch_warnings():
        # torch takes a schedule that runs ahead of its optimizer for a mistake.
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(saved.step):
            plan.step()
    return saved.step, saved.seconds, saved.parts


def _interrupted(done: int, states: StateFile | None, total: int, came: int) -> Interrupted:
    """Say how to go on, where a state was kept."""
    if states is None:
        return Interrupted("stopped", "nothing was written", came)
    return Interrupted(
        f"stopped after step {done} of {total}; nothing was written but the state",
        f"the same command with --resume goes on from {states.path}",
        came,
    )


def _step(
    network: Network, batch: Batch, objective: Objective, work: Work, done: int, parts: Parts
) -> Tensor:
    draws, rank = generator(work.seed, 2, done), network.fabric.global_rank
    own = generator(work.seed, 2, done, rank) if rank else draws
    how = augmentation(work.recipe)
    pixels = augment(batch.pixels, how, draws, batch.place, batch.whole)

    def attempt(number: int) -> Tensor:
        # Dropout and its like draw from torch's own generator: seed it by the step.
        torch.manual_seed(own.initial_seed() % 2**63)
        losses = []
        for rows, part in batch.parts(number):
            inputs = network.inputs(pixels if number == 1 else pixels[rows])
            losses.append(objective.backward(network, part, inputs, done, done / work.steps))
        return torch.stack(losses).sum() if number > 1 else losses[0]

    try:
        return parts.take(attempt, len(batch.labels), done + 1)
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        raise RunError(
            f"the network cannot be compiled here: {str(error).strip().partition(chr(10))[0]}",
            "leave out --compile",
        ) from error


def _check_batches(work: Work, ranks: int) -> None:
    """Refuse batches of which some rank would get nothing."""
    smallest = work.mix.smallest(len(work.data), work.forget)
    if smallest < ranks:
        raise RequestError(
            f"batches of {smallest} samples cannot be shared by {ranks} ranks",
            "take a larger --batch-size or fewer --devices",
        )


def _asked_to_end(interrupt: Interrupt, fabric: Fabric) -> int:
    """The signal that came to any of the ranks, or 0."""
    return max(collectives.numbers(interrupt.signal_number, fabric))


def _look(loss: Tensor, done: int, fabric: Fabric) -> str:
    value = (collectives.total(loss, fabric) / fabric.world_size).item()
    if not math.isfinite(value):
        raise DivergedError(
            f"the loss is {value} after step {done}: the run diverged, nothing was written",
            "take a smaller --lr",
        )
    return f"loss {value:.3f}"
