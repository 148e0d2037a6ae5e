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


def _tar(file: Path, picture: bytes, members: dict[str, bytes | None]) -> str:
    """Write a tar; None stands for the picture."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for name, content in members.items():
            one = tarfile.TarInfo(name)
            data = picture if content is None else content
            one.size = len(data)
            archive.addfile(one, io.BytesIO(data))
    return f"webdataset:{file}"


@pytest.mark.parametrize(
    ("members", "found", "said"),
    [
        ({"a.png": None, "a.cls": b"1"}, {"a": 1}, []),
        ({"a.tif": None, "a.cls": b"1", "b.bmp": None, "b.cls": b"0"}, {"a": 1, "b": 0}, []),
        ({"n.01.png": None, "n.01.cls": b"3", "n.02.png": None, "n.02.cls": b"2"},
         {"n.01": 3, "n.02": 2}, ["2 keys contain a dot"]),
        ({"a.png": None, "a.cls": b"1", "a.left.png": None, "a.depth.npy": b"x"}, {"a": 1},
         ["2 files of other kinds were passed over: .npy (1), .png (1)"]),
        ({"a.png": None, "a.cls": b"1", "._a.png": b"x", ".DS_Store": b"x"}, {"a": 1},
         ["2 files of other kinds were passed over: .DS_Store (1), ._* (1)"]),
        ({"a.png": None, "a.cls": b"1", "b.cls": b"0"}, {"a": 1},
         ["1 label without an image was passed over"]),
        ({"a.txt": b"a caption", "a.png": None, "a.cls": b"1"}, {"a": 1}, []),
        ({"a.png": None, "a.cls": b"\xef\xbb\xbf4"}, {"a": 4}, []),
        ({"a.png": None, "a.cls": b"tensor(10)"}, {"a": 10}, ["read as whole numbers"]),
    ],
)  # fmt: skip
def test_every_file_is_read_or_counted(
    pictures: Listing, tmp_path: Path, members: dict[str, bytes | None], found: dict[str, int],
    said: list[str],
) -> None:  # fmt: skip
    listing = open_listing(_tar(tmp_path / "0.tar", pictures.raw(0), members))
    assert dict(zip(listing.ids, listing.labels.tolist(), strict=True)) == found
    assert len(listing.notes) == len(said)
    assert all(text in note for text, note in zip(said, listing.notes, strict=True))


def test_shards_without_images_name_what_they_hold(tmp_path: Path) -> None:
    spec = _tar(tmp_path / "0.tar", b"", {"a.npy": b"x", "a.cls": b"1", "b.mp4": b"x"})
    with pytest.raises(RequestError, match="holds no images") as caught:
        open_listing(spec)
    for said in ("1 label without an image", "2 files of other kinds", ".mp4 (1), .npy (1)"):
        assert said in caught.value.hint


def test_shards_of_several_parts(pictures: Listing, tmp_path: Path) -> None:
    for part in ("train", "val"):
        file = tmp_path / "d" / f"{part}-000000.tar"
        _tar(file, pictures.raw(0), {f"{part}1.png": None, f"{part}1.cls": b"0"})
    spec = f"webdataset:{tmp_path / 'd'}"
    assert open_listing(f"{spec}#val").ids == ("val1",)
    assert open_listing(spec).ids == ("train1", "val1")
    assert "one of them" in open_listing(spec).notes[0]


def test_a_shard_that_is_cut_off_or_goes_on_after_its_end_is_named(
    pictures: Listing, tmp_path: Path
) -> None:
    """`tarfile` reads all of these without an error, up to the damage or the end mark."""
    file = tmp_path / "0.tar"
    shard(pictures, file, [0, 1])
    whole = file.read_bytes()
    assert open_listing(f"webdataset:{file}").notes == ()
    with tarfile.open(file) as archive:
        *_, last = archive
    end = last.offset_data + 512
    file.write_bytes(whole[:end])
    (note,) = open_listing(f"webdataset:{file}").notes
    assert note == "0.tar has no end mark: it may be cut off"
    file.write_bytes(whole + whole)
    (note,) = open_listing(f"webdataset:{file}").notes
    assert "it may be several archives in one file" in note
    for damaged in (whole[: end - 900], whole[:1024] + b"x" * 512 + whole[1536:]):
        file.write_bytes(damaged)
        with pytest.raises(
            RequestError, match=r"damaged or cut off|cannot be read as a tar|no label"
        ):
            open_listing(f"webdataset:{file}")
