"""The source npz."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from falw_cli.data.metadata import columns_of
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError
from falw_cli.runtime.progress import Silent
from tests.data.test_forget_list import claimed


def test_row_numbers_or_ids(tmp_path: Path) -> None:
    images = np.zeros((3, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([0, 1, 1]))
    listing = open_listing(f"npz:{tmp_path / 'a.npz'}")
    assert listing.ids == ("0", "1", "2")
    assert listing.array is not None
    assert listing.array.shape == (3, 8, 8, 1)
    np.savez(tmp_path / "b.npz", images=images, labels=["x", "y", "x"], ids=["p", "q", "r"])
    named = open_listing(f"npz:{tmp_path / 'b.npz'}")
    assert named.ids == ("p", "q", "r")
    assert named.classes == ("x", "y")


def test_it_never_unpickles(tmp_path: Path) -> None:
    boxed = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "a.npz", images=boxed, labels=np.array([0]))
    with pytest.raises(RequestError, match="cannot be read as npz"):
        open_listing(f"npz:{tmp_path / 'a.npz'}")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"labels": np.zeros(2)}, "holds the arrays labels"),
        (
            {"images": np.zeros((2, 8, 8, 3)), "labels": np.zeros(2, dtype=int)},
            "images are float64 of 2x8x8x3",
        ),
        (
            {
                "train_images": np.zeros((2, 8, 8, 3), dtype=np.uint8),
                "train_labels": np.zeros((3, 1), dtype=int),
            },
            r"train_images has 2 images, train_labels the shape \(3,\)\n",
        ),
        (
            {"images": np.zeros((2, 8, 8, 4), dtype=np.uint8), "labels": np.zeros(2, dtype=int)},
            "images are uint8 of 2x8x8x4",
        ),
        (
            {"images": np.zeros((2, 8, 8, 3), dtype=np.uint8), "labels": np.array([0, -1])},
            "labels range from -1 to 0",
        ),
    ],
    ids=["no images", "float images", "lengths differ", "four channels", "negative label"],
)
def test_invalid_files_are_explained(
    tmp_path: Path, arrays: dict[str, np.ndarray], said: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(RequestError, match=said):
        open_listing(f"npz:{tmp_path / 'a.npz'}")


def test_a_label_beyond_64_bits_is_refused(tmp_path: Path) -> None:
    labels = np.array([0, 2**63], dtype=np.uint64)
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 8, 8), dtype=np.uint8), labels=labels)
    with pytest.raises(RequestError, match="larger than any integer of 64 bits"):
        open_listing(f"npz:{tmp_path / 'a.npz'}")


def test_an_array_that_is_no_column_is_named(tmp_path: Path) -> None:
    arrays = {"labels": np.arange(2), "person": np.arange(3), "site": np.arange(2)}
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 8, 8), dtype=np.uint8), **arrays)
    found = columns_of(open_listing(f"npz:{tmp_path / 'a.npz'}"), None, Silent())
    assert set(found.values) == {"labels", "site"}
    assert set(found.unusable) == {"person"}
    with pytest.raises(RequestError, match=r"'person' \(int64, 3\) is no column"):
        found.matching(["person=1"], Silent())


PATTERNS = {"medmnist": ("{}_images", "{}_labels"), "keras": ("x_{}", "y_{}")}


@pytest.mark.parametrize("style", PATTERNS)
@pytest.mark.parametrize("column", [True, False], ids=["(N, 1)", "(N)"])
def test_parts_of_medmnist_and_keras(tmp_path: Path, style: str, column: bool) -> None:
    sizes = {"train": 5, "val": 3, "test": 2}
    images, labels = PATTERNS[style]
    arrays = {}
    for part, count in sizes.items():
        found = np.arange(count, dtype=np.uint8) % 4
        arrays[images.format(part)] = np.full((count, 28, 28), count, dtype=np.uint8)
        arrays[labels.format(part)] = found[:, None] if column else found
    np.savez(tmp_path / "a.npz", **arrays)
    spec = f"npz:{tmp_path / 'a.npz'}"
    for part, count in sizes.items():
        one = open_listing(f"{spec}#{part}")
        assert one.array is not None
        assert one.array.shape == (count, 28, 28, 1)
        assert one.labels.tolist() == [row % 4 for row in range(count)]
        assert one.parts == ("train", "test", "val")
        assert one.notes == ()
        assert one.table is not None
        assert one.table().columns["labels"] == one.labels.tolist()
    for flag, count in (("train", 5), ("test", 2)):
        one = open_listing(spec, flag)
        assert len(one.ids) == count
        assert one.notes == (f"the part {flag!r} is used of train, test, val",)
        assert one.identity == open_listing(f"{spec}#{flag}").identity
    with pytest.raises(RequestError, match="no part 'dev'"):
        open_listing(f"{spec}#dev")


def test_one_label_per_sample(tmp_path: Path) -> None:
    images = np.zeros((3, 8, 8), dtype=np.uint8)
    spec = f"npz:{tmp_path / 'a.npz'}"
    np.savez(tmp_path / "a.npz", images=images, labels=np.eye(3, 14, dtype=int))
    with pytest.raises(RequestError, match="labels have 14 columns"):
        open_listing(spec)
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([0.0, 11.0, 2.0]))
    found = open_listing(spec)
    assert found.labels.tolist() == [0, 11, 2]
    assert found.numbered
    assert found.notes
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([b"x", b"y", b"x"]))
    assert open_listing(spec).classes == ("x", "y")
    with pytest.raises(RequestError, match="no part 'val'") as caught:
        open_listing(f"{spec}#val")
    assert caught.value.hint == "leave out #val"


@pytest.mark.parametrize("name", ["labels", "ids"])
def test_a_length_without_values_is_refused(tmp_path: Path, name: str) -> None:
    """A header of 10**12 labels is no reason to take memory."""
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels, **({} if name == "labels" else {"labels": [0, 1]}))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr(f"{name}.npy", claimed(10**12))
    with pytest.raises(RequestError, match=f"{name} has no values"):
        open_listing(f"npz:{tmp_path / 'a.npz'}")


def test_ids_of_bytes_are_text(tmp_path: Path) -> None:
    images, ids = np.zeros((2, 8, 8, 1), np.uint8), np.array(["\xfc".encode(), b"b"])
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([0, 1]), ids=ids)
    assert sorted(open_listing(f"npz:{tmp_path / 'a.npz'}").ids) == ["b", "\xfc"]


def _parts(file: Path, **arrays: object) -> str:
    """Write a file with two training samples and three test samples."""
    for part, count in (("train", 2), ("test", 3)):
        arrays[f"{part}_images"] = np.full((count, 8, 8), count, dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(count)
    np.savez(file, **arrays)
    return f"npz:{file}"


ROWS = {"train": ("0", "1"), "test": ("0", "1", "2")}


@pytest.mark.parametrize(
    ("arrays", "ids", "unused"),
    [
        ({}, ROWS, {}),
        ({"train_ids": ["p", "q"]}, ROWS | {"train": ("p", "q")}, {}),
        ({"ids": ["p", "q"]}, ROWS | {"train": ("p", "q")}, {"test": "1 array is not used: ids"}),
        ({"ids": ["p", "q"], "train_ids": ["r", "s"]}, ROWS | {"train": ("r", "s")},
         {"train": "1 array is not used: ids", "test": "1 array is not used: ids"}),
        ({"train_site": [1, 2]}, ROWS, dict.fromkeys(ROWS, "1 array is not used: train_site")),
    ],
    ids=["none", "of the part", "of one length", "both", "another array"],
)  # fmt: skip
def test_ids_of_parts(
    tmp_path: Path, arrays: dict[str, object], ids: dict[str, object], unused: dict[str, str]
) -> None:
    spec = _parts(tmp_path / "a.npz", **arrays)
    for part in ("train", "test"):
        found = open_listing(f"{spec}#{part}")
        assert (found.ids, found.by_row) == (ids[part], ids[part] == ROWS[part])
        assert found.notes == ((unused[part],) if part in unused else ())


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"ids": list("abcde")}, "the 5 ids fit no part"),
        ({"ids": [1, 2], "x_extra": np.zeros((2, 8, 8), np.uint8), "y_extra": [0, 0]},
         "the 2 ids fit train and extra"),
    ],
)  # fmt: skip
def test_ids_of_no_part_are_refused(tmp_path: Path, arrays: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        open_listing(_parts(tmp_path / "a.npz", **arrays) + "#train")
    assert "train_ids" in (caught.value.hint or "")


def test_a_part_of_any_name(tmp_path: Path) -> None:
    extra = {"x_extra": np.full((4, 8, 8), 7, np.uint8), "y_extra": [3, 2, 1, 0]}
    extra |= {"x_": np.zeros((1, 8, 8), np.uint8), "y_": [0]}  # no part
    spec = _parts(tmp_path / "a.npz", **extra, ids_extra=list("abcd"))
    found = open_listing(f"{spec}#extra")
    assert (found.ids, found.labels.tolist()) == (("a", "b", "c", "d"), [3, 2, 1, 0])
    assert found.parts == ("train", "test", "extra")
    assert open_listing(spec).notes == (
        "2 arrays are not used: x_, y_",
        "the part 'train' is used of train, test, extra",
    )


def test_parts_beside_images_are_named(tmp_path: Path) -> None:
    images = np.zeros((4, 8, 8), np.uint8)
    spec = _parts(tmp_path / "a.npz", images=images, labels=[0, 1, 2, 0], ids=list("abcd"))
    found = open_listing(spec)
    assert found.ids == ("a", "b", "c", "d")
    assert found.notes == ("the array 'images' is used; there are also the parts train, test",)
    assert open_listing(f"{spec}#test").ids == ROWS["test"]


@pytest.mark.parametrize(
    ("extra", "notes"),
    [
        ({"classes": ["a", "b", "c"]}, ("1 array is not used: classes",)),
        ({"person": [7, 7, 8, 8]}, ()),
    ],
)
def test_arrays_that_are_neither_read_nor_columns_are_named(
    tmp_path: Path, extra: dict[str, object], notes: tuple[str, ...]
) -> None:
    images = np.zeros((4, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=[0, 1, 2, 0], ids=list("abcd"), **extra)
    assert open_listing(f"npz:{tmp_path / 'a.npz'}").notes == notes


def test_labels_that_numpy_pickles_are_refused_with_what_to_do(tmp_path: Path) -> None:
    labels = np.array(["a", "b"], dtype=object)
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 8, 8, 3), dtype=np.uint8), labels=labels)
    with pytest.raises(RequestError, match="Object arrays cannot be loaded") as caught:
        open_listing(f"npz:{tmp_path / 'a.npz'}")
    assert "labels.astype(str)" in caught.value.hint
