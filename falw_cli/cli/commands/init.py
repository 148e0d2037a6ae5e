"""`falw init`."""

from __future__ import annotations

import shlex

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
    from falw_cli.models.architectures import is_code

    path = str(run(config))
    trust = " --trust-code" if config.arch and is_code(config.arch) else ""
    test = f"falw evaluate {shlex.quote(config.model or 'MODEL')}{trust}"
    call.console.note(f"check the file and run `{test}`: its accuracies should be those you know")
    call.console.document({"path": path}) if call.as_json else call.console.result(path)
