"""Untrusted text, line by line, with a limit on the memory that a line needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from falw_cli.errors import RequestError

if TYPE_CHECKING:
    from hashlib import _Hash

LONGEST = 1 << 16
"""Maximum size of a line in bytes; IDs are at most as long as paths."""
BOM = b"\xef\xbb\xbf"


@dataclass
class Lines:
    """The lines of a UTF-8 file with their line ends; `digest` covers the bytes read so far.

    Attributes:
        stream: where the bytes come from.
        where: its name in an error.
        limit: maximum number of bytes.

    Raises:
        RequestError: while iterating: a line is too long, not UTF-8, or holds a NUL byte, or line
            ends are those of old Macs.
    """

    stream: BinaryIO
    where: str
    limit: int = 1 << 30
    digest: _Hash = field(default_factory=hashlib.sha256)

    def __iter__(self) -> Iterator[str]:
        """Yield each line; a byte order mark is skipped."""
        number, left = 0, self.limit
        while raw := self.stream.readline(LONGEST + 1):
            number += 1
            place = f"{self.where} line {number}"
            left -= len(raw)
            if left < 0:
                raise RequestError(
                    f"{self.where} is larger than {self.limit >> 20} MiB", "check that it is a list"
                )
            if b"\0" in raw:
                raise RequestError(f"{place} holds a NUL byte", "save it as text, in UTF-8")
            if number == 1 and b"\r" in raw.rstrip(b"\r\n"):
                raise RequestError(
                    f"{place} holds a carriage return: old Mac line ends",
                    "save it again with the line ends of Unix or Windows",
                )
            if len(raw) > LONGEST:
                raise RequestError(f"{place} is longer than {LONGEST:,} bytes", "check the file")
            self.digest.update(raw)
            try:
                yield raw.removeprefix(BOM if number == 1 else b"").decode()
            except UnicodeDecodeError as error:
                raise RequestError(
                    f"{place} is not UTF-8 text", "check that it is text, and save it in UTF-8"
                ) from error


def check_header(names: Sequence[str], place: str) -> None:
    """Refuse a CSV header with two columns of one name: which of them is meant is unknown.

    Args:
        names: the cells of the header; empty ones name no column.
        place: file and line, for messages.

    Raises:
        RequestError: a name occurs twice.
    """
    for column, name in enumerate(names):
        if name and name in names[:column]:
            raise RequestError(
                f"{place}: column {name!r} occurs twice", "rename or remove one of the columns"
            )
