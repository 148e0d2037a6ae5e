"""WebDataset's tar shards: KEY.jpg and KEY.cls side by side; the ID is the key."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from falw_cli.data.listing import Listing, Spec, mark_of, number
from falw_cli.errors import RequestError

IMAGES = frozenset({"jpg", "jpeg", "png", "webp", "gif"})
LABELS = ("cls", "class", "label", "txt")
SMALL = 4096
"""Bytes that a label may have."""


@dataclass(frozen=True)
class Member:
    """Where an image lies: a shard, and its place in it."""

    shard: Path
    offset: int
    size: int


@dataclass(frozen=True)
class Members:
    """Images in tar files, read where they lie."""

    members: tuple[Member, ...]

    def __len__(self) -> int:
        return len(self.members)

    def image(self, row: int) -> bytes:
        """See `Stored`."""
        one = self.members[row]
        with one.shard.open("rb") as stream:
            stream.seek(one.offset)
            return stream.read(one.size)

    def marks(self) -> Iterator[str]:
        """See `Stored`."""
        shards = {one.shard: "" for one in self.members}
        shards = {shard: mark_of(shard) for shard in shards}
        return (f"{shards[one.shard]}\0{one.offset}\0{one.size}" for one in self.members)

    def keep(self, rows: npt.NDArray[np.int64]) -> Members:
        """See `Stored`."""
        return Members(tuple(self.members[row] for row in rows))


def webdataset(spec: Spec, allow_outside: bool) -> Listing:
    """`webdataset:FILE.tar`, or a folder of them: samples in the order of their keys.

    Nothing is unpacked: members are read where they lie, whatever their names say.
    """
    place = spec.location
    shards = sorted(place.rglob("*.tar")) if place.is_dir() else [place]
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
    """Add a shard's members."""
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
                        raise RequestError(f"{shard}: {key!r} stands there twice", "rename one")
                    images[key] = Member(shard, member.offset_data, member.size)
                elif kind.lower() in LABELS and member.size <= SMALL:
                    content = archive.extractfile(member)
                    assert content is not None
                    labels[key] = content.read(SMALL).decode().strip()
    except (tarfile.TarError, OSError, UnicodeDecodeError, ValueError) as error:
        raise RequestError(
            f"{shard} cannot be read as a tar file: {error}", "shards are plain, not compressed"
        ) from error
