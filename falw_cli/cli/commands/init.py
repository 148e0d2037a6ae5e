"""`falw init`."""

from __future__ import annotations

from falw_cli.cli.command import CHECKPOINT, Call, command


@command(
    "init", ("model", "data", "heldout", "test", "classes", "allow_outside", *CHECKPOINT, "force"),
    example="falw init model.pt --data imagefolder:train --heldout imagefolder:new",
)  # fmt: skip
def init(call: Call) -> None:
    """Run the command."""
    # The file there is about to be written: its settings do not count, unless a person names it.
    config = call.config("init", find=False)
    from falw_cli.cli.init_config import init as run

    path = str(run(config))
    call.console.note("check the file, then run: falw unlearn MODEL --forget ids.txt --dry-run")
    call.console.document({"path": path}) if call.as_json else call.console.result(path)
