"""Behaviour specific to GPUs. `.ci/gpu` runs these tests on a machine with a GPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from falw_cli import unlearn
from falw_cli.config.settings import Config, Preprocessing, Recipe
from falw_cli.data import device
from falw_cli.data.batches import Mix, augment, epoch, generator
from falw_cli.data.device import Resident
from falw_cli.errors import RequestError, RunError
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.batchnorm import share_batchnorm
from falw_cli.models.network import Network, to_device
from falw_cli.runtime.engine import make_fabric
from falw_cli.training.recipe import optimizer
from falw_cli.unlearning.estimate import Streaming
from falw_cli.unlearning.interfaces import MethodInputs, Settings
from falw_cli.unlearning.methods.random_label import RandomLabel
from falw_cli.unlearning.objective import Unlearning
from falw_cli.unlearning.weighting.falw import FalwSettings, FalwWeighting
from tests.conftest import run_falw

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
ASKED: dict[str, Any] = {"forget": "ids.txt", "reference": ["retrain.safetensors"]}


@pytest.fixture(autouse=True)
def _inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def gap(**more: Any) -> float:
    report = unlearn("model.safetensors", **ASKED, force=True, **more)
    assert report.metrics.after is not None
    assert report.metrics.after.avg_gap is not None
    return report.metrics.after.avg_gap


def test_a_gpu_comes_as_close_as_the_cpu() -> None:
    assert gap(device="cuda", precision="fp32") == pytest.approx(gap(device="cpu"), abs=2)


def test_auto_precision_is_bf16_and_reported() -> None:
    report = unlearn("model.safetensors", **ASKED)
    assert report.environment.device.startswith("cuda")
    wanted = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    assert report.environment.precision == wanted
    assert report.run is not None
    assert report.run.peak_memory_bytes > 0


def test_streamed_samples_give_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    resident = gap(precision="fp32")
    monkeypatch.setattr(device, "FITS", 0.0)
    assert gap(precision="fp32") == pytest.approx(resident, abs=1)


def test_compiling_changes_nothing_but_the_time() -> None:
    assert gap(precision="fp32", compile=True) == pytest.approx(gap(precision="fp32"), abs=2)


def test_running_out_of_memory_is_reported_in_two_lines() -> None:
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        with pytest.raises(RunError, match="out of memory"):
            gap(batch_size=4096, epochs=1)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_missing_gpu_is_refused() -> None:
    with pytest.raises(RequestError, match="is not here"):
        make_fabric(Config(device="cuda:99"))


def test_batchnorm_of_several_gpus_is_torchs_own() -> None:
    shared = share_batchnorm(nn.Sequential(nn.BatchNorm2d(3)), torch.device("cuda"))
    assert isinstance(shared[0], nn.SyncBatchNorm)  # type: ignore[index]


def test_a_step_never_waits_for_the_gpu() -> None:
    fabric = make_fabric(Config(device="cuda"))
    with torch.random.fork_rng(devices=[fabric.device]):
        module = to_device(tiny_cnn(3, 1), fabric)
    shown = Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.25,))
    network = Network(module, "tiny-cnn", ("a", "b", "c"), shown, fabric)
    labels = torch.arange(600, device=fabric.device) % 3
    pixels = torch.randint(0, 255, (600, 8, 8, 1), device=fabric.device).byte()
    whole = Resident(pixels, labels)
    forget, retain, guide = whole.of(slice(60)), whole.of(slice(60, 400)), whole.of(slice(400, 600))
    kept = torch.bincount(retain.labels, minlength=3)
    start = MethodInputs(network, forget, retain, guide, kept, generator(0, 3), 0.1)
    counts = torch.bincount(forget.labels, minlength=3)
    objective = Unlearning(
        RandomLabel(start, Settings()), FalwWeighting(counts, 3, FalwSettings()), guide,
        Streaming(guide.labels, 3, 64, 0),
    )  # fmt: skip
    chosen = optimizer(module, Config().unlearn.model_copy(update={"lr": 0.1}))
    module.train()
    batches = epoch(whole.of(slice(400)), 60, Mix(64, 0.4), 0, 0)
    for step, batch in enumerate(batches):
        if step == 1:
            torch.cuda.set_sync_debug_mode("error")
        moved = augment(batch.pixels, Recipe(crop=2, flip=True), generator(0, 2, step))
        objective.backward(network, batch, network.inputs(moved), step, 0.0)
        chosen.step()
        chosen.zero_grad(set_to_none=True)
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices here")
def test_two_gpus_give_the_result_of_one(project: Path) -> None:
    found = []
    for count in (1, 2):
        out = ("--out", f"{count}.safetensors", "--precision", "fp32", "--devices", str(count))
        done = run_falw("unlearn", "model.safetensors", "--forget", "ids.txt", *out, cwd=project)
        assert done.returncode == 0, done.stderr
        report = json.loads((project / f"{count}.audit.json").read_text())
        found.append(report["metrics"]["after"]["forget_accuracy"])
    assert found[1] == pytest.approx(found[0], abs=2)
