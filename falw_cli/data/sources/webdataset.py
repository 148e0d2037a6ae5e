"""`webdataset:FILE.tar` or `webdataset:DIR`: tar shards of KEY.jpg and KEY.cls; the ID is KEY."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from falw_cli.data.labels import number
from falw_cli.data.listing import (
    Listing,
    Source,
    Spec,
    StoredImages,
    Table,
    mark_of,
)
from falw_cli.data.shards import files_of
from falw_cli.data.skipped import IMAGE_SUFFIXES, Skipped
from falw_cli.errors import RequestError
from falw_cli.runtime.printable import counted

LABELS = ("cls", "class", "label", "txt")
SMALL = 4096
"""Maximum size of a label in bytes."""
LARGE = 1 << 20
"""Maximum size of a JSON member in bytes."""
BLOCK = 512
"""A tar file is made of blocks of this size; it ends with blocks of zeros."""
PADDING = 1 << 16
"""Maximum size of the zeros at the end of a tar file, in bytes."""


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


@dataclass
class Shards:
    """What the shards hold, by key."""

    images: dict[str, Member] = field(default_factory=dict)
    labels: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Place of the suffix in LABELS, and the label."""
    records: dict[str, Member] = field(default_factory=dict)
    dotted: dict[tuple[str, str], tuple[str, Member]] = field(default_factory=dict)
    """Files KEY.MORE.SUFFIX, by KEY.MORE and SUFFIX: name and member."""
    skipped: Skipped = field(default_factory=Skipped)
    notes: list[str] = field(default_factory=list)

    def add(self, key: str, kind: str, member: Member) -> bool:
        """Add a file if its suffix is known; return whether it is.

        Raises:
            RequestError: there are two images of a key.
        """
        if f".{kind}" in IMAGE_SUFFIXES:
            if key in self.images:
                raise RequestError(f"{member.shard}: {key!r} occurs twice", "rename one")
            self.images[key] = member
        elif kind == "json":
            self.records[key] = member
        elif kind in LABELS and member.size <= SMALL:
            place = LABELS.index(kind)
            if key not in self.labels or place < self.labels[key][0]:
                self.labels[key] = (place, member.read().decode("utf-8-sig").strip())
        else:
            return False
        return True

    def add_dotted(self) -> int:
        """Add the files whose key contains a dot; return the number of such samples.

        A key ends at the first dot of a name. Files whose image and label share a longer key are
        samples of that key; others are passed over.
        """
        kinds: dict[str, set[str]] = {}
        for stem, kind in self.dotted:
            kinds.setdefault(stem, set()).add(kind)
        whole = {
            stem for stem, found in kinds.items()
            if found & set(LABELS) and any(f".{kind}" in IMAGE_SUFFIXES for kind in found)
        }  # fmt: skip
        for (stem, kind), (name, member) in self.dotted.items():
            if stem not in whole or not self.add(stem, kind, member):
                self.skipped.add(name)
        return len(whole)


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the samples in the order of their keys; nothing is unpacked to the disk."""
    spec = replace(spec, part=spec.part.casefold())  # as `files_of` names the parts
    part = files_of(spec, frozenset({".tar"}), "tar")
    found = Shards()
    for shard in part.files:
        _scan(shard, found)
    notes = [*part.notes, *found.notes]
    if dotted := found.add_dotted():
        notes.append(f"{dotted} keys contain a dot: they end at the last dot of the file names")
    images, labels = found.images, found.labels
    bare = next((key for key in images if key not in labels), None)
    if bare is not None:
        raise RequestError(
            f"{spec.text!r}: sample {bare!r} has no label", f"put it beside the image: {bare}.cls"
        )
    keys = sorted(images)
    named = number([labels[key][1] for key in keys], spec.text)
    if alone := len(set(labels) - set(images)):
        one, more = "label without an image was", "labels without an image were"
        notes.append(f"{counted(alone, one, more)} passed over")
    notes += [*found.skipped.notes(), *named.notes]
    members = Members(tuple(images[key] for key in keys))
    records = {key: found.records[key] for key in keys if key in found.records}
    return Listing(
        spec.text, spec.identity, tuple(keys), named.indices, named.classes, named.numbered,
        members, table=partial(_table, records), notes=tuple(notes), parts=part.parts,
    )  # fmt: skip


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
        found.append(record if isinstance(record, dict) else {})
    nested = Counter(k for one in found for k, v in one.items() if isinstance(v, list | dict))
    unusable = {
        name: f"the key {name!r} holds a list or an object in {count} of {len(found)} JSON "
        "members: a column has one number or text for each sample"
        for name, count in sorted(nested.items())
    }
    names = sorted({name for record in found for name in record} - set(nested))
    return Table(list(records), {n: [one.get(n) for one in found] for n in names}, unusable)


def _scan(shard: Path, found: Shards) -> None:
    """Add the files of a shard."""
    end = 0
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                end = member.offset_data + -(-member.size // BLOCK) * BLOCK
                if member.isdir():
                    continue
                folder, _, name = member.name.rpartition("/")
                stem, _, kind = name.partition(".")
                key, kind = (f"{folder}/{stem}" if folder else stem), kind.lower()
                if not member.isfile() or name.startswith("."):
                    found.skipped.add(name)
                    continue
                content = Member(shard, member.offset_data, member.size)
                if found.add(key, kind, content):
                    continue
                more, _, kind = kind.rpartition(".")
                if not more:
                    found.skipped.add(name)
                    continue
                longer = member.name[: -len(kind) - 1]
                if (longer, kind) in found.dotted:
                    raise RequestError(f"{shard}: {member.name!r} occurs twice", "rename one")
                found.dotted[longer, kind] = (name, content)
    except (tarfile.TarError, OSError, UnicodeDecodeError, ValueError) as error:
        raise RequestError(
            f"{shard} cannot be read as a tar file: {error}", "give whole, uncompressed tar files"
        ) from error
    found.notes += _end_notes(shard, end)


def _end_notes(shard: Path, end: int) -> list[str]:
    """Return notes on what follows the last file of a shard, whose blocks end at `end`.

    Raises:
        RequestError: neither zeros nor the end of the file: `tarfile` stops there without an error.
    """
    with shard.open("rb") as stream:
        stream.seek(end)
        rest = stream.read(PADDING)
    if not rest:
        return [f"{shard.name} has no end mark: it may be cut off"]
    if any(rest[:BLOCK]):
        raise RequestError(
            f"{shard} is damaged or cut off after {end:,} bytes", "copy or write it again"
        )
    if any(rest):
        more = "it may be several archives in one file"
        return [f"{shard.name}: what follows the end of the archive is passed over; {more}"]
    return []


source = Source(listing, parts="any")
