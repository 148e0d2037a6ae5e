"""Run the command in a child process without paying for its imports each time.

A server process imports everything once and forks for each call. The child runs the entry point of
the console script. This saves the seconds that the imports take. To test the startup itself, use
`conftest.run_falw`, which starts the installed command.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
from multiprocessing.reduction import DupFd
from pathlib import Path
from threading import Thread
from typing import Any

ROOMS = [
    "falw_cli.__main__", "falw_cli.cli.app", "falw_cli.cli.command", "falw_cli.cli.tables",
    "falw_cli.cli.verdict",
    "falw_cli.api", "falw_cli.training.run",
    "falw_cli.runs.unlearn", "falw_cli.runs.evaluate", "falw_cli.audit.page",
    "falw_cli.models.conversion", "torchvision.models", "sklearn.svm", "lightning_fabric",
    "lightning_fabric.strategies.ddp",
]  # fmt: skip
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(ROOMS)
SCRIPT = """\
#!{python} -ISS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(asked)
    sys.exit(int(server.recv(8) or b"1"))
"""
"""A `falw` that has a server run the command with the same folder, environment and streams."""


def call(
    arguments: list[str], cwd: Path, stdin: str | None, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run `falw` with these arguments in a folder, and wait for it."""
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place, name) for name in ("in", "out", "err")]
        files[0].write_text(stdin or "")
        streams = [os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND) for file in files]
        code = _start(arguments, str(cwd), environment, streams, 1200)
        out, err = (file.read_text() for file in files[1:])
    return subprocess.CompletedProcess(["falw", *arguments], code, out, err)


def install(folder: Path) -> None:
    """Write a `falw` into a folder that starts the command as `call` does, for shell scripts."""
    with tempfile.TemporaryDirectory() as place:  # its address is short, as sockets require
        address = str(Path(place, "socket"))
    Path(address).parent.mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    Thread(target=_serve, args=(server,), daemon=True).start()
    script = folder / "falw"
    script.write_text(SCRIPT.format(python=sys.executable, address=address))
    script.chmod(0o755)


def _serve(server: socket.socket) -> None:
    while True:
        Thread(target=_answer, args=(server.accept()[0],), daemon=True).start()


def _answer(client: socket.socket) -> None:
    with client, client.makefile("rb") as stream:
        size, streams, _, _ = socket.recv_fds(client, 8, 3)
        arguments, cwd, environment = json.loads(stream.read(int.from_bytes(size, "big")))
        client.sendall(str(_start(arguments, cwd, environment, streams, None)).encode())


def _start(
    arguments: list[str], cwd: str, environment: dict[str, str], streams: list[int],
    seconds: float | None,
) -> int:  # fmt: skip
    """Run the command with the given standard streams, which it closes; return the exit code."""
    child = SERVER.Process(target=_Run(arguments, cwd, environment, streams))
    child.start()
    for stream in streams:
        os.close(stream)
    child.join(seconds)
    if child.exitcode is None:
        child.kill()
        raise subprocess.TimeoutExpired(["falw", *arguments], seconds or 0)
    return int(child.exitcode)


class _Run:
    """A call, and its standard streams while it is sent to the process that runs it."""

    def __init__(
        self, arguments: list[str], cwd: str, environment: dict[str, str], streams: list[int]
    ) -> None:
        self.call = arguments, cwd, environment
        self.streams: list[Any] = streams

    def __getstate__(self) -> dict[str, Any]:
        return {"call": self.call, "streams": [DupFd(one) for one in self.streams]}

    def __call__(self) -> None:
        import torch

        from falw_cli.__main__ import main

        arguments, cwd, environment = self.call
        for number, stream in enumerate(self.streams):
            os.dup2(stream.detach(), number)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(cwd)
        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
        sys.argv = ["falw", *arguments]
        # The server's own streams have other properties: whether they can seek, for example.
        sys.stdin = os.fdopen(0, encoding="utf-8")
        sys.stdout = os.fdopen(1, "w", encoding="utf-8")
        sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8")
        main()
