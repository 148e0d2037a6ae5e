"""`webdataset:FILE.tar` or `webdataset:DIR`: tar shards of KEY.jpg and KEY.cls; the ID is KEY."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from falw_cli.data.listing import Listing, Source, Spec, StoredImages, files_below, mark_of, number
from falw_cli.errors import RequestError

IMAGES = frozenset({"jpg", "jpeg", "png", "webp", "gif"})
LABELS = ("cls", "class", "label", "txt")
SMALL = 4096
"""Maximum size of a label in bytes."""


@dataclass(frozen=True)
class Member:
    """The position of an image in a shard."""

    shard: Path
    offset: int
    size: int


@dataclass(frozen=True)
class Members(StoredImages):
    """Images in tar files, read without unpacking."""

    members: tuple[Member, ...]

    def __len__(self) -> int:
        return len(self.members)

    def image(self, row: int) -> bytes:
        one = self.members[row]
        with one.shard.open("rb") as stream:
            stream.seek(one.offset)
            return stream.read(one.size)

    def marks(self) -> Iterator[str]:
        shards = {shard: mark_of(shard) for shard in {one.shard for one in self.members}}
        return (f"{shards[one.shard]}\0{one.offset}\0{one.size}" for one in self.members)

    def keep(self, rows: npt.NDArray[np.int64]) -> Members:
        return Members(tuple(self.members[row] for row in rows))


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the samples in the order of their keys; nothing is unpacked to the disk."""
    place = spec.location
    shards = files_below(place, "*.tar")
    if not shards or not shards[0].is_file():
        raise RequestError(f"{spec.text!r}: no tar file at {place}", "check the path")
    images: dict[str, Member] = {}
    labels: dict[str, str] = {}
    for shard in shards:
        _scan(shard, images, labels)
    bare = next((key for key in images if key not in labels), None)
    if bare is not None:
        raise RequestError(
            f"{spec.text!r}: sample {bare!r} has no label", f"put it beside the image: {bare}.cls"
        )
    keys = sorted(images)
    index, classes, numbered = number([labels[key] for key in keys], spec.text)
    members = Members(tuple(images[key] for key in keys))
    return Listing(spec.text, spec.identity, tuple(keys), index, classes, numbered, members)


def _scan(shard: Path, images: dict[str, Member], labels: dict[str, str]) -> None:
    """Add the images and labels of a shard."""
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                folder, _, name = member.name.rpartition("/")
                stem, _, kind = name.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                if not member.isfile():
                    continue
                if kind.lower() in IMAGES:
                    if key in images:
                        raise RequestError(f"{shard}: {key!r} occurs twice", "rename one")
                    images[key] = Member(shard, member.offset_data, member.size)
                elif kind.lower() in LABELS and member.size <= SMALL:
                    content = archive.extractfile(member)
                    assert content is not None
                    labels[key] = content.read(SMALL).decode().strip()
    except (tarfile.TarError, OSError, UnicodeDecodeError, ValueError) as error:
        raise RequestError(
            f"{shard} cannot be read as a tar file: {error}", "give uncompressed tar files"
        ) from error


source = Source(listing)
