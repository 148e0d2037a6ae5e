"""The source webdataset."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from falw_cli.data.listing import Listing
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError
from tests.data.sources.conftest import same_pixels, shard


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
    with tarfile.open(file, "w") as archive:  # a link to outside, not a file
        link = tarfile.TarInfo("x.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        label = tarfile.TarInfo("x.cls")
        label.size = 1
        archive.addfile(label, io.BytesIO(b"0"))
    with pytest.raises(RequestError, match="holds no images"):
        open_listing(f"webdataset:{file}")
