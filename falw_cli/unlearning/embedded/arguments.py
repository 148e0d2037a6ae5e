"""Checks of what a program passes: the rows to forget, and datasets of (image, class)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sized
from operator import index
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from falw_cli.errors import RequestError

IMAGE = 3
"""Number of dimensions of an image."""
READ_TWICE = 16
"""Rows that are read twice, to see whether a dataset returns the same image again."""
ROWS = "give row numbers of data, or a boolean mask with one value per row"


def rows_of(forget: Any, count: int) -> Tensor:
    """Return the rows to forget, unique and sorted, int64 [N].

    Args:
        forget: row numbers or a boolean mask, as a list, array, tensor or other iterable.
        count: number of rows of the data.

    Raises:
        RequestError: it is neither, has another length than the data (a mask), or names no row.
    """
    values = _values(forget)
    if values and all(isinstance(one, bool | np.bool_) for one in values):
        if len(values) != count:
            raise RequestError(
                f"forget is a mask of {len(values)} values, data has {count} rows",
                "give one value per row of data",
            )
        rows = np.flatnonzero(values).tolist()
    else:
        rows = _numbers(values, count)
    if not rows:
        raise RequestError("forget is empty", "give at least one row of data")
    return torch.tensor(rows)


def _values(forget: Any) -> list[Any]:
    """Return the values of a flat list, array, tensor or other iterable."""
    if isinstance(forget, Tensor):
        forget = forget.detach().to_dense().cpu().numpy()
    elif hasattr(forget, "to_numpy"):  # pandas
        forget = forget.to_numpy()
    if isinstance(forget, np.ndarray):
        if forget.ndim != 1:
            raise RequestError(f"forget has the shape {list(forget.shape)}, not [N]", ROWS)
        return list(forget.tolist())
    if isinstance(forget, str | bytes | Mapping) or not isinstance(forget, Iterable):
        raise RequestError(f"forget is {type(forget).__name__} {str(forget)[:40]!r}", ROWS)
    return [one.item() if isinstance(one, Tensor) and not one.ndim else one for one in forget]


def _numbers(values: list[Any], count: int) -> list[int]:
    """Return row numbers, unique and sorted."""
    strange = next((one for one in values if isinstance(one, bool | np.bool_)), None)
    try:
        rows = sorted({index(row) for row in values})
    except TypeError as error:
        raise RequestError(f"forget must hold row numbers: {error}", ROWS) from error
    if strange is not None:
        raise RequestError(f"forget holds numbers and {strange}", ROWS)
    if len(values) > 2 and set(rows) <= {0, 1}:
        raise RequestError(
            f"forget holds {len(values)} numbers 0 and 1, data has {count} rows: a mask or rows?",
            "convert a mask to booleans, e.g. mask.astype(bool), or name each row once",
        )
    if bad := [row for row in rows if not 0 <= row < count]:
        raise RequestError(
            f"forget contains row {bad[0]}, data has {count} rows",
            f"give rows from 0 to {count - 1}",
        )
    return rows


class Known(NamedTuple):
    """What is known of the N samples of a dataset after reading them once."""

    labels: Tensor
    """Their classes, int64 [N]."""
    digests: list[bytes]
    """A digest of each image; empty for inputs without height and width."""


def read(dataset: Dataset[Any], name: str, workers: int) -> Known:
    """Read a dataset. Classes are those that it returns, not those of an attribute.

    An attribute such as `targets` may be older than a `target_transform`, or of another subset.

    Args:
        dataset: map-style dataset of (image, class).
        name: name of the argument, for errors.
        workers: number of processes that read it.

    Raises:
        RequestError: it is empty or no such dataset, a class is not a number from 0 on, or an image
            has another shape than the first one or a value that is not finite.
    """
    if not isinstance(dataset, Sized) or not len(dataset):
        raise RequestError(
            f"{name} is missing or has no samples", "give map-style datasets of (image, class)"
        )
    _check_image(dataset, name)
    own = type(dataset).__getitem__  # of a subclass, it may change the samples
    if (
        isinstance(dataset, TensorDataset)
        and own is TensorDataset.__getitem__
        and (dataset.tensors[1].ndim == 1)
    ):
        images, classes = dataset.tensors[:2]
        finite = torch.isfinite(images.reshape(len(images), -1)).all(1).tolist()
        shapes = [images.shape[1:]] * len(images)
        digests = [_digest(image) for image in images.cpu()]
        found = [*zip(classes.tolist(), shapes, finite, digests, strict=True)]
    else:
        loader: DataLoader[Any] = DataLoader(
            dataset, batch_size=256, num_workers=workers, collate_fn=_described
        )
        found = [one for some in loader for one in some]
    for row, (_, shape, finite, _) in enumerate(found):
        _check_pixels(f"{name} row {row}", shape, found[0][1], finite)
    classes = [_class(one, f"{name} row {row}") for row, (one, *_) in enumerate(found)]
    return Known(torch.tensor(classes), [digest for *_, digest in found])


def _described(samples: list[Any]) -> list[tuple[Any, torch.Size, bool, bytes]]:
    """Return class, shape, whether all values are finite, and digest of each sample.

    The images stay in the process that read them.
    """
    images = [torch.as_tensor(sample[0]) for sample in samples]
    return [
        (sample[1], image.shape, bool(torch.isfinite(image).all()), _digest(image))
        for sample, image in zip(samples, images, strict=True)
    ]


def _digest(image: Tensor) -> bytes:
    """Return a digest of an image [channels, H, W]; empty bytes for other inputs."""
    if image.dim() < IMAGE:
        return b""
    values = image.detach().cpu().contiguous().view(torch.uint8).numpy()
    return hashlib.blake2b(values.tobytes(), digest_size=16).digest()


def _check_pixels(place: str, shape: torch.Size, first: torch.Size, finite: bool) -> None:
    if shape != first:
        raise RequestError(
            f"{place} is an image of shape {list(shape)}, row 0 of {list(first)}",
            "resize or crop the images to one size in the transforms",
        )
    if not finite:
        raise RequestError(
            f"{place} is an image with a value that is not finite",
            "leave the sample out, or fix its transforms",
        )


def _class(found: Any, place: str) -> int:
    """Return a class as an integer; whole floats such as 3.0 are classes too."""
    if isinstance(found, Tensor):
        found = found.detach().cpu().numpy()
    if isinstance(found, np.ndarray | np.generic) and found.size == 1:
        found = found.item()
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if not isinstance(found, int) or found < 0:
        raise RequestError(
            f"{place} has the class {str(found)[:40]!r}", "give classes as numbers from 0 on"
        )
    return int(found)


def _check_image(dataset: Any, name: str) -> None:
    try:
        image, _ = dataset[0][:2]
    except (TypeError, ValueError, LookupError) as error:
        raise RequestError(
            f"{name} row 0 is not (image, class)", "give map-style datasets of (image, class)"
        ) from error
    if not isinstance(image, Tensor | np.ndarray):
        raise RequestError(
            f"{name} returns an image as {type(image).__name__}, not as a tensor",
            "add the transforms that the module's inputs need, such as ToTensor",
        )


def refuse_random(dataset: Any, name: str, hint: str) -> None:
    """Refuse a dataset that returns another image when a row is read again.

    Metrics, expectation and early stopping would measure its augmentation too.

    Raises:
        RequestError: a row differs.
    """
    count = len(dataset)
    for row in range(0, count, max(1, count // READ_TWICE)):
        one, other = (torch.as_tensor(dataset[row][0]) for _ in range(2))
        if one.shape != other.shape or not torch.equal(one, other):
            raise RequestError(
                f"{name} returns another image each time that row {row} is read", hint
            )
