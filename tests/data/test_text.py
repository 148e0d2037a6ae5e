"""Lines of untrusted text files."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falw_cli.data.text import LONGEST, Lines
from falw_cli.errors import RequestError


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n\r"))))
def test_lines_are_unchanged_and_the_digest_is_of_the_bytes(lines: list[str]) -> None:
    content = "\n".join(lines).encode()
    read = Lines(io.BytesIO(b"\xef\xbb\xbf" + content), "it")
    assert "".join(read) == content.decode()
    assert read.digest.hexdigest() == hashlib.sha256(b"\xef\xbb\xbf" + content).hexdigest()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a\nb\0c\n", "it line 2 holds a NUL byte"),
        (b"a\n\xff\n", "it line 2 is not UTF-8 text"),
        (b"id\ra\rb\r", "it line 1 holds a carriage return"),
        (b"id\r" + b"a\r" * LONGEST, "it line 1 holds a carriage return"),
        (b"x" * (LONGEST + 1), "it line 1 is longer than 65,536 bytes"),
    ],
)
def test_invalid_text_is_reported_with_its_line(content: bytes, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        list(Lines(io.BytesIO(content), "it"))


def test_a_huge_line_is_not_kept_in_memory() -> None:
    class Endless(io.RawIOBase):
        read_so_far = 0

        def readline(self, size: int | None = -1) -> bytes:
            assert size == LONGEST + 1
            self.read_so_far += size
            return b"x" * size

    source = Endless()
    with pytest.raises(RequestError, match="longer than"):
        list(Lines(source, "it"))  # type: ignore[arg-type]
    assert source.read_so_far == LONGEST + 1


def test_too_many_lines_are_refused_before_they_are_kept() -> None:
    with pytest.raises(RequestError, match="larger than 1 MiB"):
        list(Lines(io.BytesIO(b"line\n" * 300_000), "it", limit=1 << 20))
