"""The Typer app: a command is its options and one call; no logic."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from falw_cli import __version__
from falw_cli import options as o
from falw_cli.console import Console
from falw_cli.errors import nearest
from falw_cli.session import session

app = typer.Typer(
    name="falw",
    help="Make a trained image classifier forget a list of samples, and audit what it forgot.",
    epilog="Begin with `falw demo`: the whole story on small data, in under two minutes.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
UsageError: Any = typer.BadParameter.__mro__[1]  # click's or typer's own, by typer's version
COMMON = {"config_file", "json", "quiet", "verbose"}


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"falw {__version__}\n")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    pass


def _flags(context: typer.Context) -> dict[str, Any]:
    """What was given on the command line or in the environment, by flag name."""
    given = {k: v for k, v in context.params.items() if k not in COMMON}
    return {k: v for k, v in given.items() if v is not None and v not in ([], ())}


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
        from falw_cli import commands

        commands.unlearn(_flags(context), config_file, console, as_json=json)


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
        from falw_cli import commands

        commands.evaluate(_flags(context), config_file, console, as_json=json)


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
        from falw_cli import commands

        asked = {"shadow": shadow, "folder": folder, "jobs": jobs, "dry_run": dry_run}
        flags = {key: value for key, value in _flags(context).items() if key not in asked}
        commands.audit(flags, asked, config_file, console, as_json=json)


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
        from falw_cli import commands

        commands.train(_flags(context), config_file, console, as_json=json)


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
            autocompletion=o.complete_id,
        ),
    ] = None,
    gamma: Annotated[
        float, typer.Option("--gamma", help="Exponent of the tail; 0 is balanced.")
    ] = 1.0,
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class", help="Draw from this class alone.", autocompletion=o.complete_class
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
        from falw_cli import commands

        commands.draw_list(_flags(context), config_file, console, as_json=json)


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
        from falw_cli import commands

        commands.inspect(path, _flags(context), config_file, console, as_json=json)


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
        from falw_cli import commands

        commands.convert(_flags(context), config_file, console, as_json=json)


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
        from falw_cli import commands

        commands.init(_flags(context), config_file, console, as_json=json)


@app.command(epilog="Example: falw doctor")
def doctor(
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """Say what is wrong with installation, machine or config; exit 1 if anything is."""
    with session(quiet, verbose) as console:
        from falw_cli import commands

        commands.doctor(config_file, console, as_json=json)


@app.command(epilog="Example: falw bench sample_configs/bench-digits.yaml --out digits.bench")
def bench(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="CONFIG", help="The bench's YAML; sample_configs/ holds some."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Work folder; default: NAME.bench here. A second run goes on."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Runs side by side; default: GPUs or cores.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, and count what is missing.")
    ] = False,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """Measure methods x weightings over lists and seeds against Retrain; goes on where it ended."""
    with session(quiet, verbose) as console:
        from falw_cli import commands

        commands.bench(config or config_file, folder, jobs, dry_run, console, as_json=json)


@app.command(epilog="Example: falw verify model.unlearned.audit.json --rerun")
def verify(
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="The audit report.")],
    forget: Annotated[
        str | None, typer.Option("--forget", help="The forget list: proves which one it was.")
    ] = None,
    rerun: Annotated[bool, typer.Option("--rerun", help="Measure again, and compare.")] = False,
    trust_code: o.TrustCode = None,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """Hold model, list, data and output against a report; exit 1 where they differ."""
    with session(quiet, verbose) as console:
        from falw_cli import commands

        asked = {"report": report, "forget": forget, "rerun": rerun, "trust_code": bool(trust_code)}
        commands.verify(asked, console, as_json=json)


@app.command(epilog="Example: falw report model.unlearned.audit.json --open")
def report(
    reports: Annotated[
        list[Path],
        typer.Argument(metavar="REPORT", help="Audit reports; several are set side by side."),
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="html, md (a pull request's comment) or junit (gates for a CI).",
            autocompletion=o.complete_format,
        ),
    ] = "html",
    out: Annotated[
        str | None,
        typer.Option("--out", help="File to write, - for stdout; default: beside the report."),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Show it when it is written.")] = False,
    force: o.Force = None,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """A page that people read, of one audit report or of several; needs no network."""
    with session(quiet, verbose) as console:
        from falw_cli import commands

        asked = {"reports": reports, "format": format, "out": out, "open_it": open_it}
        commands.report(asked, console, force=bool(force), as_json=json)


@app.command(epilog="Example: falw schema > audit.schema.json")
def schema(
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """The JSON schema of audit reports."""
    with session(quiet, verbose) as console:
        from falw_cli import commands

        commands.schema(console)


@app.command(epilog="Example: falw demo")
def demo(
    force: o.Force = None,
    config_file: o.ConfigFile = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
) -> None:
    """The whole story on scikit-learn's digits, into ./falw-demo, in under two minutes."""
    with session(quiet, verbose) as console:
        from falw_cli import demo as story

        story.tell(Path("falw-demo"), bool(force), config_file, console, as_json=json)


def run(arguments: list[str]) -> int:
    """Run the app on some arguments and return the exit code."""
    try:
        code = app(arguments, prog_name="falw", standalone_mode=False)
    except UsageError as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "falw"
        Console().error(_message(error), f"`{where} --help` shows what it takes")
        return 2
    except (KeyboardInterrupt, typer.Abort):  # before the command listens to signals itself
        Console().error("interrupted", "nothing was written")
        return 130
    return int(code or 0)


def _message(error: BaseException) -> str:
    """A usage error in one line, with the nearest option or command."""
    text = str(getattr(error, "format_message", lambda: error)())
    text = " ".join(text.split())
    context = getattr(error, "ctx", None)
    wrong = getattr(error, "option_name", None)
    if wrong and context:
        known = [name for parameter in context.command.params for name in parameter.opts]
        match = nearest(wrong, known)
        return f"no such option: {wrong}" + (f" (did you mean {match}?)" if match else "")
    return text[:1].lower() + text[1:]
