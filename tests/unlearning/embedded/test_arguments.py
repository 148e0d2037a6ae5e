"""What a program passes: rows or masks, labels and samples of any kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from falw_cli.errors import RequestError
from falw_cli.unlearning.embedded.arguments import read, rows_of

MASK = np.isin(np.arange(7), [2, 5])


@pytest.mark.parametrize(
    "forget",
    [
        [5, 2], (2, 5, 5), {2, 5}, range(2, 6, 3), np.array([2, 5], np.uint8),
        torch.tensor([5, 2], dtype=torch.int32), [torch.tensor(2), np.int64(5)],
        iter([2, 5]), MASK, MASK.tolist(), list(MASK), torch.from_numpy(MASK), tuple(MASK),
        torch.from_numpy(MASK).to_sparse(),
    ],
)  # fmt: skip
def test_rows_and_masks_of_any_kind_mean_the_same_rows(forget: Any) -> None:
    assert rows_of(forget, 7).tolist() == [2, 5]


@pytest.mark.parametrize(
    ("forget", "said"),
    [
        (MASK[:6], "mask of 6 values, data has 7 rows"),
        (torch.from_numpy(np.append(MASK, True)), "mask of 8 values"),
        (np.zeros(7, dtype=bool), "forget is empty"),
        ([], "forget is empty"),
        (MASK.astype(int), "a mask or rows"),
        (torch.from_numpy(MASK).byte(), "a mask or rows"),
        ([0, 1, 1, 0, 0, 1, 0], "a mask or rows"),
        (MASK.astype(np.uint8)[:6], "a mask or rows"),
        (np.r_[MASK, MASK].astype(int), "a mask or rows"),
        ({2: True, 5: False}, "forget is dict"),
        ([True, 2], "numbers and True"),
        (np.array([2.0, 5.0]), "row numbers"),
        (["a.png"], "row numbers"),
        ("ids.txt", "forget is str 'ids.txt'"),
        (3, "forget is int '3'"),
        (np.array([[2, 5]]), r"shape \[1, 2\]"),
        (torch.tensor(2), r"shape \[\]"),
        ([-1], "row -1"),
        ([7], "row 7, data has 7 rows"),
    ],
)
def test_other_values_are_refused(forget: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said) as refused:
        rows_of(forget, 7)
    assert refused.value.hint


class Items(Dataset[Any]):
    """A dataset of some samples, with an attribute `targets` that no longer holds."""

    def __init__(self, samples: list[Any]) -> None:
        self.samples, self.targets = samples, [0] * len(samples)

    def __getitem__(self, row: int) -> Any:
        return self.samples[row]

    def __len__(self) -> int:
        return len(self.samples)


@pytest.mark.parametrize(
    "label", [3, 3.0, np.int64(3), torch.tensor(3), torch.tensor([3]), np.array(3.0)]
)
def test_labels_are_those_that_a_dataset_returns(label: Any) -> None:
    samples = [(torch.zeros(1, 8, 8), label), (torch.zeros(1, 8, 8), 1, "a third value")]
    assert read(Items(samples), "data", 0).labels.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ((torch.zeros(1), "cat"), "data row 0 has the class 'cat'"),
        ((torch.zeros(1), 0.5), "the class '0.5'"),
        ((torch.zeros(1), -1), "the class '-1'"),
        ((torch.zeros(1), torch.tensor([0, 1])), "the class"),
        (({"image": 1}, 1), "image as dict"),
        ({"image": 1, "label": 1}, "is not"),
        (torch.zeros(1, 8, 8), "is not"),
        ((torch.full((1, 8, 8), torch.nan), 1), "data row 0 is an image with a value that is not"),
    ],
)
def test_other_samples_are_refused(sample: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        read(Items([sample]), "data", 0)


def test_an_image_of_another_shape_is_refused() -> None:
    samples = [(torch.zeros(1, 8, 8), 0), (torch.zeros(1, 8, 9), 1)]
    with pytest.raises(RequestError, match=r"data row 1 .* \[1, 8, 9\], row 0 of \[1, 8, 8\]"):
        read(Items(samples), "data", 0)
