"""Parquet, datasets on disk, tar shards and torchvision's sets, made by those libraries."""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from falw_cli.data.images import Geometry, load
from falw_cli.data.listing import Listing
from falw_cli.data.sources import open_listing
from falw_cli.errors import RequestError
from falw_cli.runtime.progress import Silent
from tests.conftest import falw
from tests.data.pictures import make_folder

WANTED = Geometry(12, 12, 3)
CONTAINERS = {"imagefolder": "", "parquet": ".parquet", "hf": ".hf", "webdataset": ".tar"}


@pytest.fixture
def pictures(tmp_path: Path) -> Listing:
    """The same pictures as a folder."""
    make_folder(tmp_path / "pictures", {"ant": 3, "bee": 2})
    return open_listing(f"imagefolder:{tmp_path / 'pictures'}")


def same_pixels(one: Listing, other: Listing) -> None:
    np.testing.assert_array_equal(
        load(one, WANTED, Silent()).pixels, load(other, WANTED, Silent()).pixels
    )
    assert one.labels.tolist() == other.labels.tolist()


def rows(pictures: Listing) -> dict[str, list[object]]:
    """Columns as Hugging Face's datasets have them."""
    return {
        "image": [{"bytes": pictures.raw(row), "path": None} for row in range(len(pictures.ids))],
        "label": pictures.labels.tolist(),
    }


@pytest.mark.parametrize("kind", ["parquet", "hf"])
def test_a_dataset_of_hugging_face(pictures: Listing, tmp_path: Path, kind: str) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["ant", "bee"])}
    )
    made = datasets.Dataset.from_dict(rows(pictures), features=features)
    if kind == "parquet":
        made.to_parquet(tmp_path / "data.parquet")
        listing = open_listing(f"parquet:{tmp_path / 'data.parquet'}")
    else:
        made.save_to_disk(tmp_path / "data")
        listing = open_listing(f"hf:{tmp_path / 'data'}")
    assert listing.ids == ("0", "1", "2", "3", "4")
    assert listing.classes == ("ant", "bee")
    same_pixels(listing, pictures)


def test_a_dictionary_of_datasets_has_parts(pictures: Listing, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_dict(rows(pictures)).cast_column("image", datasets.Image())
    parts = {"train": whole.select([0, 1, 3]), "test": whole.select([2, 4])}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "data")
    assert len(open_listing(f"hf:{tmp_path / 'data'}").ids) == 3
    assert len(open_listing(f"hf:{tmp_path / 'data'}#test").ids) == 2
    assert open_listing(f"hf:{tmp_path / 'data'}", "test").numbered


def test_the_local_cache_of_load_dataset(pictures: Listing, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    names = datasets.ClassLabel(names=["ant", "bee"])
    features = datasets.Features({"image": datasets.Image(), "label": names})
    made = datasets.Dataset.from_dict(rows(pictures), features=features)
    made.select([0, 1, 3]).to_parquet(tmp_path / "seen.parquet")
    made.select([2, 4]).to_parquet(tmp_path / "unseen.parquet")
    files = {"train": str(tmp_path / "seen.parquet"), "test": str(tmp_path / "unseen.parquet")}
    datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    listing = open_listing(f"hf:{tmp_path / 'cache'}")
    assert listing.classes == ("ant", "bee")
    same_pixels(listing, pictures.keep(np.array([0, 1, 3])))
    assert len(open_listing(f"hf:{tmp_path / 'cache'}", "test").ids) == 2


def test_parquet_in_several_files_and_groups_with_ids(pictures: Listing, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "data").mkdir()
    order = [4, 0, 3, 1, 2]
    for number, some in enumerate((order[:2], order[2:])):
        table = pyarrow.table({
            "id": [pictures.ids[row] for row in some],
            "image": [pictures.raw(row) for row in some],
            "label": [pictures.classes[pictures.labels[row]] for row in some],
        })  # fmt: skip
        parquet.write_table(table, tmp_path / "data" / f"{number}.parquet", row_group_size=1)
    listing = open_listing(f"parquet:{tmp_path / 'data'}")
    assert listing.ids == pictures.ids  # the order of rows means nothing where there are IDs
    same_pixels(listing, pictures)
    same_pixels(listing.keep(np.array([1, 4])), pictures.keep(np.array([1, 4])))


def test_columns_that_are_missing_and_files_that_are_none(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "data.parquet"
    parquet.write_table(pyarrow.table({"picture": [b""], "label": [0]}), file)
    with pytest.raises(RequestError, match="has the columns picture, label"):
        open_listing(f"parquet:{file}")
    parquet.write_table(pyarrow.table({"image": [None], "label": [0]}), file)
    with pytest.raises(RequestError, match="holds no image's bytes"):
        load(open_listing(f"parquet:{file}"), WANTED, Silent())
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(RequestError, match="cannot be read as Parquet"):
        open_listing(f"parquet:{file}")


def shard(pictures: Listing, file: Path, some: list[int], label: bool = True) -> None:
    """A tar as WebDataset lays it out."""
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(file)) as sink:
        for row in some:
            sample = {"__key__": pictures.ids[row].removesuffix(".png"), "png": pictures.raw(row)}
            sink.write(sample | ({"cls": int(pictures.labels[row])} if label else {}))


def test_tar_shards(pictures: Listing, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    shard(pictures, tmp_path / "data" / "0.tar", [3, 1])
    shard(pictures, tmp_path / "data" / "1.tar", [0, 4, 2])
    listing = open_listing(f"webdataset:{tmp_path / 'data'}")
    assert listing.ids == tuple(name.removesuffix(".png") for name in pictures.ids)
    assert listing.numbered
    same_pixels(listing, pictures)


def test_tar_shards_that_are_refused(pictures: Listing, tmp_path: Path) -> None:
    file = tmp_path / "0.tar"
    shard(pictures, file, [0], label=False)
    with pytest.raises(RequestError, match="'ant/0' has no label"):
        open_listing(f"webdataset:{file}")
    file.write_bytes(b"no tar" * 200)
    with pytest.raises(RequestError, match="cannot be read as a tar file"):
        open_listing(f"webdataset:{file}")
    with tarfile.open(file, "w") as archive:  # a link that leads out, and no file
        link = tarfile.TarInfo("x.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        label = tarfile.TarInfo("x.cls")
        label.size = 1
        archive.addfile(label, io.BytesIO(b"0"))
    with pytest.raises(RequestError, match="holds no images"):
        open_listing(f"webdataset:{file}")


def test_a_set_of_torchvision(tmp_path: Path) -> None:
    """MNIST's files, with three images and two."""
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 255, (3, 28, 28), dtype=np.uint8)
    for name, count in (("train", 3), ("t10k", 2)):
        head = struct.pack(">IIII", 2051, count, 28, 28)
        (raw / f"{name}-images-idx3-ubyte").write_bytes(head + images[:count].tobytes())
        labels = struct.pack(">II", 2049, count) + bytes(range(count))
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(labels)
    listing = open_listing(f"torchvision:FashionMNIST:{tmp_path}")
    assert listing.ids == ("0", "1", "2")
    assert listing.classes[0] == "T-shirt/top"
    found = load(listing, Geometry(28, 28, 1), Silent()).pixels
    np.testing.assert_array_equal(found[..., 0], images)
    assert len(open_listing(f"torchvision:fashionmnist:{tmp_path}#test").ids) == 2


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("torchvision:Nothing:.", "unknown set of torchvision 'Nothing'"),
        ("torchvision:MNIST", "no folder ''"),
        ("torchvision:MNIST:.", "torchvision does not find MNIST"),
        ("hf:nowhere", "no folder"),
        ("webdataset:nowhere.tar", "no tar file"),
        ("parquet:nowhere.parquet", "no Parquet file"),
    ],
)
def test_what_is_not_there_is_told(spec: str, said: str, tmp_path: Path) -> None:
    kind, _, rest = spec.partition(":")
    os.chdir(tmp_path)
    with pytest.raises(RequestError, match=said):
        open_listing(f"{kind}:{rest}")


def test_a_csv_with_a_split(pictures: Listing, tmp_path: Path) -> None:
    lines = ["path,label,split"]
    for row, name in enumerate(pictures.ids):
        split = "train" if row % 2 else "test"
        lines.append(f"pictures/{name},{pictures.classes[pictures.labels[row]]},{split}")
    file = tmp_path / "data.csv"
    file.write_text("\n".join(lines))
    assert len(open_listing(f"csv:{file}").ids) == 5
    assert len(open_listing(f"csv:{file}#train").ids) == 2
    assert len(open_listing(f"csv:{file}#test").ids) == 3
    file.write_text("path,label\n")
    with pytest.raises(RequestError, match="no column split"):
        open_listing(f"csv:{file}#train")


@pytest.mark.slow
def test_all_containers_give_the_report_of_the_folder(tmp_path: Path) -> None:
    """The same samples in the same order: the same steps, and the same figures."""
    datasets = pytest.importorskip("datasets")
    for number, name in enumerate(("seen", "guide", "judge")):
        counts = {"ant": 12, "bee": 12, "cat": 12}
        make_folder(tmp_path / name, counts, seed=9000 * number)
        folder = open_listing(f"imagefolder:{tmp_path / name}")
        features = datasets.Features(
            {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(folder.classes))}
        )
        made = datasets.Dataset.from_dict(rows(folder), features=features)
        made.to_parquet(tmp_path / f"{name}.parquet")
        made.save_to_disk(tmp_path / f"{name}.hf")
        shard(folder, tmp_path / f"{name}.tar", list(range(36)))
    known = open_listing(f"imagefolder:{tmp_path / 'seen'}").ids
    chosen = ["ant/0.png", "ant/3.png", "bee/7.png"]
    train = ("train", "--arch", "tiny-cnn", "--data", "imagefolder:seen", "--epochs", "20",
             "--batch-size", "12")  # fmt: skip
    assert falw(*train, cwd=tmp_path).returncode == 0
    found = {}
    for kind, end in CONTAINERS.items():
        ids = {
            "imagefolder": chosen,
            "webdataset": [name.removesuffix(".png") for name in chosen],
        }.get(kind, [str(known.index(name)) for name in chosen])
        (tmp_path / "ids.txt").write_text("\n".join(ids))
        sources = [
            text for flag, name in (("--data", "seen"), ("--heldout", "guide"), ("--test", "judge"))
            for text in (flag, f"{kind}:{name}{end}")
        ]  # fmt: skip
        done = falw(
            "unlearn", "model.safetensors", "--forget", "ids.txt", "--batch-size", "12", "--force",
            "--json", *sources, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        found[kind] = report["metrics"], report["output"]["sha256"]
    assert found["parquet"] == found["hf"] == found["webdataset"] == found["imagefolder"]
