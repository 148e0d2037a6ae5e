"""Data SPECs: what each kind lists, and what it refuses."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from falw_cli.data.sources import OPENERS, open_listing, parse_spec
from falw_cli.errors import RequestError
from tests.data.pictures import make_folder, save_png


def test_imagefolder_ids_are_paths_below_the_folder(tmp_path: Path) -> None:
    make_folder(tmp_path, {"cat": 2, "dog": 1})
    (tmp_path / "cat" / "deep").mkdir()
    save_png(tmp_path / "cat" / "deep" / "x.png")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    listing = open_listing(f"imagefolder:{tmp_path}")
    assert listing.ids == ("cat/0.png", "cat/1.png", "cat/deep/x.png", "dog/0.png")
    assert listing.classes == ("cat", "dog")
    assert listing.labels.tolist() == [0, 0, 0, 1]


def test_csv_takes_id_or_path(tmp_path: Path) -> None:
    make_folder(tmp_path, {"cat": 2})
    csv = tmp_path / "data.csv"
    csv.write_text("path,label\ncat/1.png,b\ncat/0.png,a\n")
    assert open_listing(f"csv:{csv}").ids == ("cat/0.png", "cat/1.png")
    csv.write_text("\ufeffid,path,label\r\nz,cat/1.png,7\r\ny,cat/0.png,2\r\n")
    listing = open_listing(f"csv:{csv}")
    assert listing.ids == ("y", "z")
    assert listing.labels.tolist() == [2, 7]
    assert listing.numbered


@pytest.mark.parametrize("where", ["../secret.png", "/etc/passwd"])
def test_csv_does_not_reach_outside_its_folder(tmp_path: Path, where: str) -> None:
    csv = tmp_path / "data.csv"
    csv.write_text(f"path,label\n{where},a\n")
    with pytest.raises(RequestError, match=r"line 2.*outside"):
        open_listing(f"csv:{csv}")
    assert open_listing(f"csv:{csv}", allow_outside=True).ids == (where,)


def test_npz_row_numbers_or_ids(tmp_path: Path) -> None:
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


def test_npz_never_unpickles(tmp_path: Path) -> None:
    boxed = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "a.npz", images=boxed, labels=np.array([0]))
    with pytest.raises(RequestError, match="cannot be read as npz"):
        open_listing(f"npz:{tmp_path / 'a.npz'}")


@pytest.mark.parametrize(
    "arrays",
    [
        {"labels": np.zeros(2)},
        {"images": np.zeros((2, 8, 8, 3)), "labels": np.zeros(2, dtype=int)},
        {"images": np.zeros((2, 8, 8, 3), dtype=np.uint8), "labels": np.zeros(3, dtype=int)},
        {"images": np.zeros((2, 8, 8, 4), dtype=np.uint8), "labels": np.zeros(2, dtype=int)},
        {"images": np.zeros((2, 8, 8, 3), dtype=np.uint8), "labels": np.array([0, -1])},
    ],
    ids=["no images", "float images", "lengths differ", "four channels", "negative label"],
)
def test_npz_says_what_is_wrong(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(RequestError):
        open_listing(f"npz:{tmp_path / 'a.npz'}")


def test_digits_have_two_parts_that_share_nothing() -> None:
    train, test = open_listing("digits"), open_listing("digits", "test")
    assert (len(train.ids), len(test.ids)) == (1198, 599)
    assert not set(train.ids) & set(test.ids)
    assert open_listing("digits#test").ids == test.ids
    assert open_listing("digits#train", "test").ids == train.ids


def test_an_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    csv = tmp_path / "data.csv"
    csv.write_text("id,path,label\na,1.png,x\na,2.png,x\n")
    with pytest.raises(RequestError, match="'a' stands there twice"):
        open_listing(f"csv:{csv}")


@pytest.mark.parametrize(
    "spec",
    ["nowhere", "imagefolder", "imagefolder:", "zip:a", "imagefolder:a#test", "csv:none.csv"],
)
def test_specs_that_mean_nothing_are_refused(spec: str) -> None:
    with pytest.raises(RequestError) as caught:
        open_listing(spec)
    assert caught.value.hint


def test_parts() -> None:
    assert parse_spec("cifar10:a/b#test", "train").part == "test"
    assert parse_spec("cifar10:a#b", "train").location == Path("a#b")


@pytest.mark.parametrize(
    ("kind", "name", "label_key"),
    [("cifar10", "CIFAR10", "labels"), ("cifar100", "CIFAR100", "fine_labels")],
)
def test_cifar_in_torchvisions_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str, label_key: str
) -> None:
    """Files of our own making, under their own checksums; strange files are never unpickled."""
    dataset = getattr(datasets, name)
    folder = tmp_path / dataset.base_folder
    folder.mkdir()
    rng = np.random.default_rng(0)

    def write(file: str, content: object) -> list[str]:
        raw = pickle.dumps(content)
        (folder / file).write_bytes(raw)
        return [file, hashlib.md5(raw).hexdigest()]

    def batch() -> dict[str, object]:
        return {"data": rng.integers(0, 256, (4, 3072), dtype=np.uint8), label_key: [0, 1, 1, 2]}

    with pytest.raises(RequestError, match="does not hold"):
        open_listing(f"{kind}:{tmp_path}")
    monkeypatch.setattr(dataset, "train_list", [write("one", batch()), write("two", batch())])
    monkeypatch.setattr(dataset, "test_list", [write("three", batch())])
    names = [f"c{i}" for i in range(3)]
    file, digest = write("meta", {"label_names": names, "fine_label_names": names})
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "filename": file, "md5": digest})
    train = open_listing(f"{kind}:{tmp_path}")
    assert train.ids == tuple("01234567")
    assert train.classes == ("c0", "c1", "c2")
    assert open_listing(f"{kind}:{tmp_path}", "test").ids == tuple("0123")
    (folder / "one").write_bytes(b"tampered")
    with pytest.raises(RequestError, match="does not hold"):
        open_listing(f"{kind}:{tmp_path}")


def test_some_rows_of_each_class_in_the_order_of_the_listing() -> None:
    whole = open_listing("digits#train")
    first, later = whole.of_each_class(0, 3), whole.of_each_class(3, 5)
    assert np.bincount(first.labels).tolist() == [3] * 10
    assert np.bincount(later.labels).tolist() == [2] * 10
    assert not set(first.ids) & set(later.ids)
    assert [whole.ids.index(name) for name in first.ids] == sorted(map(whole.ids.index, first.ids))
    with pytest.raises(RequestError, match="no rows"):
        whole.of_each_class(10_000, 10_001)


def test_the_help_names_every_kind() -> None:
    from falw_cli.cli.completion import KINDS

    assert set(KINDS) == set(OPENERS)
