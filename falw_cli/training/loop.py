"""The step loop shared by train, Retrain and unlearn: device, progress, interrupts, state."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from falw_cli.models.batchnorm import statistics_follow
from falw_cli.models.network import Network
from falw_cli.runtime import collectives
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.printable import counted
from falw_cli.runtime.progress import Progress
from falw_cli.training.curves import Curves
from falw_cli.training.parts import Parts
from falw_cli.training.recipe import optimizer, schedule
from falw_cli.training.state import Saves, State, StateFile

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SHORTEST = 20
"""Number of steps up to which `least_steps` may extend a run whose list fits into one batch."""
EXTENSION = 4
"""Factor up to which `least_steps` may extend the run of a longer list."""
CHECK_EVERY = 20
"""Steps between two checks of the loss. Reading the loss waits for the device."""


class Objective(Protocol):
    """Interface of the objective that the loop minimises."""

    def backward(
        self, network: Network, batch: Batch, images: Tensor, step: int, progress: float
    ) -> Tensor:
        """Fill the gradients and return the batch's loss, a scalar.

        Args: images, augmented input [n, channels, S, S]; progress, share of the run, in [0, 1).
        """

    def after_step(self, network: Network, done: int, total: int) -> str | None:
        """Handle the end of step `done` of `total`. Return a reason to end the run, or None."""

    def end_epoch(self, network: Network) -> None:
        """Handle the end of an epoch."""

    def figures(self) -> dict[str, Tensor]:
        """Return scalars about the last step, for the live curves."""

    def state(self, network: Network) -> dict[str, Tensor]:
        """Return what is needed to resume after an interruption. Every rank calls this."""

    def restore(self, network: Network, state: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""


@dataclass(frozen=True)
class Work:
    """Input of the loop: the joined set, whose first `forget` samples are the forget samples."""

    data: Samples
    forget: int
    recipe: Recipe
    seed: int
    label: str
    forget_share: float | None = None
    """See `Mix`."""
    share_of_run: float = 1.0
    """Below 1, the run is a probe: the whole schedule in this share of the steps."""
    compiled: bool = False
    """Whether the network is compiled first (`torch.compile`)."""
    dropout: bool = True
    """Whether dropout, drop-path and similar layers are active."""
    batch_statistics: bool = True
    """Whether BatchNorm uses the statistics of its batches, and its running ones follow them."""
    least_momentum: float = 0.0
    """Minimum momentum of BatchNorm's running statistics, from 0 to 1."""
    least_steps: int = 1
    """Minimum number of steps, capped at SHORTEST or at EXTENSION times the epochs."""
    lengthened: int = 1
    """Factor on this minimum and on its cap."""

    @property
    def mix(self) -> Mix:
        """How the samples are combined into batches."""
        return Mix(self.recipe.batch_size, self.forget_share)

    @property
    def per_epoch(self) -> int:
        """Steps per epoch."""
        return self.mix.batches(len(self.data), self.forget)

    @property
    def steps(self) -> int:
        """Steps of the run."""
        whole = self.per_epoch * self.recipe.epochs
        most = SHORTEST if self.per_epoch == 1 else EXTENSION * whole
        least = self.lengthened * min(self.least_steps, most)
        return max(1, round(max(whole, least) * self.share_of_run))


@dataclass(frozen=True)
class Outcome:
    """Result of a run: steps, epochs, time, and why it stopped."""

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
        progress: shows the progress bar.
        interrupt: holds the signal that asks the run to end.
        states: file of the saved state, to resume an interrupted run; None saves no state.
        clock: returns seconds, for the report.

    Raises:
        DivergedError: the loss is not finite.
        RunError: memory ran out, or the network cannot be compiled.
        Interrupted: a signal arrived; the state is saved.
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
    saves, curves = Saves(states, clock), Curves(fabric, total)
    with torch.random.fork_rng(), interrupt.soft(), _step_mode(module, work):
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
                checks = done % CHECK_EVERY == 0 or done == total
                progress.advance(1, _checked_loss(loss, done, fabric) if checks else "")
                if done % per_epoch == 0 or done == total or reason:
                    objective.end_epoch(running)
                if reason or done == total:
                    break
                # All ranks must end at the same step: they synchronise when they check the loss.
                if checks or share.ranks == 1:
                    received = max(collectives.numbers(interrupt.signal_number, fabric))
                    if received or saves.due(fabric):
                        seconds = before + clock() - started
                        kept = State.of(module, chosen, objective.state(running), done, seconds)
                        saves.save(replace(kept, parts=parts.number), fabric)
                    if received:
                        raise _interrupted(done, states, total, received)
            if reason or done == total:
                break
    progress.end(reason or "")
    epochs = -(-done // per_epoch)
    if epochs > recipe.epochs:
        reason = reason or f"the {total} steps for a short list are complete"
    reason = reason or f"the configured {counted(recipe.epochs, 'epoch is', 'epochs are')} complete"
    return Outcome(done, epochs, before + clock() - started, reason)


@contextmanager
def _step_mode(module: nn.Module, work: Work) -> Iterator[None]:
    """Set the mode of each layer for the steps; the module leaves the block in eval mode."""
    module.train(work.dropout)
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            layer.train(work.batch_statistics)
    with statistics_follow(module, work.least_momentum):
        yield
    module.eval()


def _restore(
    running: Network,
    module: nn.Module,
    chosen: optim.Optimizer,
    plan: lr_scheduler.LRScheduler,
    objective: Objective,
    states: StateFile | None,
    progress: Progress,
) -> tuple[int, float, int]:
    """Restore an interrupted run; return its steps, seconds and number of parts per batch."""
    saved = states.load(progress) if states is not None else None
    if saved is None:
        return 0, 0.0, 1
    saved.restore(module, chosen, partial(objective.restore, running))
    with warnings.catch_warnings():
        # torch warns of a schedule that is stepped before its optimizer; here that is intended.
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(saved.step):
            plan.step()
    return saved.step, saved.seconds, saved.parts


def _interrupted(done: int, states: StateFile | None, total: int, received: int) -> Interrupted:
    """Return the error of an interrupted run, which says how to continue."""
    if states is None:
        return Interrupted("stopped; nothing was written", "start the run again", received)
    return Interrupted(
        f"stopped after step {done} of {total}; only the state was saved",
        f"repeat the command with --resume to continue from {states.path}",
        received,
    )


def _step(
    network: Network, batch: Batch, objective: Objective, work: Work, done: int, parts: Parts
) -> Tensor:
    draws, rank = generator(work.seed, 2, done), network.fabric.global_rank
    own = generator(work.seed, 2, done, rank) if rank else draws
    pixels = augment(batch.pixels, work.recipe, draws, batch.place, batch.whole)

    def attempt(number: int) -> Tensor:
        # Dropout and similar layers draw from torch's global generator: seed it per step.
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
    """Raise an error if a batch has fewer samples than there are ranks."""
    smallest = work.mix.smallest(len(work.data), work.forget)
    if smallest < ranks:
        raise RequestError(
            f"batches of {smallest} samples cannot be split among {ranks} ranks",
            "use a larger --batch-size or fewer --devices",
        )


def _checked_loss(loss: Tensor, done: int, fabric: Fabric) -> str:
    value = (collectives.total(loss, fabric) / fabric.world_size).item()
    if not math.isfinite(value):
        raise DivergedError(
            f"the loss is {value} after step {done}: the run diverged, nothing was written",
            "use a smaller --lr",
        )
    return f"loss {value:.3f}"
