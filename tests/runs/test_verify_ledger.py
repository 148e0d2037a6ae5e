"""A ledger is verified with the outputs and reports that are at hand."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from falw_cli.audit.report import Output, Report
from falw_cli.audit.seal import to_text
from falw_cli.data import ledger
from falw_cli.errors import RequestError
from falw_cli.runs.inspection import read_report
from falw_cli.runs.verify_ledger import verify_ledger
from tests.audit.reports import report as made


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def record(folder: Path, name: str, content: bytes) -> None:
    """Write an output and its report, and add their line to the ledger of the folder."""
    out, file, path = folder / name, folder / f"{name}.audit.json", folder / "ledger"
    out.write_bytes(content)
    found: Report = made()
    output = Output(path=str(out), sha256=sha256(out))
    entry = ledger.Run(
        ["a", "b"], "a" * 64, "b" * 64, output.sha256, name, ledger.FIRST, file.name
    ).entry()  # fmt: skip
    said = {"output": output, "config": {"ledger": "old/ledger"}, "ledger_line": entry.of_run}
    file.write_text(to_text(found.model_copy(update=said)))
    entry = entry.model_copy(update={"report": sha256(file)})
    old = path.read_bytes() if path.exists() else b""
    path.write_bytes(old + ledger.next_line(old, entry, "ledger"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        record(tmp_path, f"u{number}.safetensors", b"%d" % number)
    return tmp_path


def states(folder: Path, *given: Path) -> list[str]:
    return [one.problem or one.state for one in verify_ledger(folder / "ledger", given)]


def test_an_unchanged_ledger_has_one_state_per_line(folder: Path) -> None:
    assert states(folder) == ["output unchanged, report unchanged"] * 3
    first = verify_ledger(folder / "ledger")[0]
    assert first.name.startswith("line 1, 20")
    assert first.name.endswith(", 2 IDs")


def test_files_elsewhere_are_not_at_hand_unless_given(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(folder / "ledger", other)
    assert states(other) == ["output not at hand, report not at hand"] * 3
    given = folder / "u1.safetensors.audit.json"
    assert states(other, given)[1] == "output unchanged, report unchanged"
    with pytest.raises(RequestError, match="no report"):
        states(other, folder / "absent.json")


def test_changed_files_are_problems(folder: Path) -> None:
    (folder / "u0.safetensors").write_bytes(b"other")
    (folder / "u1.safetensors.audit.json").write_text("{}")
    found = verify_ledger(folder / "ledger")
    assert found[0].problem == "output u0.safetensors is not the file of the run"
    assert found[1].problem == "report u1.safetensors.audit.json is not the file of the run"
    assert found[2].problem is None


def test_an_output_that_a_later_run_replaced_is_named(folder: Path) -> None:
    record(folder, "u1.safetensors", b"again")
    replaced = "output replaced by the run of line 4, report replaced by the run of line 4"
    assert states(folder)[1] == replaced


def test_a_removed_line_is_found_in_the_middle_and_at_the_end(folder: Path) -> None:
    lines = (folder / "ledger").read_bytes().splitlines(keepends=True)
    (folder / "ledger").write_bytes(lines[0] + lines[2])
    found = verify_ledger(folder / "ledger")
    assert "does not follow" in str(found[1].problem)
    assert found[2].name == "u1.safetensors.audit.json"
    (folder / "ledger").write_bytes(lines[0] + lines[1])
    (problem,) = (one for one in verify_ledger(folder / "ledger") if one.problem)
    assert problem.name == "u2.safetensors.audit.json"
    assert "has no line for it" in str(problem.problem)


@pytest.mark.parametrize("field", ["ids", "salt", "created", "model"])
def test_a_change_of_the_last_line_is_found_by_its_report(folder: Path, field: str) -> None:
    *lines, last = (folder / "ledger").read_bytes().splitlines(keepends=True)
    changed = json.loads(last)
    others = {"ids": changed["ids"][1:], "created": "2026-01-01T00:00:00Z"}
    changed[field] = others.get(field, "0" * 64)
    (folder / "ledger").write_bytes(b"".join([*lines, json.dumps(changed).encode() + b"\n"]))
    assert "holds another digest of this line" in states(folder)[2]


def test_a_report_that_is_given_must_have_a_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "renamed").write_bytes((folder / "ledger").read_bytes().splitlines(True)[0])
    monkeypatch.chdir(folder)
    for given in (Path("u1.safetensors.audit.json"), folder / "u1.safetensors.audit.json"):
        last = verify_ledger(Path("renamed"), [given])[-1]
        assert "has no line for it" in str(last.problem)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_renamed_ledger_is_known_by_its_reports(folder: Path, replaced: bool) -> None:
    lines = (folder / "ledger").read_bytes().splitlines(keepends=True)
    (folder / "ledger").rename(folder / "renamed")
    if replaced:  # a new ledger of the old name holds the last line
        (folder / "ledger").write_bytes(lines[2])
    (folder / "renamed").write_bytes(lines[0] + lines[1])
    found = [one.name for one in verify_ledger(folder / "renamed") if one.problem]
    assert found == ([] if replaced else ["u2.safetensors.audit.json"])


def test_an_empty_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(b"")
    with pytest.raises(RequestError, match="has no line"):
        verify_ledger(tmp_path / "ledger")


def test_a_ledger_in_place_of_a_report_is_named(folder: Path) -> None:
    with pytest.raises(RequestError, match="is a ledger") as refused:
        read_report(folder / "ledger")
    assert "falw verify --ledger" in refused.value.hint
