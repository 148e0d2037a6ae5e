"""`falw train`."""

from __future__ import annotations

from dataclasses import asdict

from falw_cli.cli.command import DATA, MODEL, RUN, STEPS, Call, command

TAKES = (
    *DATA, "without", *MODEL, *STEPS, *RUN, "out", "force",
)  # fmt: skip


@command("train", TAKES, example="falw train --data imagefolder:photos --arch tiny-cnn")
def train(call: Call) -> None:
    """Run the command."""
    config = call.config("train")
    from falw_cli.cli.verdict import launch
    from falw_cli.runtime.interrupt import listening
    from falw_cli.training.run import train as run

    launch(config)
    done = run(config, call.console, listening())
    if call.as_json:
        call.console.document(asdict(done))
        return
    unseen = f", held-out {done.heldout_accuracy:.2f} %" if done.heldout_accuracy else ""
    call.console.note(f"accuracy: retain {done.retain_accuracy:.2f} %{unseen}")
    call.console.result(done.path)
