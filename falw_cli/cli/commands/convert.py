"""`falw convert`."""

from __future__ import annotations

from falw_cli.cli.command import CHECKPOINT, Call, command


@command(
    "convert", ("model", "out", *CHECKPOINT, "force"), needs_model=True,
    example="falw convert model.pt --arch resnet18 --out model.safetensors",
)  # fmt: skip
def convert(call: Call) -> None:
    """Run the command."""
    config = call.config("convert")
    from falw_cli.models.conversion import convert as run

    path = str(run(config, call.console))
    call.console.document({"path": path}) if call.as_json else call.console.result(path)
