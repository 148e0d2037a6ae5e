"""Conversion of a module and datasets in memory to the inputs of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from falw_cli.config.file import validated
from falw_cli.config.settings import Config, Preprocessing, UnlearnRecipe
from falw_cli.data.device import send
from falw_cli.data.splits import choose
from falw_cli.errors import RequestError, nearest
from falw_cli.evaluation.predictions import EvaluationSamples
from falw_cli.models.network import Network
from falw_cli.runtime.engine import make_fabric
from falw_cli.unlearning.embedded.arguments import Known, read, refuse_random, rows_of
from falw_cli.unlearning.embedded.overlap import refuse_overlap
from falw_cli.unlearning.resolution import with_method_defaults
from falw_cli.unlearning.run_data import RunData


class _Images(Dataset[Tensor]):
    """The images of a dataset of (image, label)."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitem__(self, row: int) -> Tensor:
        return torch.as_tensor(self.dataset[row][0])


@dataclass(frozen=True)
class DatasetSamples:
    """Samples of a map-style dataset of (image, label), with the images unchanged.

    Attributes:
        dataset: returns a float tensor and a class per row.
        rows: rows of the dataset that are these samples, int64 [N].
        labels: their classes, int64 [N], on the device.
        workers: number of processes that read ahead; 0 reads in this process.
    """

    dataset: Dataset[Any]
    rows: Tensor
    labels: Tensor
    workers: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, groups: Iterable[Tensor]) -> Iterator[Tensor]:
        """See `Samples`; images float [n, channels, H, W]."""
        wanted = [self.rows[rows.cpu()].tolist() for rows in groups]
        loader = DataLoader(_Images(self.dataset), batch_sampler=wanted, num_workers=self.workers)
        for images in loader:
            yield images.to(self.labels.device)

    def of(self, rows: Tensor | slice) -> DatasetSamples:
        """See `Samples`."""
        there = rows if isinstance(rows, slice) else send(rows, self.labels.device)
        place = rows if isinstance(rows, slice) else rows.cpu()
        return replace(self, rows=self.rows[place], labels=self.labels[there])


@dataclass(frozen=True)
class PlainNetwork(Network):
    """A network whose images need no preprocessing."""

    ends: tuple[Tensor, Tensor] = field(kw_only=True)
    """Smallest and largest value of each channel in the images, [channels, 1, 1] each."""

    def inputs(self, pixels: Tensor) -> Tensor:
        """Return the images unchanged, float [n, channels, H, W]."""
        return pixels

    def pixel_range(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """See `Network`; the range is that of the held-out images."""
        low, high = (one.to(device) for one in self.ends)
        return low, high, 1 / (high - low).clamp(min=1e-6)


def prepare(
    module: nn.Module,
    data: Dataset[Any],
    forget: Any,
    heldout: Dataset[Any],
    test: Dataset[Any] | None,
    eval_data: Dataset[Any] | None,
    num_classes: int | None,
    seed: int,
    workers: int,
    recipe: dict[str, Any],
) -> tuple[Config, RunData]:
    """Return the complete config, and the samples in their parts; see `unlearn_module`."""
    device = _device_of(module)
    config = _config(device, seed, recipe)
    if not isinstance(workers, int) or workers < 0:
        raise RequestError(f"workers is {workers!r}", "give 0, or the number of processes")
    labels, digests = _read_measured(data, heldout, test, eval_data, workers)
    gone = rows_of(forget, len(labels))
    if len(gone) == len(labels):
        raise RequestError(f"forget covers all {len(labels)} rows", "leave rows out of forget")
    number = num_classes or int(labels.max()) + 1
    if int(labels.max()) >= number:
        raise RequestError(
            f"data has class {int(labels.max())}, num_classes is {number}",
            "give a larger num_classes",
        )
    chosen = choose(labels.numpy(), gone.numpy(), config.unlearn.retain_budget, seed)

    def some(dataset: Dataset[Any], *rows: npt.NDArray[np.int64]) -> DatasetSamples:
        order = torch.from_numpy(np.concatenate(rows))
        return DatasetSamples(dataset, order, labels[order].to(device), workers)

    found = {"heldout": read(heldout, "heldout", workers)}
    if test is not None:
        found["test"] = read(test, "test", workers)
    refuse_overlap(digests, gone.tolist(), {name: one.digests for name, one in found.items()})

    def apart(dataset: Dataset[Any], name: str) -> DatasetSamples:
        its = found[name].labels
        return DatasetSamples(dataset, torch.arange(len(its)), its.to(device), workers)

    guide = apart(heldout, "heldout")
    network = PlainNetwork(
        module, type(module).__name__, tuple(map(str, range(number))), Preprocessing(),
        make_fabric(config), ends=_ends(guide),
    )  # fmt: skip
    if (outputs := _outputs(network, guide)) != number:
        raise RequestError(
            f"the module has {outputs} outputs, but data has {number} classes",
            f"set num_classes={outputs} if the module was trained on that many",
        )
    for name, (its, _) in found.items():
        if int(its.max()) >= number:
            raise RequestError(
                f"{name} has class {int(its.max())}, the module has {number} outputs",
                f"leave samples of other classes out of {name}",
            )
    measured = data if eval_data is None else eval_data
    plain = some(measured, chosen.forget, chosen.retain)
    kept = np.bincount(np.delete(labels.numpy(), gone.numpy()), minlength=number)
    unseen = apart(test, "test") if test is not None else guide
    for one in (plain, unseen):
        _outputs(network, one)
    judged = EvaluationSamples(
        plain.of(slice(len(gone))), some(measured, chosen.judged), unseen, kept
    )
    whole = some(data, chosen.forget, chosen.retain)
    return config, RunData(network, whole, judged, guide, torch.from_numpy(kept).to(device), plain)


def _device_of(module: nn.Module) -> torch.device:
    """Return the device of the module's parameters.

    Raises:
        RequestError: none can be changed.
    """
    first = next(module.parameters(), None)
    if first is None:
        raise RequestError("the module has no parameters", "give the trained network")
    if not any(one.requires_grad for one in module.parameters()):
        raise RequestError(
            "all parameters of the module are frozen", "set requires_grad of those that may change"
        )
    return first.device


def _outputs(network: Network, samples: DatasetSamples) -> int:
    """Return the number of logits that the module returns for the first sample.

    Raises:
        RequestError: the module fails, usually because images and parameters differ in type.
    """
    image = next(samples.read([torch.arange(1)]))
    try:
        return network.logits(image).shape[1]
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError, LookupError) as error:
        weights = next(network.module.parameters()).dtype
        raise RequestError(
            f"the module fails on an image of {image.dtype} {list(image.shape)}: "
            + str(error).partition("\n")[0][:200],
            f"its parameters are {weights}; give images that it can take, or use module.float()",
        ) from error


def _config(device: torch.device, seed: int, recipe: dict[str, Any]) -> Config:
    """Return the complete config of a run on a device.

    Raises:
        RequestError: a setting is unknown or invalid.
    """
    fields = UnlearnRecipe.model_fields
    for name in recipe:
        if name not in fields:
            match = nearest(name, fields)
            raise RequestError(
                f"{name!r} is no argument and no setting of unlearning",
                "the module's device is used" if name == "device"
                else f"did you mean {match!r}?" if match
                else f"the settings are {', '.join(fields)}",
            )  # fmt: skip
    name = device.type if device.type == "mps" else str(device)  # there is one, which is mps:0
    config = with_method_defaults(
        validated(Config, {"seed": seed, "device": name, "unlearn": recipe})
    )
    if config.unlearn.crop or config.unlearn.flip:
        raise RequestError(
            "crop and flip are for the images of a checkpoint's data",
            "augment in the transforms of data, and give eval_data without them",
        )
    return config


def _read_measured(
    data: Dataset[Any],
    heldout: Dataset[Any],
    test: Dataset[Any] | None,
    eval_data: Dataset[Any] | None,
    workers: int,
) -> Known:
    """Return what is measured of `data`; refuse datasets that would be measured with augmentation.

    Raises:
        RequestError: a dataset augments its images, or `eval_data` does not match `data`.
    """
    found = read(data, "data", workers)
    if eval_data is None:
        refuse_random(
            data, "data", "give eval_data, the same samples without random transforms, for metrics"
        )
    elif eval_data is not data:
        refuse_random(eval_data, "eval_data", "leave random transforms out of it")
        plain = read(eval_data, "eval_data", workers)
        if not torch.equal(plain.labels, found.labels):
            raise RequestError(
                "eval_data has other classes than data",
                "give the same samples in the same order, without random transforms",
            )
        found = plain
    for name, one in (("heldout", heldout), ("test", test)):
        if isinstance(one, Sized):
            refuse_random(one, name, "leave random transforms out of it")
    return found


def _ends(samples: DatasetSamples) -> tuple[Tensor, Tensor]:
    """Return the smallest and the largest value of each channel, [channels, 1, 1] each."""
    rows = torch.arange(0, len(samples), max(1, len(samples) // 256))
    images = torch.cat([*samples.read(torch.split(rows, 64))]).float().transpose(0, 1).flatten(1)
    return images.amin(1)[:, None, None], images.amax(1)[:, None, None]
