"""The sources cifar10 and cifar100."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError


@pytest.mark.parametrize(
    ("kind", "name", "label_key"),
    [("cifar10", "CIFAR10", "labels"), ("cifar100", "CIFAR100", "fine_labels")],
)
def test_cifar_in_torchvisions_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str, label_key: str
) -> None:
    """Generated files with patched checksums; files with another checksum are never unpickled."""
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
