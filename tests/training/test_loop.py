"""The step loop: it learns, is reproducible, resumes bit-identically, and stops when it must."""

from __future__ import annotations

import signal
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import Tensor

from falw_cli.config.settings import Preprocessing, Recipe
from falw_cli.data.batches import Batch
from falw_cli.data.device import Resident
from falw_cli.errors import Interrupted, RequestError, RunError
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.network import Network
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Silent
from falw_cli.training.loop import Work, fit
from falw_cli.training.run import CrossEntropy
from falw_cli.training.state import Saves, State, StateFile
from tests.engine import cpu

RECIPE = Recipe(epochs=3, batch_size=16, crop=1, flip=True, lr=0.05)


def network(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    module = torch.nn.Sequential(tiny_cnn(3, 1), torch.nn.Dropout(0.1))
    shown = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.25,))
    return Network(module, "x", ("a", "b", "c"), shown, cpu())


def work(recipe: Recipe = RECIPE) -> Work:
    """Return work on three classes that differ in brightness."""
    labels = torch.arange(60) % 3
    noise = torch.randint(0, 60, (60, 8, 8, 1), generator=torch.Generator().manual_seed(0))
    return Work(
        Resident((noise + 80 * labels[:, None, None, None]).byte(), labels), 0, recipe, 7, ""
    )


def run(net: Network, states: StateFile | None, interrupt: Interrupt | None = None) -> None:
    fit(net, work(), CrossEntropy(0.0), Silent(), interrupt or Interrupt(), states)


def no_state(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "state", {"model": "mine"}, resume=False)


def test_it_learns_and_reports_why_it_stopped(tmp_path: Path) -> None:
    net = network()
    recipe = RECIPE.model_copy(update={"epochs": 8})
    outcome = fit(net, work(recipe), CrossEntropy(0.0), Silent(), Interrupt(), no_state(tmp_path))
    data = work().data
    assert (net.logits(data.pixels).argmax(1) == data.labels).float().mean() > 0.9
    assert outcome.stopped_because == "the configured 8 epochs are complete"
    assert outcome.steps == 32
    assert not net.module.training


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_resumed_is_identical_to_the_bit(tmp_path: Path, optimizer: str) -> None:
    """Interrupt in the middle of the second epoch, with dropout and augmentation."""
    recipe = RECIPE.model_copy(update={"optimizer": optimizer})

    class StopsAt(CrossEntropy):
        def backward(
            self, network: Network, batch: Batch, images: Tensor, step: int, progress: float
        ) -> Tensor:
            if step == 5:
                interrupt.signal_number = signal.SIGTERM
            return super().backward(network, batch, images, step, progress)

    whole, parts = network(), network()
    fit(whole, work(recipe), CrossEntropy(0.0), Silent(), Interrupt(), no_state(tmp_path))
    interrupt = Interrupt()
    states = StateFile(tmp_path / "state", {"model": "mine"}, resume=False)
    with pytest.raises(Interrupted) as caught:
        fit(parts, work(recipe), StopsAt(0.0), Silent(), interrupt, states)
    assert caught.value.exit_code == 143
    again = StateFile(tmp_path / "state", {"model": "mine"}, resume=True)
    fresh = network(seed=99)
    fit(fresh, work(recipe), CrossEntropy(0.0), Silent(), Interrupt(), again)
    for name, tensor in whole.module.state_dict().items():
        assert torch.equal(tensor, fresh.module.state_dict()[name]), name


@pytest.mark.parametrize("follow", [True, False])
def test_batchnorm_keeps_its_statistics_if_asked(follow: bool) -> None:
    net = network()
    before = {name: value.clone() for name, value in net.module.named_buffers()}
    chosen = replace(work(), batch_statistics=follow)
    fit(net, chosen, CrossEntropy(0.0), Silent(), Interrupt(), None)
    kept = [torch.equal(value, before[name]) for name, value in net.module.named_buffers()]
    assert all(kept) is not follow


def test_an_objective_may_end_the_run_with_a_reason(tmp_path: Path) -> None:
    class Enough(CrossEntropy):
        def after_step(self, network: Network, done: int, total: int) -> str | None:
            return f"{done} of {total} are enough" if done == 6 else None

    class Shown(Silent):
        ended = ""

        def end(self, reason: str = "") -> None:
            self.ended += reason

    progress = Shown()
    outcome = fit(network(), work(), Enough(0.0), progress, Interrupt(), None)
    assert progress.ended == "6 of 12 are enough"
    assert (outcome.steps, outcome.epochs) == (6, 2)
    assert outcome.stopped_because == "6 of 12 are enough"


@pytest.mark.parametrize(
    ("forget", "steps"), [(1, 20), (32, 20), (33, 56), (60, 56), (300, 70), (600, 133)]
)
def test_a_short_list_takes_more_steps_than_its_epochs(forget: int, steps: int) -> None:
    """Seven epochs of 32 forget samples per batch, and at least 56 steps where that is safe."""
    labels = torch.zeros(2000, dtype=torch.int64)
    data = Resident(torch.zeros(2000, 1, 1, 1, dtype=torch.uint8), labels)
    recipe = Recipe(batch_size=128, epochs=7)
    assert Work(data, forget, recipe, 7, "", 0.25, least_steps=56).steps == steps


def test_a_probe_runs_the_schedule_in_a_share_of_the_steps() -> None:
    whole = work()
    probe = replace(whole, share_of_run=0.25)
    assert (whole.steps, probe.steps) == (12, 3)
    assert fit(network(), probe, CrossEntropy(0.0), Silent(), Interrupt(), None).steps == 3


def test_a_state_of_another_run_is_refused(tmp_path: Path) -> None:
    interrupt = Interrupt()
    interrupt.signal_number = signal.SIGINT
    with pytest.raises(Interrupted):
        run(network(), no_state(tmp_path), interrupt)
    with pytest.raises(RequestError, match="another run: the model differs"):
        run(network(), StateFile(tmp_path / "state", {"model": "other"}, resume=True))
    (tmp_path / "state").write_bytes(b"broken")
    with pytest.raises(RequestError, match="not a complete state"):
        run(network(), StateFile(tmp_path / "state", {"model": "mine"}, resume=True))


def test_without_a_saved_state_a_resumed_run_starts_from_the_beginning(tmp_path: Path) -> None:
    said: list[str] = []
    progress = Silent()
    progress.note = said.append  # type: ignore[method-assign]
    states = StateFile(tmp_path / "none", {"model": "mine"}, resume=True)
    resumed = network()
    done = fit(resumed, work(), CrossEntropy(0.0), progress, Interrupt(), states)
    assert done.steps == work().steps
    assert "starting from the beginning" in said[0]


def test_a_state_names_the_setting_that_differs(tmp_path: Path) -> None:
    kept = StateFile(tmp_path / "state", {"lr": "0.1", "seed": "0"}, resume=True)
    kept.save(State({}, 1, 0.0))
    other = StateFile(tmp_path / "state", {"lr": "0.2", "seed": "0"}, resume=True)
    with pytest.raises(RequestError, match=r"lr is 0\.2, was 0\.1"):
        other.load(Silent())


def test_a_killed_run_resumes_from_its_saved_state(tmp_path: Path) -> None:
    """The state is saved at time intervals, and the resumed run gives the same bits."""
    whole = network()
    run(whole, None)

    class Dies(CrossEntropy):
        def after_step(self, network: Network, done: int, total: int) -> str | None:
            if done == 5:
                raise KeyError  # simulates a kill without ending the process
            return None

    ticks = count()
    states = StateFile(tmp_path / "state", {"model": "mine"}, resume=False, every=1.5)
    with pytest.raises(KeyError):
        fit(network(), work(), Dies(0.0), Silent(), Interrupt(), states, lambda: float(next(ticks)))
    again = StateFile(tmp_path / "state", {"model": "mine"}, resume=True)
    saved = again.load(Silent())
    assert saved is not None
    assert 0 < saved.step < 5
    resumed = network()
    run(resumed, again)
    for name, value in whole.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], value), name


def test_saving_takes_at_most_one_percent_of_the_time() -> None:
    now = [0.0]
    saves = Saves(StateFile(Path("state"), {}, resume=False, every=10), lambda: now[0])
    saves._cost = 2.0  # seconds of the last save
    now[0] = 150.0
    assert not saves.due(cpu())
    now[0] = 201.0
    assert saves.due(cpu())


def test_a_diverged_run_ends_with_exit_code_3(tmp_path: Path) -> None:
    class Diverges(CrossEntropy):
        def backward(
            self, network: Network, batch: Batch, images: Tensor, step: int, progress: float
        ) -> Tensor:
            return super().backward(network, batch, images, step, progress) * float("inf")

    with pytest.raises(RunError, match="diverged") as caught:
        fit(network(), work(), Diverges(0.0), Silent(), Interrupt(), no_state(tmp_path))
    assert caught.value.exit_code == 3


def test_the_callers_random_state_is_unchanged(tmp_path: Path) -> None:
    net = network()
    before = torch.get_rng_state()
    run(net, no_state(tmp_path))
    assert torch.equal(before, torch.get_rng_state())


def test_eval_passes_keep_batch_statistics_and_train_mode() -> None:
    net = network()
    net.module.train()
    before = {k: v.clone() for k, v in net.module.state_dict().items()}
    net.logits(work().data.pixels)
    assert net.module.training
    assert all(torch.equal(before[k], v) for k, v in net.module.state_dict().items())
