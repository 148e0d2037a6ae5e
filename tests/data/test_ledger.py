"""The ledger: no ID can be read from it, and no line changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from falw_cli.data import forget_list, ledger
from falw_cli.data.ledger import FIRST, Run
from falw_cli.errors import RequestError


def run(*ids: str, output: str = "b") -> Run:
    return Run(ids, "a" * 64, "c" * 64, output * 64, "u.safetensors", "d" * 64, "u.audit.json")


def written(file: Path, *runs: Run) -> bytes:
    content = b""
    for one in runs:
        content += ledger.next_line(content, one.entry(), str(file))
    file.write_bytes(content)
    return content


def test_an_entry_recognises_its_ids_and_does_not_hold_them(tmp_path: Path) -> None:
    file = tmp_path / "ledger"
    ids = ["cat/private-1.png", "dog/2.png", "\udcff.png"]
    content = written(file, run(*ids), run(ids[0]))
    assert b"private" not in content
    assert b"png" not in content
    assert b"forgotten" not in content  # versions without this key read the line
    first, second = ledger.read(file)
    assert first.rows(["x", *reversed(ids), "cat"]).tolist() == [1, 2, 3]
    assert second.rows(ids).tolist() == [0]
    assert not set(first.ids) & set(second.ids)  # another salt
    assert list(first.ids) == sorted(first.ids)  # in no order of the list
    assert first.previous == FIRST
    assert second.previous == ledger.digest(content.split(b"\n")[0])


def without_a_line(content: bytes) -> bytes:
    return b"".join(line for n, line in enumerate(content.splitlines(True)) if n != 1)


def with_an_edit(content: bytes) -> bytes:
    lines = [json.loads(line) for line in content.splitlines()]
    lines[1]["output"] = "e" * 64
    return b"".join(json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in lines)


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (without_a_line, 2, "does not follow"),
        (with_an_edit, 3, "does not follow"),
        (lambda content: content[:-1], 3, "incomplete"),
        (lambda content: content + b"?\n", 4, "malformed at JSON"),
        (lambda content: content + b"{}\n", 4, "malformed at created"),
        (lambda content: content.replace(b'"version":1', b'"version":2', 1), 1, "version"),
        (lambda content: content.replace(b'Z",', b'",', 1), 1, "malformed at created"),
        (lambda content: b"{\xff\xfe\n" + content, 1, "malformed"),
    ],
)
def test_a_changed_ledger_is_refused_with_the_line(
    tmp_path: Path, change: Callable[[bytes], bytes], line: int, says: str
) -> None:
    file = tmp_path / "ledger"
    file.write_bytes(change(written(file, run("a"), run("b"), run("c"))))
    with pytest.raises(RequestError, match=rf"line {line}\b.*{says}"):
        ledger.read(file)


@pytest.mark.parametrize(("before", "after"), [(b"\xef\xbb\xbf", b""), (b"", b"\n \n")])
def test_what_an_editor_adds_to_a_ledger_is_no_line(
    tmp_path: Path, before: bytes, after: bytes
) -> None:
    file = tmp_path / "ledger"
    content = before + written(file, run("a"), run("b")) + after
    content += ledger.next_line(content, run("c").entry(), "ledger")
    assert len(ledger.parse(content, "ledger")) == 3
    assert ledger.unlinked(content, ledger.parse_lines(content, "ledger")) == []
    with pytest.raises(RequestError, match="is a ledger, not a list") as told:
        forget_list.read(str(file))
    assert told.value.hint == "give it as --ledger"


def test_another_file_is_not_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("1\n2\n")
    with pytest.raises(RequestError, match="is not a ledger"):
        ledger.read(tmp_path / "ids.txt")


def test_an_absent_ledger_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        ledger.read(tmp_path / "ledger")


@pytest.mark.parametrize("field", ["ids", "salt", "output"])
def test_a_last_line_that_its_report_contradicts_is_refused(tmp_path: Path, field: str) -> None:
    entry, report = run("a", "b").entry(), tmp_path / "u.audit.json"
    report.write_text(json.dumps({"ledger_line": entry.of_run}))
    entry = entry.model_copy(update={"report": hashlib.sha256(report.read_bytes()).hexdigest()})
    ledger.refuse_changed([entry], [tmp_path], "ledger")
    edited = entry.model_copy(update={field: entry.ids[:1] if field == "ids" else "0" * 64})
    ledger.refuse_changed([edited], [tmp_path / "elsewhere"], "ledger")
    with pytest.raises(RequestError, match="line 1 was changed: report"):
        ledger.refuse_changed([edited], [tmp_path], "ledger")
