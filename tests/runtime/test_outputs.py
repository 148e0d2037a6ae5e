"""Outputs are written completely or not at all: each call that may fail is made to fail."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from falw_cli.errors import RequestError, RunError
from falw_cli.runtime import outputs
from falw_cli.runtime.outputs import (
    check_claim,
    check_log,
    check_writable,
    claimed,
    write_all,
)

CALLS = ("open", "write", "fsync", "link", "replace", "close")


class Faulty:
    """The os module with a failure at the n-th call that touches the disk."""

    def __init__(self, fails_at: int, error: int = errno.ENOSPC) -> None:
        self.fails_at, self.error, self.calls = fails_at, error, 0
        self.failed = ""

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*arguments: Any, **more: Any) -> Any:
            self.calls += 1
            if self.calls == self.fails_at:
                self.failed = name
                raise OSError(self.error, os.strerror(self.error))
            return real(*arguments, **more)

        return call


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("before", [{}, {"model": b"old"}, {"model": b"old", "report": b"old"}])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.ESTALE])
def test_a_call_that_fails_leaves_the_existing_files(
    tmp_path: Path, before: dict[str, bytes], error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make call 1, 2, ... fail, until a run succeeds."""
    failed: set[str] = set()
    for number in range(1, 100):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, content in before.items():
            (folder / name).write_bytes(content)
        files = {folder / "model": b"new " * 999, folder / "report": b"new"}
        faulty = Faulty(number, error)
        monkeypatch.setattr(outputs, "os", faulty)
        try:
            write_all(files)
        except RunError as told:
            message = str(told)
            failed.add(faulty.failed)
        else:
            assert faulty.calls < faulty.fails_at
            assert contents(folder) == {file.name: content for file, content in files.items()}
            break
        assert contents(folder) == before, (number, faulty.failed)
        assert "nothing was replaced" in message
    assert failed == set(CALLS) - (set() if before else {"link"})


def test_a_file_system_without_hard_links_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").write_bytes(b"old")

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    write_all({tmp_path / "model": b"new"})
    assert contents(tmp_path) == {"model": b"new"}


def test_a_missing_folder_leaves_the_first_file_unchanged(tmp_path: Path) -> None:
    old = tmp_path / "one"
    old.write_bytes(b"old")
    with pytest.raises(RunError):
        write_all({old: b"new", tmp_path / "gone" / "two": b"new"})
    assert contents(tmp_path) == {"one": b"old"}


def test_existing_outputs_need_force(tmp_path: Path) -> None:
    file = tmp_path / "a"
    check_writable(file, force=False)
    file.write_bytes(b"")
    with pytest.raises(RequestError, match="exists"):
        check_writable(file, force=False)
    check_writable(file, force=True)
    with pytest.raises(RequestError, match="no folder"):
        check_writable(tmp_path / "gone" / "a", force=True)


DIES = """
import os, sys
from pathlib import Path
from falw_cli.runtime import outputs
real, left = os.replace, [int(sys.argv[2])]
def replace(*arguments):
    if not left[0]:
        os._exit(9)
    left[0] -= 1
    real(*arguments)
os.replace = replace
folder = Path(sys.argv[1])
outputs.write_all({folder / "model": b"new", folder / "report": b"new"})
"""


@pytest.mark.parametrize("renamed", [0, 1])
def test_the_next_run_completes_the_commit_of_a_killed_one(tmp_path: Path, renamed: int) -> None:
    (tmp_path / "model").write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", DIES, tmp_path, str(renamed)], check=False)
    assert done.returncode == 9
    files = [tmp_path / "model", tmp_path / "report"]
    with claimed(files, force=True):
        found = contents(tmp_path)
        del found[".model.lock"]
        assert found == {"model": b"new", "report": b"new"}
    assert contents(tmp_path) == {"model": b"new", "report": b"new"}


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_the_commit_of_a_folder_is_completed_whole(tmp_path: Path, renamed: int) -> None:
    """The claim names one file of the folder, and the report."""
    out, report, new = tmp_path / "out", tmp_path / "report", b"new"
    out.mkdir()
    (out / "weights").write_bytes(b"old")
    (out / ".weights.7.draft").write_bytes(b"of an earlier run")
    files = "{folder / 'out/config': b'new', folder / 'out/weights': b'new', "
    files += "folder / 'report': b'new'}"
    dies = DIES.replace('{folder / "model": b"new", folder / "report": b"new"}', files)
    subprocess.run([sys.executable, "-c", dies, tmp_path, str(renamed)], check=False)
    with claimed([out / "config", report], force=True, folder=out):
        pass
    assert contents(out) == {"config": new, "weights": new}
    assert report.read_bytes() == new


def test_only_drafts_of_dead_runs_are_removed(tmp_path: Path) -> None:
    names = (".model.12.draft", ".model.12.old", ".model.state.12.draft")
    others = (".model2.12.draft", ".model.draft", "model.12.draft", ".model.x.draft")
    for name in (*names, *others):
        (tmp_path / name).write_bytes(b"")
    with claimed([tmp_path / "model"], force=False):
        pass
    assert set(contents(tmp_path)) == set(others)


def test_a_planted_journal_moves_only_falw_drafts(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / ".elsewhere.1.draft").write_bytes(b"secret")
    planted = {
        str(tmp_path / name): (draft, sha256(b"secret").hexdigest())
        for name, draft in (("model", "secret"), ("elsewhere", ".elsewhere.1.draft"))
    }
    for log in (None, str(tmp_path / "elsewhere")):
        (tmp_path / ".model.commit").write_text(json.dumps({"drafts": planted, "log": log}))
        with claimed([tmp_path / "model"], force=False):
            pass
        assert contents(tmp_path) == {"secret": b"secret", ".elsewhere.1.draft": b"secret"}


def test_a_draft_with_another_content_is_not_placed(tmp_path: Path) -> None:
    (tmp_path / ".model.1.draft").write_bytes(b"new")
    planted = {str(tmp_path / "model"): (".model.1.draft", sha256(b"other").hexdigest())}
    (tmp_path / ".model.commit").write_text(json.dumps({"drafts": planted, "log": None}))
    with claimed([tmp_path / "model"], force=False):
        pass
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("journal", ["", "{", "[1", "[1]", "\x00", "{}", '{"drafts": 1}'])
def test_a_truncated_journal_renames_nothing(tmp_path: Path, journal: str) -> None:
    (tmp_path / "model").write_bytes(b"before")
    (tmp_path / ".model.12.draft").write_bytes(b"after")
    (tmp_path / ".model.commit").write_text(journal)
    with claimed([tmp_path / "model"], force=True):
        pass
    assert contents(tmp_path) == {"model": b"before"}


def test_a_second_run_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    file = tmp_path / "model"
    code = (
        "import sys, time; from pathlib import Path; from falw_cli.runtime.outputs import claimed\n"
        "with claimed([Path(sys.argv[1])], force=True):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    first = subprocess.Popen([sys.executable, "-c", code, file], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    with pytest.raises(RequestError, match="another run"), claimed([file], force=True):
        pass
    first.kill()
    first.wait()
    with claimed([file], force=True):
        pass
    assert contents(tmp_path) == {}


def test_a_claim_is_checked_without_writing(tmp_path: Path) -> None:
    """A dry run refuses what the run would refuse."""
    (tmp_path / "report").write_bytes(b"old")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "config").write_bytes(b"old")
    before = sorted(tmp_path.rglob("*"))
    new, old = tmp_path / "model", tmp_path / "report"
    check_claim([new], force=False)
    with pytest.raises(RequestError, match="report exists"):
        check_claim([new, old], force=False)
    check_claim([new, old], force=True)
    for name, error in (("absent", None), ("full", "config exists"), ("no/absent", "no folder")):
        folder = tmp_path / name
        files = [folder / "config", new]
        with pytest.raises(RequestError, match=error) if error else nullcontext():
            check_claim(files, force=False, folder=folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_log_that_is_write_protected_or_has_no_folder_is_refused(tmp_path: Path) -> None:
    log, link = tmp_path / "log", tmp_path / "link"
    check_log(log)
    log.touch(0o444)
    with pytest.raises(RequestError, match="write-protected"):
        check_log(log)
    log.chmod(0o600)
    check_log(log)
    link.symlink_to(tmp_path / "absent" / "log")
    with pytest.raises(RequestError, match="there is no folder"):
        check_log(link)


@pytest.mark.parametrize(
    ("name", "action"),
    [("m.pt", "with --out"), ("m.audit.json", "with --report"), ("falw.yaml", "move it away")],
)
def test_the_hint_names_the_flag_for_another_name(tmp_path: Path, name: str, action: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(RequestError, match="exists") as caught:
        check_writable(tmp_path / name, force=False)
    assert action in caught.value.hint
