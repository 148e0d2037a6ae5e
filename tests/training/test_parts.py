"""When memory runs out, a batch is split into parts with the same result."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from falw_cli.config.settings import Preprocessing, Recipe
from falw_cli.data.device import Resident
from falw_cli.errors import RunError
from falw_cli.models.network import Network
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Silent
from falw_cli.training.loop import Objective, Work, fit
from falw_cli.training.run import CrossEntropy
from falw_cli.unlearning.estimate import Streaming
from falw_cli.unlearning.interfaces import MethodInputs, load_weighting
from falw_cli.unlearning.methods.l1_sparse import method as l1_sparse
from falw_cli.unlearning.objective import Unlearning
from tests.engine import cpu

RECIPE = Recipe(epochs=2, batch_size=20, lr=0.05)


class Small(nn.Module):
    """A layer that simulates a device with memory for the activations of `most` samples."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.seen.append(len(images))
            if len(images) > self.most:
                raise torch.OutOfMemoryError("CUDA out of memory.")
        return images


def network(most: int, normed: bool = False) -> Network:
    """The memory limit follows a layer with buffers, so a failed attempt has changed them."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4) if normed else nn.GroupNorm(2, 4)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), norm, Small(most), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    )
    shown = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.25,))
    return Network(module, "x", ("a", "b", "c"), shown, cpu())


def samples() -> Resident:
    labels = torch.arange(60) % 3
    noise = torch.randint(0, 60, (60, 8, 8, 1), generator=torch.Generator().manual_seed(0))
    return Resident((noise + 80 * labels[:, None, None, None]).byte(), labels)


def unlearning(net: Network) -> Unlearning:
    """Return an objective with terms of the whole batch: weights, a target, a penalty."""
    data = samples()
    parts = data.of(slice(0, 9)), data.of(slice(9, 40)), data.of(slice(40, 60))
    kept = torch.bincount(parts[1].labels, minlength=3)
    start = MethodInputs(net, *parts, kept, torch.Generator().manual_seed(0), 0.05)
    falw = load_weighting("falw")
    weighting = falw(torch.bincount(parts[0].labels), 3, falw.settings_type())
    return Unlearning(
        l1_sparse(start, l1_sparse.settings_type()), weighting, parts[2],
        Streaming(parts[2].labels, 3, 20, 0),
    )  # fmt: skip


def run(net: Network, objective: Objective, forget: int = 0) -> Silent:
    progress = Silent()
    fit(net, Work(samples(), forget, RECIPE, 7, ""), objective, progress, Interrupt(), None)
    return progress


@pytest.mark.parametrize("most", [10, 5, 3])
def test_parts_give_the_result_of_the_whole_batch(most: int) -> None:
    whole, parts = network(99), network(most)
    assert run(whole, CrossEntropy(0.0)).warnings == []
    told = run(parts, CrossEntropy(0.0)).warnings
    number = {10: 2, 5: 4, 3: 8}[most]
    assert told[-1].startswith(f"memory ran out: batches of 20 are split into {number} parts")
    torch.testing.assert_close(parts.module.state_dict(), whole.module.state_dict())


def test_the_number_of_parts_is_remembered() -> None:
    net = network(10)
    run(net, CrossEntropy(0.0))
    counter = net.module[2]  # type: ignore[index]
    assert isinstance(counter, Small)
    assert counter.seen[0] == 20
    assert max(counter.seen[1:]) == 10


def test_weights_target_and_penalty_are_of_the_whole_batch() -> None:
    whole, parts = network(99), network(5)
    objectives = unlearning(whole), unlearning(parts)
    for net, objective in zip((whole, parts), objectives, strict=True):
        run(net, objective, forget=9)
    torch.testing.assert_close(parts.module.state_dict(), whole.module.state_dict())
    torch.testing.assert_close(objectives[1].epochs, objectives[0].epochs)


def test_a_failed_attempt_does_not_change_the_statistics() -> None:
    """BatchNorm counts its batches: four parts per step, and none for failed attempts."""
    net = network(5, normed=True)
    run(net, CrossEntropy(0.0))
    assert int(net.module.state_dict()["1.num_batches_tracked"]) == 6 * 4


def test_an_error_is_raised_if_one_sample_does_not_fit() -> None:
    with pytest.raises(RunError, match="the GPU ran out of memory at step 1") as failed:
        run(network(1), CrossEntropy(0.0))
    assert failed.value.hint == "use a smaller --batch-size, or another --device"
