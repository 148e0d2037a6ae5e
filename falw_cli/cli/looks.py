"""Commands that look and prepare: forget-list, inspect, convert, init, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from falw_cli.cli import completion
from falw_cli.cli import options as o
from falw_cli.cli.flags import flags_of
from falw_cli.cli.session import session

app = typer.Typer()


@app.command(
    "forget-list", epilog="Example: falw forget-list --data digits --ratio 0.1 --gamma 1 > ids.txt"
)
def forget_list(
    context: typer.Context,
    data: o.Data = None,
    allow_outside: o.AllowOutside = None,
    ratio: Annotated[
        float | None, typer.Option("--ratio", help="Share of the data, such as 0.1.")
    ] = None,
    count: Annotated[int | None, typer.Option("--count", help="Samples to draw.")] = None,
    named: Annotated[
        list[str] | None,
        typer.Option(
            "--id",
            help="This very sample; repeatable, and checked against the data.",
            autocompletion=completion.sample_id,
        ),
    ] = None,
    gamma: Annotated[
        float, typer.Option("--gamma", help="Exponent of the tail; 0 is balanced.")
    ] = 1.0,
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class", help="Draw from this class alone.", autocompletion=completion.class_name
        ),
    ] = None,
    seed: o.Seed = None,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """Draw a long-tailed list of sample IDs onto stdout, or check those that are named."""
    with session(quiet, verbose) as console:
        from falw_cli.cli.commands import looks as do

        do.draw_list(flags_of(context), config_file, console, as_json=json)


@app.command(epilog="Example: falw inspect ids.txt --data imagefolder:photos")
def inspect(
    context: typer.Context,
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="A checkpoint, a data SPEC, a forget list or a report."
        ),
    ],
    data: o.Data = None,
    allow_outside: o.AllowOutside = None,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """Show what a checkpoint, a data source, a forget list or a report holds; changes nothing."""
    with session(quiet, verbose) as console:
        from falw_cli.cli.commands import looks as do

        do.inspect(path, flags_of(context), config_file, console, as_json=json)


@app.command(epilog="Example: falw convert model.pt --arch resnet18 --out model.safetensors")
def convert(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The checkpoint, of any format.")],
    out: o.Out = None,
    arch: o.Arch = None,
    trust_code: o.TrustCode = None,
    force: o.Force = None,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """Write a checkpoint in another format: .safetensors, .pt, a timm or transformers folder."""
    with session(quiet, verbose) as console:
        from falw_cli.cli.commands import looks as do

        do.convert(flags_of(context), config_file, console, as_json=json)


@app.command(
    epilog="Example: falw init model.pt --data imagefolder:train --heldout imagefolder:new"
)
def init(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="The checkpoint, of any format.")
    ] = None,
    data: o.Data = None,
    heldout: o.Heldout = None,
    test: o.Test = None,
    classes: o.Classes = None,
    allow_outside: o.AllowOutside = None,
    arch: o.Arch = None,
    trust_code: o.TrustCode = None,
    force: o.Force = None,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """Write a commented falw.yaml, after a look at the model and the data."""
    with session(quiet, verbose) as console:
        from falw_cli.cli.commands import looks as do

        do.init(flags_of(context), config_file, console, as_json=json)


@app.command(epilog="Example: falw doctor")
def doctor(
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """Say what is wrong with installation, machine or config; exit 1 if anything is."""
    with session(quiet, verbose) as console:
        from falw_cli.cli.commands import looks as do

        do.doctor(config_file, console, as_json=json)
