"""Several ranks compute what one computes: splitting, gathering, and a whole run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file
from torch import Tensor

from falw_cli.config.settings import Config, Preprocessing
from falw_cli.data.batches import generator
from falw_cli.data.device import Resident
from falw_cli.errors import FalwError, RequestError
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.network import Network, to_device
from falw_cli.runtime import collectives
from falw_cli.runtime.interrupt import Interrupt
from falw_cli.runtime.progress import Silent
from falw_cli.training.loop import Work, fit
from falw_cli.unlearning.estimate import Exact, Streaming
from falw_cli.unlearning.expectation import expect
from falw_cli.unlearning.interfaces import MethodInputs, load_method, load_weighting
from falw_cli.unlearning.objective import Unlearning
from falw_cli.unlearning.resolution import hyperparameters, with_method_defaults
from tests.engine import cpu
from tests.several import in_ranks

METHODS = ("match", "random-label", "salun", "sfron", "l1-sparse", "boundary-expand", "influence")


def samples(count: int, seed: int) -> Resident:
    """Return three classes of noise images that differ in brightness."""
    labels = torch.arange(count) % 3
    noise = torch.randint(0, 90, (count, 8, 8, 1), generator=torch.Generator().manual_seed(seed))
    return Resident((noise + 70 * labels[:, None, None, None]).byte(), labels)


def unlearn(fabric: Fabric, name: str, target: str) -> dict[str, Tensor]:
    """Run four batches of 26 samples, split unevenly; return weights and target estimates."""
    # SGD, because AdamW takes a full step even for a gradient close to 0.
    plain = {"optimizer": "sgd", "lr": 0.01, "crop": 1}
    config = Config.model_validate({"unlearn": {"method": name, **plain}})
    recipe = with_method_defaults(config).unlearn
    recipe = recipe.model_copy(update={"epochs": 2, "batch_size": 26, "forget_share": None})
    settled = config.model_copy(update={"unlearn": recipe})
    shown = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.25,))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = to_device(tiny_cnn(3, 1), fabric)
    network = Network(module, "tiny-cnn", ("a", "b", "c"), shown, fabric)
    forget, retain, guide = samples(15, 1), samples(37, 2), samples(41, 3)
    whole = Resident(
        torch.cat([forget.pixels, retain.pixels]), torch.cat([forget.labels, retain.labels])
    )
    kept = torch.bincount(retain.labels, minlength=3)
    expectation = expect(network, forget, retain, guide, kept)
    start = MethodInputs(
        network, forget, retain, guide, kept, generator(0, 3), 0.01, expectation=expectation
    )
    of_method, of_weighting = hyperparameters(settled)
    method = load_method(name)(start, of_method)
    counts = torch.bincount(forget.labels, minlength=3)
    weighting = load_weighting(recipe.weighting or "none")(counts, 3, of_weighting)
    estimate = Exact(guide.labels, 3, 1) if target == "exact" else Streaming(guide.labels, 3, 26, 0)
    objective = Unlearning(method, weighting, guide, estimate)
    if method.uses_forget or method.uses_retain:
        data, first = (whole, 15) if method.uses_forget else (retain, 0)
        if not method.uses_retain:
            data = forget
        work = Work(data, first, recipe, 0, "")
        fit(network, work, objective, Silent(), Interrupt(), None)
    else:
        method.apply()
    method.finish()
    found = {f"{name}/{k}": v.clone() for k, v in network.module.state_dict().items()}
    found[f"{name}/mu"] = estimate.target.mu
    found[f"{name}/epochs"] = torch.stack(objective.epochs or [torch.zeros(6)]).nan_to_num()
    found[f"{name}/logits"] = network.predict(guide)
    return found


def run_all(fabric: Fabric, folder: Path) -> None:
    found: dict[str, Tensor] = {}
    for name in METHODS:
        found |= unlearn(fabric, name, "exact")
    streaming = unlearn(fabric, "match", "streaming")
    found |= {f"streaming {key}": value for key, value in streaming.items()}
    if fabric.is_global_zero:
        save_file(
            {k: v.contiguous() for k, v in found.items()},
            folder / f"{fabric.world_size}.safetensors",
        )


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    folder = tmp_path_factory.mktemp("alone")
    in_ranks(run_all, 1, folder)
    return dict(load_file(folder / "1.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_ranks_find_what_one_process_finds(
    count: int, alone: dict[str, Tensor], tmp_path: Path
) -> None:
    """Compare weights, BatchNorm statistics, targets and per-sample weights of each method."""
    in_ranks(run_all, count, tmp_path)
    together = load_file(tmp_path / f"{count}.safetensors")
    assert set(together) == set(alone)
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=1e-4, atol=2e-5, msg=name)


def fail_but_on_the_first(rank: int) -> None:
    if rank:
        raise RequestError(f"rank {rank} cannot read it", "")


def collect(fabric: Fabric, folder: Path) -> None:
    """Check several row counts, means and a failure of one rank."""
    for count in (0, 1, 2, 7, 8):
        rows = collectives.mine(count, fabric)
        torch.testing.assert_close(collectives.gather(rows, count, fabric), torch.arange(count))
    rank = fabric.global_rank
    uneven = collectives.gather_uneven(torch.full((rank,), float(rank)), fabric)
    assert uneven.tolist() == [1.0, 2.0, 2.0]
    assert collectives.mean(torch.ones(rank) * rank, fabric).item() == pytest.approx(5 / 3)
    with pytest.raises(FalwError) as caught, collectives.agreed(fabric):
        fail_but_on_the_first(rank)
    assert caught.value.exit_code == 2
    assert caught.value.single_rank == (rank == 1)
    assert str(caught.value) == ("rank 1 cannot read it" if rank == 1 else "rank 1 failed")


@pytest.mark.slow
def test_results_of_ranks_are_gathered_in_order(tmp_path: Path) -> None:
    in_ranks(collect, 3, tmp_path)


def test_one_process_shares_nothing() -> None:
    fabric, values = cpu(), torch.arange(3.0)
    assert collectives.mine(3, fabric).tolist() == [0, 1, 2]
    assert collectives.gather(values, 3, fabric) is values
    assert collectives.total(values, fabric) is values
    assert collectives.mean(values, fabric).item() == 1
    with pytest.raises(RequestError), collectives.agreed(fabric):
        raise RequestError("wrong", "")
