"""`falw schema`."""

from __future__ import annotations

from falw_cli.cli.command import Call, command


@command("schema", example="falw schema > audit.schema.json")
def schema(call: Call) -> None:
    """Run the command."""
    from falw_cli.audit.report import Report

    call.console.document(Report.model_json_schema())
