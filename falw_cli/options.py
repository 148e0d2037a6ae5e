"""The options that several commands share: each is said once, with its help and environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from falw_cli.unlearning.registry import METHODS, WEIGHTINGS

DATA, TRAINING, RUN, OUTPUT = "Data", "Training", "Run", "Output"
KINDS = (
    "imagefolder", "csv", "npz", "parquet", "hf", "webdataset", "torchvision", "cifar10",
    "cifar100", "digits",
)  # fmt: skip
"""Of data, as `data.sources` opens them: said here, for --help waits for no library."""
SPEC_HELP = f"KIND:LOCATION; kinds: {', '.join(KINDS)}"
Complete = Callable[[str], list[str]] | Callable[[typer.Context, str], list[str]]
OFFERED = 200
"""IDs that a shell is offered at most."""
COMMON_ARCHS = [
    "tiny-cnn", "resnet18", "resnet18-cifar", "resnet34", "resnet34-cifar", "resnet50",
    "vgg16_bn", "vgg16_bn-cifar", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0",
    "convnext_tiny", "vit_b_16", "swin_t",
]  # fmt: skip


def complete_arch(incomplete: str) -> list[str]:
    """Architectures that begin so, for the shell."""
    return [name for name in COMMON_ARCHS if name.startswith(incomplete)]


def complete_method(incomplete: str) -> list[str]:
    """Base methods that begin so, for the shell."""
    return [name for name in METHODS if name.startswith(incomplete)]


def complete_weighting(incomplete: str) -> list[str]:
    """Weightings that begin so, for the shell."""
    return [name for name in WEIGHTINGS if name.startswith(incomplete)]


def complete_data(incomplete: str) -> list[str]:
    """Kinds of data that begin so, for the shell; what follows the colon it does not know."""
    return [f"{kind}:" for kind in KINDS if kind.startswith(incomplete)]


def complete_id(context: typer.Context, incomplete: str) -> list[str]:
    """Sample IDs that begin so, for the shell."""
    return [name for name in _named(context, "ids") if name.startswith(incomplete)][:OFFERED]


def complete_class(context: typer.Context, incomplete: str) -> list[str]:
    """Class names that begin so, for the shell."""
    return [name for name in _named(context, "classes") if name.startswith(incomplete)]


def _named(context: typer.Context, what: str) -> tuple[str, ...]:
    """IDs or class names of the data that the command line or falw.yaml names."""
    from falw_cli.config import resolve
    from falw_cli.data.sources import open_listing
    from falw_cli.errors import FalwError

    try:
        config = resolve("forget-list", {"data": context.params.get("data")})
        listing = open_listing(config.data or "")
    except FalwError:
        return ()
    names: tuple[str, ...] = getattr(listing, what)
    return names


def complete_stop(incomplete: str) -> list[str]:
    """Ways to stop that begin so, for the shell."""
    return [name for name in ("auto", "epochs") if name.startswith(incomplete)]


def complete_target(incomplete: str) -> list[str]:
    """Kinds of target that begin so, for the shell."""
    return [name for name in ("streaming", "exact") if name.startswith(incomplete)]


def complete_track(incomplete: str) -> list[str]:
    """Trackers that begin so, for the shell."""
    return [
        name for name in ("csv", "tensorboard", "wandb", "mlflow") if name.startswith(incomplete)
    ]


def complete_format(incomplete: str) -> list[str]:
    """Formats of a report's page that begin so, for the shell."""
    return [name for name in ("html", "md", "junit") if name.startswith(incomplete)]


def _option(name: str, help: str, panel: str, complete: Complete | None = None) -> Any:
    """An option with a value, which the environment may give as well."""
    variable = "FALW_" + name.lstrip("-").upper().replace("-", "_")
    return typer.Option(
        name, help=help, envvar=variable, rich_help_panel=panel, autocompletion=complete
    )


ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="A falw.yaml; default: beside the model, else here."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Errors and warnings alone.")]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="More notes; twice: tracebacks.")
]

Data = Annotated[
    str | None,
    _option("--data", help=f"Training data, {SPEC_HELP}.", panel=DATA, complete=complete_data),
]
Heldout = Annotated[
    str | None,
    _option(
        "--heldout",
        help="Data that the model never saw: it guides.",
        panel=DATA,
        complete=complete_data,
    ),
]
Test = Annotated[
    str | None,
    _option(
        "--test",
        help="Data that judges; default: half of --heldout.",
        panel=DATA,
        complete=complete_data,
    ),
]
Forget = Annotated[
    str | None,
    _option("--forget", help="The forget list: IDs, one a line; - is stdin.", panel=DATA),
]
Classes = Annotated[
    str | None,
    _option("--classes", help="Class names, one a line, in the order of the outputs.", panel=DATA),
]
SkipUnreadable = Annotated[
    bool | None,
    typer.Option(
        "--skip-unreadable", help="Leave out images that cannot be read.", rich_help_panel=DATA
    ),
]
Cache = Annotated[
    bool | None,
    typer.Option(
        "--cache/--no-cache",
        help="Keep decoded images in the user's cache folder.",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
AllowOutside = Annotated[
    bool | None,
    typer.Option(
        "--allow-outside",
        help="A CSV may name files outside its folder.",
        rich_help_panel=DATA,
    ),
]

Arch = Annotated[
    str | None,
    _option(
        "--arch",
        help="Architecture: tiny-cnn, torchvision's names, NAME-cifar, package.module:function.",
        panel=TRAINING,
        complete=complete_arch,
    ),
]
TrustCode = Annotated[
    bool | None,
    typer.Option(
        "--trust-code",
        help="Import the code that a found falw.yaml or a checkpoint names.",
        rich_help_panel=TRAINING,
    ),
]
Epochs = Annotated[
    int | None,
    _option(
        "--epochs",
        help="Passes over the data; unlearn's default is the method's, its most with --stop auto.",
        panel=TRAINING,
    ),
]
Lr = Annotated[
    float | None,
    _option("--lr", help="Highest learning rate.", panel=TRAINING),
]
BatchSize = Annotated[int | None, _option("--batch-size", help="Samples a step.", panel=TRAINING)]
Seed = Annotated[int | None, _option("--seed", help="Of everything random; default 0.", panel=RUN)]
Device = Annotated[str | None, _option("--device", help="auto, cpu, cuda or cuda:N.", panel=RUN)]
Devices = Annotated[
    int | None,
    _option(
        "--devices",
        help="Devices of each machine that share the run; under torchrun or SLURM all ranks do.",
        panel=RUN,
    ),
]
Nodes = Annotated[
    int | None,
    _option("--nodes", help="Machines that share the run; MASTER_ADDR says the first.", panel=RUN),
]
Precision = Annotated[str | None, _option("--precision", help="auto, fp32 or bf16.", panel=RUN)]
Compile = Annotated[
    bool | None,
    typer.Option(
        "--compile/--no-compile",
        help="Compile the network first, for long runs on GPUs; default no.",
        show_default=False,
        rich_help_panel=RUN,
    ),
]
Resume = Annotated[
    bool | None,
    typer.Option("--resume", help="Go on with an interrupted run.", rich_help_panel=RUN),
]
DryRun = Annotated[
    bool | None,
    typer.Option("--dry-run", help="Check and show; write nothing.", rich_help_panel=RUN),
]

Track = Annotated[
    str | None,
    _option(
        "--track",
        help="Live curves, beside the output: csv, tensorboard, wandb or mlflow.",
        panel=RUN,
        complete=complete_track,
    ),
]
Method = Annotated[
    str | None,
    _option(
        "--method",
        help=f"Base method: {', '.join(METHODS)}; default match.",
        panel=TRAINING,
        complete=complete_method,
    ),
]
Weighting = Annotated[
    str | None,
    _option(
        "--weighting",
        help=f"Weighting of forget samples: {', '.join(WEIGHTINGS)}; default the method's.",
        panel=TRAINING,
        complete=complete_weighting,
    ),
]
Tau = Annotated[
    float | None,
    _option("--tau", help="Strength of the balance factor; default 0.15.", panel=TRAINING),
]
UnlearnLr = Annotated[
    str | None,
    _option(
        "--lr",
        help="Highest learning rate; auto finds one in short probes; default the method's.",
        panel=TRAINING,
    ),
]
Stop = Annotated[
    str | None,
    _option(
        "--stop",
        help="auto: where the estimated gap to Retrain is smallest; epochs: at the end.",
        panel=TRAINING,
        complete=complete_stop,
    ),
]
MaxUtilityLoss = Annotated[
    float | None,
    _option(
        "--max-utility-loss",
        help="Points of retain and held-out accuracy that --stop auto may give up; default 7.",
        panel=TRAINING,
    ),
]
Hyperparameters = Annotated[
    list[str] | None,
    _option(
        "--set", help="NAME=NUMBER, a setting of the method or weighting; repeatable.",
        panel=TRAINING,
    ),
]  # fmt: skip
Target = Annotated[
    str | None,
    _option(
        "--target",
        help="exact: mu and sigma over all held-out data, as in the paper; streaming: over some "
        "in turn, at next to no cost; default streaming.",
        panel=TRAINING,
        complete=complete_target,
    ),
]
TargetEvery = Annotated[
    int | None,
    _option(
        "--target-every",
        help="With --target exact: re-estimate every N steps; default 1.",
        panel=TRAINING,
    ),
]

RetainBudget = Annotated[
    int | None,
    _option(
        "--retain-budget",
        help="Retain samples that the run looks at; default: ten for each forget sample, 10,000 at "
        "least.",
        panel=TRAINING,
    ),
]

Reference = Annotated[
    list[str] | None,
    _option("--reference", help="A Retrain checkpoint; may be repeated.", panel=OUTPUT),
]
Gate = Annotated[
    list[str] | None,
    _option("--gate", help="Such as 'avg_gap<=1'; exit 1 if it fails; repeatable.", panel=OUTPUT),
]
GapMetrics = Annotated[
    str | None,
    _option(
        "--metrics", help="What the gap is made of: NAME or NAME:WEIGHT, by commas.", panel=OUTPUT
    ),
]
Relearn = Annotated[
    bool | None,
    typer.Option(
        "--relearn",
        help="Test if rounding, or a few samples learned again, bring it back.",
        rich_help_panel=OUTPUT,
    ),
]
Html = Annotated[
    bool | None,
    typer.Option("--html", help="Write the report's page as well.", rich_help_panel=OUTPUT),
]
Out = Annotated[str | None, _option("--out", help="Checkpoint to write.", panel=OUTPUT)]
ReportFile = Annotated[str | None, _option("--report", help="Audit report to write.", panel=OUTPUT)]
Force = Annotated[
    bool | None,
    typer.Option("--force", help="Replace outputs that exist.", rich_help_panel=OUTPUT),
]
