"""Conversion of a module and datasets in memory to the inputs of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from falw_cli.config.file import validated
from falw_cli.config.settings import Config, Preprocessing
from falw_cli.data.device import send
from falw_cli.errors import RequestError
from falw_cli.evaluation.predictions import EvaluationSamples
from falw_cli.models.network import Network
from falw_cli.runtime.engine import make_fabric
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

    def inputs(self, pixels: Tensor) -> Tensor:
        """Return the images unchanged, float [n, channels, H, W]."""
        return pixels


def prepare(
    module: nn.Module,
    data: Dataset[Any],
    forget: Sequence[int],
    heldout: Dataset[Any],
    test: Dataset[Any] | None,
    num_classes: int | None,
    seed: int,
    workers: int,
    recipe: dict[str, Any],
) -> tuple[Config, RunData]:
    """Return the complete config, and the samples in their parts."""
    device = next(module.parameters()).device
    values = {"seed": seed, "device": str(device), "unlearn": recipe}
    config = with_method_defaults(validated(Config, values))
    labels = _labels(data)
    gone = _rows(forget, len(labels))
    stays = torch.ones(len(labels), dtype=torch.bool)
    stays[gone] = False
    if not stays.any():
        raise RequestError(f"forget covers all {len(labels)} rows", "leave rows out of forget")
    order = torch.cat([gone, stays.nonzero().squeeze(1)])
    number = num_classes or int(labels.max()) + 1
    if int(labels.max()) >= number:
        raise RequestError(
            f"data has class {int(labels.max())}, num_classes is {number}",
            "give a larger num_classes",
        )
    whole = DatasetSamples(data, order, labels[order].to(device), workers)
    cut = len(gone)

    def apart(dataset: Dataset[Any]) -> DatasetSamples:
        its = _labels(dataset)
        return DatasetSamples(dataset, torch.arange(len(its)), its.to(device), workers)

    classes = tuple(str(one) for one in range(number))
    network = PlainNetwork(
        module, type(module).__name__, classes, Preprocessing(), make_fabric(config)
    )
    guide = apart(heldout)
    outputs = network.predict(guide.of(slice(1))).shape[1]
    if outputs != number:
        raise RequestError(
            f"the module has {outputs} outputs, but data has {number} classes", "set num_classes"
        )
    kept = torch.bincount(labels[stays], minlength=number)
    judged = EvaluationSamples(
        whole.of(slice(cut)), whole.of(slice(cut, None)), apart(test or heldout),
        kept.cpu().numpy(),
    )  # fmt: skip
    return config, RunData(network, whole, judged, guide, kept.to(device))


def _rows(forget: Sequence[int], count: int) -> Tensor:
    """Return the rows to forget, unique and sorted, int64 [N]."""
    try:
        rows = sorted({index(row) for row in forget})
    except TypeError as error:
        raise RequestError(f"forget must hold row numbers: {error}", "give rows of data") from error
    if not rows:
        raise RequestError("forget is empty", "give at least one row of data")
    if bad := [row for row in rows if not 0 <= row < count]:
        raise RequestError(
            f"forget contains row {bad[0]}, data has {count} rows",
            f"give rows from 0 to {count - 1}",
        )
    return torch.tensor(rows)


def _labels(dataset: Dataset[Any]) -> Tensor:
    """Return the classes of all samples, int64 [N], from `targets` or `labels` if present."""
    if not hasattr(dataset, "__len__") or not len(dataset):
        raise RequestError(
            "a dataset is missing or has no samples", "give map-style datasets of (image, class)"
        )
    for name in ("targets", "labels"):
        if (found := getattr(dataset, name, None)) is not None:
            return torch.as_tensor(found, dtype=torch.int64)
    rows = range(len(dataset))
    return torch.tensor([int(dataset[row][1]) for row in rows], dtype=torch.int64)
