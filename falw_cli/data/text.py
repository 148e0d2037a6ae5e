"""Text that may come from anyone, line by line: a line of a gigabyte is not held in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from falw_cli.errors import RequestError

if TYPE_CHECKING:
    from hashlib import _Hash

LONGEST = 1 << 16
"""Bytes that a line may have: an ID is a path at the most."""
BOM = b"\xef\xbb\xbf"


@dataclass
class Lines:
    """The lines of a file in UTF-8, their ends as they are; `digest` is of the bytes so far.

    Attributes:
        stream: where the bytes come from.
        where: what an error calls it.
        limit: bytes that may come.

    Raises:
        RequestError: while iterating: a line is too long, not UTF-8, or holds a NUL byte.
    """

    stream: BinaryIO
    where: str
    limit: int = 1 << 30
    digest: _Hash = field(default_factory=hashlib.sha256)

    def __iter__(self) -> Iterator[str]:
        """Line by line; a byte order mark is passed over."""
        number, left = 0, self.limit
        while raw := self.stream.readline(LONGEST + 1):
            number += 1
            place = f"{self.where} line {number}"
            left -= len(raw)
            if left < 0:
                raise RequestError(
                    f"{self.where} is larger than {self.limit >> 20} MiB", "is it a list of IDs?"
                )
            if len(raw) > LONGEST:
                raise RequestError(f"{place} is longer than {LONGEST:,} bytes", "is it text?")
            if b"\0" in raw:
                raise RequestError(f"{place} holds a NUL byte", "save it as text, in UTF-8")
            self.digest.update(raw)
            try:
                yield raw.removeprefix(BOM if number == 1 else b"").decode()
            except UnicodeDecodeError as error:
                raise RequestError(f"{place} is not UTF-8 text", "save it in UTF-8") from error
