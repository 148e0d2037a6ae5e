"""Unlearning inside a user's own program."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from falw_cli import Unlearner, unlearn
from falw_cli.config.extensions import METHODS
from falw_cli.errors import RequestError, RunError
from falw_cli.models.architectures import tiny_cnn
from falw_cli.runtime.progress import Silent
from falw_cli.unlearning import lr_search
from falw_cli.unlearning.target import Target
from falw_cli.unlearning.weighting.falw import FalwSettings
from falw_cli.unlearning.weighting.falw import weighting as falw
from tests.conftest import once

LIST = [*range(0, 60), *range(100, 130)]


def parts() -> tuple[TensorDataset, TensorDataset, TensorDataset]:
    """Return training, held-out and test digits as datasets of (image, label)."""
    images, labels = load_digits(return_X_y=True)
    pixels = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    classes = torch.tensor(labels)
    made = [
        TensorDataset(pixels[a:b], classes[a:b]) for a, b in ((0, 700), (700, 1200), (1200, None))
    ]
    return made[0], made[1], made[2]


@pytest.fixture(scope="session")
def memorised(tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    """A model that has memorised the training digits."""
    model = tiny_cnn(10, 1)
    folder = once(tmp_path_factory, "memorised", _memorise)
    model.load_state_dict(torch.load(folder / "model.pt"))
    return model.eval()


def _memorise(folder: Path) -> None:
    torch.manual_seed(0)
    model, (data, *_) = tiny_cnn(10, 1), parts()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    images, labels = data.tensors
    for _ in range(30):
        for rows in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
    torch.save(model.state_dict(), folder / "model.pt")


def confidence(model: nn.Module, data: Dataset[Any]) -> Tensor:
    """Return the true-class probabilities."""
    images = torch.stack([data[row][0] for row in range(len(data))])  # type: ignore[arg-type]
    labels = torch.stack([data[row][1] for row in range(len(data))])  # type: ignore[arg-type]
    with torch.no_grad():
        return model.eval()(images).softmax(1).gather(1, labels[:, None]).squeeze(1)


def test_a_custom_loop_with_adamw_ema_and_clipping(memorised: nn.Module) -> None:
    """The user's loop stays unchanged; five lines, numbered here, are added."""
    model, (data, heldout, _) = deepcopy(memorised), parts()
    before = confidence(model, Subset(data, LIST)).mean()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    ema = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    )
    unlearner = Unlearner(model, data=data, forget=LIST, heldout=heldout, batch_size=64)  # 1
    model.train()
    for batch in unlearner.batches():  # 2
        loss = unlearner.loss(batch)  # 3
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        ema.update_parameters(model)
        if unlearner.after_step():  # 4
            break
    unlearner.finish()  # 5
    after = confidence(model, Subset(data, LIST)).mean()
    unseen = confidence(model, heldout).mean()
    assert abs(after - unseen) < abs(before - unseen)
    assert confidence(model, Subset(data, [*range(200, 700)])).mean() > 0.9


def test_the_same_seed_gives_the_same_losses(memorised: nn.Module) -> None:
    data, heldout, _ = parts()
    found = []
    for _ in range(2):
        unlearner = Unlearner(
            deepcopy(memorised),
            data=data,
            forget=LIST,
            heldout=heldout,
            method="random-label",
            seed=3,
        )
        found.append([float(unlearner.loss(batch)) for batch in unlearner.batches()])
    assert found[0] == found[1]
    assert len(found[0]) == unlearner.steps


def test_a_module_that_does_not_know_its_data_is_refused(memorised: nn.Module) -> None:
    """It would be trained, not unlearned."""
    data, heldout, test = parts()
    torch.manual_seed(0)
    with pytest.raises(RequestError, match="it does not fit this data"):
        unlearn(tiny_cnn(10, 1), data=data, forget=LIST, heldout=heldout, test=test)


def test_a_module_without_parameters_is_refused() -> None:
    data, heldout, _ = parts()
    with pytest.raises(RequestError, match="no parameters"):
        unlearn(nn.Flatten(), data=data, forget=LIST, heldout=heldout)


@pytest.mark.parametrize(
    ("more", "said"),
    [({"lrr": 0.1}, "lrr"), ({"lr": -1}, "lr"), ({"label_smoothing": 0.5}, "label")],
)
def test_an_invalid_setting_is_reported_with_a_hint(
    memorised: nn.Module, more: dict[str, Any], said: str
) -> None:
    data, heldout, _ = parts()
    with pytest.raises(RequestError, match=said) as caught:
        unlearn(deepcopy(memorised), data=data, forget=LIST, heldout=heldout, **more)
    assert caught.value.hint


def test_test_samples_that_guide_are_refused(memorised: nn.Module) -> None:
    data, heldout, _ = parts()
    with pytest.raises(RequestError, match="500 rows of test have the same pixels as rows of hel"):
        unlearn(deepcopy(memorised), data=data, forget=LIST, heldout=heldout, test=heldout)


def test_outputs_that_are_nan_are_named(memorised: nn.Module) -> None:
    data, heldout, _ = parts()
    broken = deepcopy(memorised)
    with torch.no_grad():
        next(broken.parameters())[0] = torch.nan
    with pytest.raises(RunError, match=r"outputs of .* are NaN for 90 of 90 samples"):
        unlearn(broken, data=data, forget=LIST, heldout=heldout)


def test_weights_are_those_of_the_weighting(memorised: nn.Module) -> None:
    data, heldout, _ = parts()
    unlearner = Unlearner(
        deepcopy(memorised), data=data, forget=LIST, heldout=heldout, method="random-label",
        weighting="falw", target="exact", stop="epochs",
    )  # fmt: skip
    unlearner.loss(next(iter(unlearner.batches())))  # the target of the unchanged module
    images = torch.stack([data[row][0] for row in LIST])
    labels = data.tensors[1][LIST]
    logits = memorised(images)
    target = Target.of(confidence(memorised, heldout), heldout.tensors[1], 10)
    counts = torch.bincount(labels, minlength=10)
    expected = falw(counts, 10, FalwSettings()).weight(
        logits.softmax(1).gather(1, labels[:, None]).squeeze(1), labels, target
    )
    torch.testing.assert_close(unlearner.weights(logits, labels), expected, atol=1e-4, rtol=1e-4)


def test_a_module_is_unlearned_in_place(memorised: nn.Module) -> None:
    model, (data, heldout, test) = deepcopy(memorised), parts()
    done = unlearn(model, data=data, forget=LIST, heldout=heldout, test=test, batch_size=64)
    assert done.before is not None
    assert done.after is not None
    assert done.before.test_accuracy is not None
    assert done.after.test_accuracy is not None
    assert done.after.test_accuracy > done.before.test_accuracy - 10
    assert done.steps > 0
    both = zip(model.parameters(), memorised.parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in both)


class Noted(Silent):
    """Keeps the notes."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep one."""
        self.notes.append(text)


@pytest.mark.parametrize("lr", ["auto", 1e-7])
def test_a_short_list_that_hardly_moves_gets_more_steps(
    lr: float | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that memorised noise. At a tiny rate, more steps do not help."""
    if lr != "auto":
        monkeypatch.setattr(lr_search, "objection", lambda *_: "does not help")
    torch.manual_seed(0)
    images, labels = torch.randn(600, 1, 4, 4), torch.randint(0, 4, (600,))
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 256), nn.ReLU(), nn.Linear(256, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[:200]), labels[:200]).backward()
        optimizer.step()
    data, unseen = TensorDataset(images[:200], labels[:200]), (images[200:], labels[200:])
    before = confidence(model, Subset(data, range(6)))
    assert before.mean() > 0.9
    progress = Noted()
    done = unlearn(
        model, data=data, forget=range(6), heldout=TensorDataset(*unseen), progress=progress, lr=lr
    )
    more = any("with 3 times the steps" in one for one in progress.notes)
    assert more == (done.steps == 60 or lr != "auto")
    after = confidence(model, Subset(data, range(6)))
    assert (after.mean() < before.mean() - 0.2) == (lr == "auto")


def double(part: int) -> TensorDataset:
    """Return digits of another type than the module's parameters."""
    images, labels = parts()[part].tensors
    return TensorDataset(images.double(), labels)


class Named(nn.Module):
    """A module that returns a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.net = tiny_cnn(10, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"out": self.net(images)}


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Named(), r"the network returns dict \(\['out'\] \[1, 10\]\), not logits"),
        (nn.Sequential(tiny_cnn(10, 1), nn.Unflatten(1, (10, 1))), r"Tensor \(\[1, 10, 1\]\)"),
        (tiny_cnn(10, 1).requires_grad_(False), "all parameters of the module are frozen"),
        (tiny_cnn(10, 1).half(), "the module fails on an image of torch.float32"),
    ],
)
def test_a_module_that_cannot_be_unlearned_is_refused(module: nn.Module, said: str) -> None:
    data, heldout, _ = parts()
    with pytest.raises(RequestError, match=said):
        unlearn(module, data=data, forget=LIST, heldout=heldout)


def test_a_module_that_does_not_fit_is_refused_without_flags(memorised: nn.Module) -> None:
    data, heldout, _ = parts()
    images, labels = data.tensors
    shifted = TensorDataset(images, (labels + 1) % 10)
    with pytest.raises(RequestError, match="in another order") as refused:
        unlearn(deepcopy(memorised), data=shifted, forget=LIST, heldout=heldout)
    assert "--" not in refused.value.hint


def test_the_hook_that_the_refusal_names_keeps_the_logits(memorised: nn.Module) -> None:
    model, (data, heldout, _) = Named(), parts()
    model.net.load_state_dict(memorised.state_dict())
    model.register_forward_hook(lambda module, inputs, output: output["out"])
    networks = (model, deepcopy(memorised))
    losses = []
    for module in networks:
        unlearner = Unlearner(module, data=data, forget=LIST, heldout=heldout)
        losses.append(float(unlearner.loss(next(iter(unlearner.batches()))).detach()))
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"forget": []}, "forget is empty"),
        ({"forget": [9999]}, "forget contains row"),
        ({"forget": range(700)}, "covers all 700 rows"),
        ({"method": "salun"}, "masks gradients"),
        ({"method": "no-such"}, "unknown method"),
        ({"weighting": "no-such"}, "unknown weighting"),
        ({"workers": -1}, "workers is -1"),
        ({"device": "cpu"}, "'device' is no argument"),
        ({"heldout": Subset(parts()[0], range(200, 400))}, "200 rows of heldout .* rows of data"),
        (
            {"data": ConcatDataset([parts()[0], Subset(parts()[0], LIST[:8])])},
            "8 rows of data have the same pixels as rows in forget: 700, 701",
        ),
        ({"heldout": [(torch.rand(1, 8, 8), torch.tensor(10))] * 20}, "heldout has class 10"),
        ({"data": double(0)}, r"the module fails on an image of torch.float64 \[1, 1, 8, 8\]"),
    ],
)
def test_invalid_arguments_are_refused(
    memorised: nn.Module, changed: dict[str, Any], said: str
) -> None:
    data, heldout, _ = parts()
    asked = {"data": data, "forget": LIST, "heldout": heldout} | changed
    with pytest.raises(RequestError, match=said):
        Unlearner(deepcopy(memorised), **asked)


@pytest.mark.slow
def test_a_lightning_module_with_the_callback(memorised: nn.Module) -> None:
    lightning = pytest.importorskip("lightning")
    model, (data, heldout, _) = deepcopy(memorised), parts()
    unlearner = Unlearner(model, data=data, forget=LIST, heldout=heldout, batch_size=64)

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = model

        def training_step(self, batch: Any, index: int) -> Tensor:
            return unlearner.loss(batch)

        def train_dataloader(self) -> Any:
            return unlearner.batches()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[unlearner.lightning_callback()],
    )  # fmt: skip
    trainer.fit(Module())
    assert 0 < unlearner.done <= unlearner.steps


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_works_on_a_module_in_memory(memorised: nn.Module, method: str) -> None:
    """Pruned weights stay zero."""
    model, (data, heldout, _) = deepcopy(memorised), parts()
    layer = model.get_submodule("3")
    prune.l1_unstructured(layer, "weight", 0.2)
    prune.remove(layer, "weight")
    before = deepcopy(model.state_dict())
    unlearn(
        model, data=data, forget=LIST, heldout=heldout, method=method, stop="epochs",
        epochs=1, least_steps=1, lr=1e-3,
    )  # fmt: skip
    after = model.state_dict()
    assert list(after) == list(before)
    assert any(not torch.equal(after[name], before[name]) for name in before)
    assert torch.equal(after["3.weight"] == 0, before["3.weight"] == 0)


def test_a_module_with_pruning_masks_keeps_them(memorised: nn.Module) -> None:
    """Its pruned weights are computed at each forward pass, and cannot be copied as they are."""
    model, (data, heldout, _) = deepcopy(memorised), parts()
    prune.l1_unstructured(model.get_submodule("3"), "weight", 0.2)
    mask = model.get_buffer("3.weight_mask").clone()
    model(data.tensors[0][:2])
    unlearn(
        model, data=data, forget=LIST, heldout=heldout, method="random-label", stop="epochs",
        epochs=1, least_steps=1,
    )  # fmt: skip
    assert torch.equal(model.get_buffer("3.weight_mask"), mask)
    assert not confidence(model, Subset(data, LIST)).equal(
        confidence(memorised, Subset(data, LIST))
    )


def test_the_retain_budget_limits_the_samples_of_the_steps(memorised: nn.Module) -> None:
    data, heldout, _ = parts()
    steps = {}
    for budget in (None, 100):
        unlearner = Unlearner(
            deepcopy(memorised), data=data, forget=LIST, heldout=heldout, retain_budget=budget,
            method="finetune", batch_size=50, stop="epochs", epochs=1, least_steps=1,
        )  # fmt: skip
        steps[budget] = unlearner.steps
    assert steps[100] == 2
    assert steps[None] == 13  # 610 retain samples


class Noisy(Dataset[Any]):
    """Samples with an augmentation that hides most of the image."""

    def __init__(self, samples: TensorDataset) -> None:
        self.samples = samples

    def __getitem__(self, row: int) -> Any:
        image, label = self.samples[row]
        return image + 2 * torch.rand_like(image), label

    def __len__(self) -> int:
        return len(self.samples)


def test_metrics_are_those_without_the_augmentation(memorised: nn.Module) -> None:
    data, heldout, test = parts()
    asked: dict[str, Any] = {"forget": LIST, "heldout": heldout, "test": test}
    asked |= {"epochs": 1, "least_steps": 1, "stop": "epochs", "lr": 1e-3, "method": "finetune"}
    plain = unlearn(deepcopy(memorised), data=data, **asked)
    with pytest.raises(RequestError, match="another image") as refused:
        unlearn(deepcopy(memorised), data=Noisy(data), **asked)
    assert "eval_data" in refused.value.hint
    found = unlearn(deepcopy(memorised), data=Noisy(data), eval_data=data, **asked)
    assert found.before == plain.before
    assert found.after != plain.after
    for wrong in ({"heldout": Noisy(heldout)}, {"test": Noisy(test)}):
        with pytest.raises(RequestError, match="another image"):
            unlearn(deepcopy(memorised), data=data, **(asked | wrong))
    with pytest.raises(RequestError, match="other classes"):
        unlearn(deepcopy(memorised), data=Noisy(data), eval_data=heldout, **asked)


@pytest.mark.parametrize("setting", [{"crop": 1}, {"flip": True}])
def test_augmentation_by_settings_is_refused(memorised: nn.Module, setting: dict[str, Any]) -> None:
    data, heldout, _ = parts()
    with pytest.raises(RequestError, match="crop and flip"):
        unlearn(deepcopy(memorised), data=data, forget=LIST, heldout=heldout, **setting)
