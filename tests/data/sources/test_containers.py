"""The same samples in each container format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from falw_cli.data.listing import Listing
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError
from falw_cli.models import checkpoint_files
from tests.conftest import falw
from tests.data.pictures import make_folder
from tests.data.sources.conftest import hugging_face, shard

CONTAINERS = {"imagefolder": "", "parquet": ".parquet", "hf": ".hf", "webdataset": ".tar"}


@pytest.mark.slow
def test_all_containers_give_the_report_of_the_folder(tmp_path: Path) -> None:
    """The same samples in the same order give the same steps and the same metrics."""
    for number, name in enumerate(("seen", "guide", "judge")):
        counts = {"ant": 12, "bee": 12, "cat": 12}
        make_folder(tmp_path / name, counts, seed=9000 * number)
        folder = open_listing(f"imagefolder:{tmp_path / name}")
        made = hugging_face(folder)
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
            "--no-forgotten-gate",
            "--json", *sources, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        # The files differ: the metadata has the digest of the list, which names rows or keys.
        tensors = checkpoint_files.read(tmp_path / report["output"]["path"]).tensors
        found[kind] = report["metrics"], {name: one.tolist() for name, one in tensors.items()}
    assert found["parquet"] == found["hf"] == found["webdataset"] == found["imagefolder"]


def _in_parts(kind: str, pictures: Listing, place: Path) -> str:
    """Write the images in two parts, and return the SPEC without a part."""
    if kind == "digits":
        return "digits"
    made = hugging_face(pictures)
    parts = {"train": made.select([0, 1, 3]), "test": made.select([2, 4])}
    place.mkdir()
    if kind == "hf":
        pytest.importorskip("datasets").DatasetDict(parts).save_to_disk(str(place))
    for name, rows in (("train", [0, 1, 3]), ("test", [2, 4])):
        if kind == "parquet":
            parts[name].to_parquet(place / f"{name}.parquet")
        elif kind == "webdataset":
            shard(pictures, place / f"{name}.tar", rows)
    if kind == "npz":
        images = np.zeros((2, 8, 8, 3), dtype=np.uint8)
        arrays = {f"{part}_images": images for part in parts}
        labels = {f"{part}_labels": np.array([row, 1]) for row, part in enumerate(parts)}
        np.savez(place / "a.npz", **arrays, **labels)
        place /= "a.npz"
    if kind == "csv":
        place = place.with_name("a.csv")
        place.write_text(
            "path,label,split\npictures/ant/0.png,a,train\npictures/ant/1.png,b,test\n"
        )
    return f"{kind}:{place}"


@pytest.mark.parametrize("kind", ["npz", "hf", "parquet", "webdataset", "csv", "digits"])
def test_the_case_of_a_part_is_ignored(kind: str, pictures: Listing, tmp_path: Path) -> None:
    spec = _in_parts(kind, pictures, tmp_path / "parts")
    exact = open_listing(f"{spec}#test")
    train = open_listing(f"{spec}#train")
    assert (exact.ids, exact.labels.tolist()) != (train.ids, train.labels.tolist())
    assert exact.identity != train.identity
    for part in ("Test", "TEST"):
        other = open_listing(f"{spec}#{part}")
        assert (other.ids, other.identity) == (exact.ids, exact.identity)
        assert other.labels.tolist() == exact.labels.tolist()
    with pytest.raises(RequestError, match=r"(?i)has no part 'tests'") as caught:
        open_listing(f"{spec}#Tests")
    assert "#test" in caught.value.hint
    assert "#train" in caught.value.hint
