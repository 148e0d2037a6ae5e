"""`falw bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from falw_cli.cli.command import Call, command
from falw_cli.config.flags import Flag
from falw_cli.config.settings import Count, Section
from falw_cli.errors import RequestError, RunError
from falw_cli.runtime.printable import counted


class BenchSettings(Section):
    """Settings of the bench."""

    config: Annotated[Path | None, Flag("Options", argument=True)] = None
    """YAML file of the bench; see sample_configs/ for examples."""
    out: Annotated[Path | None, Flag("Options", environment=False)] = None
    """Work folder (default: NAME.bench here). A second run continues in it."""
    jobs: Annotated[Count | None, Flag("Options", environment=False)] = None
    """Number of parallel runs (default: number of GPUs or cores)."""
    dry_run: Annotated[bool, Flag("Options", environment=False)] = False
    """Check the config and count the missing runs."""


@command(
    "bench",
    own=BenchSettings,
    example="falw bench sample_configs/bench-digits.yaml --out digits.bench",
)
def bench(call: Call) -> None:
    """Run the command."""
    own, console = call.own, call.console
    file = own.config or call.file
    if file is None:
        raise RequestError("no bench config is given", "give its file: falw bench bench.yaml")
    from falw_cli.bench.run import bench as run
    from falw_cli.cli import tables
    from falw_cli.runtime.interrupt import listening

    listening()
    folder = own.out or Path(f"{file.stem}.bench")
    done = run(file, folder, own.jobs, console, dry_run=own.dry_run)
    if own.dry_run:
        console.document(done.missing) if call.as_json else console.table(
            tables.facts({f"missing: {name}": count for name, count in done.missing.items()})
        )
        return
    if call.as_json:
        console.document(json.loads((done.folder / "results.json").read_text()))
    else:
        console.result(str(done.folder / "results.md"))
    if done.failed:
        first = done.failed[0]
        raise RunError(
            f"{counted(len(done.failed), 'cell')} failed, the others are in {done.folder}; "
            f"first: {first}",
            "see NAME.error.json in cells/ for each; remove that file to run the cell again",
        )
