"""A log that several runs append to: its lines exist exactly where the outputs do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from falw_cli.errors import RunError
from falw_cli.runtime import journal, outputs
from falw_cli.runtime.journal import opened_log, read_log
from falw_cli.runtime.outputs import Line, claimed, write_all

CALLS = ("open", "write", "fsync", "link", "replace", "unlink")


def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Make a folder of outputs and one of the log, each with earlier content."""
    out, log = tmp_path / "out", tmp_path / "log"
    for folder in (out, log):
        folder.mkdir()
    (out / "model").write_bytes(b"old")
    (out / "report").write_bytes(b"old")
    (log / "ledger").write_bytes(b"first\n")
    return out, log / "ledger"


def append(out: Path, log: Path) -> None:
    """Write both outputs and a line of the log."""
    line = Line(log, lambda content: b"line %d\n" % (content.count(b"\n") + 1))
    write_all({out / "model": b"new", out / "report": b"new"}, line=line)


def dies_at(number: int, work: Callable[[], None]) -> bool:
    """Run in a child that dies at its n-th call that touches the disk; return whether it died."""
    child = os.fork()
    if not child:
        left = [number]
        for name in CALLS:
            real = getattr(os, name)

            def call(*given: Any, real: Any = real, **more: Any) -> Any:
                left[0] -= 1
                if not left[0]:
                    os._exit(9)
                return real(*given, **more)

            setattr(os, name, call)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def by_log(_: Path, log: Path) -> None:
    read_log(log)


def by_outputs(out: Path, _: Path) -> None:
    with claimed([out / "model", out / "report"], force=True):
        pass


@pytest.mark.parametrize("opens", [by_log, by_outputs])
def test_the_line_is_there_exactly_if_the_outputs_are(
    tmp_path: Path, opens: Callable[[Path, Path], None]
) -> None:
    states = []
    for number in range(1, 200):
        folder = tmp_path / str(number)
        folder.mkdir()
        out, log = folders(folder)
        died = dies_at(number, lambda out=out, log=log: append(out, log))  # type: ignore[misc]
        opens(out, log)
        new = [(out / name).read_bytes() == b"new" for name in ("model", "report")]
        assert new in ([True, True], [False, False]), number
        assert log.read_bytes() == (b"first\nline 2\n" if new[0] else b"first\n"), number
        states.append(new[0])
        with opened_log(log):
            pass
        by_outputs(out, log)
        assert sorted(os.listdir(out)) == ["model", "report"], number  # noqa: PTH208
        assert [name for name in os.listdir(log.parent) if name != "ledger"] == []  # noqa: PTH208
        if not died:
            break
    assert len(states) > 20
    assert states == sorted(states)  # one moment divides the runs that did not happen from others


def test_a_new_log_is_private_and_a_shared_one_keeps_its_mode(tmp_path: Path) -> None:
    out, log = folders(tmp_path)
    log.chmod(0o664)
    append(out, log)
    assert log.stat().st_mode & 0o777 == 0o664
    append(out, log.with_name("other"))
    assert log.with_name("other").stat().st_mode & 0o777 == 0o600
    assert log.with_name("other").read_bytes() == b"line 1\n"


def test_runs_that_end_together_append_one_after_another(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from falw_cli.runtime.outputs import Line, write_all\n"
        "folder, name = Path(sys.argv[1]), sys.argv[2]\n"
        "for number in range(20):\n"
        "    line = Line(folder / 'ledger', lambda c: b'%d\\n' % c.count(b'\\n'))\n"
        "    write_all({folder / name: b'x', folder / (name + '.report'): b'x'}, line=line)\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, tmp_path, name]) for name in "abc"]
    assert [one.wait() for one in running] == [0, 0, 0]
    assert (tmp_path / "ledger").read_text().split() == [str(number) for number in range(60)]


def test_a_failed_write_leaves_the_log(tmp_path: Path) -> None:
    out, log = folders(tmp_path)

    def refuses(_: bytes) -> bytes:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        write_all({out / "model": b"new"}, line=Line(log, refuses))
    assert (log.read_bytes(), (out / "model").read_bytes()) == (b"first\n", b"old")


@contextmanager
def planted(tmp_path: Path) -> Any:
    """Plant a draft beside a file that must not change."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "secret").write_bytes(b"secret")
    (victim / ".secret.1.draft").write_bytes(b"forged")
    yield victim / "secret"
    assert (victim / "secret").read_bytes() == b"secret"


def listed(*files: Path, log: Path | None) -> bytes:
    """Return a journal that places the draft of each file."""
    digest = sha256(b"forged").hexdigest()
    drafts = {str(file): (f".{file.name}.1.draft", digest) for file in files}
    return json.dumps({"drafts": drafts, "log": log and str(log)}).encode()


def test_a_forged_journal_alone_reaches_no_other_file(tmp_path: Path) -> None:
    out, log = folders(tmp_path)
    with planted(tmp_path) as secret:
        (out / ".model.commit").write_bytes(listed(secret, log=log))
        by_outputs(out, log)
        (out / ".model.commit").write_bytes(listed(secret, log=secret))
        by_outputs(out, log)


def test_a_forged_pointer_alone_reaches_no_other_file(tmp_path: Path) -> None:
    out, log = folders(tmp_path)
    with planted(tmp_path) as secret:
        for named in (secret, out / ".model.commit", out / "model", "x"):
            (log.parent / ".ledger.commit").write_text(json.dumps({"journal": str(named)}))
            (out / ".model.commit").write_bytes(listed(secret, log=None))
            read_log(log)
            assert (out / "model").read_bytes() == b"old"
        assert os.listdir(log.parent) == ["ledger"]  # noqa: PTH208


def dies_with_a_journal(out: Path, log: Path) -> None:
    """Let runs die until one does just after its journal is complete."""
    commit = out / ".model.commit"
    for number in range(10, 99):
        assert dies_at(number, lambda: append(out, log))
        if commit.exists() and commit.stat().st_size:
            break


def test_a_reader_waits_while_the_outputs_of_a_dead_run_are_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, log = folders(tmp_path)
    dies_with_a_journal(out, log)
    tries: list[bool] = []
    real = journal._recover_log
    with ExitStack() as held:
        held.enter_context(outputs.locked(out / "model"))

        def counted(path: Path) -> bool:
            tries.append(real(path))
            held.close()
            return tries[-1]

        monkeypatch.setattr(journal, "_recover_log", counted)
        assert read_log(log) == b"first\nline 2\n"
    assert tries == [False, True]
    assert (out / "model").read_bytes() == b"new"


@pytest.mark.parametrize("opens", [by_log, by_outputs])
@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_a_commit_is_completed_in_a_folder_that_was_moved_or_copied(
    tmp_path: Path, opens: Callable[[Path, Path], None], move: Callable[[Path, Path], object]
) -> None:
    seen = set()
    for number in range(10, 99):
        old, new = tmp_path / str(number), tmp_path / f"{number}-moved"
        old.mkdir()
        for name in ("model", "report"):
            (old / name).write_bytes(b"old")
        died = dies_at(number, lambda old=old: append(old, old / "ledger"))  # type: ignore[misc]
        move(old, new)
        done = False
        with suppress(FileNotFoundError, RunError):  # the line may be of a run without outputs
            opens(new, new / "ledger")
            read_log(new / "ledger")
            done = True
        assert done == ((new / "model").read_bytes() == b"new"), number
        assert (new / "report").read_bytes() == (b"new" if done else b"old"), number
        assert (new / "ledger").exists() == done, number
        seen.add(done)
        if not died:
            break
    assert seen == {False, True}


def test_the_draft_of_a_log_that_was_moved_alone_is_kept(tmp_path: Path) -> None:
    out, log = folders(tmp_path)
    dies_with_a_journal(out, log)
    log.parent.rename(tmp_path / "moved")
    shutil.move(out, tmp_path / "gone")
    with pytest.raises(RunError, match=r"may hold a line"):
        read_log(tmp_path / "moved" / "ledger")
    assert list((tmp_path / "moved").glob(".ledger.*.draft"))
