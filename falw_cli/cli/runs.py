"""Commands that run a network: unlearn, evaluate, audit, train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from falw_cli.cli import options as o
from falw_cli.cli.flags import flags_of
from falw_cli.cli.session import session

app = typer.Typer()


@app.command(epilog="Example: falw unlearn model.safetensors --forget ids.txt")
def unlearn(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="The checkpoint: .safetensors, .pt, or a folder of timm or transformers.",
        ),
    ],
    forget: o.Forget = None,
    data: o.Data = None,
    heldout: o.Heldout = None,
    test: o.Test = None,
    classes: o.Classes = None,
    skip_unreadable: o.SkipUnreadable = None,
    cache: o.Cache = None,
    allow_outside: o.AllowOutside = None,
    arch: o.Arch = None,
    trust_code: o.TrustCode = None,
    method: o.Method = None,
    weighting: o.Weighting = None,
    tau: o.Tau = None,
    target: o.Target = None,
    target_every: o.TargetEvery = None,
    retain_budget: o.RetainBudget = None,
    settings: o.Hyperparameters = None,
    epochs: o.Epochs = None,
    lr: o.UnlearnLr = None,
    stop: o.Stop = None,
    max_utility_loss: o.MaxUtilityLoss = None,
    batch_size: o.BatchSize = None,
    seed: o.Seed = None,
    device: o.Device = None,
    devices: o.Devices = None,
    nodes: o.Nodes = None,
    precision: o.Precision = None,
    compile: o.Compile = None,
    track: o.Track = None,
    resume: o.Resume = None,
    dry_run: o.DryRun = None,
    out: o.Out = None,
    report: o.ReportFile = None,
    reference: o.Reference = None,
    metrics: o.GapMetrics = None,
    relearn: o.Relearn = None,
    forgotten_gate: o.ForgottenGate = None,
    gate: o.Gate = None,
    html: o.Html = None,
    force: o.Force = None,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """Remove the influence of a list of samples: the checkpoint, and an audit report beside it."""
    with session(quiet, verbose) as console:
        from falw_cli.cli.commands import runs as do

        do.unlearn(flags_of(context), config_file, console, as_json=json)


@app.command(epilog="Example: falw evaluate model.safetensors --forget ids.txt --gate 'avg_gap<=2'")
def evaluate(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="The checkpoint; default: the one here.")
    ] = None,
    forget: o.Forget = None,
    data: o.Data = None,
    heldout: o.Heldout = None,
    test: o.Test = None,
    classes: o.Classes = None,
    skip_unreadable: o.SkipUnreadable = None,
    cache: o.Cache = None,
    allow_outside: o.AllowOutside = None,
    arch: o.Arch = None,
    trust_code: o.TrustCode = None,
    seed: o.Seed = None,
    device: o.Device = None,
    devices: o.Devices = None,
    nodes: o.Nodes = None,
    precision: o.Precision = None,
    reference: o.Reference = None,
    metrics: o.GapMetrics = None,
    relearn: o.Relearn = None,
    gate: o.Gate = None,
    report: o.ReportFile = None,
    force: o.Force = None,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """Metrics of a checkpoint on forget, retain and test data; with --gate, a verdict for CI."""
    with session(quiet, verbose) as console:
        from falw_cli.cli.commands import runs as do

        do.evaluate(flags_of(context), config_file, console, as_json=json)


@app.command(epilog="Example: falw audit model.unlearned.safetensors --forget ids.txt --shadow 16")
def audit(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The unlearned checkpoint.")],
    forget: o.Forget = None,
    data: o.Data = None,
    heldout: o.Heldout = None,
    test: o.Test = None,
    classes: o.Classes = None,
    skip_unreadable: o.SkipUnreadable = None,
    cache: o.Cache = None,
    allow_outside: o.AllowOutside = None,
    arch: o.Arch = None,
    trust_code: o.TrustCode = None,
    shadow: Annotated[
        int, typer.Option("--shadow", help="Shadow models to train, an even number.")
    ] = 16,
    folder: Annotated[
        Path,
        typer.Option("--folder", help="Where they are kept: a second run takes them from there."),
    ] = Path("falw-shadows"),
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Runs side by side; default: GPUs or cores.")
    ] = None,
    seed: o.Seed = None,
    device: o.Device = None,
    precision: o.Precision = None,
    reference: o.Reference = None,
    metrics: o.GapMetrics = None,
    relearn: o.Relearn = None,
    gate: o.Gate = None,
    report: o.ReportFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost.")] = False,
    force: o.Force = None,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """What evaluate measures, and attacks made for each sample by models trained for them."""
    with session(quiet, verbose) as console:
        from falw_cli.cli.commands import runs as do

        asked = {"shadow": shadow, "folder": folder, "jobs": jobs, "dry_run": dry_run}
        flags = {key: value for key, value in flags_of(context).items() if key not in asked}
        do.audit(flags, asked, config_file, console, as_json=json)


@app.command(epilog="Example: falw train --data imagefolder:photos --arch tiny-cnn")
def train(
    context: typer.Context,
    data: o.Data = None,
    heldout: o.Heldout = None,
    without: Annotated[
        str | None,
        typer.Option("--without", help="IDs to leave out: makes the Retrain reference."),
    ] = None,
    classes: o.Classes = None,
    skip_unreadable: o.SkipUnreadable = None,
    cache: o.Cache = None,
    allow_outside: o.AllowOutside = None,
    arch: o.Arch = None,
    trust_code: o.TrustCode = None,
    epochs: o.Epochs = None,
    lr: o.Lr = None,
    batch_size: o.BatchSize = None,
    seed: o.Seed = None,
    device: o.Device = None,
    devices: o.Devices = None,
    nodes: o.Nodes = None,
    precision: o.Precision = None,
    compile: o.Compile = None,
    track: o.Track = None,
    resume: o.Resume = None,
    out: o.Out = None,
    force: o.Force = None,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """Train a checkpoint by the config's recipe; --without IDS makes the Retrain reference."""
    with session(quiet, verbose) as console:
        from falw_cli.cli.commands import runs as do

        do.train(flags_of(context), config_file, console, as_json=json)
