"""Unusual environments: no network, no home, other locales, streams that are closed or full."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests import at_once
from tests.conftest import COMMAND, clean_environment, falw, run_falw
from tests.data.pictures import make_folder

PRELOAD = Path(__file__).parents[1] / "faults" / "preload"
RUN = ("unlearn", "model.safetensors", "--forget", "ids.txt", "--epochs", "1", "--stop", "epochs",
       "--no-forgotten-gate")  # fmt: skip


def alone() -> dict[str, str]:
    """Environment that ends the process if it uses the network or writes to its installation."""
    before = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join([str(PRELOAD), before]), "FAULTS_ALONE": "1"}


OTHER_SYSTEM = """\
import builtins, os, signal, sys
del os.posix_fallocate, signal.SIGCHLD
real = builtins.__import__
def without(name, where=None, *rest, **more):
    asks = str((where or {}).get("__name__"))
    if name in ("fcntl", "resource") and asks.split(".")[0] == "falw_cli":
        raise ImportError(f"no module {name} on this system")
    return real(name, where, *rest, **more)
builtins.__import__ = without
"""
"""A sitecustomize.py that hides from falw what macOS or Windows lack."""


def shell(script: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash: $FALW is the quick command of `at_once`, $FRESH the installed one."""
    return subprocess.run(
        ["bash", "-c", script], cwd=cwd, capture_output=True, text=True, check=False, timeout=1200,
        env=clean_environment() | environment
        | {"FALW": str(at_once.command()), "FRESH": str(COMMAND)},
    )  # fmt: skip


def test_the_watch_detects_network_access_and_writes(tmp_path: Path) -> None:
    """Verify the detection on which the tests below depend."""
    asks = "import socket; socket.create_connection(('192.0.2.1', 9), timeout=1)"
    reached = shell(f'{COMMAND.with_name("python")} -c "{asks}"', tmp_path, **alone())
    assert reached.returncode == 99
    writes = "import falw_cli.cli.app, pathlib, yaml; open(yaml.__file__ + '.new', 'w')"
    wrote = shell(f'{COMMAND.with_name("python")} -c "{writes}"', tmp_path, **alone())
    assert wrote.returncode == 99


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        RUN,
        ("evaluate", "model.safetensors", "--forget", "ids.txt", "--reference",
         "retrain.safetensors"),
        ("train", "--epochs", "1", "--out", "new.safetensors"),
        ("inspect", "model.safetensors"),
        (*RUN, "--html", "--out", "page.safetensors"),
        ("demo",),
    ],
    ids=lambda asked: " ".join(asked[:1]),
)  # fmt: skip
def test_no_command_uses_the_network_or_writes_to_the_installation(
    project: Path, asked: tuple[str, ...]
) -> None:
    run = run_falw if asked == RUN else falw  # one with the startup, which is the same for all
    done = run(*asked, cwd=project, **alone())
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_it_works_without_a_network(project: Path) -> None:
    unshare = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("namespaces are not allowed here")
    done = subprocess.run(
        [*unshare, str(COMMAND), *RUN], cwd=project, env=clean_environment(), check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_without_home_or_with_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    """Images are then decoded into memory, and the report says so."""
    make_folder(tmp_path / "seen", {"a": 12, "b": 12})
    make_folder(tmp_path / "unseen", {"a": 8, "b": 8}, seed=5000)
    (tmp_path / "falw.yaml").write_text(
        "arch: tiny-cnn\ndata: imagefolder:seen\nheldout: imagefolder:unseen\n"
        "train: {epochs: 20, batch_size: 8}\n"
    )
    bare = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    if "PYTHONPATH" in os.environ:
        bare["PYTHONPATH"] = os.environ["PYTHONPATH"]
    (tmp_path / "file").write_text("")  # nobody, not even root, can create a folder below a file
    bare["XDG_CACHE_HOME"] = str(tmp_path / "file" / "cache")
    (tmp_path / "ids.txt").write_text("a/0.png\n")
    for asked in (["train"], [*RUN, "--batch-size", "8"]):
        done = subprocess.run(
            [str(at_once.command()), *asked], cwd=tmp_path, env=bare, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "the cache cannot be written (Not a directory)" in done.stderr
    report = json.loads((tmp_path / "model.unlearned.audit.json").read_text())
    assert any("the cache cannot be written" in text for text in report["warnings"])


@pytest.mark.parametrize("locale", ["C", "en_US.ISO-8859-1"])
def test_ids_are_utf8_whatever_the_locale(tmp_path: Path, locale: str) -> None:
    make_folder(tmp_path / "pictures", {"äpfel": 2, "birnen": 2})
    told = shell(
        "$FRESH forget-list --data imagefolder:pictures --count 4 > ids.txt && "
        "$FRESH inspect ids.txt --data imagefolder:pictures",
        tmp_path, LC_ALL=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0",
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    names = (tmp_path / "ids.txt").read_text(encoding="utf-8").split()
    assert sorted(names) == ["birnen/0.png", "birnen/1.png", "äpfel/0.png", "äpfel/1.png"]


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("$FALW forget-list --data digits --count 900 | head -1", 0, ""),
        ("$FALW inspect digits: >&-", 0, ""),
        ("$FALW inspect nowhere.txt 2>&-", 2, ""),
        ("$FRESH inspect nowhere.txt 2>&-", 2, ""),
        ("$FALW inspect digits: <&-", 0, ""),
        ("$FALW inspect digits: > /dev/full", 3, "error: stdout cannot be written: No space left"),
        ("$FALW forget-list --data digits --count 9 > /dev/full", 3, "error: stdout cannot"),
    ],
)
def test_streams_that_are_closed_or_full(tmp_path: Path, script: str, code: int, said: str) -> None:
    done = shell(f"set -o pipefail; {script}", tmp_path)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == (2 if said else 0)


@pytest.mark.slow
def test_a_run_continues_when_stderr_is_closed(project: Path) -> None:
    done = shell(f"$FALW {' '.join(RUN)} 2>&1 >/dev/null | head -1", project)
    assert done.returncode == 0
    assert (project / "model.unlearned.audit.json").exists()


@pytest.mark.slow
def test_it_works_without_the_calls_and_modules_of_linux(project: Path) -> None:
    """Windows has no fcntl, resource and SIGCHLD, macOS no posix_fallocate."""
    (project / "hidden").mkdir()
    (project / "hidden" / "sitecustomize.py").write_text(OTHER_SYSTEM)
    before = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join([str(project / "hidden"), before])
    make_folder(project / "images", {"cat": 20, "dog": 20})
    make_folder(project / "unseen", {"cat": 20, "dog": 20}, seed=50)
    for script, code in (
        ("$FRESH --help", 0),
        ("$FRESH train --arch tiny-cnn --data imagefolder:images --heldout imagefolder:unseen "
         "--epochs 1 --out own.safetensors", 0),
        (f"$FRESH {' '.join(RUN)} --max-utility-loss 100", 0),
        ("$FRESH unlearn model.safetensors --forget absent.txt", 2),
    ):  # fmt: skip
        done = shell(script, project, PYTHONPATH=path)
        assert done.returncode == code, (script, done.stderr)
        assert "cannot be written" not in done.stderr
        assert "cannot be locked" not in done.stderr
    report = json.loads((project / "model.unlearned.audit.json").read_text())
    assert report["run"]["peak_memory_bytes"] > 100 << 20
    assert not list(project.glob(".*"))
