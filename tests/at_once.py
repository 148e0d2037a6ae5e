"""Run the command in a child process without paying for its imports each time.

A server process imports everything once and forks for each call. The child runs the entry point of
the console script. This saves the seconds that the imports take. To test the startup itself, use
`conftest.run_falw`, which starts the installed command.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import tempfile
from pathlib import Path

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


def call(
    arguments: list[str], cwd: Path, stdin: str | None, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run `falw` with these arguments in a folder, and wait for it."""
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place, name) for name in ("in", "out", "err")]
        files[0].write_text(stdin or "")
        child = SERVER.Process(target=_run, args=(arguments, str(cwd), environment, files))
        child.start()
        child.join(300)
        if child.exitcode is None:
            child.kill()
            raise subprocess.TimeoutExpired(["falw", *arguments], 300)
        out, err = (file.read_text() for file in files[1:])
    return subprocess.CompletedProcess(["falw", *arguments], child.exitcode, out, err)


def _run(arguments: list[str], cwd: str, environment: dict[str, str], files: list[Path]) -> None:
    import sys

    import torch

    from falw_cli.__main__ import main

    for number, file in enumerate(files):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT | (os.O_APPEND if number else 0)), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    sys.argv = ["falw", *arguments]
    sys.stdin = os.fdopen(0, encoding="utf-8")  # multiprocessing replaces stdin in child processes
    main()
