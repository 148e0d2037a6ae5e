"""The settings of a run, each with its type, default, bounds, help text and flag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from falw_cli.config.extensions import METHODS, SOURCES, WEIGHTINGS
from falw_cli.config.flags import Flag
from falw_cli.errors import one_of

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
DEVICE = r"^(auto|cpu|mps|cuda(:\d+)?)$"
Range = tuple[Annotated[int, Field(ge=0)], Count]
"""First index, and end index (exclusive)."""


class Section(BaseModel):
    """A part of the config: unknown keys are errors, and values are frozen."""

    # Validators are built when they are first used: `--help` needs none.
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, defer_build=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _switches_alone(cls, value: object, info: ValidationInfo) -> object:
        """Refuse true and false, which Python takes for 1 and 0, where no switch is meant."""
        name = info.field_name
        if isinstance(value, bool) and name and cls.model_fields[name].annotation is not bool:
            raise PydanticCustomError("switch", "input should not be true or false")
        if isinstance(value, str) and name:  # Auto is auto, FP32 is fp32
            choices = _literals(cls.model_fields[name].annotation)
            return value.lower() if value.lower() in choices else value
        return value


def _literals(annotation: Any) -> set[Any]:
    """Return the choices of a type, such as those of `float | Literal["auto"]`."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {choice for one in get_args(annotation) for choice in _literals(one)}


class Preprocessing(Section):
    """Preprocessing of images; a checkpoint's metadata contains it."""

    image_size: Annotated[int, Field(ge=8, le=4096)] | None = None
    """Side of the square input in pixels; default: the images' own size."""
    resize: Annotated[int, Field(ge=8, le=8192)] | None = None
    """Shorter side before the centre crop to image_size; default: image_size."""
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    """Interpolation method for resizing."""
    squash: bool = False
    """Resize both sides to the same length, not only the shorter one."""
    exif: Literal["ignore", "apply"] | None = None
    """EXIF orientation: apply rotates images as it says; ignore (default) takes pixels as
    stored."""
    mean: tuple[float, ...] | None = None
    """Mean per channel, of pixels in [0, 1]; default: measured on the training data."""
    std: tuple[Positive, ...] | None = None
    """Standard deviation per channel, of pixels in [0, 1]; default: measured likewise."""


class Recipe(Section):
    """Settings that training and unlearning share."""

    optimizer: Literal["sgd", "adamw"] = "sgd"
    """Optimizer of the weights."""
    lr: Annotated[Positive, Flag("Training")] = 0.1
    """Highest learning rate of the schedule."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of SGD."""
    weight_decay: NotNegative = 5e-4
    """Weight decay of all weights."""
    schedule: Literal["constant", "step", "cosine", "one-cycle"] = "one-cycle"
    """Learning rate schedule; step divides by ten at 1/2 and 3/4 of the run."""
    epochs: Annotated[Count, Flag("Training")] = 20
    """Passes over the data."""
    batch_size: Annotated[Count, Field(le=65_536), Flag("Training")] = 128
    """Samples per step, over all devices."""
    crop: Annotated[int, Field(ge=0)] = 0
    """Padding of each side in pixels before a random crop (4 on CIFAR-10); 0: no crop."""
    flip: bool = False
    """Random horizontal flip."""


class TrainRecipe(Recipe):
    """The recipe of training, with its label targets."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a label that is spread over all classes."""


class UnlearnRecipe(Recipe):
    """The recipe of unlearning, with base method and weighting; defaults: docs/methods.md."""

    method: Annotated[str, Flag("Training", choices=METHODS)] = "match"
    """Base method (default match)."""
    weighting: Annotated[str | None, Flag("Training", choices=WEIGHTINGS)] = None
    """Weighting of the forget samples (default: the method's; if it names none but has a forget
    loss, falw)."""
    hyperparameters: Annotated[dict[str, float], Flag("Training", name="set")] = {}
    """Hyperparameter of the method or weighting. Repeatable."""
    tau: Annotated[NotNegative, Flag("Training")] = 0.15
    """Strength of the balance factor, FaLW equation 2; the paper uses 0.1 to 0.2 (default 0.15)."""
    target: Annotated[Literal["streaming", "exact"], Flag("Training")] = "streaming"
    """exact: mu and sigma over all held-out samples, as in the paper; streaming: over a few of them
    at a time, at almost no cost (default)."""
    target_every: Annotated[Count, Flag("Training")] = 1
    """With --target exact: estimate the target again every N steps (default 1, as in the paper)."""
    lr: Annotated[Positive | Literal["auto"], Flag("Training")] = 0.01  # type: ignore[assignment]
    """Highest learning rate of the schedule; auto: found by a search, which is part of the run's
    time (default: the method's)."""
    schedule: Literal["constant", "step", "cosine", "one-cycle"] = "cosine"
    """Learning rate schedule."""
    epochs: Annotated[Count, Flag("Training")] = 1
    """Passes over the forget set, or over all samples where the method sets no share of them in
    each batch (default: the method's). With --stop auto, the maximum."""
    forget_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of forget samples in each batch; default: the method's, or that of a shuffled set."""
    least_steps: Count = 1
    """Minimum steps of a run on a short list, unless `epochs` is given; limited to 20 steps if
    the list fits into one batch, else to four times the epochs."""
    retain_budget: Annotated[Count | None, Flag("Training")] = None
    """Maximum number of retain samples to use (default: ten per forget sample, 10,000 or more)."""
    stop: Annotated[Literal["auto", "epochs"], Flag("Training")] = "auto"
    """auto: early stopping at the smallest estimated gap to a retrained model; epochs: no early
    stopping (default auto)."""
    max_utility_loss: Annotated[float, Field(ge=0, le=100), Flag("Training")] = 7.0
    """Percentage points of retain and held-out accuracy that --stop auto may give up (default
    7)."""
    trace: bool = False
    """With references: also measure the Avg. Gap during the run; no decision uses it."""

    @field_validator("method")
    @classmethod
    def _known_method(cls, value: str) -> str:
        return one_of("method", value, METHODS)

    @field_validator("weighting")
    @classmethod
    def _known_weighting(cls, value: str | None) -> str | None:
        return None if value is None else one_of("weighting", value, WEIGHTINGS)


class Config(Section):
    """All settings of a command, complete and frozen."""

    model: Annotated[str | None, Flag("Options", argument=True, names="path", of_run=False)] = None
    """Checkpoint: .safetensors, .pt, or a folder of timm or transformers."""
    forget: Annotated[str | None, Flag("Data", names="path", of_run=False)] = None
    """Forget list: sample IDs, one per line; - is stdin."""
    forgotten: Annotated[
        tuple[str, ...],
        Flag("Data", environment=False, in_file=False, names="paths", of_run=False),
    ] = ()
    """IDs of an earlier request, which are neither forgotten nor retained now; none: those of lists
    that are not named are no longer in the data. Repeatable."""
    ledger: Annotated[str | None, Flag("Data", in_file=False, names="path", of_run=False)] = None
    """Ledger of completed runs: names the samples of earlier requests without holding their IDs;
    `falw unlearn` creates it and adds its run."""
    without: Annotated[str | None, Flag("Data", environment=False, names="path")] = None
    """IDs to leave out of training, for a retrained reference model."""
    data: Annotated[str | None, Flag("Data", choices=SOURCES, names="data")] = None
    """Training data, KIND:LOCATION."""
    heldout: Annotated[str | None, Flag("Data", choices=SOURCES, names="data")] = None
    """Data the model was not trained on; guides unlearning, and evaluates it without --test."""
    test: Annotated[str | None, Flag("Data", choices=SOURCES, names="data")] = None
    """Data for evaluation only (default: half of --heldout)."""
    no_retain: Annotated[bool, Flag("Data", environment=False, in_file=False)] = False
    """Use no training samples but the list; held-out samples take the place of the others."""
    metadata: Annotated[str | None, Flag("Data", environment=False, names="path")] = None
    """Columns of the training data: CSV or Parquet with a column id and one row per sample."""
    heldout_metadata: Annotated[str | None, Flag("Data", environment=False, names="path")] = None
    """Columns of the held-out data, likewise."""
    group: Annotated[str | None, Flag("Data")] = None
    """Column of samples that belong together, such as person: the guiding and the evaluating half
    of the held-out data never share a value, nor do the splits of shadow models."""
    per_class: dict[Literal["data", "heldout", "test"], Range] = {}
    """Range of rows per class to use of a source, in the order of its listing; for trials."""
    classes: Annotated[tuple[str, ...] | None, Flag("Data", as_text=True)] = None
    """File of class names, one per line, in the order of the model's outputs (default: the
    checkpoint's metadata, then the data's). falw.yaml may list the names."""
    label_column: Annotated[str | None, Flag("Data", environment=False)] = None
    """Column of the labels in tables and CSV files (default: label, labels or fine_label)."""
    skip_unreadable: Annotated[bool, Flag("Data", environment=False)] = False
    """Skip images that cannot be read, with a warning; those of the list are not forgotten."""
    with_copies: Annotated[bool, Flag("Data", environment=False)] = False
    """Put exact copies of listed images on the list too, with a warning; else they are an error."""
    drop_shared: Annotated[bool, Flag("Data", environment=False)] = False
    """Leave training images out of held-out and test data, with a warning; else an error."""
    cache: Annotated[bool, Flag("Data", environment=False, of_run=False)] = True
    """Keep decoded images in the user's cache folder (default yes); never those of the forget
    list."""
    allow_outside: Annotated[bool, Flag("Data", environment=False, in_file=False)] = False
    """Allow a CSV or links to name files outside the folder of the data."""
    arch: Annotated[str | None, Flag("Training", offers="arch")] = None
    """Architecture, if the checkpoint does not name it: tiny-cnn, a torchvision name, NAME-cifar,
    timm/NAME, or your own code as package.module:function."""
    arch_config: dict[str, Any] | None = None
    """Settings of a timm or transformers architecture: model_args, or keys of a config.json."""
    weights: Annotated[Literal["ema", "raw"] | None, Flag("Training")] = None
    """Which weights to use of a checkpoint that holds averages too: ema, the averages, or raw."""
    trust_code: Annotated[bool, Flag("Training", environment=False, in_file=False)] = False
    """Import the code that an implicit falw.yaml or a checkpoint names."""
    preprocessing: Preprocessing = Preprocessing()
    train: TrainRecipe = TrainRecipe()
    unlearn: UnlearnRecipe = UnlearnRecipe()
    seed: Annotated[int, Field(ge=0, lt=2**32), Flag("Run")] = 0
    """Random seed (default 0)."""
    device: Annotated[str, Field(pattern=DEVICE), Flag("Run")] = "auto"
    """auto (a CUDA GPU, or else the CPU), cpu, cuda, cuda:N, or mps of Apple silicon."""
    devices: Annotated[Count | None, Flag("Run")] = None
    """Devices per machine that share the run, one process each (default: one; under torchrun or
    SLURM all ranks)."""
    nodes: Annotated[Count, Flag("Run")] = 1
    """Machines that share the run; MASTER_ADDR names the first (default 1)."""
    precision: Annotated[Literal["auto", "fp32", "bf16"], Flag("Run")] = "auto"
    """fp32, bf16, or auto: bf16 on a GPU that supports it, else fp32 (default auto)."""
    compile: Annotated[bool, Flag("Run", name="compile/--no-compile", environment=False)] = False
    """Compile the network before the first step, for long runs on GPUs (default no)."""
    track: Annotated[
        Literal["csv", "tensorboard", "wandb", "mlflow"] | None, Flag("Run", of_run=False)
    ] = None
    """Write live curves of loss, weights, target and estimates to NAME.track beside the output:
    csv, tensorboard, wandb or mlflow."""
    save_every: Annotated[NotNegative, Flag(of_run=False)] = 60.0
    """Seconds between two saves of the run's state, which limits the loss if it is killed; longer
    if a save takes over a hundredth of that time."""
    resume: Annotated[bool, Flag("Run", environment=False, in_file=False, of_run=False)] = False
    """Continue an interrupted run."""
    dry_run: Annotated[bool, Flag("Run", environment=False, in_file=False)] = False
    """Check everything and show the plan; write nothing."""
    out: Annotated[str | None, Flag("Output", in_file=False, names="path", of_run=False)] = None
    """File or folder to write."""
    report: Annotated[str | None, Flag("Output", in_file=False, names="path", of_run=False)] = None
    """Audit report to write (default: beside the checkpoint)."""
    reference: Annotated[tuple[str, ...], Flag("Output", names="paths", of_run=False)] = ()
    """Retrained checkpoint to compare with. Repeatable."""
    original: Annotated[str | None, Flag("Output", in_file=False, names="path", of_run=False)] = (
        None
    )
    """Checkpoint before unlearning: shows how much was forgotten, and at what cost."""
    metrics: Annotated[tuple[str, ...], Flag("Output", as_text=True, of_run=False)] = ()
    """Metrics of the Avg. Gap, NAME or NAME:WEIGHT, separated by commas (default: FA, RA, TA and
    MIA)."""
    correct: Annotated[str | None, Flag("Output", environment=False, of_run=False)] = None
    """Column of the right label of each listed sample: reports the accuracy on right labels."""
    relearn: Annotated[bool, Flag("Output", environment=False, of_run=False)] = False
    """Test whether rounding the weights or relearning a few samples recovers forgotten ones."""
    robustness: Annotated[bool, Flag("Output", environment=False, of_run=False)] = False
    """Test whether forget samples are recognised again when a little noise is added to them."""
    forgotten_gate: Annotated[
        bool, Flag("Output", environment=False, in_file=False, of_run=False)
    ] = True
    """Exit code 1 if the audit shows that the list is not forgotten (default yes)."""
    gate: Annotated[tuple[str, ...], Flag("Output", of_run=False)] = ()
    """Condition on a metric, e.g. 'avg_gap<=1'. Exit code 1 if it fails. Repeatable."""
    html: Annotated[bool, Flag("Output", environment=False, of_run=False)] = False
    """Also write the report as an HTML page."""
    force: Annotated[bool, Flag("Output", environment=False, in_file=False, of_run=False)] = False
    """Replace existing outputs."""

    @field_validator("device", mode="before")
    @classmethod
    def _known_device(cls, value: object) -> object:
        if not re.match(DEVICE, name := str(value).lower()):
            raise PydanticCustomError("device", "input should be auto, cpu, cuda, cuda:N or mps")
        return name

    @field_validator("metrics", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    def over(self, lower: Mapping[str, Any]) -> Config:
        """Return this config, with unset values taken from `lower` (metadata, defaults)."""
        return Config.model_validate(merged_over(lower, self.model_dump(exclude_unset=True)))


def merged_over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested dictionaries; `upper` has precedence."""
    merged = dict(lower)
    for key, value in upper.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merged_over(old, value) if both else value  # type: ignore[arg-type]
    return merged
