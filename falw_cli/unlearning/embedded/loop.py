"""Unlearning of a module in memory, and the unlearning loss for your own loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Any

from torch import Tensor, nn
from torch.utils.data import Dataset

from falw_cli.data.batches import Batch, epoch
from falw_cli.errors import RequestError
from falw_cli.evaluation.measurement import measure, metrics_of
from falw_cli.evaluation.metrics import Figure, Metrics
from falw_cli.evaluation.plausibility import check_original
from falw_cli.evaluation.predictions import Predictions
from falw_cli.models.batchnorm import statistics_follow
from falw_cli.models.network import evaluating
from falw_cli.runtime.extras import need
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Progress, Silent
from falw_cli.training.loop import Work
from falw_cli.unlearning.early_stopping import EarlyStopping
from falw_cli.unlearning.embedded.data import prepare
from falw_cli.unlearning.expectation import Expectation
from falw_cli.unlearning.forgotten_share import expected_probabilities, reason_for_no_share
from falw_cli.unlearning.objective import Unlearning, objective_of
from falw_cli.unlearning.perform import evaluation_count, expectation_of, perform
from falw_cli.unlearning.stop_estimate import StoppingSamples, evaluate_step


@dataclass(frozen=True)
class Unlearned:
    """Result of a run in memory; the module is the unlearned model."""

    steps: int
    seconds: float
    stopped_because: str
    before: Metrics | None
    """Metrics with the test samples; None if none were given."""
    after: Metrics | None
    forgotten_share: Figure | None
    """Share of the way from the original to the expectation, percent; None if not measurable."""
    warnings: tuple[str, ...]


def unlearn_module(
    module: nn.Module,
    *,
    data: Dataset[Any],
    forget: Any,
    heldout: Dataset[Any],
    test: Dataset[Any] | None = None,
    eval_data: Dataset[Any] | None = None,
    num_classes: int | None = None,
    seed: int = 0,
    workers: int = 0,
    progress: Progress | None = None,
    **recipe: Any,
) -> Unlearned:
    """Unlearn a module in place, with falw's own loop.

    Args:
        module: maps float [n, channels, H, W] to logits [n, C], on its device.
        data: the training samples, each (image, class); classes are those that it returns.
        forget: rows of `data` to forget: row numbers, or a boolean mask with one value per row, as
            a list, array, tensor or other iterable.
        heldout: samples that the module was not trained on; they guide unlearning.
        test: other samples that it was not trained on; the metrics use them.
        eval_data: the samples of `data` without random transforms, for everything that is measured;
            needed if `data` augments its images.
        num_classes: C; default: the largest class of `data` plus 1.
        seed: random seed.
        workers: number of processes that read the datasets.
        progress: receives notes and warnings; default: silent.
        recipe: settings of `unlearn` in falw.yaml: method, weighting, lr, epochs, stop …

    Raises:
        RequestError: a row or a setting is invalid, or the module cannot classify `data`.
        RunError: the run diverged, or no evaluated step kept utility.
    """
    reporter = progress or Silent()
    config, run_data = prepare(
        module, data, forget, heldout, test, eval_data, num_classes, seed, workers, recipe
    )
    judged = test is not None
    original = Predictions.of(run_data.network, run_data.judged, seed)
    check_original(original, run_data.network, run_data.judged, run_data.guide, reporter)
    done = perform(config, run_data, (), reporter, Interrupt(), None)
    expected, share = None, None
    if done.expectation:
        expected = expected_probabilities(done.expectation)
        share = expected.share(run_data.network.confidence(run_data.forget)[0].cpu().numpy())
    if share is None:
        reporter.warn(reason_for_no_share(expected))
    return Unlearned(
        done.steps, done.seconds, done.stopped_because,
        metrics_of(original) if judged else None,
        measure(run_data.network, run_data.judged, seed) if judged else None,
        share, tuple(reporter.warnings),
    )  # fmt: skip


@dataclass(frozen=True)
class Batches:
    """Merged batches of a whole run, forget samples first."""

    work: Work

    def __len__(self) -> int:
        """Steps of the run."""
        return self.work.steps

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches, reshuffled in each epoch; the seed determines the order."""
        work = self.work
        epochs = (epoch(work.data, work.forget, work.mix, work.seed, n) for n in count())
        return islice(chain.from_iterable(epochs), len(self))


class Unlearner:
    """The unlearning loss, for your own training loop.

        unlearner = Unlearner(model, data=seen, forget=rows, heldout=unseen)
        for batch in unlearner.batches():
            optimizer.zero_grad()
            unlearner.loss(batch).backward()
            optimizer.step()
            if unlearner.after_step():
                break
        unlearner.finish()

    Batches are merged, forget samples first (FaLW, equation 4). Weights, target and early stopping
    work as in `falw unlearn`.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        data: Dataset[Any],
        forget: Any,
        heldout: Dataset[Any],
        eval_data: Dataset[Any] | None = None,
        num_classes: int | None = None,
        seed: int = 0,
        workers: int = 0,
        **recipe: Any,
    ) -> None:
        """Args: as in `unlearn_module`; your loop sets the learning rate and the schedule.

        Raises:
            RequestError: as in `unlearn_module`, or the method is more than a loss.
        """
        self.config, self._run_data = prepare(
            module, data, forget, heldout, None, eval_data, num_classes, seed, workers, recipe
        )
        self._network, self._work = self._run_data.network, self._run_data.work(self.config, 0.0)
        original = Predictions.of(self._network, self._run_data.judged, seed)
        check_original(
            original, self._network, self._run_data.judged, self._run_data.guide, Silent()
        )
        expectation = expectation_of(self._run_data)
        stops = self.config.unlearn.stop == "auto"
        self._stopping = self._early_stopping(expectation) if stops and expectation else None
        self._objective: Unlearning = objective_of(
            self.config, self._run_data, 0.0, self._stopping, expectation
        )
        method = self._objective.method
        if method.mask or method.forget_mask or not (method.uses_forget or method.uses_retain):
            raise RequestError(
                f"method {self.config.unlearn.method} masks gradients or takes a single step",
                "use another method, or call `unlearn` on the module, which runs falw's own loop",
            )
        self.steps = self._work.steps
        """Steps of the whole run."""
        self.done = 0
        """Steps taken."""

    def _early_stopping(self, expectation: Expectation) -> EarlyStopping:
        run_data = self._run_data
        samples = StoppingSamples.of(
            run_data.forget, run_data.retain, run_data.guide, run_data.kept, expectation
        )
        before = evaluate_step(run_data.network, samples, 0, None)
        recipe = self.config.unlearn
        number = evaluation_count(recipe, samples, self._work)
        return EarlyStopping(samples, before, recipe.max_utility_loss, evaluations=number)

    def batches(self) -> Batches:
        """Return all batches of the run, with images `batch.pixels` and classes `batch.labels`."""
        return Batches(self._work)

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch, a scalar with gradient, with current weights and target.

        The module runs on `batch.pixels` in its current mode, but in eval mode if `match` unlearns
        a short list: BatchNorm then keeps the statistics of training.
        """
        module, work = self._network.module, self._work
        current = nullcontext() if work.batch_statistics else evaluating(module)
        with current, statistics_follow(module, work.least_momentum):
            return self._objective.loss(
                self._network, batch, batch.pixels, self.done, self.done / self.steps
            )

    def weights(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return weights [n] of forget samples from logits [n, C] and classes [n], no gradient.

        For your own loss. The target is that of the last call of `loss`, or of the original module.
        """
        prob = logits.detach().float().softmax(1).gather(1, labels[:, None]).squeeze(1)
        return self._objective.weighting.weight(prob, labels, self._objective.estimate.target)

    def after_step(self) -> bool:
        """Record a step of the optimizer; return whether to stop."""
        self.done += 1
        reason = self._objective.after_step(self._network, self.done, self.steps)
        return reason is not None or self.done >= self.steps

    def finish(self) -> None:
        """End the run; with early stopping, restore the best weights of the module.

        Raises:
            RequestError: no evaluated step kept utility; the module keeps its last weights.
        """
        if self._stopping is not None and not self._stopping.restore_best(self._network):
            raise RequestError(
                "no evaluated step kept retain and held-out accuracy within "
                f"{self.config.unlearn.max_utility_loss:g} points",
                "use a smaller learning rate, or a larger max_utility_loss",
            )
        self._objective.method.finish()

    def lightning_callback(self) -> Any:
        """Return a Lightning callback that stops the trainer and finishes the run.

        The module's `training_step` must return `unlearner.loss(batch)`, and its
        `train_dataloader` must return `unlearner.batches()`.
        """
        lightning = need("lightning", "lightning", "the callback")
        unlearner = self

        class UnlearningCallback(lightning.Callback):  # type: ignore[misc, name-defined]
            """Stops the training when the unlearner does."""

            def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
                # Batches are already on the device, and of a type that Lightning cannot move.
                pl_module.transfer_batch_to_device = lambda batch, *_: batch

            def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
                if unlearner.after_step():
                    trainer.should_stop = True

            def on_train_end(self, *_: Any) -> None:
                unlearner.finish()

        return UnlearningCallback()
