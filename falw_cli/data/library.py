"""torchvision's own classification sets, as it lays them out: `torchvision:NAME:DIR`."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from falw_cli.data.listing import Listing, Spec, digit_names, mark_of
from falw_cli.errors import RequestError, unknown_name

if TYPE_CHECKING:
    from PIL.Image import Image

NAMES = (
    "MNIST", "FashionMNIST", "KMNIST", "SVHN", "STL10", "Food101", "Flowers102", "OxfordIIITPet",
    "GTSRB", "DTD", "FGVCAircraft", "Country211", "RenderedSST2", "Imagenette", "CIFAR10",
    "CIFAR100",
)  # fmt: skip
"""Sets that torchvision reads without unpickling what it has not checked by its digest."""


@dataclass(frozen=True)
class Items:
    """Images of a torchvision dataset, opened by it."""

    dataset: Any
    place: Path
    rows: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def image(self, row: int) -> Image:
        """See `Stored`."""
        picture: Image = self.dataset[int(self.rows[row])][0]
        return picture

    def marks(self) -> Iterator[str]:
        """See `Stored`; of all files in the folder, for torchvision alone knows which are whose."""
        files = sorted(file for file in self.place.rglob("*") if file.is_file())
        whole = hashlib.sha256("\n".join(map(mark_of, files)).encode()).hexdigest()
        return (f"{whole}\0{row}" for row in self.rows.tolist())

    def keep(self, rows: npt.NDArray[np.int64]) -> Items:
        """See `Stored`."""
        return Items(self.dataset, self.place, self.rows[rows])


def torchvision(spec: Spec, allow_outside: bool) -> Listing:
    """`torchvision:NAME:DIR`, with two parts; the ID is the row number."""
    from torchvision import datasets

    name, mark, folder = str(spec.location).partition(":")
    known = next((one for one in NAMES if one.lower() == name.lower()), None)
    if known is None:
        raise unknown_name("set of torchvision", name, NAMES)
    if not mark or not Path(folder).is_dir():
        raise RequestError(f"{spec.text!r}: no folder {folder!r}", f"write torchvision:{known}:DIR")
    kind = getattr(datasets, known)
    parameters = inspect.signature(kind).parameters
    second: Any = {"train": spec.part == "train"} if "train" in parameters else {"split": spec.part}
    try:
        found = kind(folder, download=False, **second)
    except (RuntimeError, OSError, ValueError) as error:
        told = str(error).partition("\n")[0]
        raise RequestError(
            f"{spec.text!r}: torchvision does not find {known} there: {told}",
            "lay it out as torchvision's download does",
        ) from error
    given = _labels(found)
    labels = np.array(given.tolist() if hasattr(given, "tolist") else given, dtype=np.int64)
    names = getattr(found, "classes", None)
    classes = tuple(map(str, names)) if names else digit_names(labels)
    return Listing(
        spec.text, spec.identity, tuple(str(i) for i in range(len(labels))), labels, classes,
        not names, Items(found, Path(folder), np.arange(len(labels))),
    )  # fmt: skip


def _labels(found: Any) -> Any:
    """Labels of all rows, by whichever name the set keeps them."""
    for name in ("targets", "labels", "_labels"):
        if (labels := getattr(found, name, None)) is not None:
            return labels
    if (samples := getattr(found, "_samples", None)) is not None:
        return [label for _, label in samples]
    return [found[row][1] for row in range(len(found))]
