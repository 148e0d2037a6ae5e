"""`webdataset:FILE.tar` or `webdataset:DIR`: tar shards of KEY.jpg and KEY.cls; the ID is KEY."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from falw_cli.data.listing import (
    Listing,
    Source,
    Spec,
    StoredImages,
    Table,
    files_below,
    mark_of,
    number,
)
from falw_cli.errors import RequestError

IMAGES = frozenset({"jpg", "jpeg", "png", "webp", "gif"})
LABELS = ("cls", "class", "label", "txt")
SMALL = 4096
"""Maximum size of a label in bytes."""
LARGE = 1 << 20
"""Maximum size of a JSON member in bytes."""


@dataclass(frozen=True)
class Member:
    """The position of a file in a shard."""

    shard: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """Return its bytes."""
        with self.shard.open("rb") as stream:
            stream.seek(self.offset)
            return stream.read(self.size)


@dataclass(frozen=True)
class Members(StoredImages):
    """Images in tar files, read without unpacking."""

    members: tuple[Member, ...]

    def __len__(self) -> int:
        return len(self.members)

    def image(self, row: int) -> bytes:
        return self.members[row].read()

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
    records: dict[str, Member] = {}
    for shard in shards:
        _scan(shard, images, labels, records)
    bare = next((key for key in images if key not in labels), None)
    if bare is not None:
        raise RequestError(
            f"{spec.text!r}: sample {bare!r} has no label", f"put it beside the image: {bare}.cls"
        )
    keys = sorted(images)
    index, classes, numbered = number([labels[key] for key in keys], spec.text)
    members = Members(tuple(images[key] for key in keys))
    table = partial(_table, {key: records[key] for key in keys if key in records})
    return Listing(
        spec.text, spec.identity, tuple(keys), index, classes, numbered, members, table=table
    )


def _table(records: dict[str, Member]) -> Table:
    """Return the keys of the JSON objects beside the images that have plain values."""
    found: list[dict[str, object]] = []
    for key, member in records.items():
        if member.size > LARGE:
            raise RequestError(
                f"{member.shard}: {key}.json is larger than {LARGE >> 20} MiB", "shorten it"
            )
        try:
            record = json.loads(member.read())
        except (ValueError, RecursionError) as error:
            raise RequestError(
                f"{member.shard}: {key}.json is not JSON: {error}", "fix it"
            ) from error
        pairs = record.items() if isinstance(record, dict) else ()
        found.append({k: v for k, v in pairs if not isinstance(v, list | dict)})
    names = sorted({name for record in found for name in record})
    return Table(list(records), {name: [one.get(name) for one in found] for name in names})


def _scan(
    shard: Path, images: dict[str, Member], labels: dict[str, str], records: dict[str, Member]
) -> None:
    """Add the images, labels and JSON members of a shard."""
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
                elif kind.lower() == "json":
                    records[key] = Member(shard, member.offset_data, member.size)
                elif kind.lower() in LABELS and member.size <= SMALL:
                    content = archive.extractfile(member)
                    assert content is not None
                    labels[key] = content.read(SMALL).decode().strip()
    except (tarfile.TarError, OSError, UnicodeDecodeError, ValueError) as error:
        raise RequestError(
            f"{shard} cannot be read as a tar file: {error}", "give uncompressed tar files"
        ) from error


source = Source(listing)
