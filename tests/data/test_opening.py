"""Data SPECs: how they are parsed, and which input is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from falw_cli.config.extensions import SOURCES
from falw_cli.data.listing import Source
from falw_cli.data.opening import open_listing, parse_spec
from falw_cli.errors import RequestError


def test_every_module_defines_a_source() -> None:
    assert len(SOURCES) == 10
    assert all(isinstance(SOURCES.load(kind).source, Source) for kind in SOURCES)


@pytest.mark.parametrize(
    "spec",
    ["nowhere", "imagefolder", "imagefolder:", "zip:a", "imagefolder:a#test", "csv:none.csv"],
)
def test_invalid_specs_are_refused(spec: str) -> None:
    with pytest.raises(RequestError) as caught:
        open_listing(spec)
    assert caught.value.hint


def test_parts() -> None:
    assert parse_spec("cifar10:a/b#test", "train").part == "test"
    assert parse_spec("cifar10:a#b", "train").location == Path("a#b")
    assert parse_spec("cifar10:a#Test", "train").part == "test"


@pytest.mark.parametrize(
    ("kind", "part", "hint"),
    [("cifar10", "val", "choose from: #train, #test"), ("imagefolder", "b", "leave out #b"),
     ("imagefolder", "Test", "leave out #Test, or name the folder imagefolder:a/Test")],
)  # fmt: skip
def test_a_part_that_a_source_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, part: str, hint: str
) -> None:
    (tmp_path / "a" / "Test").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match="has no part") as caught:
        parse_spec(f"{kind}:a#{part}", "train")
    assert caught.value.hint == hint


def test_a_duplicate_id_is_refused(tmp_path: Path) -> None:
    csv = tmp_path / "data.csv"
    csv.write_text("id,path,label\na,1.png,x\na,2.png,x\n")
    with pytest.raises(RequestError, match="'a' occurs twice"):
        open_listing(f"csv:{csv}")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("torchvision:Nothing:.", "unknown torchvision dataset 'Nothing'"),
        ("torchvision:MNIST", "no folder ''"),
        ("torchvision:MNIST:.", "torchvision does not find MNIST"),
        ("hf:nowhere", "no folder"),
        ("webdataset:nowhere.tar", "no tar file"),
        ("parquet:nowhere.parquet", "no Parquet file"),
    ],
)
def test_missing_data_is_reported(spec: str, said: str, tmp_path: Path) -> None:
    kind, _, rest = spec.partition(":")
    os.chdir(tmp_path)
    with pytest.raises(RequestError, match=said):
        open_listing(f"{kind}:{rest}")
