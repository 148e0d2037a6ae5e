"""`falw inspect`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from falw_cli.cli.command import CHECKPOINT, Call, command
from falw_cli.config.flags import Flag
from falw_cli.config.settings import Section


class InspectSettings(Section):
    """What to show."""

    path: Annotated[str, Flag("Options", argument=True)]
    """Checkpoint, data SPEC, forget list or report."""


@command(
    "inspect", ("data", "metadata", "label_column", "allow_outside", *CHECKPOINT), InspectSettings,
    example="falw inspect ids.txt --data imagefolder:photos",
)  # fmt: skip
def inspect(call: Call) -> None:
    """Run the command."""
    path, console = call.own.path, call.console
    from falw_cli.models.checkpoint_files import is_checkpoint

    # A checkpoint is compared with its architecture: as `evaluate`, which imports no code that a
    # falw.yaml names.
    if is_checkpoint(Path(path)):
        config = replace(call, given={**call.given, "model": path}).config("evaluate")
    else:
        config = call.config("inspect")
    from falw_cli.cli import tables
    from falw_cli.runs.inspection import inspect_path

    facts = inspect_path(path, config, call.console)
    report = facts.pop("report", None)
    if call.as_json:
        console.document(report.model_dump(mode="json") if report else facts)
        return
    if report:
        facts |= tables.report_facts(report)
    per_class = facts.pop("per_class", None)
    if "notes" in facts:
        facts["notes"] = "; ".join(facts["notes"])
    console.table(tables.facts(facts))
    for table in tables.of_report(report) if report else []:
        console.table(table)
    if per_class:
        console.table(tables.bars(per_class))
