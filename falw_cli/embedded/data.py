"""A module and datasets in memory as a run takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from falw_cli.config import Config, Preprocessing, resolve
from falw_cli.data.device import send
from falw_cli.engine import make_fabric
from falw_cli.errors import RequestError
from falw_cli.evaluation.evidence import Judged
from falw_cli.network import Network
from falw_cli.unlearning.settle import with_method_defaults
from falw_cli.unlearning.stage import Stage


class _Images(Dataset[Tensor]):
    """The images of a dataset of (image, label)."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitem__(self, row: int) -> Tensor:
        return torch.as_tensor(self.dataset[row][0])


@dataclass(frozen=True)
class Given:
    """Samples of a map-style dataset of (image, label): each image as the dataset gives it.

    Attributes:
        dataset: gives a float tensor and a class at each row.
        rows: which of its rows these samples are, int64 [N].
        labels: their classes, int64 [N], on the device.
        workers: processes that read ahead; 0 reads in this one.
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

    def of(self, rows: Tensor | slice) -> Given:
        """See `Samples`."""
        there = rows if isinstance(rows, slice) else send(rows, self.labels.device)
        place = rows if isinstance(rows, slice) else rows.cpu()
        return replace(self, rows=self.rows[place], labels=self.labels[there])


@dataclass(frozen=True)
class Plain(Network):
    """A network whose images are prepared already."""

    def inputs(self, pixels: Tensor) -> Tensor:
        """The images as they are, float [n, channels, H, W]."""
        return pixels


def staged(
    module: nn.Module,
    data: Dataset[Any],
    forget: Sequence[int],
    heldout: Dataset[Any],
    test: Dataset[Any] | None,
    num_classes: int | None,
    seed: int,
    workers: int,
    recipe: dict[str, Any],
) -> tuple[Config, Stage]:
    """The settled config, and the samples in their parts."""
    device = next(module.parameters()).device
    asked = {"seed": seed, "device": str(device), **recipe}
    config = with_method_defaults(resolve("unlearn", asked, find=False))
    labels = _labels(data)
    gone = torch.unique(torch.as_tensor(list(forget), dtype=torch.int64))
    if not len(gone) or int(gone.min()) < 0 or int(gone.max()) >= len(labels):
        raise RequestError(
            f"forget has {len(gone)} rows, data has {len(labels)}", "name rows of the dataset"
        )
    stays = torch.ones(len(labels), dtype=torch.bool)
    stays[gone] = False
    if not stays.any():
        raise RequestError("the list covers all of the data", "nothing would be kept")
    order = torch.cat([gone, stays.nonzero().squeeze(1)])
    number = num_classes or int(labels.max()) + 1
    whole = Given(data, order, labels[order].to(device), workers)
    cut = len(gone)

    def apart(dataset: Dataset[Any]) -> Given:
        its = _labels(dataset)
        return Given(dataset, torch.arange(len(its)), its.to(device), workers)

    classes = tuple(str(index) for index in range(number))
    network = Plain(module, type(module).__name__, classes, Preprocessing(), make_fabric(config))
    guide = apart(heldout)
    judged = Judged(whole.of(slice(cut)), whole.of(slice(cut, None)), apart(test or heldout))
    kept = torch.bincount(labels[stays], minlength=number).to(device)
    return config, Stage(network, whole, judged, guide, kept)


def _labels(dataset: Dataset[Any]) -> Tensor:
    """Classes of all samples, int64 [N]: of `targets` or `labels` where the dataset has them."""
    for name in ("targets", "labels"):
        if (found := getattr(dataset, name, None)) is not None:
            return torch.as_tensor(found, dtype=torch.int64)
    rows = range(len(dataset))  # type: ignore[arg-type]
    return torch.tensor([int(dataset[row][1]) for row in rows], dtype=torch.int64)
