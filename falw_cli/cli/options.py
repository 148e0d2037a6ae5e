"""The options that several commands share: each is said once, with its help and environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from falw_cli.cli import completion
from falw_cli.config.extensions import METHODS, SOURCES, WEIGHTINGS

DATA, TRAINING, RUN, OUTPUT = "Data", "Training", "Run", "Output"
SPEC_HELP = f"KIND:LOCATION; kinds: {', '.join(SOURCES)}"
Complete = Callable[[str], list[str]] | Callable[[typer.Context, str], list[str]]


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
    _option("--data", help=f"Training data, {SPEC_HELP}.", panel=DATA, complete=completion.data),
]
Heldout = Annotated[
    str | None,
    _option(
        "--heldout",
        help="Data the model was not trained on; guides unlearning.",
        panel=DATA,
        complete=completion.data,
    ),
]
Test = Annotated[
    str | None,
    _option(
        "--test",
        help="Data for evaluation alone; default: half of --heldout.",
        panel=DATA,
        complete=completion.data,
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
        complete=completion.arch,
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
Seed = Annotated[int | None, _option("--seed", help="Random seed (default 0).", panel=RUN)]
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
        complete=completion.track,
    ),
]
Method = Annotated[
    str | None,
    _option(
        "--method",
        help=f"Base method: {', '.join(METHODS)}; default match.",
        panel=TRAINING,
        complete=completion.method,
    ),
]
Weighting = Annotated[
    str | None,
    _option(
        "--weighting",
        help=f"Weighting of forget samples: {', '.join(WEIGHTINGS)}; default the method's.",
        panel=TRAINING,
        complete=completion.weighting,
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
        help="Highest learning rate; auto finds one; default: the method's.",
        panel=TRAINING,
    ),
]
Stop = Annotated[
    str | None,
    _option(
        "--stop",
        help="auto: where the estimated gap to Retrain is smallest; epochs: at the end.",
        panel=TRAINING,
        complete=completion.stop,
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
        complete=completion.target,
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
    _option(
        "--gate",
        help="Condition on a metric, e.g. 'avg_gap<=1'. Exit code 1 if it fails. Repeatable.",
        panel=OUTPUT,
    ),
]
ForgottenGate = Annotated[
    bool | None,
    typer.Option(
        "--forgotten-gate/--no-forgotten-gate",
        help="Exit code 1 if the audit shows that the list is not forgotten; default yes.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
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
