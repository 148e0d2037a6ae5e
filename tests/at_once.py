"""Run the command in a child process without paying for its imports each time.

A server process imports everything once and forks for each call. The child runs the entry point of
the console script. This saves the seconds that the imports take. `call` runs a command and waits
for it; `command` is a program for shells and for `subprocess.Popen`, which can be killed. To test
the startup itself, use `conftest.run_falw`, which starts the installed command.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from multiprocessing import process
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from threading import Thread
from typing import Any

ROOT = Path(__file__).parents[1]
LIBRARIES = [
    "torchvision.models", "torch.distributed.launcher.api", "sklearn.svm", "sklearn.datasets",
    "lightning_fabric", "lightning_fabric.strategies.ddp", "matplotlib.figure",
    "matplotlib.backends.backend_svg",
]  # fmt: skip
"""Libraries that the modules of falw import when they need them."""
MODULES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for file in (ROOT / "falw_cli").rglob("*.py")
    if file.name != "__init__.py"
)
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([*LIBRARIES, *MODULES])
SCRIPT = """\
#!{python} -ISS
import json, os, signal, socket, sys
is_open = [os.path.exists(f"/proc/self/fd/{{number}}") for number in range(3)]
arguments = sys.argv[1:]
if sys.argv[0].endswith("python"):
    arguments = arguments[arguments[:1] == ["-u"]:]
    if arguments[:2] != ["-m", "falw_cli"]:
        os.execv({python!r}, [{python!r}, *sys.argv[1:]])
    arguments = arguments[2:]
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    asked = json.dumps([arguments, os.getcwd(), dict(os.environ), is_open]).encode()
    streams = [number for number in range(3) if is_open[number]]
    socket.send_fds(server, [len(asked).to_bytes(8, "big")], streams)
    server.sendall(asked)
    pid = int(server.recv(8))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    code = int(server.recv(8) or b"1")
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""
"""A `falw` that has a server run the command with the same folder, environment and streams.

It passes signals on, and the server ends the command if this process is killed. Under the name
`python`, it does the same for `python -m falw_cli`, with which a command starts its ranks.
"""


def call(
    arguments: list[str], cwd: Path, stdin: str | None, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run `falw` with these arguments in a folder, and wait for it."""
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place, name) for name in ("in", "out", "err")]
        files[0].write_text(stdin or "")
        streams = [os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND) for file in files]
        child = _start(arguments, str(cwd), environment, streams)
        child.join(1200)
        if child.exitcode is None:
            child.kill()
            raise subprocess.TimeoutExpired(["falw", *arguments], 1200)
        out, err = (file.read_text() for file in files[1:])
    return subprocess.CompletedProcess(["falw", *arguments], int(child.exitcode), out, err)


@cache
def command() -> Path:
    """Return a `falw` that starts the command as `call` does; `python` lies beside it."""
    folder = Path(tempfile.mkdtemp(prefix="falw"))  # its address is short, as sockets require
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "socket"))
    server.listen()
    Thread(target=_serve, args=(server,), daemon=True).start()
    for name in ("falw", "python"):
        script = folder / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(SCRIPT.format(python=sys.executable, address=str(folder / "socket")))
        script.chmod(0o755)
    return folder / "bin" / "falw"


def _serve(server: socket.socket) -> None:
    while True:
        Thread(target=_answer, args=(server.accept()[0],), daemon=True).start()


def _answer(client: socket.socket) -> None:
    with client, client.makefile("rb") as stream:
        size, sent, _, _ = socket.recv_fds(client, 8, 3)
        text = stream.read(int.from_bytes(size, "big"))
        arguments, cwd, environment, is_open = json.loads(text)
        streams = [sent.pop(0) if one else None for one in is_open]
        child = _start(arguments, cwd, environment, streams)
        with contextlib.suppress(OSError):
            client.sendall(f"{child.pid:8}".encode())
            if child.sentinel not in wait([child.sentinel, client]):
                child.kill()  # the client was killed
            child.join()
            client.sendall(str(child.exitcode).encode())


def _start(
    arguments: list[str], cwd: str, environment: dict[str, str], streams: Sequence[int | None]
) -> ForkServerProcess:
    """Start the command with the given standard streams, which are closed here; None is closed."""
    child = SERVER.Process(target=_Run(arguments, cwd, environment, streams))
    child.start()
    # Otherwise a start in another thread reads the exit code, which can be read only once.
    process._children.discard(child)  # type: ignore[attr-defined]
    for stream in streams:
        if stream is not None:
            os.close(stream)
    return child


class _Run:
    """A call, and its standard streams while it is sent to the process that runs it."""

    def __init__(
        self,
        arguments: list[str],
        cwd: str,
        environment: dict[str, str],
        streams: Sequence[Any],
    ) -> None:
        self.call = arguments, cwd, environment
        self.streams = streams

    def __getstate__(self) -> dict[str, Any]:
        return {"call": self.call, "streams": [one and DupFd(one) for one in self.streams]}

    def __call__(self) -> None:
        import torch

        from falw_cli.__main__ import main

        arguments, cwd, environment = self.call
        for number, stream in enumerate(self.streams):
            if stream:
                os.dup2(stream.detach(), number)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(cwd)
        torch.set_num_threads(int(environment.get("OMP_NUM_THREADS", "1")))
        _take_one_core(environment.get("PYTEST_XDIST_WORKER", f"gw{os.getpid()}"))
        sys.executable = environment.get("TESTS_PYTHON", sys.executable)
        for folder in environment.get("PYTHONPATH", "").split(os.pathsep):
            _customize(Path(folder or ".", "sitecustomize.py"))
        sys.argv = ["falw", *arguments]
        # The server's own streams have other properties: whether they can seek, for example.
        sys.stdin = os.fdopen(0, encoding="utf-8")
        sys.stdout = os.fdopen(1, "w", encoding="utf-8")
        sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8")
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            if not self.streams[number]:  # as Python does when it starts
                getattr(sys, name).close()
                setattr(sys, name, None)
        main()


def _take_one_core(worker: str) -> None:
    """Keep the command on one core, another one in each worker of pytest.

    A pool of the command, which starts a process per core, then starts one. Threads of several
    pools that wait for each other's cores would take most of the time.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker[2:]) % len(cores)]})


def _customize(file: Path) -> None:
    """Run a sitecustomize module, as Python does when it starts."""
    if file.exists():
        spec = importlib.util.spec_from_file_location("sitecustomize", file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["sitecustomize"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["sitecustomize"])
