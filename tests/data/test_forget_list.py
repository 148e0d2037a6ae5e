"""Forget lists: read in every format, matched with the data, drawn with a long tail."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from falw_cli.data.forget_list import draw, find, read, tail_sizes
from falw_cli.errors import RequestError


def claimed(length: int) -> bytes:
    """Return an array of empty text, which needs no bytes: its header may claim any length."""
    stream = io.BytesIO()
    about = {"descr": "<U0", "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(stream, about)
    return stream.getvalue()


def array(values: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(values))
    return stream.getvalue()


FORMATS: dict[str, tuple[str, bytes]] = {
    "plain": ("ids.txt", b"a\nb\n"),
    "BOM, CRLF, comments": ("ids.txt", b"\xef\xbb\xbf# note\r\n\r\na\r\nb"),
    "column id": ("ids.csv", b"id,why\na,x\nb,y\n"),
    "column id, BOM, CRLF": ("IDS.CSV", b"\xef\xbb\xbfwhy,id\r\nx,a\r\n\r\ny,b\r\n"),
    "only column, no header": ("ids.csv", b"a\nb\n"),
    "only column": ("ids.csv", b"name\na\nb\n"),
    "text array": ("ids.npy", array(["a", "b"])),
    "array of bytes": ("ids.npy", array([b"a", b"b"])),
    "JSON": ("ids.json", b'\xef\xbb\xbf["a", "b"]'),
    "JSON lines": ("ids.jsonl", b'"a"\n\n{"id": "b", "why": 1}\r\n'),
    "duplicate": ("ids.txt", b"a\nb\na\n"),
}


@pytest.mark.parametrize("what", FORMATS)
def test_formats(tmp_path: Path, what: str) -> None:
    name, content = FORMATS[what]
    file = tmp_path / name
    file.write_bytes(content)
    found = read(str(file), "abc")
    assert found.ids == ("a", "b")
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.duplicates == (what == "duplicate")
    assert len(found.remarks) == (what == "only column")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ids.npy", array([3, 7])), ("ids.npy", array(np.array([3, 7], dtype=np.uint8))),
        ("ids.json", b"[3, 7]"), ("ids.jsonl", b'{"id": 3}\n7\n'), ("ids.csv", b"3\n7\n"),
    ],
)  # fmt: skip
def test_integers_are_row_numbers(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert read(str(tmp_path / name), ("3", "7")).ids == ("3", "7")


INVALID: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.txt", b"\n# nothing\n", "no ID"),
    "not UTF-8": ("a.txt", b"a\n\xff\n", "line 2"),
    "no column id": ("a.csv", b"name,why\nx,y\n", "line 1: no column id"),
    "two columns id": ("a.csv", b"id,why,id\na,x,b\n", "line 1: column 'id' occurs twice"),
    "semicolons": ("a.csv", b"id;why\na;x\n", "line 1: no column id"),
    "comma in an ID": ("a.csv", b"a\nb, c.png\n", "line 2 has 2 columns"),
    "row without an ID": ("a.csv", b"id,why\na,x\n,y\n", "line 3 has no ID"),
    "open quote": ("a.csv", b'id\na\n"b\n', "line 3"),
    "not JSON": ("a.json", b'["a",\n x]', "line 2 is not JSON"),
    "deep JSON": ("a.json", b"[" * 100_000, "not JSON"),
    "JSON object": ("a.json", b'{"ids": ["a"]}', "holds no list"),
    "JSON number": ("a.json", b'["a", 1.5]', "entry 2 must be a string or an integer"),
    "JSON truth": ("a.json", b"[true]", "entry 1 must be a string or an integer"),
    "JSON line": ("a.jsonl", b'"a"\nb\n', "line 2 is not JSON"),
    "no key id": ("a.jsonl", b'{"name": "a"}\n', "line 1: no key id"),
    "pickle": ("a.npy", array(np.array([{"a": 1}], dtype=object)), "cannot be read as an array"),
    "wrong size": ("a.npy", array(np.arange(9))[:-8], "cannot be read as an array"),
    "no array": ("a.npy", b"a\nb\n", "cannot be read as an array"),
    "length without values": ("a.npy", claimed(10**12), "it holds no values"),
    "mask": ("a.npy", array([True, False]), "true and false"),
    "mask of integers": ("a.npy", array([0, 1, 1]), "holds 3 numbers 0 and 1"),
    "mask as JSON": ("a.json", b"[0, 0, 1, 0]", "holds 4 numbers 0 and 1"),
    "mask as text": ("a.txt", b"0\n1\n1\n", "holds 3 numbers 0 and 1"),
    "fractions": ("a.npy", array([1.0, 2.0]), "float64"),
    "two dimensions": ("a.npy", array([[1], [2]]), "2x1"),
}


@pytest.mark.parametrize("what", INVALID)
def test_invalid_lists_are_refused(tmp_path: Path, what: str) -> None:
    name, content, message = INVALID[what]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=message):
        read(str(tmp_path / name))


KNOWN = ("a.png", "b.png", "3", "7")


def test_the_only_column_of_known_ids_is_taken_with_a_remark(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("label,path\n3,a.png\n3, b.png\n")
    found = read(str(tmp_path / "a.csv"), KNOWN)
    assert found.ids == ("a.png", "b.png")
    assert "the column 'path' was taken" in found.remarks[0]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("label,path\n3,a.png\n3,c.png\n", "'path', 1 of 2 values are IDs"),
        ("one,other\na.png,b.png\n", "name the ID column id"),  # which one is unknown
        ("label,count\n3,9\n7,9\n", "name the ID column id"),  # labels are no row numbers
        ("a.png,cat\nb.png,cat\n", "name the ID column id"),  # without a header
        ("label,path\n", "name the ID column id"),
    ],
)
def test_an_uncertain_column_is_refused(tmp_path: Path, text: str, hint: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(RequestError, match="no column id among") as refused:
        read(str(tmp_path / "a.csv"), KNOWN)
    assert hint in refused.value.hint


def test_a_known_id_is_not_a_comment(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("#a\n# asked for on Monday\n b\n c\n")
    known = ("#a", " b", "c")
    found = read(str(tmp_path / "ids.txt"), known)
    assert found.ids == known
    assert "lines that begin with # are no IDs" in found.remarks[0]
    assert read(str(tmp_path / "ids.txt")).ids == ("b", "c")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ids.txt", " a\nb \na\n"), ("ids.csv", "id,why\n a,\nb ,\na,\n"),
        ("ids.csv", " a\nb \na\n"), ("ids.json", '[" a", "b ", "a"]'),
        ("ids.jsonl", '" a"\n{"id": "b "}\n"a"\n'),
    ],
)  # fmt: skip
def test_spaces_belong_to_an_id_that_has_them(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    found = read(str(tmp_path / name), (" a", "a", "b"))
    assert found.ids == (" a", "b", "a")
    assert [one.partition(": ")[2] for one in found.remarks] == [
        "IDs found only without the spaces around them: 1"
    ]


def test_the_order_of_a_list_has_no_effect() -> None:
    assert find(["c", "a"], "abcd").tolist() == find(["a", "c"], "abcd").tolist() == [0, 2]


def test_unknown_ids_are_counted_and_the_first_five_named() -> None:
    with pytest.raises(RequestError) as caught:
        find([f"x{i}" for i in range(7)], ["a", "x00"])
    assert "7 of 7" in str(caught.value)
    assert "x4" in str(caught.value)
    assert "x5" not in str(caught.value)
    assert "x00" in caught.value.hint


def test_power_law_by_hand() -> None:
    """With gamma 1, ranks 1, 2, 3 have shares 6 : 3 : 2; of 22 these are 12, 6 and 4."""
    sizes = tail_sizes(np.array([100, 100, 100]), 22, 1.0, seed=0)
    assert sorted(sizes.tolist(), reverse=True) == [12, 6, 4]


def test_excess_of_a_small_class_is_redistributed() -> None:
    """The head class has only 5 of its 12; the other 17 are split 3 : 2, which is 10.2 and 6.8."""
    free = tail_sizes(np.array([100, 100, 100]), 22, 1.0, seed=0)
    available = np.where(free == 12, 5, 100)
    assert sorted(tail_sizes(available, 22, 1.0, seed=0).tolist()) == [5, 7, 10]


available = st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(sum)


@given(available, st.floats(0, 3), st.floats(0.01, 1), st.integers(0, 5))
def test_sizes_sum_exactly_and_fit(have: list[int], gamma: float, ratio: float, seed: int) -> None:
    cap = np.array(have)
    total = max(1, int(ratio * cap.sum()))
    sizes = tail_sizes(cap, total, gamma, seed)
    assert sizes.sum() == total
    assert (sizes >= 0).all()
    assert (sizes <= cap).all()
    if total >= (cap > 0).sum():
        assert (sizes[cap > 0] >= 1).all()


@given(st.integers(1, 40), st.integers(2, 8))
def test_gamma_zero_is_balanced(total: int, number: int) -> None:
    sizes = tail_sizes(np.full(number, 50), total, 0.0, seed=1)
    assert sizes.max() - sizes.min() <= 1


def test_draw_takes_the_sizes_and_repeats() -> None:
    labels = np.arange(60) % 3
    rows = draw(labels, np.array([5, 0, 2]), seed=4)
    assert np.bincount(labels[rows], minlength=3).tolist() == [5, 0, 2]
    assert rows.tolist() == draw(labels, np.array([5, 0, 2]), seed=4).tolist()
    assert rows.tolist() != draw(labels, np.array([5, 0, 2]), seed=5).tolist()


@pytest.mark.parametrize(
    ("ids", "named"), [(["image path", "a", "b"], True), (["a", "x y"], False), (["x y"], False)]
)
def test_an_unknown_first_line_may_be_the_name_of_a_column(ids: list[str], named: bool) -> None:
    with pytest.raises(RequestError, match="are not in the training data") as refused:
        find(ids, ["a", "b"])
    assert ("if it is the name of a column" in refused.value.hint) == named
